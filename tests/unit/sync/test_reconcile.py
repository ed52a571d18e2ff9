"""Sweeps: what is queued, what is known in sync, and going on after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plexsync.core import plan as planning
from plexsync.core.failures import Unavailable
from plexsync.core.item import Item
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry
from plexsync.servers.sync_state import SyncState
from plexsync.sync import plan_batch, reconcile, record
from scenarios.clock import ManualClock

SETTINGS = Settings(plex_url="http://plex:32400", plex_token="token")


class World:
    """Stash as a list of scenes, read a page at a time; Plex as what the sync state says of it."""

    def __init__(self, store: Store, scenes: list[Scene]) -> None:
        self.held = scenes
        self.kept = SyncState(store.file, SETTINGS.plex_url)
        self.pages = 0
        self.fails_at = 0

    def settings(self):
        return SETTINGS

    def sync_state(self, settings):
        return self.kept

    def stash(self):
        return self

    def plex(self):
        return self

    def freshen(self):
        pass

    relist = connect = freshen

    def scene_pages(self, after_id=0, per_page=100, updated_since=None):
        rest = [scene for scene in self.held if scene.id > after_id]
        for start in range(0, len(rest), per_page):
            self.pages += 1
            if self.pages == self.fails_at:
                raise Unavailable("Stash", "Stash went away.")
            yield rest[start : start + per_page]


def level(world: World, scene: Scene) -> None:
    """As if the scene had just been synced."""
    item = Item(1000 + scene.id, 1, files=(scene.files[0].path,))
    world.kept.put(1, [Entry(item.rating_key, item.files)])
    looked = plan_batch.ScenePlan(
        scene.id,
        scene=scene,
        item=item,
        edits=planning.plan(scene, item, SETTINGS),
        fingerprint=planning.fingerprint(scene, SETTINGS),
    )
    record.record_written(looked, world.kept)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path, clock=ManualClock()) as opened:
        yield opened


@pytest.fixture
def world(store):
    scenes = [Scene(n, title=f"Scene {n}", files=(SceneFile(f"/data/{n}.mp4"),)) for n in range(1, 8)]
    return World(store, scenes)


def queued(store):
    return sorted(job.scene_id for job in store.waiting())


def test_what_is_not_known_level_is_queued(store, world):
    for scene in world.held[:4]:
        level(world, scene)
    world.held[1] = replace(world.held[1], title="Merged")
    world.held.append(Scene(8, title="No file"))
    found = reconcile.sweep(store, world, SETTINGS)
    assert (found.seen, found.queued, found.in_sync, found.skipped) == (8, 4, 3, 1)
    assert queued(store) == [2, 5, 6, 7]


def test_what_is_skipped_is_counted_by_its_reason(store, world, monkeypatch):
    monkeypatch.setattr(reconcile, "PAGE", 3)
    world.held[0] = replace(world.held[0], files=())
    for n in (1, 2, 3, 6):
        world.held[n] = replace(world.held[n], organized=True)
    world.held[2] = replace(world.held[2], tags=("Private",))
    found = reconcile.sweep(store, world, replace(SETTINGS, only_organized=True, exclude_tags=("private",)))
    assert (found.seen, found.queued, found.skipped) == (7, 3, 4)
    assert list(found.reasons.items()) == [
        ("not organized", 3),
        ("has the tag 'private', which is not to be synced", 1),
    ]


def test_what_left_stash_without_a_hook_is_queued_by_a_look_at_all(store, world, monkeypatch):
    monkeypatch.setattr(reconcile, "PAGE", 2)
    for scene in world.held:
        level(world, scene)
    for gone in (2, 4, 7):
        world.held.remove(next(scene for scene in world.held if scene.id == gone))
    assert reconcile.sweep(store, world, SETTINGS, hours=24.0).gone == 0
    found = reconcile.sweep(store, world, SETTINGS)
    assert (found.gone, found.queued, found.out_of_sync) == (3, 3, 0)
    assert queued(store) == [2, 4, 7]


def test_a_stash_without_any_scene_is_not_believed(store, world):
    level(world, world.held[0])
    world.held.clear()
    assert reconcile.sweep(store, world, SETTINGS).queued == 0


def test_a_file_that_moved_is_a_change(store, world):
    level(world, world.held[0])
    world.held[:] = [replace(world.held[0], files=(SceneFile("/data/elsewhere.mp4"),))]
    assert reconcile.sweep(store, world, SETTINGS).queued == 1


def test_other_settings_are_a_change(store, world):
    for scene in world.held:
        level(world, scene)
    assert reconcile.sweep(store, world, SETTINGS).queued == 0
    assert reconcile.sweep(store, world, replace(SETTINGS, title_template="{title}!")).queued == 7


def test_an_item_that_left_plex_is_a_change(store, world):
    for scene in world.held:
        level(world, scene)
    world.kept.drop(1003)
    reconcile.sweep(store, world, SETTINGS)
    assert queued(store) == [3]


def test_a_sweep_cut_short_goes_on_where_it_was(store, world, monkeypatch):
    monkeypatch.setattr(reconcile, "PAGE", 2)
    world.fails_at = 3
    with pytest.raises(Unavailable):
        reconcile.sweep(store, world, SETTINGS)
    assert queued(store) == [1, 2, 3, 4]
    store.clear_waiting()
    assert reconcile.sweep(store, world, SETTINGS).seen == 3
    assert queued(store) == [5, 6, 7]
    assert reconcile.sweep(store, world, SETTINGS).seen == 7, "a whole one begins anew"


def test_a_sweep_cut_short_long_ago_begins_anew(store, world, monkeypatch):
    monkeypatch.setattr(reconcile, "PAGE", 2)
    world.fails_at = 3
    with pytest.raises(Unavailable):
        reconcile.sweep(store, world, SETTINGS)
    store.clock.advance(reconcile.RESUME_S + 1)
    assert reconcile.sweep(store, world, SETTINGS).seen == 7


def test_told_to_stop_it_says_that_it_is_not_done(store, world, monkeypatch):
    monkeypatch.setattr(reconcile, "PAGE", 2)
    assert not reconcile.sweep(store, world, SETTINGS, should_stop=lambda: True).done
    assert reconcile.sweep(store, world, SETTINGS).done


def test_what_only_one_side_has(store, world):
    for scene in world.held[:5]:
        level(world, scene)
    world.kept.put(1, [Entry(9999, ("/data/holiday.mp4",))])
    found = reconcile.missing(world, SETTINGS)
    assert (found.seen, found.scenes, found.items) == (7, 2, 1)
    assert found.scene_samples == ("/data/6.mp4", "/data/7.mp4")
    assert "holiday" in found.item_samples[0]
    assert queued(store) == []
