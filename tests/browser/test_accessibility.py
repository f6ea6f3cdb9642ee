"""axe on every page, in both colour schemes."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import expect

from argo_simulator import Simulator
from dashboard.models import Wait
from tests.browser.conftest import Desk
from tests.dashboard.conftest import eventually, gate_template

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest, desk: Desk) -> Literal["light", "dark"]:
    desk.page.emulate_media(color_scheme=request.param, reduced_motion="reduce")
    return request.param


def test_pages_without_waits(desk: Desk, scheme: str) -> None:
    desk.open("/login/")
    desk.accessible()
    page = desk.log_in("olga")
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    desk.accessible()
    desk.open("/no/such/page")
    desk.accessible()


def test_the_board_its_panels_and_results(desk: Desk, scheme: str, argo: Simulator) -> None:
    argo.create_template(gate_template(approve={"enum": ["YES", "NO"], "default": "NO"}, ticket={}))
    argo.submit("release-gate")
    for number in range(3):
        argo.submit("external-job-template", parameters={"job-cmd": f"UUID=job-{number}"})
    eventually(lambda: Wait.objects.waiting().count() == 4)
    page = desk.log_in("olga")
    desk.accessible()
    page.get_by_role("link", name="Answer").click()
    page.locator(".row", has_text="job-1").get_by_role("link", name=re.compile("Stop")).click()
    expect(page.locator(".panel")).to_have_count(2)
    page.get_by_role("button", name="Stop this node").click()
    desk.accessible()
    page.locator("textarea").fill("enough")
    page.get_by_role("button", name="Stop this node").click()
    expect(page.get_by_text("Stopped;")).to_be_visible()
    desk.accessible()
    page.keyboard.press("?")
    desk.accessible()


def test_a_waits_page_before_and_after_its_end(desk: Desk, scheme: str, argo: Simulator) -> None:
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=job-1"})
    wait = eventually(Wait.objects.waiting().first)
    desk.log_in("olga")
    page = desk.open(wait.get_absolute_url())
    desk.accessible()
    page.get_by_role("link", name="Resume").click()
    expect(page.locator(".panel")).to_be_visible()
    desk.accessible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("the workflow moved on").first).to_be_visible()
    desk.open(wait.get_absolute_url())
    expect(page.get_by_text("Resumed by olga through Waitdesk.").first).to_be_visible()
    desk.accessible()
    desk.open(f"{wait.get_absolute_url()}row/")
    desk.accessible()
