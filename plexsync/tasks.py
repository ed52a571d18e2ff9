"""The buttons in Stash, a short function each; ``runPluginOperation`` and the command line press the same ones.

A task is given its Office and its arguments, says what happens line by line, and returns a JSON object. What goes
wrong in a way we expect is raised as one of TROUBLES and becomes the answer's ``error``; a queue or a server that
cannot be used is no defect.

The clients of the two servers take 200 ms to import, so only what talks to a server imports them: a panel that asks
for the status every few seconds does not wait for them.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from plexsync import hook, intake, protocol, rescue
from plexsync.clock import Clock, SystemClock
from plexsync.core import breaker, outages
from plexsync.core.failures import SyncFailure
from plexsync.locks import FileLock
from plexsync.store import DeadLetter, Store

if TYPE_CHECKING:
    from plexsync.core.settings import Settings
    from plexsync.servers import Servers

SERVERS = ("Stash", "Plex")  # as worker.SERVERS, which test_tasks compares
PAGE = 200  # scenes queued in one transaction: a few milliseconds in which a hook has to wait
RECENT_HOURS = 24.0
PURGE_DAYS = 30.0
LETTERS_SHOWN = 20
REASONS_SHOWN = 5
POLL_S = 0.25  # between two looks at a queue somebody else drains
PROGRESS_S = 0.5  # between two reports; Stash drops what comes faster
GRACE_S = 2.0  # before a server that is down, or a queue that is held, ends the wait
FREE_BYTES_LEAST = 50_000_000
PAIRS_TRIED = 10  # scenes looked for in Plex by the health check


class WrongArgument(Exception):
    """An argument a task cannot use; the text names it, and what would do."""


TROUBLES = (WrongArgument, SyncFailure, rescue.Refused, sqlite3.Error, OSError)


def sentence(trouble: Exception, data_dir: str) -> str:
    """One of TROUBLES for a person."""
    if isinstance(trouble, (sqlite3.Error, OSError)):
        return (
            f"The queue in {data_dir} cannot be used: {trouble}. Check that the folder exists, is writable and has "
            "room; edits made meanwhile are kept beside it."
        )
    return str(trouble)


@dataclass
class Office:
    """What a task works with. ``store`` is opened when first asked for."""

    data_dir: str
    say: Callable[[str, str], None] = protocol.log  # level, text
    progress: Callable[[float], None] = protocol.progress  # 0 to 1
    clock: Clock = field(default_factory=SystemClock)
    troubles: list[str] = field(default_factory=list)  # what had to be mended when the queue was opened

    @cached_property
    def store(self) -> Store:
        store = Store(self.data_dir, self.clock)
        self.troubles += store.troubles
        return store

    @cached_property
    def servers(self) -> Servers:
        from plexsync.servers import Servers

        try:
            return Servers(self.data_dir, self.clock, self.store)
        except (sqlite3.Error, OSError, rescue.Refused):  # the servers can be looked at without a queue
            return Servers(self.data_dir, self.clock)

    def wake(self) -> None:
        """See that a worker looks after what waits."""
        if self.store.counts().pending:
            hook.wake_worker(self.data_dir)

    def worker_runs(self) -> bool:
        """Whether somebody holds the worker's lock.

        Asking takes the lock for a moment, in which a hook could believe that a worker runs and start none: hence
        the wake.
        """
        lock = FileLock(os.path.join(self.data_dir, hook.WORKER_LOCKS[0]))
        if not lock.take():
            return True
        lock.release()
        self.wake()
        return False

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()


Args = Mapping[str, Any]


@dataclass(frozen=True)
class Button:
    """One mode of ``args.mode``."""

    run: Callable[[Office, Args], dict[str, object]]
    destroys: bool = False
    args: tuple[str, ...] = ()  # what it understands besides mode


def run(task: protocol.Task) -> int:
    """Do what the task's mode says and answer; gives the exit status."""
    data_dir = intake.data_folder(task.connection)
    office = Office(data_dir)
    log_to_stash()
    try:
        button = _button(task)
        os.makedirs(data_dir, mode=0o700, exist_ok=True)
        if task.connection:
            hook.remember(data_dir, task.connection)
        output = button.run(office, task.args)
    except TROUBLES as trouble:
        text = sentence(trouble, data_dir)
        protocol.log("error", text)
        protocol.answer(error=text)
    else:
        protocol.answer(output)
    finally:
        office.close()
    return 0


