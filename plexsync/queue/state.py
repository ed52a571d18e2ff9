"""What a worker remembers between its lives: breakers, outages, and small values by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plexsync.queue import events
from plexsync.queue.file import QueueFile
from plexsync.queue.layout import TABLE


class State:
    """Reading raises sqlite3.Error, and so does writing, which may then have happened or not."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file

    def load_breaker(self, server: str) -> dict[str, Any] | None:
        rows = self._file.read("SELECT state FROM breakers WHERE server = ?", (server,))
        try:
            state = json.loads(rows[0][0]) if rows else None
        except ValueError:
            return None  # damaged: asking the server once more costs little
        return state if isinstance(state, dict) else None

    def save_breaker(self, server: str, state: Mapping[str, Any]) -> None:
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO breakers VALUES (?1, ?2) ON CONFLICT (server) DO UPDATE SET state = ?2",
                (server, events.encode(dict(state))),
            )

    def load(self, name: str) -> str | None:
        rows = self._file.read("SELECT value FROM state WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def save(self, name: str, value: str) -> None:
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO state VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", (name, value)
            )

    def drop(self, name: str) -> None:
        with self._file.transaction() as db:
            db.execute("DELETE FROM state WHERE name = ?", (name,))

    def open_outage(self, server: str, cause: str) -> None:
        """One record an outage: begun once, however many failures it has; the latest cause is what keeps it going."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE outages SET cause = ?2 WHERE server = ?1 AND ended_at IS NULL AND cause <> ?2",
                (server, cause),
            )
            db.execute(
                "INSERT INTO outages (server, cause, started_at) SELECT ?1, ?2, ?3"
                " WHERE NOT EXISTS (SELECT 1 FROM outages WHERE server = ?1 AND ended_at IS NULL)",
                (server, cause, self._file.clock.now()),
            )

    def close_outage(self, server: str) -> None:
        with self._file.transaction() as db:
            db.execute(
                "UPDATE outages SET ended_at = ?1, waiting ="
                f" (SELECT count(*) FROM {TABLE} WHERE status < 2) WHERE server = ?2 AND ended_at IS NULL",
                (self._file.clock.now(), server),
            )

    def outages(self, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest first: server, cause, started_at, ended_at (None while it lasts), waiting (jobs at its end)."""
        rows = self._file.read(
            "SELECT server, cause, started_at, ended_at, waiting FROM outages ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            dict(zip(("server", "cause", "started_at", "ended_at", "waiting"), row, strict=True))
            for row in rows
        ]
