"""Resume and stop: allowed? -> Argo -> verify -> audit. The only code that changes Argo.

Every action names one node, holds the lease of its workflow, compares the wait's identity with Argo just
before it sends, and looks after every doubt before it would repeat.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.conf import settings
from django.utils import timezone

from argo_client import (
    ArgoClient,
    ArgoError,
    LostRace,
    Node,
    NodePhase,
    NodeSelector,
    NotFound,
    NoWaitingNode,
    Unclear,
    Workflow,
)
from dashboard import audit, clusters, mirror, workflow_lease
from dashboard.audit import Actor, Deed
from dashboard.mirror import Ending
from dashboard.models import AuditEntry, Mirror, Wait
from dashboard.wording import at_time, listed
from dashboard.workflow_lease import HeldLease, WorkflowBusy

_random = random.SystemRandom()
Outcome, How = AuditEntry.Outcome, AuditEntry.How

#: How often a call that lost the race with other writers is repeated.
TRIES = 4
#: Waits before the looks that see whether the workflow moved on, seconds.
_LOOKS = (0.1, 0.2, 0.4, 0.8)
#: A page must not hang on a slow Argo: (connect, read) in seconds.
_PREVIEW_TIMEOUT = (2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of an action. `sentence` says it to a person; `outputs` names what was wrong with which."""

    outcome: AuditEntry.Outcome
    sentence: str
    how: AuditEntry.How | None = None
    outputs: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an action would hit, by a fresh look. `ended`: why it can no longer be done, or ""."""

    selector: str
    nodes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    ended: str = ""


class Refusal(Exception):
    """Nothing is sent; the text is a sentence for people."""

    def __init__(self, sentence: str, *, outputs: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.outputs = outputs


def resume(wait: Wait, *, actor: Actor, outputs: Mapping[str, str] | None = None) -> Result:
    """Lets the wait succeed. `outputs`: values for the node's supplied outputs; defaults are filled in."""
    return _complete(wait, actor=actor, deed=Deed(action="resume", parameters=outputs or {}))


def stop(wait: Wait, *, actor: Actor, message: str) -> Result:
    """Fails the wait's node, and no other, with the message."""
    return _complete(wait, actor=actor, deed=Deed(action="stop", message=message))


def refuse(wait: Wait, *, actor: Actor, deed: Deed, sentence: str) -> Result:
    """Writes down that nothing was sent, and why."""
    audit.refused(wait, actor=actor, deed=deed, answer=sentence)
    return Result(outcome=Outcome.REFUSED, sentence=sentence)


def preview(wait: Wait) -> Preview:
    """Looks what an action on this wait would hit now. An Argo that is away is a warning, not an error."""
    expected = Preview(selector=str(selector_for(wait)), nodes=(_named(wait),))
    try:
        workflow = clusters.client(wait.cluster).get_workflow(
            wait.namespace, wait.workflow, timeout=_PREVIEW_TIMEOUT
        )
        node = _compare(wait, workflow)
    except Refusal as refusal:
        return replace(expected, nodes=(), ended=str(refusal))
    except NotFound:
        return replace(expected, nodes=(), ended=_GONE)
    except ArgoError as error:
        return replace(expected, warnings=(f"{error} This is how it was last seen.",))
    selector = selector_for(wait, node)
    hit = [n for n in workflow.waiting_nodes if selector.matches(n)]
    return Preview(
        selector=str(selector),
        nodes=tuple(_named(wait, workflow=workflow, node=n) for n in hit),
        warnings=_warnings(workflow, node),
    )


def selector_for(wait: Wait, node: Node | None = None) -> NodeSelector:
    """Names exactly this node: by UUID and id, by the id alone where there is no UUID. The node as Argo
    gave it goes before the row, which may lack what a database cannot hold."""
    parameter = settings.WAITDESK_UUID_PARAMETER
    uuid = wait.uuid if node is None else node.input(parameter)
    return NodeSelector.of(uuid_parameter=parameter, uuid=uuid or None, node_id=wait.node_id)


def described_end(wait: Wait, ending: Ending) -> str:
    """'resumed at 14:02:05 by anna', as far as anybody knows."""
    entry = audit.end_of(wait)
    verb = {
        Wait.State.RESUMED: "resumed",
        Wait.State.STOPPED: "stopped",
        Wait.State.EXPIRED: "resumed by its own suspend.duration",
    }.get(ending.state, "over")
    text = f"{verb} at {at_time(ending.at)}"
    if entry is not None:
        return f"{text} by {entry.actor}"
    return f"{text}; Argo says: {ending.message}" if ending.message else text


_GONE = "The workflow no longer exists in Argo. Nothing was sent."


def _complete(wait: Wait, *, actor: Actor, deed: Deed) -> Result:
    try:
        with workflow_lease.held(
            wait.cluster, namespace=wait.namespace, workflow=wait.workflow, holder=actor.name
        ) as lease:
            return _complete_under(lease, wait, actor=actor, deed=deed)
    except WorkflowBusy:
        sentence = (
            "Somebody else is acting on this workflow right now. Nothing was sent; try again in a moment."
        )
        return refuse(wait, actor=actor, deed=deed, sentence=sentence)