def _button(task: protocol.Task) -> Button:
    button = TASKS.get(task.mode)
    if button is None:
        asked = f"There is no mode {task.mode[:40]!r}" if task.mode else "The arguments name no mode"
        raise WrongArgument(f"{asked}; PlexSync has {', '.join(TASKS)}.")
    return button


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


def some(count: int, noun: str) -> str:
    """ "1 scene", "2 scenes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def number(args: Args, key: str, default: float, unit: str) -> float:
    """An argument as a number, 0 or more; Stash hands arguments over as texts and the API as numbers."""
    given = args.get(key)
    if given is None or given == "":
        return default
    try:
        value = float(given) if isinstance(given, (str, int, float)) and not isinstance(given, bool) else -1.0
    except (ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= 1_000_000:
        raise WrongArgument(f"{key} must be a number of {unit}, 0 or more, not {str(given)[:40]!r}.")
    return value


# ---- queueing -----------------------------------------------------------------------------------------------------


def sync_all(office: Office, args: Args) -> dict[str, object]:
    """Queue every scene of Stash."""
    stash = office.servers.stash()
    total = stash.count()
    page: list[int] = []
    seen = queued = 0
    for scene_id in stash.all_ids():
        page.append(scene_id)
        if len(page) == PAGE:
            seen, queued, page = seen + PAGE, queued + office.store.put_many(page), []
            office.progress(seen / max(total, 1))
    seen, queued = seen + len(page), queued + office.store.put_many(page)
    return _queued(office, seen, queued, "in Stash")


def sync_recent(office: Office, args: Args) -> dict[str, object]:
    """Queue the scenes Stash has changed in the last ``hours``."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    now = datetime.datetime.fromtimestamp(office.clock.now(), datetime.UTC)
    since = now - datetime.timedelta(hours=hours)
    stash = office.servers.stash()
    about = max(stash.count(), 1)
    seen = queued = 0
    for scenes in stash.scene_pages(per_page=PAGE, updated_since=since):
        seen += len(scenes)
        queued += office.store.put_many(scene.id for scene in scenes)
        # Ids are given out in order, so the last one says roughly how far we are.
        office.progress(min(scenes[-1].id / about, 1.0))
    return _queued(office, seen, queued, f"changed in the last {hours:g} hours")


def _queued(office: Office, seen: int, queued: int, which: str) -> dict[str, object]:
    office.wake()
    office.progress(1.0)
    office.say("info", f"{some(seen, 'scene')} {which}: {queued} queued, {seen - queued} waiting already.")
    return {"scenes": seen, "queued": queued, "already_waiting": seen - queued}


def reconcile_all(office: Office, args: Args) -> dict[str, object]:
    """Queue every scene that is not known to be level with Plex."""
    return _sweep(office, None, "in Stash")


