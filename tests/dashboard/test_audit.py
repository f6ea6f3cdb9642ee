from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from dashboard import audit_triggers
from dashboard.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry() -> AuditEntry:
    return AuditEntry.objects.create(
        stage="refused",
        outcome="refused",
        actor_kind="person",
        actor="olga",
        channel="page",
        action="resume",
    )


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE dashboard_auditentry SET actor = 'nobody'",
        "DELETE FROM dashboard_auditentry",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_an_entry(entry: AuditEntry, sql: str) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert AuditEntry.objects.get().actor == "olga"


def test_the_orm_cannot_get_round_it(entry: AuditEntry) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.update(actor="nobody")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()
    entry.actor = "nobody"
    with pytest.raises(TypeError, match="never changed"):
        entry.save()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has TRUNCATE")
def test_truncate_is_refused_too(entry: AuditEntry) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("TRUNCATE dashboard_auditentry")


def test_nothing_starts_without_a_trigger_until_it_is_put_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit_triggers.missing(connection) == set()
    name = sorted(audit_triggers.names(connection))[0]
    on_table = f" ON {audit_triggers.TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on_table}")
    assert audit_triggers.missing(connection) == {name}
    [problem] = audit_triggers.check(databases=["default"])
    assert problem.id == "waitdesk.E001"
    assert name in problem.msg
    with pytest.raises(SystemExit):
        audit_triggers.demand()
    assert name in capsys.readouterr().err
    call_command("protect_audit_log")
    assert audit_triggers.check(databases=["default"]) == []
    audit_triggers.demand()


def test_the_check_is_silent_before_the_first_migration_and_without_a_database() -> None:
    assert audit_triggers.check(databases=None) == []


def test_an_entry_names_its_actor_and_its_outcome_fits_its_stage() -> None:
    for fields in (
        {"stage": "requested", "outcome": "applied", "actor": "olga"},
        {"stage": "result", "outcome": "", "actor": "olga"},
        {"stage": "refused", "outcome": "refused", "actor": ""},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            AuditEntry.objects.create(actor_kind="person", channel="page", action="stop", **fields)
