"""The tasks in Stash, a short function each; ``runPluginOperation`` and the command line run the same ones.

A task is given its Session and its arguments, says what happens line by line, and returns a JSON object. What goes
wrong in a way we expect is raised as one of TROUBLES and becomes the answer's ``error``; a queue or a server that
cannot be used is no defect.

The clients of the two servers take 200 ms to import, so only what talks to a server imports them: a panel that asks
for the status every few seconds does not wait for them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plexsync import hook, protocol
from plexsync.core.failures import SettingProblem, SyncFailure
from plexsync.core.job import RELIST
from plexsync.queue import database
from plexsync.ui.arguments import Args, WrongArgument, error_type_of, number, numbers, switch
from plexsync.ui.doctor import health_check
from plexsync.ui.operations import (
    RECENT_HOURS,
    SCENES_A_PAGE,
    choose,
    dead,
    diff,
    export,
    outage_summary,
    queue,
    queue_status,
)
from plexsync.ui.process_queue import process_queue
from plexsync.ui.session import TROUBLES, NoFolder, Session, blocked, sentence
from plexsync.ui.words import by_count, plural

if TYPE_CHECKING:
    pass

PURGE_DAYS = 30.0


@dataclass(frozen=True)
class TaskSpec:
    """One mode of ``args.mode``."""

    run: Callable[[Session, Args], dict[str, object]]
    destroys: bool = False
    args: tuple[str, ...] = ()  # what it understands besides mode
    shown: bool = True  # as a task in Stash; else for runPluginOperation and the command line alone


def run(task: protocol.Task) -> int:
    """Do what the task's mode says and answer; gives the exit status."""
    data_dir = database.data_folder(task.connection)
    session = Session(data_dir, connection=task.connection)
    log_to_stash()
    try:
        spec = _spec_of(task)
        make_data_folder(data_dir)
        if task.connection:
            hook.remember(data_dir, task.connection)
        output = spec.run(session, task.args)
    except TROUBLES as trouble:
        text = sentence(trouble, data_dir)
        protocol.log("error", text)
        protocol.answer(error=text)
    else:
        protocol.answer(output)
    finally:
        session.close()
    return 0


def make_data_folder(data_dir: str) -> None:
    """Make the folder if need be. Raises NoFolder for a name no folder can have, OSError for any other reason."""
    try:
        os.makedirs(data_dir, mode=0o700, exist_ok=True)
    except ValueError as error:  # a NUL, or half a letter
        raise NoFolder(
            f"There can be no data folder {data_dir!r}: {error}. Stash names its folder so."
        ) from None


def _spec_of(task: protocol.Task) -> TaskSpec:
    spec = TASKS.get(task.mode)
    if spec is None:
        asked = f"There is no mode {task.mode[:40]!r}" if task.mode else "The arguments name no mode"
        raise WrongArgument(f"{asked}; PlexSync has {', '.join(TASKS)}.")
    # A misspelled "days" must not delete by the default.
    unknown = sorted(set(task.args) - {"mode", "hookContext", *spec.args})
    if unknown:
        knows = f"knows {', '.join(spec.args)}" if spec.args else "takes no arguments"
        raise WrongArgument(f"There is no argument {unknown[0][:40]!r}; {task.mode} {knows}.")
    return spec


class _ToStash(logging.Handler):
    """Log records of the product as log lines in Stash."""

    def emit(self, record: logging.LogRecord) -> None:
        name = record.levelname.lower()
        protocol.log(name if name in protocol.MARKS else "error", record.getMessage())


def log_to_stash() -> None:
    """What store and worker log goes to Stash; what other packages log may quote URLs and headers and does not."""
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints what has no handler to stderr
    ours = logging.getLogger("plexsync")
    ours.handlers[:] = [_ToStash()]
    ours.setLevel(logging.INFO)
    ours.propagate = False


# ---- queueing ----


def undo(session: Session, args: Args) -> dict[str, object]:
    """See ``undo.undo``; imported when it is asked for."""
    from plexsync.ui.undo import undo as act

    return act(session, args)


