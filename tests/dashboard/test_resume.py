from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from argo_client import ArgoClient
from argo_simulator import Fault, Simulator
from dashboard import workflow_lease
from dashboard.actions import selector_for
from dashboard.models import AuditEntry, Wait
from tests.dashboard.conftest import gate_template, suspend_template

Submit = Callable[..., Wait]


def resume(page: Client, wait: Wait, headers: dict[str, str], **data: str) -> str:
    answer = page.post(reverse("wait-resume", args=[wait.pk]), data, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def audit_trail() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("stage", "outcome", "how"))


def test_the_panel_says_what_will_be_hit_and_sends_nothing(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    html = operator_page.get(reverse("wait-resume", args=[wait.pk]), headers=fragment).content.decode()
    assert f"inputs.parameters.uuid.value=job-1,id={wait.node_id}" in html
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []


def test_a_resume_lets_the_node_succeed_and_the_workflow_move_on(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    html = resume(operator_page, wait, fragment)
    assert "Resumed; the workflow moved on." in html
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1
    wait.refresh_from_db()
    assert wait.state == Wait.State.RESUMED
    assert audit_trail() == [("requested", "", ""), ("result", "applied", "reply")]


def test_the_audit_entries_name_who_what_where_and_how(
    submit: Submit, operator_page: Client, operator: User, fragment: dict[str, str]
) -> None:
    wait = submit("job-1")
    resume(operator_page, wait, fragment)
    requested, result = AuditEntry.objects.order_by("id")
    for entry in (requested, result):
        assert (entry.actor, entry.actor_kind, entry.channel) == ("olga", "person", "page")
        assert (entry.action, entry.wait_id, entry.uuid) == ("resume", wait.pk, "job-1")
        assert (entry.cluster, entry.namespace, entry.workflow) == ("default", "argo", wait.workflow)
        assert entry.selector == f"inputs.parameters.uuid.value=job-1,id={wait.node_id}"
        assert entry.address == "127.0.0.1"
        assert entry.request_id
    assert requested.operation == result.operation


def test_only_the_chosen_one_of_two_nodes_with_one_uuid_is_hit(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    first, second = submit("twin"), submit("twin")
    html = operator_page.get(reverse("board"), headers=fragment).content.decode()
    assert "1 other wait" in html
    resume(operator_page, first, fragment)
    assert len(argo.writes.of(first.node_id, workflow=first.workflow)) == 1
    assert argo.writes.of(second.node_id, workflow=second.workflow) == []


def test_a_form_posted_twice_resumes_once(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    resume(operator_page, wait, fragment)
    html = resume(operator_page, wait, fragment)
    assert "already resumed at" in html
    assert "by olga" in html
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1
    assert audit_trail()[-1] == ("refused", "refused", "")


def test_a_wait_that_somebody_else_resumed_says_when(
    submit: Submit, operator_page: Client, fragment: dict[str, str], outside: ArgoClient
) -> None:
    wait = submit("job-1")
    outside.resume_node(wait.namespace, wait.workflow, selector=selector_for(wait))
    html = resume(operator_page, wait, fragment)
    assert "already resumed at" in html
    wait.refresh_from_db()
    assert wait.state == Wait.State.RESUMED


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_who_click_at_once_one_is_told_that_the_other_was_faster(
    submit: Submit, operator: User, argo: Simulator, fragment: dict[str, str]
) -> None:
    wait = submit("job-1")
    answers: list[str] = []

    def click() -> None:
        page = Client()
        page.force_login(operator)
        answers.append(resume(page, wait, fragment))
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("Resumed;" in answer for answer in answers) == 1
    assert sum("already resumed at" in answer for answer in answers) == 1
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1


def test_a_workflow_that_somebody_writes_to_is_left_alone(
    submit: Submit, operator_page: Client, fragment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = submit("job-1")
    monkeypatch.setattr(workflow_lease, "PATIENCE", 0.0)
    with workflow_lease.held(
        wait.cluster, namespace=wait.namespace, workflow=wait.workflow, holder="somebody"
    ):
        html = resume(operator_page, wait, fragment)
    assert "Somebody else is acting on this workflow right now." in html
    assert audit_trail() == [("refused", "refused", "")]


def test_a_gate_asks_for_its_outputs_and_sends_all_of_them_at_once(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    argo.create_template(
        gate_template(approve={"enum": ["YES", "NO"], "default": "NO"}, note={"default": "none"}, by={})
    )
    wait = submit(template="release-gate")
    html = resume(operator_page, wait, fragment, **{"output:approve": "YES", "output:note": "fine"})
    assert "needs a value" in html
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []
    html = resume(
        operator_page,
        wait,
        fragment,
        **{"output:approve": "YES", "output:note": "fine", "output:by": "a,b=c"},
    )
    assert "Resumed;" in html
    node = argo.workflow("argo", wait.workflow)["status"]["nodes"][wait.node_id]
    values = {p["name"]: p["value"] for p in node["outputs"]["parameters"]}
    assert values == {"approve": "YES", "note": "fine", "by": "a,b=c"}
    assert [write.kind for write in argo.writes.of(wait.node_id, workflow=wait.workflow)] == ["set"]
    assert AuditEntry.objects.latest("id").parameters == values


def test_a_value_outside_the_choices_is_refused_by_us_because_argo_would_take_it(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    argo.create_template(gate_template(approve={"enum": ["YES", "NO"], "default": "NO"}))
    wait = submit(template="release-gate")
    html = resume(operator_page, wait, fragment, **{"output:approve": "MAYBE"})
    assert "MAYBE" in html
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []


def test_a_gate_without_a_uuid_is_hit_by_its_id_alone(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    argo.create_template(suspend_template())
    wait = submit(template="cool-down")
    assert (wait.kind, wait.uuid) == ("gate", "")
    assert "Resumed;" in resume(operator_page, wait, fragment)
    assert AuditEntry.objects.latest("id").selector == f"id={wait.node_id}"


def test_a_connection_dropped_after_argo_applied_it_is_settled_by_a_look(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    argo.faults.add(Fault.DROP_AFTER, method="PUT", times=1)
    html = resume(operator_page, wait, fragment)
    assert "A look shows that the node was resumed." in html
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1
    assert audit_trail() == [("requested", "", ""), ("result", "applied", "look")]


def test_a_connection_dropped_before_argo_applied_it_leaves_a_doubt_that_is_said(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    argo.faults.add(Fault.DROP_BEFORE, method="PUT", times=1)
    html = resume(operator_page, wait, fragment)
    assert "A look shows that the node still waits." in html
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []
    assert audit_trail() == [("requested", "", ""), ("result", "unclear", "")]


def test_a_suspended_workflow_is_said_not_to_move_on(
    submit: Submit, operator_page: Client, fragment: dict[str, str], outside: ArgoClient
) -> None:
    wait = submit("job-1")
    outside.suspend_workflow(wait.namespace, wait.workflow)
    html = operator_page.get(reverse("wait-resume", args=[wait.pk]), headers=fragment).content.decode()
    assert "suspended" in html
    assert "the workflow as a whole is suspended" in resume(operator_page, wait, fragment)


def test_a_viewer_is_refused_and_that_is_written_down(
    submit: Submit, viewer_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    wait = submit("job-1")
    assert viewer_page.get(reverse("wait-resume", args=[wait.pk])).status_code == 403
    assert viewer_page.post(reverse("wait-resume", args=[wait.pk]), headers=fragment).status_code == 403
    assert argo.writes.of(wait.node_id, workflow=wait.workflow) == []
    assert AuditEntry.objects.values_list("actor", "stage").get() == ("victor", "refused")


def test_a_wait_that_nobody_knows_is_a_404(operator_page: Client, argo: Simulator) -> None:
    path = reverse("wait-resume", args=["00000000-0000-0000-0000-000000000000"])
    assert operator_page.get(path).status_code == 404
    assert operator_page.post(path).status_code == 404


def test_a_put_is_not_allowed(submit: Submit, operator_page: Client) -> None:
    assert operator_page.put(reverse("wait-resume", args=[submit("job-1").pk])).status_code == 405


def test_a_stranger_is_sent_to_the_login(submit: Submit, fragment: dict[str, str]) -> None:
    path = reverse("wait-resume", args=[submit("job-1").pk])
    assert Client().post(path).status_code == 302
    assert Client().post(path, headers=fragment).headers["HX-Redirect"]
    assert not AuditEntry.objects.exists()
