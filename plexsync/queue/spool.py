"""Edits that could not be written to the file at once (locked, full, read-only, damaged): a file each, merged later.

An event is written under another name, synced, renamed, and its directory synced. The worker merges it by its event
id, once.
"""

from __future__ import annotations

import os
import time

from plexsync.protocol import decode
from plexsync.queue.database import make_folder, queue_file, sync_folder, sync_folders
from plexsync.queue.events import KINDS, checksum, encode, key_of


def folder_of(data_dir: str) -> str:
    return os.path.join(data_dir, "spool")


def write(data_dir: str, event: dict[str, object]) -> str:
    """Keep one edit as a file of its own, durable on return; gives its path. Raises OSError when that fails too."""
    folder = folder_of(data_dir)
    # Somebody who made these folders a moment ago may not have synced them yet, and may be dead.
    fresh = not os.path.isdir(folder) or not os.path.exists(queue_file(data_dir))
    make_folder(folder)
    text = encode(event)
    # The time in front keeps the order of edits; the checksum tells a half-written file from a whole one.
    name = f"{time.time_ns():020d}-{event['event']}"
    part, path = os.path.join(folder, name + ".part"), os.path.join(folder, name + ".json")
    fd = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        try:
            body = f'{{"checksum":{checksum(text)},"event":{text}}}\n'.encode("ascii")
            while body:
                body = body[os.write(fd, body) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, path)
    except OSError:
        try:
            os.unlink(part)
        except OSError:
            pass
        raise
    sync_folder(folder)
    if fresh:
        sync_folders(folder)
    else:
        sync_folder(os.path.dirname(folder))
    return path


def read(raw: bytes) -> dict[str, object] | None:
    """The event in a spool file's bytes, or None when it is foreign, empty or half-written."""
    try:
        outer = decode(raw.decode("ascii"))
        if not isinstance(outer, dict):
            return None
        event = outer["event"]
        # encode() is deterministic and keeps the order of keys, so the text can be had back from the value.
        whole = isinstance(event, dict) and checksum(encode(event)) == outer["checksum"]
        known = whole and key_of(event) is not None and event["update_type"] in KINDS
        return (
            event if known and isinstance(event["event"], str) and isinstance(event["fields"], list) else None
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
