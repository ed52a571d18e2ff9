"""A job says that one scene is to be compared with Plex, and a table says what may happen to it.

The job holds no copy of the scene: the worker reads the scene as it is then. So a job may come twice, late, or merged
with another of the same scene, and the result is the same. Some jobs are about a performer, a studio, a tag, a group or
the library, and mean all its scenes. The table below is the whole life of a job. Jobs move only along it: ``move()``
refuses the rest, and tests/unit/queue/test_moves.py holds the SQL to it.

    enqueue ──▶ WAITING ──claim──▶ IN_PROGRESS ──finish, supersede──▶ DONE
                   ▲                  │   │                            ▲
                   ├──postpone────────┤   └──dead_letter──▶ FAILED ──replay (enqueues it anew)
                   └──requeue─────────┘

Edits of a scene whose job is WAITING raise the job's generation instead of adding a second one. Edits during
IN_PROGRESS make a new WAITING job; if the older one then comes back (postpone, requeue, dead_letter), it is closed as
superseded: the newer job covers it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Status(IntEnum):
    """The number in the queue's ``status`` column; persist-queue 1.1's own meanings (``AckStatus``)."""

    FRESH = 0  # waiting, as ``enqueue`` writes it
    WAITING = 1  # waiting, after it came back from a worker
    IN_PROGRESS = 2  # claimed, under a lease
    DONE = 5  # acknowledged
    FAILED = 9  # failed for good; its dead letter says why


MOVES: dict[tuple[Status, str], Status] = {
    (Status.FRESH, "claim"): Status.IN_PROGRESS,
    (Status.WAITING, "claim"): Status.IN_PROGRESS,
    (Status.FRESH, "coalesce"): Status.FRESH,
    (Status.WAITING, "coalesce"): Status.WAITING,
    (Status.IN_PROGRESS, "heartbeat"): Status.IN_PROGRESS,
    (Status.IN_PROGRESS, "finish"): Status.DONE,
    (Status.IN_PROGRESS, "postpone"): Status.WAITING,
    (Status.IN_PROGRESS, "requeue"): Status.WAITING,
    (Status.IN_PROGRESS, "dead_letter"): Status.FAILED,
    (Status.IN_PROGRESS, "supersede"): Status.DONE,
    (Status.FAILED, "replay"): Status.DONE,
}


class Remark(StrEnum):
    """What a finished job may have left undone, and why."""

    SKIPPED = "skipped"  # the scene, by a rule of the settings
    KEPT = "kept"  # a field, which stays as it is in Plex by rule
    NOT_TAKEN = "not_taken"  # a field, which Plex shows otherwise than it was written


RELIST = "relist"  # the state of the queue's file that asks the worker to read the libraries anew
LEASE_S = 60.0  # a claim not heard of for this long is anybody's again
DEATHS_MAX = 3  # workers a job may crash before it becomes a dead letter
SUSPECT_S = 5.0  # wait after the second death of a job's holder


class IllegalMove(ValueError):
    """A job was asked to do what its state does not allow; a defect of the caller."""


def move(status: Status, action: str) -> Status:
    """The state after ``action``, or IllegalMove when the table has no such row."""
    try:
        return MOVES[status, action]
    except KeyError:
        raise IllegalMove(f"a job that is {status.name} cannot {action}") from None


@dataclass(frozen=True)
class Job:
    """One job as a worker holds it."""

    id: int
    scene_id: int  # 0 when the job is about another entity
    update_type: str  # create, update, destroy or sync (asked for by a task or a person)
    fields: tuple[str, ...] = ()  # Stash's names of what was edited, merged over all edits; () is "unknown"
    generation: int = 1  # edits this job stands for
    attempts: int = 0  # claims so far that count, this one included
    token: str = ""  # the lease; only its holder may finish, postpone, requeue or dead-letter it
    enqueued_at: float = 0.0  # wall seconds of the first edit
    due_at: float = 0.0  # wall seconds before which nobody claims it
    first_failed_at: float | None = None
    last_error: str = ""
    deaths: int = 0  # workers that ended while holding it, in a row
    entity: str = "scene"  # or performer, studio, tag, group, library: a look at all its scenes
    entity_id: int = 0

    @property
    def alone(self) -> bool:
        """To be worked on by itself: it ended a worker, and its neighbours shall not be blamed, or it is about many
        scenes."""
        return bool(self.deaths or self.entity_id)

    @property
    def about(self) -> str:
        """ "scene=12", "performer=5", for a log line."""
        return f"{self.entity}={self.scene_id or self.entity_id}"


def due_after(deaths: int, now: float) -> float:
    """When a job is due whose holder died: at once, and from the second death in a row on a little later.

    Else a job could be taken for what kills workers when somebody kills them in quick succession.
    """
    return now + SUSPECT_S * (deaths - 1)


@dataclass(frozen=True)
class InLine:
    """A note as its place among the others is decided."""

    id: int
    key: str | None  # what it is about; None: nothing that another could be about too
    due_at: float  # wall seconds
    sequential: bool = False  # a barrier


def next_batch(waiting: Iterable[InLine], busy: Iterable[InLine], now: float, limit: int) -> list[int]:
    """The ids of what may be claimed together: up to ``limit`` parallel notes that are due, or one barrier alone.

    ``waiting`` is in the order in which the notes were put. A barrier starts when nothing before it waits or is worked
    on, also not for later, and nothing behind it starts before it is closed. Notes about one thing never overlap.
    """
    busy = list(busy)
    if any(one.sequential for one in busy):
        return []
    busy_keys = {one.key for one in busy if one.key is not None}
    chosen: list[int] = []
    for place, one in enumerate(waiting):
        if one.sequential:
            return [one.id] if place == 0 and not busy and one.due_at <= now else chosen
        if one.due_at <= now and one.key not in busy_keys:
            chosen.append(one.id)
        if len(chosen) >= limit:
            break
    return chosen


class StaleLease(Exception):
    """The job is no longer ours: its lease ran out and somebody else took it up. Nothing was changed."""


@dataclass(frozen=True)
class Counts:
    """How many jobs are where; ``pending`` includes what lies in the spool."""

    pending: int = 0
    in_progress: int = 0
    completed: int = 0  # finished rows still kept
    failed: int = 0
    dead: int = 0  # dead letters nobody has replayed
    spooled: int = 0
    waiting_later: int = 0  # of the pending, those postponed to a later time
    next_due_at: float | None = None  # wall seconds at which the first pending row may be claimed
    finished: int = 0  # over the life of the file


@dataclass(frozen=True)
class DeadLetter:
    """A job that failed for good, with all that was known."""

    id: int
    job_id: int | None
    scene_id: int | None
    error_type: str
    message: str
    traceback: str
    attempts: int
    generation: int
    enqueued_at: float | None
    first_failed_at: float | None
    failed_at: float
    replayed_at: float | None
    replayed_as: int | None
    payload: object  # the job as it was queued; its raw text when it is not readable
