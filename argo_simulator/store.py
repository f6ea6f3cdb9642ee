"""What Kubernetes would keep: objects with resource versions, and the history that a watch replays."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

JsonObject = dict[str, Any]
Key = tuple[str, str]  # namespace, name

#: The recorder's server began here too; a fresh store must not look older than a client's last version.
FIRST_VERSION = 1000
#: How many changes a watch can go back; Kubernetes keeps about five minutes.
HISTORY = 20_000


class ApiError(Exception):
    """An answer of 400 or more in Argo's form."""

    def __init__(self, status: int, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code if code is not None else _GRPC_CODES.get(status, 13)


_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 501: 12, 503: 14}


@dataclass(frozen=True)
class Change:
    """One line of the history; `old` is None for a new object, `new` for a deleted one."""

    version: int
    old: JsonObject | None
    new: JsonObject | None


def stamp(moment: datetime) -> str:
    """Whole seconds, as Kubernetes writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Workflows and workflow templates. Whatever is read is a copy; writes go through `change`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.workflows: dict[Key, JsonObject] = {}
        self.templates: dict[Key, JsonObject] = {}
        self.history: list[Change] = []
        self.version = FIRST_VERSION
        self.oldest = FIRST_VERSION
        self.changed = threading.Condition(threading.RLock())

    def workflow(self, namespace: str, name: str) -> JsonObject:
        """A copy. Raises ApiError 404."""
        with self.changed:
            if (namespace, name) not in self.workflows:
                shown = name.replace("\x00", "\\x00")
                raise ApiError(404, f'workflows.argoproj.io "{shown}" not found')
            return copy.deepcopy(self.workflows[namespace, name])

    def all_workflows(self) -> list[JsonObject]:
        """The objects themselves, to be read only."""
        with self.changed:
            return list(self.workflows.values())

    @contextmanager
    def change(self, namespace: str, name: str) -> Iterator[JsonObject]:
        """A workflow to be changed in place; written when the block ends without an error and something
        did change. Raises ApiError 404."""
        with self.changed:
            workflow = self.workflow(namespace, name)
            yield workflow
            if workflow != self.workflows[namespace, name]:
                self.put(workflow)

    def put(self, workflow: JsonObject) -> None:
        """Writes a workflow as it is, new or not, under a new version."""
        with self.changed:
            key = (workflow["metadata"]["namespace"], workflow["metadata"]["name"])
            old = self.workflows.get(key)
            self.version += 1
            workflow["metadata"]["resourceVersion"] = str(self.version)
            self.workflows[key] = workflow
            self._record(Change(self.version, old, workflow))

    def create(self, workflow: JsonObject) -> JsonObject:
        """Adds a workflow. Raises ApiError 409."""
        with self.changed:
            metadata = workflow["metadata"]
            if (metadata["namespace"], metadata["name"]) in self.workflows:
                raise ApiError(409, f'workflows.argoproj.io "{metadata["name"]}" already exists')
            metadata |= {
                "uid": str(uuid.uuid4()),
                "generation": 1,
                "creationTimestamp": stamp(self.now()),
            }
            self.put(workflow)
            return copy.deepcopy(workflow)

    def delete(self, namespace: str, name: str) -> None:
        """Raises ApiError 404."""
        with self.changed:
            self.workflow(namespace, name)
            old = self.workflows.pop((namespace, name))
            self.version += 1
            self._record(Change(self.version, old, None))

    def create_template(self, template: JsonObject) -> JsonObject:
        """Adds a workflow template. Raises ApiError 409."""
        with self.changed:
            metadata = template["metadata"]
            key = (metadata["namespace"], metadata["name"])
            if key in self.templates:
                raise ApiError(409, f'workflowtemplates.argoproj.io "{metadata["name"]}" already exists')
            self.version += 1
            metadata |= {
                "uid": str(uuid.uuid4()),
                "resourceVersion": str(self.version),
                "generation": 1,
                "creationTimestamp": stamp(self.now()),
            }
            self.templates[key] = template
            return copy.deepcopy(template)

    def template(self, namespace: str, name: str) -> JsonObject:
        """Raises ApiError 404."""
        with self.changed:
            if (namespace, name) not in self.templates:
                raise ApiError(404, f'workflowtemplates.argoproj.io "{name}" not found')
            return copy.deepcopy(self.templates[namespace, name])

    def changes_after(self, version: int) -> list[Change]:
        """Raises ApiError when the history does not go back that far."""
        with self.changed:
            if version < self.oldest:
                raise ApiError(400, f"too old resource version: {version} ({self.oldest})")
            return [change for change in self.history if change.version > version]

    def wait_for_change(self, version: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self.changed:
            while self.version <= version and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)

    def forget_history(self) -> None:
        """Every version but the last is too old now."""
        with self.changed:
            self.history.clear()
            self.oldest = self.version

    def _record(self, change: Change) -> None:
        self.history.append(change)
        if len(self.history) > HISTORY:
            self.oldest = self.history.pop(0).version
        self.changed.notify_all()
