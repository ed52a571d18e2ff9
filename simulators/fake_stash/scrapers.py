"""Scrapers: YAML files below the scrapers folder, as in Stash, of which those that run a script are really run.

A script gets one JSON object on stdin (`url`, `name`, or the fields of a scene) and writes an object, or for a search
a list, on stdout; stderr goes to the log. Actions that read web pages (scrapeXPath, scrapeJson, stash) are listed and
refused when they are asked. Two are always there: Auto Tag (names found in the path) and Freeones (of the web).
Source: pkg/scraper of Stash 0.30.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .catalog import CatalogError, Scene
from .inputs import whole_id
from .instance import Call
from .library_jobs import named_in
from .logs import LEVELS
from .process import read_mark

Given = Mapping[str, Any]

# Kind of content -> its prefix in the file. A movie is a group by its old name.
KINDS = ("scene", "performer", "gallery", "image", "group", "movie")
# Key of the file behind the prefix -> the kind of scraping `Scraper.scene { supported_scrapes }` tells of.
WAYS = {"ByName": "NAME", "ByFragment": "FRAGMENT", "ByQueryFragment": "FRAGMENT", "ByURL": "URL"}
TIMEOUT_S = 60
TYPE_NAMES = {kind: f"Scraped{kind.capitalize()}" for kind in KINDS}


AUTO_TAG = "builtin_autotag"


class BadScraper(Exception):
    """The file is no scraper; the text names what."""


@dataclass(frozen=True)
class Action:
    action: str
    script: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scraper:
    id: str
    name: str
    folder: str
    actions: Mapping[tuple[str, str], tuple[Action, ...]]  # (kind, way)

    def spec(self, kind: str) -> dict[str, Any] | None:
        """What `Scraper.scene` and its like show; null when it does not do that kind."""
        ways = [way for way in WAYS if (kind, way) in self.actions]
        if not ways:
            return None
        urls = [url for action in self.actions.get((kind, "ByURL"), ()) for url in action.urls]
        return {"urls": urls or None, "supported_scrapes": sorted({WAYS[way] for way in ways})}


BUILT_IN = (
    Scraper(
        AUTO_TAG,
        "Auto Tag",
        "",
        {("scene", "ByFragment"): (Action("autotag"),), ("gallery", "ByFragment"): (Action("autotag"),)},
    ),
    Scraper(
        "builtin_freeones",
        "Freeones",
        "",
        {
            ("performer", "ByName"): (Action("scrapeXPath"),),
            ("performer", "ByURL"): (Action("scrapeXPath", (), ("freeones.xxx", "freeones.com")),),
        },
    ),
)


def read_scraper(path: Path) -> Scraper:
    """Raises BadScraper."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as problem:
        raise BadScraper(str(problem)) from problem
    if not isinstance(data, dict) or not data.get("name"):
        raise BadScraper("name must not be empty")
    actions: dict[tuple[str, str], tuple[Action, ...]] = {}
    for key, value in data.items():
        kind, way = next(
            ((k, key.removeprefix(k)) for k in KINDS if key.startswith(k) and key.removeprefix(k) in WAYS),
            ("", ""),
        )
        if kind:
            rows = value if isinstance(value, list) else [value]
            actions[kind, way] = tuple(_action(key, row) for row in rows)
    return Scraper(path.stem, str(data["name"]), str(path.parent), actions)


def _action(key: str, row: Any) -> Action:
    if not isinstance(row, dict) or not row.get("action"):
        raise BadScraper(f"{key}: action must not be empty")
    if row["action"] == "script" and not row.get("script"):
        raise BadScraper(f"{key}: script is mandatory for script scraper")
    if key.endswith("ByURL") and not row.get("url"):
        raise BadScraper(f"{key}: url is mandatory")
    return Action(row["action"], tuple(map(str, row.get("script") or ())), tuple(row.get("url") or ()))


def load(folder: str, complain: Callable[[str], None]) -> list[Scraper]:
    """All below the folder, by their path; what is none is complained of and left out."""
    found = []
    for path in sorted(Path(folder).rglob("*.yml")):
        try:
            found.append(read_scraper(path))
        except BadScraper as problem:
            complain(f"Error loading scraper {path}: {problem}")
    return [*BUILT_IN, *found]


