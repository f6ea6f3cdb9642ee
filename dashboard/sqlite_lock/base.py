"""SQLite where writers queue at a lock instead of polling a busy database.

SQLite lets one transaction write at a time. Who comes second sleeps and tries again, in steps that grow to
100 ms, and whoever comes in between goes first: the slowest writes of a threaded server take 225 to 760 ms.
Here every writer takes a lock of its process and then an flock on a file beside the database, so that it
goes on the moment the one before it is done.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.005


class WriteLock:
    """The lock of one database file; not re-entrant. `path` is None for a database in memory."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._file: int | None = None

    def acquire(self, seconds: float) -> None:
        """Raises OperationalError when others hold it for longer than that."""
        deadline = time.monotonic() + seconds
        if not self._threads.acquire(timeout=seconds):
            raise OperationalError("database is locked")
        try:
            if self._path is not None:
                self._acquire_file(self._path, deadline)
        except BaseException:
            self._threads.release()
            raise

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)  # closing is what gives an flock up
            self._file = None
        self._threads.release()

    def _acquire_file(self, path: str, deadline: float) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(file)
                    raise OperationalError("database is locked") from None
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._file = file
                return


_locks: dict[tuple[int, str], WriteLock] = {}
_locks_guard = threading.Lock()


def lock_of(name: str) -> WriteLock:
    """The one lock of this database in this process; a forked child has its own."""
    in_memory = ":memory:" in name or "mode=memory" in name
    with _locks_guard:
        path = None if in_memory else os.path.abspath(name) + ".lock"
        return _locks.setdefault((os.getpid(), name), WriteLock(path))


class DatabaseWrapper(base.DatabaseWrapper):
    _holds_lock = False

    def _lock(self) -> WriteLock:
        return lock_of(str(self.settings_dict["NAME"]))

    def _take_lock(self) -> None:
        if not self._holds_lock:
            self._lock().acquire(float(self.settings_dict["OPTIONS"].get("timeout", 5.0)))
            self._holds_lock = True

    def _give_lock(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self._lock().release()

    def _start_transaction_under_autocommit(self) -> None:
        self._take_lock()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._give_lock()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._give_lock_when_done()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._give_lock_when_done()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._give_lock()

    def _give_lock_when_done(self) -> None:
        # A commit that failed leaves the transaction open, and the rollback that follows ends it.
        if self.connection is None or not self.connection.in_transaction:
            self._give_lock()

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=_locking_cursor(self))

    @contextmanager
    def writing(self, sql: str) -> Iterator[None]:
        """Holds the lock around a statement that writes outside a transaction."""
        alone = not self._holds_lock and not self.connection.in_transaction
        if not alone or not sql.lstrip()[:7].upper().startswith(_WRITES):
            yield
            return
        self._take_lock()
        try:
            yield
        finally:
            self._give_lock_when_done()


def _locking_cursor(wrapper: DatabaseWrapper) -> Any:
    def cursor(connection: Any) -> _LockingCursor:
        made = _LockingCursor(connection)
        made.wrapper = wrapper
        return made

    return cursor


class _LockingCursor(base.SQLiteCursorWrapper):
    wrapper: DatabaseWrapper

    def execute(self, query: str, params: Any = None) -> Any:
        with self.wrapper.writing(query):
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        with self.wrapper.writing(query):
            return super().executemany(query, param_list)
