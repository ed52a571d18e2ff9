"""The server itself: identity, preferences, activities, search, play state and sessions. See routes.py."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from simulators.fake_plex import search, wire
from simulators.fake_plex.library import (
    Item,
    Library,
    NoSuch,
    Refused,
    Section,
)
from simulators.fake_plex.prefs import BUTLER_TASKS, SECTION_PREFS, SERVER_PREFS
from simulators.fake_plex.routes import Call, Raw, read_prefs, route, selected, windowed
from simulators.fake_plex.wire import IDENTIFIER, LIBRARY_ATTRIBUTES, El, container

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


def _pivots(section: Section) -> list[El]:
    """The views of a section; plexapi reads a section's sizes only from a Directory that has some."""
    rows = (
        ("recommended", f"/hubs/sections/{section.key}", "hub", "Recommended", "content.discover", "star"),
        (
            "library",
            f"/library/sections/{section.key}/all?type=1",
            "list",
            "Library",
            "content.library",
            "library",
        ),
    )
    names = ("id", "key", "type", "title", "context", "symbol")
    return [El("Pivot", dict(zip(names, row, strict=True))) for row in rows]


_ACTION = {"id": "removeFromContinueWatching", "key": "/actions/removeFromContinueWatching"}
_SCROBBLING = {"scrobbleKey": "/:/scrobble", "unscrobbleKey": "/:/unscrobble"}


@route("GET", "/media/providers")
def media_providers(call: Call) -> El:
    """What the server offers; with the sizes of the sections, which plexapi reads from here."""
    library = call.library
    directories = [El("Directory", {"hubKey": "/hubs", "title": "Home"})]
    for section in library.sections.values():
        media = [m for item in library.movies(section) for m in item.media]
        about = {
            "agent": section.agent,
            "language": section.language,
            "refreshing": section.refreshing > 0,
            "scanner": section.scanner,
            "uuid": section.uuid,
            "id": str(section.key),
            "key": f"/library/sections/{section.key}",
            "hubKey": f"/hubs/sections/{section.key}",
            "type": section.type,
            "title": section.title,
            "updatedAt": section.updated_at,
            "scannedAt": section.scanned_at,
        }
        if call.flag("includeStorage"):
            about |= {
                "durationTotal": sum(m.duration_ms for m in media),
                "storageTotal": sum(m.size for m in media),
            }
        directories.append(El("Directory", about, _pivots(section)))
    features = [
        El("Feature", {"key": "/library/sections", "type": "content"}, directories),
        El("Feature", {"key": "/hubs/search", "type": "search"}),
        El("Feature", {"key": "/library/matches", "type": "match"}),
        El("Feature", {"key": "/library/metadata", "type": "metadata"}),
        El("Feature", {"key": "/:/rate", "type": "rate"}),
        El("Feature", {"key": "/playlists", "type": "playlist", "flavor": "universal"}),
        El("Feature", {"key": "/library/collections", "type": "collection"}),
        El("Feature", {"key": "/actions", "type": "actions"}, [El("Action", _ACTION)]),
        El(
            "Feature",
            {
                "scrobbleKey": "/:/scrobble",
                "key": "/:/timeline",
                "unscrobbleKey": "/:/unscrobble",
                "type": "timeline",
            },
        ),
    ]
    about = {
        "identifier": IDENTIFIER,
        "title": "Library",
        "types": "video,audio,photo",
        "protocols": "stream,download",
    }
    return container(server_attributes(library), [El("MediaProvider", about, features)])


# --- preferences and housekeeping ---------------------------------------------------------------------------


@route("GET", "/:/prefs")
def prefs(call: Call) -> El:
    return container({}, [wire.setting(pref, call.library.prefs[pref.id]) for pref in SERVER_PREFS])


@route("PUT", "/:/prefs")
def prefs_edit(call: Call) -> None:
    read_prefs(SERVER_PREFS, call.library.prefs, call.params)


