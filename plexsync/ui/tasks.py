"""The buttons in Stash, a short function each; ``runPluginOperation`` and the command line press the same ones.

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
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plexsync import hook, protocol
from plexsync.core import outages
from plexsync.core.failures import SettingProblem, SyncFailure
from plexsync.core.verdict import left_alone
from plexsync.locks import FileLock
from plexsync.queue import intake
from plexsync.ui.doctor import health_check
from plexsync.ui.session import (
    CHOICE,
    SERVERS,
    TROUBLES,
    Args,
    NoFolder,
    Session,
    WrongArgument,
    blocked,
    lasting,
    letter_about,
    letter_summary,
    letter_whole,
    moment,
    number,
    numbers,
    replacing,
    sentence,
    some,
    switch,
)

if TYPE_CHECKING:
    from plexsync.queue.store import Store
    from plexsync.ui.diff import Preview, Tally

RELIST = "relist"  # the state that asks the worker to read the libraries anew; as worker.RELIST
PAGE = 200  # scenes queued in one transaction: a few milliseconds in which a hook has to wait
RECENT_HOURS = 24.0
PURGE_DAYS = 30.0
LETTERS_SHOWN = 20
LETTERS_MOST = 100_000
JOBS_SHOWN = 50
PREVIEWS_SHOWN = 100
PAGE_FILE, EXPORT_FILE = "diff.html", "export.jsonl"  # in the data folder
REASONS_SHOWN = 5
NOTES_READ = 1000  # finished jobs of which the status says why they were skipped
POLL_S = 0.25  # between two looks at a queue somebody else drains
PROGRESS_S = 0.5  # between two reports; Stash drops what comes faster
GRACE_S = 2.0  # before a server that is down, or a queue that is held, ends the wait


@dataclass(frozen=True)
class TaskSpec:
    """One mode of ``args.mode``."""

    run: Callable[[Session, Args], dict[str, object]]
    destroys: bool = False
    args: tuple[str, ...] = ()  # what it understands besides mode
    shown: bool = True  # as a task in Stash; else for runPluginOperation and the command line alone


def run(task: protocol.Task) -> int:
    """Do what the task's mode says and answer; gives the exit status."""
    data_dir = intake.data_folder(task.connection)
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
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints what nobody handles to stderr
    ours = logging.getLogger("plexsync")
    ours.handlers[:] = [_ToStash()]
    ours.setLevel(logging.INFO)
    ours.propagate = False


# ---- queueing -----------------------------------------------------------------------------------------------------


def sync_all(session: Session, args: Args) -> dict[str, object]:
    """Queue every scene of Stash."""
    stash = session.servers.stash()
    total = stash.count()
    session.store.save_state(RELIST, str(session.clock.now()))
    page: list[int] = []
    seen = queued = 0
    for scene_id in stash.all_ids():
        page.append(scene_id)
        if len(page) == PAGE:
            seen, queued, page = seen + PAGE, queued + session.store.put_many(page), []
            session.progress(seen / max(total, 1))
    seen, queued = seen + len(page), queued + session.store.put_many(page)
    return _queued(session, seen, queued, "in Stash")


