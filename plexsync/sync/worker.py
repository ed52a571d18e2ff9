"""The worker: claim a job, read the scene as it is now, compare it with Plex, write the difference, acknowledge.

``step`` does that once, ``run`` until it is told to stop or nothing has waited for a while; the same loop serves the
background process, a task and the command line. Everything it needs is handed to it. A kill at any moment costs a
repeat, never an edit: the job is closed last, and a worker that reads it again finds Plex in sync or writes once more.

Servers that are down. Each has a breaker in the store. While one is open nothing is claimed, so an outage costs no job
an attempt; when its time has come one probe, not a job, asks whether the server is back. What only a person can mend
(a token, a setting) pauses the whole queue, is said once, and is tried again when the settings change.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from plexsync.clock import Clock
from plexsync.core.failures import Landed, SyncFailure, Transient
from plexsync.core.job import LEASE_S, RELIST, Job, StaleLease
from plexsync.core.settings import SCOPE_HOURS, Settings
from plexsync.core.verdict import (
    Failed,
    FannedOut,
    NotFound,
    Outcome,
    Synced,
)
from plexsync.queue.events import LIBRARY
from plexsync.queue.store import Store
from plexsync.servers.world import World
from plexsync.sync import apply, plan_batch, read_back, reconcile, record
from plexsync.sync.outages import Outages
from plexsync.sync.writers import Writers

log = logging.getLogger(__name__)

POLL_S = 0.1  # between two looks at the queue; a look costs some microseconds
UPKEEP_S = 0.4  # between two looks at the spool and at the file itself
RECOVER_S = 15.0  # between two looks for jobs of workers that died
FRESHEN_S = 600.0  # between two looks at what the libraries have lost
AWAIT_S, AWAIT_MOST_S = 5.0, 300.0  # between two looks for files Plex did not have; each longer by half
# Jobs claimed together: one request to Stash, one to Plex to read them all. Half as many after some that took longer
# than SLOW_S, since a newer edit of their scenes waits for them; twice as many when they are done in no time.
SIZE, SIZE_LEAST, SIZE_MOST = 25, 5, 100
SLOW_S = 2.0
READ_BACK = 50  # written items that are read back at once, if so many come together in so many seconds
READ_BACK_S = 2.0
CLOSED = 25  # jobs closed in one transaction: some milliseconds in which no hook can write
IDLE_UPKEEP_S = 5.0  # of quiet, after which the file is tidied
# After which it is tidied without a quiet moment, or once more in a long one: hooks write into it.
TIDY_S = 600.0

SCHEDULE_S = 5.0  # between two looks at whether a scheduled reconcile is due or unfinished
SCHEDULE_FAILED_S = 60.0  # after one that failed
OVERLAP_HOURS = (
    1.0  # by which it reaches beyond the one before: that took a while, and Stash's clock is another
)
# Between two steps while an outage's backlog begins to be worked off: one job, then two, then three, until as many are
# taken as ever. A server that just came back has enough to do.
RELEASE_S = 0.05

T = TypeVar("T")


@dataclass
class _Batch:
    """Jobs that were claimed and looked at together."""

    jobs: list[Job]
    plans: dict[int, plan_batch.ScenePlan] = field(
        default_factory=dict
    )  # by row id; none of a job that fans out
    began: float = 0.0  # monotonic
    overtaken: set[int] = field(default_factory=set)  # rating keys that were written while this was looked at

    def apart(self) -> tuple[list[Job], list[Job]]:
        """The jobs to be written, each to an item of its own; and those whose item changes before their turn, so that
        they have to be looked at again."""
        taken = set(self.overtaken)
        first: list[Job] = []
        again: list[Job] = []
        for job in self.jobs:
            seen = self.plans[job.id]
            if seen.outcome is None and seen.item is not None:
                (again if seen.item.rating_key in taken else first).append(job)
                taken.add(seen.item.rating_key)
        return first, again


class Worker:
    """One drainer of one store. Not for several threads."""

    def __init__(self, store: Store, world: World, clock: Clock, rng: random.Random) -> None:
        self.store = store
        self.world = world
        self.clock = clock
        self.rng = rng
        # What is being worked on, by row id; another thread may requeue it.
        self.in_hand: dict[int, Job] = {}
        self.done = 0  # jobs closed or postponed by this worker
        self.outages = Outages(store, world, clock, rng)
        self._writers = Writers(clock)
        self._size = SIZE
        self._ahead: _Batch | None = None  # claimed and looked at while others were written
        self._ended_at: float | None = None  # monotonic; when the step before this one ended
        self._await_s = AWAIT_S
        self._look_for_awaited_at = 0.0  # monotonic
        self._fresh_until = 0.0  # monotonic; until then the path index is taken as it is

    # ---- some jobs ----

    def step(self, ahead: bool = False) -> bool:
        """Work on the jobs that are due, some at a time; False when there was none to claim.

        With ``ahead`` the next ones are claimed and looked at while these are written, for the step after this.
        """
        batch, self._ahead = self._ahead or self._take(), None
        if batch is None:
            self._ended_at = None
            return False
        try:
            self._apply_batch(batch, ahead)
        except BaseException:
            self.in_hand, self._ahead = {}, None
            raise
        self.done += len(batch.jobs)
        return True

    def _take(self) -> _Batch | None:
        began = self.clock.monotonic()
        jobs = self.store.claim_many(self.outages.backlog or self._size, LEASE_S)
        if not jobs:
            return None
        # Another thread goes through what is in hand, so it is replaced and never changed.
        self.in_hand = self.in_hand | {job.id: job for job in jobs}
        return replace(self._plan(jobs), began=began)

    def _plan(self, jobs: list[Job]) -> _Batch:
        """Find out what is to be done about these jobs."""
        if jobs[0].entity_id:
            return _Batch(jobs)
        settings = self._guarded(self._current_settings)
        if isinstance(settings, Failed):
            return _Batch(jobs, {job.id: plan_batch.ScenePlan(job.scene_id, settings) for job in jobs})
        fresh = {job.scene_id for job in jobs if job.update_type != "sync"}
        plans = plan_batch.plan_batch([job.scene_id for job in jobs], self.world, settings, fresh)
        if settings.scan_plex:
            self._scan([plans[job.scene_id].outcome for job in jobs if job.attempts <= 1])
        return _Batch(jobs, {job.id: plans[job.scene_id] for job in jobs})

    def _apply_batch(self, batch: _Batch, ahead: bool) -> None:
        """Bring Plex in sync with these jobs' scenes as they were when they were looked at, and close the jobs."""
        if batch.jobs[0].entity_id:
            (job,) = batch.jobs
            self._close([job], {job.id: self._guarded(lambda: self._fan_out(job))}, {})
            return
        began = batch.began if self._ended_at is None else self._ended_at
        writes, left, down = 0, batch, False
        while left.jobs:
            closed = {number: seen.outcome for number, seen in left.plans.items() if seen.outcome is not None}
            for some in _pieces([job for job in left.jobs if job.id in closed]):
                self._close(some, closed, left.plans)
            to_write, again = left.apart()
            writes += len(to_write)
            down = down or self._write_all(to_write, left.plans, ahead and self._ahead is None)
            if down:  # what is left is not tried against the same wall
                self._requeue(again)
                break
            left = self._plan(again) if again else _Batch([])
        self._ended_at = now = self.clock.monotonic()
        if down or writes * 2 >= len(batch.jobs):
            self._writers.learn(writes, now - began)
        if now - began > SLOW_S:
            self._size = max(self._size // 2, SIZE_LEAST)
        elif now - began < SLOW_S / 2 and len(batch.jobs) >= self._size:
            self._size = min(self._size * 2, SIZE_MOST)

    def _write_all(self, jobs: list[Job], plans: Mapping[int, plan_batch.ScenePlan], ahead: bool) -> bool:
        """Write what these jobs' plans say, and close each soon after; True when the server was found to be down."""
        if not jobs:
            return False
        settings = self.outages.settings
        found = [plans[job.id] for job in jobs]
        with self.store.transaction():
            record.note_pending_writes(found, self.world.sync_state(settings))

        def look_ahead() -> None:
            if ahead:
                self._ahead = self._take()

        of = {job.scene_id: job for job in jobs}

        def write(seen: plan_batch.ScenePlan) -> tuple[Outcome, plan_batch.ScenePlan]:
            return self._write(of[seen.scene_id], seen)

        tried: set[int] = set()
        unread: dict[int, read_back.Done] = {}  # written, and not read back yet
        since = self.clock.monotonic()
        for done in self._writers.apply_all(found, write, settings.plex_concurrency, look_ahead):
            tried |= {number for number, _, _ in done}
            unread |= {number: (outcome, seen) for number, outcome, seen in done}
            if len(unread) >= READ_BACK or self.clock.monotonic() - since >= READ_BACK_S:
                self._close_written(jobs, unread)
                unread, since = {}, self.clock.monotonic()
        self._close_written(jobs, unread)
        if self._ahead is not None:
            self._ahead.overtaken |= {seen.item.rating_key for seen in found if seen.item is not None}
        untried = [job for number, job in enumerate(jobs) if number not in tried]
        if untried:
            with self.store.transaction():
                for job in untried:
                    record.drop_pending_writes(plans[job.id], self.world.sync_state(settings))
            self._requeue(untried)
        return self._writers.down

    def _close_written(self, jobs: Sequence[Job], done: dict[int, read_back.Done]) -> None:
        """Read back what was written, and close its jobs (by their place in ``jobs``) with what Plex shows."""
        settings = self.outages.settings
        found = self._guarded(lambda: read_back.read_back(done, self.world, settings))
        if isinstance(found, Failed):  # whatever Plex shows: these scenes are to be compared again
            found = {n: (found if isinstance(was, Synced) else was, seen) for n, (was, seen) in done.items()}
        for some in _pieces(list(found.items())):
            outcomes = {jobs[number].id: outcome for number, (outcome, _) in some}
            plans = {jobs[number].id: seen for number, (_, seen) in some}
            self._close([jobs[number] for number, _ in some], outcomes, plans)

    def _requeue(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._quietly(lambda job=job: self.store.requeue(job), job)  # type: ignore[misc]
            self.in_hand = {number: other for number, other in self.in_hand.items() if number != job.id}

    def _drop_ahead(self) -> None:
        """What was looked at for the next step is as it was: there may be none for long."""
        if self._ahead is not None:
            self._requeue(self._ahead.jobs)
            self._ahead = None

    def _write(self, job: Job, seen: plan_batch.ScenePlan) -> tuple[Outcome, plan_batch.ScenePlan]:
        """Apply one plan; several of these run side by side.

        What another worker has taken over since is left to it: it may have written something newer by now.
        """

        def fields() -> plan_batch.ScenePlan:
            if not self.store.holds(job):
                raise Transient("Another worker has taken it over.", landed=Landed.NO)
            return apply.write_fields(seen, self.world)

        written = self._guarded(fields)
        if isinstance(written, Failed):
            return written, seen
        done = self._guarded(lambda: apply.write_rest(written, self.world, self.outages.settings))
        return (done, written) if isinstance(done, Failed) else done

    def _guarded(self, act: Callable[[], T]) -> T | Failed:
        """What ``act`` gives, or the failure it raised: the one place where a defect of ours becomes an outcome."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - see above
            return plan_batch.failed(error, self.outages.settings)

    def _current_settings(self) -> Settings:
        settings = self.outages.settings = self.world.settings()
        self._freshen(settings)
        return settings

    def _freshen(self, settings: Settings) -> None:
        """Now and then see what the libraries have lost: no scene is in sync with an item that is gone."""
        now = self.clock.monotonic()
        if self.store.state.load(RELIST):  # every scene is to be compared with what Plex really has
            self.world.plex().relist()
            self.store.state.drop(RELIST)
            self._fresh_until = now + FRESHEN_S
        elif now >= self._fresh_until:
            if self._fresh_until:
                self.world.plex().freshen()
            self._fresh_until = now + FRESHEN_S

    def _scan(self, outcomes: list[Outcome | None]) -> None:
        """Let Plex look for the files it does not have."""
        paths = [path for outcome in outcomes if isinstance(outcome, NotFound) for path in outcome.paths]
        if not paths:
            return
        try:
            for folder in self.world.plex().scan(paths):
                log.info("Plex was asked to scan %s", folder)
        except SyncFailure as failure:
            log.warning("Plex could not be asked to scan: %s", failure)

    def _look_for_awaited(self) -> None:
        """Wake the jobs of files that have come to Plex meanwhile: cheaper than a look at each of them."""
        now = self.clock.monotonic()
        if now < self._look_for_awaited_at:
            return
        self._look_for_awaited_at = now + self._await_s
        self._await_s = min(self._await_s * 1.5, AWAIT_MOST_S)
        try:
            settings = self.outages.settings = self.world.settings()
            sync_state = self.world.sync_state(settings)
            if not sync_state.expects():
                return
            self.world.plex().freshen()
        except SyncFailure as failure:
            self.outages.learn(Failed(failure))
            return
        arrived = sync_state.arrived()
        if arrived:
            self.store.enqueue_many(arrived)
            log.info("arrived in Plex: scenes=%s", ",".join(map(str, arrived)))

    def _close(
        self, jobs: Sequence[Job], outcomes: Mapping[int, Outcome], plans: Mapping[int, plan_batch.ScenePlan]
    ) -> None:
        """Record what came of these jobs, in one transaction: what to remember of a scene, and the job's next state."""
        if not jobs:
            return
        for outcome in {_lesson(outcomes[job.id]): outcomes[job.id] for job in jobs}.values():
            self.outages.learn(outcome)
        books = record.Books(self.store, self.world, self.outages.settings, self.clock, self.rng)
        with self.store.transaction():
            for job in jobs:
                outcome = outcomes[job.id]
                record.record(job, outcome, plans.get(job.id), books)
                if isinstance(outcome, NotFound) and job.attempts <= 1:
                    self._await_s = AWAIT_S
                    self._look_for_awaited_at = self.clock.monotonic() + AWAIT_S
        closed = {job.id for job in jobs}
        self.in_hand = {number: job for number, job in self.in_hand.items() if number not in closed}

    def _fan_out(self, job: Job) -> FannedOut:
        """Queue the scenes of another entity, page by page. How far it came is kept, so a kill costs one page."""
        place = f"fan-out of job {job.id}.{job.generation}"
        if job.entity == LIBRARY:
            return self._queue_out_of_sync(place)
        done, _, after_id = (self.store.state.load(place) or "0 0").partition(" ")
        scenes = int(done)
        for page in self.world.stash().scene_ids_of(job.entity, job.entity_id, int(after_id)):
            self.store.enqueue_many(page)
            scenes += len(page)
            self.store.state.save(place, f"{scenes} {page[-1]}")
        self.store.state.drop(place)
        return FannedOut(scenes)

    def _queue_out_of_sync(self, place: str) -> FannedOut:
        """A performer, studio, tag or group was deleted: queue what was in sync and is not now. Others go first."""
        found = reconcile.sweep(
            self.store,
            self.world,
            self.world.settings(),
            should_stop=self._is_wanted,
            synced_once=place,
        )
        return FannedOut(found.queued, found.done)

    # ---- until told to stop ----

    def run(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        linger_s: Callable[[], float] | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Work until ``should_stop``, or until nothing has waited (also for later) for ``linger_s`` seconds.

        The default linger is the setting's. ``on_step`` is called after each job and each look at an empty queue.
        """
        try:
            self._run(should_stop, linger_s, on_step)
            self._drop_ahead()
        finally:
            self._writers.close()

    def _run(
        self,
        should_stop: Callable[[], bool],
        linger_s: Callable[[], float] | None,
        on_step: Callable[[], None],
    ) -> None:
        linger = linger_s or (lambda: self.outages.settings.worker_linger_s)
        next_upkeep = next_recovery = next_schedule = 0.0
        busy_at = worked_at = self.clock.monotonic()
        tidied, next_tidy = False, worked_at + TIDY_S
        self.outages.forget_lost_probes()
        while not should_stop():
            now = self.clock.monotonic()
            if now >= next_upkeep:
                self.store.reopen_if_replaced()
                self.store.spool.merge()
                next_upkeep = now + UPKEEP_S
            if now >= next_recovery:
                self.store.upkeep.recover()
                next_recovery = now + RECOVER_S
            if now >= next_tidy:
                self._tidy()
                next_tidy = now + TIDY_S
            if self.outages.may_claim() and self.step(ahead=not self.outages.backlog):
                on_step()
                busy_at = worked_at = self.clock.monotonic()
                tidied = False
                if self.outages.backlog:
                    self.clock.sleep(RELEASE_S)
                    self.outages.backlog = (
                        self.outages.backlog + 1 if self.outages.backlog < self._size else 0
                    )
                continue
            self._drop_ahead()  # no step follows soon
            on_step()
            self.outages.backlog = 0
            counts = self.store.counts()
            # Also while something waits for later: a file Plex does not have is waited for during hours.
            if counts.pending == counts.waiting_later and now >= next_schedule and self.outages.may_claim():
                next_schedule = now + (SCHEDULE_S if self._reconcile_if_due() else SCHEDULE_FAILED_S)
            if counts.waiting_later and self.outages.may_claim():
                self._look_for_awaited()
            if counts.pending or counts.in_progress or self.outages.settings.reconcile_interval:
                busy_at = now
            elif now - busy_at >= linger():
                return
            # Also while something waits for later, which it may do for days.
            if not tidied and now - worked_at >= min(IDLE_UPKEEP_S, linger() / 2):
                self._tidy()
                tidied, next_tidy = True, now + TIDY_S
            self.clock.sleep(POLL_S)

    def _reconcile_if_due(self) -> bool:
        """The look for changes no hook told, when the settings ask for one and its time has come; False when it could
        not be done.

        It reaches back to the one before it at least, however long ago that was: no worker need have run meanwhile.
        """
        try:
            settings = self.outages.settings = self.world.settings()
            every_s = settings.reconcile_interval * 3600
            last = float(self.store.state.load("reconciled_at") or 0.0)
            since_s = self.clock.now() - last
            if not every_s or 0 <= since_s < every_s:
                return True
            hours = SCOPE_HOURS[settings.reconcile_scope]
            if hours is not None and last:
                hours = max(hours, since_s / 3600 + OVERLAP_HOURS)
            found = reconcile.sweep(
                self.store,
                self.world,
                settings,
                hours,
                should_stop=lambda: hours is None and self._is_wanted(),
                hurry=False,
            )
        except SyncFailure as failure:
            log.warning("could not look for changes: %s", failure)
            self.outages.learn(Failed(failure))
            return False
        self.outages.resume()
        self.outages.answered("Stash")
        if found.untold:
            log.warning("could not look for ratings and plays in Plex: %s", found.untold)
        if found.done:
            self.store.state.save("reconciled_at", str(self.clock.now()))
        log.info("looked for changes: %s scenes seen, %s queued", found.seen, found.queued)
        return True

    def _is_wanted(self) -> bool:
        """Something waits that can be done now; a long look for more of it can go on later."""
        counts = self.store.counts()
        return counts.pending > counts.waiting_later

    def _tidy(self) -> None:
        while self.store.upkeep.prune(self.outages.settings.history_keep):
            self.clock.sleep(0.01)  # let a hook have the file in between
        self.store.upkeep.tidy()

    @contextmanager
    def heartbeats(self, also: Callable[[], None] = lambda: None, lease_s: float = LEASE_S) -> Iterator[None]:
        """Keep the lease of the job in hand alive from a thread, for as long as this process runs at all.

        ``also`` is called each time, for those who want to know that we run.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(lease_s / 4):
                also()
                for job in list(self.in_hand.values()):
                    self._quietly(lambda job=job: self.store.heartbeat(job, lease_s), job)  # type: ignore[misc]

        thread = threading.Thread(target=beat, name="heartbeats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def requeue_all(self) -> None:
        """Leave what is in hand as it was before; for a process that must end now."""
        for job in list(self.in_hand.values()):
            if self._quietly(lambda job=job: self.store.requeue(job), job):  # type: ignore[misc]
                record.log_move(logging.INFO, "requeued", job, "told to stop")

    def _quietly(self, act: Callable[[], None], job: Job) -> bool:
        """Do what makes things better but need not be; True when it was done."""
        try:
            act()
        except StaleLease:
            return False  # found out when the job is closed
        except (sqlite3.Error, OSError) as error:
            record.log_move(logging.WARNING, "no lease", job, str(error))
            return False
        return True


def _lesson(outcome: Outcome) -> object:
    """What is equal for outcomes that say the same of the servers."""
    return id(outcome) if isinstance(outcome, Failed) else type(outcome)


def _pieces(some: Sequence[T]) -> Iterator[Sequence[T]]:
    """No more than CLOSED at a time."""
    for start in range(0, len(some), CLOSED):
        yield some[start : start + CLOSED]
