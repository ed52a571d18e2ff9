"""Queries and mutations of the server itself: plugins, jobs, log, version, files, raw SQL, scrapers."""

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .catalog import CatalogError
from .finding import Page
from .firing import PluginRefused
from .gojson import Number
from .inputs import ids, whole_id
from .instance import BUILD_TIME, SCHEMA_VERSION, VERSION, Call, DiskFile
from .jobs import Job, JobFailed
from .resolvers import task_of

Given = Mapping[str, Any]


def version(call: Call) -> dict[str, Any]:
    return {"version": VERSION, "hash": VERSION[-9:], "build_time": BUILD_TIME}


def system_status(call: Call) -> dict[str, Any]:
    return {
        "databaseSchema": SCHEMA_VERSION,
        "databasePath": os.path.join(call.instance.config_dir, "stash-go.sqlite"),
        "configPath": str(call.instance.settings.path),
        "appSchema": SCHEMA_VERSION,
        "status": "OK",
        "os": "linux",
        "workingDir": os.getcwd(),
        "homeDir": os.path.expanduser("~"),
        "ffmpegPath": "/usr/bin/ffmpeg",
        "ffprobePath": "/usr/bin/ffprobe",
    }


def stats(call: Call) -> dict[str, Any]:
    catalog = call.catalog
    scenes = list(catalog.scenes.values())
    files = [catalog.files[item] for scene in scenes for item in scene.file_ids[:1]]
    images = [catalog.primary_file(image) for image in catalog.rows["image"].values()]
    return {
        **{f"{kind}_count": len(catalog.rows[kind]) for kind in ("scene", "image", "gallery", "performer")},
        **{f"{kind}_count": len(catalog.rows[kind]) for kind in ("studio", "group", "tag")},
        "movie_count": len(catalog.rows["group"]),
        "scenes_size": sum(file.size for file in files),
        "scenes_duration": sum(file.duration for file in files),
        "images_size": sum(file.size for file in images if file),
        "total_o_count": sum(len(scene.os) for scene in scenes),
        "total_play_duration": sum(scene.play_duration for scene in scenes),
        "total_play_count": sum(len(scene.plays) for scene in scenes),
        "scenes_played": sum(1 for scene in scenes if scene.plays),
    }


# --- plugins ------------------------------------------------------------------------------------------------


def plugins(call: Call) -> Any:
    return call.instance.host.plugins or None


def plugin_tasks(call: Call) -> Any:
    found = [task_of(plugin, task) for plugin in call.instance.host.enabled() for task in plugin.tasks]
    return found or None


def reload_plugins(call: Call) -> bool:
    call.instance.host.reload()
    return True


def set_plugins_enabled(call: Call, enabledMap: Mapping[str, bool]) -> bool:
    call.instance.settings.set_enabled(enabledMap)
    call.instance.apply_settings()
    return True


def _old_value(given: Given | None) -> Any:
    """A value of the deprecated `args`: whichever of its fields is set, whole and nested."""
    given = given or {}
    for key in ("str", "i", "b", "f"):
        if given.get(key) is not None:
            return given[key]
    if given.get("o") is not None:
        return {item["key"]: _old_value(item.get("value")) for item in given["o"]}
    if given.get("a") is not None:
        return [_old_value(item) for item in given["a"]]
    return None


def run_plugin_task(
    call: Call,
    plugin_id: str,
    task_name: str | None = None,
    description: str | None = None,
    args: Sequence[Given] | None = None,
    args_map: Mapping[str, Any] | None = None,
) -> int:
    """Always a job id, at once, also for a plugin or task that is not there."""
    given = args_map
    if given is None:
        given = {item["key"]: _old_value(item.get("value")) for item in args or ()}
    queue = call.instance.jobs

    async def work(job: Job) -> None:
        try:
            await call.instance.host.run_task(
                plugin_id, task_name, given, call.caller, lambda value: queue.set_progress(job, value)
            )
        except PluginRefused as refusal:
            raise JobFailed(str(refusal)) from refusal

    named = description or task_name or plugin_id
    return queue.add(f"Running plugin task: {named}", work)


async def run_plugin_operation(call: Call, plugin_id: str, args: Mapping[str, Any] | None = None) -> Any:
    return await call.instance.host.run_operation(plugin_id, args or {}, call.caller)


# --- jobs and log -------------------------------------------------------------------------------------------


def job_queue(call: Call) -> Any:
    return call.instance.jobs.all() or None


def find_job(call: Call, input: Given) -> Job | None:
    return call.instance.jobs.find(whole_id(input["id"]))


def stop_job(call: Call, job_id: Any) -> bool:
    call.instance.jobs.stop(whole_id(job_id))
    return True


def stop_all_jobs(call: Call) -> bool:
    call.instance.jobs.stop_all()
    return True


def logs(call: Call) -> Any:
    return call.instance.log.recent()


# --- files --------------------------------------------------------------------------------------------------


def find_file(call: Call, id: Any = None, path: str | None = None) -> Any:
    found = call.catalog.files.get(whole_id(id)) if id is not None else call.catalog.file_by_path(path or "")
    if found is None:
        raise CatalogError(f"file with id {id} not found" if id is not None else f"file {path} not found")
    return found


