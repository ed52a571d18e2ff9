"""Root fields met in passing: movies (groups by their old name), saved filters, DLNA, folders, migrations.

Sources: internal/api/resolver_{query,mutation}_*.go of Stash 0.30.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .catalog import CatalogError
from .configuration import DLNA
from .finding import Page
from .inputs import whole_id
from .instance import BUILD_TIME, SCHEMA_VERSION, VERSION, Call
from .jobs import Job

Given = Mapping[str, Any]


def find_movies(
    call: Call,
    movie_filter: Given | None = None,
    filter: Given | None = None,
    ids: Sequence[Any] | None = None,
) -> Page:
    return call.finder.find("group", movie_filter, filter, ids)


# --- saved filters ------------------------------------------------------------------------------------------


def find_saved_filter(call: Call, id: Any) -> dict[str, Any] | None:
    return call.instance.saved_filters.get(whole_id(id))


def find_saved_filters(call: Call, mode: str | None = None) -> list[dict[str, Any]]:
    """By name; of one kind of list, or all."""
    held = call.instance.saved_filters.values()
    return sorted((f for f in held if mode in (None, f["mode"])), key=lambda f: str(f["name"]).lower())


def save_filter(call: Call, input: Given) -> dict[str, Any]:
    if not input["name"].strip():
        raise CatalogError("name must be non-empty")
    held = call.instance.saved_filters
    number = whole_id(input["id"]) if input.get("id") is not None else max(held, default=0) + 1
    if input.get("id") is not None and number not in held:
        raise CatalogError(f"filter with id {number} not found")
    held[number] = {**_filter(input), "id": number, "name": input["name"]}
    return held[number]


def _filter(input: Given) -> dict[str, Any]:
    return {
        "mode": input["mode"],
        "filter": "",  # deprecated, and empty since it was
        "find_filter": input.get("find_filter"),
        "object_filter": input.get("object_filter"),
        "ui_options": input.get("ui_options"),
    }


def destroy_saved_filter(call: Call, input: Given) -> bool:
    number = whole_id(input["id"])
    if call.instance.saved_filters.pop(number, None) is None:
        raise CatalogError(f"filter with id {number} not found")
    return True


def find_default_filter(call: Call, mode: str) -> dict[str, Any] | None:
    """Default filters are kept with the settings of the UI."""
    held = call.instance.settings.get("ui", {}).get("defaultFilters", {}).get(mode.lower())
    return None if held is None else {**held, "id": 0, "name": ""}


def set_default_filter(call: Call, input: Given) -> bool:
    ui = dict(call.instance.settings.get("ui", {}))
    filters = dict(ui.get("defaultFilters", {}))
    if input.get("find_filter") is None and input.get("object_filter") is None:
        filters.pop(input["mode"].lower(), None)
    else:
        filters[input["mode"].lower()] = _filter(input)
    call.instance.settings.set({"ui": {**ui, "defaultFilters": filters}})
    return True


# --- DLNA ---------------------------------------------------------------------------------------------------


def dlna_status(call: Call) -> dict[str, Any]:
    dlna = call.instance.dlna
    return {
        "running": dlna.running,
        "until": dlna.until,
        "recentIPAddresses": [],
        "allowedIPAddresses": [
            {"ipAddress": address, "until": until} for address, until in dlna.allowed.items()
        ],
    }


def _until(call: Call, minutes: int | None) -> str | None:
    if minutes is None:
        return None
    then: datetime = call.instance.now() + timedelta(minutes=minutes)
    return then.isoformat()


def set_dlna(running: bool) -> Callable[..., bool]:
    def run(call: Call, input: Given) -> bool:
        call.instance.dlna.running = running
        call.instance.dlna.until = _until(call, input.get("duration"))
        return True

    return run


def allow_dlna(call: Call, input: Given) -> bool:
    call.instance.dlna.allowed[input["address"]] = _until(call, input.get("duration"))
    return True


def forget_dlna(call: Call, input: Given) -> bool:
    return call.instance.dlna.allowed.pop(input["address"], NOWHERE) is not NOWHERE


NOWHERE = object()


def configure_dlna(call: Call, input: Given) -> dict[str, Any]:
    held = {**DLNA, **call.instance.settings.get("dlna", {}), **input}
    call.instance.settings.set({"dlna": held})
    return held


# --- the server and its disk --------------------------------------------------------------------------------


def directory(call: Call, path: str | None = None, locale: str = "en") -> dict[str, Any]:
    """A folder of the made-up disk and those right below it; for one that is not there the nearest above."""
    folders = {"/"}
    for file in call.instance.disk:
        while file.strip("/"):
            file = os.path.dirname(file)
            folders.add(file)
    path = os.path.normpath(os.path.join("/", path or ""))
    while path not in folders:
        path = os.path.dirname(path)
    below = sorted(folder for folder in folders if folder != "/" and os.path.dirname(folder) == path)
    return {"path": path, "parent": os.path.dirname(path) if path != "/" else None, "directories": below}


def latest_version(call: Call) -> dict[str, Any]:
    """There is none newer."""
    number = VERSION.partition("-")[0]
    url = f"https://github.com/stashapp/stash/releases/tag/{number}"
    return {"version": number, "shorthash": VERSION[-9:], "release_date": BUILD_TIME[:10], "url": url}


def no_network(call: Call, input: Given) -> dict[str, Any]:
    return {"valid": False, "status": f"Could not connect to {input['endpoint']}"}


def migration(description: str) -> Callable[..., int]:
    """A job over data this server has none of."""

    async def work(job: Job) -> None:
        return

    def run(call: Call, input: Given | None = None) -> int:
        return call.instance.jobs.add(description, work)

    return run


def anonymise_database(call: Call, input: Given) -> str | None:
    name = f"stash-go.sqlite.{SCHEMA_VERSION}.anonymous"
    return f"{call.base_url}/downloads/{name}" if input.get("download") else None


def batch_tag(call: Call, input: Given) -> str:
    raise CatalogError(f"stash box with endpoint {input.get('stash_box_endpoint') or ''} not found")
