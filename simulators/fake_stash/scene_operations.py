"""Queries and mutations of scenes and markers, with the hooks each fires (resolver_mutation_scene.go of Stash 0.30).

What fires nothing is the point of much of this: merges, plays, O counters, covers from a frame, files moved or
reassigned.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import resolvers
from .catalog import CatalogError, Scene, picture, utc_stamp
from .finding import Page
from .firing import HookContext
from .inputs import (
    bulk_values,
    destroy_struct,
    ids,
    omit_empty,
    scene_update_struct,
    values_of,
    whole_id,
    with_pictures,
)
from .instance import Call

Given = Mapping[str, Any]


# --- queries ------------------------------------------------------------------------------------------------


def find_scene(call: Call, id: Any = None, checksum: str | None = None) -> Scene | None:
    if id is not None:
        return call.catalog.scenes.get(whole_id(id))
    if checksum is not None:
        return find_scene_by_hash(call, {"checksum": checksum})
    return None


def find_scene_by_hash(call: Call, input: Given) -> Scene | None:
    wanted = {
        kind: input.get(key) for kind, key in (("md5", "checksum"), ("oshash", "oshash")) if input.get(key)
    }
    for scene in call.catalog.scenes.values():
        for file_id in scene.file_ids:
            if any(call.catalog.files[file_id].fingerprint(kind) == value for kind, value in wanted.items()):
                return scene
    return None


def find_scenes(
    call: Call,
    scene_filter: Given | None = None,
    scene_ids: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    filter: Given | None = None,
) -> Page:
    return call.finder.find("scene", scene_filter, filter, ids if ids is not None else scene_ids)


def find_scenes_by_path_regex(call: Call, filter: Given | None = None) -> Page:
    asked = dict(filter or {})
    pattern = asked.pop("q", None)
    criterion = {"path": {"value": pattern, "modifier": "MATCHES_REGEX"}} if pattern else None
    return call.finder.find("scene", criterion, asked)


def find_duplicate_scenes(call: Call, distance: int | None = None, duration_diff: float | None = None) -> Any:
    """Scenes whose phashes differ in at most `distance` bits."""
    hashes: list[tuple[int, float, Scene]] = []
    for scene in call.catalog.scenes.values():
        file = call.catalog.primary_file(scene)
        if file and (phash := file.fingerprint("phash")):
            hashes.append((int(phash, 16), file.duration, scene))
    groups: list[list[tuple[int, float, Scene]]] = []
    for entry in hashes:
        for group in groups:
            near = (entry[0] ^ group[0][0]).bit_count() <= (distance or 0)
            if near and (
                duration_diff is None or duration_diff < 0 or abs(entry[1] - group[0][1]) <= duration_diff
            ):
                group.append(entry)
                break
        else:
            groups.append([entry])
    return [[scene for _, _, scene in group] for group in groups if len(group) > 1]


def scene_streams(call: Call, id: Any = None) -> Any:
    return resolvers.scene_streams(call, call.catalog.get("scene", whole_id(id)))


# --- create, update, destroy --------------------------------------------------------------------------------


async def create(call: Call, input: Given) -> Scene | None:
    catalog = call.catalog
    values = values_of("scene", await with_pictures(input), catalog.now())
    for file_id in values.get("file_ids") or ():
        if catalog.users("scene", "file_ids").get(file_id):
            raise CatalogError(f"file with id {file_id} is already assigned to a scene")
    scene = catalog.add("scene", values)
    await call.fire("Scene.Create.Post", scene.id)
    return catalog.scenes.get(scene.id)


def _apply(call: Call, given: Given) -> Scene:
    """One SceneUpdateInput, in the catalog only."""
    catalog = call.catalog
    scene: Scene = catalog.get("scene", whole_id(given["id"]))
    values = values_of("scene", given, catalog.now())
    if (primary := given.get("primary_file_id")) is not None:
        file_id = whole_id(primary)
        if file_id not in scene.file_ids:
            raise CatalogError(f"file with id {file_id} not associated with scene")
        values["file_ids"] = [file_id, *(item for item in scene.file_ids if item != file_id)]
    catalog.update(scene, values)
    return scene


async def update(call: Call, input: Given) -> Scene | None:
    scene = _apply(call, await with_pictures(input))
    await call.fire("Scene.Update.Post", scene.id, scene_update_struct(input), list(input))
    return call.catalog.scenes.get(scene.id)


async def update_many(call: Call, input: Sequence[Given]) -> list[Scene | None]:
    """All are stored before the first hook runs; a client that leaves costs the rest their hooks."""
    scenes = [_apply(call, given) for given in [await with_pictures(given) for given in input]]
    whole = [scene_update_struct(given) for given in input]
    for scene, given in zip(scenes, input, strict=True):
        await call.fire("Scene.Update.Post", scene.id, whole, list(given))
    return [call.catalog.scenes.get(scene.id) for scene in scenes]


async def update_bulk(call: Call, input: Given) -> list[Scene]:
    catalog = call.catalog
    scenes = [catalog.get("scene", item) for item in ids(input.get("ids") or ())]
    for scene in scenes:
        catalog.update(scene, bulk_values("scene", scene, input, catalog.now()))
    struct = omit_empty(input)
    found = []
    for scene in scenes:
        await call.fire("Scene.Update.Post", scene.id, struct, list(input))
        found.append(catalog.get("scene", scene.id))
    return found


def _remove(call: Call, scene: Scene, delete_file: bool) -> None:
    for file_id in list(scene.file_ids):
        file = call.catalog.files[file_id]
        if delete_file:
            call.instance.disk.pop(file.path, None)
        call.catalog.remove(file)
    call.catalog.remove(scene)


async def destroy(call: Call, input: Given) -> bool:
    scene = call.catalog.get("scene", whole_id(input["id"]))
    struct = destroy_struct(input, call.catalog.primary_file(scene))
    _remove(call, scene, bool(input.get("delete_file")))
    await call.fire("Scene.Destroy.Post", scene.id, struct)
    return True


async def destroy_many(call: Call, input: Given) -> bool:
    """A client that leaves: the hooks that are left are each started and killed."""
    scenes = call.catalog.get_each("scene", ids(input["ids"]))
    structs = [destroy_struct(input, call.catalog.primary_file(scene)) for scene in scenes]
    for scene in scenes:
        _remove(call, scene, bool(input.get("delete_file")))
    waiting = [
        HookContext("Scene.Destroy.Post", scene.id, struct)
        for scene, struct in zip(scenes, structs, strict=True)
    ]
    while waiting:
        try:
            await call.instance.host.run_hooks(waiting.pop(0), call.caller)
        except asyncio.CancelledError:
            for context in waiting:
                call.instance.host.start_and_kill_hooks(context, call.caller)
            raise
    return True


# --- what fires nothing -------------------------------------------------------------------------------------


def merge(call: Call, input: Given) -> Scene:
    """The target is touched, the sources are gone, and no hook tells of either."""
    catalog = call.catalog
    target: Scene = catalog.get("scene", whole_id(input["destination"]))
    sources = catalog.get_each("scene", ids(input["source"]))
    if target in sources:
        raise CatalogError("destination scene cannot be in source list")
    values = values_of("scene", input.get("values") or {}, catalog.now())
    catalog.update(target, values)
    catalog.merge_scenes(sources, target, bool(input.get("play_history")), bool(input.get("o_history")))
    return target


def _times(call: Call, times: Iterable[str] | None) -> list[str]:
    """Moments given by the client, else now."""
    if not times:
        return [utc_stamp(call.catalog.now())]
    return [utc_stamp(datetime.fromisoformat(item.replace("Z", "+00:00"))) for item in times]


def _history(values: list[str]) -> dict[str, Any]:
    return {"count": len(values), "history": values}


def _without(held: list[str], times: Iterable[str] | None, call: Call) -> list[str]:
    """The list less the moments named, or less its newest."""
    if not times:
        return held[1:]
    left = list(held)
    for moment in _times(call, times):
        if moment in left:
            left.remove(moment)
    return left


def add_play(call: Call, id: Any, times: list[str] | None = None) -> Any:
    scene = call.catalog.get("scene", whole_id(id))
    call.catalog.add_play(scene, _times(call, times))
    return _history(scene.plays)


def delete_play(call: Call, id: Any, times: list[str] | None = None) -> Any:
    scene = call.catalog.get("scene", whole_id(id))
    scene.plays = _without(scene.plays, times, call)
    call.catalog.changed()
    return _history(scene.plays)


def increment_play_count(call: Call, id: Any) -> int:
    return int(add_play(call, id)["count"])


def reset_play_count(call: Call, id: Any) -> int:
    call.catalog.get("scene", whole_id(id)).plays = []
    call.catalog.changed()
    return 0


def add_o(call: Call, id: Any, times: list[str] | None = None) -> Any:
    scene = call.catalog.get("scene", whole_id(id))
    call.catalog.add_o(scene, _times(call, times))
    return _history(scene.os)


def delete_o(call: Call, id: Any, times: list[str] | None = None) -> Any:
    scene = call.catalog.get("scene", whole_id(id))
    scene.os = _without(scene.os, times, call)
    call.catalog.changed()
    return _history(scene.os)


def increment_o(call: Call, id: Any) -> int:
    return int(add_o(call, id)["count"])


def decrement_o(call: Call, id: Any) -> int:
    return int(delete_o(call, id)["count"])


def reset_o(call: Call, id: Any) -> int:
    call.catalog.get("scene", whole_id(id)).os = []
    call.catalog.changed()
    return 0


def save_activity(
    call: Call, id: Any, resume_time: float | None = None, playDuration: float | None = None
) -> bool:
    scene = call.catalog.get("scene", whole_id(id))
    if resume_time is not None:
        scene.resume_time = resume_time
    if playDuration is not None:
        scene.play_duration += playDuration
    call.catalog.changed()
    return True


def reset_activity(
    call: Call, id: Any, reset_resume: bool | None = None, reset_duration: bool | None = None
) -> bool:
    scene = call.catalog.get("scene", whole_id(id))
    if reset_resume:
        scene.resume_time = 0.0
    if reset_duration:
        scene.play_duration = 0.0
    call.catalog.changed()
    return True


def generate_screenshot(call: Call, id: Any, at: float | None = None) -> str:
    """A cover from a frame: a job's work in Stash, done at once here. Touches the scene, fires nothing."""
    scene = call.catalog.get("scene", whole_id(id))

    async def work(job: Any) -> None:
        scene.cover = picture(f"{scene.id} {at}")
        call.catalog.touch(scene)

    call.instance.jobs.add(f"Generating screenshot for scene id {scene.id}", work)
    return "todo"  # literally Stash's answer


