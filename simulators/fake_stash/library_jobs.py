"""Jobs that change the library: scan, identify, auto tag, clean, generate; what each fires and touches as in Stash.

There is no disk under this catalog but `Instance.disk`, a table of paths which the control API changes; a scan finds
there what appeared, moved or changed. Likewise `Instance.identify_matches` holds what a scraper would answer.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from .catalog import File, Scene, picture, stamp
from .inputs import destroy_struct, scene_update_struct, values_of, whole_id
from .instance import Call, DiskFile
from .jobs import Job
from .library import Loader

Given = Mapping[str, Any]


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _scan_complete(call: Call) -> None:
    for queue in call.instance.scan_listeners:
        queue.put_nowait(True)


async def _side_by_side(work: Callable[[Any], Awaitable[None]], items: list[Any], workers: int) -> None:
    """Run `work` over all items with that many at a time; a cancelled job cancels those under way."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    tasks = [asyncio.ensure_future(worker()) for _ in range(max(1, min(workers, len(items))))]
    try:
        await asyncio.gather(*tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


# --- scan ---------------------------------------------------------------------------------------------------


def scan(call: Call, input: Given) -> int:
    queue = call.instance.jobs

    async def work(job: Job) -> None:
        instance = call.instance
        folders = input.get("paths") or ()
        found = [file for path, file in sorted(instance.disk.items()) if not folders or _below(path, folders)]
        done = 0

        async def handle(file: DiskFile) -> None:
            nonlocal done
            await scan_file(call, file, input)
            done += 1
            queue.set_progress(job, done / len(found))

        await _side_by_side(handle, found, instance.switches.scan_workers)
        _scan_complete(call)

    return queue.add("Scanning...", work)


async def scan_file(call: Call, found: DiskFile, options: Given) -> Scene | None:
    """What a scan does with one file of the disk; the scene it made or met."""
    instance, catalog = call.instance, call.catalog
    if instance.switches.scan_file_ms:
        await asyncio.sleep(instance.switches.scan_file_ms / 1000)
    known = catalog.file_by_path(found.path)
    if known is not None:
        owners = catalog.users("scene", "file_ids").get(known.id, [])
        if found.version != instance.seen_versions.get(found.path, 0) or options.get("rescan"):
            instance.seen_versions[found.path] = found.version
            known.mod_time = stamp(catalog.now())
            catalog.touch(known)
            for scene in owners:
                await call.fire("Scene.Update.Post", scene.id)
        return owners[0] if owners else None
    twin = _same_content(call, found)
    if twin is not None:
        owners = catalog.users("scene", "file_ids").get(twin.id, [])
        if twin.path not in instance.disk:
            catalog.move_file(twin, found.path)  # moved or renamed: the scene is told of, but not touched
        else:
            copy = Loader(catalog).file(found.path, found.values)
            copy.fingerprints = list(twin.fingerprints)
            for scene in owners:
                scene.file_ids = [*scene.file_ids, copy.id]
                catalog.touch(scene)
        for scene in owners:
            await call.fire("Scene.Update.Post", scene.id)
        return owners[0] if owners else None
    scene = Loader(catalog).scene({"path": found.path, **found.values})
    await call.fire("Scene.Create.Post", scene.id)
    if options.get("scanGenerateCovers", True):
        await _cover_later(call, scene)
    if options.get("scanGeneratePhashes"):
        _phash(call, scene)
    return scene


def _same_content(call: Call, found: DiskFile) -> File | None:
    oshash = found.values.get("oshash")
    if oshash is None:
        return None
    return next((file for file in call.catalog.files.values() if file.fingerprint("oshash") == oshash), None)


async def _cover_later(call: Call, scene: Scene) -> None:
    """The cover a scan takes: after the Create hooks, touching the scene, firing nothing."""
    if delay := call.instance.switches.cover_delay_ms:
        await asyncio.sleep(delay / 1000)
    if scene.id in call.catalog.scenes and scene.cover is None:
        scene.cover = picture(f"scan {scene.id}")
        call.catalog.touch(scene)


def _phash(call: Call, scene: Scene) -> None:
    file = call.catalog.primary_file(scene)
    if file is not None and file.fingerprint("phash") is None:
        file.fingerprints = [*file.fingerprints, ("phash", file.fingerprint("oshash") or "0" * 16)]
        call.catalog.changed()


# --- identify -----------------------------------------------------------------------------------------------


def identify(call: Call, input: Given) -> int:
    queue = call.instance.jobs
    options = input.get("options") or {}

    async def work(job: Job) -> None:
        scenes = _chosen(call, input.get("sceneIDs"), input.get("paths"))
        for number, scene in enumerate(scenes, 1):
            await _identify(call, scene, options)
            queue.set_progress(job, number / len(scenes))

    return queue.add("Identifying...", work)


def _chosen(call: Call, scene_ids: Iterable[Any] | None, paths: Iterable[str] | None) -> list[Scene]:
    catalog = call.catalog
    if scene_ids:
        return [catalog.get("scene", whole_id(item)) for item in scene_ids]
    scenes = list(catalog.scenes.values())
    if paths:
        folders = list(paths)
        scenes = [s for s in scenes if any(_below(catalog.files[item].path, folders) for item in s.file_ids)]
    return scenes


async def _identify(call: Call, scene: Scene, options: Given) -> None:
    catalog = call.catalog
    matches = call.instance.identify_matches.get(scene.id, [])
    if not matches:
        return
    if len(matches) > 1 and options.get("skipMultipleMatches", True):
        if tag := options.get("skipMultipleMatchTag"):
            catalog.update(scene, {"tag_ids": [*scene.tag_ids, whole_id(tag)]})  # and no hook tells
        return
    given = _identified(call, scene, matches[0], options)
    catalog.update(scene, values_of("scene", given, catalog.now()))
    if given.get("cover_image"):
        given["cover_image"] = given["cover_image"].partition(",")[2] or given["cover_image"]
    fields = [key for key in given if key != "id"]
    await call.fire("Scene.Update.Post", scene.id, scene_update_struct(given), fields)


def _identified(call: Call, scene: Scene, match: Given, options: Given) -> dict[str, Any]:
    """A SceneUpdateInput of what a match sets: names become ids, groups go by their old name."""
    loader = Loader(call.catalog)
    given: dict[str, Any] = {"id": str(scene.id)}
    for key in ("title", "code", "details", "director", "urls", "date"):
        if match.get(key):
            given[key] = match[key]
    if match.get("studio"):
        given["studio_id"] = str(loader.named("studio", match["studio"]))
    if match.get("performers"):
        new = [loader.named("performer", name) for name in match["performers"]]
        given["performer_ids"] = [str(item) for item in dict.fromkeys([*scene.performer_ids, *new])]
    if match.get("tags"):
        new = [loader.named("tag", name) for name in match["tags"]]
        given["tag_ids"] = [str(item) for item in dict.fromkeys([*scene.tag_ids, *new])]
    if match.get("groups"):
        links = {**dict(scene.group_links), **{loader.named("group", name): None for name in match["groups"]}}
        given["movies"] = [{"movie_id": str(item), "scene_index": index} for item, index in links.items()]
    if match.get("stash_ids"):
        given["stash_ids"] = match["stash_ids"]
    if options.get("setCoverImage", True) and match.get("cover"):
        cover = match["cover"]
        data = base64.b64encode(picture(str(cover))).decode() if cover is True else cover
        given["cover_image"] = data if data.startswith("data:") else f"data:image/png;base64,{data}"
    if options.get("setOrganized"):
        given["organized"] = True
    return given


# --- auto tag -----------------------------------------------------------------------------------------------


def auto_tag(call: Call, input: Given) -> int:
    """Names found in paths. Touches the scenes it changes, fires nothing."""
    queue = call.instance.jobs

    async def work(job: Job) -> None:
        catalog = call.catalog
        for scene in _chosen(call, None, input.get("paths")):
            file = catalog.primary_file(scene)
            if file is None:
                continue
            changes: dict[str, Any] = {}
            studios = named_in(call, "studio", input.get("studios"), file.path)
            if studios and scene.studio_id is None:
                changes["studio_id"] = studios[0]
            for kind, name in (("performer", "performer_ids"), ("tag", "tag_ids")):
                held = getattr(scene, name)
                new = [
                    item
                    for item in named_in(call, kind, input.get(f"{kind}s"), file.path)
                    if item not in held
                ]
                if new:
                    changes[name] = [*held, *new]
            if changes:
                catalog.update(scene, changes)
            await asyncio.sleep(0)

    return queue.add("Auto-tagging...", work)


def named_in(call: Call, kind: str, wanted: Iterable[str] | None, path: str) -> list[int]:
    """The ids of those (`wanted`: ids, or "*" for all) whose name or alias is in the path."""
    chosen = list(wanted or ())
    found = []
    for row in call.catalog.rows[kind].values():
        if row.ignore_auto_tag or not ("*" in chosen or str(row.id) in chosen):
            continue
        names = [row.name, *(row.alias_list if kind == "performer" else row.aliases)]
        for name in names:
            words = r"[.\-_ ]*".join(re.escape(word) for word in name.split())
            if re.search(rf"(?:^|_|[^\w\d]){words}(?:$|_|[^\w\d])", path, re.IGNORECASE):
                found.append(row.id)
                break
    return found


# --- clean --------------------------------------------------------------------------------------------------


def clean(call: Call, input: Given) -> int:
    """Files that are gone from the disk. A scene without its last file goes with a Destroy hook; others with none."""
    queue = call.instance.jobs

    async def work(job: Job) -> None:
        catalog = call.catalog
        folders = input.get("paths") or ()
        gone = [
            file
            for file in list(catalog.files.values())
            if file.path not in call.instance.disk and (not folders or _below(file.path, folders))
        ]
        for file in gone if not input.get("dryRun") else ():
            for scene in list(catalog.users("scene", "file_ids").get(file.id, ())):
                if len(scene.file_ids) > 1:
                    scene.file_ids = [item for item in scene.file_ids if item != file.id]
                    catalog.touch(scene)
                    continue
                struct = destroy_struct({"id": ""}, file)
                catalog.remove(scene)
                await call.fire("Scene.Destroy.Post", scene.id, struct)
            catalog.remove(file)
        _scan_complete(call)

    return queue.add("Cleaning...", work)


def clean_generated(call: Call, input: Given) -> int:
    async def work(job: Job) -> None:
        return

    return call.instance.jobs.add("Cleaning generated files...", work)


# --- generate -----------------------------------------------------------------------------------------------


def generate(call: Call, input: Given) -> int:
    """Covers and heatmaps touch a scene, previews, sprites and phashes do not; none of them fires a hook."""
    queue = call.instance.jobs

    async def work(job: Job) -> None:
        scenes = _chosen(call, input.get("sceneIDs"), None)
        for number, scene in enumerate(scenes, 1):
            if input.get("covers") and (scene.cover is None or input.get("overwrite")):
                scene.cover = picture(f"generate {scene.id}")
                call.catalog.touch(scene)
            if input.get("interactiveHeatmapsSpeeds") and input.get("overwrite"):
                call.catalog.touch(scene)
            if input.get("phashes"):
                _phash(call, scene)
            queue.set_progress(job, number / len(scenes))
            await asyncio.sleep(0)

    return queue.add("Generating...", work)
