"""One method for each call of Argo's REST API. All of them go through one `_request`.

Nothing here sleeps or repeats: a connection that could not be made is tried once more by urllib3, and
everything else is for the caller, who knows whether repeating is safe.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from argo_client.breakage import broken_call
from argo_client.errors import (
    ArgoError,
    NotArgo,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    from_answer,
    said,
)
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
_Answer = TypeVar("_Answer")
#: A list of 10,000 workflows takes Argo itself 5 s and more.
_LIST_SECONDS = 60.0
_CHUNK = 65536


class ArgoClient:
    """A client of one Argo server, usable from many threads.

    `server` is a URL without path or login, `base_href` the path under which Argo is served; timeouts in
    seconds. The environment's proxies and CA bundle are honoured, except for a loopback server, which Argo's
    own client reaches directly too. Raises ValueError for another kind of URL; every method raises ArgoError.
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
        self._root = "/".join([_checked(server), *filter(None, [base_href.strip("/")])])
        self._trusts_environment = not _is_loopback(server)
        self._token = token
        self._verify: bool | str = (ca_file or True) if verify else False
        self._timeout: Timeout = (connect_timeout, read_timeout)
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._sessions_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ArgoClient({self._root!r})"

    @property
    def longest_call(self) -> float:
        """After how many seconds a write has come to an end: two connects, the wait for the answer's head,
        and a last piece of its body. A look that follows it is not counted."""
        return 2 * sum(self._timeout)

    def close(self) -> None:
        """Closes the idle connections of every thread."""
        with self._sessions_lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    # The server

    def info(self) -> ServerInfo:
        return self._read(ServerInfo.from_json, "info")

    def version(self) -> ServerVersion:
        return self._read(ServerVersion.from_json, "version")

    def user_info(self) -> UserInfo:
        """Argo does not check the token here; to check one, list something."""
        return self._read(UserInfo.from_json, "userinfo")

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
        return self._read(WorkflowPage.from_json, "workflows", namespace, query=query, seconds=_LIST_SECONDS)

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
            if not page.continue_ or not page.items or page.continue_ == continue_:
                return
            continue_ = page.continue_

    def get_workflow(self, namespace: str, name: str, *, timeout: Timeout | None = None) -> Workflow:
        return self._read(Workflow.from_json, "workflows", namespace, name, timeout=timeout)

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
        return self._write(Workflow.from_json, "POST", "workflows", namespace, "submit", body=body)

    def create_workflow(self, namespace: str, manifest: JsonObject) -> Workflow:
        return self._write(Workflow.from_json, "POST", "workflows", namespace, body={"workflow": manifest})

    def delete_workflow(self, namespace: str, name: str) -> None:
        self._write(_nothing, "DELETE", "workflows", namespace, name)

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
        return self._write(WorkflowTemplate.from_json, "POST", "workflow-templates", namespace, body=body)

    def get_workflow_template(self, namespace: str, name: str) -> WorkflowTemplate:
        return self._read(WorkflowTemplate.from_json, "workflow-templates", namespace, name)

    def list_workflow_templates(self, namespace: str) -> tuple[WorkflowTemplate, ...]:
        return self._read(
            WorkflowTemplate.list_from_json, "workflow-templates", namespace, seconds=_LIST_SECONDS
        )

    def delete_workflow_template(self, namespace: str, name: str) -> None:
        self._write(_nothing, "DELETE", "workflow-templates", namespace, name)

    # The one door

    def _put(self, namespace: str, name: str, verb: str, body: JsonObject) -> Workflow:
        """A write to a workflow. A reply that left the nodes out is followed by a look."""
        reply = self._write(Workflow.from_json, "PUT", "workflows", namespace, name, verb, body=body)
        if reply.nodes_complete:
            return reply
        try:
            return self.get_workflow(namespace, name)
        except ArgoError:
            return reply  # the write was done; that the look failed does not undo it

    def _read(
        self,
        shape: Callable[[JsonObject], _Answer],
        *parts: str,
        query: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        seconds: float | None = None,
    ) -> _Answer:
        return self._request(shape, "GET", _path(*parts), query=query, timeout=timeout, seconds=seconds)

    def _write(
        self,
        shape: Callable[[JsonObject], _Answer],
        method: str,
        *parts: str,
        body: JsonObject | None = None,
    ) -> _Answer:
        return self._request(shape, method, _path(*parts), body=body)

    def _request(
        self,
        shape: Callable[[JsonObject], _Answer],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        timeout: Timeout | None = None,
        seconds: float | None = None,
    ) -> _Answer:
        """The answer, in its shape. `seconds` is the longest that the whole answer may take."""
        started = time.monotonic()
        answer = self._send(method, path, query=query, body=body, timeout=timeout or self._timeout)
        with answer:
            deadline = started + (seconds or sum(timeout or self._timeout))
            found = _json(_content(answer, method=method, path=path, deadline=deadline))
        if answer.status_code >= 300:
            raise _error(answer, found, method=method, path=path)
        try:
            return shape(_object(found))
        except NotArgo as error:
            # A write that was answered by 200 may have been done, whatever its reply looks like.
            kind: type[ArgoError] = type(error) if method == "GET" else Unclear
            why = error.argo_message
        raise kind(why, method=method, path=path, status=answer.status_code)

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
                headers=_STREAM_HEADERS if stream else _HEADERS,
                auth=self._authorization(method, path),
                timeout=timeout,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
        except (OSError, HTTPError) as error:
            broken = broken_call(error, method=method, path=path)
        # Not within the handler: the library's error holds the request, and that holds the token.
        raise broken

    def _authorization(self, method: str, path: str) -> _Authorization:
        """Raises Unavailable when the token cannot be read at this moment."""
        try:
            return _Authorization(self._token.header() if self._token is not None else None)
        except OSError as error:
            why = error.strerror or str(error)
        raise Unavailable(f"our token file cannot be read: {why}", method=method, path=path)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.trust_env = self._trusts_environment
            retries = Retry(total=1, connect=2, read=0, status=0, other=0, respect_retry_after_header=False)
            session.mount("http://", HTTPAdapter(max_retries=retries))
            session.mount("https://", HTTPAdapter(max_retries=retries))
            with self._sessions_lock:
                self._sessions.add(session)
        return session


