"""Sends the recorded exchanges of one transcript, in order, to the simulator and compares the answers.

The recorder did things between the exchanges that it did not record: it submitted workflows, ended waits,
and waited for what the next exchange shows. The replay does the same: what people and containers did is read
from the recorded nodes (which waits ended how, what a job printed), all else has to follow by itself.
"""

from __future__ import annotations

import base64
import copy
import gzip
import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

import argo_simulator
from argo_simulator import Simulator
from argo_simulator.controller import JobFailed, run_command
from tests.contract import exchanges

TEMPLATE = yaml.safe_load(Path(argo_simulator.__file__).with_name("external-job-template.yaml").read_text())
LABEL = "workflows.argoproj.io/"
NODE_MEMBERS = (
    "type", "phase", "displayName", "name", "templateName", "templateRef", "templateScope", "message", "inputs",
    "outputs", "boundaryID", "children",
)  # fmt: skip
#: What T07's workflow with a duration was made of; the transcript shows only its nodes.
MANIFESTS: dict[str, Any] = {}

Json = dict[str, Any]


def bare(value: Any) -> Any:
    """Without the members that Go leaves out at will: null, "", {} and []."""
    if isinstance(value, dict):
        kept = {key: bare(member) for key, member in value.items()}
        return {key: member for key, member in kept.items() if member not in (None, "", {}, [])}
    if isinstance(value, list):
        return [bare(member) for member in value]
    return value


def comparable_node(node: Json) -> Json:
    shown = {member: node.get(member) for member in NODE_MEMBERS}
    return bare(shown) | {"finished": bool(node.get("finishedAt"))}


def comparable(workflow: Json) -> Json:
    """What the contract calls equal in a replay, of one workflow."""
    metadata, spec, status = (workflow.get(part) or {} for part in ("metadata", "spec", "status"))
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k.startswith(LABEL)}
    return bare(
        {
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "labels": labels,
            "suspend": spec.get("suspend"),
            "shutdown": spec.get("shutdown"),
            "phase": status.get("phase"),
            "message": status.get("message"),
            "packed": sorted({"compressedNodes", "offloadNodeStatusVersion"} & status.keys()),
            "nodes": {key: comparable_node(node) for key, node in nodes_of(workflow).items()},
        }
    )


def nodes_of(workflow: Json) -> dict[str, Json]:
    status = workflow.get("status") or {}
    if packed := status.get("compressedNodes"):
        return json.loads(gzip.decompress(base64.b64decode(packed)))
    return status.get("nodes") or {}


def is_workflow(body: Any) -> bool:
    return isinstance(body, dict) and ("status" in body or "spec" in body or "metadata" in body)


def comparable_answer(response: Json) -> Any:
    """What of an answer is compared: errors, versions and identities whole."""
    body = response.get("body")
    if response["status"] != 200 or not isinstance(body, dict):
        text = response.get("text") or ""
        return response["status"], body if body is not None else text if "<!doctype" not in text else "<html>"
    if "items" in body:
        metadata = {k: v for k, v in (body.get("metadata") or {}).items() if k != "resourceVersion"}
        return 200, metadata, [comparable(item) for item in body["items"] or ()]
    return (200, comparable(body)) if is_workflow(body) else (200, body)


def shown_workflows(response: Json) -> Iterator[Json]:
    """The workflows that an answer shows, streams included."""
    body = response.get("body")
    if isinstance(body, dict):
        found = body.get("items") or [] if "items" in body else [body]
        yield from (item for item in found if isinstance(item, dict) and item.get("metadata", {}).get("name"))
    for event in events(response):
        if (event.get("result") or {}).get("object", {}).get("metadata", {}).get("name"):
            yield event["result"]["object"]


def events(response: Json) -> list[Json]:
    """The events of a recorded stream, without comments."""
    text = "".join(chunk for _, chunk in response.get("chunks") or ())
    lines = [line.removeprefix("data: ") for line in text.split("\n")]
    return [json.loads(line) for line in lines if line.strip() and not line.startswith(":")]


class Replay:
    """One simulator, with one transcript's exchanges to come."""

    def __init__(self, transcript: str, argo: Simulator) -> None:
        self.argo = argo
        self.exchanges = exchanges(transcript)
        self.position = 0
        self.done = 0
        self.used: set[tuple[int, str]] = set()
        self.working_on = ""

    def play(self, exchange: Json) -> None:
        """Sends one exchange. Raises AssertionError where the answer differs."""
        request, wanted = exchange["request"], comparable_answer(exchange["response"])
        key = self.workflow_key(request)
        if key is not None:
            self.prepare(key, exchange)
        elif "items" in (exchange["response"].get("body") or {}):
            self.prepare_list(exchange)
        before = copy.deepcopy(self.argo.store.workflows)
        got = self.send(exchange)
        if comparable_answer(got) != wanted and key in before and self.unsettled(key):
            with self.argo.store.changed:
                self.argo.store.workflows[key] = self.unsettled(key)
            got = self.send(exchange)
        assert comparable_answer(got) == wanted
        self.done += 1
