"""The queue's file: opening it with full durability, making it, and telling whether it is still the same one.

The hook must be gone in a tenth of a second, and persist-queue takes longer than that to import. So the hook writes
its row by hand, into the very table persist-queue reads. Standard library only, and little of it.

Durability. The file is in WAL mode and every connection runs with ``synchronous=FULL``, so a committed row survives
power loss. A new file is built beside its place and linked into it whole, so that no process sees half a schema. Until
the directories above it are synced, its ``user_version`` is negative; a process that meets that syncs them before it
answers for anything.
"""

from __future__ import annotations

import os
import sys
import time
from errno import EINVAL

from plexsync.locks import FileLock
from plexsync.queue.layout import SCHEMA, SCHEMA_VERSION

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

FILE = "data.db"
GATE = ".gate"  # the lock beside the file that keeps opening and mending apart
BUSY_MS = 12  # how long the hook waits for another writer before it spools, which costs about as much
RETRY_S = 0.0003  # between two tries to be the writer
BUSY = 5  # SQLite's code for: another one writes

# Whatever the file can fail with. SQLite's messages quote the file, so that of a damaged one may be no UTF-8, and
# Python then raises that instead.
QueueError = (sqlite3.Error, UnicodeDecodeError, MemoryError)
GARBLED = "the file is damaged, and so is SQLite's message about it"


class NotOurs(sqlite3.DatabaseError):
    """The file is a database, but not one this version can write to: older, newer or somebody else's."""


class BeingMended(sqlite3.OperationalError):
    """Another process is mending the file at this moment."""


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
        raise BeingMended(f"{path} is being mended by another process")
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
