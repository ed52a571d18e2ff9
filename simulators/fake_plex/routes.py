"""Request -> library -> elements. A table of paths and a short function each; the rules are in library.py.

A function takes the Call and returns an El (sent as XML or JSON), None (the empty answer of an edit) or a
Raw; it may be a coroutine. What the library refuses is turned into a status by the service.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from simulators.fake_plex import edits, search, wire
from simulators.fake_plex.library import (
    COLLECTION,
    TAG_KINDS,
    Collection,
    Item,
    Library,
    NoSuch,
    Refused,
    Section,
)
from simulators.fake_plex.wire import IDENTIFIER, LIBRARY_ATTRIBUTES, El, container


@dataclass(frozen=True)
class Raw:
    """An answer that is no element."""

    body: bytes
    content_type: str = "text/html"
    status: int = 200


@dataclass
class Call:
    """One request as the functions see it."""

    library: Library
    method: str
    path: str
    parts: tuple[str, ...]  # what the pattern caught
    params: Sequence[tuple[str, str]]
    headers: Any
    body: bytes
    fetch: Callable[[str], Awaitable[bytes]]  # downloads an image; Refused when it cannot be had

    def get(self, name: str, default: str = "") -> str:
        """A query parameter, the last of its name."""
        return next((v for k, v in reversed(self.params) if k == name), default)

    def flag(self, name: str) -> bool:
        return self.get(name, "0") not in ("", "0", "false")

    @property
    def window(self) -> tuple[int, int | None] | None:
        """(start, size) of a paged list, by header or by parameter; None when neither is there."""
        start = self._plex("Container-Start")
        size = self._plex("Container-Size")
        if start is None and size is None:
            return None
        return int(start or 0), None if size is None else int(size)

    def _plex(self, name: str) -> str | None:
        """An X-Plex- value, given as a header or as a query argument."""
        value = self.headers.get(f"X-Plex-{name}") or self.get(f"X-Plex-{name}") or None
        if value is not None and not value.isdigit():
            raise Refused
        return value

    def section(self) -> Section:
        return self.library.section(self.parts[0])


Handler = Callable[[Call], Any]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(methods: str, pattern: str) -> Callable[[Handler], Handler]:
    """Enters a function in the table; `*` in the pattern is one part of the path."""

    def enter(function: Handler) -> Handler:
        compiled = re.compile(pattern.replace("*", "([^/]+)"))
        ROUTES.extend((method, compiled, function) for method in methods.split())
        return function

    return enter


def find(method: str, path: str) -> tuple[Handler, tuple[str, ...]] | int:
    """The function for a request and the parts of its path; 404 or 405 when there is none."""
    known = False
    method = "GET" if method == "HEAD" else method
    for wanted, pattern, function in ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            if wanted == method:
                return function, found.groups()
            known = True
    return 405 if known else 404


# --- lists --------------------------------------------------------------------------------------------------


def windowed(call: Call, attributes: dict[str, Any], rows: Sequence[Any], make: Callable[[Any], El]) -> El:
    """The part of a list that was asked for, with size, totalSize and offset as the switches have it."""
    total = len(rows)
    window = call.window
    start, size = window if window is not None else (0, None)
    part = rows[start:] if size is None else rows[start : start + size]
    head: dict[str, Any] = {"size": len(part)}
    mode = call.library.switches.total_size
    everything = len(part) == total
    if size == 0 or mode == "always" or (window is not None and (mode == "windowed" or not everything)):
        head |= {"totalSize": total, "offset": start}
    return El("MediaContainer", {**head, **attributes}, [make(row) for row in part])


def summaries(call: Call, attributes: dict[str, Any], rows: Sequence[Item]) -> El:
    guids = call.flag("includeGuids")
    return windowed(call, attributes, rows, lambda item: wire.summary(call.library, item, guids))


class _ByTitle(Sequence[Item]):
    """The movies of a section in their standing order, looked up only where a page wants them."""

    def __init__(self, library: Library, section: Section) -> None:
        self.order, self.items = section.order, library.items

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return [self.items[key] for _, key in self.order[which]]
        return self.items[self.order[which][1]]


def selected(call: Call, section: Section | None, params: Iterable[tuple[str, str]]) -> Sequence[Item]:
    """The items a listing's parameters ask for, filtered, sorted and limited."""
    library = call.library
    params = [(k, v) for k, v in params if not k.startswith("X-Plex-") and not k.startswith("include")]
    given = dict(params)
    number = given.get("type", "1")
    sections = [section] if section is not None else list(library.sections.values())
    rest = [(k, v) for k, v in params if k not in ("type", "sort", "limit", "checkFiles", "unwatched_only")]
    try:
        keep = search.parse(rest, library, library.clock())
    except ValueError as problem:
        raise Refused from problem
    sort = given.get("sort")
    if number == str(COLLECTION):
        rows: Sequence[Item] = [c for s in sections for c in library.collections(s)]
    elif section is not None and keep is None and not sort and "limit" not in given:
        return _ByTitle(library, section)
    elif number == "1":
        rows = [item for s in sections for item in library.movies(s)]
    else:
        rows = []
    if keep is not None:
        rows = [item for item in rows if keep(item)]
    if sort:
        rows = search.ordering(rows, sort, library.rng)
    if given.get("limit", "").isdigit():
        rows = rows[: int(given["limit"])]
    return rows


