"""One outcome, recorded: what is to be remembered of the scene and the job's next state, in one transaction."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from plexsync.core.failures import Landed, Unavailable
from plexsync.core.item import Item
from plexsync.core.job import Job, Status
from plexsync.core.plan import Edits
from plexsync.core.verdict import Failed, Gone, NotFound, Synced
from plexsync.queue.store import Store
from plexsync.servers.sync_state import SyncState
from plexsync.sync.plan_batch import ScenePlan
from plexsync.sync.record import Books, drop_pending_writes, note_pending_writes, record
from scenarios.clock import ManualClock
from tests.doubles import SETTINGS, Model

ITEM = Item(11, 1, files=("/data/1.mp4",))
PLAN = ScenePlan(
    1,
    item=ITEM,
    edits=Edits({"title.value": "New"}, ("title",), written={"title": "New"}, pending={"title": "New"}),
    fingerprint="print",
    files=("/data/1.mp4",),
)
BROKEN = Unavailable("Plex", "Plex at http://plex:32400 broke off the connection.")


@pytest.fixture
def books(tmp_path: Path) -> Books:
    clock = ManualClock()
    store = Store(tmp_path, clock=clock)
    world = Model(remembered=SyncState(store.file, SETTINGS.plex_url))
    return Books(store, world, SETTINGS, clock, random.Random(1))


def claimed(books: Books, scene_id: int = 1) -> Job:
    books.store.enqueue(scene_id)
    job = books.store.claim()
    assert job is not None
    return job


def pending(books: Books) -> list[object]:
    return list(books.sync_state.pending_writes(1, 11))


def status(books: Books, job: Job) -> Status:
    rows = {row["id"]: Status(row["status"]) for row in books.store.all_rows()}
    return rows[job.id]


def test_what_was_written_is_remembered_and_the_job_is_finished(books: Books) -> None:
    job = claimed(books)
    note_pending_writes([PLAN], books.sync_state)
    assert pending(books) == [{"title": "New"}]
    record(job, Synced(("title",)), PLAN, books)
    known = books.sync_state.recall(1)
    assert known is not None and (known.written, known.rating_key) == ({"title": "New"}, 11)
    assert pending(books) == [] and status(books, job) is Status.DONE


@pytest.mark.parametrize(
    ("error", "plan", "left", "may_land"),
    [
        (BROKEN.with_landed(Landed.NO), PLAN, [], False),
        (BROKEN, PLAN, [{"title": "New"}], True),
        # Plex took the fields; what failed then, even for certain, was something beside them.
        (BROKEN.with_landed(Landed.NO), replace(PLAN, landed=True), [{"title": "New"}], False),
    ],
    ids=["not sent", "perhaps landed", "landed, and something else failed"],
)
def test_what_is_known_of_a_write_that_failed(
    books: Books, error: Unavailable, plan: ScenePlan, left: list[object], may_land: bool
) -> None:
    job = claimed(books)
    note_pending_writes([plan], books.sync_state)
    record(job, Failed(error), plan, books)
    assert pending(books) == left
    assert (books.sync_state.unsettled([1]) == {1}) is may_land
    assert status(books, job) is Status.WAITING and books.sync_state.recall(1) is None


def test_a_write_whose_end_was_not_seen_is_looked_for_later(books: Books) -> None:
    note_pending_writes(
        [replace(PLAN, edits=replace(PLAN.edits, pending={"title": "Old"}))], books.sync_state
    )
    job = claimed(books)
    note_pending_writes([PLAN], books.sync_state)
    record(job, Synced(("title",)), PLAN, books)
    (again,) = books.store.waiting()
    assert (again.scene_id, again.due_at > books.clock.now()) == (1, True)


def test_a_lease_that_was_lost_after_writing_is_compared_once_more(books: Books) -> None:
    job = claimed(books)
    record(replace(job, token="another's"), Synced(("title",)), PLAN, books)
    assert [waiting.scene_id for waiting in books.store.waiting()] == [1]


def test_a_file_plex_does_not_have_is_awaited(books: Books) -> None:
    job = claimed(books)
    record(job, NotFound(("/data/1.mp4",)), None, books)
    assert books.sync_state.expects() and status(books, job) is Status.WAITING


def test_a_scene_that_left_stash_is_forgotten_and_those_that_share_its_item_are_queued(books: Books) -> None:
    job = claimed(books)
    books.sync_state.record(1, 11, "print", {"labels": ["Ours"]})
    books.sync_state.record(2, 11, "print", {})
    record(job, Gone(sharing=(2,)), None, books)
    assert books.sync_state.recall(1) is None
    other = books.sync_state.recall(2)
    assert other is not None and list(other.written["labels"]) == ["Ours"]
    assert [waiting.scene_id for waiting in books.store.waiting()] == [2]


def test_what_was_not_written_for_certain_is_no_pending_write(books: Books) -> None:
    note_pending_writes([PLAN], books.sync_state)
    drop_pending_writes(PLAN, books.sync_state)
    assert pending(books) == []