@route("GET", "/accounts")
def accounts(call: Call) -> El:
    about = {"autoSelectAudio": True, "defaultSubtitleLanguage": "en", "subtitleMode": 0, "thumb": ""}
    rows = [
        El("Account", {"id": n, "key": f"/accounts/{n}", "name": name, "defaultAudioLanguage": "en", **about})
        for n, name in call.library.accounts
    ]
    return windowed(call, {"identifier": "com.plexapp.system.accounts"}, rows, lambda row: row)


@route("GET", "/accounts/*")
def account(call: Call) -> El:
    rows = [
        El("Account", {"id": n, "name": name}) for n, name in call.library.accounts if str(n) == call.parts[0]
    ]
    if not rows:
        raise NoSuch
    return container({"identifier": "com.plexapp.system.accounts"}, rows)


@route("GET", "/activities")
def activities(call: Call) -> El:
    return container({}, [wire.activity_element(a) for a in call.library.activities.values()])


@route("DELETE", "/activities/*")
def activity_cancel(call: Call) -> None:
    found = call.library.activities.get(call.parts[0])
    if found is None:
        raise NoSuch
    if not found.cancellable:
        raise Refused
    key = found.context.get("librarySectionID")
    if key:
        call.library.cancel_scan(call.library.section(key))


@route("GET", "/butler")
def butler(call: Call) -> El:
    rows = [
        El(
            "ButlerTask",
            {
                "name": task.name,
                "interval": task.interval_days,
                "scheduleRandomized": True,
                "enabled": task.enabled,
                "title": task.title,
                "description": task.description,
            },
        )
        for task in BUTLER_TASKS
    ]
    return El("ButlerTasks", {}, rows)


@route("POST DELETE", "/butler")
def butler_all(call: Call) -> None:
    """Starts or stops all tasks: they have nothing to do."""


@route("POST DELETE", "/butler/*")
def butler_task(call: Call) -> None:
    if call.parts[0] not in [task.name for task in BUTLER_TASKS]:
        raise NoSuch
    if call.method == "POST" and call.parts[0] == "RefreshLibraries":
        for section in call.library.sections.values():
            call.library.scan(section)


@route("PUT", "/library/(optimize|clean/bundles)")
@route("PUT", "/actions/(removeFromContinueWatching)")
@route("PUT", "/sync/(refreshSynclists|refreshContent)")
@route("PUT", "/updater/(check|apply)")
def housekeeping(call: Call) -> None:
    """Nothing to tidy up here."""


@route("GET", "/(clients|updater/status|transcode/sessions|status/sessions/background)")
@route("GET", "/(statistics/bandwidth|statistics/resources)")
def empty(call: Call) -> El:
    """Lists this server has nothing for."""
    return container({})


@route("GET", "/myplex/account")
def myplex_account(call: Call) -> El:
    """The account the server is claimed by, as the server knows it."""
    about = {
        "authToken": "",
        "username": "user@example.com",
        "mappingState": "mapped",
        "mappingError": "",
        "mappingErrorMessage": "1",
        "signInState": "ok",
        "publicAddress": "203.0.113.7",
        "publicPort": "32400",
        "privateAddress": "127.0.0.1",
        "privatePort": "32400",
        "subscriptionFeatures": "",
        "subscriptionActive": False,
        "subscriptionState": "Unknown",
    }
    return El("MyPlex", about)


@route("GET", r"/services/browse(?:/([\w=+-]{0,}))?")
def browse(call: Call) -> El:
    """The folders right below a folder of the made-up disk; of the root when none is named."""
    library = call.library
    path = base64.b64decode(call.parts[0]).decode() if call.parts[0] else "/"
    head = path.rstrip("/") + "/"
    folders = {*library.folders, *(place for s in library.sections.values() for _, place in s.locations)}
    files = {file for s in library.sections.values() for file in s.disk}
    folders |= {file.rpartition("/")[0] for file in files}
    below = sorted({f[len(head) :].partition("/")[0] for f in folders if f.startswith(head) and f != head})
    rows = []
    for name in below:
        full = head + name
        key = f"/services/browse/{base64.b64encode(full.encode()).decode()}"
        rows.append(El("Path", {"key": key, "path": full, "title": name, "home": False, "network": False}))
    if call.flag("includeFiles"):
        here = sorted(file for file in files if file.rpartition("/")[0] == path.rstrip("/"))
        rows += [El("File", {"key": "", "path": file, "title": file.rpartition("/")[2]}) for file in here]
    return container({"path": path}, rows)


