"""What happened to one wait, as sentences: its start, what people did, its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dashboard.models import AuditEntry, Wait

_Stage, _Outcome = AuditEntry.Stage, AuditEntry.Outcome


@dataclass(frozen=True, kw_only=True)
class Event:
    """`tone`: plain | good | refused | unclear."""

    at: datetime
    sentence: str
    tone: str = "plain"


def events(wait: Wait) -> list[Event]:
    """Newest first; one query."""
    entries = list(AuditEntry.objects.filter(wait_id=wait.pk).order_by("id"))
    return sorted([*_of_argo(wait, entries), *_of_people(entries)], key=lambda e: e.at, reverse=True)


def end_sentence(wait: Wait) -> str:
    """How an ended wait ended and, where known, by whom; "" while it waits."""
    applied = AuditEntry.objects.filter(
        wait_id=wait.pk, stage=_Stage.RESULT, outcome=_Outcome.APPLIED
    ).first()
    if wait.is_waiting:
        return ""
    if applied is not None:
        verb = "Resumed" if applied.action == "resume" else "Stopped"
        return f"{verb} by {applied.actor} through Waitdesk."
    said = f" Argo says: {wait.message}" if wait.message else ""
    return {
        Wait.State.RESUMED: f"Resumed outside Waitdesk.{said}",
        Wait.State.STOPPED: f"Stopped outside Waitdesk.{said}",
        Wait.State.EXPIRED: "Its suspend.duration was over, so Argo resumed it by itself.",
    }.get(Wait.State(wait.state), f"It ended without a result of its own. {wait.message}".strip())


def _of_argo(wait: Wait, entries: list[AuditEntry]) -> Iterator[Event]:
    yield Event(at=wait.started_at, sentence="The wait began.")
    applied = any(entry.outcome == _Outcome.APPLIED for entry in entries)
    if wait.ended_at is not None and not applied:
        tone = "good" if wait.state in (Wait.State.RESUMED, Wait.State.EXPIRED) else "plain"
        yield Event(at=wait.ended_at, sentence=end_sentence(wait), tone=tone)


def _of_people(entries: list[AuditEntry]) -> Iterator[Event]:
    closed = {entry.operation for entry in entries if entry.stage == _Stage.RESULT}
    for entry in entries:
        if entry.stage == _Stage.REQUESTED and entry.operation in closed:
            continue
        yield Event(at=entry.at, sentence=_sentence(entry), tone=_tone(entry))


def _sentence(entry: AuditEntry) -> str:
    what = f"{entry.action}, “{entry.message}”" if entry.message else entry.action
    if entry.parameters:
        values = ", ".join(f"{name} = {value}" for name, value in entry.parameters.items())
        what = f"{what} with {values}"
    came_to = {
        _Stage.REQUESTED: "asked for, and nothing is known of what came of it",
        _Stage.REFUSED: f"refused. {entry.answer}",
        _Stage.RESULT: entry.answer,
    }[_Stage(entry.stage)]
    return f"{entry.actor}: {what}: {came_to}"


def _tone(entry: AuditEntry) -> str:
    if entry.outcome == _Outcome.APPLIED:
        return "good"
    return "unclear" if entry.outcome in ("", _Outcome.UNCLEAR) else "refused"
