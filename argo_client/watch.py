"""The event stream: Argo's server-sent events, typed (T10, T20)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import requests
from urllib3.exceptions import HTTPError

from argo_client.errors import ArgoError, NotArgo, Unavailable, UnexpectedAnswer, from_answer, said
from argo_client.types import WatchEvent

logger = logging.getLogger(__name__)

#: The first keepalive of an idle stream comes after 15 s, and so do all that follow.
STREAM_READ_TIMEOUT = 40.0
_CHUNK = 65536
#: Far above Argo's own limit for a workflow; more without an end of line is no event.
_LONGEST_EVENT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Keepalive:
    """Argo is there and has nothing to say."""


class WorkflowStream:
    """Iterates over events and keepalives until Argo ends the stream, which is no error: follow on from
    the last version. Raises ResourceVersionTooOld, Unavailable and other ArgoErrors.

    `last_byte_at` is the monotonic time at which something came last, keepalives included.
    """

    def __init__(self, answer: requests.Response, *, path: str) -> None:
        self._answer = answer
        self._path = path
        self._closed = False
        self.last_byte_at = time.monotonic()
        if answer.status_code >= 300:
            with answer:
                raise self._refusal()
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer.close()
            raise NotArgo("the answer is no event stream", method="GET", path=path, status=answer.status_code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._answer.close()

    def close(self) -> None:
        """Ends the iteration; may be called from another thread, where the other waits for bytes."""
        self._closed = True
        try:
            self._answer.raw.shutdown()
        except (ValueError, OSError, AttributeError, RuntimeError):
            logger.debug("the stream had already ended")

    def __iter__(self) -> Iterator[WatchEvent | Keepalive]:
        for line in self._lines():
            if line.startswith(b":"):
                yield Keepalive()
            elif line.startswith(b"data:"):
                found = self._read(line)
                if "error" in found or "result" not in found:
                    self._end(found.get("error"))
                    return
                yield from self._event(found["result"])

    def _event(self, result: Any) -> Iterator[WatchEvent]:
        try:
            yield WatchEvent.from_json(result)
        except UnexpectedAnswer as error:
            # One workflow that we cannot read must not hide all others.
            logger.warning("left out an event of the stream: %s", error)

    def _lines(self) -> Iterator[bytes]:
        rest = bytearray()
        while chunk := self._chunk():
            self.last_byte_at = time.monotonic()
            *lines, last = chunk.split(b"\n")
            for line in lines:
                yield bytes(rest + line)
                rest.clear()
            rest += last
            if len(rest) > _LONGEST_EVENT:
                raise UnexpectedAnswer("an event without an end", method="GET", path=self._path)

    def _chunk(self) -> bytes:
        """What has come, b"" at the end of the stream. Raises Unavailable."""
        try:
            return bytes(self._answer.raw.read1(_CHUNK))
        except (HTTPError, OSError, ValueError, AttributeError):
            if self._closed:
                return b""
        # Not within the handler: the library's error may hold more than a log should show.
        raise Unavailable("the event stream broke off", method="GET", path=self._path)

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line.removeprefix(b"data:"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnexpectedAnswer("an event of the stream", method="GET", path=self._path)
        return found

    def _end(self, error: Any) -> None:
        """Kubernetes ends a watch now and then, and Argo calls that 429 EOF."""
        if not error:
            return
        if not isinstance(error, dict):
            raise UnexpectedAnswer("error of the stream", method="GET", path=self._path)
        status, message = error.get("http_code"), str(error.get("message") or "")
        if message != "EOF":
            raise self._error(status if isinstance(status, int) else 500, message)

    def _refusal(self) -> ArgoError:
        status = self._answer.status_code
        try:
            text = self._answer.raw.read(_CHUNK, decode_content=True)
            return self._error(status, said(json.loads(text.strip().removeprefix(b"data:"))))
        except (HTTPError, OSError, ValueError, RecursionError):
            return self._error(status, None)

    def _error(self, status: int, message: str | None) -> ArgoError:
        return from_answer(status, argo_message=message, method="GET", path=self._path, writes=False)
