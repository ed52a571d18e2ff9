"""The queue row as both its writers know it: the file's layout, the encoding, the one INSERT, and the spool.

The hook must be gone in a tenth of a second, and persist-queue takes longer than that to import. So the hook writes
its row by hand, into the very table ``persistqueue.SQLiteAckQueue`` reads (persist-queue 1.1: ``_id, data, timestamp,
status`` first, our columns after them). ``store.Store`` writes through the same functions. Standard library only, and
little of it.

Durability. The file is in WAL mode and every connection runs with ``synchronous=FULL``, so a committed row survives
power loss. A new file is built beside its place and linked into it whole, so that nobody ever sees half a schema. Until
somebody has synced the directories above it, its ``user_version`` is negative; whoever meets that syncs them before
it answers for anything.

When the file cannot be written at once (locked, full, read-only, damaged), the event becomes a file in the spool:
written under another name, synced, renamed, directory synced. The worker merges it later by its event id, once.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from errno import EINVAL

from plexsync.locks import FileLock
from plexsync.protocol import decode, encoder

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    import sqlite3
else:

    def _c_half_of_sqlite3():
        """The same classes and the same ``connect``, without the date handling that ``sqlite3`` imports around them.

        Nor with all that ``functools`` imports, of which ``_sqlite3`` wants ``lru_cache`` alone, for its statements,
        and that is C too: it would be half of what the hook costs beyond the bare interpreter.
        """
        stand_in = None
        try:
            from _functools import _lru_cache_wrapper as cached

            if "functools" not in sys.modules:
                stand_in = sys.modules["functools"] = type(sys)("functools")
                stand_in.lru_cache = lambda size, typed=False: lambda make: cached(make, size, typed, tuple)
            import _sqlite3
        except (ImportError, AttributeError):  # another Python than CPython
            _sqlite3 = None
        finally:
            if stand_in is not None:
                del sys.modules["functools"]
        if _sqlite3 is None:
            import sqlite3 as _sqlite3
        return _sqlite3

    sqlite3 = _c_half_of_sqlite3()

TABLE = "ack_queue_default"  # persist-queue's name for SQLiteAckQueue(name="default")
FILE = "data.db"
SCHEMA_VERSION = 1
GATE = ".gate"  # the lock beside the file that keeps opening and mending apart
BUSY_MS = 12  # how long the hook waits for another writer before it spools, which costs about as much
RETRY_S = 0.0003  # between two tries to be the writer
BUSY = 5  # SQLite's code for: another one writes
EDITS = ("create", "update", "destroy")
KINDS = (*EDITS, "sync")
BEFORE_ALL_DUE = 0.0  # the epoch: before all that is due at a time
LIBRARY = "library"  # what a note about all scenes is about; there is one, number 1
ENTITIES = ("scene", "performer", "studio", "tag", "group", LIBRARY)  # what a note can be about

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    data BLOB, timestamp FLOAT, status INTEGER,  -- up to here persist-queue's own
    key TEXT,                              -- "scene:12"; NULL for rows put through plain persist-queue
    checksum INTEGER,                      -- CRC-32 of data; NULL for rows put through plain persist-queue
    generation INTEGER NOT NULL DEFAULT 1, -- edits this row stands for
    attempts INTEGER NOT NULL DEFAULT 0,   -- claims that count, the present one included
    deaths INTEGER NOT NULL DEFAULT 0,     -- workers that died holding it, in a row
    due_at REAL NOT NULL DEFAULT 0,        -- wall seconds before which nobody claims it
    decided_at REAL NOT NULL DEFAULT 0,    -- wall seconds when due_at was set: a clock before that has been set back
    owner TEXT, token TEXT,                -- the lease of a row with status 2
    lease_boot TEXT, lease_until REAL,     -- monotonic seconds of the boot of that name
    first_failed_at REAL,
    last_error TEXT NOT NULL DEFAULT '',
    finished_at REAL,
    note TEXT NOT NULL DEFAULT ''          -- how it ended: synced, level, superseded ...
);
CREATE UNIQUE INDEX IF NOT EXISTS plexsync_waiting ON {TABLE}(key) WHERE status < 2;
CREATE INDEX IF NOT EXISTS plexsync_due ON {TABLE}(due_at, _id) WHERE status < 2;
CREATE INDEX IF NOT EXISTS plexsync_busy ON {TABLE}(key) WHERE status = 2;
CREATE INDEX IF NOT EXISTS plexsync_failed ON {TABLE}(_id) WHERE status = 9;
CREATE INDEX IF NOT EXISTS plexsync_done ON {TABLE}(finished_at) WHERE status = 5;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER, key TEXT, scene_id INTEGER,
    data BLOB,                             -- the payload as it was, byte for byte
    error_type TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 1,
    enqueued_at REAL, first_failed_at REAL, failed_at REAL NOT NULL,
    replayed_at REAL, replayed_as INTEGER  -- NULL while it waits for somebody to look
);
CREATE INDEX IF NOT EXISTS plexsync_open_letters ON dead_letters(failed_at) WHERE replayed_at IS NULL;
CREATE TABLE IF NOT EXISTS spooled (event TEXT PRIMARY KEY, merged_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO tally VALUES ('kept', 0), ('finished', 0), ('superseded', 0);
CREATE TRIGGER IF NOT EXISTS plexsync_kept_in AFTER UPDATE OF status ON {TABLE} WHEN new.status = 5 AND old.status <> 5
BEGIN UPDATE tally SET value = value + 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_out AFTER UPDATE OF status ON {TABLE} WHEN old.status = 5 AND new.status <> 5
BEGIN UPDATE tally SET value = value - 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_new AFTER INSERT ON {TABLE} WHEN new.status = 5
BEGIN UPDATE tally SET value = value + 1 WHERE name = 'kept'; END;
CREATE TRIGGER IF NOT EXISTS plexsync_kept_gone AFTER DELETE ON {TABLE} WHEN old.status = 5
BEGIN UPDATE tally SET value = value - 1 WHERE name = 'kept'; END;
CREATE TABLE IF NOT EXISTS breakers (server TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, server TEXT NOT NULL, cause TEXT NOT NULL,
    started_at REAL NOT NULL, ended_at REAL, waiting INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Which item of Plex a person chose for a scene whose file several have. The sync state makes this table and uses it; it
# stands here because it is no cache: recovery takes it over from a damaged file.
CHOICES = """
CREATE TABLE IF NOT EXISTS choices (
    server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL, chosen_at REAL NOT NULL,
    PRIMARY KEY (server, scene_id)
) WITHOUT ROWID;
"""
# Which server a postponed job waits for, so that its recovery makes the job due. Apart from SCHEMA, whose text a file
# is compared with: a file has this table from the first job that is postponed.
WAITS_FOR = "CREATE TABLE IF NOT EXISTS waits_for (job_id INTEGER PRIMARY KEY, server TEXT NOT NULL);"


# Whatever the file can fail with. SQLite's messages quote the file, so that of a damaged one may be no UTF-8, and
# Python then raises that instead.
QueueError = (sqlite3.Error, UnicodeDecodeError, MemoryError)
GARBLED = "the file is damaged, and so is SQLite's message about it"


class NotOurs(sqlite3.DatabaseError):
    """The file is a database, but not one this version can write to: older, newer or somebody else's."""


