"""Which Plex item is a scene: by the full path of its files, never by a title or a file name.

A path is compared by its ``path_key``: ``/`` between parts, accents composed (NFC), and case ignored only
where the file system ignores it, which is where paths begin with a drive letter or a UNC server. Seen in the
wild: macOS and some NAS hand out decomposed names (NFD), Plex on Windows reports ``M:\\Media\\a.mkv``
verbatim.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from plexsync.core.item import Item
from plexsync.core.scene import Scene
from plexsync.core.settings import PathPair

_LONG_UNC = re.compile(r"^[\\/]{2}\?[\\/]UNC[\\/]", re.IGNORECASE)  # \\?\UNC\server\share
_LONG = re.compile(r"^[\\/]{2}\?[\\/]")  # \\?\C:\folder
_DRIVE = re.compile(r"^[A-Za-z]:(?=[\\/]|$)")
_UNC = re.compile(r"^(\\\\|//)(?=[^\\/])")


@dataclass(frozen=True)
class _Path:
    root: str  # "C:", "//", "/" or "" (relative)
    parts: tuple[str, ...]
    windows: bool

    def folded(self) -> tuple[str, ...]:
        """The root and parts as they compare."""
        whole = (self.root, *self.parts)
        composed = tuple(unicodedata.normalize("NFC", part) for part in whole)
        return tuple(part.casefold() for part in composed) if self.windows else composed

    def text(self) -> str:
        if not self.windows:
            return self.root + "/".join(self.parts)
        return ("\\\\" if self.root == "//" else self.root + "\\") + "\\".join(self.parts)


def _split(path: str) -> _Path:
    path = _LONG_UNC.sub(r"\\\\", path)
    path = _LONG.sub("", path)
    drive, unc = _DRIVE.match(path), _UNC.match(path)
    if drive or unc:
        root = drive.group() if drive else "//"
        rest = re.split(r"[\\/]+", path[drive.end() if drive else 2 :])
        return _Path(root, _real(rest), windows=True)
    return _Path("/" if path.startswith("/") else "", _real(path.split("/")), windows=False)


def _real(parts: Sequence[str]) -> tuple[str, ...]:
    """Without what doubled separators and ``/./`` leave behind."""
    return tuple(part for part in parts if part not in ("", "."))


def path_key(path: str) -> str:
    """Equal for two paths exactly when they name the same file."""
    root, *parts = _split(path).folded()
    return root + "\0" + "/".join(parts)


def is_below(path: str, folder: str) -> bool:
    """Is ``folder`` one of the folders ``path`` goes through?"""
    parts, prefix = _split(path).folded(), _split(folder).folded()
    return len(parts) > len(prefix) and parts[: len(prefix)] == prefix


def map_path(path: str, path_map: Sequence[PathPair]) -> str:
    """``path`` as Plex sees it: the longest prefix of the map that fits is replaced, in the target's style.

    A prefix fits whole folders only (/data never fits /database). A path no prefix fits comes back unchanged.
    """
    source = _split(path)
    folded = source.folded()
    best: tuple[int, _Path] | None = None
    for pair in path_map:
        prefix = _split(pair.stash)
        length = len(prefix.parts) + 1
        fits = prefix.windows == source.windows and prefix.folded() == folded[:length]
        if fits and (best is None or length > best[0]):
            best = (length, _split(pair.plex))
    if best is None:
        return path
    length, target = best
    return _Path(target.root, target.parts + source.parts[length - 1 :], target.windows).text()


def plex_paths(scene: Scene, path_map: Sequence[PathPair]) -> tuple[str, ...]:
    """The scene's files as Plex sees them, the primary one first."""
    return tuple(map_path(file.path, path_map) for file in scene.files)


@dataclass(frozen=True)
class Found:
    """The one item to write to."""

    item: Item


@dataclass(frozen=True)
class Missing:
    """No item has any of these files (as Plex would see them)."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Ambiguous:
    """Several items have the same file of the scene."""

    items: tuple[Item, ...]


Match = Found | Missing | Ambiguous


def choose(scene: Scene, items: Sequence[Item], path_map: Sequence[PathPair] = ()) -> Match:
    """The item that has the scene's primary file, else its second file, and so on.

    Items with none of the files are passed over, whatever their titles. Where several have the same file, one
    that spells the path exactly as the scene does is preferred to those that only compare equal (two files
    whose names differ in nothing but their Unicode form are two files on Linux).
    """
    paths = plex_paths(scene, path_map)
    for path in paths:
        key = path_key(path)
        same = {item.rating_key: item for item in items if any(path_key(file) == key for file in item.files)}
        exact = [item for item in same.values() if path in item.files]
        holders = exact or list(same.values())
        if len(holders) == 1:
            return Found(holders[0])
        if holders:
            return Ambiguous(tuple(sorted(holders, key=lambda item: item.rating_key)))
    return Missing(paths)
