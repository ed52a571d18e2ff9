"""Every double of the tests: real, small and shared.

- ``MemoryStore``: the queue store in front of dictionaries, small enough to be seen right. It promises what
  ``store.Store`` promises, call by call; ``tests/property/test_twins.py`` compares the two. What only a file can do (be
  locked, damaged, taken away) is not here. Several doors to one ``Memory`` stand for several processes; ``die()`` is a
  kill. Time and chance are handed in, so a run can be repeated to the letter.
- ``Model``: the two servers as the worker meets them, with trouble on request.
- ``Paper`` and ``Session``: the two servers as tasks, checks and commands meet them, with the lines they said.
"""

from __future__ import annotations

import datetime
import json
import random
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from plexsync.clock import Clock, SystemClock
from plexsync.core.failures import SettingProblem, SyncFailure
from plexsync.core.item import Actor, Item
from plexsync.core.job import (
    DEATHS_MAX,
    LEASE_S,
    Counts,
    DeadLetter,
    InLine,
    Job,
    Remark,
    StaleLease,
    Status,
    due_after,
    move,
    next_batch,
)
from plexsync.core.match import path_key
from plexsync.core.plan import Edits
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings, parse
from plexsync.core.verdict import Outcome
from plexsync.queue import events
from plexsync.queue.contract import QueueStore
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry
from plexsync.servers.plex import Health, Identity, Library
from plexsync.servers.stash import Cover
from plexsync.servers.sync_state import SyncState
from plexsync.servers.world import World
from plexsync.sync import apply, read_back
from plexsync.sync.plan_batch import ScenePlan
from plexsync.ui import tasks
from plexsync.ui.session import Session as RealSession
from scenarios.clock import ManualClock

WAITS = (Status.FRESH, Status.WAITING)
PRUNE_ROWS = 500


@dataclass
class Row:
    """One row of the queue."""

    id: int
    text: str  # the payload as JSON
    key: str | None
    timestamp: float
    due_at: float
    decided_at: float
    status: Status = Status.FRESH
    generation: int = 1
    attempts: int = 0
    deaths: int = 0
    owner: str | None = None
    token: str | None = None
    lease_boot: str | None = None
    lease_until: float = 0.0
    first_failed_at: float | None = None
    last_error: str = ""
    waits_for: str = ""
    finished_at: float | None = None
    note: str = ""
    remarks: list[tuple[Remark, str]] = field(default_factory=list)

    @property
    def payload(self) -> Any:
        return json.loads(self.text)

    @property
    def waits(self) -> bool:
        return self.status in WAITS

    def unlease(self, action: str) -> None:
        """Along the table of moves, out of a worker's hands."""
        self.status = move(self.status, action)
        self.owner = self.token = self.lease_boot = None
        self.lease_until = 0.0


@dataclass
class Memory:
    """What the file is to the other store."""

    rows: dict[int, Row] = field(default_factory=dict)
    letters: dict[int, DeadLetter] = field(default_factory=dict)
    spool: list[dict[str, Any]] = field(default_factory=list)
    spooled: set[str] = field(default_factory=set)
    tally: Counter[str] = field(default_factory=Counter)
    breakers: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)  # those alive
    last_row: int = 0
    last_letter: int = 0
    changes: int = 0

    def waiting(self, key: str | None) -> Row | None:
        """The row of this key that waits; there is one at most."""
        found = (row for row in self.rows.values() if row.waits and row.key == key)
        return None if key is None else next(found, None)

    def spool_event(self, event: Mapping[str, Any]) -> None:
        """A hook that could not write its row."""
        self.spool.append(json.loads(events.encode(dict(event))))


