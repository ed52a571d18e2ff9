"""The door to the queue: one SQLite file, persist-queue's SQLiteAckQueue underneath, leases and dead letters on top.

What persist-queue 1.1 gives and what it lacks was measured, and each override below answers one finding:

- its ``get`` is a SELECT and an UPDATE, so two processes get one row: ours is one statement (``_pop``);
- its statuses know no owner, so ``auto_resume`` steals from the living and a late ``ack`` or ``nack`` undoes what
  another did: a claim here carries a token, and whoever no longer holds it is refused (``StaleLease``);
- it cannot wait: ``nack`` puts a row back at the head. Here a row has a time before which nobody claims it;
- finished rows slow it down: partial indexes keep every statement's cost independent of them, and they are pruned;
- its default rows are pickles: ours are JSON with a checksum, and nothing in the file can run code.

Change the row, then move it: every move of a job is one transaction on this one file, the dead letter included, so a
kill at any moment leaves the job in exactly one place. A commit that fails may still have landed; every move may be
repeated.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from persistqueue.sqlackqueue import AckStatus, SQLiteAckQueue

from plexsync.clock import Clock, SystemClock
from plexsync.core.job import (
    DEATHS_MAX,
    LEASE_S,
    Counts,
    DeadLetter,
    InLine,
    Job,
    StaleLease,
    due_after,
    next_batch,
)
from plexsync.locks import FileLock
from plexsync.queue import intake, recovery
from plexsync.queue.door import Door
from plexsync.queue.intake import TABLE

log = logging.getLogger(__name__)

__all__ = ["LEASE_S", "Counts", "DeadLetter", "LeasedAckQueue", "StaleLease", "Store", "StoreToRead"]

SQLITE_LEAST = (3, 35)  # for RETURNING; a Python may be newer than the system's SQLite it was built with
DAMAGED = "DamagedRow"  # the error type of a row that cannot be read
LOG_BYTES = 4_000_000  # the write-ahead log is cut to this once it has been copied back
LOG_PAGES_ODD = 5_000  # five times what a log has when nobody stands in the way of copying it back
EXAMINE_S = 86_400.0  # between two looks through the whole file
PRUNE_ROWS = 500  # rows deleted at once: some milliseconds in which no hook can write
PUT_ROWS = 200  # rows queued at once: the same
SPOOL_KEPT_S = 30 * 86400.0  # how long the ids of merged spool files are remembered
HALF_WRITTEN_S = 60.0  # a spool file without its final name that is older than this has lost its writer


class _Json:
    """persist-queue's serializer seam."""

    @staticmethod
    def dumps(value: object) -> str:
        return intake.encode(value)

    @staticmethod
    def loads(raw: str | bytes) -> object:
        return json.loads(raw)


