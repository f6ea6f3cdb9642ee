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
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

import argo_simulator
from argo_simulator import Simulator
from argo_simulator.controller import run_command
from tests.contract import exchanges

TEMPLATE = yaml.safe_load(Path(argo_simulator.__file__).with_name("external-job-template.yaml").read_text())
LABEL = "workflows.argoproj.io/"
NODE_MEMBERS = (
    "type", "phase", "displayName", "name", "templateName", "templateRef", "templateScope", "message",
    "inputs", "outputs", "boundaryID", "children",
)  # fmt: skip
#: What T07's workflow with a duration was made of; the transcript shows only its nodes.
MANIFESTS: dict[str, Any] = {
    "se-duration": {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "wait", "template": "wait"}]]},
            {
                "name": "wait",
                "suspend": {"duration": "1"},
                "outputs": {"parameters": [{"name": "a", "valueFrom": {"default": "dflt", "supplied": {}}}]},
            },
        ],
    }
}

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
    if node.get("type") == "DAG" and shown["children"]:
        # Which of a DAG's first tasks stands first is the chance of a Go map.
        shown["children"] = sorted(shown["children"])
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
    if "chunks" in response:
        return response["status"], [without_versions(event) for event in events(response)]
    if response["status"] != 200 or not isinstance(body, dict):
        text = response.get("text") or ""
        return response["status"], body if body is not None else "<html>" if text.startswith(
            ("<!doctype", "<html")
        ) else text
    if "items" in body:
        metadata = {k: v for k, v in (body.get("metadata") or {}).items() if k != "resourceVersion"}
        return 200, metadata, [comparable(item) for item in body["items"] or ()]
    return (200, comparable(body)) if is_workflow(body) else (200, body)


