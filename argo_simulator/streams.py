"""The event stream as Argo sends it (T10, T20)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from argo_simulator import queries
from argo_simulator.store import ApiError, Change, JsonObject, Store

#: The first comment comes only then, and until something comes there are not even headers.
KEEPALIVE_SECONDS = 15.0
_POLL_SECONDS = 0.25


@dataclass
class Stream:
    """One watch of a namespace ("" is all). `error` builds what ends it early, if a fault asks for it."""

    store: Store
    namespace: str
    query: dict[str, str]
    sse: bool
    closing: threading.Event

    def chunks(self) -> Iterator[bytes]:
        """Texts as they are sent. Raises ApiError before the first where the stream cannot begin."""
        test = self._test()
        version, first = self._beginning()
        for workflow in first:
            if test(workflow):
                yield self._event("ADDED", workflow)
        ends_at = self._ends_at()
        heard = time.monotonic()
        while not self.closing.is_set() and time.monotonic() < ends_at:
            for change in self.store.changes_after(version):
                version = change.version
                if (event := self._seen(change, test)) is not None:
                    heard = time.monotonic()
                    yield event
            if self.sse and time.monotonic() - heard >= KEEPALIVE_SECONDS:
                heard = time.monotonic()
                yield b":\n"
            self.store.wait_for_change(version, _POLL_SECONDS)
        if not self.closing.is_set():
            yield self.error(ApiError(429, "EOF", code=8))

    def error(self, error: ApiError) -> bytes:
        body = {
            "grpc_code": error.code,
            "http_code": error.status,
            "message": error.message,
            "http_status": _STATUS_TEXTS.get(error.status, "Internal Server Error"),
        }
        shown = queries.filtered({"error": body}, self.query.get("fields", ""))
        text = json.dumps(shown, separators=(",", ":"))
        return f"data: {text} \n\n".encode() if self.sse else text.encode()

    def _test(self) -> Callable[[JsonObject], bool]:
        labels = queries.label_test(self.query.get("listOptions.labelSelector", ""))
        field = self.query.get("listOptions.fieldSelector", "")
        if not field:
            return lambda w: self.namespace in ("", w["metadata"]["namespace"]) and labels(w)
        key, _, name = field.partition("=")
        if key != "metadata.name":
            raise ApiError(400, f"field label not supported: {key}")
        self.store.workflow(self.namespace, name)
        return lambda w: (
            (w["metadata"]["namespace"], w["metadata"]["name"]) == (self.namespace, name) and labels(w)
        )

    def _beginning(self) -> tuple[int, list[JsonObject]]:
        text = self.query.get("listOptions.resourceVersion", "") or "0"
        if not text.isdecimal():
            raise ApiError(
                400,
                f'workflows.argoproj.io "" is invalid: resourceVersion: Invalid value: "{text}":'
                f' strconv.ParseUint: parsing "{text}": invalid syntax',
            )
        with self.store.changed:
            if int(text) == 0:
                return self.store.version, self.store.all_workflows()
            self.store.changes_after(int(text))
            return int(text), []

    def _ends_at(self) -> float:
        seconds = self.query.get("listOptions.timeoutSeconds", "")
        return time.monotonic() + float(seconds) if seconds else float("inf")

    def _seen(self, change: Change, test: Callable[[JsonObject], bool]) -> bytes | None:
        """Who leaves the selector is DELETED, in the last state that matched but with the new version."""
        was = change.old is not None and test(change.old)
        is_now = change.new is not None and test(change.new)
        if change.new is not None and is_now:
            return self._event("MODIFIED" if was else "ADDED", change.new)
        if change.old is None or not was:
            return None
        last = {**change.old, "metadata": {**change.old["metadata"], "resourceVersion": str(change.version)}}
        return self._event("DELETED", last)

    def _event(self, kind: str, workflow: JsonObject) -> bytes:
        shown = queries.filtered({"result": {"type": kind, "object": workflow}}, self.query.get("fields", ""))
        text = json.dumps(shown, separators=(",", ":"))
        return f"data: {text} \n\n\n".encode() if self.sse else f"{text}\n".encode()


_STATUS_TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
}