def reconcile_recent(office: Office, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last ``hours`` and Plex does not have yet."""
    hours = number(args, "hours", RECENT_HOURS, "hours")
    return _sweep(office, hours, f"changed in the last {hours:g} hours")


def reconcile_7days(office: Office, args: Args) -> dict[str, object]:
    """Queue what Stash has changed in the last seven days and Plex does not have yet."""
    return _sweep(office, 7 * 24.0, "changed in the last 7 days")


def _sweep(office: Office, hours: float | None, which: str) -> dict[str, object]:
    from plexsync import reconcile

    settings = office.servers.settings()
    about = max(office.servers.stash().count(), 1)
    found = reconcile.sweep(
        office.store, office.servers, settings, hours, lambda seen, last_id: office.progress(last_id / about)
    )
    office.wake()
    office.progress(1.0)
    office.say(
        "info",
        f"{some(found.seen, 'scene')} {which}: {found.level} level with Plex, {found.queued} queued, "
        f"{found.skipped} not to be synced.",
    )
    return dataclasses.asdict(found)


def reconcile_missing(office: Office, args: Args) -> dict[str, object]:
    """Say which scenes Plex does not have, and which items of Plex Stash does not have."""
    from plexsync import reconcile

    settings = office.servers.settings()
    about = max(office.servers.stash().count(), 1)
    found = reconcile.missing(
        office.servers, settings, lambda seen, last_id: office.progress(min(seen / about, 1.0))
    )
    office.progress(1.0)
    office.say(
        "info",
        f"{some(found.seen, 'scene')} compared: {found.scenes} not in Plex, {some(found.items, 'item')} of Plex not in "
        "Stash.",
    )
    for path in found.scene_samples:
        office.say("info", f"Not in Plex: {path}")
    for path in found.item_samples:
        office.say("info", f"Not in Stash: {path}")
    return dataclasses.asdict(found)


def retry_dlq(office: Office, args: Args) -> dict[str, object]:
    """Queue the scenes of dead letters again: all, or those of one ``error_type``."""
    error_type = args.get("error_type") or None
    if error_type is not None and not isinstance(error_type, str):
        raise WrongArgument("error_type must be the name of an error, as queue_status lists them.")
    replayed = office.store.replay(error_type=error_type)
    office.wake()
    office.say("info", f"Dead letters queued again: {replayed}.")
    return {"replayed": replayed}


# ---- deleting -----------------------------------------------------------------------------------------------------


def clear_queue(office: Office, args: Args) -> dict[str, object]:
    """Delete everything that waits."""
    deleted = office.store.clear_waiting()
    office.say(
        "info", f"Waiting scenes deleted: {deleted}. Plex keeps what it has until the next edit or sync."
    )
    return {"deleted": deleted}


def clear_dlq(office: Office, args: Args) -> dict[str, object]:
    """Delete every dead letter nobody has retried."""
    deleted = office.store.clear_dead()
    office.say("info", f"Dead letters deleted: {deleted}.")
    return {"deleted": deleted}


def purge_dlq(office: Office, args: Args) -> dict[str, object]:
    """Delete the dead letters older than ``days``."""
    days = number(args, "days", PURGE_DAYS, "days")
    deleted = office.store.purge_dead(days * 86_400)
    office.say("info", f"Dead letters older than {days:g} days deleted: {deleted}.")
    return {"deleted": deleted, "days": days}


# ---- working ------------------------------------------------------------------------------------------------------


def process_queue(office: Office, args: Args) -> dict[str, object]:
    """Make everything due now and work until nothing is, here or by looking on while a worker does.

    Ends early when a server is down or a setting is wrong: what waits for that is done later by the worker, and
    ``reasons`` says why it waits.
    """
    from plexsync.worker import Worker

    store = office.store
    store.merge_spool()
    before = store.counts()
    store.release_due()
    for server in SERVERS:  # a person asks: the next probe is due now, and waits grow from the shortest again
        known = store.load_breaker(server)
        if known is not None:
            store.save_breaker(server, {**known, "probe_at": 0.0, "backoff_s": 0.0})
    watch = _Watch(office)
    lock = FileLock(os.path.join(office.data_dir, hook.WORKER_LOCKS[0]))
    looking_on = False
    while not watch.is_over():
        if lock.take():  # also when the worker we looked on at has died
            try:
                worker = Worker(store, office.servers, office.clock, random.Random())
                with worker.heartbeats(lock.beat):
                    worker.run(should_stop=watch.is_over)
            finally:
                lock.release()
            continue
        if not looking_on:
            looking_on = True
            office.say("info", "A worker is at it already; this shows its progress.")
        office.wake()  # another one, should that worker be frozen
        office.clock.sleep(POLL_S)
    office.wake()
    after = store.counts()
    office.progress(1.0)
    done, dead = after.finished - before.finished, max(after.dead - before.dead, 0)
    waiting = after.pending + after.in_progress
    # Each cause once: a thousand scenes waiting for the same server are one line.
    causes = dict.fromkeys(job.last_error for job in store.waiting() if job.last_error)
    reasons = [watch.blocked] if watch.blocked else list(causes)[:REASONS_SHOWN]
    office.say("info", f"{done} done, {dead} given up, {waiting} waiting.")
    for reason in reasons:
        office.say("warning", reason)
    return {"done": done, "dead": dead, "waiting": waiting, "reasons": reasons}


class _Watch:
    """Whether the wait for the queue is over, why something still waits, and the progress on the way."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.blocked: str | None = None  # why what is due is not being done
        self._began = office.clock.monotonic()
        self._most = 0
        self._shown = 0.0
        self._shown_at = 0.0

    def is_over(self) -> bool:
        counts = self.office.store.counts()
        left = counts.pending - counts.waiting_later + counts.in_progress
        self._show(left)
        if not left:
            self.blocked = blocked(self.office.store) if counts.pending else None
            return True
        if self.office.clock.monotonic() - self._began > GRACE_S and not counts.in_progress:
            self.blocked = blocked(self.office.store)
        return self.blocked is not None

    def _show(self, left: int) -> None:
        self._most = max(self._most, left)
        now = self.office.clock.monotonic()
        if self._most and now - self._shown_at >= PROGRESS_S:
            self._shown = max(self._shown, 1 - left / self._most)  # new edits make it wait, never go back
            self._shown_at = now
            self.office.progress(self._shown)


def blocked(store: Store) -> str | None:
    """What keeps the whole queue waiting, if anything does."""
    attention = store.load_state("attention")
    if attention:
        return f"The queue waits for you: {attention}"
    lasting = {
        outage["server"]: outage["cause"] for outage in store.outages(10) if outage["ended_at"] is None
    }
    for server in SERVERS:
        if breaker.from_dict(store.load_breaker(server)).state is not breaker.State.CLOSED:
            cause = lasting.get(server, f"{server} is not reachable.")
            return f"{cause} What waits is synced as soon as {server} is back."
    return None


# ---- looking ------------------------------------------------------------------------------------------------------


def queue_status(office: Office, args: Args) -> dict[str, object]:
    """What waits, what is being done, what is done, what failed."""
    store = office.store
    runs = office.worker_runs()
    counts = store.counts()
    letters = store.dead_letters(LETTERS_SHOWN)
    now = office.clock.now()
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
        "worker_running": runs,
        "blocked": blocked(store),
        "dead_by_type": store.dead_by_type(),
        "dead_letters": [letter_summary(letter) for letter in letters],
        "mended": office.troubles,
        "data_folder": office.data_dir,
    }
    for line in status_lines(status):
        office.say("info", line)
    return status


