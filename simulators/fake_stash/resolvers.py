"""Fields of the schema's object types, where they are not simply the row's attribute of that name.

Each takes the call (who asks, and of which server), the object, and the field's arguments.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from .catalog import Catalog, File, Row, Tag, referred
from .finding import Finder, Page
from .logs import LogEntry
from .pluginfile import Plugin
from .streams import endpoints

Field = Callable[..., Any]

FILE_TYPES = {"video": "VideoFile", "image": "ImageFile", "gallery": "GalleryFile", "basic": "BasicFile"}


def type_of(obj: Any) -> str:
    """The object type where the schema leaves it open: files, and what a scraper found at a URL."""
    return str(obj["__typename"]) if isinstance(obj, dict) else FILE_TYPES[obj.media]


def _catalog(call: Any) -> Catalog:
    found: Catalog = call.catalog
    return found


def one(kind: str, name: str) -> Field:
    """The row a single id refers to, or null."""
    return lambda call, row: _catalog(call).rows[kind].get(getattr(row, name))


def many(kind: str, name: str) -> Field:
    def resolve(call: Any, row: Any) -> list[Any]:
        rows = _catalog(call).rows[kind]
        return [rows[item] for item in referred(getattr(row, name))]

    return resolve


def using(kind: str, name: str) -> Field:
    """The rows of another kind that refer to this one."""
    return lambda call, row: _catalog(call).users(kind, name).get(row.id, [])


def counted(kind: str, name: str, tree: str | None = None) -> Field:
    """How many rows refer to this one; with a `depth`, to it or a descendant."""

    def resolve(call: Any, row: Any, depth: int | None = None) -> int:
        users = _catalog(call).users(kind, name)
        if not depth or tree is None:
            return len(users.get(row.id, ()))
        finder: Finder = call.finder
        return len(
            {user.id for item in finder.descendants(tree, row.id, depth) for user in users.get(item, ())}
        )

    return resolve


def nothing(value: Any = None) -> Field:
    """A field this stand-in always answers the same."""
    return lambda call, obj, **arguments: value


def attribute(name: str) -> Field:
    return lambda call, obj, **arguments: getattr(obj, name)


def first_url(call: Any, row: Any) -> str | None:
    return row.urls[0] if row.urls else None


def sorted_tags(call: Any, row: Any) -> list[Tag]:
    tags = _catalog(call).tags
    if len(row.tag_ids) < 2:
        return [tags[item] for item in row.tag_ids]
    return sorted((tags[item] for item in row.tag_ids), key=lambda tag: tag.sort_key)


# --- scenes -------------------------------------------------------------------------------------------------


def unix_seconds(stamp_text: str) -> int:
    return int(datetime.fromisoformat(stamp_text.replace("Z", "+00:00")).timestamp())


def scene_paths(call: Any, scene: Any) -> dict[str, str]:
    base = f"{call.base_url}/scene/{scene.id}"
    file = _catalog(call).primary_file(scene)
    digest = (file.fingerprint("oshash") if file else None) or ""
    key = f"?apikey={quote(call.api_key)}" if call.api_key else ""
    return {
        "screenshot": f"{base}/screenshot?t={unix_seconds(scene.updated_at)}",
        "preview": f"{base}/preview",
        "stream": f"{base}/stream{key}",
        "webp": f"{base}/webp",
        "vtt": f"{call.base_url}/scene/{digest}_thumbs.vtt",
        "sprite": f"{call.base_url}/scene/{digest}_sprite.jpg",
        "funscript": f"{base}/funscript",
        "interactive_heatmap": f"{base}/interactive_heatmap",
        "caption": f"{base}/caption",
    }


def scene_streams(call: Any, scene: Any) -> list[dict[str, str]]:
    limit = call.instance.settings.get("general", {}).get("maxStreamingTranscodeSize") or "ORIGINAL"
    url = f"{call.base_url}/scene/{scene.id}/stream"
    return endpoints(url, call.api_key, _catalog(call).primary_file(scene), limit)


def scene_captions(call: Any, scene: Any) -> list[dict[str, str]] | None:
    file = _catalog(call).primary_file(scene)
    found = [{"language_code": code, "caption_type": kind} for code, kind, _ in file.captions] if file else []
    return found or None


def primary(name: str, without: Any) -> Field:
    """An attribute of the scene's primary file."""

    def resolve(call: Any, scene: Any) -> Any:
        file = _catalog(call).primary_file(scene)
        return getattr(file, name) if file else without

    return resolve


def scene_markers(call: Any, scene: Any) -> list[Any]:
    found = _catalog(call).users("marker", "scene_id").get(scene.id, ())
    return sorted(found, key=lambda marker: marker.seconds)


