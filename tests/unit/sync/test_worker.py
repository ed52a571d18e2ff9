"""The worker's loop, on a real queue file, with a model of the two servers and a clock turned by hand."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from plexsync.core.failures import Landed, NeedsAttention, Permanent, SettingProblem, Transient, Unavailable
from plexsync.core.item import Item
from plexsync.core.job import LEASE_S, Remark
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.verdict import ATTENTION_HOLD_S
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry, InMemory
from plexsync.servers.stash import Cover
from plexsync.servers.sync_state import SyncState
from plexsync.sync import reconcile
from plexsync.sync.worker import RELEASE_S, Worker
from scenarios.clock import ManualClock
from tests.doubles import SETTINGS, Model


@pytest.fixture
def model(clock):
    world = Model(remembered=SyncState(InMemory(clock)))
    for number in (1, 2, 3):
        path = f"/data/{number}.mp4"
        world.has[number] = Scene(number, title=f"Scene {number}", files=(SceneFile(path),))
        world.items[100 + number] = Item(100 + number, 1, title=str(number), files=(path,))
    return world


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path, clock=clock) as opened:
        yield opened


@pytest.fixture
def worker(store, model, clock):
    return Worker(store, model, clock, random.Random(7))


def drain(worker):
    steps = 0
    while worker.outages.may_claim() and worker.step():
        steps += 1
    return steps


def test_an_edit_reaches_plex_in_one_write_and_is_acknowledged(worker, store, model):
    store.enqueue(1, "update", ["title"])
    assert worker.step()
    assert model.items[101].title == "Scene 1"
    assert len(model.writes) == 1
    assert store.counts().finished == 1 and store.counts().pending == 0
    store.enqueue(1)
    assert worker.step()
    assert len(model.writes) == 1, "in_sync: nothing to write"
    assert not worker.step()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda m: m.has.pop(1), "gone"),
        (lambda m: m.has.update({1: replace(m.has[1], files=())}), "no_file"),
    ],
)
def test_a_scene_that_needs_nothing_is_closed_under_its_own_name(worker, store, model, change, note):
    change(model)
    store.enqueue(1)
    assert worker.step()
    (row,) = store.file.db.execute("SELECT status, note FROM ack_queue_default").fetchall()
    assert row[0] == 5 and row[1].startswith(note + ":")
    assert model.writes == []


def test_a_scene_plex_does_not_have_waits_and_comes_again(worker, store, model, clock):
    item = model.items.pop(101)
    store.enqueue(1)
    assert drain(worker) == 1
    counts = store.counts()
    assert counts.waiting_later == 1 and counts.dead == 0
    model.items[101] = item
    clock.advance(counts.next_due_at - clock.now())
    assert drain(worker) == 1
    assert model.items[101].title == "Scene 1"


def test_two_items_with_the_file_are_a_dead_letter_that_names_both(worker, store, model):
    model.items[999] = replace(model.items[101], rating_key=999)
    store.enqueue(1)
    drain(worker)
    (letter,) = store.letters.newest()
    assert letter.error_type == "Ambiguous"
    assert "101" in letter.message and "999" in letter.message
    assert model.writes == []


def test_a_failure_that_may_pass_is_tried_again_and_again_then_buried(worker, store, model, clock):
    model.trouble["Plex"] = Transient("Plex failed on this item (500).")
    store.enqueue(1)
    tries = 0
    while store.counts().pending:
        clock.advance(700)
        tries += drain(worker)
    (letter,) = store.letters.newest()
    assert tries == letter.attempts == SETTINGS.max_attempts
    assert letter.error_type == "Transient" and "500" in letter.message


def test_what_can_never_work_is_dead_lettered_at_once_and_its_neighbours_go_on(worker, store, model):
    model.trouble["Plex"] = Permanent("Plex refused the edit (400).")
    store.enqueue(1)
    assert worker.step()
    del model.trouble["Plex"]
    store.enqueue(2)
    drain(worker)
    assert [letter.error_type for letter in store.letters.newest()] == ["Permanent"]
    assert model.items[102].title == "Scene 2"


def test_a_defect_of_ours_is_kept_with_its_traceback_and_without_the_token(worker, store, model, clock):
    model.trouble["Plex"] = ZeroDivisionError(f"with {SETTINGS.plex_token} inside")
    store.enqueue(1)
    while store.counts().pending:
        clock.advance(700)
        drain(worker)
    (letter,) = store.letters.newest()
    assert letter.error_type == "ZeroDivisionError" and "doubles" in letter.traceback
    assert SETTINGS.plex_token not in letter.traceback


def test_an_outage_costs_no_attempt_and_is_one_record(worker, store, model, clock):
    model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    for number in (1, 2, 3):
        store.enqueue(number)
    for _ in range(500):
        drain(worker)
        clock.advance(60)
    (outage,) = store.state.outages()
    assert outage["server"] == "Plex" and outage["ended_at"] is None
    assert store.counts().pending == 3 and store.counts().dead == 0
    assert len(model.probes) < 600, "probes, not jobs, ask whether the server is back"
    assert all(job.attempts == 0 for job in store.waiting())
    del model.trouble["Plex"]
    clock.advance(120)
    drain(worker)
    assert store.counts().pending == 0
    assert [item.title for item in model.items.values()] == ["Scene 1", "Scene 2", "Scene 3"]
    (outage,) = store.state.outages()
    assert outage["ended_at"] is not None and outage["waiting"] == 3


@pytest.mark.parametrize(
    "trouble",
    [
        NeedsAttention("Plex", "Plex does not accept the token (401)."),
        SettingProblem("plex_token", "plex_token is not set."),
    ],
)
def test_what_a_person_must_mend_holds_the_queue_and_says_so(worker, store, model, clock, trouble):
    model.trouble["Plex"] = trouble
    for number in (1, 2, 3):
        store.enqueue(number)
    assert drain(worker) == 1, "one batch meets the wall, and nothing else is tried against it"
    assert store.state.load("attention") == str(trouble)
    assert store.counts().pending == 3 and store.counts().dead == 0
    clock.advance(ATTENTION_HOLD_S / 2)
    assert drain(worker) == 0
    # A person changes the setting: no need to wait any longer.
    del model.trouble["Plex"]
    model.given = replace(SETTINGS, plex_token="another-token")
    assert drain(worker) == 1, "one batch"
    assert store.state.load("attention") == ""
    assert store.counts().pending == 0


def test_a_queue_that_is_held_says_so_once_and_not_for_each_job_every_minute(
    worker, store, model, clock, caplog
):
    caplog.set_level("INFO", "plexsync")
    model.trouble["Plex"] = NeedsAttention("Plex", "Plex does not accept the token (401).")
    store.enqueue_many([1, 2, 3])
    end = clock.now() + 600
    worker.run(should_stop=lambda: clock.now() > end)
    assert [record.message for record in caplog.records] == [
        "queue paused: Plex does not accept the token (401)."
    ]
    assert all(job.last_error.endswith("(401).") for job in store.waiting()), "each has its reason"
    del model.trouble["Plex"]
    worker.run(linger_s=lambda: 5.0)
    messages = [record.message for record in caplog.records]
    assert "queue resumed" in messages and sum("synced scene=" in one for one in messages) == 3


@pytest.mark.parametrize("known_before", [True, False])
def test_settings_that_can_be_used_again_end_the_hold_at_once(worker, store, model, clock, known_before):
    """Also when they are what they were before somebody emptied one, or what a new worker sees first."""
    if known_before:
        store.enqueue(2)
        worker.step()
    usable = model.settings

    def missing():
        raise SettingProblem("plex_token", "plex_token is not set.")

    model.settings = missing
    store.enqueue(1)
    began = clock.now()

    def somebody_enters_it():
        if clock.now() >= began + 5:
            model.settings = usable

    worker.run(lambda: clock.now() > began + 20, on_step=somebody_enters_it)
    assert store.counts().pending == 0


def test_a_synced_scene_that_a_rule_comes_to_skip_stays_as_it_is_and_follows_when_the_rule_goes(
    worker, store, model
):
    settings = replace(SETTINGS, conflict_policy=(("", "plex"),))
    model.given = settings
    store.enqueue(1)
    drain(worker)
    model.remembered.put(1, [Entry(key, item.files) for key, item in model.items.items()])
    model.given = replace(settings, only_organized=True)
    model.has = {1: replace(model.has[1], title="Newer", details="More")}
    writes = len(model.writes)
    store.enqueue(1, "update")
    drain(worker)
    found = reconcile.sweep(store, model, model.given)
    assert (found.skipped, found.queued, len(model.writes)) == (1, 0, writes)
    assert model.items[101].title == "Scene 1"
    assert store.remarks()[Remark.SKIPPED] == {"not organized": 1}
    # Somebody edits it in Plex meanwhile, and what was written last is still known then.
    model.items[101] = replace(model.items[101], title="By hand")
    model.given = settings
    assert reconcile.sweep(store, model, model.given).queued == 1
    drain(worker)
    assert (model.items[101].title, model.items[101].summary) == ("By hand", "More")


def test_a_synced_scene_that_was_emptied_is_emptied_in_plex_though_bare_scenes_are_skipped(
    worker, store, model
):
    model.given = replace(SETTINGS, skip_bare=True)
    model.has = {1: replace(model.has[1], details="Of another scene")}
    store.enqueue(1)
    drain(worker)
    model.remembered.put(1, [Entry(101, model.items[101].files)])
    model.has = {1: replace(model.has[1], title="", details=""), 2: Scene(2, files=model.has[1].files)}
    assert reconcile.sweep(store, model, model.given).queued == 1, "and the one never synced is bare"
    drain(worker)
    assert (model.items[101].title, model.items[101].summary) == ("1", "")


def test_an_edit_during_the_write_is_not_swallowed(worker, store, model):
    def edit():
        model.has[1] = replace(model.has[1], title="Newer")
        store.enqueue(1, "update", ["title"])

    model.meanwhile = edit
    store.enqueue(1)
    drain(worker)
    assert model.items[101].title == "Newer"
    assert len(model.writes) == 2


def test_a_hundred_edits_end_in_two_writes_at_most(worker, store, model):
    def edit():
        for number in range(50):
            model.has[1] = replace(model.has[1], title=f"Edit {number}")
            store.enqueue(1, "update", ["title"])

    for _ in range(50):
        store.enqueue(1, "update", ["title"])
    model.meanwhile = edit
    drain(worker)
    assert model.items[101].title == "Edit 49"
    assert len(model.writes) == 2


def test_a_worker_that_was_frozen_changes_nothing_and_has_the_scene_looked_at_again(
    worker, store, model, clock, tmp_path
):
    other = Store(tmp_path, clock=clock)

    def somebody_else_takes_over():
        clock.advance(LEASE_S + 1)
        other.upkeep.recover()
        taken = other.claim()
        other.finish(taken, "by the other")

    model.meanwhile = somebody_else_takes_over
    store.enqueue(1)
    worker.step()
    rows = store.file.db.execute("SELECT status, note FROM ack_queue_default ORDER BY _id").fetchall()
    assert rows[0] == (5, "by the other")
    assert len(rows) == 2, "we may have written after them, so the scene is looked at once more"
    drain(worker)
    assert store.counts().pending == 0
    other.close()


def test_a_worker_that_was_frozen_writes_no_more_of_what_another_has_taken_over(
    worker, store, model, clock, tmp_path
):
    other = Store(tmp_path, clock=clock)

    def somebody_else_takes_over():
        clock.advance(LEASE_S + 1)
        other.upkeep.recover()
        for taken in other.claim_many(9):
            other.finish(taken, "by the other")

    model.meanwhile = somebody_else_takes_over  # in the first write
    store.enqueue_many([1, 2, 3])
    worker.step()
    assert len(model.writes) == 1
    assert store.counts().pending == 3, "all are looked at once more"
    other.close()


def test_run_ends_after_the_linger_but_not_while_something_waits_for_later(worker, store, model, clock):
    item = model.items.pop(101)
    store.enqueue(1)
    appears_at = clock.now() + 300

    def plex_scans():
        if clock.now() >= appears_at:
            model.items.setdefault(101, item)

    began = clock.monotonic()
    worker.run(linger_s=lambda: 10.0, on_step=plex_scans)
    assert model.items[101].title == "Scene 1"
    assert clock.monotonic() - began >= 300


def test_run_stops_when_told_to(worker, store):
    store.enqueue(1)
    worker.run(should_stop=lambda: True)
    assert store.counts().pending == 1


def test_the_history_is_bounded(worker, store, model, clock):
    model.given = replace(SETTINGS, history_keep=2)
    for _ in range(5):
        for number in (1, 2, 3):
            store.enqueue(number)
        drain(worker)
    worker.run(linger_s=lambda: 20.0)
    assert store.counts().completed == 2
    assert store.counts().finished == 15


@pytest.mark.parametrize("why", ["a job waits for later", "a reconcile is to come"])
def test_the_history_is_bounded_also_while_the_worker_has_to_stay(worker, store, model, clock, why):
    model.given = replace(SETTINGS, history_keep=2)
    if why == "a reconcile is to come":
        model.given = replace(model.given, reconcile_interval=24)
    else:
        store.enqueue(99)
        store.postpone(store.claim(), clock.now() + 1e6, "no file yet", uses_attempt=True)
    for number in (1, 2, 3):
        store.enqueue(number)
    stop_at = clock.now() + 60
    worker.run(lambda: clock.now() >= stop_at)
    assert store.counts().finished >= 3
    assert store.counts().completed == 2


def test_the_history_is_bounded_without_a_quiet_moment(worker, store, model, clock):
    model.given = replace(SETTINGS, history_keep=2)
    numbers = itertools.cycle((1, 2, 3))
    stop_at = clock.now() + 1300
    most = 0

    def somebody_edits_on():
        nonlocal most
        store.enqueue(next(numbers))
        clock.advance(4)
        most = max(most, store.counts().completed)

    worker.run(lambda: clock.now() >= stop_at, on_step=somebody_edits_on)
    assert store.counts().finished > 300
    assert most < 200


def test_the_backlog_of_an_outage_is_released_slowly_at_first_then_faster(worker, store, model, clock):
    """A server that just came back is asked for one, then for two: not for thousands, and not for ever one by one."""
    scenes = range(1, 401)
    model.has |= {n: Scene(n, title=f"Scene {n}", files=(SceneFile(f"/data/{n}.mp4"),)) for n in scenes}
    model.items |= {100 + n: Item(100 + n, 1, title=str(n), files=(f"/data/{n}.mp4",)) for n in scenes}
    model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    store.enqueue_many(scenes)
    back_at = clock.now() + 100
    written = [(clock.monotonic(), 0)]

    def plex_comes_back():
        if clock.now() >= back_at:
            model.trouble.clear()
        if len(model.writes) > written[-1][1]:
            written.append((clock.monotonic(), len(model.writes)))

    worker.run(linger_s=lambda: 5.0, on_step=plex_comes_back)
    assert len(model.writes) == 400
    first = written[1][0]
    for i, ((before, done), (at, then)) in enumerate(itertools.pairwise(written), 1):
        assert then - done <= i
        if i > 1 and then - done < 25:
            assert at - before >= RELEASE_S * 0.99
    assert written[-1][0] - first < 400 * RELEASE_S / 4


def test_the_end_of_an_outage_wakes_what_waits_for_the_server_and_nothing_else(worker, store, model, clock):
    later = clock.now() + 5000
    store.enqueue(2)
    store.postpone(store.claim(), later, "No Plex item has the file /data/2.mp4.", uses_attempt=True)
    model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    store.enqueue(1)
    for _ in range(3):
        drain(worker)
        clock.advance(5.5)
    assert store.state.outages()
    del model.trouble["Plex"]
    while model.items[101].title != "Scene 1":
        drain(worker)
        clock.advance(0.5)
    assert [job.due_at for job in store.waiting()] == [later]


def test_a_renamed_performer_reaches_all_scenes(worker, store, model):
    store.enqueue(7, "update", ["name"], entity="performer")
    drain(worker)
    assert [item.title for item in model.items.values()] == ["Scene 1", "Scene 2", "Scene 3"]
    assert store.counts().pending == 0 and store.counts().finished == 4


def test_a_fan_out_that_was_cut_short_goes_on_where_it_was(worker, store, model, clock):
    store.enqueue(7, "update", ["name"], entity="performer")
    enqueue_many, calls = store.enqueue_many, []

    def dies_at_the_second_page(page):
        calls.append(page)
        if len(calls) == 2:
            raise Unavailable("Stash", "Stash went away.")
        return enqueue_many(page)

    store.enqueue_many = dies_at_the_second_page
    worker.step()
    del store.enqueue_many
    assert model.pages == [1, 2]
    clock.advance(60)
    drain(worker)
    assert model.pages == [1, 2, 2, 3], "the first page is not read again"
    assert [item.title for item in model.items.values()] == ["Scene 1", "Scene 2", "Scene 3"]


def test_after_a_deletion_what_was_level_is_looked_at_and_nothing_else(worker, store, model, clock):
    """A tag that is gone changed its scenes, and nobody can be asked which these were."""
    store.enqueue_many([1, 2])
    drain(worker)
    model.remembered.put(1, [Entry(item.rating_key, item.files) for item in model.items.values()])
    model.has[2] = replace(model.has[2], tags=("Left",))
    reads, writes = model.reads, len(model.writes)
    store.enqueue(1, "destroy", ["tag"], entity="library")
    drain(worker)
    clock.advance(0.2)
    drain(worker)
    # One is compared, and read back after it was written.
    assert (model.sweeps, model.reads, len(model.writes)) == (1, reads + 2, writes + 1)
    assert model.items[103].title == "3", "never synced, so no business of a deletion"
    assert store.counts().pending == 0
    assert not [name for name in states(store) if name.startswith("fan-out")]


def test_a_look_after_a_deletion_lets_edits_pass_and_goes_on_where_it_was(
    worker, store, model, clock, monkeypatch
):
    monkeypatch.setattr(Model, "scene_pages", one_at_a_time)
    for number in (1, 2, 3):
        store.enqueue(number)
    drain(worker)
    model.remembered.put(1, [Entry(item.rating_key, item.files) for item in model.items.values()])
    for number in (1, 2, 3):
        model.has[number] = replace(model.has[number], title=f"Without {number}")
    store.enqueue(1, "destroy", ["tag"], entity="library")
    assert worker.step()
    assert model.pages == [1], "its first page has an edit to be done"
    assert worker.step() and model.items[101].title == "Without 1"
    while store.counts().pending:
        clock.advance(0.2)
        drain(worker)
    assert model.pages == [1, 2, 3], "none is read twice"
    assert [item.title for item in model.items.values()] == ["Without 1", "Without 2", "Without 3"]
    assert store.counts().pending == 0 and store.counts().dead == 0


def one_at_a_time(model, after_id=0, per_page=100, updated_since=None):
    for scene in [scene for scene in model.has.values() if scene.id > after_id]:
        model.pages.append(scene.id)
        yield [scene]


def states(store):
    return [row[0] for row in store.file.db.execute("SELECT name FROM state")]


def test_a_scene_that_has_not_changed_is_not_asked_about(worker, store, model):
    store.enqueue_many([1, 2, 3])
    drain(worker)
    asked = model.reads
    assert asked == 3 + 1  # compared, and read back together
    # The model's index knows nothing, so the sync state must be told what Plex's listing would have told it.
    model.remembered.put(1, [Entry(item.rating_key, item.files) for item in model.items.values()])
    store.enqueue_many([1, 2, 3])
    drain(worker)
    assert model.reads == asked
    model.has[2] = replace(model.has[2], title="Changed")
    store.enqueue_many([1, 2, 3])
    drain(worker)
    assert model.reads == asked + 2 and model.items[102].title == "Changed"  # compared, and read back


def test_a_scene_that_was_saved_is_compared_even_if_nothing_seems_to_have_changed(worker, store, model):
    store.enqueue_many([1])
    drain(worker)
    model.remembered.put(1, [Entry(101, model.items[101].files)])
    model.items[101] = replace(model.items[101], title="Somebody else's")
    store.enqueue(1, "update", ["title"])
    drain(worker)
    assert model.items[101].title == "Scene 1"


def test_an_item_that_is_gone_is_not_thought_level(worker, store, model):
    store.enqueue_many([1])
    drain(worker)
    model.remembered.put(1, [Entry(101, model.items[101].files)])
    model.items[555] = replace(
        model.items.pop(101), rating_key=555, title="after a rebuild", locked=frozenset()
    )
    model.remembered.drop(101)
    store.enqueue_many([1])
    drain(worker)
    assert model.items[555].title == "Scene 1"


def test_one_bad_scene_does_not_spoil_its_batch(worker, store, model, clock):
    model.bad = 2
    store.enqueue_many([1, 2, 3])
    drain(worker)
    assert (model.items[101].title, model.items[103].title) == ("Scene 1", "Scene 3")
    assert store.counts().waiting_later == 1 and store.counts().finished == 2


def test_what_a_person_chose_settles_an_ambiguity(worker, store, model):
    model.items[999] = replace(model.items[101], rating_key=999)
    store.enqueue(1)
    drain(worker)
    (letter,) = store.letters.newest()
    model.remembered.choose(1, 999)
    assert store.letters.replay([letter.id]) == 1
    drain(worker)
    assert (model.items[101].title, model.items[999].title) == ("1", "Scene 1")


def test_a_job_a_worker_died_with_is_worked_on_alone(store, model, clock, tmp_path):
    dead = Store(tmp_path, clock=clock)
    store.enqueue_many([1, 2])
    assert len(dead.claim_many(10)) == 2
    dead.close()
    store.upkeep.recover()
    store.enqueue(3)
    batches = []
    while jobs := store.claim_many(10):
        batches.append([job.scene_id for job in jobs])
        for job in jobs:
            store.finish(job)
    assert sorted(batches) == [[1], [2], [3]]


def test_the_servers_failing_at_one_write_spares_the_rest_of_the_batch(worker, store, model, clock):
    def fall():
        model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 hung up.")

    model.has |= {n: Scene(n, title=f"Scene {n}", files=(SceneFile(f"/data/{n}.mp4"),)) for n in range(4, 21)}
    model.items |= {100 + n: Item(100 + n, 1, title=str(n), files=(f"/data/{n}.mp4",)) for n in range(4, 21)}
    model.meanwhile = fall
    store.enqueue_many(range(1, 21))
    worker.step()
    assert len(model.writes) == 1
    # The one that was written could not be read back: it is compared again as well.
    assert store.counts().finished == 0 and store.counts().pending == 20 and store.counts().dead == 0
    assert all(job.attempts == 0 for job in store.waiting())


def test_told_to_go_at_once_it_leaves_every_job_as_it_was(worker, store, model):
    store.enqueue_many([1, 2, 3])
    seen = []

    def ordered_to_go():
        worker.requeue_all()
        seen.append([job.attempts for job in store.waiting()])

    model.meanwhile = ordered_to_go
    worker.step()
    assert seen == [[0, 0, 0]]


@pytest.mark.parametrize("scope", ["all", "recent"])
def test_a_scheduled_look_finds_what_no_hook_told_and_keeps_the_worker(worker, store, model, clock, scope):
    model.given = replace(SETTINGS, reconcile_interval=2.0, reconcile_scope=scope)
    end = clock.now() + 5 * 3600
    worker.run(should_stop=lambda: clock.now() > end, linger_s=lambda: 60.0)
    assert [item.title for item in model.items.values()] == ["Scene 1", "Scene 2", "Scene 3"]
    assert model.sweeps == 3, "at the start, after two hours and after four"


def test_without_a_schedule_nothing_is_swept(worker, model):
    worker.run(linger_s=lambda: 60.0)
    assert model.sweeps == 0


def with_cover(model, second):
    """The scene was touched in this second, which is when a cover may have changed."""
    model.has[1] = replace(model.has[1], screenshot=f"http://stash/scene/1/screenshot?t={second}")


def test_a_cover_is_uploaded_once_for_each_picture(worker, store, model):
    model.given = replace(SETTINGS, write_poster=True, write_background=True)
    with_cover(model, 1)
    store.enqueue(1)
    drain(worker)
    assert model.uploads == [(101, "posters"), (101, "arts")]
    with_cover(model, 2)  # touched, the same picture
    store.enqueue(1)
    drain(worker)
    assert model.covers_asked == [(1, ""), (1, "etag-1")] and len(model.uploads) == 2
    with_cover(model, 3)
    model.picture = Cover(b"\xff\xd8\xff two", "image/jpeg", "etag-2")
    store.enqueue(1)
    drain(worker)
    assert len(model.uploads) == 4
    asked = len(model.covers_asked)
    store.enqueue(1)
    drain(worker)
    assert len(model.covers_asked) == asked, "an address that is known is not asked again"


def test_a_background_wanted_later_is_written_though_the_poster_is_there(worker, store, model):
    model.given = replace(SETTINGS, write_poster=True)
    with_cover(model, 1)
    store.enqueue(1)
    drain(worker)
    model.remembered.put(1, [Entry(101, model.items[101].files)])
    model.given = replace(SETTINGS, write_poster=True, write_background=True)
    swept = reconcile.sweep(store, model, model.given)
    assert swept.in_sync == 0
    drain(worker)
    assert [upload for upload in model.uploads if upload[0] == 101] == [(101, "posters"), (101, "arts")]


def test_a_placeholder_is_no_cover(worker, store, model):
    model.given = replace(SETTINGS, write_poster=True)
    model.picture = Cover(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "etag-0")
    with_cover(model, 1)
    store.enqueue(1)
    drain(worker)
    assert model.uploads == [] and store.counts().finished == 1
    assert model.items[101].title == "Scene 1"


def test_an_upload_that_fails_is_tried_again_and_the_fields_are_not_written_twice(
    worker, store, model, clock
):
    model.given = replace(SETTINGS, write_poster=True)
    model.trouble["upload"] = Transient("Plex failed at the picture (500).")
    with_cover(model, 1)
    store.enqueue(1)
    drain(worker)
    assert len(model.writes) == 1 and model.uploads == []
    del model.trouble["upload"]
    clock.advance(60)
    drain(worker)
    assert len(model.writes) == 1 and model.uploads == [(101, "posters")]


def test_where_the_path_map_does_not_reach_the_same_file_is_found_by_its_size(worker, store, model):
    model.has[1] = replace(model.has[1], files=(SceneFile("/mnt/nas/films/1.mp4", size=777),))
    model.items[101] = replace(model.items[101], files=("/media/films/1.mp4",), sizes=(777,))
    model.items[555] = Item(555, 1, files=("/media/other/1.mp4",), sizes=(1,))
    store.enqueue(1)
    drain(worker)
    assert model.items[101].title == "Scene 1" and model.items[555].title == ""
    model.remembered.put(1, [Entry(101, ("/media/films/1.mp4",))])
    reads = model.reads
    store.enqueue(1, "sync")
    drain(worker)
    assert model.reads == reads, "known under Plex's path"


def test_a_write_that_landed_late_is_not_mistaken_for_an_edit_by_hand(worker, store, model, clock):
    model.given = replace(SETTINGS, conflict_policy=(("", "plex"),))
    store.enqueue(1)
    drain(worker)

    def lose_the_answer():
        raise Unavailable("Plex", "Plex at http://plex:32400 did not answer within 30 s.")

    model.has[1] = replace(model.has[1], title="Second")
    model.meanwhile = lose_the_answer  # after the write was applied
    store.enqueue(1)
    worker.step()
    assert model.items[101].title == "Second"
    model.has[1] = replace(model.has[1], title="Third")
    store.enqueue(1)
    clock.advance(120)
    drain(worker)
    assert model.items[101].title == "Third"
    model.items[101] = replace(model.items[101], title="By hand")
    store.enqueue(1)
    drain(worker)
    assert model.items[101].title == "By hand"


@pytest.mark.parametrize("answer", ["did not answer within 30 s.", "broke off the connection."])
@pytest.mark.parametrize("newer", [True, False], ids=["after a newer one", "before the scene is looked at"])
def test_a_write_nobody_saw_the_end_of_is_looked_for_once_it_has_landed(
    worker, store, model, clock, answer, newer
):
    before = model.items[101]
    late = []

    def not_yet():
        late.append(model.items[101])
        model.items[101] = before
        raise Unavailable("Plex", f"Plex at http://plex:32400 {answer}")

    model.meanwhile = not_yet
    store.enqueue(1, "update")
    drain(worker)
    if newer:
        model.has[1] = replace(model.has[1], title="Newer")
        store.enqueue(1, "update")
    clock.advance(40)
    drain(worker)
    assert model.items[101].title == model.has[1].title
    assert store.counts().waiting_later == 1, "one more look, when it has landed for certain"
    model.items[101] = late[0]
    clock.advance(40)
    assert not worker.step(), "not before three timeouts"
    clock.advance(20)
    drain(worker)
    assert model.items[101].title == model.has[1].title
    writes = len(model.writes)
    clock.advance(1000)
    drain(worker)
    assert store.counts().pending == 0 and len(model.writes) == writes, "and that was the end of it"


def test_a_look_for_later_keeps_no_newer_edit_waiting_and_survives_a_kill(worker, store, model, clock):
    before = model.items[101]

    def not_yet():
        model.items[101] = before
        raise Unavailable("Plex", "Plex at http://plex:32400 did not answer within 30 s.")

    model.meanwhile = not_yet
    store.enqueue(1, "update")
    drain(worker)
    clock.advance(10)
    drain(worker)
    assert store.counts().waiting_later == 1
    model.has[1] = replace(model.has[1], title="Newest")
    store.enqueue(1, "update", ["title"])
    assert store.counts().waiting_later == 0
    with Store(store.data_dir, clock) as other:  # a worker that knows of nothing but the file
        assert Worker(other, model, clock, random.Random(1)).step()
        assert model.items[101].title == "Newest"
        assert other.counts().waiting_later == 1, "the old one may still land"


def test_a_write_that_was_refused_is_not_looked_for(worker, store, model, clock):
    def refuse():
        raise Unavailable("Plex", "Plex at http://plex:32400 is not reachable.", landed=Landed.NO)

    model.meanwhile = refuse
    store.enqueue(1, "update")
    drain(worker)
    clock.advance(10)
    drain(worker)
    assert model.items[101].title == "Scene 1" and store.counts().pending == 0


@pytest.mark.parametrize("makes_of", [lambda r: r, lambda r: r - r % 10], ids=["kept", "rounded by Stash"])
def test_a_rating_given_in_plex_reaches_stash_once_and_the_hook_it_fires_finds_both_in_sync(
    worker, store, model, makes_of
):
    """By API key Stash does not guard against a hook that fires itself: it must come to rest by itself."""
    model.given = replace(SETTINGS, ratings_to_stash=True)
    model.makes_of, model.on_edit = makes_of, store.enqueue
    store.enqueue(1)
    drain(worker)
    model.items[101] = replace(model.items[101], user_rating=7.5, last_rated_at=99)
    store.enqueue(1)
    assert drain(worker) <= 3
    assert model.rated == [(1, 75)] and store.counts().pending == 0
    assert model.items[101].user_rating == makes_of(75) / 10
    (note,) = store.file.db.execute(
        "SELECT note FROM ack_queue_default WHERE note LIKE 'synced: told%'"
    ).fetchone()
    assert note == "synced: told Stash the rating"
    model.items[101] = replace(model.items[101], user_rating=5.0, last_rated_at=199)
    store.enqueue(1)
    drain(worker)
    assert model.rated == [(1, 75), (1, 50)]


def test_stash_away_when_it_is_to_be_told_is_told_later(worker, store, model, clock):
    model.given = replace(SETTINGS, ratings_to_stash=True)
    model.items[101] = replace(model.items[101], user_rating=7.5, last_rated_at=99)
    model.trouble["rate"] = Unavailable("Stash", "Stash at http://stash:9999 refuses connections.")
    store.enqueue(1)
    drain(worker)
    assert model.items[101].title == "Scene 1" and model.rated == []
    del model.trouble["rate"]
    clock.advance(120)
    drain(worker)
    assert model.rated == [(1, 75)] and len(model.writes) == 1


def test_plays_in_plex_are_told_to_stash_each_once_from_the_first_look_on(worker, store, model, clock):
    model.given = replace(SETTINGS, watched_to_stash=True)
    model.items[101] = replace(model.items[101], view_count=5, last_viewed_at=50)
    store.enqueue(1)
    drain(worker)
    assert model.played == []
    model.items[101] = replace(model.items[101], view_count=7, last_viewed_at=70)
    model.trouble["plays"] = Unavailable("Stash", "Stash at http://stash:9999 refuses connections.")
    store.enqueue(1)
    drain(worker)
    del model.trouble["plays"]
    clock.advance(120)
    drain(worker)
    store.enqueue(1)
    drain(worker)
    assert model.played == [(1, 2, 70)]
    model.items[101] = replace(model.items[101], view_count=0)  # marked as not watched
    store.enqueue(1)
    drain(worker)
    model.items[101] = replace(model.items[101], view_count=1, last_viewed_at=90)
    store.enqueue(1)
    drain(worker)
    assert model.played == [(1, 2, 70), (1, 1, 90)]
    model.given = SETTINGS
    model.items[101] = replace(model.items[101], view_count=9)
    store.enqueue(1)
    drain(worker)
    assert len(model.played) == 2


@pytest.mark.parametrize("lost", [False, True])
def test_our_own_mark_is_never_told_to_stash_as_a_play(worker, store, model, clock, lost):
    model.given = replace(SETTINGS, watched_to_stash=True, write_watched=True)
    store.enqueue(1)
    drain(worker)
    model.has[1] = replace(model.has[1], play_count=1)
    if lost:
        model.trouble["answer"] = Unavailable("Plex", "Plex at http://plex:32400 did not answer within 30 s.")
    store.enqueue(1, "update")
    drain(worker)
    model.trouble.clear()
    clock.advance(120)
    drain(worker)
    store.enqueue(1, "update")
    drain(worker)
    assert model.items[101].view_count == 1 and model.played == []
    model.items[101] = replace(model.items[101], view_count=2, last_viewed_at=200)  # watched in Plex
    store.enqueue(1, "update")
    drain(worker)
    assert model.played == [(1, 1, 200)]


def test_the_first_play_of_an_item_counts_though_the_setting_is_newer_than_its_sync(worker, store, model):
    """Nobody had played it when it was looked at last, so nothing but this can be known of it."""
    store.enqueue(1)
    drain(worker)
    model.given = replace(SETTINGS, watched_to_stash=True)
    model.items[101] = replace(model.items[101], view_count=1, last_viewed_at=70)
    store.enqueue(1, "update")
    drain(worker)
    assert model.played == [(1, 1, 70)]


def test_two_scenes_of_one_item_do_not_rate_each_other(worker, store, model, clock):
    model.given = replace(SETTINGS, ratings_to_stash=True)
    both = replace(model.items.pop(101), files=("/data/1.mp4", "/data/2.mp4"))
    del model.items[102]
    model.items[101] = both
    for number in (1, 2):
        model.has[number] = replace(model.has[number], rating100=40 + number)
        store.enqueue(number)
    drain(worker)
    model.items[101] = replace(model.items[101], last_rated_at=int(clock.now()))
    for _ in range(3):
        writes = len(model.writes)
        reconcile.returning(store, model, model.given)
        drain(worker)
        assert model.rated == [] and len(model.writes) == writes, "and do not take turns for ever"
    store.enqueue(1, "update")
    drain(worker)
    assert model.rated == [] and model.items[101].user_rating == 4.1
    model.items[101] = replace(model.items[101], user_rating=9.0, last_rated_at=int(clock.now()) + 1)
    reconcile.returning(store, model, model.given)
    drain(worker)
    assert sorted(model.rated) == [(1, 90), (2, 90)], "a person means both"


def test_the_scheduled_look_finds_what_was_rated_and_played_in_plex(worker, store, model, clock):
    model.given = replace(SETTINGS, reconcile_interval=1.0, ratings_to_stash=True, watched_to_stash=True)
    store.enqueue_many([1, 2, 3])
    drain(worker)
    model.remembered.put(1, [Entry(key, item.files) for key, item in model.items.items()])
    for key in (101, 102, 103):  # so that the sweep of scenes finds nothing to do
        model.items[key] = replace(model.items[key], last_rated_at=0)

    def somebody_rates():
        model.items[102] = replace(model.items[102], user_rating=4.0, last_rated_at=clock.now() + 1)
        model.items[103] = replace(model.items[103], view_count=1, last_viewed_at=int(clock.now()) + 1)

    end = clock.now() + 2.5 * 3600
    somebody_rates()
    worker.run(should_stop=lambda: clock.now() > end, linger_s=lambda: 60.0)
    assert model.rated == [(2, 40)] and [play[:2] for play in model.played] == [(3, 1)]
    firsts = [since for moment, since in model.since if moment == "lastRatedAt"]
    assert firsts[0] < 0 < firsts[1] < firsts[2], "all there ever was, then what is new"


def test_a_file_plex_does_not_have_is_scanned_for_once_and_its_job_woken_when_it_comes(
    worker, store, model, clock
):
    model.given = replace(SETTINGS, scan_plex=True)
    late = {key: model.items.pop(key) for key in (101, 102)}
    store.enqueue_many([1, 2, 3])
    began, came_after_s = clock.now(), 200.0
    arrived: list[float] = []

    def looking_on() -> bool:
        if clock.now() >= began + came_after_s:
            model.items.update({101: late[101]} if 101 not in model.items else {})
        if not arrived and model.items.get(101, late[102]).title == "Scene 1":
            arrived.append(clock.now() - began)
        return clock.now() > began + 1000

    worker.run(should_stop=looking_on, linger_s=lambda: 60.0)
    assert model.scans == [("/data/1.mp4", "/data/2.mp4")]
    assert came_after_s < arrived[0] < came_after_s * 1.6, "the waits grow by half"
    assert model.looks < 16 and model.reads <= 14
    assert [job.scene_id for job in store.waiting()] == [2]


def test_without_the_switch_nothing_is_scanned(worker, store, model):
    model.items.pop(101)
    store.enqueue(1)
    drain(worker)
    assert model.scans == []


def test_a_scan_that_fails_costs_the_job_nothing(worker, store, model):
    model.given = replace(SETTINGS, scan_plex=True)
    model.trouble["scan"] = Transient("Plex failed on this item (500).")
    model.items.pop(101)
    store.enqueue(1)
    drain(worker)
    (job,) = store.waiting()
    assert "/data/1.mp4" in job.last_error


def test_plex_going_away_while_a_file_is_awaited_is_an_outage_like_any(worker, store, model, clock):
    model.items.pop(101)
    store.enqueue(1)
    drain(worker)
    model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    end = clock.now() + 3600
    worker.run(should_stop=lambda: clock.now() > end, linger_s=lambda: 60.0)
    assert [outage["server"] for outage in store.state.outages()] == ["Plex"]
    assert store.counts().dead == 0


@pytest.fixture
def labelled(worker, store, model):
    """Tags of Stash are labels; the first item has one of somebody else's too."""
    model.given = replace(SETTINGS, tags_as_labels=True)
    model.has[1] = replace(model.has[1], tags=("Ours",))
    model.items[101] = replace(model.items[101], labels=("Theirs",))
    store.enqueue_many([1, 2])
    drain(worker)
    assert model.items[101].labels == ("Theirs", "Ours")
    return model


