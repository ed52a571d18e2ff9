"""The fields we sync, a row each: what Stash says a field should be, and what Plex has.

- A partial date is its first day: 2024 is written as 2024-01-01, 2024-05 as 2024-05-01.
- rating100 is the user's rating out of 10; Plex shows 85 as eight and a half.
- Texts beyond TEXT_LIMIT and SUMMARY_LIMIT characters end in "…": they travel in the URL.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from plexsync.core import template
from plexsync.core.item import Item
from plexsync.core.merge import Value, folded
from plexsync.core.scene import Scene, writable
from plexsync.core.settings import Settings

TEXT_LIMIT = 1_000
SUMMARY_LIMIT = 10_000


@dataclass(frozen=True)
class Field:
    """One row: a field we sync."""

    name: str  # as we call it in logs and settings
    plex: str  # as Plex's edit calls it
    # What Stash says it should be, empty when that is unset; None when the settings leave the field alone.
    wants: Callable[[Scene, Settings], Value | None]
    has: Callable[[Item], Value]
    # A metadata refresh rewrites it unless it is locked. A rating is the user's own.
    refreshed: bool = True
    shared: bool = False  # people add to this list too
    # Whether the settings want it no longer, as against leaving it alone: what we added is taken away then.
    ended: Callable[[Settings], bool] = lambda settings: False


def wanted_values(scene: Scene, settings: Settings) -> dict[str, Value]:
    """Per field, what Stash says it should be; without the fields the settings leave alone."""
    values = {row.name: row.wants(scene, settings) for row in FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def one_line(text: str) -> str:
    """``text`` on one line: an XML attribute gives a line break or tab back as a space."""
    text = writable(text)
    return _cut(text if text.isprintable() else re.sub(r"\s*[\t\n]\s*", " ", text), TEXT_LIMIT)


def file_stem(scene: Scene) -> str:
    """The primary file's name without its extension; "" for a scene without files."""
    if not scene.files:
        return ""
    name = re.split(r"[\\/]", scene.files[0].path)[-1]
    stem, dot, _ = name.rpartition(".")
    return one_line(stem if dot and stem else name)


def full_date(date: str | None) -> str:
    """``date`` completed to its first day; "" when it is no day of the calendar."""
    if not date:
        return ""
    year, month, day, *_ = [*date.split("-"), "01", "01"]
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def filled(text: str, scene: Scene, settings: Settings) -> str:
    """A template filled with the scene's parts; the title is the file's name where the scene has none."""
    return one_line(template.fill(text, *template_values(scene, settings)))


def template_values(scene: Scene, settings: Settings) -> tuple[dict[str, str], datetime.date | None]:
    """What the names of a template stand for, and the day a form of {date} is applied to."""
    stem = file_stem(scene)
    date = full_date(scene.date)
    values = {
        "title": one_line(scene.title) or stem,
        "stem": stem,
        "studio": _studio(scene, settings),
        "parent_studio": scene.parent_studio or "",
        "date": scene.date if date and scene.date else "",
        "code": scene.code,
        "director": scene.director,
        "performers": ", ".join(scene.performers),
        "tags": ", ".join(_mapped_tags(scene, settings)),
        "groups": ", ".join(scene.groups),
        "rating": "" if scene.rating100 is None else str(scene.rating100),
        "id": str(scene.id),
    }
    return values, datetime.date.fromisoformat(date) if date else None


def title(scene: Scene, settings: Settings) -> str:
    """The title by its template, else the scene's own, else the name of its file, as Stash's own pages show it."""
    made = filled(settings.title_template, scene, settings) if settings.title_template else ""
    return made or one_line(scene.title) or file_stem(scene)


def names_its_file(name: str, wanted: Value, scene: Scene) -> bool:
    """Whether a title, or sort title, is made from the file's name because the scene has none of its own."""
    if name not in ("title", "sort_title") or one_line(scene.title) or not isinstance(wanted, str):
        return False
    stem = file_stem(scene)
    return bool(stem) and stem in wanted


def _studio(scene: Scene, settings: Settings) -> str:
    return one_line((scene.parent_studio if settings.parent_studio else None) or scene.studio or "")


def rating_text(value: float | None) -> str:
    """A rating out of 10 as both sides are compared: one decimal, none when it is whole."""
    return "" if value is None else f"{round(value, 1):g}"


def tag_list(names: Iterable[str]) -> tuple[str, ...]:
    """Each name on one line, and once; Plex has no two tags that differ only in case."""
    found: dict[str, str] = {}
    for name in names:
        tag = one_line(name)
        if tag:
            found.setdefault(folded(tag), tag)
    return tuple(found.values())


