"""The Argo that these tests walk on: a real one with `make test-live`, else the simulator."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import argo_simulator
from argo_client import ArgoClient, NotFound, Refused
from argo_simulator import Simulator
from dashboard import clusters, watcher
from dashboard.clusters import Cluster
from dashboard.environment import Environment
from dashboard.environment import clusters as configured_clusters

TEMPLATE = Path(argo_simulator.__file__).parent / "external-job-template.yaml"


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.live)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "simulated":
        with Simulator() as simulator:
            yield Cluster(name="live", server_url=simulator.url, namespaces=("argo",))
        return
    [found] = configured_clusters(Environment(os.environ)) or pytest.fail(
        "make test-live needs ARGO_SERVER, ARGO_TOKEN and ARGO_NAMESPACE"
    )
    yield found


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespaces[0] if cluster.namespaces else "argo"


@pytest.fixture
def argo(cluster: Cluster, settings: Any) -> Iterator[ArgoClient]:
    """A client of that Argo, and Waitdesk configured for it."""
    settings.WAITDESK_CLUSTERS = (cluster,)
    clusters.forget_clients()
    yield clusters.client(cluster.name)
    clusters.forget_clients()


@pytest.fixture
def template(argo: ArgoClient, namespace: str) -> Iterator[str]:
    """The documented template, under a name of its own, gone afterwards."""
    manifest = yaml.safe_load(TEMPLATE.read_text())
    name = f"waitdesk-live-{uuid.uuid4().hex[:8]}"
    manifest["metadata"] |= {"name": name, "namespace": namespace}
    argo.create_workflow_template(namespace, manifest)
    yield name
    argo.delete_workflow_template(namespace, name)


@pytest.fixture
def started(argo: ArgoClient, namespace: str) -> Iterator[list[str]]:
    """Workflows that a test started; they are deleted afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        try:
            argo.delete_workflow(namespace, name)
        except (NotFound, Refused):
            continue


@pytest.fixture
def watched(argo: ArgoClient, transactional_db: None) -> Iterator[None]:
    """A watcher that keeps the mirror of that Argo."""
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run_watcher, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()
