"""The client over real HTTP, against a server that answers by a script."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from argo_client import (
    ArgoClient,
    ArgoError,
    LostRace,
    NodePhase,
    NodeSelector,
    NotArgo,
    NotFound,
    Refused,
    Throttled,
    TokenSource,
    Unavailable,
    Unclear,
    UnexpectedAnswer,
)
from tests.argo_client.conftest import TOKEN, Script, raw, reply

SELECTOR = NodeSelector.of(uuid="a,b=c\\d/é", node_id="wf-1")
NODE = {"id": "wf-1", "name": "wf[0].w", "displayName": "w", "type": "Suspend", "phase": "Running"}
WHOLE = {"metadata": {"name": "wf", "uid": "u"}, "status": {"phase": "Running", "nodes": {"wf-1": NODE}}}
BARE = {"metadata": {"name": "wf", "uid": "u"}, "status": {"phase": "Running"}}
PAGE = "<html><body>Bad Gateway</body></html>"


def resume(client: ArgoClient) -> Any:
    return client.resume_node("argo", "wf", selector=SELECTOR)


def look(client: ArgoClient) -> Any:
    return client.get_workflow("argo", "wf")


def shown(error: BaseException) -> str:
    """Everything that a log or an error page could show of it."""
    found = [repr(error), str(error), repr(vars(error))]
    for inner in (error.__cause__, error.__context__):
        if inner is not None:
            found.append(shown(inner) + repr(vars(getattr(inner, "request", None) or object)))
    return "\n".join(found)


def test_a_node_call_names_the_node_and_goes_to_its_path(argo: Script) -> None:
    argo.answers(reply(200, WHOLE))
    assert resume(argo.client(base_href="/argo/")).waiting_nodes
    (sent,) = argo.requests
    assert (sent.method, sent.target) == ("PUT", "/argo/api/v1/workflows/argo/wf/resume")
    assert sent.body == {"nodeFieldSelector": str(SELECTOR)}
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"


def test_set_sends_its_outputs_as_a_text_of_json_together_with_the_phase(argo: Script) -> None:
    argo.answers(reply(200, WHOLE))
    argo.client().set_node(
        "argo", "wf", selector=SELECTOR, outputs={"a": "é"}, phase=NodePhase.SUCCEEDED, message="m"
    )
    body = argo.requests[0].body
    assert json.loads(body.pop("outputParameters")) == {"a": "é"}
    assert body == {"nodeFieldSelector": str(SELECTOR), "phase": "Succeeded", "message": "m"}


def test_a_reply_without_nodes_is_followed_by_a_look(argo: Script) -> None:
    argo.answers(reply(200, BARE), reply(200, WHOLE))
    assert resume(argo.client()).nodes_complete
    assert [sent.method for sent in argo.requests] == ["PUT", "GET"]


@pytest.mark.parametrize("answer", [reply(500, PAGE), reply(404, {"code": 5, "message": "gone"}), raw(b"")])
def test_a_failing_look_does_not_undo_a_write_that_was_done(argo: Script, answer: Any) -> None:
    argo.answers(reply(200, BARE), answer)
    assert not resume(argo.client()).nodes_complete


LIES = {
    "dropped": raw(b""),
    "truncated": raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"metadata"'),
    "broken chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
    "a proxy's page": reply(502, PAGE),
    "a proxy's 503": reply(503, PAGE),
    "unknown text": reply(500, {"code": 13, "message": "nobody has seen this"}),
    "given up": reply(499, {"code": 1, "message": "context canceled"}),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_leaves_a_doubt_is_unclear_after_a_write_and_may_be_read_again(argo: Script, lie: Any) -> None:
    argo.answers(lie)
    with pytest.raises(Unclear) as caught:
        resume(argo.client())
    assert len(argo.requests) == 1, "a write is never sent twice"
    assert TOKEN not in shown(caught.value)
    with pytest.raises(Unavailable):
        look(argo.client())


@pytest.mark.parametrize("body", [PAGE, "[]", "", "null", "[" * 100_000, {"ok": True}])
def test_a_200_that_is_no_workflow_is_not_argo_and_unclear_after_a_write(argo: Script, body: Any) -> None:
    argo.answers(reply(200, body))
    with pytest.raises(NotArgo):
        look(argo.client())
    with pytest.raises(Unclear):
        resume(argo.client())


def test_a_list_that_is_none_is_no_empty_list(argo: Script) -> None:
    argo.answers(reply(200, {}))
    with pytest.raises(UnexpectedAnswer, match="items"):
        argo.client().list_workflows("argo")


def test_a_hanging_server_ends_the_call_within_its_timeout(argo: Script) -> None:
    argo.answers(argo.hang)
    client = argo.client(read_timeout=0.2)
    with pytest.raises(Unclear, match="no answer within the time allowed"):
        resume(client)
    with pytest.raises(Unavailable, match="no answer within the time allowed"):
        look(client)


def test_a_trickle_does_not_outlast_the_deadline(argo: Script) -> None:
    sent = []

    def trickle(connection: Any) -> bool:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not argo.released.wait(0.05):
            sent.append(1)
            connection.send(b" ")
        return False

    argo.answers(trickle)
    with pytest.raises(Unavailable):
        argo.client(connect_timeout=0.2, read_timeout=0.5).get_workflow("argo", "wf")
    assert 1 < len(sent) < 1000


def test_a_connection_that_cannot_be_made_was_never_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for call in (resume, look):
        with pytest.raises(Unavailable, match="connection refused") as caught:
            call(ArgoClient(url, token=TokenSource.from_text(TOKEN)))
        assert TOKEN not in shown(caught.value)


def test_plain_http_where_tls_is_expected_was_never_sent() -> None:
    garbage = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = garbage.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with garbage, pytest.raises(Unavailable, match="no secure connection"):
        resume(ArgoClient(f"https://127.0.0.1:{garbage.getsockname()[1]}"))


@pytest.mark.parametrize("location", ["/login?state=hidden", "http://[broken", "https://elsewhere.example/x"])
def test_a_redirect_is_told_and_never_followed(argo: Script, location: str) -> None:
    argo.answers(reply(307, "", Location=location))
    for call in (look, resume):
        with pytest.raises(NotArgo) as caught:
            call(argo.client())
        assert "hidden" not in str(caught.value)
    assert len(argo.requests) == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2Fb", "a\\b", "a\0b", "\udc80"])
def test_a_name_that_would_make_another_path_is_refused_before_it_is_sent(argo: Script, name: str) -> None:
    argo.answers(reply(200, WHOLE))
    client = argo.client()
    for call in (
        lambda: client.get_workflow("argo", name),
        lambda: client.resume_node(name, "wf", selector=SELECTOR),
        lambda: client.list_workflows(name or ".."),
    ):
        with pytest.raises(Refused):
            call()
    assert argo.requests == []


def test_odd_names_reach_argo_as_themselves(argo: Script) -> None:
    argo.answers(reply(404, {"code": 5, "message": 'workflows.argoproj.io "a?b" not found'}))
    with pytest.raises(NotFound):
        argo.client().get_workflow("argo", "a?b:#é")
    assert argo.requests[0].target == "/api/v1/workflows/argo/a%3Fb%3A%23%C3%A9"


@pytest.mark.parametrize("body", [PAGE, {"code": 404, "message": "no such route"}, {"message": "gone"}])
def test_a_404_that_is_not_argos_does_not_make_a_workflow_look_deleted(argo: Script, body: Any) -> None:
    argo.answers(reply(404, body))
    with pytest.raises(NotArgo):
        look(argo.client())


def test_only_the_bare_text_is_a_lost_race(argo: Script) -> None:
    text = "timed out waiting for the condition"
    argo.answers(
        reply(500, {"code": 13, "message": text}), reply(500, {"code": 13, "message": f"{text}: who knows"})
    )
    with pytest.raises(LostRace):
        resume(argo.client())
    with pytest.raises(Unclear):
        resume(argo.client())


def test_throttling_says_for_how_long(argo: Script) -> None:
    argo.answers(reply(429, "Too Many Requests\n", Retry_After="7"), reply(429, "", Retry_After="soon"))
    for seconds in (7.0, None):
        with pytest.raises(Throttled) as caught:
            look(argo.client())
        assert caught.value.retry_after == seconds


def test_pages_are_asked_for_with_the_count_and_followed_to_the_end(argo: Script) -> None:
    first = {"items": [WHOLE], "metadata": {"continue": "1", "remainingItemCount": 1, "resourceVersion": "5"}}
    argo.answers(reply(200, first), reply(200, {"items": None, "metadata": {"continue": "2"}}))
    pages = list(argo.client().iter_workflows("", page_size=1))
    assert [len(page.items) for page in pages] == [1, 0]
    assert (pages[0].remaining, pages[0].resource_version) == (1, "5")
    assert all(sent.target.startswith("/api/v1/workflows/?") for sent in argo.requests)
    assert all("ext.showRemainingItemCount%3Dtrue" in sent.target for sent in argo.requests)
    assert "listOptions.continue=1" in argo.requests[1].target


def test_a_server_that_always_says_go_on_from_the_same_place_is_not_followed_for_ever(argo: Script) -> None:
    argo.answers(reply(200, {"items": [WHOLE], "metadata": {"continue": "1"}}))
    assert len(list(argo.client().iter_workflows("argo"))) == 2


def test_a_token_file_is_read_again_and_its_absence_is_no_answer_of_argos(
    argo: Script, tmp_path: Path
) -> None:
    argo.answers(reply(200, WHOLE))
    file = tmp_path / "token"
    client = argo.client(token=TokenSource.from_file(file))
    with pytest.raises(Unavailable, match="token file"):
        resume(client)
    for text in ("one", "another"):
        file.write_text(text)
        look(client)
        assert argo.requests[-1].headers["authorization"] == f"Bearer {text}"
    for bad in (b"", b"\xff\xfe secret", "sëcret".encode()):
        file.write_bytes(bad)
        with pytest.raises(Unavailable, match="token file") as caught:
            look(client)
        assert "cret" not in shown(caught.value)
    assert len(argo.requests) == 2


def test_a_netrc_never_speaks_for_us(argo: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", argo.url)
    argo.answers(reply(200, WHOLE))
    for token in (None, TokenSource.from_text(TOKEN)):
        look(ArgoClient("http://argo.example", token=token))
    assert "authorization" not in argo.requests[0].headers
    assert argo.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_proxy_is_used_but_not_towards_loopback(argo: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    argo.answers(reply(200, WHOLE))
    monkeypatch.setenv("http_proxy", argo.url)
    look(ArgoClient("http://argo.example:2746"))
    assert argo.requests[0].target == "http://argo.example:2746/api/v1/workflows/argo/wf"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    look(argo.client())
    with pytest.raises(Unavailable, match="proxy"):
        resume(ArgoClient("http://argo.example:2746"))


@pytest.mark.parametrize(
    "url", ["argo:2746", "ftp://x", "http://", "http://u:pw@x", "http://x/y", "http://x?y"]
)
def test_an_address_that_is_no_servers_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="The server's URL") as caught:
        ArgoClient(url)
    assert "pw" not in str(caught.value)


def test_a_client_serves_many_threads(argo: Script) -> None:
    argo.answers(reply(200, WHOLE))
    client, failures = argo.client(), []

    def read() -> None:
        try:
            for _ in range(5):
                look(client)
        except ArgoError as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    client.close()
    assert failures == []
    assert len(argo.requests) == 40