@route("GET", "/devices")
@route("GET", "/devices/*")
def devices(call: Call) -> El:
    """The device that asks: the server has met no other."""
    about = {
        "id": 1,
        "name": call.headers.get("X-Plex-Device-Name", ""),
        "platform": call.headers.get("X-Plex-Platform", ""),
        "clientIdentifier": call.headers.get("X-Plex-Client-Identifier", ""),
        "createdAt": call.library.started_at,
    }
    return container({"identifier": "com.plexapp.system.devices"}, [El("Device", about)])


# Identifier, name, whether it is the one a new library gets.
_AGENTS = (
    ("tv.plex.agents.movie", "Plex Movie", True),
    ("com.plexapp.agents.imdb", "Plex Movie (Legacy)", False),
    ("com.plexapp.agents.themoviedb", "The Movie Database", False),
    ("com.plexapp.agents.none", "Personal Media", False),
)


@route("GET", "/system/agents")
def agents(call: Call) -> El:
    inner = (
        El("Language", {"code": "en"})
        if call.get("mediaType")
        else El("MediaType", {"name": "Movie", "mediaType": 1})
    )
    rows = [
        El("Agent", {"identifier": identifier, "name": name, "hasPrefs": True, "primary": primary}, [inner])
        for identifier, name, primary in _AGENTS
    ]
    return container({"identifier": "com.plexapp.system"}, rows)


@route("GET", "/:/plugins/*/prefs")
def agent_prefs(call: Call) -> El:
    if call.parts[0] not in [identifier for identifier, _, _ in _AGENTS]:
        raise NoSuch
    return container({}, [wire.setting(pref, pref.default) for pref in SECTION_PREFS if pref.id == "country"])


