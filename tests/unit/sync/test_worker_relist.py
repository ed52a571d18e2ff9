"""After a Plex library was rebuilt its files have other keys, and "Sync all scenes" must not take that for in sync."""

from __future__ import annotations

import random

from plexsync.core.job import RELIST
from plexsync.queue.store import Store
from plexsync.sync.worker import Worker
from scenarios.clock import ManualClock
from tests.doubles import Model


class _Plex(Model):
    """Counts how often the libraries are read anew."""

    relisted = 0

    def relist(self) -> None:
        self._meet("Plex")
        self.relisted += 1


def test_the_libraries_are_read_anew_once_when_a_task_asks_for_it(tmp_path):
    clock, world = ManualClock(), _Plex()
    with Store(tmp_path, clock=clock) as store:
        worker = Worker(store, world, clock, random.Random(1))
        store.state.save(RELIST, "1")
        for scene_id in (1, 2):
            store.enqueue(scene_id)
            assert worker.step()
        assert world.relisted == 1
        assert store.state.load(RELIST) is None


def test_a_wish_that_could_not_be_met_is_kept(tmp_path):
    from plexsync.core.failures import Unavailable

    clock, world = ManualClock(), _Plex()
    world.trouble["Plex"] = Unavailable("Plex", "refused")
    with Store(tmp_path, clock=clock) as store:
        store.state.save(RELIST, "1")
        store.enqueue(1)
        Worker(store, world, clock, random.Random(1)).step()
        assert store.state.load(RELIST) == "1"
