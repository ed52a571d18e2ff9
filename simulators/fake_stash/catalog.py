"""What Stash holds: scenes, performers, studios, tags, groups, galleries, images, markers, files. No HTTP, no GraphQL.

The rules are those of Stash 0.30 (pkg/models, pkg/sqlite): text is trimmed on save and never null, times of rows are
text in whole seconds with the zone offset of the moment, times of plays are UTC. Deleting leaves no trace but a
missing id. Ids count from 1 for each kind.

Only what `touch` is called for gets a new `updated_at`; which action touches what is said at each method, since that
is what makes Stash hard to follow: plays, file moves, renames and merges of tags change a scene's data without it.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar


class CatalogError(Exception):
    """The change is refused; the text is what a GraphQL client reads."""


class NotFound(CatalogError):
    pass


def stamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds with the moment's own offset, `Z` for UTC, as Stash writes rows."""
    text = moment.replace(microsecond=0).isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def utc_stamp(moment: datetime) -> str:
    return stamp(moment.astimezone(UTC))


@dataclass(slots=True)
class Row:
    """The part all rows share."""

    kind: ClassVar[str] = ""

    id: int = 0
    created_at: str = ""
    updated_at: str = ""


@dataclass(slots=True)
class Folder(Row):
    kind: ClassVar[str] = "folder"

    path: str = ""
    parent_folder_id: int | None = None
    mod_time: str = ""


@dataclass(slots=True)
class File(Row):
    kind: ClassVar[str] = "file"

    media: str = "video"  # video, image, gallery (a zip) or basic
    path: str = ""
    parent_folder_id: int = 0
    size: int = 0
    mod_time: str = ""
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    duration: float = 0.0
    width: int = 1920
    height: int = 1080
    format: str = "mp4"
    video_codec: str = "h264"
    audio_codec: str = "aac"
    frame_rate: float = 30.0
    bit_rate: int = 4_000_000
    captions: tuple[tuple[str, str, str], ...] = ()  # language, srt or vtt, text
    funscript: str = ""  # what an interactive toy does meanwhile
    interactive_speed: int | None = None
    missing: bool = False  # gone from the disk, and Stash has not noticed

    @property
    def basename(self) -> str:
        return os.path.basename(self.path)

    def fingerprint(self, kind: str) -> str | None:
        return next((value for name, value in self.fingerprints if name == kind), None)


@dataclass(slots=True)
class StashId:
    endpoint: str
    stash_id: str
    updated_at: str


@dataclass(slots=True)
class Scene(Row):
    kind: ClassVar[str] = "scene"

    title: str = ""
    code: str = ""
    details: str = ""
    director: str = ""
    urls: list[str] = field(default_factory=list)
    date: str | None = None  # 2024, 2024-05 or 2024-05-17
    rating100: int | None = None
    organized: bool = False
    studio_id: int | None = None
    performer_ids: list[int] = field(default_factory=list)
    tag_ids: list[int] = field(default_factory=list)
    group_links: list[tuple[int, int | None]] = field(default_factory=list)  # group, scene_index
    gallery_ids: list[int] = field(default_factory=list)
    file_ids: list[int] = field(default_factory=list)  # primary first
    stash_ids: list[StashId] = field(default_factory=list)
    resume_time: float = 0.0  # seconds
    play_duration: float = 0.0  # seconds
    plays: list[str] = field(default_factory=list)  # newest first
    os: list[str] = field(default_factory=list)  # newest first
    cover: bytes | None = None


@dataclass(slots=True)
class Performer(Row):
    kind: ClassVar[str] = "performer"

    name: str = ""
    disambiguation: str = ""
    urls: list[str] = field(default_factory=list)
    gender: str | None = None
    birthdate: str | None = None
    death_date: str | None = None
    ethnicity: str = ""
    country: str = ""
    eye_color: str = ""
    hair_color: str = ""
    height_cm: int | None = None
    weight: int | None = None
    measurements: str = ""
    fake_tits: str = ""
    penis_length: float | None = None
    circumcised: str | None = None
    career_length: str = ""
    tattoos: str = ""
    piercings: str = ""
    alias_list: list[str] = field(default_factory=list)
    favorite: bool = False
    tag_ids: list[int] = field(default_factory=list)
    ignore_auto_tag: bool = False
    rating100: int | None = None
    details: str = ""
    stash_ids: list[StashId] = field(default_factory=list)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    image: bytes | None = None


