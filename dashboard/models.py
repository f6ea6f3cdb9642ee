from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

# The namespace of every wait's own id; changing it would break every link and audit entry.
WAIT_IDS = uuid.UUID("6f1c9d0e-6c5a-5b57-8a6e-0d4f6b1f3c11")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def wait_id(*, cluster: str, workflow_uid: str, node_id: str, started_at: datetime) -> uuid.UUID:
    """The id of one stay of a node in Running: the same for ever, also in a mirror that was rebuilt."""
    return uuid.uuid5(WAIT_IDS, "\n".join([cluster, workflow_uid, node_id, started_at.isoformat()]))


class SuppliedOutput(TypedDict):
    """An output parameter that somebody has to supply. Without choices any text will do; `default` is None
    where a value must be given."""

    name: str
    default: str | None
    choices: list[str]
    description: str


class WaitQuerySet(models.QuerySet["Wait"]):
    def waiting(self) -> WaitQuerySet:
        return self.filter(state=Wait.State.WAITING)

    def in_clusters(self, names: Collection[str]) -> WaitQuerySet:
        return self.filter(cluster__in=names)

    def matching(self, text: str) -> WaitQuerySet:
        """Whose UUID, workflow or node holds the text; case is ignored."""
        return self.filter(
            Q(uuid__icontains=text) | Q(workflow__icontains=text) | Q(node_path__icontains=text)
        )

    def of_workflows(self, cluster: str, uids: Iterable[str]) -> WaitQuerySet:
        return self.filter(cluster=cluster, workflow_uid__in=list(uids))

    def same_uuid(self, wait: Wait) -> WaitQuerySet:
        """The other open waits of this UUID, in every cluster."""
        if not wait.uuid:
            return self.none()
        return self.waiting().filter(uuid_sha256=wait.uuid_sha256).exclude(pk=wait.pk)


