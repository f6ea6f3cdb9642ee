"""What Argo sends, as frozen dataclasses.

`from_json` reads one JSON object of Argo's. Unknown members are ignored; a required one that is missing or
of another type raises UnexpectedAnswer with its path.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from argo_client.errors import UnexpectedAnswer

logger = logging.getLogger(__name__)

#: A JSON object as it stands on the wire; only this module looks into one.
JsonObject = dict[str, Any]

WORKFLOW_TEMPLATE_LABEL = "workflows.argoproj.io/workflow-template"


class NodePhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    ERROR = "Error"
    OMITTED = "Omitted"
    DAEMONED = "Daemoned"
    UNKNOWN = ""

    @classmethod
    def _missing_(cls, value: object) -> NodePhase:
        return cls.UNKNOWN


class WorkflowPhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"
    UNKNOWN = ""  # also that of a new or just retried workflow

    @classmethod
    def _missing_(cls, value: object) -> WorkflowPhase:
        return cls.UNKNOWN


class WatchEventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An input or output. `supplied`: somebody has to give its value. Numbers and booleans become text."""

    name: str
    value: str | None = None
    default: str | None = None
    enum: tuple[str, ...] = ()
    description: str = ""
    supplied: bool = False

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        name = _required(data, "name", "parameters[].name")
        value_from = _object(data.get("valueFrom"), "parameters[].valueFrom")
        default = data.get("default")
        return cls(
            name=str(name),
            value=_text(data.get("value")),
            default=_text(value_from.get("default") if default is None else default),
            enum=tuple(_text(choice) or "" for choice in _list(data.get("enum"), "parameters[].enum")),
            description=str(data.get("description") or ""),
            supplied="supplied" in value_from,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRef:
    name: str
    template: str = ""
    cluster_scope: bool = False

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        data = _object(data, "templateRef")
        return cls(
            name=str(data.get("name") or ""),
            template=str(data.get("template") or ""),
            cluster_scope=bool(data.get("clusterScope")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entry of `status.nodes`. `type` stays a plain text, because Argo adds types."""

    id: str
    name: str
    display_name: str
    type: str
    phase: NodePhase
    #: the phase as Argo wrote it, also one that we do not know
    raw_phase: str
    template_name: str = ""
    template_ref: TemplateRef | None = None
    template_scope: str = ""
    boundary_id: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    result: str | None = None
    exit_code: str | None = None
    children: tuple[str, ...] = ()
    progress: str = ""

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        node_id = str(_required(data, "id", "status.nodes[].id"))
        outputs = _object(data.get("outputs"), "status.nodes[].outputs")
        ref = data.get("templateRef")
        phase = str(data.get("phase") or "")
        return cls(
            id=node_id,
            name=str(data.get("name") or node_id),
            display_name=str(data.get("displayName") or data.get("name") or node_id),
            type=str(data.get("type") or ""),
            phase=NodePhase(phase),
            raw_phase=phase,
            template_name=str(data.get("templateName") or ""),
            template_ref=TemplateRef.from_json(ref) if ref else None,
            template_scope=str(data.get("templateScope") or ""),
            boundary_id=str(data.get("boundaryID") or ""),
            message=str(data.get("message") or ""),
            started_at=_moment(data.get("startedAt"), "status.nodes[].startedAt"),
            finished_at=_moment(data.get("finishedAt"), "status.nodes[].finishedAt"),
            inputs=_parameters(data.get("inputs")),
            outputs=_parameters(outputs),
            result=_text(outputs.get("result")),
            exit_code=_text(outputs.get("exitCode")),
            children=tuple(map(str, _list(data.get("children"), "status.nodes[].children"))),
            progress=str(data.get("progress") or ""),
        )

    @property
    def is_waiting(self) -> bool:
        return self.type == "Suspend" and self.phase is NodePhase.RUNNING

    def input(self, name: str) -> str | None:
        """The value of an input parameter; None when the node has no such input."""
        for parameter in self.inputs:
            if parameter.name == name:
                return parameter.value or ""
        return None

    @property
    def supplied_outputs(self) -> tuple[Parameter, ...]:
        """The outputs that somebody still has to give."""
        return tuple(p for p in self.outputs if p.supplied and p.value is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """`nodes` is empty before the first step; `nodes_complete` is False when the answer left them out."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    created_at: datetime | None
    labels: Mapping[str, str]
    phase: WorkflowPhase
    message: str
    started_at: datetime | None
    finished_at: datetime | None
    nodes: Mapping[str, Node]
    nodes_complete: bool
    parameters: tuple[Parameter, ...]
    #: suspended as a whole (spec.suspend)
    suspended: bool
    shutdown: str
    workflow_template_ref: TemplateRef | None
    #: "<scope>/<template>" -> suspend.duration as written
    _durations: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        metadata = _object(_required(data, "metadata", "metadata"), "metadata")
        spec = _object(data.get("spec"), "spec")
        status = _object(data.get("status"), "status")
        phase = WorkflowPhase(str(status.get("phase") or ""))
        ref = spec.get("workflowTemplateRef")
        return cls(
            name=str(_required(metadata, "name", "metadata.name")),
            namespace=str(metadata.get("namespace") or ""),
            uid=str(metadata.get("uid") or ""),
            resource_version=str(metadata.get("resourceVersion") or ""),
            created_at=_moment(metadata.get("creationTimestamp"), "metadata.creationTimestamp"),
            labels=_object(metadata.get("labels"), "metadata.labels"),
            phase=phase,
            message=str(status.get("message") or ""),
            started_at=_moment(status.get("startedAt"), "status.startedAt"),
            finished_at=_moment(status.get("finishedAt"), "status.finishedAt"),
            nodes={key: Node.from_json(node) for key, node in _nodes(status).items()},
            nodes_complete=_has_nodes(status) or not _should_have_nodes(spec, status, phase),
            parameters=_parameters(spec.get("arguments")),
            suspended=bool(spec.get("suspend")),
            shutdown=str(spec.get("shutdown") or ""),
            workflow_template_ref=TemplateRef.from_json(ref) if ref else None,
            _durations=dict(_durations(spec, status)),
        )

    @property
    def finished(self) -> bool:
        return self.phase in (WorkflowPhase.SUCCEEDED, WorkflowPhase.FAILED, WorkflowPhase.ERROR)

    @property
    def waiting_nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if node.is_waiting)

    def enclosing(self, node: Node) -> Iterator[Node]:
        """The node whose template holds this one, the one that holds that, up to the root."""
        seen = {node.id}
        while (outer := self.nodes.get(node.boundary_id)) is not None and outer.id not in seen:
            yield outer
            seen.add(outer.id)
            node = outer

    def path(self, node: Node) -> tuple[Node, ...]:
        """From below the root down to the node itself."""
        outer = [n for n in self.enclosing(node) if n.id != self.name]
        return (*reversed(outer), node)

    def template_of(self, node: Node) -> str:
        """The workflow template behind a node: of the nearest ancestor's templateRef, else of the workflow,
        else of its label, else none."""
        for around in (node, *self.enclosing(node)):
            if around.template_ref is not None:
                return around.template_ref.name
        if self.workflow_template_ref is not None:
            return self.workflow_template_ref.name
        return str(self.labels.get(WORKFLOW_TEMPLATE_LABEL, ""))

    def suspend_duration(self, node: Node) -> timedelta | None:
        """After how long Argo resumes the node by itself; None where it does not, or we cannot read it."""
        written = next((self._durations[k] for k in self._template_keys(node) if k in self._durations), None)
        if written is None:
            return None
        return parse_duration(_filled_in(written, node=node, arguments=self.parameters))

    def _template_keys(self, node: Node) -> Iterator[str]:
        ref, name = node.template_ref, node.template_name
        if ref is not None:
            yield f"{'cluster' if ref.cluster_scope else 'namespaced'}/{ref.name}/{ref.template}"
        if node.template_scope.startswith(("namespaced/", "cluster/")):
            yield f"{node.template_scope}/{name}"
        else:
            yield f"local/{name}"
            if self.workflow_template_ref is not None:
                scope = "cluster" if self.workflow_template_ref.cluster_scope else "namespaced"
                yield f"{scope}/{self.workflow_template_ref.name}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPage:
    """One page of a list. `remaining` and `continue_` are None when Argo gave none."""

    items: tuple[Workflow, ...]
    continue_: str | None
    remaining: int | None
    resource_version: str

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        # Always there, null when nothing is found: without it, this is no list of Argo's.
        if "items" not in data:
            raise UnexpectedAnswer("items")
        metadata = _object(data.get("metadata"), "metadata")
        remaining = metadata.get("remainingItemCount")
        return cls(
            items=tuple(_readable(_list(data["items"], "items"))),
            continue_=str(metadata["continue"]) if metadata.get("continue") else None,
            remaining=remaining if isinstance(remaining, int) else None,
            resource_version=str(metadata.get("resourceVersion") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One event of the stream. A BOOKMARK has a version and no workflow."""

    type: WatchEventType
    workflow: Workflow | None
    resource_version: str

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        kind = str(_required(data, "type", "result.type"))
        body = _object(_required(data, "object", "result.object"), "result.object")
        if kind not in WatchEventType.__members__:
            raise UnexpectedAnswer(f"result.type: {kind!r}")
        bookmark = kind == WatchEventType.BOOKMARK
        metadata = _object(body.get("metadata"), "result.object.metadata")
        return cls(
            type=WatchEventType(kind),
            workflow=None if bookmark else Workflow.from_json(body),
            resource_version=str(metadata.get("resourceVersion") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVersion:
    version: str
    platform: str

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        return cls(
            version=str(_required(data, "version", "version")), platform=str(data.get("platform") or "")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    managed_namespace: str
    columns: tuple[str, ...]

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        columns = (_object(column, "columns[]") for column in _list(data.get("columns"), "columns"))
        return cls(
            managed_namespace=str(data.get("managedNamespace") or ""),
            columns=tuple(str(column.get("name") or "") for column in columns),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo:
    """Whom Argo takes us for, all empty when it cannot tell. It does not check the token."""

    subject: str
    service_account: str
    service_account_namespace: str
    email: str

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        return cls(
            subject=str(data.get("subject") or ""),
            service_account=str(data.get("serviceAccountName") or ""),
            service_account_namespace=str(data.get("serviceAccountNamespace") or ""),
            email=str(data.get("email") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTemplate:
    name: str
    namespace: str
    resource_version: str
    entrypoint: str
    parameters: tuple[Parameter, ...]

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        metadata = _object(_required(data, "metadata", "metadata"), "metadata")
        spec = _object(data.get("spec"), "spec")
        return cls(
            name=str(_required(metadata, "name", "metadata.name")),
            namespace=str(metadata.get("namespace") or ""),
            resource_version=str(metadata.get("resourceVersion") or ""),
            entrypoint=str(spec.get("entrypoint") or ""),
            parameters=_parameters(spec.get("arguments")),
        )

    @classmethod
    def list_from_json(cls, data: JsonObject) -> tuple[Self, ...]:
        return tuple(cls.from_json(item) for item in _list(data.get("items"), "items"))


def _readable(items: list[JsonObject]) -> Iterator[Workflow]:
    """One workflow that we cannot read must not hide all others."""
    for item in items:
        try:
            yield Workflow.from_json(item)
        except UnexpectedAnswer as error:
            logger.warning("left out a workflow of a list: %s", error)


def parse_duration(text: str) -> timedelta | None:
    """`20`, `20s`, `1h30m`: bare numbers are seconds, the rest is Go's form. None when it is neither."""
    text = f"{text}s" if text.isascii() and text.isdigit() else text
    if not _DURATION.fullmatch(text):
        return None
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))
    except OverflowError:
        return None


_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_REFERENCE = re.compile(r"\{\{\s*(inputs|workflow)\.parameters\.([^}\s]+)\s*\}\}")


def _filled_in(written: str, *, node: Node, arguments: tuple[Parameter, ...]) -> str:
    """`written` with the parameters that it refers to; "" for one that has no value."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "inputs":
            return node.input(match[2]) or ""
        return next((parameter.value or "" for parameter in arguments if parameter.name == match[2]), "")

    return _REFERENCE.sub(value, written)


def _durations(spec: JsonObject, status: JsonObject) -> Iterator[tuple[str, str]]:
    """Every suspend template with a duration, by scope and name."""
    stored = _object(status.get("storedWorkflowTemplateSpec"), "status.storedWorkflowTemplateSpec")
    for holder in (stored, spec):
        for template in _list(holder.get("templates"), "templates"):
            if duration := _duration(template):
                yield f"local/{template.get('name')}", duration
    for key, template in _object(status.get("storedTemplates"), "status.storedTemplates").items():
        if duration := _duration(template):
            yield key, duration


def _duration(template: JsonObject) -> str:
    suspend = _object(_object(template, "templates[]").get("suspend"), "templates[].suspend")
    return str(suspend.get("duration") or "")


def _has_nodes(status: JsonObject) -> bool:
    return bool(status.get("nodes") or status.get("compressedNodes"))


def _should_have_nodes(spec: JsonObject, status: JsonObject, phase: WorkflowPhase) -> bool:
    """A workflow that is suspended from its beginning runs without a node, and without progress (T11)."""
    if status.get("offloadNodeStatusVersion"):
        return True
    never_began = spec.get("suspend") and status.get("progress") in (None, "", "0/0")
    return phase is WorkflowPhase.RUNNING and not never_began


def _nodes(status: JsonObject) -> Mapping[str, JsonObject]:
    packed = status.get("compressedNodes")
    if not packed or status.get("nodes"):
        return _object(status.get("nodes"), "status.nodes")
    try:
        return _object(json.loads(gzip.decompress(base64.b64decode(packed))), "status.compressedNodes")
    except (TypeError, OSError, EOFError, ValueError, RecursionError, zlib.error):
        raise UnexpectedAnswer("status.compressedNodes") from None


def _parameters(holder: Any) -> tuple[Parameter, ...]:
    if not holder:
        return ()
    found = _list(_object(holder, "parameters").get("parameters"), "parameters")
    return tuple(Parameter.from_json(parameter) for parameter in found)


def _required(data: JsonObject, member: str, path: str) -> Any:
    if not isinstance(data, dict) or data.get(member) is None:
        raise UnexpectedAnswer(path)
    return data[member]


def _object(value: Any, path: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnexpectedAnswer(path)
    return value


def _list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnexpectedAnswer(path)
    return value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _moment(value: Any, path: str) -> datetime | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise UnexpectedAnswer(path) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
