"""The simulator as tests and the demo hold it: start it, look into it, break it."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from argo_client.types import parse_duration
from argo_simulator import calls, server
from argo_simulator.controller import Pass, RunJob, run_command
from argo_simulator.faults import FaultPlan
from argo_simulator.operations import FINISHED
from argo_simulator.store import JsonObject, Key, Store

_TICK = 0.05


@dataclass(frozen=True)
class Write:
    """One applied call that hit a node; a retry hits the nodes that it deletes."""

    kind: str
    at: datetime


class Writes:
    """What was applied to each node: an effect that came twice shows as two entries."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seen: dict[tuple[str, str, str], list[Write]] = defaultdict(list)
        self._lock = threading.Lock()

    def note(self, kind: str, *, namespace: str, workflow: str, node_ids: Sequence[str]) -> None:
        with self._lock:
            for node_id in node_ids:
                self._seen[namespace, workflow, node_id].append(Write(kind, self._now()))

    def of(self, node_id: str, *, workflow: str, namespace: str = "argo") -> list[Write]:
        with self._lock:
            return list(self._seen.get((namespace, workflow, node_id), []))


class Simulator:
    """An Argo server with its controller, on a loopback port of its own.

    `controller`: "thread" moves workflows on by itself, "manual" only by `run_controller()`.
    `packing`: None, or how nodes are hidden in lists and replies: "compressed" or "offloaded".
    """

    def __init__(
        self,
        *,
        auth_mode: Literal["server", "client"] = "server",
        namespaces: Sequence[str] = ("argo",),
        port: int = 0,
        base_href: str = "",
        controller: Literal["thread", "manual"] = "thread",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        run_job: RunJob = run_command,
        packing: Literal["compressed", "offloaded"] | None = None,
    ) -> None:
        self.auth_mode = auth_mode
        self.namespaces = tuple(namespaces)
        self.base_href = base_href
        self.packing = packing
        self.faults = FaultPlan()
        self.store = Store(now)
        self.writes = Writes(now)
        self._run_job = run_job
        self._port = port
        self._manual = controller == "manual"
        self._stopping = threading.Event()
        self._server: server.Server | None = None
        self._threads: list[threading.Thread] = []
        self._passed_version = self.store.version
        self._timed: set[Key] = set()

    def __enter__(self) -> Self:
        self.start_listening()
        if not self._manual:
            thread = threading.Thread(target=self._control, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self.stop_listening()
        for thread in self._threads:
            thread.join(timeout=5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start_listening(self) -> None:
        """On the same port as before, if it ever listened."""
        self._server, thread = server.serve(self, self._port)
        self._port = self._server.server_port
        self._threads.append(thread)

    def stop_listening(self) -> None:
        """Argo is away: connections are refused, streams break."""
        if self._server is not None:
            self._server.close_all()
            self._server = None

    # What a person with kubectl could do

    def create_template(self, manifest: JsonObject, *, namespace: str | None = None) -> None:
        """In every namespace, unless one is named."""
        for where in [namespace] if namespace else self.namespaces:
            template = copy.deepcopy(manifest)
            template["metadata"]["namespace"] = where
            self.store.create_template(template)

    def submit(
        self,
        template: str,
        *,
        name: str | None = None,
        parameters: Mapping[str, str] | None = None,
        namespace: str = "argo",
    ) -> str:
        """Starts a workflow from a template, as `argo submit --from` does. Returns its name."""
        given = [f"{key}={value}" for key, value in (parameters or {}).items()]
        options: dict[str, Any] = {"name": name, "parameters": given}
        workflow = calls.submitted(self, template, namespace=namespace, options=options)
        return self.create(workflow, namespace=namespace)

    def create(self, manifest: JsonObject, *, namespace: str = "argo") -> str:
        return str(calls.create(self, manifest, namespace=namespace)["metadata"]["name"])

    def workflow(self, namespace: str, name: str) -> JsonObject:
        return self.store.workflow(namespace, name)

    def workflows(self) -> list[JsonObject]:
        return copy.deepcopy(self.store.all_workflows())

    def delete(self, namespace: str, name: str) -> None:
        self.store.delete(namespace, name)

    def load(self, workflow: JsonObject) -> None:
        """Puts a workflow as it is, instead of one of the same name."""
        self.store.put(copy.deepcopy(workflow))

    def forget_versions(self) -> None:
        """Every stream that continues from an old version is told that it is too old."""
        self.store.forget_history()

    def set_versions_back(self, by: int) -> None:
        """As after a restore from a backup: what changes from now on carries lower versions than before."""
        with self.store.changed:
            self.store.version -= by
            self.store.forget_history()
            self._passed_version = self.store.version

    # The controller

    def run_controller(self, *, only: Key | None = None) -> None:
        """One look at every unfinished workflow, or at one of them."""
        for workflow in self.store.all_workflows():
            if only in (None, _key(workflow)) and workflow.get("status", {}).get("phase") not in FINISHED:
                self._pass(_key(workflow))

    def _control(self) -> None:
        while not self._stopping.is_set():
            with self.store.changed:
                recent = [c.new for c in self.store.changes_after(self._known_version()) if c.new]
                self._passed_version = self.store.version
            for key in {_key(workflow) for workflow in recent} | set(self._timed):
                self._pass(key)
            self.store.wait_for_change(self._passed_version, _TICK)

    def _known_version(self) -> int:
        return max(self._passed_version, self.store.oldest)

    def _pass(self, key: Key) -> None:
        with self.store.changed:
            if key not in self.store.workflows:
                self._timed.discard(key)
                return
            with self.store.change(*key) as workflow:
                Pass(workflow, self.store, self._run_job).run()
            self._note_timed(key)

    def _note_timed(self, key: Key) -> None:
        """Workflows with a suspend.duration must be looked at without a change, too."""
        workflow = self.store.workflows[key]
        finished = workflow.get("status", {}).get("phase") in FINISHED
        if not finished and _has_duration(workflow):
            self._timed.add(key)
        else:
            self._timed.discard(key)


def _key(workflow: JsonObject) -> Key:
    return workflow["metadata"]["namespace"], workflow["metadata"]["name"]


def _has_duration(workflow: JsonObject) -> bool:
    status = workflow.get("status", {})
    templates = [
        *(workflow["spec"].get("templates") or []),
        *((status.get("storedWorkflowTemplateSpec") or {}).get("templates") or []),
        *(status.get("storedTemplates") or {}).values(),
    ]
    durations = [str((t.get("suspend") or {}).get("duration") or "") for t in templates]
    return any("{{" in text or parse_duration(text) is not None for text in durations if text)
