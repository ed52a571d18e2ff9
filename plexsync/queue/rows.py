"""A row of the queue: reading it, and the moves that end a claim, each inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from plexsync.core.job import InLine, Job, StaleLease
from plexsync.queue import events
from plexsync.queue.layout import TABLE

DAMAGED = "DamagedRow"  # the error type of a row that cannot be read

ROW = "_id, data, timestamp, checksum, key, generation, attempts, due_at, first_failed_at, last_error, deaths"


def as_json(raw: object) -> object:
    """A payload, or its raw text when it is not readable."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def read_row(row: tuple[Any, ...], token: str) -> tuple[Job, object, str | None]:
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
        if checksum is not None and events.checksum(raw) != checksum:
            damage = "its checksum does not fit its data"
        payload = json.loads(raw)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        damage = damage or f"its data is not JSON: {error}"
    said = payload if isinstance(payload, dict) else {}
    fields = said.get("fields")
    if damage is None and key is not None and key != events.key_of(payload):
        damage = f"its key {key} does not fit its data"
    entity, _, digits = (events.key_of(payload) or "scene:0").partition(":")
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
        enqueued_at=events.moment(timestamp) or 0.0,
        due_at=events.moment(due_at) or 0.0,
        first_failed_at=events.moment(first_failed_at),
        last_error=str(last_error),
    )
    return job, payload, damage


def in_line(row: tuple[Any, ...]) -> InLine:
    row_id, key, due_at, raw = row
    payload = as_json(raw)
    sequential = isinstance(payload, dict) and payload.get("parallel") is False
    return InLine(row_id, key, events.moment(due_at) or 0.0, sequential)


# ---- the ends of a claim --------------------------------------------------------------------------------------------


def end_claim(db: sqlite3.Connection, row_id: int, token: str | None, **columns: object) -> None:
    """Take the lease off a claimed row and give it these columns. Raises StaleLease, and has changed nothing, when the
    claim does not stand any more."""
    values = ", ".join(f"{name} = ?" for name in columns)
    changed = db.execute(
        f"UPDATE {TABLE} SET {values}, owner = NULL, token = NULL, lease_boot = NULL, lease_until = NULL"
        " WHERE _id = ? AND status = 2 AND token = ?",
        (*columns.values(), row_id, token),
    )
    if changed.rowcount != 1:
        raise StaleLease(f"another owner has job {row_id} now")


def end(db: sqlite3.Connection, row_id: int, token: str | None, now: float, note: str, tally: str) -> None:
    """The job is closed; ``note`` says how, and it counts as ``tally``: finished or superseded. Raises StaleLease."""
    end_claim(db, row_id, token, status=5, finished_at=now, note=note)
    db.execute("UPDATE tally SET value = value + 1 WHERE name = ?", (tally,))


def to_dead_letter(
    db: sqlite3.Connection,
    row_id: int,
    token: str | None,
    now: float,
    error_type: str,
    message: str,
    traceback: str = "",
) -> int:
    """The job becomes a dead letter; its id. Raises StaleLease."""
    letter = db.execute(
        "INSERT INTO dead_letters (job_id, key, scene_id, data, error_type, message, traceback, attempts,"
        " generation, enqueued_at, first_failed_at, failed_at)"
        " SELECT _id, key, CASE WHEN key LIKE 'scene:%' THEN CAST(substr(key, 7) AS INTEGER) END, data,"
        " ?, ?, ?, attempts, generation, timestamp,"
        f" coalesce(first_failed_at, ?), ? FROM {TABLE} WHERE _id = ? AND status = 2 AND token = ? RETURNING id",
        (error_type, message, traceback, now, now, row_id, token),
    ).fetchone()
    if letter is None:
        raise StaleLease(f"another owner has job {row_id} now")
    end_claim(db, row_id, token, status=9, finished_at=now, note=error_type, last_error=message)
    return int(letter[0])


def newer_waits(db: sqlite3.Connection, row_id: int) -> bool:
    """Whether a newer edit of the same thing waits."""
    which = f"SELECT 1 FROM {TABLE} WHERE status < 2 AND key = (SELECT key FROM {TABLE} WHERE _id = ?)"
    return db.execute(which, (row_id,)).fetchone() is not None
