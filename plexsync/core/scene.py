"""A scene: what Stash says, as far as Plex is concerned.

``scene_from`` reads one as GraphQL answers it (Stash 0.30, ``internal/api/resolver_model_scene.go``): texts
are ``""`` and never null when unset; date, rating and studio are null; the first file is the primary one;
dates may be partial.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from plexsync.core.failures import Permanent

# What XML 1.0 cannot carry: Plex would store it and then answer a page nobody can parse (seen with plexapi,
# #1450). Lone surrogates are among it; they cannot be put into a URL either.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ID_DIGITS = 18  # as many as any number has that SQLite, and so Stash, can hold
_VERSION = re.compile(r"[?&]t=([0-9]+)")
_PARTIAL_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


@dataclass(frozen=True)
class SceneFile:
    """One file of a scene: its path as Stash sees it, size in bytes, duration in seconds (0 when unknown)."""

    path: str
    size: int = 0
    duration: float = 0.0


@dataclass(frozen=True)
class Performer:
    """What is said of one performer, "" when unset: the gender in words, the country as Stash has it (a code, as a
    rule), the date of birth perhaps partial."""

    name: str
    disambiguation: str = ""
    gender: str = ""
    country: str = ""
    birthdate: str = ""


@dataclass(frozen=True)
class Scene:
    """One scene. Names keep Stash's order; texts are trimmed and hold only characters Plex can give back."""

    id: int
    title: str = ""
    details: str = ""
    date: str | None = None  # "2024", "2024-05" or "2024-05-17"
    rating100: int | None = None  # 1 to 100
    code: str = ""
    director: str = ""
    organized: bool = False
    play_count: int = 0
    studio: str | None = None
    parent_studio: str | None = None
    performers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    photos: tuple[
        tuple[str, str], ...
    ] = ()  # performer, path and version of the picture: /performer/5/image?t=9
    cast: tuple[Performer, ...] = ()  # who they are, for what goes beside their names
    groups: tuple[str, ...] = ()
    files: tuple[SceneFile, ...] = ()  # the primary one first
    stash_ids: tuple[str, ...] = ()
    updated_at: str = ""  # RFC 3339, with the offset Stash ran under when it wrote the row
    screenshot: str | None = None


# What scene_from reads, as stashapi puts it between the braces of its own query. stashapi's default asks for all
# there is and is refused by Stash 0.30.
SELECTION = """
  id title details date rating100 code director organized play_count updated_at
  studio { name parent_studio { name } }
  performers { id name image_path disambiguation gender country birthdate }
  tags { name }
  groups { group { name } }
  files { path size duration }
  stash_ids { stash_id }
  paths { screenshot }
"""


def scene_from(answer: Mapping[str, object]) -> Scene:
    """The scene in one object of a GraphQL answer.

    Values that are missing or of the wrong type count as unset. Raises Permanent only when the id itself is
    unusable.
    """
    identity = answer.get("id")
    text = identity if isinstance(identity, str) else f"{identity:d}" if type(identity) is int else ""
    if not text.isdecimal() or len(text) > _ID_DIGITS:
        raise Permanent("Stash answered with a scene that has no usable id.")
    date = _text(answer.get("date"))
    rating = _number(answer.get("rating100"))
    studio = answer.get("studio")
    parent = studio.get("parent_studio") if isinstance(studio, Mapping) else None
    groups = (entry.get("group") for entry in _objects(answer.get("groups")))
    paths = answer.get("paths")
    return Scene(
        id=int(text),
        title=_text(answer.get("title")),
        details=_text(answer.get("details")),
        date=date if _PARTIAL_DATE.fullmatch(date) else None,
        rating100=None if not rating else min(max(round(rating), 1), 100),
        code=_text(answer.get("code")),
        director=_text(answer.get("director")),
        organized=answer.get("organized") is True,
        play_count=max(int(_number(answer.get("play_count"))), 0),
        studio=_name(studio),
        parent_studio=_name(parent),
        performers=_names(_objects(answer.get("performers"))),
        tags=_names(_objects(answer.get("tags"))),
        cast=tuple(_cast(_objects(answer.get("performers")))),
        photos=tuple(_photos(_objects(answer.get("performers")))),
        groups=_names(groups),
        files=tuple(_files(answer.get("files"))),
        stash_ids=tuple(
            text for entry in _objects(answer.get("stash_ids")) if (text := _text(entry.get("stash_id")))
        ),
        updated_at=_text(answer.get("updated_at")),
        screenshot=_text(paths.get("screenshot")) or None if isinstance(paths, Mapping) else None,
    )


def writable(text: str) -> str:
    """``text`` as Plex can store it and give it back: line breaks as \\n, no control characters, trimmed."""
    if (
        text.isprintable()
    ):  # nearly every name; printable text has neither line breaks nor what XML cannot carry
        return text.strip()
    return _UNWRITABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _text(value: object) -> str:
    return writable(value) if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    try:
        return value if math.isfinite(value) else 0
    except OverflowError:  # an integer beyond all floats
        return 0


def _objects(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _name(value: object) -> str | None:
    return _text(value.get("name")) or None if isinstance(value, Mapping) else None


def _names(objects: Iterable[object]) -> tuple[str, ...]:
    """The names in order, without empty ones and without those that differ from an earlier one only in case."""
    found: dict[str, str] = {}
    for entry in objects:
        name = _name(entry)
        if name:
            found.setdefault(name.casefold(), name)
    return tuple(found.values())


def _cast(performers: Iterable[Mapping[str, object]]) -> Iterable[Performer]:
    for entry in performers:
        name = _name(entry)
        if name:
            said = [_text(entry.get(key)) for key in ("disambiguation", "gender", "country", "birthdate")]
            if any(said):
                disambiguation, gender, country, birthdate = said
                yield Performer(name, disambiguation, gender.replace("_", " ").lower(), country, birthdate)


def _photos(performers: Iterable[Mapping[str, object]]) -> Iterable[tuple[str, str]]:
    """Without those that are Stash's placeholder. Of the address Stash gives only the version is taken: the rest is
    made from a Host header, and what else may be in it must not reach Plex."""
    for entry in performers:
        name, number = _name(entry), _text(entry.get("id"))
        address = _text(entry.get("image_path"))
        version = _VERSION.search(address)
        if name and number.isdecimal() and version and "default=true" not in address:
            yield name, f"/performer/{number}/image?t={version[1]}"


def _files(value: object) -> Iterable[SceneFile]:
    for entry in _objects(value):
        path = entry.get("path")
        # A path is an identity, not a text for reading: it stays exactly as it is. Only what is no Unicode cannot be
        # kept or sent; Stash's JSON has U+FFFD for it.
        if isinstance(path, str) and path:
            path = _SURROGATE.sub("\ufffd", path)
            yield SceneFile(path, int(_number(entry.get("size"))), float(_number(entry.get("duration"))))
