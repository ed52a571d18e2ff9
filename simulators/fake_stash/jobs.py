"""The job queue: one job at a time for the whole server, in order of adding (pkg/job of Stash 0.30).

It lives in memory: a restart forgets it and counts from 1 again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

ENDED_KEPT = 10
UPDATE_EVERY_S = 0.1  # progress is told to subscribers at most this often
SUBSCRIBER_BUFFER = 100  # a subscriber that lags further behind misses messages

# From each state, where a job can go. One that waits is cancelled at once; one that runs is asked to stop first, and
# is cancelled without being asked only when the server goes.
MOVES: dict[str, tuple[str, ...]] = {
    "READY": ("RUNNING", "CANCELLED"),
    "RUNNING": ("STOPPING", "FINISHED", "FAILED", "CANCELLED"),
    "STOPPING": ("CANCELLED",),
}


class JobFailed(Exception):
    """Raised by a job's work: the job ends FAILED with this text."""


@dataclass
class Job:
    id: int
    description: str
    add_time: datetime
    status: str = "READY"
    progress: float | None = 0.0  # None: no measure of it
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: str | None = None
    sub_tasks: list[str] | None = None
    work: Callable[["Job"], Awaitable[None]] | None = field(default=None, repr=False)


Listener = asyncio.Queue[tuple[str, Job]]


class JobQueue:
    def __init__(self, now: Callable[[], datetime], failures: tuple[type[Exception], ...] = ()) -> None:
        """`failures` are the exceptions, besides JobFailed, by which work says that it failed."""
        self._now = now
        self._failures: tuple[type[Exception], ...] = (JobFailed, *failures)
        self._last_id = 0
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: deque[Job] = deque(maxlen=ENDED_KEPT)
        self._listeners: list[Listener] = []
        self._last_update = 0.0

    def add(
        self, description: str, work: Callable[[Job], Awaitable[None]], progress: float | None = 0.0
    ) -> int:
        """Queue `work`, which may set the job's progress through `set_progress`. Returns the id at once."""
        self._last_id += 1
        job = Job(self._last_id, description, self._now(), progress=progress, work=work)
        self._waiting.append(job)
        self._tell("ADD", job)
        self._next()
        return job.id

    def all(self) -> list[Job]:
        """The running one and those waiting."""
        return ([self._running] if self._running else []) + list(self._waiting)

    def ended(self) -> list[Job]:
        return list(self._ended)

    def find(self, job_id: int) -> Job | None:
        return next((job for job in [*self.all(), *self._ended] if job.id == job_id), None)

    def stop(self, job_id: int) -> None:
        """Nothing happens for an unknown id. A running job's work is cancelled, and not waited for."""
        for job in self._waiting:
            if job.id == job_id:
                self._waiting.remove(job)
                self._end(job, "CANCELLED")
                return
        running = self._running
        if running is None or running.id != job_id or self._task is None:
            return
        if running.status == "RUNNING":
            self._move(running, "STOPPING")
            self._tell("UPDATE", running)
            self._task.cancel()

    def stop_all(self) -> None:
        for job in self.all()[::-1]:
            self.stop(job.id)

    def set_progress(self, job: Job, value: float) -> None:
        """Clamped to 0…1, NaN to 0. A job that has ended keeps what it had."""
        if job.status != "RUNNING":
            return
        job.progress = min(max(value, 0.0), 1.0) if value == value else 0.0
        moment = asyncio.get_running_loop().time()
        if moment - self._last_update >= UPDATE_EVERY_S:
            self._last_update = moment
            self._tell("UPDATE", job)

    def forget(self) -> None:
        """What a restart does: everything queued, running or remembered is gone, and ids start over.

        The running job's plugin process is left alone: an orphan.
        """
        self._waiting.clear()
        self._ended.clear()
        self._running = None
        self._task = None
        self._last_id = 0

    async def settle(self) -> None:
        """Returns when nothing waits or runs."""
        while self._running or self._waiting:
            await asyncio.sleep(0.005)

    def listen(self) -> Listener:
        queue: Listener = asyncio.Queue(SUBSCRIBER_BUFFER)
        self._listeners.append(queue)
        return queue

    def unlisten(self, queue: Listener) -> None:
        self._listeners.remove(queue)

    def _tell(self, kind: str, job: Job) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait((kind, replace(job)))

    def _next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        job = self._waiting.popleft()
        self._running = job
        self._move(job, "RUNNING")
        job.start_time = self._now()
        self._tell("UPDATE", job)
        self._task = asyncio.get_running_loop().create_task(self._run(job))

    async def _run(self, job: Job) -> None:
        assert job.work is not None
        status, error = "FAILED", None  # what a defect in the work comes to: the queue goes on
        try:
            await job.work(job)
            status = "FINISHED"
        except self._failures as failure:
            error = str(failure)
        except asyncio.CancelledError:
            status = "CANCELLED"
        finally:
            if self._running is job:  # else it was forgotten meanwhile
                self._running = None
                self._task = None
                job.error = error
                self._end(job, "CANCELLED" if job.status == "STOPPING" else status)
                self._next()

    @staticmethod
    def _move(job: Job, status: str) -> None:
        """Raises ValueError for a move that is not in the table."""
        if status not in MOVES.get(job.status, ()):
            raise ValueError(f"job {job.id} cannot go from {job.status} to {status}")
        job.status = status

    def _end(self, job: Job, status: str) -> None:
        self._move(job, status)
        job.end_time = self._now()
        self._ended.append(job)
        self._tell("REMOVE", job)
