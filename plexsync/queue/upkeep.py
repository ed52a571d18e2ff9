"""What keeps a queue going and small: expired leases, clocks that were set back, finished rows, the log, damage."""

from __future__ import annotations

import logging

from plexsync.core.job import DEATHS_MAX, due_after
from plexsync.queue import layout, rows
from plexsync.queue.file import QueueFile
from plexsync.queue.layout import TABLE
from plexsync.queue.owners import Owners, new_token
from plexsync.queue.state import State

log = logging.getLogger(__name__)

LOG_PAGES_ODD = 5_000  # five times what a log has when no reader stands in the way of copying it back
EXAMINE_S = 86_400.0  # between two looks through the whole file
PRUNE_ROWS = 500  # rows deleted at once: some milliseconds in which no hook can write
SPOOL_KEPT_S = 30 * 86400.0  # how long the ids of merged spool files are remembered


class Upkeep:
    """The upkeep of one queue. All of it raises sqlite3.Error."""

    def __init__(self, file: QueueFile, owners: Owners, state: State) -> None:
        self._file = file
        self._owners = owners
        self._state = state
        self._last_now = file.clock.now()

    # ---- leases ----

    def recover(self) -> int:
        """Requeue jobs whose lease expired or whose owner died; those that keep crashing workers become dead letters.

        How many rows moved.

        An owner is dead when its lock is free; a lease is expired when it ran out in monotonic time or in an earlier
        boot of the machine. What a living owner has claimed is never touched before its lease is over.
        """
        moved = 0
        self.release_from_the_future()
        clock = self._file.clock
        with self._file.mutex:
            leases = self._file.read(
                f"SELECT _id, owner, token, lease_boot, lease_until FROM {TABLE} WHERE status = 2"
            )
            ours = {job.id: job.token for job in self._owners.claimed.values()}
        dead: dict[str, bool] = {}
        for row_id, owner, token, boot, until in leases:
            if owner == self._owners.name:
                if ours.get(row_id) != token:  # our claim whose commit seemed to fail
                    moved += self._requeue(row_id, token)
                continue
            expired = boot != clock.boot or until is None or until < clock.monotonic()
            if not expired:
                if owner not in dead:
                    dead[owner] = self._owners.is_dead(owner)
                if not dead[owner]:
                    continue
            moved += self._requeue(row_id, token)
        self._owners.sweep()
        return moved

    def _requeue(self, row_id: int, token: str | None) -> int:
        """End a claim whose owner died or lost its lease; 0 when another process was faster."""
        now = self._file.clock.now()
        with self._file.transaction() as db:
            row = db.execute(
                f"SELECT deaths FROM {TABLE} WHERE _id = ? AND status = 2 AND token IS ?", (row_id, token)
            ).fetchone()
            if row is None:
                return 0
            deaths = int(row[0]) + 1
            if token is None:  # claimed by plain persist-queue, which knows no leases
                token = new_token()
                db.execute(f"UPDATE {TABLE} SET token = ? WHERE _id = ?", (token, row_id))
            if rows.newer_waits(db, row_id):
                rows.end(db, row_id, token, now, "superseded (its worker died)", "superseded")
            elif deaths >= DEATHS_MAX:
                log.error("job %s crashed its worker %s times; it is a dead letter now", row_id, deaths)
                why = f"worker died: {deaths} workers in a row ended while working on it"
                rows.to_dead_letter(db, row_id, token, now, "WorkerDied", why)
            else:
                rows.end_claim(
                    db,
                    row_id,
                    token,
                    status=1,
                    deaths=deaths,
                    due_at=due_after(deaths, now),
                    decided_at=now,
                    last_error="its worker died or lost its lease",
                )
        return 1

    # ---- what is due ----

    def notice_clock(self) -> None:
        """When the wall clock went back, what was to wait until a time now far away is due at once."""
        now = self._file.clock.now()
        if now < self._last_now:
            self.release_from_the_future()
        self._last_now = now

    def release_from_the_future(self) -> None:
        """What was decided at a time that is yet to come was decided by a clock that has been set back since."""
        now = self._file.clock.now()
        which = "status < 2 AND due_at > ?1 AND decided_at > ?1"
        if self._file.read(f"SELECT 1 FROM {TABLE} WHERE {which} LIMIT 1", (now,)):
            with self._file.transaction() as db:
                db.execute(f"UPDATE {TABLE} SET due_at = ?1, decided_at = ?1 WHERE {which}", (now,))

    def release_due(self, waits_for: str | None = None) -> int:
        """Make postponed rows due now, all or those that wait for one server; how many."""
        of_server = (
            "" if waits_for is None else " AND _id IN (SELECT job_id FROM waits_for WHERE server = ?2)"
        )
        with self._file.transaction() as db:
            db.execute(layout.WAITS_FOR)
            return db.execute(
                f"UPDATE {TABLE} SET due_at = ?1, decided_at = ?1 WHERE status < 2 AND due_at > ?1{of_server}",
                (self._file.clock.now(), *([] if waits_for is None else [waits_for])),
            ).rowcount

    # ---- size ----

    def prune(self, keep: int) -> int:
        """Delete the oldest finished rows beyond ``keep``, at most PRUNE_ROWS at a time; how many."""
        over = int(self._file.read("SELECT value FROM tally WHERE name = 'kept'")[0][0]) - keep
        if over <= 0:
            return 0
        with self._file.transaction() as db:
            return db.execute(
                f"DELETE FROM {TABLE} WHERE _id IN"
                f" (SELECT _id FROM {TABLE} WHERE status = 5 ORDER BY finished_at LIMIT ?)",
                (min(over, PRUNE_ROWS),),
            ).rowcount

    def tidy(self) -> None:
        """Copy the write-ahead log back and cut it to nothing, so that it cannot grow for ever; for an idle moment.

        While another program reads at the same time this does nothing: to wait for a reader is to lock hooks out.
        """
        self._drop("spooled", f"merged_at < {self._file.clock.now() - SPOOL_KEPT_S}")
        for table, live in (("waits_for", "status <= 2"), ("remarks", "status = 5")):
            if self._file.read("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)):
                self._drop(table, f"job_id NOT IN (SELECT _id FROM {TABLE} WHERE {live})")
        with self._file.mutex:
            db = self._file.db
            db.execute("PRAGMA busy_timeout=0")
            try:
                busy, pages, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                db.execute(f"PRAGMA busy_timeout={self._file.busy_ms}")
        checked = self._state.load("examined_at")
        if checked is None or not 0 <= self._file.clock.now() - float(checked) < EXAMINE_S:
            self.examine()
        if busy and pages > LOG_PAGES_ODD:
            log.warning(
                "the queue's write-ahead log has grown to %s pages, because another program keeps reading %s",
                pages,
                self._file.path,
            )

    def _drop(self, table: str, which: str) -> None:
        if self._file.read(f"SELECT 1 FROM {table} WHERE {which} LIMIT 1"):
            with self._file.transaction() as db:
                db.execute(f"DELETE FROM {table} WHERE {which}")

    def examine(self) -> None:
        """Read the file from end to end; hooks write on meanwhile. An index that has lost a row hides it from all that
        is quick, so this is done from time to time.

        Raises sqlite3.DatabaseError when it is damaged; opening it anew then mends it.
        """
        found = self._file.read("PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise self._file.damaged(f"the queue {self._file.path} is damaged: {found}")
        self._state.save("examined_at", str(self._file.clock.now()))
