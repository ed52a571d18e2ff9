"""What filters and sorts look at: for each kind of row, a table from the key a client uses to the value on the row."""

from collections.abc import Callable, Iterable
from typing import Any

from .catalog import Catalog, referred
from .criteria import (
    Criterion,
    Get,
    Predicate,
    circumcision,
    custom_fields,
    flag,
    gender,
    hashes,
    members,
    natural_key,
    number,
    orientation,
    partial_date,
    phash_distance,
    resolution,
    stash_id,
    text,
    true_text,
    whole_number,
)


def basename(catalog: Catalog, row: Any) -> str:
    """The name of a row's primary file, "" without one."""
    file = catalog.primary_file(row)
    return file.basename if file else ""


Entry = tuple[Callable[..., Predicate], Callable[[Catalog], Get]]


def field(handler: Callable[..., Predicate], name: str) -> Entry:
    return handler, lambda catalog: lambda row: getattr(row, name)


def count(name: str) -> Entry:
    return number, lambda catalog: lambda row: len(list(referred(getattr(row, name))))


def counted(kind: str, name: str) -> Entry:
    """How many rows of another kind refer to this one."""
    return number, lambda catalog: lambda row: len(catalog.users(kind, name).get(row.id, ()))


def users(kind: str, name: str) -> Entry:
    """The ids of the rows of another kind that refer to this one."""
    return (
        members,
        lambda catalog: lambda row: [user.id for user in catalog.users(kind, name).get(row.id, ())],
    )


def file_field(handler: Callable[..., Predicate], read: Callable[[Any], Any]) -> Entry:
    def getter(catalog: Catalog) -> Get:
        return lambda row: read(file) if (file := catalog.primary_file(row)) else None

    return handler, getter


def all_files(handler: Callable[..., Predicate], read: Callable[[Any], Any]) -> Entry:
    def getter(catalog: Catalog) -> Get:
        files = catalog.files
        return lambda row: [read(files[file_id]) for file_id in row.file_ids]

    return handler, getter


def fingerprint(kind: str) -> Entry:
    return all_files(text, lambda file: file.fingerprint(kind))


def through_scenes(name: str, mine: str) -> Entry:
    """The ids in a field of the scenes that have this row in their field `mine`."""

    def getter(catalog: Catalog) -> Get:
        return lambda row: [
            item
            for scene in catalog.users("scene", mine).get(row.id, ())
            for item in referred(getattr(scene, name))
            if name != mine or item != row.id
        ]

    return members, getter


def summed(read: Callable[[Any], int], mine: str) -> Entry:
    """A number of the scenes that have this row, added up."""
    return (
        number,
        lambda catalog: (
            lambda row: sum(read(scene) for scene in catalog.users("scene", mine).get(row.id, ()))
        ),
    )


def years(begin: str | None, end: str) -> int | None:
    """Whole years between two dates; a missing month or day counts as the first."""
    if not begin:
        return None
    return int(end[:4]) - int(begin[:4]) - ((end + "-01-01")[5:10] < (begin + "-01-01")[5:10])


def performer_age(catalog: Catalog) -> Get:
    today = catalog.now().date().isoformat()
    return lambda row: years(row.birthdate, row.death_date or today)


def any_age(criterion: Criterion, get: Get) -> Predicate:
    """For rows with several performers: one of that age will do."""
    check = number(criterion, lambda age: age)
    return lambda row: any(check(age) for age in get(row))


def ages_on_the_day(catalog: Catalog) -> Get:
    performers = catalog.rows["performer"]
    return lambda row: [years(performers[item].birthdate, row.date) for item in row.performer_ids if row.date]


