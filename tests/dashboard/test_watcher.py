"""The watcher over real threads and a real, breaking, Argo."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from django.db import connection
from django.utils import timezone

from argo_client import ArgoClient, NodeSelector, TokenSource
from argo_simulator import Fault, Simulator
from dashboard import clusters, mirror, watcher
from dashboard.clusters import Cluster
from dashboard.models import Mirror, Wait
from tests.dashboard.conftest import TEMPLATE, eventually, suspend_template

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start_watcher() -> Iterator[Callable[..., threading.Event]]:
    """Starts a watcher in a thread; its event ends it."""
    running: list[tuple[threading.Event, threading.Thread]] = []

    def start(holder: str = "first") -> threading.Event:
        stop = threading.Event()
        kept = [watcher.ClusterWatcher(c, stop, holder=holder) for c in clusters.all().values()]
        for keeper in kept:
            thread = threading.Thread(target=keeper.run)
            thread.start()
            running.append((stop, thread))
        return stop

    yield start
    for stop, _ in running:
        stop.set()
    for _, thread in running:
        thread.join(timeout=20)
    connection.close()


def state() -> str:
    found = Mirror.objects.filter(cluster="default").first()
    return found.state if found else ""


def waiting() -> list[str]:
    return sorted(Wait.objects.waiting().values_list("uuid", flat=True))


def test_a_wait_appears_and_goes_as_argo_says(
    argo: Simulator, start_watcher: Callable[..., threading.Event], outside: ArgoClient
) -> None:
    start_watcher()
    eventually(lambda: state() == "live")
    name = argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    eventually(lambda: waiting() == ["one"])
    outside.resume_node("argo", name, selector=NodeSelector.of(uuid="one"))
    eventually(lambda: waiting() == [])
    assert Wait.objects.get(workflow=name).state == Wait.State.RESUMED


def test_how_a_wait_ended_is_told_apart(
    argo: Simulator, start_watcher: Callable[..., threading.Event], outside: ArgoClient
) -> None:
    argo.create_template(suspend_template("short", duration="1"))
    start_watcher()
    names = {
        uuid: argo.submit("external-job-template", parameters={"job-cmd": f"UUID={uuid}"})
        for uuid in ("stopped", "deleted", "shut-down")
    }
    names["expired"] = argo.submit("short")
    eventually(lambda: Wait.objects.filter(workflow__in=names.values()).count() == 4)
    outside.stop_node("argo", names["stopped"], selector=NodeSelector.of(uuid="stopped"), message="no disk")
    outside.delete_workflow("argo", names["deleted"])
    outside.stop_workflow("argo", names["shut-down"])
    eventually(lambda: not Wait.objects.waiting().exists())
    ends = {name: Wait.objects.get(workflow=workflow) for name, workflow in names.items()}
    assert (ends["stopped"].state, ends["stopped"].message) == ("stopped", "no disk")
    assert ends["deleted"].state == "ended"
    assert ends["shut-down"].state == "stopped"
    assert ends["expired"].state == "expired"


def test_argo_away_at_the_start_is_said_and_caught_up_with(
    argo: Simulator, start_watcher: Callable[..., threading.Event]
) -> None:
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    argo.stop_listening()
    start_watcher()
    eventually(lambda: state() == "unreachable")
    assert "connection refused" in Mirror.objects.get(cluster="default").problem
    argo.start_listening()
    eventually(lambda: state() == "live" and waiting() == ["one"])


def test_what_changed_while_argo_was_away_is_seen_afterwards(
    argo: Simulator, start_watcher: Callable[..., threading.Event]
) -> None:
    kept = argo.submit("external-job-template", parameters={"job-cmd": "UUID=kept"})
    gone = argo.submit("external-job-template", parameters={"job-cmd": "UUID=gone"})
    start_watcher()
    eventually(lambda: waiting() == ["gone", "kept"])
    argo.stop_listening()
    eventually(lambda: state() == "unreachable")
    assert waiting() == ["gone", "kept"]
    argo.delete("argo", gone)
    argo.forget_versions()
    argo.start_listening()
    eventually(lambda: waiting() == ["kept"] and state() == "live")
    assert Wait.objects.get(workflow=kept).state == "waiting"


def test_a_refused_token_is_said_and_the_board_stays(
    argo: Simulator, settings: Any, start_watcher: Callable[..., threading.Event]
) -> None:
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    start_watcher()
    eventually(lambda: waiting() == ["one"])
    argo.faults.add(Fault.STATUS, status=401, times=None)
    argo.stop_listening()
    argo.start_listening()
    eventually(lambda: state() == "refused")
    assert waiting() == ["one"]
    argo.faults.clear()
    eventually(lambda: state() == "live")


def test_a_token_that_may_only_see_one_namespace_watches_that(
    settings: Any, start_watcher: Callable[..., threading.Event]
) -> None:
    with Simulator(auth_mode="client", namespaces=("argo", "team-a")) as argo:
        argo.create_template(yaml.safe_load(TEMPLATE.read_text()))
        settings.WAITDESK_CLUSTERS = (
            Cluster(
                name="default",
                server_url=argo.url,
                token=TokenSource.from_text("Bearer team-a-token"),
                namespaces=("team-a",),
            ),
        )
        for namespace in ("argo", "team-a"):
            parameters = {"job-cmd": f"UUID={namespace}"}
            argo.submit("external-job-template", parameters=parameters, namespace=namespace)
        stop = start_watcher()
        eventually(lambda: waiting() == ["team-a"])
        stop.set()
        clusters.forget_clients()


@pytest.mark.parametrize(
    "fault",
    [Fault.END_STREAM, Fault.BREAK_STREAM, Fault.TOO_OLD, Fault.HTML, Fault.ERROR_5XX, Fault.TRUNCATE],
)
def test_the_mirror_survives_every_fault_of_the_wire(
    argo: Simulator, start_watcher: Callable[..., threading.Event], fault: Fault
) -> None:
    start_watcher()
    eventually(lambda: state() == "live")
    argo.faults.add(fault, method="GET", times=3)
    for number in range(4):
        argo.submit("external-job-template", parameters={"job-cmd": f"UUID={number}"})
    eventually(lambda: waiting() == ["0", "1", "2", "3"] and state() == "live", seconds=20)


@pytest.mark.parametrize("packing", ["compressed", "offloaded"])
def test_packed_nodes_are_unpacked(
    argo: Simulator, start_watcher: Callable[..., threading.Event], packing: Any
) -> None:
    argo.packing = packing
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    start_watcher()
    eventually(lambda: waiting() == ["one"])


def test_a_cluster_restored_from_a_backup_is_read_anew(
    argo: Simulator, start_watcher: Callable[..., threading.Event]
) -> None:
    name = argo.submit("external-job-template", parameters={"job-cmd": "UUID=old"})
    start_watcher()
    eventually(lambda: waiting() == ["old"])
    argo.set_versions_back(500)
    argo.delete("argo", name)
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=new"})
    argo.stop_listening()
    argo.start_listening()
    eventually(lambda: waiting() == ["new"])


def test_of_two_watchers_one_works_and_the_other_takes_over(
    argo: Simulator, start_watcher: Callable[..., threading.Event]
) -> None:
    first = start_watcher("first")
    eventually(lambda: state() == "live")
    start_watcher("second")
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    eventually(lambda: waiting() == ["one"])
    assert Mirror.objects.get(cluster="default").holder == "first"
    first.set()
    eventually(lambda: Mirror.objects.get(cluster="default").holder == "second", seconds=20)
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=two"})
    eventually(lambda: waiting() == ["one", "two"])


def test_a_watcher_that_lost_its_lease_writes_nothing(argo: Simulator) -> None:
    old = mirror.claim("default", holder="slow")
    assert old
    Mirror.objects.update(claimed_until=timezone.now())
    new = mirror.claim("default", holder="quick")
    assert new
    with pytest.raises(mirror.LeaseLost):
        mirror.apply("default", old, [mirror.Gone(namespace="argo", workflow_uid="x")])
    with pytest.raises(mirror.LeaseLost):
        mirror.renew("default", old, seen_at=None)
    with pytest.raises(mirror.LeaseLost):
        mirror.note_state("default", old, state=Mirror.State.LIVE, problem="")
    mirror.release("default", old)
    assert Mirror.objects.get(cluster="default").token == new


def test_a_lease_of_a_dead_watcher_runs_out_and_one_from_a_clock_set_back_is_no_lease(
    argo: Simulator,
) -> None:
    assert mirror.claim("default", holder="dies")
    assert mirror.claim("default", holder="too early") is None
    for until in (timezone.now(), timezone.now() + 3 * mirror.LEASE_LENGTH):
        Mirror.objects.update(claimed_until=until)
        assert mirror.claim("default", holder="takes over")


def test_waits_in_a_namespace_that_is_no_longer_watched_leave_the_mirror(
    argo: Simulator, settings: Any, start_watcher: Callable[..., threading.Event]
) -> None:
    for namespace in ("argo", "team-a"):
        parameters = {"job-cmd": f"UUID={namespace}"}
        argo.submit("external-job-template", parameters=parameters, namespace=namespace)
    eventually(lambda: argo.store.version > 1005)
    watcher.read_once(clusters.get("default"))
    eventually(lambda: watcher.read_once(clusters.get("default")) or waiting() == ["argo", "team-a"])
    settings.WAITDESK_CLUSTERS = (Cluster(name="default", server_url=argo.url, namespaces=("team-a",)),)
    start_watcher()
    eventually(lambda: waiting() == ["team-a"])
