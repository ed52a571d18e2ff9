"""The queue by the names of the original plan."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import persistqueue
import pytest

from plexsync import hook
from plexsync.context import CI_MARKS
from plexsync.core.job import StaleLease
from plexsync.queue import database, events, layout
from plexsync.queue.store import Store
from plexsync.sync_queue import (
    DeadLetterQueue,
    JobQueue,
    JobStatus,
    QueueManager,
    QueueStats,
    ack_job,
    enqueue,
    fail_job,
    get_pending,
    get_stats,
    nack_job,
    update_status,
)


@pytest.fixture(params=[str, lambda path: path], ids=["str", "Path"])
def folder(request, tmp_path):
    return request.param(tmp_path / "data")


@pytest.fixture
def manager(folder):
    manager = QueueManager(folder)
    yield manager
    manager.shutdown()


@pytest.fixture
def queue(manager):
    return manager.get_queue()


def stats(folder):
    found = get_stats(folder)
    return (found["pending"], found["in_progress"], found["completed"], found["failed"])


def test_in_and_out(folder, queue):
    job = enqueue(queue, 12, "metadata", {"title": "New"})
    assert (job["scene_id"], job["update_type"], job["job_key"]) == (12, "metadata", "scene_12")
    assert stats(folder) == (1, 0, 0, 0)
    taken = get_pending(queue)
    assert {name: taken[name] for name in job} == dict(job)
    assert taken["pqid"] == 1
    assert stats(folder) == (0, 1, 0, 0)
    ack_job(queue, taken)
    assert stats(folder) == (0, 0, 1, 0)
    assert get_pending(queue) is None


@pytest.mark.parametrize("odd", [0, -1, "12", None, 1.0, True])
def test_a_scene_id_is_a_positive_integer(queue, odd):
    with pytest.raises(ValueError, match="scene_id"):
        enqueue(queue, odd, "metadata", {})
    with pytest.raises(TypeError):
        enqueue(queue, 1, "metadata", {"a": object()})


def test_a_second_job_for_a_scene_joins_the_first(folder, queue):
    enqueue(queue, 1, "metadata", {"title": "a"})
    enqueue(queue, 1, "metadata", {"title": "b"})
    assert stats(folder) == (1, 0, 0, 0)
    assert get_pending(queue)["data"] == {"title": "b"}


def test_given_back_and_failed(folder, queue):
    enqueue(queue, 1, "metadata", {})
    nack_job(queue, get_pending(queue))
    assert stats(folder) == (1, 0, 0, 0)
    fail_job(queue, get_pending(queue))
    assert stats(folder) == (0, 0, 0, 1)
    letters = DeadLetterQueue(folder)
    assert letters.get_count() == 1
    letters.close()


@pytest.mark.parametrize(
    ("status", "found"), [(5, (0, 0, 1, 0)), (9, (0, 0, 0, 1)), (0, (1, 0, 0, 0)), ("1", (1, 0, 0, 0))]
)
def test_status_by_number(folder, queue, status, found):
    enqueue(queue, 1, "metadata", {})
    update_status(queue, get_pending(queue), status)
    assert stats(folder) == found


def test_a_status_that_cannot_be_asked_for(queue):
    enqueue(queue, 1, "metadata", {})
    job = get_pending(queue)
    for status in (2, 7):
        with pytest.raises(ValueError, match="status"):
            update_status(queue, job, status)


def test_waiting_for_a_job_takes_no_longer_than_asked(folder, queue):
    began = time.monotonic()
    assert get_pending(queue, timeout=0.2) is None
    assert 0.2 <= time.monotonic() - began < 5


def test_another_process_row_is_seen_at_once(folder, queue):
    hook.keep(str(folder), events.new_event(5, "update", ["title"]))
    assert get_pending(queue)["scene_id"] == 5


def test_resuming_takes_from_the_dead_and_not_from_the_living(folder, queue):
    enqueue(queue, 1, "metadata", {})
    taken = get_pending(queue)
    other = QueueManager(folder)
    assert get_pending(other.get_queue()) is None
    ack_job(queue, taken)
    enqueue(queue, 2, "metadata", {})
    assert get_pending(other.get_queue())["scene_id"] == 2
    other.shutdown()
    third = QueueManager(folder)
    assert get_pending(third.get_queue())["scene_id"] == 2
    third.shutdown()


def test_without_resume_nothing_moves(folder):
    first = QueueManager(folder)
    enqueue(first.get_queue(), 1, "metadata", {})
    get_pending(first.get_queue())
    first.shutdown()
    second = QueueManager(folder, auto_resume=False)
    assert get_pending(second.get_queue()) is None
    second.shutdown()


# ---- counting without opening ----


def test_no_file_is_all_zero_and_makes_none(tmp_path):
    assert stats(tmp_path) == (0, 0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_file_its_folder_and_the_data_folder(tmp_path):
    with Store(tmp_path) as store:
        store.enqueue(1)
    for path in (tmp_path, tmp_path / "queue", tmp_path / "queue" / "data.db"):
        assert stats(path) == (1, 0, 0, 0)
        assert stats(str(path)) == (1, 0, 0, 0)


def test_a_plain_persist_queue_is_counted_too(tmp_path):
    plain = persistqueue.SQLiteAckQueue(str(tmp_path))
    for number in range(5):
        plain.put(number)
    plain.get()
    plain.ack(plain.get())
    plain.ack_failed(plain.get())
    assert stats(tmp_path) == (2, 1, 1, 1)


def test_counting_does_not_read_the_history(tmp_path):
    with Store(tmp_path) as store, store.transaction() as db:
        db.executemany(
            f"INSERT INTO {layout.TABLE} (data, timestamp, status, key, finished_at) VALUES ('{{}}', 1, 5, ?, ?)",
            ((f"scene:{n}", n) for n in range(200_000)),
        )
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert stats(tmp_path) == (0, 0, 200_000, 0)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.02  # a scan takes ten times as long


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to be another user")
@pytest.mark.parametrize("log", ["with its log", "without"])
def test_who_may_only_read_can_count(for_everyone, log):
    with Store(for_everyone) as store:
        store.enqueue(1)
        store.finish(store.claim())
        store.enqueue_many([2, 3])
        if log == "without":
            store.close()
        folder = for_everyone / "queue"
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        for_everyone.chmod(0o555)
        try:
            assert as_nobody(lambda: get_stats(for_everyone)) == {
                "pending": 2,
                "in_progress": 0,
                "completed": 1,
                "failed": 0,
            }
        finally:
            for_everyone.chmod(0o755)
            folder.chmod(0o755)


@pytest.fixture
def for_everyone():
    """A data folder every user can reach, under a name that an address must not take apart."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    folder = base / "100% sure? #1"
    folder.mkdir()
    yield folder
    shutil.rmtree(base)


