"""GraphQL inputs into catalog values, and back into the structs that hooks are given.

`VALUES` is the table: for each kind of row and each key of its inputs, the attribute it sets and how it is read.
"""

import asyncio
import base64
import re
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .catalog import CatalogError, StashId, stamp
from .gojson import Number
from .library import decode_image

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def whole_id(value: Any) -> int:
    """An ID as a number. Raises CatalogError with Go's words."""
    try:
        return int("" if value is None else value)
    except ValueError as error:
        raise CatalogError(f'converting id: strconv.Atoi: parsing "{value}": invalid syntax') from error


def ids(values: Iterable[Any]) -> list[int]:
    return [whole_id(value) for value in values]


def date(value: str) -> str | None:
    """A whole or partial date; "" is none."""
    if not value:
        return None
    if not _DATE.fullmatch(value):
        raise CatalogError(
            f'converting date: parsing time "{value}" as "2006-01-02": cannot parse "{value}" as "2006"'
        )
    return value


def picture_bytes(value: str) -> bytes | None:
    if not value:
        return None
    try:
        return decode_image(value)
    except ValueError as error:
        raise CatalogError(f"processing image: {error}") from error


PICTURES = ("cover_image", "image", "front_image", "back_image")


async def with_pictures(given: Mapping[str, Any]) -> dict[str, Any]:
    """The input with pictures named by URL fetched. Raises CatalogError when one cannot be had."""
    found = dict(given)
    for key in PICTURES:
        url = found.get(key)
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            found[key] = base64.b64encode(await asyncio.to_thread(_fetch, url)).decode()
    return found


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            data: bytes = answer.read()
            return data
    except (OSError, ValueError) as error:
        raise CatalogError(f"processing image: {error}") from error


def group_links(values: Iterable[Mapping[str, Any]]) -> list[tuple[int, int | None]]:
    return [
        (whole_id(item.get("group_id", item.get("movie_id"))), item.get("scene_index")) for item in values
    ]


