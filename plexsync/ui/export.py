"""All the queue's file holds, as JSON objects a line: for a look with other tools, a report of a bug, a move elsewhere.

Nothing in it is secret: tokens, keys and cookies never reach the queue. It is read in one transaction, so the rows
belong together, and a worker beside it goes on writing meanwhile (SQLite's write-ahead log).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator

from plexsync.queue import database, layout, spool
from plexsync.queue.store import Store, StoreToRead

# What is exported, under which name.
TABLES = {
    "job": layout.TABLE,
    "dead_letter": "dead_letters",
    "outage": "outages",
    "breaker": "breakers",
    "scene": "scenes",  # what was written last, by sync_state.py
    "pending_write": "pending_writes",  # writes whose end was not seen yet
    "awaited": "awaited",  # files Plex did not have when they were looked for
    "choice": "choices",
    "original": "originals",  # what Plex had before the first change of a field
    "overwritten": "overwritten",  # the last values that were overwritten
    "undone": "undone",  # scenes that stay untouched until they are edited
    "plex_file": "plex_files",
    "plex_section": "plex_sections",
}
# Bookkeeping that means nothing elsewhere.
LEFT_OUT = frozenset(
    {
        "spooled",
        "waits_for",
        "remarks",
        "plex_servers",
        "tally",
        "state",
        "sqlite_sequence",
        "sqlite_stat1",
    }
)
JSON_COLUMNS = frozenset({"data", "written", "images", "files", "fields", "state"})
PIECE = 500  # rows fetched together
BUSY_MS = 10_000


def rows(store: Store) -> Iterator[dict[str, object]]:
    """One object a row: ``kind`` is a key of TABLES, or ``spooled``; the other keys are the columns."""
    to_read = isinstance(store, StoreToRead)
    opened = database.connect_to_read(store.path) if to_read else database.connect(store.path, BUSY_MS)
    with contextlib.closing(opened) as db:
        db.text_factory = database.as_text
        db.execute("BEGIN")
        there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for kind, table in TABLES.items():
            if table in there:  # those of the sync state come with the first sync
                yield from _rows_of(db, kind, table)
    folder = spool.folder_of(store.data_dir)
    for name in store.spool.files():
        try:
            with open(os.path.join(folder, name), "rb") as file:
                yield {"kind": "spooled", "data": spool.read(file.read())}
        except FileNotFoundError:  # merged meanwhile
            continue


def _rows_of(db: sqlite3.Connection, kind: str, table: str) -> Iterator[dict[str, object]]:
    cursor = db.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in cursor.description]
    while piece := cursor.fetchmany(PIECE):
        for row in piece:
            yield {
                "kind": kind,
                **{name: _value(name, value) for name, value in zip(names, row, strict=True)},
            }


def _value(column: str, value: object) -> object:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if column not in JSON_COLUMNS or not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # damaged: as it is
