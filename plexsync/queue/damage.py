"""Telling damage of the queue's file from a disk that fails now, a lock, or no room."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

SUSPECT = ".suspect"  # beside the file: something in it could not be read
ERROR, CORRUPT, NOTADB = 1, 11, 26  # SQLite's codes for: no such table or column, damaged, no database
OF_THE_FILE = (ERROR, CORRUPT, NOTADB)


class Damaged(sqlite3.DatabaseError):
    """The file can be read, and what it says of its own layout is not what we wrote."""


def code(error: BaseException) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def text(raw: Any) -> str:
    """Text read as bytes, whatever its bytes are."""
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw or "")


def raise_if_passing(error: BaseException) -> None:
    """Raise an error that says nothing about the file: no room, a disk that fails now, a lock. Taken for damage, it
    would make an empty queue of a sound one."""
    if isinstance(error, sqlite3.OperationalError) and code(error) not in OF_THE_FILE:
        raise error


def is_damage(error: BaseException) -> bool:
    """Whether an error of a running queue means the file itself, not its lock or its disk."""
    return isinstance(error, sqlite3.DatabaseError) and code(error) in (CORRUPT, NOTADB)


def suspect(path: str) -> None:
    """Have the file examined from end to end when it is opened next."""
    os.close(os.open(path + SUSPECT, os.O_CREAT | os.O_WRONLY, 0o600))
