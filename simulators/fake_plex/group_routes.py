"""Collections, playlists and play queues. See routes.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from simulators.fake_plex import edits, search, wire
from simulators.fake_plex.library import TAG_KINDS, Collection, Item, NoSuch, Playlist, PlayQueue, Refused
from simulators.fake_plex.prefs import COLLECTION_PREFS
from simulators.fake_plex.routes import Call, route, summaries, windowed
from simulators.fake_plex.wire import IDENTIFIER, LIBRARY_ATTRIBUTES, El, container

_URI = re.compile(r"server://[^/]*/[^/]*(/.*)")


def _content(call: Call) -> tuple[list[int], str | None]:
    """What a `uri` names: (rating keys, None), or ([], a listing) for a smart one; Refused when it is
    neither.
    """
    found = _URI.fullmatch(call.get("uri"))
    if found is None:
        if not call.get("uri"):
            return [], None
        raise Refused
    path = found[1]
    if keys := re.fullmatch(r"/library/metadata/([\d,]*)", path):
        return [int(key) for key in keys[1].split(",") if key], None
    if re.match(r"/library/sections/\d+/", path):
        return [], path
    raise Refused


# --- collections --------------------------------------------------------------------------------------------


@route("POST", "/library/collections")
def collection_create(call: Call) -> El:
    library = call.library
    section = library.section(call.get("sectionId"))
    if not call.get("title"):
        raise Refused
    keys, listing = _content(call)
    made = library.create_collection(
        section, call.get("title"), keys, listing if call.flag("smart") else None
    )
    current = library.collection(made.key)
    return container(_about(call, current), [wire.collection_element(library, current, full=True)])


def _about(call: Call, item: Item) -> dict[str, Any]:
    section = call.library.sections[item.section]
    return {
        "allowSync": True,
        "identifier": IDENTIFIER,
        "librarySectionID": section.key,
        "librarySectionTitle": section.title,
        "librarySectionUUID": section.uuid,
        **LIBRARY_ATTRIBUTES,
    }


@route("GET", r"/library/collections/(\d+)")
def collection(call: Call) -> El:
    found = call.library.collection(call.parts[0])
    made = wire.collection_element(call.library, found, full=True, prefs=call.flag("includePreferences"))
    return container(_about(call, found), [made])


@route("GET", r"/library/collections/(\d+)/(?:children|items)")
def collection_children(call: Call) -> El:
    found = call.library.collection(call.parts[0])
    about = {**wire.list_attributes(call.library.sections[found.section]), "title2": found.title}
    return summaries(call, about, call.library.members(found))


@route("PUT", r"/library/collections/(\d+)/items")
def collection_add(call: Call) -> El:
    library = call.library
    found = library.collection(call.parts[0])
    keys, listing = _content(call)
    if found.smart:
        if listing is None:
            raise Refused
        new = library.touch(found)
        assert isinstance(new, Collection)
        new.smart = listing
        library.saved(new)
    else:
        library.collect(found, keys)
    current = library.collection(found.key)
    return container(_about(call, current), [wire.collection_element(library, current, full=True)])


@route("DELETE", r"/library/collections/(\d+)/(?:items|children)/(\d+)")
def collection_remove(call: Call) -> None:
    found = call.library.collection(call.parts[0])
    if found.smart:
        raise Refused
    call.library.uncollect(found, call.parts[1])


@route("PUT", r"/library/collections/(\d+)/items/(\d+)/move")
def collection_move(call: Call) -> None:
    found = call.library.collection(call.parts[0])
    if found.smart:
        raise Refused
    call.library.arrange(found, call.parts[1], call.get("after") or None)


@route("PUT", r"/library/collections/(\d+)/prefs")
def collection_prefs(call: Call) -> None:
    new = call.library.touch(call.library.collection(call.parts[0]))
    assert isinstance(new, Collection)
    set_collection_prefs(new, call)
    call.library.saved(new)


_PREF_FIELDS = {"collectionMode": "mode", "collectionSort": "sort", "collectionFilterBasedOnUser": "for_user"}


def set_collection_prefs(collection: Collection, call: Call) -> None:
    """Takes collectionMode and collectionSort; Refused when one is no number of the served choices."""
    for pref in COLLECTION_PREFS:
        text = call.get(pref.id)
        if not text:
            continue
        if text not in [choice.partition(":")[0] for choice in pref.choices.split("|")]:
            raise Refused
        setattr(collection, _PREF_FIELDS[pref.id], int(text))


@route("PUT", r"/library/collections/(\d+)/refresh")
def collection_refresh(call: Call) -> None:
    """There is no agent that knows more about a collection."""
    call.library.saved(call.library.touch(call.library.collection(call.parts[0])))


@route("PUT", r"/library/collections/(\d+)/analyze")
def collection_analyze(call: Call) -> None:
    call.library.collection(call.parts[0])


@route("GET", r"/library/collections/(\d+)/related")
def collection_related(call: Call) -> El:
    call.library.collection(call.parts[0])
    return container(LIBRARY_ATTRIBUTES)


@route("DELETE", r"/library/collections/(\d+)")
def collection_delete(call: Call) -> None:
    call.library.delete_collection(call.library.collection(call.parts[0]))


# --- playlists ----------------------------------------------------------------------------------------------


def _playlist(call: Call) -> Playlist:
    found = call.library.playlists.get(int(call.parts[0]))
    if found is None:
        raise NoSuch
    return found


@route("GET", "/playlists")
@route("GET", "/playlists/all")
def playlists(call: Call) -> El:
    library, title = call.library, call.get("title").casefold()
    rows = [p for p in library.playlists.values() if title in p.title.casefold()]
    if call.get("playlistType") not in ("", "video"):
        rows = []
    if call.get("smart") in ("0", "1"):
        rows = [p for p in rows if bool(p.smart) is (call.get("smart") == "1")]
    return windowed(call, {}, rows, lambda playlist: wire.playlist_element(library, playlist))


@route("POST", "/playlists")
def playlist_create(call: Call) -> El:
    library = call.library
    if not call.get("title"):
        raise Refused
    keys, listing = _content(call)
    key = library.next_id("item")
    made = Playlist(
        key,
        f"com.plexapp.agents.none://playlist-{key}",
        {"title": call.get("title"), "summary": ""},
        library.now(),
    )
    made.smart = listing if call.flag("smart") else None
    made.entries = tuple((library.next_id("playlist_item"), library.movie(k).key) for k in keys)
    library.saved(made)
    return container({}, [wire.playlist_element(library, made)])


@route("GET", r"/playlists/(\d+)")
def playlist(call: Call) -> El:
    return container({}, [wire.playlist_element(call.library, _playlist(call))])


@route("PUT", r"/playlists/(\d+)")
def playlist_edit(call: Call) -> None:
    """Takes title and summary, plain (as for a playlist) or as .value and .locked (as for an item)."""
    found = _playlist(call)
    params = [(f"{k}.value" if k in ("title", "summary") else k, v) for k, v in call.params]
    edit, _ = edits.parse(params, TAG_KINDS)
    call.library.edit([found], edit)


@route("DELETE", r"/playlists/(\d+)")
def playlist_delete(call: Call) -> None:
    del call.library.playlists[_playlist(call).key]


@dataclass(frozen=True)
class _Row:
    id: int | None
    item: Item


@route("GET", r"/playlists/(\d+)/items")
def playlist_items(call: Call) -> El:
    library, found = call.library, _playlist(call)
    rows: Sequence[_Row]
    if found.smart:
        rows = [_Row(None, item) for item in search.smart(library, found.smart)]
    else:
        rows = [_Row(number, library.items[key]) for number, key in found.entries if key in library.items]

    def make(row: _Row) -> El:
        made = wire.item_element(library, row.item, full=False)
        section = library.sections[row.item.section]
        made.attributes |= {"librarySectionID": section.key, "librarySectionTitle": section.title}
        if row.id is not None:
            made.attributes["playlistItemID"] = row.id
        return made

    about = {"composite": f"/playlists/{found.key}/composite/{found.updated_at}", "leafCount": len(rows)}
    about |= {
        "playlistType": "video",
        "ratingKey": str(found.key),
        "smart": bool(found.smart),
        "title": found.title,
    }
    return windowed(call, about, rows, make)


@route("PUT", r"/playlists/(\d+)/items")
def playlist_add(call: Call) -> El:
    library, found = call.library, _playlist(call)
    keys, listing = _content(call)
    new = library.touch(found)
    assert isinstance(new, Playlist)
    if found.smart:
        new.smart = listing
    else:
        new.entries = (
            *found.entries,
            *((library.next_id("playlist_item"), library.movie(k).key) for k in keys),
        )
    library.saved(new)
    return container({}, [wire.playlist_element(library, new)])


@route("DELETE", r"/playlists/(\d+)/items/(\d+)")
def playlist_remove(call: Call) -> None:
    library, found = call.library, _playlist(call)
    left = tuple(entry for entry in found.entries if str(entry[0]) != call.parts[1])
    if len(left) == len(found.entries):
        raise NoSuch
    new = library.touch(found)
    assert isinstance(new, Playlist)
    new.entries = left
    library.saved(new)


@route("PUT", r"/playlists/(\d+)/items/(\d+)/move")
def playlist_move(call: Call) -> None:
    library, found = call.library, _playlist(call)
    rows = list(found.entries)
    moved = next((row for row in rows if str(row[0]) == call.parts[1]), None)
    if moved is None:
        raise NoSuch
    rows.remove(moved)
    place = next((n + 1 for n, row in enumerate(rows) if str(row[0]) == call.get("after")), 0)
    rows.insert(place, moved)
    new = library.touch(found)
    assert isinstance(new, Playlist)
    new.entries = tuple(rows)
    library.saved(new)


# --- play queues --------------------------------------------------------------------------------------------


def _queue(call: Call) -> PlayQueue:
    found = call.library.play_queues.get(int(call.parts[0]))
    if found is None:
        raise NoSuch
    return found


def _queue_element(call: Call, queue: PlayQueue) -> El:
    """The queue as a container of its items, the selected one named in the attributes."""
    library = call.library
    rows = [(number, library.items[key]) for number, key in queue.entries if key in library.items]
    children = []
    for number, item in rows:
        made = wire.in_section(library, item)
        made.attributes["playQueueItemID"] = number
        children.append(made)
    place = next((n for n, (number, _) in enumerate(rows) if number == queue.selected), 0)
    about = {
        **LIBRARY_ATTRIBUTES,
        "playQueueID": queue.id,
        "playQueueSelectedItemID": queue.selected,
        "playQueueSelectedItemOffset": place,
        "playQueueSelectedMetadataItemID": str(rows[place][1].key) if rows else None,
        "playQueueShuffled": queue.shuffled,
        "playQueueSourceURI": queue.source,
        "playQueueTotalCount": len(rows),
        "playQueueVersion": queue.version,
    }
    return container(about, children)


@route("POST", "/playQueues")
def queue_create(call: Call) -> El:
    library = call.library
    if call.get("playlistID"):
        found = library.playlists.get(int(call.get("playlistID")))
        if found is None:
            raise NoSuch
        keys = [key for _, key in found.entries]
    else:
        keys = _queued(call)
    entries = tuple((library.next_id("queue_item"), library.movie(key).key) for key in keys)
    if call.flag("shuffle"):
        entries = tuple(library.rng.sample(entries, len(entries)))
    wanted = call.get("key").rpartition("/")[2]
    selected = next(
        (number for number, key in entries if str(key) == wanted), entries[0][0] if entries else 0
    )
    made = PlayQueue(library.next_id("queue"), entries, selected, call.flag("shuffle"), call.get("uri"))
    library.play_queues[made.id] = made
    return _queue_element(call, made)


def _queued(call: Call) -> list[int]:
    """The rating keys a play queue's uri names: library://<section uuid>/item/<quoted path> or server://..."""
    found = re.search(r"/library/(?:metadata|collections)/([\d,]+)", unquote(unquote(call.get("uri"))))
    if found is None:
        raise Refused
    keys = [int(key) for key in found[1].split(",") if key]
    items = [call.library.item(key) for key in keys]
    return [m.key for i in items for m in (call.library.members(i) if isinstance(i, Collection) else [i])]