@route("GET", "/diagnostics/(logs|databases)")
def diagnostics(call: Call) -> Raw:
    """An archive with next to nothing in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{call.parts[0]}.txt", "fake plex\n")
    name = f'attachment; filename="fake plex {call.parts[0]}.zip"'
    return Raw(packed.getvalue(), "application/zip", {"Content-Disposition": name})


@route("GET", "/security/token")
def transient_token(call: Call) -> El:
    return container({"token": f"transient-{call.library.rng.getrandbits(64):016x}"})


# --- search and hubs ----------------------------------------------------------------------------------------

_HUBS = (
    ("Movies", "movie"),
    ("Collections", "collection"),
    ("Genres", "genre"),
    ("Actors", "actor"),
    ("Directors", "director"),
    ("Labels", "label"),
)


@route("GET", "/hubs/search")
@route("GET", "/hubs/search/voice")
def hub_search(call: Call) -> El:
    query = call.get("query").casefold()
    limit = int(call.get("limit") or 3)
    hubs = [_search_hub(call, title, kind, query, limit) for title, kind in _HUBS]
    return container({}, hubs)


def _search_hub(call: Call, title: str, kind: str, query: str, limit: int) -> El:
    library = call.library
    found: Sequence[El]
    sections = (
        [library.section(call.get("sectionId"))] if call.get("sectionId") else list(library.sections.values())
    )
    if kind in ("movie", "collection"):
        items: Sequence[Item] = [
            item
            for section in sections
            for item in (library.movies(section) if kind == "movie" else library.collections(section))
            if query in item.title.casefold()
        ]
        total = len(items)
        found = [wire.in_section(library, item) for item in items[:limit]]
        for row in found:
            row.attributes["score"] = "0.92000"
    else:
        rows = [
            wire.tag_attributes(library, tag, section)
            for section in sections
            for tag, _ in library.tag_counts(section, kind)
            if query in tag.name.casefold()
        ]
        total = len(rows)
        found = [El("Directory", row) for row in rows[:limit]]
    about = {
        "title": title,
        "type": kind,
        "hubIdentifier": kind,
        "context": "",
        "size": len(found),
        "more": total > len(found),
        "style": "shelf",
    }
    if total > len(found) and kind == "movie":
        about["key"] = f"/library/all?title={quote(call.get('query'))}"
    return El("Hub", about, found if query else [])


@route("GET", "/library/search")
def library_search(call: Call) -> El:
    library, query = call.library, call.get("query").casefold()
    limit = int(call.get("limit") or 50)
    items = [
        item
        for s in library.sections.values()
        for item in library.movies(s)
        if query in item.title.casefold()
    ]
    found = [wire.in_section(library, item) for item in items]
    for section in library.sections.values():
        for kind in search.TAG_FIELDS:
            tags = [tag for tag, _ in library.tag_counts(section, kind) if query in tag.name.casefold()]
            found += [El("Directory", wire.tag_attributes(library, tag, section)) for tag in tags]
    return container({}, [El("SearchResult", {"score": 0.92}, [row]) for row in found[:limit]])


# Hubs of a section: title, identifier, the listing behind it.
_SECTION_HUBS = (
    ("Continue Watching", "movie.inprogress", "inProgress=1&sort=lastViewedAt:desc"),
    ("Recently Released", "movie.recentlyreleased", "sort=originallyAvailableAt:desc"),
    ("Recently Added", "movie.recentlyadded", "sort=addedAt:desc"),
    ("Top Unplayed", "movie.topunwatched", "unwatched=1&sort=rating:desc"),
)
HUB_ROWS = 6


@route("GET", "/hubs/sections/*")
def section_hubs(call: Call) -> El:
    section = call.section()
    return container(
        {
            "allowSync": True,
            "identifier": IDENTIFIER,
            "librarySectionID": section.key,
            "title1": section.title,
        },
        [_hub(call, section, *row) for row in _SECTION_HUBS],
    )


def _hub(call: Call, section: Section, title: str, identifier: str, query: str) -> El:
    key = f"/library/sections/{section.key}/all?{query}"
    rows = search.smart(call.library, key)
    shown = rows[:HUB_ROWS]
    about = {
        "hubKey": "/library/metadata/" + ",".join(str(item.key) for item in shown),
        "key": key,
        "title": title,
        "type": "movie",
        "hubIdentifier": f"{identifier}.{section.key}",
        "context": f"hub.{identifier}",
        "size": len(shown),
        "more": len(rows) > len(shown),
        "style": "shelf",
        "promoted": True,
    }
    return El("Hub", about, [wire.in_section(call.library, item) for item in shown])


@route("GET", "/hubs")
@route("GET", "/hubs/promoted")
def hubs(call: Call) -> El:
    rows = [
        _hub(call, section, f"{title} in {section.title}", identifier, query)
        for section in call.library.sections.values()
        for title, identifier, query in _SECTION_HUBS
        if identifier != "movie.topunwatched"
    ]
    return container({"allowSync": True, "identifier": IDENTIFIER}, rows)


@route("GET", "/hubs/continueWatching/items")
@route("GET", "/hubs/sections/*/continueWatching/items")
def continue_watching(call: Call) -> El:
    section = call.section() if call.parts else None
    rows = selected(call, section, [("inProgress", "1"), ("sort", "lastViewedAt:desc")])
    return windowed(call, LIBRARY_ATTRIBUTES, rows, lambda item: wire.in_section(call.library, item))


# --- managed hubs: which of them are shown where ------------------------------------------------------------


def _managed(call: Call) -> dict[str, dict[str, Any]]:
    """The rows of a section's managed recommendations, in their order."""
    section = call.section()
    if not section.managed_hubs:
        for title, identifier, _ in _SECTION_HUBS:
            section.managed_hubs[identifier] = _managed_row(title, identifier, deletable=False)
    return section.managed_hubs


def _managed_row(title: str, identifier: str, deletable: bool) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "title": title,
        "recommendationsVisibility": "all",
        "homeVisibility": "none",
        "promotedToRecommended": True,
        "promotedToOwnHome": False,
        "promotedToSharedHome": False,
        "deletable": deletable,
    }


