"""The Service that simulators.serving runs: token, start-up sequence, faults' error pages, compression,
control calls.

`FakePlex.from_document` and `FakePlex.generated` make one; `python -m simulators.fake_plex` and the tests do
nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import heapq
import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

# Imported for the table they fill.
from simulators.fake_plex import edits, group_routes, item_routes, routes, section_routes, server_routes, wire  # noqa: F401
from simulators.fake_plex.library import (
    ITEM_KEYS,
    TAG_KINDS,
    Broken,
    Item,
    Library,
    Refused,
    Section,
)
from simulators.fake_plex.notices import Listeners, frame
from simulators.faults import ControlError
from simulators.generate import ROOT, generate
from simulators.page import plex_card
from simulators.serving import NOT_MINE, Address, Reply, Request, Service, expect

# Error pages, byte for byte as recorded.
_PAGE = "<html><head><title>{0}</title></head><body><h1>{1} {0}</h1></body></html>"
_ROOT_401 = (
    "<html><head><script>window.location = window.location.href.match(/(^.+\\/)[^\\/]*$/)[1] + 'web/index.html';"
    "</script><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1></body></html>"
)
_MAINTENANCE = (
    '{"code":503,"title":"Maintenance",'
    '"status":"Plex Media Server is currently running startup maintenance tasks."}'
)
_STARTING = "the server is still starting up. Please retry later"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    500: "Internal Server Error",
}
# What only the owner may even look at.
_OWNERS = ("/status/sessions", "/:/prefs", "/accounts", "/butler", "/activities", "/devices", "/diagnostics")
GZIP_FROM_BYTES = 150
TICK_S = 0.05
MANY = 10_000

_SECTION_KEYS = (
    "title",
    "type",
    "agent",
    "scanner",
    "language",
    "locations",
    "items",
    "hidden",
    "uuid",
    "key",
)
_FILE_KEYS = ("sections", "server", "switches", "accounts", "prefs", "folders", "guests")


class LibraryFileError(ValueError):
    """The library file cannot be used; str() says what is wrong where."""


def _unknown(given: Mapping[str, Any], known: Any, where: str) -> None:
    for key in given:
        if key not in known:
            raise LibraryFileError(f"{where}: unknown key {key!r} (there are {', '.join(sorted(known))})")


def load(library: Library, document: Any) -> None:
    """Fills a library from the parsed library file; LibraryFileError names what is wrong."""
    if not isinstance(document, dict):
        raise LibraryFileError("a library file is a JSON object with 'sections'")
    _unknown(document, _FILE_KEYS, "library file")
    library.server |= document.get("server", {})
    library.prefs |= document.get("prefs", {})
    library.guests |= set(document.get("guests", ()))
    library.folders |= set(document.get("folders", ()))
    try:
        library.switches = library.switches.changed(document.get("switches", {}))
    except ValueError as problem:
        raise LibraryFileError(str(problem)) from problem
    for number, name in enumerate(document.get("accounts", ()), start=2):
        library.accounts.append((number, name))
    for section in document.get("sections", []):
        where = f"section {section.get('title')!r}"
        _unknown(section, _SECTION_KEYS, where)
        if "title" not in section:
            raise LibraryFileError("a section has no 'title'")
        given = {key: value for key, value in section.items() if key not in ("title", "items")}
        made = library.add_section(section["title"], **given)
        for item in section.get("items", []):
            if "file" not in item:
                raise LibraryFileError(f"{where}: an item has no 'file': {item.get('title')!r}")
            _unknown(item, ITEM_KEYS, f"{where}, item {item['file']!r}")
            try:
                library.add_item(made, **item)
            except (TypeError, ValueError) as problem:
                raise LibraryFileError(f"{where}, item {item['file']!r}: {problem}") from problem


def generated_library(library: Library, n: int, seed: int) -> None:
    """A personal media library at ROOT holding the files of `n` made-up scenes, as a scan without an agent
    finds them.
    """
    section = library.add_section("Stash", locations=[ROOT])
    for scene in generate(n, seed):
        width, height = scene["width"], scene["height"]
        library.add_item(
            section,
            scene["path"],
            duration=int(scene["duration"] * 1000),
            size=scene["size"],
            bitrate=scene["bit_rate"] // 1000,
            width=width,
            height=height,
            mtime=scene["mtime"],
            added_at=scene["mtime"],
        )


class FakePlex(Service):
    """A Plex Media Server. `fill` puts the library file's content into an empty Library; reset calls it
    again.
    """

    name = "fake_plex"
    keepalive_s = 20

    def __init__(self, fill: Callable[[Library], None], *, token: str | None = None, seed: int = 0) -> None:
        self.fill, self.seed = fill, seed
        self.token = token if token is not None else hashlib.sha1(f"token:{seed}".encode()).hexdigest()[:20]
        self.listeners = Listeners()
        self.history_s = 0.0
        self.library = self._filled()
        self._ticker: asyncio.Task[None] | None = None
        self._web: aiohttp.ClientSession | None = None

    @classmethod
    def from_document(cls, document: Any, *, token: str | None = None, seed: int = 0) -> FakePlex:
        return cls(lambda library: load(library, document), token=token, seed=seed)

    @classmethod
    def generated(cls, n: int, *, token: str | None = None, seed: int = 0) -> FakePlex:
        return cls(lambda library: generated_library(library, n, seed), token=token, seed=seed)

    def _filled(self) -> Library:
        library = Library(self.seed, time.time)
        # A hundred thousand items are a million objects that stay: looking through them again and again for
        # garbage would take half of the start, and make long pauses later.
        gc.disable()
        with library.filling():
            self.fill(library)
        gc.enable()
        if len(library.items) > MANY:
            gc.freeze()
        for section in library.sections.values():
            library.gather_collections(section)
        library.listeners.append(self._told)
        library.remember(self.history_s, time.monotonic)
        return library

    def _told(self, kind: str, about: dict[str, Any]) -> None:
        if self.listeners.queues:
            container = frame(kind, about)
            if container is not None:
                self.listeners.tell(container)

    def ready(self) -> dict[str, Any]:
        return {"token": self.token}

    async def start(self, address: Address) -> None:
        self._web = aiohttp.ClientSession()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._web is not None:
            await self._web.close()

    async def _tick(self) -> None:
        """Lets scans end, and tells listeners, when nobody asks meanwhile."""
        while True:
            await asyncio.sleep(TICK_S)
            self.library.settle()

    async def reset(self) -> None:
        self.library = self._filled()

    def remember(self, seconds: float) -> None:
        self.history_s = seconds
        self.library.remember(seconds, time.monotonic)

    # Requests.

    async def answer(self, request: Request) -> Reply:
        refused = self._kept_out(request)
        if refused is not None:
            return refused
        if request.path.startswith(("/:/websocket", "/:/eventsource")):
            return self._listen(request)
        found = routes.find(request.method, request.path)
        if isinstance(found, int):
            return self.error(found, request)
        self.library.settle()
        function, parts = found
        call = routes.Call(
            self.library,
            request.method,
            request.path,
            parts,
            request.params,
            request.headers,
            request.body,
            self._fetch,
        )
        try:
            with self.library.as_of(request.as_of):
                made = function(call)
                if not inspect.isawaitable(made):
                    return self._reply(request, made)
            return self._reply(request, await made)
        except Refused as refusal:
            if str(refusal):
                return Reply(
                    status=routes.STATUSES[type(refusal)],
                    body=str(refusal).encode(),
                    content_type="text/html",
                )
            return self.error(routes.STATUSES[type(refusal)], request)

    def _kept_out(self, request: Request) -> Reply | None:
        starting = self.library.switches.starting
        if starting == "maintenance":
            return Reply(status=503, body=_MAINTENANCE.encode(), content_type="application/json")
        if request.path == "/identity" and request.method == "GET":
            return None
        given = request.headers.get("X-Plex-Token") or request.get("X-Plex-Token")
        if self.token and given != self.token:
            if given not in self.library.guests:
                return self.error(401, request)
            if request.path.startswith(_OWNERS) or (
                request.method != "GET" and not request.path.startswith("/:/")
            ):
                return self.error(403, request)
        if starting == "reads_only" and request.method not in ("GET", "HEAD"):
            return Reply(status=400, body=_STARTING.encode(), content_type="text/html")
        return None

    def _reply(self, request: Request, made: Any) -> Reply:
        if made is None:
            return Reply(content_type="text/html")
        if isinstance(made, routes.Raw):
            return Reply(body=made.body, content_type=made.content_type, headers=made.headers)
        if isinstance(made, routes.Created):
            return replace(self._reply(request, made.root), status=201)
        if "application/json" in request.headers.get("Accept", ""):
            return Reply(body=wire.to_json(made), content_type="application/json")
        return Reply(body=wire.to_xml(made), content_type="text/xml;charset=utf-8")

    def error(self, status: int, request: Request) -> Reply:
        if status == 503:
            return Reply(status=503, body=_MAINTENANCE.encode(), content_type="application/json")
        page = _PAGE.format(_TITLES.get(status, "Error"), status)
        if status == 401 and request.path == "/":
            page = _ROOT_401
        return Reply(status=status, body=page.encode(), content_type="text/html")

    def encode(self, request: Request, reply: Reply) -> Reply:
        headers = {"X-Plex-Protocol": "1.0", "Cache-Control": "no-cache", **reply.headers}
        headers["Vary"] = "Origin, X-Plex-Token"
        body = reply.body
        if len(body) >= GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers |= {
                "Content-Encoding": "gzip",
                "X-Plex-Content-Original-Length": str(len(reply.body)),
                "X-Plex-Content-Compressed-Length": str(len(body)),
            }
        if reply.status >= 400:
            headers["Connection"] = "close"
        else:
            headers["Keep-Alive"] = f"timeout={int(self.keepalive_s)}"
        return replace(reply, body=body, headers=headers)

    async def _fetch(self, url: str) -> bytes:
        """What is at a url, as the server downloads an image it was told about."""
        if urlsplit(url).scheme not in ("http", "https") or self._web is None:
            raise Refused
        limit = aiohttp.ClientTimeout(total=self.library.switches.url_fetch_s)
        try:
            async with self._web.get(url, timeout=limit, ssl=False) as answer:
                if answer.status != 200:
                    raise Broken
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise Broken from problem

    # Listening clients.

    def _listen(self, request: Request) -> Reply:
        if request.path.startswith("/:/eventsource"):
            return Reply(content_type="text/event-stream", stream=self._events())
        return Reply(websocket=self._frames)

    async def _frames(self, socket: aiohttp.web.WebSocketResponse) -> None:
        async def send() -> None:
            async for container in self.listeners.frames():
                await socket.send_str(json.dumps({"NotificationContainer": container}))

        sending = asyncio.create_task(send())
        try:
            async for _ in socket:
                pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _events(self) -> Any:
        yield b"event: ping\ndata: {}\n\n"
        async for container in self.listeners.frames():
            kind = container["type"]
            (name, rows), *_ = [(k, v) for k, v in container.items() if isinstance(v, list)]
            for row in rows:
                yield f"event: {kind}\ndata: {json.dumps({name: row})}\n\n".encode()

    # Control.

    def state(self, params: Mapping[str, str]) -> Any:
        """Everything; `?section=TITLE` or `?rating_key=K` for a part."""
        self.library.settle()
        library = self.library
        wanted = [s for s in library.sections.values() if params.get("section", s.title) == s.title]
        return {
            "server": library.server,
            "switches": asdict(library.switches),
            "sections": [self._section_state(section, params.get("rating_key")) for section in wanted],
            "activities": [asdict(activity) for activity in library.activities.values()],
            "history": [asdict(view) for view in library.views],
            "playlists": [
                {"rating_key": p.key, "title": p.title, "items": [k for _, k in p.entries]}
                for p in library.playlists.values()
            ],
        }

    def _section_state(self, section: Section, rating_key: str | None) -> dict[str, Any]:
        library = self.library
        items = [i for i in library.movies(section) if rating_key in (None, str(i.key))]
        return {
            "key": section.key,
            "title": section.title,
            "type": section.type,
            "agent": section.agent,
            "language": section.language,
            "locations": [path for _, path in section.locations],
            "refreshing": section.refreshing > 0,
            "scanned_at": section.scanned_at,
            "pending": sorted(f for f in section.disk if f not in library.files),
            "items": [self._item_state(item) for item in items],
            "collections": [
                {**self._item_state(c), "items": [i.key for i in library.members(c)], "smart": c.smart}
                for c in library.collections(section)
            ],
        }

    def _item_state(self, item: Item) -> dict[str, Any]:
        library = self.library
        names = {kind: [library.tags[t.tag].name for t in taggings] for kind, taggings in item.tags.items()}
        cast = item.tags.get("actor", ())
        return {
            "rating_key": item.key,
            "title": item.title,
            "file": item.media[0].file if item.media else None,
            "files": [media.file for media in item.media],
            "guid": item.guid,
            "fields": dict(item.fields),
            "tags": names,
            "roles": {library.tags[t.tag].name: t.text for t in cast if t.text},
            "locked": sorted(item.locks),
            "added_at": item.added_at,
            "updated_at": item.updated_at,
            "view_count": item.view_count,
            "view_offset_ms": item.view_offset_ms,
            "deleted": item.deleted_at is not None,
            "settled": item.settled,
            **{kind: self._pictures(item, kind) for kind in ("posters", "arts")},
        }

    def _pictures(self, item: Item, kind: str) -> list[dict[str, Any]]:
        gallery = self.library.gallery(item, kind)
        return [
            {
                "key": picture.key,
                "bytes": len(picture.data),
                "selected": picture.key == gallery.selected,
                "source_url": picture.source_url,
            }
            for picture in gallery.pictures
        ]

    def cards(self, most: int) -> tuple[int, list[dict[str, Any]]]:
        """How many items there are, and the last changed of them as cards of the live page."""
        self.library.settle()
        items = [item for section in self.library.sections.values() for item in self.library.movies(section)]
        latest = heapq.nlargest(most, items, key=lambda item: (item.updated_at, item.key))
        return len(items), [plex_card(self._item_state(item)) for item in latest]

    async def control(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Any:
        self.library.settle()
        match (method, path):
            case ("POST", "/media"):
                return self._media_appears(body)
            case ("DELETE", "/media"):
                return self._media_vanishes(body if body is not None else dict(params))
            case ("POST", "/items"):
                return self._change_item(body)
            case ("POST", "/startup"):
                call = expect(body, "startup", {"maintenance_s": "float", "reads_only_s": "float"})
                self.library.start_up(call.get("maintenance_s", 1), call.get("reads_only_s", 1))
                return {"starting": self.library.switches.starting}
            case ("GET", "/switches"):
                return asdict(self.library.switches)
            case ("POST", "/switches"):
                if not isinstance(body, dict):
                    raise ControlError("switches: the body must be a JSON object")
                try:
                    self.library.switches = self.library.switches.changed(body)
                except ValueError as problem:
                    raise ControlError(str(problem)) from problem
                self.library.revise_all()
                return asdict(self.library.switches)
        return NOT_MINE

    def _media_appears(self, body: Any) -> Any:
        """A file is there from now on: found at once, or by the next scan somebody asks for."""
        scalars = {name: "Any" for name in ITEM_KEYS if name not in ("file", "title", "locked")}
        call = expect(
            body,
            "media",
            {"section": "int | str", "file": "str", "title": "str", "scan": "str", **scalars},
            ("file",),
        )
        given = dict(call)
        section = self._section_named(given.pop("section", None), call["file"])
        scan = given.pop("scan", "now")
        if scan not in ("now", "on_refresh"):
            raise ControlError(f'media: \'scan\' must be "now" or "on_refresh", not {scan!r}')
        file = given.pop("file")
        if not section_holds(section, file):
            places = ", ".join(path for _, path in section.locations)
            raise ControlError(f"media: {file!r} is not below a location of {section.title!r} ({places})")
        self.library.file_appears(section, file, given)
        if scan == "now":
            self.library.scan_now(section)
        keys = self.library.files.get(file, ())
        return {"file": file, "section": section.title, "rating_key": keys[0] if keys else None}

    def _section_named(self, name: int | str | None, file: str) -> Section:
        sections = list(self.library.sections.values())
        if name is None:
            fits = [s for s in sections if section_holds(s, file)]
            if not fits:
                raise ControlError(f"media: no section has a location above {file!r}")
            return fits[0]
        for section in sections:
            if name in (section.title, section.key, str(section.key)):
                return section
        raise ControlError(f"media: there is no section {name!r}")

    def _media_vanishes(self, body: Any) -> Any:
        call = expect(body, "media", {"file": "str", "scan": "str"}, ("file",))
        scan = call.get("scan", "now")
        if scan not in ("now", "on_refresh"):
            raise ControlError(f'media: \'scan\' must be "now" or "on_refresh", not {scan!r}')
        sections = self.library.file_vanishes(call["file"])
        if not sections:
            raise ControlError(f"media: there is no file {call['file']!r}")
        if scan == "now":
            for section in sections:
                self.library.scan_now(section)
        return {"file": call["file"], "sections": [section.title for section in sections]}

    def _change_item(self, body: Any) -> Any:
        """What a person, an agent or bad luck does to an item: values, locks, tags, poisoned (500 from now
        on).
        """
        kinds = {
            "rating_key": "int | str",
            "values": "dict",
            "locks": "dict",
            "tags": "dict",
            "poisoned": "bool",
        }
        call = expect(body, "items", kinds, ("rating_key",))
        item = self.library.items.get(int(call["rating_key"]) if str(call["rating_key"]).isdigit() else -1)
        if item is None:
            raise ControlError(f"items: there is no item {call['rating_key']!r}")
        if "poisoned" in call:
            item = item.version()
            item.poisoned = call["poisoned"]
            self.library.put(item)
        edit = edits.Edit(
            {name: str(value) for name, value in call.get("values", {}).items()}, dict(call.get("locks", {}))
        )
        for kind, names in call.get("tags", {}).items():
            if kind not in TAG_KINDS:
                raise ControlError(f"items: unknown tag kind {kind!r} (there are {', '.join(TAG_KINDS)})")
            edit.tags[kind] = edits.TagEdit(tuple(edits.Wanted(name) for name in names), clear=True)
        if edit.values or edit.locks or edit.tags:
            try:
                self.library.edit([item], edit)
            except Refused as problem:
                raise ControlError(
                    f"items: the edit is refused with {routes.STATUSES[type(problem)]}"
                ) from problem
        return self._item_state(self.library.items[item.key])


def section_holds(section: Section, file: str) -> bool:
    """Whether the file is below one of the section's locations."""
    plain = file.replace("\\", "/")
    return any(plain.startswith(path.replace("\\", "/").rstrip("/") + "/") for _, path in section.locations)