def letter_summary(letter: DeadLetter) -> dict[str, object]:
    """A dead letter without its payload and traceback."""
    return {
        "id": letter.id,
        "about": letter_about(letter),
        "scene_id": letter.scene_id,
        "error_type": letter.error_type,
        "message": letter.message,
        "attempts": letter.attempts,
        "failed_at": moment(letter.failed_at),
    }


def letter_about(letter: DeadLetter) -> str:
    """ "scene 12", "performer 5"; "an unreadable row" when the payload does not say."""
    return (intake.key_of(letter.payload) or "an unreadable row").replace(":", " ")


def moment(wall_s: float) -> str:
    """A wall time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(wall_s, datetime.UTC).isoformat(timespec="seconds")


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """queue_status in sentences."""
    later = f", {status['waiting_later']} of them for later" if status["waiting_later"] else ""
    due = f"; the next is due in {status['next_due_in_s']:g} s" if status["waiting_later"] else ""
    lines = [
        f"{status['pending']} waiting{later}{due}; {status['in_progress']} in progress; "
        f"{status['finished_ever']} done so far; {some(status['dead'], 'dead letter')}.",
        "A worker is running." if status["worker_running"] else "No worker was running.",
    ]
    if status["blocked"]:
        lines.append(status["blocked"])
    for letter in status["dead_letters"]:
        lines.append(
            f"Dead letter {letter['id']}: {letter['about']} after {some(letter['attempts'], 'attempt')}, "
            f"{letter['error_type']}: {letter['message']}"
        )
    return lines + list(status["mended"])


def outage_summary(office: Office, args: Args) -> dict[str, object]:
    """How often Stash and Plex were away, for how long, and what share of the time they were there."""
    records = office.store.outages()
    servers = outages.summary(records, office.clock.now())
    if not servers:
        office.say("info", "No outage of Stash or Plex so far.")
    for server, its in servers.items():
        mean = "" if its["mttr_s"] is None else f", {its['mttr_s']:g} s each on average"
        now = ", one of them now" if its["ongoing"] else ""
        office.say(
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


def health_check(office: Office, args: Args) -> dict[str, object]:
    """Try everything a sync needs, in the order in which a sync needs it; one sentence each."""
    found: list[dict[str, object]] = []
    said: dict[str, str] = {}  # what is wrong, and the check that found it
    for name, check in CHECKS.items():
        try:
            ok, text = True, check(office)
        except Unhealthy as trouble:
            ok, text = False, str(trouble)
        except TROUBLES as trouble:
            ok, text = False, sentence(trouble, office.data_dir)
        if not ok:
            earlier = [first for cause, first in said.items() if text in cause]
            said.setdefault(text, name)
            text = f"Not possible until “{earlier[0]}” is well." if earlier else text
        found.append({"name": name, "ok": ok, "message": text})
        office.say("info" if ok else "error", f"{name}: {text}")
        office.progress(len(found) / len(CHECKS))
    return {"healthy": all(check["ok"] for check in found), "checks": found}


class Unhealthy(Exception):
    """What a check found, and what to do about it."""


def _check_data(office: Office) -> str:
    free = shutil.disk_usage(office.data_dir).free
    probe = os.path.join(office.data_dir, f"probe-{os.getpid()}")
    try:
        with open(probe, "xb") as file:
            file.write(b"x")
        os.unlink(probe)
    except OSError as error:
        raise Unhealthy(
            f"{office.data_dir} cannot be written: {error.strerror}. Give the user Stash runs as the right to."
        ) from None
    if free < FREE_BYTES_LEAST:
        raise Unhealthy(f"{office.data_dir} has {free // 1_000_000} MB left. Make room on that disk.")
    return f"{office.data_dir} is writable, with {free // 1_000_000:,} MB free."


def _check_queue(office: Office) -> str:
    counts = office.store.counts()
    if office.troubles:
        raise Unhealthy(" ".join(office.troubles))
    why = blocked(office.store)
    if why:
        raise Unhealthy(f"Waiting: {some(counts.pending, 'scene')}. {why}")
    if counts.dead:
        raise Unhealthy(
            f"Given up: {some(counts.dead, 'scene')}. The task “Queue status” says why, and “Retry dead letters” "
            "queues them again."
        )
    return f"The queue works; {counts.pending} waiting, {counts.finished} done so far."


def _check_stash(office: Office) -> str:
    stash = office.servers.stash()
    return f"Stash {stash.version()} answers at {stash.address}."


def _settings(office: Office) -> Settings:
    """The settings, however incomplete, for checks that come after the one that complains about them."""
    return office.servers.read_settings()[0]


def _check_settings(office: Office) -> str:
    _, problems = office.servers.read_settings()
    if problems:
        raise Unhealthy(" ".join(problem.sentence for problem in problems))
    return "All settings can be used."


def _check_plex(office: Office) -> str:
    found = office.servers.plex().identity()
    return f"Plex {found.version} answers at {_settings(office).plex_url}."


def _check_libraries(office: Office) -> str:
    found = office.servers.plex().health()
    names = ", ".join(f"“{library.title}”" for library in found.libraries)
    return f"“{found.name}” accepts the token; libraries to write to: {names}."


def _check_paths(office: Office) -> str:
    from plexsync.core import match

    plex, settings = office.servers.plex(), _settings(office)
    missing = ""
    tried = 0
    for scenes in office.servers.stash().scene_pages(per_page=PAIRS_TRIED):
        for scene in [scene for scene in scenes if scene.files][: PAIRS_TRIED - tried]:
            paths = match.plex_paths(scene, settings.path_map)
            chosen = match.choose(scene, plex.find(paths), settings.path_map)
            if isinstance(chosen, match.Found):
                return f"Scene {scene.id}, {scene.files[0].path}, is item {chosen.item.rating_key} in Plex."
            missing = missing or f"{scene.files[0].path}, in Plex as {paths[0]}"
            tried += 1
        if tried >= PAIRS_TRIED:
            break
    if not tried:
        return "Stash has no scene with a file yet, so there is nothing to look for."
    folders = ", ".join(place for library in plex.libraries() for place in library.locations) or "no folder"
    raise Unhealthy(
        f"None of {tried} scenes is in Plex. One was looked for as {missing}; Plex's libraries have {folders}. Set "
        "path_map so that paths of Stash become paths below these, or let Plex scan them."
    )


CHECKS: dict[str, Callable[[Office], str]] = {
    "Data folder": _check_data,
    "Stash": _check_stash,
    "Settings": _check_settings,
    "Plex": _check_plex,
    "Libraries": _check_libraries,
    "Paths": _check_paths,
    "Queue": _check_queue,
}

TASKS: dict[str, Button] = {
    "all": Button(sync_all),
    "recent": Button(sync_recent, args=("hours",)),
    "queue_status": Button(queue_status),
    "clear_queue": Button(clear_queue, destroys=True),
    "clear_dlq": Button(clear_dlq, destroys=True),
    "purge_dlq": Button(purge_dlq, destroys=True, args=("days",)),
    "reconcile_all": Button(reconcile_all),
    "reconcile_recent": Button(reconcile_recent, args=("hours",)),
    "reconcile_7days": Button(reconcile_7days),
    "reconcile_missing": Button(reconcile_missing),
    "outage_summary": Button(outage_summary),
    "retry_dlq": Button(retry_dlq, args=("error_type",)),
    "process_queue": Button(process_queue),
    "health_check": Button(health_check),
}
