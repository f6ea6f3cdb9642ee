from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Locator, Page, expect

from argo_simulator import Fault, Simulator
from dashboard.models import Wait
from tests.browser.conftest import Desk
from tests.dashboard.conftest import eventually, gate_template

pytestmark = pytest.mark.django_db(transaction=True)


def begin(argo: Simulator, uuid: str) -> str:
    return argo.submit("external-job-template", parameters={"job-cmd": f"UUID={uuid}"})


def row(page: Page, text: str) -> Locator:
    return page.locator(".row", has_text=text)


def phases(argo: Simulator, workflow: str) -> list[str]:
    nodes = argo.workflow("argo", workflow)["status"]["nodes"].values()
    return [node["phase"] for node in nodes if node["type"] == "Suspend"]


def test_a_wrong_password_is_said_and_the_name_stays(desk: Desk) -> None:
    page = desk.open("/login/")
    page.fill("[name=username]", "olga")
    page.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("[name=username]")).to_have_value("olga")


def test_a_wait_appears_without_reloading_and_is_resumed_in_its_row(desk: Desk, argo: Simulator) -> None:
    page = desk.log_in("olga")
    page.evaluate("window.notReloaded = true")
    workflow = begin(argo, "job-1")
    wait = row(page, "job-1")
    expect(wait).to_be_visible()
    wait.get_by_role("link", name="Resume").click()
    expect(wait).to_contain_text("This node only")
    wait.get_by_role("button", name="Resume").click()
    expect(wait).to_contain_text("the workflow moved on")
    assert phases(argo, workflow) == ["Succeeded"]
    assert page.evaluate("window.notReloaded")


def test_a_wait_is_stopped_with_a_message_and_nothing_typed_is_lost(desk: Desk, argo: Simulator) -> None:
    page = desk.log_in("olga")
    workflow = begin(argo, "job-1")
    wait = row(page, "job-1")
    wait.get_by_role("link", name=re.compile("Stop")).click()
    message = wait.locator("textarea")
    message.fill("no space left on /scratch")
    argo.faults.add(Fault.STATUS, method="PUT", times=1, status=403)
    wait.get_by_role("button", name="Stop this node").click()
    expect(wait.get_by_role("alert")).to_contain_text("does not allow this")
    expect(message).to_have_value("no space left on /scratch")
    wait.get_by_role("button", name="Stop this node").click()
    expect(wait).to_contain_text("Stopped;")
    nodes = argo.workflow("argo", workflow)["status"]["nodes"].values()
    assert [n["message"] for n in nodes if n["type"] == "Suspend"] == ["no space left on /scratch"]


def test_a_gate_is_answered_with_its_choices_and_defaults(desk: Desk, argo: Simulator) -> None:
    argo.create_template(gate_template(approve={"enum": ["YES", "NO"], "default": "NO"}, ticket={}))
    workflow = argo.submit("release-gate")
    page = desk.log_in("olga")
    wait = row(page, workflow)
    wait.get_by_role("link", name="Answer").click()
    expect(wait.get_by_label("approve")).to_have_value("NO")
    wait.get_by_label("approve").select_option("YES")
    wait.get_by_label("ticket").fill("CHG-1042")
    wait.get_by_role("button", name="Send the answer").click()
    expect(wait).to_contain_text("Resumed;")
    [node] = [
        n for n in argo.workflow("argo", workflow)["status"]["nodes"].values() if n["type"] == "Suspend"
    ]
    values = {p["name"]: p["value"] for p in node["outputs"]["parameters"]}
    assert values == {"approve": "YES", "ticket": "CHG-1042"}


def test_everything_is_reached_by_the_keyboard(desk: Desk, argo: Simulator) -> None:
    begin(argo, "job-1")
    eventually(lambda: Wait.objects.waiting().count() == 1)
    workflow = begin(argo, "job-2")
    page = desk.log_in("olga")
    expect(row(page, "job-2")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("job-2")
    expect(row(page, "job-1")).to_have_count(0)
    expect(page).to_have_url(re.compile("q=job-2"))
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("s")
    message = row(page, "job-2").locator("textarea")
    expect(message).to_be_focused()
    page.keyboard.press("Escape")
    expect(message).to_have_count(0)
    page.keyboard.press("s")
    expect(message).to_be_focused()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Control+Enter")
    expect(row(page, "job-2")).to_contain_text("Stopped;")
    assert phases(argo, workflow) == ["Failed"]
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_poll_leaves_focus_and_typed_text_alone(desk: Desk, argo: Simulator) -> None:
    begin(argo, "job-1")
    page = desk.log_in("olga")
    wait = row(page, "job-1")
    wait.get_by_role("link", name=re.compile("Stop")).click()
    message = wait.locator("textarea")
    message.fill("half a sent")
    begin(argo, "job-2")
    expect(row(page, "job-2")).to_be_visible()
    expect(message).to_have_value("half a sent")
    expect(message).to_be_focused()


def test_a_wait_that_ends_while_its_panel_is_open_says_so(desk: Desk, argo: Simulator, outside: Any) -> None:
    workflow = begin(argo, "job-1")
    page = desk.log_in("olga")
    wait = row(page, "job-1")
    wait.get_by_role("link", name=re.compile("Stop")).click()
    wait.locator("textarea").fill("typed with care")
    outside.resume_workflow("argo", workflow)
    expect(wait.get_by_role("alert")).to_contain_text("This wait is over")
    expect(wait.locator("textarea")).to_have_value("typed with care")


def test_a_session_that_ended_leads_to_the_login(desk: Desk, argo: Simulator) -> None:
    page = desk.log_in("olga")
    Session.objects.all().delete()
    begin(argo, "job-1")
    expect(page).to_have_url(re.compile("/login/"))


def test_the_chosen_scheme_is_remembered(desk: Desk) -> None:
    page = desk.log_in("olga")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_text("olga").click()
    page.locator("[data-theme-choice=dark], [data-set-theme=dark], [value=dark]").first.click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


HOSTILE = ['<script>window.broken = 1</script>"><img src=x>', "q" * 4096, "a,b=c\\d ü/✓"]


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_are_text_and_scroll_nothing_sideways(desk: Desk, argo: Simulator, width: int) -> None:
    for uuid in HOSTILE:
        begin(argo, uuid)
    desk.page.set_viewport_size({"width": width, "height": 800})
    page = desk.log_in("olga")
    expect(page.locator(".row")).to_have_count(3)
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(sideways) <= 0
    for wait in Wait.objects.waiting():
        desk.open(wait.get_absolute_url())
        assert page.evaluate(sideways) <= 0
    assert page.evaluate("window.broken") is None


def test_without_javascript_waits_are_resumed_and_stopped_on_their_own_pages(
    browser: Browser, live_server: Any, desk: Desk, argo: Simulator
) -> None:
    begin(argo, "job-1")
    eventually(lambda: Wait.objects.waiting().count() == 1)
    second = begin(argo, "job-2")
    eventually(lambda: Wait.objects.waiting().count() == 2)
    with browser.new_context(java_script_enabled=False) as context:
        page = Desk(context, live_server.url).log_in("olga")
        row(page, "job-1").get_by_role("link", name="Resume").click()
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("the workflow moved on")).to_be_visible()
        page.goto(live_server.url)
        row(page, "job-2").get_by_role("link", name=re.compile("Stop")).click()
        page.locator("textarea").fill("without a script")
        page.get_by_role("button", name="Stop this node").click()
        expect(page.get_by_text("Stopped;")).to_be_visible()
    assert phases(argo, second) == ["Failed"]
