from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from dashboard import audit_triggers


class Command(BaseCommand):
    help = "Puts the triggers back with which the database keeps the audit log from being changed."

    def handle(self, *args: Any, **options: Any) -> None:
        lost = sorted(audit_triggers.missing(connection))
        audit_triggers.install(connection)
        self.stdout.write(f"Put back: {', '.join(lost)}." if lost else "Nothing was missing.")
