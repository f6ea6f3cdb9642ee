"""What each call of Argo's REST API does, as recorded; the HTTP around it is in server.py."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from argo_simulator import operations, queries, retrying
from argo_simulator.access import Visitor
from argo_simulator.operations import LABEL
from argo_simulator.store import ApiError, JsonObject, stamp

if TYPE_CHECKING:
    from argo_simulator.simulator import Simulator

VERSION = {
    "version": "v4.1.2",
    "buildDate": "2026-01-01T00:00:00Z",
    "gitCommit": "16a52d67daf2f4a8a76fa8bec02a76a46aa46257",
    "gitTag": "v4.1.2",
    "gitTreeState": "clean",
    "goVersion": "go1.26.8",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_GO_FIELDS = {"nodeFieldSelector": str, "message": str, "outputParameters": str, "phase": str,
              "restartSuccessful": bool, "parameters": list}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One request; `parts` is the path below /api/v1, unquoted."""

    method: str
    parts: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    visitor: Visitor

    def json(self, kind: str = "") -> JsonObject:
        """The body. Raises ApiError 400 in the words of Go's decoder."""
        if not self.body.strip():
            return {}
        try:
            found = json.loads(self.body)
        except json.JSONDecodeError as error:
            if error.pos >= len(self.body.rstrip()) or "Unterminated" in error.msg:
                raise ApiError(400, "unexpected EOF") from None
            raise ApiError(400, _go_syntax_error(self.body.decode(errors="replace"), error.pos)) from None
        if found is None:
            return {}
        if not isinstance(found, dict):
            what = {list: "array", str: "string", bool: "bool"}.get(type(found), "number")
            raise ApiError(400, f"json: cannot unmarshal {what} into Go value of type workflow.{kind}")
        _check_types(found, kind)
        return found


def answer(argo: Simulator, call: Call) -> Any:
    """The JSON of a call's answer. Raises ApiError."""
    for method, pattern, reply in _ROUTES:
        if method == call.method and _fits(pattern, call.parts):
            return reply(argo, call)
    raise ApiError(501, "Not Implemented")


