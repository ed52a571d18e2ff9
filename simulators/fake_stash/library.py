"""A library file into a catalog, and a catalog into the state the control API shows.

The file is JSON: `studios`, `performers`, `tags`, `groups` (lists of objects with a `name`) and `scenes`, whose
relations are names, made when they are absent. Every key but a scene's `path` may be left out; an unknown key is an
error that names it.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .catalog import Catalog, Scene, StashId, picture, stamp

NAMED = {
    "studios": ("studio", ("name", "urls", "details", "aliases", "rating100", "favorite", "parent")),
    "performers": (
        "performer",
        (
            "name",
            "disambiguation",
            "urls",
            "gender",
            "birthdate",
            "details",
            "alias_list",
            "rating100",
            "favorite",
            "tags",
        ),
    ),
    "tags": ("tag", ("name", "sort_name", "description", "aliases", "parents")),
    "groups": ("group", ("name", "aliases", "date", "director", "synopsis", "urls", "rating100")),
}
COPIED = ("title", "details", "date", "rating100", "code", "organized", "director")
FILE_COPIED = (
    "duration",
    "size",
    "width",
    "height",
    "frame_rate",
    "bit_rate",
    "format",
    "audio_codec",
    "video_codec",
    "funscript",
    "interactive_speed",
)
SCENE_KEYS = frozenset(
    (*COPIED, *FILE_COPIED, "path", "paths", "urls", "url", "studio", "performers", "tags")
) | {
    "groups",
    "cover",
    "mtime",
    "created_at",
    "updated_at",
    "oshash",
    "phash",
    "stash_ids",
    "captions",
    "funscript",
    "interactive_speed",
}


class BadLibrary(Exception):
    """The library file is wrong; the text names what."""


def read_library(path: str) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadLibrary(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise BadLibrary(f"{path}: must be an object with `scenes`")
    return data


def decode_image(text: str) -> bytes:
    """A data URL or bare base64. Raises ValueError for anything else."""
    data = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError("image is neither a data URL nor base64") from error


class Loader:
    """Fills a catalog. Names are looked up here, since the catalog's own look-up forgets with every change."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._moment: str | None = None  # one moment for all rows of a library; None: each its own
        self._names: dict[str, dict[str, int]] = {
            kind: {} for kind in ("studio", "performer", "tag", "group")
        }
        for kind, names in self._names.items():
            for row in catalog.rows[kind].values():
                names.setdefault(row.name.lower(), row.id)

    def named(self, kind: str, name: str) -> int:
        """The id of the row of that name, made when it is absent."""
        names = self._names[kind]
        if (known := names.get(name)) is not None:
            return known
        trimmed = name.strip()
        if trimmed.lower() not in names:
            names[trimmed.lower()] = self.catalog.insert(kind, {"name": trimmed}, self._moment).id
        names[name] = names[trimmed.lower()]
        return names[name]

    def _all_named(self, kind: str, names: Iterable[str] | None) -> list[int]:
        return list(dict.fromkeys([self.named(kind, name) for name in names or ()]))

    def load(self, data: Mapping[str, Any]) -> None:
        self._moment = stamp(self.catalog.now())
        for key in data:
            if key not in NAMED and key != "scenes":
                raise BadLibrary(f"library: unknown key {key!r}")
        for key, (kind, known) in NAMED.items():
            for row in data.get(key, ()):
                self._named_row(kind, known, row)
        for scene in data.get("scenes", ()):
            self.scene(scene)

    def _named_row(self, kind: str, known: tuple[str, ...], given: Mapping[str, Any]) -> None:
        _check(kind, known, given, "name")
        values = {
            key: value for key, value in given.items() if key not in ("name", "parent", "parents", "tags")
        }
        if given.get("parent"):
            values["parent_id"] = self.named(kind, given["parent"])
        if given.get("parents"):
            values["parent_ids"] = [self.named(kind, name) for name in given["parents"]]
        if given.get("tags"):
            values["tag_ids"] = self._all_named("tag", given["tags"])
        row = self.catalog.rows[kind][self.named(kind, given["name"])]
        if values:
            self.catalog.update(row, values)

    def scene(self, given: Mapping[str, Any]) -> Scene:
        """One scene of a library file, with its files."""
        _check("scene", SCENE_KEYS, given)
        values = {key: _trimmed(given[key]) for key in COPIED if given.get(key) is not None}
        values["urls"] = [*([given["url"]] if given.get("url") else ()), *(given.get("urls") or ())]
        if given.get("stash_ids"):
            moment = self._moment or stamp(self.catalog.now())
            values["stash_ids"] = [StashId(i["endpoint"], i["stash_id"], moment) for i in given["stash_ids"]]
        if given.get("studio"):
            values["studio_id"] = self.named("studio", given["studio"])
        values["performer_ids"] = self._all_named("performer", given.get("performers"))
        values["tag_ids"] = self._all_named("tag", given.get("tags"))
        values["group_links"] = [(item, None) for item in self._all_named("group", given.get("groups"))]
        paths = [given["path"]] if given.get("path") else []
        values["file_ids"] = [self.file(path, given).id for path in [*paths, *given.get("paths", ())]]
        if cover := given.get("cover"):
            values["cover"] = picture(str(paths)) if cover is True else _cover(cover)
        scene: Scene = self.catalog.insert("scene", values, self._moment)
        scene.created_at = given.get("created_at", scene.created_at)
        scene.updated_at = given.get("updated_at", scene.updated_at)
        return scene

    def file(self, path: str, given: Mapping[str, Any]) -> Any:
        values = {key: given[key] for key in FILE_COPIED if given.get(key) is not None}
        if given.get("captions"):
            values["captions"] = tuple(_caption(row) for row in given["captions"])
        if given.get("mtime") is not None:
            values["mod_time"] = stamp(datetime.fromtimestamp(given["mtime"], UTC))
        file = self.catalog.add_file(path, values, self._moment)
        for kind in ("oshash", "phash"):
            if given.get(kind):
                file.fingerprints = [
                    *((k, v) for k, v in file.fingerprints if k != kind),
                    (kind, given[kind]),
                ]
        return file


