"""The mirror: what waits in Argo, kept as Wait rows.

Whole workflows come in, from a list, an event or a look; the rows follow. Only the watcher that holds the
mirror's lease may write here: its token is checked in the transaction of every write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from argo_client import Node, NodePhase, Parameter, Workflow
from dashboard.models import Mirror, SuppliedOutput, Wait, sha256, wait_id

#: How long a watcher may be silent before another takes over; renewed three times as often.
LEASE_LENGTH = timedelta(seconds=20)

_KEPT_UP_TO_DATE = [
    "kind", "uuid", "uuid_sha256", "node_path", "template", "input_values", "supplied_outputs",
    "deadline", "workflow_suspended", "resource_version", "state", "ended_at", "message",
]  # fmt: skip
_COMPARED = [name for name in _KEPT_UP_TO_DATE if name != "resource_version"]


class LeaseLost(Exception):
    """Another watcher holds the mirror now; nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A workflow as Argo gave it. `current` is False for an event of the stream, which may be older than
    what a list or a look has already told."""

    workflow: Workflow
    current: bool = True


@dataclass(frozen=True, kw_only=True)
class Gone:
    """A workflow of which a look found that it no longer exists."""

    namespace: str
    workflow_uid: str


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a wait ended: `state` is one of Wait.State but WAITING."""

    state: Wait.State
    at: datetime
    message: str


def storable(text: str) -> str:
    """The text without what no database column can hold: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def open_waits(cluster: str, workflow: Workflow) -> list[Wait]:
    """The waits of a workflow, as unsaved rows. A finished workflow has none."""
    if workflow.finished:
        return []
    return [
        _wait_from(cluster, workflow, node, node.started_at)
        for node in workflow.waiting_nodes
        if node.started_at is not None
    ]


def ending_of(wait: Wait, workflow: Workflow) -> Ending | None:
    """How this wait ended, judged by the workflow as it is now; None while it waits."""
    node = workflow.nodes.get(wait.node_id)
    now = timezone.now()
    if workflow.uid != wait.workflow_uid:
        return Ending(state=Wait.State.ENDED, at=now, message="The workflow was deleted.")
    if node is None:
        return Ending(state=Wait.State.ENDED, at=now, message="The node was removed by a retry.")
    if node.started_at != wait.started_at:
        at = node.started_at or now
        return Ending(state=Wait.State.ENDED, at=at, message="The node was started again by a retry.")
    if node.is_waiting:
        if not workflow.finished:
            return None
        at = workflow.finished_at or now
        return Ending(state=Wait.State.ENDED, at=at, message="The workflow ended.")
    return Ending(state=_ended_state(wait, node), at=node.finished_at or now, message=storable(node.message))


def supplied_outputs(node: Node) -> list[SuppliedOutput]:
    """The outputs of a waiting node that somebody has to supply."""
    return [_supplied(node, output) for output in node.supplied_outputs]


def claim(cluster: str, *, holder: str) -> uuid.UUID | None:
    """Takes the mirror's lease if it is free. Returns its token."""
    now, token = timezone.now(), uuid.uuid4()
    Mirror.objects.bulk_create([Mirror(cluster=cluster, state_since=now)], ignore_conflicts=True)
    claimed = Mirror.objects.filter(Mirror.claimable(now, LEASE_LENGTH), cluster=cluster).update(
        token=token, claimed_until=now + LEASE_LENGTH, holder=holder
    )
    return token if claimed else None


def renew(cluster: str, token: uuid.UUID, *, seen_at: datetime | None) -> None:
    """Prolongs the lease and notes when Argo was last heard. Raises LeaseLost."""
    fields: dict[str, datetime] = {"claimed_until": timezone.now() + LEASE_LENGTH}
    if seen_at is not None:
        fields["seen_at"] = seen_at
    _check(Mirror.objects.filter(cluster=cluster, token=token).update(**fields))


