"""Queries and mutations of performers, studios, tags, groups, galleries and images, a table of the same few verbs.

Renaming, merging or deleting one of these changes what scenes show, and touches no scene and fires no Scene hook.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .catalog import CatalogError
from .finding import Page
from .inputs import bulk_values, described_groups, ids, omit_empty, values_of, whole_id, with_pictures
from .instance import Call

Given = Mapping[str, Any]

# The hook names of each kind; a group's events still go by the name it had before, too.
HOOK_NAMES = {
    "performer": ("Performer",),
    "studio": ("Studio",),
    "tag": ("Tag",),
    "group": ("Group", "Movie"),
    "gallery": ("Gallery",),
    "image": ("Image",),
    "chapter": ("GalleryChapter",),
}


async def fire(
    call: Call, kind: str, event: str, row_id: int, given: Any, fields: Sequence[str] = ()
) -> None:
    for name in HOOK_NAMES[kind]:
        await call.fire(f"{name}.{event}.Post", row_id, given, fields)


def _values(call: Call, kind: str, given: Given, row: Any | None = None) -> dict[str, Any]:
    values = values_of(kind, given, call.catalog.now())
    if kind == "performer":
        values |= _performer_extras(given, row)
    return values


def _performer_extras(given: Given, row: Any | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "custom_fields" in given:
        change = given["custom_fields"] or {}
        held = dict(row.custom_fields) if row else {}
        if row is None:
            held = dict(change)
        elif change.get("full") is not None:
            held = dict(change["full"])
        held |= (change.get("partial") or {}) if row else {}
        for name in (change.get("remove") or ()) if row else ():
            held.pop(name, None)
        found["custom_fields"] = held
    social = [given[name] for name in ("twitter", "instagram") if given.get(name)]
    if social and "urls" not in given:
        prefixes = {"twitter": "https://twitter.com/", "instagram": "https://www.instagram.com/"}
        links = [
            value if "://" in value else prefixes[name] + value.removeprefix("@")
            for name, value in ((name, given.get(name)) for name in prefixes)
            if value
        ]
        found["urls"] = [*([given["url"]] if given.get("url") else (row.urls if row else [])), *links]
    return found


def _relate(call: Call, kind: str, row: Any, given: Given) -> None:
    """Relations an input names from their other end: a tag's children, a group's containers, a gallery's scenes."""
    catalog = call.catalog
    if kind == "tag" and "child_ids" in given:
        wanted = ids(given["child_ids"] or ())
        for child in catalog.tags.values():
            held = row.id in child.parent_ids
            if child.id in wanted and not held:
                catalog.update(child, {"parent_ids": [*child.parent_ids, row.id]}, touch=False)
            elif held and child.id not in wanted:
                catalog.update(
                    child, {"parent_ids": [i for i in child.parent_ids if i != row.id]}, touch=False
                )
    if kind == "group" and "containing_groups" in given:
        wanted_texts = dict(described_groups(given["containing_groups"] or ()))
        for other in catalog.rows["group"].values():
            links = [link for link in other.sub_group_links if link[0] != row.id]
            if other.id in wanted_texts:
                links.append((row.id, wanted_texts[other.id]))
            other.sub_group_links = links
        catalog.changed()
    if kind == "gallery" and "scene_ids" in given:
        wanted = ids(given["scene_ids"] or ())
        for scene in catalog.scenes.values():
            others = [item for item in scene.gallery_ids if item != row.id]
            scene.gallery_ids = [*others, row.id] if scene.id in wanted else others
        catalog.changed()
    if kind == "image" and "gallery_ids" in given:
        wanted = ids(given["gallery_ids"] or ())
        for gallery in catalog.rows["gallery"].values():
            others = [item for item in gallery.image_ids if item != row.id]
            gallery.image_ids = [*others, row.id] if gallery.id in wanted else others
        catalog.changed()


def finder(kind: str) -> Callable[..., Any]:
    def find(call: Call, id: Any = None, checksum: str | None = None) -> Any:
        return call.catalog.rows[kind].get(whole_id(id)) if id is not None else None

    return find


def lister(kind: str) -> Callable[..., Page]:
    def find(
        call: Call, filter: Given | None = None, ids: Sequence[Any] | None = None, **filters: Any
    ) -> Page:
        numbers = next((filters.pop(key) for key in ("performer_ids", "image_ids") if filters.get(key)), None)
        row_filter = filters.get(f"{kind}_filter")
        return call.finder.find(kind, row_filter, filter, ids if ids is not None else numbers)

    return find