# --- root fields --------------------------------------------------------------------------------------------


def _loaded(call: Call) -> list[Scraper]:
    if call.instance.scrapers is None:
        reload_scrapers(call)
    held: list[Scraper] = call.instance.scrapers or []
    return held


def reload_scrapers(call: Call) -> bool:
    named = call.instance.settings.get("general", {}).get("scrapersPath") or "scrapers"
    call.instance.scrapers = load(os.path.join(call.instance.config_dir, named), call.instance.log.error)
    return True


def list_scrapers(call: Call, types: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for scraper in _loaded(call):
        specs = {kind: scraper.spec(kind) for kind in KINDS}
        if any(specs[kind.lower()] for kind in types):
            rows.append({"id": scraper.id, "name": scraper.name, **specs})
    return sorted(rows, key=lambda row: str(row["name"]).lower())


def by_url(kind: str) -> Callable[..., Any]:
    """The first scraper that knows the address; null when none does."""

    async def scrape(call: Call, url: str) -> Any:
        return await _url(call, kind, url)

    return scrape


async def any_url(call: Call, url: str, ty: str) -> Any:
    kind = ty.lower()
    found = await _url(call, kind, url)
    return None if found is None else {**found, "__typename": TYPE_NAMES[kind]}


async def _url(call: Call, kind: str, url: str) -> Any:
    for scraper in _loaded(call):
        for action in scraper.actions.get((kind, "ByURL"), ()):
            if any(part in url for part in action.urls):
                found = await _run(call, scraper, action, {"url": url})
                if found is not None:
                    return _finished(call, kind, found)
    return None


def single(kind: str) -> Callable[..., Any]:
    """One thing by a chosen scraper: searched by name, or by the fields of one that is there or was found before."""

    async def scrape(call: Call, source: Given, input: Given) -> list[Any]:
        scraper = _chosen(call, source)
        if input.get("query") is not None:
            found = await _by(call, scraper, kind, ("ByName",), {"name": input["query"]})
        elif input.get(f"{kind}_id") is not None:
            row = call.catalog.get("group" if kind == "movie" else kind, whole_id(input[f"{kind}_id"]))
            if scraper.id == AUTO_TAG and (kind, "ByFragment") in scraper.actions:
                return _auto_tagged(call, row)
            found = await _by(call, scraper, kind, ("ByFragment",), _fields(call, row))
        elif input.get(f"{kind}_input") is not None:
            found = await _by(
                call, scraper, kind, ("ByQueryFragment", "ByFragment"), dict(input[f"{kind}_input"])
            )
        else:
            raise CatalogError(f"{kind}_id, {kind}_input, or query must be set")
        rows = found if isinstance(found, list) else [found]
        return [_finished(call, kind, row) for row in rows if row is not None]

    return scrape


def _auto_tagged(call: Call, row: Any) -> list[Any]:
    """What names in the path say; nothing when they say nothing."""
    file = call.catalog.primary_file(row)
    if file is None:
        return []
    rows = {kind: call.catalog.rows[kind] for kind in ("performer", "tag", "studio")}
    found = {
        kind: [
            {"name": rows[kind][item].name, "stored_id": str(item)}
            for item in named_in(call, kind, "*", file.path)
        ]
        for kind in rows
    }
    if not any(found.values()):
        return []
    studio = found["studio"][0] if found["studio"] else None
    return [{"performers": found["performer"] or None, "tags": found["tag"] or None, "studio": studio}]


def many(call: Call, source: Given, input: Given) -> list[list[Any]]:
    """Many at once, which only stash-boxes do."""
    _chosen(call, source)
    raise CatalogError("scraper_id is not supported for many at once: not implemented")


def of_stash_box(call: Call, source: Given, input: Given) -> list[Any]:
    """What only stash-boxes know."""
    if source.get("stash_box_endpoint"):
        raise CatalogError(f"stash box with endpoint {source['stash_box_endpoint']} not found")
    raise CatalogError("stash_box_index or stash_box_endpoint must be set")


def _chosen(call: Call, source: Given) -> Scraper:
    if wanted := source.get("scraper_id"):
        for scraper in _loaded(call):
            if scraper.id == wanted:
                return scraper
        raise CatalogError(f"scraper {wanted} not found")
    if source.get("stash_box_endpoint"):
        raise CatalogError(f"stash box with endpoint {source['stash_box_endpoint']} not found")
    raise CatalogError("scraper_id or stash_box_index must be set")


async def _by(call: Call, scraper: Scraper, kind: str, ways: Sequence[str], given: dict[str, Any]) -> Any:
    for way in ways:
        for action in scraper.actions.get((kind, way), ()):
            return await _run(call, scraper, action, given)
    raise CatalogError(f"scraper {scraper.id}: cannot use scraper {scraper.id} as a {kind} scraper")


def _fields(call: Call, row: Any) -> dict[str, Any]:
    """The fields of a thing as its scraper gets them. A scene without a title goes by its file's name."""
    title = getattr(row, "title", None)
    if isinstance(row, Scene) and not title:
        file = call.catalog.primary_file(row)
        title = file.basename if file else ""
    urls = list(getattr(row, "urls", ()))
    about = {"id": str(row.id), "title": title, "name": getattr(row, "name", None)}
    about |= {"details": getattr(row, "details", None), "date": getattr(row, "date", None)}
    return {key: value for key, value in about.items() if value is not None} | {
        "url": urls[0] if urls else None,
        "urls": urls,
    }


async def _run(call: Call, scraper: Scraper, action: Action, given: dict[str, Any]) -> Any:
    """What the script answers; None for nothing."""
    if action.action != "script":
        raise CatalogError(
            f"scraper {scraper.id}: action {action.action} reads the web, which is not imitated"
        )
    log = call.instance.log
    command = list(action.script)
    if command[0] in ("python", "python3"):
        command[0] = call.instance.host.python() or command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=scraper.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as problem:
        raise CatalogError(f"scraper {scraper.id}: error running scraper script: {problem}") from problem
    try:
        out, errors = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), TIMEOUT_S)
    except BaseException:
        process.kill()
        raise
    for line in errors.decode("utf-8", "replace").splitlines():
        level, text = read_mark(line, "error")
        log.write(level if level in LEVELS else "Error", f"[Scrape / {scraper.name}] {text}")
    try:
        found = json.loads(out)
    except ValueError as problem:
        text = f"could not unmarshal json from script output: {problem}"
        raise CatalogError(f"scraper {scraper.id}: {text}") from problem
    if process.returncode:
        raise CatalogError(
            f"scraper {scraper.id}: error running scraper script: exit status {process.returncode}"
        )
    return found or None


