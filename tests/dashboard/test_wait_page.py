from __future__ import annotations

import json
import shlex
import time
import urllib.request
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from argo_client import ArgoClient
from argo_simulator import Fault, Simulator
from dashboard import audit, snippets
from dashboard.actions import selector_for
from dashboard.models import AuditEntry, Wait
from tests.dashboard.conftest import gate_template

Submit = Callable[..., Wait]

HOSTILE_UUIDS = [
    "a,b", "=x", "!=x", "a\\b", "a/b:c", "with blanks", "ünï-✓", "x,id!=1", '"><b>', "q" * 4096,
    "a\\,b\\=c", ",", "=", "%2F", "trailing\\",
]  # fmt: skip


def page(client: Client, wait: Wait) -> str:
    answer = client.get(wait.get_absolute_url())
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_shows_the_wait_and_its_workflow(submit: Submit, viewer_page: Client) -> None:
    wait = submit("5caab09a-4c52-4ce3-9c04-953ce42c217c")
    html = page(viewer_page, wait)
    for text in (wait.uuid, wait.workflow, wait.node_id, "external-job-template", "trigger-job", "<svg"):
        assert text in html
    assert str(selector_for(wait)) in html


def test_declared_outputs_are_shown_with_their_choices_and_defaults(
    submit: Submit, argo: Simulator, viewer_page: Client
) -> None:
    argo.create_template(
        gate_template(approve={"enum": ["YES", "NO"], "default": "NO", "description": "Is it fine?"})
    )
    html = page(viewer_page, submit(template="release-gate"))
    for text in ("approve", "YES", "NO", "Is it fine?"):
        assert text in html


def test_an_ended_wait_keeps_its_page_and_names_who_ended_it(
    submit: Submit, operator_page: Client, fragment: dict[str, str]
) -> None:
    wait = submit("job-1")
    operator_page.post(reverse("wait-resume", args=[wait.pk]), headers=fragment)
    html = page(operator_page, wait)
    assert "Resumed by olga through Waitdesk." in html
    assert reverse("wait-stop", args=[wait.pk]) not in html


def test_a_wait_ended_outside_says_so(
    submit: Submit, operator_page: Client, outside: ArgoClient, mirror_now: Callable[[], None]
) -> None:
    wait = submit("job-1")
    outside.stop_node(wait.namespace, wait.workflow, selector=selector_for(wait), message="no disk left")
    mirror_now()
    assert "Stopped outside Waitdesk. Argo says: no disk left" in page(operator_page, wait)


def test_the_page_of_a_deleted_workflow_still_tells_what_is_known(
    submit: Submit, operator_page: Client, argo: Simulator, mirror_now: Callable[[], None]
) -> None:
    wait = submit("job-1")
    argo.delete("argo", wait.workflow)
    mirror_now()
    html = page(operator_page, wait)
    assert "job-1" in html
    assert "The workflow was deleted." in html


def test_a_slow_argo_does_not_hang_the_page(submit: Submit, operator_page: Client, argo: Simulator) -> None:
    wait = submit("job-1")
    argo.faults.add(Fault.HANG, method="GET", seconds=30)
    html = page(operator_page, wait)
    assert "no answer within the time allowed" in html
    assert "job-1" in html


def test_an_open_audit_entry_is_seen(submit: Submit, operator_page: Client) -> None:
    wait = submit("job-1")
    actor = audit.Actor(name="crashed", kind=AuditEntry.ActorKind.PERSON, channel=AuditEntry.Channel.PAGE)
    audit.requested(wait, actor=actor, deed=audit.Deed(action="resume"), selector="id=x")
    assert "nothing is known of what came of it" in page(operator_page, wait)


@pytest.mark.parametrize("uuid", HOSTILE_UUIDS)
def test_a_hostile_uuid_is_shown_as_it_is_and_hits_its_own_node_only(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator, uuid: str
) -> None:
    bystander = submit("x")
    wait = submit(uuid)
    assert wait.uuid == uuid
    assert operator_page.get("/", {"q": uuid[:100]}).context["board"].rows[0].wait == wait
    page(operator_page, wait)
    answer = operator_page.post(reverse("wait-resume", args=[wait.pk]), headers=fragment).content.decode()
    assert "Resumed;" in answer
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1
    assert argo.writes.of(bystander.node_id, workflow=bystander.workflow) == []


@pytest.mark.parametrize("uuid", ["plain", "a,b=c\\d", "quote'and\"quote", "ünï $HOME `id`"])
def test_the_curl_to_paste_is_one_that_argo_accepts(submit: Submit, argo: Simulator, uuid: str) -> None:
    wait = submit(uuid)
    words = shlex.split(snippets.curl_stop(wait).replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert body["message"] == "MESSAGE"
    request = urllib.request.Request(
        words[words.index("PUT") + 1], data=json.dumps(body).encode(), method="PUT"
    )
    assert urllib.request.urlopen(request, timeout=10).status == 200
    assert len(argo.writes.of(wait.node_id, workflow=wait.workflow)) == 1


def test_an_empty_uuid_is_hit_by_its_id_alone(
    submit: Submit, operator_page: Client, fragment: dict[str, str], argo: Simulator
) -> None:
    bystander, wait = submit(""), submit("")
    assert (wait.kind, wait.uuid) == ("job", "")
    operator_page.post(reverse("wait-resume", args=[wait.pk]), headers=fragment)
    assert AuditEntry.objects.latest("id").selector == f"id={wait.node_id}"
    assert argo.writes.of(bystander.node_id, workflow=bystander.workflow) == []


def test_markup_in_names_messages_and_values_is_text(
    submit: Submit,
    operator_page: Client,
    argo: Simulator,
    outside: ArgoClient,
    mirror_now: Callable[[], None],
) -> None:
    hostile = "<script>alert(1)</script>"
    wait = submit(hostile)
    outside.stop_node(wait.namespace, wait.workflow, selector=selector_for(wait), message=hostile)
    mirror_now()
    html = page(operator_page, wait)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_two_thousand_nodes_and_types_that_nobody_knows_are_drawn(
    submit: Submit, operator_page: Client, argo: Simulator, mirror_now: Callable[[], None]
) -> None:
    wait = submit("job-1")
    workflow = argo.workflow("argo", wait.workflow)
    nodes = workflow["status"]["nodes"]
    for number in range(2000):
        node_id = f"{wait.workflow}-x{number}"
        nodes[node_id] = {
            "id": node_id, "name": f"{wait.workflow}.x{number}", "displayName": f"x{number}",
            "type": "Quantum" if number % 2 else "Pod", "phase": "Entangled" if number % 2 else "Succeeded",
            "boundaryID": wait.workflow, "startedAt": "2026-11-23T14:05:03Z", "finishedAt": None,
        }  # fmt: skip
        nodes[wait.workflow].setdefault("children", []).append(node_id)
    argo.load(workflow)
    mirror_now()
    html = page(operator_page, wait)
    assert "wait-completion" in html
    assert len(html) < 400_000


def test_the_page_is_not_held_up_by_an_argo_that_is_known_to_be_away(
    submit: Submit, operator_page: Client, argo: Simulator
) -> None:
    wait = submit("job-1")
    argo.stop_listening()
    began = time.monotonic()
    assert "connection refused" in page(operator_page, wait)
    assert time.monotonic() - began < 5
