from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from argo_client import ArgoClient
from argo_simulator import Fault, Simulator
from dashboard.actions import selector_for
from dashboard.models import AuditEntry, Wait

Submit = Callable[..., Wait]

FAN_OUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "fan-out"},
    "spec": {
        "entrypoint": "main",
        "templates": [
            {
                "name": "main",
                "steps": [
                    [
                        {
                            "name": "job",
                            "templateRef": {"name": "external-job-template", "template": "run-external-job"},
                            "arguments": {"parameters": [{"name": "job-cmd", "value": "UUID={{item}}"}]},
                            "withItems": ["a", "b"],
                        }
                    ]
                ],
            }
        ],
    },
}


def stop(page: Client, wait: Wait, headers: dict[str, str], message: str) -> str:
    answer = page.post(reverse("wait-stop", args=[wait.pk]), {"message": message}, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_panel_says_that_the_node_fails_and_not_the_whole_workflow(
    submit: Submit, operator_page: Client, fragment: dict[str, str]
) -> None:
    wait = submit("job-1")
    html = operator_page.get(reverse("wait-stop", args=[wait.pk]), headers=fragment).content.decode()
    assert "nothing else is stopped" in html
    assert f"inputs.parameters.uuid.value=job-1,id={wait.node_id}" in html


def test_a_stop_fails_the_node_with_the_message_and_leaves_its_sibling_waiting(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    argo.create_template(FAN_OUT)
    wait = submit(template="fan-out")
    html = stop(operator_page, wait, fragment, "line one\r\n<b>two</b>")
    assert "Stopped;" in html
    nodes = argo.workflow("argo", wait.workflow)["status"]["nodes"]
    assert nodes[wait.node_id]["phase"] == "Failed"
    assert nodes[wait.node_id]["message"] == "line one\n<b>two</b>"
    assert sum(node["phase"] == "Running" for node in nodes.values() if node["type"] == "Suspend") == 1
    wait.refresh_from_db()
    assert (wait.state, wait.message) == (Wait.State.STOPPED, "line one\n<b>two</b>")
    assert AuditEntry.objects.latest("id").message == "line one\n<b>two</b>"


@pytest.mark.parametrize("message", ["", "   ", "\n"])
def test_a_stop_needs_a_message(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator, message: str
) -> None:
    wait = submit("job-1")
    assert "Say why" in stop(operator_page, wait, fragment, message)
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        (Fault.STATUS, {"status": 401}, "token"),
        (Fault.STATUS, {"status": 403}, "not allow"),
        (Fault.STATUS, {"status": 429}, "busy"),
        (Fault.STATUS, {"status": 503}, "not available"),
        (Fault.UNKNOWN_TEXT, {}, "A look shows that the node still waits."),
        (Fault.HTML, {}, ""),
        (Fault.TRUNCATE, {}, ""),
    ],
)
def test_what_argo_refuses_is_said_in_the_row_and_what_was_typed_stays(
    submit: Submit,
    operator_page: Client,
    fragment: dict[str, str],
    argo: Simulator,
    fault: Fault,
    options: dict[str, int],
    said: str,
) -> None:
    wait = submit("job-1")
    argo.faults.add(fault, method="PUT", times=1, **options)
    html = stop(operator_page, wait, fragment, "typed with care")
    wait.refresh_from_db()
    if wait.is_waiting:
        assert "typed with care" in html
    assert said in html
    entries = list(AuditEntry.objects.order_by("id").values_list("stage", flat=True))
    assert entries == ["requested", "result"]


def test_an_argo_that_is_away_is_said_and_nothing_typed_is_lost(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    argo.stop_listening()
    html = stop(operator_page, wait, fragment, "typed with care")
    assert "typed with care" in html
    assert "Nothing was sent." in html
    assert AuditEntry.objects.get().stage == "refused"


def test_a_node_that_waits_anew_is_another_wait_and_is_not_hit(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    workflow = argo.workflow("argo", wait.workflow)
    workflow["status"]["nodes"][wait.node_id]["startedAt"] = "2031-01-01T00:00:00Z"
    argo.load(workflow)
    html = stop(operator_page, wait, fragment, "too late")
    assert "waits anew since" in html
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []
    wait.refresh_from_db()
    assert wait.state == Wait.State.ENDED


def test_a_wait_whose_workflow_was_deleted_says_so(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    argo.delete("argo", wait.workflow)
    assert "The workflow no longer exists in Argo." in stop(operator_page, wait, fragment, "x")
    wait.refresh_from_db()
    assert wait.state == Wait.State.ENDED


def test_who_lost_against_a_resume_outside_is_told(
    submit: Submit, operator_page: Client, fragment: dict[str, str], outside: ArgoClient, argo: Simulator
) -> None:
    wait = submit("job-1")
    outside.resume_node(wait.namespace, wait.workflow, selector=selector_for(wait))
    assert "already resumed at" in stop(operator_page, wait, fragment, "too late")
    assert [write.kind for write in argo.writes.of(wait.node_id, workflow=wait.workflow)] == ["resume"]


def test_a_message_longer_than_the_field_is_refused_with_what_was_typed(
    submit: Submit, operator_page: Client, fragment: dict[str, str]
) -> None:
    html = stop(operator_page, submit("job-1"), fragment, "long " * 1000)
    assert "long long" in html
