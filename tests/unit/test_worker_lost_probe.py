"""A worker that is killed while its probe is under way leaves the breaker half open."""

from __future__ import annotations

import random

from plexsync.clock import ManualClock
from plexsync.core import breaker
from plexsync.core.failures import Unavailable
from plexsync.core.settings import Settings
from plexsync.store import Store
from plexsync.worker import Worker


class _Back:
    """Both servers are there again; probes are counted."""

    def __init__(self) -> None:
        self.probes: list[str] = []

    def settings(self) -> Settings:
        return Settings(plex_url="http://plex:32400", plex_token="token-of-the-owner")

    def probe(self, server: str) -> None:
        self.probes.append(server)


def test_the_next_worker_asks_at_once_when_a_probe_was_lost(tmp_path):
    clock, world = ManualClock(), _Back()
    with Store(tmp_path, clock) as store:
        lost = breaker.Breaker(breaker.State.HALF_OPEN, 5, clock.now() - 9, clock.now() + 58, 4.0)
        store.save_breaker("Plex", breaker.to_dict(lost))
        began = clock.monotonic()

        Worker(store, world, clock, random.Random(1)).run(linger_s=lambda: 5.0)

        assert world.probes == ["Plex"]
        assert breaker.from_dict(store.load_breaker("Plex")).state is breaker.State.CLOSED
        assert clock.monotonic() - began < 10


class _NextStashIsAway(_Back):
    """Plex is back, and the settings that say where it is cannot be read when it is to be asked."""

    away = True

    def settings(self) -> Settings:
        if self.away:
            raise Unavailable("Stash", "Stash at http://stash:9999 is not reachable.")
        return super().settings()


def test_a_probe_that_could_not_be_sent_is_due_still(tmp_path):
    """Else Plex would not be asked for the minute after which a probe counts as lost."""
    clock, world = ManualClock(), _NextStashIsAway()
    with Store(tmp_path, clock) as store:
        away = breaker.Breaker(breaker.State.OPEN, 5, clock.now() - 9, clock.now() - 1, 4.0)
        store.save_breaker("Plex", breaker.to_dict(away))
        worker = Worker(store, world, clock, random.Random(1))
        assert not worker.may_claim() and world.probes == []
        world.away = False
        clock.advance(1.0)
        assert worker.may_claim() and world.probes == ["Plex"]