def sync_recent(session: Session, args: Args) -> dict[str, object]:
    """Queue the scenes Stash has changed in the last ``hours``."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    now = datetime.datetime.fromtimestamp(session.clock.now(), datetime.UTC)
    since = now - datetime.timedelta(hours=hours)
    stash = session.servers.stash()
    about = max(stash.count(), 1)
    seen = queued = 0
    for scenes in stash.scene_pages(per_page=PAGE, updated_since=since):
        seen += len(scenes)
        queued += session.store.put_many(scene.id for scene in scenes)
        # Ids are given out in order, so the last one says roughly how far we are.
        session.progress(min(scenes[-1].id / about, 1.0))
    return _queued(session, seen, queued, f"changed in the last {hours:g} hours")


def _queued(session: Session, seen: int, queued: int, which: str) -> dict[str, object]:
    returned = _returning(session)
    session.wake()
    session.progress(1.0)
    session.say("info", f"{some(seen, 'scene')} {which}: {queued} queued, {seen - queued} waiting already.")
    _warn(session)
    return {"scenes": seen, "queued": queued, "already_waiting": seen - queued, "returned": returned}


def _returning(session: Session) -> int:
    """Queue, as edits, the scenes that were rated or played in Plex, if Stash is to know: Plex is not asked about a
    scene that seems to be level. How many."""
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
    session.say("warning", f"What was rated or played in Plex is looked at the next time: {why}")


def _warn(session: Session) -> None:
    """Say what is wrong with the settings, and what else keeps waiting what was just queued."""
    said: list[str] = []
    with contextlib.suppress(SyncFailure):  # Stash has just gone, and that is not what was asked
        said = [problem.sentence for problem in session.servers.read_settings()[1]]
    why = blocked(session.store)
    if why and not any(sentence in why for sentence in said):
        said.append(why)
    for text in said:
        session.say("warning", text)


def reconcile_all(session: Session, args: Args) -> dict[str, object]:
    """Queue every scene that is not known to be level with Plex."""
    return _sweep(session, None, "in Stash")


def reconcile_recent(session: Session, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last ``hours`` and Plex does not have yet."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    return _sweep(session, hours, f"changed in the last {hours:g} hours")


def reconcile_7days(session: Session, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last seven days and Plex does not have yet."""
    return _sweep(session, 7 * 24.0, "changed in the last 7 days")


def _sweep(session: Session, hours: float | None, which: str) -> dict[str, object]:
    from plexsync.sync import reconcile

    settings = session.servers.settings()
    about = max(session.servers.stash().count(), 1)
    found = reconcile.sweep(
        session.store,
        session.servers,
        settings,
        hours,
        lambda seen, last_id: session.progress(last_id / about),
    )
    session.wake()
    session.progress(1.0)
    session.say(
        "info",
        f"{some(found.seen, 'scene')} {which}: {found.level} level with Plex, {found.queued} queued, "
        f"{found.skipped} not to be synced.",
    )
    if found.reasons:
        session.say("info", f"Not to be synced: {counted(found.reasons)}.")
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
    session.say(
        "info",
        f"{some(found.seen, 'scene')} compared: {found.scenes} not in Plex, {some(found.items, 'item')} of Plex not in "
        "Stash.",
    )
    for path in found.scene_samples:
        session.say("info", f"Not in Plex: {path}")
    for path in found.item_samples:
        session.say("info", f"Not in Stash: {path}")
    return dataclasses.asdict(found)


def retry_dlq(session: Session, args: Args) -> dict[str, object]:
    """Queue the scenes of dead letters again: all, those of one ``error_type``, or those whose numbers are ``ids``."""
    ids = numbers(args, "ids")
    replayed = session.store.replay(ids or None, _error_type(args))
    session.wake()
    if ids and not replayed:
        session.say("warning", f"No dead letter {', '.join(map(str, ids))} is waiting to be retried.")
    session.say("info", f"Dead letters queued again: {replayed}.")
    return {"replayed": replayed}


def _error_type(args: Args) -> str | None:
    error_type = args.get("error_type") or None
    if error_type is not None and not isinstance(error_type, str):
        raise WrongArgument("error_type must be the name of an error, as queue_status lists them.")
    return error_type


