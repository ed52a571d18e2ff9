"""The store's door: what each call promises, of the durable store and of its twin in memory alike; then what only a
file has."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from plexsync.core.job import DEATHS_MAX, LEASE_S, SUSPECT_S, StaleLease
from plexsync.locks import FileLock
from plexsync.queue import database, events, layout, spool, upkeep
from plexsync.queue.compat import LeasedAckQueue
from scenarios.clock import ManualClock
from tests.stores import Durable, InMemory, files_in

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=[Durable, InMemory], ids=["durable", "memory"])
def world(request):
    world = request.param()
    yield world
    world.end()


@pytest.fixture
def clock(world):
    return world.clock


@pytest.fixture
def store(world):
    return world.open()


@pytest.fixture
def durable():
    world = Durable()
    yield world
    world.end()


def scenes(store):
    return sorted(job.scene_id for job in store.waiting(1000))


def where(store):
    counts = store.counts()
    return (counts.pending, counts.in_progress, counts.completed, counts.failed, counts.dead)


# ---- a job's life ----


def test_put_claim_finish(store, clock):
    assert store.enqueue(12, "update", ["title", "date"], {"note": "x"}) == (1, 1)
    job = store.claim()
    assert (job.id, job.scene_id, job.update_type, job.fields) == (1, 12, "update", ("date", "title"))
    assert (job.generation, job.attempts, job.enqueued_at) == (1, 1, clock.now())
    assert where(store) == (0, 1, 0, 0, 0)
    store.finish(job, "synced")
    assert where(store) == (0, 0, 1, 0, 0)
    assert store.claim() is None
    assert store.counts().finished == 1


def test_the_longest_due_comes_first(store, clock):
    for scene_id in (3, 1, 2):
        store.enqueue(scene_id)
        clock.advance(1)
    assert [store.claim().scene_id for _ in range(3)] == [3, 1, 2]


def test_many_at_once(store):
    store.enqueue(2)
    assert store.enqueue_many([1, 2, 3, 3]) == 2
    assert scenes(store) == [1, 2, 3]


def test_an_edit_passes_what_a_task_has_queued(world, store, clock):
    """A first sync of a large library takes hours, and a person who edits meanwhile looks at Plex now."""
    store.enqueue_many(range(1, 51))
    clock.advance(1)
    store.enqueue(90, "update", ["title"])
    clock.advance(1)
    store.enqueue(7, "update", ["title"])  # one of those that wait
    world.spool(events.new_event(91, "create", []))
    store.spool.merge()
    assert [job.scene_id for job in store.claim_many(5)] == [7, 90, 91, 1, 2]


def test_what_waits_for_a_reason_is_left_alone_without_hurry(store, clock):
    store.enqueue(1)
    store.postpone(store.claim(), clock.now() + 900, "no file yet", uses_attempt=True)
    before = store.waiting()
    assert store.enqueue_many([1, 2, 2], hurry=False) == 1
    assert store.waiting()[1:] == before
    assert store.enqueue_many([1]) == 0
    assert store.counts().waiting_later == 0, "in a hurry it is due at once"


def test_an_edit_joins_the_row_that_waits(store):
    assert store.enqueue(1, "create", ["title"]) == (1, 1)
    assert store.enqueue(1, "update", ["date"]) == (1, 2)
    job = store.claim()
    assert (job.update_type, job.fields, job.generation) == ("create", ("date", "title"), 2)


def test_an_edit_during_its_own_sync_is_a_row_of_its_own_and_waits_for_its_end(store):
    store.enqueue(1)
    job = store.claim()
    assert store.enqueue(1) == (2, 1)
    assert store.enqueue(1) == (2, 2)
    assert store.claim() is None
    store.finish(job)
    assert store.claim().id == 2


def test_other_entities_are_no_scenes(store):
    store.enqueue(5, "update", ["name"], entity="performer")
    store.enqueue(5, "update")
    first, second = store.claim(), store.claim()
    assert (first.entity, first.entity_id, first.scene_id) == ("performer", 5, 0)
    assert (second.entity, second.entity_id, second.scene_id) == ("scene", 0, 5)


def test_a_postponed_job_waits_and_blocks_nobody(store, clock):
    store.enqueue(1)
    store.enqueue(2)
    first = store.claim()
    store.postpone(first, clock.now() + 100, "Plex was slow", uses_attempt=True)
    second = store.claim()
    assert second.scene_id == 2
    store.finish(second)
    assert store.claim() is None
    counts = store.counts()
    assert (counts.waiting_later, counts.next_due_at) == (1, clock.now() + 100)
    clock.advance(100)
    again = store.claim()
    assert (again.scene_id, again.attempts, again.last_error) == (1, 2, "Plex was slow")
    assert again.first_failed_at == clock.now() - 100


def test_a_wait_that_is_nobodys_fault_uses_no_attempt(store, clock):
    store.enqueue(1)
    for _ in range(5):
        store.postpone(store.claim(), clock.now(), "Plex is away", uses_attempt=False)
    assert store.claim().attempts == 1


def test_given_back_is_as_before(store):
    store.enqueue(1)
    before = store.waiting()
    store.requeue(store.claim())
    assert store.waiting() == before
    assert store.claim().attempts == 1


def test_one_that_fails_for_ever_starves_nobody(store, clock):
    for scene_id in range(1, 101):
        store.enqueue(scene_id)
    done = []
    for _ in range(110):
        job = store.claim()
        if job is None:
            break
        if job.scene_id == 1:
            store.postpone(job, clock.now() + 5, "again", uses_attempt=True)
        else:
            done.append(job.scene_id)
            store.finish(job)
    assert done == list(range(2, 101))


# ---- dead letters ----


def test_a_dead_letter_is_one_with_all_that_was_known(store, clock):
    store.enqueue(7, "update", ["title"], {"a": 1})
    store.postpone(store.claim(), clock.now(), "first", uses_attempt=True)
    clock.advance(10)
    began = store.waiting()[0].first_failed_at
    letter_id = store.dead_letter(store.claim(), "Ambiguous", "two items", "Traceback")
    assert where(store) == (0, 0, 0, 1, 1)
    (letter,) = store.letters.newest()
    assert letter == store.letters.find(letter_id)
    assert (letter.scene_id, letter.error_type, letter.message, letter.traceback) == (
        7,
        "Ambiguous",
        "two items",
        "Traceback",
    )
    assert (letter.attempts, letter.first_failed_at, letter.failed_at) == (2, began, clock.now())
    assert letter.payload["data"] == {"a": 1}
    assert letter.replayed_at is None
    assert store.letters.find(999) is None


def test_a_newer_edit_takes_the_place_of_one_that_fails(store, clock):
    for end in ("postpone", "requeue", "dead_letter"):
        store.enqueue(1, data={"v": 1})
        job = store.claim()
        store.enqueue(1, data={"v": 2})
        if end == "postpone":
            store.postpone(job, clock.now() + 100, "x", uses_attempt=True)
        elif end == "requeue":
            store.requeue(job)
        else:
            assert store.dead_letter(job, "X", "x") is None
        (left,) = store.waiting()
        assert left.id == job.id + 1
        assert store.counts().dead == 0
        store.finish(store.claim())
    assert store.counts().finished == 3


def test_replayed_once_and_kept_as_history(store, clock):
    store.enqueue(1)
    store.dead_letter(store.claim(), "X", "x")
    assert store.letters.replay() == 1
    assert store.letters.replay() == 0
    assert where(store) == (1, 0, 1, 0, 0)
    (letter,) = store.letters.newest(replayed=True)
    assert (letter.replayed_at, letter.replayed_as) == (clock.now(), 2)
    assert store.claim().attempts == 1


def test_replay_by_id_and_by_type(store):
    for scene_id, kind in ((1, "A"), (2, "B"), (3, "B"), (4, "C")):
        store.enqueue(scene_id)
        store.dead_letter(store.claim(), kind, "x")
    assert store.letters.by_type() == {"B": 2, "A": 1, "C": 1}
    assert store.letters.replay(error_type="B") == 2
    assert store.letters.replay(ids=[1, 99]) == 1
    assert store.letters.replay(ids=[]) == 0
    assert scenes(store) == [1, 2, 3]
    assert [letter.scene_id for letter in store.letters.newest()] == [4]


def test_an_old_letter_never_puts_older_data_over_newer(store):
    store.enqueue(1, "update", ["title"], {"title": "old"})
    store.dead_letter(store.claim(), "X", "x")
    store.enqueue(1, "update", ["title"], {"title": "new"})
    assert store.letters.replay() == 1
    _, payload, _ = store.claim_row()
    assert payload["data"] == {"title": "new"}
    assert store.claim() is None


def test_a_letter_from_outside(store):
    store.letters.add({"scene_id": 9, "data": {}}, "ValueError", "no", "tb", 3)
    store.letters.add(["whatever"], "ValueError", "no")
    first, second = sorted(store.letters.newest(), key=lambda letter: letter.id)
    assert (first.scene_id, first.attempts, second.scene_id, second.payload) == (9, 3, None, ["whatever"])
    assert store.letters.replay() == 1
    assert scenes(store) == [9]


def test_purged_by_age_and_cleared(store, clock):
    for scene_id in (1, 2):
        store.enqueue(scene_id)
        store.dead_letter(store.claim(), "X", "x")
        clock.advance(100)
    assert store.letters.purge(150) == 1
    assert [letter.scene_id for letter in store.letters.newest()] == [2]
    assert store.letters.clear() == 1
    assert where(store) == (0, 0, 0, 0, 0)


# ---- leases ----


def test_nobody_else_gets_a_claimed_job(world, store):
    store.enqueue(1)
    store.claim()
    other = world.open()
    assert other.upkeep.recover() == 0
    assert other.claim() is None


def test_what_the_dead_held_is_free_at_once(world, store):
    store.enqueue(1)
    store.claim()
    world.kill(store)
    other = world.open()
    assert other.upkeep.recover() == 1
    job = other.claim()
    assert (job.scene_id, job.attempts, job.deaths) == (1, 2, 1)


def test_what_a_closed_door_held_is_free_at_once(world, store):
    store.enqueue(1)
    store.claim()
    store.close()
    other = world.open()
    assert other.upkeep.recover() == 1
    assert other.claim().scene_id == 1


@pytest.mark.parametrize("how", ["time", "boot"])
def test_an_expired_lease_is_free_and_its_late_holder_can_change_nothing(world, store, clock, how):
    store.enqueue(1)
    late = store.claim()
    if how == "time":
        clock.advance(LEASE_S + 1)
    else:
        clock.reboot("boot-2")
    other = world.open()
    assert other.upkeep.recover() == 1
    job = other.claim()
    assert other.holds(job) and not store.holds(late)
    for act in (
        lambda: store.heartbeat(late),
        lambda: store.finish(late),
        lambda: store.postpone(late, 0, "x", uses_attempt=True),
        lambda: store.dead_letter(late, "X", "x"),
        lambda: store.requeue(late),
    ):
        with pytest.raises(StaleLease):
            act()
    other.finish(job)
    with pytest.raises(StaleLease):
        store.finish(late)
    assert where(other) == (0, 0, 1, 0, 0)


def test_a_beating_heart_keeps_a_lease(world, store, clock):
    store.enqueue(1)
    job = store.claim()
    other = world.open()
    for _ in range(10):
        clock.advance(LEASE_S * 0.9)
        store.heartbeat(job)
        assert other.upkeep.recover() == 0
    store.finish(job)


@pytest.mark.parametrize("seconds", [-1e6, 1e6])
def test_a_jump_of_the_wall_clock_ends_no_lease(world, store, clock, seconds):
    store.enqueue(1)
    job = store.claim()
    clock.jump(seconds)
    assert world.open().upkeep.recover() == 0
    store.finish(job)


def test_a_clock_set_back_releases_what_was_decided_in_its_future(world, store, clock):
    clock.jump(1e6)
    store.enqueue(1)
    store.postpone(store.claim(), clock.now() + 60, "x", uses_attempt=True)
    clock.jump(-1e6)
    assert store.claim().scene_id == 1


def test_so_does_a_row_put_by_a_hook_meanwhile(world, store, clock):
    store.claim()
    clock.jump(1e6)
    world.spool(events.new_event(2, "update", [], now=clock.now()))
    world.open().spool.merge()
    clock.jump(-1e6)
    store.upkeep.recover()
    assert store.claim().scene_id == 2


def test_what_kills_its_workers_is_dead_lettered(world, clock):
    first = world.open()
    first.enqueue(1)
    first.enqueue(2)
    for death in range(DEATHS_MAX):
        store = world.open()
        store.upkeep.recover()
        if death > 1:  # somebody may only be killing workers in quick succession
            (suspect,) = [job for job in store.waiting() if job.scene_id == 1]
            assert suspect.due_at == clock.now() + SUSPECT_S * (death - 1)
            clock.advance(SUSPECT_S * (death - 1))
        job = store.claim()
        while job.scene_id != 1:
            store.finish(job)
            job = store.claim()
        assert job.deaths == death
        world.kill(store)
    assert first.upkeep.recover() == 1
    (letter,) = first.letters.newest()
    assert (letter.scene_id, letter.error_type) == (1, "WorkerDied")


def test_dying_in_between_does_not_add_up(world, clock):
    first = world.open()
    first.enqueue(1)
    for _ in range(DEATHS_MAX * 2):
        store = world.open()
        store.claim()
        world.kill(store)
        first.upkeep.recover()
        first.postpone(first.claim(), clock.now(), "x", uses_attempt=True)
    assert first.counts().dead == 0


def test_the_dead_give_way_to_a_newer_edit(world, store):
    store.enqueue(1)
    store.claim()
    store.enqueue(1)
    world.kill(store)
    other = world.open()
    assert other.upkeep.recover() == 1
    assert [job.id for job in other.waiting()] == [2]


# ---- the spool ----


def test_a_spooled_edit_comes_in_once(world, store):
    event = events.new_event(3, "update", ["title"])
    world.spool(event)
    assert store.counts().pending == 1
    assert store.spool.merge() == 1
    world.spool(event)
    assert store.spool.merge() == 0
    assert (scenes(store), store.waiting()[0].generation) == ([3], 1)


def test_a_spooled_edit_whose_row_did_land_after_all(world, store):
    event = events.new_event(3, "update", ["title"])
    store.enqueue_payload(event)
    world.spool(event)
    assert store.spool.merge() == 0
    assert store.waiting()[0].generation == 1


def test_clearing_takes_what_waits_and_what_is_spooled(world, store):
    store.enqueue(1)
    job = store.claim()
    store.enqueue(2)
    world.spool(events.new_event(3, "update", []))
    assert store.clear_waiting() == 2
    assert where(store) == (0, 1, 0, 0, 0)
    store.finish(job)


# ---- batches ----


def put_batch(store, scene_id, parallel=True):
    return store.enqueue_payload({"scene_id": scene_id, "parallel": parallel})


def batch(store, limit=50):
    return [job.scene_id for job, _ in store.claim_batch(limit)]


def test_parallel_jobs_come_together_and_a_sequential_one_is_a_barrier(world, store, clock):
    for scene_id in (1, 2, 3, 4, 5):
        put_batch(store, scene_id, parallel=scene_id != 3)
    other = world.open()
    assert batch(store, 50) == [1, 2]
    assert batch(other) == []
    for job in list(store.claimed.values()):
        store.finish(job)
    assert batch(other) == [3]
    assert batch(store) == []
    (job,) = other.claimed.values()
    other.postpone(job, clock.now() + 60, "x", uses_attempt=True)
    assert batch(store) == []  # a barrier also while it waits
    clock.advance(60)
    assert batch(store) == [3]
    store.finish(next(iter(store.claimed.values())))
    assert batch(store) == [4, 5]


@pytest.mark.parametrize("how", ["batch", "hook"])
def test_a_barrier_waits_for_what_was_put_before_it_and_is_to_be_tried_again(world, store, clock, how):
    put_batch(store, 1) if how == "batch" else store.enqueue(1, "update", ["title"])
    put_batch(store, 2, parallel=False)
    put_batch(store, 3)
    assert batch(store) == [1]
    (job,) = store.claimed.values()
    store.postpone(job, clock.now() + 60, "x", uses_attempt=True)
    assert batch(store) == []
    clock.advance(60)
    assert batch(store) == [1]
    store.finish(next(iter(store.claimed.values())))
    assert batch(store) == [2]


def test_claim_many_hands_out_different_scenes(store):
    store.enqueue_many(range(1, 8))
    assert [job.scene_id for job in store.claim_many(5)] == [1, 2, 3, 4, 5]
    store.enqueue(1)
    assert [job.scene_id for job in store.claim_many(5)] == [6, 7]
    assert store.claim_many(5) == []


def test_claim_many_hands_out_a_suspect_alone(world, store):
    store.enqueue_many([1, 2, 3])
    store.claim()
    world.kill(store)
    other = world.open()
    other.upkeep.recover()
    assert [job.scene_id for job in other.claim_many(5)] == [1]
    other.enqueue(9, entity="performer")
    assert [job.scene_id for job in other.claim_many(5)] == [2, 3]
    assert [job.entity_id for job in other.claim_many(5)] == [9]


# ---- other rows, small things ----


def test_a_row_that_names_nothing_is_dead_lettered_when_a_worker_meets_it(store):
    store.enqueue_payload({"hello": "world"})
    store.enqueue_payload([1, 2])
    store.enqueue(3)
    assert store.claim().scene_id == 3
    assert store.letters.by_type() == {"NotAJob": 2}


def test_one_row_by_its_number(store):
    for scene_id in (1, 2, 3):
        store.enqueue(scene_id)
    job, payload, _ = store.claim_row(row_id=2)
    assert (job.scene_id, payload["scene_id"]) == (2, 2)
    assert store.claim_row(row_id=2) is None
    assert store.claim_row(row_id=77) is None


def test_released_all_or_those_that_wait_for_one_server(store, clock):
    for scene_id, reason, server in ((1, "no answer", "Plex"), (2, "Plex at x says no", "Stash")):
        store.enqueue(scene_id)
        store.postpone(store.claim(), clock.now() + 500, reason, uses_attempt=False, waits_for=server)
    assert store.upkeep.release_due("Plex") == 1
    assert store.claim().scene_id == 1
    assert store.upkeep.release_due() == 1
    assert store.claim().scene_id == 2


def test_history_is_bounded(store, clock):
    for scene_id in range(1, 31):
        store.enqueue(scene_id)
        store.finish(store.claim())
        clock.advance(1)
    assert store.upkeep.prune(30) == 0
    assert store.upkeep.prune(10) == 20
    assert store.upkeep.prune(10) == 0
    counts = store.counts()
    assert (counts.completed, counts.finished) == (10, 30)


def test_what_a_worker_remembers(world, store, clock):
    assert store.state.load_breaker("Plex") is None
    store.state.save_breaker("Plex", {"state": "open", "failures": 3})
    store.state.save_breaker("Plex", {"state": "closed", "failures": 0})
    store.state.save("attention", "token")
    other = world.open()
    assert other.state.load_breaker("Plex") == {"state": "closed", "failures": 0}
    assert other.state.load("attention") == "token"
    assert other.state.load("nothing") is None


def test_one_record_an_outage(store, clock):
    store.enqueue(1)
    store.state.open_outage("Plex", "refused")
    store.state.open_outage("Plex", "refused again")
    store.state.open_outage("Stash", "timeout")
    clock.advance(60)
    store.state.close_outage("Plex")
    store.state.close_outage("Plex")
    stash, plex = store.state.outages()
    assert stash["ended_at"] is None
    lasted_s = plex["ended_at"] - plex["started_at"]
    assert (plex["cause"], lasted_s, plex["waiting"]) == ("refused again", 60, 1)
    store.state.open_outage("Plex", "slow")
    assert [outage["cause"] for outage in store.state.outages()] == ["slow", "timeout", "refused again"]


def test_another_doors_writing_shows(world, store):
    other = world.open()
    before = store.data_version()
    other.enqueue(1)
    assert store.data_version() != before


# ---- what only a file has ----


def raw(world):
    return closing(sqlite3.connect(database.queue_file(world.folder), isolation_level=None))


def test_every_connection_of_the_store_is_durable(durable):
    store = durable.open()
    assert store.file.db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.file.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "damage",
    [
        "data = replace(data, 'title', 'tit1e')",
        "data = substr(data, 1, 20)",
        "data = x'80049500'",
        "data = CAST(x'ff' || data AS TEXT)",
        "data = NULL",
        "data = 5",
        "checksum = checksum + 1",
        "key = 'scene:999'",
        "timestamp = 'soon', generation = 'x', attempts = 'x', deaths = 'x', checksum = 0",
    ],
)
def test_a_damaged_row_is_a_letter_with_its_bytes_and_its_neighbours_go_on(durable, damage):
    store = durable.open()
    for scene_id in (1, 2, 3):
        store.enqueue(scene_id, "update", ["title"])
    with raw(durable) as db:
        (before,) = db.execute(f"SELECT data FROM {layout.TABLE} WHERE _id = 2").fetchone()
        db.execute(f"UPDATE {layout.TABLE} SET {damage} WHERE _id = 2")
        db.text_factory = bytes
        (bytes_now,) = db.execute(f"SELECT CAST(data AS BLOB) FROM {layout.TABLE} WHERE _id = 2").fetchone()
    assert store.waiting()
    assert len(LeasedAckQueue(store).queue()) == 3
    assert [store.claim().scene_id, store.claim().scene_id, store.claim()] == [1, 3, None]
    (letter,) = store.letters.newest()
    assert letter.error_type == "DamagedRow"
    with raw(durable) as db:
        (kept,) = db.execute("SELECT CAST(data AS BLOB) FROM dead_letters").fetchone()
    assert kept == bytes_now
    assert before


def test_a_damaged_row_is_replayed_as_a_look_at_its_scene(durable):
    store = durable.open()
    store.enqueue(7, "update", ["title"])
    with raw(durable) as db:
        db.execute(f"UPDATE {layout.TABLE} SET data = replace(data, '7', '8')")
    assert store.claim() is None
    assert store.letters.replay() == 1
    assert scenes(store) == [7]


def test_a_pickle_in_a_row_runs_nothing(durable, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    store = durable.open()
    with raw(durable) as db:
        db.execute(
            f"INSERT INTO {layout.TABLE} (data, timestamp, status) VALUES (?, 1, 0)", (pickle.dumps(Bomb()),)
        )
    assert store.claim() is None
    store.letters.newest()
    LeasedAckQueue(store).queue()
    assert not (tmp_path / "executed").exists()
    assert store.counts().dead == 1


def test_spool_litter_is_set_aside_and_never_stops_the_rest(durable):
    store = durable.open()
    durable.spool(events.new_event(1, "update", []))
    folder = Path(durable.folder) / "spool"
    whole = next(folder.glob("*.json")).read_bytes()
    (folder / "0.json").write_bytes(b"")
    (folder / "1.json").write_bytes(whole[: len(whole) // 2])
    (folder / "2.json").mkdir()
    (folder / "3.txt").write_bytes(b"what is this")
    (folder / "4.part").write_bytes(b"half")
    (folder / "5.part").write_bytes(whole.replace(b'"scene_id":1', b'"scene_id":2'))
    durable.clock.wall = time.time()
    assert store.spool.merge() == 1
    assert sorted(os.listdir(folder)) == ["3.txt", "4.part", "5.part", "aside"]
    durable.clock.advance(1000)
    store.spool.merge()
    assert sorted(os.listdir(folder / "aside")) == ["0.json", "1.json", "2.json", "3.txt", "4.part", "5.part"]


def test_a_whole_event_its_writer_never_named_is_taken_in(durable):
    store = durable.open()
    durable.clock.wall = time.time()
    path = Path(spool.write(durable.folder, events.new_event(4, "update", [])))
    path.rename(path.with_suffix(".part"))
    store.spool.merge()
    assert scenes(store) == []  # it may yet come
    durable.clock.advance(1000)
    store.spool.merge()
    assert scenes(store) == [4]
    assert not list((Path(durable.folder) / "spool").glob("*.part"))


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="changes owners")
def test_a_spool_file_that_cannot_be_read_stops_nobody(durable):
    code = (
        "import os, sys\n"
        "from plexsync.queue.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "os.chown(sys.argv[1] + '/spool', 65534, 65534); os.chmod(sys.argv[1] + '/queue', 0o755)\n"
        "os.setuid(65534)\n"
        "print(store.spool.merge(), store.spool.merge())\n"
        "os._exit(0)\n"
    )
    durable.open().close()
    Path(durable.folder).chmod(0o755)
    for scene_id in (1, 2):
        durable.spool(events.new_event(scene_id, "update", []))
    first, second = sorted((Path(durable.folder) / "spool").glob("*.json"))
    os.chown(second, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", code, durable.folder], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "1 0\n", done.stderr
    assert first.exists()


def test_two_mergers_take_each_event_once(durable):
    stores = [durable.open() for _ in range(4)]
    for scene_id in range(1, 101):
        durable.spool(events.new_event(scene_id, "update", []))
    came = []
    threads = [threading.Thread(target=lambda s=s: came.append(s.spool.merge())) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(came) == 100
    assert {job.generation for job in stores[0].waiting(1000)} == {1}


def test_a_claim_whose_commit_only_seemed_to_fail_is_not_lost_to_ourselves(durable):
    store = durable.open()
    store.enqueue(1)
    store.claim()
    store.claimed.clear()  # as after a COMMIT that raised and landed
    assert store.upkeep.recover() == 1
    assert store.claim().scene_id == 1


def test_a_dead_owners_lock_file_is_swept_away_and_a_living_ones_is_not(durable):
    first, second = durable.open(), durable.open()
    first.enqueue_many([1, 2])
    first.claim()
    second.claim()
    durable.kill(first)
    second.upkeep.recover()
    assert os.listdir(os.path.join(durable.folder, "owners")) == [second._owners.name + ".lock"]


def test_an_owner_is_never_taken_for_dead_while_it_takes_its_lock(durable):
    stop = threading.Event()
    watcher = durable.open()

    def watch():
        while not stop.is_set():
            watcher._owners.sweep()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for _ in range(100):
            store = durable.open()
            store._owners.take_lock()
            assert not watcher._owners.is_dead(store._owners.name)
            store.close()
    finally:
        stop.set()
        thread.join()


def test_threads_share_a_store(durable):
    store = durable.open()
    errors = []

    def work(number):
        try:
            for turn in range(30):
                store.enqueue(number * 100 + turn + 1)
                job = store.claim()
                store.counts()
                store.heartbeat(job)
                store.finish(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert where(store) == (0, 0, 120, 0, 0)


def test_threads_that_claim_first_at_the_same_moment(durable, monkeypatch):
    """Each of them sees that the store has no lock of its owner yet; the one that came second tried for ever."""
    store = durable.open()
    store.enqueue_many([1, 2])
    both, take = threading.Barrier(2), FileLock.take

    def take_together(lock, *args):
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return take(lock, *args)

    monkeypatch.setattr(FileLock, "take", take_together)
    jobs = []
    threads = [threading.Thread(target=lambda: jobs.append(store.claim()), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(job.scene_id for job in jobs) == [1, 2]


def test_the_log_is_cut_when_nobody_reads(durable, caplog, monkeypatch):
    store = durable.open()
    wal = database.queue_file(durable.folder) + "-wal"
    with raw(durable) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {layout.TABLE}").fetchone()
        for number in range(300):
            store.enqueue(number + 1, data={"x": "y" * 2000})
        grown = os.path.getsize(wal)
        monkeypatch.setattr(upkeep, "LOG_PAGES_ODD", 50)
        began = time.monotonic()
        store.upkeep.tidy()
        assert time.monotonic() - began < 5  # it does not wait for the reader
        assert os.path.getsize(wal) >= grown
        assert "keeps reading" in caplog.text
        reader.execute("ROLLBACK")
    store.upkeep.tidy()
    assert os.path.getsize(wal) < 10_000


def test_status_can_be_read_while_another_process_is_writing(durable):
    durable.open().enqueue(1)
    with raw(durable) as writer:
        writer.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert durable.open().counts().pending == 1
        assert time.monotonic() - began < 5
        writer.execute("ROLLBACK")


# Every statement by itself: what it costs must not depend on how much has been done before.
ALLOWED_SCANS = ("SCAN CONSTANT ROW", "SCAN outages", "SCAN dead_letters", "SCAN spooled")


def test_no_statement_reads_through_the_history(durable):
    store = durable.open()
    with store.transaction() as db:
        db.executemany(
            f"INSERT INTO {layout.TABLE} (data, timestamp, status, key, finished_at) VALUES ('{{}}', 1, 5, ?, ?)",
            ((f"scene:{n}", n) for n in range(3000)),
        )
    statements = []
    store.file.db.set_trace_callback(statements.append)
    store.enqueue_many([1, 2, 3, 4, 5])
    store.enqueue_payload({"scene_id": 6, "parallel": False})
    store.finish(store.claim())
    store.postpone(store.claim(), durable.clock.now() + 5, "x", uses_attempt=True)
    store.requeue(store.claim())
    store.letters.replay([store.dead_letter(store.claim(), "X", "x")])
    store.claim_many(2)
    store.claim_batch(5)
    store.heartbeat(next(iter(store.claimed.values())))
    store.upkeep.recover()
    store.counts()
    store.waiting()
    store.upkeep.release_due()
    durable.spool(events.new_event(8, "update", []))
    store.spool.merge()
    store.upkeep.prune(2000)
    store.clear_waiting()
    store.letters.newest()
    store.letters.clear()
    store.state.open_outage("Plex", "x")
    store.state.close_outage("Plex")
    store.file.db.set_trace_callback(None)
    seen = 0
    for sql in {
        sql for sql in statements if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")
    }:
        for step in store.file.db.execute(f"EXPLAIN QUERY PLAN {sql}"):
            seen += 1
            plain = step[3].startswith("SCAN") and "USING" not in step[3] and step[3] not in ALLOWED_SCANS
            assert not plain, (step[3], sql)
    assert seen > 40


# ---- persist-queue's own door ----


def test_it_is_persist_queues_queue(durable):
    import persistqueue

    queue = LeasedAckQueue(durable.open())
    assert isinstance(queue, persistqueue.SQLiteAckQueue)
    assert isinstance(queue, LeasedAckQueue)


def test_persist_queues_own_calls(durable):
    store = durable.open()
    queue = LeasedAckQueue(store)
    assert queue.put({"scene_id": 1}) == 1
    queue.put({"anything": "else"})
    assert (queue.qsize(), queue.size, len(queue), queue.empty()) == (2, 2, 2, False)
    item = queue.get(block=False, raw=True)
    assert item["pqid"] == 1
    assert item["data"]["scene_id"] == 1
    assert queue.qsize() == 1
    assert (queue.unack_count(), queue.ready_count()) == (1, 1)
    assert queue.nack(item) == 1
    again = queue.get(block=False, raw=True)
    assert queue.ack(again) == again["pqid"]
    assert queue.ack(again) is None  # a second time changes nothing
    last = queue.get(block=False, raw=True)
    assert queue.ack_failed(last) == last["pqid"]
    assert (queue.acked_count(), queue.ack_failed_count()) == (1, 1)
    assert queue.nack(id=12345) is None


def test_two_processes_see_each_others_rows(durable):
    first, second = LeasedAckQueue(durable.open()), LeasedAckQueue(durable.open())
    first.put({"scene_id": 1})
    assert second.qsize() == 1
    assert second.get(block=False)["scene_id"] == 1
    assert first.qsize() == 0


def test_none_and_what_json_has_not_are_refused(durable):
    queue = LeasedAckQueue(durable.open())
    for odd in (None, {1, 2}, float("nan")):
        with pytest.raises((ValueError, TypeError)):
            queue.put(odd)
    assert queue.qsize() == 0


def test_a_stale_acknowledgement_changes_nothing(durable):
    first, second = durable.open(), durable.open()
    first.enqueue(1)
    item = LeasedAckQueue(first).get(block=False, raw=True)
    durable.clock.advance(LEASE_S + 1)
    second.upkeep.recover()
    assert LeasedAckQueue(first).ack(item) is None
    assert LeasedAckQueue(first).nack(item) is None
    assert where(second) == (1, 0, 0, 0, 0)


def test_updating_a_row_keeps_it_sound(durable):
    store = durable.open()
    store.enqueue(1)
    assert LeasedAckQueue(store).update({"scene_id": 1, "data": {"a": 2}}, id=1) == 1
    with pytest.raises(ValueError, match="scene:1"):
        LeasedAckQueue(store).update({"scene_id": 2}, id=1)
    assert LeasedAckQueue(store).update({"scene_id": 1}, id=99) is None
    assert store.claim_row()[1]["data"] == {"a": 2}
    assert store.counts().dead == 0


def test_resuming_takes_nothing_from_the_living(durable):
    first, second = durable.open(), durable.open()
    first.enqueue(1)
    job = first.claim()
    LeasedAckQueue(second).resume_unack_tasks()
    first.finish(job)


def test_clearing_what_is_acknowledged(durable):
    store = durable.open()
    for scene_id in range(1, 21):
        store.enqueue(scene_id)
        store.finish(store.claim())
    LeasedAckQueue(store).clear_acked_data(keep_latest=5)
    assert store.counts().completed == 5


# ---- many processes ----

DRAIN = """
import sys, time
from plexsync.queue.store import Store
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    store.enqueue(int(sys.argv[2]) * 100000 + number + 1)
idle = 0
while idle < 40:
    job = store.claim()
    if job is None:
        idle += 1
        time.sleep(0.005)
        continue
    idle = 0
    print(job.id, flush=False)
    store.finish(job)
