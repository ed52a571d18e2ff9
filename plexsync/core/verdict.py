"""What becomes of a job after an attempt: an outcome in, a decision out.

    Synced, FannedOut, InSync, Skipped, Gone, NoFile   Finish; a FannedOut that let others pass: Postpone
    NotFound                                          Postpone, ever longer; DeadLettered after
                                                     ``not_found_attempts`` looks;
                                                      Finish at once with ``skip_not_found``
    Ambiguous                                         DeadLettered: a person must choose
    Failed  Unavailable                               Postpone, no attempt used, for as long as it takes
            NeedsAttention, SettingProblem            the same
            Permanent                                 DeadLettered
            Transient, and anything unforeseen        Postpone with backoff; DeadLettered after ``max_attempts``

The waits are equal-jitter exponential: half of the wait is certain, half is chance, so that jobs which failed
together do not come back together and none comes back at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from plexsync.core.failures import NeedsAttention, Permanent, SettingProblem, Unavailable
from plexsync.core.item import Item
from plexsync.core.job import Job, Remark
from plexsync.core.settings import Settings

# Plex takes a file in minutes (a scan) to hours (a scheduled scan); 12 looks with these cover about five
# hours.
NOT_FOUND_BASE_S = 30.0
NOT_FOUND_CAP_S = 3600.0
LET_PASS_S = 0.1  # by which a look at all scenes is due after the edits it lets pass
# What only a person can put right is looked at again at this pace; "Process queue" looks at once.
ATTENTION_HOLD_S = 60.0


@dataclass(frozen=True)
class Synced:
    """Written to Plex: the fields that differed. ``kept`` differ too and stay as they are in Plex, by rule.
    ``to_stash`` is what went the other way; ``remarks`` are phrases that explain; ``not_taken`` are fields Plex shows
    otherwise than they were written, like “date as 2024-05-16”."""

    fields: tuple[str, ...]
    kept: tuple[str, ...] = ()
    to_stash: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    name: ClassVar[str] = "synced"


@dataclass(frozen=True)
class FannedOut:
    """The scenes of a performer, studio, tag or group were queued; without ``done`` some are still to be looked for."""

    scenes: int
    done: bool = True
    name: ClassVar[str] = "fanned_out"


@dataclass(frozen=True)
class InSync:
    """Plex had all of it already; nothing was written. ``kept`` differ and stay as they are in Plex, by rule."""

    kept: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    name: ClassVar[str] = "in_sync"


@dataclass(frozen=True)
class Skipped:
    """A rule of the settings says not to sync this scene."""

    reason: str
    name: ClassVar[str] = "skipped"


@dataclass(frozen=True)
class Gone:
    """The scene is no longer in Stash. ``fields`` were cleaned in Plex of what we had added to them; ``sharing``
    are scenes whose item is the same, which take over what there is to clean."""

    fields: tuple[str, ...] = ()
    sharing: tuple[int, ...] = ()
    name: ClassVar[str] = "gone"


@dataclass(frozen=True)
class NoFile:
    """The scene has no file, so Plex cannot have it; a file added later makes a job of its own."""

    name: ClassVar[str] = "no_file"


@dataclass(frozen=True)
class NotFound:
    """No item in Plex has one of these files (paths as Plex would see them)."""

    paths: tuple[str, ...]
    name: ClassVar[str] = "not_found"


@dataclass(frozen=True)
class Ambiguous:
    """Several items in Plex have the file."""

    candidates: tuple[Item, ...]
    name: ClassVar[str] = "ambiguous"


@dataclass(frozen=True)
class Failed:
    """An exception ended the attempt; ``traceback`` holds no secret."""

    error: Exception
    traceback: str = ""
    name: ClassVar[str] = "failed"


Outcome = Synced | FannedOut | InSync | Skipped | Gone | NoFile | NotFound | Ambiguous | Failed


@dataclass(frozen=True)
class Finish:
    """The job is done."""

    note: str
    remarks: tuple[tuple[Remark, str], ...] = ()  # what was left undone, and by which rule


@dataclass(frozen=True)
class Postpone:
    """The job waits until ``until`` (wall seconds); without ``uses_attempt`` the claim is not counted against it."""

    until: float
    reason: str
    uses_attempt: bool
    waits_for: str = ""  # the server whose recovery makes it due at once


@dataclass(frozen=True)
class DeadLettered:
    """The job becomes a dead letter; ``error_type`` is the class name of what ended it."""

    error_type: str
    message: str
    traceback: str = ""


Decision = Finish | Postpone | DeadLettered


def after(job: Job, outcome: Outcome, now: float, rng: random.Random, settings: Settings) -> Decision:
    """What to do with ``job``, whose ``attempts`` already counts the attempt that had this outcome."""
    match outcome:
        case Synced(fields, kept, to_stash, remarks, not_taken):
            wrote = [f"wrote {', '.join(fields)}"] if fields else []
            told = [f"told Stash the {', '.join(to_stash)}"] if to_stash else []
            return Finish(
                "; ".join([*wrote, *told, *_kept(kept), *_not_taken(not_taken), *remarks]),
                _remarks(kept, not_taken),
            )
        case FannedOut(scenes, done):
            if not done:
                return Postpone(now + LET_PASS_S, "goes on after the edits that are due", uses_attempt=False)
            return Finish(f"queued {scenes} scenes")
        case InSync(kept, remarks, not_taken):
            said = ["nothing to write", *_kept(kept), *_not_taken(not_taken), *remarks]
            return Finish("; ".join(said), _remarks(kept, not_taken))
        case Skipped(reason):
            return Finish(reason, ((Remark.SKIPPED, reason),))
        case Gone(fields):
            cleaned = f"; took ours from {', '.join(fields)}" if fields else ""
            return Finish("no longer in Stash" + cleaned)
        case NoFile():
            return Finish("has no file")
        case NotFound(paths):
            message = "No Plex item has the file " + " or ".join(paths) + "."
            if settings.skip_not_found:
                return Finish(message)
            if job.attempts >= settings.not_found_attempts:
                return DeadLettered("NotFound", message)
            wait_s = backoff_s(job.attempts, NOT_FOUND_BASE_S, NOT_FOUND_CAP_S, rng)
            return Postpone(now + wait_s, message, uses_attempt=True)
        case Ambiguous(candidates):
            named = "; ".join(_named(item) for item in candidates)
            return DeadLettered("Ambiguous", f"{len(candidates)} Plex items have the file: {named}.")
        case Failed(error, traceback):
            return _after_failure(job, error, traceback, now, rng, settings)


def _kept(fields: tuple[str, ...]) -> list[str]:
    return [f"kept Plex's own {', '.join(fields)}"] if fields else []


def _not_taken(phrases: tuple[str, ...]) -> list[str]:
    return [f"Plex keeps {phrase}" for phrase in phrases]


def _remarks(kept: tuple[str, ...], not_taken: tuple[str, ...]) -> tuple[tuple[Remark, str], ...]:
    named = [(Remark.KEPT, field) for field in kept]
    named += [(Remark.NOT_TAKEN, phrase.partition(" ")[0]) for phrase in not_taken]
    return tuple(named)


def _after_failure(
    job: Job, error: Exception, traceback: str, now: float, rng: random.Random, settings: Settings
) -> Decision:
    message = str(error) or type(error).__name__
    if isinstance(error, Unavailable):
        return Postpone(now + settings.retry_base_s, message, uses_attempt=False, waits_for=error.service)
    if isinstance(error, NeedsAttention):
        return Postpone(now + ATTENTION_HOLD_S, message, uses_attempt=False, waits_for=error.service)
    if isinstance(error, SettingProblem):
        return Postpone(now + ATTENTION_HOLD_S, message, uses_attempt=False)
    if isinstance(error, Permanent) or job.attempts >= settings.max_attempts:
        return DeadLettered(type(error).__name__, message, traceback)
    wait_s = backoff_s(job.attempts, settings.retry_base_s, settings.retry_cap_s, rng)
    return Postpone(now + wait_s, message, uses_attempt=True)


def backoff_s(attempts: int, base_s: float, cap_s: float, rng: random.Random) -> float:
    """Seconds to wait after the ``attempts``-th failure: base, doubled each time, capped, half of it by chance."""
    doublings = min(max(attempts, 1) - 1, 40)  # 2**40 times any base is beyond any cap, and within a float
    whole_s = min(base_s * 2.0**doublings, cap_s)
    return whole_s / 2 + rng.random() * whole_s / 2


def _named(item: Item) -> str:
    files = ", ".join(item.files) or "no file"
    return f"rating key {item.rating_key} in {item.section_title or item.section_id} ({files})"
