"""Record what came of a job: what is to be remembered of its scene, and the job's next state.

``record`` is the one way an outcome reaches the store; ``note_pending_writes`` goes before a write, so that a write
whose end is not seen is known.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass

from plexsync.clock import Clock
from plexsync.core import plan as planning
from plexsync.core.failures import Landed, SyncFailure
from plexsync.core.job import Job, StaleLease
from plexsync.core.settings import Settings
from plexsync.core.undo import kept_before
from plexsync.core.verdict import (
    DeadLettered,
    Failed,
    Finish,
    Gone,
    InSync,
    NotFound,
    Outcome,
    Postpone,
    Synced,
    after,
)
from plexsync.queue.store import Store
from plexsync.servers.sync_state import SyncState
from plexsync.servers.world import World
from plexsync.sync.outages import pauses
from plexsync.sync.plan_batch import ScenePlan

log = logging.getLogger(__name__)

LATE_WRITE_TIMEOUTS = (
    3  # Plex timeouts after which a write that Plex did not answer has landed, or never will
)


@dataclass(frozen=True)
class Books:
    """Where outcomes are recorded."""

    store: Store
    world: World
    settings: Settings
    clock: Clock
    rng: random.Random

    @property
    def sync_state(self) -> SyncState:
        return self.world.sync_state(self.settings)


def record(job: Job, outcome: Outcome, seen: ScenePlan | None, books: Books) -> None:
    """Inside the caller's transaction: what to remember of the scene, then the job's next state."""
    again_at = None
    if seen is not None and isinstance(outcome, (Synced, InSync)):
        record_written(seen, books.sync_state)
        again_at = _may_land_until(seen, books)
    elif seen is not None and isinstance(outcome, Failed):
        note_failure(seen, outcome, books.sync_state)
    elif isinstance(outcome, NotFound):
        books.sync_state.expect(job.scene_id, outcome.paths)
    elif isinstance(outcome, Gone):
        forget(job.scene_id, outcome, books.sync_state)
        books.store.enqueue_many(outcome.sharing)
    try:
        _move(job, outcome, books)
    except StaleLease:
        # We were frozen for longer than our lease, and another worker did the job meanwhile. Should we have written
        # after it, Plex now has the older scene: comparing once more puts that right.
        log_move(logging.WARNING, "stale", job, "another worker had taken it over; looking again")
        if isinstance(outcome, (Synced, Failed)):
            books.store.enqueue(job.scene_id or job.entity_id, "update", entity=job.entity)
    if again_at is not None:
        books.store.enqueue_later(job.scene_id, again_at)


def _move(job: Job, outcome: Outcome, books: Books) -> None:
    """The job's next state, and a line in the log. Raises StaleLease when the job is no longer ours."""
    store, now = books.store, books.clock.now()
    match after(job, outcome, now, books.rng, books.settings):
        case Finish(note, remarks):
            store.finish(job, f"{outcome.name}: {note}", remarks)
            log_move(logging.INFO, outcome.name, job, note)
        case Postpone(until, reason, uses_attempt, waits_for):
            store.postpone(job, until, reason, uses_attempt, waits_for)
            # Of a pause the queue's own line is enough; its jobs come this way once a minute.
            paused = isinstance(outcome, Failed) and pauses(outcome.error)
            level = logging.DEBUG if paused else logging.WARNING
            log_move(level, "postponed", job, f"{until - now:.0f} s: {reason}")
        case DeadLettered(error_type, message, traceback):
            store.dead_letter(job, error_type, message, traceback)
            log_move(logging.ERROR, "dead-lettered", job, f"{error_type}: {message}")


def _may_land_until(seen: ScenePlan, books: Books) -> float | None:
    """When to compare the scene once more, because a write whose end was not seen may still land after this one."""
    if seen.item is None:
        return None
    patience_s = LATE_WRITE_TIMEOUTS * books.settings.plex_timeout_s
    now = books.clock.now()
    began = books.sync_state.settle(seen.scene_id, now - patience_s, now)
    return None if began is None else began + patience_s


def note_pending_writes(plans: Iterable[ScenePlan], sync_state: SyncState) -> None:
    """Remember what is about to be written: a write that seems to fail may land all the same, even much later, and must
    not be taken for an edit made in Plex then."""
    for seen in plans:
        if seen.item is not None and seen.edits.changes:
            before = kept_before(seen.item, seen.edits, seen.ours)
            sync_state.originals.keep(seen.scene_id, seen.item.rating_key, seen.item.files, before)
        if seen.edits.pending and seen.item is not None:
            sync_state.note_pending(seen.scene_id, seen.item.rating_key, seen.edits.pending)


def record_written(seen: ScenePlan, sync_state: SyncState) -> None:
    """Plex is in sync with this plan now, by our writing or of itself."""
    if seen.fingerprint and seen.item is not None:
        sync_state.record(
            seen.scene_id,
            seen.item.rating_key,
            seen.fingerprint,
            seen.edits.written,
            seen.images,
            seen.edits.pending,
            seen.files,
            seen.item.shown,
        )


def drop_pending_writes(seen: ScenePlan, sync_state: SyncState) -> None:
    """What ``note_pending_writes`` noted of this plan was not written, for certain."""
    if seen.edits.pending and seen.item is not None:
        sync_state.drop_pending(seen.scene_id, seen.item.rating_key, seen.edits.pending)


def note_failure(seen: ScenePlan, outcome: Failed, sync_state: SyncState) -> None:
    """Whether its edits may still land: not if Plex took them before something else failed, nor if it refused them."""
    if seen.landed:
        if seen.edits.pending and seen.item is not None:
            sync_state.pending_landed(seen.scene_id, seen.item.rating_key, seen.edits.pending)
    elif isinstance(outcome.error, SyncFailure) and outcome.error.landed is Landed.NO:
        drop_pending_writes(seen, sync_state)


def forget(scene_id: int, gone: Gone, sync_state: SyncState) -> None:
    """The scene has left Stash. What it had added to its item's shared lists passes to the scenes that share the item,
    which are then compared: they keep of it what they want themselves."""
    memory = sync_state.recall(scene_id)
    for other in gone.sharing:
        known = sync_state.recall(other)
        if memory is not None and known is not None:
            written = planning.inherited(known.written, memory.written)
            sync_state.record(other, known.rating_key, "", written, known.images, files=known.files)
    sync_state.forget(scene_id)


def log_move(level: int, action: str, job: Job, text: str) -> None:
    """One line a move."""
    log.log(level, "%s %s job=%s attempt=%s: %s", action, job.about, job.id, job.attempts, text)
