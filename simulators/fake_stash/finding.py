"""Filters, order and pages of lists, as Stash 0.30 asks them of SQLite (pkg/sqlite, pkg/models/find_filter.go).

A filter becomes a predicate on rows. `FILTERS` is the table: for each kind of row, what each key of its filter looks
at. Moments are compared as the text they are stored as, so two zones in one library compare wrongly, as in Stash.
"""

import functools
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .catalog import Catalog, CatalogError, Row, referred, stamp

Predicate = Callable[[Any], bool]
Get = Callable[[Any], Any]
Criterion = Mapping[str, Any]

DEFAULT_PER_PAGE = 25


@dataclass(frozen=True)
class Page:
    """All matching rows, and those of the page asked for."""

    matching: list[Any]
    rows: list[Any]


# --- text ---------------------------------------------------------------------------------------------------


def words_of(query: str) -> list[str]:
    """The words of a search, any of which will do; text in quotes is one phrase."""
    query = query.strip()
    if len(query) > 1 and query[0] == query[-1] == '"':
        return [query.strip('"').lower()]
    return query.lower().split()


@functools.lru_cache(maxsize=1 << 18)
def natural_key(text: str) -> tuple[Any, ...]:
    """Case-insensitive order in which `scene 2` comes before `scene 10`."""
    parts = re.split(r"(\d+)", text.lower())
    return tuple((int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts))


# --- criteria: (criterion, getter) -> predicate -------------------------------------------------------------


def _unfit(modifier: str) -> CatalogError:
    return CatalogError(f"internal system error: unsupported modifier {modifier}")


def text(criterion: Criterion, get: Get) -> Predicate:
    """One text, or a list of which any will do."""
    value, modifier = criterion["value"], criterion["modifier"]
    low = value.lower()

    def texts(row: Any) -> list[str]:
        found = get(row)
        return (
            [found or ""]
            if found is None or isinstance(found, str)
            else [item or "" for item in found] or [""]
        )

    def regex() -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            raise CatalogError(f"error parsing regexp: {error}") from error

    match modifier:
        case "EQUALS":
            return lambda row: any(item.lower() == low for item in texts(row))
        case "NOT_EQUALS":
            return lambda row: all(item.lower() != low for item in texts(row))
        case "INCLUDES":
            words = words_of(value)
            return lambda row: any(word in item.lower() for item in texts(row) for word in words)
        case "EXCLUDES":
            words = words_of(value)
            return lambda row: all(word not in item.lower() for item in texts(row) for word in words)
        case "MATCHES_REGEX":
            pattern = regex()
            return lambda row: any(item and pattern.search(item) for item in texts(row))
        case "NOT_MATCHES_REGEX":
            pattern = regex()
            return lambda row: not any(item and pattern.search(item) for item in texts(row))
        case "IS_NULL":
            return lambda row: not any(texts(row))
        case "NOT_NULL":
            return lambda row: any(texts(row))
    raise _unfit(modifier)


def number(criterion: Criterion, get: Get) -> Predicate:
    low, high = criterion["value"], criterion.get("value2")
    high = low if high is None else high
    match criterion["modifier"]:
        case "EQUALS":
            return lambda row: get(row) == low
        case "NOT_EQUALS":
            return lambda row: (value := get(row)) is not None and value != low
        case "GREATER_THAN":
            return lambda row: (value := get(row)) is not None and value > low
        case "LESS_THAN":
            return lambda row: (value := get(row)) is not None and value < low
        case "BETWEEN":
            return lambda row: (value := get(row)) is not None and low <= value <= high
        case "NOT_BETWEEN":
            return lambda row: (value := get(row)) is not None and not low <= value <= high
        case "IS_NULL":
            return lambda row: get(row) is None
        case "NOT_NULL":
            return lambda row: get(row) is not None
    raise _unfit(criterion["modifier"])


def whole_number(criterion: Criterion, get: Get) -> Predicate:
    """For columns with fractions asked for by whole numbers: they are cut off first."""
    return number(criterion, lambda row: None if (value := get(row)) is None else int(value))


def flag(criterion: bool, get: Get) -> Predicate:
    return lambda row: bool(get(row)) == criterion


def true_text(criterion: str, get: Get) -> Predicate:
    wanted = criterion == "true"
    return lambda row: bool(get(row)) == wanted


