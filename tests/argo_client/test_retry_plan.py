"""The retry plan is what the server did, for every recorded retry whose state before is recorded too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from argo_client.retry_plan import CannotRetry, Fate, Reason, RetryPlan, plan_retry
from argo_client.selectors import NodeSelector
from argo_client.types import NodePhase, Workflow, WorkflowPhase
from tests.contract import exchanges

#: T16 has one too, but its reply leaves the nodes out, as they are offloaded.
TRANSCRIPTS = ("06-retry", "19-retry-more")


def recorded_retries() -> Iterator[tuple[str, Workflow, dict[str, Any], Any]]:
    """What was asked, of which workflow, and the whole answer."""
    for transcript in TRANSCRIPTS:
        last: dict[str, Workflow] = {}
        for exchange in exchanges(transcript):
            request, answer = exchange["request"], exchange["response"].get("body")
            name = request["path"].removesuffix("/retry").rsplit("/", 1)[-1]
            if request["path"].endswith("/retry") and name in last:
                yield f"{transcript}: {exchange['note']}", last[name], request["body"], exchange["response"]
            if isinstance(answer, dict) and "status" in answer and "name" in answer.get("metadata", {}):
                last[name] = Workflow.from_json(answer)


RETRIES = [case for case in recorded_retries() if case[1].finished]
ACCEPTED = [case for case in RETRIES if case[3]["status"] == 200]


def plan_of(workflow: Workflow, options: dict[str, Any]) -> RetryPlan:
    restart, text = options.get("restartSuccessful", False), options.get("nodeFieldSelector", "")
    return plan_retry(
        workflow,
        restart_successful=restart,
        selector=NodeSelector.parse(text) if text and restart else None,
        parameters=options.get("parameters", ()),
    )


def ids(nodes: tuple[Any, ...]) -> set[str]:
    return {planned.node.id for planned in nodes}


def recorded(transcript: str, *, note: str) -> tuple[Workflow, dict[str, Any]]:
    """The workflow before a retry whose note ends so, and the retry's options."""
    found = [case for case in ACCEPTED if case[0].startswith(transcript) and case[0].endswith(note)]
    assert found, note
    return found[0][1], found[0][2]


def test_most_recorded_retries_have_a_recorded_state_before():
    assert len(ACCEPTED) == 125


@pytest.mark.parametrize(("note", "before", "options", "response"), ACCEPTED, ids=[c[0] for c in ACCEPTED])
def test_the_plan_is_what_the_server_did(note, before, options, response):
    after = Workflow.from_json(response["body"])
    plan = plan_of(before, options)
    assert ids(plan.deleted) == set(before.nodes) - set(after.nodes)
    running_again = {node.id for node in after.nodes.values() if node.finished_at is None}
    assert {p.node.id for p in plan.reset if p.node.phase is not NodePhase.SKIPPED} == running_again
    kept_with = {node.id: node.children for node in after.nodes.values()}
    assert {p.node.id: p.children for p in (*plan.reset, *plan.kept)} == kept_with


def test_every_node_has_a_reason_and_each_cause_is_a_node_of_the_workflow():
    for _, before, options, _ in ACCEPTED:
        plan = plan_of(before, options)
        assert set(plan.nodes) == set(before.nodes)
        for planned in plan.nodes.values():
            assert (planned.reason is Reason.UNTOUCHED) == (planned.fate is Fate.KEPT)
            assert (planned.cause in before.nodes) == (
                planned.reason not in (Reason.UNTOUCHED, Reason.EXIT_HANDLER)
            )


def test_a_plain_retry_of_a_stopped_job_changes_nothing():
    before, options = recorded("19-retry-more", note="retry dag: no selector")
    plan = plan_of(before, options)
    assert plan.changes_nothing
    assert ids(plan.kept) == set(before.nodes)


def test_an_exit_handler_alone_is_no_change():
    before, options = recorded("19-retry-more", note="retry onexit: no selector")
    plan = plan_of(before, options)
    assert {p.reason for p in plan.deleted} == {Reason.EXIT_HANDLER}
    assert plan.changes_nothing


def test_the_trigger_of_a_failed_job_takes_its_wait_with_it_and_resets_the_steps_around():
    before, options = recorded("19-retry-more", note="retry dag: id={trigger}")
    plan = plan_of(before, options)
    trigger = next(p for p in plan.deleted if p.reason is Reason.MATCHED)
    wait = next(p for p in plan.deleted if p.node.name.endswith("b[1].wait-completion"))
    assert (wait.reason, wait.cause) == (Reason.BELOW, trigger.node.id)
    assert {(p.reason, p.cause) for p in plan.reset} == {(Reason.ABOVE, trigger.node.id)}
    assert plan.nodes[before.name].fate is Fate.RESET


def test_pods_that_failed_elsewhere_run_again_with_any_selector():
    before, options = recorded("19-retry-more", note="retry flaky: id={trigger}")
    reasons = {p.reason for p in plan_of(before, options).deleted if "flaky(" in p.node.name}
    assert reasons == {Reason.FAILED}


def test_parameters_make_succeeded_siblings_run_again():
    before, options = recorded("19-retry-more", note="retry dagitems: id={trigger}")
    without = plan_of(before, options)
    with_one = plan_of(before, {**options, "parameters": ["unknown=1"]})
    more = ids(with_one.deleted) - ids(without.deleted)
    assert more
    assert {with_one.nodes[id_].reason for id_ in more} == {Reason.SIBLING}


def test_a_match_of_the_root_deletes_every_node():
    before, _ = recorded("19-retry-more", note="retry dag: no selector")
    plan = plan_retry(before, restart_successful=True, selector=NodeSelector.of(node_id=before.name))
    assert ids(plan.deleted) == set(before.nodes)


def test_a_selector_counts_only_together_with_restart_successful():
    before, _ = recorded("19-retry-more", note="retry dag: no selector")
    assert plan_retry(before, selector=NodeSelector.of(node_id=before.name)).changes_nothing


@pytest.mark.parametrize("phase", [WorkflowPhase.RUNNING, WorkflowPhase.PENDING])
def test_a_workflow_that_has_not_ended_cannot_be_retried(phase):
    before, options = recorded("19-retry-more", note="retry dag: no selector")
    running = dataclasses.replace(before, phase=phase)
    with pytest.raises(CannotRetry, match=f"Cannot retry a workflow in phase {phase}"):
        plan_of(running, options)


def test_a_succeeded_workflow_needs_both_options():
    refused = [e for e in exchanges("06-retry") if "retry a Succeeded workflow, " in e["note"]]
    assert len(refused) == 2
    before, _ = recorded("19-retry-more", note="retry dag: no selector")
    succeeded = dataclasses.replace(before, phase=WorkflowPhase.SUCCEEDED)
    for exchange in refused:
        with pytest.raises(CannotRetry) as caught:
            plan_of(succeeded, exchange["request"]["body"])
        assert str(caught.value) == exchange["response"]["body"]["message"]


def test_a_workflow_whose_children_are_missing_or_in_a_circle_is_planned_all_the_same():
    before, _ = recorded("19-retry-more", note="retry dag: no selector")
    root = before.nodes[before.name]
    odd = dict(before.nodes)
    for node in before.nodes.values():
        if not node.children:
            odd[node.id] = dataclasses.replace(node, children=(root.id, "gone-1"))
    plan = plan_retry(
        dataclasses.replace(before, nodes=odd),
        restart_successful=True,
        selector=NodeSelector.where({"displayName": "wait-completion"}),
    )
    assert plan.deleted
