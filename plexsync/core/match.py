"""Which Plex item is a scene: by the full path of its files, never by a title or a file name alone.

A path is compared by its ``path_key``: ``/`` between parts, accents composed (NFC), and case ignored only
where the file system ignores it, which is where paths begin with a drive letter or a UNC server. Seen in the
wild: macOS and some NAS hand out decomposed names (NFD), Plex on Windows reports ``M:\\Media\\a.mkv``
verbatim.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from plexsync.core.item import Item
from plexsync.core.scene import Scene, SceneFile
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
        return tuple(_folded(part, self.windows) for part in (self.root, *self.parts))

    def text(self) -> str:
        if not self.windows:
            return self.root + "/".join(self.parts)
        return ("\\\\" if self.root == "//" else self.root + "\\") + "\\".join(self.parts)


def _folded(part: str, windows: bool) -> str:
    composed = unicodedata.normalize("NFC", part)
    return composed.casefold() if windows else composed


# A sync names the same path again and again: as Stash has it, as Plex has it, in the index and in a choice.
_cached = lru_cache(maxsize=8192)


@_cached
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


@_cached
def path_key(path: str) -> str:
    """Equal for two paths exactly when they name the same file."""
    root, *parts = _split(path).folded()
    return root + "\0" + "/".join(parts)


def file_name(key: str) -> str:
    """The last part of a ``path_key``."""
    return _parts(key)[-1]


def folded_name(key: str) -> str:
    """``file_name`` without case."""
    return file_name(key).casefold()


def common_end(key: str, other: str) -> int:
    """How many parts two ``path_key``s share, counted from the file name."""
    one, two = _parts(key)[::-1], _parts(other)[::-1]
    pairs = enumerate(zip(one, two, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(two)))


def _parts(key: str) -> list[str]:
    return key.partition("\0")[2].split("/")


def folder_of(path: str) -> str:
    """The folder a file is in, in the style of its path."""
    return _without(path, 1)


def is_below(path: str, folder: str) -> bool:
    """Is ``folder`` one of the folders ``path`` goes through?"""
    parts, prefix = _split(path).folded(), _split(folder).folded()
    return len(parts) > len(prefix) and parts[: len(prefix)] == prefix


def map_path(path: str, path_map: Sequence[PathPair]) -> str:
    """``path`` as Plex sees it: the longest prefix of the map that fits is replaced, in the target's style.

    A prefix fits whole folders only (/data never fits /database). A path no prefix fits comes back unchanged.
    """
    if not path_map:
        return path
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


def files_of(scene: Scene, item: Item, path_map: Sequence[PathPair] = ()) -> tuple[str, ...]:
    """The files of ``item`` that are the scene's, as Plex spells them: those with the scene's paths, else those
    of the same name."""
    paths = plex_paths(scene, path_map)
    keys = {path_key(path) for path in paths}
    exact = tuple(file for file in item.files if path_key(file) in keys)
    return exact or tuple(
        file for file in item.files if any(common_tail(path, file, any_case=True) for path in paths)
    )


# --- where the path map does not reach


def common_tail(path: str, plex: str, *, any_case: bool = False) -> int:
    """How many parts a path shares with one of Plex, counted from the file name; without case where Plex is
    on Windows, or in ``any_case``."""
    ours, theirs = _split(path), _split(plex)
    pairs = zip(reversed(ours.parts), reversed(theirs.parts), strict=False)
    fold = any_case or theirs.windows
    same = (_folded(a, fold) == _folded(b, fold) for a, b in pairs)
    return next((n for n, equal in enumerate(same) if not equal), min(len(ours.parts), len(theirs.parts)))


def closest(scene: Scene, items: Sequence[Item], path_map: Sequence[PathPair] = ()) -> Match:
    """The item whose file ends like the scene's and is the same by its size, for when no path fits.

    A candidate shares the file name with the scene's file, and their sizes are equal to the byte. Where one
    side does not know the size, the folder must be called the same too and the durations agree to DURATION_S.
    Of several the one with the longest common tail is meant; with equally long ones a person must choose. Only
    where there is none may the names differ in case and the sizes be equal: there are file systems without case
    that look like those of Linux, as on macOS.
    """
    for file, path in zip(scene.files, plex_paths(scene, path_map), strict=True):
        tails = _tails(file, path, items) or _tails(file, path, items, any_case=True)
        if tails:
            best = [key for key, tail in tails.items() if tail == max(tails.values())]
            chosen = {item.rating_key: item for item in items if item.rating_key in best}
            if len(chosen) == 1:
                return Found(*chosen.values())
            return Ambiguous(tuple(chosen[key] for key in sorted(chosen)))
    return Missing(plex_paths(scene, path_map))


def _tails(file: SceneFile, path: str, items: Iterable[Item], *, any_case: bool = False) -> dict[int, int]:
    """The longest common tail of each item that has a candidate, by rating key."""
    tails: dict[int, int] = {}
    for item in items:
        sizes = (*item.sizes, *(0 for _ in item.files))
        for theirs, size in zip(item.files, sizes, strict=False):
            tail = common_tail(path, theirs, any_case=any_case)
            sure = not any_case or (file.size and size)
            if tail and sure and _is_same_content(file, size, item.duration, tail):
                tails[item.rating_key] = max(tail, tails.get(item.rating_key, 0))
    return tails


DURATION_S = 1.0  # two readers of one file round its duration differently


def _is_same_content(file: SceneFile, size: int, duration: float, tail: int) -> bool:
    if file.size and size:
        return file.size == size
    known = file.duration > 0 and duration > 0
    return tail >= 2 and known and abs(file.duration - duration) <= DURATION_S


@dataclass(frozen=True)
class _Lesson:
    """One pair of paths, and how much of their end is taken for the file's part."""

    stash: str
    plex: str
    tail: int

    def prefixes(self) -> tuple[str, str]:
        return _without(self.stash, self.tail), _without(self.plex, self.tail)


