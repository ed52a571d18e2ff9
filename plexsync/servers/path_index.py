"""Which item of Plex has which file: side tables that save listing a library again.

They may be forgotten at any time at no worse cost than asking Plex. They stand in the queue's own file, or in a SQLite
database in memory where there is none. Written in small transactions: a hook that meets a lock for longer than a
moment has to use its spool.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from plexsync.clock import Clock, SystemClock
from plexsync.core.match import folded_name, path_key

NO_FILE = ""  # the path of an item without files, which must be known all the same; no file's key is empty
BATCH = 500  # rows in one transaction: a few milliseconds
LATEST = 2**63 - 1  # SQLite's largest: no listing has this number

TABLES = """
CREATE TABLE IF NOT EXISTS plex_files (
    server TEXT NOT NULL, path TEXT NOT NULL, rating_key INTEGER NOT NULL, section_id INTEGER NOT NULL,
    listing INTEGER NOT NULL,  -- the listing that saw it last
    name TEXT NOT NULL DEFAULT '',  -- of the file, without case
    shown TEXT NOT NULL DEFAULT '',  -- what Plex showed of the item when it was listed or read last, see Item.shown
    PRIMARY KEY (server, path, rating_key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS plex_files_item ON plex_files(server, rating_key);
CREATE INDEX IF NOT EXISTS plex_files_listing ON plex_files(server, section_id, listing);
CREATE TABLE IF NOT EXISTS plex_sections (
    server TEXT NOT NULL, section_id INTEGER NOT NULL, items INTEGER NOT NULL, listed_at REAL NOT NULL,
    title TEXT NOT NULL DEFAULT '',  -- what the library was called then
    PRIMARY KEY (server, section_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS plex_files_name ON plex_files(server, name);
"""


@dataclass(frozen=True)
class Entry:
    """One item of a listing: its key and its files as Plex sees them."""

    rating_key: int
    files: tuple[str, ...]
    updated_at: int = 0
    user_rating: float | None = None
    view_count: int = 0
    shown: str = ""  # as Item.shown


@dataclass(frozen=True)
class Mark:
    """How far a library is known."""

    items: int  # it has, as far as we saw
    listed_at: float  # seconds of the adapter's clock
    title: str = ""  # what the library was called then


class Database(Protocol):
    """Where the tables are: a ``queue.file.QueueFile``, or ``InMemory``."""

    @property
    def db(self) -> sqlite3.Connection: ...

    @property
    def clock(self) -> Clock: ...

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """All that is done inside, or nothing of it."""


class InMemory:
    """A database for the life of a process: for a dry run, and where the queue's file is not open."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._mutex = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            if self.db.in_transaction:  # part of the outer one
                yield self.db
                return
            with self.db:  # commits, or rolls back when anything in it fails
                self.db.execute("BEGIN")
                yield self.db


class PathIndex:
    """The files of one Plex server; ``server`` is its ``machineIdentifier``, and another server starts with nothing."""

    tables: ClassVar[str] = TABLES

    def __init__(self, database: Database | None = None, server: str = "") -> None:
        self._database: Database = database or InMemory()
        self.server = server
        self._made_in: object = None  # the connection whose file has our tables

    @property
    def _db(self) -> sqlite3.Connection:
        self._make_tables()
        return self._database.db

    def _make_tables(self) -> None:
        """Make our tables in the file the store has open, which is another one when it was replaced under us."""
        if self._database.db is not self._made_in:
            with self._database.transaction() as db:
                if (columns := columns_of(db, "plex_files")) and "shown" not in columns:
                    db.execute("DROP TABLE plex_files")  # of 0.1: Plex lists it again
                    db.execute("DROP TABLE IF EXISTS plex_sections")
                for statement in self.tables.split(";"):
                    db.execute(statement)
                self._take_over(db)
            self._made_in = self._database.db

    def _take_over(self, db: sqlite3.Connection) -> None:
        """What an older version kept elsewhere in this file; nothing of the paths, which Plex lists again."""

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._make_tables()
        with self._database.transaction() as db:
            yield db

    def lookup(self, key: str) -> tuple[int, ...]:
        """The rating keys of the items with the file whose ``path_key`` this is."""
        rows = self._db.execute(
            "SELECT rating_key FROM plex_files WHERE server = ? AND path = ? ORDER BY rating_key",
            (self.server, key),
        )
        return tuple(int(row[0]) for row in rows.fetchall())

    def lookup_many(self, keys: Collection[str]) -> dict[str, set[int]]:
        """``lookup`` of several at once; without those no item has."""
        found: dict[str, set[int]] = {}
        for some in batches(keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT path, rating_key FROM plex_files WHERE server = ? AND path IN ({marks})",
                (self.server, *some),
            )
            for path, rating_key in rows.fetchall():
                found.setdefault(str(path), set()).add(int(rating_key))
        return found

    def shown_many(self, rating_keys: Collection[int]) -> dict[int, str]:
        """What Plex showed of these items last (``Item.shown``), by rating key; without those the index does not
        know."""
        found: dict[int, str] = {}
        for some in batches(rating_keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT DISTINCT rating_key, shown FROM plex_files WHERE server = ? AND rating_key IN ({marks})",
                (self.server, *some),
            )
            found |= {int(rating_key): str(shown) for rating_key, shown in rows.fetchall()}
        return found

    def see(self, shown: Mapping[int, str]) -> None:
        """These items were read just now, and showed this."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE plex_files SET shown = ?3 WHERE server = ?1 AND rating_key = ?2 AND shown <> ?3",
                [(self.server, rating_key, one) for rating_key, one in shown.items()],
            )

    def libraries_of(self, rating_keys: Collection[int]) -> dict[int, str]:
        """What the libraries of these items are called, by rating key; without the items the index does not know."""
        found: dict[int, str] = {}
        for some in batches(rating_keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT DISTINCT rating_key, title FROM plex_files JOIN plex_sections USING (server, section_id)"
                f" WHERE server = ? AND rating_key IN ({marks})",
                (self.server, *some),
            )
            found |= {int(rating_key): str(title) for rating_key, title in rows.fetchall()}
        return found

    def replace(self, section_id: int, entries: Iterable[Entry]) -> None:
        """``entries`` are all a library has. Each is marked with the number of this listing; what still carries an
        older one has gone."""
        last = self._db.execute(
            "SELECT coalesce(max(listing), 0) FROM plex_files WHERE server = ? AND section_id = ?",
            (self.server, section_id),
        ).fetchone()
        listing = int(last[0]) + 1
        self._put(section_id, entries, listing)
        self._drop_listings(section_id, listing)

    def _drop_listings(self, section_id: int, before: int) -> None:
        """Forget what a listing saw last that is older than this one."""
        which = "server = ? AND section_id = ? AND listing < ?"
        while True:
            with self._transaction() as db:
                gone = db.execute(
                    f"DELETE FROM plex_files WHERE (server, path, rating_key) IN"
                    f" (SELECT server, path, rating_key FROM plex_files WHERE {which} LIMIT ?)",
                    (self.server, section_id, before, BATCH),
                ).rowcount
            if gone < BATCH:
                return

    def put(self, section_id: int, entries: Iterable[Entry]) -> int:
        """Add ``entries``, or change those that are known; the number that were not."""
        last = self._db.execute(
            "SELECT coalesce(max(listing), 1) FROM plex_files WHERE server = ? AND section_id = ?",
            (self.server, section_id),
        ).fetchone()
        return self._put(section_id, entries, int(last[0]))

    def _put(self, section_id: int, entries: Iterable[Entry], listing: int) -> int:
        news = 0
        for batch in batches(entries):
            with self._transaction() as db:
                for entry in batch:
                    known = db.execute(
                        "DELETE FROM plex_files WHERE server = ? AND rating_key = ?",
                        (self.server, entry.rating_key),
                    ).rowcount
                    news += not known
                    db.executemany(
                        "INSERT OR REPLACE INTO plex_files VALUES (?, ?, ?, ?, ?, ?, ?)",
                        [
                            (
                                self.server,
                                path,
                                entry.rating_key,
                                section_id,
                                listing,
                                folded_name(path),
                                entry.shown,
                            )
                            for path in [path_key(file) for file in entry.files] or [NO_FILE]
                        ],
                    )
        return news

    def paths(self) -> Iterator[str]:
        """The path keys of all files the index knows, in pieces, so that it may be large."""
        last = NO_FILE
        while True:
            rows = self._db.execute(
                "SELECT DISTINCT path FROM plex_files WHERE server = ? AND path > ? ORDER BY path LIMIT ?",
                (self.server, last, BATCH),
            ).fetchall()
            yield from (str(row[0]) for row in rows)
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    def named(self, names: Collection[str]) -> Iterator[str]:
        """The path keys of the files with these ``folded_name``s."""
        for some in batches(names):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT path FROM plex_files WHERE server = ? AND name IN ({marks})",
                (self.server, *some),
            )
            # DISTINCT would have SQLite go through the table, which is in the order of the paths.
            yield from dict.fromkeys(str(row[0]) for row in rows.fetchall())

    def drop(self, rating_key: int) -> None:
        """Forget an item, if it is known."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM plex_files WHERE server = ? AND rating_key = ?", (self.server, rating_key)
            )

    def keep(self, section_ids: Collection[int]) -> None:
        """Forget all other libraries: they are gone, or left out from now on."""
        for section_id in self._sections() - set(section_ids):
            self._drop_listings(section_id, LATEST)
            with self._transaction() as db:
                db.execute(
                    "DELETE FROM plex_sections WHERE server = ? AND section_id = ?",
                    (self.server, section_id),
                )

    def _sections(self) -> set[int]:
        """The libraries of which anything is known, also of those whose listing was cut short. One step of the index
        each, however many files they have."""
        rows = self._db.execute(
            "WITH RECURSIVE known(section_id) AS ("
            " SELECT min(section_id) FROM plex_files WHERE server = ?1 UNION ALL"
            " SELECT (SELECT min(section_id) FROM plex_files WHERE server = ?1 AND section_id > known.section_id)"
            " FROM known WHERE known.section_id IS NOT NULL"
            ") SELECT section_id FROM known WHERE section_id IS NOT NULL"
            " UNION SELECT section_id FROM plex_sections WHERE server = ?1",
            (self.server,),
        )
        return {int(row[0]) for row in rows.fetchall()}

    def mark(self, section_id: int) -> Mark | None:
        """What ``set_mark`` stored, None for a library never listed."""
        row = self._db.execute(
            "SELECT items, listed_at, title FROM plex_sections WHERE server = ? AND section_id = ?",
            (self.server, section_id),
        ).fetchone()
        return None if row is None else Mark(int(row[0]), float(row[1]), str(row[2]))

    def set_mark(self, section_id: int, mark: Mark) -> None:
        """Remember how far a library is known."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO plex_sections VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT (server, section_id) DO UPDATE SET items = ?3, listed_at = ?4, title = ?5",
                (self.server, section_id, mark.items, mark.listed_at, mark.title),
            )


def columns_of(db: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; none when there is no such table."""
    return {str(row[1]) for row in db.execute(f"PRAGMA table_info({table})")}


T = TypeVar("T")


def batches(entries: Iterable[T]) -> Iterator[Sequence[T]]:
    """BATCH at a time."""
    batch: list[T] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
