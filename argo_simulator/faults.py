"""Faults on demand: what a server, a proxy or a network can do to a call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    REFUSE = "refuse"  # closes the connection before reading the call
    ERROR_5XX = "error-5xx"  # a plain 502 of a proxy, not applied
    UNKNOWN_TEXT = "unknown-text"  # a 500 of Argo's with a text that nobody knows, not applied
    LOST_RACE = "lost-race"  # other writers were faster, not applied
    HTML = "html"  # 200 with a login page, not applied
    REDIRECT = "redirect"
    HANG = "hang"  # not applied, answers nothing for `seconds`
    DROP_BEFORE = "drop-before"  # reads the call, applies nothing, drops the connection
    DROP_AFTER = "drop-after"  # applies the call, drops the connection
    TRUNCATE = "truncate"  # applies the call, sends half of the answer
    STATUS = "status"  # answers `status`, not applied
    SLOW = "slow"  # waits `seconds`, then answers as ever
    END_STREAM = "end-stream"  # ends the stream as Kubernetes does now and then
    BREAK_STREAM = "break-stream"  # breaks the stream without an end
    TOO_OLD = "too-old"  # calls every version too old


@dataclass
class Planned:
    fault: Fault
    method: str | None
    path_contains: str | None
    times: int | None
    status: int
    text: str
    seconds: float

    def meets(self, method: str, path: str) -> bool:
        right_path = self.path_contains is None or self.path_contains in path
        return self.times != 0 and right_path and self.method in (None, method)


class FaultPlan:
    """The faults that are still to come; the first that meets a call happens."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path_contains: str | None = None,
        times: int | None = None,
        status: int = 503,
        text: str = "the operation failed for reasons beyond imagination",
        seconds: float = 1.0,
    ) -> None:
        """`times` None is until `clear()`."""
        with self._lock:
            self._planned.append(Planned(fault, method, path_contains, times, status, text, seconds))

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take_refusal(self) -> Planned | None:
        """A connection that is closed before anything is read, whatever it would have asked."""
        with self._lock:
            for planned in self._planned:
                if planned.fault is Fault.REFUSE and planned.times != 0:
                    if planned.times is not None:
                        planned.times -= 1
                    return planned
            return None

    def take(self, method: str, path: str) -> Planned | None:
        """The fault of this call, counted off."""
        with self._lock:
            for planned in self._planned:
                if planned.fault is Fault.REFUSE:
                    continue
                stream = planned.fault in (Fault.END_STREAM, Fault.BREAK_STREAM, Fault.TOO_OLD)
                if planned.meets(method, path) and (not stream or "workflow-events" in path):
                    if planned.times is not None:
                        planned.times -= 1
                    return planned
            return None