def sync_all(session: Session, args: Args) -> dict[str, object]:
    """Queue every scene of Stash."""
    stash = session.servers.stash()
    total = stash.count()
    if switch(args, "force"):
        session.servers.sync_state(session.servers.settings()).drop_evidence()
    session.store.state.save(RELIST, str(session.clock.now()))
    page: list[int] = []
    seen = queued = 0
    for scene_id in stash.all_ids():
        page.append(scene_id)
        if len(page) == SCENES_A_PAGE:
            seen, queued, page = seen + SCENES_A_PAGE, queued + session.store.enqueue_many(page), []
            session.progress(seen / max(total, 1))
    seen, queued = seen + len(page), queued + session.store.enqueue_many(page)
    return _queued(session, seen, queued, "in Stash")


def sync_recent(session: Session, args: Args) -> dict[str, object]:
    """Queue the scenes Stash has changed in the last ``hours``."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    now = datetime.datetime.fromtimestamp(session.clock.now(), datetime.UTC)
    since = now - datetime.timedelta(hours=hours)
    stash = session.servers.stash()
    about = max(stash.count(), 1)
    seen = queued = 0
    for scenes in stash.scene_pages(per_page=SCENES_A_PAGE, updated_since=since):
        seen += len(scenes)
        queued += session.store.enqueue_many(scene.id for scene in scenes)
        # Ids are given out in order, so the last one says roughly how far we are.
        session.progress(min(scenes[-1].id / about, 1.0))
    return _queued(session, seen, queued, f"changed in the last {hours:g} hours")


def _queued(session: Session, seen: int, queued: int, which: str) -> dict[str, object]:
    returned = _returning(session)
    session.wake()
    session.progress(1.0)
    session.tell(f"{plural(seen, 'scene')} {which}: {queued} queued, {seen - queued} queued already.")
    _warn(session)
    return {"scenes": seen, "queued": queued, "already_waiting": seen - queued, "returned": returned}


def _returning(session: Session) -> int:
    """Queue, as edits, the scenes that were rated or played in Plex, if Stash is to know; how many.

    As edits, because Plex is not asked about a scene that seems to be in sync."""
    from plexsync.sync import reconcile

    try:
        returned, _ = reconcile.returning(session.store, session.servers, session.servers.settings())
        return returned
    except SettingProblem:
        return 0  # nothing can be synced, and the queue says why
    except SyncFailure as failure:
        _say_untold(session, str(failure))
        return 0


def _say_untold(session: Session, why: str) -> None:
    session.warn(f"Ratings and plays in Plex could not be read, and are read next time: {why}")


def _warn(session: Session) -> None:
    """Say what is wrong with the settings, and what else keeps the jobs just queued from being done."""
    said: list[str] = []
    with contextlib.suppress(SyncFailure):  # Stash has just gone, and that is not what was asked
        said = [problem.sentence for problem in session.servers.read_settings()[1]]
    why = blocked(session.store)
    if why and why.cause not in said:
        said.append(why.sentence)
    for text in said:
        session.warn(text)


def reconcile_all(session: Session, args: Args) -> dict[str, object]:
    """Queue every scene that is not known to be in sync with Plex."""
    return _sweep(session, args, None, "in Stash")


def reconcile_recent(session: Session, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last ``hours`` and Plex does not have yet."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    return _sweep(session, args, hours, f"changed in the last {hours:g} hours")


def reconcile_7days(session: Session, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last seven days and Plex does not have yet."""
    return _sweep(session, args, 7 * 24.0, "changed in the last 7 days")


def _sweep(session: Session, args: Args, hours: float | None, which: str) -> dict[str, object]:
    from plexsync.sync import reconcile

    settings = session.servers.settings()
    about = max(session.servers.stash().count(), 1)
    found = reconcile.sweep(
        session.store,
        session.servers,
        settings,
        hours,
        lambda seen, last_id: session.progress(last_id / about),
        force=switch(args, "force"),
    )
    session.wake()
    session.progress(1.0)
    known = "unchanged since the last sync" if found.untold else "in sync with Plex"
    session.tell(
        f"{plural(found.seen, 'scene')} {which}: {found.in_sync} {known}, {found.out_of_sync} queued, {found.waiting} "
        f"waiting already, {found.skipped} skipped."
    )
    if found.edited:
        session.tell(f"Changed in Plex since the last sync: {plural(found.edited, 'scene')} queued.")
    if found.gone:
        session.tell(f"No longer in Stash: {plural(found.gone, 'scene')} queued, to be cleaned up after.")
    if found.reasons:
        session.tell(f"Skipped: {by_count(found.reasons)}.")
    if found.untold:
        _say_untold(session, found.untold)
    _warn(session)
    return dataclasses.asdict(found)


