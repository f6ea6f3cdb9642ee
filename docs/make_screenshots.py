"""Takes the pictures of README.md and docs: `make screenshots`.

Starts Waitdesk with the bundled simulator in a folder of its own, walks through it in Chromium and writes
docs/img/*.png. `docs/make_screenshots.py URL` photographs one that already runs with the demo's users.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "img"
WIDE, NARROW = (1360, 860), (390, 844)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def running_demo() -> Iterator[str]:
    """The address of a demo of our own, which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("ARGO_")}
        settings |= {"WAITDESK_DATA": data, "PORT": str(port), "DATABASE_URL": ""}
        demo = subprocess.Popen([sys.executable, "manage.py", "run"], cwd=ROOT, env=settings)  # noqa: S603
        try:
            address = f"http://127.0.0.1:{port}"
            _await(address)
            yield address
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=30)


def _await(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{address}/login/", timeout=2).close()  # noqa: S310
            return
        time.sleep(0.2)
    raise SystemExit(f"Nothing answers at {address}.")


def logged_in(browser: Browser, address: str, *, scheme: str, size: tuple[int, int]) -> Page:
    page = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
    ).new_page()
    page.goto(f"{address}/login/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("operator")
    page.get_by_role("button", name="Log in").click()
    page.locator(".row").nth(6).wait_for(timeout=30_000)
    return page


def take(browser: Browser, address: str, *, scheme: str) -> None:
    page = logged_in(browser, address, scheme=scheme, size=WIDE)
    _save(page, f"board-{scheme}")
    row = page.locator(".row", has_text="genome-batch").first
    wait_url = row.locator(".where a").get_attribute("href")
    row.get_by_role("link", name="Stop…").click()
    page.get_by_label("Message").fill("lane 2: flow cell rejected by the sequencer")
    _save(page, f"stop-{scheme}")
    page.goto(f"{address}{wait_url}")
    page.locator(".timeline").wait_for()
    _save(page, f"wait-{scheme}")
    page.context.close()
    page = logged_in(browser, address, scheme=scheme, size=NARROW)
    _save(page, f"narrow-{scheme}")
    page.context.close()


def _save(page: Page, name: str) -> None:
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png")


def main(arguments: list[str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    there = contextlib.nullcontext(arguments[0].rstrip("/")) if arguments else running_demo()
    with there as address, sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            take(browser, address, scheme=scheme)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
