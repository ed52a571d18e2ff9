"""What every store does alike, on top of what each does its own way: handing out jobs to be worked on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from plexsync.core.job import LEASE_S, Job


class Door(ABC):
    """The worker's side of ``store.Store``, and of the queue in memory that the tests compare it with."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """All that is done inside, or nothing of it."""

    @abstractmethod
    def claim_row(
        self, lease_s: float = LEASE_S, row_id: int | None = None
    ) -> tuple[Job, object, float] | None:
        """Claim as ``claim`` does, or one waiting row by its id: the job, its whole payload, and when it was put."""

    @abstractmethod
    def requeue(self, job: Job) -> None:
        """The job is as it was before we claimed it; for a worker that stops."""

    @abstractmethod
    def dead_letter(self, job: Job, error_type: str, message: str, traceback: str = "") -> int | None:
        """The job failed for good: row and dead letter in one transaction. The letter's id.

        None, and no letter, when a newer edit of the same scene waits: that one is what counts now.
        """

    def claim(self, lease_s: float = LEASE_S) -> Job | None:
        """The job that has been due longest, leased to us; None when nothing is due.

        A damaged row met on the way becomes a dead letter with its bytes and its neighbours go on. A scene that is
        being worked on waits for that to end, so the jobs of one scene never overlap.
        """
        while (claimed := self.claim_row(lease_s)) is not None:
            job, _, _ = claimed
            if job.scene_id or job.entity_id:
                return job
            self.dead_letter(
                job, "NotAJob", "the row names nothing to sync; something other than PlexSync put it here"
            )
        return None

    def claim_many(self, limit: int, lease_s: float = LEASE_S) -> list[Job]:
        """Up to ``limit`` jobs that are due, of different scenes, to be worked on together; [] when none is due.

        A job that a worker died with is handed out alone, so that what kills a worker is never blamed on its
        neighbours; so is one that is not about a single scene.
        """
        first = self.claim(lease_s)
        if first is None or first.alone:
            return [] if first is None else [first]
        jobs = [first]
        with self.transaction():
            while len(jobs) < limit and (job := self.claim(lease_s)) is not None:
                if job.alone:
                    self.requeue(job)
                    break
                jobs.append(job)
        return jobs