def test_a_scene_that_left_stash_takes_its_labels_with_it_and_nothing_else(worker, store, labelled):
    del labelled.has[1]
    store.enqueue(1, "destroy")
    drain(worker)
    assert labelled.items[101].labels == ("Theirs",) and labelled.items[101].title == "Scene 1"
    assert labelled.remembered.recall(1) is None
    (note,) = store.file.db.execute(
        "SELECT note FROM ack_queue_default WHERE key = 'scene:1' ORDER BY _id DESC LIMIT 1"
    ).fetchone()
    assert note == "gone: no longer in Stash; took ours from labels"
    writes, reads = len(labelled.writes), labelled.reads
    store.enqueue(1, "destroy")
    del labelled.has[2]
    store.enqueue(2, "destroy")  # had no labels
    drain(worker)
    assert (len(labelled.writes), labelled.reads) == (writes, reads), "nothing to clean, nothing asked"


def test_an_item_that_has_another_file_by_now_is_not_cleaned(worker, store, labelled):
    del labelled.has[1]
    labelled.items[101] = replace(labelled.items[101], files=("/data/another.mp4",))
    store.enqueue(1, "destroy")
    drain(worker)
    assert labelled.items[101].labels == ("Theirs", "Ours") and labelled.remembered.recall(1) is None


