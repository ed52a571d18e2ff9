"""The whole contract of a queue, as the worker, the tasks and the command line use it.

``store.Store`` keeps it over a file; the queue in memory, with which the tests compare it, keeps it too. Whatever
writes raises sqlite3.Error; what was done may then be there or not, and may be done again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from plexsync.core.job import LEASE_S, Counts, DeadLetter, Job, Remark


class Letters(Protocol):
    """Jobs that failed for good."""

    def add(
        self, payload: object, error_type: str, message: str, traceback: str = "", attempts: int = 0
    ) -> int: ...
    def newest(
        self, limit: int = 100, error_type: str | None = None, replayed: bool = False
    ) -> list[DeadLetter]: ...
    def find(self, letter_id: int) -> DeadLetter | None: ...
    def by_type(self) -> dict[str, int]: ...
    def replay(self, ids: Iterable[int] | None = None, error_type: str | None = None) -> int: ...
    def purge(self, older_than_s: float) -> int: ...
    def clear(self) -> int: ...


class Spooled(Protocol):
    """Edits that wait beside the queue."""

    def files(self) -> list[str]: ...
    def merge(self) -> int: ...


class Remembered(Protocol):
    """What a worker remembers between its lives."""

    def load_breaker(self, server: str) -> dict[str, Any] | None: ...
    def save_breaker(self, server: str, state: Mapping[str, Any]) -> None: ...
    def load(self, name: str) -> str | None: ...
    def save(self, name: str, value: str) -> None: ...
    def drop(self, name: str) -> None: ...
    def open_outage(self, server: str, cause: str) -> None: ...
    def close_outage(self, server: str) -> None: ...
    def outages(self, limit: int = 1000) -> list[dict[str, Any]]: ...


class Tended(Protocol):
    """What keeps the queue going and small."""

    def recover(self) -> int: ...
    def release_due(self, waits_for: str | None = None) -> int: ...
    def prune(self, keep: int) -> int: ...
    def tidy(self) -> None: ...
    def examine(self) -> None: ...


class QueueStore(Protocol):
    """One queue. Jobs are claimed under a lease; closing one whose lease was lost raises StaleLease and changes
    nothing."""

    letters: Letters
    spool: Spooled
    state: Remembered
    upkeep: Tended

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """All that is done inside, or nothing of it."""

    @abstractmethod
    def reopen_if_replaced(self) -> bool:
        """Whether another queue lies in this one's place, which is then the one in use."""

    @abstractmethod
    def enqueue(
        self,
        scene_id: int,
        update_type: str = "sync",
        fields: Iterable[str] = (),
        data: dict[str, object] | None = None,
        entity: str = "scene",
    ) -> tuple[int, int]:
        """Queue a job about one scene: (row id, generation). Generation above 1: it joined a row that waits already.

        With another ``entity`` the id is that entity's, and the job is about all its scenes.
        """

    @abstractmethod
    def enqueue_many(self, scene_ids: Iterable[int], update_type: str = "sync", hurry: bool = True) -> int:
        """Queue many scenes, some at a time; how many were not waiting already.

        Without ``hurry`` those that wait stay as they are: they have their reasons to wait.
        """

    @abstractmethod
    def enqueue_later(self, scene_id: int, until: float) -> bool:
        """Queue a job for the wall time ``until``; False when one of the scene waits already, which stays as it is.

        An edit that comes meanwhile joins it as it would any other, and makes it due at once.
        """

    @abstractmethod
    def enqueue_payload(self, payload: object) -> int:
        """Queue any JSON value; a job dict that names its scene joins the scene's waiting row. The row id."""

    @abstractmethod
    def claim_row(
        self, lease_s: float = LEASE_S, row_id: int | None = None
    ) -> tuple[Job, object, float] | None:
        """Claim as ``claim`` does, or one waiting row by its id: the job, its whole payload, and when it was put."""

    @abstractmethod
    def claim_batch(self, limit: int, lease_s: float = LEASE_S) -> list[tuple[Job, object]]:
        """Claim jobs in the order they were put: up to ``limit`` parallel ones together, or one sequential job alone.

        A job is sequential when its payload says ``"parallel": false``. It is a barrier, also while it is postponed:
        it starts when all before it are closed, and nothing behind it starts before it is closed.
        """

    @abstractmethod
    def heartbeat(self, job: Job, lease_s: float = LEASE_S) -> None:
        """The lease runs from now again."""

    @abstractmethod
    def holds(self, job: Job) -> bool:
        """Whether the claim still stands; asking costs microseconds."""

    @abstractmethod
    def finish(self, job: Job, note: str = "", remarks: Iterable[tuple[Remark, str]] = ()) -> None:
        """The job is done; ``note`` says how, in a word or two, ``remarks`` what it left undone."""

    @abstractmethod
    def postpone(self, job: Job, until: float, reason: str, uses_attempt: bool, waits_for: str = "") -> None:
        """The job is due at the wall time ``until``, or when ``upkeep.release_due(waits_for)`` says so.

        A newer edit of its scene that waits already takes its place.
        """

    @abstractmethod
    def requeue(self, job: Job) -> None:
        """The job is as it was before it was claimed; for a worker that stops."""

    @abstractmethod
    def dead_letter(self, job: Job, error_type: str, message: str, traceback: str = "") -> int | None:
        """The job failed for good: row and dead letter in one transaction. The letter's id.

        None, and no letter, when a newer edit of the same scene waits: that one is what counts now.
        """

    @abstractmethod
    def counts(self) -> Counts:
        """How many jobs are where, at one instant."""

    @abstractmethod
    def data_version(self) -> int:
        """A number that differs from the last one when another connection has written; costs microseconds."""

    @abstractmethod
    def waiting(self, limit: int = 100) -> list[Job]:
        """The first waiting jobs in the order in which they become due."""

    @abstractmethod
    def remarks(self, limit: int = 1000) -> dict[Remark, Counter[str]]:
        """What the last ``limit`` finished jobs left undone, by kind: how often each."""

    @abstractmethod
    def clear_waiting(self) -> int:
        """Delete every waiting job, spooled ones too; how many. What a worker has claimed goes on, dead letters
        stay."""

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
