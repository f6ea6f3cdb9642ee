"""Words and numbers as people read them, outside templates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone


def at_time(moment: datetime) -> str:
    """'14:02:05' today, '23 Nov 14:02:05' on another day, in the server's time zone."""
    local = timezone.localtime(moment)
    same_day = local.date() == timezone.localdate()
    return local.strftime("%H:%M:%S" if same_day else "%-d %b %H:%M:%S")


def listed(items: Sequence[str]) -> str:
    """'a, b or c'."""
    return " or ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
