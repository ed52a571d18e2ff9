"""Who has claimed what, and who is still alive: a lock that is free exactly when its process is gone."""

from __future__ import annotations

import os
import threading

from plexsync.core.job import Job
from plexsync.locks import FileLock
from plexsync.queue import database
from plexsync.queue.file import unlink


class Owners:
    """This process's own name and claims, and the locks of all owners of one data folder."""

    def __init__(self, data_dir: str) -> None:
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.claimed: dict[int, Job] = {}  # what this object has claimed and not yet closed, by row id
        self._folder = os.path.join(data_dir, "owners")
        self._lock: FileLock | None = None
        self._mutex = threading.RLock()

    def take_lock(self) -> None:
        """From the first claim on, a lock that is free exactly when this process is gone says whether we live."""
        with self._mutex:  # threads that share the store share the lock
            if self._lock is not None:
                return
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            lock = FileLock(os.path.join(self._folder, self.name + ".lock"))
            # A process that looks for dead owners may meet the file before it is locked, take it for litter and
            # delete it.
            while not (lock.take() and database.identity(lock.path) == _identity_of(lock.fd)):
                lock.release()
            self._lock = lock

    @property
    def has_lock(self) -> bool:
        return self._lock is not None

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            unlink(self._lock.path)
            self._lock = None

    def is_dead(self, owner: str | None) -> bool:
        path = os.path.join(self._folder, f"{owner}.lock")
        if owner is None or not os.path.exists(path):
            return True
        lock = FileLock(path)
        try:
            return lock.take()
        except OSError:
            return False  # cannot tell; the lease will
        finally:
            lock.release()

    def sweep(self) -> None:
        """Lock files of dead owners are litter once no lease names them."""
        if not os.path.isdir(self._folder):
            return
        for name in sorted(os.listdir(self._folder)):
            owner = name.removesuffix(".lock")
            if owner != self.name and self.is_dead(owner):
                unlink(os.path.join(self._folder, name))

    def forget(self, job: Job) -> None:
        """The claim is over, unless the same row was claimed anew since."""
        with self._mutex:
            claimed = self.claimed.get(job.id)
            if claimed is not None and claimed.token == job.token:
                del self.claimed[job.id]


def new_token() -> str:
    return os.urandom(8).hex()


def _identity_of(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino)