def _mapped_tags(scene: Scene, settings: Settings) -> tuple[str, ...]:
    names = {folded(pair.stash): pair.plex for pair in settings.tag_map}
    starts = [
        (pair.stash.removesuffix("*"), pair.plex) for pair in settings.tag_map if pair.stash.endswith("*")
    ]
    starts.sort(key=lambda pair: -len(pair[0]))
    return tag_list(names.get(folded(tag), _by_start(tag, starts)) for tag in scene.tags)


def _by_start(tag: str, starts: Iterable[tuple[str, str]]) -> str:
    """The tag as the longest beginning that fits says, its own end in the place of the asterisk."""
    for start, plex in starts:
        if folded(tag[: len(start)]) == folded(start):
            return plex.replace("*", tag[len(start) :].strip(), 1)
    return tag


def _collections(scene: Scene, settings: Settings) -> tuple[str, ...]:
    sources: dict[str, Sequence[str]] = {
        "studio": [scene.studio or ""],
        "parent_studio": [scene.parent_studio or ""],
        "groups": scene.groups,
        "performers": scene.performers,
        "tags": _mapped_tags(scene, settings),
        "organized": ["Organized"] if scene.organized else [],
    }
    return tag_list(name for source in settings.collections_from for name in sources[source])


def _unless_left(
    name: str, wants: Callable[[Scene, Settings], Value | None]
) -> Callable[[Scene, Settings], Value | None]:
    """``wants``, unless the user said to leave the field alone."""
    return lambda scene, settings: None if settings.leaves(name) else wants(scene, settings)


def _by_template(key: str) -> Callable[[Scene, Settings], Value | None]:
    """The text a template makes; left alone without one."""

    def wants(scene: Scene, settings: Settings) -> Value | None:
        text: str = getattr(settings, key)
        return filled(text, scene, settings) if text else None

    return wants


def _tags_as(labels: bool) -> Callable[[Scene, Settings], Value | None]:
    return lambda scene, settings: (
        None
        if settings.leaves("tags") or settings.tags_as_labels is not labels
        else _mapped_tags(scene, settings)
    )


FIELDS: tuple[Field, ...] = (
    # A scene always has a title, unless it has no file either; Plex never does without.
    Field(
        "title",
        "title",
        _unless_left("title", lambda scene, settings: title(scene, settings) or None),
        lambda item: item.title,
    ),
    Field(
        "summary",
        "summary",
        _unless_left("summary", lambda scene, settings: _cut(writable(scene.details), SUMMARY_LIMIT)),
        lambda item: writable(item.summary),
    ),
    Field("studio", "studio", _unless_left("studio", _studio), lambda item: item.studio),
    Field(
        "date",
        "originallyAvailableAt",
        _unless_left("date", lambda scene, settings: full_date(scene.date)),
        lambda item: item.originally_available_at or "",
    ),
    Field(
        "performers",
        "actor",
        _unless_left("performers", lambda scene, settings: tag_list(scene.performers)),
        lambda item: tuple(actor.name for actor in item.actors),
    ),
    Field(
        "tags",
        "genre",
        _tags_as(labels=False),
        lambda item: item.genres,
        ended=lambda settings: settings.tags_as_labels and not settings.leaves("tags"),
    ),
    Field(
        "labels",
        "label",
        _tags_as(labels=True),
        lambda item: item.labels,
        shared=True,
        ended=lambda settings: not settings.tags_as_labels and not settings.leaves("tags"),
    ),
    Field(
        "rating",
        "userRating",
        _unless_left(
            "rating",
            lambda scene, settings: rating_text(None if scene.rating100 is None else scene.rating100 / 10),
        ),
        lambda item: rating_text(item.user_rating),
        refreshed=False,
    ),
    Field(
        "sort_title",
        "titleSort",
        # Plex has no title without a sort title: cleared, it would come back as the title.
        lambda scene, settings: (
            filled(settings.sort_title_template, scene, settings) or title(scene, settings) or None
            if settings.sort_title_template
            else None
        ),
        lambda item: item.title_sort or item.title,
    ),
    Field(
        "original_title",
        "originalTitle",
        _by_template("original_title_template"),
        lambda item: item.original_title,
    ),
    Field("tagline", "tagline", _by_template("tagline_template"), lambda item: item.tagline),
    Field(
        "content_rating",
        "contentRating",
        lambda scene, settings: one_line(settings.content_rating) or None,
        lambda item: item.content_rating,
    ),
    Field(
        "directors",
        "director",
        lambda scene, settings: tag_list(scene.director.split(",")) if settings.write_directors else None,
        lambda item: item.directors,
    ),
    Field(
        "collections",
        "collection",
        lambda scene, settings: _collections(scene, settings) if settings.collections_from else None,
        lambda item: item.collections,
        shared=True,
        ended=lambda settings: not settings.collections_from,
    ),
)
