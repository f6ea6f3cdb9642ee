"""One method for each call of Argo's REST API. All of them go through one `_request`.

Nothing here sleeps or repeats: a connection that could not be made is tried once more by urllib3, and
everything else is for the caller, who knows whether repeating is safe.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.util.retry import Retry

from argo_client.errors import ArgoError, NotArgo, Refused, Throttled, Unavailable, Unclear, from_answer
from argo_client.selectors import NodeSelector
from argo_client.tokens import TokenSource
from argo_client.types import (
    JsonObject,
    NodePhase,
    ServerInfo,
    ServerVersion,
    UserInfo,
    Workflow,
    WorkflowPage,
    WorkflowTemplate,
)
from argo_client.watch import STREAM_READ_TIMEOUT, WorkflowStream

Timeout = tuple[float, float]
#: A list of 10,000 workflows takes Argo itself 5 s and more.
_LIST_SECONDS = 60.0
_LONGEST_TEXT = 1000


class ArgoClient:
    """A client of one Argo server, usable from many threads.

    `server` is a URL without path, `base_href` the path under which Argo is served; timeouts in seconds.
    Every method raises ArgoError.
    """

    def __init__(
        self,
        server: str,
        *,
        token: TokenSource | None = None,
        base_href: str = "",
        ca_file: str | None = None,
        verify: bool = True,
        connect_timeout: float = 3.05,
        read_timeout: float = 15.0,
    ) -> None:
        self._root = (
            server.rstrip("/") + "/" + base_href.strip("/") if base_href.strip("/") else server.rstrip("/")
        )
        self._auth = _TokenAuth(token)
        self._verify: bool | str = (ca_file or True) if verify else False
        self._timeout: Timeout = (connect_timeout, read_timeout)
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"ArgoClient({self._root!r})"

    @property
    def longest_call(self) -> float:
        """After how many seconds a call has surely come to an end."""
        return sum(self._timeout)

    def close(self) -> None:
        for session in list(self._sessions):
            session.close()

    # The server

    def info(self) -> ServerInfo:
        return ServerInfo.from_json(self._read("info"))

    def version(self) -> ServerVersion:
        return ServerVersion.from_json(self._read("version"))

    def user_info(self) -> UserInfo:
        """Argo does not check the token here; to check one, list something."""
        return UserInfo.from_json(self._read("userinfo"))

    # Reading workflows

    def list_workflows(
        self,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        fields: Sequence[str] = (),
        limit: int | None = None,
        continue_: str | None = None,
    ) -> WorkflowPage:
        """One page; the namespace "" is all. Without `ext.showRemainingItemCount` a limited list looks
        complete when it is not (T03), so it is always asked for with a limit."""
        requirements = [field_selector] if field_selector else []
        if limit is not None:
            requirements.append("ext.showRemainingItemCount=true")
        query = {
            "listOptions.labelSelector": label_selector,
            "listOptions.fieldSelector": ",".join(requirements),
            "listOptions.limit": "" if limit is None else str(limit),
            "listOptions.continue": continue_ or "",
            "fields": ",".join(fields),
        }
        return WorkflowPage.from_json(self._read("workflows", namespace, query=query, seconds=_LIST_SECONDS))

    def iter_workflows(
        self, namespace: str, *, label_selector: str = "", page_size: int = 500
    ) -> Iterator[WorkflowPage]:
        """Every page. They are offsets: while workflows come and go one may be missed or come twice (T20)."""
        continue_: str | None = None
        while True:
            page = self.list_workflows(
                namespace, label_selector=label_selector, limit=page_size, continue_=continue_
            )
            yield page
            # With an archive `continue` is given also where nothing follows (T16).
            if not page.continue_ or not page.items:
                return
            continue_ = page.continue_

    def get_workflow(self, namespace: str, name: str, *, timeout: Timeout | None = None) -> Workflow:
        return Workflow.from_json(self._read("workflows", namespace, name, timeout=timeout))

    def watch_workflows(
        self, namespace: str, *, resource_version: str = "", label_selector: str = ""
    ) -> WorkflowStream:
        """What changes after that version, as it happens. Blocks until Argo sends something, 15 s when
        nothing happens."""
        query = {
            "listOptions.resourceVersion": resource_version,
            "listOptions.labelSelector": label_selector,
        }
        path = _path("workflow-events", namespace)
        answer = self._send(
            "GET", path, query=query, stream=True, timeout=(self._timeout[0], STREAM_READ_TIMEOUT)
        )
        return WorkflowStream(answer, path=path)

    # Making and removing workflows

    def submit_workflow(
        self,
        namespace: str,
        *,
        template: str,
        name: str | None = None,
        generate_name: str | None = None,
        labels: str = "",
        parameters: Sequence[str] = (),
    ) -> Workflow:
        """Starts a workflow from a workflow template; `parameters` are NAME=VALUE."""
        options = {
            "name": name,
            "generateName": generate_name,
            "labels": labels,
            "parameters": list(parameters),
        }
        body = {
            "resourceKind": "WorkflowTemplate",
            "resourceName": template,
            "submitOptions": {key: value for key, value in options.items() if value},
        }
        return Workflow.from_json(self._write("POST", "workflows", namespace, "submit", body=body))

    def create_workflow(self, namespace: str, manifest: JsonObject) -> Workflow:
        return Workflow.from_json(self._write("POST", "workflows", namespace, body={"workflow": manifest}))

    def delete_workflow(self, namespace: str, name: str) -> None:
        self._write("DELETE", "workflows", namespace, name)

    # Calls that hit nodes: they cannot be made without a selector

    def resume_node(self, namespace: str, name: str, *, selector: NodeSelector) -> Workflow:
        """Lets every waiting node that matches succeed; supplied outputs stay unset, defaults too."""
        return self._put(namespace, name, "resume", {"nodeFieldSelector": str(selector)})

    def stop_node(self, namespace: str, name: str, *, selector: NodeSelector, message: str) -> Workflow:
        """Fails every waiting node that matches, with the message to the letter."""
        return self._put(namespace, name, "stop", {"nodeFieldSelector": str(selector), "message": message})

    def set_node(
        self,
        namespace: str,
        name: str,
        *,
        selector: NodeSelector,
        outputs: Mapping[str, str],
        phase: NodePhase | None = None,
        message: str = "",
    ) -> Workflow:
        """Gives supplied outputs, and with a phase ends the node in the same write, all or nothing."""
        body = {
            "nodeFieldSelector": str(selector),
            "outputParameters": json.dumps(dict(outputs)),
            "phase": str(phase) if phase else "",
            "message": message,
        }
        return self._put(namespace, name, "set", {key: value for key, value in body.items() if value})

    # Calls that hit a workflow as a whole

    def resume_workflow(self, namespace: str, name: str) -> Workflow:
        """Resumes the workflow and every waiting node of it."""
        return self._put(namespace, name, "resume", {})

    def stop_workflow(self, namespace: str, name: str) -> Workflow:
        return self._put(namespace, name, "stop", {})

    def suspend_workflow(self, namespace: str, name: str) -> Workflow:
        return self._put(namespace, name, "suspend", {})

    def terminate_workflow(self, namespace: str, name: str) -> Workflow:
        return self._put(namespace, name, "terminate", {})

    def retry_workflow(
        self,
        namespace: str,
        name: str,
        *,
        restart_successful: bool = False,
        selector: NodeSelector | None = None,
        parameters: Sequence[str] = (),
    ) -> Workflow:
        """Runs a finished workflow again; Argo reads the selector only with `restart_successful`."""
        body = {
            "restartSuccessful": restart_successful,
            "nodeFieldSelector": str(selector) if selector else "",
            "parameters": list(parameters),
        }
        return self._put(namespace, name, "retry", {key: value for key, value in body.items() if value})

    # Workflow templates

    def create_workflow_template(self, namespace: str, manifest: JsonObject) -> WorkflowTemplate:
        body = {"template": manifest}
        return WorkflowTemplate.from_json(self._write("POST", "workflow-templates", namespace, body=body))

    def get_workflow_template(self, namespace: str, name: str) -> WorkflowTemplate:
        return WorkflowTemplate.from_json(self._read("workflow-templates", namespace, name))

    def list_workflow_templates(self, namespace: str) -> tuple[WorkflowTemplate, ...]:
        items = self._read("workflow-templates", namespace, seconds=_LIST_SECONDS).get("items") or ()
        return tuple(WorkflowTemplate.from_json(item) for item in items)

    def delete_workflow_template(self, namespace: str, name: str) -> None:
        self._write("DELETE", "workflow-templates", namespace, name)

    # The one door

    def _put(self, namespace: str, name: str, verb: str, body: JsonObject) -> Workflow:
        """A write to a workflow. A reply that left the nodes out is followed by a look."""
        reply = Workflow.from_json(self._write("PUT", "workflows", namespace, name, verb, body=body))
        if reply.nodes_complete:
            return reply
        try:
            return self.get_workflow(namespace, name)
        except ArgoError:
            return reply  # the write was done; that the look failed does not undo it

    def _read(
        self,
        *parts: str,
        query: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        seconds: float | None = None,
    ) -> JsonObject:
        return self._request("GET", _path(*parts), query=query, timeout=timeout, seconds=seconds)

    def _write(self, method: str, *parts: str, body: JsonObject | None = None) -> JsonObject:
        return self._request(method, _path(*parts), body=body)

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        timeout: Timeout | None = None,
        seconds: float | None = None,
    ) -> JsonObject:
        """The answer's JSON object. `seconds` is the longest that the whole answer may take."""
        started = time.monotonic()
        answer = self._send(method, path, query=query, body=body, timeout=timeout or self._timeout)
        with answer:
            deadline = started + (seconds or sum(timeout or self._timeout))
            content = _content(answer, method=method, path=path, deadline=deadline)
        found = _json(content)
        if answer.status_code >= 300:
            raise _error(answer, found, method=method, path=path)
        if not isinstance(found, dict):
            kind = NotArgo if method == "GET" else Unclear
            raise kind("the answer is not JSON", method=method, path=path, status=answer.status_code)
        return found

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        timeout: Timeout,
        stream: bool = False,
    ) -> requests.Response:
        """The only place that sends. The answer's body is still to be read."""
        try:
            return self._session().request(
                method,
                self._root + path,
                params={key: value for key, value in (query or {}).items() if value},
                json=body,
                headers={"Accept": "text/event-stream" if stream else "application/json"},
                auth=self._auth,
                timeout=timeout,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise _broken(error, method=method, path=path) from None
        except OSError:
            raise Unavailable("our token file cannot be read", method=method, path=path) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            retries = Retry(total=1, connect=2, read=0, status=0, respect_retry_after_header=False)
            session.mount("http://", HTTPAdapter(max_retries=retries))
            session.mount("https://", HTTPAdapter(max_retries=retries))
            self._sessions.add(session)
        return session


class _TokenAuth(AuthBase):
    """Present even without a token, so that a .netrc never speaks for us."""

    def __init__(self, token: TokenSource | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = self._token.header()
        return request


def _path(*parts: str) -> str:
    """The path of a call. The last part alone may be empty: the namespace of "all"."""
    for part in parts[:-1] if len(parts) == 2 else parts:
        if part in ("", ".", "..") or set(part) & set("/%\x00"):
            raise Refused(f"{part!r} is no name that anything in Argo can have")
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def _content(answer: requests.Response, *, method: str, path: str, deadline: float) -> bytes:
    read = bytearray()
    try:
        for chunk in answer.iter_content(65536):
            read += chunk
            if time.monotonic() > deadline:
                raise requests.Timeout("the answer took too long")
    except requests.RequestException as error:
        raise _broken(error, method=method, path=path, status=answer.status_code) from None
    return bytes(read)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _error(answer: requests.Response, found: Any, *, method: str, path: str) -> ArgoError:
    if answer.status_code < 400:
        where = answer.headers.get("Location", "")[:200]
        return NotArgo(f"it redirects to {where!r}", method=method, path=path, status=answer.status_code)
    said = found.get("message") if isinstance(found, dict) and "code" in found else None
    error = from_answer(
        answer.status_code,
        argo_message=None if said is None else str(said)[:_LONGEST_TEXT],
        method=method,
        path=path,
        writes=method != "GET",
    )
    if isinstance(error, Throttled):
        after = answer.headers.get("Retry-After", "")
        error.retry_after = float(after) if after.isdecimal() else None
    return error


def _broken(
    error: requests.RequestException, *, method: str, path: str, status: int | None = None
) -> ArgoError:
    """The error behind a call without a whole answer. What never left us was surely not done; a read may
    be repeated whatever became of it."""
    kind = Unavailable if method == "GET" or _was_never_sent(error) else Unclear
    return kind(_why(error), method=method, path=path, status=status)


def _was_never_sent(error: requests.RequestException) -> bool:
    """True when no connection was made; urllib3 wraps every other failure in MaxRetryError, too."""
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    unmade = (NewConnectionError, ConnectTimeoutError, NameResolutionError, SSLError, ProxyError)
    return isinstance(reason, unmade) or isinstance(error, requests.exceptions.InvalidURL)


def _why(error: requests.RequestException) -> str:
    """A few words for people. The library's own text names memory addresses and pool objects."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection within the time allowed"
    if isinstance(error, requests.Timeout):
        return "no answer within the time allowed"
    if isinstance(error, requests.exceptions.SSLError):
        return f"its certificate is not accepted: {_innermost(error)}"
    text = _innermost(error)
    for sign, words in (
        ("refused", "connection refused"),
        ("resolve", "its name cannot be resolved"),
        ("Name or service not known", "its name cannot be resolved"),
        ("unreachable", "network unreachable"),
    ):
        if sign in text:
            return words
    return "the connection broke off"


def _innermost(error: BaseException) -> str:
    """The text of the first cause."""
    for _ in range(10):
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error)[:200]
