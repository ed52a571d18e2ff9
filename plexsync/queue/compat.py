"""persist-queue's own face over the store, for programs that speak ``SQLiteAckQueue``; built only on demand.

What persist-queue 1.1 gives and what it lacks was measured, and each override below answers one finding: its ``get`` is
a SELECT and an UPDATE, so two processes get one row; its statuses know no owner, so a late ``ack`` undoes what another
did; its counts are those of its own process.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from typing import Any

from persistqueue.sqlackqueue import AckStatus, SQLiteAckQueue

from plexsync.core.job import StaleLease
from plexsync.queue import database, events
from plexsync.queue.store import Store

log = logging.getLogger(__name__)


class _Json:
    """persist-queue's serializer seam."""

    @staticmethod
    def dumps(value: object) -> str:
        return events.encode(value)

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
        store.file.db.text_factory = database.as_text  # persist-queue has set its own

    def _new_db_connection(self, path: str, multithreading: bool, timeout: float) -> sqlite3.Connection:
        return self._store.file.db

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
        job = self._store.claimed.get(key)
        if job is None:
            raise StaleLease(f"job {key} is not claimed by this queue")
        if status == AckStatus.acked:
            self._store.finish(job, "acknowledged")
        elif status == AckStatus.ready:
            self._store.postpone(job, self._store.clock.now(), "requeued", uses_attempt=True)
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
        return self._store.all_rows()

    def resume_unack_tasks(self) -> None:
        """Requeue jobs whose lease expired or whose owner died; never what a living owner has claimed."""
        self._store.upkeep.recover()

    def clear_acked_data(
        self, max_delete: int = 1000, keep_latest: int = 1000, clear_ack_failed: bool = False
    ) -> None:
        """Delete the oldest finished rows beyond ``keep_latest``; what failed goes with its dead letter only."""
        while max_delete > 0 and (gone := self._store.upkeep.prune(keep_latest)):
            max_delete -= gone

    def close(self) -> None:
        """The connection belongs to the store, which closes it."""

    __del__ = close