def creator(kind: str) -> Callable[..., Any]:
    async def create(call: Call, input: Given) -> Any:
        row = call.catalog.add(kind, _values(call, kind, await with_pictures(input)))
        _relate(call, kind, row, input)
        await fire(call, kind, "Create", row.id, omit_empty(input))
        return call.catalog.rows[kind].get(row.id)

    return create


def updater(kind: str) -> Callable[..., Any]:
    async def update(call: Call, input: Given) -> Any:
        row = call.catalog.get(kind, whole_id(input["id"]))
        call.catalog.update(row, _values(call, kind, await with_pictures(input), row))
        _relate(call, kind, row, input)
        await fire(call, kind, "Update", row.id, omit_empty(input), list(input))
        return call.catalog.rows[kind].get(row.id)

    return update


def list_updater(kind: str) -> Callable[..., Any]:
    async def update(call: Call, input: Sequence[Given]) -> list[Any]:
        rows = []
        for given in input:
            row = call.catalog.get(kind, whole_id(given["id"]))
            call.catalog.update(row, _values(call, kind, given, row))
            _relate(call, kind, row, given)
            rows.append(row)
        for row, given in zip(rows, input, strict=True):
            await fire(call, kind, "Update", row.id, [omit_empty(item) for item in input], list(given))
        return [call.catalog.rows[kind].get(row.id) for row in rows]

    return update


def bulk_updater(kind: str) -> Callable[..., Any]:
    async def update(call: Call, input: Given) -> list[Any]:
        rows = [call.catalog.get(kind, item) for item in ids(input.get("ids") or ())]
        for row in rows:
            values = bulk_values(kind, row, input, call.catalog.now())
            if kind == "performer" and "custom_fields" in input:
                values |= _performer_extras(input, row)
            call.catalog.update(row, values)
            _relate_bulk(call, kind, row, input)
        for row in rows:
            await fire(call, kind, "Update", row.id, omit_empty(input), list(input))
        return [call.catalog.get(kind, row.id) for row in rows]

    return update


def _relate_bulk(call: Call, kind: str, row: Any, given: Given) -> None:
    """Relation changes of a bulk input that live at the other end."""
    ends = {
        ("tag", "child_ids"): ("tag", "parent_ids"),
        ("gallery", "scene_ids"): ("scene", "gallery_ids"),
        ("image", "gallery_ids"): ("gallery", "image_ids"),
    }
    for (mine, key), (other, name) in ends.items():
        change = given.get(key)
        if kind != mine or not change:
            continue
        wanted = set(ids(change.get("ids") or ()))
        for item in call.catalog.rows[other].values():
            held = [value for value in getattr(item, name) if value != row.id]
            had = len(held) < len(getattr(item, name))
            keep = item.id in wanted if change["mode"] == "SET" else had
            if item.id in wanted:
                keep = change["mode"] != "REMOVE"
            setattr(item, name, [*held, row.id] if keep else held)
        call.catalog.changed()


def destroyer(kind: str) -> Callable[..., Any]:
    async def destroy(call: Call, input: Given) -> bool:
        row = call.catalog.get(kind, whole_id(input["id"]))
        call.catalog.remove(row)
        await fire(call, kind, "Destroy", row.id, omit_empty(input))
        return True

    return destroy


def list_destroyer(kind: str) -> Callable[..., Any]:
    async def destroy(call: Call, ids: Sequence[Any]) -> bool:
        rows = call.catalog.get_each(kind, map(whole_id, ids))
        for row in rows:
            call.catalog.remove(row)
        for row in rows:
            await fire(call, kind, "Destroy", row.id, list(ids))
        return True

    return destroy


async def merge_tags(call: Call, input: Given) -> Any:
    """Scenes with a source tag now have the target's; nothing of them is touched, and only the tag has a hook."""
    catalog = call.catalog
    target = catalog.get("tag", whole_id(input["destination"]))
    sources = catalog.get_each("tag", ids(input["source"]))
    if not sources:
        return None
    if target in sources:
        raise CatalogError("destination tag cannot be in source list")
    catalog.merge_named(sources, target)
    await call.fire("Tag.Merge.Post", target.id, omit_empty(input))
    return target


