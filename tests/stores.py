"""The durable store and its twin in memory under one handle, so that one set of tests holds for both."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from plexsync.queue import spool
from plexsync.queue.store import Store
from scenarios.clock import ManualClock
from tests.doubles import Memory, MemoryStore


class Durable:
    """Store over a real file; a killed process is a store whose lock was freed and whose connection was dropped."""

    def __init__(self, clock: ManualClock | None = None, folder: Path | None = None) -> None:
        self._folder = None if folder else tempfile.TemporaryDirectory(prefix="plexsync-")
        self.folder = str(folder or self._folder.name)
        self.clock = clock or ManualClock()
        self.opened: list[Store] = []

    def open(self) -> Store:
        self.opened.append(Store(self.folder, self.clock))
        return self.opened[-1]

    def kill(self, store: Store) -> None:
        """As the system leaves things after SIGKILL: the lock is free, its file is still there, the rows are as they
        were."""
        owners = store._owners
        lock, owners._lock = owners._lock, None
        if lock is not None:
            lock.release()
        store.file.db.close()

    def spool(self, event: dict[str, object]) -> None:
        spool.write(self.folder, event)

    def end(self) -> None:
        for store in self.opened:
            store.close()
        if self._folder is not None:
            self._folder.cleanup()


class InMemory:
    def __init__(self, clock: ManualClock | None = None, folder: Path | None = None) -> None:
        self.memory = Memory()
        self.clock = clock or ManualClock()
        self.rng = random.Random(0)

    def open(self) -> MemoryStore:
        return MemoryStore(self.memory, self.clock, self.rng)

    def kill(self, store: MemoryStore) -> None:
        store.die()

    def spool(self, event: dict[str, object]) -> None:
        self.memory.spool_event(event)

    def end(self) -> None:
        """Nothing to let go of."""


def files_in(folder: str) -> list[str]:
    return sorted(name for _, _, names in os.walk(folder) for name in names)