def partial_date(criterion: Criterion, get: Get) -> Predicate:
    """A date without day or month counts as the first of them."""

    def full(date: str | None) -> str | None:
        return None if date is None else date + "-01-01"[len(date) - 4 :] if len(date) < 10 else date

    given = {key: full(value) if key != "modifier" else value for key, value in criterion.items()}
    return number(given, lambda row: full(get(row)))


def members(
    criterion: Criterion, get: Get, widen: Callable[[int], set[int]] = lambda row_id: {row_id}
) -> Predicate:
    """Sets of ids. `widen` gives an id together with those that count as it (its children)."""
    wanted = [widen(_id(item)) for item in criterion.get("value") or ()]
    excluded = set().union(*(widen(_id(item)) for item in criterion.get("excludes") or ()))
    every = set().union(*wanted)

    def kept(test: Callable[[set[int]], bool]) -> Predicate:
        def check(row: Any) -> bool:
            held = set(referred(get(row)))
            return test(held) and not (excluded and held & excluded)

        return check

    match criterion["modifier"]:
        case "INCLUDES":
            return kept(lambda held: not wanted or bool(held & every))
        case "INCLUDES_ALL":
            return kept(lambda held: all(held & group for group in wanted))
        case "EXCLUDES":
            return kept(lambda held: not held & every)
        case "EQUALS":
            return kept(lambda held: len(held) == len(wanted) and all(held & group for group in wanted))
        case "NOT_EQUALS":
            return kept(lambda held: not (len(held) == len(wanted) and all(held & group for group in wanted)))
        case "IS_NULL":
            return kept(lambda held: not held)
        case "NOT_NULL":
            return kept(bool)
    raise _unfit(criterion["modifier"])