def choose(session: Session, args: Args) -> dict[str, object]:
    """Say which of several items a scene is: without ``scene_id`` the scenes that wait for it, with it the items.

    With ``rating_key`` too that choice is kept for good, and the scene is queued again.
    """
    named, chosen = numbers(args, "scene_id"), numbers(args, "rating_key")
    if len(named) > 1 or len(chosen) > 1 or (chosen and not named):
        raise WrongArgument("choose takes one scene_id, and one rating_key to choose.")
    letters = (session.store if named else session.reading).dead_letters(LETTERS_MOST, CHOICE)
    if not named:
        # A scene that was queued again meanwhile has a letter more; the newest is first, and says it.
        letters = list({letter.scene_id: letter for letter in reversed(letters)}.values())[::-1]
        session.say("info", f"{some(len(letters), 'scene')} waiting for a choice between several Plex items.")
        for letter in letters[:LETTERS_SHOWN]:
            session.say("info", f"{letter_about(letter)}: {letter.message}")
        return {"waiting": [letter_summary(letter) for letter in letters]}

    from plexsync.ui import diff as looking

    (scene_id,) = named
    servers, settings = session.servers, session.servers.settings()
    preview, ledger = looking.undecided(servers, settings, scene_id), servers.ledger(settings)
    candidates = {item.rating_key: looking.candidate(item) for item in preview.candidates}
    found: dict[str, object] = {
        "scene_id": scene_id,
        "outcome": preview.outcome,
        "candidates": list(candidates.values()),
        "chosen": ledger.choice(scene_id),
        "replayed": 0,
    }
    if not candidates:
        which = f"It is item {preview.item.rating_key}." if preview.item else preview.reason
        session.say("info", f"Scene {scene_id} needs no choice. {which}")
    elif not chosen:
        session.say("info", f"Scene {scene_id}, {preview.path}, may be one of these:")
        for item in preview.candidates:
            mark = " (chosen)" * (item.rating_key == found["chosen"])
            where = item.section_title or item.section_id
            session.say(
                "info", f"{item.rating_key}{mark}: “{item.title}” in {where}, {' and '.join(item.files)}"
            )
    elif chosen[0] not in candidates:
        raise WrongArgument(
            f"Scene {scene_id} is one of the items {', '.join(map(str, candidates))}, not {chosen[0]}."
        )
    else:
        ledger.choose(scene_id, chosen[0])
        replayed = session.store.replay([letter.id for letter in letters if letter.scene_id == scene_id])
        if not replayed:
            session.store.put(scene_id, "update")
        session.wake()
        session.say("info", f"Scene {scene_id} is item {chosen[0]} from now on; it is queued.")
        found |= {"chosen": chosen[0], "replayed": replayed}
    return found


# ---- deleting -----------------------------------------------------------------------------------------------------


def clear_queue(session: Session, args: Args) -> dict[str, object]:
    """Delete everything that waits."""
    deleted = session.store.clear_waiting()
    session.say(
        "info", f"Waiting scenes deleted: {deleted}. Plex keeps what it has until the next edit or sync."
    )
    return {"deleted": deleted}


def clear_dlq(session: Session, args: Args) -> dict[str, object]:
    """Delete every dead letter nobody has retried."""
    deleted = session.store.clear_dead()
    session.say("info", f"Dead letters deleted: {deleted}.")
    return {"deleted": deleted}


def purge_dlq(session: Session, args: Args) -> dict[str, object]:
    """Delete the dead letters older than ``days``."""
    days = number(args, "days", PURGE_DAYS, "days")
    deleted = session.store.purge_dead(days * 86_400)
    session.say("info", f"Dead letters older than {days:g} days deleted: {deleted}.")
    return {"deleted": deleted, "days": days}


# ---- working ------------------------------------------------------------------------------------------------------