@route("GET", r"/playQueues/(\d+)")
def queue(call: Call) -> El:
    return _queue_element(call, _queue(call))


@route("PUT", r"/playQueues/(\d+)")
def queue_add(call: Call) -> El:
    library, found = call.library, _queue(call)
    more = tuple((library.next_id("queue_item"), library.movie(key).key) for key in _queued(call))
    place = len(found.entries)
    if call.flag("next"):
        place = next((n + 1 for n, (number, _) in enumerate(found.entries) if number == found.selected), 0)
    return _changed(call, found, (*found.entries[:place], *more, *found.entries[place:]))


def _changed(call: Call, queue: PlayQueue, entries: tuple[tuple[int, int], ...]) -> El:
    made = replace(queue, entries=entries, version=queue.version + 1)
    call.library.play_queues[queue.id] = made
    return _queue_element(call, made)


@route("DELETE", r"/playQueues/(\d+)/items/(\d+)")
def queue_remove(call: Call) -> El:
    found = _queue(call)
    return _changed(call, found, tuple(entry for entry in found.entries if str(entry[0]) != call.parts[1]))


@route("DELETE", r"/playQueues/(\d+)/items")
def queue_clear(call: Call) -> El:
    return _changed(call, _queue(call), ())


@route("PUT", r"/playQueues/(\d+)/items/(\d+)/move")
def queue_move(call: Call) -> El:
    found = _queue(call)
    moved = [entry for entry in found.entries if str(entry[0]) == call.parts[1]]
    if not moved:
        raise NoSuch
    rest = [entry for entry in found.entries if entry not in moved]
    place = next((n + 1 for n, entry in enumerate(rest) if str(entry[0]) == call.get("after")), 0)
    return _changed(call, found, (*rest[:place], *moved, *rest[place:]))