# --- the server ---------------------------------------------------------------------------------------------

# fmt: off
_ROOT_KEYS = (
    "actions", "activities", "butler", "channels", "clients", "devices", "diagnostics", "downloadQueue", "hubs",
    "library", "livetv", "media", "neighborhood", "playQueues", "playlists", "resources", "search", "server",
    "servers", "service", "statistics", "system", "transcode", "updater", "user", "video",
)
# fmt: on


def server_attributes(library: Library) -> dict[str, Any]:
    server = library.server
    return {
        "allowCameraUpload": True,
        "allowChannelAccess": True,
        "allowMediaDeletion": bool(library.prefs.get("allowMediaDeletion")),
        "allowSharing": True,
        "allowSync": True,
        "allowTuners": True,
        "apiVersion": "0.2.0",
        "backgroundProcessing": True,
        "certificate": True,
        "companionProxy": True,
        "countryCode": "usa",
        "diagnostics": "logs,databases,streaminglogs",
        "eventStream": True,
        "friendlyName": library.prefs.get("FriendlyName") or server["friendlyName"],
        "hubSearch": True,
        "itemClusters": True,
        "livetv": 7,
        "machineIdentifier": server["machineIdentifier"],
        "mediaProviders": True,
        "multiuser": True,
        "musicAnalysis": 2,
        "myPlex": True,
        "myPlexMappingState": "mapped",
        "myPlexSigninState": "ok",
        "myPlexSubscription": False,
        "myPlexUsername": "user@example.com",
        "offlineTranscode": 1,
        "ownerFeatures": "adaptive_bitrate,camera_upload,collections,home,server-manager,type-first",
        "platform": server["platform"],
        "platformVersion": server["platformVersion"],
        "pluginHost": True,
        "pushNotifications": False,
        "readOnlyLibraries": False,
        "streamingBrainABRVersion": 3,
        "streamingBrainVersion": 2,
        "sync": True,
        "transcoderActiveVideoSessions": 0,
        "transcoderAudio": True,
        "transcoderLyrics": True,
        "transcoderPhoto": True,
        "transcoderSubtitles": True,
        "transcoderVideo": True,
        "transcoderVideoBitrates": "64,96,208,320,720,1500,2000,3000,4000,8000,10000,12000,20000",
        "transcoderVideoQualities": "0,1,2,3,4,5,6,7,8,9,10,11,12",
        "transcoderVideoResolutions": "128,128,160,240,320,480,768,720,720,1080,1080,1080,1080",
        "updatedAt": library.started_at,
        "updater": True,
        "version": server["version"],
        "voiceSearch": True,
    }


