"""A living scene for the demo: workflows that come, wait, are reported on from outside, fail and go."""

from __future__ import annotations

import random
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from argo_client import ArgoClient, ArgoError, NodeSelector
from argo_simulator.operations import FINISHED, is_waiting, nodes_of
from argo_simulator.simulator import Simulator
from argo_simulator.store import JsonObject, stamp

NAMESPACES = ("data-prod", "finance", "platform", "research")
TEMPLATE = Path(__file__).parent / "external-job-template.yaml"
#: Finished workflows beyond this many are deleted, oldest first; so many may be unfinished.
MOST_FINISHED, MOST_OPEN = 40, 16
_BEAT = 1.0
_NEW_EVERY = (20.0, 60.0)
_JOB_LASTS = (40.0, 400.0)
_FAILURES = (
    "EMR step s-2QX9 failed: container killed by YARN for exceeding memory limits",
    "exit status 137 after 41 min: out of memory",
    "partner's batch system: input file ORDERS_0423.csv is empty",
    "quality gate: 14 of 9 612 reads below Q20, at most 10 allowed",
)
_JOBS = {
    "data-prod": ("nightly-etl", "orders-export", "clickstream"),
    "finance": ("risk-calc", "month-end", "fx-rates"),
    "research": ("genome-batch", "protein-fold"),
    "platform": ("image-scan",),
}


def steps(name: str, *groups: Any, **templates: JsonObject) -> JsonObject:
    """A workflow template of steps; `templates`: name -> what the step does."""
    others = [{"name": key.replace("_", "-"), **body} for key, body in templates.items()]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "main",
            "templates": [{"name": "main", "steps": [list(group) for group in groups]}, *others],
        },
    }


_JOB = {"name": "external-job-template", "template": "run-external-job"}
FAN_OUT = steps(
    "lane-alignment",
    [
        {
            "name": "align",
            "templateRef": _JOB,
            "arguments": {"parameters": [{"name": "job-cmd", "value": "start-job --lane {{item}}"}]},
            "withItems": ["lane-1", "lane-2", "lane-3"],
        }
    ],
    [{"name": "publish", "template": "publish"}],
    publish={"container": {"image": "alpine", "command": ["sh", "-c"], "args": ["echo published"]}},
)
RELEASE_GATE = steps(
    "release-gate",
    [{"name": "build", "template": "build"}],
    [{"name": "approval", "template": "approval"}],
    build={"container": {"image": "alpine", "command": ["sh", "-c"], "args": ["echo built"]}},
    approval={
        "inputs": {
            "parameters": [
                {
                    "name": "approve",
                    "default": "NO",
                    "enum": ["YES", "NO"],
                    "description": "May this release go to production?",
                },
                {"name": "window", "default": "tonight", "enum": ["now", "tonight", "weekend"]},
                {"name": "ticket", "default": "", "description": "The change request, such as CHG-1042."},
            ]
        },
        "outputs": {
            "parameters": [
                {"name": name, "valueFrom": {"supplied": {}}} for name in ("approve", "window", "ticket")
            ]
        },
        "suspend": {},
    },
)
CANARY = steps(
    "canary-rollout",
    [{"name": "shift-10-percent", "template": "shift"}],
    [{"name": "cool-down", "template": "cool-down"}],
    [{"name": "shift-all", "template": "shift"}],
    shift={"container": {"image": "alpine", "command": ["sh", "-c"], "args": ["echo shifted"]}},
    cool_down={"suspend": {"duration": "20m"}},
)


@dataclass
class Job:
    """A job in the stand-in for an external system; one without an end never reports."""

    uuid: str
    ends_at: datetime | None
    fails: bool


@dataclass
class ExternalSystem:
    """Starts a job for each container that asks for one, and reports its end to Argo by itself."""

    random: random.Random
    jobs: dict[str, Job] = field(default_factory=dict)

    def start(self, command: str) -> str:
        """What a container prints: the UUID of the job that it started, or what it echoes."""
        if found := re.fullmatch(r"echo (.*)", command):
            return found[1]
        lasts = timedelta(seconds=self.random.uniform(*_JOB_LASTS))
        never = "--for-ever" in command
        job = Job(
            uuid=str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            ends_at=None if never else datetime.now(UTC) + lasts,
            fails=self.random.random() < 0.25,
        )
        self.jobs[job.uuid] = job
        return job.uuid

    def due(self) -> list[Job]:
        now = datetime.now(UTC)
        return [job for job in self.jobs.values() if job.ends_at is not None and job.ends_at <= now]


