from __future__ import annotations

from django.db import migrations

from dashboard import audit_triggers


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0001_initial")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: audit_triggers.install(schema_editor.connection),
            lambda apps, schema_editor: audit_triggers.remove(schema_editor.connection),
        )
    ]