@route("GET", "/")
def root(call: Call) -> El:
    keys = [El("Directory", {"count": 1, "key": key, "title": key}) for key in _ROOT_KEYS]
    return container(server_attributes(call.library), keys)


@route("GET", "/identity")
def identity(call: Call) -> El:
    server = call.library.server
    return container(
        {"claimed": True, "machineIdentifier": server["machineIdentifier"], "version": server["version"]}
    )


@route("GET", "/library")
def library_root(call: Call) -> El:
    about = {
        "allowSync": False,
        "art": "/:/resources/library-art.png",
        "content": "",
        **LIBRARY_ATTRIBUTES,
        "title1": "Plex Library",
        "title2": "",
    }
    rows = (
        ("sections", "Library Sections"),
        ("recentlyAdded", "Recently Added Content"),
        ("onDeck", "On Deck Content"),
    )
    return container(about, [El("Directory", {"key": key, "title": title}) for key, title in rows])


# --- sections -----------------------------------------------------------------------------------------------


@route("GET", "/library/sections/?")
def sections(call: Call) -> El:
    about = {"allowSync": False, "title1": "Plex Library"}
    return container(about, [wire.section_element(s) for s in call.library.sections.values()])


@route("GET", "/library/sections/*/all")
def section_all(call: Call) -> El:
    section = call.section()
    about = wire.list_attributes(section)
    number = COLLECTION if call.get("type") == str(COLLECTION) else 1
    if call.flag("includeMeta"):
        # Asked for Meta, the recordings name the list and how it is sorted instead.
        del about["content"]
        about |= {"sortAsc": True, "viewMode": "131122"}
    made = summaries(call, about, selected(call, section, call.params))
    if call.flag("includeMeta"):
        made.children.insert(0, wire.meta(section, number))
    return made


@route("PUT", "/library/sections/*/all")
def section_edit(call: Call) -> None:
    section = call.section()
    params = [(k, v) for k, v in call.params if not k.startswith("X-Plex-")]
    edit, rest = edits.parse(params, TAG_KINDS)
    given = dict(rest)
    if given.get("type") not in ("1", "18") or any(k.startswith("?") for k, _ in rest):
        raise Refused
    if not (edit.values or edit.locks or edit.tags):
        raise Refused
    if "id" in given:
        items = [call.library.item(key) for key in given["id"].split(",")]
        if any(item.section != section.key for item in items):
            raise NoSuch
        if any(str(item.number) != given["type"] for item in items):
            raise Refused
    else:
        items = list(selected(call, section, rest))
    call.library.edit(items, edit)


@route("GET", "/library/sections/*/collections")
def section_collections(call: Call) -> El:
    section = call.section()
    about = wire.list_attributes(section)
    if call.flag("includeMeta"):
        del about["content"]
        about |= {"sortAsc": True, "title2": "All Movies", "viewMode": "131122"}
    rows = selected(call, section, [*call.params, ("type", str(COLLECTION))])
    made = summaries(call, about, rows)
    if call.flag("includeMeta"):
        made.children.insert(0, wire.meta(section, COLLECTION))
    return made


@route("GET", "/library/sections/*/refresh")
@route("POST", "/library/sections/*/refresh")
def section_refresh(call: Call) -> None:
    call.library.scan(call.section(), call.get("path") or None, call.flag("force"))


@route("DELETE", "/library/sections/*/refresh")
def section_refresh_cancel(call: Call) -> None:
    found = call.library.sections.values() if call.parts[0] == "all" else [call.section()]
    for section in found:
        call.library.cancel_scan(section)


@route("PUT", "/library/sections/*/emptyTrash")
def section_empty_trash(call: Call) -> None:
    call.library.empty_trash(call.section())


@route("PUT", "/library/sections/*/analyze")
def section_analyze(call: Call) -> None:
    call.section()


# --- what a section's items can be filtered by -------------------------------------------------------------------


