"""The event stream over real HTTP, as it was recorded and as it breaks."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from argo_client import (
    Forbidden,
    Keepalive,
    NotArgo,
    NotFound,
    ResourceVersionTooOld,
    Unavailable,
    UnexpectedAnswer,
    WatchEvent,
    WatchEventType,
)
from tests.argo_client.conftest import Script, reply, stream
from tests.contract import NAMES, exchanges


def event(kind: str = "MODIFIED", *, version: str = "7", name: str = "wf") -> str:
    body = {"metadata": {"name": name, "resourceVersion": version}, "status": {"phase": "Running"}}
    return f"data: {json.dumps({'result': {'type': kind, 'object': body}})} \n\n\n"


def error(status: int, message: str) -> str:
    found = {"grpc_code": 8, "http_code": status, "message": message, "http_status": "x"}
    return f"data: {json.dumps({'error': found})} \n\n"


EOF = error(429, "EOF")


def seen(argo: Script) -> list[WatchEvent | Keepalive]:
    with argo.client().watch_workflows("argo", resource_version="5") as events:
        return list(events)


def test_events_and_keepalives_come_typed_and_eof_is_the_end(argo: Script) -> None:
    argo.answers(stream(event("ADDED"), ":\n", event("DELETED", version="8"), EOF))
    added, keepalive, deleted = seen(argo)
    assert isinstance(added, WatchEvent) and added.type is WatchEventType.ADDED
    assert added.workflow is not None and added.workflow.name == "wf"
    assert keepalive == Keepalive()
    assert isinstance(deleted, WatchEvent) and deleted.resource_version == "8"
    sent = argo.requests[0]
    assert sent.headers["accept"] == "text/event-stream"
    assert sent.target == "/api/v1/workflow-events/argo?listOptions.resourceVersion=5"


def test_an_event_may_come_in_pieces_of_any_size(argo: Script) -> None:
    whole = event(name="ü" * 50) + event(version="9")
    argo.answers(stream(*whole, EOF))
    assert [item.resource_version for item in seen(argo) if isinstance(item, WatchEvent)] == ["7", "9"]


@pytest.mark.parametrize("last", ["data: {} \n\n", ""])
def test_an_error_that_fields_filtered_away_and_a_plain_end_are_ends(argo: Script, last: str) -> None:
    argo.answers(stream(event(), *filter(None, [last])))
    assert len(seen(argo)) == 1


def test_a_stream_that_breaks_off_is_unavailable_after_its_events(argo: Script) -> None:
    argo.answers(stream(event(), ends=False))
    got = []
    with argo.client().watch_workflows("argo") as events, pytest.raises(Unavailable, match="broke off"):
        for item in events:
            got.append(item)
    assert len(got) == 1


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (error(429, "too old resource version: 5 (10)"), ResourceVersionTooOld),
        (error(410, "The resourceVersion for the provided watch is too old."), ResourceVersionTooOld),
        (error(403, "forbidden"), Forbidden),
        ('data: {"error": "text"}\n\n', UnexpectedAnswer),
        ("data: {broken\n\n", UnexpectedAnswer),
    ],
)
def test_an_error_within_the_stream_means_what_it_says(argo: Script, last: str, kind: Any) -> None:
    argo.answers(stream(event(), last))
    with pytest.raises(kind):
        seen(argo)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (stream(error(400, "too old resource version: 1 (2)").replace('8,', '3,'), status=400),
         ResourceVersionTooOld),
        (stream(error(404, 'workflows.argoproj.io "x" not found'), status=404), NotFound),
        (reply(403, {"code": 7, "message": "Permission denied"}), Forbidden),
        (reply(502, "<html>"), Unavailable),
        (reply(302, "", Location="/login"), NotArgo),
        (reply(200, "{}", Content_Type="application/json"), NotArgo),
    ],
)  # fmt: skip
def test_a_stream_that_is_refused_says_why(argo: Script, answer: Any, kind: Any) -> None:
    argo.answers(answer)
    with pytest.raises(kind):
        seen(argo)


def test_one_workflow_that_cannot_be_read_does_not_hide_the_others(
    argo: Script, caplog: pytest.LogCaptureFixture
) -> None:
    argo.answers(stream('data: {"result":{"type":"ADDED","object":{"metadata":{}}}} \n\n\n', event(), EOF))
    assert len(seen(argo)) == 1
    assert "left out an event" in caplog.text


def test_a_bookmark_has_a_version_and_no_workflow(argo: Script) -> None:
    argo.answers(stream(event("BOOKMARK"), EOF))
    (bookmark,) = seen(argo)
    assert isinstance(bookmark, WatchEvent)
    assert (bookmark.workflow, bookmark.resource_version) == (None, "7")


def test_another_thread_can_end_a_stream_that_waits(argo: Script) -> None:
    def silent(connection: Any) -> bool:
        stream(event(), ends=False)(connection)
        return argo.hang(connection)

    argo.answers(silent)
    got, first = [], threading.Event()
    events = argo.client().watch_workflows("argo")

    def follow() -> None:
        for item in events:
            got.append(item)
            first.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert first.wait(10)
    events.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(got) == 1


def recorded_streams() -> list[tuple[str, list[str]]]:
    found = []
    for name in NAMES:
        for exchange in exchanges(name):
            request, answer = exchange["request"], exchange["response"]
            whole = "fields" not in request["query"] and "/workflow-events/" in request["path"]
            headers = {key.lower(): value for key, value in (answer.get("headers") or {}).items()}
            # One broke off as its server was stopped; that has a test of its own.
            whole = whole and not (answer.get("ended") or "").startswith("broken")
            if whole and answer.get("status") == 200 and headers.get("content-type") == "text/event-stream":
                found.append((f"{name}: {exchange['note']}", [text for _, text in answer["chunks"]]))
    return found


RECORDED = recorded_streams()


@pytest.mark.parametrize(("note", "texts"), RECORDED, ids=[note for note, _ in RECORDED])
def test_every_recorded_stream_is_read_whole(argo: Script, note: str, texts: list[str]) -> None:
    argo.answers(stream(*filter(None, texts)))
    assert sum(isinstance(item, WatchEvent) for item in seen(argo)) == "".join(texts).count(
        'data: {"result":'
    )
