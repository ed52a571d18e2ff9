"""Jobs that failed for good: kept with all that was known, to be looked into, replayed or deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from plexsync.core.job import DeadLetter
from plexsync.queue import events
from plexsync.queue.file import QueueFile
from plexsync.queue.layout import TABLE
from plexsync.queue.rows import DAMAGED, as_json

log = logging.getLogger(__name__)

DROP_ROWS = 500  # letters deleted at once: some milliseconds in which no hook can write

_LETTER = (
    "id, job_id, scene_id, error_type, message, traceback, attempts, generation, enqueued_at, first_failed_at,"
    " failed_at, replayed_at, replayed_as, data"
)


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    values: list[Any] = [*row[:-1], as_json(row[-1])]
    return DeadLetter(*values)


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file

    def add(
        self, payload: object, error_type: str, message: str, traceback: str = "", attempts: int = 0
    ) -> int:
        """A letter for a job that is not in the queue (the original plan's ``DeadLetterQueue.add``)."""
        now = self._file.clock.now()
        scene_id = payload.get("scene_id") if isinstance(payload, dict) else None
        with self._file.transaction() as db:
            row = db.execute(
                "INSERT INTO dead_letters (key, scene_id, data, error_type, message, traceback, attempts, failed_at,"
                " first_failed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) RETURNING id",
                (
                    events.key_of(payload),
                    scene_id if _is_id(scene_id) else None,
                    events.encode(payload),
                    error_type,
                    message,
                    traceback,
                    attempts,
                    now,
                ),
            ).fetchone()
        return int(row[0])

    def newest(
        self, limit: int = 100, error_type: str | None = None, replayed: bool = False
    ) -> list[DeadLetter]:
        """The newest first; those already replayed only when asked for."""
        rows = self._file.read(
            f"SELECT {_LETTER} FROM dead_letters WHERE (?1 IS NULL OR error_type = ?1)"
            " AND (?2 OR replayed_at IS NULL) ORDER BY failed_at DESC, id DESC LIMIT ?3",
            (error_type, replayed, limit),
        )
        return [_letter(row) for row in rows]

    def find(self, letter_id: int) -> DeadLetter | None:
        rows = self._file.read(f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", (letter_id,))
        return _letter(rows[0]) if rows else None

    def by_type(self) -> dict[str, int]:
        rows = self._file.read(
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
        now = self._file.clock.now()
        done = 0
        with self._file.transaction() as db:
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
                if not isinstance(payload, dict) or events.key_of(payload) is None:
                    log.warning("dead letter %s cannot be replayed: its payload names no scene", letter.id)
                    continue
                event = events.completed(payload, now)
                row_id, _ = events.insert(db, event, now, late=True)
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

    def purge(self, older_than_s: float) -> int:
        """Delete letters that failed longer ago than that, replayed ones too; how many."""
        return self._drop("failed_at < ?", (self._file.clock.now() - older_than_s,))

    def clear(self) -> int:
        """Delete every letter that was not replayed; how many."""
        return self._drop("replayed_at IS NULL", ())

    def _drop(self, which: str, values: tuple[object, ...]) -> int:
        """Letter and row together, some at a time: no hook is to wait for thousands."""
        dropped = 0
        while True:
            with self._file.transaction() as db:
                gone = db.execute(
                    "DELETE FROM dead_letters WHERE id IN"
                    f" (SELECT id FROM dead_letters WHERE {which} LIMIT {DROP_ROWS}) RETURNING job_id",
                    values,
                ).fetchall()
                db.executemany(f"DELETE FROM {TABLE} WHERE _id = ? AND status = 9", gone)
            dropped += len(gone)
            if len(gone) < DROP_ROWS:
                return dropped


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
