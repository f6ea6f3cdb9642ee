"""The triggers with which the database itself refuses to change or remove an audit entry.

Their SQL has its home here: the migration installs them, the system check looks for them, and the tests'
flush, the one that may, lifts them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

TABLE = "dashboard_auditentry"
REFUSAL = "the audit log is append-only"

_INSTALL = {
    "sqlite": {
        "audit_refuses_update": f"""
            CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON {TABLE}
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
        "audit_refuses_delete": f"""
            CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON {TABLE}
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    },
    "postgresql": {
        "audit_refuses_update": f"""
            CREATE TRIGGER audit_refuses_update BEFORE UPDATE OR DELETE ON {TABLE}
            FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()""",
        "audit_refuses_truncate": f"""
            CREATE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON {TABLE}
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()""",
    },
}
_REFUSE_FUNCTION = f"""
    CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"""
_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
    # 'O' and 'A': fires in an ordinary session; a disabled trigger counts as missing.
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgenabled IN ('O', 'A')",
}


def install(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_REFUSE_FUNCTION)
        for name in sorted(missing(connection)):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{_on_table(connection)}")
            cursor.execute(_INSTALL[connection.vendor][name])


def remove(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for name in _INSTALL[connection.vendor]:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{_on_table(connection)}")


def names(connection: BaseDatabaseWrapper) -> set[str]:
    """The triggers that the audit table has on this kind of database."""
    return set(_INSTALL[connection.vendor])


def missing(connection: BaseDatabaseWrapper) -> set[str]:
    """The names of the triggers that the database should have and has not."""
    with connection.cursor() as cursor:
        cursor.execute(_PRESENT[connection.vendor], [TABLE])
        return names(connection) - {row[0] for row in cursor.fetchall()}


@contextmanager
def lifted_for_a_test_flush(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """The one exemption: a test database that is emptied between two tests."""
    if not str(connection.settings_dict["NAME"]).rpartition("/")[2].startswith(("test_", "file:memorydb_")):
        raise DatabaseError("The audit log's triggers are lifted on a test database only.")
    remove(connection)
    try:
        yield
    finally:
        install(connection)


def check(databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The system check: a database that holds the audit table has all of its triggers."""
    problems: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if TABLE in connection.introspection.table_names() and (lost := missing(connection)):
            problems.append(
                Error(
                    f"The audit log of database “{alias}” can be changed: the triggers"
                    f" {', '.join(sorted(lost))} are missing.",
                    hint="Find out who removed them. manage.py protect_audit_log puts them back.",
                    id="waitdesk.E001",
                )
            )
    return problems


def demand() -> None:
    """Ends the process where the audit log can be changed. A database that is away is no reason to."""
    try:
        problems = check(databases=["default"])
    except DatabaseError:
        logger.warning("the database is away, so the audit log's triggers could not be checked")
        return
    for problem in problems:
        sys.stderr.write(f"Waitdesk does not start: {problem.msg} {problem.hint}\n")
    if problems:
        raise SystemExit(3)


def _on_table(connection: BaseDatabaseWrapper) -> str:
    return f" ON {TABLE}" if connection.vendor == "postgresql" else ""
