"""Whether a scene is to be synced at all: rules of the settings, each with the reason it gives."""

from __future__ import annotations

from collections.abc import Iterable

from plexsync.core.match import is_below
from plexsync.core.merge import folded
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings


def gate(scene: Scene, settings: Settings, synced: bool = False) -> str | None:
    """Why the scene is to be skipped, as a phrase for status and log; None when it is to be synced.

    A scene passes when it meets every rule that is set; the first it does not meet is named. One that was ``synced``
    before has been emptied when it is bare, and that is an edit like any other.
    """
    if settings.only_organized and not scene.organized:
        return "not organized"
    if settings.only_identified and not scene.stash_ids:
        return "has no stash-box id"
    if settings.skip_bare and not synced and is_bare(scene):
        return "has no metadata yet"
    studios = [studio for studio in (scene.studio, scene.parent_studio) if studio]
    for names, included, excluded, what in (
        (scene.tags, settings.include_tags, settings.exclude_tags, "tag"),
        (studios, settings.include_studios, settings.exclude_studios, "studio"),
    ):
        if included and not _common(names, included):
            return f"has no {what} of those to sync"
        barred = _common(names, excluded)
        if barred:
            return f"has the {what} {barred!r}, which is not to be synced"
    paths = [file.path for file in scene.files]
    if settings.include_paths and not _below(paths, settings.include_paths):
        return "is in no folder of those to sync"
    barred = _below(paths, settings.exclude_paths)
    return f"is in the folder {barred!r}, which is not to be synced" if barred else None


def is_bare(scene: Scene) -> bool:
    """Whether it says nothing but what a scan finds out."""
    said = (
        scene.title,
        scene.details,
        scene.date,
        scene.rating100,
        scene.studio,
        scene.performers,
        scene.tags,
    )
    return not any(said)


def _common(names: Iterable[str], listed: Iterable[str]) -> str:
    """The first of ``listed`` that is among ``names``, whatever its case; "" when none is."""
    there = {folded(name) for name in names}
    return next((name for name in listed if folded(name) in there), "")


def _below(paths: Iterable[str], folders: Iterable[str]) -> str:
    """The first of ``folders`` that holds one of ``paths``; "" when none does."""
    paths = list(paths)
    return next((folder for folder in folders if any(is_below(path, folder) for path in paths)), "")