def without_versions(event: Json) -> Json:
    return json.loads(re.sub(r"version: \d+ \(\d+\)", "version", json.dumps(event)))


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
        self.used: set[tuple[str, str]] = set()
        self.versions: dict[str, int] = {}
        self.clock = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.key = ("", "")

    # What the simulator asks

    def now(self) -> datetime:
        return self.clock

    def run_job(self, command: str) -> str:
        """What the recorded container printed: commands that speak for themselves, else by its node."""
        if command.startswith(("echo ", "printf ")) or "UUID=" in command or "FAIL" in command:
            return run_command(command)
        for workflow in self.to_come(self.key):
            pods = [node for node in nodes_of(workflow).values() if node.get("type") == "Pod"]
            for pod in sorted(pods, key=lambda pod: pod["name"]):
                result = str((pod.get("outputs") or {}).get("result", ""))
                known, inputs = (pod["id"], result), (pod.get("inputs") or {}).get("parameters")
                if known in self.used or command not in [p.get("value") for p in inputs or ()]:
                    continue
                if pod.get("phase") == "Succeeded":
                    self.used.add(known)
                    return result
        return run_command(command)

    # What was recorded

    def to_come(self, key: tuple[str, str]) -> Iterator[Json]:
        """A workflow as this exchange and later ones show it."""
        for exchange in self.exchanges[self.position :]:
            body = exchange["response"].get("body")
            if (
                key_of(exchange["request"]) == key
                and isinstance(body, dict)
                and "nodes" in body.get("status", {})
            ):
                yield body
                continue
            for workflow in shown_workflows(exchange["response"]):
                namespace = workflow["metadata"].get("namespace") or namespace_of(exchange["request"])
                if (namespace, workflow["metadata"]["name"]) == key:
                    yield workflow

    def manifest(self, key: tuple[str, str]) -> Json:
        """A workflow that was submitted without a record, as far as later exchanges show it."""
        shown = list(self.to_come(key))
        whole = next(
            (
                w
                for w in shown
                if "templates" in (w.get("spec") or {}) or "workflowTemplateRef" in (w.get("spec") or {})
            ),
            {},
        )
        spec = copy.deepcopy(whole.get("spec")) or MANIFESTS.get(key[1]) or DOCUMENTED
        spec.pop("shutdown", None)
        if nodes_of(whole):
            spec.pop("suspend", None)
        labels = (whole.get("metadata") or {}).get("labels") or {"suite": "contract"}
        own = {name: value for name, value in labels.items() if not name.startswith(LABEL)}
        return {"metadata": {"name": key[1], "labels": own}, "spec": spec}

    # Playing

    def play(self, position: int) -> None:
        """Sends one exchange. Raises AssertionError where no timing of the controller gives its answer."""
        self.position, exchange = position, self.exchanges[position]
        self.clock += timedelta(seconds=1)
        self.key = key_of(exchange["request"])
        wanted = comparable_answer(exchange["response"])
        first = None
        before, used = copy.deepcopy(self.argo.store.workflows), set(self.used)
        modes = (self.settle, self.leave, self.pass_once)
        if exchange["response"].get("status") != 200:
            modes = (self.leave, self.settle, self.pass_once)
        for prepare in modes:
            self.go_back(before)
            self.used = set(used)
            prepare(exchange)
            got = comparable_answer(self.send(exchange))
            if got == wanted:
                return
            first = first or got
            self.first = first
        assert first == wanted

    def load(self, exchange: Json) -> None:
        """Puts the recorded workflow in place of what the simulator's controller made of it."""
        shown = copy.deepcopy(exchange["response"]["body"])
        made = self.argo.workflow(*key_of(exchange["request"]))
        metadata = made["metadata"] | shown["metadata"]
        self.argo.load({**made, **shown, "metadata": metadata, "spec": made["spec"]})

    def go_back(self, before: dict[tuple[str, str], Json]) -> None:
        for key, workflow in before.items():
            if self.argo.store.workflows.get(key) != workflow:
                self.argo.load(workflow)

    def leave(self, exchange: Json) -> None:
        self.create_missing(exchange)

    def pass_once(self, exchange: Json) -> None:
        self.create_missing(exchange)
        for key in self.shown_keys(exchange):
            self.key = key
            self.argo.run_controller(only=key)

    def settle(self, exchange: Json) -> None:
        """Does what the recorder did meanwhile, until the controller has nothing more to do."""
        self.create_missing(exchange)
        method, path = exchange["request"]["method"], exchange["request"]["path"]
        for key in self.shown_keys(exchange):
            self.key = key
            shown = next(self.to_come(key), {})
            retry = method == "PUT" and path.endswith("/retry") and exchange["response"].get("status") == 200
            if method == "GET" or retry:
                self.catch_up(key, shown, retry=retry)
            self.run_to_rest(key)

    def shown_keys(self, exchange: Json) -> list[tuple[str, str]]:
        return [key for key in self.named_keys(exchange) if key in self.argo.store.workflows]

    def create_missing(self, exchange: Json) -> None:
        """Submits what the recorder submitted without a record, and deletes what is gone."""
        own, response = key_of(exchange["request"]), exchange["response"]
        if response.get("status") == 404 and own in self.argo.store.workflows:
            self.argo.delete(*own)
        if exchange["request"]["method"] == "POST" and response.get("status") == 200:
            manifest = (exchange["request"].get("body") or {}).get("workflow") or {}
            again = namespace_of(exchange["request"]), manifest.get("metadata", {}).get("name")
            if again in self.argo.store.workflows:
                self.argo.delete(*again)
        if exchange["request"]["method"] == "POST" or response.get("status") in (None, 404, 501):
            return
        for key in reversed(self.named_keys(exchange)):
            if key not in self.argo.store.workflows and re.fullmatch(r"[a-z0-9-]+", key[1]):
                self.create(key)

    def named_keys(self, exchange: Json) -> list[tuple[str, str]]:
        request, response = exchange["request"], exchange["response"]
        if "/workflow-templates/" in request["path"]:
            return []
        shown = [self.key_shown(workflow, request) for workflow in shown_workflows(response)]
        return list(dict.fromkeys([key_of(request), *shown]))

    def key_shown(self, workflow: Json, request: Json) -> tuple[str, str]:
        return workflow["metadata"].get("namespace") or namespace_of(request), workflow["metadata"]["name"]

    def create(self, key: tuple[str, str]) -> None:
        body = {"workflow": self.manifest(key)}
        status, _ = self.call("POST", f"/api/v1/workflows/{key[0]}", body=body)
        assert status == 200, key
        self.clock += timedelta(seconds=1)
        self.key = key
        self.run_to_rest(key)

    def run_to_rest(self, key: tuple[str, str]) -> None:
        for _ in range(20):
            before = copy.deepcopy(self.argo.store.workflows.get(key))
            self.argo.run_controller(only=key)
            if self.argo.store.workflows.get(key) == before:
                return

    # What people did to the waits

    def catch_up(self, key: tuple[str, str], shown: Json, *, retry: bool) -> None:
        """Ends waits until those that still wait are those that the recorded workflow shows waiting."""
        nodes, labels = nodes_of(shown), (shown.get("metadata") or {}).get("labels") or {}
        for _ in range(20):
            self.run_to_rest(key)
            waiting = [n for n in nodes_of(self.argo.workflow(*key)).values() if is_waiting(n)]
            ended = [nodes[n["id"]] for n in waiting if (nodes.get(n["id"]) or {}).get("finishedAt")]
            # The action that left its label was the last one.
            last = {"Resume": "Succeeded", "Stop": "Failed"}.get(labels.get(LABEL + "action", ""))
            ended.sort(key=lambda node: (node["phase"] == last, node["finishedAt"]))
            if not ended and retry:
                ended = [{**node, "phase": "Failed", "message": "stopped"} for node in waiting]
            if not ended:
                return
            self.end(
                key, ended[0], known="Resumed by" in ended[0].get("message", "") or LABEL + "actor" in labels
            )

    def end(self, key: tuple[str, str], node: Json, *, known: bool) -> None:
        """Ends a wait as its message tells that it was ended; `known`: Argo knew who did it."""
        message, selector = node.get("message") or "", {"nodeFieldSelector": f"id={node['id']}"}
        given = [p for p in (node.get("outputs") or {}).get("parameters") or () if "value" in p]
        outputs = {"outputParameters": json.dumps({p["name"]: p["value"] for p in given})} if given else {}
        if stopped := re.fullmatch(r"Stopped with strategy '(\w+)'", message):
            self.write(key, stopped[1].lower(), {}, known=known)
        elif given and node["phase"] == "Succeeded" and not message:
            self.clock += timedelta(hours=1)
        elif given or node["phase"] == "Error":
            ending = {"phase": node["phase"], "message": message}
            self.write(key, "set", selector | ending | outputs, known=known)
        elif node["phase"] == "Failed":
            self.write(key, "stop", selector | {"message": message}, known=known)
        else:
            self.write(key, "resume", selector, known="Resumed by" in message)

    def write(self, key: tuple[str, str], verb: str, body: Json, *, known: bool) -> None:
        self.argo.auth_mode = "server" if known else "client"
        headers = {"Authorization": "Bearer admin-token"}
        self.call("PUT", f"/api/v1/workflows/{key[0]}/{key[1]}/{verb}", body=body, headers=headers)
        self.argo.auth_mode = "server"

    # HTTP

    def send(self, exchange: Json) -> Json:
        request = exchange["request"]
        query = urlencode(request.get("query") or {})
        path = request["path"] + (f"?{query}" if query else "")
        self.argo.auth_mode = "client" if exchange["server"] == "client" else "server"
        status, raw = self.call(
            request["method"], path, body=request.get("body"), headers=request.get("headers")
        )
        self.argo.auth_mode = "server"
        if "chunks" in exchange["response"]:
            return {"status": status, "chunks": [[0, raw.decode()]]}
        try:
            return {"status": status, "body": json.loads(raw)}
        except ValueError:
            return {"status": status, "text": raw.decode()}

    def call(
        self, method: str, path: str, *, body: Any = None, headers: Json | None = None
    ) -> tuple[int, bytes]:
        content = (
            body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        )
        host = self.argo.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=3)
        try:
            connection.putrequest(method, path)
            for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
                connection.putheader(name, value)
            connection.endheaders(content)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


DOCUMENTED = {
    "workflowTemplateRef": {"name": "external-job-template"},
    "arguments": {"parameters": [{"name": "job-cmd", "value": "curl http://jobs"}]},
}


def is_waiting(node: Json) -> bool:
    return node["type"] == "Suspend" and node["phase"] == "Running"


def namespace_of(request: Json) -> str:
    parts = request["path"].split("/")
    return parts[4] if len(parts) > 4 else ""


def key_of(request: Json) -> tuple[str, str]:
    """The workflow that a call names; an empty name for a call that names none."""
    parts = request["path"].split("/")
    if parts[3:4] != ["workflows"] or len(parts) < 6 or parts[5] == "submit":
        return namespace_of(request), ""
    return parts[4], parts[5]
