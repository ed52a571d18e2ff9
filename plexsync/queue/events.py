"""A job as its row holds it: how an edit is encoded, what it is about, and the one INSERT that queues it.

The hook and ``store.Store`` write through these same functions, so that rows are alike whoever wrote them. Standard
library only, and little of it: the hook must be gone in a tenth of a second.
"""

from __future__ import annotations

import os
import time
import zlib

from plexsync.protocol import decode, encoder
from plexsync.queue.layout import TABLE

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    import sqlite3

EDITS = ("create", "update", "destroy")
KINDS = (*EDITS, "sync")
BEFORE_ALL_DUE = 0.0  # the epoch: before all that is due at a time
LIBRARY = "library"  # what a job about all scenes is about; there is one, number 1
ENTITIES = ("scene", "performer", "studio", "tag", "group", LIBRARY)  # what a job can be about

encode = encoder()  # JSON in ASCII, so that lone surrogates and NUL survive SQLite and a terminal alike


def checksum(text: str | bytes) -> int:
    """CRC-32: SQLite does not notice a flipped bit inside a value, this does."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def new_event(
    scene_id: int,
    update_type: str,
    fields: list[str],
    data: dict[str, object] | None = None,
    now: float | None = None,
    entity: str = "scene",
) -> dict[str, object]:
    """One edit as it is queued or spooled. ``data`` is whatever the caller wants kept beside it.

    With another ``entity`` the id is that performer's, studio's, tag's or group's, and the note is about all its
    scenes.
    """
    if update_type not in KINDS:
        raise ValueError(f"unknown update type {update_type!r}; it is one of {', '.join(KINDS)}")
    who = {"scene_id": scene_id} if entity == "scene" else {"entity": entity, "id": scene_id}
    return {
        **who,
        "update_type": update_type,
        "fields": fields,
        "data": data or {},
        "enqueued_at": time.time() if now is None else now,
        "event": os.urandom(8).hex(),
    }


def completed(payload: dict[str, object], now: float) -> dict[str, object]:
    """A payload of somebody else's making with whatever an event needs beside it."""
    return {
        "update_type": "sync",
        "fields": [],
        "data": {},
        "enqueued_at": now,
        "event": os.urandom(8).hex(),
        **payload,
    }


def key_of(payload: object) -> str | None:
    """What a payload is about: "scene:12", "performer:5"; None when it names nothing of ours."""
    if not isinstance(payload, dict):
        return None
    entity = payload.get("entity", "scene")
    if not isinstance(entity, str) or entity not in ENTITIES:
        return None
    number = payload.get("scene_id" if entity == "scene" else "id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63:  # SQLite's integers
        return None
    return f"{entity}:{number}"


def merged(old: object, new: dict[str, object]) -> dict[str, object]:
    """What one row says that stands for both edits: the newer one, with the older one's fields and first moment.

    An empty list of fields means "unknown, look at everything", and stays so. A destroy is final. A job that is a
    barrier (``"parallel": false``) stays one.
    """
    if not isinstance(old, dict):
        return new
    both = dict(new)
    ours, theirs = new.get("fields"), old.get("fields")
    if isinstance(ours, list) and isinstance(theirs, list):
        both["fields"] = sorted({str(f) for f in ours} | {str(f) for f in theirs}) if ours and theirs else []
    if old.get("update_type") == "destroy":
        both["update_type"] = "destroy"
        both["data"] = old.get("data") or new.get("data")
    elif (old.get("update_type"), new.get("update_type")) in (
        ("create", "update"),
        ("create", "sync"),
        ("update", "sync"),
    ):
        both["update_type"] = old["update_type"]  # what a person did says more than what a task asked for
    if old.get("parallel") is False:
        both["parallel"] = False
    first = moment(old.get("enqueued_at"))
    if first is not None:
        both["enqueued_at"] = first
    return both


def moment(value: object) -> float | None:
    """A time read from a payload in wall seconds; None for what is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12:
        return float(value)
    return None


# ---- the one INSERT -------------------------------------------------------------------------------------------------

_WAITING = f"SELECT data, checksum FROM {TABLE} WHERE key = ? AND status < 2"

_INSERT = f"""
INSERT INTO {TABLE} (data, timestamp, status, key, checksum, due_at, decided_at) VALUES (?, ?, 0, ?, ?, ?, ?)
ON CONFLICT (key) WHERE status < 2 DO UPDATE SET
    data = excluded.data, checksum = excluded.checksum, generation = generation + 1, attempts = 0, deaths = 0,
    due_at = min(due_at, excluded.due_at), decided_at = max(decided_at, excluded.decided_at)
RETURNING _id, generation
"""


def insert(
    db: sqlite3.Connection, event: dict[str, object], now: float, late: bool = False
) -> tuple[int, int]:
    """Queue one edit inside the caller's transaction: (row id, generation); generation 1 is a new row.

    A row of the same scene that still waits takes the edit in and becomes due at once: it is the newer state that
    will be read. A row already being worked on is left alone; its scene gets a new one. ``late``: the edit happened
    before what waits was put, so where the two differ the row is right (a dead letter replayed, a spooled edit).

    An edit is due since ever, so that it passes all that a task has queued: somebody waits for it, and a first sync of
    a large library takes hours.
    """
    key = key_of(event)
    row = db.execute(_WAITING, (key,)).fetchone()
    if row is not None:
        waiting = _read(row[0], row[1])
        event = merged(event, waiting) if late and waiting is not None else merged(waiting, event)
    text = encode(event)
    put_at = moment(event.get("enqueued_at"))
    stamp = now if put_at is None else put_at
    new = db.execute(_INSERT, (text, stamp, key, checksum(text), due(event, now), now)).fetchone()
    return int(new[0]), int(new[1])


def due(event: dict[str, object], now: float) -> float:
    """From when on a note that is put now may be claimed; those due longest come first."""
    return BEFORE_ALL_DUE if event.get("update_type") in EDITS else now


def _read(raw: object, crc: object) -> dict[str, object] | None:
    """A waiting row's payload, or None when it cannot be trusted: the newer edit then stands alone."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else str(raw)
        value = decode(text) if crc is None or crc == checksum(text) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