class Scene:
    """The simulator with its players. `play` goes on until it is told to stop."""

    def __init__(self, *, port: int, auth_mode: Literal["server", "client"] = "server") -> None:
        self.random = random.Random()  # noqa: S311
        self.system = ExternalSystem(self.random)
        self.argo = Simulator(
            port=port, auth_mode=auth_mode, namespaces=NAMESPACES, run_job=self.system.start
        )
        self._number = self.random.randrange(100, 900)

    def __enter__(self) -> Self:
        self.argo.__enter__()
        self.client = ArgoClient(self.argo.url)
        self._set_up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self.argo.__exit__(*exception)

    def play(self, stop: threading.Event) -> None:
        next_at = 0.0
        elapsed = 0.0
        while not stop.wait(_BEAT):
            elapsed += _BEAT
            self._report()
            if elapsed >= next_at:
                self._begin_something()
                self._clear_away()
                next_at = elapsed + self.random.uniform(*_NEW_EVERY)

    def _set_up(self) -> None:
        self.argo.create_template(yaml.safe_load(TEMPLATE.read_text()))
        for template in (FAN_OUT, RELEASE_GATE, CANARY):
            self.argo.create_template(template)
        self._begin_job("finance", "month-end", command="start-job --for-ever", ago=9 * 3600 + 2460)
        self._begin("research", "lane-alignment", "genome-batch", ago=7200)
        self._begin("platform", "release-gate", "release-api", ago=3720)
        self._begin("platform", "canary-rollout", "canary", ago=182)
        for minutes in (134, 71, 38, 12, 4):
            namespace = self.random.choice([n for n in NAMESPACES if n != "platform"])
            self._begin_job(namespace, self.random.choice(_JOBS[namespace]), ago=minutes * 60)
        for namespace in ("data-prod", "finance"):
            self._fail_one(namespace)

    def _begin_something(self) -> None:
        if sum(not _finished(workflow) for workflow in self.argo.workflows()) >= MOST_OPEN:
            return
        choice = self.random.random()
        if choice < 0.7:
            namespace = self.random.choice(NAMESPACES)
            self._begin_job(namespace, self.random.choice(_JOBS[namespace]))
        elif choice < 0.8:
            self._begin("research", "lane-alignment", "genome-batch")
        elif choice < 0.9:
            self._begin("platform", "release-gate", "release-web")
        else:
            self._begin("platform", "canary-rollout", "canary")

    def _begin_job(
        self, namespace: str, prefix: str, *, command: str = "start-job --queue default", ago: float = 0
    ) -> str:
        return self._begin(
            namespace, "external-job-template", prefix, parameters={"job-cmd": command}, ago=ago
        )

    def _begin(
        self,
        namespace: str,
        template: str,
        prefix: str,
        *,
        parameters: Mapping[str, str] | None = None,
        ago: float = 0,
    ) -> str:
        """Starts a workflow; with `ago` it looks as if it had been started so many seconds before."""
        self._number += 1
        name = self.argo.submit(
            template, name=f"{prefix}-{self._number}", parameters=parameters, namespace=namespace
        )
        if ago:
            self.argo.run_controller()
            self._date_back(namespace, name, timedelta(seconds=ago))
        return name

    def _date_back(self, namespace: str, name: str, ago: timedelta) -> None:
        with self.argo.store.change(namespace, name) as workflow:
            metadata, status = workflow["metadata"], workflow["status"]
            metadata["creationTimestamp"] = _earlier(metadata["creationTimestamp"], ago)
            for thing in (status, *nodes_of(workflow).values()):
                for moment in ("startedAt", "finishedAt"):
                    if thing.get(moment):
                        thing[moment] = _earlier(thing[moment], ago)

    def _fail_one(self, namespace: str) -> None:
        name = self._begin_job(namespace, _JOBS[namespace][0], ago=1800)
        for node in nodes_of(self.argo.workflow(namespace, name)).values():
            if is_waiting(node):
                selector = NodeSelector.of(node_id=node["id"])
                self.client.stop_node(namespace, name, selector=selector, message=_FAILURES[0])

    def _report(self) -> None:
        """Jobs that have ended tell Argo so, as external systems do: by UUID, wherever it waits."""
        for job in self.system.due():
            if self._report_one(job):
                del self.system.jobs[job.uuid]

    def _report_one(self, job: Job) -> bool:
        selector = NodeSelector.of(uuid=job.uuid)
        for workflow in self.argo.workflows():
            values = [_uuid(node) for node in nodes_of(workflow).values() if is_waiting(node)]
            if job.uuid in values:
                namespace, name = workflow["metadata"]["namespace"], workflow["metadata"]["name"]
                try:
                    if job.fails:
                        said = self.random.choice(_FAILURES)
                        self.client.stop_node(namespace, name, selector=selector, message=said)
                    else:
                        self.client.resume_node(namespace, name, selector=selector)
                except ArgoError:
                    return False
        return True

    def _clear_away(self) -> None:
        finished = [w for w in self.argo.workflows() if _finished(w)]
        finished.sort(key=lambda w: str(w["status"].get("finishedAt")))
        for workflow in finished[:-MOST_FINISHED]:
            self.argo.delete(workflow["metadata"]["namespace"], workflow["metadata"]["name"])


def _finished(workflow: JsonObject) -> bool:
    return workflow.get("status", {}).get("phase") in FINISHED


def _uuid(node: JsonObject) -> str:
    parameters = (node.get("inputs") or {}).get("parameters") or []
    return next((str(p.get("value")) for p in parameters if p["name"] == "uuid"), "")


def _earlier(moment: str, ago: timedelta) -> str:
    return stamp(datetime.fromisoformat(moment) - ago)
