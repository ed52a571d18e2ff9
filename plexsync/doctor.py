"""The doctor: everything a sync needs is tried, and each trouble gets a sentence that says what to do about it.

A check is a function of the Office that returns its good news; bad news is raised, as Unhealthy or as one of TROUBLES.
Nothing is written to Plex and nothing is queued.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from plexsync.office import TROUBLES, Args, Office, blocked, sentence, some

if TYPE_CHECKING:
    from plexsync.core.settings import Settings

FREE_BYTES_LEAST = 50_000_000
PAIRS_TRIED = 10  # scenes looked for in Plex


class Unhealthy(Exception):
    """What a check found, and what to do about it."""


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