class MemoryStore(QueueStore):
    """One process's queue over a ``Memory``."""

    def __init__(self, memory: Memory, clock: Clock, rng: random.Random) -> None:
        self.memory = memory
        self.clock = clock
        self.rng = rng
        self.claimed: dict[int, Job] = {}
        self.owner = f"owner-{rng.getrandbits(64):016x}"
        self.troubles: list[str] = []
        memory.owners.add(self.owner)
        self.letters = MemoryLetters(self)
        self.spool = MemorySpool(self)
        self.state = MemoryState(self)
        self.upkeep = MemoryUpkeep(self)
        self.upkeep.release_from_the_future()

    # ---- opening and closing ----

    def close(self) -> None:
        """What this object has claimed becomes free for others at once."""
        self.die()

    def die(self) -> None:
        """End as a killed process does."""
        self.memory.owners.discard(self.owner)

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reopen_if_replaced(self) -> bool:
        return False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing here fails half-way."""
        yield

    # ---- putting ----

    def enqueue(
        self,
        scene_id: int,
        update_type: str = "sync",
        fields: Iterable[str] = (),
        data: dict[str, object] | None = None,
        entity: str = "scene",
    ) -> tuple[int, int]:
        now = self.clock.now()
        return self.insert(events.new_event(scene_id, update_type, sorted(fields), data, now, entity), now)

    def enqueue_many(self, scene_ids: Iterable[int], update_type: str = "sync", hurry: bool = True) -> int:
        now = self.clock.now()
        added = 0
        for one in scene_ids:
            event = events.new_event(one, update_type, [], now=now)
            if hurry or self.memory.waiting(events.key_of(event)) is None:
                added += self.insert(event, now)[1] == 1
        return added

    def enqueue_later(self, scene_id: int, until: float) -> bool:
        now = self.clock.now()
        event = events.new_event(scene_id, "update", [], now=now)
        key = events.key_of(event)
        if self.memory.waiting(key) is not None:
            self.memory.last_row += 1  # as in the file, whose INSERT draws a number before it meets the row
            return False
        row = self._new_row(events.encode(event), key, now, now)
        row.status, row.due_at = Status.WAITING, until
        return True

    def enqueue_payload(self, payload: object) -> int:
        now = self.clock.now()
        if isinstance(payload, dict) and events.key_of(payload) is not None:
            return self.insert(events.completed(payload, now), now)[0]
        return self._new_row(events.encode(payload), None, now, now).id

    def insert(self, event: dict[str, object], now: float, late: bool = False) -> tuple[int, int]:
        key = events.key_of(event)
        row = self.memory.waiting(key)
        self.memory.changes += 1
        if row is None:
            put_at = events.moment(event.get("enqueued_at"))
            row = self._new_row(events.encode(event), key, now if put_at is None else put_at, now)
            row.due_at = events.due(event, now)
            return row.id, 1
        self.memory.last_row += (
            1  # as in the file, whose INSERT draws a number before it meets the row that waits
        )
        both = events.merged(event, row.payload) if late else events.merged(row.payload, event)
        row.status = move(row.status, "coalesce")
        row.text = events.encode(both)
        row.generation += 1
        row.attempts = row.deaths = 0
        row.due_at, row.decided_at = min(row.due_at, events.due(both, now)), max(row.decided_at, now)
        return row.id, row.generation

    def _new_row(self, text: str, key: str | None, timestamp: float, now: float) -> Row:
        self.memory.changes += 1
        self.memory.last_row += 1
        row = Row(self.memory.last_row, text, key, timestamp, now, now)
        self.memory.rows[row.id] = row
        return row

    # ---- claiming ----

    def claim_row(
        self, lease_s: float = LEASE_S, row_id: int | None = None
    ) -> tuple[Job, object, float] | None:
        self.upkeep.notice_clock()
        now = self.clock.now()
        busy = {row.key for row in self.memory.rows.values() if row.status is Status.IN_PROGRESS}
        free = [
            row
            for row in self.memory.rows.values()
            if row.waits
            and (row.due_at <= now if row_id is None else row.id == row_id)
            and (row.key is None or row.key not in busy)
        ]
        if not free:
            return None
        row = min(free, key=lambda row: (row.due_at, row.id))
        job = self._claim(row, lease_s)
        return job, row.payload, job.enqueued_at

    def _claim(self, row: Row, lease_s: float) -> Job:
        self.memory.changes += 1
        row.status = move(row.status, "claim")
        row.attempts += 1
        row.owner, row.token = self.owner, f"{self.rng.getrandbits(64):016x}"
        row.lease_boot, row.lease_until = self.clock.boot, self.clock.monotonic() + lease_s
        job = self.claimed[row.id] = _job(row)
        return job

    def claim_batch(self, limit: int, lease_s: float = LEASE_S) -> list[tuple[Job, object]]:
        self.upkeep.notice_clock()
        rows = sorted(self.memory.rows.values(), key=lambda row: row.id)
        waiting = [_in_line(row) for row in rows if row.waits]
        busy = [_in_line(row) for row in rows if row.status is Status.IN_PROGRESS]
        chosen = [self.memory.rows[one] for one in next_batch(waiting, busy, self.clock.now(), limit)]
        return [(self._claim(row, lease_s), row.payload) for row in chosen]

    def heartbeat(self, job: Job, lease_s: float = LEASE_S) -> None:
        row = self._ours(job)
        row.status = move(row.status, "heartbeat")
        row.lease_boot, row.lease_until = self.clock.boot, self.clock.monotonic() + lease_s

    def holds(self, job: Job) -> bool:
        row = self.memory.rows.get(job.id)
        return row is not None and row.status is Status.IN_PROGRESS and row.token == job.token

    def _ours(self, job: Job) -> Row:
        if not self.holds(job):
            raise StaleLease(f"job {job.id} is no longer ours")
        row = self.memory.rows[job.id]
        self.memory.changes += 1
        return row

    # ---- closing ----

    def _closing(self, job: Job) -> Row:
        held = self.claimed.get(job.id)
        if held is not None and held.token == job.token:
            del self.claimed[job.id]
        return self._ours(job)

    def finish(self, job: Job, note: str = "", remarks: Iterable[tuple[Remark, str]] = ()) -> None:
        row = self._closing(job)
        self.end(row, "finish", note, "finished")
        row.remarks = list(remarks)

    def postpone(self, job: Job, until: float, reason: str, uses_attempt: bool, waits_for: str = "") -> None:
        row = self._closing(job)
        if self.memory.waiting(row.key) is not None:
            self.end(row, "supersede", f"superseded ({reason})", "superseded")
            return
        now = self.clock.now()
        row.unlease("postpone")
        row.due_at, row.decided_at, row.last_error, row.deaths = until, now, reason, 0
        row.waits_for = waits_for
        row.attempts -= 0 if uses_attempt else 1
        row.first_failed_at = now if row.first_failed_at is None else row.first_failed_at

    def requeue(self, job: Job) -> None:
        row = self._closing(job)
        if self.memory.waiting(row.key) is not None:
            self.end(row, "supersede", "superseded", "superseded")
            return
        row.unlease("requeue")
        row.attempts -= 1

    def dead_letter(self, job: Job, error_type: str, message: str, traceback: str = "") -> int | None:
        row = self._closing(job)
        if self.memory.waiting(row.key) is not None:
            self.end(row, "supersede", f"superseded ({error_type})", "superseded")
            return None
        return self.to_dead_letter(row, error_type, message, traceback)

    def end(self, row: Row, action: str, note: str, tally: str) -> None:
        row.unlease(action)
        row.finished_at, row.note = self.clock.now(), note
        self.memory.tally[tally] += 1

    def to_dead_letter(self, row: Row, error_type: str, message: str, traceback: str) -> int:
        now = self.clock.now()
        row.unlease("dead_letter")
        row.finished_at, row.note, row.last_error = now, error_type, message
        entity, _, number = (row.key or "").partition(":")
        self.memory.last_letter += 1
        self.memory.letters[self.memory.last_letter] = DeadLetter(
            id=self.memory.last_letter,
            job_id=row.id,
            scene_id=int(number) if entity == "scene" else None,
            error_type=error_type,
            message=message,
            traceback=traceback,
            attempts=row.attempts,
            generation=row.generation,
            enqueued_at=row.timestamp,
            first_failed_at=now if row.first_failed_at is None else row.first_failed_at,
            failed_at=now,
            replayed_at=None,
            replayed_as=None,
            payload=row.payload,
        )
        return self.memory.last_letter

    # ---- looking, clearing, keeping small ----

    def counts(self) -> Counts:
        now = self.clock.now()
        number = Counter(row.status for row in self.memory.rows.values())
        due = [row.due_at for row in self.memory.rows.values() if row.waits]
        spooled = len(self.memory.spool)
        return Counts(
            pending=len(due) + spooled,
            in_progress=number[Status.IN_PROGRESS],
            completed=number[Status.DONE],
            failed=number[Status.FAILED],
            dead=sum(letter.replayed_at is None for letter in self.memory.letters.values()),
            spooled=spooled,
            waiting_later=sum(moment > now for moment in due),
            next_due_at=now if spooled else min(due, default=None),
            finished=self.memory.tally["finished"],
        )

    def data_version(self) -> int:
        return self.memory.changes

    def waiting(self, limit: int = 100) -> list[Job]:
        rows = sorted(
            (row for row in self.memory.rows.values() if row.waits), key=lambda row: (row.due_at, row.id)
        )
        return [replace(_job(row), token="") for row in rows[:limit]]

    def remarks(self, limit: int = 1000) -> dict[Remark, Counter[str]]:
        done = [row for row in self.memory.rows.values() if row.status is Status.DONE]
        done.sort(key=lambda row: (row.finished_at or 0.0, row.id), reverse=True)
        found: dict[Remark, Counter[str]] = {kind: Counter() for kind in Remark}
        for row in done[:limit]:
            for kind, what in row.remarks:
                found[kind][what] += 1
        return found

    def clear_waiting(self) -> int:
        self.spool.merge()
        gone = [row.id for row in self.memory.rows.values() if row.waits]
        for row_id in gone:
            del self.memory.rows[row_id]
        self.memory.changes += 1
        return len(gone)


class MemoryLetters:
    """The dead letters of a ``MemoryStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def add(
        self, payload: object, error_type: str, message: str, traceback: str = "", attempts: int = 0
    ) -> int:
        now = self._store.clock.now()
        self._store.memory.changes += 1
        self._store.memory.last_letter += 1
        key = events.key_of(payload)
        number = payload.get("scene_id") if isinstance(payload, dict) and key is not None else None
        self._store.memory.letters[self._store.memory.last_letter] = DeadLetter(
            id=self._store.memory.last_letter,
            job_id=None,
            scene_id=number,
            error_type=error_type,
            message=message,
            traceback=traceback,
            attempts=attempts,
            generation=1,
            enqueued_at=None,
            first_failed_at=now,
            failed_at=now,
            replayed_at=None,
            replayed_as=None,
            payload=json.loads(events.encode(payload)),
        )
        return self._store.memory.last_letter

    def newest(
        self, limit: int = 100, error_type: str | None = None, replayed: bool = False
    ) -> list[DeadLetter]:
        found = [
            letter
            for letter in self._store.memory.letters.values()
            if (error_type is None or letter.error_type == error_type)
            and (replayed or letter.replayed_at is None)
        ]
        return sorted(found, key=lambda letter: (letter.failed_at, letter.id), reverse=True)[:limit]

    def find(self, letter_id: int) -> DeadLetter | None:
        return self._store.memory.letters.get(letter_id)

    def by_type(self) -> dict[str, int]:
        open_letters = (
            letter for letter in self._store.memory.letters.values() if letter.replayed_at is None
        )
        number = Counter(letter.error_type for letter in open_letters)
        return dict(sorted(number.items(), key=lambda item: (-item[1], item[0])))

    def replay(self, ids: Iterable[int] | None = None, error_type: str | None = None) -> int:
        wanted = None if ids is None else set(ids)
        now = self._store.clock.now()
        done = 0
        for letter in list(self._store.memory.letters.values()):
            if letter.replayed_at is not None or (error_type is not None and letter.error_type != error_type):
                continue
            payload = letter.payload
            if wanted is not None and letter.id not in wanted:
                continue
            if not isinstance(payload, dict) or events.key_of(payload) is None:
                continue
            row_id, _ = self._store.insert(events.completed(payload, now), now, late=True)
            self._store.memory.letters[letter.id] = replace(letter, replayed_at=now, replayed_as=row_id)
            row = None if letter.job_id is None else self._store.memory.rows.get(letter.job_id)
            if row is not None and row.status is Status.FAILED:
                row.status, row.note = move(row.status, "replay"), "replayed"
            done += 1
        return done

    def purge(self, older_than_s: float) -> int:
        before = self._store.clock.now() - older_than_s
        return self._drop(
            [letter for letter in self._store.memory.letters.values() if letter.failed_at < before]
        )

    def clear(self) -> int:
        return self._drop(
            [letter for letter in self._store.memory.letters.values() if letter.replayed_at is None]
        )

    def _drop(self, letters: list[DeadLetter]) -> int:
        self._store.memory.changes += 1
        for letter in letters:
            del self._store.memory.letters[letter.id]
            row = None if letter.job_id is None else self._store.memory.rows.get(letter.job_id)
            if row is not None and row.status is Status.FAILED:
                del self._store.memory.rows[row.id]
        return len(letters)


