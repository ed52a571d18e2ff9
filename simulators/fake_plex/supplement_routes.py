"""Subtitles, the streams that are chosen, extras, reviews, chapters, markers, related items. See routes.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from simulators.fake_plex import wire
from simulators.fake_plex.images import plain_png
from simulators.fake_plex.library import Broken, Item, Library, NoSuch, NotSeparate, Refused, plain_media
from simulators.fake_plex.routes import Call, Raw, route, windowed
from simulators.fake_plex.supplements import (
    EXTRA_KINDS,
    FIRST_SIDECAR_ID,
    SUBTITLE_FORMATS,
    Extra,
    Subtitle,
    Supplement,
)
from simulators.fake_plex.wire import LIBRARY_ATTRIBUTES, El, container

# --- subtitles ----------------------------------------------------------------------------------------------


@route("GET", r"/library/metadata/(\d+)/subtitles")
def subtitle_search(call: Call) -> El:
    """What a provider offers in a language: `hearingImpaired` and `forced` prefer (1), want (2) or avoid (3, 0)."""
    item = call.library.movie(call.parts[0])
    code = _language_of(call.get("language", "en"))
    found = [offer for offer in item.supplement.offers if offer.language == code]
    for name, has in (("forced", _forced), ("hearingImpaired", _hearing_impaired)):
        wanted = call.get(name, "0")
        if wanted in ("2", "3"):
            found = [offer for offer in found if has(offer) is (wanted == "2")]
        else:
            found.sort(key=lambda offer: has(offer) is not (wanted == "1"))
    return container(LIBRARY_ATTRIBUTES, [wire.subtitle_element(offer) for offer in found])


def _forced(subtitle: Subtitle) -> bool:
    return subtitle.forced


def _hearing_impaired(subtitle: Subtitle) -> bool:
    return subtitle.hearing_impaired


def _language_of(text: str) -> str:
    """The code of three letters for one of two or three."""
    return next((code for code, (short, _) in wire.LANGUAGES.items() if text in (short, code)), text)


@route("POST", r"/library/metadata/(\d+)/subtitles")
async def subtitle_upload(call: Call) -> None:
    """The bytes of the body, or what the server finds at `url`, beside the item's first file."""
    library = call.library
    item = library.movie(call.parts[0])
    form = call.get("format", call.get("title").rpartition(".")[2]).lower()
    if form not in SUBTITLE_FORMATS or not item.media:
        raise Refused
    data = await call.fetch(call.get("url")) if call.get("url") else call.body
    if not data:
        raise Refused
    made = Subtitle(
        id=FIRST_SIDECAR_ID + library.next_id("stream"),
        media_id=int(call.get("mediaItemID") or item.media[0].id),
        title=call.get("title").removesuffix(f".{form}"),
        format=form,
        language=_language_of(call.get("language")),
        data=data,
        forced=call.flag("forced"),
        hearing_impaired=call.flag("hearingImpaired"),
    )
    # Another request may have changed the item while the file was on its way.
    item = library.movie(call.parts[0])
    library.supplement(item, item.supplement.with_subtitle(made))


@route("PUT", r"/library/metadata/(\d+)/subtitles")
def subtitle_download(call: Call) -> None:
    """Has an offer fetched: answers at once, the subtitle is there a moment later."""
    library = call.library
    item = library.movie(call.parts[0])
    offer = next((o for o in item.supplement.offers if call.get("key") == f"/library/streams/{o.id}"), None)
    if offer is None:
        raise NoSuch
    made = replace(offer, id=FIRST_SIDECAR_ID + library.next_id("stream"))
    library.later(library.switches.settle_s, "subtitle", partial(_arrived, library, item.key, made))


def _arrived(library: Library, key: int, subtitle: Subtitle) -> None:
    item = library.items.get(key)
    if item is not None:
        library.supplement(item, item.supplement.with_subtitle(subtitle))