"""


def test_four_processes_never_share_a_job(durable):
    durable.open().close()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", DRAIN, durable.folder, str(number), "40"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    taken = [int(line) for child in children for line in child.communicate()[0].split()]
    assert len(taken) == len(set(taken)) == 160


def test_closing_leaves_no_litter(durable):
    store = durable.open()
    store.enqueue(1)
    store.finish(store.claim())
    store.close()
    assert files_in(durable.folder) == ["data.db", "data.db.gate"]


def test_random_rows_never_stop_a_worker(durable):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    store = durable.open()
    odd = [None, "", "x", 5, -1.5, b"\xff\x00", "{}", '{"scene_id": 3}', "[" * 5000, "\x00", 2**62, 1e308]
    with raw(durable) as db:
        for _ in range(300):
            values = [rng.choice(odd) for _ in range(7)]
            db.execute(
                f"INSERT OR IGNORE INTO {layout.TABLE} (status, data, timestamp, checksum, due_at, decided_at,"
                " first_failed_at, last_error, key, attempts, generation, deaths)"
                " VALUES (0, ?, ?, ?, 0, coalesce(?, 0), ?, coalesce(?, ''), ?, ?, ?, ?)",
                (*values, rng.choice(["a", "b", 1]), rng.choice([1, "x"]), rng.choice([0, "y", 2.5])),
            )
    store.enqueue(77)
    while (job := store.claim()) is not None:
        json.dumps(store.waiting(5), default=str)
        store.finish(job)
    counts = store.counts()
    assert counts.pending == 0
    assert counts.finished >= 1
    store.letters.newest()
    store.letters.replay()


def test_the_manual_clock_is_all_the_time_there_is(world):
    assert isinstance(world.clock, ManualClock)


def test_many_are_put_and_cleared_some_at_a_time(durable, monkeypatch):
    """A hook that comes meanwhile waits for one of them at most."""
    store = durable.open()
    sizes, begun = [], store.transaction

    @contextmanager
    def counted():
        with begun() as db:
            before = db.total_changes
            yield db
            sizes.append(db.total_changes - before)

    monkeypatch.setattr(store, "transaction", counted)
    assert store.enqueue_many(range(1, 2502)) == 2501
    assert max(sizes) <= 500 and sum(sizes) == 2501
    sizes.clear()
    assert store.clear_waiting() == 2501
    assert max(sizes) <= 500 and sum(sizes) == 2501
    assert store.counts().pending == 0


def test_pruning_takes_some_at_a_time(durable):
    store = durable.open()
    with store.transaction() as db:
        db.executemany(
            f"INSERT INTO {layout.TABLE} (data, timestamp, status, finished_at) VALUES ('{{}}', 1, 5, ?)",
            ((n,) for n in range(2000)),
        )
    gone = []
    while number := store.upkeep.prune(100):
        gone.append(number)
    assert sum(gone) == 1900
    assert max(gone) <= 500