def data_folder(server_connection: object = None) -> str:
    """Where everything of ours lives: $STASH_PLUGIN_DATA, else below Stash's folder, else below ~/.stash."""
    given = os.environ.get("STASH_PLUGIN_DATA")
    if given:
        return given
    stash = server_connection.get("Dir") if isinstance(server_connection, dict) else None
    if not isinstance(stash, str) or not stash:
        stash = os.path.join(os.path.expanduser("~"), ".stash")
    return os.path.join(stash, "plugins", "PlexSync", "data")


def make_folder(folder: str) -> None:
    """A folder in the data folder, and that itself, for this user alone: makedirs gives its mode to the last only."""
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)


def queue_file(data_dir: str) -> str:
    return os.path.join(data_dir, "queue", FILE)


def spool_folder(data_dir: str) -> str:
    return os.path.join(data_dir, "spool")


# ---- encoding -------------------------------------------------------------------------------------------------


encode = encoder()  # JSON in ASCII, so that lone surrogates and NUL survive SQLite and a terminal alike


def checksum(text: str | bytes) -> int:
    """CRC-32: SQLite does not notice a flipped bit inside a value, this does."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def new_event(
    scene_id: int,
    update_type: str,
    fields: list[str],
    data: dict[str, object] | None = None,
    now: float | None = None,
    entity: str = "scene",
) -> dict[str, object]:
    """One edit as it is queued or spooled. ``data`` is whatever the caller wants kept beside it.

    With another ``entity`` the id is that performer's, studio's, tag's or group's, and the note is about all its
    scenes.
    """
    if update_type not in KINDS:
        raise ValueError(f"unknown update type {update_type!r}; it is one of {', '.join(KINDS)}")
    who = {"scene_id": scene_id} if entity == "scene" else {"entity": entity, "id": scene_id}
    return {
        **who,
        "update_type": update_type,
        "fields": fields,
        "data": data or {},
        "enqueued_at": time.time() if now is None else now,
        "event": os.urandom(8).hex(),
    }


def completed(payload: dict[str, object], now: float) -> dict[str, object]:
    """A payload of somebody else's making with whatever an event needs beside it."""
    return {
        "update_type": "sync",
        "fields": [],
        "data": {},
        "enqueued_at": now,
        "event": os.urandom(8).hex(),
        **payload,
    }