def assign_file(call: Call, input: Given) -> bool:
    """A file changes its scene; a scene without files stays. No hook, no touch."""
    catalog = call.catalog
    scene = catalog.get("scene", whole_id(input["scene_id"]))
    file_id = catalog.get("file", whole_id(input["file_id"])).id
    for owner in catalog.users("scene", "file_ids").get(file_id, []):
        if owner.file_ids[0] == file_id and len(owner.file_ids) > 1:
            raise CatalogError("cannot reassign primary file")
        owner.file_ids = [item for item in owner.file_ids if item != file_id]
    scene.file_ids = [*scene.file_ids, file_id]
    catalog.changed()
    return True


# --- markers ------------------------------------------------------------------------------------------------


async def create_marker(call: Call, input: Given) -> Any:
    marker = call.catalog.add("marker", values_of("marker", input, call.catalog.now()))
    await call.fire("SceneMarker.Create.Post", marker.id, omit_empty(input))
    return call.catalog.rows["marker"].get(marker.id)


async def update_marker(call: Call, input: Given) -> Any:
    marker = call.catalog.get("marker", whole_id(input["id"]))
    call.catalog.update(marker, values_of("marker", input, call.catalog.now()))
    await call.fire("SceneMarker.Update.Post", marker.id, omit_empty(input), list(input))
    return call.catalog.rows["marker"].get(marker.id)


