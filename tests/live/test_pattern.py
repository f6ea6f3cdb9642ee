"""The documented pattern, walked through the product: submit, see the wait, resume or stop it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from argo_client import ArgoClient, NodePhase, WorkflowPhase
from dashboard.models import AuditEntry, Wait
from tests.dashboard.conftest import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
HTMX = {"HX-Request": "true"}
#: A real controller pulls an image before it runs the first pod.
PATIENCE = 180.0

Begin = Callable[[], Wait]


@pytest.fixture
def page(transactional_db: None) -> Client:
    user = User.objects.create_user("olga")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def begin(argo: ArgoClient, namespace: str, template: str, started: list[str], watched: None) -> Begin:
    """Starts a job that prints a UUID of its own, and gives its wait as the mirror shows it."""

    def start() -> Wait:
        job = str(uuid.uuid4())
        workflow = argo.submit_workflow(namespace, template=template, parameters=[f"job-cmd=echo {job}"])
        started.append(workflow.name)
        found = Wait.objects.waiting().filter(uuid=job, workflow=workflow.name)
        return eventually(found.first, seconds=PATIENCE)

    return start


def test_a_job_that_succeeded_is_resumed_and_its_workflow_succeeds(
    begin: Begin, page: Client, argo: ArgoClient, namespace: str, template: str
) -> None:
    wait = begin()
    assert (wait.kind, wait.template, wait.path) == ("job", template, ("wait-completion",))
    html = page.get("/").content.decode()
    assert wait.uuid in html
    answer = page.post(reverse("wait-resume", args=[wait.pk]), headers=HTMX).content.decode()
    assert "Resumed;" in answer
    workflow = eventually(
        lambda: (w := argo.get_workflow(namespace, wait.workflow)).finished and w, seconds=PATIENCE
    )
    assert workflow.phase is WorkflowPhase.SUCCEEDED
    eventually(lambda: Wait.objects.get(pk=wait.pk).state == "resumed")
    assert AuditEntry.objects.filter(wait_id=wait.pk, outcome="applied", how="reply").count() == 1


def test_a_job_that_failed_is_stopped_with_its_message_and_its_workflow_fails(
    begin: Begin, page: Client, argo: ArgoClient, namespace: str
) -> None:
    wait = begin()
    message = "exit status 137: <out of memory>, see \\log=1"
    path = reverse("wait-stop", args=[wait.pk])
    answer = page.post(path, {"message": message}, headers=HTMX).content.decode()
    assert "Stopped;" in answer
    workflow = eventually(
        lambda: (w := argo.get_workflow(namespace, wait.workflow)).finished and w, seconds=PATIENCE
    )
    assert workflow.phase is WorkflowPhase.FAILED
    node = workflow.nodes[wait.node_id]
    assert (node.phase, node.message) == (NodePhase.FAILED, message)
    eventually(lambda: Wait.objects.get(pk=wait.pk).message == message)


def test_of_two_waits_only_the_chosen_one_is_hit_and_a_second_click_says_so(
    begin: Begin, page: Client, argo: ArgoClient, namespace: str
) -> None:
    chosen, other = begin(), begin()
    path = reverse("wait-resume", args=[chosen.pk])
    assert "Resumed;" in page.post(path, headers=HTMX).content.decode()
    assert "already resumed at" in page.post(path, headers=HTMX).content.decode()
    assert argo.get_workflow(namespace, other.workflow).nodes[other.node_id].is_waiting
    page.post(reverse("wait-stop", args=[other.pk]), {"message": "done with it"}, headers=HTMX)
