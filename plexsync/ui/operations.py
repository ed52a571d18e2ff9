"""What answers a question: the status, the jobs, the dead letters, a preview, an export; and the choice of an item.

Each is a task as ``tasks`` describes it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from plexsync.core import outages
from plexsync.core.job import Remark
from plexsync.core.settings import SCOPE_HOURS
from plexsync.ui.arguments import Args, WrongArgument, error_type_of, number, numbers, switch
from plexsync.ui.session import Session, blocked, replacing
from plexsync.ui.words import (
    CHOICE,
    duration,
    letter_about,
    letter_summary,
    letter_whole,
    plural,
    status_lines,
    utc,
)

if TYPE_CHECKING:
    from plexsync.queue.store import Store
    from plexsync.ui.diff import Preview, Tally

SCENES_A_PAGE = 200  # queued in one transaction: a few milliseconds in which a hook has to wait
RECENT_HOURS = 24.0
LETTERS_SHOWN = 20
LETTERS_MOST = 100_000
JOBS_SHOWN = 50
PREVIEWS_SHOWN = 100
PAGE_FILE, EXPORT_FILE = "diff.html", "export.jsonl"  # in the data folder
FINISHED_READ = 1000  # finished jobs of which the status says why they were skipped


def queue_status(session: Session, args: Args) -> dict[str, object]:
    """How many jobs are pending, in progress, done and dead, and what blocks the queue."""
    store = session.reading
    runs = session.worker_runs()
    counts = store.counts()
    letters = store.letters.newest(LETTERS_SHOWN)
    remarks = store.remarks(FINISHED_READ)
    now = session.clock.now()
    due_in_s = None if counts.next_due_at is None else round(max(counts.next_due_at - now, 0.0), 1)
    status: dict[str, object] = {
        "pending": counts.pending,
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "dead": counts.dead,
        "spooled": counts.spooled,
        "waiting_later": counts.waiting_later,
        "next_due_in_s": due_in_s,
        "finished_ever": counts.finished,
        "of_the_last": min(counts.completed, FINISHED_READ),
        "skipped": dict(remarks[Remark.SKIPPED].most_common()),
        "kept": dict(remarks[Remark.KEPT].most_common()),
        "not_taken": dict(remarks[Remark.NOT_TAKEN].most_common()),
        "worker_running": runs,
        "blocked": why.sentence if (why := blocked(store)) else None,
        "dead_by_type": store.letters.by_type(),
        "dead_letters": [letter_summary(letter) for letter in letters],
        "mended": session.troubles,
        "read_only": session.read_only,
        "data_folder": session.data_dir,
    }
    for line in status_lines(status):
        session.tell(line)
    return status


def queue(session: Session, args: Args) -> dict[str, object]:
    """The first ``limit`` pending jobs, in the order in which they are due."""
    now = session.clock.now()
    jobs = session.reading.waiting(int(number(args, "limit", JOBS_SHOWN, "jobs")))
    rows = [
        {
            "job": job.id,
            "about": f"{job.entity} {job.scene_id or job.entity_id}",
            "scene_id": job.scene_id,
            "update_type": job.update_type,
            "edits": job.generation,
            "attempts": job.attempts,
            "enqueued_at": utc(job.enqueued_at),
            "due_in_s": round(max(job.due_at - now, 0.0), 1),
            "last_error": job.last_error,
        }
        for job in jobs
    ]
    for row in rows:
        wait_s = float(str(row["due_in_s"]))
        due = f"due in {duration(wait_s)}" if wait_s else "due"
        tried = (
            f", {plural(job_attempts, 'attempt')} so far"
            if (job_attempts := int(str(row["attempts"])))
            else ""
        )
        why = f". {row['last_error']}" if row["last_error"] else ""
        session.tell(f"{row['about']}: {row['update_type']} of {row['enqueued_at']}, {due}{tried}{why}")
    if not rows:
        session.tell("There are no pending jobs.")
    return {"queue": rows}


def dead(session: Session, args: Args) -> dict[str, object]:
    """The newest ``limit`` dead letters, perhaps of one ``error_type``; or all about those numbered ``ids``."""
    ids = numbers(args, "ids")
    if ids:
        letters = [
            letter for letter_id in ids if (letter := session.reading.letters.find(letter_id)) is not None
        ]
        found = [letter_whole(letter) for letter in letters]
        for whole in found:
            for key, value in whole.items():
                session.tell(f"{key}: {value}")
    else:
        letters = session.reading.letters.newest(
            int(number(args, "limit", JOBS_SHOWN, "letters")), error_type_of(args)
        )
        found = [letter_summary(letter) for letter in letters]
        for letter in letters:
            tried = plural(letter.attempts, "attempt")
            when = utc(letter.failed_at)
            session.tell(
                f"{letter.id}: {letter_about(letter)}, {when}, after {tried}, {letter.error_type}: {letter.message}"
            )
    if ids and not letters:
        session.warn(f"There is no dead letter {', '.join(map(str, ids))}.")
    elif not letters:
        session.tell("There are no dead letters.")
    return {"dead_letters": found}


def choose(session: Session, args: Args) -> dict[str, object]:
    """Say which of several items a scene is: without ``scene_id`` the scenes that need it, with it the items.

    With ``rating_key`` too that choice is kept for good, and the scene is queued again.
    """
    named, chosen = numbers(args, "scene_id"), numbers(args, "rating_key")
    if len(named) > 1 or len(chosen) > 1 or (chosen and not named):
        raise WrongArgument("choose takes one scene_id, and one rating_key to choose.")
    letters = (session.store if named else session.reading).letters.newest(LETTERS_MOST, CHOICE)
    if not named:
        # A scene that was queued again meanwhile has a letter more; the newest is first, and says it.
        letters = list({letter.scene_id: letter for letter in reversed(letters)}.values())[::-1]
        session.tell(f"{plural(len(letters), 'scene')} in need of a choice between several Plex items.")
        for letter in letters[:LETTERS_SHOWN]:
            session.tell(f"{letter_about(letter)}: {letter.message}")
        return {"waiting": [letter_summary(letter) for letter in letters]}

    from plexsync.ui import diff as looking

    (scene_id,) = named
    servers, settings = session.servers, session.servers.settings()
    preview, sync_state = looking.undecided(servers, settings, scene_id), servers.sync_state(settings)
    candidates = {item.rating_key: looking.candidate(item) for item in preview.candidates}
    found: dict[str, object] = {
        "scene_id": scene_id,
        "outcome": preview.outcome,
        "candidates": list(candidates.values()),
        "chosen": sync_state.choice(scene_id),
        "replayed": 0,
    }
    if not candidates:
        which = f"It is item {preview.item.rating_key}." if preview.item else preview.reason
        session.tell(f"Scene {scene_id} needs no choice. {which}")
    elif not chosen:
        session.tell(f"Scene {scene_id}, {preview.path}, may be one of these:")
        for item in preview.candidates:
            mark = " (chosen)" * (item.rating_key == found["chosen"])
            where = item.section_title or item.section_id
            session.tell(f"{item.rating_key}{mark}: “{item.title}” in {where}, {' and '.join(item.files)}")
    elif chosen[0] not in candidates:
        raise WrongArgument(
            f"Scene {scene_id} is one of the items {', '.join(map(str, candidates))}, not {chosen[0]}."
        )
    else:
        sync_state.choose(scene_id, chosen[0])
        replayed = session.store.letters.replay(
            [letter.id for letter in letters if letter.scene_id == scene_id]
        )
        if not replayed:
            session.store.enqueue(scene_id, "update")
        session.wake()
        session.tell(f"Scene {scene_id} is item {chosen[0]} from now on; it is queued.")
        found |= {"chosen": chosen[0], "replayed": replayed}
    return found


def export(session: Session, args: Args) -> dict[str, object]:
    """Write jobs, dead letters and the sync state as JSON lines to a file in the data folder."""
    path = os.path.join(session.data_dir, EXPORT_FILE)
    store = session.reading  # trouble with it is none of the file's
    with replacing(path) as file:
        counted = export_to(store, lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n"))
    session.tell(f"{plural(sum(counted.values()), 'line')} written to {path}.")
    return {"file": path, "lines": dict(counted)}


def export_to(store: Store, write: Callable[[Mapping[str, object]], object]) -> Counter[str]:
    """Hand every row of an export to ``write``; how many there were of each kind."""
    from plexsync.ui import export as exporting

    counted: Counter[str] = Counter()
    for row in exporting.rows(store):
        write(row)
        counted[str(row["kind"])] += 1
    return counted


def diff(session: Session, args: Args) -> dict[str, object]:
    """Say what a sync would change, field by field, and why it would leave scenes alone. Writes nothing to Plex."""
    from plexsync.ui import diff as looking

    limit = int(number(args, "limit", PREVIEWS_SHOWN, "scenes"))
    shown: list[dict[str, object]] = []

    def show(preview: Preview) -> None:
        if len(shown) < limit:
            shown.append(looking.as_json(preview))
            for line in looking.lines(preview):
                session.tell(line)

    page = os.path.join(session.data_dir, PAGE_FILE) if switch(args, "page") else None
    tally, matter = preview_all(session, args, show, page)
    session.tell(tally.sentence())
    if page:
        session.tell(f"As a page: {page}")
    return {**tally.as_json(), "previews": shown, "left_off": matter - len(shown), "page": page}


def preview_all(
    session: Session,
    args: Args,
    show: Callable[[Preview], None],
    page: str | None = None,
    level: bool = False,
    page_mode: int = 0o600,
) -> tuple[Tally, int]:
    """Show the previews that matter (or also those of scenes in sync), on a page too if wanted; the sum, how many."""
    from plexsync.ui import diff as looking
    from plexsync.ui.page import Page

    servers, tally, matter = session.servers, looking.Tally(), 0
    with contextlib.ExitStack() as stack:
        paper = stack.enter_context(Page(stack.enter_context(replacing(page, page_mode)))) if page else None
        settings = servers.settings()
        scene_ids, about, which = asked_for(session, args)
        for preview in looking.previews(servers, settings, scene_ids):
            tally.add(preview)
            if preview.matters or level:
                matter += 1
                show(preview)
                if paper:
                    paper.add(preview)
            if not tally.scenes % looking.BATCH:
                session.progress(min(tally.scenes / max(about, 1), 1.0))
        session.progress(1.0)
        if paper:
            paper.finish(tally, which, utc(session.clock.now()))
    return tally, matter


def asked_for(session: Session, args: Args) -> tuple[Iterable[int], int, str]:
    """The scenes that ``scene_id``, or else ``scope`` and ``hours`` name; about how many; and in words."""
    named = numbers(args, "scene_id")
    if named:
        return named, len(named), plural(len(named), "scene") + " named"
    stash = session.servers.stash()
    scope = args.get("scope") or "recent"
    if scope == "all":
        return stash.all_ids(), stash.count(), "All scenes"
    if scope not in tuple(SCOPE_HOURS):  # it may be anything JSON holds
        raise WrongArgument(f"scope must be recent, 7days or all, not {str(scope)[:40]!r}.")
    hours = 7 * 24.0 if scope == "7days" else number(args, "hours", RECENT_HOURS, "hours")
    since = datetime.datetime.fromtimestamp(session.clock.now(), datetime.UTC) - datetime.timedelta(
        hours=hours
    )
    pages = stash.scene_pages(per_page=SCENES_A_PAGE, updated_since=since)
    recent = (scene.id for scenes in pages for scene in scenes)
    return recent, stash.count(), f"Scenes changed in the last {hours:g} hours"


def outage_summary(session: Session, args: Args) -> dict[str, object]:
    """How often Stash and Plex were unreachable, for how long, and what share of the time they were reachable."""
    records = session.reading.state.outages()
    servers = outages.summary(records, session.clock.now())
    if not servers:
        session.tell("No outage of Stash or Plex so far.")
    for server, its in servers.items():
        mean = "" if its["mttr_s"] is None else f", {duration(its['mttr_s'])} each on average"
        now = ", one of them now" if its["ongoing"] else ""
        session.tell(
            f"{server}: {plural(int(its['count'] or 0), 'outage')}{now}{mean}; reachable "
            f"{100 * (its['availability'] or 0):.2f} % of the time since the first."
        )
    recent = [
        {
            "server": record["server"],
            "cause": record["cause"],
            "started_at": utc(record["started_at"]),
            "ended_at": None if record["ended_at"] is None else utc(record["ended_at"]),
            "waiting": record["waiting"],
        }
        for record in records[:LETTERS_SHOWN]
    ]
    return {"servers": servers, "outages": recent}
