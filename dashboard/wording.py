"""Words and numbers as people read them, outside templates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone


def at_time(moment: datetime) -> str:
    """'14:02:05' today, '23 Nov 14:02:05' on another day, in the server's time zone."""
    local = timezone.localtime(moment)
    same_day = local.date() == timezone.localdate()
    return local.strftime("%H:%M:%S" if same_day else "%-d %b %H:%M:%S")


def listed(items: Sequence[str]) -> str:
    """'a, b or c'."""
    return " or ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def lasting(span: timedelta, *, exact: bool = False) -> str:
    """'22 s', '4 m 10 s', '38 m', '9 h 41 m', '3 d 04 h'; negative spans count as none.

    `exact` keeps the seconds up to an hour: a countdown that stands still looks broken. waitdesk.js ticks
    in the same words.
    """
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 1:
        return f"{seconds} s"
    if minutes < 10 or (exact and hours < 1):
        return f"{minutes} m {seconds % 60:02} s"
    if hours < 1:
        return f"{minutes} m"
    if days < 1:
        return f"{hours} h {minutes % 60:02} m"
    return f"{days} d {hours % 24:02} h" if days < 100 else f"{days} d"
