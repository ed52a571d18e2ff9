"""What belongs to an item besides its fields and tags: chapters, markers, reviews, extras, subtitles. Values; no HTTP.

An item without any (most are) holds the one empty Supplement. Shapes: recorded answers of PMS with includeExtras,
includeReviews, includeChapters and includeMarkers, and python-plexapi 4.18.3's subtitle calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# Kinds of extras, as `subtype`, and their number, as `extraType`.
EXTRA_KINDS = {
    "trailer": 1,
    "deletedScene": 2,
    "interview": 3,
    "musicVideo": 4,
    "behindTheScenes": 5,
    "sceneOrSample": 6,
    "concert": 9,
    "featurette": 10,
    "short": 11,
    "other": 12,
}
MARKER_KINDS = ("intro", "credits", "commercial")
# Subtitle files a server takes, by the name that is sent and the codec that is shown.
SUBTITLE_FORMATS = {"srt": "srt", "ass": "ass", "ssa": "ssa", "smi": "smi", "vtt": "webvtt", "sub": "vobsub"}
# Above the numbers of streams that are inside a file (see wire.py).
FIRST_SIDECAR_ID = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Marker:
    """A stretch to be skipped; `final`: credits that run to the end."""

    id: int
    kind: str
    start_ms: int
    end_ms: int
    final: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    id: int
    by: str
    text: str
    source: str
    link: str
    positive: bool


@dataclass(frozen=True, slots=True)
class Extra:
    """A trailer or the like: a clip with a number of its own that no list shows."""

    key: int
    title: str
    kind: str
    duration_ms: int
    media_id: int
    file: str


@dataclass(frozen=True, slots=True)
class Subtitle:
    """A subtitle beside a file: uploaded, downloaded, or (with no `data` yet) on offer by a provider."""

    id: int
    media_id: int
    title: str
    format: str
    language: str = ""  # a code of three letters
    data: bytes = b""
    source_key: str = ""  # of one that came from a provider
    provider: str = ""
    score: int = 0
    forced: bool = False
    hearing_impaired: bool = False


@dataclass(frozen=True)
class Supplement:
    chapters: tuple[Chapter, ...] = ()
    markers: tuple[Marker, ...] = ()
    reviews: tuple[Review, ...] = ()
    extras: tuple[Extra, ...] = ()
    subtitles: tuple[Subtitle, ...] = ()
    offers: tuple[Subtitle, ...] = ()  # what a search with a provider finds
    chosen: Mapping[tuple[int, int], int] = field(
        default_factory=dict
    )  # (media, stream type) -> stream; 0: none

    def with_subtitle(self, subtitle: Subtitle) -> Supplement:
        return replace(self, subtitles=(*self.subtitles, subtitle))

    def without_subtitle(self, number: int) -> Supplement:
        left = {place: stream for place, stream in self.chosen.items() if stream != number}
        return replace(self, subtitles=tuple(s for s in self.subtitles if s.id != number), chosen=left)

    def choosing(self, media_id: int, stream_type: int, number: int) -> Supplement:
        return replace(self, chosen={**self.chosen, (media_id, stream_type): number})


NOTHING = Supplement()
KEYS = {"chapters", "markers", "reviews", "extras", "subtitle_offers"}

_ROWS: dict[str, dict[str, type]] = {
    "chapters": {"title": str, "start_ms": int, "end_ms": int},
    "markers": {"kind": str, "start_ms": int, "end_ms": int, "final": bool},
    "reviews": {"by": str, "text": str, "source": str, "link": str, "positive": bool},
    "extras": {"title": str, "kind": str, "duration": int, "file": str},
    "subtitle_offers": {
        "title": str,
        "language": str,
        "format": str,
        "text": str,
        "provider": str,
        "score": int,
        "forced": bool,
        "hearing_impaired": bool,
    },
}
_NEEDED = {
    "chapters": ("start_ms", "end_ms"),
    "markers": ("kind", "start_ms", "end_ms"),
    "reviews": ("by", "text"),
    "extras": ("title",),
    "subtitle_offers": ("title",),
}


def read(given: Mapping[str, Any], file: str, media_id: int, next_id: Callable[[str], int]) -> Supplement:
    """The supplement an item of a library file describes; ValueError says what is wrong.

    `next_id` makes numbers of the kinds item, media, stream and supplement.
    """
    rows = {name: _checked(name, given.get(name, ())) for name in KEYS}
    if not any(rows.values()):
        return NOTHING
    extras = []
    for row in rows["extras"]:
        kind = row.get("kind", "trailer")
        _one_of("extras", "kind", kind, EXTRA_KINDS)
        folder = file.rpartition("/")[0]
        place = row.get("file") or f"{folder}/{row['title']}-{kind.lower()}.mp4"
        numbers = next_id("item"), next_id("media")
        extras.append(Extra(numbers[0], row["title"], kind, row.get("duration", 60_000), numbers[1], place))
    for row in rows["markers"]:
        _one_of("markers", "kind", row["kind"], MARKER_KINDS)
    offers: list[Subtitle] = []
    for row in rows["subtitle_offers"]:
        _one_of("subtitle_offers", "format", row.get("format", "srt"), SUBTITLE_FORMATS)
        offers.append(
            Subtitle(
                id=FIRST_SIDECAR_ID + next_id("stream"),
                media_id=media_id,
                title=row["title"],
                format=row.get("format", "srt"),
                language=row.get("language", "eng"),
                data=row.get("text", "1\n00:00:01,000 --> 00:00:02,000\n...\n").encode(),
                source_key=f"opensubtitles://{len(offers) + 1}/{media_id}",
                provider=row.get("provider", "OpenSubtitles"),
                score=row.get("score", 0),
                forced=row.get("forced", False),
                hearing_impaired=row.get("hearing_impaired", False),
            )
        )
    return Supplement(
        chapters=tuple(Chapter(r.get("title", ""), r["start_ms"], r["end_ms"]) for r in rows["chapters"]),
        markers=tuple(
            Marker(next_id("supplement"), r["kind"], r["start_ms"], r["end_ms"], r.get("final", False))
            for r in rows["markers"]
        ),
        reviews=tuple(
            Review(
                next_id("supplement"),
                r["by"],
                r["text"],
                r.get("source", "The Daily Example"),
                r.get("link", "https://reviews.example/1"),
                r.get("positive", True),
            )
            for r in rows["reviews"]
        ),
        extras=tuple(extras),
        offers=tuple(offers),
    )


def _checked(name: str, rows: Any) -> list[dict[str, Any]]:
    known = _ROWS[name]
    if not isinstance(rows, (list, tuple)):
        raise ValueError(f"{name!r} must be a list of objects")
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{name!r} must be a list of objects, not of {row!r}")
        for key, value in row.items():
            if key not in known:
                raise ValueError(f"{name}: unknown key {key!r} (there are {', '.join(known)})")
            if type(value) is not known[key]:
                raise ValueError(f"{name}: {key!r} must be {_words(known[key])}, not {value!r}")
        for key in _NEEDED[name]:
            if key not in row:
                raise ValueError(f"{name}: {key!r} is missing")
    return list(rows)


def _one_of(name: str, key: str, value: str, known: Any) -> None:
    if value not in known:
        raise ValueError(f"{name}: {key!r} must be one of {', '.join(known)}, not {value!r}")


def _words(kind: type) -> str:
    return {str: "text", int: "a whole number", bool: "true or false"}[kind]
