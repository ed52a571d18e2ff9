"""Numbers, durations, times and dead letters as words, for every line a task or a command prints."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from plexsync.core.job import DeadLetter
from plexsync.queue import events

CHOICE = "Ambiguous"  # the error_type of a dead letter that needs a choice between several Plex items
REASONS_SHOWN = 5


def plural(count: int, noun: str) -> str:
    """ "1 scene", "2 scenes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """A time a person can picture: "0.4 s", "90 s", "5 min", "3 h 20 min", "2 days 4 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 24:
        return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes))
    days, hours = divmod(round(seconds / 3600), 24)
    return plural(days, "day") + f" {hours} h" * bool(hours)


def utc(wall_s: float) -> str:
    """A wall time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(wall_s, datetime.UTC).isoformat(timespec="seconds")


def by_count(numbers: Mapping[str, int]) -> str:
    """ "5 × not organized, 2 × has no stash-box id", the most frequent first."""
    parts = [f"{number} × {what}" for what, number in numbers.items()]
    more = len(parts) - REASONS_SHOWN
    return ", ".join(parts[:REASONS_SHOWN]) + (f" and {plural(more, 'other reason')}" if more > 0 else "")


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """queue_status in sentences."""
    later = f", {status['waiting_later']} of them due later" if status["waiting_later"] else ""
    due = f"; the next is due in {duration(status['next_due_in_s'])}" if status["waiting_later"] else ""
    lines = [
        f"{status['pending']} pending{later}{due}; {status['in_progress']} in progress; "
        f"{status['finished_ever']} done so far; {plural(status['dead'], 'dead letter')}.",
        "A worker is running." if status["worker_running"] else "No worker was running.",
    ]
    if status["blocked"]:
        lines.append(status["blocked"])
    last = f"Of the last {plural(status['of_the_last'], 'job')} done"
    if status["skipped"]:
        lines.append(f"{last}, skipped: {by_count(status['skipped'])}.")
    if status["kept"]:
        lines.append(f"{last}, kept as Plex has it: {by_count(status['kept'])}.")
    for letter in status["dead_letters"]:
        lines.append(
            f"Dead letter {letter['id']}: {letter['about']} after {plural(letter['attempts'], 'attempt')}, "
            f"{letter['error_type']}: {letter['message']}"
        )
    if CHOICE in status["dead_by_type"]:
        lines.append("“PlexSync.py choose” lists the scenes that need a choice between Plex items.")
    return lines + list(status["mended"])


def letter_about(letter: DeadLetter) -> str:
    """ "scene 12", "performer 5"; "an unreadable row" when the payload does not say."""
    return (events.key_of(letter.payload) or "an unreadable row").replace(":", " ")


def letter_summary(letter: DeadLetter) -> dict[str, object]:
    """A dead letter without its payload and traceback."""
    return {
        "id": letter.id,
        "about": letter_about(letter),
        "scene_id": letter.scene_id,
        "error_type": letter.error_type,
        "message": letter.message,
        "attempts": letter.attempts,
        "failed_at": utc(letter.failed_at),
    }


def letter_whole(letter: DeadLetter) -> dict[str, object]:
    """All that is known of a dead letter."""
    return {
        **letter_summary(letter),
        "edits": letter.generation,
        "replayed_at": None if letter.replayed_at is None else utc(letter.replayed_at),
        "payload": letter.payload,
        "traceback": letter.traceback,
    }