@dataclass(slots=True)
class Studio(Row):
    kind: ClassVar[str] = "studio"

    name: str = ""
    urls: list[str] = field(default_factory=list)
    parent_id: int | None = None
    aliases: list[str] = field(default_factory=list)
    tag_ids: list[int] = field(default_factory=list)
    ignore_auto_tag: bool = False
    stash_ids: list[StashId] = field(default_factory=list)
    rating100: int | None = None
    favorite: bool = False
    details: str = ""
    image: bytes | None = None


@dataclass(slots=True)
class Tag(Row):
    kind: ClassVar[str] = "tag"

    name: str = ""
    sort_name: str = ""
    description: str = ""
    aliases: list[str] = field(default_factory=list)
    ignore_auto_tag: bool = False
    favorite: bool = False
    stash_ids: list[StashId] = field(default_factory=list)
    parent_ids: list[int] = field(default_factory=list)
    image: bytes | None = None

    @property
    def sort_key(self) -> str:
        return (self.sort_name or self.name).lower()


@dataclass(slots=True)
class Group(Row):
    kind: ClassVar[str] = "group"

    name: str = ""
    aliases: str = ""
    duration: int | None = None
    date: str | None = None
    rating100: int | None = None
    studio_id: int | None = None
    director: str = ""
    synopsis: str = ""
    urls: list[str] = field(default_factory=list)
    tag_ids: list[int] = field(default_factory=list)
    sub_group_links: list[tuple[int, str]] = field(default_factory=list)  # contained group, description
    front_image: bytes | None = None
    back_image: bytes | None = None


@dataclass(slots=True)
class Gallery(Row):
    kind: ClassVar[str] = "gallery"

    title: str = ""
    code: str = ""
    urls: list[str] = field(default_factory=list)
    date: str | None = None
    details: str = ""
    photographer: str = ""
    rating100: int | None = None
    organized: bool = False
    studio_id: int | None = None
    tag_ids: list[int] = field(default_factory=list)
    performer_ids: list[int] = field(default_factory=list)
    image_ids: list[int] = field(default_factory=list)
    cover_image_id: int | None = None
    file_ids: list[int] = field(default_factory=list)
    folder_id: int | None = None


@dataclass(slots=True)
class Image(Row):
    kind: ClassVar[str] = "image"

    title: str = ""
    code: str = ""
    urls: list[str] = field(default_factory=list)
    date: str | None = None
    details: str = ""
    photographer: str = ""
    rating100: int | None = None
    organized: bool = False
    o_counter: int = 0
    studio_id: int | None = None
    tag_ids: list[int] = field(default_factory=list)
    performer_ids: list[int] = field(default_factory=list)
    file_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Marker(Row):
    kind: ClassVar[str] = "marker"

    scene_id: int = 0
    title: str = ""
    seconds: float = 0.0
    end_seconds: float | None = None
    primary_tag_id: int = 0
    tag_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Chapter(Row):
    kind: ClassVar[str] = "chapter"

    gallery_id: int = 0
    title: str = ""
    image_index: int = 0


KINDS: dict[str, type[Row]] = {
    row.kind: row
    for row in (Scene, Performer, Studio, Tag, Group, Gallery, Image, Marker, Chapter, File, Folder)
}

# Which field of a kind refers to which kind: a list of ids, one id, or (id, note) pairs.
REFERENCES: dict[str, dict[str, str]] = {
    "scene": {
        "studio_id": "studio",
        "performer_ids": "performer",
        "tag_ids": "tag",
        "group_links": "group",
        "gallery_ids": "gallery",
        "file_ids": "file",
    },
    "performer": {"tag_ids": "tag"},
    "studio": {"tag_ids": "tag", "parent_id": "studio"},
    "tag": {"parent_ids": "tag"},
    "group": {"tag_ids": "tag", "studio_id": "studio", "sub_group_links": "group"},
    "gallery": {
        "studio_id": "studio",
        "performer_ids": "performer",
        "tag_ids": "tag",
        "image_ids": "image",
        "file_ids": "file",
        "cover_image_id": "image",
    },
    "image": {"studio_id": "studio", "performer_ids": "performer", "tag_ids": "tag", "file_ids": "file"},
    "marker": {"tag_ids": "tag", "primary_tag_id": "tag", "scene_id": "scene"},
    "chapter": {"gallery_id": "gallery"},
}


