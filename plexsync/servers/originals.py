"""What Plex had before PlexSync changed it, kept in the queue's file: the way back.

Of each field of an item the value it had before the first change, and the last values that were overwritten, with time
and scene. Which scenes a person has had undone. None of it can be found out again, so recovery takes it over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from plexsync.core.undo import Before
from plexsync.queue import events
from plexsync.servers.path_index import Database, batches

LAST_KEPT = 10  # overwritten values a field of an item


@dataclass(frozen=True)
class Kept:
    """One field of an item as it was at a time."""

    before: Before
    at: float  # wall seconds of the change
    scene_id: int


@dataclass(frozen=True)
class ItemRecord:
    """All there is to restore of one item."""

    rating_key: int
    files: tuple[str, ...]  # of the item then, as Plex spells them
    scenes: tuple[int, ...]
    fields: tuple[Kept, ...]


class Originals:
    """The records of one Plex server."""

    def __init__(self, database: Database, server: str) -> None:
        self._database, self._server = database, server

    def keep(
        self, scene_id: int, rating_key: int, files: Sequence[str], fields: Iterable[tuple[Before, bool]]
    ) -> None:
        """About to be changed: each field as it is, and whether that is what Plex had before us. Idempotent: a value
        that is the last one kept already is not kept twice."""
        now = self._database.clock.now()
        with self._database.transaction() as db:
            for before, first in fields:
                value = events.encode(before.value)
                key = (self._server, rating_key, before.field)
                if first:
                    db.execute(
                        "INSERT OR IGNORE INTO originals VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (*key, value, before.locked, scene_id, events.encode(list(files)), now),
                    )
                last = db.execute(
                    "SELECT value, locked FROM overwritten WHERE server = ? AND rating_key = ? AND field = ?"
                    " ORDER BY id DESC LIMIT 1",
                    key,
                ).fetchone()
                if last is None or (last[0], bool(last[1])) != (value, before.locked):
                    db.execute(
                        "INSERT INTO overwritten (server, rating_key, field, value, locked, scene_id, at)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (*key, value, before.locked, scene_id, now),
                    )
                    db.execute(
                        "DELETE FROM overwritten WHERE id IN (SELECT id FROM overwritten WHERE server = ? AND"
                        " rating_key = ? AND field = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
                        (*key, LAST_KEPT),
                    )

    def items(self, scene_ids: Collection[int] | None = None, since: float | None = None) -> list[int]:
        """The rating keys of the items there is something to restore of: all, those of these scenes, or those that were
        changed since a wall time."""
        which = ""
        values: list[object] = []
        if scene_ids is not None:
            marks = ",".join("?" * len(scene_ids))
            which = (
                f" AND (scene_id IN ({marks}) OR rating_key IN"
                f" (SELECT rating_key FROM scenes WHERE server = ? AND scene_id IN ({marks})))"
            )
            values = [*scene_ids, self._server, *scene_ids]
        table = "originals" if since is None else "overwritten"
        if since is not None:
            which += " AND at >= ?"
            values.append(since)
        with self._database.transaction() as db:
            rows = db.execute(
                f"SELECT DISTINCT rating_key FROM {table} WHERE server = ?{which} ORDER BY rating_key",
                (self._server, *values),
            ).fetchall()
        return [int(row[0]) for row in rows]

    def records(self, rating_keys: Collection[int], since: float | None = None) -> list[ItemRecord]:
        """What is to be restored of these items: to what they had before us, or to what they had at a wall time."""
        found = []
        with self._database.transaction() as db:
            for some in batches(rating_keys):
                for rating_key in some:
                    key = (self._server, rating_key)
                    first = db.execute(
                        "SELECT field, value, locked, at, scene_id, files FROM originals"
                        " WHERE server = ? AND rating_key = ?",
                        key,
                    ).fetchall()
                    kept = {row[0]: _kept(row) for row in first}
                    if since is not None:
                        later = db.execute(
                            "SELECT field, value, locked, at, scene_id FROM overwritten"
                            " WHERE server = ? AND rating_key = ? AND at >= ? ORDER BY id DESC",
                            (*key, since),
                        ).fetchall()
                        kept = {
                            row[0]: _kept(row) for row in later
                        }  # the oldest of each comes last and stays
                    scenes = db.execute(
                        "SELECT scene_id FROM scenes WHERE server = ?1 AND rating_key = ?2 UNION"
                        " SELECT scene_id FROM originals WHERE server = ?1 AND rating_key = ?2",
                        key,
                    ).fetchall()
                    files = {file for row in first for file in _texts(row[5])}
                    found.append(
                        ItemRecord(
                            rating_key,
                            tuple(sorted(files)),
                            tuple(sorted(int(row[0]) for row in scenes)),
                            tuple(one for one in kept.values() if one is not None),
                        )
                    )
        return found

    def mark(self, record: ItemRecord, contents: Mapping[int, str]) -> None:
        """The item's scenes stay untouched until ``core.undo.content`` of them is another one, and what we knew of them
        is no longer so."""
        now = self._database.clock.now()
        with self._database.transaction() as db:
            for scene_id in record.scenes:
                for table in ("scenes", "pending_writes"):
                    db.execute(
                        f"DELETE FROM {table} WHERE server = ? AND scene_id = ?", (self._server, scene_id)
                    )
                if scene_id in contents:
                    db.execute(
                        "INSERT OR REPLACE INTO undone VALUES (?, ?, ?, ?)",
                        (self._server, scene_id, contents[scene_id], now),
                    )

    def restored(self, record: ItemRecord) -> None:
        """The item is as the record says."""
        with self._database.transaction() as db:
            for kept in record.fields:
                db.execute(
                    "DELETE FROM originals WHERE server = ? AND rating_key = ? AND field = ? AND value = ?",
                    (self._server, record.rating_key, kept.before.field, events.encode(kept.before.value)),
                )
                db.execute(
                    "DELETE FROM overwritten WHERE server = ? AND rating_key = ? AND field = ? AND at >= ?",
                    (self._server, record.rating_key, kept.before.field, kept.at),
                )

    def undone(self, scene_ids: Collection[int]) -> dict[int, str]:
        """Of these scenes those that were undone, and their ``core.undo.content`` then."""
        found: dict[int, str] = {}
        with self._database.transaction() as db:
            if db.execute("SELECT 1 FROM undone LIMIT 1").fetchone() is None:
                return found
            for some in batches(scene_ids):
                marks = ",".join("?" * len(some))
                rows = db.execute(
                    f"SELECT scene_id, content FROM undone WHERE server = ? AND scene_id IN ({marks})",
                    (self._server, *some),
                )
                found |= {int(scene_id): str(text) for scene_id, text in rows.fetchall()}
        return found


def _kept(row: Sequence[object]) -> Kept | None:
    """A record as it was kept; None for a damaged one."""
    field, text, locked, at, scene_id = row[:5]
    try:
        value = json.loads(str(text))
    except ValueError:
        return None
    if isinstance(value, list):
        value = tuple(map(str, value))
    if not isinstance(value, (str, tuple)) or not isinstance(scene_id, int):
        return None
    return Kept(Before(str(field), value, bool(locked)), events.moment(at) or 0.0, scene_id)


def _texts(raw: object) -> list[str]:
    try:
        found = json.loads(str(raw))
    except ValueError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []
