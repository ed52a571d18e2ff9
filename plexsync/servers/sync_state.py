"""What we know of each scene in Plex, in side tables of the queue's own file: the sync state.

Per scene what was written last (the third side of a three-way comparison), writes whose end was not seen, files Plex
did not have yet, and what a person chose. All but the choices may be forgotten at no worse cost than asking Plex again.
It belongs to one Plex server, told by its ``machineIdentifier``, wherever that is reached; another server starts with
nothing. It is a hint that saves requests: what Plex shows now counts.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from plexsync.core.match import path_key
from plexsync.queue import events, layout
from plexsync.servers import path_index
from plexsync.servers.originals import Originals
from plexsync.servers.path_index import BATCH, Database, PathIndex, batches, columns_of

LATE_S = 3600.0  # a write whose end was not seen may land this late; busy servers were seen to take minutes

TABLES = f"""{path_index.TABLES}{layout.CHOICES}{layout.ORIGINALS}CREATE TABLE IF NOT EXISTS scenes (
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,  -- of the scene and the settings, when they were last level
    written TEXT NOT NULL,      -- JSON: field -> the value Plex had of us then
    images TEXT NOT NULL,       -- JSON: what Plex has of the scene's cover, see sync/apply.py
    synced_at REAL NOT NULL,
    files TEXT NOT NULL DEFAULT '[]',  -- JSON: the item's files that were the scene's, as Plex spells them
    shown TEXT NOT NULL DEFAULT '',    -- Item.shown as it was then, '' when that is not known
    PRIMARY KEY (server, scene_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scenes_item ON scenes(server, rating_key);
CREATE TABLE IF NOT EXISTS pending_writes (  -- writes whose end was not seen
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL,
    fields TEXT NOT NULL,       -- JSON: field -> our value in the write
    begun_at REAL NOT NULL,
    checked INTEGER NOT NULL DEFAULT 0  -- the item was looked at long after, so that it had landed by then
);
CREATE INDEX IF NOT EXISTS pending_writes_scene ON pending_writes(server, scene_id);
CREATE TABLE IF NOT EXISTS awaited (  -- files Plex did not have when they were looked for
    server TEXT NOT NULL, path TEXT NOT NULL, scene_id INTEGER NOT NULL,
    PRIMARY KEY (server, path, scene_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS awaited_scene ON awaited(server, scene_id);
"""

SERVERS = "CREATE TABLE IF NOT EXISTS plex_servers (address TEXT PRIMARY KEY, identifier TEXT NOT NULL) WITHOUT ROWID"
TABLE_NAMES = (
    "plex_files",
    "plex_sections",
    "choices",
    "originals",
    "overwritten",
    "undone",
    "scenes",
    "pending_writes",
    "awaited",
)

# Of the writes of these values to an item the last one.
_LAST = """rowid = (SELECT max(rowid) FROM pending_writes
    WHERE server = ? AND scene_id = ? AND rating_key = ? AND fields = ?)"""


@dataclass(frozen=True)
class SceneState:
    """One scene as it was when Plex was last in sync with it."""

    rating_key: int
    fingerprint: str
    written: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    synced_at: float = 0.0  # wall seconds
    files: tuple[str, ...] = ()  # the item's files that were the scene's, as Plex spells them
    shown: str = ""  # what Plex showed of the item then, see Item.shown


class SyncState(PathIndex):
    """The side tables for one Plex server, those of its files included."""

    tables: ClassVar[str] = TABLES

    @property
    def originals(self) -> Originals:
        """What Plex had before us, see ``originals``."""
        self._make_tables()
        return Originals(self._database, self.server)

    def _take_over(self, db: sqlite3.Connection) -> None:
        """What 0.1 kept. Its pending writes must not be forgotten: one that landed would pass for an edit made in
        Plex. Of what Plex showed it knew nothing, so its scenes are compared once."""
        if "shown" not in columns_of(db, "scenes"):
            db.execute("ALTER TABLE scenes ADD COLUMN shown TEXT NOT NULL DEFAULT ''")
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'intended'").fetchone():
            db.execute("INSERT INTO pending_writes SELECT * FROM intended")
            db.execute("DROP TABLE intended")

    # ---- what was written last ----

    def recall(self, scene_id: int) -> SceneState | None:
        """What we know of a scene; None when it was never in sync with this server."""
        return self.recall_many([scene_id]).get(scene_id)

    def recall_many(self, scene_ids: Collection[int]) -> dict[int, SceneState]:
        """What we know of these scenes, by id; without those that were never in sync with this server."""
        found: dict[int, SceneState] = {}
        for some in batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT rating_key, fingerprint, written, images, synced_at, files, scene_id, shown FROM scenes"
                f" WHERE server = ? AND scene_id IN ({marks})",
                (self.server, *some),
            )
            for row in rows.fetchall():
                try:
                    written, images, files = json.loads(row[2]), json.loads(row[3]), json.loads(row[5])
                except (ValueError, RecursionError):
                    continue  # damaged: as if never in sync
                if isinstance(written, dict) and isinstance(images, dict) and isinstance(files, list):
                    found[int(row[6])] = SceneState(
                        int(row[0]),
                        str(row[1]),
                        written,
                        images,
                        float(row[4]),
                        tuple(map(str, files)),
                        str(row[7]),
                    )
        return found

    def record(
        self,
        scene_id: int,
        rating_key: int,
        fingerprint: str,
        written: Mapping[str, Any],
        images: Mapping[str, str] | None = None,
        pending: Mapping[str, Any] | None = None,
        files: Sequence[str] = (),
        shown: str = "",
    ) -> None:
        """Plex is in sync with the scene now; of its writes the last of ``pending`` has come to its end."""
        now = self._database.clock.now()
        with self._transaction() as db:
            for table in ("awaited", "undone"):
                db.execute(f"DELETE FROM {table} WHERE server = ? AND scene_id = ?", (self.server, scene_id))
            db.execute(
                "DELETE FROM pending_writes WHERE server = ? AND scene_id = ? AND (rating_key <> ? OR begun_at < ?)",
                (self.server, scene_id, rating_key, now - LATE_S),
            )
            if pending:
                self._end_pending(db, scene_id, rating_key, pending)
            db.execute(
                "INSERT OR REPLACE INTO scenes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.server,
                    scene_id,
                    rating_key,
                    fingerprint,
                    events.encode(dict(written)),
                    events.encode(dict(images or {})),
                    now,
                    events.encode(list(files)),
                    shown,
                ),
            )

    def drop_evidence(self) -> None:
        """Every scene is to be compared in full, whatever Plex shows."""
        with self._transaction() as db:
            db.execute("UPDATE scenes SET shown = '' WHERE server = ?", (self.server,))

    def changed_in_plex(self, after_id: int = 0, limit: int = BATCH) -> list[int]:
        """Scenes whose item is gone from the index, or does not show what it showed when they were in sync; those
        beyond ``after_id``, at most ``limit``."""
        rows = self._db.execute(
            "SELECT scene_id FROM scenes WHERE server = ?1 AND scene_id > ?2 AND NOT EXISTS (SELECT 1 FROM plex_files"
            " WHERE plex_files.server = ?1 AND plex_files.rating_key = scenes.rating_key"
            " AND plex_files.shown = scenes.shown) ORDER BY scene_id LIMIT ?3",
            (self.server, after_id, limit),
        )
        return [int(row[0]) for row in rows.fetchall()]

    def note_pending(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """These values of ours are about to be written; should the end of it not be seen, they may be in Plex."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO pending_writes (server, scene_id, rating_key, fields, begun_at) VALUES (?, ?, ?, ?, ?)",
                (
                    self.server,
                    scene_id,
                    rating_key,
                    events.encode(dict(fields)),
                    self._database.clock.now(),
                ),
            )

    def drop_pending(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """The last write of these values was not done, for certain."""
        with self._transaction() as db:
            self._end_pending(db, scene_id, rating_key, fields)

    def pending_landed(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> None:
        """The last write of these values was done, and the scene is not level for another reason."""
        with self._transaction() as db:
            db.execute(
                f"UPDATE pending_writes SET checked = 1 WHERE {_LAST}",
                self._last(scene_id, rating_key, fields),
            )

    def _end_pending(
        self, db: sqlite3.Connection, scene_id: int, rating_key: int, fields: Mapping[str, Any]
    ) -> None:
        db.execute(f"DELETE FROM pending_writes WHERE {_LAST}", self._last(scene_id, rating_key, fields))

    def _last(self, scene_id: int, rating_key: int, fields: Mapping[str, Any]) -> tuple[object, ...]:
        return self.server, scene_id, rating_key, events.encode(dict(fields))

    def unsettled(self, scene_ids: Collection[int]) -> set[int]:
        """Those of these scenes of which a write may still land whose end was not seen."""
        found: set[int] = set()
        for some in batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT scene_id FROM pending_writes WHERE server = ? AND scene_id IN ({marks}) AND NOT checked",
                (self.server, *some),
            )
            found |= {int(row[0]) for row in rows.fetchall()}
        return found

    def settle(self, scene_id: int, before: float, now: float = math.inf) -> float | None:
        """The item was looked at just now: writes begun before this wall time have landed, or never will. When the
        last one was begun that may still land; None when there is none.

        What was begun after ``now`` was begun by a clock that has been set back since: it counts as begun now."""
        with self._transaction() as db:
            db.execute(
                "UPDATE pending_writes SET begun_at = ?3 WHERE server = ?1 AND scene_id = ?2 AND begun_at > ?3",
                (self.server, scene_id, now),
            )
            db.execute(
                "UPDATE pending_writes SET checked = 1 WHERE server = ? AND scene_id = ? AND begun_at <= ?",
                (self.server, scene_id, before),
            )
            row = db.execute(
                "SELECT max(begun_at) FROM pending_writes WHERE server = ? AND scene_id = ? AND NOT checked",
                (self.server, scene_id),
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def pending_writes(self, scene_id: int, rating_key: int) -> list[Mapping[str, Any]]:
        """What was about to be written to the item and may have been or not, oldest first."""
        return self.pending_writes_many([scene_id]).get((scene_id, rating_key), [])

    def pending_writes_many(
        self, scene_ids: Collection[int]
    ) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
        """``pending_writes`` of these scenes, by scene and item."""
        found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
        for some in batches(scene_ids):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                "SELECT scene_id, rating_key, fields FROM pending_writes"
                f" WHERE server = ? AND scene_id IN ({marks}) ORDER BY rowid",
                (self.server, *some),
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
            for table in ("scenes", "pending_writes", "choices", "awaited"):
                db.execute(f"DELETE FROM {table} WHERE server = ? AND scene_id = ?", (self.server, scene_id))

    def others_of(self, rating_key: int, scene_id: int) -> tuple[int, ...]:
        """The scenes that were in sync with this item too."""
        rows = self._db.execute(
            "SELECT scene_id FROM scenes WHERE server = ? AND rating_key = ? AND scene_id <> ? ORDER BY scene_id",
            (self.server, rating_key, scene_id),
        )
        return tuple(int(row[0]) for row in rows.fetchall())

    def written_to_many(self, rating_keys: Collection[int]) -> dict[int, dict[int, Mapping[str, Any]]]:
        """What was written to these items, by item and scene."""
        scene_ids: list[int] = []
        for some in batches(rating_keys):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT scene_id FROM scenes WHERE server = ? AND rating_key IN ({marks})",
                (self.server, *some),
            )
            scene_ids += [int(row[0]) for row in rows.fetchall()]
        return _by_item(self.recall_many(scene_ids))

    def scene_ids(self, after_id: int, last_id: int) -> list[int]:
        """The scenes that were ever in sync and are not forgotten, those beyond ``after_id`` up to ``last_id``."""
        rows = self._db.execute(
            "SELECT scene_id FROM scenes WHERE server = ? AND scene_id > ? AND scene_id <= ? ORDER BY scene_id",
            (self.server, after_id, last_id),
        )
        return [int(row[0]) for row in rows.fetchall()]

    # ---- what Plex did not have yet ----

    def expect(self, scene_id: int, paths: Iterable[str]) -> None:
        """Plex has no item with one of these files yet."""
        with self._transaction() as db:
            db.execute("DELETE FROM awaited WHERE server = ? AND scene_id = ?", (self.server, scene_id))
            db.executemany(
                "INSERT OR IGNORE INTO awaited VALUES (?, ?, ?)",
                [(self.server, path_key(path), scene_id) for path in paths],
            )

    def expects(self) -> bool:
        """Whether any file is awaited."""
        rows = self._db.execute("SELECT 1 FROM awaited WHERE server = ? LIMIT 1", (self.server,))
        return rows.fetchone() is not None

    def arrived(self) -> list[int]:
        """The scenes of which a file is in the index by now; each is named once."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT DISTINCT scene_id FROM awaited JOIN plex_files USING (server, path) WHERE server = ?"
                " ORDER BY scene_id",
                (self.server,),
            ).fetchall()
            db.executemany(
                "DELETE FROM awaited WHERE server = ? AND scene_id = ?",
                [(self.server, row[0]) for row in rows],
            )
        return [int(row[0]) for row in rows]

    # ---- what a person chose ----

    def choice(self, scene_id: int) -> int | None:
        """The item a person said is the scene's, when several have its file."""
        row = self._db.execute(
            "SELECT rating_key FROM choices WHERE server = ? AND scene_id = ?", (self.server, scene_id)
        ).fetchone()
        return None if row is None else int(row[0])

    def choose(self, scene_id: int, rating_key: int) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO choices VALUES (?, ?, ?, ?)",
                (self.server, scene_id, rating_key, self._database.clock.now()),
            )


def known_server(database: Database, address: str) -> str:
    """Which server answered last at this address, whichever process asked: its ``machineIdentifier``; the address
    itself before one did."""
    try:
        row = database.db.execute(
            "SELECT identifier FROM plex_servers WHERE address = ?", (address,)
        ).fetchone()
    except sqlite3.OperationalError:  # no such table: no server was met yet
        return address
    return address if row is None else str(row[0])


def meet_server(database: Database, address: str, identifier: str) -> bool:
    """This server answers at this address; whether another one was expected there.

    What was kept by the address alone (as 0.1 did, and before the first answer) becomes the server's.
    """
    known = known_server(database, address)
    if known == identifier:
        return False
    with database.transaction() as db:
        db.execute(SERVERS)
        db.execute("INSERT OR REPLACE INTO plex_servers VALUES (?, ?)", (address, identifier))
        if known == address:
            for table in TABLE_NAMES:
                if columns_of(db, table):
                    db.execute(
                        f"UPDATE OR IGNORE {table} SET server = ? WHERE server = ?", (identifier, address)
                    )
                    db.execute(f"DELETE FROM {table} WHERE server = ?", (address,))
    return known != address


def _by_item(memories: Mapping[int, SceneState]) -> dict[int, dict[int, Mapping[str, Any]]]:
    """What was written, by item and scene."""
    found: dict[int, dict[int, Mapping[str, Any]]] = {}
    for scene_id, memory in sorted(memories.items()):
        found.setdefault(memory.rating_key, {})[scene_id] = memory.written
    return found
