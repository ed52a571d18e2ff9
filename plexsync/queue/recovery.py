"""What to do when the queue file is missing, damaged, foreign, of the original plan, or of a newer PlexSync.

Never a silent empty queue. What was found is moved aside, whole and unchanged; whatever can be read of it goes into the
file at the usual place, beside what hooks may have put there since; and a sentence says all of this.

    data.db, data.db-wal  ──▶  data.db.rescue-ID, -wal        (renamed, nothing copied, nothing written)
    read a copy of these  ──▶  data.db                        (one transaction, which also notes the ID)
    data.db.rescue-ID     ──▶  data.db.aside-TIME-ID          (kept for a person)

Killed anywhere, the next start goes on from what lies there by then, and the noted ID keeps it from taking the same
rows over twice. While this runs nobody opens the file: the gate of ``database.connect`` is ours. Whoever has it open
already notices after its next commit that another file lies there, and repeats what it did.
"""

from __future__ import annotations

import functools
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from plexsync.locks import FileLock
from plexsync.queue import damage, database, layout
from plexsync.queue.layout import TABLE
from plexsync.queue.salvage import Salvage

CLEARED = ".cleared"  # beside the file: that was looked into, and nothing was found
CLEARED_S = 86_400.0  # so long after which it is looked into once more
WAIT_S = 10.0  # for another process that is mending the same file
LITTER_S = 600.0  # a half-made file that is older than this has lost its maker


class Refused(Exception):
    """The file is sound, but not for this version; nothing was touched."""


def make_usable(path: str, now: float) -> list[str]:
    """See that there is a queue file of this version at ``path``; the sentences a user must read, usually none.

    Raises Refused for a file of a newer PlexSync, sqlite3.OperationalError when it is locked or unreadable, OSError
    when the disk does not let us.
    """
    database.make_folder(os.path.dirname(path))
    gate = FileLock(path + database.GATE)
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
    reasons: dict[str, Found] = {}
    for name in _unfinished(path):  # of a rescue that was cut short
        reasons[name] = Found(State.UNUSABLE, "was being mended when that was cut short")
        if not os.path.exists(path):
            _move_log(path, name)
    found = _inspect(path)
    if found.state is not State.OURS:
        if found.state is not State.MISSING:
            reasons[_move_away(path)] = found
        elif any(os.path.exists(path + end) for end in ("-wal", "-shm")):
            reasons[_move_away(path)] = Found(State.UNUSABLE, "was gone, with only its write-ahead log left")
    if not os.path.exists(path):
        database.create(path)
    said = [_take_over(path, name, reasons[name], now) for name in sorted(reasons)]
    _unlink(path + damage.SUSPECT)
    if said:
        _unlink(path + CLEARED)  # that was about another file
    _sweep(path)
    return said


# ---- what is wrong ---------------------------------------------------------------------------------------------


class State(Enum):
    """What lies at the queue's place."""

    OURS = "a queue of this version"
    MISSING = "nothing"
    PLAIN = "a queue of the original plan, made by persist-queue alone"
    UNUSABLE = "anything else"


@dataclass(frozen=True)
class Found:
    state: State
    why: str = ""  # it cannot be used; the end of a sentence that begins with the file's name


def _inspect(path: str) -> Found:
    """What lies at the queue's place. Raises what ``make_usable`` raises."""
    if not os.path.exists(path):
        return Found(State.MISSING)
    if os.path.getsize(path) == 0:
        return Found(State.UNUSABLE, "was empty")
    try:
        db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            db.text_factory = bytes
            return _examine(path, db)
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, damage.Damaged) or damage.code(error) in damage.OF_THE_FILE:
            return Found(State.UNUSABLE, f"is damaged ({error})")
        raise  # locked, read-only, no room, an I/O error: the file itself may be well
    except UnicodeDecodeError:
        return Found(State.UNUSABLE, f"is damaged ({database.GARBLED})")