async def update_markers(call: Call, input: Given) -> list[Any]:
    markers = [call.catalog.get("marker", item) for item in ids(input.get("ids") or ())]
    for marker in markers:
        call.catalog.update(marker, bulk_values("marker", marker, input, call.catalog.now()))
    for marker in markers:
        await call.fire("SceneMarker.Update.Post", marker.id, omit_empty(input), list(input))
    return markers


async def destroy_marker(call: Call, id: Any) -> bool:
    return await destroy_markers(call, [id])


async def destroy_markers(call: Call, ids: Sequence[Any]) -> bool:
    markers = call.catalog.get_each("marker", map(whole_id, ids))
    for marker in markers:
        call.catalog.remove(marker)
    for marker in markers:
        await call.fire("SceneMarker.Destroy.Post", marker.id, marker.id)
    return True


def find_markers(
    call: Call,
    scene_marker_filter: Given | None = None,
    filter: Given | None = None,
    ids: Sequence[str] | None = None,
) -> Page:
    return call.finder.find("marker", scene_marker_filter, filter, ids)


def marker_tags(call: Call, scene_id: Any) -> list[dict[str, Any]]:
    found: dict[int, list[Any]] = {}
    for marker in call.catalog.users("marker", "scene_id").get(whole_id(scene_id), []):
        found.setdefault(marker.primary_tag_id, []).append(marker)
    return [{"tag": call.catalog.tags[tag], "scene_markers": markers} for tag, markers in found.items()]


def marker_strings(call: Call, q: str | None = None, sort: str | None = None) -> list[dict[str, Any]]:
    found: dict[str, list[Any]] = {}
    for marker in call.catalog.rows["marker"].values():
        if not q or q.lower() in marker.title.lower():
            found.setdefault(marker.title, []).append(marker)
    rows = [{"count": len(group), "id": group[0].id, "title": title} for title, group in found.items()]
    return sorted(rows, key=lambda row: row["count"], reverse=True) if sort == "count" else rows
