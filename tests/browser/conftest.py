"""A real Chromium on the real pages, with a real watcher and the simulator behind them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page

from argo_simulator import Simulator
from dashboard import watcher
from tests.dashboard.conftest import argo, fragment, outside  # noqa: F401  (fixtures)

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What the tests provoke: answers that are no success are logged by Chromium itself.
EXPECTED_NOISE = ("Failed to load resource", "Autofocus processing was blocked")


@pytest.fixture(scope="session", autouse=True)
def _orm_beside_playwright() -> Iterator[None]:
    """Playwright runs an event loop in this thread, in which Django would refuse the ORM."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": shutil.which("chromium"), "args": ARGUMENTS}


@pytest.fixture
def watched(argo: Simulator, transactional_db: None) -> Iterator[None]:  # noqa: F811
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run_watcher, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()
    connections.close_all()


class Desk:
    """A browser at one person's desk; `troubles` collects what its console had to complain about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.troubles: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("console", lambda message: self._note(message.type, message.text))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith(EXPECTED_NOISE):
            self.troubles.append(f"{kind}: {text}")

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.url + path)
        return self.page

    def log_in(self, name: str) -> Page:
        self.open("/login/")
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", "correct horse")
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_url(self.url + "/")
        return self.page

    def accessible(self) -> None:
        """Fails on whatever axe finds on the page as it stands."""
        found = Axe().run(self.page, options={"preload": False})
        assert found.violations_count == 0, found.generate_report()


@pytest.fixture
def desk(browser: Browser, live_server: Any, watched: None) -> Iterator[Desk]:
    """At the desk of olga, an operator, who is not logged in yet."""
    user = User.objects.create_user("olga", password="correct horse")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        context.set_default_timeout(15_000)
        at_desk = Desk(context, live_server.url)
        yield at_desk
    assert at_desk.troubles == []