def test_cleaning_waits_for_a_plex_that_is_away(worker, store, labelled, clock):
    del labelled.has[1]
    labelled.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    store.enqueue(1, "destroy")
    drain(worker)
    del labelled.trouble["Plex"]
    clock.advance(120)
    drain(worker)
    assert labelled.items[101].labels == ("Theirs",)


@pytest.mark.parametrize("together", [False, True], ids=["one stays", "both go"])
def test_of_an_item_two_scenes_had_the_last_one_cleans(worker, store, labelled, together):
    """As after a merge: the file is another scene's now."""
    labelled.has[3] = replace(labelled.has[3], tags=("Ours", "More"), files=labelled.has[1].files)
    store.enqueue(3)
    drain(worker)
    assert labelled.items[101].labels == ("Theirs", "Ours", "More")
    del labelled.has[1]
    if together:
        del labelled.has[3]
    else:
        labelled.has[3] = replace(labelled.has[3], tags=("More",))
    store.enqueue_many([1, 3] if together else [1])
    drain(worker)
    assert labelled.items[101].labels == (("Theirs",) if together else ("Theirs", "More"))


def test_two_scenes_whose_files_are_versions_of_one_item_are_told_of_each_other(worker, store, model):
    """The one that is edited last has the item, and neither is written again and again."""
    model.items[101] = replace(model.items[101], files=("/data/1.mp4", "/data/2.mp4"))
    del model.items[102]
    for number in (1, 2):
        store.enqueue(number)
        drain(worker)
    notes = [note for (note,) in store.file.db.execute("SELECT note FROM ack_queue_default ORDER BY _id")]
    assert notes[0].startswith("synced: wrote title") and "scene" not in notes[0]
    assert notes[1].endswith("; the item is that of scene 1 too")
    assert model.items[101].title == "Scene 2" and len(model.writes) == 2
    model.freshen()  # the index knows the files
    for number in (1, 2):
        store.enqueue(number, "sync")
    drain(worker)
    assert len(model.writes) == 2
    # A version that has left the item has left the scene's company.
    model.items[101] = replace(model.items[101], files=("/data/2.mp4",))
    store.enqueue(2)
    drain(worker)
    (note,) = store.file.db.execute("SELECT note FROM ack_queue_default ORDER BY _id DESC LIMIT 1").fetchone()
    assert note == "in_sync: nothing to write"


def test_with_exact_paths_no_other_path_will_do(worker, store, model):
    model.given = replace(SETTINGS, exact_paths=True)
    model.has[1] = replace(model.has[1], files=(SceneFile("/mnt/nas/films/1.mp4", size=777),))
    model.items[101] = replace(model.items[101], files=("/media/films/1.mp4",), sizes=(777,))
    store.enqueue_many([1, 2])
    drain(worker)
    assert model.items[101].title == "1" and model.items[102].title == "Scene 2"
    assert [job.scene_id for job in store.waiting()] == [1]


def test_another_address_is_tried_at_once_although_the_breaker_is_open(worker, store, model, clock):
    model.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    store.enqueue(1)
    for _ in range(40):
        drain(worker)
        clock.advance(5)
    del model.trouble["Plex"]
    model.given = replace(SETTINGS, plex_url="http://elsewhere:32400")
    drain(worker)
    assert model.items[101].title == "Scene 1"
