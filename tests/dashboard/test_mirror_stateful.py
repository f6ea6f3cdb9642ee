"""Whatever happens to workflows and to the wire, the mirror equals Argo in the end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from argo_client import ArgoClient, ArgoError, NodePhase, NodeSelector
from argo_simulator import Fault, Simulator
from dashboard import clusters, watcher
from dashboard.clusters import Cluster
from dashboard.models import Mirror, Wait, wait_id
from tests.dashboard.conftest import TEMPLATE, eventually, gate_template, suspend_template
from tests.dashboard.test_stop import FAN_OUT

WIRE_FAULTS = [
    Fault.REFUSE, Fault.ERROR_5XX, Fault.UNKNOWN_TEXT, Fault.HTML, Fault.DROP_BEFORE, Fault.TRUNCATE,
    Fault.END_STREAM, Fault.BREAK_STREAM, Fault.TOO_OLD, Fault.STATUS,
]  # fmt: skip
UUIDS = ["a", "b", "a,b=c\\d", "=x", "", "ü/ß %"]
#: What a retry restarts; the first lets every wait begin anew on its old node, with its old UUID.
SELECTORS = ["displayName=wait-completion", "displayName=trigger-job", "phase=Failed", "displayName=approve"]

#: Picks one of what is there at that moment. A number, because what is there depends on the clock, and what
#: Hypothesis draws must not.
WHICH = st.integers(0, 999)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        Wait.objects.all().delete()
        Mirror.objects.all().delete()
        self.argo = Simulator().__enter__()
        for template in (
            yaml.safe_load(TEMPLATE.read_text()),
            FAN_OUT,
            suspend_template("short", duration="1"),
        ):
            self.argo.create_template(template)
        self.argo.create_template(gate_template(approve={"default": "NO"}))
        self.listening = True
        self.started = 0
        self.client = ArgoClient(self.argo.url)
        self.settings = override_settings(WAITDESK_CLUSTERS=(Cluster(name="c", server_url=self.argo.url),))
        self.settings.enable()
        clusters.forget_clients()
        self.stop = threading.Event()
        keeper = watcher.ClusterWatcher(clusters.get("c"), self.stop)
        self.thread = threading.Thread(target=keeper.run)

    @initialize()
    def begin(self) -> None:
        self.thread.start()

    @rule(template=st.sampled_from(["external-job-template", "fan-out", "release-gate", "short"]),
          uuid=st.sampled_from(UUIDS))  # fmt: skip
    def submit(self, template: str, uuid: str) -> None:
        parameters = {"job-cmd": f"UUID={uuid}"} if template == "external-job-template" else {}
        self.started += 1
        self.argo.submit(template, name=f"w{self.started:03}", parameters=parameters)

    @rule(which=WHICH, verb=st.sampled_from(["resume", "stop", "error"]))
    def end_a_wait(self, which: int, verb: str) -> None:
        open_now = sorted(self.expected())
        if not open_now:
            return
        name, node_id, _ = open_now[which % len(open_now)]
        selector = NodeSelector.of(node_id=node_id)
        if verb == "resume":
            self.call(self.client.resume_node, "argo", name, selector=selector)
        elif verb == "stop":
            self.call(self.client.stop_node, "argo", name, selector=selector, message="no")
        else:
            self.call(
                self.client.set_node, "argo", name, selector=selector, outputs={}, phase=NodePhase.ERROR
            )

    @rule(which=WHICH, selector=st.sampled_from(SELECTORS))
    def retry(self, which: int, selector: str) -> None:
        phases = {name: workflow["status"].get("phase") for name, workflow in self.by_name().items()}
        finished = sorted(name for name, phase in phases.items() if phase in ("Failed", "Error"))
        if finished:
            name = finished[which % len(finished)]
            chosen = NodeSelector.parse(selector)
            self.call(self.client.retry_workflow, "argo", name, restart_successful=True, selector=chosen)

    @rule(which=WHICH, verb=st.sampled_from(
        ["stop_workflow", "terminate_workflow", "suspend_workflow", "resume_workflow", "delete_workflow"]
    ))  # fmt: skip
    def whole_workflow(self, which: int, verb: str) -> None:
        if names := sorted(self.by_name()):
            self.call(getattr(self.client, verb), "argo", names[which % len(names)])

    @rule(fault=st.sampled_from(WIRE_FAULTS), times=st.integers(1, 3))
    def break_the_wire(self, fault: Fault, times: int) -> None:
        self.argo.faults.add(fault, method="GET", times=times)

    @precondition(lambda self: self.listening)
    @rule()
    def go_away(self) -> None:
        self.argo.stop_listening()
        self.listening = False

    @precondition(lambda self: not self.listening)
    @rule()
    def come_back(self) -> None:
        self.argo.start_listening()
        self.listening = True

    @rule()
    def forget_versions(self) -> None:
        self.argo.forget_versions()

    @rule(packing=st.sampled_from([None, "compressed", "offloaded"]))
    def pack(self, packing: Any) -> None:
        self.argo.packing = packing

    @rule()
    def the_mirror_equals_argo(self) -> None:
        if not self.listening:
            self.come_back()
        self.argo.faults.clear()
        eventually(lambda: self.mirrored() == self.expected(), seconds=20)
        self.check_ends()

    def teardown(self) -> None:
        try:
            if self.thread.is_alive():
                self.the_mirror_equals_argo()
        finally:
            self.stop.set()
            self.client.close()
            if self.thread.is_alive():
                self.thread.join()
            self.argo.__exit__()
            clusters.forget_clients()
            self.settings.disable()

    def call(self, method: Any, *args: Any, **options: Any) -> None:
        """A call by somebody else, which may well be refused or fail."""
        try:
            method(*args, **options)
        except ArgoError:
            return

    def by_name(self) -> dict[str, Any]:
        return {w["metadata"]["name"]: w for w in self.argo.workflows()}

    def expected(self) -> set[tuple[str, str, str]]:
        """Workflow, node and start of everything that waits in Argo, from one look."""
        return {
            (name, node["id"], node["startedAt"])
            for name, workflow in self.by_name().items()
            for node in workflow["status"].get("nodes", {}).values()
            if node["type"] == "Suspend" and node["phase"] == "Running"
            and workflow["status"].get("phase") not in ("Succeeded", "Failed", "Error")
        }  # fmt: skip

    def mirrored(self) -> set[tuple[str, str, str]]:
        return {
            (wait.workflow, wait.node_id, wait.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
            for wait in Wait.objects.waiting()
        }

    def check_ends(self) -> None:
        """An ended row says what its node says, and every id is the one of its identity."""
        workflows = {w["metadata"]["uid"]: w for w in self.argo.workflows()}
        for wait in Wait.objects.exclude(state="waiting"):
            assert wait.pk == wait_id(
                cluster="c", workflow_uid=wait.workflow_uid, node_id=wait.node_id, started_at=wait.started_at
            )
            nodes = workflows.get(wait.workflow_uid, {}).get("status", {}).get("nodes", {})
            node = nodes.get(wait.node_id)
            if node and node["startedAt"] == wait.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"):
                allowed = {"Succeeded": ("resumed", "expired"), "Failed": ("stopped",), "Error": ("stopped",)}
                assert wait.state in (*allowed[node["phase"]], "ended")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("examples", "steps"), [(25, 20), pytest.param(80, 40, marks=pytest.mark.marathon)])
@pytest.mark.timeout(1800)
def test_whatever_happens_the_mirror_equals_argo_in_the_end(
    monkeypatch: pytest.MonkeyPatch, examples: int, steps: int
) -> None:
    monkeypatch.setattr(watcher, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(watcher, "_LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(watcher, "_STREAM_PAUSE", 0.01)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
    connection.close()
