"""What Argo sent, read; and what it might send, refused with its path."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_client import Node, NodePhase, Parameter, UnexpectedAnswer, Workflow, WorkflowPage, WorkflowPhase
from argo_client.types import parse_duration
from tests.contract import NAMES, exchanges


def recorded() -> Iterator[dict[str, Any]]:
    for name in NAMES:
        for exchange in exchanges(name):
            body = exchange["response"].get("body")
            if isinstance(body, dict) and "status" in body and "name" in body.get("metadata", {}):
                yield body


WHOLE = next(body for body in recorded() if len(body["status"].get("nodes") or {}) >= 5)
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]), st.just([1]), st.just([{}]),
    st.just({}), st.just({"x": 1}), st.just({"parameters": 3}), st.just("2026-01-01"),
)  # fmt: skip


def paths(data: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from paths(value, (*before, key))


@given(path=st.sampled_from(list(paths(WHOLE))), value=values)
def test_any_member_may_be_anything_and_is_read_or_refused_with_its_path(path: Any, value: Any) -> None:
    broken = copy.deepcopy(WHOLE)
    holder: Any = broken
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    try:
        workflow = Workflow.from_json(broken)
    except UnexpectedAnswer as error:
        assert error.argo_message
        return
    for node in workflow.nodes.values():
        workflow.suspend_duration(node), workflow.template_of(node), workflow.path(node)


def test_every_recorded_workflow_is_read_with_all_its_nodes() -> None:
    count = 0
    for body in recorded():
        workflow = Workflow.from_json(body)
        assert workflow.name == body["metadata"]["name"]
        if nodes := body["status"].get("nodes"):
            assert set(workflow.nodes) == set(nodes)
        waiting = {n["id"] for n in (nodes or {}).values()
                   if n["type"] == "Suspend" and n.get("phase") == "Running"}  # fmt: skip
        assert not nodes or {node.id for node in workflow.waiting_nodes} == waiting
        count += 1
    assert count > 500


def workflow(status: dict[str, Any], **spec: Any) -> Workflow:
    return Workflow.from_json({"metadata": {"name": "wf"}, "spec": spec, "status": status})


def node(**more: Any) -> dict[str, Any]:
    return {"id": "wf-1", "type": "Suspend", "phase": "Running", **more}


def test_packed_nodes_are_unpacked() -> None:
    content = base64.b64encode(packed(json.dumps({"wf-1": node()}).encode())).decode()
    assert workflow({"phase": "Running", "compressedNodes": content}).waiting_nodes


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    "damaged", [b"no gzip", packed(b"[1]"), packed(b"x" * 99)[:-9], packed(b"x")[:10] + b"\xff" * 30]
)
def test_packed_nodes_that_are_damaged_are_refused_with_their_path(damaged: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="compressedNodes"):
        workflow({"phase": "Running", "compressedNodes": base64.b64encode(damaged).decode()})


@pytest.mark.parametrize("value", ["%%%", 5])
def test_packed_nodes_that_are_no_packet_are_refused_too(value: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="compressedNodes"):
        workflow({"phase": "Running", "compressedNodes": value})


@pytest.mark.parametrize(
    ("status", "suspend", "complete"),
    [
        ({"phase": "Running"}, False, False),
        ({"phase": "Running", "progress": "0/0"}, True, True),
        ({"phase": "Running", "progress": "1/2"}, True, False),
        ({"phase": "Succeeded", "offloadNodeStatusVersion": "fnv:1"}, False, False),
        ({}, False, True),
        ({"phase": "Running", "nodes": {"wf-1": node()}}, False, True),
    ],
)
def test_it_is_known_whether_the_nodes_were_left_out(
    status: dict[str, Any], suspend: bool, complete: bool
) -> None:
    assert workflow(status, suspend=suspend).nodes_complete is complete


def test_phases_and_types_that_argo_adds_are_read() -> None:
    read = Node.from_json(node(type="Quantum", phase="Superposed"))
    assert (read.phase, read.raw_phase, read.type) == (NodePhase.UNKNOWN, "Superposed", "Quantum")
    assert workflow({"phase": "Odd"}).phase is WorkflowPhase.UNKNOWN


def test_parameters_are_texts() -> None:
    read = Parameter.from_json(
        {"name": "n", "value": 5, "enum": ["a", 2, True, None], "valueFrom": {"supplied": {}, "default": 1.5}}
    )
    assert (read.value, read.default, read.supplied) == ("5", "1.5", True)
    assert read.enum == ("a", "2", "true", "")


def test_an_output_that_was_given_is_no_longer_asked_for() -> None:
    given_, open_ = {"name": "a", "value": "x"}, {"name": "b", "valueFrom": {"supplied": {}}}
    read = Node.from_json(node(outputs={"parameters": [given_, open_]}))
    assert [parameter.name for parameter in read.supplied_outputs] == ["b"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("20", 20), ("20s", 20), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5), ("", None), ("soon", None),
     ("1h soon", None), ("٣", None), ("9" * 5000, None), ("9" * 20 + "h", None)],
)  # fmt: skip
def test_a_duration_is_read_as_argo_writes_it(written: str, seconds: float | None) -> None:
    assert parse_duration(written) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("{{inputs.parameters.d}}", 60), ("{{ workflow.parameters.w }}", 120), ("{{x.y}}", None)],
)
def test_the_suspend_duration_of_a_node_is_that_of_its_template(written: str, seconds: int | None) -> None:
    waits = node(templateName="t", inputs={"parameters": [{"name": "d", "value": "1m"}]})
    read = workflow(
        {"phase": "Running", "nodes": {"wf-1": waits}},
        templates=[{"name": "t", "suspend": {"duration": written}}],
        arguments={"parameters": [{"name": "w", "value": "2m"}]},
    )
    found = read.suspend_duration(read.nodes["wf-1"])
    assert found == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-24T03:41:00Z",
        "2026-11-24T03:41:00",
        "2026-11-24T05:41:00+02:00",
        "2026-11-24T03:41:00.000000000Z",
    ],
)
def test_moments_always_have_a_time_zone(written: str) -> None:
    assert Node.from_json(node(startedAt=written)).started_at == datetime(2026, 11, 24, 3, 41, tzinfo=UTC)


def test_a_workflow_that_cannot_be_read_does_not_hide_the_rest_of_a_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = WorkflowPage.from_json(
        {"items": [{"metadata": {}}, {"metadata": {"name": "wf"}}, 5], "metadata": {}}
    )
    assert [item.name for item in page.items] == ["wf"]
    assert "left out a workflow" in caplog.text
