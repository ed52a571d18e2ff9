"""The task that brings Plex back to what it had before PlexSync, and the one that shows what that would change."""

from __future__ import annotations

import dataclasses
import datetime

from plexsync.sync import undo as undoing
from plexsync.sync.undo import Restored
from plexsync.ui.arguments import Args, WrongArgument, numbers, switch
from plexsync.ui.session import Session
from plexsync.ui.words import plural

ITEMS_SHOWN = 100  # in an answer; the log has all
EPOCH_LEAST = 1e8  # a smaller number is hours, not a moment


def undo(session: Session, args: Args) -> dict[str, object]:
    """Bring Plex back to what it had before PlexSync (of ``scene_ids``, or of ``all``), or to what it had at a time
    (``since``). With ``dry_run`` it only says what it would restore."""
    scene_ids = numbers(args, "scene_ids")
    since = _moment(args.get("since"), session.clock.now())
    if not (scene_ids or since or switch(args, "all")):
        raise WrongArgument("undo needs to know what: scene_ids, since when, or all.")
    dry_run = switch(args, "dry_run")
    shown: list[Restored] = []

    def tell(one: Restored) -> None:
        if one.changes or one.problem:
            session.tell(_line(one, dry_run))
            if len(shown) < ITEMS_SHOWN:
                shown.append(one)

    done = undoing.undo(
        session.servers,
        session.servers.settings(),
        scene_ids or None,
        since,
        dry_run,
        tell,
    )
    verb = "would be restored" if dry_run else "restored"
    session.tell(
        f"{plural(done.items, 'item')} {verb} ({plural(done.fields, 'field')}), {done.as_before} as before already, "
        f"{done.failed} not possible."
    )
    return {**dataclasses.asdict(done), "dry_run": dry_run, "shown": [_as_json(one) for one in shown]}


def _moment(given: object, now: float) -> float | None:
    """A moment in wall seconds: hours before now, epoch seconds, or a date and time as ISO 8601 writes it."""
    text = str(given).strip() if given is not None else ""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        try:
            return datetime.datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise WrongArgument(
                f"since must be a number of hours or a time like 2026-12-01T10:00, not {text[:40]!r}."
            ) from None
    return number if number >= EPOCH_LEAST else now - number * 3600


def _line(one: Restored, dry_run: bool) -> str:
    fields = ", ".join(change.field for change in one.changes)
    said = one.problem or f"{'would restore' if dry_run else 'restored'} {fields}"
    return f"{one.rating_key}: “{one.title}”: {said}"


def _as_json(one: Restored) -> dict[str, object]:
    fields = {change.field: {"now": change.before, "restored": change.after} for change in one.changes}
    return {
        "rating_key": one.rating_key,
        "title": one.title,
        "scenes": list(one.scenes),
        "fields": fields,
        "problem": one.problem,
    }