def _complete_under(lease: HeldLease, wait: Wait, *, actor: Actor, deed: Deed) -> Result:
    client = clusters.client(wait.cluster)
    try:
        workflow = client.get_workflow(wait.namespace, wait.workflow)
        node = _compare(wait, workflow)
        if deed.action == "resume":
            deed = replace(deed, parameters=_all_outputs(wait, node, deed.parameters))
    except Refusal as refusal:
        result = refuse(wait, actor=actor, deed=deed, sentence=str(refusal))
        return replace(result, outputs=refusal.outputs)
    except NotFound:
        gone = Ending(state=Wait.State.ENDED, at=timezone.now(), message="The workflow was deleted.")
        _settle(wait, gone)
        return refuse(wait, actor=actor, deed=deed, sentence=_GONE)
    except ArgoError as error:
        return refuse(wait, actor=actor, deed=deed, sentence=f"{error} Nothing was sent.")
    return _send_audited(lease, client, wait, actor=actor, deed=deed, selector=selector_for(wait, node))


def _compare(wait: Wait, workflow: Workflow) -> Node:
    """The waiting node, when it is still the same wait. Raises Refusal."""
    if not workflow.nodes_complete:
        raise Refusal("Argo does not show this workflow's nodes, so nobody can tell. Nothing was sent.")
    node = workflow.nodes.get(wait.node_id)
    ending = mirror.ending_of(wait, workflow)
    if node is not None and ending is None:
        if wait.uuid and mirror.storable(node.input(settings.WAITDESK_UUID_PARAMETER) or "") != wait.uuid:
            raise Refusal("The node now carries another UUID. Nothing was sent; reload the page.")
        return node
    ending = ending or Ending(state=Wait.State.ENDED, at=timezone.now(), message="")
    _settle(wait, ending)
    if node is not None and node.is_waiting and not workflow.finished and node.started_at is not None:
        raise Refusal(
            f"This node was started again and waits anew since {at_time(node.started_at)}."
            " That is another wait, so nothing was sent; open the new one on the board."
        )
    raise Refusal(f"This wait is already {described_end(wait, ending)}. Nothing was sent.")


def _all_outputs(wait: Wait, node: Node, given: Mapping[str, str]) -> dict[str, str]:
    """Every supplied output of the node with its value. Raises Refusal naming what is wrong."""
    expected = {output["name"]: output for output in mirror.supplied_outputs(node)}
    problems = {name: "This node declares no such output." for name in given if name not in expected}
    values: dict[str, str] = {}
    for name, output in expected.items():
        value = given.get(name, output["default"])
        if value is None:
            problems[name] = "This output needs a value: the node declares no default."
        elif output["choices"] and value not in output["choices"]:
            problems[name] = f"Choose one of {listed(output['choices'])}."
        else:
            values[name] = value
    if problems:
        raise Refusal("The outputs are not complete. Nothing was sent.", outputs=problems)
    return values


def _send_audited(
    lease: HeldLease, client: ArgoClient, wait: Wait, *, actor: Actor, deed: Deed, selector: NodeSelector
) -> Result:
    operation = audit.requested(wait, actor=actor, deed=deed, selector=str(selector))
    result = _send(lease, client, wait, deed=deed, selector=selector)
    audit.result(
        wait,
        actor=actor,
        deed=deed,
        selector=str(selector),
        operation=operation,
        outcome=result.outcome,
        how=result.how,
        answer=result.sentence,
    )
    return result


def _send(lease: HeldLease, client: ArgoClient, wait: Wait, *, deed: Deed, selector: NodeSelector) -> Result:
    """Sends, and looks after every doubt; repeats only what Argo says it did not do."""
    for _ in range(TRIES):
        if not lease.covers(client.longest_call):
            break
        try:
            reply = _call(client, wait, deed=deed, selector=selector)
        except LostRace:
            time.sleep(_random.uniform(0.05, 0.3))
        except (NoWaitingNode, Unclear) as error:
            return _judged_by_a_look(client, wait, deed=deed, error=error)
        except ArgoError as error:
            return Result(outcome=Outcome.NOT_APPLIED, sentence=f"{error} The node still waits.")
        else:
            return _judged_by_the_reply(client, wait, reply=reply, deed=deed)
    return Result(
        outcome=Outcome.NOT_APPLIED,
        sentence="Others kept writing to this workflow, so Argo did not take it. The node still waits;"
        " try again in a moment.",
    )


def _call(client: ArgoClient, wait: Wait, *, deed: Deed, selector: NodeSelector) -> Workflow:
    if deed.action == "stop":
        return client.stop_node(wait.namespace, wait.workflow, selector=selector, message=deed.message)
    if deed.parameters:
        # A resume by selector would leave the outputs unset, and that can hang the workflow for good.
        return client.set_node(
            wait.namespace,
            wait.workflow,
            selector=selector,
            outputs=deed.parameters,
            phase=NodePhase.SUCCEEDED,
        )
    return client.resume_node(wait.namespace, wait.workflow, selector=selector)


