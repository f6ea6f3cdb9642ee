"""`manage.py run` over real processes: what a person sees who starts, stops and kills it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from dashboard import first_users
from dashboard.supervisor import MOST_DEATHS, Child, Supervisor
from tests.dashboard.conftest import eventually

ROOT = Path(__file__).parents[2]


class Running:
    """A started `manage.py run` and what it printed."""

    def __init__(self, data: Path, **variables: str) -> None:
        self.port = free_port()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env={**kept, "WAITDESK_DATA": str(data), "PORT": str(self.port), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines += iter(self.process.stdout.readline, "")

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/login/", timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def children(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        return [int(pid) for pid in listed.stdout.split()]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self._reader.join(10)
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(**variables: str) -> Running:
        started.append(Running(tmp_path, **variables))
        return started[-1]

    yield begin
    for running in started:
        running.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_an_argo_the_demo_starts_and_ctrl_c_stops_everything(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    running = start()
    eventually(lambda: "Ctrl-C stops everything." in running.output, seconds=60)
    assert f"http://127.0.0.1:{running.port}" in running.output
    assert "viewer, operator or admin" in running.output
    with sqlite3.connect(tmp_path / "waitdesk.sqlite3") as database:
        count = "SELECT count(*) FROM dashboard_wait WHERE state = 'waiting'"
        eventually(lambda: database.execute(count).fetchone()[0] >= 8, seconds=30)
    database.close()
    children = running.children()
    assert len(children) == 3
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(20) == 0
    assert [pid for pid in children if alive(pid)] == []


def test_with_an_argo_that_is_away_it_starts_with_an_admin_whose_password_is_printed_once(
    start: Callable[..., Running],
) -> None:
    running = start(ARGO_SERVER=f"http://127.0.0.1:{free_port()}")
    eventually(lambda: "Ctrl-C stops everything." in running.output, seconds=60)
    assert re.search(r"Log in as admin with the password \S{15,}", running.output)
    assert len(running.children()) == 2
    running.end()
    again = start(ARGO_SERVER="http://127.0.0.1:9")
    eventually(lambda: "Ctrl-C stops everything." in again.output, seconds=60)
    assert "with the password" not in again.output


def test_a_child_that_dies_is_started_again_and_dead_parents_take_their_children_along(
    start: Callable[..., Running],
) -> None:
    running = start(ARGO_SERVER="http://127.0.0.1:9")
    eventually(running.answers, seconds=60)
    before = running.children()
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(running.children()) == 2 and running.children() != before, seconds=20)
    eventually(running.answers, seconds=30)
    children = running.children()
    running.process.kill()
    eventually(lambda: not any(alive(pid) for pid in children), seconds=20)


def test_a_port_in_use_is_said_in_a_sentence(start: Callable[..., Running], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = start(PORT=str(port))
        assert ended.process.wait(60) == 1
    eventually(lambda: f"Port {port} of 127.0.0.1 cannot be used" in ended.output)
    assert "Traceback" not in ended.output


def test_the_demo_does_not_listen_beyond_this_machine(start: Callable[..., Running]) -> None:
    ended = start(HOST="0.0.0.0")
    assert ended.process.wait(60) == 1
    eventually(lambda: "does not listen on 0.0.0.0" in ended.output)


def test_a_child_that_keeps_dying_ends_everything(tmp_path: Path) -> None:
    """In a process of its own, because a supervisor takes the signals of its process."""
    code = (
        "import sys; from dashboard.supervisor import Child, Supervisor;"
        "sleeper = Child('web', [sys.executable, '-c', 'import time; time.sleep(60)'], {});"
        "dier = Child('watcher', [sys.executable, '-c', 'raise SystemExit(3)'], {});"
        "sys.exit(Supervisor([sleeper, dier]).run())"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert f"its watcher ended {MOST_DEATHS} times in a minute" in ended.stderr


def test_restarts_come_ever_more_slowly() -> None:
    child = Child("web", ["true"], {})
    now = time.monotonic()
    pauses = []
    for _ in range(3):
        assert not child.note_death(now)
        pauses.append(child.restart_at - now)
    assert pauses == sorted(pauses)
    assert Supervisor([child]).children == [child]


@pytest.mark.django_db
def test_the_passwords_of_the_demo_do_not_open_a_real_argo() -> None:
    first_users.create_demo_users()
    assert User.objects.get(username="operator").check_password("operator")
    assert first_users.lock_demo_users() == ["admin", "operator", "viewer"]
    for name in ("viewer", "operator", "admin"):
        assert not User.objects.get(username=name).check_password(name)
    made_up = first_users.create_first_admin("")
    assert made_up
    assert User.objects.get(username="admin").check_password(made_up)
    assert first_users.create_first_admin("other") is None


@pytest.mark.django_db
def test_an_admin_with_a_password_of_its_own_is_left_alone() -> None:
    assert first_users.create_first_admin("given by the environment") is None
    assert User.objects.get(username="admin").check_password("given by the environment")
    assert first_users.lock_demo_users() == []
    assert first_users.create_first_admin("another") is None
    assert User.objects.get(username="admin").check_password("given by the environment")
