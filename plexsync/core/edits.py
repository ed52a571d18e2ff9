"""What to change on a Plex item so that it says what the scene says.

``FIELDS`` has a row for each field we sync. ``plan`` compares row by row and returns ``Edits``: the
parameters of one PUT to ``/library/sections/<id>/all``, in the form python-plexapi 4.18 sends. Nothing to
change, no parameters.

How Plex takes them (PMS 1.41, python-plexapi's own tests against it):

- ``<field>.value`` with ``<field>.locked=1``; an empty value clears the field. What is not locked is
rewritten by the
  next metadata refresh, so a value that is right but not locked counts as a difference.
- ``<kind>[i].tag.tag`` adds tags and ``<kind>[].tag.tag-`` removes some: names quoted one by one, joined with
commas.
  Today's servers append, some are said to have replaced: we send all the wanted tags and the removal of the
  others, which ends the same on both.
- Tags come back in the case of an older tag of the same name, so they are compared without case, and a tag
that is
  already there is sent as Plex spells it.

Choices of ours, each a rule of one sentence:

- What is empty in Stash is left alone in Plex unless the field is locked there: the lock tells that somebody,
most
  likely we, put the value there on purpose. So an agent's summary survives, and what left Stash leaves Plex.
  With ``keep_unlocked`` there are no locks to tell it by, and Stash's emptiness wins.
- A partial date is its first day: 2024 is written as 2024-01-01, 2024-05 as 2024-05-01.
- rating100 is the user's rating out of 10; Plex shows 85 as eight and a half.
- Texts beyond TEXT_LIMIT and SUMMARY_LIMIT characters end in "…": they travel in the URL.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plexsync.core.item import Item
from plexsync.core.scene import Scene, writable
from plexsync.core.settings import Settings

TEXT_LIMIT = 1_000
SUMMARY_LIMIT = 10_000

Value = str | tuple[str, ...]  # of a text field, of a tag field; empty when unset


@dataclass(frozen=True)
class Change:
    """One field that differs: what Plex has, and what it is to have."""

    field: str
    before: Value
    after: Value


@dataclass(frozen=True)
class Edits:
    """The parameters of one PUT, and the fields they touch. Falsy when there is nothing to write."""

    params: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.params)


@dataclass(frozen=True)
class Field:
    """One row: a field we sync."""

    name: str  # as we call it in logs and settings
    plex: str  # as Plex's edit calls it
    wants: Callable[[Scene, Settings], Value]
    has: Callable[[Item], Value]
    # A metadata refresh rewrites it unless it is locked. A person's rating is nobody's metadata.
    refreshed: bool = True


def plan(scene: Scene, item: Item, settings: Settings) -> Edits:
    """The edits that bring ``item`` level with ``scene``.

    Laws: plan again on an item that took the edits, and nothing is left; every parameter belongs to a field
    in ``fields``; fields that are level are not touched.
    """
    params: dict[str, str] = {}
    changes: list[Change] = []
    for row in FIELDS:
        wanted, held = row.wants(scene, settings), row.has(item)
        locked = row.plex in item.locked
        if not wanted and not (locked or settings.keep_unlocked):
            continue
        same = _same(wanted, held)
        if same and (locked or settings.keep_unlocked or not row.refreshed or not wanted):
            continue
        changes.append(Change(row.name, held, wanted))
        params |= _written(row.plex, wanted, held)
        params[f"{row.plex}.locked"] = "0" if settings.keep_unlocked else "1"
    return Edits(params, tuple(change.field for change in changes), tuple(changes))


def _written(kind: str, wanted: Value, held: Value) -> dict[str, str]:
    if isinstance(wanted, str):
        return {f"{kind}.value": wanted}
    there = {_folded(tag): tag for tag in held}
    kept = {_folded(tag) for tag in wanted}
    params = {f"{kind}[{i}].tag.tag": there.get(_folded(tag), tag) for i, tag in enumerate(wanted)}
    surplus = [tag for tag in held if _folded(tag) not in kept]
    if surplus:
        params[f"{kind}[].tag.tag-"] = ",".join(urllib.parse.quote(tag) for tag in surplus)
    return params


def _folded(tag: str) -> str:
    """What two tags share when Plex takes them for one."""
    return unicodedata.normalize("NFC", tag).casefold()


def _same(wanted: Value, held: Value) -> bool:
    if isinstance(wanted, str) or isinstance(held, str):
        return wanted == held
    return {_folded(tag) for tag in wanted} == {_folded(tag) for tag in held}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _line(text: str) -> str:
    """``text`` on one line: an XML attribute gives a line break or tab back as a space."""
    return _cut(re.sub(r"\s*[\t\n]\s*", " ", writable(text)), TEXT_LIMIT)


def title(scene: Scene, settings: Settings) -> str:
    """The scene's title, or the name of its primary file without extension, as Stash's own pages show it."""
    return _line(scene.title) or file_stem(scene)


def file_stem(scene: Scene) -> str:
    """The primary file's name without its extension; "" for a scene without files."""
    if not scene.files:
        return ""
    name = re.split(r"[\\/]", scene.files[0].path)[-1]
    stem, dot, _ = name.rpartition(".")
    return _line(stem if dot and stem else name)


def full_date(date: str | None) -> str:
    """``date`` completed to its first day; "" when it is no day of the calendar."""
    if not date:
        return ""
    year, month, day, *_ = [*date.split("-"), "01", "01"]
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def _rating(value: float | None) -> str:
    """A rating out of 10 as both sides are compared: one decimal, none when it is whole."""
    return "" if value is None else f"{round(value, 1):g}"


def _wanted_rating(scene: Scene, settings: Settings) -> str:
    return _rating(None if scene.rating100 is None else scene.rating100 / 10)


def _tags(names: Sequence[str]) -> tuple[str, ...]:
    """Each name on one line, and once; Plex has no two tags that differ only in case."""
    found: dict[str, str] = {}
    for name in names:
        tag = _line(name)
        if tag:
            found.setdefault(_folded(tag), tag)
    return tuple(found.values())


FIELDS: tuple[Field, ...] = (
    Field("title", "title", title, lambda item: item.title),
    Field(
        "summary",
        "summary",
        lambda scene, settings: _cut(writable(scene.details), SUMMARY_LIMIT),
        lambda item: writable(item.summary),
    ),
    Field("studio", "studio", lambda scene, settings: _line(scene.studio or ""), lambda item: item.studio),
    Field(
        "date",
        "originallyAvailableAt",
        lambda scene, settings: full_date(scene.date),
        lambda item: item.originally_available_at or "",
    ),
    Field(
        "performers",
        "actor",
        lambda scene, settings: _tags(scene.performers),
        lambda item: tuple(actor.name for actor in item.actors),
    ),
    Field("tags", "genre", lambda scene, settings: _tags(scene.tags), lambda item: item.genres),
    Field("rating", "userRating", _wanted_rating, lambda item: _rating(item.user_rating), refreshed=False),
)