def release(cluster: str, token: uuid.UUID) -> None:
    """Gives the lease back, so that another watcher can take over at once."""
    Mirror.objects.filter(cluster=cluster, token=token).update(
        token=None, claimed_until=None, revision=F("revision") + 1
    )


def note_state(cluster: str, token: uuid.UUID, *, state: Mirror.State, problem: str) -> None:
    """Writes how the mirror stands, if that changed. Raises LeaseLost."""
    problem = storable(problem)
    with transaction.atomic():
        mirror = _hold(cluster, token)
        if (mirror.state, mirror.problem) == (state, problem):
            return
        since = mirror.state_since if mirror.state == state else timezone.now()
        Mirror.objects.filter(cluster=cluster).update(
            state=state, problem=problem, state_since=since, revision=F("revision") + 1
        )


def apply(cluster: str, token: uuid.UUID, observations: Sequence[Seen | Gone]) -> None:
    """Makes the rows equal to what was seen, in the order given. Raises LeaseLost."""
    for batch in _without_repeats(observations):
        with transaction.atomic():
            _hold(cluster, token)
            if _apply_batch(cluster, batch):
                Mirror.touch(cluster)


def forget_namespaces_but(cluster: str, token: uuid.UUID, namespaces: Sequence[str]) -> None:
    """Drops the open rows of namespaces that are no longer watched. Raises LeaseLost."""
    with transaction.atomic():
        _hold(cluster, token)
        unwatched = Wait.objects.waiting().filter(cluster=cluster).exclude(namespace__in=namespaces)
        if unwatched.delete()[0]:
            Mirror.touch(cluster)


def _wait_from(cluster: str, workflow: Workflow, node: Node, started_at: datetime) -> Wait:
    job_uuid = node.input(settings.WAITDESK_UUID_PARAMETER)
    stored_uuid = storable(job_uuid or "")
    duration = workflow.suspend_duration(node)
    return Wait(
        id=wait_id(cluster=cluster, workflow_uid=workflow.uid, node_id=node.id, started_at=started_at),
        cluster=cluster,
        namespace=workflow.namespace,
        workflow=workflow.name,
        workflow_uid=workflow.uid,
        node_id=node.id,
        started_at=started_at,
        uuid=stored_uuid,
        uuid_sha256=sha256(stored_uuid) if stored_uuid else "",
        kind=Wait.Kind.GATE if job_uuid is None else Wait.Kind.JOB,
        node_path=Wait.NODE_PATH_SEPARATOR.join(storable(n.display_name) for n in workflow.path(node)),
        template=storable(workflow.template_of(node))[:253],
        input_values=[[storable(p.name), storable(p.value or "")] for p in node.inputs],
        supplied_outputs=supplied_outputs(node),
        deadline=started_at + duration if duration is not None else None,
        workflow_suspended=workflow.suspended,
        resource_version=_number(workflow.resource_version),
    )


def _supplied(node: Node, output: Parameter) -> SuppliedOutput:
    """An output that somebody has to supply; its choices stand on the input of the same name, and so does
    the first choice when an earlier step made them."""
    source = next((p for p in node.inputs if p.name == output.name), output)
    default = output.default if output.default is not None else source.default
    return {
        "name": storable(output.name),
        "default": None if default is None else storable(default),
        "choices": [storable(choice) for choice in source.enum or output.enum],
        "description": storable(source.description or output.description),
    }


def _ended_state(wait: Wait, node: Node) -> Wait.State:
    if node.phase != NodePhase.SUCCEEDED:
        return Wait.State.STOPPED if node.phase in (NodePhase.FAILED, NodePhase.ERROR) else Wait.State.ENDED
    in_time = wait.deadline is None or node.finished_at is None or node.finished_at < wait.deadline
    return Wait.State.RESUMED if in_time or node.message else Wait.State.EXPIRED