def _examine(path: str, db: sqlite3.Connection) -> Found:
    version = abs(int(db.execute("PRAGMA user_version").fetchone()[0]))
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if TABLE.encode() not in tables:
        return Found(State.UNUSABLE, "is a database of something else" if tables else "was empty")
    if version > layout.SCHEMA_VERSION:
        raise Refused(
            f"The queue {path} was made by a newer PlexSync (layout {version}; this one knows "
            f"{layout.SCHEMA_VERSION}). Install that version again, or move the file away to begin anew."
        )
    if version == 0:
        return Found(State.PLAIN, "is a plain persist-queue of the original plan")
    look_through(db)
    if os.path.exists(path + damage.SUSPECT):
        found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != b"ok":
            return Found(State.UNUSABLE, f"is damaged ({database.as_text(found)})")
        if _age(path + CLEARED) < CLEARED_S:
            # The check does not see everything that stops a statement, and would say "ok" for ever.
            return Found(State.UNUSABLE, "is damaged (it failed again after a check that had found nothing)")
        os.replace(path + damage.SUSPECT, path + CLEARED)
        os.utime(path + CLEARED)
    return Found(State.OURS)


def _age(path: str) -> float:
    """Seconds since the file was made; infinite when there is none."""
    try:
        return abs(time.time() - os.path.getmtime(path))
    except FileNotFoundError:
        return float("inf")


@functools.cache
def _layout() -> dict[str, str]:
    """Our tables, indexes and triggers: the name of each, and the text that made it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(layout.SCHEMA)
        return dict(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def look_through(db: sqlite3.Connection) -> None:
    """Read the first page of all the worker lives from, whatever the size of the file. Raises sqlite3.DatabaseError."""
    found = {
        damage.text(name): damage.text(sql) for name, sql in db.execute("SELECT name, sql FROM sqlite_master")
    }
    for name, sql in _layout().items():
        if name not in found:
            raise damage.Damaged(f"its layout lacks {name}")
        if found[name] != sql:  # a flipped bit can rename a column, and the file is sound otherwise
            raise damage.Damaged(f"its layout of {name} is not as PlexSync wrote it")
    db.execute(f"SELECT min(due_at), max(generation) FROM {TABLE} WHERE status < 2 AND due_at < 0").fetchone()
    db.execute(f"SELECT key, token, deaths, decided_at FROM {TABLE} WHERE _id < 0").fetchone()
    for table in ("dead_letters", "spooled", "tally", "breakers", "outages", "state"):
        db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()


def is_in_order(path: str) -> bool:
    """Whether nothing is known against opening the file as it is."""
    return os.path.exists(path) and not os.path.exists(path + damage.SUSPECT) and not _unfinished(path)


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

    In this order: ``database.create`` makes nothing while there is a log or an index, so nobody can meet them with a
    file they do not belong to.
    """
    name = f"{path}.rescue-{os.urandom(4).hex()}"
    if os.path.exists(path):
        os.rename(path, name)
        # On disk before the log goes: else a power cut could leave the file here and its newest rows elsewhere.
        database.sync_folder(os.path.dirname(path))
    _move_log(path, name)
    return name


def _move_log(path: str, name: str) -> None:
    for end in ("-shm", "-wal"):
        if os.path.exists(path + end):
            os.rename(path + end, name + end)
    database.sync_folder(os.path.dirname(path))


def _take_over(path: str, name: str, found: Found, now: float) -> str:
    """Bring what can be read of a file moved away into the one in use, then set it aside; the sentence about it."""
    copy = name + ".copy"
    event = "rescue " + name.rpartition("-")[2]
    try:
        for end in ("", "-wal"):
            if os.path.exists(name + end):
                # Reading a database writes to it (its log is copied back): what is kept for a person stays as it was.
                shutil.copyfile(name + end, copy + end)
        db = database.connect(path, int(WAIT_S * 1000), gated=False)
        try:
            db.execute("BEGIN IMMEDIATE")
            live = ended = lost = 0
            if db.execute("INSERT OR IGNORE INTO spooled VALUES (?, ?)", (event, now)).rowcount:
                live, ended, lost = Salvage(db, now).run(copy)
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
    database.sync_folders(path)
    return (
        f"The queue {path} {found.why}. It was kept as {os.path.basename(aside)}; {live} waiting jobs and {ended} "
        f"ended ones were taken over into a new file, {lost} rows could not be read"
        + (" and are dead letters where their bytes were left." if lost else ".")
        + ("" if found.state is State.PLAIN else " Run the task that syncs recent changes to be sure.")
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