def _choices(library: Library, section: Section, name: str) -> list[tuple[Any, str]]:
    """(key, title) of every value a filter can take in this section; key is what goes into the query."""
    if name in search.TAG_FIELDS:
        return [(tag.id, tag.name) for tag, _ in library.tag_counts(section, name)]
    if name in search.BOOLEANS:
        return [(1, "Yes"), (0, "No")]
    read = search.INTEGERS.get(name) or search.EXACT.get(name) or search.STRINGS.get(name)
    if read is None:
        raise NoSuch
    found = {value for item in library.movies(section) if (value := read(item)) is not None}
    titles = {"decade": "{}s", "resolution": "{}"}
    return [
        (value, titles.get(name, "{}").format(value))
        for value in sorted(found, reverse=name in search.INTEGERS)
    ]


def choices(call: Call) -> El:
    section, name = call.section(), call.parts[1]
    base = f"/library/sections/{section.key}/all?{name}="
    rows = [
        El(
            "Directory",
            {"fastKey": f"{base}{quote(str(key))}", "key": str(key), "title": title, "type": name},
        )
        for key, title in _choices(call.library, section, name)
    ]
    title = next((label for key, _, label in wire.FILTERS if key == name), name)
    return container(_secondary(section, f"By {title}"), rows)


def _secondary(section: Section, title2: str | None) -> dict[str, Any]:
    """What the container of a list that is no list of items says."""
    return {
        "allowSync": False,
        **wire.section_images(section),
        "content": "secondary",
        **LIBRARY_ATTRIBUTES,
        "nocache": True,
        "title1": section.title,
        "title2": title2,
        "viewGroup": "secondary",
        "viewMode": "65592",
    }


for _name in (*search.TAG_FIELDS, *(key for key, _, _ in wire.FILTERS), "duplicate"):
    route("GET", f"/library/sections/*/({_name})")(choices)


# --- items --------------------------------------------------------------------------------------------------


@route("GET", r"/library/metadata/([\d,]+)")
def metadata(call: Call) -> El:
    keys = call.parts[0].split(",")
    if len(keys) > 1:
        # Of several, those that are there are answered.
        items = [i for k in keys if (i := _or_none(call.library, k)) is not None]
        if not items:
            raise NoSuch
    else:
        items = [call.library.item(keys[0])]
    return _items_in_full(call, items)


def _or_none(library: Library, key: str) -> Item | None:
    try:
        return library.item(key)
    except NoSuch:
        return None


def _items_in_full(call: Call, items: Sequence[Item]) -> El:
    library = call.library
    section = library.sections[items[0].section]
    about = {
        "size": len(items),
        "allowSync": True,
        "identifier": IDENTIFIER,
        "librarySectionID": section.key,
        "librarySectionTitle": section.title,
        "librarySectionUUID": section.uuid,
        **LIBRARY_ATTRIBUTES,
    }
    check, prefs = call.flag("checkFiles"), call.flag("includePreferences")
    made = [wire.item_element(library, item, full=True, check_files=check, prefs=prefs) for item in items]
    return El("MediaContainer", about, made)


@route("PUT", r"/library/metadata/(\d+)")
def metadata_edit(call: Call) -> None:
    item = call.library.item(call.parts[0])
    edit, rest = edits.parse([(k, v) for k, v in call.params if not k.startswith("X-Plex-")], TAG_KINDS)
    if any(k.startswith("?") for k, _ in rest):
        raise Refused
    call.library.edit([item], edit)


@route("DELETE", r"/library/metadata/(\d+)")
def metadata_delete(call: Call) -> None:
    item = call.library.item(call.parts[0])
    if isinstance(item, Collection):
        call.library.delete_collection(item)
    else:
        call.library.delete_item(item)


@route("PUT", r"/library/metadata/(\d+)/refresh")
def metadata_refresh(call: Call) -> El:
    call.library.refresh(call.library.item(call.parts[0]))
    return container(LIBRARY_ATTRIBUTES)


@route("PUT", r"/library/metadata/(\d+)/analyze")
def metadata_analyze(call: Call) -> El:
    call.library.item(call.parts[0])
    return container(LIBRARY_ATTRIBUTES)
