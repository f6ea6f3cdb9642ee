"""The mirror: a first base of 10,000 workflows with 7 nodes, then 200 events a second, and its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from bench.database import fresh_installation

WORKFLOWS, RATE, SECONDS = 10_000, 200, 20
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    argo = subprocess.Popen(
        [sys.executable, "-m", "bench.argo", str(WORKFLOWS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert argo.stdin and argo.stdout
    url = argo.stdout.readline().strip()
    with fresh_installation(ARGO_SERVER=url):
        from dashboard.models import Mirror, Wait

        bare = list_seconds(url)
        watcher = subprocess.Popen([sys.executable, "manage.py", "watch"])
        try:
            started = time.monotonic()
            until(
                lambda: (
                    Mirror.objects.filter(state="live").exists()
                    and Wait.objects.waiting().count() == WORKFLOWS
                )
            )
            base = time.monotonic() - started
            print(
                f"first base of {WORKFLOWS:,} workflows: {base / bare:.1f} x reading the same pages twice and"
                f" dropping them ({base:.1f} s against {bare:.1f} s)"
            )
            print(f"memory of the watcher after the base: {peak_megabytes(watcher.pid):.0f} MB (under 300)")
            busy = cpu_seconds(watcher.pid)
            argo.stdin.write(f"{RATE} {SECONDS}\n")
            argo.stdin.flush()
            argo.stdout.readline()
            changed = RATE * SECONDS
            until(lambda: Wait.objects.exclude(state="waiting").count() == min(changed, WORKFLOWS))
            busy = cpu_seconds(watcher.pid) - busy
            print(f"{RATE} events a second for {SECONDS} s: {busy / SECONDS:.2f} of one core (under 1)")
            print(f"memory of the watcher at its peak: {peak_megabytes(watcher.pid):.0f} MB (under 300)")
        finally:
            watcher.terminate()
            argo.stdin.close()
            watcher.wait()
            argo.terminate()
            argo.wait()


def list_seconds(url: str) -> float:
    """How long the pages alone take, read by the same client."""
    from argo_client import ArgoClient

    client = ArgoClient(url)
    started = time.monotonic()
    for _ in range(2):
        for _page in client.iter_workflows("", page_size=500):
            pass
    client.close()
    return time.monotonic() - started


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the mirror did not come to equal Argo within 300 s")
        time.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_megabytes(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    main()
