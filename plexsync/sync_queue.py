"""The queue by the names of the original plan, thin over ``store``.

    queue = QueueManager(folder).get_queue()
    enqueue(queue, 12, "metadata", {"title": "New"})
    job = get_pending(queue)             # {"scene_id": 12, ..., "pqid": 1} or None
    ack_job(queue, job)                  # or nack_job (again, later), or fail_job (a dead letter)

and for batches

    jobs = JobQueue(folder)
    jobs.put(12), jobs.put(13, parallel=False)
    for job in jobs.get_batch(): ...     # parallel jobs together; a sequential one alone, after all before it

All of it is one file that hooks, worker and any number of these objects share. Two things differ from the plan, both
because the plan would have lost edits: a second job for a scene that still waits joins the first (the newest data
wins), and a job someone else has claimed meanwhile cannot be acknowledged by a latecomer.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypedDict

from persistqueue.exceptions import Empty
from persistqueue.sqlackqueue import AckStatus

from plexsync import context
from plexsync.core.job import DeadLetter, Job, StaleLease, Status
from plexsync.queue import database, layout
from plexsync.queue.compat import LeasedAckQueue
from plexsync.queue.store import Store

log = logging.getLogger(__name__)

RETRY_S = 0.0  # a job given back may be taken again at once


class SyncJob(TypedDict, total=False):
    """One job as it goes in and comes out."""

    scene_id: int
    update_type: str  # "metadata", "image" ... whatever the caller calls it
    data: dict[str, Any]
    enqueued_at: float  # wall seconds
    job_key: str  # "scene_12"
    pqid: int  # the row, once it was taken out


class QueueManager:
    """Opens the queue of a data folder. ``auto_resume`` requeues jobs whose lease expired or whose owner died.

    Unlike persist-queue's own resume, it never takes from an owner that lives.
    """

    def __init__(self, data_dir: str | os.PathLike[str], auto_resume: bool = True) -> None:
        self._store = Store(data_dir)
        self._queue = LeasedAckQueue(self._store)
        if auto_resume:
            self._store.spool.merge()
            self._store.upkeep.recover()

    def get_queue(self) -> LeasedAckQueue:
        """The queue, a ``persistqueue.SQLiteAckQueue``."""
        return self._queue

    def shutdown(self) -> None:
        """Close the file; what was taken out and not closed becomes free for others at once."""
        self._store.close()


def enqueue(queue: LeasedAckQueue, scene_id: int, update_type: str, data: dict[str, Any]) -> SyncJob:
    """Queue a job and return it. Raises ValueError for a scene id that is not a positive integer, TypeError for data
    that JSON cannot hold."""
    if not isinstance(scene_id, int) or isinstance(scene_id, bool) or scene_id < 1:
        raise ValueError(f"scene_id must be a positive integer, not {scene_id!r}")
    job: SyncJob = {
        "scene_id": scene_id,
        "update_type": update_type,
        "data": data,
        "enqueued_at": time.time(),
        "job_key": f"scene_{scene_id}",
    }
    queue.put(dict(job))
    return job


def get_pending(queue: LeasedAckQueue, timeout: float = 0) -> dict[str, Any] | None:
    """Take the next due job out, waiting up to ``timeout`` seconds for one; None when there is none.

    The job stays in the file under a lease until it is acknowledged, given back or failed.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            taken = queue.get(block=False, raw=True)
        except Empty:
            left = end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(0.05, left))  # persist-queue's own wait sees other processes' rows only every 10 s
            continue
        payload = taken["data"]
        job = dict(payload) if isinstance(payload, dict) else {"data": payload}
        job["pqid"] = taken["pqid"]
        return job


def ack_job(queue: LeasedAckQueue, job: Mapping[str, Any]) -> None:
    """The job is done."""
    queue.ack(id=job["pqid"])


def nack_job(queue: LeasedAckQueue, job: Mapping[str, Any]) -> None:
    """The job could not be done now; it waits again, behind those that are due."""
    queue.nack(id=job["pqid"])


def fail_job(queue: LeasedAckQueue, job: Mapping[str, Any]) -> None:
    """The job failed for good; it leaves a dead letter."""
    queue.ack_failed(id=job["pqid"])


def update_status(queue: LeasedAckQueue, job: Mapping[str, Any], status: Status | int | str) -> None:
    """Close a job that was taken out by the number of its next state: 5 done, 9 failed, 0 or 1 waiting again.

    Raises ValueError for any other.
    """
    acts = {AckStatus.acked: ack_job, AckStatus.ack_failed: fail_job, AckStatus.ready: nack_job}
    acts[AckStatus.inited] = nack_job
    number = str(int(status))
    if number not in acts:
        raise ValueError(f"a job cannot be put into status {number}; use 0 or 1, 5 or 9")
    acts[number](queue, job)


