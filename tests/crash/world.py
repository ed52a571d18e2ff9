"""What is done while things break, and what must be true afterwards. Shared by every way of breaking them.

An operation says, piece by piece, what it was answered for: ``put 5`` once scene 5's edit was acknowledged, ``doing 5``
before its job is closed and ``done 5`` afterwards. ``holds`` opens what is left as the next start would, and asks: is
everything acknowledged still there, in one place, once; is what is there sound; does the next start make progress?
"""

from __future__ import annotations

import gc
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import persistqueue

from plexsync import hook
from plexsync.clock import SystemClock
from plexsync.queue import database, events, layout, spool
from plexsync.queue.store import Store

SOON = 1e9  # a due time far away


def edit(scene_id: int) -> dict[str, object]:
    return events.new_event(scene_id, "update", ["title"])


# ---- before ----


def nothing(folder: str) -> None:
    """A folder in which nothing ever was."""


def some_jobs(folder: str) -> None:
    """Three that wait, one postponed, one held by somebody dead, one finished, one dead letter, two spooled."""
    with Store(folder) as store:
        for scene_id in (101, 102, 103, 104, 105, 106, 107):
            store.enqueue(scene_id, "update", ["title"])
        jobs = {}
        while (job := store.claim()) is not None:
            jobs[job.scene_id] = job
        store.finish(jobs[105], "before")
        store.dead_letter(jobs[106], "Ambiguous", "two items")
        store.postpone(jobs[104], SystemClock().now() + SOON, "later", uses_attempt=True)
        for scene_id in (101, 102, 103):
            store.requeue(jobs[scene_id])
    for scene_id in (108, 109):
        spool.write(folder, edit(scene_id))
    gc.collect()


BEFORE = frozenset({101, 102, 103, 104, 106, 107, 108, 109})  # what must not get lost of it


def original_plan(folder: str) -> None:
    """A plain persist-queue with rows of every status, pickled."""
    queue = persistqueue.SQLiteAckQueue(os.path.join(folder, "queue"), auto_resume=False)
    for scene_id in (101, 102, 103, 104, 106):
        queue.put({"scene_id": scene_id, "update_type": "metadata", "data": {}, "enqueued_at": 5.0})
    queue.put({"scene_id": 105, "update_type": "metadata", "data": {}})
    for _ in range(4):
        queue.get()
    queue.ack_failed(queue.get())  # 106
    queue.ack(queue.get())  # 105
    queue.close()
    gc.collect()


def damaged(folder: str) -> None:
    """Some jobs in a file that lacks a table."""
    some_jobs(folder)
    with closing(sqlite3.connect(database.queue_file(folder))) as db:
        db.execute("DROP TABLE breakers")


# ---- meanwhile ----


def hooks(folder, say):
    for scene_id in (1, 2, 1, 3):
        hook.keep(folder, edit(scene_id))
        say(f"put {scene_id}")


def spooling(folder, say):
    for scene_id in (1, 2):
        spool.write(folder, edit(scene_id))
        say(f"put {scene_id}")


