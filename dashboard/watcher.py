"""The watcher: keeps the mirror of one cluster equal to Argo.

A reader for each namespace takes a base (a list in pages), follows the event stream from the base's
version, and takes a new base when the stream breaks, the version is too old or runs backwards, and every
few minutes to heal. One writer puts what they saw into the database, in batches, under the mirror's lease.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from argo_client import (
    ArgoClient,
    ArgoError,
    Forbidden,
    NotFound,
    ResourceVersionTooOld,
    Unauthorized,
    WatchEvent,
    WatchEventType,
    Workflow,
    WorkflowStream,
)
from dashboard import clusters, mirror
from dashboard.clusters import Cluster
from dashboard.mirror import Gone, LeaseLost, Seen
from dashboard.models import Mirror, Wait

logger = logging.getLogger(__name__)
_random = random.SystemRandom()

#: Everything but finished workflows; a new or retried one carries no such label yet.
UNFINISHED = "workflows.argoproj.io/completed!=true"
PAGE_SIZE = 500
BATCH_SIZE = 500
#: A batch is written this many seconds after its first item at the latest.
BATCH_SECONDS = 0.1
RENEW_SECONDS = 5.0
#: A second pass over the pages finds what slipped through between two of them; more passes than this do not.
MOST_PASSES = 3
_QUEUE_LENGTH = 4 * BATCH_SIZE
_FIRST_PAUSE, _LONGEST_PAUSE, _STREAM_PAUSE = 0.5, 15.0, 0.2


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a reader stands with Argo."""

    state: Mirror.State
    problem: str = ""


