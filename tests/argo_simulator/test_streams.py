"""The simulator's event stream, held to the recorded form and rules (T10, T20)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
import yaml

from argo_client import ArgoClient, NodeSelector, WatchEvent
from argo_simulator import Fault, Simulator
from tests.argo_simulator.replaying import TEMPLATE, events
from tests.contract import exchanges

UNFINISHED = "workflows.argoproj.io/completed!=true"


@pytest.fixture
def argo() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.create_template(yaml.safe_load(yaml.safe_dump(TEMPLATE)))
        yield simulator


@pytest.fixture
def client(argo: Simulator) -> Iterator[ArgoClient]:
    made = ArgoClient(argo.url)
    yield made
    made.close()


def waiting(argo: Simulator, name: str) -> str:
    """The id of the node that waits, as soon as one does."""
    while True:
        for node in argo.workflow("argo", name)["status"].get("nodes", {}).values():
            if node["type"] == "Suspend":
                return str(node["id"])


def seen(client: ArgoClient, argo: Simulator, *, selector: str, version: str, until: str) -> list[str]:
    """The types of the events up to one that shows the workflow in this phase, or is DELETED."""
    types = []
    with client.watch_workflows("argo", resource_version=version, label_selector=selector) as stream:
        for event in stream:
            if isinstance(event, WatchEvent) and event.workflow is not None:
                types.append(str(event.type))
                if event.type == "DELETED" or event.workflow.phase == until:
                    return types
    return types


def test_an_event_has_the_recorded_form(argo: Simulator) -> None:
    recorded = exchanges("10-workflow-events")[1]["response"]["chunks"][0][1]
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    headers = {"Accept": "text/event-stream"}
    with requests.get(
        f"{argo.url}/api/v1/workflow-events/argo", headers=headers, stream=True, timeout=20
    ) as answer:
        text = next(answer.iter_content(1_000_000)).decode()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert recorded.startswith('data: {"result":{')
    assert text.startswith('data: {"result":{')
    assert recorded.endswith("} \n\n\n")
    assert text.endswith("} \n\n\n")
    [event, *_] = events({"chunks": [[0, text]]})
    assert set(event["result"]) == {"type", "object"}


def test_another_accept_header_gives_json_lines(argo: Simulator) -> None:
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    headers = {"Accept": "text/event-stream, */*"}
    with requests.get(
        f"{argo.url}/api/v1/workflow-events/argo", headers=headers, stream=True, timeout=20
    ) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(next(answer.iter_lines()))["result"]["type"] == "ADDED"


def test_leaving_a_selector_is_a_deletion_in_the_last_state_that_matched(
    argo: Simulator, client: ArgoClient
) -> None:
    name = argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    node = waiting(argo, name)
    version = str(argo.store.version)
    client.resume_node("argo", name, selector=NodeSelector.of(node_id=node))
    ended = seen(client, argo, selector=UNFINISHED, version=version, until="Succeeded")
    assert ended == ["MODIFIED", "DELETED"]
    assert set(seen(client, argo, selector="", version=version, until="Succeeded")) == {"MODIFIED"}


def test_a_version_that_is_too_old_and_other_refusals_are_those_recorded(argo: Simulator) -> None:
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    argo.forget_versions()
    answer = requests.get(
        f"{argo.url}/api/v1/workflow-events/argo",
        params={"listOptions.resourceVersion": "1"},
        headers={"Accept": "text/event-stream"},
        timeout=20,
    )
    recorded = next(e for e in exchanges("10-workflow-events") if "too old" in e["note"])["response"]
    [wanted], [got] = events(recorded), events({"chunks": [[0, answer.text]]})
    assert answer.status_code == recorded["status"] == 400
    assert got["error"] | {"message": ""} == wanted["error"] | {"message": ""}
    assert got["error"]["message"].startswith("too old resource version: 1 (")


def test_kubernetes_end_of_a_watch_is_the_recorded_event(argo: Simulator, client: ArgoClient) -> None:
    recorded = exchanges("10-workflow-events")
    wanted = next(e for e in recorded if "an EOF error message is the last event" in e["note"])
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    argo.faults.add(Fault.END_STREAM, times=1)
    headers = {"Accept": "text/event-stream"}
    path = f"{argo.url}/api/v1/workflow-events/argo"
    text = requests.get(path, headers=headers, timeout=20).text
    assert events({"chunks": [[0, text]]})[-1]["error"] == events(wanted["response"])[-1]["error"]
