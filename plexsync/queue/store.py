"""The queue: one SQLite file in persist-queue's own table, with leases, due times and dead letters on top.

What persist-queue 1.1 gives and what it lacks was measured, and the ways of this store answer the findings:

- its ``get`` is a SELECT and an UPDATE, so two processes get one row: here a claim is one transaction;
- its statuses know no owner, so ``auto_resume`` steals from the living and a late ``ack`` or ``nack`` undoes what
  another did: a claim here carries a token, and an owner that lost it is refused (``StaleLease``);
- it cannot wait: ``nack`` puts a row back at the head. Here a row has a time before which no worker claims it;
- finished rows slow it down: partial indexes keep every statement's cost independent of them, and they are pruned;
- its default rows are pickles: here they are JSON with a checksum, and nothing in the file can run code.

Change the row, then move it: every move of a job is one transaction on this one file, the dead letter included, so a
kill at any moment leaves the job in exactly one place. A commit that fails may still have landed; every move may be
repeated.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from plexsync.clock import Clock, SystemClock
from plexsync.core.job import LEASE_S, Counts, Job, Remark, StaleLease, next_batch
from plexsync.queue import events, layout, rows
from plexsync.queue.contract import QueueStore
from plexsync.queue.dead_letters import DeadLetters
from plexsync.queue.file import QueueFile
from plexsync.queue.layout import TABLE
from plexsync.queue.owners import Owners, new_token
from plexsync.queue.spool_reader import SpoolReader
from plexsync.queue.state import State
from plexsync.queue.upkeep import Upkeep

log = logging.getLogger(__name__)

PUT_ROWS = 200  # rows queued or cleared at once: some milliseconds in which no hook can write
ODD_INDEX = "an index of the queue names a row that does not wait"


class Store(QueueStore):
    """The queue of one data folder. Safe to use from several threads of a process and from several processes.

    Raises what ``QueueFile.open`` raises.
    """

    letters: DeadLetters
    spool: SpoolReader
    state: State
    upkeep: Upkeep

    def __init__(
        self, data_dir: str | os.PathLike[str], clock: Clock | None = None, busy_s: float = 10.0
    ) -> None:
        self.data_dir = os.fspath(data_dir)
        self.clock: Clock = clock or SystemClock()
        self._owners = Owners(self.data_dir)
        self.claimed = self._owners.claimed
        self.file = QueueFile(self.data_dir, self.clock, busy_s, self._opened)
        self.path = self.file.path
        self.troubles = self.file.troubles
        self.letters = DeadLetters(self.file)
        self.spool = SpoolReader(self.file)
        self.state = State(self.file)
        self.upkeep = Upkeep(self.file, self._owners, self.state)
        self._open()

    # ---- opening and closing ----

    def _open(self) -> None:
        self.file.open()

    def _opened(self) -> None:
        self.claimed.clear()
        self.upkeep.release_from_the_future()

    def reopen_if_replaced(self) -> bool:
        """Open the file anew when another one lies in its place (deleted, restored from a backup); True if so."""
        return self.file.reopen_if_replaced()

    def close(self) -> None:
        """Close the file. What this object has claimed becomes free for others at once."""
        with self.file.mutex:
            self.file.close()
            self._owners.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_owners" in self.__dict__ and self._owners.has_lock:
            self.close()

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """As ``QueueFile.transaction``."""
        return self.file.transaction()

    # ---- enqueueing ----

    def enqueue(
        self,
        scene_id: int,
        update_type: str = "sync",
        fields: Iterable[str] = (),
        data: dict[str, object] | None = None,
        entity: str = "scene",
    ) -> tuple[int, int]:
        event = events.new_event(scene_id, update_type, sorted(fields), data, self.clock.now(), entity)
        with self.transaction() as db:
            return events.insert(db, event, self.clock.now())

    def enqueue_many(self, scene_ids: Iterable[int], update_type: str = "sync", hurry: bool = True) -> int:
        now = self.clock.now()
        added = 0
        left = iter(scene_ids)
        while some := list(islice(left, PUT_ROWS)):
            edits = [events.new_event(scene_id, update_type, [], now=now) for scene_id in some]
            with self.transaction() as db:
                for event in edits:
                    if hurry or not self._waits(db, event):
                        added += events.insert(db, event, now)[1] == 1
        return added

    def _waits(self, db: sqlite3.Connection, event: Mapping[str, object]) -> bool:
        """Whether a row about the same thing waits."""
        which = f"SELECT 1 FROM {TABLE} WHERE status < 2 AND key = ?"
        return db.execute(which, (events.key_of(event),)).fetchone() is not None

    def enqueue_later(self, scene_id: int, until: float) -> bool:
        now = self.clock.now()
        event = events.new_event(scene_id, "update", [], now=now)
        text = events.encode(event)
        with self.transaction() as db:
            added = db.execute(
                f"INSERT INTO {TABLE} (data, timestamp, status, key, checksum, due_at, decided_at)"
                " VALUES (?, ?, 1, ?, ?, ?, ?) ON CONFLICT (key) WHERE status < 2 DO NOTHING",
                (text, now, events.key_of(event), events.checksum(text), until, now),
            ).rowcount
        return added > 0

    def enqueue_payload(self, payload: object) -> int:
        now = self.clock.now()
        if isinstance(payload, dict) and events.key_of(payload) is not None:
            event = events.completed(payload, now)
            with self.transaction() as db:
                return events.insert(db, event, now)[0]
        text = events.encode(payload)
        with self.transaction() as db:
            row = db.execute(
                f"INSERT INTO {TABLE} (data, timestamp, status, checksum, due_at, decided_at)"
                " VALUES (?1, ?2, 0, ?3, ?2, ?2) RETURNING _id",
                (text, now, events.checksum(text)),
            ).fetchone()
        return int(row[0])

    # ---- claiming ----

    def claim_many(self, limit: int, lease_s: float = LEASE_S) -> list[Job]:
        """As ``QueueStore`` says, all but the first at one stroke."""
        first = self.claim(lease_s)
        if first is None or first.alone:
            return [] if first is None else [first]
        jobs, odd = [first], True
        while odd and len(jobs) < limit:
            some, odd = self._claim_beside(limit - len(jobs), lease_s)
            jobs += some
            job = self.claim(lease_s) if odd else None  # dead-letters what is no job and has the next one
            if job is None:
                break
            if job.alone:
                self.requeue(job)
                break
            jobs.append(job)
        return jobs

    def _claim_beside(self, limit: int, lease_s: float) -> tuple[list[Job], bool]:
        """Claim the next jobs in turn at one stroke, up to one that is handed out alone, or that is no job or cannot be
        read; whether the latter was the end."""
        until = self.clock.monotonic() + lease_s
        claimed: list[Job] = []
        odd = False
        with self.transaction() as db:
            due = db.execute(
                f"SELECT {rows.ROW} FROM {TABLE} AS waiting WHERE status < 2 AND due_at <= ? AND NOT EXISTS"
                f" (SELECT 1 FROM {TABLE} AS busy WHERE busy.status = 2 AND busy.key = waiting.key)"
                " ORDER BY due_at, _id LIMIT ?",
                (self.clock.now(), limit),
            ).fetchall()
            for row in due:
                job, _, damage = rows.read_row(row, new_token())
                odd = damage is not None or not (job.scene_id or job.entity_id)
                if odd or job.alone:
                    break
                claimed.append(replace(job, attempts=job.attempts + 1))
            changed = db.executemany(
                f"UPDATE {TABLE} SET status = 2, attempts = attempts + 1, owner = ?, token = ?, lease_boot = ?,"
                " lease_until = ? WHERE _id = ? AND status < 2",
                [(self._owners.name, job.token, self.clock.boot, until, job.id) for job in claimed],
            ).rowcount
            if claimed and changed != len(claimed):
                raise self.file.damaged(ODD_INDEX)  # as in _lease
        self.claimed |= {job.id: job for job in claimed}
        return claimed, odd

    def claim_row(
        self, lease_s: float = LEASE_S, row_id: int | None = None
    ) -> tuple[Job, object, float] | None:
        self._owners.take_lock()
        self.upkeep.notice_clock()
        now = self.clock.now()
        which = "_id = :row" if row_id is not None else "due_at <= :now"
        free = (
            f"SELECT _id FROM {TABLE} AS waiting WHERE status < 2 AND {which} AND NOT EXISTS"
            f" (SELECT 1 FROM {TABLE} AS busy WHERE busy.status = 2 AND busy.key = waiting.key)"
            " ORDER BY due_at, _id LIMIT 1"
        )
        values: dict[str, object] = {"row": row_id, "now": now}
        while True:
            with self.file.mutex:
                # A look first: it locks nobody out, and usually there is nothing.
                if not self.file.read(free, values):
                    return None
                with self.transaction() as db:
                    found = db.execute(free, values).fetchone()
                    if found is None:
                        return None  # another process was faster
                    job, payload, damage = self._lease(db, found[0], lease_s)
                if damage is None:
                    self.claimed[job.id] = job
                    return job, payload, job.enqueued_at

    def _lease(self, db: sqlite3.Connection, row_id: int, lease_s: float) -> tuple[Job, object, str | None]:
        """Claim a row known to wait: the job, its payload, and what is wrong with it; then it is a dead letter."""
        token = new_token()
        row = db.execute(
            f"UPDATE {TABLE} SET status = 2, attempts = attempts + 1, owner = ?, token = ?, lease_boot = ?,"
            f" lease_until = ? WHERE _id = ? AND status < 2 RETURNING {rows.ROW}",
            (self._owners.name, token, self.clock.boot, self.clock.monotonic() + lease_s, row_id),
        ).fetchone()
        if row is None:
            # Else the same row would be handed out for ever, and all behind it would wait.
            raise self.file.damaged(ODD_INDEX)
        job, payload, damage = rows.read_row(row, token)
        if damage is not None:
            rows.to_dead_letter(db, job.id, token, self.clock.now(), rows.DAMAGED, damage)
            log.error("row %s of the queue is damaged (%s); it is a dead letter now", job.id, damage)
        return job, payload, damage

    def claim_batch(self, limit: int, lease_s: float = LEASE_S) -> list[tuple[Job, object]]:
        self._owners.take_lock()
        self.upkeep.notice_clock()
        now = self.clock.now()
        # Of the text only what may say that it is a barrier; the index keeps finished rows out of it.
        line = f"SELECT _id, key, due_at, CASE WHEN instr(data, 'parallel') THEN data END FROM {TABLE}"
        with self.transaction() as db:
            busy = [rows.in_line(row) for row in db.execute(f"{line} WHERE status = 2")]
            waiting = db.execute(f"{line} INDEXED BY plexsync_due WHERE status < 2 ORDER BY _id")
            chosen = next_batch(map(rows.in_line, waiting), busy, now, limit)
            waiting.close()
            leased = [self._lease(db, row_id, lease_s) for row_id in chosen]
        claimed = [(job, payload) for job, payload, damage in leased if damage is None]
        self.claimed |= {job.id: job for job, _ in claimed}
        return claimed

    def heartbeat(self, job: Job, lease_s: float = LEASE_S) -> None:
        with self.transaction() as db:
            renewed = db.execute(
                f"UPDATE {TABLE} SET lease_boot = ?, lease_until = ? WHERE _id = ? AND status = 2 AND token = ?",
                (self.clock.boot, self.clock.monotonic() + lease_s, job.id, job.token),
            )
            if renewed.rowcount != 1:
                raise StaleLease(f"another owner has job {job.id} now")

    def holds(self, job: Job) -> bool:
        return bool(
            self.file.read(
                f"SELECT 1 FROM {TABLE} WHERE _id = ? AND status = 2 AND token = ?", (job.id, job.token)
            )
        )

    # ---- closing; all raise StaleLease and then have changed nothing ----

    def finish(self, job: Job, note: str = "", remarks: Iterable[tuple[Remark, str]] = ()) -> None:
        remarks = list(remarks)
        with self._closing(job) as db:
            rows.end(db, job.id, job.token, self.clock.now(), note, "finished")
            if remarks:
                db.execute(layout.REMARKS)
                db.executemany(
                    "INSERT INTO remarks VALUES (?, ?, ?)", [(job.id, kind, what) for kind, what in remarks]
                )

    def postpone(self, job: Job, until: float, reason: str, uses_attempt: bool, waits_for: str = "") -> None:
        now = self.clock.now()
        with self._closing(job) as db:
            if rows.newer_waits(db, job.id):
                self._supersede(db, job, f"superseded ({reason})")
                return
            rows.end_claim(
                db,
                job.id,
                job.token,
                status=1,
                due_at=until,
                decided_at=now,
                last_error=reason,
                deaths=0,
                attempts=job.attempts - (0 if uses_attempt else 1),
                first_failed_at=now if job.first_failed_at is None else job.first_failed_at,
            )
            db.execute(layout.WAITS_FOR)
            if waits_for:
                db.execute("INSERT OR REPLACE INTO waits_for VALUES (?, ?)", (job.id, waits_for))
            else:
                db.execute("DELETE FROM waits_for WHERE job_id = ?", (job.id,))

    def requeue(self, job: Job) -> None:
        with self._closing(job) as db:
            if rows.newer_waits(db, job.id):
                self._supersede(db, job, "superseded")
            else:
                rows.end_claim(db, job.id, job.token, status=1, attempts=job.attempts - 1)

    def dead_letter(self, job: Job, error_type: str, message: str, traceback: str = "") -> int | None:
        with self._closing(job) as db:
            if rows.newer_waits(db, job.id):
                self._supersede(db, job, f"superseded ({error_type})")
                return None
            return rows.to_dead_letter(
                db, job.id, job.token, self.clock.now(), error_type, message, traceback
            )

    def _supersede(self, db: sqlite3.Connection, job: Job, note: str) -> None:
        rows.end(db, job.id, job.token, self.clock.now(), note, "superseded")

    @contextmanager
    def _closing(self, job: Job) -> Iterator[sqlite3.Connection]:
        try:
            with self.transaction() as db:
                yield db
        except StaleLease:
            self._owners.forget(job)
            raise
        self._owners.forget(job)

    # ---- persist-queue's own ways to change and list rows ----

    def rewrite(self, row_id: int, payload: object) -> bool:
        """Give a waiting or claimed row another payload about the same thing; False when there is no such row.

        Raises ValueError for a payload about something else.
        """
        text = events.encode(payload)
        with self.transaction() as db:
            row = db.execute(f"SELECT key FROM {TABLE} WHERE _id = ? AND status <= 2", (row_id,)).fetchone()
            if row is None:
                return False
            if row[0] is not None and row[0] != events.key_of(payload):
                raise ValueError(f"row {row_id} is about {row[0]}")
            db.execute(
                f"UPDATE {TABLE} SET data = ?, checksum = ? WHERE _id = ?",
                (text, events.checksum(text), row_id),
            )
        return True

    def all_rows(self) -> list[dict[str, Any]]:
        """Every row as persist-queue lists them: id, data, timestamp, status."""
        found = []
        for row_id, raw, timestamp, status in self.file.read(
            f"SELECT _id, data, timestamp, status FROM {TABLE}"
        ):
            found.append({"id": row_id, "data": rows.as_json(raw), "timestamp": timestamp, "status": status})
        return found

    # ---- looking and clearing ----

    def counts(self) -> Counts:
        now = self.clock.now()
        row = self.file.read(
            f"SELECT (SELECT count(*) FROM {TABLE} WHERE status < 2),"
            f" (SELECT count(*) FROM {TABLE} WHERE status < 2 AND due_at > ?1),"
            f" (SELECT min(due_at) FROM {TABLE} WHERE status < 2),"
            f" (SELECT count(*) FROM {TABLE} WHERE status = 2),"
            f" (SELECT count(*) FROM {TABLE} WHERE status = 9),"
            " (SELECT value FROM tally WHERE name = 'kept'),"
            " (SELECT value FROM tally WHERE name = 'finished'),"
            " (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL)",
            (now,),
        )[0]
        spooled = len(self.spool.files())
        return Counts(
            pending=row[0] + spooled,
            waiting_later=row[1],
            next_due_at=now if spooled else row[2],
            in_progress=row[3],
            failed=row[4],
            completed=row[5],
            finished=row[6],
            dead=row[7],
            spooled=spooled,
        )

    def data_version(self) -> int:
        return int(self.file.read("PRAGMA data_version")[0][0])

    def waiting(self, limit: int = 100) -> list[Job]:
        found = self.file.read(
            f"SELECT {rows.ROW} FROM {TABLE} WHERE status < 2 ORDER BY due_at, _id LIMIT ?", (limit,)
        )
        return [rows.read_row(row, "")[0] for row in found]

    def remarks(self, limit: int = 1000) -> dict[Remark, Counter[str]]:
        found: dict[Remark, Counter[str]] = {kind: Counter() for kind in Remark}
        if self.file.read("SELECT 1 FROM sqlite_master WHERE name = 'remarks'"):
            last = f"SELECT _id FROM {TABLE} WHERE status = 5 ORDER BY finished_at DESC LIMIT ?"
            for kind, what in self.file.read(
                f"SELECT kind, what FROM remarks WHERE job_id IN ({last})", (limit,)
            ):
                found[Remark(kind)][what] += 1
        return found

    def clear_waiting(self) -> int:
        self.spool.merge()
        # What comes while this goes on is of those who queue it, and would give this no end.
        last = self.file.read(f"SELECT max(_id) FROM {TABLE}")[0][0] or 0
        some = (
            f"SELECT _id FROM {TABLE} INDEXED BY plexsync_due WHERE status < 2 AND _id <= ? LIMIT {PUT_ROWS}"
        )
        cleared = 0
        while True:
            with self.transaction() as db:
                gone = db.execute(f"DELETE FROM {TABLE} WHERE _id IN ({some})", (last,)).rowcount
            cleared += gone
            if gone < PUT_ROWS:
                return cleared


class StoreToRead(Store):
    """The queue where it may only be looked at: on a full disk, in a snapshot, in another user's folder.

    What writes raises sqlite3.Error, and so does opening it where SQLite cannot even read it.
    """

    def _open(self) -> None:
        self.file.open_to_read()
