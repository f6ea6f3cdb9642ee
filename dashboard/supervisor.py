"""The parent of `manage.py run`: starts children, restarts who dies, and ends all when it ends."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

#: A child that dies this often within the window is dead for good.
MOST_DEATHS, DEATH_WINDOW = 5, 60.0
#: How long a child may take to end after it was asked to, seconds.
PATIENCE = 10.0
_PAUSE = 0.1
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process that is to run as long as the parent does."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)
    restart_at: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603
            self.command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_the_parent,  # noqa: PLW1509
        )

    def note_death(self, now: float) -> bool:
        """Plans the restart; True when this was one death too many."""
        self.deaths = [at for at in self.deaths if now - at < DEATH_WINDOW] + [now]
        self.restart_at = now + min(0.2 * 2 ** len(self.deaths), 5.0)
        return len(self.deaths) >= MOST_DEATHS


class Supervisor:
    """Runs until a signal comes or a child is dead for good."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children
        self._stopping = False

    def run(self) -> int:
        """The exit code: 0 after a signal, 1 when a child died for good."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            return self._watch()
        finally:
            self._end_all()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _watch(self) -> int:
        for child in self.children:
            child.start()
        while not self._stopping:
            for child in self.children:
                if not self._keep(child):
                    return 1
            time.sleep(_PAUSE)
        return 0

    def _keep(self, child: Child) -> bool:
        """Starts a dead child again; False when it is dead for good."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.restart_at:
                child.start()
            return True
        code = child.process.poll()
        if code is None:
            return True
        child.process = None
        logger.error("%s ended with %s", child.name, code)
        if child.note_death(now):
            sys.stderr.write(f"Waitdesk stops: its {child.name} ended {MOST_DEATHS} times in a minute.\n")
            return False
        return True

    def _end_all(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_the_parent() -> None:
    """In the child: a terminal's Ctrl-C goes to the parent alone, and the parent's death ends the child."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
