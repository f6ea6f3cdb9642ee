"""The server's retry: the plan of argo_client.retry_plan, carried out on a workflow's JSON."""

from __future__ import annotations

from argo_client.retry_plan import CannotRetry, plan_retry
from argo_client.selectors import EmptySelector, InvalidSelector, NodeSelector
from argo_client.types import Workflow
from argo_simulator.operations import LABEL, Caller, nodes_of, note_actor
from argo_simulator.store import ApiError, JsonObject


def retry(workflow: JsonObject, body: JsonObject, *, caller: Caller, now: str) -> list[str]:
    """Deletes and resets nodes, takes the end of the workflow away; the ids of the nodes that were hit."""
    restart, text = bool(body.get("restartSuccessful")), str(body.get("nodeFieldSelector") or "")
    overrides = dict(_named(parameter) for parameter in body.get("parameters") or [])
    try:
        plan = plan_retry(
            Workflow.from_json(workflow),
            restart_successful=restart,
            selector=_selector(text) if restart and text else None,
            parameters=body.get("parameters") or (),
        )
    except CannotRetry as refusal:
        raise ApiError(400, str(refusal)) from None
    deleted = frozenset(planned.node.id for planned in plan.deleted)
    reset = frozenset(planned.node.id for planned in plan.reset)
    kept = {key: node for key, node in nodes_of(workflow).items() if key not in deleted}
    for node in kept.values():
        _without(node, deleted)
        if node["id"] in reset:
            _reset(node, now)
    _begin_again(workflow, kept)
    _override(workflow, overrides)
    note_actor(workflow, caller, "Retry")
    return sorted(deleted)


def _selector(text: str) -> NodeSelector | None:
    try:
        return NodeSelector.parse(text)
    except EmptySelector:
        return None
    except InvalidSelector as error:
        raise ApiError(500, str(error)) from None


def _named(parameter: str) -> tuple[str, str]:
    name, sign, value = parameter.partition("=")
    if not sign:
        raise ApiError(500, f"expected parameter of the form: NAME=VALUE. Received: {parameter}")
    return name, value


def _without(node: JsonObject, deleted: frozenset[str]) -> None:
    if "children" in node:
        node["children"] = [child for child in node["children"] if child not in deleted]
        if not node["children"]:
            del node["children"]


def _reset(node: JsonObject, now: str) -> None:
    if node["phase"] != "Skipped":
        node["phase"] = "Running"
    node |= {"startedAt": now, "finishedAt": None}
    node.pop("message", None)


def _begin_again(workflow: JsonObject, nodes: dict[str, JsonObject]) -> None:
    """Until the controller's pass the phase is empty, and its label still tells the old end."""
    status = workflow["status"]
    for name in ("phase", "message", "nodes"):
        status.pop(name, None)
    status["finishedAt"] = None
    if nodes:
        status["nodes"] = nodes
    workflow["spec"].pop("shutdown", None)
    workflow["metadata"].setdefault("labels", {}).pop(LABEL + "completed", None)


def _override(workflow: JsonObject, overrides: dict[str, str]) -> None:
    if not overrides:
        return
    arguments = workflow["spec"].setdefault("arguments", {}).setdefault("parameters", [])
    stored = workflow["status"].get("storedWorkflowTemplateSpec", {}).get("arguments", {}).get("parameters")
    for parameters in filter(None, (arguments, stored)):
        for parameter in parameters:
            if parameter["name"] in overrides:
                parameter["value"] = overrides[parameter["name"]]
