"""What the board shows: rows, their order, pages, and the state of one row with its panel and result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from django import forms
from django.db.models import Count
from django.http import HttpRequest, QueryDict

from dashboard import clusters, freshness, paging
from dashboard.actions import Preview
from dashboard.forms import WaitFilter
from dashboard.freshness import Freshness
from dashboard.models import AuditEntry, Wait, WaitQuerySet
from dashboard.paging import Sort

PAGE_SIZE = 50
SORTS = (
    Sort(key="oldest", label="Oldest first", field="started_at"),
    Sort(key="newest", label="Newest first", field="started_at", descending=True),
    Sort(key="uuid", label="UUID", field="uuid"),
    Sort(key="workflow", label="Workflow", field="workflow"),
    Sort(key="namespace", label="Namespace", field="namespace"),
)
_TONES = {
    AuditEntry.Outcome.APPLIED: "good",
    AuditEntry.Outcome.UNCLEAR: "unclear",
}


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """What an action in this row came to. `tone`: good | refused | unclear."""

    tone: str
    sentence: str

    @classmethod
    def of(cls, outcome: AuditEntry.Outcome, sentence: str) -> RowResult:
        return cls(tone=_TONES.get(outcome, "refused"), sentence=sentence)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A wait on the board; `twins` counts the other open waits with its UUID."""

    wait: Wait
    may_act: bool
    twins: int = 0
    panel: Literal["resume", "stop"] | None = None
    form: forms.Form | None = None
    preview: Preview | None = None
    result: RowResult | None = None


@dataclass(frozen=True, kw_only=True)
class SortLink:
    key: str
    label: str
    url: str
    current: bool
    descending: bool


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything that the page and its fragment draw."""

    rows: list[Row]
    filters: WaitFilter
    filtered: bool
    sort: str
    sorts: list[SortLink]
    total: int
    total_waiting: int
    clusters: list[Freshness]
    next_url: str | None
    previous_url: str | None
    first_url: str
    poll_url: str


def known_waits() -> WaitQuerySet:
    """The waits of the clusters that are configured now."""
    return Wait.objects.in_clusters(list(clusters.all()))


def board(request: HttpRequest, *, may_act: bool, clusters_now: list[Freshness]) -> Board:
    """The board as the request's filters, order and page ask for it; a constant number of queries."""
    waiting = known_waits().waiting()
    filters = WaitFilter(request.GET, queryset=waiting)
    filters.offer_choices()
    sort = next((s for s in SORTS if s.key == request.GET.get("sort")), SORTS[0])
    found = cast(WaitQuerySet, filters.qs)
    page = paging.page(
        found,
        sort=sort,
        size=PAGE_SIZE,
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    filtered = any(request.GET.get(name) for name in filters.filters)
    total_waiting = waiting.count()
    return Board(
        rows=rows_of(page.rows, may_act=may_act),
        filters=filters,
        filtered=filtered,
        sort=sort.key,
        sorts=_sort_links(request.GET, current=sort),
        total=found.count() if filtered else total_waiting,
        total_waiting=total_waiting,
        clusters=clusters_now,
        next_url=_url(request.GET, {"after": page.after}) if page.after else None,
        previous_url=_url(request.GET, {"before": page.before}) if page.before else None,
        first_url=_url(request.GET, {}),
        poll_url=_url(request.GET, _place(request.GET) | {"v": freshness.version(clusters_now)}),
    )


def rows_of(waits: list[Wait], *, may_act: bool) -> list[Row]:
    """The rows of these waits, each with the number of its twins; one query."""
    hashes = [wait.uuid_sha256 for wait in waits if wait.uuid_sha256]
    same = known_waits().waiting().filter(uuid_sha256__in=hashes).order_by()
    counted = dict(same.values_list("uuid_sha256").annotate(Count("id")))
    return [Row(wait=wait, may_act=may_act, twins=counted.get(wait.uuid_sha256, 1) - 1) for wait in waits]


def _sort_links(query: QueryDict, *, current: Sort) -> list[SortLink]:
    return [
        SortLink(
            key=sort.key,
            label=sort.label,
            url=_url(query, {"sort": sort.key}),
            current=sort is current,
            descending=sort.descending,
        )
        for sort in SORTS
    ]


def _place(query: QueryDict) -> dict[str, object]:
    return {name: query[name] for name in ("after", "before") if query.get(name)}


def _url(query: QueryDict, change: Mapping[str, object]) -> str:
    """The board's address with the same filters and order, on its first page but for `change`."""
    kept = query.copy()
    for name in ("after", "before", "v"):
        kept.pop(name, None)
    for name in [name for name, value in kept.items() if not value]:
        kept.pop(name)
    for name, value in change.items():
        kept[name] = str(value)
    return f"?{kept.urlencode()}" if kept else "."
