"""Times, numbers and form controls as the pages write them. waitdesk.js keeps the times ticking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django import template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard import clusters
from dashboard.board import SortLink
from dashboard.freshness import Freshness
from dashboard.models import Wait
from dashboard.wording import lasting

register = template.Library()

_TIME = '<time data-{} datetime="{}" title="{}">{}</time>'
THIN_SPACE = "\u2009"


@register.simple_tag
def waiting_for(moment: datetime) -> SafeString:
    """'2 h 14 m' since the moment, growing."""
    return _time("for", moment, lasting(timezone.now() - moment))


@register.simple_tag
def time_left(moment: datetime) -> SafeString:
    """'16 m 58 s' until the moment, shrinking."""
    return _time("left", moment, lasting(moment - timezone.now(), exact=True))


@register.simple_tag
def time_ago(moment: datetime) -> SafeString:
    """'2 s ago'."""
    return _time("ago", moment, f"{lasting(timezone.now() - moment)} ago")


@register.simple_tag
def at(moment: datetime, form: str = "minute") -> SafeString:
    """As `clock`, with the exact time behind it; `form`: minute | second."""
    return _time("at", moment, _clock(moment, "%H:%M:%S" if form == "second" else "%H:%M"))


@register.simple_tag
def lasted(start: datetime, end: datetime) -> str:
    """'38 m'."""
    return lasting(end - start)


def _time(kind: str, moment: datetime, text: str) -> SafeString:
    utc = moment.astimezone(timezone.get_fixed_timezone(0))
    exact = timezone.localtime(moment).strftime("%a %-d %b %Y, %H:%M:%S %Z")
    return format_html(_TIME, kind, utc.strftime("%Y-%m-%dT%H:%M:%SZ"), exact, text)


def _clock(moment: datetime, form: str) -> str:
    local = timezone.localtime(moment)
    days = (timezone.localdate() - local.date()).days
    if days == 0:
        return local.strftime(form)
    return local.strftime(f"%a {form}" if 0 < days < 7 else f"%-d %b {form}")


@register.filter
def clock(moment: datetime) -> str:
    """'11:39' today, 'Mon 11:39' in the six days before, else '3 Nov 11:39'."""
    return _clock(moment, "%H:%M")


@register.filter
def thousands(number: int) -> str:
    """'12 345', with a thin space."""
    return f"{number:,}".replace(",", THIN_SPACE)


@register.filter
def cut_to(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis: for titles, which need not hold 4 KB."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@register.filter
def sort_of(sorts: Iterable[SortLink], key: str) -> SortLink | None:
    """The link that sorts by `key`."""
    return next((sort for sort in sorts if sort.key == key), None)


@register.filter
def troubled(clusters_now: Iterable[Freshness]) -> list[Freshness]:
    """The clusters of which somebody should know."""
    return [cluster for cluster in clusters_now if cluster.needs_attention]


@register.filter
def asked_for(wait: Wait) -> SafeString:
    """What a gate wants to know, in a line: '**approve** = YES / NO, **note**'."""
    wanted = ((output["name"], _choices(output["choices"])) for output in wait.supplied_outputs[:6])
    return format_html_join(", ", "<b>{}</b>{}", wanted)


def _choices(choices: list[str]) -> str:
    shown = [cut_to(choice, 40) for choice in choices[:4]] + ["…"] * (len(choices) > 4)
    return f" = {' / '.join(shown)}" if shown else ""


@register.filter
def never_heard(clusters_now: Iterable[Freshness]) -> bool:
    """Whether not one Argo has answered yet, so that an empty board says nothing."""
    return not any(cluster.seen_at for cluster in clusters_now)


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of dashboard/icons.svg; words stand beside it or in its button's label."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("dashboard/icons.svg"), name
    )


@register.simple_tag
def several_clusters() -> bool:
    """Whether a cluster's name tells anything."""
    return len(clusters.all()) > 1


@register.inclusion_tag("dashboard/_field.html")
def labelled(field: BoundField, *, owner: object, first: bool = False) -> dict[str, object]:
    """The field with label, help and errors. Its ids end with the owner's, because several panels with the
    same fields may be open at once; the first field, or the first with an error, takes the focus."""
    control_id = f"{field.auto_id}-{owner}"
    attrs: dict[str, str | bool] = {"id": control_id}
    if field.errors or field.help_text:
        attrs["aria-describedby"] = f"{control_id}-notes"
    if field.errors:
        attrs["aria-invalid"] = "true"
    if first:
        attrs["autofocus"] = True
    return {"field": field, "control_id": control_id, "control": field.as_widget(attrs=attrs)}