class Wait(models.Model):
    """One stay of a suspended node in phase Running, as the watcher last saw it. Argo is the truth."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RESUMED = "resumed"  # waiting -> resumed: the node Succeeded
        STOPPED = "stopped"  # waiting -> stopped: the node Failed or is in Error
        EXPIRED = "expired"  # waiting -> expired: Succeeded at or after its suspend.duration
        ENDED = "ended"  # waiting -> ended: its workflow ended or was deleted, or the node was reset

    class Kind(models.TextChoices):
        JOB = "job"
        GATE = "gate"

    id = models.UUIDField(primary_key=True)
    cluster = models.CharField(max_length=100)
    namespace = models.CharField(max_length=253)
    workflow = models.CharField(max_length=253)
    workflow_uid = models.CharField(max_length=100)
    node_id = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    #: The job's UUID byte for byte, up to 4 KB and more; indexes stand on its SHA-256.
    uuid = models.TextField(blank=True)
    uuid_sha256 = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=10, choices=Kind)
    #: Display names from the workflow's first level down to the node, joined by NODE_PATH_SEPARATOR.
    node_path = models.TextField()
    template = models.CharField(max_length=253, blank=True)
    #: [[name, value], ...]
    input_values = models.JSONField(default=list)
    #: list[SuppliedOutput]
    supplied_outputs = models.JSONField(default=list)
    #: when suspend.duration ends it
    deadline = models.DateTimeField(null=True)
    workflow_suspended = models.BooleanField(default=False)
    #: of the workflow as last applied; 0 when it was no number
    resource_version = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    ended_at = models.DateTimeField(null=True)
    #: the node's message in Argo: a stop's message, or "Resumed by: ..."
    message = models.TextField(blank=True)

    NODE_PATH_SEPARATOR = " › "

    objects = WaitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="wait_ended_at_stands_with_its_end",
                condition=Q(state="waiting", ended_at=None) | ~Q(state="waiting") & ~Q(ended_at=None),
            ),
            models.CheckConstraint(
                name="wait_state_is_known",
                condition=Q(state__in=["waiting", "resumed", "stopped", "expired", "ended"]),
            ),
            models.CheckConstraint(name="wait_kind_is_known", condition=Q(kind__in=["job", "gate"])),
            models.CheckConstraint(name="wait_job_has_no_gates_uuid", condition=Q(kind="job") | Q(uuid="")),
        ]
        indexes = [
            models.Index(name="wait_board_by_age", fields=["started_at", "id"], condition=Q(state="waiting")),
            models.Index(
                name="wait_board_by_workflow", fields=["workflow", "id"], condition=Q(state="waiting")
            ),
            models.Index(
                name="wait_board_by_namespace", fields=["namespace", "id"], condition=Q(state="waiting")
            ),
            models.Index(name="wait_by_workflow", fields=["cluster", "workflow_uid"]),
            models.Index(name="wait_by_uuid", fields=["uuid_sha256"]),
        ]

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.workflow}/{self.node_id}"

    def get_absolute_url(self) -> str:
        return reverse("wait", args=[self.pk])

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.node_path.split(self.NODE_PATH_SEPARATOR))

    @property
    def title(self) -> str:
        """What the wait is called: its job's UUID, for gates the node's name."""
        return self.uuid or self.path[-1]

    @property
    def is_waiting(self) -> bool:
        return self.state == self.State.WAITING

    def settle_ended(self, *, state: str, ended_at: datetime, message: str) -> bool:
        """Ends the row after an action saw the node end; False when it was no longer waiting."""
        open_row = Wait.objects.waiting().filter(pk=self.pk)
        return bool(open_row.update(state=state, ended_at=ended_at, message=message))


class Lease(models.Model):
    """Something that one process at a time may hold, until a moment. There is no reaper: a lease that ran
    out can be claimed, and so can one further ahead than its length (the clock was set back)."""

    token = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    holder = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True

    @staticmethod
    def claimable(now: datetime, length: timedelta) -> Q:
        return Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=now + length)


class Mirror(Lease):
    """How the mirror of one cluster stands, and which watcher keeps it."""

    class State(models.TextChoices):
        CONNECTING = "connecting"
        LIVE = "live"
        UNREACHABLE = "unreachable"
        REFUSED = "refused"

    cluster = models.CharField(max_length=100, primary_key=True)
    state = models.CharField(max_length=20, choices=State, default=State.CONNECTING)
    #: why it is not live, in words
    problem = models.TextField(blank=True)
    state_since = models.DateTimeField(null=True)
    #: when Argo was last heard
    seen_at = models.DateTimeField(null=True)
    #: grows with every change of the waits or of the state: what a page compares before it draws anew
    revision = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="mirror_state_is_known",
                condition=Q(state__in=["connecting", "live", "unreachable", "refused"]),
            ),
        ]

    def __str__(self) -> str:
        return self.cluster

    @classmethod
    def touch(cls, cluster: str) -> None:
        """Makes every open page draw anew."""
        cls.objects.filter(cluster=cluster).update(revision=F("revision") + 1)


class WorkflowLease(Lease):
    """The right to write to one workflow: parallel writers fail in Argo."""

    cluster = models.CharField(max_length=100)
    namespace = models.CharField(max_length=253)
    workflow = models.CharField(max_length=253)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_lease_for_each_workflow", fields=["cluster", "namespace", "workflow"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.workflow}"


class AuditEntry(models.Model):
    """One line of the audit log. The database refuses UPDATE and DELETE (see audit_triggers.py)."""

    class ActorKind(models.TextChoices):
        PERSON = "person"
        CALLER = "caller"
        SYSTEM = "system"

    class Channel(models.TextChoices):
        PAGE = "page"
        API = "api"
        ARGO_API = "argo-api", "Argo-compatible API"
        DELIVERER = "deliverer"
        COMMAND = "command"
        ADMIN = "admin"

    class Stage(models.TextChoices):
        REQUESTED = "requested"  # before Argo is called; without a result it stays open for all to see
        RESULT = "result"  # what came of a requested action
        REFUSED = "refused"  # never sent: forbidden, ended meanwhile, bad input

    class Outcome(models.TextChoices):
        APPLIED = "applied"  # Argo did it
        NOT_APPLIED = "not-applied"  # Argo did not do it
        UNCLEAR = "unclear"  # nobody can say
        REFUSED = "refused"

    class How(models.TextChoices):
        REPLY = "reply"  # Argo's 200 to this try
        LOOK = "look"  # found done after we had sent: the author cannot be proven
        BEFORE = "before"  # done before we ever sent

    at = models.DateTimeField(default=timezone.now, editable=False)
    #: what joins "requested" and its "result"
    operation = models.UUIDField(default=uuid.uuid4, editable=False)
    stage = models.CharField(max_length=10, choices=Stage)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    #: a name as a value, so that it outlives the user's row
    actor = models.CharField(max_length=254)
    channel = models.CharField(max_length=10, choices=Channel)
    action = models.CharField(max_length=40)
    cluster = models.CharField(max_length=100, blank=True)
    namespace = models.CharField(max_length=253, blank=True)
    workflow = models.CharField(max_length=253, blank=True)
    workflow_uid = models.CharField(max_length=100, blank=True)
    node_id = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField(null=True)
    wait_id = models.UUIDField(null=True)
    uuid = models.TextField(blank=True)
    uuid_sha256 = models.CharField(max_length=64, blank=True)
    selector = models.TextField(blank=True)
    message = models.TextField(blank=True)
    #: {output parameter: value}
    parameters = models.JSONField(default=dict)
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True)
    how = models.CharField(max_length=10, choices=How, blank=True)
    #: what Argo answered, or why we refused
    answer = models.TextField(blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="audit_names_an_actor", condition=~Q(actor="") & ~Q(action="")),
            models.CheckConstraint(
                name="audit_outcome_stands_with_the_stage",
                condition=Q(stage="requested", outcome="")
                | Q(stage="refused", outcome="refused")
                | Q(stage="result", outcome__in=["applied", "not-applied", "unclear", "refused"]),
            ),
        ]
        indexes = [
            models.Index(name="audit_by_wait", fields=["wait_id", "id"]),
            models.Index(name="audit_by_operation", fields=["operation"]),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.stage}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An audit entry is never changed.")
        super().save(*args, **kwargs)