def _finished(call: Call, kind: str, found: Any) -> dict[str, Any]:
    """The answer with the numbers of what is in the library already, by name."""
    if not isinstance(found, dict):
        raise CatalogError(
            f"json: cannot unmarshal {type(found).__name__} into Go value of type scraper.Scraped"
        )
    urls = found.get("urls") or ([found["url"]] if found.get("url") else None)
    made = {**found, "urls": urls, "url": urls[0] if urls else None}
    for name, row in _named(made):
        held = _held(call, name, row)
        row["stored_id"] = str(held.id) if held else None
    if kind in ("performer", "group", "movie"):
        held = _held(call, "group" if kind == "movie" else kind, made)
        made["stored_id"] = str(held.id) if held else None
    return made


def _held(call: Call, kind: str, found: Given) -> Any:
    """The one in the library that goes by that name, or None."""
    name = str(found.get("name") or "").lower()
    return next((row for row in call.catalog.rows[kind].values() if row.name.lower() == name), None)


def _named(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, row) of everything the answer names, the rows made anew."""
    for key, kind in (("performers", "performer"), ("tags", "tag"), ("groups", "group"), ("movies", "group")):
        if found.get(key) is not None:
            found[key] = [dict(row) for row in found[key]]
            for row in found[key]:
                yield kind, row
    if found.get("studio"):
        found["studio"] = dict(found["studio"])
        yield "studio", found["studio"]
