"""One item, or several by number: metadata, edits, images. See routes.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

from simulators.fake_plex import edits, wire
from simulators.fake_plex.group_routes import set_collection_prefs
from simulators.fake_plex.images import GALLERIES, plain_png
from simulators.fake_plex.library import (
    TAG_KINDS,
    Broken,
    Collection,
    Item,
    Library,
    NoSuch,
    Refused,
)
from simulators.fake_plex.prefs import MOVIE_PREFS
from simulators.fake_plex.routes import Call, Raw, find, read_prefs, route, summaries, windowed
from simulators.fake_plex.supplement_routes import one_extra, supplement
from simulators.fake_plex.wire import IDENTIFIER, LIBRARY_ATTRIBUTES, El, container

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
        if int(keys[0]) in call.library.extras:
            return one_extra(call)
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
    for item, element in zip(items, made, strict=True):
        supplement(call, item, element)
        _exclude(element, call.get("excludeElements").split(","), call.get("excludeFields").split(","))
    return El("MediaContainer", about, made)


def _exclude(element: El, elements: Sequence[str], fields: Sequence[str]) -> None:
    """Takes away what the request does not want to see of an item."""
    element.children = [child for child in element.children if child.name not in elements]
    for name in fields:
        element.attributes.pop(name, None)


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


@route("GET", r"/library/metadata/(\d+)/(similar|reviews|children|onDeck|nearest)")
def nothing_there(call: Call) -> El:
    item = call.library.item(call.parts[0])
    if isinstance(item, Collection) and call.parts[1] == "children":
        return summaries(call, {**LIBRARY_ATTRIBUTES}, call.library.members(item))
    return container(LIBRARY_ATTRIBUTES)


@route("PUT", r"/library/metadata/(\d+)/merge")
def merge(call: Call) -> None:
    call.library.merge(call.library.movie(call.parts[0]), call.get("ids").split(","))


@route("PUT", r"/library/metadata/(\d+)/split")
def split(call: Call) -> None:
    call.library.split(call.library.movie(call.parts[0]))


@route("GET", r"/library/metadata/(\d+)/matches")
def matches(call: Call) -> El:
    """What an agent would match it with: nothing for personal media, its own title elsewhere.

    A title like "imdb-tt0000001" asks for the item that has that external id.
    """
    library = call.library
    item = library.movie(call.parts[0])
    scheme, dash, number = call.get("title").partition("-")
    if dash and scheme in ("imdb", "tmdb", "tvdb"):
        found = [i for i in library.items.values() if f"{scheme}://{number}" in i.guids]
        if not found:
            return container(LIBRARY_ATTRIBUTES)
        item = found[0]
    rows = []
    if not library.sections[item.section].personal:
        title = call.get("title") or item.title
        about = {
            "guid": item.guid,
            "name": title,
            "score": 100,
            "year": item.fields.get("year"),
            "lifespanEnded": False,
        }
        rows.append(El("SearchResult", about))
    return container(LIBRARY_ATTRIBUTES, rows)


@route("PUT", r"/library/metadata/(\d+)/match")
def match(call: Call) -> None:
    library = call.library
    new = library.touch(library.movie(call.parts[0]))
    new.guid = call.get("guid") or new.guid
    library.put(new)
    library.refresh(new)


@route("PUT", r"/library/metadata/(\d+)/unmatch")
def unmatch(call: Call) -> None:
    library = call.library
    new = library.touch(library.movie(call.parts[0]))
    new.guid = f"local://{new.key}"
    library.saved(new)


@route("PUT", r"/library/metadata/(\d+)/prefs")
def item_prefs(call: Call) -> None:
    library = call.library
    item = library.item(call.parts[0])
    new = library.touch(item)
    if isinstance(new, Collection):
        set_collection_prefs(new, call)
    else:
        new.prefs = dict(item.prefs)
        read_prefs(MOVIE_PREFS, new.prefs, call.params)
    library.saved(new)


# --- images -------------------------------------------------------------------------------------------------

_PLURAL = {field: gallery for gallery, field in GALLERIES.items()} | {
    "poster": "posters",
    "logo": "clearLogos",
}
_LISTS = "|".join(GALLERIES)
_ONE = "|".join(_PLURAL)


@route("GET", rf"/library/metadata/(\d+)/({_LISTS})")
def pictures(call: Call) -> El:
    item = call.library.anything(call.parts[0])
    return windowed(call, LIBRARY_ATTRIBUTES, wire.photo_elements(item, call.parts[1]), lambda photo: photo)


@route("POST", rf"/library/metadata/(\d+)/({_LISTS})")
async def picture_upload(call: Call) -> None:
    """The bytes of the body, or what the server finds at `url`; the upload is selected and the field locked."""
    library = call.library
    item = library.anything(call.parts[0])
    url = call.get("url")
    data = await call.fetch(url) if url else call.body
    if not data:
        raise Refused
    if len(data) > library.switches.upload_bytes_max:
        raise Broken
    # Another request may have changed the item while the image was on its way.
    item = library.anything(call.parts[0])
    library.set_gallery(item, library.gallery(item, call.parts[1]).uploaded(data, url), lock=True)


@route("PUT", rf"/library/metadata/(\d+)/({_ONE})")
def picture_choose(call: Call) -> None:
    library = call.library
    item = library.anything(call.parts[0])
    if not call.get("url"):
        raise Refused
    gallery = library.gallery(item, _PLURAL[call.parts[1]])
    library.set_gallery(item, gallery.chosen(unquote(call.get("url"))), lock=True)


@route("DELETE", rf"/library/metadata/(\d+)/({_ONE})")
def picture_none(call: Call) -> None:
    library = call.library
    item = library.anything(call.parts[0])
    library.set_gallery(item, library.gallery(item, _PLURAL[call.parts[1]]).none_chosen(), lock=False)


@route("GET", rf"/library/metadata/(\d+)/({_ONE})/\d+")
def picture(call: Call) -> Raw:
    item = call.library.anything(call.parts[0])
    chosen = item.galleries.get(_PLURAL[call.parts[1]])
    current = chosen.current() if chosen else None
    return image(current.data if current else b"", item.key)


@route("GET", r"/library/metadata/(\d+)/file")
def picture_by_key(call: Call) -> Raw:
    item = call.library.anything(call.parts[0])
    wanted = unquote(call.get("url"))
    for gallery in item.galleries.values():
        for one in gallery.pictures:
            if one.key == wanted:
                return image(one.data, item.key)
    return image(b"", item.key)


@route("GET", r"/library/(?:collections|sections)/(\d+)/composite/\d+")
@route("GET", r"/playlists/(\d+)/composite/\d+")
def composite(call: Call) -> Raw:
    return image(b"", int(call.parts[0]))


@route("GET", "/photo/:/transcode")
async def photo_transcode(call: Call) -> Raw:
    """A picture of ours, or one from elsewhere that the server fetches; not scaled."""
    url = call.get("url")
    own = re.sub("^https?://", "", url).partition("/")[0] in ("", call.headers.get("Host"))
    if url.startswith(("http://", "https://")) and not own:
        return image(await call.fetch(url), 0)
    path = re.sub("^https?://[^/]*", "", url).partition("?")[0]
    found = find("GET", path)
    if isinstance(found, int):
        raise NoSuch
    function, parts = found
    made = function(replace(call, path=path, parts=parts, params=(("url", url.partition("url=")[2]),)))
    if not isinstance(made, Raw):
        raise NoSuch
    return made


def image(data: bytes, number: int) -> Raw:
    """The bytes as they were uploaded, or a plain picture in a colour of the item's own."""
    if not data:
        return Raw(plain_png(number), "image/png")
    kind = (
        "image/png"
        if data.startswith(b"\x89PNG")
        else "image/webp"
        if data[8:12] == b"WEBP"
        else "image/jpeg"
    )
    return Raw(data, kind)


# --- files --------------------------------------------------------------------------------------------------


@route("GET", r"/library/parts/(\d+)/\d+/[^/]+")
def part_file(call: Call) -> Raw:
    """The beginning of a made-up file: enough to see that a download works."""
    _, media = call.library.with_media(call.parts[0])
    return Raw(f"fake plex part {media.id}\n".encode(), f"video/{media.container}")
