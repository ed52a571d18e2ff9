"""What we remember of Plex and of each scene, in side tables of the queue's own file.

Two things, both of which may be forgotten at any time at no worse cost than asking Plex again: which item has which
file (``PathIndex`` of ``plex``), and per scene what was written last (the third side of a three-way comparison). Both
belong to one Plex server, told by its address; another address starts with nothing.

Written in small transactions: a hook that meets a lock for longer than a moment has to use its spool.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from plexsync.core.match import folded_name, path_key
from plexsync.queue import intake
from plexsync.queue.store import Store
from plexsync.servers.plex import Entry, Mark, MemoryPathIndex

NO_FILE = ""  # the path of an item without files, which must be known all the same; no file's key is empty
LATE_S = (
    3600.0  # a write that nobody saw the end of may land this late; busy servers were seen to take minutes
)
BATCH = 500  # rows in one transaction: a few milliseconds
LATEST = 2**63 - 1  # SQLite's largest: no listing has this number

TABLES = f"""{intake.CHOICES}
CREATE TABLE IF NOT EXISTS plex_files (
    server TEXT NOT NULL, path TEXT NOT NULL, rating_key INTEGER NOT NULL, section_id INTEGER NOT NULL,
    listing INTEGER NOT NULL,  -- the listing that saw it last
    name TEXT NOT NULL DEFAULT '',  -- of the file, without case
    PRIMARY KEY (server, path, rating_key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS plex_files_item ON plex_files(server, rating_key);
CREATE INDEX IF NOT EXISTS plex_files_listing ON plex_files(server, section_id, listing);
CREATE TABLE IF NOT EXISTS plex_sections (
    server TEXT NOT NULL, section_id INTEGER NOT NULL, items INTEGER NOT NULL, listed_at REAL NOT NULL,
    title TEXT NOT NULL DEFAULT '',  -- what the library was called then
    PRIMARY KEY (server, section_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scenes (
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,  -- of the scene and the settings, when they were last level
    written TEXT NOT NULL,      -- JSON: field -> the value Plex had of us then
    images TEXT NOT NULL,       -- JSON: what Plex has of the scene's cover, see engine._apply_cover
    synced_at REAL NOT NULL,
    files TEXT NOT NULL DEFAULT '[]',  -- JSON: the item's files that were the scene's, as Plex spells them
    PRIMARY KEY (server, scene_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scenes_item ON scenes(server, rating_key);
CREATE TABLE IF NOT EXISTS intended (  -- writes whose end nobody saw yet
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL,
    fields TEXT NOT NULL,       -- JSON: field -> our value in the write
    intended_at REAL NOT NULL,
    checked INTEGER NOT NULL DEFAULT 0  -- the item was looked at long after, so that it had landed by then
);
CREATE INDEX IF NOT EXISTS intended_scene ON intended(server, scene_id);
CREATE TABLE IF NOT EXISTS awaited (  -- files Plex did not have when they were looked for
    server TEXT NOT NULL, path TEXT NOT NULL, scene_id INTEGER NOT NULL,
    PRIMARY KEY (server, path, scene_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS awaited_scene ON awaited(server, scene_id);
"""

# Of the writes of these values to an item the last one.
_LAST = """rowid = (SELECT max(rowid) FROM intended
    WHERE server = ? AND scene_id = ? AND rating_key = ? AND fields = ?)"""


@dataclass(frozen=True)
class Memory:
    """One scene as it was when Plex was last in sync with it."""

    rating_key: int
    fingerprint: str
    written: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    synced_at: float = 0.0  # wall seconds
    files: tuple[str, ...] = ()  # the item's files that were the scene's, as Plex spells them


class Ledger:
    """The side tables for one Plex server; a ``plex.PathIndex``. ``server`` is its address."""

    def __init__(self, store: Store, server: str) -> None:
        self._store = store
        self._server = server
        self._made_in: object = None  # the connection whose file has our tables

    @property
    def _db(self) -> sqlite3.Connection:
        self._see_to_tables()
        return self._store.db

    def _see_to_tables(self) -> None:
        """Make our tables in the file the store has open, which is another one when it was replaced under us."""
        if self._store.db is not self._made_in:
            with self._store.transaction() as db:
                for statement in TABLES.split(";"):
                    db.execute(statement)
                for table, column, kind in (
                    ("scenes", "files", "TEXT NOT NULL DEFAULT '[]'"),
                    ("intended", "checked", "INTEGER NOT NULL DEFAULT 0"),
                    ("plex_sections", "title", "TEXT NOT NULL DEFAULT ''"),
                    ("plex_files", "name", "TEXT NOT NULL DEFAULT ''"),
                ):
                    if column not in [row[1] for row in db.execute(f"PRAGMA table_info({table})")]:
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
                        if column == "name":
                            db.execute("DELETE FROM plex_sections")  # the libraries are listed anew
                db.execute("CREATE INDEX IF NOT EXISTS plex_files_name ON plex_files(server, name)")
            self._made_in = self._store.db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._see_to_tables()
        with self._store.transaction() as db:
            yield db

    # ---- which item has which file ----

    def lookup(self, key: str) -> tuple[int, ...]:
        rows = self._db.execute(
            "SELECT rating_key FROM plex_files WHERE server = ? AND path = ? ORDER BY rating_key",
            (self._server, key),
        )
        return tuple(int(row[0]) for row in rows.fetchall())

    def lookup_many(self, keys: Collection[str]) -> dict[str, set[int]]:
        """``lookup`` of several at once; without those no item has."""
        found: dict[str, set[int]] = {}
        for some in _batches(keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT path, rating_key FROM plex_files WHERE server = ? AND path IN ({marks})",
                (self._server, *some),
            )
            for path, rating_key in rows.fetchall():
                found.setdefault(str(path), set()).add(int(rating_key))
        return found

    def libraries_of(self, rating_keys: Collection[int]) -> dict[int, str]:
        """What the libraries of these items are called, by rating key; without the items the index does not know."""
        found: dict[int, str] = {}
        for some in _batches(rating_keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT DISTINCT rating_key, title FROM plex_files JOIN plex_sections USING (server, section_id)"
                f" WHERE server = ? AND rating_key IN ({marks})",
                (self._server, *some),
            )
            found |= {int(rating_key): str(title) for rating_key, title in rows.fetchall()}
        return found

    def replace(self, section_id: int, entries: Iterable[Entry]) -> None:
        """Every entry is marked with the number of this listing; what still carries an older one has gone."""
        last = self._db.execute(
            "SELECT coalesce(max(listing), 0) FROM plex_files WHERE server = ? AND section_id = ?",
            (self._server, section_id),
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
                    (self._server, section_id, before, BATCH),
                ).rowcount
            if gone < BATCH:
                return

    def put(self, section_id: int, entries: Iterable[Entry]) -> int:
        last = self._db.execute(
            "SELECT coalesce(max(listing), 1) FROM plex_files WHERE server = ? AND section_id = ?",
            (self._server, section_id),
        ).fetchone()
        return self._put(section_id, entries, int(last[0]))

    def _put(self, section_id: int, entries: Iterable[Entry], listing: int) -> int:
        news = 0
        for batch in _batches(entries):
            with self._transaction() as db:
                for entry in batch:
                    known = db.execute(
                        "DELETE FROM plex_files WHERE server = ? AND rating_key = ?",
                        (self._server, entry.rating_key),
                    ).rowcount
                    news += not known
                    db.executemany(
                        "INSERT OR REPLACE INTO plex_files VALUES (?, ?, ?, ?, ?, ?)",
                        [
                            (self._server, path, entry.rating_key, section_id, listing, folded_name(path))
                            for path in [path_key(file) for file in entry.files] or [NO_FILE]
                        ],
                    )
        return news

    def paths(self) -> Iterator[str]:
        """The path keys of all files the index knows, in pieces, so that it may be large."""
        last = NO_FILE
        while True:
            rows = self._store.db.execute(
                "SELECT DISTINCT path FROM plex_files WHERE server = ? AND path > ? ORDER BY path LIMIT ?",
                (self._server, last, BATCH),
            ).fetchall()
            yield from (str(row[0]) for row in rows)
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    def named(self, names: Collection[str]) -> Iterator[str]:
        """The path keys of the files with these ``folded_name``s."""
        for some in _batches(names):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT path FROM plex_files WHERE server = ? AND name IN ({marks})",
                (self._server, *some),
            )
            # DISTINCT would have SQLite go through the table, which is in the order of the paths.
            yield from dict.fromkeys(str(row[0]) for row in rows.fetchall())

    def drop(self, rating_key: int) -> None:
        with self._transaction() as db:
            db.execute(
                "DELETE FROM plex_files WHERE server = ? AND rating_key = ?", (self._server, rating_key)
            )

    def keep(self, section_ids: Collection[int]) -> None:
        for section_id in self._sections() - set(section_ids):
            self._drop_listings(section_id, LATEST)
            with self._transaction() as db:
                db.execute(
                    "DELETE FROM plex_sections WHERE server = ? AND section_id = ?",
                    (self._server, section_id),
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
            (self._server,),
        )
        return {int(row[0]) for row in rows.fetchall()}

    def mark(self, section_id: int) -> Mark | None:
        row = self._db.execute(
            "SELECT items, listed_at, title FROM plex_sections WHERE server = ? AND section_id = ?",
            (self._server, section_id),
        ).fetchone()
        return None if row is None else Mark(int(row[0]), float(row[1]), str(row[2]))

    def set_mark(self, section_id: int, mark: Mark) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO plex_sections VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT (server, section_id) DO UPDATE SET items = ?3, listed_at = ?4, title = ?5",
                (self._server, section_id, mark.items, mark.listed_at, mark.title),
            )

    # ---- what was written last ----

    def recall(self, scene_id: int) -> Memory | None:
        """What we know of a scene; None when it was never in sync with this server."""
        return self.recall_many([scene_id]).get(scene_id)

    def recall_many(self, scene_ids: Collection[int]) -> dict[int, Memory]:
        """What we know of these scenes, by id; without those that were never in sync with this server."""
        found: dict[int, Memory] = {}
        for some in _batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT rating_key, fingerprint, written, images, synced_at, files, scene_id FROM scenes"
                f" WHERE server = ? AND scene_id IN ({marks})",
                (self._server, *some),
            )
            for row in rows.fetchall():
                try:
                    written, images, files = json.loads(row[2]), json.loads(row[3]), json.loads(row[5])
                except (ValueError, RecursionError):
                    continue  # damaged: as if never in sync
                if isinstance(written, dict) and isinstance(images, dict) and isinstance(files, list):
                    found[int(row[6])] = Memory(
                        int(row[0]), str(row[1]), written, images, float(row[4]), tuple(map(str, files))
                    )
        return found

    def remember(
        self,
        scene_id: int,
        rating_key: int,
        fingerprint: str,
        written: Mapping[str, Any],
        images: Mapping[str, str] | None = None,
        intended: Mapping[str, Any] | None = None,
        files: Sequence[str] = (),
    ) -> None:
        """Plex is in sync with the scene now; of its writes the last of ``intended`` has come to its end."""
        now = self._store.clock.now()
        with self._transaction() as db:
            db.execute("DELETE FROM awaited WHERE server = ? AND scene_id = ?", (self._server, scene_id))
            db.execute(
                "DELETE FROM intended WHERE server = ? AND scene_id = ? AND (rating_key <> ? OR intended_at < ?)",
                (self._server, scene_id, rating_key, now - LATE_S),
            )
            if intended:
                self._end_intention(db, scene_id, rating_key, intended)
            db.execute(
                "INSERT OR REPLACE INTO scenes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._server,
                    scene_id,
                    rating_key,
                    fingerprint,
                    intake.encode(dict(written)),
                    intake.encode(dict(images or {})),
                    now,
                    intake.encode(list(files)),
                ),
            )

    def intend(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """These values of ours are about to be written; should nobody see the end of it, they may be in Plex."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO intended (server, scene_id, rating_key, fields, intended_at) VALUES (?, ?, ?, ?, ?)",
                (
                    self._server,
                    scene_id,
                    rating_key,
                    intake.encode(dict(fields)),
                    self._store.clock.now(),
                ),
            )

    def retract(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """The last write of these values was not done, for certain."""
        with self._transaction() as db:
            self._end_intention(db, scene_id, rating_key, fields)

    def landed(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """The last write of these values was done, and the scene is not level for another reason."""
        with self._transaction() as db:
            db.execute(
                f"UPDATE intended SET checked = 1 WHERE {_LAST}", self._last(scene_id, rating_key, fields)
            )

    def _end_intention(
        self, db: sqlite3.Connection, scene_id: int, rating_key: int, fields: Mapping[str, Any]
    ) -> None:
        db.execute(f"DELETE FROM intended WHERE {_LAST}", self._last(scene_id, rating_key, fields))

    def _last(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> tuple[object, ...]:
        return self._server, scene_id, rating_key, intake.encode(dict(fields))

    def unsettled(self, scene_ids: Collection[int]) -> set[int]:
        """Those of these scenes of which a write may still land that nobody saw the end of."""
        found: set[int] = set()
        for some in _batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT scene_id FROM intended WHERE server = ? AND scene_id IN ({marks}) AND NOT checked",
                (self._server, *some),
            )
            found |= {int(row[0]) for row in rows.fetchall()}
        return found

    def settle(self, scene_id: int, before: float, now: float = math.inf) -> float | None:
        """The item was looked at just now: writes begun before this wall time have landed, or never will. When the
        last one was begun that may still land; None when there is none.

        What was begun after ``now`` was begun by a clock that has been set back since: it counts as begun now."""
        with self._transaction() as db:
            db.execute(
                "UPDATE intended SET intended_at = ?3 WHERE server = ?1 AND scene_id = ?2 AND intended_at > ?3",
                (self._server, scene_id, now),
            )
            db.execute(
                "UPDATE intended SET checked = 1 WHERE server = ? AND scene_id = ? AND intended_at <= ?",
                (self._server, scene_id, before),
            )
            row = db.execute(
                "SELECT max(intended_at) FROM intended WHERE server = ? AND scene_id = ? AND NOT checked",
                (self._server, scene_id),
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def intentions(self, scene_id: int, rating_key: int) -> list[Mapping[str, Any]]:
        """What was about to be written to the item and may have been or not, oldest first."""
        return self.intentions_many([scene_id]).get((scene_id, rating_key), [])

    def intentions_many(self, scene_ids: Collection[int]) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
        """``intentions`` of these scenes, by scene and item."""
        found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
        for some in _batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT scene_id, rating_key, fields FROM intended"
                f" WHERE server = ? AND scene_id IN ({marks}) ORDER BY rowid",
                (self._server, *some),
            )
            for scene_id, rating_key, text in rows.fetchall():
                try:
                    fields = json.loads(text)
                except (ValueError, RecursionError):
                    continue  # damaged
                if isinstance(fields, dict):
                    tried = found.setdefault((int(scene_id), int(rating_key)), [])
                    tried[:] = [*(other for other in tried if other != fields), fields]
        return found

    def forget(self, scene_id: int) -> None:
        """The scene is gone, and nothing of it is worth keeping."""
        with self._transaction() as db:
            for table in ("scenes", "intended", "choices", "awaited"):
                db.execute(f"DELETE FROM {table} WHERE server = ? AND scene_id = ?", (self._server, scene_id))

    def others_of(self, rating_key: int, scene_id: int) -> tuple[int, ...]:
        """The scenes that were in sync with this item too."""
        rows = self._db.execute(
            "SELECT scene_id FROM scenes WHERE server = ? AND rating_key = ? AND scene_id <> ? ORDER BY scene_id",
            (self._server, rating_key, scene_id),
        )
        return tuple(int(row[0]) for row in rows.fetchall())

    def written_to_many(self, rating_keys: Collection[int]) -> dict[int, dict[int, Mapping[str, Any]]]:
        """What was written to these items, by item and scene."""
        scene_ids: list[int] = []
        for some in _batches(rating_keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT scene_id FROM scenes WHERE server = ? AND rating_key IN ({marks})",
                (self._server, *some),
            )
            scene_ids += [int(row[0]) for row in rows.fetchall()]
        return _by_item(self.recall_many(scene_ids))

    def scene_ids(self, after_id: int, last_id: int) -> list[int]:
        """The scenes that were ever in sync and are not forgotten, those beyond ``after_id`` up to ``last_id``."""
        rows = self._db.execute(
            "SELECT scene_id FROM scenes WHERE server = ? AND scene_id > ? AND scene_id <= ? ORDER BY scene_id",
            (self._server, after_id, last_id),
        )
        return [int(row[0]) for row in rows.fetchall()]

    # ---- what Plex did not have yet ----

    def expect(self, scene_id: int, paths: Iterable[str]) -> None:
        """Plex has no item with one of these files yet."""
        with self._transaction() as db:
            db.execute("DELETE FROM awaited WHERE server = ? AND scene_id = ?", (self._server, scene_id))
            db.executemany(
                "INSERT OR IGNORE INTO awaited VALUES (?, ?, ?)",
                [(self._server, path_key(path), scene_id) for path in paths],
            )

    def expects(self) -> bool:
        """Whether any file is awaited."""
        rows = self._db.execute("SELECT 1 FROM awaited WHERE server = ? LIMIT 1", (self._server,))
        return rows.fetchone() is not None

    def arrived(self) -> list[int]:
        """The scenes of which a file is in the index by now; each is named once."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT DISTINCT scene_id FROM awaited JOIN plex_files USING (server, path) WHERE server = ?"
                " ORDER BY scene_id",
                (self._server,),
            ).fetchall()
            db.executemany(
                "DELETE FROM awaited WHERE server = ? AND scene_id = ?",
                [(self._server, row[0]) for row in rows],
            )
        return [int(row[0]) for row in rows]

    # ---- what a person chose ----

    def choice(self, scene_id: int) -> int | None:
        """The item a person said is the scene's, when several have its file."""
        row = self._db.execute(
            "SELECT rating_key FROM choices WHERE server = ? AND scene_id = ?", (self._server, scene_id)
        ).fetchone()
        return None if row is None else int(row[0])

    def choose(self, scene_id: int, rating_key: int) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO choices VALUES (?, ?, ?, ?)",
                (self._server, scene_id, rating_key, self._store.clock.now()),
            )


@dataclass
class _Intention:
    fields: Mapping[str, Any]
    at: float
    checked: bool = False


class MemoryLedger(MemoryPathIndex):
    """The same, for the life of a process: for a simulation, or when the file cannot be used."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now = now
        self._memories: dict[int, Memory] = {}
        self._choices: dict[int, int] = {}
        self._intended: dict[tuple[int, int], list[_Intention]] = {}
        self._awaited: dict[int, tuple[str, ...]] = {}

    def paths(self) -> Iterator[str]:
        yield from sorted(self._keys)

    def recall(self, scene_id: int) -> Memory | None:
        return self._memories.get(scene_id)

    def recall_many(self, scene_ids: Collection[int]) -> dict[int, Memory]:
        return {number: self._memories[number] for number in scene_ids if number in self._memories}

    def remember(
        self,
        scene_id: int,
        rating_key: int,
        fingerprint: str,
        written: Mapping[str, Any],
        images: Mapping[str, str] | None = None,
        intended: Mapping[str, Any] | None = None,
        files: Sequence[str] = (),
    ) -> None:
        self._memories[scene_id] = Memory(
            rating_key, fingerprint, dict(written), dict(images or {}), files=tuple(files)
        )
        tried = self._intended.get((scene_id, rating_key), [])
        self._forget_intended(scene_id)
        self._intended[scene_id, rating_key] = [one for one in tried if one.at >= self._now() - LATE_S]
        self.retract(scene_id, rating_key, intended or {})
        self._awaited.pop(scene_id, None)

    def intend(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        self._intended.setdefault((scene_id, rating_key), []).append(_Intention(dict(fields), self._now()))

    def retract(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        for last in self._last(scene_id, rating_key, fields):
            tried = self._intended[scene_id, rating_key]
            tried[:] = [one for one in tried if one is not last]

    def landed(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        for last in self._last(scene_id, rating_key, fields):
            last.checked = True

    def _last(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> list[_Intention]:
        """The last write of these values, if there is one."""
        return [one for one in self._intended.get((scene_id, rating_key), []) if one.fields == fields][-1:]

    def intentions(self, scene_id: int, rating_key: int) -> list[Mapping[str, Any]]:
        return self.intentions_many([scene_id]).get((scene_id, rating_key), [])

    def intentions_many(self, scene_ids: Collection[int]) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
        found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
        for key, tried in self._intended.items():
            if key[0] in scene_ids:
                last = {intake.encode(dict(one.fields)): number for number, one in enumerate(tried)}
                found[key] = [tried[number].fields for number in sorted(last.values())]
        return found

    def unsettled(self, scene_ids: Collection[int]) -> set[int]:
        return {
            key[0]
            for key, tried in self._intended.items()
            if key[0] in scene_ids and not all(one.checked for one in tried)
        }

    def settle(self, scene_id: int, before: float, now: float = math.inf) -> float | None:
        tried = [one for key, some in self._intended.items() if key[0] == scene_id for one in some]
        for one in tried:
            one.at = min(one.at, now)
            one.checked = one.checked or one.at <= before
        return max((one.at for one in tried if not one.checked), default=None)

    def forget(self, scene_id: int) -> None:
        self._memories.pop(scene_id, None)
        self._choices.pop(scene_id, None)
        self._awaited.pop(scene_id, None)
        self._forget_intended(scene_id)

    def others_of(self, rating_key: int, scene_id: int) -> tuple[int, ...]:
        same = (one for one, memory in self._memories.items() if memory.rating_key == rating_key)
        return tuple(sorted(other for other in same if other != scene_id))

    def written_to_many(self, rating_keys: Collection[int]) -> dict[int, dict[int, Mapping[str, Any]]]:
        return _by_item(
            {n: memory for n, memory in self._memories.items() if memory.rating_key in rating_keys}
        )

    def scene_ids(self, after_id: int, last_id: int) -> list[int]:
        return sorted(scene_id for scene_id in self._memories if after_id < scene_id <= last_id)

    def expect(self, scene_id: int, paths: Iterable[str]) -> None:
        self._awaited[scene_id] = tuple(map(path_key, paths))

    def expects(self) -> bool:
        return bool(self._awaited)

    def arrived(self) -> list[int]:
        found = sorted(one for one, keys in self._awaited.items() if any(map(self.lookup, keys)))
        for scene_id in found:
            del self._awaited[scene_id]
        return found

    def _forget_intended(self, scene_id: int) -> None:
        for key in [key for key in self._intended if key[0] == scene_id]:
            del self._intended[key]

    def choice(self, scene_id: int) -> int | None:
        return self._choices.get(scene_id)

    def choose(self, scene_id: int, rating_key: int) -> None:
        self._choices[scene_id] = rating_key


def _by_item(memories: Mapping[int, Memory]) -> dict[int, dict[int, Mapping[str, Any]]]:
    """What was written, by item and scene."""
    found: dict[int, dict[int, Mapping[str, Any]]] = {}
    for scene_id, memory in sorted(memories.items()):
        found.setdefault(memory.rating_key, {})[scene_id] = memory.written
    return found


T = TypeVar("T")


def _batches(entries: Iterable[T]) -> Iterator[Sequence[T]]:
    batch: list[T] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