def scene_groups(key: str) -> Field:
    def resolve(call: Any, scene: Any) -> list[dict[str, Any]]:
        groups = _catalog(call).rows["group"]
        return [{key: groups[item], "scene_index": index} for item, index in scene.group_links]

    return resolve


SCENE: dict[str, Field] = {
    "url": first_url,
    "o_counter": lambda call, scene: len(scene.os),
    "play_count": lambda call, scene: len(scene.plays),
    "last_played_at": lambda call, scene: scene.plays[0] if scene.plays else None,
    "play_history": attribute("plays"),
    "o_history": attribute("os"),
    "interactive": lambda call, scene: bool(primary("funscript", "")(call, scene)),
    "interactive_speed": primary("interactive_speed", None),
    "captions": scene_captions,
    "files": many("file", "file_ids"),
    "paths": scene_paths,
    "scene_markers": scene_markers,
    "galleries": many("gallery", "gallery_ids"),
    "studio": one("studio", "studio_id"),
    "groups": scene_groups("group"),
    "movies": scene_groups("movie"),
    "tags": sorted_tags,
    "performers": many("performer", "performer_ids"),
    "sceneStreams": scene_streams,
}


# --- the named kinds ----------------------------------------------------------------------------------------


def image_path(kind: str, name: str, part: str = "image") -> Field:
    def resolve(call: Any, row: Any) -> str | None:
        if kind == "group" and getattr(row, name) is None and part == "backimage":
            return None
        url = f"{call.base_url}/{kind}/{row.id}/{part}?t={unix_seconds(row.updated_at)}"
        return url if getattr(row, name) is not None else url + "&default=true"

    return resolve


def social(host: str) -> Field:
    return lambda call, row: next((url for url in row.urls if host in url), None)


def o_sum(name: str) -> Field:
    def resolve(call: Any, row: Any) -> int:
        return sum(len(scene.os) for scene in _catalog(call).users("scene", name).get(row.id, ()))

    return resolve


def groups_through_scenes(name: str) -> Field:
    def resolve(call: Any, row: Any) -> list[Any]:
        scenes = _catalog(call).users("scene", name).get(row.id, ())
        ids = dict.fromkeys(item for scene in scenes for item in referred(scene.group_links))
        return [_catalog(call).rows["group"][item] for item in ids]

    return resolve


def companions(call: Any, performer: Any) -> int:
    """Performers seen in a scene with this one."""
    scenes = _catalog(call).users("scene", "performer_ids").get(performer.id, ())
    return len({item for scene in scenes for item in scene.performer_ids} - {performer.id})


def performers_through_scenes(name: str) -> Field:
    def resolve(call: Any, row: Any, depth: int | None = None) -> int:
        scenes = _catalog(call).users("scene", name).get(row.id, ())
        return len({item for scene in scenes for item in scene.performer_ids})

    return resolve


PERFORMER: dict[str, Field] = {
    "url": first_url,
    "twitter": social("twitter.com"),
    "instagram": social("instagram.com"),
    "tags": sorted_tags,
    "image_path": image_path("performer", "image"),
    "scene_count": counted("scene", "performer_ids"),
    "image_count": counted("image", "performer_ids"),
    "gallery_count": counted("gallery", "performer_ids"),
    "group_count": lambda call, row: len(groups_through_scenes("performer_ids")(call, row)),
    "movie_count": lambda call, row: len(groups_through_scenes("performer_ids")(call, row)),
    "performer_count": companions,
    "o_counter": o_sum("performer_ids"),
    "scenes": using("scene", "performer_ids"),
    "groups": groups_through_scenes("performer_ids"),
    "movies": groups_through_scenes("performer_ids"),
}
STUDIO: dict[str, Field] = {
    "url": first_url,
    "parent_studio": one("studio", "parent_id"),
    "child_studios": using("studio", "parent_id"),
    "tags": sorted_tags,
    "image_path": image_path("studio", "image"),
    "scene_count": counted("scene", "studio_id", "studio"),
    "image_count": counted("image", "studio_id", "studio"),
    "gallery_count": counted("gallery", "studio_id", "studio"),
    "performer_count": performers_through_scenes("studio_id"),
    "group_count": counted("group", "studio_id", "studio"),
    "movie_count": counted("group", "studio_id", "studio"),
    "groups": using("group", "studio_id"),
    "movies": using("group", "studio_id"),
    "o_counter": o_sum("studio_id"),
}


def marker_count(call: Any, tag: Any, depth: int | None = None) -> int:
    catalog = _catalog(call)
    ids = call.finder.descendants("tag", tag.id, depth) if depth else {tag.id}
    tables = (catalog.users("marker", "tag_ids"), catalog.users("marker", "primary_tag_id"))
    return len({marker.id for users in tables for item in ids for marker in users.get(item, ())})