class MemorySpool:
    """What waits beside a ``MemoryStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def files(self) -> list[str]:
        return [str(event["event"]) for event in self._store.memory.spool]

    def merge(self) -> int:
        came = 0
        spooled, self._store.memory.spool = self._store.memory.spool, []
        for event in spooled:
            if event["event"] in self._store.memory.spooled:
                continue
            self._store.memory.spooled.add(event["event"])
            row = self._store.memory.waiting(events.key_of(event))
            if row is None or row.payload["event"] != event["event"]:
                self._store.insert(event, self._store.clock.now(), late=True)
                came += 1
        return came


class MemoryState:
    """What a ``Memory`` keeps for the worker."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def load_breaker(self, server: str) -> dict[str, Any] | None:
        text = self._store.memory.breakers.get(server)
        return None if text is None else dict(json.loads(text))

    def save_breaker(self, server: str, state: Mapping[str, Any]) -> None:
        self._store.memory.breakers[server] = events.encode(dict(state))

    def load(self, name: str) -> str | None:
        return self._store.memory.state.get(name)

    def save(self, name: str, value: str) -> None:
        self._store.memory.state[name] = value

    def drop(self, name: str) -> None:
        self._store.memory.state.pop(name, None)

    def open_outage(self, server: str, cause: str) -> None:
        lasting = [o for o in self._store.memory.outages if o["server"] == server and o["ended_at"] is None]
        for outage in lasting:
            outage["cause"] = cause
        if not lasting:
            self._store.memory.outages.append(
                {
                    "server": server,
                    "cause": cause,
                    "started_at": self._store.clock.now(),
                    "ended_at": None,
                    "waiting": 0,
                }
            )

    def close_outage(self, server: str) -> None:
        for outage in self._store.memory.outages:
            if outage["server"] == server and outage["ended_at"] is None:
                outage["ended_at"] = self._store.clock.now()
                outage["waiting"] = sum(row.waits for row in self._store.memory.rows.values())

    def outages(self, limit: int = 1000) -> list[dict[str, Any]]:
        return [dict(outage) for outage in reversed(self._store.memory.outages)][:limit]


