"""The HTTP around the calls: connections, headers, streams in chunks, and the faults."""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from argo_simulator import calls
from argo_simulator.access import Visitor
from argo_simulator.calls import Call
from argo_simulator.faults import Fault, Planned
from argo_simulator.store import ApiError
from argo_simulator.streams import Stream

if TYPE_CHECKING:
    from argo_simulator.simulator import Simulator

_API = "/api/v1/"


class _Dropped(Exception):
    """The connection is to be closed without a word."""


class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, argo: Simulator, port: int) -> None:
        self.argo = argo
        self.closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""

    def close_all(self) -> None:
        """Stops listening and breaks every connection."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._guard:
            open_now = list(self._connections)
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # Without these, headers and body go out in two packets, and the second waits 40 ms for the first's ACK.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """The simulator is silent."""

    def handle_one_request(self) -> None:
        planned = self._before_reading()
        if planned is not None:
            self.close_connection = True
            return
        super().handle_one_request()

    def _before_reading(self) -> Planned | None:
        faults = self.server.argo.faults
        return faults.take_refusal()

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        planned = self.server.argo.faults.take(self.command, address.path)
        try:
            if planned is None or not self._do_fault(planned):
                self._answer(
                    address.path, dict(parse_qsl(address.query, keep_blank_values=True)), body, planned
                )
        except _Dropped:
            self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _do_fault(self, planned: Planned) -> bool:
        """Does what the fault does before the call; True when that was all of it."""
        if planned.fault in (Fault.HANG, Fault.SLOW):
            self.server.closing.wait(planned.seconds)
        if planned.fault in (Fault.DROP_BEFORE, Fault.HANG):
            raise _Dropped
        if planned.fault is Fault.HTML:
            self._send(200, b"<!doctype html><title>Log in</title>", "text/html")
        elif planned.fault is Fault.REDIRECT:
            self._send(302, b"", "text/html", {"Location": "https://login.example/"})
        elif planned.fault is Fault.ERROR_5XX:
            self._send(502, b"<html>Bad Gateway</html>", "text/html")
        elif planned.fault is Fault.UNKNOWN_TEXT:
            self._send_error(ApiError(500, planned.text))
        elif planned.fault is Fault.LOST_RACE:
            self._send_error(ApiError(500, "timed out waiting for the condition"))
        elif planned.fault is Fault.STATUS:
            self._send_error(_status_error(planned.status))
        else:
            return False
        return True

    def _answer(self, path: str, query: dict[str, str], body: bytes, planned: Planned | None) -> None:
        argo = self.server.argo
        base = argo.base_href.rstrip("/")
        if not path.startswith(base + "/api/"):
            self._send(200, b"<!doctype html><title>Argo</title>", "text/html")
            return
        if "//" in path or ".." in path.split("/"):
            self._redirect(path)
            return
        if re.search(r"%(?![0-9A-Fa-f]{2})", path):
            self._send(400, b"400 Bad Request", "text/plain; charset=utf-8")
            return
        parts = calls.split(path.removeprefix(base).removeprefix(_API))
        try:
            visitor = Visitor.of(self.headers.get("Authorization"), mode=argo.auth_mode)
            if parts[0] == "workflow-events":
                self._stream(parts, query, visitor, planned)
                return
            found = calls.answer(argo, Call(self.command, parts, query, body, visitor))
        except ApiError as error:
            if parts[0] in ("workflow-events", "stream"):
                self._send_stream_error(error, query)
            else:
                self._send_error(error)
            return
        self._send_found(found, planned)

    def _redirect(self, path: str) -> None:
        """To the path as Go cleans it; a client that followed would call something else."""
        clean = posixpath.normpath(re.sub("/+", "/", path))
        link = f'<a href="{clean}">Temporary Redirect</a>.\n\n'
        self._send(307, link.encode(), "text/html; charset=utf-8", {"Location": clean})

    def _send_found(self, found: Any, planned: Planned | None) -> None:
        content = json.dumps(found, separators=(",", ":")).encode()
        if planned is not None and planned.fault is Fault.DROP_AFTER:
            raise _Dropped
        if planned is not None and planned.fault is Fault.TRUNCATE:
            self._send_headers(200, "application/json", {"Content-Length": str(len(content))})
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            raise _Dropped
        self._send(200, content, "application/json")

    def _send_error(self, error: ApiError) -> None:
        if error.status == 429 and error.code == 0:
            self._send(429, b"Too Many Requests\n", "text/plain; charset=utf-8")
            return
        content = json.dumps({"code": error.code, "message": error.message}, separators=(",", ":"))
        self._send(error.status, content.encode(), "application/json", ok=False)

    def _send_stream_error(self, error: ApiError, query: dict[str, str]) -> None:
        sse = self.headers.get("Accept") == "text/event-stream"
        argo = self.server.argo
        content = Stream(argo.store, "", query, sse, self.server.closing).error(error)
        kind = "text/event-stream" if sse else "application/json"
        self._send(error.status, content, kind, ok=False)

    def _send(
        self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None, *, ok: bool = True
    ) -> None:
        self._send_headers(status, kind, {"Content-Length": str(len(content)), **(more or {})}, ok=ok)
        self.wfile.write(content)
        self.wfile.flush()

    def _send_headers(self, status: int, kind: str, more: dict[str, str], *, ok: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if ok and kind == "application/json":
            self.send_header("Grpc-Metadata-Argo-Version", calls.VERSION["version"])
            self.send_header("Grpc-Metadata-Content-Type", "application/grpc")
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(
        self, parts: tuple[str, ...], query: dict[str, str], visitor: Visitor, planned: Planned | None
    ) -> None:
        if len(parts) != 2 or self.command != "GET":
            raise ApiError(501, "Not Implemented")
        visitor.demand("watch", parts[1])
        sse = self.headers.get("Accept") == "text/event-stream"
        stream = Stream(self.server.argo.store, parts[1], query, sse, self.server.closing)
        if planned is not None and planned.fault is Fault.TOO_OLD:
            raise ApiError(400, "too old resource version: 1 (2)")
        begun = False
        try:
            for chunk in stream.chunks():
                if not begun:
                    self._begin_stream(sse)
                    begun = True
                self._chunk(chunk)
                if planned is not None and planned.fault is Fault.BREAK_STREAM:
                    raise _Dropped
                if planned is not None and planned.fault is Fault.END_STREAM:
                    self._chunk(stream.error(ApiError(429, "EOF", code=8)))
                    break
        except ApiError as error:
            if not begun:
                raise
            self._chunk(stream.error(error))
        if self.server.closing.is_set():
            raise _Dropped
        if not begun:
            self._begin_stream(sse)
        self._chunk(b"")

    def _begin_stream(self, sse: bool) -> None:
        kind = "text/event-stream" if sse else "application/json"
        self._send_headers(200, kind, {"Transfer-Encoding": "chunked"})

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()


def _status_error(status: int) -> ApiError:
    texts = {
        401: "Unauthorized",
        403: 'workflows.argoproj.io "x" is forbidden: User "u" cannot update resource "workflows"',
        429: "/workflow.WorkflowService is rejected by grpc_ratelimit middleware, please retry later.",
        503: 'connection error: desc = "transport: Error while dialing: connect: connection refused"',
    }
    return ApiError(status, texts.get(status, "something else"))


def serve(argo: Simulator, port: int) -> tuple[Server, threading.Thread]:
    """Starts listening; the port may still be closing from a moment ago."""
    deadline = time.monotonic() + 5
    while True:
        try:
            server = Server(argo, port)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return server, thread
