"""The lock of all writers, over real threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError

from dashboard.sqlite_lock.base import DatabaseWrapper, WriteLock

OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 10, "init_command": "PRAGMA journal_mode=WAL;"}


def open_database(path: Path, **options: Any) -> DatabaseWrapper:
    settings = {
        **connection.settings_dict,
        "ENGINE": "dashboard.sqlite_lock",
        "NAME": str(path),
        "OPTIONS": {**OPTIONS, **options},
        "CONN_MAX_AGE": None,
        "AUTOCOMMIT": True,
    }
    opened = DatabaseWrapper(settings, alias="locked")
    opened.inc_thread_sharing()
    return opened


@pytest.fixture
def database(tmp_path: Path, django_db_blocker: Any) -> Iterator[DatabaseWrapper]:
    with django_db_blocker.unblock():
        opened = open_database(tmp_path / "locked.sqlite3")
        opened.cursor().execute("CREATE TABLE line (text TEXT)")
        yield opened
        opened.close()


def insert(database: DatabaseWrapper, text: str = "x") -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO line VALUES (%s)", [text])


def count(database: DatabaseWrapper) -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM line")
        return int(cursor.fetchone()[0])


def is_held(path: Path) -> bool:
    lock = WriteLock(f"{path}.lock")
    try:
        lock.acquire(0.0)
    except OperationalError:
        return True
    lock.release()
    return False


def in_transaction(database: DatabaseWrapper, work: Callable[[], None]) -> None:
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    try:
        work()
        database.commit()
    except BaseException:
        database.rollback()
        raise
    finally:
        database.set_autocommit(True)


def test_the_lock_is_held_in_a_transaction_and_given_back_after_it(
    database: DatabaseWrapper, tmp_path: Path
) -> None:
    path = tmp_path / "locked.sqlite3"
    held = []
    in_transaction(database, lambda: held.append(is_held(path)))
    assert held == [True]
    assert not is_held(path)


def test_the_lock_is_given_back_after_an_error(database: DatabaseWrapper, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        in_transaction(database, lambda: (insert(database), 1 // 0))
    assert not is_held(tmp_path / "locked.sqlite3")
    assert count(database) == 0


def test_a_single_write_takes_the_lock_and_a_read_does_not(database: DatabaseWrapper, tmp_path: Path) -> None:
    other = WriteLock(f"{tmp_path / 'locked.sqlite3'}.lock")
    other.acquire(1)
    hasty = open_database(tmp_path / "locked.sqlite3", timeout=0.05)
    try:
        assert count(hasty) == 0
        with pytest.raises(OperationalError, match="database is locked"):
            insert(hasty)
    finally:
        other.release()
        insert(hasty)
        assert count(hasty) == 1
        hasty.close()


def test_a_transaction_that_waits_in_vain_leaves_the_connection_usable(
    database: DatabaseWrapper, tmp_path: Path
) -> None:
    other = WriteLock(f"{tmp_path / 'locked.sqlite3'}.lock")
    other.acquire(1)
    hasty = open_database(tmp_path / "locked.sqlite3", timeout=0.05)
    with pytest.raises(OperationalError, match="database is locked"):
        hasty.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    other.release()
    hasty.set_autocommit(True)
    insert(hasty)
    assert count(hasty) == 1
    hasty.close()


def test_a_closed_connection_gives_the_lock_back(database: DatabaseWrapper, tmp_path: Path) -> None:
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    insert(database)
    assert is_held(tmp_path / "locked.sqlite3")
    database.close()
    assert not is_held(tmp_path / "locked.sqlite3")
    database.connect()
    assert count(database) == 0


def _hammer(path: str, writes: int) -> None:
    """In a process of its own: threads that write, each with its own connection."""

    def write() -> None:
        opened = open_database(Path(path))
        for number in range(writes):
            if number % 2:
                insert(opened)
            else:
                in_transaction(opened, lambda: insert(opened))
        opened.close()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_writers_of_many_processes_lose_nothing_and_never_meet_a_locked_database(
    database: DatabaseWrapper, tmp_path: Path
) -> None:
    fork = multiprocessing.get_context("fork")
    path = str(tmp_path / "locked.sqlite3")
    writers = [fork.Process(target=_hammer, args=(path, 40)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert count(database) == 3 * 3 * 40


def _die_in_the_middle(path: str, ready: str) -> None:
    opened = open_database(Path(path))
    opened.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    insert(opened)
    Path(ready).touch()
    time.sleep(60)


def test_a_writer_killed_in_the_middle_holds_nobody_up(database: DatabaseWrapper, tmp_path: Path) -> None:
    path, ready = tmp_path / "locked.sqlite3", tmp_path / "ready"
    victim = multiprocessing.get_context("fork").Process(
        target=_die_in_the_middle, args=(str(path), str(ready))
    )
    victim.start()
    while not ready.exists():
        time.sleep(0.01)
    assert is_held(path)
    assert victim.pid
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(10)
    insert(database, "after")
    assert count(database) == 1


def test_a_database_in_memory_has_no_file_beside_it(tmp_path: Path, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        before = set(os.listdir())
        opened = open_database(Path(":memory:"))
        opened.cursor().execute("CREATE TABLE line (text TEXT)")
        in_transaction(opened, lambda: insert(opened))
        assert count(opened) == 1
        opened.close()
        assert set(os.listdir()) == before
        assert sqlite3.sqlite_version_info >= (3, 35)
