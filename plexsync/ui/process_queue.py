"""The task that works until nothing is due any more, or shows the progress of the worker that does."""

from __future__ import annotations

import logging
import os
import random
from typing import TYPE_CHECKING

from plexsync import hook
from plexsync.core.failures import SERVERS
from plexsync.locks import FileLock
from plexsync.ui.arguments import Args
from plexsync.ui.session import Blocked, Session, blocked
from plexsync.ui.words import REASONS_SHOWN

if TYPE_CHECKING:
    pass

POLL_S = 0.25  # between two looks at a queue a worker drains
PROGRESS_S = 0.5  # between two reports; Stash drops what comes faster
GRACE_S = 2.0  # before an outage or a paused queue ends the wait


def process_queue(session: Session, args: Args) -> dict[str, object]:
    """Make everything due now and work until nothing is, here or by looking on while a worker does.

    Ends early when a server is down or a setting is wrong: what waits for that is done later by the worker, and
    ``reasons`` says why it waits.
    """
    from plexsync.sync.daemon import log_file
    from plexsync.sync.worker import Worker

    store = session.store
    store.spool.merge()
    before = store.counts()
    store.upkeep.release_due()
    for server in SERVERS:  # a person asks: the next probe is due now, and waits grow from the shortest again
        known = store.state.load_breaker(server)
        if known is not None:
            store.state.save_breaker(server, {**known, "probe_at": 0.0, "backoff_s": 0.0})
    watch = _Watch(session)
    lock = FileLock(os.path.join(session.data_dir, hook.WORKER_LOCKS[0]))
    watching = False
    while not watch.is_over():
        if lock.take():  # also when the worker we watched has died
            # Each job's line is expected beside those of the background worker.
            file, ours = log_file(session.data_dir), logging.getLogger("plexsync")
            ours.addHandler(file)
            ours.setLevel(logging.INFO)
            try:
                worker = Worker(store, session.servers, session.clock, random.Random())
                with worker.heartbeats(lock.beat), session.successor():
                    worker.run(should_stop=watch.is_over)
            finally:
                ours.removeHandler(file)
                file.close()
                lock.release()
            continue
        if not watching:
            watching = True
            session.tell("A worker is running already; this shows its progress.")
        session.wake()  # another one, should that worker be frozen
        session.clock.sleep(POLL_S)
    session.wake()
    after = store.counts()
    session.progress(1.0)
    done, dead = after.finished - before.finished, max(after.dead - before.dead, 0)
    waiting = after.pending + after.in_progress
    # Each cause once: a thousand scenes that need the same server are one line.
    causes = dict.fromkeys(job.last_error for job in store.waiting() if job.last_error)
    reasons = [watch.blocked.sentence] if watch.blocked else list(causes)[:REASONS_SHOWN]
    session.tell(f"{done} done, {dead} dead-lettered, {waiting} still pending.")
    for reason in reasons:
        session.warn(reason)
    return {"done": done, "dead": dead, "waiting": waiting, "reasons": reasons}


class _Watch:
    """Whether the wait for the queue is over, why something still waits, and the progress on the way."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.blocked: Blocked | None = None  # why what is due is not being done
        self._began = session.clock.monotonic()
        self._most = 0
        self._shown = 0.0
        self._shown_at = 0.0

    def is_over(self) -> bool:
        counts = self.session.store.counts()
        left = counts.pending - counts.waiting_later + counts.in_progress
        self._show(left)
        if not left:
            self.blocked = blocked(self.session.store) if counts.pending else None
            return True
        if self.session.clock.monotonic() - self._began > GRACE_S and not counts.in_progress:
            self.blocked = blocked(self.session.store)
        return self.blocked is not None

    def _show(self, left: int) -> None:
        self._most = max(self._most, left)
        now = self.session.clock.monotonic()
        if self._most and now - self._shown_at >= PROGRESS_S:
            self._shown = max(self._shown, 1 - left / self._most)  # new edits make it pause, never go back
            self._shown_at = now
            self.session.progress(self._shown)