def get_stats(queue_path: str | os.PathLike[str]) -> dict[str, int]:
    """How many jobs are where, read from the file without opening the queue.

    ``queue_path`` is the queue folder (``<data>/queue``), its ``data.db``, or the data folder. No file: all 0. Raises
    sqlite3.Error when there is one that cannot be read.
    """
    path = os.fspath(queue_path)
    for tail in (("queue", database.FILE), (database.FILE,), ()):
        file = os.path.join(path, *tail)
        if os.path.isfile(file):
            break
    else:
        return {"pending": 0, "in_progress": 0, "completed": 0, "failed": 0}
    completed = "value FROM tally WHERE name = 'kept'"
    try:
        db = database.connect(file, busy_ms=10_000)
    except database.NotOurs:  # plain persist-queue's: there is nothing to count by but the rows
        db = sqlite3.connect(file)
        completed = "count(*) FROM {table} WHERE status = 5"
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        db = database.connect_to_read(file)  # not ours to write, and yet to be looked at
    try:
        parts = [f"count(*) FROM {{table}} WHERE status {which}" for which in ("< 2", "= 2", "= 9")]
        parts.insert(2, completed)
        counted = ", ".join(f"(SELECT {part.format(table=layout.TABLE)})" for part in parts)
        row = db.execute(f"SELECT {counted}").fetchone()
    finally:
        db.close()
    return dict(zip(("pending", "in_progress", "completed", "failed"), map(int, row), strict=True))


class DeadLetterQueue:
    """The dead letters of a data folder; the same table the worker writes."""

    def __init__(self, data_dir: str | os.PathLike[str]) -> None:
        self._store = Store(data_dir)

    def add(self, job: Mapping[str, Any], error: BaseException | str, retry_count: int) -> int:
        """Keep a job that failed, with its error and how often it was tried; the letter's id."""
        kind = type(error).__name__ if isinstance(error, BaseException) else "Error"
        trace = ""
        if isinstance(error, BaseException) and error.__traceback__ is not None:
            import traceback

            trace = "".join(traceback.format_exception(error))
        payload = {name: value for name, value in job.items() if name != "pqid"}
        return self._store.letters.add(payload, kind, str(error), trace, retry_count)

    def get_recent(self, limit: int = 10) -> list[dict[str, Any]]:
        """The newest letters nobody has replayed."""
        return [_as_dict(letter) for letter in self._store.letters.newest(limit)]

    def get_by_id(self, letter_id: int) -> dict[str, Any] | None:
        letter = self._store.letters.find(letter_id)
        return None if letter is None else _as_dict(letter)

    def get_count(self) -> int:
        return self._store.counts().dead

    def get_error_summary(self) -> dict[str, int]:
        """How many letters there are of each error type, the most frequent first."""
        return self._store.letters.by_type()

    def delete_older_than(self, days: float = 30) -> int:
        """Delete letters that failed more than ``days`` days ago; how many."""
        return self._store.letters.purge(days * 86400.0)

    def close(self) -> None:
        self._store.close()


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    payload = letter.payload
    return {
        "id": letter.id,
        "job_id": letter.job_id,
        "scene_id": letter.scene_id,
        "job_data": payload,
        "error_type": letter.error_type,
        "error_message": letter.message,
        "stack_trace": letter.traceback,
        "retry_count": letter.attempts,
        "failed_at": letter.failed_at,
        "first_failed_at": letter.first_failed_at,
    }


# ---- the batch side --------------------------------------------------------------------------------------------


class JobStatus(Enum):
    PENDING = "pending"
    PROCESSING = "processing"
    FAILED = "failed"  # waits for another try
    DEAD = "dead"


@dataclass
class QueuedJob:
    """A job of a batch."""

    id: int
    scene_id: int
    update_type: str
    data: dict[str, Any]
    parallel: bool
    status: JobStatus
    attempts: int
    enqueued_at: float


@dataclass(frozen=True)
class DeadLetterJob:
    """A job that failed for good."""

    id: int
    scene_id: int | None
    update_type: str
    data: dict[str, Any]
    error_type: str
    error: str
    attempts: int
    failed_at: float
    status: JobStatus = JobStatus.DEAD


@dataclass(frozen=True)
class QueueStats:
    """How full the queue is. ``capacity`` is soft: beyond it the queue warns and still takes everything."""

    pending: int
    processing: int
    completed: int
    dead: int
    capacity: int

    @property
    def capacity_pct(self) -> float:
        """Waiting and running jobs as per cent of the capacity; may be above 100."""
        return 100.0 * (self.pending + self.processing) / self.capacity


