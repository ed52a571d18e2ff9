"""What tasks and commands stand on: the data folder, the queue, the servers, and where their lines go.

A Session opens nothing before it is asked for: what only looks at the queue never imports the clients of the two
servers, which take 200 ms.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from plexsync import hook, protocol
from plexsync.clock import Clock, SystemClock
from plexsync.core import breaker
from plexsync.core.failures import SERVERS, SyncFailure
from plexsync.locks import FileLock
from plexsync.queue import recovery
from plexsync.queue.store import Store, StoreToRead
from plexsync.ui.arguments import WrongArgument

if TYPE_CHECKING:
    from plexsync.servers.world import Servers


DATE_TIMEOUT_S = 10.0


class NoFolder(Exception):
    """There is no data folder; the text names it, and how to name another."""


class CannotWrite(Exception):
    """A file that was asked for cannot be written; the text names it, and why."""


class Unhealthy(Exception):
    """What a check of the doctor found, and what to do about it; the keys of the ``settings`` that are wrong."""

    def __init__(self, text: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.settings = settings


TROUBLES = (WrongArgument, NoFolder, CannotWrite, SyncFailure, recovery.Refused, sqlite3.Error, OSError)


def sentence(trouble: Exception, data_dir: str) -> str:
    """One of TROUBLES for a person."""
    if isinstance(trouble, (sqlite3.Error, OSError)):
        return _about_queue(trouble, data_dir, "cannot be used")
    return str(trouble)


def _about_queue(trouble: sqlite3.Error | OSError, data_dir: str, how: str) -> str:
    """What SQLite or the system says, without Python's numbers, and what to do."""
    said = str(trouble)
    if isinstance(trouble, OSError) and trouble.strerror:
        said = f"{trouble.strerror}{f', {trouble.filename}' if trouble.filename else ''}"
    return f"The queue in {data_dir} {how}: {said}. {_remedy(trouble, data_dir)}"


_LOCKED, _FULL = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), (sqlite3.SQLITE_FULL,)
_NO_RIGHT = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
_ROOM_BYTES = 100_000  # less than SQLite needs to open a file


def _remedy(trouble: Exception, data_dir: str) -> str:
    """What to do about a queue that cannot be used."""
    code = (getattr(trouble, "sqlite_errorcode", None) or 0) & 0xFF  # SQLite's kind, without its details
    number = getattr(trouble, "errno", None)
    with contextlib.suppress(OSError):
        if shutil.disk_usage(data_dir).free < _ROOM_BYTES:
            number = errno.ENOSPC
    if code in _FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on that disk."
    if code in _LOCKED:
        return "Another program keeps the file locked; edits are kept beside it until that ends. Try again."
    if number == errno.EROFS:
        return "Mount it so that it can be written to."
    if code in _NO_RIGHT or number in (errno.EACCES, errno.EPERM):
        return "Give the user PlexSync runs as the right to write there, or be the user Stash runs as."
    return "Check that the folder exists, is writable and has room."


@contextlib.contextmanager
def replacing(path: str, mode: int = 0o600) -> Iterator[TextIO]:
    """A text file that takes the place of ``path`` once all of it is written; after any failure the old one stays.

    Raises CannotWrite at once when there is no such folder, and for a disk that fills up on the way.
    """
    path = os.path.abspath(path)
    part = f"{path}.{os.getpid()}.part"
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(None, "it is a folder")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # of a process that had our number before us and was killed
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(fd, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                yield file
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}.") from None


def date_of(url: str) -> float | None:
    """What time a web server thinks it is, in wall seconds; None when it does not say. No secret is sent."""
    import email.utils
    import ssl
    import urllib.error
    import urllib.request

    any_certificate = ssl.create_default_context()
    any_certificate.check_hostname = False
    any_certificate.verify_mode = ssl.CERT_NONE
    no_proxy = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=any_certificate))
    try:
        with opener.open(url, timeout=DATE_TIMEOUT_S) as answer:
            said = answer.headers.get("Date")
    except urllib.error.HTTPError as refused:  # an answer all the same
        said = refused.headers.get("Date")
    except (OSError, ValueError):
        return None
    try:
        return email.utils.parsedate_to_datetime(said or "").timestamp()
    except ValueError:
        return None


