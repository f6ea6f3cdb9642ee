from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.template import Context, Template

from dashboard.forms import ResumeForm
from dashboard.models import SuppliedOutput, Wait
from dashboard.templatetags import waitdesk
from dashboard.wording import lasting

NOW = datetime(2026, 11, 24, 14, 2, 5, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def output(
    name: str, *, default: str | None = None, choices: tuple[str, ...] = (), description: str = ""
) -> SuppliedOutput:
    return {"name": name, "default": default, "choices": list(choices), "description": description}


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=4, seconds=2), "4 m 02 s"),
        (timedelta(minutes=10, seconds=59), "10 m"),
        (timedelta(hours=1, minutes=2), "1 h 02 m"),
        (timedelta(days=3, hours=4), "3 d 04 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_durations_read_the_way_people_say_them(span: timedelta, words: str) -> None:
    assert lasting(span) == words


def test_a_countdown_keeps_its_seconds_up_to_an_hour() -> None:
    assert lasting(timedelta(minutes=16, seconds=58), exact=True) == "16 m 58 s"
    assert lasting(timedelta(minutes=75), exact=True) == "1 h 15 m"


@time_machine.travel(NOW, tick=False)
def test_a_relative_time_carries_the_exact_one() -> None:
    html = waitdesk.waiting_for(NOW - timedelta(hours=2, minutes=14))
    assert html.startswith(
        '<time data-for datetime="2026-11-24T11:48:05Z" title="Tue 24 Nov 2026, 11:48:05 UTC">'
    )
    assert html.endswith(">2 h 14 m</time>")
    assert ">16 m 58 s</time>" in waitdesk.time_left(NOW + timedelta(minutes=16, seconds=58))
    assert ">2 s ago</time>" in waitdesk.time_ago(NOW - timedelta(seconds=2))


@time_machine.travel(NOW, tick=False)
def test_a_clock_time_names_the_day_when_it_is_not_today() -> None:
    assert waitdesk.clock(NOW - timedelta(minutes=2)) == "14:00"
    assert waitdesk.clock(NOW - timedelta(days=1)) == "Mon 14:02"
    assert waitdesk.clock(NOW - timedelta(days=9)) == "15 Nov 14:02"
    assert waitdesk.clock(NOW + timedelta(days=2)) == "26 Nov 14:02"


def test_thousands_stand_apart() -> None:
    assert waitdesk.thousands(1234567) == "1\u2009234\u2009567"


def test_a_title_does_not_hold_four_kilobytes() -> None:
    assert waitdesk.cut_to("x" * 4000, 400) == "x" * 399 + "…"
    assert waitdesk.cut_to("short", 400) == "short"


def test_a_gate_says_what_it_asks_for() -> None:
    wait = Wait(supplied_outputs=[output("approve", choices=("YES", "NO")), output("<i>note")])
    assert waitdesk.asked_for(wait) == "<b>approve</b> = YES / NO, <b>&lt;i&gt;note</b>"
    many = Wait(supplied_outputs=[output("db", choices=tuple("abcdef"))])
    assert waitdesk.asked_for(many) == "<b>db</b> = a / b / c / d / …"


def test_the_same_form_in_two_panels_has_two_sets_of_ids() -> None:
    form = ResumeForm(outputs=[output("approve", description="Ship <b>it</b>?")])
    template = Template("{% load waitdesk %}{% labelled form.visible_fields.0 owner=owner first=True %}")
    first, second = (template.render(Context({"form": form, "owner": owner})) for owner in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]+)"', html)) for html in (first, second)]
    assert len(ids[0]) == 2
    assert ids[0].isdisjoint(ids[1])
    assert set(re.findall(r'(?:for|aria-describedby)="([^"]+)"', first)) == ids[0]
    assert "autofocus" in first
    assert "Ship &lt;b&gt;it" in first


def test_a_field_with_an_error_says_so_to_everybody() -> None:
    form = ResumeForm({}, outputs=[output("approve")])
    html = Template("{% load waitdesk %}{% labelled form.visible_fields.0 owner='w' %}").render(
        Context({"form": form})
    )
    assert 'aria-invalid="true"' in html
    assert "This output needs a value." in html


def test_no_template_trusts_text_or_breaks_the_content_security_policy() -> None:
    broken = re.compile(
        r"""\|\s*safe\b|autoescape off|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|<style|hx-on|https?://"""
    )
    for path in (ROOT / "templates").rglob("*.html"):
        assert not broken.search(path.read_text()), path


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (ROOT / "dashboard/static/dashboard/icons.svg").read_text()
    known = set(re.findall(r'id="([^"]+)"', sprite))
    used = {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'\{% icon "([^"]+)" %\}', path.read_text())
    }
    assert used
    assert used <= known, used - known