class LeasedAckQueue(SQLiteAckQueue):
    """persist-queue's own queue over our file: its names and its JSON rows, our claims.

    ``get(raw=True)`` gives ``{"pqid", "data", "timestamp"}`` as always; ``ack``, ``nack`` and ``ack_failed`` act only
    while the claim made by this object still stands, and give None when it does not.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        super().__init__(os.path.dirname(store.path), auto_resume=False, serializer=_Json)

    def _new_db_connection(self, path: str, multithreading: bool, timeout: float) -> sqlite3.Connection:
        return self._store.db

    def _count(self) -> int:
        return self._store.counts().pending

    def _ack_count_via_status(self, status: str) -> int:
        counts = self._store.counts()
        waiting = {AckStatus.inited: counts.pending, AckStatus.ready: counts.pending}
        other = {
            AckStatus.unack: counts.in_progress,
            AckStatus.acked: counts.completed,
            AckStatus.ack_failed: counts.failed,
        }
        return (waiting | other)[status]

    @property
    def size(self) -> int:
        """Waiting jobs now, those of other processes too (persist-queue counts only its own)."""
        return self._count()

    def put(self, item: Any) -> int:
        """Queue a job dict as ``sync_queue.enqueue`` makes it, or any other JSON value as a row of its own.

        Raises ValueError for None, which ``get`` could not tell from an empty queue.
        """
        if item is None:
            raise ValueError("None cannot be queued")
        row_id = self._store.enqueue_payload(item)
        self.put_event.set()
        return row_id

    def _pop(  # type: ignore[override]  # as SQLiteAckQueue, which differs from its own base
        self, rowid: int | None = None, next_in_order: bool = False, raw: bool = False
    ) -> Any:
        with self.action_lock:
            claimed = self._store.claim_row(row_id=None if next_in_order else rowid)
            if claimed is None:
                return None
            job, payload, timestamp = claimed
            self._unack_cache[job.id] = payload
            return {"pqid": job.id, "data": payload, "timestamp": timestamp} if raw else payload

    def _mark_ack_status(self, key: int, status: str) -> None:
        job = self._store.held.get(key)
        if job is None:
            raise StaleLease(f"job {key} is not claimed by this queue")
        if status == AckStatus.acked:
            self._store.finish(job, "acknowledged")
        elif status == AckStatus.ready:
            self._store.postpone(job, self._store.clock.now(), "given back", uses_attempt=True)
        else:
            self._store.dead_letter(job, "Failed", "marked as failed by its worker")

    def ack(self, item: Any = None, id: int | None = None) -> int | None:
        return self._unless_stale(super().ack, item, id)

    def nack(self, item: Any = None, id: int | None = None) -> int | None:
        return self._unless_stale(super().nack, item, id)

    def ack_failed(self, item: Any = None, id: int | None = None) -> int | None:
        return self._unless_stale(super().ack_failed, item, id)

    def _unless_stale(self, act: Any, item: Any, id: int | None) -> int | None:
        try:
            done: int | None = act(item, id)
        except StaleLease as stale:
            log.warning("%s", stale)
            return None
        return done

    def update(  # type: ignore[override]  # as SQLiteAckQueue, which differs from its own base
        self, item: Any, id: int | None = None
    ) -> int | None:
        """Change what a waiting or claimed row holds; None, and nothing changed, when there is no such row."""
        if isinstance(item, dict) and "pqid" in item:
            id, item = item["pqid"] if id is None else id, item.get("data")
        if id is None:
            raise ValueError("Provide an id or raw item")
        return id if self._store.rewrite(id, item) else None

    def queue(self) -> list[dict[str, Any]]:
        """Every row; a damaged one with its raw text as data."""
        return self._store.rows()

    def resume_unack_tasks(self) -> None:
        """Give back what the dead hold; never what a living owner does."""
        self._store.recover()

    def clear_acked_data(
        self, max_delete: int = 1000, keep_latest: int = 1000, clear_ack_failed: bool = False
    ) -> None:
        """Delete the oldest finished rows beyond ``keep_latest``; what failed goes with its dead letter only."""
        while max_delete > 0 and (gone := self._store.prune(keep_latest)):
            max_delete -= gone

    def close(self) -> None:
        """The connection belongs to the store, which closes it."""

    __del__ = close


class Store(Door):
    """The queue of one data folder.

    Raises recovery.Refused when the file was made by a newer PlexSync or SQLite is too old, sqlite3.Error and OSError
    when it cannot be opened or made. A damaged or foreign file is set aside first, see ``rescue``; ``troubles`` then
    says so. Safe to use from several threads of a process and from several processes.
    """

    def __init__(
        self, data_dir: str | os.PathLike[str], clock: Clock | None = None, busy_s: float = 10.0
    ) -> None:
        self.data_dir = os.fspath(data_dir)
        self.path = intake.queue_file(self.data_dir)
        self.clock: Clock = clock or SystemClock()
        self.held: dict[int, Job] = {}  # what this object has claimed and not yet closed, by row id
        self.owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._owner_lock: FileLock | None = None
        self._mutex = threading.RLock()
        self._busy_ms = int(busy_s * 1000)
        self._depth = 0  # of nested transactions
        self._last_now = self.clock.now()
        self._unreadable: set[str] = set()  # spool files complained of already
        self.troubles: list[str] = []
        self._identity = (0, 0)
        self._open()

    # ---- opening and closing ----

    def _open(self) -> None:
        if sqlite3.sqlite_version_info < SQLITE_LEAST:
            raise recovery.Refused(
                f"PlexSync needs SQLite {'.'.join(map(str, SQLITE_LEAST))} or newer, and {sys.executable} has "
                f"{sqlite3.sqlite_version}. Name another Python in Stash: Settings, System, Python executable path."
            )
        db = self._connect()
        if db is None:
            troubles = recovery.make_usable(self.path, self.clock.now())
            for trouble in troubles:
                log.error("%s", trouble)
            self.troubles += troubles
            self._identity = intake.identity(self.path)
            db = intake.connect(self.path, self._busy_ms)
        self.db = db
        self.queue = LeasedAckQueue(self)
        db.text_factory = intake.as_text  # persist-queue has set its own
        db.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        self._release_from_the_future()

    def _connect(self) -> sqlite3.Connection | None:
        """The file as it is when all looks well at first sight, else None."""
        self._identity = intake.identity(self.path)
        if not recovery.is_in_order(self.path):
            return None
        try:
            db = intake.connect(self.path, self._busy_ms)
        except (sqlite3.DatabaseError, FileNotFoundError):
            return None
        try:
            recovery.look_through(db)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            db.close()
            return None
        return db

    def reopen_if_replaced(self) -> bool:
        """Open the file anew when another one lies in its place (deleted, restored from a backup); True if so.

        What waited in the old one, which only this process can still read, is taken over.
        """
        with self._mutex:
            if self._depth or intake.identity(self.path) == self._identity:
                return False
            log.error(
                "the queue file %s was replaced or deleted while in use; opening what is there now", self.path
            )
            recovery.keep_replaced(self.path, self.db)
            self.db.close()
            self.held.clear()
            self._open()
        return True

    def close(self) -> None:
        """Let go of the file. What this object still holds becomes free for others at once."""
        with self._mutex:
            self.db.close()
            if self._owner_lock is not None:
                self._owner_lock.release()
                _unlink(self._owner_lock.path)
                self._owner_lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_owner_lock", None) is not None:
            self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; rolled back when anything in it fails, part of the outer one inside another.

        Raises sqlite3.Error. After one, what was done may be there or not, and may be done again.
        """
        with self._mutex:
            if self._depth:
                yield self.db
                return
            self.reopen_if_replaced()
            with self._noticing_damage():
                self.db.execute("BEGIN IMMEDIATE")
                self._depth += 1
                try:
                    yield self.db
                    self.db.execute("COMMIT")
                except BaseException:
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")
                    raise
                finally:
                    self._depth -= 1
            if intake.identity(self.path) != self._identity:
                raise sqlite3.OperationalError(f"the queue file {self.path} was replaced at this very moment")

    def _read(self, sql: str, values: tuple[object, ...] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, at one instant, whatever other threads of ours are doing."""
        with self._mutex, self._noticing_damage():
            return self.db.execute(sql, values).fetchall()

    @contextmanager
    def _noticing_damage(self) -> Iterator[None]:
        """Damage that shows while the queue is in use has the whole file looked through when it is opened next."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if recovery.is_damage(error):
                recovery.suspect(self.path)
            raise
        except UnicodeDecodeError:
            recovery.suspect(self.path)
            raise sqlite3.DatabaseError(intake.GARBLED) from None

    # ---- putting ----

    def enqueue(
        self,
        scene_id: int,
        update_type: str = "sync",
        fields: Iterable[str] = (),
        data: dict[str, object] | None = None,
        entity: str = "scene",
    ) -> tuple[int, int]:
        """Queue a look at one scene: (row id, generation). Generation above 1: it joined a row that waits already.

        With another ``entity`` the id is that entity's, and the look is at all its scenes.
        """
        event = intake.new_event(scene_id, update_type, sorted(fields), data, self.clock.now(), entity)
        with self.transaction() as db:
            return intake.insert(db, event, self.clock.now())

    def enqueue_many(self, scene_ids: Iterable[int], update_type: str = "sync", hurry: bool = True) -> int:
        """Queue many scenes, some at a time; how many were not waiting already.

        Without ``hurry`` those stay as they are: a look at them is to come, and has its reasons to wait.
        """
        now = self.clock.now()
        added = 0
        left = iter(scene_ids)
        while some := list(islice(left, PUT_ROWS)):
            events = [intake.new_event(scene_id, update_type, [], now=now) for scene_id in some]
            with self.transaction() as db:
                for event in events:
                    if hurry or not self._waits(db, event):
                        added += intake.insert(db, event, now)[1] == 1
        return added

    def _waits(self, db: sqlite3.Connection, event: Mapping[str, object]) -> bool:
        """Whether a row about the same thing waits."""
        which = f"SELECT 1 FROM {TABLE} WHERE status < 2 AND key = ?"
        return db.execute(which, (intake.key_of(event),)).fetchone() is not None

    def enqueue_later(self, scene_id: int, until: float) -> bool:
        """Queue a look at a scene for the wall time ``until``; False when one waits already, which stays as it is.

        An edit that comes meanwhile joins it as it would any other, and makes it due at once.
        """
        now = self.clock.now()
        event = intake.new_event(scene_id, "update", [], now=now)
        text = intake.encode(event)
        with self.transaction() as db:
            added = db.execute(
                f"INSERT INTO {TABLE} (data, timestamp, status, key, checksum, due_at, decided_at)"
                " VALUES (?, ?, 1, ?, ?, ?, ?) ON CONFLICT (key) WHERE status < 2 DO NOTHING",
                (text, now, intake.key_of(event), intake.checksum(text), until, now),
            ).rowcount
        return added > 0

    def enqueue_payload(self, payload: object) -> int:
        """Queue whatever JSON holds; a job dict that names its scene joins the scene's waiting row."""
        now = self.clock.now()
        if isinstance(payload, dict) and intake.key_of(payload) is not None:
            event = intake.completed(payload, now)
            with self.transaction() as db:
                return intake.insert(db, event, now)[0]
        text = intake.encode(payload)
        with self.transaction() as db:
            row = db.execute(
                f"INSERT INTO {TABLE} (data, timestamp, status, checksum, due_at, decided_at)"
                " VALUES (?1, ?2, 0, ?3, ?2, ?2) RETURNING _id",
                (text, now, intake.checksum(text)),
            ).fetchone()
        return int(row[0])

    # ---- claiming ----

    def claim_many(self, limit: int, lease_s: float = LEASE_S) -> list[Job]:
        """As any store does, all but the first at one stroke."""
        first = self.claim(lease_s)
        if first is None or first.alone:
            return [] if first is None else [first]
        jobs, odd = [first], True
        while odd and len(jobs) < limit:
            some, odd = self._claim_beside(limit - len(jobs), lease_s)
            jobs += some
            job = self.claim(lease_s) if odd else None  # buries what is no job and has the next one
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
            rows = db.execute(
                f"SELECT {_ROW} FROM {TABLE} AS waiting WHERE status < 2 AND due_at <= ? AND NOT EXISTS"
                f" (SELECT 1 FROM {TABLE} AS busy WHERE busy.status = 2 AND busy.key = waiting.key)"
                " ORDER BY due_at, _id LIMIT ?",
                (self.clock.now(), limit),
            ).fetchall()
            for row in rows:
                job, _, damage = _read_row(row, self._new_token())
                odd = damage is not None or not (job.scene_id or job.entity_id)
                if odd or job.alone:
                    break
                claimed.append(replace(job, attempts=job.attempts + 1))
            changed = db.executemany(
                f"UPDATE {TABLE} SET status = 2, attempts = attempts + 1, owner = ?, token = ?, lease_boot = ?,"
                " lease_until = ? WHERE _id = ? AND status < 2",
                [(self.owner, job.token, self.clock.boot, until, job.id) for job in claimed],
            ).rowcount
            if claimed and changed != len(claimed):
                # As in claim_row.
                recovery.suspect(self.path)
                raise sqlite3.DatabaseError("an index of the queue names a row that does not wait")
        self.held |= {job.id: job for job in claimed}
        return claimed, odd

    def claim_row(
        self, lease_s: float = LEASE_S, row_id: int | None = None
    ) -> tuple[Job, object, float] | None:
        self._take_owner_lock()
        self._notice_clock()
        now = self.clock.now()
        which = "_id = :row" if row_id is not None else "due_at <= :now"
        free = (
            f"SELECT _id FROM {TABLE} AS waiting WHERE status < 2 AND {which} AND NOT EXISTS"
            f" (SELECT 1 FROM {TABLE} AS busy WHERE busy.status = 2 AND busy.key = waiting.key)"
            " ORDER BY due_at, _id LIMIT 1"
        )
        values: dict[str, object] = {"row": row_id, "now": now}
        while True:
            with self._mutex:
                # A look first: it locks nobody out, and usually there is nothing.
                if not self._read(free, values):
                    return None
                with self.transaction() as db:
                    found = db.execute(free, values).fetchone()
                    if found is None:
                        return None  # somebody was faster
                    job, payload, damage = self._lease(db, found[0], lease_s)
                if damage is None:
                    self.held[job.id] = job
                    return job, payload, job.enqueued_at

    def _lease(self, db: sqlite3.Connection, row_id: int, lease_s: float) -> tuple[Job, object, str | None]:
        """Claim a row known to wait: the job, its payload, and what is wrong with it; then it is a dead letter."""
        token = self._new_token()
        row = db.execute(
            f"UPDATE {TABLE} SET status = 2, attempts = attempts + 1, owner = ?, token = ?, lease_boot = ?,"
            f" lease_until = ? WHERE _id = ? AND status < 2 RETURNING {_ROW}",
            (self.owner, token, self.clock.boot, self.clock.monotonic() + lease_s, row_id),
        ).fetchone()
        if row is None:
            # Else the same row would be handed out for ever, and all behind it would wait.
            recovery.suspect(self.path)
            raise sqlite3.DatabaseError("an index of the queue names a row that does not wait")
        job, payload, damage = _read_row(row, token)
        if damage is not None:
            self._to_dead_letter(db, job.id, token, DAMAGED, damage, "")
            log.error("row %s of the queue is damaged (%s); it is a dead letter now", job.id, damage)
        return job, payload, damage

    def claim_batch(self, limit: int, lease_s: float = LEASE_S) -> list[tuple[Job, object]]:
        """Claim jobs in the order they were put: up to ``limit`` parallel ones together, or one sequential job alone.

        A job is sequential when its payload says ``"parallel": false``. It is a barrier, also while it is postponed:
        it starts when all before it are closed, and nothing behind it starts before it is closed.
        """
        self._take_owner_lock()
        self._notice_clock()
        now = self.clock.now()
        # Of the text only what may say that it is a barrier; the index keeps finished rows out of it.
        line = f"SELECT _id, key, due_at, CASE WHEN instr(data, 'parallel') THEN data END FROM {TABLE}"
        with self.transaction() as db:
            busy = [_in_line(row) for row in db.execute(f"{line} WHERE status = 2")]
            waiting = db.execute(f"{line} INDEXED BY plexsync_due WHERE status < 2 ORDER BY _id")
            chosen = next_batch(map(_in_line, waiting), busy, now, limit)
            waiting.close()
            leased = [self._lease(db, row_id, lease_s) for row_id in chosen]
        claimed = [(job, payload) for job, payload, damage in leased if damage is None]
        self.held |= {job.id: job for job, _ in claimed}
        return claimed

    def heartbeat(self, job: Job, lease_s: float = LEASE_S) -> None:
        """The lease runs from now again. Raises StaleLease."""
        with self.transaction() as db:
            _changed(
                job,
                db.execute(
                    f"UPDATE {TABLE} SET lease_boot = ?, lease_until = ? WHERE _id = ? AND status = 2 AND token = ?",
                    (self.clock.boot, self.clock.monotonic() + lease_s, job.id, job.token),
                ),
            )

    def holds(self, job: Job) -> bool:
        """Whether nobody has taken the job over; a look that costs microseconds."""
        return bool(
            self._read(
                f"SELECT 1 FROM {TABLE} WHERE _id = ? AND status = 2 AND token = ?", (job.id, job.token)
            )
        )

    # ---- closing; all raise StaleLease and then have changed nothing ----

    def finish(self, job: Job, note: str = "") -> None:
        """The job is done; ``note`` says how, in a word or two."""
        with self._closing(job) as db:
            self._end(db, job, note, "finished")

    def postpone(self, job: Job, until: float, reason: str, uses_attempt: bool, waits_for: str = "") -> None:
        """The job is due at the wall time ``until``, or when ``release_due(waits_for)`` says so.

        A newer edit of its scene that waits already takes its place.
        """
        with self._closing(job) as db:
            if self._newer_waits(db, job):
                self._end(db, job, f"superseded ({reason})", "superseded")
                return
            now = self.clock.now()
            _changed(
                job,
                db.execute(
                    f"UPDATE {TABLE} SET status = 1, due_at = ?, decided_at = ?, last_error = ?, deaths = 0,"
                    " attempts = attempts - ?, first_failed_at = coalesce(first_failed_at, ?),"
                    " owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL"
                    " WHERE _id = ? AND status = 2 AND token = ?",
                    (until, now, reason, 0 if uses_attempt else 1, now, job.id, job.token),
                ),
            )
            db.execute(intake.WAITS_FOR)
            if waits_for:
                db.execute("INSERT OR REPLACE INTO waits_for VALUES (?, ?)", (job.id, waits_for))
            else:
                db.execute("DELETE FROM waits_for WHERE job_id = ?", (job.id,))

    def requeue(self, job: Job) -> None:
        with self._closing(job) as db:
            if self._newer_waits(db, job):
                self._end(db, job, "superseded", "superseded")
                return
            _changed(
                job,
                db.execute(
                    f"UPDATE {TABLE} SET status = 1, attempts = attempts - 1,"
                    " owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL"
                    " WHERE _id = ? AND status = 2 AND token = ?",
                    (job.id, job.token),
                ),
            )

    def dead_letter(self, job: Job, error_type: str, message: str, traceback: str = "") -> int | None:
        with self._closing(job) as db:
            if self._newer_waits(db, job):
                self._end(db, job, f"superseded ({error_type})", "superseded")
                return None
            return self._to_dead_letter(db, job.id, job.token, error_type, message, traceback)

    @contextmanager
    def _closing(self, job: Job) -> Iterator[sqlite3.Connection]:
        try:
            with self.transaction() as db:
                yield db
        except StaleLease:
            self._forget(job)
            raise
        self._forget(job)

    def _forget(self, job: Job) -> None:
        with self._mutex:
            held = self.held.get(job.id)
            if held is not None and held.token == job.token:  # else we have claimed the same row anew since
                del self.held[job.id]

    def _newer_waits(self, db: sqlite3.Connection, job: Job) -> bool:
        return (
            db.execute(
                f"SELECT 1 FROM {TABLE} WHERE status < 2 AND key = (SELECT key FROM {TABLE} WHERE _id = ?)",
                (job.id,),
            ).fetchone()
            is not None
        )

    def _end(self, db: sqlite3.Connection, job: Job, note: str, tally: str) -> None:
        _changed(
            job,
            db.execute(
                f"UPDATE {TABLE} SET status = 5, finished_at = ?, note = ?,"
                " owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL"
                " WHERE _id = ? AND status = 2 AND token = ?",
                (self.clock.now(), note, job.id, job.token),
            ),
        )
        db.execute("UPDATE tally SET value = value + 1 WHERE name = ?", (tally,))

    def _to_dead_letter(
        self, db: sqlite3.Connection, row_id: int, token: str, error_type: str, message: str, traceback: str
    ) -> int:
        now = self.clock.now()
        letter = db.execute(
            "INSERT INTO dead_letters (job_id, key, scene_id, data, error_type, message, traceback, attempts,"
            " generation, enqueued_at, first_failed_at, failed_at)"
            " SELECT _id, key, CASE WHEN key LIKE 'scene:%' THEN CAST(substr(key, 7) AS INTEGER) END, data,"
            " ?, ?, ?, attempts, generation, timestamp,"
            f" coalesce(first_failed_at, ?), ? FROM {TABLE} WHERE _id = ? AND status = 2 AND token = ? RETURNING id",
            (error_type, message, traceback, now, now, row_id, token),
        ).fetchone()
        if letter is None:
            raise StaleLease(f"job {row_id} is no longer ours")
        db.execute(
            f"UPDATE {TABLE} SET status = 9, finished_at = ?, note = ?, last_error = ?,"
            " owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL WHERE _id = ?",
            (now, error_type, message, row_id),
        )
        return int(letter[0])

    # ---- persist-queue's own ways to change and list rows ----

    def rewrite(self, row_id: int, payload: object) -> bool:
        """Give a waiting or claimed row another payload about the same thing; False when there is no such row.

        Raises ValueError for a payload about something else.
        """
        text = intake.encode(payload)
        with self.transaction() as db:
            row = db.execute(f"SELECT key FROM {TABLE} WHERE _id = ? AND status <= 2", (row_id,)).fetchone()
            if row is None:
                return False
            if row[0] is not None and row[0] != intake.key_of(payload):
                raise ValueError(f"row {row_id} is about {row[0]}")
            db.execute(
                f"UPDATE {TABLE} SET data = ?, checksum = ? WHERE _id = ?",
                (text, intake.checksum(text), row_id),
            )
        return True

    def rows(self) -> list[dict[str, Any]]:
        """Every row as persist-queue lists them: id, data, timestamp, status."""
        found = []
        for row_id, raw, timestamp, status in self._read(f"SELECT _id, data, timestamp, status FROM {TABLE}"):
            found.append({"id": row_id, "data": _as_json(raw), "timestamp": timestamp, "status": status})
        return found

    # ---- recovery ----

    def _new_token(self) -> str:
        return os.urandom(8).hex()

    def _take_owner_lock(self) -> None:
        """From the first claim on, a lock that is free exactly when this process is gone says whether we live."""
        with self._mutex:  # threads that share the store share the lock
            if self._owner_lock is not None:
                return
            folder = os.path.join(self.data_dir, "owners")
            os.makedirs(folder, mode=0o700, exist_ok=True)
            lock = FileLock(os.path.join(folder, self.owner + ".lock"))
            # Somebody who looks for the dead may meet the file before it is locked, take it for litter and delete it.
            while not (lock.take() and intake.identity(lock.path) == _identity_of(lock.fd)):
                lock.release()
            self._owner_lock = lock

    def recover(self) -> int:
        """Requeue jobs whose lease expired or whose owner died; those that keep crashing workers become dead letters.

        How many rows moved.

        An owner is dead when its lock is free; it is expired when its lease ran out in monotonic time or in an
        earlier boot of the machine. What a living owner holds is never touched before its lease is over.
        """
        moved = 0
        self._release_from_the_future()
        with self._mutex:
            leases = self._read(
                f"SELECT _id, owner, token, lease_boot, lease_until FROM {TABLE} WHERE status = 2"
            )
            ours = {job.id: job.token for job in self.held.values()}
        dead: dict[str, bool] = {}
        for row_id, owner, token, boot, until in leases:
            if owner == self.owner:
                if ours.get(row_id) != token:  # our claim whose commit seemed to fail
                    moved += self._take_back(row_id, token)
                continue
            expired = boot != self.clock.boot or until is None or until < self.clock.monotonic()
            if not expired:
                if owner not in dead:
                    dead[owner] = self._is_dead(owner)
                if not dead[owner]:
                    continue
            moved += self._take_back(row_id, token)
        self._sweep_owners()
        return moved

    def _take_back(self, row_id: int, token: str | None) -> int:
        with self.transaction() as db:
            row = db.execute(
                f"SELECT deaths, key FROM {TABLE} WHERE _id = ? AND status = 2 AND token IS ?",
                (row_id, token),
            ).fetchone()
            if row is None:
                return 0  # somebody was faster
            deaths, key = int(row[0]) + 1, row[1]
            if token is None:  # claimed by plain persist-queue, which knows no leases
                token = self._new_token()
                db.execute(f"UPDATE {TABLE} SET token = ? WHERE _id = ?", (token, row_id))
            newer = db.execute(f"SELECT 1 FROM {TABLE} WHERE status < 2 AND key = ?", (key,)).fetchone()
            if newer is not None:
                self._end(
                    db, Job(row_id, 0, "sync", token=token), "superseded (its worker died)", "superseded"
                )
            elif deaths >= DEATHS_MAX:
                log.error("job %s crashed its worker %s times; it is a dead letter now", row_id, deaths)
                self._to_dead_letter(
                    db,
                    row_id,
                    token,
                    "WorkerDied",
                    f"worker died: {deaths} workers in a row ended while holding it",
                    "",
                )
            else:
                now = self.clock.now()
                db.execute(
                    f"UPDATE {TABLE} SET status = 1, deaths = ?, due_at = ?, decided_at = ?,"
                    " last_error = 'its worker died or lost its lease',"
                    " owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL WHERE _id = ?",
                    (deaths, due_after(deaths, now), now, row_id),
                )
        return 1

    def _is_dead(self, owner: str | None) -> bool:
        path = os.path.join(self.data_dir, "owners", f"{owner}.lock")
        if owner is None or not os.path.exists(path):
            return True
        lock = FileLock(path)
        try:
            return lock.take()
        except OSError:
            return False  # cannot tell; the lease will
        finally:
            lock.release()

    def _sweep_owners(self) -> None:
        """Lock files of the dead are litter once nothing names them."""
        folder = os.path.join(self.data_dir, "owners")
        if not os.path.isdir(folder):
            return
        for name in sorted(os.listdir(folder)):
            owner = name.removesuffix(".lock")
            if owner != self.owner and self._is_dead(owner):
                _unlink(os.path.join(folder, name))

    def _notice_clock(self) -> None:
        """When the wall clock went back, what was to wait until a time now far away is due at once."""
        now = self.clock.now()
        if now < self._last_now:
            self._release_from_the_future()
        self._last_now = now

    def _release_from_the_future(self) -> None:
        """What was decided at a time that is yet to come was decided by a clock that has been set back since."""
        now = self.clock.now()
        which = "status < 2 AND due_at > ?1 AND decided_at > ?1"
        if self._read(f"SELECT 1 FROM {TABLE} WHERE {which} LIMIT 1", (now,)):
            with self.transaction() as db:
                db.execute(f"UPDATE {TABLE} SET due_at = ?1, decided_at = ?1 WHERE {which}", (now,))

    def release_due(self, waits_for: str | None = None) -> int:
        """Make postponed rows due now, all or those that wait for one server; how many."""
        of_server = (
            "" if waits_for is None else " AND _id IN (SELECT job_id FROM waits_for WHERE server = ?2)"
        )
        with self.transaction() as db:
            db.execute(intake.WAITS_FOR)
            return db.execute(
                f"UPDATE {TABLE} SET due_at = ?1, decided_at = ?1 WHERE status < 2 AND due_at > ?1{of_server}",
                (self.clock.now(), *([] if waits_for is None else [waits_for])),
            ).rowcount

    # ---- the spool ----

    def spool_files(self) -> list[str]:
        folder = intake.spool_folder(self.data_dir)
        try:
            return sorted(name for name in os.listdir(folder) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    def merge_spool(self) -> int:
        """Bring spooled edits into the queue, each event id once; how many came in.

        The event and its id go in with one transaction, then the file goes. Killed in between, the file is met again
        and its id is known. What is not ours is moved to ``spool/aside``, never deleted.
        """
        folder = intake.spool_folder(self.data_dir)
        came = 0
        for name in self.spool_files():
            path = os.path.join(folder, name)
            try:
                event = self._spooled_event(path)
                if event is not None:
                    came += self._merge(event)
                    _unlink(path)
                else:
                    self._set_aside(path, "is not an event PlexSync wrote, or was cut short")
            except OSError as error:
                # Of one file only: the others and the queue go on.
                if path not in self._unreadable:
                    log.error("spool file %s cannot be taken in: %s", path, error)
                    self._unreadable.add(path)
        self._set_half_written_aside(folder)
        return came

    def _spooled_event(self, path: str) -> dict[str, object] | None:
        try:
            with open(path, "rb") as file:
                return intake.unspool(file.read())
        except IsADirectoryError:
            return None

    def _merge(self, event: dict[str, object]) -> int:
        """1 when the event came in, 0 when it is in already."""
        if self._read("SELECT 1 FROM spooled WHERE event = ?", (event["event"],)):
            return 0
        now = self.clock.now()
        with self.transaction() as db:
            fresh = db.execute("INSERT OR IGNORE INTO spooled VALUES (?, ?)", (event["event"], now)).rowcount
            if not fresh or self._is_queued(db, event):
                return 0
            intake.insert(db, event, now, late=True)
        return 1

    def _is_queued(self, db: sqlite3.Connection, event: Mapping[str, object]) -> bool:
        """Whether the hook's own INSERT, whose commit seemed to fail, is there after all."""
        row = db.execute(
            f"SELECT data FROM {TABLE} WHERE status < 2 AND key = ?", (intake.key_of(event),)
        ).fetchone()
        return row is not None and f'"event":"{event["event"]}"' in str(row[0])

    def _set_half_written_aside(self, folder: str) -> None:
        """What its writer did not finish. A whole event among it is taken in: better an edit that nobody answered for
        than one edit too few."""
        if not os.path.isdir(folder):
            return
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            try:
                if name.endswith(".json") or not os.path.isfile(path):
                    continue
                if self.clock.now() - os.path.getmtime(path) > HALF_WRITTEN_S:
                    event = self._spooled_event(path) if name.endswith(".part") else None
                    if event is not None:
                        self._merge(event)
                        _unlink(path)
                    else:
                        self._set_aside(path, "was never finished by its writer")
            except OSError as error:
                if path not in self._unreadable:
                    log.error("spool file %s cannot be looked at: %s", path, error)
                    self._unreadable.add(path)

    def _set_aside(self, path: str, why: str) -> None:
        aside = os.path.join(os.path.dirname(path), "aside")
        os.makedirs(aside, exist_ok=True)
        log.error("spool file %s %s; it was moved to %s", path, why, aside)
        with suppress(FileNotFoundError):  # another merger had it
            os.replace(path, os.path.join(aside, os.path.basename(path)))

    # ---- dead letters ----

    def add_dead_letter(
        self, payload: object, error_type: str, message: str, traceback: str = "", attempts: int = 0
    ) -> int:
        """A letter for a job that is not in the queue (the original plan's ``DeadLetterQueue.add``)."""
        now = self.clock.now()
        scene_id = payload.get("scene_id") if isinstance(payload, dict) else None
        with self.transaction() as db:
            row = db.execute(
                "INSERT INTO dead_letters (key, scene_id, data, error_type, message, traceback, attempts, failed_at,"
                " first_failed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) RETURNING id",
                (
                    intake.key_of(payload),
                    scene_id if _is_id(scene_id) else None,
                    intake.encode(payload),
                    error_type,
                    message,
                    traceback,
                    attempts,
                    now,
                ),
            ).fetchone()
        return int(row[0])

    def dead_letters(
        self, limit: int = 100, error_type: str | None = None, replayed: bool = False
    ) -> list[DeadLetter]:
        """The newest first; those already replayed only when asked for."""
        rows = self._read(
            f"SELECT {_LETTER} FROM dead_letters WHERE (?1 IS NULL OR error_type = ?1)"
            " AND (?2 OR replayed_at IS NULL) ORDER BY failed_at DESC, id DESC LIMIT ?3",
            (error_type, replayed, limit),
        )
        return [_letter(row) for row in rows]

    def find_letter(self, letter_id: int) -> DeadLetter | None:
        rows = self._read(f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", (letter_id,))
        return _letter(rows[0]) if rows else None

    def dead_by_type(self) -> dict[str, int]:
        rows = self._read(
            "SELECT error_type, count(*) FROM dead_letters WHERE replayed_at IS NULL GROUP BY error_type "
            " ORDER BY 2 DESC, 1"
        )
        return {str(name): int(number) for name, number in rows}

    def replay(self, ids: Iterable[int] | None = None, error_type: str | None = None) -> int:
        """Queue dead letters again, in one transaction: those of ``ids``, of one error type, or all; how many.

        A letter is replayed once and stays as history. Where an edit of the same scene waits already, that one is
        newer, and what it says stays. A letter whose payload is damaged or names no scene stays where it is.
        """
        wanted = None if ids is None else set(ids)
        now = self.clock.now()
        done = 0
        with self.transaction() as db:
            rows = db.execute(
                f"SELECT {_LETTER} FROM dead_letters WHERE replayed_at IS NULL AND (?1 IS NULL OR error_type = ?1)"
                " ORDER BY id",
                (error_type,),
            ).fetchall()
            for letter in map(_letter, rows):
                payload = letter.payload
                if wanted is not None and letter.id not in wanted:
                    continue
                if letter.error_type == DAMAGED and letter.scene_id is not None:
                    payload = {"scene_id": letter.scene_id}  # all of it that can be trusted
                if not isinstance(payload, dict) or intake.key_of(payload) is None:
                    log.warning("dead letter %s cannot be replayed: its payload names no scene", letter.id)
                    continue
                event = intake.completed(payload, now)
                row_id, _ = intake.insert(db, event, now, late=True)
                db.execute(
                    "UPDATE dead_letters SET replayed_at = ?, replayed_as = ? WHERE id = ?",
                    (now, row_id, letter.id),
                )
                db.execute(
                    f"UPDATE {TABLE} SET status = 5, note = 'replayed' WHERE _id = ? AND status = 9",
                    (letter.job_id,),
                )
                done += 1
        return done

    def purge_dead(self, older_than_s: float) -> int:
        """Delete letters that failed longer ago than that, replayed ones too; how many."""
        return self._drop_letters("failed_at < ?", (self.clock.now() - older_than_s,))

    def clear_dead(self) -> int:
        """Delete every letter that nobody has replayed; how many."""
        return self._drop_letters("replayed_at IS NULL", ())

    def _drop_letters(self, which: str, values: tuple[object, ...]) -> int:
        """Letter and row together, some at a time: no hook is to wait for thousands."""
        dropped = 0
        while True:
            with self.transaction() as db:
                gone = db.execute(
                    "DELETE FROM dead_letters WHERE id IN"
                    f" (SELECT id FROM dead_letters WHERE {which} LIMIT {PRUNE_ROWS}) RETURNING job_id",
                    values,
                ).fetchall()
                db.executemany(f"DELETE FROM {TABLE} WHERE _id = ? AND status = 9", gone)
            dropped += len(gone)
            if len(gone) < PRUNE_ROWS:
                return dropped

    # ---- looking, clearing, keeping small ----

    def counts(self) -> Counts:
        """How many jobs are where, at one instant."""
        now = self.clock.now()
        row = self._read(
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
        spooled = len(self.spool_files())
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
        """A number that differs from the last one when another connection has written; costs microseconds."""
        return int(self._read("PRAGMA data_version")[0][0])

    def waiting(self, limit: int = 100) -> list[Job]:
        """The first waiting jobs in the order in which they become due."""
        rows = self._read(
            f"SELECT {_ROW} FROM {TABLE} WHERE status < 2 ORDER BY due_at, _id LIMIT ?", (limit,)
        )
        return [_read_row(row, "")[0] for row in rows]

    def notes(self, limit: int = 1000) -> list[str]:
        """How the last finished jobs ended, the newest first."""
        rows = self._read(
            f"SELECT note FROM {TABLE} WHERE status = 5 ORDER BY finished_at DESC LIMIT ?", (limit,)
        )
        return [str(row[0]) for row in rows]

    def clear_waiting(self) -> int:
        """Forget every waiting job, spooled ones too; how many. What a worker holds goes on, dead letters stay."""
        self.merge_spool()
        # What comes while this goes on is of those who queue it, and would give this no end.
        last = self._read(f"SELECT max(_id) FROM {TABLE}")[0][0] or 0
        some = f"SELECT _id FROM {TABLE} INDEXED BY plexsync_due WHERE status < 2 AND _id <= ? LIMIT {PRUNE_ROWS}"
        cleared = 0
        while True:
            with self.transaction() as db:
                gone = db.execute(f"DELETE FROM {TABLE} WHERE _id IN ({some})", (last,)).rowcount
            cleared += gone
            if gone < PRUNE_ROWS:
                return cleared

    def prune(self, keep: int) -> int:
        """Delete the oldest finished rows beyond ``keep``, at most PRUNE_ROWS at a time; how many."""
        over = int(self._read("SELECT value FROM tally WHERE name = 'kept'")[0][0]) - keep
        if over <= 0:
            return 0
        with self.transaction() as db:
            return db.execute(
                f"DELETE FROM {TABLE} WHERE _id IN"
                f" (SELECT _id FROM {TABLE} WHERE status = 5 ORDER BY finished_at LIMIT ?)",
                (min(over, PRUNE_ROWS),),
            ).rowcount

    def tidy(self) -> None:
        """Copy the write-ahead log back and cut it to nothing, so that it cannot grow for ever; for an idle moment.

        While somebody reads at the same time this does nothing: to wait for a reader is to lock hooks out.
        """
        forget = self.clock.now() - SPOOL_KEPT_S
        if self._read("SELECT 1 FROM spooled WHERE merged_at < ? LIMIT 1", (forget,)):
            with self.transaction() as db:
                db.execute("DELETE FROM spooled WHERE merged_at < ?", (forget,))
        known = self._read("SELECT 1 FROM sqlite_master WHERE name = 'waits_for'")
        ended = f"FROM waits_for WHERE job_id NOT IN (SELECT _id FROM {TABLE} WHERE status <= 2)"
        if known and self._read(f"SELECT 1 {ended} LIMIT 1"):
            with self.transaction() as db:
                db.execute(f"DELETE {ended}")
        with self._mutex:
            self.db.execute("PRAGMA busy_timeout=0")
            try:
                busy, pages, _ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self.db.execute(f"PRAGMA busy_timeout={self._busy_ms}")
        checked = self.load_state("examined_at")
        if checked is None or not 0 <= self.clock.now() - float(checked) < EXAMINE_S:
            self.examine()
        if busy and pages > LOG_PAGES_ODD:
            log.warning(
                "the queue's write-ahead log has grown to %s pages, because another program keeps reading %s",
                pages,
                self.path,
            )

    def examine(self) -> None:
        """Read the file from end to end; hooks write on meanwhile. An index that has lost a row hides it from all that
        is quick, so this is done from time to time.

        Raises sqlite3.DatabaseError when it is damaged; opening it anew then mends it.
        """
        found = self._read("PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            recovery.suspect(self.path)
            raise sqlite3.DatabaseError(f"the queue {self.path} is damaged: {found}")
        self.save_state("examined_at", str(self.clock.now()))

    # ---- what the worker remembers between its lives ----

    def load_breaker(self, server: str) -> dict[str, Any] | None:
        rows = self._read("SELECT state FROM breakers WHERE server = ?", (server,))
        try:
            state = json.loads(rows[0][0]) if rows else None
        except ValueError:
            return None  # damaged: asking the server once more costs little
        return state if isinstance(state, dict) else None

    def save_breaker(self, server: str, state: Mapping[str, Any]) -> None:
        with self.transaction() as db:
            db.execute(
                "INSERT INTO breakers VALUES (?1, ?2) ON CONFLICT (server) DO UPDATE SET state = ?2",
                (server, intake.encode(dict(state))),
            )

    def load_state(self, name: str) -> str | None:
        rows = self._read("SELECT value FROM state WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def save_state(self, name: str, value: str) -> None:
        with self.transaction() as db:
            db.execute(
                "INSERT INTO state VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", (name, value)
            )

    def drop_state(self, name: str) -> None:
        with self.transaction() as db:
            db.execute("DELETE FROM state WHERE name = ?", (name,))

    def open_outage(self, server: str, cause: str) -> None:
        """One record an outage: begun once, however many failures it has; the latest cause is what keeps it going."""
        with self.transaction() as db:
            db.execute(
                "UPDATE outages SET cause = ?2 WHERE server = ?1 AND ended_at IS NULL AND cause <> ?2",
                (server, cause),
            )
            db.execute(
                "INSERT INTO outages (server, cause, started_at) SELECT ?1, ?2, ?3"
                " WHERE NOT EXISTS (SELECT 1 FROM outages WHERE server = ?1 AND ended_at IS NULL)",
                (server, cause, self.clock.now()),
            )

    def close_outage(self, server: str) -> None:
        with self.transaction() as db:
            db.execute(
                "UPDATE outages SET ended_at = ?1, waiting ="
                f" (SELECT count(*) FROM {TABLE} WHERE status < 2) WHERE server = ?2 AND ended_at IS NULL",
                (self.clock.now(), server),
            )

    def outages(self, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest first: server, cause, started_at, ended_at (None while it lasts), waiting (jobs at its end)."""
        rows = self._read(
            "SELECT server, cause, started_at, ended_at, waiting FROM outages ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            dict(zip(("server", "cause", "started_at", "ended_at", "waiting"), row, strict=True))
            for row in rows
        ]


class StoreToRead(Store):
    """The queue where it may only be looked at: on a full disk, in a snapshot, in somebody else's folder.

    What writes raises sqlite3.Error, and so does opening it where SQLite cannot even read it: as long as the log holds
    something, that takes the log's index, which a process with the file open keeps beside it.
    """

    def _open(self) -> None:
        self._identity = intake.identity(self.path)
        db = intake.connect_to_read(self.path)
        try:
            db.text_factory = intake.as_text
            recovery.look_through(db)
        except BaseException:
            db.close()
            raise
        self.db = db


_ROW = (
    "_id, data, timestamp, checksum, key, generation, attempts, due_at, first_failed_at, last_error, deaths"
)

_LETTER = (
    "id, job_id, scene_id, error_type, message, traceback, attempts, generation, enqueued_at, first_failed_at,"
    " failed_at, replayed_at, replayed_as, data"
)


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    values: list[Any] = [*row[:-1], _as_json(row[-1])]
    return DeadLetter(*values)


def _as_json(raw: object) -> object:
    """A payload, or its raw text when it is not readable."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def _read_row(row: tuple[Any, ...], token: str) -> tuple[Job, object, str | None]:
    """The job in a row, its payload, and what is wrong with it, if anything."""
    (
        row_id,
        raw,
        timestamp,
        checksum,
        key,
        generation,
        attempts,
        due_at,
        first_failed_at,
        last_error,
        deaths,
    ) = row
    payload: object = None
    damage = None
    try:
        if checksum is not None and intake.checksum(raw) != checksum:
            damage = "its checksum does not fit its data"
        payload = json.loads(raw)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        damage = damage or f"its data is not JSON: {error}"
    said = payload if isinstance(payload, dict) else {}
    fields = said.get("fields")
    if damage is None and key is not None and key != intake.key_of(payload):
        damage = f"its key {key} does not fit its data"
    entity, _, digits = (intake.key_of(payload) or "scene:0").partition(":")
    number = int(digits)
    job = Job(
        id=row_id,
        scene_id=number if entity == "scene" else 0,
        deaths=deaths if isinstance(deaths, int) else 0,
        entity=entity,
        entity_id=0 if entity == "scene" else number,
        update_type=str(said.get("update_type", "sync")),
        fields=tuple(map(str, fields)) if isinstance(fields, list) else (),
        generation=generation if isinstance(generation, int) else 1,
        attempts=attempts if isinstance(attempts, int) else 1,
        token=token,
        enqueued_at=intake.moment(timestamp) or 0.0,
        due_at=intake.moment(due_at) or 0.0,
        first_failed_at=intake.moment(first_failed_at),
        last_error=str(last_error),
    )
    return job, payload, damage


def _in_line(row: tuple[Any, ...]) -> InLine:
    row_id, key, due_at, raw = row
    payload = _as_json(raw)
    sequential = isinstance(payload, dict) and payload.get("parallel") is False
    return InLine(row_id, key, intake.moment(due_at) or 0.0, sequential)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _changed(job: Job, cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise StaleLease(f"job {job.id} is no longer ours")


def _identity_of(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
