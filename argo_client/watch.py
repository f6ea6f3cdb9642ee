"""The event stream: Argo's server-sent events, typed (T10, T20)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import requests
from urllib3.exceptions import HTTPError

from argo_client.errors import ArgoError, NotArgo, Unavailable, UnexpectedAnswer, from_answer
from argo_client.types import WatchEvent

logger = logging.getLogger(__name__)

#: The first keepalive of an idle stream comes after 15 s, and so do all that follow.
STREAM_READ_TIMEOUT = 40.0
_CHUNK = 65536


@dataclass(frozen=True)
class Keepalive:
    """Argo is there and has nothing to say."""


class WorkflowStream:
    """Iterates over events and keepalives until Argo ends the stream, which is no error: follow on from
    the last version. Raises ResourceVersionTooOld, Unavailable and other ArgoErrors."""

    def __init__(self, answer: requests.Response, *, path: str) -> None:
        self._answer = answer
        self._path = path
        self._closed = False
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
                    self._end(found.get("error") or {})
                    return
                yield from self._event(found["result"])

    def _event(self, result: Any) -> Iterator[WatchEvent]:
        try:
            yield WatchEvent.from_json(result)
        except UnexpectedAnswer as error:
            # One workflow that we cannot read must not hide all others.
            logger.warning("left out an event of the stream: %s", error)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while chunk := self._chunk():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def _chunk(self) -> bytes:
        """What has come, b"" at the end of the stream. Raises Unavailable."""
        try:
            return bytes(self._answer.raw.read1(_CHUNK))
        except (HTTPError, OSError, ValueError, AttributeError):
            if self._closed:
                return b""
            raise Unavailable("the event stream broke off", method="GET", path=self._path) from None

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line.removeprefix(b"data:"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnexpectedAnswer("an event of the stream", method="GET", path=self._path)
        return found

    def _end(self, error: dict[str, Any]) -> None:
        """Kubernetes ends a watch now and then, and Argo calls that 429 EOF."""
        if error and error.get("message") != "EOF":
            raise self._error(int(error.get("http_code") or 500), str(error.get("message") or ""))

    def _refusal(self) -> ArgoError:
        status = self._answer.status_code
        try:
            text = self._answer.raw.read(_CHUNK, decode_content=True)
            found = json.loads(text.strip().removeprefix(b"data:"))
            error = found.get("error") or found
            return self._error(status, str(error["message"]))
        except (HTTPError, OSError, ValueError, AttributeError, KeyError):
            return self._error(status, None)

    def _error(self, status: int, message: str | None) -> ArgoError:
        return from_answer(status, argo_message=message, method="GET", path=self._path, writes=False)