def process_queue(session: Session, args: Args) -> dict[str, object]:
    """Make everything due now and work until nothing is, here or by looking on while a worker does.

    Ends early when a server is down or a setting is wrong: what waits for that is done later by the worker, and
    ``reasons`` says why it waits.
    """
    from plexsync.sync.daemon import log_file
    from plexsync.sync.worker import Worker

    store = session.store
    store.merge_spool()
    before = store.counts()
    store.release_due()
    for server in SERVERS:  # a person asks: the next probe is due now, and waits grow from the shortest again
        known = store.load_breaker(server)
        if known is not None:
            store.save_breaker(server, {**known, "probe_at": 0.0, "backoff_s": 0.0})
    watch = _Watch(session)
    lock = FileLock(os.path.join(session.data_dir, hook.WORKER_LOCKS[0]))
    looking_on = False
    while not watch.is_over():
        if lock.take():  # also when the worker we looked on at has died
            # Each job's line belongs beside those of the background worker, whoever looks for it later.
            file, ours = log_file(session.data_dir), logging.getLogger("plexsync")
            ours.addHandler(file)
            ours.setLevel(logging.INFO)
            try:
                worker = Worker(store, session.servers, session.clock, random.Random())
                with worker.heartbeats(lock.beat), session.successor():
                    worker.run(should_stop=watch.is_over)
            finally:
                ours.removeHandler(file)
                file.close()
                lock.release()
            continue
        if not looking_on:
            looking_on = True
            session.say("info", "A worker is at it already; this shows its progress.")
        session.wake()  # another one, should that worker be frozen
        session.clock.sleep(POLL_S)
    session.wake()
    after = store.counts()
    session.progress(1.0)
    done, dead = after.finished - before.finished, max(after.dead - before.dead, 0)
    waiting = after.pending + after.in_progress
    # Each cause once: a thousand scenes waiting for the same server are one line.
    causes = dict.fromkeys(job.last_error for job in store.waiting() if job.last_error)
    reasons = [watch.blocked] if watch.blocked else list(causes)[:REASONS_SHOWN]
    session.say("info", f"{done} done, {dead} given up, {waiting} waiting.")
    for reason in reasons:
        session.say("warning", reason)
    return {"done": done, "dead": dead, "waiting": waiting, "reasons": reasons}