def described_groups(values: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    return [(whole_id(item["group_id"]), item.get("description") or "") for item in values]


def plain_float(value: Any) -> Any:
    """A number of a Float field: how the client wrote it is forgotten."""
    return float(value) if isinstance(value, Number) else value


def as_is(value: Any) -> Any:
    return value


def stripped(values: Iterable[str]) -> list[str]:
    return [value.strip() for value in values if value.strip()]


Read = Callable[[Any], Any]

_MEDIA: dict[str, tuple[str, Read]] = {
    **{name: (name, as_is) for name in ("title", "code", "details", "rating100", "organized")},
    "urls": ("urls", stripped),
    "date": ("date", date),
    "studio_id": ("studio_id", whole_id),
    "performer_ids": ("performer_ids", ids),
    "tag_ids": ("tag_ids", ids),
}
VALUES: dict[str, dict[str, tuple[str, Read]]] = {
    "scene": {
        **_MEDIA,
        "director": ("director", as_is),
        "gallery_ids": ("gallery_ids", ids),
        "movies": ("group_links", group_links),
        "groups": ("group_links", group_links),
        "cover_image": ("cover", picture_bytes),
        "resume_time": ("resume_time", as_is),
        "play_duration": ("play_duration", as_is),
        "file_ids": ("file_ids", ids),
    },
    "performer": {
        **{
            name: (name, as_is)
            for name in [
                "name",
                "disambiguation",
                "gender",
                "ethnicity",
                "country",
                "eye_color",
                "height_cm",
                "measurements",
                "fake_tits",
                "penis_length",
                "circumcised",
                "career_length",
                "tattoos",
                "piercings",
                "favorite",
                "rating100",
                "details",
                "hair_color",
                "weight",
                "ignore_auto_tag",
            ]
        },
        "urls": ("urls", stripped),
        "alias_list": ("alias_list", stripped),
        "birthdate": ("birthdate", date),
        "death_date": ("death_date", date),
        "tag_ids": ("tag_ids", ids),
        "image": ("image", picture_bytes),
    },
    "studio": {
        **{name: (name, as_is) for name in ("name", "rating100", "favorite", "details", "ignore_auto_tag")},
        "urls": ("urls", stripped),
        "aliases": ("aliases", stripped),
        "parent_id": ("parent_id", whole_id),
        "tag_ids": ("tag_ids", ids),
        "image": ("image", picture_bytes),
    },
    "tag": {
        **{
            name: (name, as_is)
            for name in ("name", "sort_name", "description", "ignore_auto_tag", "favorite")
        },
        "aliases": ("aliases", stripped),
        "parent_ids": ("parent_ids", ids),
        "image": ("image", picture_bytes),
    },
    "group": {
        **{
            name: (name, as_is)
            for name in ("name", "aliases", "duration", "rating100", "director", "synopsis")
        },
        "urls": ("urls", stripped),
        "date": ("date", date),
        "studio_id": ("studio_id", whole_id),
        "tag_ids": ("tag_ids", ids),
        "sub_groups": ("sub_group_links", described_groups),
        "front_image": ("front_image", picture_bytes),
        "back_image": ("back_image", picture_bytes),
    },
    "gallery": {**_MEDIA, "photographer": ("photographer", as_is)},
    "image": {**_MEDIA, "photographer": ("photographer", as_is)},
    "marker": {
        **{name: (name, as_is) for name in ("title", "seconds", "end_seconds")},
        "scene_id": ("scene_id", whole_id),
        "primary_tag_id": ("primary_tag_id", whole_id),
        "tag_ids": ("tag_ids", ids),
    },
    "chapter": {
        "title": ("title", as_is),
        "image_index": ("image_index", as_is),
        "gallery_id": ("gallery_id", whole_id),
    },
}


def values_of(kind: str, given: Mapping[str, Any], now: Any) -> dict[str, Any]:
    """The attributes that an input sets; null stays None. Raises CatalogError for what cannot be read."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in VALUES[kind]:
            name, read = VALUES[kind][key]
            found[name] = None if value is None else plain_float(read(value))
    if "url" in given and "urls" not in given and "urls" in VALUES[kind]:
        found["urls"] = stripped([given["url"]]) if given["url"] else []
    if "stash_ids" in given:
        found["stash_ids"] = [
            StashId(item["endpoint"], item["stash_id"], item.get("updated_at") or stamp(now))
            for item in given["stash_ids"] or ()
        ]
    return found


# --- changes to many at once --------------------------------------------------------------------------------


def mixed(mode: str, held: list[Any], given: list[Any]) -> list[Any]:
    """SET, ADD or REMOVE, order kept, nothing twice."""
    if mode == "SET":
        return list(dict.fromkeys(given))
    if mode == "ADD":
        return list(dict.fromkeys([*held, *given]))
    return [item for item in held if item not in given]


BULK_IDS = {  # key of a bulk input: attribute
    "performer_ids": "performer_ids",
    "tag_ids": "tag_ids",
    "gallery_ids": "gallery_ids",
    "parent_ids": "parent_ids",
}


def bulk_values(kind: str, row: Any, given: Mapping[str, Any], now: Any) -> dict[str, Any]:
    """What a bulk input sets on one row."""
    plain = {
        key: value for key, value in given.items() if not (isinstance(value, Mapping) and "mode" in value)
    }
    found = values_of(kind, {key: value for key, value in plain.items() if key != "ids"}, now)
    for key, change in given.items():
        if not (isinstance(change, Mapping) and "mode" in change):
            continue
        if key in BULK_IDS:
            found[BULK_IDS[key]] = mixed(
                change["mode"], getattr(row, BULK_IDS[key]), ids(change.get("ids") or ())
            )
        elif key in ("group_ids", "movie_ids"):
            links = dict(row.group_links)
            wanted = mixed(change["mode"], list(links), ids(change.get("ids") or ()))
            found["group_links"] = [(item, links.get(item)) for item in wanted]
        elif key in ("urls", "aliases", "alias_list"):
            found[key] = mixed(change["mode"], getattr(row, key), change.get("values") or [])
        elif key == "sub_groups":
            links_by_id = dict(row.sub_group_links)
            texts = dict(described_groups(change["groups"]))
            wanted = mixed(change["mode"], list(links_by_id), list(texts))
            found["sub_group_links"] = [(item, texts.get(item, links_by_id.get(item, ""))) for item in wanted]
    return found


# --- hook inputs --------------------------------------------------------------------------------------------

SCENE_UPDATE_KEYS = [
    "clientMutationId",
    "id",
    "title",
    "code",
    "details",
    "director",
    "url",
    "urls",
    "date",
    "rating100",
    "o_counter",
    "organized",
    "studio_id",
    "gallery_ids",
    "performer_ids",
    "movies",
    "groups",
    "tag_ids",
    "cover_image",
    "stash_ids",
    "resume_time",
    "play_duration",
    "play_count",
    "primary_file_id",
]
_ITEM_KEYS = {
    "groups": ("group_id", "scene_index"),
    "movies": ("movie_id", "scene_index"),
    "stash_ids": ("stash_id", "endpoint", "updated_at"),
}


def scene_update_struct(given: Mapping[str, Any]) -> dict[str, Any]:
    """SceneUpdateInput as Go prints it: every key, null where nothing was sent."""
    found: dict[str, Any] = {}
    for key in SCENE_UPDATE_KEYS:
        value = given.get(key)
        if key in _ITEM_KEYS and value is not None:
            value = [{name: item.get(name) for name in _ITEM_KEYS[key]} for item in value]
        found[key] = plain_float(value)
    return found


_CHANGED = dict.fromkeys(("urls", "aliases", "alias_list"), "values") | dict.fromkeys(
    ("containing_groups", "sub_groups"), "groups"
)


def omit_empty(given: Mapping[str, Any]) -> dict[str, Any]:
    """A generated input type as Go prints it: null and empty lists left out, relation changes whole."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        if value is None or value == []:
            continue
        if isinstance(value, Mapping) and "mode" in value:
            named = _CHANGED.get(key, "ids")
            value = {named: value.get(named), "mode": value["mode"]}
        found[key] = plain_float(value)
    return found


def destroy_struct(given: Mapping[str, Any], file: Any) -> dict[str, Any]:
    """The input of a Destroy hook: the request's own, and the primary file's traces."""
    named = "ids" if "ids" in given else "id"
    return {
        named: given[named],
        "delete_file": given.get("delete_file"),
        "delete_generated": given.get("delete_generated"),
        "checksum": (file.fingerprint("md5") if file else None) or "",
        "oshash": (file.fingerprint("oshash") if file else None) or "",
        "path": file.path if file else "",
    }
