"""The slowest writes on SQLite with the lock of dashboard.sqlite_lock against Django's own backend."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

PROCESSES, THREADS, WRITES = 2, 4, 150
BACKENDS = {"Django's own": "django.db.backends.sqlite3", "with the lock": "dashboard.sqlite_lock"}


def main() -> None:
    slowest = {}
    for name, engine in BACKENDS.items():
        with tempfile.TemporaryDirectory(prefix="waitdesk-bench-") as folder:
            path = str(Path(folder) / "bench.sqlite3")
            with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
                taken = sorted(sum(pool.starmap(write, [(engine, path)] * PROCESSES), []))
        slowest[name] = taken[int(len(taken) * 0.99)]
        print(f"{name:14}: p99 {slowest[name] * 1000:6.1f} ms over {len(taken):,} write transactions")
    ratio = slowest["with the lock"] / slowest["Django's own"]
    print(f"slowest writes with the lock against without: {ratio:.2f} x")


def write(engine: str, path: str) -> list[float]:
    """One process's threads, each with a connection of its own; the seconds of each transaction."""
    import django
    from django.conf import settings

    options = {"transaction_mode": "IMMEDIATE", "timeout": 10,
               "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}  # fmt: skip
    settings.configure(
        DATABASES={"default": {"ENGINE": engine, "NAME": path, "OPTIONS": options}}, USE_TZ=True
    )
    django.setup()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS line (id INTEGER PRIMARY KEY, text TEXT)")
    taken: list[float] = []
    threads = [threading.Thread(target=_write_many, args=(taken,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _write_many(taken: list[float]) -> None:
    from django.db import connection, transaction

    for number in range(WRITES):
        started = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO line (text) VALUES (%s)", [f"line {number}" * 20])
        taken.append(time.perf_counter() - started)
        time.sleep(0.002)
    connection.close()


if __name__ == "__main__":
    main()