def merge_performers(call: Call, input: Given) -> Any:
    """As for tags, without any hook at all."""
    catalog = call.catalog
    target = catalog.get("performer", whole_id(input["destination"]))
    sources = catalog.get_each("performer", ids(input["source"]))
    if target in sources:
        raise CatalogError("destination performer cannot be in source list")
    catalog.merge_named(sources, target)
    if given := input.get("values"):
        catalog.update(target, _values(call, "performer", given, target))
    return target


# --- groups within groups -----------------------------------------------------------------------------------


def add_sub_groups(call: Call, input: Given) -> bool:
    group = call.catalog.get("group", whole_id(input["containing_group_id"]))
    new = described_groups(input["sub_groups"])
    held = [link for link in group.sub_group_links if link[0] not in dict(new)]
    at = len(held) if input.get("insert_index") is None else input["insert_index"]
    call.catalog.update(group, {"sub_group_links": [*held[:at], *new, *held[at:]]})
    return True


def remove_sub_groups(call: Call, input: Given) -> bool:
    group = call.catalog.get("group", whole_id(input["containing_group_id"]))
    gone = ids(input["sub_group_ids"])
    call.catalog.update(
        group, {"sub_group_links": [link for link in group.sub_group_links if link[0] not in gone]}
    )
    return True


def reorder_sub_groups(call: Call, input: Given) -> bool:
    group = call.catalog.get("group", whole_id(input["group_id"]))
    moving = ids(input["sub_group_ids"])
    links = dict(group.sub_group_links)
    held = [item for item in links if item not in moving]
    if not set(moving) <= set(links) or whole_id(input["insert_at_id"]) not in held:
        raise CatalogError("sub-group is not in the group")
    at = held.index(whole_id(input["insert_at_id"])) + (1 if input.get("insert_after") else 0)
    order = [*held[:at], *moving, *held[at:]]
    call.catalog.update(group, {"sub_group_links": [(item, links[item]) for item in order]})
    return True


# --- galleries and images -----------------------------------------------------------------------------------


async def destroy_galleries(call: Call, input: Given) -> bool:
    rows = call.catalog.get_each("gallery", ids(input["ids"]))
    for row in rows:
        call.catalog.remove(row)
    for row in rows:
        await fire(call, "gallery", "Destroy", row.id, omit_empty(input))
    return True


async def destroy_images(call: Call, input: Given) -> bool:
    rows = call.catalog.get_each("image", ids(input["ids"]))
    for row in rows:
        call.catalog.remove(row)
    for row in rows:
        await fire(call, "image", "Destroy", row.id, omit_empty(input))
    return True


def add_gallery_images(call: Call, input: Given) -> bool:
    gallery = call.catalog.get("gallery", whole_id(input["gallery_id"]))
    call.catalog.update(gallery, {"image_ids": [*gallery.image_ids, *ids(input["image_ids"])]})
    return True


def remove_gallery_images(call: Call, input: Given) -> bool:
    gallery = call.catalog.get("gallery", whole_id(input["gallery_id"]))
    gone = ids(input["image_ids"])
    call.catalog.update(gallery, {"image_ids": [item for item in gallery.image_ids if item not in gone]})
    return True


def set_gallery_cover(call: Call, input: Given) -> bool:
    gallery = call.catalog.get("gallery", whole_id(input["gallery_id"]))
    call.catalog.update(gallery, {"cover_image_id": whole_id(input["cover_image_id"])})
    return True


def reset_gallery_cover(call: Call, input: Given) -> bool:
    gallery = call.catalog.get("gallery", whole_id(input["gallery_id"]))
    call.catalog.update(gallery, {"cover_image_id": None})
    return True


async def destroy_chapter(call: Call, id: Any) -> bool:
    chapter = call.catalog.get("chapter", whole_id(id))
    call.catalog.remove(chapter)
    await fire(call, "chapter", "Destroy", chapter.id, chapter.id)
    return True


def image_o(change: int | None) -> Callable[..., int]:
    def run(call: Call, id: Any) -> int:
        image = call.catalog.get("image", whole_id(id))
        image.o_counter = 0 if change is None else max(0, image.o_counter + change)
        call.catalog.changed()
        return int(image.o_counter)

    return run
