"""Reading what is left of a damaged, foreign or older queue file, row by row and then byte by byte."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from plexsync.queue import damage, events, layout
from plexsync.queue.layout import TABLE

CARVED_BYTES = 65_536  # of text that are tried as one job
ONE_BY_ONE = 256  # keys tried singly behind an unreadable one, before the strides grow

_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, MemoryError)
DECIDED = {  # tables of layout.ORIGINALS, and what is taken over of each
    "originals": "server, rating_key, field, value, locked, scene_id, files, at",
    "overwritten": "server, rating_key, field, value, locked, scene_id, at",
    "undone": "server, scene_id, content, at",
}
_EVENT = re.compile(rb'\{"(?:scene_id|entity)":')  # how the JSON of a job begins
_ROW = ("_id", "data", "timestamp", "status")
_OURS = (
    "key",
    "checksum",
    "generation",
    "attempts",
    "due_at",
    "first_failed_at",
    "last_error",
    "finished_at",
    "note",
)
_LETTER = (
    "id",
    "job_id",
    "data",
    "error_type",
    "message",
    "traceback",
    "attempts",
    "generation",
    "enqueued_at",
    "first_failed_at",
    "failed_at",
    "replayed_at",
)


class Salvage:
    """Copies what can be read of one file into another, inside the caller's transaction."""

    def __init__(self, new: sqlite3.Connection, now: float) -> None:
        self.new = new
        self.now = now
        self.live = self.ended = self.lost = 0
        self.seen: set[str] = set()  # ids of the events taken over
        self.new_ids: dict[int, int] = {}  # of failed rows: the number each had, and has

    def run(self, source: str) -> tuple[int, int, int]:
        """(waiting jobs, ended jobs and letters, unreadable rows)."""
        structured = self._read(source)
        if not structured or self.lost:
            for end in ("", "-wal"):
                if os.path.exists(source + end):
                    self._carve(source + end, named_only=structured)
        return self.live, self.ended, self.lost

    def _read(self, source: str) -> bool:
        """Take over all rows SQLite can read; False when it does not even find the table."""
        if not os.path.exists(source) or os.path.getsize(source) == 0:
            return False
        old = sqlite3.connect(source, isolation_level=None)
        old.text_factory = bytes  # text that is not UTF-8 is data too
        try:
            if not _columns(old, TABLE):
                return False
            letters = _columns(old, "dead_letters")
            columns = _columns(old, TABLE)
            for row in self._rows(old, TABLE, "_id", [*_ROW, *(c for c in _OURS if c in columns)]):
                self._job(row, has_letters=bool(letters))
            if letters:
                for row in self._rows(old, "dead_letters", "id", [c for c in _LETTER if c in letters]):
                    self._letter(row)
            self._outages(old)
            self._choices(old)
            self._decided(old)
        finally:
            old.close()
        return True

    def _carve(self, source: str, named_only: bool) -> None:
        """Queue every job whose text is found anywhere in the file and is not known yet, ended ones and all: when
        nothing tells them from the others, a look too many is the right price. ``named_only``: not those whose text
        has no id to know them by, which are of the original plan."""
        with open(source, "rb") as file:
            raw = file.read()
        decoder = json.JSONDecoder()
        for found in _EVENT.finditer(raw):
            text = raw[found.start() : found.start() + CARVED_BYTES].decode("latin-1")
            try:
                value = decoder.raw_decode(text)[0]
            except (ValueError, RecursionError):
                continue
            if named_only and "event" not in value:
                continue
            event = _payload(json.dumps(value).encode())
            if event is not None and event["event"] not in self.seen:
                self.seen.add(event["event"])
                event = events.completed(_who(event), self.now)  # no checksum vouches for the rest
                _, generation = events.insert(self.new, event, self.now, late=True)
                self.live += generation == 1

    def _rows(
        self, db: sqlite3.Connection, table: str, key: str, columns: list[str]
    ) -> Iterator[dict[str, Any]]:
        """Every row that can be read, by rising key; a damaged page is stepped over, a key at a time at first."""
        last, failures = 0, 0
        try:
            end = int(db.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])
        except _UNREADABLE as error:
            damage.raise_if_passing(error)
            if damage.code(error) == damage.ERROR:
                return  # no such table
            end = 1_000_000  # the rightmost page is the damaged one; there is no telling how far it went
        while last < end:
            try:
                row = db.execute(
                    f"SELECT {', '.join(columns)} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT 1",
                    (last,),
                ).fetchone()
            except _UNREADABLE as error:
                damage.raise_if_passing(error)
                if damage.code(error) == damage.NOTADB:
                    return  # nothing of it is to be had
                failures += 1
                last += 1 if failures <= ONE_BY_ONE else min(2 ** ((failures - ONE_BY_ONE) // 16 + 1), 10_000)
                continue
            if failures:
                self.lost += 1  # one at least
            failures = 0
            if row is None or not isinstance(row[0], int) or row[0] <= last:
                return
            last = row[0]
            yield dict(zip(columns, row, strict=True))
        if failures:
            self.lost += 1

    def _job(self, row: dict[str, Any], has_letters: bool) -> None:
        raw, status = row["data"], row["status"]
        crc = row.get("checksum")
        sound = crc is None or (isinstance(raw, bytes) and crc == events.checksum(raw))
        event = _payload(raw) if sound else None
        if event is not None:
            self.seen.add(event["event"])
        if event is not None and events.moment(event["enqueued_at"]) in (None, 0.0):
            event["enqueued_at"] = events.moment(row["timestamp"]) or self.now
        if status in (5, 9):
            self.ended += 1
            new_id = self.new_ids[row["_id"]] = self._ended(row, event)
            if status == 9 and not has_letters:
                why = "it had failed for good before its queue was taken over"
                stored = events.encode(event) if event else raw
                self._insert_letter(job_id=new_id, data=stored, error_type="Failed", message=why)
        elif event is None:
            self.lost += 1
            why = "the row could not be read when its queue was rescued"
            self._insert_letter(job_id=row["_id"], data=raw, error_type="DamagedRow", message=why)
        else:
            self.live += 1
            row_id, generation = events.insert(self.new, event, self.now, late=True)
            if generation == 1:
                self.new.execute(
                    f"UPDATE {TABLE} SET attempts = ?, first_failed_at = ?, last_error = ? WHERE _id = ?",
                    (
                        _whole(row.get("attempts")),
                        events.moment(row.get("first_failed_at")),
                        damage.text(row.get("last_error")),
                        row_id,
                    ),
                )

    def _ended(self, row: dict[str, Any], event: dict[str, Any] | None) -> int:
        raw = row["data"]
        text = events.encode(event) if event else raw
        ended_at = events.moment(row.get("finished_at"))
        new = self.new.execute(
            f"INSERT INTO {TABLE} (data, timestamp, status, key, checksum, finished_at, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING _id",
            (
                text,
                events.moment(row["timestamp"]),
                row["status"],
                events.key_of(event),
                events.checksum(text) if isinstance(text, str) else None,
                self.now if ended_at is None else ended_at,
                damage.text(row.get("note")) or "rescued",
            ),
        ).fetchone()
        return int(new[0])

    def _letter(self, row: dict[str, Any]) -> None:
        self.ended += 1
        failed_at = events.moment(row.get("failed_at"))
        known = self.new.execute(
            "SELECT 1 FROM dead_letters WHERE failed_at = ? AND data IS ?", (failed_at, _stored(row["data"]))
        )
        if known.fetchone() is None:  # else it came with a backup of this same queue
            self._insert_letter(
                job_id=self.new_ids.get(row["job_id"]),
                data=row["data"],
                error_type=damage.text(row.get("error_type")) or "Unknown",
                message=damage.text(row.get("message")),
                traceback=damage.text(row.get("traceback")),
                attempts=_whole(row.get("attempts")),
                generation=_whole(row.get("generation")),
                enqueued_at=events.moment(row.get("enqueued_at")),
                first_failed_at=events.moment(row.get("first_failed_at")),
                failed_at=self.now if failed_at is None else failed_at,
                replayed_at=events.moment(row.get("replayed_at")),
            )

    def _insert_letter(self, **values: Any) -> None:
        event = _payload(values["data"])
        values["data"] = _stored(values["data"])
        values.setdefault("failed_at", self.now)
        values["key"] = events.key_of(event)
        values["scene_id"] = event.get("scene_id") if event else None
        self.new.execute(
            f"INSERT INTO dead_letters ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            tuple(values.values()),
        )

    def _outages(self, old: sqlite3.Connection) -> None:
        """The record of outages and the counts, when they can be had; they are history, no edit hangs on them."""
        try:
            rows = old.execute(
                "SELECT server, cause, started_at, ended_at, waiting FROM outages ORDER BY id"
            ).fetchall()
            counts = old.execute("SELECT value, name FROM tally WHERE name <> 'kept'").fetchall()
        except _UNREADABLE as error:
            damage.raise_if_passing(error)
            return
        for server, cause, started_at, ended_at, waiting in rows:
            begun = events.moment(started_at)
            if begun is not None:
                self.new.execute(
                    "INSERT INTO outages (server, cause, started_at, ended_at, waiting) SELECT ?1, ?2, ?3, ?4, ?5"
                    " WHERE NOT EXISTS (SELECT 1 FROM outages WHERE server = ?1 AND started_at = ?3)",
                    (
                        damage.text(server),
                        damage.text(cause),
                        begun,
                        events.moment(ended_at),
                        _whole(waiting),
                    ),
                )
        for value, name in counts:
            self.new.execute(
                "UPDATE tally SET value = value + ? WHERE name = ?", (_whole(value), damage.text(name))
            )

    def _decided(self, old: sqlite3.Connection) -> None:
        """What Plex had before us, and what a person had undone: the way back."""
        for statement in layout.ORIGINALS.split(";"):
            self.new.execute(statement)
        for table, names in DECIDED.items():
            marks = ", ".join("?" * len(names.split(", ")))
            try:
                for row in old.execute(f"SELECT {names} FROM {table}"):
                    if None not in row:
                        values = [damage.text(one) if isinstance(one, bytes) else one for one in row]
                        self.new.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", values)
            except _UNREADABLE as error:  # no such table, or those before the damaged page are in
                damage.raise_if_passing(error)

    def _choices(self, old: sqlite3.Connection) -> None:
        """What a person decided: no later sync could find it out again."""
        self.new.execute(layout.CHOICES)
        try:
            for server, scene_id, rating_key, chosen_at in old.execute(
                "SELECT server, scene_id, rating_key, chosen_at FROM choices"
            ):
                if isinstance(scene_id, int) and isinstance(rating_key, int):
                    self.new.execute(
                        "INSERT OR IGNORE INTO choices VALUES (?, ?, ?, ?)",
                        (damage.text(server), scene_id, rating_key, events.moment(chosen_at) or self.now),
                    )
        except _UNREADABLE as error:  # those before the damaged page are in
            damage.raise_if_passing(error)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [row[1].decode("utf-8", "replace") for row in db.execute(f"PRAGMA table_info({table})")]
    except _UNREADABLE as error:
        damage.raise_if_passing(error)
        return []


def _payload(raw: object) -> dict[str, Any] | None:
    """The job in a row: JSON, or a pickle of plain values; None when neither."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if not isinstance(raw, bytes):
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = _unpickle(raw)
    if not isinstance(value, dict):
        return None
    value = {str(name): part for name, part in value.items()}
    scene_id = value.get("scene_id")
    if isinstance(scene_id, str) and scene_id.isascii() and scene_id.isdigit():
        value["scene_id"] = int(scene_id)
    if events.key_of(value) is None:
        return None
    if not isinstance(value.get("update_type", "sync"), str):
        del value["update_type"]
    if not isinstance(value.get("event", ""), str):
        del value["event"]
    value["fields"] = _strings(value.get("fields"))
    event = events.completed(value, 0.0)
    if not isinstance(event["data"], dict):
        event["data"] = {}
    try:
        return dict(json.loads(events.encode(event)))
    except (TypeError, ValueError, RecursionError):
        # A pickle may hold what JSON cannot; the scene is what matters.
        return events.completed(_who(value), 0.0)


def _who(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: payload[name] for name in ("scene_id", "entity", "id") if name in payload}


def _strings(value: object) -> list[str]:
    return (
        [str(part) for part in value]
        if isinstance(value, Iterable) and isinstance(value, (list, tuple))
        else []
    )


class _PlainValues(pickle.Unpickler):
    """Reads pickles of dicts, lists, strings and numbers; what names code is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it names something outside itself")


def _unpickle(raw: bytes) -> object:
    if (
        raw[:1] != b"\x80"
    ):  # protocols 0 and 1 have no mark; persist-queue writes the newest, and text is no pickle
        return None
    try:
        return _PlainValues(io.BytesIO(raw)).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,  # UnicodeDecodeError is one
        LookupError,
        TypeError,
        AttributeError,
        MemoryError,
        RecursionError,
        OverflowError,
        ImportError,
    ):
        return None


def _stored(raw: Any) -> Any:
    """Bytes that are text as text, so that the sqlite3 shell shows them; all else as it is."""
    if isinstance(raw, bytes):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw
    return raw


def _whole(raw: Any) -> int:
    return raw if isinstance(raw, int) and 0 <= raw < 2**31 else 0