@dataclass
class _Reader:
    """Follows one namespace ("" is all of them) and hands on what it sees."""

    client: ArgoClient
    cluster: str
    namespace: str
    out: queue.Queue[Seen | Gone]
    stop: threading.Event = field(default_factory=threading.Event)
    standing: Standing = field(default_factory=lambda: Standing(state=Mirror.State.CONNECTING))
    seen_at: datetime | None = None
    _version: str = ""
    _stream: WorkflowStream | None = None

    def run(self) -> None:
        pause = _FIRST_PAUSE
        while not self.stop.is_set():
            try:
                self._follow()
                pause = _FIRST_PAUSE
            except ArgoError as error:
                self.standing = _standing_after(error)
                logger.warning("cluster %s, namespace %r: %s", self.cluster, self.namespace, error)
                self.stop.wait(pause * _random.uniform(0.8, 1.2))
                pause = min(pause * 2, _LONGEST_PAUSE)
            except DatabaseError:
                logger.exception("cluster %s: the database does not answer", self.cluster)
                close_old_connections()
                self.stop.wait(_FIRST_PAUSE)
        connection.close()

    def _follow(self) -> None:
        """One base, and the stream from it until it is time to heal. Raises ArgoError."""
        heal_at = time.monotonic() + settings.WAITDESK_HEAL_SECONDS
        uids = self.take_base()
        self._wait_until_written()
        self.look_at_the_missing(uids)
        while not self.stop.is_set() and time.monotonic() < heal_at:
            try:
                self._follow_stream(heal_at)
            except ResourceVersionTooOld:
                return
            except _Backwards:
                logger.warning("cluster %s: resource versions run backwards, reading anew", self.cluster)
                return

    def take_base(self) -> set[str]:
        """Reads everything unfinished; the uids that came along. Raises ArgoError."""
        uids: set[str] = set()
        version = ""
        for number in range(MOST_PASSES):
            pages, found = 0, 0
            for page in self.client.iter_workflows(
                self.namespace, label_selector=UNFINISHED, page_size=PAGE_SIZE
            ):
                self._heard()
                pages += 1
                version = version or page.resource_version
                found += len({workflow.uid for workflow in page.items} - uids)
                for workflow in page.items:
                    self._take(workflow, current=True)
                    uids.add(workflow.uid)
            if pages <= 1 or (number > 0 and not found):
                break
        self._version = version
        self.standing = Standing(state=Mirror.State.LIVE)
        return uids

    def look_at_the_missing(self, uids: set[str]) -> None:
        """Looks at each open wait whose workflow the base lacks: pages are offsets and shift while workflows
        end, so it may well exist. Raises ArgoError."""
        waits = Wait.objects.waiting().filter(cluster=self.cluster)
        if self.namespace:
            waits = waits.filter(namespace=self.namespace)
        known = waits.values_list("namespace", "workflow", "workflow_uid").distinct()
        for namespace, name, uid in list(known):
            if uid not in uids and not self.stop.is_set():
                self._look(namespace, name, uid)

    def _look(self, namespace: str, name: str, uid: str) -> None:
        try:
            workflow = self.client.get_workflow(namespace, name)
        except NotFound:
            self._put(Gone(namespace=namespace, workflow_uid=uid))
            return
        except Forbidden as error:
            logger.warning("cluster %s: cannot look at %s/%s: %s", self.cluster, namespace, name, error)
            return
        self._put(Seen(workflow=workflow))
        if workflow.uid != uid:
            self._put(Gone(namespace=namespace, workflow_uid=uid))

    def _take(self, workflow: Workflow, *, current: bool) -> None:
        """Hands on a workflow; one that came without its nodes is looked at first."""
        if workflow.nodes_complete:
            self._put(Seen(workflow=workflow, current=current))
        else:
            self._look(workflow.namespace, workflow.name, workflow.uid)

    def _follow_stream(self, heal_at: float) -> None:
        with self.client.watch_workflows(self.namespace, resource_version=self._version) as self._stream:
            for event in self._stream:
                self._heard()
                if isinstance(event, WatchEvent):
                    self._take_event(event)
                if self.stop.is_set() or time.monotonic() >= heal_at:
                    return
        # Kubernetes ends a watch now and then; a server that ends each at once must not be hammered.
        self.stop.wait(_STREAM_PAUSE)

    def end(self) -> None:
        """Makes `run` return soon; called from another thread."""
        self.stop.set()
        if self._stream is not None:
            self._stream.close()

    def _take_event(self, event: WatchEvent) -> None:
        self._advance(event.resource_version)
        if event.workflow is None:
            return
        if event.type == WatchEventType.DELETED:
            self._take_deletion(event.workflow)
        else:
            self._take(event.workflow, current=False)

    def _take_deletion(self, workflow: Workflow) -> None:
        """The event shows the last state that matched, and a filter in between may have made it of a
        workflow that exists; only a look tells."""
        known = Wait.objects.waiting().of_workflows(self.cluster, [workflow.uid])
        self._put(Seen(workflow=workflow, current=False))
        if known.exists() or workflow.waiting_nodes:
            self._look(workflow.namespace, workflow.name, workflow.uid)

    def _advance(self, version: str) -> None:
        if version.isdecimal() and self._version.isdecimal() and int(version) < int(self._version):
            raise _Backwards
        self._version = version or self._version

    def _put(self, observation: Seen | Gone) -> None:
        while not self.stop.is_set():
            try:
                self.out.put(observation, timeout=1)
            except queue.Full:
                continue
            return

    def _wait_until_written(self) -> None:
        """What was seen before the base may open a wait whose end nobody will tell any more, so it has to
        stand in the database before the missing are looked for."""
        while self.out.unfinished_tasks and not self.stop.is_set():
            self.stop.wait(BATCH_SECONDS / 4)

    def _heard(self) -> None:
        self.seen_at = timezone.now()


class _Backwards(Exception):
    """The stream's versions went down: the cluster was restored from a backup."""


def _standing_after(error: ArgoError) -> Standing:
    refused = isinstance(error, Unauthorized | Forbidden)
    return Standing(state=Mirror.State.REFUSED if refused else Mirror.State.UNREACHABLE, problem=str(error))


@dataclass
class ClusterWatcher:
    """Keeps one cluster's mirror while it holds the lease, and stands by while another does."""

    cluster: Cluster
    stop: threading.Event
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def run(self) -> None:
        """Until `stop` is set."""
        while not self.stop.is_set():
            try:
                token = mirror.claim(self.cluster.name, holder=self.holder)
                if token is None:
                    self.stop.wait(RENEW_SECONDS / 2)
                    continue
                self._keep(token)
            except LeaseLost:
                logger.warning("cluster %s: another watcher took over", self.cluster.name)
            except DatabaseError:
                logger.exception("cluster %s: the database does not answer", self.cluster.name)
                close_old_connections()
                self.stop.wait(1)
        connection.close()

    def _keep(self, token: uuid.UUID) -> None:
        """Reads and writes until stopped. Raises LeaseLost, DatabaseError."""
        seen: queue.Queue[Seen | Gone] = queue.Queue(maxsize=_QUEUE_LENGTH)
        client = clusters.client(self.cluster.name)
        readers = [
            _Reader(client, self.cluster.name, namespace, seen)
            for namespace in self.cluster.namespaces or ("",)
        ]
        if self.cluster.namespaces:
            mirror.forget_namespaces_but(self.cluster.name, token, self.cluster.namespaces)
        threads = [threading.Thread(target=reader.run, daemon=True) for reader in readers]
        for thread in threads:
            thread.start()
        try:
            self._write(token, readers, seen)
        finally:
            for reader in readers:
                reader.end()
            mirror.release(self.cluster.name, token)

    def _write(self, token: uuid.UUID, readers: list[_Reader], seen: queue.Queue[Seen | Gone]) -> None:
        renew_at = 0.0
        noted: Standing | None = None
        while not self.stop.is_set():
            batch = list(_batch(seen))
            mirror.apply(self.cluster.name, token, batch)
            for _ in batch:
                seen.task_done()
            standing = _worst([reader.standing for reader in readers])
            if standing != noted and not (standing.state == Mirror.State.LIVE and not seen.empty()):
                mirror.note_state(self.cluster.name, token, state=standing.state, problem=standing.problem)
                noted = standing
            if time.monotonic() >= renew_at:
                mirror.renew(self.cluster.name, token, seen_at=_oldest(readers))
                renew_at = time.monotonic() + RENEW_SECONDS


def read_once(cluster: Cluster) -> None:
    """Takes one base of every namespace and writes it. Raises ArgoError, LeaseLost."""
    token = mirror.claim(cluster.name, holder="read once")
    if token is None:
        raise LeaseLost
    seen: queue.Queue[Seen | Gone] = queue.Queue()
    for namespace in cluster.namespaces or ("",):
        reader = _Reader(clusters.client(cluster.name), cluster.name, namespace, seen)
        uids = reader.take_base()
        mirror.apply(cluster.name, token, _all_of(seen))
        reader.look_at_the_missing(uids)
        mirror.apply(cluster.name, token, _all_of(seen))
    mirror.note_state(cluster.name, token, state=Mirror.State.LIVE, problem="")
    mirror.renew(cluster.name, token, seen_at=timezone.now())
    mirror.release(cluster.name, token)


def run_watcher(stop: threading.Event) -> None:
    """Watches every configured cluster until `stop` is set; one that is down affects no other."""
    watchers = [ClusterWatcher(cluster, stop) for cluster in clusters.all().values()]
    threads = [threading.Thread(target=watcher.run) for watcher in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _all_of(seen: queue.Queue[Seen | Gone]) -> list[Seen | Gone]:
    return [seen.get_nowait() for _ in range(seen.qsize())]


def _batch(seen: queue.Queue[Seen | Gone]) -> Iterator[Seen | Gone]:
    """What came within BATCH_SECONDS of the first item, at most BATCH_SIZE of it."""
    try:
        yield seen.get(timeout=0.5)
    except queue.Empty:
        return
    deadline = time.monotonic() + BATCH_SECONDS
    for _ in range(BATCH_SIZE - 1):
        try:
            yield seen.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return


def _worst(standings: list[Standing]) -> Standing:
    order = [Mirror.State.REFUSED, Mirror.State.UNREACHABLE, Mirror.State.CONNECTING, Mirror.State.LIVE]
    return min(standings, key=lambda standing: order.index(standing.state))


def _oldest(readers: list[_Reader]) -> datetime | None:
    heard = [reader.seen_at for reader in readers]
    return min((at for at in heard if at is not None), default=None) if all(heard) else None