def _judged_by_the_reply(client: ArgoClient, wait: Wait, *, reply: Workflow, deed: Deed) -> Result:
    ending = mirror.ending_of(wait, reply) if reply.nodes_complete else None
    if ending is None:
        return _judged_by_a_look(client, wait, deed=deed, error=None)
    _settle(wait, ending)
    done = "Resumed" if deed.action == "resume" else "Stopped"
    return Result(
        outcome=Outcome.APPLIED, how=How.REPLY, sentence=f"{done}; {_what_followed(client, wait, reply)}"
    )


def _judged_by_a_look(client: ArgoClient, wait: Wait, *, deed: Deed, error: ArgoError | None) -> Result:
    """Argo's answer left a doubt: see what became of the node."""
    said = f"{error} " if error is not None else ""
    try:
        workflow = client.get_workflow(wait.namespace, wait.workflow)
    except NotFound:
        return Result(outcome=Outcome.UNCLEAR, sentence=f"{said}The workflow no longer exists in Argo.")
    except ArgoError:
        sentence = f"{said}Nobody can say whether Argo did it; look again when Argo answers."
        return Result(outcome=Outcome.UNCLEAR, sentence=sentence)
    ending = mirror.ending_of(wait, workflow) if workflow.nodes_complete else None
    if ending is None:
        return _still_waits(said, error)
    _settle(wait, ending)
    if error is not None and isinstance(error, Unclear) and _is_what_we_wanted(deed, ending):
        done = "resumed" if deed.action == "resume" else "stopped"
        sentence = f"{said}A look shows that the node was {done}."
        return Result(outcome=Outcome.APPLIED, how=How.LOOK, sentence=sentence)
    if error is None and _is_what_we_wanted(deed, ending):
        return Result(outcome=Outcome.APPLIED, how=How.LOOK, sentence="Done; a look confirms it.")
    return Result(
        outcome=Outcome.NOT_APPLIED,
        how=How.BEFORE,
        sentence=f"Somebody was faster: this wait is already {described_end(wait, ending)}.",
    )


def _still_waits(said: str, error: ArgoError | None) -> Result:
    if error is None:
        sentence = "Argo took it, but the node still waits. Look again in a moment before you repeat."
        return Result(outcome=Outcome.UNCLEAR, sentence=sentence)
    if isinstance(error, NoWaitingNode):
        sentence = f"{said}A look shows that the node still waits. Try again."
        return Result(outcome=Outcome.NOT_APPLIED, sentence=sentence)
    # A call that was cut off may still be on its way into Argo.
    sentence = f"{said}A look shows that the node still waits. If it still does in a minute, try again."
    return Result(outcome=Outcome.UNCLEAR, sentence=sentence)


def _is_what_we_wanted(deed: Deed, ending: Ending) -> bool:
    if deed.action == "stop":
        return ending.state == Wait.State.STOPPED and ending.message == mirror.storable(deed.message)
    return ending.state in (Wait.State.RESUMED, Wait.State.EXPIRED)


def _what_followed(client: ArgoClient, wait: Wait, reply: Workflow) -> str:
    """Whether the controller took the workflow further, by a few quick looks."""
    if reply.suspended:
        return "but the workflow as a whole is suspended, so it does not move on until that is resumed."
    for pause in _LOOKS:
        time.sleep(pause)
        try:
            now = client.get_workflow(wait.namespace, wait.workflow)
        except ArgoError:
            return "Argo took it."
        if now.resource_version != reply.resource_version:
            return "the workflow moved on."
    return "Argo took it, but the workflow has not moved on yet. Is Argo's workflow controller running?"


def _settle(wait: Wait, ending: Ending) -> None:
    if wait.settle_ended(state=ending.state, ended_at=ending.at, message=ending.message):
        Mirror.touch(wait.cluster)


def _named(wait: Wait, *, workflow: Workflow | None = None, node: Node | None = None) -> str:
    path = wait.path if workflow is None or node is None else [n.display_name for n in workflow.path(node)]
    return Wait.NODE_PATH_SEPARATOR.join([wait.workflow, *path])


def _warnings(workflow: Workflow, node: Node) -> tuple[str, ...]:
    warnings = []
    uuid = node.input(settings.WAITDESK_UUID_PARAMETER)
    twins = [
        n
        for n in workflow.waiting_nodes
        if uuid and n.id != node.id and n.input(settings.WAITDESK_UUID_PARAMETER) == uuid
    ]
    if twins:
        count = "One other node" if len(twins) == 1 else f"{len(twins)} other nodes"
        warnings.append(f"{count} of this workflow wait with the same UUID; only this node is hit.")
    if workflow.suspended:
        warnings.append(
            "The workflow as a whole is suspended: it does not move on until that is resumed in Argo."
        )
    return tuple(warnings)
