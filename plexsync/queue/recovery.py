"""What to do when the queue file is missing, damaged, foreign, of the original plan, or of a newer PlexSync.

Never a silent empty queue. What was found is moved aside, whole and unchanged; whatever can be read of it goes into the
file at the usual place, beside what hooks may have put there since; and a sentence says all of this.

    data.db, data.db-wal  ──▶  data.db.rescue-ID, -wal        (renamed, nothing copied, nothing written)
    read a copy of these  ──▶  data.db                        (one transaction, which also notes the ID)
    data.db.rescue-ID     ──▶  data.db.aside-TIME-ID          (kept for a person)

Killed anywhere, the next start goes on from what lies there by then, and the noted ID keeps it from taking the same
rows over twice. While this runs nobody opens the file: the gate of ``intake.connect`` is ours. Whoever has it open
already notices after its next commit that another file lies there, and repeats what it did.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from plexsync.locks import FileLock
from plexsync.queue import intake
from plexsync.queue.intake import TABLE

SUSPECT = ".suspect"  # beside the file: something in it could not be read
CLEARED = ".cleared"  # beside the file: that was looked into, and nothing was found
CLEARED_S = 86_400.0  # so long after which it is looked into once more
WAIT_S = 10.0  # for another process that is mending the same file
LITTER_S = 600.0  # a half-made file that is older than this has lost its maker
CARVED_BYTES = 65_536  # of text that are tried as one job
ONE_BY_ONE = 256  # keys tried singly behind an unreadable one, before the strides grow

_ERROR, _CORRUPT, _NOTADB = 1, 11, 26  # SQLite's codes for: no such table or column, damaged, no database


class Refused(Exception):
    """The file is sound, but not for this version; nothing was touched."""


def make_usable(path: str, now: float) -> list[str]:
    """See that there is a queue file of this version at ``path``; the sentences a user must read, usually none.

    Raises Refused for a file of a newer PlexSync, sqlite3.OperationalError when it is locked or unreadable, OSError
    when the disk does not let us.
    """
    intake.make_folder(os.path.dirname(path))
    gate = FileLock(path + intake.GATE)
    give_up = time.monotonic() + WAIT_S
    while not gate.take():
        if time.monotonic() > give_up:
            raise sqlite3.OperationalError(f"another process has been mending {path} for {WAIT_S:.0f} s")
        time.sleep(0.02)
    try:
        return _mend(path, now)
    finally:
        gate.release()


def _mend(path: str, now: float) -> list[str]:
    reasons: dict[str, str] = {}
    for name in _unfinished(path):  # of a rescue that was cut short
        reasons[name] = "was being mended when that was cut short"
        if not os.path.exists(path):
            _move_log(path, name)
    ailment = _ailment(path)
    if ailment == "missing" and any(os.path.exists(path + end) for end in ("-wal", "-shm")):
        reasons[_move_away(path)] = "was gone, with only its write-ahead log left"
    elif ailment not in (None, "missing"):
        reasons[_move_away(path)] = str(ailment)
    if not os.path.exists(path):
        intake.create(path)
    said = [_take_over(path, name, reason, now) for name, reason in sorted(reasons.items())]
    _unlink(path + SUSPECT)
    if said:
        _unlink(path + CLEARED)  # that was about another file
    _sweep(path)
    return said


# ---- what is wrong ---------------------------------------------------------------------------------------------


def _ailment(path: str) -> str | None:
    """None when the file is ours and opens, "missing", or why it cannot be used, as the end of a sentence."""
    if not os.path.exists(path):
        return "missing"
    if os.path.getsize(path) == 0:
        return "was empty"
    try:
        db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            db.text_factory = bytes
            return _examine(path, db)
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, Damaged) or _code(error) in (_ERROR, _CORRUPT, _NOTADB):
            return f"is damaged ({error})"
        raise  # locked, read-only, no room, an I/O error: the file itself may be well
    except UnicodeDecodeError:
        return f"is damaged ({intake.GARBLED})"


def _examine(path: str, db: sqlite3.Connection) -> str | None:
    version = abs(int(db.execute("PRAGMA user_version").fetchone()[0]))
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if TABLE.encode() not in tables:
        return "is a database of something else" if tables else "was empty"
    if version > intake.SCHEMA_VERSION:
        raise Refused(
            f"The queue {path} was made by a newer PlexSync (layout {version}; this one knows "
            f"{intake.SCHEMA_VERSION}). Install that version again, or move the file away to begin anew."
        )
    if version == 0:
        return "is a plain persist-queue of the original plan"
    look_through(db)
    if os.path.exists(path + SUSPECT):
        found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != b"ok":
            return f"is damaged ({intake.as_text(found)})"
        if _age(path + CLEARED) < CLEARED_S:
            # The check does not see everything that stops a statement, and would say "ok" for ever.
            return "is damaged (it failed again after a check that had found nothing)"
        os.replace(path + SUSPECT, path + CLEARED)
        os.utime(path + CLEARED)
    return None


def _age(path: str) -> float:
    """Seconds since the file was made; infinite when there is none."""
    try:
        return abs(time.time() - os.path.getmtime(path))
    except FileNotFoundError:
        return float("inf")


class Damaged(sqlite3.DatabaseError):
    """The file can be read, and what it says of its own layout is not what we wrote."""


@functools.cache
def _layout() -> dict[str, str]:
    """Our tables, indexes and triggers: the name of each, and the text that made it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(intake.SCHEMA)
        return dict(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def look_through(db: sqlite3.Connection) -> None:
    """Read the first page of all the worker lives from, whatever the size of the file. Raises sqlite3.DatabaseError."""
    found = {_text(name): _text(sql) for name, sql in db.execute("SELECT name, sql FROM sqlite_master")}
    for name, sql in _layout().items():
        if name not in found:
            raise Damaged(f"its layout lacks {name}")
        if found[name] != sql:  # a flipped bit can rename a column, and the file is sound otherwise
            raise Damaged(f"its layout of {name} is not as PlexSync wrote it")
    db.execute(f"SELECT min(due_at), max(generation) FROM {TABLE} WHERE status < 2 AND due_at < 0").fetchone()
    db.execute(f"SELECT key, token, deaths, decided_at FROM {TABLE} WHERE _id < 0").fetchone()
    for table in ("dead_letters", "spooled", "tally", "breakers", "outages", "state"):
        db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()


def is_damage(error: BaseException) -> bool:
    """Whether an error of a running queue means the file itself, not its lock or its disk."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in (_CORRUPT, _NOTADB)


def suspect(path: str) -> None:
    """Have the file examined from end to end when it is opened next."""
    os.close(os.open(path + SUSPECT, os.O_CREAT | os.O_WRONLY, 0o600))


def is_in_order(path: str) -> bool:
    """Whether nothing is known against opening the file as it is."""
    return os.path.exists(path) and not os.path.exists(path + SUSPECT) and not _unfinished(path)


def _code(error: BaseException) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


# ---- moving it away --------------------------------------------------------------------------------------------


def _unfinished(path: str) -> list[str]:
    """Files moved away whose rows were not taken over yet, or not known to be."""
    folder, start = os.path.dirname(path), os.path.basename(path) + ".rescue-"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    ids = {name.removesuffix("-wal").removesuffix("-shm") for name in names if name.startswith(start)}
    return sorted(os.path.join(folder, name) for name in ids if not name.endswith(".copy"))


def _move_away(path: str) -> str:
    """Rename the file, then its index, then its log; gives the new name.

    In this order: ``intake.create`` makes nothing while there is a log or an index, so nobody can meet them with a
    file they do not belong to.
    """
    name = f"{path}.rescue-{os.urandom(4).hex()}"
    if os.path.exists(path):
        os.rename(path, name)
        # On disk before the log goes: else a power cut could leave the file here and its newest rows elsewhere.
        intake.sync_folder(os.path.dirname(path))
    _move_log(path, name)
    return name


def _move_log(path: str, name: str) -> None:
    for end in ("-shm", "-wal"):
        if os.path.exists(path + end):
            os.rename(path + end, name + end)
    intake.sync_folder(os.path.dirname(path))


def _take_over(path: str, name: str, reason: str, now: float) -> str:
    """Bring what can be read of a file moved away into the one in use, then set it aside; the sentence about it."""
    copy = name + ".copy"
    event = "rescue " + name.rpartition("-")[2]
    try:
        for end in ("", "-wal"):
            if os.path.exists(name + end):
                # Reading a database writes to it (its log is copied back): what is kept for a person stays as it was.
                shutil.copyfile(name + end, copy + end)
        db = intake.connect(path, int(WAIT_S * 1000), gated=False)
        try:
            db.execute("BEGIN IMMEDIATE")
            live = ended = lost = 0
            if db.execute("INSERT OR IGNORE INTO spooled VALUES (?, ?)", (event, now)).rowcount:
                live, ended, lost = _Salvage(db, now).run(copy)
            db.execute("COMMIT")
        finally:
            db.close()
    finally:
        for end in ("", "-wal", "-shm"):
            _unlink(copy + end)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    aside = f"{path}.aside-{stamp}-{name.rpartition('-')[2]}"
    for end in ("-shm", "-wal", ""):
        if os.path.exists(name + end):
            os.rename(name + end, aside + end)
    intake.sync_folders(path)
    return (
        f"The queue {path} {reason}. It was kept as {os.path.basename(aside)}; {live} waiting jobs and {ended} "
        f"ended ones were taken over into a new file, {lost} rows could not be read"
        + (" and are dead letters where their bytes were left." if lost else ".")
        + ("" if reason.startswith("is a plain") else " Run the task that syncs recent changes to be sure.")
    )


def _sweep(path: str) -> None:
    """Half-made new files and half-made copies, whose makers were killed."""
    folder, base = os.path.dirname(path), os.path.basename(path)
    for name in os.listdir(folder):
        litter = os.path.join(folder, name)
        if name.startswith(base + ".new-") and time.time() - os.path.getmtime(litter) > LITTER_S:
            _unlink(litter)


def _unlink(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def keep_replaced(path: str, db: sqlite3.Connection) -> None:
    """Save the file a connection has open but whose name is gone, so that ``make_usable`` takes its rows over.

    Does nothing when it can no longer be read, or there is no room: then the edits in it are lost with it.
    """
    name = f"{path}.rescue-{os.urandom(4).hex()}"
    part = f"{path}.new-{os.urandom(4).hex()}"
    try:
        copy = sqlite3.connect(part)
        try:
            db.backup(copy)
        finally:
            copy.close()
        os.rename(part, name)
    except (sqlite3.Error, OSError):
        _unlink(part)


# ---- reading what is left --------------------------------------------------------------------------------------

_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, MemoryError)
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


class _Salvage:
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
                event = intake.completed(_who(event), self.now)  # no checksum vouches for the rest
                _, generation = intake.insert(self.new, event, self.now, late=True)
                self.live += generation == 1

    def _rows(
        self, db: sqlite3.Connection, table: str, key: str, columns: list[str]
    ) -> Iterator[dict[str, Any]]:
        """Every row that can be read, by rising key; a damaged page is stepped over, a key at a time at first."""
        last, failures = 0, 0
        try:
            end = int(db.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])
        except _UNREADABLE as error:
            _raise_if_passing(error)
            if _code(error) == _ERROR:
                return  # no such table
            end = 1_000_000  # the rightmost page is the damaged one; there is no telling how far it went
        while last < end:
            try:
                row = db.execute(
                    f"SELECT {', '.join(columns)} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT 1",
                    (last,),
                ).fetchone()
            except _UNREADABLE as error:
                _raise_if_passing(error)
                if _code(error) == _NOTADB:
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
        sound = crc is None or (isinstance(raw, bytes) and crc == intake.checksum(raw))
        event = _payload(raw) if sound else None
        if event is not None:
            self.seen.add(event["event"])
        if event is not None and intake.moment(event["enqueued_at"]) in (None, 0.0):
            event["enqueued_at"] = intake.moment(row["timestamp"]) or self.now
        if status in (5, 9):
            self.ended += 1
            new_id = self.new_ids[row["_id"]] = self._ended(row, event)
            if status == 9 and not has_letters:
                why = "it had failed for good before its queue was taken over"
                stored = intake.encode(event) if event else raw
                self._insert_letter(job_id=new_id, data=stored, error_type="Failed", message=why)
        elif event is None:
            self.lost += 1
            why = "the row could not be read when its queue was rescued"
            self._insert_letter(job_id=row["_id"], data=raw, error_type="DamagedRow", message=why)
        else:
            self.live += 1
            row_id, generation = intake.insert(self.new, event, self.now, late=True)
            if generation == 1:
                self.new.execute(
                    f"UPDATE {TABLE} SET attempts = ?, first_failed_at = ?, last_error = ? WHERE _id = ?",
                    (
                        _whole(row.get("attempts")),
                        intake.moment(row.get("first_failed_at")),
                        _text(row.get("last_error")),
                        row_id,
                    ),
                )

    def _ended(self, row: dict[str, Any], event: dict[str, Any] | None) -> int:
        raw = row["data"]
        text = intake.encode(event) if event else raw
        ended_at = intake.moment(row.get("finished_at"))
        new = self.new.execute(
            f"INSERT INTO {TABLE} (data, timestamp, status, key, checksum, finished_at, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING _id",
            (
                text,
                intake.moment(row["timestamp"]),
                row["status"],
                intake.key_of(event),
                intake.checksum(text) if isinstance(text, str) else None,
                self.now if ended_at is None else ended_at,
                _text(row.get("note")) or "rescued",
            ),
        ).fetchone()
        return int(new[0])

    def _letter(self, row: dict[str, Any]) -> None:
        self.ended += 1
        failed_at = intake.moment(row.get("failed_at"))
        known = self.new.execute(
            "SELECT 1 FROM dead_letters WHERE failed_at = ? AND data IS ?", (failed_at, _stored(row["data"]))
        )
        if known.fetchone() is None:  # else it came with a backup of this same queue
            self._insert_letter(
                job_id=self.new_ids.get(row["job_id"]),
                data=row["data"],
                error_type=_text(row.get("error_type")) or "Unknown",
                message=_text(row.get("message")),
                traceback=_text(row.get("traceback")),
                attempts=_whole(row.get("attempts")),
                generation=_whole(row.get("generation")),
                enqueued_at=intake.moment(row.get("enqueued_at")),
                first_failed_at=intake.moment(row.get("first_failed_at")),
                failed_at=self.now if failed_at is None else failed_at,
                replayed_at=intake.moment(row.get("replayed_at")),
            )

    def _insert_letter(self, **values: Any) -> None:
        event = _payload(values["data"])
        values["data"] = _stored(values["data"])
        values.setdefault("failed_at", self.now)
        values["key"] = intake.key_of(event)
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
            _raise_if_passing(error)
            return
        for server, cause, started_at, ended_at, waiting in rows:
            begun = intake.moment(started_at)
            if begun is not None:
                self.new.execute(
                    "INSERT INTO outages (server, cause, started_at, ended_at, waiting) SELECT ?1, ?2, ?3, ?4, ?5"
                    " WHERE NOT EXISTS (SELECT 1 FROM outages WHERE server = ?1 AND started_at = ?3)",
                    (_text(server), _text(cause), begun, intake.moment(ended_at), _whole(waiting)),
                )
        for value, name in counts:
            self.new.execute(
                "UPDATE tally SET value = value + ? WHERE name = ?", (_whole(value), _text(name))
            )

    def _choices(self, old: sqlite3.Connection) -> None:
        """What a person decided: no later sync could find it out again."""
        self.new.execute(intake.CHOICES)
        try:
            for server, scene_id, rating_key, chosen_at in old.execute(
                "SELECT server, scene_id, rating_key, chosen_at FROM choices"
            ):
                if isinstance(scene_id, int) and isinstance(rating_key, int):
                    self.new.execute(
                        "INSERT OR IGNORE INTO choices VALUES (?, ?, ?, ?)",
                        (_text(server), scene_id, rating_key, intake.moment(chosen_at) or self.now),
                    )
        except _UNREADABLE as error:  # those before the damaged page are in
            _raise_if_passing(error)


def _raise_if_passing(error: BaseException) -> None:
    """Raise an error that says nothing about the file: no room, a disk that fails now, a lock. Taken for damage, it
    would make an empty queue of a sound one."""
    if isinstance(error, sqlite3.OperationalError) and _code(error) not in (_ERROR, _CORRUPT, _NOTADB):
        raise error


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [row[1].decode("utf-8", "replace") for row in db.execute(f"PRAGMA table_info({table})")]
    except _UNREADABLE as error:
        _raise_if_passing(error)
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
    if intake.key_of(value) is None:
        return None
    if not isinstance(value.get("update_type", "sync"), str):
        del value["update_type"]
    if not isinstance(value.get("event", ""), str):
        del value["event"]
    value["fields"] = _strings(value.get("fields"))
    event = intake.completed(value, 0.0)
    if not isinstance(event["data"], dict):
        event["data"] = {}
    try:
        return dict(json.loads(intake.encode(event)))
    except (TypeError, ValueError, RecursionError):
        # A pickle may hold what JSON cannot; the scene is what matters.
        return intake.completed(_who(value), 0.0)


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


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw or "")


def _whole(raw: Any) -> int:
    return raw if isinstance(raw, int) and 0 <= raw < 2**31 else 0