def picture(seed: str) -> bytes:
    """A small PNG of one colour that depends on `seed`: the picture a scan would have taken."""
    colour = hashlib.md5(seed.encode()).digest()[:3]
    width, height = 16, 9

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + colour * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def referred(value: Any) -> Iterator[int]:
    """The ids in a reference field's value, whichever of the three forms it has."""
    if value is None:
        return
    if isinstance(value, int):
        yield value
        return
    for item in value:
        yield item if isinstance(item, int) else item[0]


class Catalog:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now  # the server's clock, in the server's zone
        self.rows: dict[str, dict[int, Any]] = {kind: {} for kind in KINDS}
        self.revision = 0  # grows with every change; caches hang on it
        self._last_id = dict.fromkeys(KINDS, 0)
        self._caches: dict[Any, tuple[int, Any]] = {}
        self._folders: dict[str, int] = {}

    # What is there.

    @property
    def scenes(self) -> dict[int, Scene]:
        return self.rows["scene"]

    @property
    def tags(self) -> dict[int, Tag]:
        return self.rows["tag"]

    @property
    def files(self) -> dict[int, File]:
        return self.rows["file"]

    def get(self, kind: str, row_id: int) -> Any:
        """Raises NotFound with Stash's sentence."""
        row = self.rows[kind].get(row_id)
        if row is None:
            raise NotFound(f"{'scene marker' if kind == 'marker' else kind} with id {row_id} not found")
        return row

    def get_each(self, kind: str, row_ids: Iterable[int]) -> list[Any]:
        """Rows that are to go: one named twice is not found the second time. Raises NotFound."""
        found: dict[int, Any] = {}
        for row_id in row_ids:
            if row_id in found:
                raise NotFound(f"{kind} with id {row_id} not found")
            found[row_id] = self.get(kind, row_id)
        return list(found.values())

    def cached(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` returned, until the next change of anything."""
        known = self._caches.get(key)
        if known is None or known[0] != self.revision:
            known = (self.revision, make())
            self._caches[key] = known
        return known[1]

    def users(self, kind: str, name: str) -> dict[int, list[Any]]:
        """For each row referred to by field `name` of `kind`: the rows that refer to it, by ascending id."""

        def make() -> dict[int, list[Any]]:
            found: dict[int, list[Any]] = {}
            for row in self.rows[kind].values():
                for row_id in referred(getattr(row, name)):
                    found.setdefault(row_id, []).append(row)
            return found

        users: dict[int, list[Any]] = self.cached(("users", kind, name), make)
        return users

    def primary_file(self, row: Any) -> File | None:
        return self.files.get(row.file_ids[0]) if row.file_ids else None

    def scene_by_path(self, path: str) -> Scene | None:
        """The scene one of whose files has this path."""
        users = self.users("scene", "file_ids")
        for file in self.files.values():
            if file.path == path and file.id in users:
                scene: Scene = users[file.id][0]
                return scene
        return None

    def file_by_path(self, path: str) -> File | None:
        return next((file for file in self.files.values() if file.path == path), None)

    # Changing it.

    def touch(self, row: Row) -> None:
        row.updated_at = stamp(self.now())
        self.revision += 1

    def changed(self) -> None:
        """Something changed that has no `updated_at`, or keeps it."""
        self.revision += 1

    def add(self, kind: str, values: Mapping[str, Any]) -> Any:
        """A new row. Raises CatalogError for a reference to nothing or a name that is taken."""
        cleaned = self._clean(kind, values)
        self._check_references(kind, cleaned)
        if kind in ("performer", "studio", "tag", "group"):
            self._check_name(kind, cleaned, None)
        return self.insert(kind, cleaned)

    def insert(self, kind: str, values: Mapping[str, Any], moment: str | None = None) -> Any:
        """A new row of values known to be right: trimmed, and referring to what is there."""
        self._last_id[kind] += 1
        moment = moment or stamp(self.now())
        row = KINDS[kind](self._last_id[kind], moment, moment)
        for name, value in values.items():
            setattr(row, name, value)
        self.rows[kind][row.id] = row
        self.revision += 1
        return row

    def update(self, row: Any, values: Mapping[str, Any], touch: bool = True) -> None:
        """Set fields; None gives a field back its empty value. Checks everything before it sets anything."""
        cleaned = self._clean(row.kind, values)
        self._check_references(row.kind, cleaned)
        if row.kind in ("performer", "studio", "tag", "group") and cleaned.keys() & {
            "name",
            "aliases",
            "alias_list",
        }:
            self._check_name(row.kind, cleaned, row)
        if row.kind in ("studio", "tag"):
            self._check_no_loop(row, cleaned)
        for name, value in cleaned.items():
            setattr(row, name, value)
        if touch:
            self.touch(row)
        else:
            self.changed()

    def _clean(self, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
        empty = _EMPTY[kind]
        cleaned: dict[str, Any] = {}
        for name, value in values.items():
            if value is None:
                default = empty[name]
                cleaned[name] = default() if callable(default) else default
            elif isinstance(value, str):
                cleaned[name] = value.strip()
            elif name in ("performer_ids", "tag_ids", "gallery_ids", "image_ids", "parent_ids"):
                cleaned[name] = list(dict.fromkeys(value))
            else:
                cleaned[name] = value
        return cleaned

    def _check_references(self, kind: str, values: Mapping[str, Any]) -> None:
        for name, target in REFERENCES.get(kind, {}).items():
            if name in values:
                known = self.rows[target]
                for row_id in referred(values[name]):
                    if row_id not in known:
                        raise CatalogError("FOREIGN KEY constraint failed")

    def _check_name(self, kind: str, values: Mapping[str, Any], row: Any | None) -> None:
        name = values.get("name", row.name if row else "")
        if not name:
            raise CatalogError(
                f"{kind} name must not be blank" if kind == "performer" else "name must not be blank"
            )
        if kind == "group":
            return
        for other in self.rows[kind].values():
            if other is row:
                continue
            if other.name.lower() == name.lower():
                mine = values.get("disambiguation", getattr(row, "disambiguation", ""))
                if kind == "performer" and other.disambiguation != mine:
                    continue
                raise CatalogError(f"{kind} with name '{other.name}' already exists")
            if kind != "performer" and name.lower() in (alias.lower() for alias in other.aliases):
                raise CatalogError(f"name '{name}' is used as alias for '{other.name}'")
        if kind == "performer":
            aliases = values.get("alias_list", [])
            if len({alias.lower() for alias in aliases}) < len(aliases) or name.lower() in (
                a.lower() for a in aliases
            ):
                raise CatalogError("performer alias already exists")

    def _check_no_loop(self, row: Any, values: Mapping[str, Any]) -> None:
        name = "parent_id" if row.kind == "studio" else "parent_ids"
        if name not in values:
            return
        above = set(referred(values[name]))
        seen: set[int] = set()
        while above:
            row_id = above.pop()
            if row_id == row.id:
                raise CatalogError(f"cannot apply {row.kind} as its own ancestor")
            if row_id not in seen:
                seen.add(row_id)
                above.update(referred(getattr(self.rows[row.kind][row_id], name)))

    def remove(self, row: Any) -> None:
        """Delete a row and every reference to it; rows that merely lose a reference are not touched."""
        del self.rows[row.kind][row.id]
        for kind, references in REFERENCES.items():
            for name, target in references.items():
                if target == row.kind:
                    self._forget(kind, name, row.id)
        if row.kind == "folder":
            self._folders.pop(row.path, None)
        self.revision += 1

    def _forget(self, kind: str, name: str, row_id: int) -> None:
        for user in self.users(kind, name).get(row_id, []):
            if user.id not in self.rows[kind]:
                continue
            value = getattr(user, name)
            if isinstance(value, int):
                if name in ("scene_id", "primary_tag_id", "gallery_id"):
                    self.remove(user)
                else:
                    setattr(user, name, None)
            else:
                setattr(user, name, [item for item in value if next(referred([item])) != row_id])

    # Files.

    def folder(self, path: str) -> Folder:
        """The folder of that path, made with its parents when it is new."""
        if path in self._folders:
            known: Folder = self.rows["folder"][self._folders[path]]
            return known
        parent = os.path.dirname(path.rstrip("/")) if path not in ("/", "") else None
        parent_id = self.folder(parent).id if parent and parent != path else None
        moment = stamp(self.now())
        row: Folder = self.insert(
            "folder", {"path": path, "parent_folder_id": parent_id, "mod_time": moment}, moment
        )
        self._folders[path] = row.id
        return row

    def add_file(self, path: str, values: Mapping[str, Any] | None = None, moment: str | None = None) -> File:
        """A file Stash has just seen. Fingerprints and size are made from the path unless given."""
        given = dict(values or {})
        digest = hashlib.md5(given.pop("content", path).encode()).hexdigest()
        moment = moment or stamp(self.now())
        row = {
            "path": path,
            "parent_folder_id": self.folder(os.path.dirname(path)).id,
            "mod_time": moment,
            "size": 100_000_000 + int(digest[:8], 16),
            "duration": 600 + int(digest[8:12], 16) / 16,
            "fingerprints": [("oshash", digest[:16]), ("md5", digest)],
        }
        file: File = self.insert("file", row | given, moment)
        return file

    def move_file(self, file: File, path: str) -> None:
        """A new place on the disk. Neither scene nor `updated_at` of the scene notice."""
        file.path = path
        file.parent_folder_id = self.folder(os.path.dirname(path)).id
        self.touch(file)

    # Scenes.

    def add_play(self, scene: Scene, times: Iterable[str]) -> None:
        """Plays change a scene without touching it."""
        scene.plays = sorted([*times, *scene.plays], reverse=True)
        self.changed()

    def add_o(self, scene: Scene, times: Iterable[str]) -> None:
        scene.os = sorted([*times, *scene.os], reverse=True)
        self.changed()

    def merge_scenes(self, sources: list[Scene], target: Scene, plays: bool, os_: bool) -> None:
        """Files, markers and, when asked, histories move to the target, which alone is touched; the sources go."""
        for source in sources:
            target.file_ids = list(dict.fromkeys([*target.file_ids, *source.file_ids]))
            source.file_ids = []
            for marker in self.users("marker", "scene_id").get(source.id, []):
                marker.scene_id = target.id
            if plays:
                target.plays = sorted([*target.plays, *source.plays], reverse=True)
            if os_:
                target.os = sorted([*target.os, *source.os], reverse=True)
            self.revision += 1
            self.remove(source)
        self.touch(target)

    def merge_named(self, sources: list[Any], target: Any) -> None:
        """Tags, performers: whoever refers to a source refers to the target; none of them is touched."""
        gone = {source.id for source in sources}
        for kind, references in REFERENCES.items():
            for name, kind_referred in references.items():
                if kind_referred != target.kind:
                    continue
                for row in self.rows[kind].values():
                    value = getattr(row, name)
                    if isinstance(value, int):
                        if value in gone:
                            setattr(row, name, target.id)
                    elif value and gone.intersection(referred(value)):
                        kept = [target.id if item in gone else item for item in referred(value)]
                        if row is target:
                            kept = [item for item in kept if item != target.id]
                        setattr(row, name, list(dict.fromkeys(kept)))
        names = target.alias_list if target.kind == "performer" else target.aliases
        for source in sources:
            for name in (source.name, *(source.alias_list if target.kind == "performer" else source.aliases)):
                if name not in names and name != target.name:
                    names.append(name)
            self.revision += 1
            self.remove(source)
        self.touch(target)


def _empty_values(row: type[Row]) -> dict[str, Any]:
    """For each field the value that null stands for; a factory where each row needs its own."""
    found: dict[str, Any] = {}
    for item in fields(row):
        found[item.name] = item.default_factory if callable(item.default_factory) else item.default
    return found


_EMPTY = {kind: _empty_values(row) for kind, row in KINDS.items()}