def _sidecar(library: Library, number: int) -> tuple[Item, Subtitle]:
    """The subtitle of that stream number; NoSuch, or NotSeparate for a stream inside a file."""
    if number < FIRST_SIDECAR_ID:
        library.with_media(number // 100)
        raise NotSeparate
    for item in library.items.values():
        for subtitle in item.supplement.subtitles:
            if subtitle.id == number:
                return item, subtitle
    raise NoSuch


@route("GET", r"/library/streams/(\d+)(?:\.\w+)?")
def stream(call: Call) -> Raw:
    _, subtitle = _sidecar(call.library, int(call.parts[0]))
    return Raw(subtitle.data, "text/plain;charset=utf-8")


@route("DELETE", r"/library/streams/(\d+)(?:\.\w+)?")
def stream_delete(call: Call) -> None:
    try:
        item, subtitle = _sidecar(call.library, int(call.parts[0]))
    except NotSeparate as problem:
        raise Broken from problem
    call.library.supplement(item, item.supplement.without_subtitle(subtitle.id))


@route("PUT", r"/library/parts/(\d+)")
def part_streams(call: Call) -> None:
    """Chooses the audio or the subtitle of a part; 0 is none."""
    library = call.library
    item, media = library.with_media(call.parts[0])
    element = wire.media_element(item, media, True, False, library.sections[item.section])
    there = {
        (int(child.attributes["streamType"]), int(child.attributes["id"]))
        for part in element.children
        for child in part.children
    }
    supplement: Supplement = item.supplement
    for name, kind in (("audioStreamID", 2), ("subtitleStreamID", 3)):
        text = call.get(name)
        if not text:
            continue
        if not text.isdigit() or (text != "0" and (kind, int(text)) not in there):
            raise Refused
        supplement = supplement.choosing(media.id, kind, int(text))
    library.supplement(item, supplement)


# --- what an item in full also has --------------------------------------------------------------------------


def supplement(call: Call, item: Item, element: El) -> None:
    """Adds to an item's element what the request asks to be included."""
    held, add = item.supplement, element.children.append
    if call.flag("includeChapters"):
        media_id = item.media[0].id if item.media else 0
        for n, chapter in enumerate(held.chapters, 1):
            about = {
                "id": media_id,
                "filter": f"thumb={media_id}",
                "tag": chapter.title or None,
                "index": n,
                "startTimeOffset": chapter.start_ms,
                "endTimeOffset": chapter.end_ms,
                "thumb": f"/library/media/{media_id}/chapterImages/{n}",
            }
            add(El("Chapter", about))
    if call.flag("includeMarkers"):
        for marker in held.markers:
            about = {
                "final": True if marker.final else None,
                "id": marker.id,
                "type": marker.kind,
                "startTimeOffset": marker.start_ms,
                "endTimeOffset": marker.end_ms,
            }
            version = 4 if marker.kind == "credits" else 5
            add(El("Marker", about, [El("Attributes", {"id": marker.id, "version": version})]))
    if call.flag("includeReviews"):
        for review in held.reviews:
            kind = "fresh" if review.positive else "rotten"
            about = {
                "id": review.id,
                "filter": f"art={review.id}",
                "tag": review.by,
                "text": review.text,
                "image": f"rottentomatoes://image.review.{kind}",
                "link": review.link,
                "source": review.source,
            }
            add(El("Review", about))
    if call.flag("includeExtras"):
        rows = [extra_element(call.library, item, extra) for extra in held.extras]
        add(El("Extras", {"size": len(rows)}, rows))


def extra_element(library: Library, item: Item, extra: Extra, full: bool = False) -> El:
    index = item.supplement.extras.index(extra) + 1
    about = {
        "ratingKey": str(extra.key),
        "key": f"/library/metadata/{extra.key}",
        "guid": f"file://{extra.file}",
        "type": "clip",
        "title": extra.title,
        "summary": "",
        "index": index,
        "thumb": f"/library/metadata/{extra.key}/thumb/{item.added_at}",
        "primaryGuid": item.guid if index == 1 else None,
        "subtype": extra.kind,
        "duration": extra.duration_ms,
        "addedAt": item.added_at,
        "extraType": EXTRA_KINDS[extra.kind],
    }
    section = library.sections[item.section]
    if full:
        about |= {
            "librarySectionTitle": section.title,
            "librarySectionID": section.key,
            "librarySectionKey": f"/library/sections/{section.key}",
        }
    media = plain_media(extra.media_id, extra.file, extra.duration_ms)
    return El("Video", about, [wire.media_element(item, media, True, False, section)])


@route("GET", r"/library/metadata/(\d+)/extras")
def extras(call: Call) -> El:
    item = call.library.movie(call.parts[0])
    rows = [extra_element(call.library, item, extra) for extra in item.supplement.extras]
    return windowed(call, LIBRARY_ATTRIBUTES, rows, lambda row: row)


def one_extra(call: Call) -> El:
    """The trailer or the like whose own number was asked for."""
    item, extra = call.library.extra(call.parts[0])
    section = call.library.sections[item.section]
    about = {"librarySectionID": section.key, "librarySectionTitle": section.title}
    made = extra_element(call.library, item, extra, full=True)
    return container({"allowSync": True, **about, **LIBRARY_ATTRIBUTES}, [made])


@route("GET", r"/library/media/(\d+)/chapterImages/(\d+)")
def chapter_image(call: Call) -> Raw:
    call.library.with_media(call.parts[0])
    return Raw(plain_png(int(call.parts[0]) + int(call.parts[1]), 64, 36), "image/png")


@route("DELETE", r"/library/metadata/(\d+)/media/(\d+)")
def media_delete(call: Call) -> None:
    call.library.delete_media(call.library.movie(call.parts[0]), int(call.parts[1]))


# --- related items ------------------------------------------------------------------------------------------

RELATED_MAX = 12


@route("GET", r"/library/metadata/(\d+)/related")
def related(call: Call) -> El:
    """A hub with movies of the same genres; personal media and collections have none."""
    library = call.library
    item = library.item(call.parts[0])
    rows: Sequence[Item] = ()
    if item.type == "movie" and not library.sections[item.section].personal:
        shared: dict[int, int] = {}
        for tag in item.tag_ids("genre"):
            for key in library.tagged.get(tag, {}):
                other = library.items[key]
                if key != item.key and other.type == "movie" and other.section == item.section:
                    shared[key] = shared.get(key, 0) + 1
        rows = [library.items[key] for key in sorted(shared, key=lambda k: (-shared[k], k))]
    if not rows:
        return container(LIBRARY_ATTRIBUTES)
    shown = rows[:RELATED_MAX]
    about = {
        "hubKey": "/library/metadata/" + ",".join(str(row.key) for row in shown),
        "key": f"/library/metadata/{item.key}/similar",
        "title": "Related Movies",
        "type": "movie",
        "hubIdentifier": "movie.similar",
        "context": "hub.movie.similar",
        "size": len(shown),
        "more": False,
        "style": "shelf",
    }
    hub = El("Hub", about, [wire.in_section(library, row) for row in shown])
    return container(LIBRARY_ATTRIBUTES, [hub])
