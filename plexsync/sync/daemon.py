"""The background process: one worker a data folder, started by a hook or a task, gone when there is nothing to do.

It holds ``worker.lock`` for as long as it lives; the system frees it on any death. Signals: the first SIGTERM or SIGINT
lets the job in hand finish, for GRACE_S at most; then the job is requeued, without having used an attempt. A probe
or a look that hangs is left where it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from types import FrameType

from plexsync import __version__
from plexsync.clock import SystemClock
from plexsync.hook import WORKER_LOCKS, wake_worker
from plexsync.locks import FileLock
from plexsync.queue import recovery
from plexsync.queue.store import Store
from plexsync.servers.world import Servers
from plexsync.sync.worker import Worker

log = logging.getLogger(__name__)

GRACE_S = 4.0
GIVE_BACK_S = 0.8  # for the job in hand after that; should the file be locked, the next worker takes it up
LOG_BYTES = 1_000_000
LOG_FILES = 3
UPGRADE_S = 60.0  # for the new files of an upgrade to be there
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TROUBLE_S = 5.0  # between two tries when the queue file itself cannot be used


class _Stop:
    """Told to stop. A plain flag: a signal handler that took a lock could meet itself holding it."""

    def __init__(self) -> None:
        self.asked = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until told to stop."""
        end = time.monotonic() + seconds
        while not self.asked and time.monotonic() < end:
            time.sleep(0.05)
        return self.asked


class _Code:
    """The files this process runs from: a package upgrade swaps them under it (Stash 0.30, ``pkg/pkg/manager.go``)."""

    def __init__(self, folder: str = ROOT) -> None:
        self._files = [
            os.path.join(folder, *parts) for parts in (("PlexSync.py",), ("plexsync", "__init__.py"))
        ]
        self._begun_with = self._seen()
        self._looked_at = time.monotonic()
        self._changed = False

    def _seen(self) -> list[tuple[int, int]] | None:
        """None while some are missing: Stash deletes the old ones before it writes the new ones."""
        try:
            return [(stat.st_mtime_ns, stat.st_ino) for stat in map(os.stat, self._files)]
        except OSError:
            return None

    def changed(self) -> bool:
        """Whether other files lie there than those we began with; looked at once a second."""
        now = time.monotonic()
        if not self._changed and now - self._looked_at >= 1.0:
            self._looked_at = now
            self._changed = self._seen() != self._begun_with
        return self._changed

    def settle(self, stop: _Stop) -> bool:
        """Wait until the new files are all there; False when that does not come to pass."""
        give_up = time.monotonic() + UPGRADE_S
        last = None
        while time.monotonic() < give_up and not stop.wait(1.0):
            seen = self._seen()
            if seen is not None and seen == last:
                return True
            last = seen
        return False

    def begin_anew(self, data_dir: str, lock: FileLock) -> None:
        """Become the new version, without letting go of the lock. Returns only where that cannot be done."""
        if os.name == "nt":  # its exec is a new process, without our descriptors
            return
        os.set_inheritable(lock.fd, True)
        command = [sys.executable, self._files[0], "worker", "--data", data_dir, "--lock-fd", str(lock.fd)]
        try:
            os.execv(command[0], command)
        except OSError as error:
            log.error("could not begin anew after an upgrade: %s", error)
            os.set_inheritable(lock.fd, False)


class _LogFile(RotatingFileHandler):
    """For this user alone whatever the umask, and not silent where it cannot be renamed: Windows refuses that while
    another process has it open."""

    def _open(self) -> TextIOWrapper:
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return super()._open()

    def doRollover(self) -> None:
        with contextlib.suppress(OSError):  # tried again with the next line
            super().doRollover()


