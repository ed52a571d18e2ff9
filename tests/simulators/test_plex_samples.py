"""Recorded answers of real servers beside ours: the same elements, the same attributes, the same types.

Ours may have more. What it lacks is listed in KEPT with the reason, and a test sees to it that the list holds nothing
that is not lacking. The records are no part of the project; without them these tests skip.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from plexapi.server import PlexServer

from simulators.fake_plex.service import FakePlex
from simulators.handle import running
from tests.simulators.conftest import World, rich_document
from tests.simulators.covered import samples_not_compared

XML, JSON = "*/*", "application/json"
INCLUDED = "includePreferences=1&includeReviews=1&includeExtras=1&includeChapters=1&includeMarkers=1"
WINDOW = "X-Plex-Container-Start=0&X-Plex-Container-Size=50"

# Sample -> the request of ours it answers.
XML_SAMPLES = {
    "accounts.xml": "/accounts",
    "activities.xml": "/activities",
    "empty-container.xml": "/library/metadata/1/similar",
    "history.xml": "/status/sessions/history/all",
    "identity-1.18.5.xml": "/identity",
    "library-1.41.5.xml": "/library",
    "metadata-movie-1.41.5.xml": "/library/metadata/1",
    "metadata-movie-locked-fields.xml": "/library/metadata/1?includeGuids=1",
    "put-metadata-refresh.xml": "PUT /library/metadata/1/refresh",
    "root-1.41.5.xml": "/",
    "section-all-1.41.5.xml": f"/library/sections/1/all?includeGuids=1&type=1&{WINDOW}",
    "section-all-size-only.xml": "/library/sections/1/all?includeCollections=0&X-Plex-Container-Size=0"
    "&X-Plex-Container-Start=0",
    "section-collections-meta.xml": f"/library/sections/1/collections?includeMeta=1&includeAdvanced=1&{WINDOW}",
    "section-common-mixed.xml": "/library/sections/1/common?type=1&id=1,11",
    "section-common-same.xml": "/library/sections/1/common?type=1&id=1",
    "section-meta-filtertypes.xml": f"/library/sections/1/all?includeMeta=1&includeAdvanced=1&{WINDOW}",
    "section-sorts.xml": "/library/sections/1/sorts",
    "sections-1.41.5.xml": "/library/sections",
    "status-sessions.xml": "/status/sessions",
}
JSON_SAMPLES = {
    "filter-choices-genre.json": "/library/sections/1/genre",
    "filter-choices-genre-empty.json": "/library/sections/2/genre",
    "hubs-search.json": "/hubs/search?query=a",
    "library-search.json": "/library/search?query=actor",
    "media-providers.json": "/media/providers",
    "metadata-movie.json": "/library/metadata/1",
    "metadata-checkFiles.json": f"/library/metadata/1?checkFiles=1&{INCLUDED}",
    "metadata-movie-full-includes.json": f"/library/metadata/1?checkFiles=1&{INCLUDED}",
    "posters.json": "/library/metadata/1/posters",
    "prefs.json": "/:/prefs",
    "section-all-includeMeta-trimmed.json": f"/library/sections/1/all?type=1&includeMeta=1&{WINDOW}",
    "section-all-page.json": f"/library/sections/1/all?{WINDOW}",
    "section-all-personal-media-other-videos.json": f"/library/sections/2/all?type=1&includeMeta=1&{WINDOW}",
    "section-details-includeDetails.json": "/library/sections/1?includeDetails=1",
    "sections.json": "/library/sections",
    "timeline-report.json": "/:/timeline?ratingKey=1&key=/library/metadata/1&state=playing&time=75000&duration=5400000",
}
ERRORS = {
    "error-400.html": ("PUT", "/library/sections/1/all?type=1&id=1", 400),
    "error-401.html": ("GET", "/library?X-Plex-Token=wrong", 401),
    "error-401-root.html": ("GET", "/?X-Plex-Token=wrong", 401),
    "error-404.html": ("GET", "/library/metadata/999999", 404),
    "error-500.html": ("PUT", "/library/sections/None/all?type=1&id=1&title.value=x", 500),
    "error-400-plain.txt": (
        "POST",
        "/library/sections?name=x&type=movie&agent=tv.plex.agents.movie&scanner=Plex%20Movie&language=&location=/x",
        400,
    ),
}

# What recordings have and ours lacks: a pattern over "path@attribute" and "path:type", and the reason.
KEPT: dict[str, str] = {
    r"/Activity/(Context@name|Response)": "an EPG activity of 2015; ours are of scans and refreshes",
    r"/(Director|Writer|Producer)(\[\]/|@)thumb": "people have a thumb when somebody gave them one",
    r"/Stream.*(DOVI|anamorphic|pixelAspectRatio|original|dub|hearingImpaired|bitrateMode|headerCompression)": (
        "files are made up, with one plain video stream and plain sound"
    ),
    r"/Stream(\[\])?\[(2\]/bitDepth|3\]@(default|forced))": "sound is plain, and no subtitle is chosen by default",
    r"(thumb|art)BlurHash": "only given with includeFields, and needs a picture",
    r"hasPremium": "no extras for subscribers only",
    r"augmentationKey": "related things that plex.tv knows",
    r"/Extras.*(premium|protocol|Stream)": "extras are plain files, not streams of a service",
    r"/Part.*(hasThumbnail|indexes)": "no preview thumbnails",
    r"skipCount": "movies are not skipped",
    r"^/MediaContainer@(nocache|sortAsc|viewMode)$": "the size-only recording is of a server of 2021",
    r"/Video/\w+@count": "older servers count the uses of a tag inside sessions",
    r"/(Media|Part|Stream.*)@(decision|location|protocol|selected|bitrate|height|width|optimizedForStreaming)": (
        "sessions play directly: nothing is transcoded"
    ),
    r"/(grandp|p)arent|/Metadata\[\]/index": "episodes; there are no shows here",
    r"/Part\[\]/(accessible|exists)": "given with checkFiles=1, as documented",
    r"/Metadata\[\]/Collection": "lists show no collections, as documented; the switch list_collections shows them",
}
REASON = re.compile("|".join(KEPT))


def prepared(world: World) -> World:
    """The world with something to see everywhere."""
    world.handle.call("POST", "/switches", {"scan_s": 600})
    world.clips.update()
    movie = world.movie
    movie.rate(8)
    movie.updateTimeline(5_400_000)
    movie.updateTimeline(75_000, state="playing", duration=5_400_000)
    edit = {
        "actor[0].tag.tag": "One Actor",
        "actor[0].tagging.text": "Hero",
        "actor[0].tag.thumb": "http://x/a.jpg",
    }
    movie.edit(**edit, **{"actor.locked": 1})
    world.movies.collection("Roads").editContentRating("G")
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.srt"
        words.write_text("1\n00:00:01,000 --> 00:00:02,000\nWords\n", encoding="utf-8")
        movie.uploadSubtitles(str(words))
    movie.reload().subtitleStreams()[-1].setSelected()
    movie.addProducer("Pro Ducer").editSortTitle("Long Road 1").editOriginalTitle("Lang")
    return world


def ask(world: World, request: str, accept: str) -> requests.Response:
    method, _, path = request.rpartition(" ")
    headers = {"Accept": accept, "X-Plex-Token": "tok"}
    return requests.request(method or "GET", world.handle.url + path, headers=headers, timeout=10)


def xml_paths(element: ET.Element, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, "") for each element and (path, attribute) for each attribute, streams told apart by their type."""
    name = element.tag + (f"[{element.get('streamType')}]" if element.tag == "Stream" else "")
    path = f"{path}/{name}"
    yield path, ""
    for attribute in element.attrib:
        yield path, attribute
    for child in element:
        yield from xml_paths(child, path)