def _collection_hub(call: Call) -> dict[str, Any]:
    item = call.library.collection(call.get("metadataItemId"))
    identifier = f"custom.collection.{item.section}.{item.key}"
    return _managed_row(item.title, identifier, deletable=True)


@route("GET", "/hubs/sections/*/manage")
def managed_hubs(call: Call) -> El:
    rows = _managed(call)
    if call.get("metadataItemId"):
        wanted = _collection_hub(call)
        known = rows.get(wanted["identifier"])
        return container({}, [El("Hub", dict(known))] if known else [])
    return container({}, [El("Hub", dict(row)) for row in rows.values()])


@route("POST", "/hubs/sections/*/manage")
def managed_hub_add(call: Call) -> El:
    row = _collection_hub(call)
    _managed(call)[row["identifier"]] = row
    _promote(row, call)
    return container({}, [El("Hub", dict(row))])


@route("PUT", "/hubs/sections/*/manage/*")
def managed_hub_edit(call: Call) -> El:
    row = _managed(call).get(call.parts[1])
    if row is None:
        raise NoSuch
    _promote(row, call)
    return container({}, [El("Hub", dict(row))])


def _promote(row: dict[str, Any], call: Call) -> None:
    for name in ("promotedToRecommended", "promotedToOwnHome", "promotedToSharedHome"):
        if call.get(name):
            row[name] = call.flag(name)
    row["recommendationsVisibility"] = "all" if row["promotedToRecommended"] else "none"
    own, shared = row["promotedToOwnHome"], row["promotedToSharedHome"]
    row["homeVisibility"] = {(True, True): "all", (True, False): "admin", (False, True): "shared"}.get(
        (own, shared), "none"
    )


@route("PUT", "/hubs/sections/*/manage/*/move")
def managed_hub_move(call: Call) -> None:
    rows = _managed(call)
    if call.parts[1] not in rows:
        raise NoSuch
    order = [name for name in rows if name != call.parts[1]]
    place = order.index(call.get("after")) + 1 if call.get("after") in order else 0
    order.insert(place, call.parts[1])
    call.section().managed_hubs = {name: rows[name] for name in order}


@route("DELETE", "/hubs/sections/*/manage/*")
def managed_hub_remove(call: Call) -> None:
    rows = _managed(call)
    if call.parts[1] not in rows:
        raise NoSuch
    if not rows[call.parts[1]]["deletable"]:
        raise Refused
    del rows[call.parts[1]]


@route("DELETE", "/hubs/sections/*/manage")
def managed_hubs_reset(call: Call) -> None:
    call.section().managed_hubs = {}


# --- what is played -----------------------------------------------------------------------------------------


def _by_key(call: Call) -> Item:
    if call.get("identifier", IDENTIFIER) != IDENTIFIER:
        raise Refused
    return call.library.item(call.get("key"))


@route("PUT GET", "/:/rate")
def rate(call: Call) -> None:
    try:
        stars = float(call.get("rating"))
    except ValueError as problem:
        raise Refused from problem
    if stars > 10:
        raise Refused
    call.library.rate(_by_key(call), stars)


@route("GET PUT", "/:/scrobble")
def scrobble(call: Call) -> None:
    call.library.scrobble(_by_key(call), True)


@route("GET PUT", "/:/unscrobble")
def unscrobble(call: Call) -> None:
    call.library.scrobble(_by_key(call), False)


@route("GET PUT", "/:/progress")
def progress(call: Call) -> None:
    if not call.get("time").isdigit():
        raise Refused
    call.library.progress(_by_key(call), int(call.get("time")))


