"""A fresh installation in a folder that goes away afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import django
from django.core.management import call_command


@contextmanager
def fresh_installation(**environment: str) -> Iterator[str]:
    """Django set up on an empty, migrated SQLite database; gives its folder."""
    with tempfile.TemporaryDirectory(prefix="waitdesk-bench-") as folder:
        os.environ |= {"WAITDESK_DATA": folder, "DJANGO_SETTINGS_MODULE": "dashboard.settings", **environment}
        os.environ |= {"WAITDESK_LOG_LEVEL": "ERROR"}
        django.setup()
        call_command("migrate", verbosity=0)
        yield folder
