"""The table of moves in core/job.py, and the SQL of the store held to it: each state, each action."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from plexsync.core.job import MOVES, Job, StaleLease, Status
from plexsync.queue import layout
from plexsync.queue.store import Store
from scenarios.clock import ManualClock

UNTIL = 50_000.0
SCENE = 12


def claimed(store: Store) -> Job:
    job = store.claim()
    assert job is not None
    return job


def lead_to(store: Store, status: Status) -> Job:
    """One row in that state, as a worker that had claimed it would still name it."""
    store.enqueue(SCENE)
    if status is Status.FRESH:
        return Job(1, SCENE, "sync", token="a lease it never had")
    job = claimed(store)
    if status is Status.WAITING:
        store.requeue(job)
    elif status is Status.DONE:
        store.finish(job, "synced")
    elif status is Status.FAILED:
        store.dead_letter(job, "Permanent", "no")
    return job


def supersede(store: Store, job: Job) -> None:
    """A newer edit waits when the worker gives the job back."""
    if store.holds(job):
        store.enqueue(SCENE)
    store.requeue(job)


ACTIONS: dict[str, Callable[[Store, Job], object]] = {
    "claim": lambda store, job: store.claim_row(row_id=job.id),
    "coalesce": lambda store, job: store.enqueue(SCENE) == (job.id, 2) or None,
    "heartbeat": lambda store, job: store.heartbeat(job) is None,
    "finish": lambda store, job: store.finish(job) is None,
    "postpone": lambda store, job: store.postpone(job, UNTIL, "later", uses_attempt=True) is None,
    "requeue": lambda store, job: store.requeue(job) is None,
    "dead_letter": lambda store, job: store.dead_letter(job, "Permanent", "no"),
    "supersede": lambda store, job: supersede(store, job) is None,
    "replay": lambda store, job: store.letters.replay() or None,
}


def status_of(store: Store, row_id: int) -> Status:
    with closing(sqlite3.connect(store.path)) as db:
        return Status(db.execute(f"SELECT status FROM {layout.TABLE} WHERE _id = ?", (row_id,)).fetchone()[0])


def test_every_action_of_the_table_is_tried() -> None:
    assert set(ACTIONS) == {action for _, action in MOVES}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_the_store_moves_a_row_as_the_table_says_and_no_other(
    tmp_path: Path, status: Status, action: str
) -> None:
    with Store(tmp_path, clock=ManualClock()) as store:
        job = lead_to(store, status)
        assert status_of(store, job.id) is status
        try:
            moved = ACTIONS[action](store, job) is not None
        except StaleLease:
            moved = False
        assert moved == ((status, action) in MOVES)
        assert status_of(store, job.id) is MOVES.get((status, action), status)
        with closing(sqlite3.connect(store.path)) as db:
            leased = db.execute(
                f"SELECT owner, token, lease_boot, lease_until FROM {layout.TABLE} WHERE _id = ?", (job.id,)
            ).fetchone()
        in_progress = status_of(store, job.id) is Status.IN_PROGRESS
        assert all((value is not None) == in_progress for value in leased), (
            "a lease exactly while in progress"
        )


def test_a_file_of_an_older_version_learns_which_server_a_job_waits_for(tmp_path: Path) -> None:
    with Store(tmp_path, clock=ManualClock()) as store:
        store.enqueue(SCENE)
        store.upkeep.tidy()
        found = store.file.db.execute("SELECT name FROM sqlite_master WHERE name = 'waits_for'").fetchall()
        assert found == [], "as 0.1 made the file"
    clock = ManualClock()
    with Store(tmp_path, clock=clock) as store:
        store.postpone(claimed(store), clock.now() + 500, "no answer", uses_attempt=False, waits_for="Plex")
        assert store.troubles == []
        assert (store.upkeep.release_due("Stash"), store.upkeep.release_due("Plex")) == (0, 1)
        store.finish(claimed(store))
        store.upkeep.tidy()
        assert store.file.db.execute("SELECT count(*) FROM waits_for").fetchone() == (0,)