def constant(handler: Callable[..., Predicate], value: Any) -> Entry:
    """Something this catalog never has: captions, interactive speeds."""
    return handler, lambda catalog: lambda row: value


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
    "performer_age": (any_age, ages_on_the_day),
    "resolution": file_field(resolution, lambda file: file),
    "orientation": file_field(orientation, lambda file: file),
}
FILTERS: dict[str, dict[str, Entry]] = {
    "scene": {
        **MEDIA,
        "director": field(text, "director"),
        "oshash": fingerprint("oshash"),
        "phash": fingerprint("phash"),
        "phash_distance": all_files(phash_distance, lambda file: file.fingerprint("phash")),
        "o_counter": (number, lambda catalog: lambda row: len(row.os)),
        "play_count": (number, lambda catalog: lambda row: len(row.plays)),
        "play_duration": field(whole_number, "play_duration"),
        "resume_time": field(whole_number, "resume_time"),
        "framerate": file_field(whole_number, lambda file: file.frame_rate),
        "bitrate": file_field(number, lambda file: file.bit_rate),
        "video_codec": file_field(text, lambda file: file.video_codec),
        "audio_codec": file_field(text, lambda file: file.audio_codec),
        "duration": file_field(whole_number, lambda file: file.duration),
        "has_markers": (
            true_text,
            lambda catalog: lambda row: catalog.users("marker", "scene_id").get(row.id),
        ),
        "galleries": field(members, "gallery_ids"),
        "movies": field(members, "group_links"),
        "stash_id_endpoint": field(stash_id, "stash_ids"),
        "interactive": (
            flag,
            lambda catalog: lambda row: bool((file := catalog.primary_file(row)) and file.funscript),
        ),
        "interactive_speed": file_field(number, lambda file: file.interactive_speed),
        "captions": file_field(text, lambda file: [code for code, _, _ in file.captions]),
    },
    "performer": {
        "name": field(text, "name"),
        "disambiguation": field(text, "disambiguation"),
        "details": field(text, "details"),
        "age": (number, performer_age),
        "play_count": summed(lambda scene: len(scene.plays), "performer_ids"),
        "o_counter": summed(lambda scene: len(scene.os), "performer_ids"),
        "studios": through_scenes("studio_id", "performer_ids"),
        "groups": through_scenes("group_links", "performer_ids"),
        "performers": through_scenes("performer_ids", "performer_ids"),
        "custom_fields": field(custom_fields, "custom_fields"),
        "filter_favorites": field(flag, "favorite"),
        "birth_year": (number, lambda catalog: lambda row: int(row.birthdate[:4]) if row.birthdate else None),
        "death_year": (
            number,
            lambda catalog: lambda row: int(row.death_date[:4]) if row.death_date else None,
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
        "children": users("tag", "parent_ids"),
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
        "o_counter": summed(lambda scene: len(scene.os), "group_links"),
        "containing_groups": users("group", "sub_group_links"),
        "sub_group_count": count("sub_group_links"),
        "containing_group_count": counted("group", "sub_group_links"),
        "performers": (
            members,
            lambda catalog: (
                lambda row: [
                    performer_id
                    for scene in catalog.users("scene", "group_links").get(row.id, ())
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
        "average_resolution": (
            resolution,
            lambda catalog: (
                lambda row: (
                    catalog.primary_file(catalog.rows["image"][row.image_ids[0]]) if row.image_ids else None
                )
            ),
        ),
        "is_zip": (flag, lambda catalog: lambda row: bool(row.file_ids)),
        "has_chapters": (
            true_text,
            lambda catalog: lambda row: catalog.users("chapter", "gallery_id").get(row.id),
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
            lambda catalog: lambda row: None if row.end_seconds is None else row.end_seconds - row.seconds,
        ),
        "scene_tags": (members, lambda catalog: lambda row: catalog.scenes[row.scene_id].tag_ids),
        "performers": (members, lambda catalog: lambda row: catalog.scenes[row.scene_id].performer_ids),
        "scene_date": (partial_date, lambda catalog: lambda row: catalog.scenes[row.scene_id].date),
    },
    "file": {
        "path": field(text, "path"),
        "basename": field(text, "basename"),
        "dir": (text, lambda catalog: lambda row: catalog.rows["folder"][row.parent_folder_id].path),
        "zip_file": constant(members, None),
        "hashes": field(hashes, "fingerprints"),
        "scene_count": counted("scene", "file_ids"),
        "image_count": counted("image", "file_ids"),
        "gallery_count": counted("gallery", "file_ids"),
    },
    "folder": {
        "path": field(text, "path"),
        "zip_file": constant(members, None),
        "gallery_count": counted("gallery", "folder_id"),
    },
}
FILTERS["marker"]["tags"] = (members, lambda catalog: lambda row: [row.primary_tag_id, *row.tag_ids])

# What `video_file_filter` and `image_file_filter` look at, which are filters of their own on the file itself.
MEDIA_FILE: dict[str, Entry] = {
    "resolution": (resolution, lambda catalog: lambda file: file),
    "orientation": (orientation, lambda catalog: lambda file: file),
    "framerate": field(whole_number, "frame_rate"),
    "bitrate": field(number, "bit_rate"),
    "format": field(text, "format"),
    "video_codec": field(text, "video_codec"),
    "audio_codec": field(text, "audio_codec"),
    "duration": field(whole_number, "duration"),
    "captions": (text, lambda catalog: lambda file: [code for code, _, _ in file.captions]),
    "interactive": (flag, lambda catalog: lambda file: bool(file.funscript)),
    "interactive_speed": field(number, "interactive_speed"),
}

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


def _through(kind: str, name: str) -> tuple[str, Callable[[Catalog, Any], Iterable[Any]]]:
    return kind, lambda catalog, row: (catalog.rows[kind][item] for item in referred(getattr(row, name)))


def _from(kind: str, name: str) -> tuple[str, Callable[[Catalog, Any], Iterable[Any]]]:
    return kind, lambda catalog, row: catalog.users(kind, name).get(row.id, ())


_MEDIA_RELATED = {
    "performers_filter": _through("performer", "performer_ids"),
    "studios_filter": _through("studio", "studio_id"),
    "tags_filter": _through("tag", "tag_ids"),
    "files_filter": _through("file", "file_ids"),
}
# Filters on related rows: the relation's kind, and how to get at it.
RELATED: dict[str, dict[str, tuple[str, Callable[[Catalog, Any], Iterable[Any]]]]] = {
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
SORTS: dict[str, dict[str, Callable[[Catalog], Get]]] = {
    "scene": {
        "path": lambda catalog: lambda row: file.path.lower() if (file := catalog.primary_file(row)) else "",
        "title": lambda catalog: lambda row: natural_key(row.title or basename(catalog, row)),
        "last_played_at": lambda catalog: lambda row: row.plays[0] if row.plays else "",
        "last_o_at": lambda catalog: lambda row: row.os[0] if row.os else "",
        "play_count": lambda catalog: lambda row: len(row.plays),
        "o_counter": lambda catalog: lambda row: len(row.os),
        "rating": lambda catalog: lambda row: row.rating100,
        "tag_count": lambda catalog: lambda row: len(row.tag_ids),
        "performer_count": lambda catalog: lambda row: len(row.performer_ids),
        "file_count": lambda catalog: lambda row: len(row.file_ids),
        "filesize": lambda catalog: lambda row: file.size if (file := catalog.primary_file(row)) else None,
        "duration": lambda catalog: (
            lambda row: file.duration if (file := catalog.primary_file(row)) else None
        ),
        "framerate": lambda catalog: (
            lambda row: file.frame_rate if (file := catalog.primary_file(row)) else None
        ),
        "bitrate": lambda catalog: lambda row: file.bit_rate if (file := catalog.primary_file(row)) else None,
        "file_mod_time": lambda catalog: (
            lambda row: file.mod_time if (file := catalog.primary_file(row)) else None
        ),
    },
    "performer": {
        "scenes_count": lambda catalog: (
            lambda row: len(catalog.users("scene", "performer_ids").get(row.id, ()))
        ),
        "rating": lambda catalog: lambda row: row.rating100,
    },
    "studio": {
        "scenes_count": lambda catalog: lambda row: len(catalog.users("scene", "studio_id").get(row.id, ())),
        "rating": lambda catalog: lambda row: row.rating100,
    },
    "tag": {
        "name": lambda catalog: lambda row: row.sort_key,
        "scenes_count": lambda catalog: lambda row: len(catalog.users("scene", "tag_ids").get(row.id, ())),
    },
    "group": {
        "scenes_count": lambda catalog: (
            lambda row: len(catalog.users("scene", "group_links").get(row.id, ()))
        ),
        "rating": lambda catalog: lambda row: row.rating100,
    },
    "gallery": {
        "path": lambda catalog: lambda row: basename(catalog, row),
        "rating": lambda catalog: lambda row: row.rating100,
    },
    "image": {
        "path": lambda catalog: lambda row: basename(catalog, row),
        "rating": lambda catalog: lambda row: row.rating100,
    },
    "marker": {
        "scene_id": lambda catalog: lambda row: row.scene_id,
        "title": lambda catalog: lambda row: row.title.lower(),
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