def key_of(payload: object) -> str | None:
    """What a payload is about: "scene:12", "performer:5"; None when it names nothing of ours."""
    if not isinstance(payload, dict):
        return None
    entity = payload.get("entity", "scene")
    if not isinstance(entity, str) or entity not in ENTITIES:
        return None
    number = payload.get("scene_id" if entity == "scene" else "id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63:  # SQLite's integers
        return None
    return f"{entity}:{number}"


def merged(old: object, new: dict[str, object]) -> dict[str, object]:
    """What one row says that stands for both edits: the newer one, with the older one's fields and first moment.

    An empty list of fields means "unknown, look at everything", and stays so. A destroy is final. A job that is a
    barrier (``"parallel": false``) stays one.
    """
    if not isinstance(old, dict):
        return new
    both = dict(new)
    ours, theirs = new.get("fields"), old.get("fields")
    if isinstance(ours, list) and isinstance(theirs, list):
        both["fields"] = sorted({str(f) for f in ours} | {str(f) for f in theirs}) if ours and theirs else []
    if old.get("update_type") == "destroy":
        both["update_type"] = "destroy"
        both["data"] = old.get("data") or new.get("data")
    elif (old.get("update_type"), new.get("update_type")) in (
        ("create", "update"),
        ("create", "sync"),
        ("update", "sync"),
    ):
        both["update_type"] = old["update_type"]  # what a person did says more than what a task asked for
    if old.get("parallel") is False:
        both["parallel"] = False
    first = moment(old.get("enqueued_at"))
    if first is not None:
        both["enqueued_at"] = first
    return both


def moment(value: object) -> float | None:
    """A time read from a payload in wall seconds; None for what is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12:
        return float(value)
    return None


# ---- the one INSERT -------------------------------------------------------------------------------------------

_WAITING = f"SELECT data, checksum FROM {TABLE} WHERE key = ? AND status < 2"

_INSERT = f"""
INSERT INTO {TABLE} (data, timestamp, status, key, checksum, due_at, decided_at) VALUES (?, ?, 0, ?, ?, ?, ?)
ON CONFLICT (key) WHERE status < 2 DO UPDATE SET
    data = excluded.data, checksum = excluded.checksum, generation = generation + 1, attempts = 0, deaths = 0,
    due_at = min(due_at, excluded.due_at), decided_at = max(decided_at, excluded.decided_at)
RETURNING _id, generation
"""


def insert(
    db: sqlite3.Connection, event: dict[str, object], now: float, late: bool = False
) -> tuple[int, int]:
    """Queue one edit inside the caller's transaction: (row id, generation); generation 1 is a new row.

    A row of the same scene that still waits takes the edit in and becomes due at once: it is the newer state that
    will be read. A row already being worked on is left alone; its scene gets a new one. ``late``: the edit happened
    before what waits was put, so where the two differ the row is right (a dead letter replayed, a spooled edit).

    An edit is due since ever, so that it passes all that a task has queued: somebody waits for it, and a first sync of
    a large library takes hours.
    """
    key = key_of(event)
    row = db.execute(_WAITING, (key,)).fetchone()
    if row is not None:
        waiting = _read(row[0], row[1])
        event = merged(event, waiting) if late and waiting is not None else merged(waiting, event)
    text = encode(event)
    put_at = moment(event.get("enqueued_at"))
    stamp = now if put_at is None else put_at
    new = db.execute(_INSERT, (text, stamp, key, checksum(text), due(event, now), now)).fetchone()
    return int(new[0]), int(new[1])


def due(event: dict[str, object], now: float) -> float:
    """From when on a note that is put now may be claimed; those due longest come first."""
    return BEFORE_ALL_DUE if event.get("update_type") in EDITS else now


def _read(raw: object, crc: object) -> dict[str, object] | None:
    """A waiting row's payload, or None when it cannot be trusted: the newer edit then stands alone."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else str(raw)
        value = decode(text) if crc is None or crc == checksum(text) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# ---- the file -------------------------------------------------------------------------------------------------


def connect(path: str, busy_ms: int = BUSY_MS, gated: bool = True) -> sqlite3.Connection:
    """An open queue file of this version, with full durability, in autocommit mode.

    Raises FileNotFoundError when there is none, NotOurs when it is of another version or not a queue,
    sqlite3.OperationalError when it is locked, unreadable or being mended, sqlite3.DatabaseError when it is damaged.

    Opening is three steps (the file, its log, the log's index, each by name), and whoever mends the file moves these
    names; so the one waits for the other at a gate. ``gated=False`` is for the mender itself.
    """
    if os.stat(path).st_size == 0:
        # SQLite would take it for a new database, and throw away a log that still holds everything. (Where there is no
        # file it would make one; hence stat, which raises.)
        raise NotOurs(f"{path} is empty")
    gate = FileLock(path + GATE)
    if gated and not gate.take(shared=True):
        raise sqlite3.OperationalError(f"{path} is being mended by another process")
    try:
        db = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = as_text
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if abs(version) != SCHEMA_VERSION:
                raise NotOurs(f"{path} has layout {version}, this is PlexSync's layout {SCHEMA_VERSION}")
            db.execute("PRAGMA synchronous=FULL")
            if version < 0:
                sync_folders(path)
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except UnicodeDecodeError:
            db.close()
            raise sqlite3.DatabaseError(GARBLED) from None
        except BaseException:
            db.close()
            raise
    finally:
        gate.release()
    return db


def connect_to_read(path: str) -> sqlite3.Connection:
    """A queue file for somebody who may only look at it. Raises sqlite3.Error when even that cannot be done.

    Where its folder may not be written, SQLite reads the log through the index another process left; without a log
    nobody has the file open, and it is all there is.
    """
    log = path + "-wal"
    alone = not os.path.exists(log) or os.path.getsize(log) == 0
    name = os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(f"file:{name}?{'immutable=1' if alone else 'mode=ro'}", uri=True)


def begin(db: sqlite3.Connection, busy_ms: int = BUSY_MS) -> None:
    """Become the one writer. Raises sqlite3.OperationalError when another one is it for longer than ``busy_ms``.

    SQLite itself would sleep for 1, 2, 5, 10 ms and more between its tries, and between two busy writers the file is
    never free for that long.
    """
    db.execute("PRAGMA busy_timeout=0")
    give_up = time.monotonic() + busy_ms / 1000
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != BUSY or time.monotonic() >= give_up:
                raise
        time.sleep(RETRY_S)


def as_text(raw: bytes) -> str:
    """Text from the file. A flipped bit can make it anything; the checksum then tells, where an exception would stop
    everybody at this row."""
    return raw.decode("utf-8", "backslashreplace")


def identity(path: str) -> tuple[int, int]:
    """Which file lies at this path now; (0, 0) for none. Whoever commits looks before and after: a row put into a
    file that was moved away meanwhile may be in no queue at all."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def create(path: str) -> None:
    """Put a complete empty queue file in place, unless another process was faster.

    Raises OSError or sqlite3.Error when that cannot be done; nothing half-made is ever found at ``path``.
    """
    for end in ("-wal", "-shm"):
        if os.path.exists(path + end) and not os.path.exists(path):
            # SQLite would play an old log into the new file. rescue sets it aside; until then the spool serves.
            raise OSError(f"there is a {path}{end} but no {path}")
    make_folder(os.path.dirname(path))
    beside = f"{path}.new-{os.getpid()}-{os.urandom(4).hex()}"
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        db = sqlite3.connect(beside, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version=-{SCHEMA_VERSION}; COMMIT;")
        finally:
            db.close()
        _link(beside, path)
    finally:
        for name in (beside, beside + "-wal", beside + "-shm"):
            if os.path.exists(name):
                os.unlink(name)


def _link(beside: str, path: str) -> None:
    """``beside`` becomes ``path`` only if there is no ``path`` yet; losing that race is fine."""
    try:
        if hasattr(os, "link"):
            os.link(beside, path)
        else:  # Windows' rename refuses to replace
            os.rename(beside, path)
    except FileExistsError:
        pass
    except OSError:
        # A file system without hard links (FAT, some network shares). Only a rename is left there, which could
        # replace a file made in this very moment; a lock keeps creators apart.
        making = FileLock(path + ".making")
        if not making.take():
            raise OSError(f"another process is just making {path}") from None
        try:
            if not os.path.exists(path):
                os.rename(beside, path)
        finally:
            making.release()


def sync_folders(path: str) -> None:
    """Make the names on the way to a file durable: its folder and the three above it (``<data>/queue``, ``<data>``,
    the plugin's folder, which may be new as well, and where that lies)."""
    folder = os.path.dirname(os.path.abspath(path))
    for _ in range(4):
        sync_folder(folder)
        folder = os.path.dirname(folder)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable. Windows has no such call and journals them itself."""
    if os.name == "nt":
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # a folder we may pass through but not read cannot have been made by us
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != EINVAL:  # a file system that cannot sync a folder says so this way
            raise
    finally:
        os.close(fd)


# ---- the spool ------------------------------------------------------------------------------------------------


def spool(data_dir: str, event: dict[str, object]) -> str:
    """Keep one edit as a file of its own, durable on return; gives its path. Raises OSError when that fails too."""
    folder = spool_folder(data_dir)
    # Somebody who made these folders a moment ago may not have synced them yet, and may be dead.
    fresh = not os.path.isdir(folder) or not os.path.exists(queue_file(data_dir))
    make_folder(folder)
    text = encode(event)
    # The time in front keeps the order of edits; the checksum tells a half-written file from a whole one.
    name = f"{time.time_ns():020d}-{event['event']}"
    part, path = os.path.join(folder, name + ".part"), os.path.join(folder, name + ".json")
    fd = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        try:
            body = f'{{"checksum":{checksum(text)},"event":{text}}}\n'.encode("ascii")
            while body:
                body = body[os.write(fd, body) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, path)
    except OSError:
        try:
            os.unlink(part)
        except OSError:
            pass
        raise
    sync_folder(folder)
    if fresh:
        sync_folders(folder)
    else:
        sync_folder(os.path.dirname(folder))
    return path


def unspool(raw: bytes) -> dict[str, object] | None:
    """The event in a spool file's bytes, or None when it is foreign, empty or half-written."""
    try:
        outer = decode(raw.decode("ascii"))
        if not isinstance(outer, dict):
            return None
        event = outer["event"]
        # encode() is deterministic and keeps the order of keys, so the text can be had back from the value.
        whole = isinstance(event, dict) and checksum(encode(event)) == outer["checksum"]
        known = whole and key_of(event) is not None and event["update_type"] in KINDS
        return (
            event if known and isinstance(event["event"], str) and isinstance(event["fields"], list) else None
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