def _trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _cover(text: Any) -> bytes:
    if not isinstance(text, str):
        raise BadLibrary("scene: cover must be true, a data URL, base64 or the path of a picture")
    if os.path.isfile(text):
        return Path(text).read_bytes()
    try:
        return decode_image(text)
    except ValueError as error:
        raise BadLibrary(f"scene: cover: {error}") from error


def _caption(row: Any) -> tuple[str, str, str]:
    _check("caption", ("language", "type", "text"), row, "language")
    return row["language"], row.get("type", "srt"), row.get("text", "1\n00:00:01,000 --> 00:00:02,000\n...\n")


def _check(what: str, known: Any, given: Mapping[str, Any], needed: str | None = None) -> None:
    if not isinstance(given, Mapping):
        raise BadLibrary(f"{what}: must be an object, not {given!r}")
    for key in given.keys() - known:
        raise BadLibrary(f"{what}: unknown key {key!r} (known: {', '.join(sorted(known))})")
    if needed and not given.get(needed):
        raise BadLibrary(f"{what}: {needed!r} is missing")


def scene_state(catalog: Catalog, scene: Scene) -> dict[str, Any]:
    """A scene as `GET /state` shows it: names, not ids."""

    def names(kind: str, ids: Any) -> list[str]:
        return [catalog.rows[kind][item].name for item in ids]

    paths = [catalog.files[item].path for item in scene.file_ids]
    return {
        "id": scene.id,
        "title": scene.title,
        "path": paths[0] if paths else None,
        "paths": paths,
        "details": scene.details,
        "date": scene.date,
        "rating100": scene.rating100,
        "code": scene.code,
        "director": scene.director,
        "organized": scene.organized,
        "urls": scene.urls,
        "studio": catalog.rows["studio"][scene.studio_id].name if scene.studio_id else None,
        "performers": names("performer", scene.performer_ids),
        "tags": names("tag", scene.tag_ids),
        "groups": names("group", (item for item, _ in scene.group_links)),
        "cover": scene.cover is not None,
        "plays": len(scene.plays),
        "o_counter": len(scene.os),
        "markers": len(catalog.users("marker", "scene_id").get(scene.id, ())),
        "created_at": scene.created_at,
        "updated_at": scene.updated_at,
    }