def log_file(data_dir: str) -> logging.Handler:
    """Writes log lines to ``plexsync.log``, which is cut and renamed at a megabyte."""
    handler = _LogFile(
        os.path.join(data_dir, "plexsync.log"),
        maxBytes=LOG_BYTES,
        backupCount=LOG_FILES,
        encoding="utf-8",
        delay=True,
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def log_to_file(data_dir: str) -> None:
    """All log lines of this process go to ``plexsync.log``."""
    root = logging.getLogger()
    root.handlers[:] = [log_file(data_dir)]
    root.setLevel(logging.INFO)
    logging.raiseExceptions = (
        False  # a full or read-only disk must not fill the log with tracebacks of the log
    )
    # They log whole URLs and headers.
    for chatty in ("urllib3", "requests", "plexapi", "persistqueue"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def serve(data_dir: str, lock_fd: int = -1) -> int:
    """Be the worker of this folder until there is nothing left to do; gives the exit status.

    ``lock_fd`` is the descriptor of one of WORKER_LOCKS, already locked, when our starter held it for us.
    Without one the lock is taken here, and when another worker has it, there is nothing to do.
    """
    os.umask(0o077)
    data_dir = os.path.abspath(data_dir)
    os.makedirs(data_dir, exist_ok=True)
    locks = [FileLock(os.path.join(data_dir, name)) for name in WORKER_LOCKS]
    lock = next((lock for lock in locks if lock.adopt(lock_fd)), locks[0])
    if not lock.take():
        return 0
    log_to_file(data_dir)
    os.chdir(data_dir)  # do not keep Stash's folder busy
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.on_signal)
    signal.signal(signal.SIGINT, stop.on_signal)
    log.info("worker %s of PlexSync %s begins", os.getpid(), __version__)
    code = _Code()
    while True:
        _work(data_dir, stop, lock, code)
        if code.changed() and not stop():
            log.info("the plugin's files were replaced or deleted")
            if code.settle(stop):
                log.info("the plugin was upgraded; going on as its new version")
                code.begin_anew(data_dir, lock)
                lock.release()
                wake_worker(data_dir)  # where one program cannot become another: a second process
            break
        lock.release()
        # A hook that wrote its row just before this saw the lock held and started no worker: its row is looked for.
        if stop() or not _anything_waits(data_dir) or not lock.take():
            break
    log.info("worker %s ends", os.getpid())
    return 0


def _anything_waits(data_dir: str) -> bool:
    try:
        with Store(data_dir) as store:
            return store.counts().pending > 0
    except (sqlite3.Error, OSError, recovery.Refused):
        return False


def _work(data_dir: str, stop: _Stop, lock: FileLock, code: _Code) -> None:
    """Drain until idle or stopped; a queue file that fails under us is opened again, mended if need be."""
    clock = SystemClock()
    while not stop() and not code.changed():
        try:
            with Store(data_dir, clock) as store:
                servers = Servers(data_dir, clock, store, complain=log.warning)
                worker = Worker(store, servers, clock, random.Random())
                _give_back_in_time(worker, stop)
                with worker.heartbeats(lock.beat):
                    worker.run(lambda: stop() or code.changed())
                return
        except recovery.Refused as refusal:
            log.error("%s", refusal)
            return
        except (sqlite3.Error, OSError) as error:
            # Locked for long, no room, an unreadable disk, a damaged file: hooks go on spooling, nothing is lost.
            log.error(
                "the queue in %s cannot be used: %s; trying again in %.0f s", data_dir, error, TROUBLE_S
            )
            lock.beat()  # not frozen, and a second worker could do no more
            if stop.wait(TROUBLE_S):
                return


def _give_back_in_time(worker: Worker, stop: _Stop) -> None:
    """Once told to stop, whatever a server or the disk does, be gone within GRACE_S and leave the job as it was."""

    def watch() -> None:
        while not stop.wait(3600.0):
            pass
        time.sleep(GRACE_S)  # the process ends in the middle of this, unless something hangs
        giving_back = threading.Thread(target=worker.requeue_all, name="give back", daemon=True)
        giving_back.start()
        giving_back.join(GIVE_BACK_S)
        log.info("worker %s ends, whatever it was doing", os.getpid())
        os._exit(0)

    threading.Thread(target=watch, name="stop", daemon=True).start()