def learn(pairs: Iterable[tuple[str, str]]) -> tuple[PathPair, ...]:
    """The path map that explains these pairs of (path in Stash, path in Plex), each of the same file.

    The shortest one: what the paths have in common at their end is left to the file, unless two pairs would
    then contradict each other. Where they contradict each other all the same, the majority is believed. Pairs
    that are the same on both sides, or have no file name in common, teach nothing. The best supported prefix
    comes first.
    """
    lessons = [
        _Lesson(stash, plex, tail)
        for stash, plex in dict.fromkeys(pairs)
        if (tail := common_tail(stash, plex)) and path_key(stash) != path_key(plex)
    ]
    while True:
        targets: dict[str, Counter[str]] = {}
        for lesson in lessons:
            stash, plex = lesson.prefixes()
            targets.setdefault(stash, Counter())[plex] += 1
        learnt = tuple(PathPair(stash, plex.most_common(1)[0][0]) for stash, plex in targets.items())
        # A prefix is too short when it leads a file somewhere else than where Plex has it.
        misled = [
            lesson.stash
            for lesson in lessons
            if path_key(map_path(lesson.stash, learnt)) != path_key(lesson.plex)
        ]
        too_short = {max((p for p in targets if is_below(path, p)), key=len) for path in misled}
        deeper = [
            replace(lesson, tail=lesson.tail - 1)
            if lesson.tail > 1 and lesson.prefixes()[0] in too_short
            else lesson
            for lesson in lessons
        ]
        if deeper == lessons:
            support = {stash: plex.total() for stash, plex in targets.items()}
            return tuple(sorted(learnt, key=lambda pair: (-support[pair.stash], pair.stash)))
        lessons = deeper


def _without(path: str, tail: int) -> str:
    """``path`` without its last ``tail`` parts."""
    split = _split(path)
    return _Path(split.root, split.parts[: len(split.parts) - tail], split.windows).text()