def _id(value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise CatalogError(f'strconv.Atoi: parsing "{value}": invalid syntax') from error


def stash_id(criterion: Criterion, get: Get) -> Predicate:
    endpoint, wanted = criterion.get("endpoint"), criterion.get("stash_id")

    def having(row: Any) -> list[Any]:
        return [item for item in get(row) if not endpoint or item.endpoint == endpoint]

    match criterion["modifier"]:
        case "EQUALS":
            return lambda row: any(item.stash_id == wanted for item in having(row))
        case "NOT_EQUALS":
            return lambda row: all(item.stash_id != wanted for item in having(row))
        case "IS_NULL":
            return lambda row: not having(row)
        case "NOT_NULL":
            return lambda row: bool(having(row))
    raise _unfit(criterion["modifier"])


_HEIGHTS = {  # lower bound of the shorter side
    "VERY_LOW": 144,
    "LOW": 240,
    "R360P": 360,
    "STANDARD": 480,
    "WEB_HD": 540,
    "STANDARD_HD": 720,
    "FULL_HD": 1080,
    "QUAD_HD": 1440,
    "VR_HD": 1920,
    "FOUR_K": 1920,
    "FIVE_K": 2560,
    "SIX_K": 3000,
    "SEVEN_K": 3584,
    "EIGHT_K": 3840,
    "HUGE": 6143,
}


def resolution(criterion: Criterion, get: Get) -> Predicate:
    low = _HEIGHTS[criterion["value"]]
    high = min((height for height in _HEIGHTS.values() if height > low), default=10**9) - 1
    modifier = criterion["modifier"]
    asked = {
        "EQUALS": {"modifier": "BETWEEN", "value": low, "value2": high},
        "NOT_EQUALS": {"modifier": "NOT_BETWEEN", "value": low, "value2": high},
        "LESS_THAN": {"modifier": "LESS_THAN", "value": low},
        "GREATER_THAN": {"modifier": "GREATER_THAN", "value": high},
    }
    if modifier not in asked:
        raise _unfit(modifier)
    return number(asked[modifier], lambda row: min(file.width, file.height) if (file := get(row)) else None)


def orientation(criterion: Criterion, get: Get) -> Predicate:
    def shape(row: Any) -> str | None:
        file = get(row)
        if file is None:
            return None
        return (
            "SQUARE" if file.width == file.height else "LANDSCAPE" if file.width > file.height else "PORTRAIT"
        )

    return lambda row: shape(row) in criterion["value"]


def gender(criterion: Criterion, get: Get) -> Predicate:
    wanted = {criterion.get("value"), *(criterion.get("value_list") or ())} - {None}
    match criterion["modifier"]:
        case "EQUALS" | "INCLUDES":
            return lambda row: get(row) in wanted
        case "NOT_EQUALS" | "EXCLUDES":
            return lambda row: get(row) not in wanted
        case "IS_NULL":
            return lambda row: get(row) is None
        case "NOT_NULL":
            return lambda row: get(row) is not None
    raise _unfit(criterion["modifier"])


def circumcision(criterion: Criterion, get: Get) -> Predicate:
    return gender({"modifier": criterion["modifier"], "value_list": criterion.get("value")}, get)


# --- the table ----------------------------------------------------------------------------------------------

Entry = tuple[Callable[..., Predicate], Callable[["Finder"], Get]]


def field(handler: Callable[..., Predicate], name: str) -> Entry:
    return handler, lambda finder: lambda row: getattr(row, name)


def count(name: str) -> Entry:
    return number, lambda finder: lambda row: len(list(referred(getattr(row, name))))


def counted(kind: str, name: str) -> Entry:
    """How many rows of another kind refer to this one."""
    return number, lambda finder: lambda row: len(finder.catalog.users(kind, name).get(row.id, ()))


def users(kind: str, name: str) -> Entry:
    """The ids of the rows of another kind that refer to this one."""
    return (
        members,
        lambda finder: lambda row: [user.id for user in finder.catalog.users(kind, name).get(row.id, ())],
    )


def file_field(handler: Callable[..., Predicate], read: Callable[[Any], Any]) -> Entry:
    def getter(finder: "Finder") -> Get:
        return lambda row: read(file) if (file := finder.catalog.primary_file(row)) else None

    return handler, getter


def all_files(handler: Callable[..., Predicate], read: Callable[[Any], Any]) -> Entry:
    def getter(finder: "Finder") -> Get:
        files = finder.catalog.files
        return lambda row: [read(files[file_id]) for file_id in row.file_ids]

    return handler, getter


def fingerprint(kind: str) -> Entry:
    return all_files(text, lambda file: file.fingerprint(kind))


def constant(handler: Callable[..., Predicate], value: Any) -> Entry:
    """Something this catalog never has: captions, interactive speeds."""
    return handler, lambda finder: lambda row: value


COMMON: dict[str, Entry] = {"id": field(number, "id")}
MEDIA: dict[str, Entry] = {
    **COMMON,
    "title": field(text, "title"),
    "code": field(text, "code"),
    "details": field(text, "details"),
    "url": field(text, "urls"),
    "date": field(partial_date, "date"),
    "rating100": field(number, "rating100"),
    "organized": field(flag, "organized"),
    "path": all_files(text, lambda file: file.path),
    "checksum": fingerprint("md5"),
    "file_count": count("file_ids"),
    "tag_count": count("tag_ids"),
    "performer_count": count("performer_ids"),
    "performers": field(members, "performer_ids"),
    "resolution": file_field(resolution, lambda file: file),
    "orientation": file_field(orientation, lambda file: file),
}
FILTERS: dict[str, dict[str, Entry]] = {
    "scene": {
        **MEDIA,
        "director": field(text, "director"),
        "oshash": fingerprint("oshash"),
        "phash": fingerprint("phash"),
        "o_counter": (number, lambda finder: lambda row: len(row.os)),
        "play_count": (number, lambda finder: lambda row: len(row.plays)),
        "play_duration": field(whole_number, "play_duration"),
        "resume_time": field(whole_number, "resume_time"),
        "framerate": file_field(whole_number, lambda file: file.frame_rate),
        "bitrate": file_field(number, lambda file: file.bit_rate),
        "video_codec": file_field(text, lambda file: file.video_codec),
        "audio_codec": file_field(text, lambda file: file.audio_codec),
        "duration": file_field(whole_number, lambda file: file.duration),
        "has_markers": (
            true_text,
            lambda finder: lambda row: finder.catalog.users("marker", "scene_id").get(row.id),
        ),
        "galleries": field(members, "gallery_ids"),
        "movies": field(members, "group_links"),
        "stash_id_endpoint": field(stash_id, "stash_ids"),
        "interactive": constant(flag, False),
        "interactive_speed": constant(number, None),
        "captions": constant(text, None),
    },
    "performer": {
        "name": field(text, "name"),
        "disambiguation": field(text, "disambiguation"),
        "details": field(text, "details"),
        "filter_favorites": field(flag, "favorite"),
        "birth_year": (number, lambda finder: lambda row: int(row.birthdate[:4]) if row.birthdate else None),
        "death_year": (
            number,
            lambda finder: lambda row: int(row.death_date[:4]) if row.death_date else None,
        ),
        "birthdate": field(partial_date, "birthdate"),
        "death_date": field(partial_date, "death_date"),
        **{
            name: field(text, name)
            for name in (
                [
                    "ethnicity",
                    "country",
                    "eye_color",
                    "measurements",
                    "fake_tits",
                    "career_length",
                    "tattoos",
                    "piercings",
                    "hair_color",
                ]
            )
        },
        "height_cm": field(number, "height_cm"),
        "weight": field(number, "weight"),
        "penis_length": field(number, "penis_length"),
        "circumcised": field(circumcision, "circumcised"),
        "gender": field(gender, "gender"),
        "aliases": field(text, "alias_list"),
        "tag_count": count("tag_ids"),
        "scene_count": counted("scene", "performer_ids"),
        "image_count": counted("image", "performer_ids"),
        "gallery_count": counted("gallery", "performer_ids"),
        "stash_id_endpoint": field(stash_id, "stash_ids"),
        "rating100": field(number, "rating100"),
        "url": field(text, "urls"),
        "ignore_auto_tag": field(flag, "ignore_auto_tag"),
    },
    "studio": {
        "name": field(text, "name"),
        "details": field(text, "details"),
        "parents": field(members, "parent_id"),
        "stash_id_endpoint": field(stash_id, "stash_ids"),
        "rating100": field(number, "rating100"),
        "favorite": field(flag, "favorite"),
        "scene_count": counted("scene", "studio_id"),
        "image_count": counted("image", "studio_id"),
        "gallery_count": counted("gallery", "studio_id"),
        "tag_count": count("tag_ids"),
        "url": field(text, "urls"),
        "aliases": field(text, "aliases"),
        "child_count": counted("studio", "parent_id"),
        "ignore_auto_tag": field(flag, "ignore_auto_tag"),
    },
    "tag": {
        "name": field(text, "name"),
        "sort_name": field(text, "sort_name"),
        "aliases": field(text, "aliases"),
        "favorite": field(flag, "favorite"),
        "description": field(text, "description"),
        "scene_count": counted("scene", "tag_ids"),
        "image_count": counted("image", "tag_ids"),
        "gallery_count": counted("gallery", "tag_ids"),
        "performer_count": counted("performer", "tag_ids"),
        "studio_count": counted("studio", "tag_ids"),
        "group_count": counted("group", "tag_ids"),
        "movie_count": counted("group", "tag_ids"),
        "marker_count": counted("marker", "tag_ids"),
        "parent_count": count("parent_ids"),
        "child_count": counted("tag", "parent_ids"),
        "ignore_auto_tag": field(flag, "ignore_auto_tag"),
        "stash_id_endpoint": field(stash_id, "stash_ids"),
    },
    "group": {
        "name": field(text, "name"),
        "director": field(text, "director"),
        "synopsis": field(text, "synopsis"),
        "duration": field(number, "duration"),
        "rating100": field(number, "rating100"),
        "url": field(text, "urls"),
        "tag_count": count("tag_ids"),
        "date": field(partial_date, "date"),
        "sub_group_count": count("sub_group_links"),
        "containing_group_count": counted("group", "sub_group_links"),
        "performers": (
            members,
            lambda finder: (
                lambda row: [
                    performer_id
                    for scene in finder.catalog.users("scene", "group_links").get(row.id, ())
                    for performer_id in scene.performer_ids
                ]
            ),
        ),
    },
    "gallery": {
        **MEDIA,
        "photographer": field(text, "photographer"),
        "image_count": count("image_ids"),
        "scenes": users("scene", "gallery_ids"),
        "is_zip": (flag, lambda finder: lambda row: bool(row.file_ids)),
        "has_chapters": (
            true_text,
            lambda finder: lambda row: finder.catalog.users("chapter", "gallery_id").get(row.id),
        ),
    },
    "image": {
        **MEDIA,
        "photographer": field(text, "photographer"),
        "o_counter": field(number, "o_counter"),
        "galleries": users("gallery", "image_ids"),
    },
    "marker": {
        "scenes": field(members, "scene_id"),
        "duration": (
            number,
            lambda finder: lambda row: None if row.end_seconds is None else row.end_seconds - row.seconds,
        ),
        "scene_tags": (members, lambda finder: lambda row: finder.catalog.scenes[row.scene_id].tag_ids),
        "performers": (members, lambda finder: lambda row: finder.catalog.scenes[row.scene_id].performer_ids),
        "scene_date": (partial_date, lambda finder: lambda row: finder.catalog.scenes[row.scene_id].date),
    },
    "file": {
        "path": field(text, "path"),
        "basename": field(text, "basename"),
        "dir": (text, lambda finder: lambda row: finder.catalog.rows["folder"][row.parent_folder_id].path),
        "scene_count": counted("scene", "file_ids"),
        "image_count": counted("image", "file_ids"),
        "gallery_count": counted("gallery", "file_ids"),
    },
    "folder": {"path": field(text, "path")},
}
FILTERS["marker"]["tags"] = (members, lambda finder: lambda row: [row.primary_tag_id, *row.tag_ids])

# Keys whose ids count together with their descendants: which kind, and where the rows keep them.
TREES: dict[str, dict[str, tuple[str, str]]] = {
    "scene": {
        "studios": ("studio", "studio_id"),
        "tags": ("tag", "tag_ids"),
        "groups": ("group", "group_links"),
    },
    "performer": {"tags": ("tag", "tag_ids")},
    "studio": {"tags": ("tag", "tag_ids")},
    "tag": {"parents": ("tag", "parent_ids")},
    "group": {
        "studios": ("studio", "studio_id"),
        "tags": ("tag", "tag_ids"),
        "sub_groups": ("group", "sub_group_links"),
    },
    "gallery": {"studios": ("studio", "studio_id"), "tags": ("tag", "tag_ids")},
    "image": {"studios": ("studio", "studio_id"), "tags": ("tag", "tag_ids")},
    "marker": {},
    "file": {"parent_folder": ("folder", "parent_folder_id")},
    "folder": {"parent_folder": ("folder", "parent_folder_id")},
}

# Filters on related rows: the relation's kind, and how to get at it.
RELATED: dict[str, dict[str, tuple[str, Callable[["Finder", Any], Iterable[Any]]]]] = {}


def _through(kind: str, name: str) -> tuple[str, Callable[["Finder", Any], Iterable[Any]]]:
    return kind, lambda finder, row: (
        finder.catalog.rows[kind][item] for item in referred(getattr(row, name))
    )


def _from(kind: str, name: str) -> tuple[str, Callable[["Finder", Any], Iterable[Any]]]:
    return kind, lambda finder, row: finder.catalog.users(kind, name).get(row.id, ())


_MEDIA_RELATED = {
    "performers_filter": _through("performer", "performer_ids"),
    "studios_filter": _through("studio", "studio_id"),
    "tags_filter": _through("tag", "tag_ids"),
    "files_filter": _through("file", "file_ids"),
}
RELATED |= {
    "scene": {
        **_MEDIA_RELATED,
        "galleries_filter": _through("gallery", "gallery_ids"),
        "groups_filter": _through("group", "group_links"),
        "movies_filter": _through("group", "group_links"),
        "markers_filter": _from("marker", "scene_id"),
    },
    "gallery": {
        **_MEDIA_RELATED,
        "scenes_filter": _from("scene", "gallery_ids"),
        "images_filter": _through("image", "image_ids"),
        "folders_filter": _through("folder", "folder_id"),
    },
    "image": {**_MEDIA_RELATED, "galleries_filter": _from("gallery", "image_ids")},
    "performer": {
        "scenes_filter": _from("scene", "performer_ids"),
        "images_filter": _from("image", "performer_ids"),
        "galleries_filter": _from("gallery", "performer_ids"),
        "tags_filter": _through("tag", "tag_ids"),
    },
    "studio": {
        "scenes_filter": _from("scene", "studio_id"),
        "images_filter": _from("image", "studio_id"),
        "galleries_filter": _from("gallery", "studio_id"),
    },
    "tag": {
        "scenes_filter": _from("scene", "tag_ids"),
        "images_filter": _from("image", "tag_ids"),
        "galleries_filter": _from("gallery", "tag_ids"),
    },
    "group": {
        "scenes_filter": _from("scene", "group_links"),
        "studios_filter": _through("studio", "studio_id"),
    },
    "marker": {"scene_filter": _through("scene", "scene_id")},
    "file": {
        "scenes_filter": _from("scene", "file_ids"),
        "images_filter": _from("image", "file_ids"),
        "galleries_filter": _from("gallery", "file_ids"),
    },
    "folder": {
        "files_filter": _from("file", "parent_folder_id"),
        "galleries_filter": _from("gallery", "folder_id"),
    },
}

# What `is_missing` of each kind may ask for, where the name is not the attribute's.
MISSING = {
    "studio": "studio_id",
    "movie": "group_links",
    "group": "group_links",
    "performers": "performer_ids",
    "tags": "tag_ids",
    "galleries": "gallery_ids",
    "url": "urls",
    "stash_id": "stash_ids",
    "scenes": "scenes",
    "aliases": "aliases",
}

# Sort keys besides the attributes of the same name.
SORTS: dict[str, dict[str, Callable[["Finder"], Get]]] = {
    "scene": {
        "path": lambda finder: (
            lambda row: file.path.lower() if (file := finder.catalog.primary_file(row)) else ""
        ),
        "title": lambda finder: lambda row: natural_key(row.title or finder.basename(row)),
        "last_played_at": lambda finder: lambda row: row.plays[0] if row.plays else "",
        "last_o_at": lambda finder: lambda row: row.os[0] if row.os else "",
        "play_count": lambda finder: lambda row: len(row.plays),
        "o_counter": lambda finder: lambda row: len(row.os),
        "rating": lambda finder: lambda row: row.rating100,
        "tag_count": lambda finder: lambda row: len(row.tag_ids),
        "performer_count": lambda finder: lambda row: len(row.performer_ids),
        "file_count": lambda finder: lambda row: len(row.file_ids),
        "filesize": lambda finder: (
            lambda row: file.size if (file := finder.catalog.primary_file(row)) else None
        ),
        "duration": lambda finder: (
            lambda row: file.duration if (file := finder.catalog.primary_file(row)) else None
        ),
        "framerate": lambda finder: (
            lambda row: file.frame_rate if (file := finder.catalog.primary_file(row)) else None
        ),
        "bitrate": lambda finder: (
            lambda row: file.bit_rate if (file := finder.catalog.primary_file(row)) else None
        ),
        "file_mod_time": lambda finder: (
            lambda row: file.mod_time if (file := finder.catalog.primary_file(row)) else None
        ),
    },
    "performer": {
        "scenes_count": lambda finder: (
            lambda row: len(finder.catalog.users("scene", "performer_ids").get(row.id, ()))
        ),
        "rating": lambda finder: lambda row: row.rating100,
    },
    "studio": {
        "scenes_count": lambda finder: (
            lambda row: len(finder.catalog.users("scene", "studio_id").get(row.id, ()))
        ),
        "rating": lambda finder: lambda row: row.rating100,
    },
    "tag": {
        "name": lambda finder: lambda row: row.sort_key,
        "scenes_count": lambda finder: (
            lambda row: len(finder.catalog.users("scene", "tag_ids").get(row.id, ()))
        ),
    },
    "group": {
        "scenes_count": lambda finder: (
            lambda row: len(finder.catalog.users("scene", "group_links").get(row.id, ()))
        ),
        "rating": lambda finder: lambda row: row.rating100,
    },
    "gallery": {
        "path": lambda finder: lambda row: finder.basename(row),
        "rating": lambda finder: lambda row: row.rating100,
    },
    "image": {
        "path": lambda finder: lambda row: finder.basename(row),
        "rating": lambda finder: lambda row: row.rating100,
    },
    "marker": {
        "scene_id": lambda finder: lambda row: row.scene_id,
        "title": lambda finder: lambda row: row.title.lower(),
    },
    "file": {},
    "folder": {},
}
SORTABLE = [
    "id",
    "created_at",
    "updated_at",
    "title",
    "name",
    "date",
    "rating100",
    "organized",
    "code",
    "resume_time",
    "play_duration",
    "mod_time",
    "size",
    "path",
    "birthdate",
    "seconds",
    "scene_id",
    "duration",
    "director",
    "height",
    "weight",
    "basename",
]


class Finder:
    def __init__(self, catalog: Catalog, rng: random.Random) -> None:
        self.catalog = catalog
        self._rng = rng

    def basename(self, row: Any) -> str:
        file = self.catalog.primary_file(row)
        return file.basename if file else ""

    def find(
        self,
        kind: str,
        row_filter: Criterion | None = None,
        find_filter: Criterion | None = None,
        ids: Iterable[Any] | None = None,
    ) -> Page:
        """The page that a `find…` query answers. `ids` makes it ignore everything else.

        Raises CatalogError: an unknown id among `ids`, an unknown sort, a filter that Stash refuses.
        """
        if ids is not None:
            rows = self._by_ids(kind, [_id(item) for item in ids])
            return Page(rows, rows)
        asked = find_filter or {}
        rows = list(self.catalog.rows[kind].values())
        predicates = []
        if row_filter:
            predicates.append(self.predicate(kind, row_filter))
        if query := (asked.get("q") or "").strip():
            predicates.append(self._search(kind, query))
        for predicate in predicates:
            rows = [row for row in rows if predicate(row)]
        sort, direction = asked.get("sort"), asked.get("direction") or "ASC"
        if predicates or not sort or sort.startswith("random"):
            rows = self.sort(kind, rows, sort, direction)
        else:
            rows = self.catalog.cached(
                ("sorted", kind, sort, direction), lambda: self.sort(kind, rows, sort, direction)
            )
        per_page = DEFAULT_PER_PAGE if (given := asked.get("per_page")) is None else given
        if per_page < 0:
            return Page(rows, rows)
        start = (max(asked.get("page") or 1, 1) - 1) * per_page
        return Page(rows, rows[start : start + per_page])

    def _by_ids(self, kind: str, ids: list[int]) -> list[Any]:
        if len(set(ids)) < len(ids):
            repeated = next(item for item in ids if ids.count(item) > 1)
            raise CatalogError(f"{kind} with id {repeated} not found")
        return [self.catalog.get(kind, item) for item in ids]

    # Filtering.

    def predicate(self, kind: str, row_filter: Criterion) -> Predicate:
        tests: list[Predicate] = []
        alternatives: list[Predicate] = []
        for key, value in row_filter.items():
            if value is None:
                continue
            if key == "AND":
                tests.append(self.predicate(kind, value))
            elif key == "OR":
                alternatives.append(self.predicate(kind, value))
            elif key == "NOT":
                inner = self.predicate(kind, value)
                tests.append(lambda row, inner=inner: not inner(row))  # type: ignore[misc]
            else:
                tests.append(self._criterion(kind, key, value))

        def check(row: Any) -> bool:
            return all(test(row) for test in tests)

        if not alternatives:
            return check
        return lambda row: (bool(tests) and check(row)) or any(other(row) for other in alternatives)

    def _criterion(self, kind: str, key: str, value: Any) -> Predicate:
        if key in FILTERS[kind]:
            handler, getter = FILTERS[kind][key]
            return handler(value, getter(self))
        if key in TREES[kind]:
            target, name = TREES[kind][key]
            depth = value.get("depth") or 0
            return members(
                value, lambda row: getattr(row, name), lambda row_id: self.descendants(target, row_id, depth)
            )
        if key in RELATED[kind]:
            target, reach = RELATED[kind][key]
            inner = self.predicate(target, value)
            return lambda row: any(inner(other) for other in reach(self, row))
        match key:
            case "created_at" | "updated_at" | "mod_time":
                return self.moment(value, lambda row: getattr(row, key))
            case "last_played_at":
                return self.moment(value, lambda row: row.plays[0] if row.plays else None)
            case "scene_created_at" | "scene_updated_at":
                scenes = self.catalog.scenes
                return self.moment(
                    value, lambda row: getattr(scenes[row.scene_id], key.removeprefix("scene_"))
                )
            case "is_missing":
                name = MISSING.get(value, value)
                return lambda row: not getattr(row, name, None)
            case "performer_tags":
                performers = self.catalog.rows["performer"]
                depth = value.get("depth") or 0
                return members(
                    value,
                    lambda row: [tag for item in row.performer_ids for tag in performers[item].tag_ids],
                    lambda row_id: self.descendants("tag", row_id, depth),
                )
            case "performer_favorite":
                performers = self.catalog.rows["performer"]
                return lambda row: any(performers[item].favorite for item in row.performer_ids) == value
            case "duplicated":
                return self._duplicated(value)
        raise CatalogError(f"filter {key} is not imitated")

    def _duplicated(self, value: Criterion) -> Predicate:
        hashes: dict[str, int] = {}
        for scene in self.catalog.scenes.values():
            for file_id in scene.file_ids:
                if phash := self.catalog.files[file_id].fingerprint("phash"):
                    hashes[phash] = hashes.get(phash, 0) + 1
        repeated = {phash for phash, times in hashes.items() if times > 1}
        wanted = value.get("duplicated", True)
        files = self.catalog.files
        return lambda row: (
            any(files[item].fingerprint("phash") in repeated for item in row.file_ids) == wanted
        )

    def moment(self, criterion: Criterion, get: Get) -> Predicate:
        """Moments as text, exactly as given: strict, to the second, and blind to offsets."""
        given = dict(criterion)
        if given["modifier"] in ("BETWEEN", "NOT_BETWEEN") and given.get("value2") is None:
            given["value2"] = stamp(self.catalog.now() + timedelta(days=1))
        if given["modifier"] not in (
            [
                "EQUALS",
                "NOT_EQUALS",
                "GREATER_THAN",
                "LESS_THAN",
                "BETWEEN",
                "NOT_BETWEEN",
                "IS_NULL",
                "NOT_NULL",
            ]
        ):
            raise CatalogError("internal system error")
        return number(given, get)

    def descendants(self, kind: str, row_id: int, depth: int) -> set[int]:
        """The id with its children down to `depth` levels; below 0 means all."""
        name = {"studio": "parent_id", "tag": "parent_ids", "folder": "parent_folder_id"}.get(kind)
        found = {row_id}
        level = {row_id}
        while depth and level:
            if name is None:
                level = {
                    child
                    for item in level
                    if item in self.catalog.rows[kind]
                    for child in referred(self.catalog.rows[kind][item].sub_group_links)
                }
            elif kind == "folder":
                level = {row.id for row in self.catalog.rows[kind].values() if row.parent_folder_id in level}
            else:
                children = self.catalog.users(kind, name)
                level = {child.id for item in level for child in children.get(item, ())}
            level -= found
            found |= level
            depth -= 1
        return found

    def _search(self, kind: str, query: str) -> Predicate:
        words = words_of(query)
        read = self._searched(kind)
        return lambda row: any(word in read(row) for word in words)

    def _searched(self, kind: str) -> Callable[[Any], str]:
        files = self.catalog.files
        markers = self.catalog.users("marker", "scene_id")

        def media(row: Any) -> str:
            parts = [row.title, row.details]
            for file_id in row.file_ids:
                file = files[file_id]
                parts += [file.path, *(value for _, value in file.fingerprints)]
            if kind == "scene":
                parts += [marker.title for marker in markers.get(row.id, ())]
            return "\n".join(parts).lower()

        def named(row: Any) -> str:
            aliases = row.alias_list if kind == "performer" else row.aliases
            return "\n".join([row.name, *([aliases] if isinstance(aliases, str) else aliases)]).lower()

        if kind in ("scene", "gallery", "image"):
            return media
        if kind in ("performer", "studio", "tag", "group"):
            return named
        if kind == "marker":
            scenes = self.catalog.scenes
            return lambda row: f"{row.title}\n{scenes[row.scene_id].title}".lower()
        return lambda row: row.path.lower()

    # Order.

    def sort(self, kind: str, rows: list[Any], sort: str | None, direction: str) -> list[Any]:
        """No sort, no order (the order of ids, here). Ties fall to the title, else the id as text, natural order."""
        if not sort:
            return rows
        backwards = direction == "DESC"
        if sort == "id":
            return rows[::-1] if backwards else rows
        if sort == "random" or sort.startswith("random_"):
            seed = sort.removeprefix("random").removeprefix("_")
            shuffled = list(rows)
            random.Random(seed or self._rng.random()).shuffle(shuffled)
            return shuffled
        get = self._sort_key(kind, sort)

        def key(row: Row) -> tuple[bool, Any]:
            value = get(row)
            if isinstance(value, str):
                value = value.lower()
            return (value is not None, 0 if value is None else value)

        keyed = sorted(((key(row), row) for row in rows), key=lambda pair: pair[0], reverse=backwards)
        found: list[Any] = []
        start = 0
        for end in range(1, len(keyed) + 1):
            if end == len(keyed) or keyed[end][0] != keyed[start][0]:
                tied = [row for _, row in keyed[start:end]]
                found += tied if len(tied) == 1 else sorted(tied, key=_tie_key)
                start = end
        return found

    def _sort_key(self, kind: str, sort: str) -> Get:
        if sort in SORTS[kind]:
            return SORTS[kind][sort](self)
        known = next(iter(self.catalog.rows[kind].values()), None)
        if sort not in SORTABLE or (known is not None and not hasattr(known, sort)):
            raise CatalogError(f"invalid sort: {sort}")
        return lambda row: getattr(row, sort)


def _tie_key(row: Any) -> tuple[Any, ...]:
    return natural_key(getattr(row, "title", "") or getattr(row, "name", "") or str(row.id))
