"""The workflow lease: whoever writes to a workflow holds it, because parallel writers fail in Argo."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from dashboard.models import WorkflowLease

#: Three HTTP timeouts of the client and a little.
LENGTH = timedelta(seconds=60)
#: How long an action waits for the other writer, seconds.
PATIENCE = 5.0
_PAUSE = 0.1


class WorkflowBusy(Exception):
    """Somebody else writes to this workflow, and went on doing so."""


@dataclass(frozen=True)
class HeldLease:
    """A lease in the hand; `expires` is on the monotonic clock."""

    token: uuid.UUID
    expires: float

    def covers(self, seconds: float) -> bool:
        """Whether a call that may take this long would still be within the lease."""
        return self.expires - time.monotonic() >= seconds


@contextmanager
def held(cluster: str, *, namespace: str, workflow: str, holder: str) -> Iterator[HeldLease]:
    """Holds the workflow's lease, waiting up to PATIENCE seconds for it. Raises WorkflowBusy."""
    key = {"cluster": cluster, "namespace": namespace, "workflow": workflow}
    deadline = time.monotonic() + PATIENCE
    while (lease := _claim(key, holder)) is None:
        if time.monotonic() >= deadline:
            raise WorkflowBusy
        time.sleep(_PAUSE)
    try:
        yield lease
    finally:
        WorkflowLease.objects.filter(**key, token=lease.token).delete()


def _claim(key: dict[str, str], holder: str) -> HeldLease | None:
    now, token = timezone.now(), uuid.uuid4()
    expires = time.monotonic() + LENGTH.total_seconds()
    WorkflowLease.objects.bulk_create([WorkflowLease(**key)], ignore_conflicts=True)
    claimed = WorkflowLease.objects.filter(WorkflowLease.claimable(now, LENGTH), **key).update(
        token=token, claimed_until=now + LENGTH, holder=holder
    )
    return HeldLease(token, expires) if claimed else None
