"""The audit log: who did what to which wait, through what, and what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboard.models import AuditEntry, Wait


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, and the way they came."""

    name: str
    kind: AuditEntry.ActorKind
    channel: AuditEntry.Channel
    address: str | None = None
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What an actor wants done to a wait. `parameters`: output parameter -> value."""

    action: str
    message: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def requested(wait: Wait, *, actor: Actor, deed: Deed, selector: str) -> uuid.UUID:
    """Writes that Argo is about to be called. Returns the operation, to be closed by `result`."""
    return _append(
        wait, actor=actor, deed=deed, selector=selector, stage=AuditEntry.Stage.REQUESTED
    ).operation


def result(
    wait: Wait,
    *,
    actor: Actor,
    deed: Deed,
    selector: str,
    operation: uuid.UUID,
    outcome: AuditEntry.Outcome,
    how: AuditEntry.How | None,
    answer: str,
) -> None:
    """Closes an operation. `answer` is what Argo said."""
    _append(
        wait,
        actor=actor,
        deed=deed,
        selector=selector,
        stage=AuditEntry.Stage.RESULT,
        operation=operation,
        outcome=outcome,
        how=how or "",
        answer=answer,
    )


def refused(wait: Wait, *, actor: Actor, deed: Deed, answer: str) -> None:
    """Writes that an action was asked for and nothing was sent."""
    _append(
        wait,
        actor=actor,
        deed=deed,
        stage=AuditEntry.Stage.REFUSED,
        outcome=AuditEntry.Outcome.REFUSED,
        answer=answer,
    )


def end_of(wait: Wait) -> AuditEntry | None:
    """The entry of whoever ended this wait through Waitdesk, if somebody did."""
    return (
        AuditEntry.objects.filter(
            wait_id=wait.pk, stage=AuditEntry.Stage.RESULT, outcome=AuditEntry.Outcome.APPLIED
        )
        .order_by("id")
        .first()
    )


def _append(
    wait: Wait,
    *,
    actor: Actor,
    deed: Deed,
    stage: AuditEntry.Stage,
    selector: str = "",
    operation: uuid.UUID | None = None,
    outcome: str = "",
    how: str = "",
    answer: str = "",
) -> AuditEntry:
    return AuditEntry.objects.create(
        operation=operation or uuid.uuid4(),
        stage=stage,
        actor_kind=actor.kind,
        actor=actor.name,
        channel=actor.channel,
        address=actor.address,
        request_id=actor.request_id,
        action=deed.action,
        message=deed.message,
        parameters=dict(deed.parameters),
        cluster=wait.cluster,
        namespace=wait.namespace,
        workflow=wait.workflow,
        workflow_uid=wait.workflow_uid,
        node_id=wait.node_id,
        started_at=wait.started_at,
        wait_id=wait.pk,
        uuid=wait.uuid,
        uuid_sha256=wait.uuid_sha256,
        selector=selector,
        outcome=outcome,
        how=how,
        answer=answer,
    )
