"""What the tests of the simulators share: a small library, a running fake Plex, plexapi connected to it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from plexapi.library import MovieSection
from plexapi.server import PlexServer
from plexapi.video import Movie

from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running

MOVIES = [
    {
        "title": "The Long Road",
        "file": "/data/movies/The Long Road (1999)/The Long Road.mkv",
        "studio": "Marv",
        "summary": "A road, and it's long.",
        "originallyAvailableAt": "1999-03-04",
        "contentRating": "R",
        "rating": 6.5,
        "audienceRating": 7.5,
        "tagline": "Longer than you think",
        "duration": 5_400_000,
        "size": 4_000_000_000,
        "genres": ["Action", "Drama", "Comedy"],
        "directors": ["Ann Lee"],
        "writers": ["Ann Lee", "Bo Diaz", "Cy Young"],
        "actors": ["One Actor", "Two Actor", "Three Actor", "Four Actor"],
        "countries": ["France"],
        "labels": ["Keep"],
        "collections": ["Roads"],
        "guids": ["imdb://tt0000001", "tmdb://1"],
        "locked": ["thumb"],
        "view_count": 1,
        "languages": ["fra", "eng"],
        "subtitles": ["fra"],
    },
    {
        "title": "Éclair",
        "file": "/data/movies/Éclair (2004).mp4",
        "originallyAvailableAt": "2004-07-01",
        "duration": 600_000,
        "height": 576,
        "width": 720,
        "genres": ["Drama"],
        "actors": ["Two Actor"],
    },
    {
        "title": "A Short Walk",
        "file": "/data/movies/A Short Walk.avi",
        "originallyAvailableAt": "2021-12-31",
        "duration": 60_000,
        "height": 2160,
        "width": 3840,
        "studio": "Other & Sons",
        "genres": ["Action"],
    },
]
DOCUMENT: dict[str, Any] = {
    "sections": [
        {
            "title": "Movies",
            "agent": "tv.plex.agents.movie",
            "language": "en-US",
            "locations": ["/data/movies"],
            "items": MOVIES,
        },
        {
            "title": "Clips",
            "locations": ["/data/clips"],
            "items": [
                {
                    "file": f"/data/clips/{'odd' if n % 2 else 'even'}/clip {n:02d}.mp4",
                    "duration": 1000 * n,
                    "mtime": n,
                }
                for n in range(1, 13)
            ],
        },
    ],
    "guests": ["guest"],
    "folders": ["/data/third", "/data/fourth"],
    "switches": {"scan_s": 0.1, "settle_s": 0.1, "url_fetch_s": 2},
}


# What else the first movie has in the world that is rich in such things; the numbers of its trailers follow its own.
SUPPLEMENT: dict[str, Any] = {
    "chapters": [
        {"start_ms": 0, "end_ms": 60_000},
        {"title": "The bend", "start_ms": 60_000, "end_ms": 5_400_000},
    ],
    "markers": [
        {"kind": "intro", "start_ms": 1000, "end_ms": 30_000},
        {"kind": "credits", "start_ms": 5_000_000, "end_ms": 5_400_000, "final": True},
    ],
    "reviews": [{"by": "Vera Critic", "text": "It is long.", "source": "The Gazette", "positive": False}],
    "extras": [
        {"title": "First look", "duration": 90_000},
        {"title": "How it was made", "kind": "behindTheScenes"},
    ],
    "subtitle_offers": [
        {
            "title": "Road.English",
            "language": "eng",
            "text": "1\n00:00:01,000 --> 00:00:02,000\nHello\n",
            "score": 7,
        },
        {"title": "Road.English.SDH", "language": "eng", "hearing_impaired": True},
        {"title": "Road.German", "language": "deu"},
    ],
}


def rich_document() -> dict[str, Any]:
    made = copy.deepcopy(DOCUMENT)
    first, *others = made["sections"][0]["items"]
    first |= SUPPLEMENT
    made["sections"][1]["items"][0]["chapters"] = [{"start_ms": 0, "end_ms": 1000}]
    for number, item in enumerate(others, 11):
        item["rating_key"] = number
    return made


@dataclass
class World:
    """A running fake Plex and unmodified plexapi at its other end."""

    handle: Handle
    plex: PlexServer

    @property
    def movies(self) -> MovieSection:
        return self.plex.library.section("Movies")

    @property
    def clips(self) -> MovieSection:
        return self.plex.library.section("Clips")

    @property
    def movie(self) -> Movie:
        """The one with everything, in full."""
        return self.plex.fetchItem(1).reload()

    def held(self, key: int) -> dict[str, Any]:
        """What the server holds about an item, by its control API."""
        rows = [
            row
            for section in self.handle.state()["sections"]
            for row in (*section["items"], *section["collections"])
            if row["rating_key"] == key
        ]
        return rows[0]

    def sent(self) -> list[tuple[str, str, str]]:
        """(method, path, query) of everything asked so far."""
        return [(row["method"], row["path"], row["query"]) for row in self.handle.requests()]


@pytest.fixture
def world() -> Iterator[World]:
    with running(FakePlex.from_document(DOCUMENT, token="tok"), seed=7) as handle:
        yield World(handle, PlexServer(handle.url, "tok"))


@pytest.fixture
def rich() -> Iterator[World]:
    with running(FakePlex.from_document(rich_document(), token="tok"), seed=7) as handle:
        yield World(handle, PlexServer(handle.url, "tok"))


@pytest.fixture(scope="module")
def shared_world() -> Iterator[World]:
    """One for a whole module of tests that only read."""
    with running(FakePlex.from_document(DOCUMENT, token="tok"), seed=7) as handle:
        yield World(handle, PlexServer(handle.url, "tok"))


@pytest.fixture(scope="session")
def plex_records() -> Path:
    """The folder with recorded answers and wire facts, which lies beside the project and is no part of it."""
    given = os.environ.get("PLEXSYNC_SHARED")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared"
    if not (folder / "plex" / "samples").is_dir():
        pytest.skip(
            f"no recorded answers at {folder} (set PLEXSYNC_SHARED to the folder that holds plex/samples)"
        )
    return folder / "plex"


def recorded_calls(records: Path) -> list[str]:
    """The names of the calls of PLEXAPI_WIRE.txt."""
    lines = (records / "PLEXAPI_WIRE.txt").read_text(encoding="utf-8").splitlines()
    return [line[3:].split(" ->")[0] for line in lines if line.startswith("## ")]
