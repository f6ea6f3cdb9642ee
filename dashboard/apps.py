from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register


class DashboardConfig(AppConfig):
    name = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard import audit_triggers

        register(audit_triggers.check, Tags.database)