@dataclass
class Session:
    """What a task works with. ``store`` is opened when first asked for."""

    data_dir: str
    say: Callable[[str, str], None] = protocol.log  # level, text
    progress: Callable[[float], None] = protocol.progress  # 0 to 1
    clock: Clock = field(default_factory=SystemClock)
    date_of: Callable[[str], float | None] = date_of
    connection: Mapping[str, Any] | None = None  # to Stash, as it told this process
    troubles: list[str] = field(default_factory=list)  # what had to be mended when the queue was opened
    read_only: str | None = (
        None  # why the queue can be looked at and not written, once ``reading`` was asked for
    )

    def tell(self, text: str) -> None:
        """One line of the answer."""
        self.say("info", text)

    def warn(self, text: str) -> None:
        self.say("warning", text)

    @cached_property
    def store(self) -> Store:
        store = Store(self.data_dir, self.clock)
        self.troubles += store.troubles
        return store

    @cached_property
    def reading(self) -> Store:
        """``store`` for reading alone, also where it cannot be written; ``read_only`` then says why."""
        try:
            return self.store
        except (sqlite3.Error, OSError) as trouble:
            try:
                found = StoreToRead(self.data_dir, self.clock)
            except (sqlite3.Error, OSError, UnicodeDecodeError):
                raise trouble from None
            self.read_only = _about_queue(trouble, self.data_dir, "can only be read")
            self.say("warning", self.read_only)
            return found

    @cached_property
    def servers(self) -> Servers:
        from plexsync.servers.world import Servers

        try:
            return Servers(self.data_dir, self.clock, self.store, self.connection)
        except (sqlite3.Error, OSError, recovery.Refused):  # the servers can be looked at without a queue
            return Servers(self.data_dir, self.clock, None, self.connection)

    def wake(self) -> None:
        """Start a worker if jobs are pending and none runs."""
        if self.store.counts().pending:
            hook.wake_worker(self.data_dir)

    @contextlib.contextmanager
    def successor(self) -> Iterator[None]:
        """While we are the worker ourselves, have another wait behind us: hooks see our lock and start none, and
        Stash's stop button or a closed terminal may end us at any moment.

        It learns from the end of its standard input that we are gone, however that came about, and then takes the lock
        unless somebody else has it. Where it cannot be started, the next hook starts a worker.
        """
        import subprocess

        flags = 0
        if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            child = subprocess.Popen(
                hook.worker_command(self.data_dir, "--successor"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                creationflags=flags,
            )
        except OSError:
            yield
            return
        with child.stdin or contextlib.nullcontext():
            yield

    def worker_runs(self) -> bool:
        """Whether a process holds one of the workers' locks, and its last heartbeat is recent.

        Asking takes the lock for a moment, in which a hook could believe that a worker runs and start none: hence
        the wake.
        """
        for name in hook.WORKER_LOCKS:
            lock = FileLock(os.path.join(self.data_dir, name))
            if not os.path.exists(lock.path):
                continue
            try:
                held = not lock.take()
                lock.release()
            except OSError:  # it may not be written
                held = lock.is_held()
            if held and lock.silent_s() < hook.FROZEN_S:
                return True
        if not self.read_only:
            self.wake()
        return False

    def close(self) -> None:
        for name in ("store", "reading"):
            if name in self.__dict__:
                self.__dict__[name].close()


@dataclass(frozen=True)
class Blocked:
    """Why no job at all is worked on."""

    cause: str  # the problem alone
    sentence: str  # with what it means for the queue


def blocked(store: Store) -> Blocked | None:
    """What keeps the whole queue from being worked on, if anything does."""
    attention = store.state.load("attention")
    if attention:
        return Blocked(attention, f"The queue is paused: {attention}")
    causes = {
        outage["server"]: outage["cause"] for outage in store.state.outages(10) if outage["ended_at"] is None
    }
    for server in SERVERS:
        if breaker.from_dict(store.state.load_breaker(server)).state is not breaker.State.CLOSED:
            cause = causes.get(server, f"{server} is not reachable.")
            return Blocked(cause, f"{cause} Pending jobs are synced as soon as {server} recovers.")
    return None
