"""The look for changes no hook told, by the clock: it leaves no hole, starves behind nothing and floods nobody."""

from __future__ import annotations

import datetime
import logging
import random
from dataclasses import dataclass, field, replace

import pytest

from plexsync.core.failures import Permanent, Unavailable
from plexsync.core.item import Item
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.queue.store import Store
from plexsync.sync.worker import Worker
from scenarios.clock import ManualClock
from tests.doubles import SETTINGS, Model

HOUR = 3600.0
EVERY_TWO_HOURS = replace(SETTINGS, reconcile_interval=2.0)
AWAY = Unavailable("Stash", "Stash at http://127.0.0.1:9999 refuses connections.")


@dataclass
class Dated(Model):
    """Also knows how old the changes may be that were asked for."""

    given: Settings = EVERY_TWO_HOURS
    tries: int = 0  # to look at all of a kind
    asked_since: list[datetime.datetime] = field(default_factory=list)

    def scene_pages(self, after_id=0, per_page=100, updated_since=None):
        self.tries += 1
        self._meet("pages")
        if updated_since is not None:
            self.asked_since.append(updated_since)
        yield from super().scene_pages(after_id, per_page)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path, clock=clock) as opened:
        yield opened


@pytest.fixture
def model():
    made = Dated()
    for number in (1, 2, 3):
        path = f"/data/{number}.mp4"
        made.has[number] = Scene(number, title=f"Scene {number}", files=(SceneFile(path),))
        made.items[100 + number] = Item(100 + number, 1, title="old", files=(path,))
    return made


def run(store, model, clock, hours):
    end = clock.now() + hours * HOUR
    Worker(store, model, clock, random.Random(7)).run(lambda: clock.now() >= end)


@pytest.mark.parametrize(
    ("interval", "scope", "away_h"),
    [
        (24.0, "recent", 23.0),  # as often as it reaches back
        (72.0, "recent", 72.0),
        (1.0, "recent", 50.0),  # nobody edited, so no worker ran
        (1.0, "7days", 8 * 24.0),
    ],
)
def test_it_reaches_back_beyond_the_look_before_it(store, model, clock, interval, scope, away_h):
    """A change of which no hook told, made while no worker ran or between two rare looks."""
    model.given = replace(SETTINGS, reconcile_interval=interval, reconcile_scope=scope)
    first_at = clock.now()
    run(store, model, clock, 0.01)
    model.asked_since.clear()
    clock.advance(away_h * HOUR)
    run(store, model, clock, 1.1)
    assert model.asked_since[0].timestamp() < first_at - 0.9 * HOUR


def test_it_comes_also_while_something_waits_for_later(store, model, clock):
    """A scene Plex does not have is looked for during hours, and there is always another."""
    del model.items[101]
    store.enqueue(1)
    run(store, model, clock, 1.0)
    assert store.counts().waiting_later
    assert model.sweeps == 1


def test_while_stash_is_away_it_asks_no_more_than_the_probes_do(store, model, clock, caplog):
    model.trouble |= {"pages": AWAY, "Stash": AWAY}
    with caplog.at_level(logging.WARNING):
        run(store, model, clock, 1.0)
    assert model.tries < 10, "until the breaker opened"
    assert len(caplog.records) < 20
    assert len(store.state.outages()) == 1
    model.trouble.clear()
    run(store, model, clock, 0.2)
    assert [item.title for item in model.items.values()] == ["Scene 1", "Scene 2", "Scene 3"]
    assert store.state.outages()[0]["ended_at"] is not None


def test_what_fails_at_each_look_is_tried_now_and_then_only(store, model, clock):
    model.trouble["pages"] = Permanent("Stash answered with a scene that has no usable id.")
    run(store, model, clock, 1.0)
    assert 2 <= model.tries <= 61


def test_it_leaves_what_waits_for_its_file_in_peace(store, model, clock):
    """Else a scene Plex does not have would be looked for at each, from the shortest wait on, and never be given up."""
    model.given = replace(SETTINGS, reconcile_interval=0.5, reconcile_scope="all")
    del model.items[101]
    store.enqueue(1)
    run(store, model, clock, 8.0)
    assert model.sweeps > 10
    assert [letter.error_type for letter in store.letters.newest()][-1:] == ["NotFound"]
