"""Keyset pages: a page starts after a row, not after a number of rows, so that nothing shifts under it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import Q

from dashboard.models import Wait, WaitQuerySet


@dataclass(frozen=True, kw_only=True)
class Sort:
    key: str
    label: str
    field: str
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows of one page; `after` and `before` are the ids where the next and the previous page begin."""

    rows: list[Wait]
    after: uuid.UUID | None
    before: uuid.UUID | None


def page(waits: WaitQuerySet, *, sort: Sort, size: int, after: str = "", before: str = "") -> Page:
    """The `size` rows after or before the row with that id. An id that nobody knows gives the first page:
    rows leave the mirror, and an old link should still lead somewhere."""
    anchor = _anchor(after or before)
    backwards = bool(before and not after and anchor)
    descending = sort.descending != backwards
    signs = [("-" if descending else "") + name for name in (sort.field, "id")]
    if anchor is not None:
        waits = waits.filter(_beyond(anchor, sort.field, descending=descending))
    rows = list(waits.order_by(*signs)[: size + 1])
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    ahead = more if not backwards else True
    behind = anchor is not None if not backwards else more
    return Page(
        rows=rows,
        after=rows[-1].pk if rows and ahead else None,
        before=rows[0].pk if rows and behind else None,
    )


def _anchor(wait_id: str) -> Wait | None:
    try:
        return Wait.objects.filter(pk=uuid.UUID(wait_id)).first()
    except ValueError:
        return None


def _beyond(anchor: Wait, field: str, *, descending: bool) -> Q:
    beyond = "lt" if descending else "gt"
    value = getattr(anchor, field)
    tie = Q(**{field: value, f"id__{beyond}": anchor.pk})
    # The first condition is implied by the second; it lets the database use the index.
    return Q(**{f"{field}__{beyond}e": value}) & (Q(**{f"{field}__{beyond}": value}) | tie)