def _fits(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    return len(pattern) == len(parts) and all(
        want in ("*", got) for want, got in zip(pattern, parts, strict=True)
    )


def split(path: str) -> tuple[str, ...]:
    """The parts of a path, unquoted; an empty one stays, it is the namespace of "all"."""
    return tuple(unquote(part) for part in path.split("/"))


def _info(argo: Simulator, call: Call) -> JsonObject:
    return {"modals": {"feedback": True, "firstTimeUser": True, "newVersion": True}}


def _version(argo: Simulator, call: Call) -> JsonObject:
    return VERSION


def _userinfo(argo: Simulator, call: Call) -> JsonObject:
    return call.visitor.claims


def _list(argo: Simulator, call: Call) -> JsonObject:
    namespace = call.parts[1]
    call.visitor.demand("list", namespace)
    test, remaining = queries.list_test(call.query)
    with argo.store.changed:
        items = [w for w in argo.store.all_workflows() if namespace in ("", w["metadata"]["namespace"])]
        found = [w for w in items if test(w)]
        shown = queries.page(found, call.query, remaining=remaining, version=argo.store.version)
    shown["items"] = [packed(w, argo, in_list=True) for w in shown["items"]] if shown["items"] else None
    return queries.typed_list(_filtered(shown, call))


def _get(argo: Simulator, call: Call) -> JsonObject:
    _, namespace, name = call.parts
    if ":" in name:
        raise ApiError(501, "Not Implemented")
    workflow = _read(argo, call, namespace, name)
    if call.query.get("uid", workflow["metadata"]["uid"]) != workflow["metadata"]["uid"]:
        raise ApiError(500, "runtime error: invalid memory address or nil pointer dereference")
    return queries.typed_workflow(_filtered(workflow, call))


def _read(argo: Simulator, call: Call, namespace: str, name: str) -> JsonObject:
    _check_name(name)
    call.visitor.demand("get", namespace, name)
    if name == "@latest":
        newest = [w for w in argo.store.all_workflows() if w["metadata"]["namespace"] == namespace]
        if newest:
            return copy.deepcopy(max(newest, key=lambda w: int(w["metadata"]["resourceVersion"])))
    return argo.store.workflow(namespace, name)


def _create(argo: Simulator, call: Call) -> JsonObject:
    namespace = call.parts[1]
    workflow = call.json("WorkflowCreateRequest").get("workflow")
    if not workflow:
        raise ApiError(400, "workflow body not specified")
    call.visitor.demand("create", namespace)
    return create(argo, workflow, namespace=namespace, visitor=call.visitor)


def create(
    argo: Simulator, workflow: JsonObject, *, namespace: str, visitor: Visitor | None = None
) -> JsonObject:
    """Adds a workflow as the server does. Raises ApiError."""
    workflow = copy.deepcopy(workflow)
    metadata = workflow.setdefault("metadata", {})
    metadata["namespace"] = namespace
    workflow.setdefault("spec", {})
    workflow["status"] = {"startedAt": None, "finishedAt": None}
    if not metadata.get("name"):
        metadata["name"] = metadata.get("generateName", "") + secrets.token_hex(3)[:5]
    if not _NAME.fullmatch(metadata["name"]):
        raise ApiError(400, _bad_name(metadata["name"]))
    labels = metadata.setdefault("labels", {})
    if visitor is None or visitor.caller.subject:
        labels[LABEL + "creator"] = visitor.caller.label if visitor else "simulator"
    if ref := workflow["spec"].get("workflowTemplateRef"):
        argo.store.template(namespace, ref["name"])
    return argo.store.create(workflow)


def _submit(argo: Simulator, call: Call) -> JsonObject:
    namespace = call.parts[1]
    body = call.json("WorkflowSubmitRequest")
    if body.get("resourceKind") not in ("WorkflowTemplate", "workflowtemplate"):
        raise ApiError(400, f"Resource kind '{body.get('resourceKind', '')}' is not supported for submitting")
    call.visitor.demand("create", namespace)
    options = body.get("submitOptions") or {}
    workflow = submitted(argo, body["resourceName"], namespace=namespace, options=options)
    return create(argo, workflow, namespace=namespace, visitor=call.visitor)


def submitted(argo: Simulator, template: str, *, namespace: str, options: JsonObject) -> JsonObject:
    """The workflow that a submit makes of a template. Raises ApiError."""
    spec = argo.store.template(namespace, template)["spec"]
    given = dict(text.partition("=")[::2] for text in options.get("parameters") or [])
    for declared in (spec.get("arguments") or {}).get("parameters") or []:
        name = declared["name"]
        if name not in given and declared.get("value") is None and declared.get("valueFrom") is None:
            what = f"spec.arguments.{name}.value or spec.arguments.{name}.valueFrom is required"
            raise ApiError(400, what)
    metadata: JsonObject = {"generateName": options.get("generateName") or f"{template}-"}
    if options.get("name"):
        metadata["name"] = options["name"]
    given_labels = [text.partition("=")[::2] for text in (options.get("labels") or "").split(",") if text]
    metadata["labels"] = {**dict(given_labels), LABEL + "workflow-template": template}
    parameters = [{"name": name, "value": value} for name, value in given.items()]
    arguments = {"parameters": parameters} if parameters else {}
    return {
        "metadata": metadata,
        "spec": {"arguments": arguments, "workflowTemplateRef": {"name": template}},
    }


def _delete(argo: Simulator, call: Call) -> JsonObject:
    _, namespace, name = call.parts
    call.visitor.demand("delete", namespace, name)
    argo.store.delete(namespace, name)
    return {}


def _resume(argo: Simulator, call: Call) -> JsonObject:
    selector = _selector(call, "WorkflowResumeRequest")
    prefix = "" if selector else "timed out waiting for the condition: "
    return _write(
        argo, call, "resume", "update", prefix=prefix,
        change=lambda w, body, now: operations.resume(
            w, selector=selector, caller=call.visitor.caller, now=now
        ),
    )  # fmt: skip


def _stop(argo: Simulator, call: Call) -> JsonObject:
    selector = _selector(call, "WorkflowStopRequest")
    return _write(
        argo, call, "stop", "update" if selector else "patch",
        change=lambda w, body, now: operations.stop(
            w, selector=selector, message=str(body.get("message") or ""), caller=call.visitor.caller, now=now
        ),
    )  # fmt: skip


def _set(argo: Simulator, call: Call) -> JsonObject:
    call.json("WorkflowSetRequest")
    return _write(
        argo, call, "set", "update",
        change=lambda w, body, now: operations.set_node(w, body, caller=call.visitor.caller, now=now),
    )  # fmt: skip


def _suspend(argo: Simulator, call: Call) -> JsonObject:
    return _write(
        argo, call, "suspend", "update",
        change=lambda w, body, now: operations.suspend(w, caller=call.visitor.caller),
    )  # fmt: skip


def _terminate(argo: Simulator, call: Call) -> JsonObject:
    return _write(
        argo, call, "terminate", "patch",
        change=lambda w, body, now: operations.shut_down(w, "Terminate", caller=call.visitor.caller),
    )  # fmt: skip


def _retry(argo: Simulator, call: Call) -> JsonObject:
    call.json("WorkflowRetryRequest")
    return _write(
        argo, call, "retry", "update",
        change=lambda w, body, now: retrying.retry(w, body, caller=call.visitor.caller, now=now),
    )  # fmt: skip


def _selector(call: Call, kind: str) -> str:
    return str(call.json(kind).get("nodeFieldSelector") or "")


def _write(
    argo: Simulator,
    call: Call,
    kind: str,
    verb: str,
    *,
    change: Callable[[JsonObject, JsonObject, str], list[str]],
    prefix: str = "",
) -> JsonObject:
    """Changes a workflow. What the call hits is looked for before the right to write (T09)."""
    _, namespace, name, _ = call.parts
    _check_name(name)
    call.visitor.demand("get", namespace, name)
    with argo.store.change(namespace, name) as workflow:
        hit = change(workflow, call.json(), stamp(argo.store.now()))
        try:
            call.visitor.demand(verb, namespace, name)
        except ApiError as error:
            raise ApiError(error.status, prefix + error.message) from None
    argo.writes.note(kind, namespace=namespace, workflow=name, node_ids=hit)
    return packed(workflow, argo, in_list=False)


def packed(workflow: JsonObject, argo: Simulator, *, in_list: bool) -> JsonObject:
    """The workflow as lists and replies show it where nodes are packed; GET and streams give all of it."""
    nodes = workflow.get("status", {}).get("nodes")
    if argo.packing is None or not nodes or (argo.packing == "offloaded" and in_list):
        return workflow
    status = {key: value for key, value in workflow["status"].items() if key != "nodes"}
    if argo.packing == "compressed":
        status["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    else:
        status["offloadNodeStatusVersion"] = "fnv:536220306"
    return {**workflow, "status": status}


def _create_template(argo: Simulator, call: Call) -> JsonObject:
    namespace = call.parts[1]
    template = call.json("WorkflowTemplateCreateRequest").get("template")
    if not template:
        raise ApiError(400, "workflow template was not found in the request body")
    call.visitor.demand("create", namespace)
    template["metadata"]["namespace"] = namespace
    if call.visitor.caller.subject:
        template["metadata"].setdefault("labels", {})[LABEL + "creator"] = call.visitor.caller.label
    return argo.store.create_template(template)


def _list_templates(argo: Simulator, call: Call) -> JsonObject:
    namespace = call.parts[1]
    call.visitor.demand("list", namespace)
    items = [t for (ns, _), t in argo.store.templates.items() if namespace in ("", ns)]
    # `fields` is not looked at here (T02).
    return {"metadata": {"resourceVersion": str(argo.store.version)}, "items": items or None}


def _get_template(argo: Simulator, call: Call) -> JsonObject:
    _, namespace, name = call.parts
    call.visitor.demand("get", namespace, name)
    return _filtered(argo.store.template(namespace, name), call)


def _delete_template(argo: Simulator, call: Call) -> JsonObject:
    _, namespace, name = call.parts
    call.visitor.demand("delete", namespace, name)
    argo.store.template(namespace, name)
    del argo.store.templates[namespace, name]
    return {}


def _filtered(found: JsonObject, call: Call) -> JsonObject:
    return queries.filtered(found, call.query.get("fields", ""))  # type: ignore[no-any-return]


def _check_name(name: str) -> None:
    if name == "..":
        raise ApiError(500, "invalid resource name \"..\": [may not be '..']")
    if "%" in name:
        raise ApiError(500, f"invalid resource name \"{name}\": [may not contain '%']")
    if "/" in name:
        raise ApiError(501, "Not Implemented")


def _bad_name(name: str) -> str:
    return (
        f'Workflow.argoproj.io "{name}" is invalid: metadata.name: Invalid value: "{name}": a lowercase RFC'
        " 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
        " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
        " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )


def _go_syntax_error(text: str, position: int) -> str:
    """As Go's decoder words it; `nonsense` begins like `null` and goes wrong at its second letter."""
    wrong = text[position : position + 1]
    for literal in ("null", "true", "false"):
        if wrong == literal[0]:
            rest = text[position:]
            same = next((i for i, c in enumerate(literal) if rest[i : i + 1] != c), len(literal))
            got = rest[same : same + 1]
            return f"invalid character '{got}' in literal {literal} (expecting '{literal[same]}')"
    return f"invalid character '{wrong}' looking for beginning of value"


def _check_types(body: JsonObject, kind: str) -> None:
    for name, wanted in _GO_FIELDS.items():
        value = body.get(name)
        if kind and value is not None and not isinstance(value, wanted):
            got = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
            go = {str: "string", bool: "bool", list: "[]string"}[wanted]
            what = f"json: cannot unmarshal {got} into Go struct field {kind}.{name} of type {go}"
            raise ApiError(400, what)


_ROUTES: tuple[tuple[str, tuple[str, ...], Callable[[Simulator, Call], Any]], ...] = (
    ("GET", ("info",), _info),
    ("GET", ("version",), _version),
    ("GET", ("userinfo",), _userinfo),
    ("GET", ("workflows", "*"), _list),
    ("POST", ("workflows", "*"), _create),
    ("POST", ("workflows", "*", "submit"), _submit),
    ("GET", ("workflows", "*", "*"), _get),
    ("DELETE", ("workflows", "*", "*"), _delete),
    ("PUT", ("workflows", "*", "*", "resume"), _resume),
    ("PUT", ("workflows", "*", "*", "stop"), _stop),
    ("PUT", ("workflows", "*", "*", "set"), _set),
    ("PUT", ("workflows", "*", "*", "suspend"), _suspend),
    ("PUT", ("workflows", "*", "*", "terminate"), _terminate),
    ("PUT", ("workflows", "*", "*", "retry"), _retry),
    ("POST", ("workflow-templates", "*"), _create_template),
    ("GET", ("workflow-templates", "*"), _list_templates),
    ("GET", ("workflow-templates", "*", "*"), _get_template),
    ("DELETE", ("workflow-templates", "*", "*"), _delete_template),
)