class MemoryUpkeep:
    """The upkeep of a ``MemoryStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._last_now = store.clock.now()

    def recover(self) -> int:
        moved = 0
        self.release_from_the_future()
        for row in [row for row in self._store.memory.rows.values() if row.status is Status.IN_PROGRESS]:
            if row.owner == self._store.owner:
                continue
            expired = (
                row.lease_boot != self._store.clock.boot or row.lease_until < self._store.clock.monotonic()
            )
            if expired or row.owner not in self._store.memory.owners:
                self._requeue(row)
                moved += 1
        return moved

    def _requeue(self, row: Row) -> None:
        self._store.memory.changes += 1
        deaths = row.deaths + 1
        if self._store.memory.waiting(row.key) is not None:
            self._store.end(row, "supersede", "superseded (its worker died)", "superseded")
        elif deaths >= DEATHS_MAX:
            self._store.to_dead_letter(
                row, "WorkerDied", f"worker died: {deaths} workers in a row ended while working on it", ""
            )
        else:
            now = self._store.clock.now()
            row.unlease("requeue")
            row.deaths, row.due_at, row.decided_at = deaths, due_after(deaths, now), now
            row.last_error = "its worker died or lost its lease"

    def notice_clock(self) -> None:
        now = self._store.clock.now()
        if now < self._last_now:
            self.release_from_the_future()
        self._last_now = now

    def release_from_the_future(self) -> None:
        now = self._store.clock.now()
        for row in self._store.memory.rows.values():
            if row.waits and row.due_at > now and row.decided_at > now:
                row.due_at = row.decided_at = now

    def release_due(self, waits_for: str | None = None) -> int:
        now = self._store.clock.now()
        later = [row for row in self._store.memory.rows.values() if row.waits and row.due_at > now]
        released = [row for row in later if waits_for is None or waits_for == row.waits_for]
        for row in released:
            row.due_at = row.decided_at = now
        self._store.memory.changes += 1
        return len(released)

    def prune(self, keep: int) -> int:
        done = [row for row in self._store.memory.rows.values() if row.status is Status.DONE]
        over = min(max(len(done) - keep, 0), PRUNE_ROWS)
        for row in sorted(done, key=lambda row: (row.finished_at or 0.0, row.id))[:over]:
            del self._store.memory.rows[row.id]
        return over

    def tidy(self) -> None:
        """There is no log to cut."""

    def examine(self) -> None:
        """There is no file to examine."""


def _job(row: Row) -> Job:
    payload = row.payload
    said = payload if isinstance(payload, dict) else {}
    fields = said.get("fields")
    entity, _, number = (events.key_of(said) or "scene:0").partition(":")
    return Job(
        id=row.id,
        scene_id=int(number) if entity == "scene" else 0,
        update_type=str(said.get("update_type", "sync")),
        fields=tuple(map(str, fields)) if isinstance(fields, list) else (),
        generation=row.generation,
        attempts=row.attempts,
        token=row.token or "",
        enqueued_at=row.timestamp,
        due_at=row.due_at,
        first_failed_at=row.first_failed_at,
        last_error=row.last_error,
        deaths=row.deaths,
        entity=entity,
        entity_id=0 if entity == "scene" else int(number),
    )


def _in_line(row: Row) -> InLine:
    payload = row.payload
    sequential = isinstance(payload, dict) and payload.get("parallel") is False
    return InLine(row.id, row.key, row.due_at, sequential)


# ---- the two servers ----

SETTINGS = Settings(plex_url="http://plex:32400", plex_token="token-of-the-owner")


@dataclass
class Model:
    """Stash and Plex as dictionaries; ``trouble`` is raised by the next calls that touch that server."""

    has: dict[int, Scene] = field(default_factory=dict)
    items: dict[int, Item] = field(default_factory=dict)
    trouble: dict[str, Exception] = field(default_factory=dict)
    writes: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    given: Settings = SETTINGS
    pages: list[int] = field(default_factory=list)
    meanwhile: object = None  # called once while a write is at Plex
    reads: int = 0  # items asked of Plex
    sweeps: int = 0
    picture: Cover = field(default_factory=lambda: Cover(b"\xff\xd8\xff one", "image/jpeg", "etag-1"))
    covers_asked: list[tuple[int, str]] = field(default_factory=list)
    uploads: list[tuple[int, str]] = field(default_factory=list)
    shown: dict[tuple[int, str], str] = field(default_factory=dict)  # pictures, by item and gallery
    rated: list[tuple[int, int]] = field(default_factory=list)
    played: list[tuple[int, int, int]] = field(default_factory=list)
    since: list[tuple[str, int]] = field(default_factory=list)
    scans: list[tuple[str, ...]] = field(default_factory=list)
    looks: int = 0  # at what the libraries have
    makes_of: Callable[[int], int] = lambda rating100: rating100  # what Stash makes of a rating
    on_edit: Callable[[int], object] = lambda scene_id: None
    bad: int = 0  # a scene that cannot be read without an exception
    remembered: SyncState = field(default_factory=SyncState)

    def _meet(self, server: str) -> None:
        if server in self.trouble:
            raise self.trouble[server]

    # the world

    def settings(self) -> Settings:
        self._meet("settings")
        return self.given

    def stash(self) -> Model:
        return self

    def plex(self) -> Model:
        return self

    def sync_state(self, settings: Settings) -> SyncState:
        return self.remembered

    def probe(self, server: str) -> None:
        self.probes.append(server)
        self._meet(server)

    # Stash

    def scenes(self, scene_ids) -> dict[int, Scene]:
        self._meet("Stash")
        if self.bad in scene_ids:
            raise ValueError(f"a defect that scene {self.bad} shows")
        return {number: self.has[number] for number in scene_ids if number in self.has}

    def scene_ids_of(self, entity: str, entity_id: int, after_id: int = 0):
        self._meet("Stash")
        ids = [number for number in sorted(self.has) if number > after_id]
        for number in ids:  # a page a scene
            self.pages.append(number)
            yield [number]

    def scene_pages(self, after_id=0, per_page=100, updated_since=None):
        self.sweeps += not after_id
        if after_id < max(self.has):
            yield [scene for scene in self.has.values() if scene.id > after_id]

    # Plex

    def find_many(self, groups) -> list[tuple[Item, ...]]:
        self._meet("Plex")
        self.reads += len(groups)
        return [
            tuple(item for item in self.items.values() if set(paths) & set(item.files)) for paths in groups
        ]

    def find_alike(self, groups) -> list[tuple[Item, ...]]:
        """Items whose file has the same name."""
        names = [{path.rpartition("/")[2] for path in paths} for paths in groups]
        return [
            tuple(item for item in self.items.values() if item.files[0].rpartition("/")[2] in some)
            for some in names
        ]

    def cover(self, scene_id: int, etag: str = "") -> Cover | None:
        self.covers_asked.append((scene_id, etag))
        return None if etag and etag == self.picture.etag else self.picture

    def upload(self, item: Item, data: bytes, gallery: str) -> None:
        self._meet("upload")
        self.uploads.append((item.rating_key, gallery))

    def connect(self) -> None:
        """One server, always the same."""

    def relist(self) -> None:
        self.freshen()

    def selected(self, item: Item, gallery: str) -> str:
        return self.shown.get((item.rating_key, gallery), "metadata://the agent's")

    def select(self, item: Item, gallery: str, name: str) -> None:
        self.shown[item.rating_key, gallery] = name

    def read(self, rating_keys) -> tuple[Item, ...]:
        self._meet("Plex")
        self.reads += 1
        return tuple(self.items[key] for key in rating_keys if key in self.items)

    def rate(self, scene_id: int, rating100: int) -> None:
        """As Stash does: the edit is a hook, and the hook is a job."""
        self._meet("rate")
        self.rated.append((scene_id, rating100))
        self.has[scene_id] = replace(self.has[scene_id], rating100=self.makes_of(rating100))
        self.on_edit(scene_id)

    def add_plays(self, scene_id: int, count: int, at: int) -> None:
        self._meet("plays")
        self.played.append((scene_id, count, at))

    def touched(self, moment: str, since: int):
        self._meet("Plex")
        self.since.append((moment, since))
        return [
            Entry(item.rating_key, item.files, 0, item.user_rating, item.view_count)
            for item in self.items.values()
            if (item.last_rated_at if moment == "lastRatedAt" else item.last_viewed_at) > since
        ]

    def scan(self, paths) -> tuple[str, ...]:
        self._meet("scan")
        self.scans.append(tuple(paths))
        return ("/data",)

    def freshen(self) -> None:
        self._meet("Plex")
        self.looks += 1
        self.remembered.put(1, [Entry(key, item.files) for key, item in self.items.items()])

    def write(self, item: Item, edits: Edits) -> None:
        self._meet("Plex")
        self.writes.append((item.rating_key, dict(edits.params)))
        self.items[item.rating_key] = taken(self.items.get(item.rating_key, item), edits.params)
        if edits.watched is not None:
            views = item.view_count + 1 if edits.watched else 0
            self.items[item.rating_key] = replace(
                self.items[item.rating_key], view_count=views, last_viewed_at=99
            )
            self._meet("answer")
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()


FILLED = {"plex_url": "http://plex:32400", "plex_token": "token-of-the-owner"}
NOW = ManualClock().now()


TEXTS = {
    "title": "title",
    "titleSort": "title_sort",
    "originalTitle": "original_title",
    "summary": "summary",
    "tagline": "tagline",
    "studio": "studio",
    "contentRating": "content_rating",
}
TAGS = {"genre": "genres", "label": "labels", "collection": "collections", "director": "directors"}


def taken(item: Item, params: Mapping[str, str]) -> Item:
    """The item after an edit: values, locks, tags added by number and removed by name."""
    changed: dict[str, Any] = {TEXTS[n]: params[f"{n}.value"] for n in TEXTS if f"{n}.value" in params}
    if "originallyAvailableAt.value" in params:
        changed["originally_available_at"] = params["originallyAvailableAt.value"] or None
    if "userRating.value" in params:
        changed["user_rating"] = float(params["userRating.value"]) if params["userRating.value"] else None
    for kind, name in TAGS.items():
        named, gone = _named(kind, params)
        kept = [tag for tag in getattr(item, name) if tag not in gone]
        changed[name] = tuple(dict.fromkeys([*kept, *named.values()]))
    named, gone = _named("actor", params)
    actors = {actor.name: actor for actor in item.actors if actor.name not in gone}
    for place, actor in named.items():
        role = params.get(place.replace("tag.tag", "tagging.text"))
        known = actors.get(actor, Actor(actor))
        actors[actor] = known if role is None else replace(known, role=role)
    locks = {n.removesuffix(".locked"): value == "1" for n, value in params.items() if n.endswith(".locked")}
    locked = (item.locked | {n for n, on in locks.items() if on}) - {n for n, on in locks.items() if not on}
    return replace(item, **changed, actors=tuple(actors.values()), locked=frozenset(locked))


def _named(kind: str, params: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """The tags an edit adds, by parameter, and those it takes away."""
    added = {n: value for n, value in params.items() if re.fullmatch(rf"{kind}\[\d+\]\.tag\.tag", n)}
    return added, {urllib.parse.unquote(tag) for tag in params.get(f"{kind}[].tag.tag-", "").split(",")}


def _name(path: str) -> str:
    return path_key(path).split("/")[-1].casefold()


@dataclass
class Paper:
    """Stash and Plex as dictionaries; ``trouble`` is raised by whatever touches that server."""

    has: dict[int, Scene] = field(default_factory=dict)
    items: dict[int, Item] = field(default_factory=dict)
    stored: dict[str, object] = field(default_factory=lambda: dict(FILLED))
    trouble: dict[str, SyncFailure] = field(default_factory=dict)
    address: str = "http://127.0.0.1:9999"
    remembered: SyncState = field(default_factory=SyncState)
    pages: list[int] = field(default_factory=list)  # how many scenes each page asked for

    def _meet(self, server: str) -> None:
        if server in self.trouble:
            raise self.trouble[server]

    def read_settings(self) -> tuple[Settings, tuple[object, ...]]:
        self._meet("Stash")
        return parse(self.stored)

    def settings(self) -> Settings:
        settings, problems = self.read_settings()
        for problem in problems:
            if problem.blocking:
                raise SettingProblem(problem.key, problem.sentence)
        return settings

    def stash(self) -> Paper:
        self._meet("Stash")
        return self

    def plex(self) -> Paper:
        self.settings()
        self._meet("Plex")
        return self

    def probe(self, server: str) -> None:
        self._meet(server)

    def version(self) -> str:
        return "v0.30.1"

    def count(self) -> int:
        return len(self.has)

    def all_ids(self) -> Iterator[int]:
        yield from sorted(self.has)

    def scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        return {number: self.has[number] for number in scene_ids if number in self.has}

    def scene_pages(
        self, after_id: int = 0, per_page: int = 100, updated_since: datetime.datetime | None = None
    ) -> Iterator[list[Scene]]:
        self.pages.append(per_page)
        wanted = [
            scene
            for _, scene in sorted(self.has.items())
            if scene.id > after_id
            and (updated_since is None or datetime.datetime.fromisoformat(scene.updated_at) >= updated_since)
        ]
        for start in range(0, len(wanted), per_page):
            yield wanted[start : start + per_page]

    def identity(self) -> Identity:
        return Identity("abc", "1.41.5")

    def libraries(self) -> tuple[Library, ...]:
        return (Library(1, "Films", ("/media/films",)),)

    def health(self) -> Health:
        return Health("Den", "1.41.5", self.libraries())

    def find(self, paths: tuple[str, ...]) -> tuple[Item, ...]:
        keys = {path_key(path) for path in paths}
        return tuple(item for item in self.items.values() if keys & {path_key(file) for file in item.files})

    def find_many(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        self._meet("Plex")
        return [self.find(paths) for paths in groups]

    def find_alike(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        names = [{_name(path) for path in paths} for paths in groups]
        return [
            tuple(i for i in self.items.values() if wanted & {_name(f) for f in i.files}) for wanted in names
        ]

    def touched(self, moment: str, since: int) -> list[Entry]:
        self._meet("Plex")
        return [
            Entry(item.rating_key, item.files, 0, item.user_rating, item.view_count)
            for item in self.items.values()
            if (item.last_rated_at if moment == "lastRatedAt" else item.last_viewed_at) > since
        ]

    def freshen(self) -> None:
        self._meet("Plex")

    def sync_state(self, settings: Settings) -> SyncState:
        return self.remembered

    def connect(self) -> None:
        self._meet("Plex")

    def relist(self) -> None:
        self._meet("Plex")

    def read(self, rating_keys: Sequence[int]) -> tuple[Item, ...]:
        self._meet("Plex")
        return tuple(self.items[key] for key in rating_keys if key in self.items)

    def write(self, item: Item, edits: Edits) -> None:
        self.items[item.rating_key] = taken(item, edits.params)


class Session(RealSession):
    """A session whose servers are on paper and whose lines are kept."""

    def __init__(self, data_dir: Path, paper: Paper, clock: ManualClock | SystemClock | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.bar: list[float] = []
        super().__init__(
            str(data_dir),
            lambda level, text: self.lines.append((level, text)),
            self.bar.append,
            clock or ManualClock(),
            self.date_on_the_wall,
        )
        self.dates: dict[str, float | None] = {}  # by address; the same as ours where none is given
        self.paper = paper

    @cached_property
    def servers(self) -> Paper:  # type: ignore[override]
        return self.paper

    def date_on_the_wall(self, url: str) -> float | None:
        return self.dates.get(url, self.clock.now())

    def wake(self) -> None:
        """No process is started for a test."""

    def successor(self) -> AbstractContextManager[None]:
        return nullcontext()


def shelf() -> Paper:
    """500 scenes, each with an item that has its file; scene N was edited N hours ago."""
    world = Paper()
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    for number in range(1, 501):
        path = f"/data/{number}.mp4"
        edited = moment - datetime.timedelta(hours=number)
        world.has[number] = Scene(
            number, title=f"Scene {number}", files=(SceneFile(path),), updated_at=edited.isoformat()
        )
        world.items[1000 + number] = Item(1000 + number, 1, title="old", files=(path,))
    return world


def run_task(session: Session, mode: str, **args: object) -> dict[str, object]:
    return tasks.TASKS[mode].run(session, {"mode": mode, **args})


def applied(seen: ScenePlan, world: World, settings: Settings) -> tuple[Outcome, ScenePlan]:
    """Carry out one plan as the worker does, and read back what was written; failures are raised."""
    done = apply.write_rest(apply.write_fields(seen, world), world, settings)
    return read_back.read_back({0: done}, world, settings)[0]


def make_dead_letter(store: Store, scene_id: int, error_type: str = "Permanent") -> None:
    store.enqueue(scene_id)
    job = store.claim()
    assert job is not None
    store.dead_letter(job, error_type, f"{error_type} happened.", "Traceback …")