def find_files(
    call: Call,
    file_filter: Given | None = None,
    filter: Given | None = None,
    ids: Sequence[Any] | None = None,
) -> Page:
    return call.finder.find("file", file_filter, filter, ids)


def find_folder(call: Call, id: Any = None, path: str | None = None) -> Any:
    rows = call.catalog.rows["folder"]
    found = (
        rows.get(whole_id(id)) if id is not None else next((r for r in rows.values() if r.path == path), None)
    )
    if found is None:
        raise CatalogError("folder not found")
    return found


def find_folders(
    call: Call,
    folder_filter: Given | None = None,
    filter: Given | None = None,
    ids: Sequence[Any] | None = None,
) -> Page:
    return call.finder.find("folder", folder_filter, filter, ids)


def move_files(call: Call, input: Given) -> bool:
    """Files change place; their scenes change what they show, with no hook and no touch."""
    catalog = call.catalog
    files = [catalog.get("file", item) for item in ids(input["ids"])]
    folder = input.get("destination_folder")
    if input.get("destination_folder_id") is not None:
        folder = catalog.get("folder", whole_id(input["destination_folder_id"])).path
    basename = input.get("destination_basename")
    if basename and len(files) > 1:
        raise CatalogError("must have one file when using destination path")
    if folder is None and basename is None:
        raise CatalogError("must specify destination folder or path")
    for file in files:
        target = os.path.join(folder or os.path.dirname(file.path), basename or file.basename)
        if target != file.path and catalog.file_by_path(target):
            raise CatalogError(f"file {target} already exists")
        call.instance.disk[target] = replace(call.instance.disk.pop(file.path, DiskFile(target)), path=target)
        catalog.move_file(file, target)
    return True


def delete_files(call: Call, ids: Sequence[Any]) -> bool:
    """Not a scene's primary file. No hook, no touch."""
    catalog = call.catalog
    for item in ids:
        file = catalog.get("file", whole_id(item))
        for kind in ("scene", "image", "gallery"):
            if any(row.file_ids[0] == file.id for row in catalog.users(kind, "file_ids").get(file.id, ())):
                raise CatalogError(f"cannot delete primary file {file.path}")
        call.instance.disk.pop(file.path, None)
        catalog.remove(file)
    return True


def set_fingerprints(call: Call, input: Given) -> bool:
    """Only phashes may be set; null removes one."""
    file = call.catalog.get("file", whole_id(input["id"]))
    for item in input["fingerprints"]:
        if item["type"] not in ("phash", "video_phash"):
            raise CatalogError(f"disallowed or unknown fingerprint type: {item['type']}")
    for item in input["fingerprints"]:
        kept = [(kind, value) for kind, value in file.fingerprints if kind != item["type"]]
        file.fingerprints = [*kept, (item["type"], item["value"])] if item.get("value") is not None else kept
    call.catalog.changed()
    return True


# --- the database -------------------------------------------------------------------------------------------

# Column of `scenes` to attribute. execSQL may change all but the id.
_SCENE_COLUMNS = {
    "id": "id",
    "title": "title",
    "details": "details",
    "date": "date",
    "rating": "rating100",
    "organized": "organized",
    "studio_id": "studio_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "code": "code",
    "director": "director",
    "resume_time": "resume_time",
    "play_duration": "play_duration",
}
_TABLES: dict[str, tuple[str, ...]] = {
    "schema_migrations": ("version", "dirty"),
    "scenes": tuple(_SCENE_COLUMNS),
    "scenes_files": ("scene_id", "file_id", '"primary"'),
    "scenes_tags": ("scene_id", "tag_id"),
    "performers_scenes": ("performer_id", "scene_id"),
    "groups_scenes": ("group_id", "scene_id", "scene_index"),
    "files": ("id", "basename", "parent_folder_id", "size", "mod_time"),
    "files_fingerprints": ("file_id", "type", "fingerprint"),
    "folders": ("id", "path", "parent_folder_id"),
    "tags": ("id", "name", "created_at", "updated_at"),
    "performers": ("id", "name", "created_at", "updated_at"),
    "studios": ("id", "name", "parent_id", "created_at", "updated_at"),
    "groups": ("id", "name", "created_at", "updated_at"),
}


