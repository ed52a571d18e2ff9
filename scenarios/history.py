"""What was asked of a world and what came of it: the one thing the checks look at, and the report draws.

Plain frozen values, written down by the runner while it plays and completed with the evidence the simulators, the
queue file and the log hold in the end. Times are wall seconds; `began_at` is the zero of every picture.

An edit's outcome is "ok" (Stash said so), "failed" (Stash said no) or "unknown" (the line broke before an answer), and
checks allow both worlds for an unknown one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
RATED_IN_PLEX = "rated in Plex"  # the one kind of edit that is not done in Stash

# Faults after which nobody but the server knows whether the request was carried out.
OUTCOME_UNKNOWN = frozenset({"reset_after", "hang", "truncate", "slow_body", "garble", "slow_apply", "delay"})


@dataclass(frozen=True)
class Edit:
    """One thing a person did in Stash."""

    number: int
    kind: str  # update, bulk, create, destroy, merge, rename, plays, rated in Plex
    scene_ids: tuple[int, ...]
    fields: Mapping[str, Any]  # as the act named them; relations by name
    asked_at: float
    answered_at: float | None
    outcome: str
    message: str = ""
    concerns_plex: bool = True  # False: nothing Plex shows was edited, and no note may be left


@dataclass(frozen=True)
class Mark:
    """A moment somebody looking at the picture should know of."""

    at: float
    kind: str  # down, up, kill, freeze, thaw, fault, calm, task, note, heal, drained
    text: str
    subject: str = ""  # plex, stash, worker, hook


@dataclass(frozen=True)
class Sample:
    """The queue at one moment, read from its file by other means than the plugin's."""

    at: float
    pending: int = 0
    in_progress: int = 0
    later: int = 0  # of the pending, those not due yet
    done: int = 0  # over the life of the file
    dead: int = 0
    spooled: int = 0
    plex: str = "closed"  # breaker states
    stash: str = "closed"
    worker: bool = False


@dataclass(frozen=True)
class Write:
    """One edit request that reached Plex."""

    at: float
    scene_id: int | None  # None: an item no scene belongs to
    rating_key: int
    asks: str  # the request itself, so that two that ask the same are equal
    title: str | None  # the title it sets, if it does
    status: int | None  # None: no answer was sent
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hook:
    """One hook process."""

    at: float
    scene_id: int | None
    trigger: str
    wall_ms: float
    exit: int | None
    signal: str | None
    answer: str = ""


@dataclass(frozen=True)
class Move:
    """One line the plugin logged about a job."""

    at: float
    action: str  # synced, in_sync, gone, postponed, dead-lettered, stale ...
    scene_id: int
    attempt: int
    text: str


@dataclass(frozen=True)
class Letter:
    """One dead letter."""

    scene_id: int | None
    error_type: str
    message: str
    attempts: int


@dataclass(frozen=True)
class Outage:
    """One outage as the plugin recorded it."""

    server: str
    began_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Pair:
    """One scene at the end: what Stash says and what Plex says, both as `in_sync.FIELDS` names it."""

    scene_id: int
    file: str
    stash: Mapping[str, Any]
    plex: Mapping[str, Any] | None  # None: Plex has no item of this file
    before: Mapping[str, Any] | None = None  # what Plex said at the beginning


@dataclass(frozen=True)
class Answer:
    """What the plugin said of its queue when asked, between two looks of ours at the file."""

    at: float
    said: Mapping[str, Any]
    earlier: Sample
    later: Sample


@dataclass(frozen=True)
class History:
    scenario: str
    seed: int
    mode: str = "real"
    began_at: float = 0.0
    healed_at: float = 0.0
    drained_at: float | None = None  # None: it never came to rest
    ended_at: float = 0.0
    edits: tuple[Edit, ...] = ()
    marks: tuple[Mark, ...] = ()
    samples: tuple[Sample, ...] = ()
    writes: tuple[Write, ...] = ()
    hooks: tuple[Hook, ...] = ()
    moves: tuple[Move, ...] = ()
    letters: tuple[Letter, ...] = ()
    outages: tuple[Outage, ...] = ()
    answers: tuple[Answer, ...] = ()
    pairs: tuple[Pair, ...] = ()
    final: Sample = field(default_factory=lambda: Sample(0.0))
    leftovers: tuple[str, ...] = ()  # processes and listeners that were still there after the end
    secrets: tuple[str, ...] = ()  # places where a secret was found
    troubles: tuple[str, ...] = ()  # what the plugin logged as a defect: tracebacks
    plex_requests: int = 0
    stash_requests: int = 0
    baselines_ms: tuple[float, ...] = ()  # what starting a bare Python took meanwhile: the measure for hooks

    def marked(self, *kinds: str) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if mark.kind in kinds)

    @property
    def kills(self) -> int:
        """Processes of the plugin that were ended by a signal: workers, tasks, and hooks whose tab was closed."""
        return len(self.marked("kill")) + sum(hook.signal is not None for hook in self.hooks)

    @property
    def unknown_outcomes(self) -> int:
        """Writes whose sender could not know whether they were carried out."""
        return sum(write.status is None or bool(OUTCOME_UNKNOWN & set(write.faults)) for write in self.writes)

    def edits_of(self, scene_id: int) -> tuple[Edit, ...]:
        return tuple(edit for edit in self.edits if scene_id in edit.scene_ids)

    def writes_of(self, scene_id: int) -> tuple[Write, ...]:
        return tuple(write for write in self.writes if write.scene_id == scene_id)

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def quantile(values: Iterable[float], part: float) -> float:
    """The smallest value that at least `part` of all are not above; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * part) - 1))] if ordered else 0.0


# Faults by which a request is certainly not carried out.
NOT_DONE = frozenset({"reset_before", "refuse", "status", "hang"})


def duplicates(history: History) -> tuple[tuple[Write, Write], ...]:
    """Writes Plex carried out that ask what the one before them asked of the same item, and so changed nothing; each
    behind the one it repeats."""
    last: dict[int, Write] = {}
    found = []
    for write in sorted(history.writes, key=lambda w: w.at):
        if NOT_DONE & set(write.faults) or (write.status or 200) >= 400:
            continue
        before = last.get(write.rating_key)
        if before is not None and before.asks == write.asks:
            found.append((before, write))
        last[write.rating_key] = write
    return tuple(found)