TAG: dict[str, Field] = {
    "image_path": image_path("tag", "image"),
    "scene_count": counted("scene", "tag_ids", "tag"),
    "scene_marker_count": marker_count,
    "image_count": counted("image", "tag_ids", "tag"),
    "gallery_count": counted("gallery", "tag_ids", "tag"),
    "performer_count": counted("performer", "tag_ids", "tag"),
    "studio_count": counted("studio", "tag_ids", "tag"),
    "group_count": counted("group", "tag_ids", "tag"),
    "movie_count": counted("group", "tag_ids", "tag"),
    "parents": many("tag", "parent_ids"),
    "children": using("tag", "parent_ids"),
    "parent_count": lambda call, tag: len(tag.parent_ids),
    "child_count": counted("tag", "parent_ids"),
}


def sub_groups(call: Any, group: Any) -> list[dict[str, Any]]:
    rows = _catalog(call).rows["group"]
    return [{"group": rows[item], "description": text or None} for item, text in group.sub_group_links]


def containing_groups(call: Any, group: Any) -> list[dict[str, Any]]:
    found = []
    for other in _catalog(call).users("group", "sub_group_links").get(group.id, ()):
        text = next(text for item, text in other.sub_group_links if item == group.id)
        found.append({"group": other, "description": text or None})
    return found


GROUP: dict[str, Field] = {
    "url": first_url,
    "studio": one("studio", "studio_id"),
    "tags": sorted_tags,
    "containing_groups": containing_groups,
    "sub_groups": sub_groups,
    "front_image_path": image_path("group", "front_image", "frontimage"),
    "back_image_path": image_path("group", "back_image", "backimage"),
    "scene_count": counted("scene", "group_links", "group"),
    "performer_count": performers_through_scenes("group_links"),
    "sub_group_count": lambda call, group, depth=None: len(group.sub_group_links),
    "scenes": using("scene", "group_links"),
    "o_counter": o_sum("group_links"),
}


# --- galleries, images, markers, files ----------------------------------------------------------------------


def gallery_cover(call: Any, gallery: Any) -> Any:
    rows = _catalog(call).rows["image"]
    if gallery.cover_image_id is not None:
        return rows[gallery.cover_image_id]
    return rows[gallery.image_ids[0]] if gallery.image_ids else None


def gallery_image(call: Any, gallery: Any, index: int) -> Any:
    return _catalog(call).rows["image"][gallery.image_ids[index]] if index < len(gallery.image_ids) else None


GALLERY: dict[str, Field] = {
    "url": first_url,
    "files": many("file", "file_ids"),
    "folder": one("folder", "folder_id"),
    "chapters": lambda call, row: sorted(
        _catalog(call).users("chapter", "gallery_id").get(row.id, ()), key=lambda chapter: chapter.image_index
    ),
    "scenes": using("scene", "gallery_ids"),
    "studio": one("studio", "studio_id"),
    "image_count": lambda call, row: len(row.image_ids),
    "tags": sorted_tags,
    "performers": many("performer", "performer_ids"),
    "cover": gallery_cover,
    "paths": lambda call, row: {
        "cover": f"{call.base_url}/gallery/{row.id}/cover",
        "preview": f"{call.base_url}/gallery/{row.id}/preview",
    },
    "image": gallery_image,
}
IMAGE: dict[str, Field] = {
    "url": first_url,
    "files": many("file", "file_ids"),
    "visual_files": many("file", "file_ids"),
    "paths": lambda call, row: {
        part: f"{call.base_url}/image/{row.id}/{part}?t={unix_seconds(row.updated_at)}"
        for part in ("thumbnail", "preview", "image")
    },
    "galleries": using("gallery", "image_ids"),
    "studio": one("studio", "studio_id"),
    "tags": sorted_tags,
    "performers": many("performer", "performer_ids"),
}


def marker_url(part: str) -> Field:
    return lambda call, row: f"{call.base_url}/scene/{row.scene_id}/scene_marker/{row.id}/{part}"


MARKER: dict[str, Field] = {
    "scene": one("scene", "scene_id"),
    "primary_tag": one("tag", "primary_tag_id"),
    "tags": sorted_tags,
    "stream": marker_url("stream"),
    "preview": marker_url("preview"),
    "screenshot": marker_url("screenshot"),
}


def fingerprints(call: Any, file: File) -> list[dict[str, str]]:
    return [{"type": kind, "value": value} for kind, value in file.fingerprints]


FILE: dict[str, Field] = {
    "parent_folder": one("folder", "parent_folder_id"),
    "zip_file": nothing(),
    "zip_file_id": nothing(),
    "fingerprint": lambda call, file, type: file.fingerprint(type),
    "fingerprints": fingerprints,
}
FOLDER: dict[str, Field] = {
    "parent_folder": one("folder", "parent_folder_id"),
    "zip_file": nothing(),
    "zip_file_id": nothing(),
}


