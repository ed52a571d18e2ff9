"""Elements, and how they look as XML and as JSON; and the elements of items, sections and the rest.

One tree serves both: XML is what plexapi gets (`Accept: */*`), JSON what a browser asks for. Attribute order,
the decimal references for everything that is not ASCII, and one element a line without indentation are as in
the recorded answers of PMS 1.41.5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from simulators.fake_plex.images import GALLERIES
from simulators.fake_plex.library import (
    MOVIE,
    PEOPLE,
    TAG_KINDS,
    Activity,
    Collection,
    Item,
    Library,
    Media,
    Playlist,
    Section,
    Tag,
)
from simulators.fake_plex.prefs import COLLECTION_PREFS, MOVIE_PREFS
from simulators.fake_plex.search import resolution
from simulators.fake_plex.supplements import SUBTITLE_FORMATS, Subtitle, Supplement

XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
MEDIA_TAGS = "/system/bundle/media/flags/"
MEDIA_TAG_VERSION = 1740148659
IDENTIFIER = "com.plexapp.plugins.library"

_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&#39;",
        "\n": "&#10;",
        "\r": "&#13;",
        "\t": "&#9;",
    }
)


_SPECIAL = re.compile("[&<>\"'\n\r\t]").search


class El:
    """An element: attributes (bool, int, float or str; None is left out) and children.

    `plain` is a child already rendered as XML: an item's summary is rendered once and kept.
    """

    __slots__ = ("attributes", "children", "name")

    def __init__(self, name: str, attributes: dict[str, Any], children: Iterable[El] = ()) -> None:
        self.name = name
        self.attributes = attributes
        self.children = list(children)

    def xml(self) -> str:
        """Control characters of the content are sent as they are, as the real server does."""
        parts: list[str] = []
        self._write(parts)
        return "".join(parts)

    def _write(self, parts: list[str]) -> None:
        add = parts.append
        add("<" + self.name)
        for name, value in self.attributes.items():
            if value is None:
                continue
            if type(value) is str:
                # Most text needs no escaping, and finding that out is cheaper than translating it.
                add(f' {name}="{value.translate(_ESCAPES) if _SPECIAL(value) else value}"')
            elif value is True or value is False:
                add(f' {name}="{value:d}"')
            else:
                add(f' {name}="{value}"')
        if not self.children:
            parts.append(" />\n")
            return
        parts.append(">\n")
        for child in self.children:
            child._write(parts)
        parts.append(f"</{self.name}>\n")

    def json(self) -> dict[str, Any]:
        """The same as an object: lists of children by name, items under "Metadata", single ones as objects."""
        found = {name: value for name, value in self.attributes.items() if value is not None}
        for child in self.children:
            name = JSON_NAMES.get(child.name, child.name)
            if child.name == "Directory" and "ratingKey" in child.attributes:
                name = "Metadata"
            if child.name in SINGLE or self.name == "SearchResult":
                found[name] = child.json()
            else:
                found.setdefault(name, []).append(child.json())
        return found


class Rendered(El):
    """A child whose XML is known; its element is made only when JSON is wanted."""

    __slots__ = ("make", "text")

    def __init__(self, text: str, make: Any) -> None:
        super().__init__("Video", {})
        self.text, self.make = text, make

    def _write(self, parts: list[str]) -> None:
        parts.append(self.text)

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = self.make().json()
        return found


JSON_NAMES = {"Video": "Metadata", "Photo": "Metadata", "Playlist": "Metadata"}
SINGLE = {
    "UltraBlurColors",
    "Meta",
    "User",
    "Player",
    "Session",
    "TranscodeSession",
    "Context",
    "Preferences",
    "Extras",
    "Attributes",
}


def container(attributes: dict[str, Any], children: Iterable[El] = ()) -> El:
    """A MediaContainer; `size` is counted unless given."""
    found = list(children)
    return El("MediaContainer", {"size": len(found), **attributes}, found)


def to_xml(root: El) -> bytes:
    text = XML_HEAD + root.xml()
    # A container that holds nothing is not closed in itself in the recordings.
    if not root.children:
        text = text.removesuffix(" />\n") + f">\n</{root.name}>\n"
    return text.encode("ascii", "xmlcharrefreplace")


def to_json(root: El) -> bytes:
    return json.dumps({root.name: root.json()}, ensure_ascii=False).encode()


LIBRARY_ATTRIBUTES = {
    "identifier": IDENTIFIER,
    "mediaTagPrefix": MEDIA_TAGS,
    "mediaTagVersion": MEDIA_TAG_VERSION,
}


# --- items --------------------------------------------------------------------------------------------------


def number(value: float | int | str | None) -> Any:
    """A rating as the server writes it: always with a fraction."""
    return float(value) if isinstance(value, (int, float)) else value


# Summaries as XML, by whether guids are in them, with the revision of the item they show. An edit makes another object.
_RENDERED: WeakKeyDictionary[Item, tuple[int, dict[bool, str]]] = WeakKeyDictionary()


def _rendered(item: Item) -> dict[bool, str]:
    known = _RENDERED.get(item)
    if known is None or known[0] != item.revision:
        known = _RENDERED[item] = (item.revision, {})
    return known[1]


def summary(library: Library, item: Item, guids: bool = False) -> El:
    """An item as lists show it; the XML is made once for each version of the item."""
    if isinstance(item, Collection):
        # Its members change without it.
        return collection_element(library, item)
    wanted = guids and bool(item.guids)
    texts = _rendered(item)
    text = texts.get(wanted)
    if text is None:
        text = texts[wanted] = item_element(library, item, full=False, guids=wanted).xml()
    return Rendered(text, lambda: item_element(library, item, full=False, guids=wanted))


def item_element(
    library: Library,
    item: Item,
    full: bool,
    guids: bool = True,
    check_files: bool = False,
    prefs: bool = False,
) -> El:
    """An item: a Directory for a collection, a Video otherwise."""
    if isinstance(item, Collection):
        return collection_element(library, item, full, prefs)
    if isinstance(item, Playlist):
        return playlist_element(library, item)
    section = library.sections[item.section]
    personal = section.personal
    get = item.fields.get
    title, titles = item.title, item.title_sort
    thumb, art = image_path(item, "posters"), image_path(item, "arts")
    logo = image_path(item, "clearLogos") if item.galleries else None
    square = image_path(item, "squareArts") if item.galleries else None
    attributes: dict[str, Any] = {
        "ratingKey": str(item.key),
        "key": f"/library/metadata/{item.key}",
        "guid": item.guid,
        "slug": None if personal else _slug(title),
        "studio": get("studio"),
        "type": "movie",
        "title": title,
        "subtype": "clip" if personal else None,
        "titleSort": titles if titles != title else None,
    }
    if full:
        attributes["librarySectionTitle"] = section.title
        attributes["librarySectionID"] = section.key
        attributes["librarySectionKey"] = f"/library/sections/{section.key}"
    attributes |= {
        "originalTitle": get("originalTitle"),
        "editionTitle": get("editionTitle"),
        "contentRating": get("contentRating"),
        "summary": get("summary", ""),
        "rating": number(get("rating")),
        "audienceRating": number(get("audienceRating")),
        "userRating": number(get("userRating")),
        "viewOffset": item.view_offset_ms or None,
        "viewCount": item.view_count or None,
        "skipCount": item.skip_count or None,
        "lastViewedAt": item.last_viewed_at,
        "lastRatedAt": item.last_rated_at,
        "year": get("year"),
        "tagline": get("tagline"),
        "thumb": thumb,
        "art": art,
        "duration": item.duration_ms or None,
        "originallyAvailableAt": get("originallyAvailableAt"),
        "addedAt": item.added_at,
        "updatedAt": item.updated_at,
        "deletedAt": item.deleted_at,
    }
    if personal:
        attributes["createdAtAccuracy"] = "epoch"
        attributes["createdAtTZOffset"] = "0"
    if item.supplement.chapters:
        attributes["chapterSource"] = "media"
    if item.supplement.extras:
        attributes["primaryExtraKey"] = f"/library/metadata/{item.supplement.extras[0].key}"
    if not personal:
        attributes["audienceRatingImage"] = _AUDIENCE if "audienceRating" in item.fields else None
        attributes["ratingImage"] = _CRITICS if "rating" in item.fields else None
    children = [media_element(item, media, full, check_files, section) for media in item.media]
    for kind, path in (
        ("coverPoster", thumb),
        ("background", art),
        ("clearLogo", logo),
        ("backgroundSquare", square),
    ):
        if path:
            children.append(El("Image", {"alt": title, "type": kind, "url": path}))
    if item.settled and item.media:
        children.append(_colours(item.key))
    if full or item.tags or item.guids:
        children += _tags(library, item, full, guids)
    if full:
        children += [El("Field", {"locked": True, "name": name}) for name in sorted(item.locks)]
    if prefs:
        children.append(
            El("Preferences", {}, [setting(p, item.prefs.get(p.id, p.default)) for p in MOVIE_PREFS])
        )
    return El("Video", attributes, children)


def in_section(library: Library, item: Item, guids: bool = False) -> El:
    """A summary that says which section it is of, for lists over several."""
    made = item_element(library, item, full=False, guids=guids)
    section = library.sections[item.section]
    made.attributes |= {
        "librarySectionTitle": section.title,
        "librarySectionID": section.key,
        "librarySectionKey": f"/library/sections/{section.key}",
    }
    return made


def tag_attributes(library: Library, tag: Tag, section: Section | None = None) -> dict[str, Any]:
    """A tag as searches and tag lists show it, with the number of items that carry it (in that section)."""
    keys = library.tagged.get(tag.id, {})
    about: dict[str, Any] = {}
    if section is not None:
        keys = {key: None for key in keys if library.items[key].section == section.key}
        about = {
            "key": f"/library/sections/{section.key}/all?{tag.kind}={tag.id}",
            "librarySectionID": section.key,
            "librarySectionKey": f"/library/sections/{section.key}",
            "librarySectionTitle": section.title,
            "librarySectionType": MOVIE,
            "reason": "section",
            "reasonID": section.key,
            "reasonTitle": section.title,
            "score": "0.92000",
        }
    about |= {"type": "tag", "id": tag.id, "filter": f"{tag.kind}={tag.id}", "tag": tag.name}
    if tag.kind in PEOPLE and section is not None and not section.personal:
        about["tagKey"] = f"5d77{tag.id:020x}"
    return {**about, "tagType": TAG_KINDS[tag.kind][1], "thumb": tag.thumb or None, "count": len(keys)}


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower().replace("'", "")).split())


def image_path(item: Item, gallery: str) -> str | None:
    """The path of the chosen image; it changes with every edit, since it ends in updatedAt."""
    kind = GALLERIES[gallery]
    chosen = item.galleries.get(gallery)
    if chosen is not None:
        return f"/library/metadata/{item.key}/{kind}/{item.updated_at}" if chosen.selected else None
    if isinstance(item, Collection):
        return (
            f"/library/collections/{item.key}/composite/{item.updated_at}" if gallery == "posters" else None
        )
    made = gallery in ("posters", "arts") and item.settled and bool(item.media)
    return f"/library/metadata/{item.key}/{kind}/{item.updated_at}" if made else None


def _colours(number: int) -> El:
    """The colours a client blurs behind the item, which Plex takes from its picture; here from its number."""
    text = f"{number * 0x9E3779B97F4A7C15F39CC060 & 0x3F3F3F3F3F3F3F3F3F3F3F3F:024x}"
    corners = {
        "topLeft": text[:6],
        "topRight": text[6:12],
        "bottomRight": text[12:18],
        "bottomLeft": text[18:],
    }
    return El("UltraBlurColors", corners)


_AUDIENCE, _CRITICS = "rottentomatoes://image.rating.upright", "rottentomatoes://image.rating.ripe"

# Order of the kinds in a full item; Guid and Rating stand between Country and Collection.
_BEFORE_GUID = ("genre", "country")
_AFTER_RATING = ("collection", "director", "writer", "actor", "producer", "similar", "label", "mood", "style")
_CUT = {"genre": 2, "country": 2, "director": 2, "writer": 2, "actor": 3}


def _tags(library: Library, item: Item, full: bool, guids: bool) -> list[El]:
    """The Genre, Role ... elements: all and with ids in a full item, the first few and bare in a list."""
    children: list[El] = []
    for kind in _BEFORE_GUID:
        children += _kind(library, item, kind, full)
    if guids:
        children += [El("Guid", {"id": guid}) for guid in item.guids]
    if full:
        rows = (
            ("audienceRating", "imdb://image.rating", "audience"),
            ("rating", _CRITICS, "critic"),
            ("audienceRating", _AUDIENCE, "audience"),
        )
        for name, image, kind in rows:
            if name in item.fields and not library.sections[item.section].personal:
                children.append(
                    El("Rating", {"image": image, "value": number(item.fields[name]), "type": kind})
                )
    for kind in _AFTER_RATING:
        if full or kind in _CUT or (kind == "collection" and library.switches.list_collections):
            children += _kind(library, item, kind, full)
    return children


def _kind(library: Library, item: Item, kind: str, full: bool) -> list[El]:
    taggings = item.tags.get(kind, ())
    name = TAG_KINDS[kind][0]
    if not full and library.switches.list_tags and kind in _CUT:
        taggings = taggings[: _CUT[kind]]
    children = []
    for tagging in taggings:
        tag = library.tags[tagging.tag]
        if not full:
            children.append(El(name, {"tag": tag.name}))
            continue
        attributes: dict[str, Any] = {"id": tag.id, "filter": f"{kind}={tag.id}", "tag": tag.name}
        if kind in PEOPLE:
            if not library.sections[item.section].personal:
                attributes["tagKey"] = f"5d77{tag.id:020x}"
            attributes["role"] = tagging.text or None
            attributes["thumb"] = tag.thumb or None
        children.append(El(name, attributes))
    return children


_ASPECTS = (1.33, 1.66, 1.78, 1.85, 2.2, 2.35)


def media_element(item: Item, media: Media, full: bool, check_files: bool, section: Section) -> El:
    part: dict[str, Any] = {}
    if check_files:
        there = media.file in section.disk
        part |= {"accessible": there, "exists": there}
    key = f"/library/parts/{media.id}/{media.mtime}/file.{media.container}"
    about: dict[str, Any] = {"id": media.id}
    part |= {"id": media.id, "key": key}
    if media.analyzed:
        shape = media.width / media.height if media.height else 0
        about |= {
            "duration": media.duration_ms or None,
            "bitrate": media.bitrate,
            "width": media.width,
            "height": media.height,
            "aspectRatio": min(_ASPECTS, key=lambda a: abs(a - shape)),
            "audioChannels": media.channels,
            "audioCodec": media.audio_codec,
            "videoCodec": media.video_codec,
            "videoResolution": resolution(media.height),
            "container": media.container,
            "videoFrameRate": media.frame_rate,
            "videoProfile": "high",
            "hasVoiceActivity": False,
        }
        part["duration"] = media.duration_ms or None
    part |= {"file": media.file, "size": media.size or None, "container": media.container}
    if media.analyzed:
        part["videoProfile"] = "high"
        if media.audio_codec == "aac":
            about["audioProfile"] = part["audioProfile"] = "lc"
        if media.container in ("mp4", "m4v"):
            about |= {"optimizedForStreaming": 1, "has64bitOffsets": False}
            part |= {"optimizedForStreaming": True, "has64bitOffsets": False}
    streams = _streams(media, item.supplement) if full and media.analyzed else []
    return El("Media", about, [El("Part", part, streams)])


def _streams(media: Media, supplement: Supplement) -> list[El]:
    """One video stream, an audio or subtitle stream for each language the library file names, and the subtitles
    beside the file.
    """
    name = {"4k": "4K", "sd": "SD"}.get(resolution(media.height), f"{resolution(media.height)}p")
    video = {
        "id": media.id * 100,
        "streamType": 1,
        "default": True,
        "codec": media.video_codec,
        "index": 0,
        "bitrate": media.bitrate,
        **_language(media.languages[0] if media.languages else ""),
        "bitDepth": 8,
        "chromaLocation": "left",
        "chromaSubsampling": "4:2:0",
        "colorPrimaries": "bt709",
        "colorRange": "tv",
        "colorSpace": "bt709",
        "colorTrc": "bt709",
        "scanType": "progressive",
        "codedHeight": media.height,
        "codedWidth": media.width,
        "frameRate": 24.0,
        "hasScalingMatrix": False,
        "height": media.height,
        "level": 40,
        "profile": "high",
        "refFrames": 4,
        "width": media.width,
        "displayTitle": name,
        "extendedDisplayTitle": f"{name} ({media.video_codec.upper()})",
    }
    rows = [El("Stream", video)]
    layout = {1: "mono", 2: "stereo"}.get(media.channels, f"{media.channels - 1}.1")
    sound = f"{media.audio_codec.upper()} {layout.title()}"
    for language in media.languages or ("",):
        first, name = len(rows) == 1, LANGUAGES.get(language, ("", "Unknown"))[1]
        number = media.id * 100 + len(rows)
        chosen = supplement.chosen.get((media.id, 2), number if first else 0) == number
        audio = {
            "id": number,
            "streamType": 2,
            "selected": True if chosen else None,
            "default": True if first else None,
            "codec": media.audio_codec,
            "index": len(rows),
            "channels": media.channels,
            "bitrate": 128 * media.channels,
            **_language(language),
            "audioChannelLayout": layout,
            "profile": "lc" if media.audio_codec == "aac" else None,
            "samplingRate": 48000,
            "title": name,
            "displayTitle": f"{name} ({sound})",
            "extendedDisplayTitle": f"{name} ({sound})",
        }
        rows.append(El("Stream", audio))
    for language in media.subtitles:
        name = LANGUAGES.get(language, ("", "Unknown"))[1]
        number = media.id * 100 + len(rows)
        text = {
            "id": number,
            "streamType": 3,
            "selected": True if supplement.chosen.get((media.id, 3)) == number else None,
            "codec": "srt",
            "index": len(rows),
            "bitrate": 0,
            **_language(language),
            "title": "Full",
            "displayTitle": name,
            "extendedDisplayTitle": f"{name} (SRT)",
        }
        rows.append(El("Stream", text))
    for subtitle in supplement.subtitles:
        if subtitle.media_id == media.id:
            rows.append(subtitle_element(subtitle, supplement.chosen.get((media.id, 3)) == subtitle.id))
    return rows


def subtitle_element(subtitle: Subtitle, selected: bool = False) -> El:
    """A subtitle that is a file of its own, or one a provider offers."""
    name = LANGUAGES.get(subtitle.language, ("", "Unknown"))[1]
    shown = f"{name} ({subtitle.format.upper()} External)"
    about = {
        "id": subtitle.id,
        "key": f"/library/streams/{subtitle.id}",
        "streamType": 3,
        "selected": True if selected else None,
        "canAutoSync": False,
        "codec": SUBTITLE_FORMATS[subtitle.format],
        **_language(subtitle.language),
        "format": subtitle.format,
        "forced": True if subtitle.forced else None,
        "hearingImpaired": True if subtitle.hearing_impaired else None,
    }
    if subtitle.source_key:
        about |= {
            "sourceKey": subtitle.source_key,
            "providerTitle": subtitle.provider,
            "score": subtitle.score,
            "perfectMatch": False,
            "userID": 1,
        }
    return El(
        "Stream", {**about, "title": subtitle.title, "displayTitle": shown, "extendedDisplayTitle": shown}
    )


# Code of three letters -> (of two letters, name); others are shown as unknown.
LANGUAGES = {
    "eng": ("en", "English"),
    "fra": ("fr", "French"),
    "deu": ("de", "German"),
    "spa": ("es", "Spanish"),
    "ita": ("it", "Italian"),
    "jpn": ("ja", "Japanese"),
}


def _language(code: str) -> dict[str, Any]:
    short, name = LANGUAGES.get(code, ("", ""))
    return {"language": name, "languageTag": short, "languageCode": code} if short else {}


def collection_element(library: Library, item: Collection, full: bool = False, prefs: bool = False) -> El:
    section = library.sections[item.section]
    members = library.members(item)
    years = [m.fields["year"] for m in members if m.fields.get("year")]
    titles = item.title_sort
    attributes: dict[str, Any] = {
        "ratingKey": str(item.key),
        "key": f"/library/collections/{item.key}/children",
        "guid": item.guid,
        "type": "collection",
        "title": item.title,
        "titleSort": titles if titles != item.title else None,
    }
    if full:
        attributes["librarySectionTitle"] = section.title
        attributes["librarySectionID"] = section.key
        attributes["librarySectionKey"] = f"/library/sections/{section.key}"
    attributes |= {
        "contentRating": item.fields.get("contentRating"),
        "subtype": "movie",
        "summary": item.fields.get("summary", ""),
        "smart": True if item.smart else None,
        "content": item.smart,
        "index": item.tag,
        "ratingCount": 1,
        "rating": number(item.fields.get("rating")),
        "userRating": number(item.fields.get("userRating")),
        "audienceRating": number(item.fields.get("audienceRating")),
        "lastRatedAt": item.last_rated_at,
        "thumb": image_path(item, "posters"),
        "art": image_path(item, "arts"),
        "addedAt": item.added_at,
        "updatedAt": item.updated_at,
        "childCount": str(len(members)),
        "maxYear": max(years, default=None),
        "minYear": min(years, default=None),
        "collectionMode": str(item.mode) if item.mode >= 0 else None,
        "collectionSort": str(item.sort) if item.sort else None,
        "collectionFilterBasedOnUser": str(item.for_user) if item.for_user else None,
    }
    children = _kind(library, item, "label", full) if full else []
    if full:
        children += [El("Field", {"locked": True, "name": name}) for name in sorted(item.locks)]
    if prefs:
        now = {
            "collectionMode": item.mode,
            "collectionSort": item.sort,
            "collectionFilterBasedOnUser": item.for_user,
        }
        children.append(El("Preferences", {}, [setting(pref, now[pref.id]) for pref in COLLECTION_PREFS]))
    return El("Directory", attributes, children)


def playlist_element(library: Library, item: Playlist) -> El:
    length_ms = sum(library.items[key].duration_ms for _, key in item.entries if key in library.items)
    attributes: dict[str, Any] = {
        "ratingKey": str(item.key),
        "key": f"/playlists/{item.key}/items",
        "guid": item.guid,
        "type": "playlist",
        "title": item.title,
        "summary": item.fields.get("summary", ""),
        "smart": bool(item.smart),
        "playlistType": "video",
        "composite": f"/playlists/{item.key}/composite/{item.updated_at}",
        "content": item.smart,
        "duration": length_ms,
        "leafCount": len(item.entries),
        "addedAt": item.added_at,
        "updatedAt": item.updated_at,
    }
    return El("Playlist", attributes, [El("Field", {"locked": True, "name": n}) for n in sorted(item.locks)])


def photo_elements(item: Item, gallery: str) -> list[El]:
    """The images to choose from: the one Plex made itself, then the uploads."""
    chosen = item.galleries.get(gallery)
    children = []
    own = ""
    if gallery in ("posters", "arts") and item.media and item.settled:
        own = f"media://{item.guid.rpartition('/')[2][:2]}/{item.key}.bundle/Contents/Thumbnails/thumb1.jpg"
        children.append(_photo(item, own, chosen is None or chosen.selected == own, "local"))
    elif gallery == "posters" and isinstance(item, Collection):
        own = f"/library/collections/{item.key}/composite/{item.added_at}"
        children.append(_photo(item, own, chosen is None or chosen.selected == own, "local"))
    for picture in chosen.pictures if chosen else ():
        if picture.key != own:
            selected = chosen is not None and picture.key == chosen.selected
            children.append(_photo(item, picture.key, selected, picture.provider))
    if gallery == "themes":
        for child in children:
            child.name = "Track"
    return children


def _photo(item: Item, key: str, selected: bool, provider: str) -> El:
    path = key if key.startswith("http") else f"/library/metadata/{item.key}/file?url={quote(key, safe='')}"
    attributes = {
        "key": path,
        "provider": provider or None,
        "ratingKey": key,
        "selected": selected,
        "thumb": path,
    }
    return El("Photo", attributes)


# --- sections and the rest ----------------------------------------------------------------------------------


def section_images(section: Section) -> dict[str, str]:
    kind = "video" if section.personal else "movie"
    return {"art": "/:/resources/movie-fanart.jpg", "thumb": f"/:/resources/{kind}.png"}


def section_element(section: Section) -> El:
    images = section_images(section)
    attributes = {
        "allowSync": True,
        "art": images["art"],
        "composite": f"/library/sections/{section.key}/composite/{section.updated_at}",
        "filters": True,
        "refreshing": section.refreshing > 0,
        "thumb": images["thumb"],
        "key": str(section.key),
        "type": section.type,
        "title": section.title,
        "agent": section.agent,
        "scanner": section.scanner,
        "language": section.language,
        "uuid": section.uuid,
        "updatedAt": section.updated_at,
        "createdAt": section.created_at,
        "scannedAt": section.scanned_at,
        "content": True,
        "directory": True,
        "contentChangedAt": section.content_changed_at,
        "hidden": section.hidden,
    }
    return El("Directory", attributes, [El("Location", {"id": n, "path": p}) for n, p in section.locations])


def list_attributes(section: Section) -> dict[str, Any]:
    """What the container of every list of a section says."""
    images = section_images(section)
    return {
        "allowSync": True,
        "art": images["art"],
        "content": "secondary",
        "identifier": IDENTIFIER,
        "librarySectionID": section.key,
        "librarySectionTitle": section.title,
        "librarySectionUUID": section.uuid,
        "mediaTagPrefix": MEDIA_TAGS,
        "mediaTagVersion": MEDIA_TAG_VERSION,
        "thumb": images["thumb"],
        "title1": section.title,
        "title2": f"All {section.title}",
        "viewGroup": "movie",
    }


def setting(pref: Any, value: Any) -> El:
    attributes = {
        "id": pref.id,
        "label": pref.label,
        "summary": "",
        "type": pref.type,
        "default": pref.default,
        "value": value,
        "hidden": False,
        "advanced": pref.advanced,
        "group": pref.group,
        "enumValues": pref.choices or None,
    }
    return El("Setting", attributes)


def activity_element(activity: Activity) -> El:
    attributes = {
        "uuid": activity.uuid,
        "type": activity.type,
        "cancellable": activity.cancellable,
        "userID": 1,
        "title": activity.title,
        "subtitle": activity.subtitle,
        "progress": activity.progress,
    }
    return El("Activity", attributes, [El("Context", activity.context)])


# --- what a section can be asked: Meta ----------------------------------------------------------------------

FILTERS = (
    ("genre", "string", "Genre"),
    ("year", "integer", "Year"),
    ("decade", "integer", "Decade"),
    ("contentRating", "string", "Content Rating"),
    ("collection", "string", "Collection"),
    ("director", "string", "Director"),
    ("actor", "string", "Actor"),
    ("writer", "string", "Writer"),
    ("producer", "string", "Producer"),
    ("country", "string", "Country"),
    ("studio", "string", "Studio"),
    ("resolution", "string", "Resolution"),
    ("hdr", "boolean", "HDR"),
    ("unwatched", "boolean", "Unplayed"),
    ("inProgress", "boolean", "In Progress"),
    ("unmatched", "boolean", "Unmatched"),
    ("audioLanguage", "string", "Audio Language"),
    ("subtitleLanguage", "string", "Subtitle Language"),
    ("editionTitle", "string", "Edition"),
    ("label", "string", "Labels"),
    ("duplicate", "boolean", "Duplicates"),
)
_SORTS = (
    ("titleSort", "asc", "Title"),
    ("year", "desc", "Year"),
    ("originallyAvailableAt", "desc", "Release Date"),
    ("rating", "desc", "Critic Rating"),
    ("audienceRating", "desc", "Audience Rating"),
    ("userRating", "desc", "Rating"),
    ("contentRating", "desc", "Content Rating"),
    ("duration", "desc", "Duration"),
    ("viewOffset", "desc", "Progress"),
    ("viewCount", "desc", "Plays"),
    ("addedAt", "desc", "Date Added"),
    ("lastViewedAt", "desc", "Date Viewed"),
    ("mediaHeight", "asc", "Resolution"),
    ("mediaBitrate", "desc", "Bitrate"),
    ("random", "desc", "Randomly"),
)
_FIELDS = (
    ("title", "Title", "string", None),
    ("studio", "Studio", "string", None),
    ("userRating", "Rating", "integer", "rating"),
    ("contentRating", "Content Rating", "tag", None),
    ("year", "Year", "integer", "year"),
    ("decade", "Decade", "integer", "decade"),
    ("originallyAvailableAt", "Release Date", "date", None),
    ("duration", "Duration", "integer", "duration"),
    ("unmatched", "Unmatched", "boolean", None),
    ("duplicate", "Duplicate", "boolean", None),
    ("genre", "Genre", "tag", None),
    ("collection", "Collection", "tag", None),
    ("director", "Director", "tag", None),
    ("writer", "Writer", "tag", None),
    ("producer", "Producer", "tag", None),
    ("actor", "Actor", "tag", None),
    ("country", "Country", "tag", None),
    ("addedAt", "Date Added", "date", None),
    ("viewCount", "Plays", "integer", None),
    ("lastViewedAt", "Last Played", "date", None),
    ("unwatched", "Unplayed", "boolean", None),
    ("resolution", "Resolution", "resolution", None),
    ("hdr", "HDR", "boolean", "hdr"),
    ("mediaSize", "File Size", "integer", "fileSize"),
    ("mediaBitrate", "Bitrate", "integer", "bitrate"),
    ("subtitleLanguage", "Subtitle Language", "subtitleLanguage", None),
    ("audioLanguage", "Audio Language", "audioLanguage", None),
    ("inProgress", "In Progress", "boolean", None),
    ("trash", "Trash", "boolean", None),
    ("editionTitle", "Edition", "string", None),
    ("label", "Label", "tag", None),
)
_OPERATORS = {
    "tag": (("=", "is"), ("!=", "is not")),
    "integer": (("=", "is"), ("!=", "is not"), (">>=", "is greater than"), ("<<=", "is less than")),
    "string": (
        ("=", "contains"),
        ("!=", "does not contain"),
        ("==", "is"),
        ("!==", "is not"),
        ("<=", "begins with"),
        (">=", "ends with"),
    ),
    "boolean": (("=", "is true"), ("!=", "is false")),
    "date": (("<<=", "is before"), (">>=", "is after")),
    "subtitleLanguage": (("=", "is"), ("!=", "is not")),
    "audioLanguage": (("=", "is"), ("!=", "is not")),
    "resolution": (("=", "is"),),
}


def sort_elements(section: Section, name: str = "Sort", number: int = 1, active: bool = True) -> list[El]:
    children = []
    for key, direction, title in _SORTS if number == 1 else (*_SORTS[:1], ("addedAt", "desc", "Date Added")):
        attributes: dict[str, Any] = {}
        if key == "titleSort":
            attributes |= {"active": True, "activeDirection": "asc"} if active else {}
            attributes["default"] = "asc"
        attributes |= {"defaultDirection": direction, "descKey": f"{key}:desc"}
        if key == "titleSort":
            suffix = "?type=18" if number == 18 else ""
            attributes["firstCharacterKey"] = f"/library/sections/{section.key}/firstCharacter{suffix}"
        children.append(El(name, {**attributes, "key": key, "title": title}))
    return children


def filter_elements(section: Section, name: str = "Filter") -> list[El]:
    base = f"/library/sections/{section.key}"
    rows = [
        El(
            name,
            {"filter": key, "filterType": kind, "key": f"{base}/{key}", "title": title, "type": "filter"},
        )
        for key, kind, title in FILTERS
    ]
    rows[-1].attributes["advanced"] = True
    return rows


def type_element(section: Section, number: int, active: bool = True) -> El:
    base = f"/library/sections/{section.key}/all?type={number}"
    if number == 18:
        about = {"key": base, "type": "collection", "title": "Collections", "active": active}
        return El("Type", about, sort_elements(section, number=18, active=active))
    about = {"key": base, "type": "movie", "subtype": "clip" if section.personal else None, "title": "Movies"}
    children = filter_elements(section) + sort_elements(section, active=active)
    for key, title, kind, sub in _FIELDS:
        children.append(El("Field", {"key": key, "subType": sub, "title": title, "type": kind}))
    return El("Type", {**about, "active": active}, children)


def field_types() -> list[El]:
    return [
        El(
            "FieldType",
            {"type": kind},
            [El("Operator", {"key": key, "title": title}) for key, title in operators],
        )
        for kind, operators in _OPERATORS.items()
    ]


def meta(section: Section, number: int = 1) -> El:
    children = [type_element(section, number)]
    if number == 1:
        folders = f"/library/sections/{section.key}/folder"
        children.append(El("Type", {"key": folders, "type": "folder", "title": "Folders", "active": False}))
    return El("Meta", {}, children + field_types())
