"""What becomes of a probe whose worker was killed, that could not be sent, or that met something else to mend."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plexsync.core import breaker
from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Unavailable
from plexsync.core.settings import Settings
from plexsync.core.verdict import ATTENTION_HOLD_S
from plexsync.queue.store import Store
from plexsync.sync.worker import Worker
from scenarios.clock import ManualClock


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
        store.state.save_breaker("Plex", breaker.to_dict(lost))
        began = clock.monotonic()

        Worker(store, world, clock, random.Random(1)).run(linger_s=lambda: 5.0)

        assert world.probes == ["Plex"]
        assert breaker.from_dict(store.state.load_breaker("Plex")).state is breaker.State.CLOSED
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
        store.state.save_breaker("Plex", breaker.to_dict(away))
        worker = Worker(store, world, clock, random.Random(1))
        assert not worker.outages.may_claim() and world.probes == []
        world.away = False
        clock.advance(1.0)
        assert worker.outages.may_claim() and world.probes == ["Plex"]


class _Trouble(_Back):
    """What keeps somebody from asking one of the servers, or what that server says."""

    def __init__(self, of_settings: SyncFailure | None = None, **of_probe: SyncFailure) -> None:
        super().__init__()
        self.of_settings, self.of_probe = of_settings, of_probe

    def settings(self) -> Settings:
        if self.of_settings is not None:
            raise self.of_settings
        return super().settings()

    def probe(self, server: str) -> None:
        super().probe(server)
        if server in self.of_probe:
            raise self.of_probe[server]


NO_ADDRESS = SettingProblem("plex_url", "plex_url is not set.")
NO_SESSION = NeedsAttention("Stash", "Stash does not accept our session (401).")
NO_TOKEN = NeedsAttention("Plex", "Plex does not accept plex_token (401).")
NO_LIBRARY = SettingProblem("plex_library", "Plex has no library 'Films'.")


@pytest.mark.parametrize(
    ("server", "trouble", "is_there"),
    [
        ("Plex", _Trouble(NO_ADDRESS), False),
        ("Plex", _Trouble(NO_SESSION), False),
        ("Plex", _Trouble(Plex=SettingProblem("plex_token", "plex_token cannot be sent.")), False),
        ("Plex", _Trouble(Plex=NO_TOKEN), True),
        ("Plex", _Trouble(Plex=NO_LIBRARY), True),
        ("Stash", _Trouble(Stash=NO_SESSION), True),
        ("Stash", _Trouble(NO_ADDRESS), True),  # it is Stash who said so
        ("Stash", _Trouble(NO_ADDRESS, Stash=Unavailable("Stash", "Stash is not reachable.")), False),
    ],
)
def test_an_outage_ends_only_when_the_server_itself_has_answered(
    tmp_path: Path, server: str, trouble: _Trouble, is_there: bool
) -> None:
    """Also when a person has something to mend; until then the queue is held, and nobody is asked."""
    clock = ManualClock()
    with Store(tmp_path, clock) as store:
        away = breaker.Breaker(breaker.State.OPEN, 5, clock.now() - 9, clock.now() - 1, 4.0)
        store.state.save_breaker(server, breaker.to_dict(away))
        store.state.open_outage(server, "It refuses connections.")
        worker = Worker(store, trouble, clock, random.Random(1))
        assert not worker.outages.may_claim()
        (outage,) = store.state.outages()
        assert (outage["ended_at"] is not None) is is_there
        trouble.of_settings, trouble.of_probe, trouble.probes = None, {}, []
        clock.advance(ATTENTION_HOLD_S)
        assert worker.outages.may_claim()
        assert trouble.probes == ([] if is_there else [server])
        assert store.state.outages()[0]["ended_at"] is not None
