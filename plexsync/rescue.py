"""What to do when the queue file is missing, damaged, foreign, of the original plan, or of a newer PlexSync.

Never a silent empty queue: a copy of what was found is set aside, whatever can be read of it goes into a new file, and
a sentence says all of this. Everything is first put together in a file beside, which then takes the place in one
rename. Killed anywhere, the next start does it again, from what lies there by then; doing it twice is harmless, since
a job is only a note to look at a scene.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sqlite3
import time
from typing import Any

from plexsync import intake
from plexsync.intake import TABLE
from plexsync.locks import FileLock

WAIT_S = 10.0  # for another process that is mending the same file


class Refused(Exception):
    """The file is sound, but not for this version; nothing was touched."""


def make_usable(path: str, now: float) -> list[str]:
    """See that there is a queue file of this version at ``path``; the sentences a user must read, usually none.

    Raises Refused for a file of a newer PlexSync, sqlite3.OperationalError when it is locked or unreadable, OSError
    when the disk does not let us.
    """
    if _ailment(path) is None:
        return []
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = FileLock(path + ".rescue")
    give_up = time.monotonic() + WAIT_S
    while not lock.take():
        if time.monotonic() > give_up:
            raise sqlite3.OperationalError(f"another process has been mending {path} for {WAIT_S:.0f} s")
        time.sleep(0.05)
    try:
        ailment = _ailment(path)
        if ailment is None:  # that other process has done it
            return []
        if ailment == "missing":
            intake.create(path)
            intake.sync_folders(path)
            return []
        return [_rebuild(path, ailment, now)]
    finally:
        lock.release()


def _ailment(path: str) -> str | None:
    """None when the file is ours and opens, "missing", or why it cannot be used, as the end of a sentence."""
    if not os.path.exists(path):
        return "missing" if not _leftovers(path) else "was gone, with only its write-ahead log left"
    if os.path.getsize(path) == 0:
        return "was empty"
    try:
        db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            version = abs(int(db.execute("PRAGMA user_version").fetchone()[0]))
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if version > intake.SCHEMA_VERSION and TABLE in tables:
                raise Refused(
                    f"The queue {path} was made by a newer PlexSync (layout {version}; this one knows "
                    f"{intake.SCHEMA_VERSION}). Install that version again, or move the file away to begin anew."
                )
            if TABLE not in tables:
                return "is a database of something else" if tables else "was empty"
            if version == 0:
                return "is a plain persist-queue of the original plan"
            # Reads the first page of each index the worker lives from, whatever the size of the file.
            db.execute(f"SELECT min(due_at) FROM {TABLE} WHERE status < 2").fetchone()
            db.execute("SELECT max(id) FROM dead_letters").fetchone()
        finally:
            db.close()
    except sqlite3.OperationalError:
        raise  # locked, read-only, no room, an I/O error: the file itself may be well
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    return None


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of a running queue means the file itself, not its lock or its disk."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _leftovers(path: str) -> list[str]:
    return [
        path + end
        for end in ("-wal", ".rescued")
        if os.path.exists(path + end) and os.path.getsize(path + end)
    ]


def _rebuild(path: str, ailment: str, now: float) -> str:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    aside = f"{path}.aside-{stamp}-{os.urandom(2).hex()}"
    for end in ("", "-wal"):
        if os.path.exists(path + end):
            shutil.copy2(path + end, aside + end)
    beside, rescued = path + ".rescued-part", path + ".rescued"
    for name in (beside, beside + "-wal", beside + "-shm"):
        if os.path.exists(name):
            os.unlink(name)
    intake.create(beside)
    new = intake.connect(beside)
    try:
        new.execute("BEGIN IMMEDIATE")
        saved = [_salvage(source, new, now) for source in (aside, rescued) if os.path.exists(source)]
        new.execute("COMMIT")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        new.close()
    os.replace(beside, rescued)
    for end in ("-wal", "-shm"):
        if os.path.exists(path + end):
            os.unlink(path + end)
    os.replace(rescued, path)
    intake.sync_folders(path)
    live, ended, lost = (sum(part) for part in zip(*saved, strict=True)) if saved else (0, 0, 0)
    return (
        f"The queue {path} {ailment}. A copy was kept as {os.path.basename(aside)}; {live} waiting jobs and {ended} "
        f"ended ones were taken over into a new file, {lost} rows could not be read"
        + (" and are dead letters." if lost else ".")
        + ("" if ailment.startswith("is a plain") else " Run the task that syncs recent changes to be sure.")
    )


def _salvage(source: str, new: sqlite3.Connection, now: float) -> tuple[int, int, int]:
    """Copy what can be read: (waiting jobs, ended jobs and letters, unreadable rows)."""
    live = ended = lost = 0
    try:
        old = sqlite3.connect(source, isolation_level=None)
    except sqlite3.Error:
        return 0, 0, 0
    old.text_factory = bytes  # text that is not UTF-8 is data too
    try:
        for row in _rows(old, TABLE, "_id", "_id, data, timestamp, status"):
            row_id, raw, timestamp, status = row
            event = _payload(raw)
            if status in (5, 9):
                ended += 1
                _keep_ended(new, raw, event, timestamp, status, now)
            elif event is None:
                lost += 1
                _letter(
                    new,
                    row_id,
                    raw,
                    "DamagedRow",
                    "the row could not be read when its queue was rescued",
                    now,
                )
            else:
                live += 1
                intake.insert(new, event, now)
        for row in _rows(old, "dead_letters", "id", "id, data, error_type, message, replayed_at"):
            _, raw, error_type, message, replayed_at = row
            if replayed_at is None:
                ended += 1
                _letter(new, None, raw, _text(error_type), _text(message), now)
    finally:
        old.close()
    return live, ended, lost


def _rows(db: sqlite3.Connection, table: str, key: str, columns: str) -> Any:
    """Every row that can be read, by rising key; a damaged page is stepped over a key at a time, then in strides."""
    last, stride = 0, 1
    try:
        end = int(db.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])
    except sqlite3.Error:
        end = 1_000_000  # the rightmost page is the damaged one; there is no telling how far it went
    while last < end:
        try:
            row = db.execute(
                f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT 1", (last,)
            ).fetchone()
        except sqlite3.OperationalError:
            return  # no such table
        except sqlite3.DatabaseError:
            last += stride
            stride = min(stride * 2, 10_000)
            continue
        if row is None:
            return
        last, stride = row[0], 1
        yield row


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
    scene_id = value.get("scene_id")
    if isinstance(scene_id, str) and scene_id.isdigit():
        scene_id = int(scene_id)
    if not isinstance(scene_id, int) or isinstance(scene_id, bool) or scene_id < 1:
        return None
    try:
        data = json.loads(intake.encode(value.get("data") or {}))
    except (TypeError, ValueError, RecursionError):
        data = {}
    fields = value.get("fields")
    event = intake.new_event(
        scene_id,
        "sync",
        [str(f) for f in fields] if isinstance(fields, list) else [],
        data if isinstance(data, dict) else {},
    )
    if value.get("update_type") in intake.KINDS:
        event["update_type"] = value["update_type"]
    if isinstance(value.get("enqueued_at"), (int, float)):
        event["enqueued_at"] = float(value["enqueued_at"])
    if isinstance(value.get("event"), str):
        event["event"] = value["event"]
    return event


class _PlainValues(pickle.Unpickler):
    """Reads pickles of dicts, lists, strings and numbers; what names code is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _unpickle(raw: bytes) -> object:
    try:
        return _PlainValues(io.BytesIO(raw)).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        MemoryError,
    ):
        return None
    except (RecursionError, OverflowError, UnicodeDecodeError, ImportError):
        return None


def _keep_ended(
    new: sqlite3.Connection, raw: Any, event: Any, timestamp: Any, status: int, now: float
) -> None:
    row = new.execute(
        f"INSERT INTO {TABLE} (data, timestamp, status, key, finished_at, note) VALUES (?, ?, ?, ?, ?, 'rescued')"
        " RETURNING _id",
        (
            intake.encode(event) if event else _text(raw),
            timestamp,
            status,
            intake.key_of(event["scene_id"]) if event else None,
            now,
        ),
    ).fetchone()
    if status == 9:
        stored = intake.encode(event) if event else raw
        _letter(new, row[0], stored, "Failed", "it had failed for good before its queue was taken over", now)


def _letter(
    new: sqlite3.Connection, row_id: int | None, raw: Any, error_type: str, message: str, now: float
) -> None:
    event = _payload(raw)
    new.execute(
        "INSERT INTO dead_letters (job_id, key, scene_id, data, error_type, message, failed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            row_id,
            intake.key_of(event["scene_id"]) if event else None,
            event["scene_id"] if event else None,
            _text(raw) if event else raw,
            error_type,
            message,
            now,
        ),
    )


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
