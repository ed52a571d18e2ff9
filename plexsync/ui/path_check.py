"""The doctor's check of paths: whether Plex has the files of a few scenes, and the path_map it would need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plexsync.ui.session import Session, Unhealthy
from plexsync.ui.words import plural

if TYPE_CHECKING:
    from plexsync.core.item import Item
    from plexsync.core.scene import Scene
    from plexsync.core.settings import PathPair

SPOTS, PAIRS_A_SPOT = 5, 8  # places of the library, and scenes there, that are looked for in Plex


def check_paths(session: Session) -> str:
    from plexsync.core import match
    from plexsync.core.settings import parse

    plex, settings, scenes = session.servers.plex(), session.servers.read_settings()[0], _sample(session)
    if not scenes:
        return "Stash has no scene with a file yet, so there is nothing to look for."
    asked = [match.plex_paths(scene, settings.path_map) for scene in scenes]
    pairs: list[tuple[str, str]] = []  # path in Stash, path in Plex
    reached: list[str] = []
    lost = []
    for scene, paths, items in zip(scenes, asked, plex.find_many(asked), strict=True):
        chosen = match.choose(scene, items, settings.path_map)
        if isinstance(chosen, match.Found):
            reached.append(
                f"scene {scene.id}, {scene.files[0].path}, is item {chosen.item.rating_key} in Plex"
            )
            pairs += _pairs(scene, chosen.item, settings.path_map)
        elif isinstance(chosen, match.Missing):
            lost.append((scene, paths))
    # Of what the paths do not lead to, files of the same name and size: by them the path map is learned.
    alike = plex.find_alike([paths for _, paths in lost]) if lost else []
    astray, of_another_case = 0, []
    for (scene, _), items in zip(lost, alike, strict=True):
        chosen = match.closest(scene, items, settings.path_map)
        if isinstance(chosen, match.Found):
            theirs = _pairs(scene, chosen.item)
            pairs += theirs
            if theirs:
                astray += 1
            else:  # no prefix can say that
                of_another_case.append(
                    f"scene {scene.id}, {scene.files[0].path}, is {chosen.item.files[0]} in Plex"
                )
    tried = plural(len(scenes), "scene")
    if astray:
        text = "; ".join(f"{pair.stash} => {pair.plex}" for pair in match.learn(pairs))
        proved = parse({"path_map": text})[0].path_map  # what the setting would mean, read as it will be
        right = sum(
            match.path_key(match.map_path(ours, proved)) == match.path_key(theirs) for ours, theirs in pairs
        )
        remedy = f"Set path_map to: {text}" if text else "Empty path_map"
        raise Unhealthy(
            f"Of {tried} tried, Plex has {astray} under another path than path_map says; they were told by the name "
            f"and size of their file alone. {remedy} (with it {right} of {len(pairs)} files are found by their path)."
        )
    if of_another_case:
        return (
            f"Of {tried} tried, {len(reached)} are in Plex under their paths, and {len(of_another_case)} were told by "
            f"the size of a file whose name there differs in case: {of_another_case[0]}."
        )
    if reached:
        several = len(scenes) - len(reached) - len(lost)
        rest = f"; {several} {_are(several)} there more than once" if several else ""
        rest += f"; {len(lost)} {_are(len(lost))} not in Plex, the first is {lost[0][1][0]}" if lost else ""
        in_plex = f"{len(reached)} {_are(len(reached))} in Plex under their paths"
        return f"Of {tried} tried, {in_plex}: {reached[0]}{rest}."
    if not lost:
        return f"Of {tried} tried, each is in Plex under its path, more than once."
    folders = ", ".join(place for library in plex.libraries() for place in library.locations) or "no folder"
    raise Unhealthy(
        f"None of {tried} is in Plex. One was looked for as {lost[0][0].files[0].path}, in Plex as {lost[0][1][0]}; "
        f"Plex's libraries have {folders}. Set path_map so that paths of Stash become paths below these, or let Plex "
        "scan them."
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _sample(session: Session) -> list[Scene]:
    """A few scenes with files from several places of the library: folders often go by date of arrival."""
    stash = session.servers.stash()
    found: dict[int, Scene] = {}
    step = max(stash.count() // SPOTS, PAIRS_A_SPOT)
    for spot in range(SPOTS):
        page = next(iter(stash.scene_pages(after_id=spot * step, per_page=PAIRS_A_SPOT)), [])
        found |= {scene.id: scene for scene in page if scene.files}
    return list(found.values())


def _pairs(scene: Scene, item: Item, path_map: Sequence[PathPair] = ()) -> list[tuple[str, str]]:
    """The scene's files as Stash has them, each with the item's file that ends most like it."""
    from plexsync.core.match import common_tail, map_path

    found = []
    for file in scene.files:
        path = map_path(file.path, path_map)
        tail, theirs = max((common_tail(path, theirs), theirs) for theirs in item.files)
        if tail:
            found.append((file.path, theirs))
    return found
