"""Watchers as processes of their own, killed without a word."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from argo_simulator import Simulator
from dashboard.mirror import LEASE_LENGTH
from tests.dashboard.conftest import TEMPLATE, eventually

ROOT = Path(__file__).parents[2]


class Installation:
    """A database in a folder, and processes that work on it."""

    def __init__(self, data: Path, argo_url: str) -> None:
        self.data = data
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = {**kept, "WAITDESK_DATA": str(data), "ARGO_SERVER": argo_url}
        self.started: list[subprocess.Popen[bytes]] = []
        self.manage("migrate", "--verbosity=0").wait()

    def manage(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", *words]
        self.started.append(subprocess.Popen(command, cwd=ROOT, env=self.environment))
        return self.started[-1]

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(self.data / "waitdesk.sqlite3", timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def holder(self) -> int:
        """The process that holds the mirror's lease; 0 when none does."""
        found = self.rows("SELECT holder FROM dashboard_mirror WHERE token IS NOT NULL")
        return int(found[0][0].rpartition(":")[2]) if found else 0

    def waiting(self) -> list[str]:
        return [
            row[0]
            for row in self.rows("SELECT uuid FROM dashboard_wait WHERE state = 'waiting' ORDER BY uuid")
        ]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[tuple[Simulator, Installation]]:
    with Simulator() as argo:
        argo.create_template(yaml.safe_load(TEMPLATE.read_text()))
        installed = Installation(tmp_path, argo.url)
        yield argo, installed
        for process in installed.started:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_of_two_watchers_one_works_and_the_other_takes_over_when_it_is_killed(
    installation: tuple[Simulator, Installation],
) -> None:
    argo, installed = installation
    watchers = {process.pid: process for process in (installed.manage("watch"), installed.manage("watch"))}
    first = eventually(installed.holder, seconds=30)
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=one"})
    eventually(lambda: installed.waiting() == ["one"], seconds=20)
    assert installed.holder() == first
    os.kill(first, signal.SIGKILL)
    watchers.pop(first).wait()
    argo.submit("external-job-template", parameters={"job-cmd": "UUID=two"})
    eventually(lambda: installed.waiting() == ["one", "two"], seconds=30)
    [second] = watchers
    assert installed.holder() == second
    assert LEASE_LENGTH.total_seconds() < 30


def test_a_watcher_that_is_told_to_stop_gives_the_mirror_back_at_once(
    installation: tuple[Simulator, Installation],
) -> None:
    argo, installed = installation
    watcher = installed.manage("watch")
    eventually(installed.holder, seconds=30)
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(20) == 0
    assert installed.holder() == 0
