"""How fresh the board is: what is said of each cluster, and when an open page has to be drawn anew."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from dashboard import clusters
from dashboard.models import Mirror
from dashboard.wording import at_time

#: Argo is heard at least every 15 s (its keepalive), and noted every 5 s.
STALE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How one cluster's mirror stands: live, connecting, unreachable, refused, stale or absent."""

    cluster: str
    state: str
    sentence: str
    seen_at: datetime | None
    revision: int

    @property
    def needs_attention(self) -> bool:
        return self.state not in ("live", "connecting")


def of_all_clusters() -> list[Freshness]:
    """One entry for each configured cluster; one small query."""
    mirrors = {mirror.cluster: mirror for mirror in Mirror.objects.all()}
    return [_of(name, mirrors.get(name)) for name in clusters.all()]


def version(clusters_now: list[Freshness]) -> str:
    """Changes whenever a page that shows waits would look different."""
    parts = [f"{c.cluster}:{c.revision}:{c.state}:{c.sentence}" for c in clusters_now]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def seen(clusters_now: list[Freshness]) -> dict[str, str]:
    """Cluster -> when it was last heard, for the browser."""
    return {c.cluster: c.seen_at.isoformat() for c in clusters_now if c.seen_at}


def _of(name: str, mirror: Mirror | None) -> Freshness:
    if mirror is None:
        sentence = "No watcher has looked at this Argo yet. Start one with: manage.py watch"
        return Freshness(cluster=name, state="absent", sentence=sentence, seen_at=None, revision=0)
    state, sentence = _state_and_sentence(mirror)
    return Freshness(
        cluster=name, state=state, sentence=sentence, seen_at=mirror.seen_at, revision=mirror.revision
    )


def _state_and_sentence(mirror: Mirror) -> tuple[str, str]:
    now = timezone.now()
    since = at_time(mirror.state_since) if mirror.state_since else "the start"
    if mirror.claimed_until is None or mirror.claimed_until <= now:
        last = (
            f"Argo was last heard at {at_time(mirror.seen_at)}" if mirror.seen_at else "Argo was never heard"
        )
        return "stale", f"No watcher is running. {last}; what you see may be old."
    if mirror.state == Mirror.State.UNREACHABLE:
        return "unreachable", f"Argo unreachable since {since}: {mirror.problem}"
    if mirror.state == Mirror.State.REFUSED:
        return "refused", f"Argo refuses our token since {since}: {mirror.problem}"
    if mirror.state == Mirror.State.CONNECTING:
        return "connecting", "Reading what waits from Argo for the first time."
    if mirror.seen_at is not None and now - mirror.seen_at > STALE_AFTER:
        return "stale", f"Argo was last heard at {at_time(mirror.seen_at)}; what you see may be old."
    return "live", "live"
