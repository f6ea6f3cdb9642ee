"""The Argo servers that Waitdesk works with, and a client for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from argo_client import ArgoClient, TokenSource


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One Argo server. `namespaces`: those that are watched, none of them named is all."""

    name: str
    server_url: str
    token: TokenSource | None = None
    namespaces: tuple[str, ...] = ()
    ca_file: str | None = None
    verify: bool = True
    base_href: str = ""


_clients: dict[tuple[int, Cluster], ArgoClient] = {}


def all() -> Mapping[str, Cluster]:  # noqa: A001
    from django.conf import settings

    return {cluster.name: cluster for cluster in settings.WAITDESK_CLUSTERS}


def get(name: str) -> Cluster:
    """Raises KeyError for a cluster that is not configured."""
    return all()[name]


def client(name: str) -> ArgoClient:
    """The client of a cluster, one for each process: connections must not be shared over a fork."""
    cluster = get(name)
    key = (os.getpid(), cluster)
    if key not in _clients:
        _clients[key] = ArgoClient(
            cluster.server_url,
            token=cluster.token,
            base_href=cluster.base_href,
            ca_file=cluster.ca_file,
            verify=cluster.verify,
        )
    return _clients[key]


def forget_clients() -> None:
    """Closes every client of this process."""
    for key in [key for key in _clients if key[0] == os.getpid()]:
        _clients.pop(key).close()
