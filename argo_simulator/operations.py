"""What Argo's server does to a workflow: resume, stop, set, suspend, terminate, as recorded (T04 to T18).

Every function changes a workflow's JSON in place, or raises ApiError and leaves it to be thrown away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from argo_client.selectors import InvalidSelector, Term, parse_terms
from argo_client.types import Node
from argo_simulator.store import ApiError, JsonObject

LABEL = "workflows.argoproj.io/"
FINISHED = ("Succeeded", "Failed", "Error")


@dataclass(frozen=True)
class Caller:
    """Who calls, as far as Argo knows: an opaque token has no subject."""

    user: str
    subject: str = ""

    @property
    def label(self) -> str:
        return re.sub(r"[^A-Za-z0-9_.-]", "-", self.subject)[-63:].strip("-")


def resume(workflow: JsonObject, *, selector: str, caller: Caller, now: str) -> list[str]:
    """Resumes the waiting nodes that match, without a selector all of them and the workflow itself."""
    if not selector:
        return _resume_all(workflow, caller=caller, now=now)
    hit = _waiting(workflow, selector)
    for node in hit:
        node |= {"phase": "Succeeded", "finishedAt": now}
        if caller.subject:
            node["message"] = _resumed_by(caller)
    note_actor(workflow, caller, "Resume")
    return [node["id"] for node in hit]


def stop(workflow: JsonObject, *, selector: str, message: str, caller: Caller, now: str) -> list[str]:
    """Fails the waiting nodes that match, without a selector stops the workflow as a whole."""
    if not selector:
        return shut_down(workflow, "Stop", caller=caller)
    hit = _waiting(workflow, selector)
    for node in hit:
        node |= {"phase": "Failed", "finishedAt": now}
        if message:
            node["message"] = message
    note_actor(workflow, caller, "Stop")
    return [node["id"] for node in hit]


def shut_down(workflow: JsonObject, strategy: str, *, caller: Caller) -> list[str]:
    """The controller fails what waits, on its next pass."""
    metadata = workflow["metadata"]
    if _finished(workflow):
        where = f'workflow: "{metadata["name"]}", namespace: "{metadata["namespace"]}"'
        raise ApiError(500, f"cannot shutdown a completed workflow: {where}")
    workflow["spec"]["shutdown"] = strategy
    note_actor(workflow, caller, strategy)
    return []


def suspend(workflow: JsonObject, *, caller: Caller) -> list[str]:
    if _finished(workflow):
        raise ApiError(400, "timed out waiting for the condition: cannot suspend completed workflows")
    workflow["spec"]["suspend"] = True
    note_actor(workflow, caller, "Suspend")
    return []


def set_node(workflow: JsonObject, body: JsonObject, *, caller: Caller, now: str) -> list[str]:
    """Gives outputs, a message and a phase to the waiting nodes that match, all or nothing."""
    selector, phase, message = (str(body.get(k) or "") for k in ("nodeFieldSelector", "phase", "message"))
    values = _output_values(body.get("outputParameters") or "")
    if phase not in ("", *FINISHED):
        raise ApiError(400, f"{phase} is an invalid phase to set to")
    if not selector:
        raise ApiError(
            500, "'set' currently only targets suspend nodes, use a node field selector to target them"
        )
    hit = _waiting(workflow, selector)
    if not (values or phase or message):
        raise _no_such_node(selector)
    for node in hit:
        _set_outputs(node, values)
        if message:
            node["message"] = message
        if phase:
            node |= {"phase": phase, "finishedAt": now}
    note_actor(workflow, caller, None)
    return [node["id"] for node in hit]


def is_waiting(node: JsonObject) -> bool:
    return bool(node["type"] == "Suspend" and node["phase"] == "Running")


def apply_defaults(node: JsonObject) -> str | None:
    """Gives every supplied output its default; the name of the first that has none."""
    for output in (node.get("outputs") or {}).get("parameters") or []:
        source = output.get("valueFrom") or {}
        if "supplied" not in source:
            continue
        if source.get("default") is None:
            return str(output["name"])
        output["value"] = source["default"]
        del output["valueFrom"]
    return None


def nodes_of(workflow: JsonObject) -> dict[str, JsonObject]:
    nodes: dict[str, JsonObject] = workflow.get("status", {}).get("nodes") or {}
    return nodes


def _resume_all(workflow: JsonObject, *, caller: Caller, now: str) -> list[str]:
    if _finished(workflow):
        return []
    workflow["spec"].pop("suspend", None)
    hit = [node for node in nodes_of(workflow).values() if is_waiting(node)]
    for node in hit:
        if (missing := apply_defaults(node)) is not None:
            raise ApiError(
                500,
                f"timed out waiting for the condition: raw output parameter '{missing}' has not been set"
                " and does not have a default value",
            )
        node |= {"phase": "Succeeded", "finishedAt": now}
        if caller.subject:
            said = f"{node['message']}; " if node.get("message") else ""
            node["message"] = said + _resumed_by(caller)
    note_actor(workflow, caller, "Resume")
    return [node["id"] for node in hit]


def _waiting(workflow: JsonObject, selector: str) -> list[JsonObject]:
    """The waiting nodes that match. Raises ApiError where there are none, or the selector is no selector."""
    try:
        terms = parse_terms(selector)
    except InvalidSelector as error:
        raise ApiError(500, str(error)) from None
    hit = [node for node in nodes_of(workflow).values() if is_waiting(node) and _matches(node, terms)]
    if not hit:
        raise _no_such_node(selector)
    return hit


def _matches(node: JsonObject, terms: tuple[Term, ...]) -> bool:
    typed = Node.from_json(node)
    return all(term.matches(typed) for term in terms)


def _no_such_node(selector: str) -> ApiError:
    text = "currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: "
    return ApiError(500, text + selector)


def _output_values(text: str) -> dict[str, str]:
    if not text:
        return {}
    unable = "unable to parse output parameter set request: "
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        wrong = text[error.pos : error.pos + 1]
        what = f"invalid character '{wrong}' looking for beginning of object key string"
        raise ApiError(400, unable + (what if wrong else "unexpected end of JSON input")) from None
    if not isinstance(values, dict):
        raise ApiError(400, unable + f"json: cannot unmarshal {_go_kind(values)} into Go value of type map")
    for value in values.values():
        if not isinstance(value, str):
            what = f"json: cannot unmarshal {_go_kind(value)} into Go value of type string"
            raise ApiError(400, unable + what)
    return values


def _go_kind(value: Any) -> str:
    return {bool: "bool", int: "number", float: "number", str: "string", list: "array"}.get(
        type(value), "object"
    )


def _set_outputs(node: JsonObject, values: dict[str, str]) -> None:
    declared = (node.get("outputs") or {}).get("parameters") or []
    if values and not declared:
        raise ApiError(500, "cannot set output parameters because node is not expecting any raw parameters")
    for name, value in values.items():
        output = next((output for output in declared if output["name"] == name), None)
        if output is None:
            raise ApiError(500, f"node is not expecting output parameter '{name}'")
        if "supplied" not in (output.get("valueFrom") or {}):
            raise ApiError(
                500,
                f"cannot set output parameter '{name}' because it does not use valueFrom.raw"
                " or it was already set",
            )
        output["value"] = value
        del output["valueFrom"]


def _resumed_by(caller: Caller) -> str:
    return f"Resumed by: map[User:{caller.subject}]"


def note_actor(workflow: JsonObject, caller: Caller, action: str | None) -> None:
    """The last one wins; an opaque token takes the labels of the one before away (T18)."""
    labels = workflow["metadata"].setdefault("labels", {})
    if not caller.subject:
        for name in ("actor", "action"):
            labels.pop(LABEL + name, None)
        return
    labels[LABEL + "actor"] = caller.label
    if action:
        labels[LABEL + "action"] = action


def _finished(workflow: JsonObject) -> bool:
    return workflow.get("status", {}).get("phase") in FINISHED
