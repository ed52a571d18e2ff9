"""The doctor: tries everything a sync needs; each problem gets a sentence that says what to do about it.

A check is a function of the Session that returns what it found to be right; a problem is raised, as Unhealthy or as one
of TROUBLES. Nothing is written to Plex and nothing is queued.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from plexsync import __version__
from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Unavailable
from plexsync.ui.arguments import Args
from plexsync.ui.path_check import check_paths
from plexsync.ui.session import TROUBLES, Session, Unhealthy, blocked, sentence
from plexsync.ui.words import CHOICE, duration, letter_about, plural, utc

if TYPE_CHECKING:
    from plexsync.core.settings import Settings

FREE_BYTES_LEAST = 50_000_000
CLOCK_S = 30.0  # clocks that differ by less are taken for equal; a Date header is exact to the second
STASH_MADE_FOR, PLEX_MADE_FOR = (0, 30), (1, 41)
PACKAGES = {
    "persist-queue": "persistqueue",
    "plexapi": "plexapi",
    "stashapi": "stashapi",
    "requests": "requests",
}


CURES = {  # of a folder that cannot be written
    errno.ENOSPC: "Make room on that disk.",
    errno.EROFS: "Mount it so that it can be written to.",
}


def health_check(session: Session, args: Args) -> dict[str, object]:
    """Try everything a sync needs, in the order in which a sync needs it; one sentence each."""
    found: list[dict[str, object]] = []
    found_by: dict[Hashable, str] = {}  # a cause, and the first check it made fail
    for name, check in CHECKS.items():
        try:
            ok, text = True, check(session)
        except (Unhealthy, *TROUBLES) as trouble:
            ok, text = False, sentence(trouble, session.data_dir)
            causes = _causes(trouble)
            earlier = next((found_by[cause] for cause in causes if cause in found_by), None)
            found_by |= {cause: name for cause in causes if cause not in found_by}
            text = f"Skipped: fix “{earlier}” first." if earlier else text
        found.append({"name": name, "ok": ok, "message": text})
        session.say("info" if ok else "error", f"{name}: {text}")
        session.progress(len(found) / len(CHECKS))
    ill = [str(check["name"]) for check in found if not check["ok"]]
    session.say("error" if ill else "info", f"Problems: {', '.join(ill)}." if ill else "No problems found.")
    return {"healthy": all(check["ok"] for check in found), "checks": found}


def _causes(trouble: Exception) -> tuple[Hashable, ...]:
    """What else fails for the same reason shares one of these."""
    match trouble:
        case Unhealthy():
            return trouble.settings
        case SettingProblem():
            return (trouble.key,)
        case Unavailable() | NeedsAttention():
            return ((type(trouble), trouble.service),)
        case sqlite3.Error() | OSError():
            return ("queue",)
    return ()


def _check_data(session: Session) -> str:
    free = shutil.disk_usage(session.data_dir).free
    probe = os.path.join(session.data_dir, f"probe-{os.getpid()}")
    try:
        with open(probe, "wb") as file:
            file.write(b"x")
    except OSError as error:
        cure = CURES.get(error.errno or 0, "Give the user Stash runs as the right to.")
        raise Unhealthy(f"{session.data_dir} cannot be written: {error.strerror}. {cure}") from None
    finally:
        with contextlib.suppress(OSError):  # a full disk takes the name and not the byte
            os.unlink(probe)
    if free < FREE_BYTES_LEAST:
        raise Unhealthy(f"{session.data_dir} has {free // 1_000_000} MB left. Make room on that disk.")
    return f"{session.data_dir} is writable, with {free // 1_000_000:,} MB free."


def _check_packages(session: Session) -> str:
    found = []
    for package, module in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise Unhealthy(
                f"The package {package} cannot be used: {error}. Install PlexSync from its zip, which brings all it "
                f"needs, or run: {sys.executable} -m pip install {package}."
            ) from None
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(package)
    return f"All packages are there: {', '.join(found)}."


def _check_stash(session: Session) -> str:
    stash = session.servers.stash()
    return f"Stash {stash.version()} answers at {stash.address}."


def _settings(session: Session) -> Settings:
    """The settings, however incomplete, for checks that come after the one that complains about them."""
    return session.servers.read_settings()[0]


def _check_settings(session: Session) -> str:
    _, problems = session.servers.read_settings()
    if problems:
        raise Unhealthy(
            " ".join(problem.sentence for problem in problems), tuple(problem.key for problem in problems)
        )
    return "All settings can be used."


def _check_plex(session: Session) -> str:
    found = session.servers.plex().identity()
    return f"Plex {found.version} answers at {_settings(session).plex_url}."


def _check_libraries(session: Session) -> str:
    from plexsync.core.settings import library_key

    found = session.servers.plex().health()
    rules = {library_key(rule.library) for rule in _settings(session).library_rules}
    names = ", ".join(
        f"“{library.title}”" + " (with rules of its own)" * (library_key(library.title) in rules)
        for library in found.libraries
    )
    return f"“{found.name}” accepts the token; libraries to write to: {names}."


def _check_clock(session: Session) -> str:
    ahead = {}
    for server, url in (
        ("Stash", session.servers.stash().address),
        ("Plex", f"{_settings(session).plex_url}/identity"),
    ):
        began = session.clock.now()
        said = session.date_of(url)
        if said is not None:
            ahead[server] = said - (began + session.clock.now()) / 2
    off = {server: by_s for server, by_s in ahead.items() if abs(by_s) > CLOCK_S}
    if off:
        which = " and ".join(
            f"{server}'s is {duration(abs(by_s))} {'ahead' if by_s > 0 else 'behind'}"
            for server, by_s in off.items()
        )
        raise Unhealthy(
            f"The clocks differ: measured by this machine's, {which}. What was changed lately, and which side was "
            "edited last, is told by clocks; have all machines set theirs from the network."
        )
    if not ahead:
        return "Neither Stash nor Plex says what time it is."
    most = max(abs(by_s) for by_s in ahead.values())
    return f"This clock and that of {' and '.join(ahead)} agree to {max(most, 1.0):.0f} s."


def _check_versions(session: Session) -> str:
    """Never a problem; a report of a bug needs them."""
    stash = plex = "not known"
    with contextlib.suppress(SyncFailure):  # each has a check of its own
        stash = session.servers.stash().version()
        plex = session.servers.plex().identity().version
    older = [
        f"{name} {at_least[0]}.{at_least[1]}"
        for name, version, at_least in (("Stash", stash, STASH_MADE_FOR), ("Plex", plex, PLEX_MADE_FOR))
        if (found := re.findall(r"\d+", version)) and tuple(map(int, found[:2])) < at_least
    ]
    note = f"; PlexSync was made for {' and '.join(older)}, so update if something fails" if older else ""
    return (
        f"PlexSync {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Stash {stash}, Plex {plex}{note}."
    )


def _check_queue(session: Session) -> str:
    counts = session.store.counts()
    if session.troubles:
        raise Unhealthy(" ".join(session.troubles))
    why = blocked(session.store)
    if why:
        raise Unhealthy(f"{plural(counts.pending, 'pending job')}. {why.sentence}")
    return f"The queue works; {counts.pending} pending, {counts.finished} done so far."


def _check_letters(session: Session) -> str:
    kinds = {kind: count for kind, count in session.store.letters.by_type().items() if kind != CHOICE}
    if not kinds:
        return "There are no dead letters."
    newest = next(letter for letter in session.store.letters.newest() if letter.error_type != CHOICE)
    which = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    raise Unhealthy(
        f"{plural(sum(kinds.values()), 'dead letter')} ({which}), the newest of {letter_about(newest)}: "
        f"{newest.message} “Queue status” lists them, and “Retry dead letters” queues them again."
    )


def _check_choices(session: Session) -> str:
    letters = session.store.letters.newest(error_type=CHOICE)
    if not letters:
        return "No scene needs a choice between several Plex items."
    first = letters[0].scene_id
    raise Unhealthy(
        f"{plural(len(letters), 'scene')} may be one of several Plex items, {letter_about(letters[0])} for one. "
        f"“PlexSync.py choose {first}” lists the items, and with the number of one more keeps that choice."
    )


def _check_outages(session: Session) -> str:
    last = next(iter(session.store.state.outages(1)), None)
    if last is None:
        return "No outage of Stash or Plex was recorded."
    since = utc(last["started_at"])
    if last["ended_at"] is None:
        raise Unhealthy(
            f"{last['server']} is unreachable since {since}: {last['cause']} No edit is lost; pending jobs are synced "
            "as soon as it recovers."
        )
    lasted_s = last["ended_at"] - last["started_at"]
    return f"The last outage was that of {last['server']}, from {since} for {duration(lasted_s)}: {last['cause']}"


CHECKS: dict[str, Callable[[Session], str]] = {
    "Data folder": _check_data,
    "Packages": _check_packages,
    "Stash": _check_stash,
    "Settings": _check_settings,
    "Plex": _check_plex,
    "Libraries": _check_libraries,
    "Paths": check_paths,
    "Clock": _check_clock,
    "Versions": _check_versions,
    "Queue": _check_queue,
    "Dead letters": _check_letters,
    "Choices": _check_choices,
    "Outages": _check_outages,
}
