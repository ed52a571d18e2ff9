"""Bringing spooled edits into the queue, each once."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress

from plexsync.queue import events, spool
from plexsync.queue.file import QueueFile, unlink
from plexsync.queue.layout import TABLE

log = logging.getLogger(__name__)

HALF_WRITTEN_S = 60.0  # a spool file without its final name that is older than this has lost its writer


class SpoolReader:
    """The spool of one data folder, as the owner of its queue reads it."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file
        self._unreadable: set[str] = set()  # spool files complained of already

    def files(self) -> list[str]:
        """The names of the spooled events, the oldest first."""
        folder = spool.folder_of(self._file.data_dir)
        try:
            return sorted(name for name in os.listdir(folder) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    def merge(self) -> int:
        """Bring spooled edits into the queue, each event id once; how many came in.

        The event and its id go in with one transaction, then the file goes. Killed in between, the file is met again
        and its id is known. What is not ours is moved to ``spool/aside``, never deleted.
        """
        folder = spool.folder_of(self._file.data_dir)
        came = 0
        for name in self.files():
            path = os.path.join(folder, name)
            try:
                event = self._spooled_event(path)
                if event is not None:
                    came += self._merge(event)
                    unlink(path)
                else:
                    self._set_aside(path, "is not an event PlexSync wrote, or was cut short")
            except OSError as error:
                # Of one file only: the others and the queue go on.
                if path not in self._unreadable:
                    log.error("spool file %s cannot be taken in: %s", path, error)
                    self._unreadable.add(path)
        self._set_half_written_aside(folder)
        return came

    def _spooled_event(self, path: str) -> dict[str, object] | None:
        try:
            with open(path, "rb") as file:
                return spool.read(file.read())
        except IsADirectoryError:
            return None

    def _merge(self, event: dict[str, object]) -> int:
        """1 when the event came in, 0 when it is in already."""
        if self._file.read("SELECT 1 FROM spooled WHERE event = ?", (event["event"],)):
            return 0
        now = self._file.clock.now()
        with self._file.transaction() as db:
            fresh = db.execute("INSERT OR IGNORE INTO spooled VALUES (?, ?)", (event["event"], now)).rowcount
            if not fresh or self._is_queued(db, event):
                return 0
            events.insert(db, event, now, late=True)
        return 1

    def _is_queued(self, db: sqlite3.Connection, event: Mapping[str, object]) -> bool:
        """Whether the hook's own INSERT, whose commit seemed to fail, is there after all."""
        row = db.execute(
            f"SELECT data FROM {TABLE} WHERE status < 2 AND key = ?", (events.key_of(event),)
        ).fetchone()
        return row is not None and f'"event":"{event["event"]}"' in str(row[0])

    def _set_half_written_aside(self, folder: str) -> None:
        """What its writer did not finish. A whole event among it is taken in: better an edit that nobody answered for
        than one edit too few."""
        if not os.path.isdir(folder):
            return
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            try:
                if name.endswith(".json") or not os.path.isfile(path):
                    continue
                if self._file.clock.now() - os.path.getmtime(path) > HALF_WRITTEN_S:
                    event = self._spooled_event(path) if name.endswith(".part") else None
                    if event is not None:
                        self._merge(event)
                        unlink(path)
                    else:
                        self._set_aside(path, "was never finished by its writer")
            except OSError as error:
                if path not in self._unreadable:
                    log.error("spool file %s cannot be looked at: %s", path, error)
                    self._unreadable.add(path)

    def _set_aside(self, path: str, why: str) -> None:
        aside = os.path.join(os.path.dirname(path), "aside")
        os.makedirs(aside, exist_ok=True)
        log.error("spool file %s %s; it was moved to %s", path, why, aside)
        with suppress(FileNotFoundError):  # another merger had it
            os.replace(path, os.path.join(aside, os.path.basename(path)))
