"""The simulator answers as the real server was recorded to answer.

Every exchange of every transcript is sent, in order, and its answer compared, but for those in OUT_OF_SCOPE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from argo_simulator import Simulator
from tests.argo_simulator.replaying import TEMPLATE, Replay
from tests.contract import NAMES, exchanges

STREAM = "a live stream: test_streams.py holds the simulator's to its recorded form and rules"
AFTER_STREAM = "shows what was done, unrecorded, while the stream before it was open"
RACE = "a race: which of the calls sent at once wins is chance"
CLOSED = "the client closed the connection in the middle of the call: nothing is answered"
ARCHIVE = "the archive, and nodes offloaded to its database: the simulator keeps neither"
ORDER = "workflows that began in the same second: their order is undefined"
LEFT_BEHIND = "shows workflows that earlier recordings left behind"
RATE = "the rate limiter: Fault.STATUS answers 429 where a test wants it"
LOADED = "a controller feature without a use here: the state is loaded, and the retry of it is replayed"
RERUN = "what the controller makes of that state: a feature without a use here"
NEVER_SENT = "a call that our client never makes"
OTHERS_LISTED = "workflows of earlier exchanges still exist in the replay and stand in the list"
DAG_GAP = "a gap: a DAG stopped as a whole while a task waits for an unset output stays Running here"
RETRY_GAP = "a gap: parameters of a retry do not reach a workflowTemplateRef's trigger, nor its recorded UUID"

_WITHOUT_USE = r"(flaky|flakyok|rstrig|rsjob|onexit)"
#: transcript -> (pattern of the note, reason): the one list of what is not replayed.
OUT_OF_SCOPE: dict[str, tuple[tuple[str, str], ...]] = {
    "01-info": ((r"Basic auth|the UI's cookie", NEVER_SENT),),
    "03-list": (
        (r"no options|@latest", LEFT_BEHIND),
        (r"limit without|limit with|next page|the same without fields", ORDER),
        (r"bad labelSelector$", "a gap: the text of this error is not yet that of a list"),
    ),
    "06-retry": ((r"trigger-job ran again|invalid selector without|^result of the above$", RETRY_GAP),),
    "08-errors": ((r"resubmit|archive|logs", NEVER_SENT),),
    "09-auth": ((r"viewer: list", LEFT_BEHIND),),
    "10-workflow-events": (
        (r"SSE, no resourceVersion|Accept|meanwhile|whole event|still in history|idle|deletion", STREAM),
        (r"timeoutSeconds|fields also strips|is stopped|was lost|too old", STREAM),
        (r"Kubernetes events", NEVER_SENT),
        (r"while the server is down", CLOSED),
    ),
    "12-concurrency": ((r"at once", RACE),),
    "13-compressed-nodes": ((r"the stream decompresses", STREAM),),
    "14-rate-limit": ((r"request [3-9] within|right after start", RATE),),
    "16-archive-offload": (
        (
            r"LIST|offloaded nodes: the reply|list: archived|^limit 2|next page|with showRem|live object",
            ARCHIVE,
        ),
        (r"falls back|archived (list|get|retry|delete)|result of the above", ARCHIVE),
    ),
    "18-complete-with-outputs": (
        (r"after the stop|then retry from the node|it waits again, with|now with its output", DAG_GAP),
        (r"^finished$", DAG_GAP),
    ),
    "19-retry-more": ((f"^before: {_WITHOUT_USE}:?", LOADED), (f"^after: {_WITHOUT_USE}:", RERUN)),
    "20-list-and-stream-while-changing": (
        (r"^stream with|stream with|resourceVersion|sendInitialEvents|allowWatchBookmarks", STREAM),
        (r"itself, afterwards", AFTER_STREAM),
        (r"^page \d|the whole list now", OTHERS_LISTED),
    ),
    "21-race": ((r"at once$|right after the|sent again alone", RACE), (r"connection closed", CLOSED)),
    "22-closed-under-load": ((r"connection closed", CLOSED),),
}
TOTAL = 1406


def out_of_scope(transcript: str, note: str) -> str | None:
    """Why this exchange is not replayed; None for one that is."""
    listed = OUT_OF_SCOPE.get(transcript, ())
    return next((reason for pattern, reason in listed if re.search(pattern, note)), None)


def is_plain(exchange: dict[str, Any]) -> bool:
    """Neither a stream nor a call that was cut off."""
    return not {"chunks", "error"} & exchange["response"].keys()


def replayed(transcript: str) -> list[int]:
    return [i for i, e in enumerate(exchanges(transcript)) if out_of_scope(transcript, e["note"]) is None]


@pytest.fixture
def replay(transcript: str) -> Iterator[Replay]:
    found: list[Replay] = []
    began = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with Simulator(
        controller="manual",
        namespaces=("argo", "team-a"),
        now=lambda: found[0].now() if found else began,
        run_job=lambda command: found[0].run_job(command),
        packing="compressed" if transcript == "13-compressed-nodes" else None,
    ) as argo:
        found.append(Replay(transcript, argo))
        # T02 begins with creating it.
        argo.create_template(TEMPLATE, namespace="team-a" if transcript == "02-async-pattern" else None)
        yield found[0]


@pytest.mark.parametrize("transcript", NAMES)
@pytest.mark.timeout(300)
def test_the_simulator_answers_as_recorded(transcript: str, replay: Replay) -> None:
    different = []
    for position, exchange in enumerate(exchanges(transcript)):
        reason = out_of_scope(transcript, exchange["note"])
        if reason == LOADED:
            replay.load(exchange)
        elif reason is None or is_plain(exchange):
            # What is out of scope is sent too, for its effect on what follows; its answer is not compared.
            try:
                replay.play(position)
            except AssertionError:
                if reason is None:
                    different.append(f"{position} {exchange['note']}")
    assert different == []


@pytest.mark.parametrize("transcript", sorted(OUT_OF_SCOPE))
def test_everything_on_the_list_exists(transcript: str) -> None:
    notes = [exchange["note"] for exchange in exchanges(transcript)]
    assert [p for p, _ in OUT_OF_SCOPE[transcript] if not any(re.search(p, n) for n in notes)] == []


def test_at_least_three_quarters_are_replayed(record_property: Callable[[str, object], None]) -> None:
    assert sum(len(exchanges(transcript)) for transcript in NAMES) == TOTAL
    count = sum(len(replayed(transcript)) for transcript in NAMES)
    # tests/conftest.py prints it at the end of the run.
    record_property("summary", f"{count} of {TOTAL} recorded exchanges are replayed")
    assert count >= TOTAL * 3 / 4