def reconcile_missing(session: Session, args: Args) -> dict[str, object]:
    """Say which scenes Plex does not have, and which items of Plex Stash does not have."""
    from plexsync.sync import reconcile

    settings = session.servers.settings()
    about = max(session.servers.stash().count(), 1)
    found = reconcile.missing(
        session.servers, settings, lambda seen, last_id: session.progress(min(seen / about, 1.0))
    )
    session.progress(1.0)
    session.tell(
        f"{plural(found.seen, 'scene')} compared: {found.scenes} not in Plex, {plural(found.items, 'item')} of Plex "
        "not in Stash."
    )
    for path in found.scene_samples:
        session.tell(f"Not in Plex: {path}")
    for path in found.item_samples:
        session.tell(f"Not in Stash: {path}")
    return dataclasses.asdict(found)


def retry_dlq(session: Session, args: Args) -> dict[str, object]:
    """Queue the scenes of dead letters again: all, those of one ``error_type``, or those whose numbers are ``ids``."""
    ids = numbers(args, "ids")
    replayed = session.store.letters.replay(ids or None, error_type_of(args))
    session.wake()
    if ids and not replayed:
        session.warn(f"There is no dead letter {', '.join(map(str, ids))} to retry.")
    session.tell(f"Dead letters queued again: {replayed}.")
    return {"replayed": replayed}


# ---- deleting ----


def clear_queue(session: Session, args: Args) -> dict[str, object]:
    """Delete all pending jobs."""
    deleted = session.store.clear_waiting()
    session.tell(f"Pending jobs deleted: {deleted}. Plex keeps its values until the next edit or sync.")
    return {"deleted": deleted}


def clear_dlq(session: Session, args: Args) -> dict[str, object]:
    """Delete every dead letter that was not retried."""
    deleted = session.store.letters.clear()
    session.tell(f"Dead letters deleted: {deleted}.")
    return {"deleted": deleted}


def purge_dlq(session: Session, args: Args) -> dict[str, object]:
    """Delete the dead letters older than ``days``."""
    days = number(args, "days", PURGE_DAYS, "days")
    deleted = session.store.letters.purge(days * 86_400)
    session.tell(f"Dead letters older than {days:g} days deleted: {deleted}.")
    return {"deleted": deleted, "days": days}


TASKS: dict[str, TaskSpec] = {
    "all": TaskSpec(sync_all, args=("force",)),
    "recent": TaskSpec(sync_recent, args=("hours",)),
    "queue_status": TaskSpec(queue_status),
    "clear_queue": TaskSpec(clear_queue, destroys=True),
    "clear_dlq": TaskSpec(clear_dlq, destroys=True),
    "purge_dlq": TaskSpec(purge_dlq, destroys=True, args=("days",)),
    "reconcile_all": TaskSpec(reconcile_all, args=("force",)),
    "reconcile_recent": TaskSpec(reconcile_recent, args=("hours", "force")),
    "reconcile_7days": TaskSpec(reconcile_7days, args=("force",)),
    "reconcile_missing": TaskSpec(reconcile_missing),
    "diff": TaskSpec(diff, args=("scene_id", "scope", "hours", "limit", "page")),
    "outage_summary": TaskSpec(outage_summary),
    "retry_dlq": TaskSpec(retry_dlq, args=("error_type", "ids")),
    "process_queue": TaskSpec(process_queue),
    "undo": TaskSpec(undo, args=("scene_ids", "since", "all", "dry_run")),
    "health_check": TaskSpec(health_check),
    "choose": TaskSpec(choose, args=("scene_id", "rating_key"), shown=False),
    "queue": TaskSpec(queue, args=("limit",), shown=False),
    "dead": TaskSpec(dead, args=("ids", "error_type", "limit"), shown=False),
    "export": TaskSpec(export, shown=False),
}