# --- the server's own things --------------------------------------------------------------------------------


def nano(moment: datetime | None) -> str | None:
    """RFC 3339 with all the fraction there is, in the server's zone."""
    if moment is None:
        return None
    text = moment.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


JOB: dict[str, Field] = {
    "subTasks": attribute("sub_tasks"),
    "startTime": lambda call, job: nano(job.start_time),
    "endTime": lambda call, job: nano(job.end_time),
    "addTime": lambda call, job: nano(job.add_time),
}


def log_time(call: Any, entry: LogEntry) -> str | None:
    return nano(entry.time)


def task_of(plugin: Plugin, task: Any) -> dict[str, Any]:
    return {"name": task.name, "description": task.description, "plugin": plugin}


def plugin_paths(call: Any, plugin: Plugin) -> dict[str, Any]:
    base = f"{call.base_url}/plugin/{plugin.id}"

    def served(files: Iterable[str], part: str) -> list[str] | None:
        named = list(files)
        found = [name for name in named if name.startswith(("http://", "https://"))]
        if len(found) < len(named):
            found.insert(0, f"{base}/{part}")
        return found or None

    return {"javascript": served(plugin.ui.javascript, "javascript"), "css": served(plugin.ui.css, "css")}


PLUGIN: dict[str, Field] = {
    "name": attribute("shown_name"),
    "enabled": lambda call, plugin: plugin.id not in call.instance.host.settings.disabled,
    "tasks": lambda call, plugin: [task_of(plugin, task) for task in plugin.tasks] or None,
    "hooks": lambda call, plugin: (
        [
            {
                "name": hook.name,
                "description": hook.description,
                "hooks": list(hook.triggered_by),
                "plugin": plugin,
            }
            for hook in plugin.hooks
        ]
        or None
    ),
    "settings": lambda call, plugin: (
        [
            {
                "name": setting.name,
                "display_name": setting.display_name,
                "description": setting.description,
                "type": setting.type,
            }
            for setting in plugin.settings
        ]
        or None
    ),
    "requires": lambda call, plugin: list(plugin.ui.requires) or None,
    "paths": plugin_paths,
}


# --- pages --------------------------------------------------------------------------------------------------


def rows_of(call: Any, page: Page) -> list[Row]:
    return page.rows


def count_of(call: Any, page: Page) -> int:
    return len(page.matching)


def file_sum(name: str) -> Field:
    def resolve(call: Any, page: Page) -> float:
        catalog = _catalog(call)
        files = (catalog.primary_file(row) for row in page.matching)
        return float(sum(getattr(file, name) for file in files if file))

    return resolve


def megapixels(call: Any, page: Page) -> float:
    catalog = _catalog(call)
    files = (row if isinstance(row, File) else catalog.primary_file(row) for row in page.matching)
    return sum(file.width * file.height for file in files if file) / 1_000_000


def page_fields(rows: str, **more: Field) -> dict[str, Field]:
    return {"count": count_of, rows: rows_of, **more}


FIELDS: Mapping[str, dict[str, Field]] = {
    "Scene": SCENE,
    "Performer": PERFORMER,
    "Studio": STUDIO,
    "Tag": TAG,
    "Group": GROUP,
    "Movie": GROUP,
    "Gallery": GALLERY,
    "Image": IMAGE,
    "SceneMarker": MARKER,
    "GalleryChapter": {"gallery": one("gallery", "gallery_id")},
    **dict.fromkeys(FILE_TYPES.values(), FILE),
    "Folder": FOLDER,
    "Job": JOB,
    "LogEntry": {"time": log_time},
    "Plugin": PLUGIN,
    "FindScenesResultType": page_fields("scenes", duration=file_sum("duration"), filesize=file_sum("size")),
    "FindPerformersResultType": page_fields("performers"),
    "FindStudiosResultType": page_fields("studios"),
    "FindTagsResultType": page_fields("tags"),
    "FindGroupsResultType": page_fields("groups"),
    "FindMoviesResultType": page_fields("movies"),
    "FindGalleriesResultType": page_fields("galleries"),
    "FindImagesResultType": page_fields("images", megapixels=megapixels, filesize=file_sum("size")),
    "FindSceneMarkersResultType": page_fields("scene_markers"),
    "FindFoldersResultType": page_fields("folders"),
    "FindFilesResultType": page_fields(
        "files",
        megapixels=megapixels,
        duration=lambda call, page: sum(file.duration for file in page.matching),
        size=lambda call, page: sum(file.size for file in page.matching),
    ),
}