def _number(resource_version: str) -> int:
    return int(resource_version) if resource_version.isdecimal() and len(resource_version) < 19 else 0


def _hold(cluster: str, token: uuid.UUID) -> Mirror:
    """Locks the mirror's row for this transaction. Raises LeaseLost."""
    mirror = Mirror.objects.select_for_update().filter(cluster=cluster, token=token).first()
    if mirror is None:
        raise LeaseLost
    return mirror


def _check(rows: int) -> None:
    if not rows:
        raise LeaseLost


def _without_repeats(observations: Iterable[Seen | Gone]) -> Iterable[list[Seen | Gone]]:
    """Cuts before a workflow comes again, so that one batch holds each workflow once."""
    batch: list[Seen | Gone] = []
    uids: set[str] = set()
    for observation in observations:
        uid = _uid(observation)
        if uid in uids:
            yield batch
            batch, uids = [], set()
        batch.append(observation)
        uids.add(uid)
    if batch:
        yield batch


def _uid(observation: Seen | Gone) -> str:
    return observation.workflow_uid if isinstance(observation, Gone) else observation.workflow.uid


def _apply_batch(cluster: str, batch: Sequence[Seen | Gone]) -> bool:
    """Writes what differs; True if anything did."""
    rows: dict[str, dict[uuid.UUID, Wait]] = {_uid(observation): {} for observation in batch}
    for row in Wait.objects.of_workflows(cluster, rows):
        rows[row.workflow_uid][row.pk] = row
    changed: list[Wait] = []
    for observation in batch:
        changed += _changes(cluster, observation, rows[_uid(observation)])
    if changed:
        Wait.objects.bulk_create(
            changed, update_conflicts=True, unique_fields=["id"], update_fields=_KEPT_UP_TO_DATE
        )
    return bool(changed)


def _changes(cluster: str, observation: Seen | Gone, known: dict[uuid.UUID, Wait]) -> list[Wait]:
    if isinstance(observation, Gone):
        deleted = Ending(state=Wait.State.ENDED, at=timezone.now(), message="The workflow was deleted.")
        return [_ended(row, deleted) for row in known.values() if row.is_waiting]
    workflow = observation.workflow
    if not workflow.nodes_complete or (not observation.current and _is_old_news(workflow, known.values())):
        return []
    waits = {wait.pk: wait for wait in open_waits(cluster, workflow)}
    changed = [wait for wait in waits.values() if _differs(wait, known.get(wait.pk))]
    for row in known.values():
        ending = None if row.pk in waits else _news_of(row, workflow)
        if ending is not None:
            row.resource_version = _number(workflow.resource_version)
            changed.append(_ended(row, ending))
    return changed


def _news_of(row: Wait, workflow: Workflow) -> Ending | None:
    """How a row ended, if that is not what it says already. Starts are whole seconds: a wait that ended,
    was retried and ended again within one has the same identity, and its last end is the one to tell."""
    if row.is_waiting:
        return ending_of(row, workflow)
    node = workflow.nodes.get(row.node_id)
    if node is None or node.started_at != row.started_at or node.is_waiting or node.finished_at is None:
        return None
    ending = ending_of(row, workflow)
    return None if ending is None or ending.state == row.state else ending


def _is_old_news(workflow: Workflow, known: Iterable[Wait]) -> bool:
    version = _number(workflow.resource_version)
    return any(row.resource_version > version for row in known)


def _differs(wait: Wait, row: Wait | None) -> bool:
    """Whether the row has to be written. A newer version alone is no reason; an older one is: the cluster
    was restored from a backup, and against the old number every event would look like old news."""
    return (
        row is None
        or wait.resource_version < row.resource_version
        or any(getattr(wait, name) != getattr(row, name) for name in _COMPARED)
    )


def _ended(row: Wait, ending: Ending) -> Wait:
    row.state, row.ended_at, row.message = ending.state, ending.at, ending.message
    return row