def as_nobody(act):
    """What ``act`` gives a user without rights, if we may become one."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os.write(write, json.dumps(act()).encode())
        except BaseException as error:  # noqa: BLE001 - a child may not return into the test
            os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "data.db").write_bytes(b"x" * 5000)
    with pytest.raises(sqlite3.Error):
        get_stats(tmp_path)


# ---- dead letters ----


def test_dead_letters(folder):
    letters = DeadLetterQueue(folder)
    try:
        raise ValueError("no such item")
    except ValueError as error:
        letter_id = letters.add({"scene_id": 7, "data": {}, "pqid": 3}, error, 5)
    letters.add({"scene_id": 8}, "just text", 1)
    letters.add({"scene_id": 9}, ValueError("again"), 1)
    assert letters.get_count() == 3
    assert letters.get_error_summary() == {"ValueError": 2, "Error": 1}
    found = letters.get_by_id(letter_id)
    assert (found["scene_id"], found["error_type"], found["error_message"], found["retry_count"]) == (
        7,
        "ValueError",
        "no such item",
        5,
    )
    assert "Traceback" in found["stack_trace"]
    assert "pqid" not in found["job_data"]
    assert [letter["scene_id"] for letter in letters.get_recent(2)] == [9, 8]
    assert letters.get_by_id(99) is None
    assert letters.delete_older_than(30) == 0
    with closing(sqlite3.connect(database.queue_file(str(folder)))) as db:
        db.execute("UPDATE dead_letters SET failed_at = failed_at - 31 * 86400 WHERE scene_id = 7")
        db.commit()
    assert letters.delete_older_than(30) == 1
    assert letters.delete_older_than() == 0
    letters.close()


# ---- batches ----


@pytest.fixture
def jobs(folder):
    jobs = JobQueue(folder, capacity=10)
    yield jobs
    jobs.close()


def test_a_batch(jobs):
    for scene_id in (1, 2, 3):
        jobs.put(scene_id, data={"n": scene_id})
    taken = jobs.get_batch()
    assert [(job.scene_id, job.data, job.parallel, job.status) for job in taken] == [
        (n, {"n": n}, True, JobStatus.PROCESSING) for n in (1, 2, 3)
    ]
    jobs.complete(taken[0])
    jobs.retry(taken[1])
    assert taken[1].status is JobStatus.FAILED
    letter = jobs.move_to_dead_letter(taken[2], ValueError("x"))
    assert taken[2].status is JobStatus.DEAD
    with pytest.raises(StaleLease):
        jobs.complete(taken[0])
    (dead,) = jobs.get_dead_letter_jobs()
    assert (dead.id, dead.scene_id, dead.error_type, dead.data) == (letter, 3, "ValueError", {"n": 3})
    assert jobs.retry_dead_letter(letter)
    assert not jobs.retry_dead_letter(letter)
    assert sorted(job.scene_id for job in jobs.get_batch()) == [2, 3]


def test_a_sequential_job_is_a_barrier(jobs):
    jobs.put(1)
    jobs.put(2, parallel=False)
    jobs.put(3)
    first = jobs.get_batch()
    assert [job.scene_id for job in first] == [1]
    assert jobs.get_batch() == []
    jobs.complete(first[0])
    (alone,) = jobs.get_batch()
    assert (alone.scene_id, alone.parallel) == (2, False)
    assert jobs.get_batch() == []
    jobs.complete(alone)
    assert [job.scene_id for job in jobs.get_batch()] == [3]


def test_the_capacity_warns_and_never_refuses(jobs):
    for scene_id in range(1, 15):
        jobs.put(scene_id)
    assert ["80 %" in text or "100 %" in text for text in jobs.warnings] == [True, True]
    assert jobs.stats() == QueueStats(14, 0, 0, 0, 10)
    assert jobs.stats().capacity_pct == 140.0
    for job in jobs.get_batch():
        jobs.complete(job)
    jobs.put(99)
    for scene_id in range(1, 9):
        jobs.put(scene_id)
    assert len(jobs.warnings) == 3


@pytest.mark.parametrize("silent", [True, False])
def test_where_nobody_watches_the_capacity_warns_in_the_log_alone(folder, caplog, silent):
    caplog.set_level("INFO")
    with closing(JobQueue(folder, capacity=1, silent=silent)) as jobs:
        jobs.put(1)
    (record,) = [record for record in caplog.records if "capacity" in record.message]
    assert record.levelname == ("INFO" if silent else "WARNING")
    assert jobs.warnings == [record.message]


def test_silence_is_chosen_by_where_it_runs(folder, monkeypatch):
    for mark in ("STASH_PLUGIN_DATA", "MINE_1"):
        monkeypatch.delenv("STASH_PLUGIN_DATA", raising=False)
        monkeypatch.setattr("sys.stdin", Terminal())
        for name in CI_MARKS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PLEXSYNC_QUIET_PREFIXES", "MINE_")
        with closing(JobQueue(folder)) as jobs:
            assert not jobs.silent
        monkeypatch.setenv(mark, "x")
        with closing(JobQueue(folder)) as jobs:
            assert jobs.silent


class Terminal:
    def isatty(self):
        return True


def test_a_capacity_of_nothing(folder):
    with pytest.raises(ValueError, match="capacity"):
        JobQueue(folder, capacity=0)
    assert JobQueue(folder).capacity == 10_000


def test_bad_scene_ids(jobs):
    with pytest.raises(ValueError, match="scene_id"):
        jobs.put(0)
