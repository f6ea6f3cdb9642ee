"""The world of these tests: a simulated Argo, its mirror, and the people who use Waitdesk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import Group, User
from django.test import Client

from argo_client import ArgoClient
from argo_simulator import Simulator
from dashboard import clusters, watcher
from dashboard.clusters import Cluster
from dashboard.models import Wait

TEMPLATE = Path(__file__).parents[2] / "argo_simulator" / "external-job-template.yaml"


def gate_template(**parameters: Any) -> dict[str, Any]:
    """A workflow template whose one step waits for outputs that somebody supplies.

    Each parameter: name -> {"enum": [...], "default": "...", "value": "..."}; without any of these it is
    an output alone, as Argo demands a value of every input.
    """
    inputs = [{"name": name, **spec} for name, spec in parameters.items() if spec]
    outputs = [{"name": name, "valueFrom": {"supplied": {}}} for name in parameters]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "release-gate"},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "steps": [[{"name": "approve", "template": "approve"}]]},
                {
                    "name": "approve",
                    "inputs": {"parameters": inputs},
                    "outputs": {"parameters": outputs},
                    "suspend": {},
                },
            ],
        },
    }


def suspend_template(name: str = "cool-down", **suspend: str) -> dict[str, Any]:
    """A workflow template that is nothing but one suspend node."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "steps": [[{"name": "pause", "template": "pause"}]]},
                {"name": "pause", "suspend": suspend},
            ],
        },
    }


def eventually(condition: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """The condition's value as soon as it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return value


def waiting_nodes(argo: Simulator, name: str, namespace: str = "argo") -> list[dict[str, Any]]:
    nodes = argo.workflow(namespace, name).get("status", {}).get("nodes", {})
    return [n for n in nodes.values() if n["type"] == "Suspend" and n["phase"] == "Running"]


@pytest.fixture
def argo(settings: Any) -> Iterator[Simulator]:
    """An Argo with the documented template, configured as the one cluster "default"."""
    with Simulator(namespaces=("argo", "team-a")) as simulator:
        simulator.create_template(yaml.safe_load(TEMPLATE.read_text()))
        settings.WAITDESK_CLUSTERS = (_cluster(simulator.url),)
        clusters.forget_clients()
        yield simulator
        clusters.forget_clients()


@pytest.fixture
def outside(argo: Simulator) -> Iterator[ArgoClient]:
    """Somebody who calls Argo without Waitdesk."""
    client = ArgoClient(argo.url)
    yield client
    client.close()


def _cluster(url: str, name: str = "default") -> Cluster:
    return Cluster(name=name, server_url=url)


@pytest.fixture
def mirror_now(argo: Simulator) -> Callable[[], None]:
    """Makes the mirror equal to Argo, once."""

    def read() -> None:
        for cluster in clusters.all().values():
            watcher.read_once(cluster)

    return read


@pytest.fixture
def submit(argo: Simulator, mirror_now: Callable[[], None], db: None) -> Callable[..., Wait]:
    """Submits a workflow, waits until its first node waits, and gives that wait as the mirror has it."""

    def start(uuid: str = "", *, template: str = "external-job-template", **options: Any) -> Wait:
        parameters = {"job-cmd": f"UUID={uuid}"} if template == "external-job-template" else {}
        name = argo.submit(template, parameters=options.pop("parameters", parameters), **options)
        eventually(lambda: waiting_nodes(argo, name))
        mirror_now()
        return Wait.objects.waiting().filter(workflow=name).earliest("started_at", "node_id")

    return start


def _person(name: str, role: str | None) -> User:
    user = User.objects.create_user(name, password="correct horse")
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


@pytest.fixture
def operator(db: None) -> User:
    return _person("olga", "operator")


@pytest.fixture
def viewer(db: None) -> User:
    return _person("victor", "viewer")


@pytest.fixture
def operator_page(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def viewer_page(viewer: User) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


@pytest.fixture
def fragment() -> dict[str, str]:
    """The headers of a request by htmx."""
    return {"HX-Request": "true"}
