"""A server that answers by a script, in bytes: also what no HTTP library would send."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from argo_client import ArgoClient, TokenSource

#: Sends an answer, and says whether the connection stays open after it.
Reply = Callable[["Connection"], bool]
TOKEN = "s3cret-token"


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: Any


class Connection(socketserver.StreamRequestHandler):
    """One connection; the next reply of the script answers each request on it."""

    server: Server

    def handle(self) -> None:
        while (request := self._read()) is not None:
            self.server.script.requests.append(request)
            if not self.server.script.next()(self):
                return

    def _read(self) -> Request | None:
        first = self.rfile.readline().decode().split()
        if not first:
            return None
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return Request(first[0], first[1], headers, json.loads(body) if body else None)

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    script: Script

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


@dataclass
class Script:
    """Replies in the order in which they are given; the last one goes on for ever."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def hang(self, connection: Connection) -> bool:
        self.released.wait(30)
        return False

    def client(self, **options: Any) -> ArgoClient:
        return ArgoClient(self.url, **{"token": TokenSource.from_text(TOKEN), "read_timeout": 5.0, **options})


def raw(data: bytes, *, stays_open: bool = False) -> Reply:
    def answer(connection: Connection) -> bool:
        connection.send(data)
        return stays_open

    return answer


def reply(status: int, body: Any, **headers: str) -> Reply:
    """An answer with a length; a text is sent as it is, anything else as JSON."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + content, stays_open=True)


def stream(*texts: str, ends: bool = True, status: int = 200) -> Reply:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(text.encode()), text.encode()) for text in texts)
    return raw(head.encode() + chunks + (b"0\r\n\r\n" if ends else b""))


@pytest.fixture
def argo() -> Iterator[Script]:
    script = Script()
    with Server(("127.0.0.1", 0), Connection) as server:
        server.script = script
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield script
        script.released.set()
        server.shutdown()