def json_paths(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, type) of everything in a JSON value; int and float are one type."""
    if isinstance(value, dict):
        kind = f"[{value['streamType']}]" if "streamType" in value else ""
        yield path + kind, "object"
        for key, inner in value.items():
            yield from json_paths(inner, f"{path}{kind}/{key}")
    elif isinstance(value, list):
        yield path, "list"
        for inner in value:
            yield from json_paths(inner, f"{path}[]")
    else:
        yield path, {bool: "bool", int: "number", float: "number", str: "string"}.get(type(value), "null")


def lacking_xml(sample: str, records: Path, world: World) -> set[str]:
    answer = ask(world, XML_SAMPLES[sample], XML)
    assert answer.status_code == 200, answer.text
    ours = set(xml_paths(ET.fromstring(answer.content)))
    theirs = set(xml_paths(ET.fromstring((records / "samples" / sample).read_bytes())))
    return {f"{path}@{attribute}" if attribute else path for path, attribute in theirs - ours}


def lacking_json(sample: str, records: Path, world: World) -> set[str]:
    answer = ask(world, JSON_SAMPLES[sample], JSON)
    assert answer.status_code == 200, answer.text
    ours = set(json_paths(answer.json()))
    theirs = set(json_paths(json.loads((records / "samples" / sample).read_text(encoding="utf-8"))))
    return {f"{path}:{kind}" for path, kind in theirs - ours}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running(FakePlex.from_document(rich_document(), token="tok"), seed=7) as handle:
        yield prepared(World(handle, PlexServer(handle.url, "tok")))


@pytest.mark.parametrize("sample", list(XML_SAMPLES))
def test_xml_sample(sample: str, world: World, plex_records: Path) -> None:
    assert [
        lack for lack in sorted(lacking_xml(sample, plex_records, world)) if not REASON.search(lack)
    ] == []


@pytest.mark.parametrize("sample", list(JSON_SAMPLES))
def test_json_sample(sample: str, world: World, plex_records: Path) -> None:
    assert [
        lack for lack in sorted(lacking_json(sample, plex_records, world)) if not REASON.search(lack)
    ] == []


def test_every_kept_difference_is_one(world: World, plex_records: Path) -> None:
    lacking = {lack for sample in XML_SAMPLES for lack in lacking_xml(sample, plex_records, world)}
    lacking |= {lack for sample in JSON_SAMPLES for lack in lacking_json(sample, plex_records, world)}
    assert [pattern for pattern in KEPT if not any(re.search(pattern, lack) for lack in lacking)] == []


def test_every_recorded_answer_is_compared(plex_records: Path) -> None:
    assert samples_not_compared(plex_records) == []


def test_lists_show_collections_when_told_to(world: World) -> None:
    world.handle.call("POST", "/switches", {"list_collections": True})
    try:
        rows = ask(world, "/library/sections/1/all", JSON).json()["MediaContainer"]["Metadata"]
        assert {"tag": "Roads"} in [tag for row in rows for tag in row.get("Collection", ())]
    finally:
        world.handle.call("POST", "/switches", {"list_collections": False})


async def listened(world: World, path: str) -> list[dict[str, Any]]:
    """What a websocket hears when `path` is asked, up to the end of an activity and a timeline entry."""
    frames: list[dict[str, Any]] = []
    url = f"{world.handle.url}/:/websockets/notifications?X-Plex-Token=tok"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        headers = {"X-Plex-Token": "tok"}
        async with session.get(world.handle.url + path, headers=headers) as answer:
            assert answer.status == 200
        while {"timeline", "ended"} - {f.get("type") for f in frames} - {_event(f) for f in frames}:
            frames.append((await socket.receive_json(timeout=5))["NotificationContainer"])
    return frames


def _event(container: dict[str, Any]) -> str:
    return str(container.get("ActivityNotification", [{}])[0].get("event", ""))


@pytest.mark.parametrize("sample", list(ERRORS))
def test_error_page(sample: str, world: World, plex_records: Path) -> None:
    method, path, status = ERRORS[sample]
    token = {} if "X-Plex-Token" in path else {"X-Plex-Token": "tok"}
    answer = requests.request(method, world.handle.url + path, headers=token, timeout=10)
    assert answer.status_code == status
    assert answer.content == (plex_records / "samples" / sample).read_bytes()
    assert answer.headers["Content-Type"].startswith("text/html") and answer.headers["Connection"] == "close"


def test_starting_up(world: World, plex_records: Path) -> None:
    samples = plex_records / "samples"
    try:
        world.handle.call("POST", "/switches", {"starting": "maintenance"})
        answer = ask(world, "/identity", XML)
        assert (answer.status_code, answer.content) == (
            503,
            (samples / "error-503-maintenance.json").read_bytes(),
        )
        world.handle.call("POST", "/switches", {"starting": "reads_only"})
        assert ask(world, "/library", XML).status_code == 200
        answer = ask(world, "PUT /library/sections/1/all?type=1&id=1&title.value=x", XML)
        assert (answer.status_code, answer.content) == (
            400,
            (samples / "error-400-starting-up.txt").read_bytes(),
        )
    finally:
        world.handle.call("POST", "/switches", {"starting": "up"})


def test_activity_notices(world: World, plex_records: Path) -> None:
    recorded = json.loads(
        (plex_records / "samples" / "websocket-activity-events.json").read_text(encoding="utf-8")
    )
    frames = asyncio.run(listened(world, "/:/scrobble?key=11&identifier=com.plexapp.plugins.library"))
    ours = [frame for frame in frames if frame["type"] == "activity"]
    assert {f["ActivityNotification"][0]["event"] for f in ours} >= {"started", "ended"}
    theirs = set(json_paths(recorded))
    lacking = theirs - set(json_paths(ours))
    # The recording also says what was found out about the files.
    assert {path.rpartition("/")[2] for path, _ in lacking} <= {
        "accessible",
        "exists",
        "refreshed",
        "analyzed",
    }
    timeline = next(frame for frame in frames if frame["type"] == "timeline")
    assert timeline["TimelineEntry"][0]["itemID"] == "11" and timeline["TimelineEntry"][0]["state"] == 5