@dataclass
class JobQueue:
    """Jobs handed out in batches. Raises ValueError for a capacity below 1.

    Where no person watches (``context``; ``silent`` says it for good) it warns in the log alone.
    """

    data_dir: str | os.PathLike[str]
    capacity: int = 10_000
    silent: bool = field(default_factory=context.is_hook_context)
    warnings: list[str] = field(
        default_factory=list
    )  # said once at 80 % and once at 100 %, again after it emptied

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"capacity must be 1 or more, not {self.capacity}")
        self._store = Store(self.data_dir)
        self._warned_at = 0

    def put(
        self,
        scene_id: int,
        update_type: str = "sync",
        data: dict[str, Any] | None = None,
        parallel: bool = True,
    ) -> int:
        """Queue a job; its row id. ``parallel=False`` makes it a barrier between what was put before and after it."""
        if not isinstance(scene_id, int) or isinstance(scene_id, bool) or scene_id < 1:
            raise ValueError(f"scene_id must be a positive integer, not {scene_id!r}")
        row_id = self._store.enqueue_payload(
            {"scene_id": scene_id, "update_type": update_type, "data": data or {}, "parallel": parallel}
        )
        self._warn()
        return row_id

    def get_batch(self, limit: int = 50) -> list[QueuedJob]:
        """Take out up to ``limit`` parallel jobs together, or the one sequential job whose turn it is; [] if none."""
        jobs = []
        for job, payload in self._store.claim_batch(limit):
            said = payload if isinstance(payload, dict) else {}
            jobs.append(
                QueuedJob(
                    id=job.id,
                    scene_id=job.scene_id,
                    update_type=job.update_type,
                    data=dict(said.get("data") or {}),
                    parallel=said.get("parallel", True) is not False,
                    status=JobStatus.PROCESSING,
                    attempts=job.attempts,
                    enqueued_at=job.enqueued_at,
                )
            )
        return jobs

    def complete(self, job: QueuedJob) -> None:
        """The job is done. Raises StaleLease when it is no longer ours."""
        self._store.finish(self._held(job), "acknowledged")

    def retry(self, job: QueuedJob, delay_s: float = RETRY_S) -> None:
        """The job failed and is to be tried again in ``delay_s`` seconds. Raises StaleLease."""
        until = self._store.clock.now() + delay_s
        self._store.postpone(self._held(job), until, "to be tried again", uses_attempt=True)
        job.status = JobStatus.FAILED

    def move_to_dead_letter(self, job: QueuedJob, error: BaseException | str) -> int | None:
        """The job failed for good: one transaction. The letter's id, or None when a newer edit replaces the job.

        Raises StaleLease.
        """
        kind = type(error).__name__ if isinstance(error, BaseException) else "Error"
        letter = self._store.dead_letter(self._held(job), kind, str(error))
        job.status = JobStatus.DEAD
        return letter

    def get_dead_letter_jobs(self, limit: int = 100) -> list[DeadLetterJob]:
        """The newest dead letters nobody has replayed."""
        found = []
        for letter in self._store.letters.newest(limit):
            said = letter.payload if isinstance(letter.payload, dict) else {}
            found.append(
                DeadLetterJob(
                    id=letter.id,
                    scene_id=letter.scene_id,
                    update_type=str(said.get("update_type", "")),
                    data=dict(said.get("data") or {}),
                    error_type=letter.error_type,
                    error=letter.message,
                    attempts=letter.attempts,
                    failed_at=letter.failed_at,
                )
            )
        return found

    def retry_dead_letter(self, letter_id: int) -> bool:
        """Queue a dead letter's job again; False when there is none of that id, or it was replayed already."""
        return self._store.letters.replay([letter_id]) == 1

    def stats(self) -> QueueStats:
        counts = self._store.counts()
        return QueueStats(counts.pending, counts.in_progress, counts.completed, counts.dead, self.capacity)

    def close(self) -> None:
        self._store.close()

    def _held(self, job: QueuedJob) -> Job:
        held = self._store.claimed.get(job.id)
        if held is None:
            raise StaleLease(f"job {job.id} is not claimed by this queue")
        return held

    def _warn(self) -> None:
        pct = self.stats().capacity_pct
        level = 100 if pct >= 100 else 80 if pct >= 80 else 0
        if level > self._warned_at:
            text = (
                f"the queue is at {pct:.0f} % of its capacity of {self.capacity} jobs; it goes on taking them"
            )
            self.warnings.append(text)
            # A warning goes to standard error when nobody has set up a log.
            log.log(logging.INFO if self.silent else logging.WARNING, "%s", text)
        self._warned_at = level