class _Watch:
    """Whether the wait for the queue is over, why something still waits, and the progress on the way."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.blocked: str | None = None  # why what is due is not being done
        self._began = session.clock.monotonic()
        self._most = 0
        self._shown = 0.0
        self._shown_at = 0.0

    def is_over(self) -> bool:
        counts = self.session.store.counts()
        left = counts.pending - counts.waiting_later + counts.in_progress
        self._show(left)
        if not left:
            self.blocked = blocked(self.session.store) if counts.pending else None
            return True
        if self.session.clock.monotonic() - self._began > GRACE_S and not counts.in_progress:
            self.blocked = blocked(self.session.store)
        return self.blocked is not None

    def _show(self, left: int) -> None:
        self._most = max(self._most, left)
        now = self.session.clock.monotonic()
        if self._most and now - self._shown_at >= PROGRESS_S:
            self._shown = max(self._shown, 1 - left / self._most)  # new edits make it wait, never go back
            self._shown_at = now
            self.session.progress(self._shown)


# ---- looking ------------------------------------------------------------------------------------------------------


def queue_status(session: Session, args: Args) -> dict[str, object]:
    """What waits, what is being done, what is done, what failed."""
    store = session.reading
    runs = session.worker_runs()
    counts = store.counts()
    letters = store.dead_letters(LETTERS_SHOWN)
    notes = store.notes(NOTES_READ)
    skipped, kept = left_alone(notes)
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
        "of_the_last": len(notes),
        "skipped": dict(skipped.most_common()),
        "kept": dict(kept.most_common()),
        "worker_running": runs,
        "blocked": blocked(store),
        "dead_by_type": store.dead_by_type(),
        "dead_letters": [letter_summary(letter) for letter in letters],
        "mended": session.troubles,
        "read_only": session.read_only,
        "data_folder": session.data_dir,
    }
    for line in status_lines(status):
        session.say("info", line)
    return status


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """queue_status in sentences."""
    later = f", {status['waiting_later']} of them for later" if status["waiting_later"] else ""
    due = f"; the next is due in {lasting(status['next_due_in_s'])}" if status["waiting_later"] else ""
    lines = [
        f"{status['pending']} waiting{later}{due}; {status['in_progress']} in progress; "
        f"{status['finished_ever']} done so far; {some(status['dead'], 'dead letter')}.",
        "A worker is running." if status["worker_running"] else "No worker was running.",
    ]
    if status["blocked"]:
        lines.append(status["blocked"])
    last = f"Of the last {some(status['of_the_last'], 'job')} done"
    if status["skipped"]:
        lines.append(f"{last}, skipped: {counted(status['skipped'])}.")
    if status["kept"]:
        lines.append(f"{last}, kept as Plex has it: {counted(status['kept'])}.")
    for letter in status["dead_letters"]:
        lines.append(
            f"Dead letter {letter['id']}: {letter['about']} after {some(letter['attempts'], 'attempt')}, "
            f"{letter['error_type']}: {letter['message']}"
        )
    if CHOICE in status["dead_by_type"]:
        lines.append("“PlexSync.py choose” lists the scenes that wait for a choice.")
    return lines + list(status["mended"])


def counted(numbers: Mapping[str, int]) -> str:
    """ "5 × not organized, 2 × has no stash-box id", the most frequent first."""
    parts = [f"{number} × {what}" for what, number in numbers.items()]
    more = len(parts) - REASONS_SHOWN
    return ", ".join(parts[:REASONS_SHOWN]) + (f" and {some(more, 'other reason')}" if more > 0 else "")


def queue(session: Session, args: Args) -> dict[str, object]:
    """The first ``limit`` waiting jobs, in the order in which they are due."""
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
            "enqueued_at": moment(job.enqueued_at),
            "due_in_s": round(max(job.due_at - now, 0.0), 1),
            "last_error": job.last_error,
        }
        for job in jobs
    ]
    for row in rows:
        wait_s = float(str(row["due_in_s"]))
        due = f"due in {lasting(wait_s)}" if wait_s else "due"
        tried = (
            f", {some(job_attempts, 'attempt')} so far" if (job_attempts := int(str(row["attempts"]))) else ""
        )
        why = f". {row['last_error']}" if row["last_error"] else ""
        session.say(
            "info", f"{row['about']}: {row['update_type']} of {row['enqueued_at']}, {due}{tried}{why}"
        )
    if not rows:
        session.say("info", "Nothing waits.")
    return {"queue": rows}


def dead(session: Session, args: Args) -> dict[str, object]:
    """The newest ``limit`` dead letters, perhaps of one ``error_type``; or all about those numbered ``ids``."""
    ids = numbers(args, "ids")
    if ids:
        letters = [
            letter for letter_id in ids if (letter := session.reading.dead_letter(letter_id)) is not None
        ]
        found = [letter_whole(letter) for letter in letters]
        for whole in found:
            for key, value in whole.items():
                session.say("info", f"{key}: {value}")
    else:
        letters = session.reading.dead_letters(
            int(number(args, "limit", JOBS_SHOWN, "letters")), _error_type(args)
        )
        found = [letter_summary(letter) for letter in letters]
        for letter in letters:
            tried = some(letter.attempts, "attempt")
            when = moment(letter.failed_at)
            session.say(
                "info",
                f"{letter.id}: {letter_about(letter)}, {when}, after {tried}, {letter.error_type}: {letter.message}",
            )
    if ids and not letters:
        session.say("warning", f"There is no dead letter {', '.join(map(str, ids))}.")
    elif not letters:
        session.say("info", "There are no dead letters.")
    return {"dead_letters": found}


def export(session: Session, args: Args) -> dict[str, object]:
    """Write jobs, letters and what is remembered as JSON lines to a file in the data folder."""
    path = os.path.join(session.data_dir, EXPORT_FILE)
    store = session.reading  # trouble with it is none of the file's
    with replacing(path) as file:
        counted = export_to(store, lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n"))
    session.say("info", f"{some(sum(counted.values()), 'line')} written to {path}.")
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
                session.say("info", line)

    page = os.path.join(session.data_dir, PAGE_FILE) if switch(args, "page") else None
    tally, matter = preview_all(session, args, show, page)
    session.say("info", tally.sentence())
    if page:
        session.say("info", f"As a page: {page}")
    return {**tally.as_json(), "previews": shown, "left_off": matter - len(shown), "page": page}


def preview_all(
    session: Session,
    args: Args,
    show: Callable[[Preview], None],
    page: str | None = None,
    level: bool = False,
    page_mode: int = 0o600,
) -> tuple[Tally, int]:
    """Show the previews that matter (or also those of level scenes), on a page too if wanted; the sum, how many."""
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
            paper.finish(tally, which, moment(session.clock.now()))
    return tally, matter


def asked_for(session: Session, args: Args) -> tuple[Iterable[int], int, str]:
    """The scenes that ``scene_id``, or else ``scope`` and ``hours`` name; about how many; and in words."""
    named = numbers(args, "scene_id")
    if named:
        return named, len(named), some(len(named), "scene") + " named"
    stash = session.servers.stash()
    scope = args.get("scope") or "recent"
    if scope == "all":
        return stash.all_ids(), stash.count(), "All scenes"
    if scope not in ("recent", "7days"):
        raise WrongArgument(f"scope must be recent, 7days or all, not {str(scope)[:40]!r}.")
    hours = 7 * 24.0 if scope == "7days" else number(args, "hours", RECENT_HOURS, "hours")
    since = datetime.datetime.fromtimestamp(session.clock.now(), datetime.UTC) - datetime.timedelta(
        hours=hours
    )
    pages = stash.scene_pages(per_page=PAGE, updated_since=since)
    recent = (scene.id for scenes in pages for scene in scenes)
    return recent, stash.count(), f"Scenes changed in the last {hours:g} hours"


def outage_summary(session: Session, args: Args) -> dict[str, object]:
    """How often Stash and Plex were away, for how long, and what share of the time they were there."""
    records = session.reading.outages()
    servers = outages.summary(records, session.clock.now())
    if not servers:
        session.say("info", "No outage of Stash or Plex so far.")
    for server, its in servers.items():
        mean = "" if its["mttr_s"] is None else f", {lasting(its['mttr_s'])} each on average"
        now = ", one of them now" if its["ongoing"] else ""
        session.say(
            "info",
            f"{server}: {some(int(its['count'] or 0), 'outage')}{now}{mean}; there "
            f"{100 * (its['availability'] or 0):.2f} % of the time since the first.",
        )
    recent = [
        {
            "server": record["server"],
            "cause": record["cause"],
            "started_at": moment(record["started_at"]),
            "ended_at": None if record["ended_at"] is None else moment(record["ended_at"]),
            "waiting": record["waiting"],
        }
        for record in records[:LETTERS_SHOWN]
    ]
    return {"servers": servers, "outages": recent}


TASKS: dict[str, TaskSpec] = {
    "all": TaskSpec(sync_all),
    "recent": TaskSpec(sync_recent, args=("hours",)),
    "queue_status": TaskSpec(queue_status),
    "clear_queue": TaskSpec(clear_queue, destroys=True),
    "clear_dlq": TaskSpec(clear_dlq, destroys=True),
    "purge_dlq": TaskSpec(purge_dlq, destroys=True, args=("days",)),
    "reconcile_all": TaskSpec(reconcile_all),
    "reconcile_recent": TaskSpec(reconcile_recent, args=("hours",)),
    "reconcile_7days": TaskSpec(reconcile_7days),
    "reconcile_missing": TaskSpec(reconcile_missing),
    "diff": TaskSpec(diff, args=("scene_id", "scope", "hours", "limit", "page")),
    "outage_summary": TaskSpec(outage_summary),
    "retry_dlq": TaskSpec(retry_dlq, args=("error_type", "ids")),
    "process_queue": TaskSpec(process_queue),
    "health_check": TaskSpec(health_check),
    "choose": TaskSpec(choose, args=("scene_id", "rating_key"), shown=False),
    "queue": TaskSpec(queue, args=("limit",), shown=False),
    "dead": TaskSpec(dead, args=("ids", "error_type", "limit"), shown=False),
    "export": TaskSpec(export, shown=False),
}
