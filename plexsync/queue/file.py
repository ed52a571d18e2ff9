"""A process's connection to the queue's file: transactions, reads, and noticing damage or another file in its place."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from plexsync.clock import Clock
from plexsync.queue import damage, database, recovery

log = logging.getLogger(__name__)

SQLITE_LEAST = (3, 35)  # for RETURNING; a Python may be newer than the system's SQLite it was built with
LOG_BYTES = 4_000_000  # the write-ahead log is cut to this once it has been copied back


class QueueFile:
    """The queue's file of one data folder, open. Safe to use from several threads.

    ``open`` raises recovery.Refused when the file was made by a newer PlexSync or SQLite is too old, sqlite3.Error and
    OSError when it cannot be opened or made. A damaged or foreign file is set aside first, see ``recovery``;
    ``troubles`` then says so.
    """

    def __init__(self, data_dir: str, clock: Clock, busy_s: float, opened: Callable[[], None]) -> None:
        self.data_dir = data_dir
        self.path = database.queue_file(data_dir)
        self.clock = clock
        self.busy_ms = int(busy_s * 1000)
        self.mutex = threading.RLock()
        self.troubles: list[str] = []
        self._opened = opened  # called whenever a file was opened
        self._depth = 0  # of nested transactions
        self._identity = (0, 0)

    def open(self) -> None:
        if sqlite3.sqlite_version_info < SQLITE_LEAST:
            raise recovery.Refused(
                f"PlexSync needs SQLite {'.'.join(map(str, SQLITE_LEAST))} or newer, and {sys.executable} has "
                f"{sqlite3.sqlite_version}. Name another Python in Stash: Settings, System, Python executable path."
            )
        db = self._connect()
        if db is None:
            troubles = recovery.make_usable(self.path, self.clock.now())
            for trouble in troubles:
                log.error("%s", trouble)
            self.troubles += troubles
            db = self._connect_after_mending()
        self.db = db
        db.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        self._opened()

    def _connect_after_mending(self) -> sqlite3.Connection:
        """Others who met the same damage look at the file one after the other."""
        give_up = time.monotonic() + recovery.WAIT_S
        while True:
            self._identity = database.identity(self.path)
            try:
                return database.connect(self.path, self.busy_ms)
            except database.BeingMended:
                if time.monotonic() > give_up:
                    raise
            time.sleep(0.02)

    def open_to_read(self) -> None:
        """Open it where it may only be read. Raises sqlite3.Error where SQLite cannot even do that: as long as the log
        holds something, that takes the log's index, which a process with the file open keeps beside it."""
        self._identity = database.identity(self.path)
        db = database.connect_to_read(self.path)
        try:
            db.text_factory = database.as_text
            recovery.look_through(db)
        except BaseException:
            db.close()
            raise
        self.db = db

    def _connect(self) -> sqlite3.Connection | None:
        """The file as it is when all looks well at first sight, else None."""
        self._identity = database.identity(self.path)
        if not recovery.is_in_order(self.path):
            return None
        try:
            db = database.connect(self.path, self.busy_ms)
        except (sqlite3.DatabaseError, FileNotFoundError):
            return None
        try:
            recovery.look_through(db)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            db.close()
            return None
        return db

    def reopen_if_replaced(self) -> bool:
        """Open the file anew when another one lies in its place (deleted, restored from a backup); True if so.

        What waited in the old one, which only this process can still read, is taken over.
        """
        with self.mutex:
            if self._depth or database.identity(self.path) == self._identity:
                return False
            log.error(
                "the queue file %s was replaced or deleted while in use; opening what is there now", self.path
            )
            recovery.keep_replaced(self.path, self.db)
            self.db.close()
            self.open()
        return True

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; rolled back when anything in it fails, part of the outer one inside another.

        Raises sqlite3.Error. After one, what was done may be there or not, and may be done again.
        """
        with self.mutex:
            if self._depth:
                yield self.db
                return
            self.reopen_if_replaced()
            with self._noticing_damage():
                self.db.execute("BEGIN IMMEDIATE")
                self._depth += 1
                try:
                    yield self.db
                    self.db.execute("COMMIT")
                except BaseException:
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")
                    raise
                finally:
                    self._depth -= 1
            if database.identity(self.path) != self._identity:
                raise sqlite3.OperationalError(f"the queue file {self.path} was replaced at this very moment")

    def read(self, sql: str, values: tuple[object, ...] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, at one instant, whatever other threads of this process are doing."""
        with self.mutex, self._noticing_damage():
            return self.db.execute(sql, values).fetchall()

    def damaged(self, what: str) -> sqlite3.DatabaseError:
        """The error to raise where the file contradicts itself; it is examined when it is opened next."""
        damage.suspect(self.path)
        return sqlite3.DatabaseError(what)

    @contextmanager
    def _noticing_damage(self) -> Iterator[None]:
        """Damage that shows while the queue is in use has the whole file looked through when it is opened next."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if damage.is_damage(error):
                damage.suspect(self.path)
            raise
        except UnicodeDecodeError:
            damage.suspect(self.path)
            raise sqlite3.DatabaseError(database.GARBLED) from None


def unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