@route("GET POST", "/:/timeline")
def timeline(call: Call) -> El:
    """What a client plays: a session from the first "playing" to "stopped", and progress on the way."""
    library = call.library
    item = library.item(call.get("ratingKey"))
    state = call.get("state")
    if state not in ("playing", "paused", "stopped", "buffering") or not call.get("time").isdigit():
        raise Refused
    offset_ms = int(call.get("time"))
    client = call.headers.get("X-Plex-Client-Identifier") or call.get("X-Plex-Client-Identifier") or "client"
    if state == "stopped":
        library.playing.pop(client, None)
    else:
        known = library.playing.get(client)
        library.playing[client] = {
            "session": known["session"] if known else library.next_id("session"),
            "item": item.key,
            "offset_ms": offset_ms,
            "state": state,
            "device": call.headers.get("X-Plex-Device-Name", ""),
            "product": call.headers.get("X-Plex-Product", ""),
            "platform": call.headers.get("X-Plex-Platform", ""),
            "platform_version": call.headers.get("X-Plex-Platform-Version", ""),
            "version": call.headers.get("X-Plex-Version", ""),
            "client": client,
        }
    session = str(library.playing.get(client, {}).get("session", ""))
    library.progress(item, offset_ms)
    library.tell("playing", item=item, session=session, offset_ms=offset_ms, state=state)
    now = library.item(item.key)
    return El(
        "MediaContainer",
        {
            "playbackState": "progress" if state != "stopped" else "stopped",
            "size": 0,
            "skipCount": now.skip_count,
            "viewCount": now.view_count,
            "viewOffset": now.view_offset_ms,
        },
    )


@route("GET", "/status/sessions")
def sessions(call: Call) -> El:
    library = call.library
    rows = []
    for playing in library.playing.values():
        made = wire.item_element(library, library.items[playing["item"]], full=True)
        made.attributes |= {"sessionKey": str(playing["session"]), "viewOffset": playing["offset_ms"]}
        made.children += [
            El("User", {"id": "1", "thumb": "", "title": dict(library.accounts)[1]}),
            El(
                "Player",
                {
                    "address": "127.0.0.1",
                    "device": playing["device"],
                    "machineIdentifier": playing["client"],
                    "deviceClass": "pc",
                    "model": "hosted",
                    "platform": playing["platform"],
                    "platformVersion": playing["platform_version"],
                    "profile": "Generic",
                    "protocolVersion": "1",
                    "remotePublicAddress": "127.0.0.1",
                    "vendor": "",
                    "version": playing["version"],
                    "product": playing["product"],
                    "state": playing["state"],
                    "title": playing["device"],
                    "local": True,
                    "relayed": False,
                    "secure": False,
                    "userID": 1,
                },
            ),
            El("Session", {"id": f"session-{playing['session']}", "bandwidth": 8000, "location": "lan"}),
        ]
        rows.append(made)
    return windowed(call, {}, rows, lambda row: row)


@route("GET DELETE", "/status/sessions/terminate")
def session_terminate(call: Call) -> None:
    for client, playing in list(call.library.playing.items()):
        if call.get("sessionId") == f"session-{playing['session']}":
            del call.library.playing[client]
            return
    raise NoSuch


@route("GET", "/status/sessions/history/all")
def history(call: Call) -> El:
    library = call.library
    rows = list(library.views)
    for name, read in (("metadataItemID", "key"), ("librarySectionID", "section"), ("accountID", "account")):
        if call.get(name):
            rows = [row for row in rows if str(getattr(row, read)) == call.get(name)]
    for name, value in call.params:
        if name == "viewedAt>" and value.isdigit():
            rows = [row for row in rows if row.viewed_at >= int(value)]
    rows.sort(
        key=lambda row: (row.viewed_at, row.id), reverse=call.get("sort", "viewedAt:desc").endswith("desc")
    )

    def make(row: Any) -> El:
        about: dict[str, Any] = {"historyKey": f"/status/sessions/history/{row.id}"}
        if row.key is not None:
            about |= {"key": f"/library/metadata/{row.key}", "ratingKey": str(row.key)}
        about |= {"librarySectionID": str(row.section), "title": row.title, "type": row.type}
        if row.key is not None:
            about["thumb"] = row.thumb
        return El("Video", {**about, "viewedAt": row.viewed_at, "accountID": row.account})

    return windowed(call, {}, rows, make)


@route("DELETE", "/status/sessions/history/*")
def history_delete(call: Call) -> None:
    left = [row for row in call.library.views if str(row.id) != call.parts[0]]
    if len(left) == len(call.library.views):
        raise NoSuch
    call.library.views = left