_HEADERS = {"Accept": "application/json"}
#: Anything else but exactly this gives JSON lines; unpacking could hold events back.
_STREAM_HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: requests looks at a redirect even where it shall not follow, and trips over bad ones."""
        return None


class _Authorization(AuthBase):
    """Present even without a token, so that a .netrc never speaks for us."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request


def _checked(server: str) -> str:
    """The server's URL without a slash at its end. Raises ValueError, which does not repeat the URL."""
    url = urlsplit(server)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("The server's URL is http(s)://host:port.")
    if "@" in url.netloc or url.query or url.fragment or url.path.strip("/"):
        raise ValueError("The server's URL has no login, path, query or fragment.")
    return f"{url.scheme}://{url.netloc}"


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _path(kind: str, *names: str) -> str:
    """The path of a call. A single name may be empty: the namespace of "all"."""
    if names != ("",):
        for name in names:
            _check_name(name)
    return "/api/v1/" + "/".join(quote(part, safe="") for part in (kind, *names))


def _check_name(name: str) -> None:
    """Raises Refused, and nothing is sent, for what would make another path of it."""
    if name in ("", ".", "..") or set(name) & set("/\\%\x00") or not _is_text(name):
        raise Refused(f"{name[:100]!r} is no name that anything in Argo can have")


def _is_text(name: str) -> bool:
    """False for the half characters that a broken encoding leaves behind."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(found: Any) -> JsonObject:
    if not isinstance(found, dict):
        raise NotArgo("the answer is not a JSON object")
    return found


def _nothing(found: JsonObject) -> None:
    """The shape of an answer in which nothing is of interest."""


def _content(answer: requests.Response, *, method: str, path: str, deadline: float) -> bytes:
    read = bytearray()
    try:
        # read1 returns what has come: a trickle must not outlast the deadline.
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            read += chunk
            if time.monotonic() > deadline:
                raise requests.Timeout
        return bytes(read)
    except (OSError, HTTPError) as error:
        broken = broken_call(error, method=method, path=path, status=answer.status_code)
    raise broken


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _error(answer: requests.Response, found: Any, *, method: str, path: str) -> ArgoError:
    if answer.status_code < 400:
        where = answer.headers.get("Location", "").partition("?")[0][:200]
        return NotArgo(f"it redirects to {where!r}", method=method, path=path, status=answer.status_code)
    error = from_answer(
        answer.status_code, argo_message=said(found), method=method, path=path, writes=method != "GET"
    )
    if isinstance(error, Throttled):
        after = answer.headers.get("Retry-After", "")
        error.retry_after = float(after) if after.isdecimal() else None
    return error