def _database(call: Call) -> sqlite3.Connection:
    """The catalog as tables of Stash's names, for as long as one statement takes."""
    base = sqlite3.connect(":memory:")
    for table, columns in _TABLES.items():
        base.execute(f'create table "{table}" ({", ".join(columns)})')
    catalog = call.catalog
    scenes = catalog.scenes.values()

    def fill(table: str, rows: Any) -> None:
        marks = ",".join("?" * len(_TABLES[table]))
        base.executemany(f'insert into "{table}" values ({marks})', rows)

    fill("schema_migrations", [(SCHEMA_VERSION, False)])
    fill("scenes", ([getattr(s, name) for name in _SCENE_COLUMNS.values()] for s in scenes))
    fill("scenes_files", ((s.id, f, int(i == 0)) for s in scenes for i, f in enumerate(s.file_ids)))
    fill("scenes_tags", ((s.id, item) for s in scenes for item in s.tag_ids))
    fill("performers_scenes", ((item, s.id) for s in scenes for item in s.performer_ids))
    fill("groups_scenes", ((item, s.id, index) for s in scenes for item, index in s.group_links))
    files = catalog.files.values()
    fill("files", ((f.id, f.basename, f.parent_folder_id, f.size, f.mod_time) for f in files))
    fill(
        "files_fingerprints",
        # SQLite's integers are signed: so are Stash's phashes.
        (
            (f.id, kind, _signed(value) if kind == "phash" else value)
            for f in files
            for kind, value in f.fingerprints
        ),
    )
    fill("folders", ((f.id, f.path, f.parent_folder_id) for f in catalog.rows["folder"].values()))
    for kind in ("tag", "performer", "group"):
        fill(f"{kind}s", ((r.id, r.name, r.created_at, r.updated_at) for r in catalog.rows[kind].values()))
    fill(
        "studios",
        ((r.id, r.name, r.parent_id, r.created_at, r.updated_at) for r in catalog.rows["studio"].values()),
    )
    base.commit()
    return base


def _signed(phash: str) -> int:
    value = int(phash, 16)
    return value - (1 << 64) if value >> 63 else value


def _bound(args: Sequence[Any] | None) -> list[Any]:
    return [float(item) if isinstance(item, Number) else item for item in args or ()]


def query_sql(call: Call, sql: str, args: Sequence[Any] | None = None) -> dict[str, Any]:
    try:
        cursor = _database(call).execute(sql, _bound(args))
    except sqlite3.Error as error:
        raise CatalogError(str(error)) from error
    columns = [item[0] for item in cursor.description or ()]
    return {"columns": columns, "rows": [list(row) for row in cursor.fetchall()]}


def exec_sql(call: Call, sql: str, args: Sequence[Any] | None = None) -> dict[str, Any]:
    """What a statement changes in scenes, their tags and performers, files and names reaches the catalog: no hook, no
    touch. New and deleted rows of other tables do not.
    """
    base = _database(call)
    try:
        cursor = base.execute(sql, _bound(args))
        _take_back(call, base)
    except sqlite3.Error as error:
        raise CatalogError(str(error)) from error
    call.catalog.changed()
    return {"rows_affected": max(cursor.rowcount, 0), "last_insert_id": cursor.lastrowid or 0}


def _take_back(call: Call, base: sqlite3.Connection) -> None:
    catalog = call.catalog
    for row in base.execute(f"select {', '.join(_SCENE_COLUMNS)} from scenes").fetchall():
        scene = catalog.scenes.get(row[0])
        for name, value in zip(_SCENE_COLUMNS.values(), row, strict=True):
            if scene is not None and getattr(scene, name) != value:
                setattr(scene, name, bool(value) if name == "organized" else value)
    for table, column, name in (
        ("scenes_tags", "tag_id", "tag_ids"),
        ("performers_scenes", "performer_id", "performer_ids"),
    ):
        linked: dict[int, list[int]] = {number: [] for number in catalog.scenes}
        for scene_id, other_id in base.execute(f"select scene_id, {column} from {table}").fetchall():
            linked.setdefault(scene_id, []).append(other_id)
        for number, scene in catalog.scenes.items():
            if getattr(scene, name) != linked[number]:
                setattr(scene, name, linked[number])
    for number, basename in base.execute("select id, basename from files").fetchall():
        file = catalog.files.get(number)
        if file is not None and file.basename != basename:
            _renamed(call, file, os.path.join(os.path.dirname(file.path), basename))
    for kind in ("tag", "performer", "studio", "group"):
        for number, name in base.execute(f"select id, name from {kind}s").fetchall():
            row = catalog.rows[kind].get(number)
            if row is not None and row.name != name:
                row.name = name


def _renamed(call: Call, file: Any, target: str) -> None:
    """A plugin that tells the database of a new name has renamed the file before, if it is a real one."""
    if os.path.exists(target) and not os.path.exists(file.path):
        held = call.instance.disk.pop(file.path, DiskFile(target))
        call.instance.disk[target] = replace(held, path=target)
    call.catalog.move_file(file, target)


def backup_database(call: Call, input: Given) -> str | None:
    """Null unless a download is asked for, as in Stash: the backup is then beside the database."""
    name = f"stash-go.sqlite.{SCHEMA_VERSION}.{time.strftime('%Y%m%d_%H%M%S')}"
    return f"{call.base_url}/downloads/{name}" if input.get("download") else None


def optimise_database(call: Call) -> int:
    async def work(job: Job) -> None:
        return

    return call.instance.jobs.add("Optimising database...", work)


# --- stash-boxes: none answers -----------------------------------------------------------------------------


def submit_to_stash_box(call: Call, input: Given) -> None:
    raise CatalogError(f"stash box with endpoint {input.get('stash_box_endpoint')} not found")
