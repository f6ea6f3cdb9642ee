"""What Argo sends, as frozen dataclasses.

`from_json` reads one JSON object of Argo's. Unknown members are ignored; a required one that is missing or
of another type raises UnexpectedAnswer with its path.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
        value_from = data.get("valueFrom") or {}
        default = data.get("default", value_from.get("default"))
        return cls(
            name=_required(data, "name", "parameters[].name"),
            value=_text(data.get("value")),
            default=_text(default),
            enum=tuple(str(_text(choice)) for choice in data.get("enum") or ()),
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
        outputs = data.get("outputs") or {}
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
            children=tuple(data.get("children") or ()),
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
        return None if written is None else parse_duration(_filled_in(written, node))

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
        metadata = _object(data.get("metadata"), "metadata")
        return cls(
            items=tuple(_readable(data.get("items") or [])),
            continue_=str(metadata["continue"]) if metadata.get("continue") else None,
            remaining=metadata.get("remainingItemCount"),
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
        return cls(
            managed_namespace=str(data.get("managedNamespace") or ""),
            columns=tuple(str(column.get("name", "")) for column in data.get("columns") or ()),
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


def _readable(items: list[JsonObject]) -> Iterator[Workflow]:
    """One workflow that we cannot read must not hide all others."""
    for item in items:
        try:
            yield Workflow.from_json(item)
        except UnexpectedAnswer as error:
            logger.warning("left out a workflow of a list: %s", error)


def parse_duration(text: str) -> timedelta | None:
    """`20`, `20s`, `1h30m`: bare numbers are seconds, the rest is Go's form. None when it is neither."""
    if text.strip().isdecimal():
        return timedelta(seconds=int(text))
    if not _DURATION.fullmatch(text):
        return None
    try:
        return sum(
            (timedelta(seconds=float(number) * _SECONDS[unit]) for number, unit in _PART.findall(text)),
            timedelta(),
        )
    except OverflowError:
        return None


_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_REFERENCE = re.compile(r"\{\{\s*inputs\.parameters\.([^}\s]+)\s*\}\}")


def _filled_in(written: str, node: Node) -> str:
    return _REFERENCE.sub(lambda match: node.input(match[1]) or "", written)


def _durations(spec: JsonObject, status: JsonObject) -> Iterator[tuple[str, str]]:
    """Every suspend template with a duration, by scope and name."""
    stored = _object(status.get("storedWorkflowTemplateSpec"), "status.storedWorkflowTemplateSpec")
    for template in [*(stored.get("templates") or ()), *(spec.get("templates") or ())]:
        if duration := (template.get("suspend") or {}).get("duration"):
            yield f"local/{template.get('name')}", str(duration)
    for key, template in _object(status.get("storedTemplates"), "status.storedTemplates").items():
        if duration := (template.get("suspend") or {}).get("duration"):
            yield key, str(duration)


def _has_nodes(status: JsonObject) -> bool:
    return bool(status.get("nodes") or status.get("compressedNodes"))


def _should_have_nodes(spec: JsonObject, status: JsonObject, phase: WorkflowPhase) -> bool:
    """A workflow that is suspended from its beginning runs without a node."""
    if status.get("offloadNodeStatusVersion"):
        return True
    return phase is WorkflowPhase.RUNNING and not spec.get("suspend")


def _nodes(status: JsonObject) -> Mapping[str, JsonObject]:
    packed = status.get("compressedNodes")
    if not packed or status.get("nodes"):
        return _object(status.get("nodes"), "status.nodes")
    try:
        return _object(json.loads(gzip.decompress(base64.b64decode(packed))), "status.compressedNodes")
    except (binascii.Error, OSError, EOFError, ValueError) as error:
        raise UnexpectedAnswer("status.compressedNodes") from error


def _parameters(holder: JsonObject | None) -> tuple[Parameter, ...]:
    return tuple(Parameter.from_json(p) for p in (holder or {}).get("parameters") or ())


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


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _moment(value: Any, path: str) -> datetime | None:
    if not value:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise UnexpectedAnswer(path) from error