def hooks_before_a_locked_file(folder, say):
    """The hook's way from the file to the spool."""
    other = sqlite3.connect(database.queue_file(folder), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    hook.keep(folder, edit(1))
    say("put 1")
    other.close()


def opening(folder, say):
    with Store(folder) as store:
        store.counts()
        say("open")


def putting(folder, say):
    store = Store(folder)
    store.enqueue(1)
    say("put 1")
    store.enqueue_many([2, 3])
    say("put 2")
    say("put 3")
    store.enqueue_payload({"scene_id": 4, "data": {"a": 1}})
    say("put 4")
    store.close()


def working(folder, say):
    store = Store(folder)
    store.enqueue(1)
    say("put 1")
    done = 0
    while done < 2 and (job := store.claim()) is not None:
        store.heartbeat(job)
        say(f"doing {job.scene_id}")
        store.finish(job, "synced")
        say(f"done {job.scene_id}")
        done += 1
    store.close()


def trying_again(folder, say):
    store = Store(folder)
    job = store.claim()
    store.postpone(job, SystemClock().now() + SOON, "again", uses_attempt=True)
    job = store.claim()
    store.requeue(job)
    for job in store.claim_many(3):
        store.postpone(job, 0.0, "again", uses_attempt=False)
    store.upkeep.release_due()
    store.close()


def giving_up(folder, say):
    store = Store(folder)
    for _ in range(2):
        store.dead_letter(store.claim(), "Permanent", "no", "Traceback")
    store.letters.replay()
    store.dead_letter(store.claim(), "Permanent", "no", "Traceback")
    store.letters.replay([3])
    store.letters.add({"scene_id": 9}, "Outside", "no")
    say("put 9")
    store.close()


def superseding(folder, say):
    """Each way back of a job whose scene was edited meanwhile."""
    store = Store(folder)
    for act in ("postpone", "requeue", "dead_letter"):
        job = store.claim()
        store.enqueue(job.scene_id)
        say(f"put {job.scene_id}")
        if act == "postpone":
            store.postpone(job, 0.0, "again", uses_attempt=True)
        elif act == "requeue":
            store.requeue(job)
        else:
            store.dead_letter(job, "Permanent", "no")
    store.close()


def merging(folder, say):
    store = Store(folder)
    store.spool.merge()
    store.spool.merge()
    store.close()


def recovering(folder, say):
    """What a dead process held comes back."""
    with closing(sqlite3.connect(database.queue_file(folder), isolation_level=None)) as db:
        db.execute(
            f"UPDATE {layout.TABLE} SET status = 2, owner = 'dead', token = 't', lease_boot = 'x' WHERE _id = 1"
        )
        db.execute(
            f"UPDATE {layout.TABLE} SET status = 2, owner = 'dead', token = 't', deaths = 2 WHERE _id = 2"
        )
    store = Store(folder)
    store.upkeep.recover()
    store.enqueue(101)
    say("put 101")
    store.upkeep.recover()
    store.close()


def batching(folder, say):
    store = Store(folder)
    store.enqueue_payload({"scene_id": 1, "parallel": False})
    say("put 1")
    for job, _ in store.claim_batch(10):
        say(f"doing {job.scene_id}")
        store.finish(job)
        say(f"done {job.scene_id}")
    store.claim_batch(10)
    store.close()


def housekeeping(folder, say):
    store = Store(folder)
    store.state.save_breaker("Plex", {"state": "open"})
    store.state.open_outage("Plex", "refused")
    store.state.close_outage("Plex")
    store.state.save("attention", "x")
    store.upkeep.prune(0)
    store.upkeep.tidy()
    store.close()


# name -> (before, meanwhile, what was there before and must not get lost)
WORK = {
    "first hooks": (nothing, hooks, frozenset()),
    "hooks": (some_jobs, hooks, BEFORE),
    "first spooling": (nothing, spooling, frozenset()),
    "spooling": (some_jobs, spooling, BEFORE),
    "hooks before a locked file": (some_jobs, hooks_before_a_locked_file, BEFORE),
    "first opening": (nothing, opening, frozenset()),
    "opening": (some_jobs, opening, BEFORE),
    "putting": (some_jobs, putting, BEFORE),
    "working": (some_jobs, working, BEFORE),
    "trying again": (some_jobs, trying_again, BEFORE),
    "giving up": (some_jobs, giving_up, BEFORE),
    "superseding": (some_jobs, superseding, BEFORE),
    "merging": (some_jobs, merging, BEFORE),
    "recovering": (some_jobs, recovering, BEFORE),
    "batching": (some_jobs, batching, BEFORE),
    "housekeeping": (some_jobs, housekeeping, BEFORE),
    "migrating": (original_plan, opening, frozenset({101, 102, 103, 104, 106})),
    "mending": (damaged, opening, BEFORE),
}


WITHOUT_SQL = ("first spooling", "spooling")


# ---- afterwards ----


def owed(said, before):
    """The scenes whose edit was acknowledged and whose job nobody began to close: one that is just being closed may be
    so already."""
    left = set(before)
    for line in said:
        word, _, number = line.partition(" ")
        if word == "put":
            left.add(int(number))
        elif word == "doing":
            left.discard(int(number))
    return left


def holds(folder: str, said: tuple[str, ...], before=frozenset()) -> None:
    """Everything that must be true of what is left. Raises AssertionError."""
    path = database.queue_file(folder)
    with Store(folder) as store:
        assert store.file.db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged"
        assert store.file.db.execute("PRAGMA synchronous").fetchone() == (2,), "not durable"
        spooled = [spool.read(Path(folder, "spool", name).read_bytes()) for name in store.spool.files()]
        assert None not in spooled, "a half-written file bears a final name"
        open_rows, letters = places(store)
        _nothing_twice(open_rows, letters)
        found = {scene for scene, _ in open_rows} | {scene for scene, _ in letters if scene}
        found |= {event["scene_id"] for event in spooled}
        lost = owed(said, before) - found
        assert not lost, f"acknowledged and gone: {sorted(lost)}"
        (kept,) = store.file.db.execute("SELECT value FROM tally WHERE name = 'kept'").fetchone()
        (done,) = store.file.db.execute(f"SELECT count(*) FROM {layout.TABLE} WHERE status = 5").fetchone()
        assert kept == done, "the count of finished rows is wrong"
    _progress(folder, found)
    assert os.path.exists(path)


def places(store):
    """(scene, status) of open rows and (scene, job) of open letters."""
    rows = store.file.db.execute(
        f"SELECT CAST(substr(key, 7) AS INTEGER), status FROM {layout.TABLE} WHERE status IN (0, 1, 2, 9)"
    ).fetchall()
    letters = store.file.db.execute(
        "SELECT scene_id, job_id FROM dead_letters WHERE replayed_at IS NULL"
    ).fetchall()
    return rows, letters


def _nothing_twice(rows, letters):
    waiting = Counter(scene for scene, status in rows if status < 2)
    assert all(number == 1 for number in waiting.values()), f"a scene waits twice: {waiting}"
    failed = sum(status == 9 for _, status in rows)
    with_row = sum(job is not None for _, job in letters)
    assert failed == with_row, f"{failed} failed rows, {with_row} letters of theirs"
    both = {scene for scene, status in rows if status == 2} & {
        scene for scene, job in letters if job is not None
    }
    assert not both, f"in progress and dead: {both}"
    number = Counter(letters)
    assert all(count == 1 for (_, job), count in number.items() if job is not None), "a letter is there twice"


def _progress(folder, found):
    """The next worker drains all of it, and then it is empty."""
    with Store(folder) as store:
        store.spool.merge()
        store.upkeep.recover()
        store.upkeep.release_due()
        store.letters.replay()
        done = set()
        while (job := store.claim()) is not None:
            assert job.scene_id not in done, f"scene {job.scene_id} twice"
            done.add(job.scene_id)
            store.finish(job)
        counts = store.counts()
        assert (counts.pending, counts.in_progress) == (0, 0), counts
        assert done == found, f"drained {sorted(done)}, there were {sorted(found)}"
        store.enqueue(7)
        assert store.claim().scene_id == 7
