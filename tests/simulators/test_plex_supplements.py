"""Subtitles, extras, reviews, chapters, markers: what belongs to an item besides its fields, through plexapi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from plexapi.exceptions import BadRequest, NotFound
from stash_world import wait_for

from simulators.fake_plex.library import Library
from simulators.fake_plex.service import FakePlex, LibraryFileError, load
from simulators.handle import running
from tests.simulators.conftest import World


def write(folder: Path, name: str, text: str = "1\n00:00:01,000 --> 00:00:02,000\nWords\n") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(world: World, method: str, path: str) -> int:
    answer = requests.request(method, world.handle.url + path, headers={"X-Plex-Token": "tok"}, timeout=10)
    return answer.status_code


# --- subtitles ----------------------------------------------------------------------------------------------


def test_upload_select_remove_a_subtitle(world: World, tmp_path: Path) -> None:
    movie = world.movie
    before = [stream.id for stream in movie.subtitleStreams()]
    movie.uploadSubtitles(
        write(tmp_path, "my words.srt", "1\n00:00:01,000 --> 00:00:02,000\nWörter\n")
    ).reload()
    (mine,) = [stream for stream in movie.subtitleStreams() if stream.id not in before]
    assert (mine.title, mine.codec, mine.format, mine.key) == (
        "my words",
        "srt",
        "srt",
        f"/library/streams/{mine.id}",
    )
    assert mine.displayTitle == "Unknown (SRT External)" and mine.selected is False
    text = requests.get(world.plex.url(mine.key, includeToken=True), timeout=10)
    assert (text.status_code, "Wörter" in text.content.decode()) == (200, True)

    mine.setSelected()
    assert [s.id for s in movie.reload().subtitleStreams() if s.selected] == [mine.id]
    movie.media[0].parts[0].resetSelectedSubtitleStream()
    assert [s.id for s in movie.reload().subtitleStreams() if s.selected] == []

    movie.removeSubtitles(streamTitle="my words")
    assert [s.id for s in movie.reload().subtitleStreams()] == before
    assert refused(world, "GET", mine.key) == 404
    with pytest.raises(NotFound):
        world.plex.query(mine.key, world.plex._session.delete)


def test_what_is_no_subtitle_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="400"):
        world.movie.uploadSubtitles(write(tmp_path, "notes.doc"))
    with pytest.raises(BadRequest, match="400"):
        world.movie.uploadSubtitles(write(tmp_path, "empty.srt", ""))
    inside = world.movie.subtitleStreams()[0]
    assert refused(world, "DELETE", f"/library/streams/{inside.id}") == 500  # part of the file
    assert refused(world, "GET", f"/library/streams/{inside.id}") == 501


def test_a_search_finds_what_is_on_offer(rich: World) -> None:
    movie = rich.movie
    found = movie.searchSubtitles()
    assert [(s.title, s.language, s.providerTitle, s.score) for s in found] == [
        ("Road.English", "English", "OpenSubtitles", 7),
        ("Road.English.SDH", "English", "OpenSubtitles", 0),
    ]
    assert [s.title for s in movie.searchSubtitles(language="de")] == ["Road.German"]
    assert [s.title for s in movie.searchSubtitles(hearingImpaired=2)] == ["Road.English.SDH"]
    assert [s.title for s in movie.searchSubtitles(hearingImpaired=1)] == ["Road.English.SDH", "Road.English"]
    assert movie.searchSubtitles(language="ja") == movie.searchSubtitles(forced=2) == []
    assert rich.movies.get("Éclair").searchSubtitles() == []


def test_a_download_takes_its_time(rich: World) -> None:
    movie = rich.movie
    offer = movie.searchSubtitles()[0]
    movie.downloadSubtitles(offer)

    def there() -> Any:
        return [s for s in movie.reload().subtitleStreams() if s.sourceKey == offer.sourceKey]

    (stream,) = wait_for(there)
    assert (stream.title, stream.languageCode, stream.providerTitle) == (
        "Road.English",
        "eng",
        "OpenSubtitles",
    )
    assert b"Hello" in requests.get(rich.plex.url(stream.key, includeToken=True), timeout=10).content
    movie.removeSubtitles(subtitleStream=stream)
    assert there() == []
    assert refused(rich, "PUT", f"/library/metadata/{movie.ratingKey}/subtitles?key=nothing") == 404


def test_the_audio_that_is_chosen_stays_chosen(world: World) -> None:
    part = world.movie.media[0].parts[0]
    french, english = part.audioStreams()
    assert (french.selected, english.selected) == (True, False)
    part.setSelectedAudioStream(english)
    assert [s.selected for s in world.movie.media[0].parts[0].audioStreams()] == [False, True]
    assert refused(world, "PUT", f"/library/parts/{part.id}?audioStreamID=12345") == 400
    assert refused(world, "PUT", "/library/parts/999?audioStreamID=1") == 404


# --- extras, reviews, chapters, markers -----------------------------------------------------------------------


def test_extras(rich: World) -> None:
    movie = rich.movie
    look, made = movie.extras()
    assert (look.title, look.subtype, look.type, look.duration) == ("First look", "trailer", "clip", 90_000)
    assert (made.subtype, made.section().title) == ("behindTheScenes", "Movies")
    assert look.media[0].parts[0].file.endswith("/First look-trailer.mp4")
    assert movie.primaryExtraKey == f"/library/metadata/{look.ratingKey}"
    assert rich.plex.fetchItem(look.ratingKey).title == "First look"
    # They are in no list.
    assert rich.movies.totalSize == 3
    assert look.ratingKey not in [m.ratingKey for m in rich.movies.all()]
    assert rich.movies.get("Éclair").extras() == []


def test_reviews(rich: World) -> None:
    (review,) = rich.movie.reviews()
    assert (review.tag, review.text, review.source) == ("Vera Critic", "It is long.", "The Gazette")
    assert review.image == "rottentomatoes://image.review.rotten"
    assert review.link.startswith("https://") and review.filter == f"art={review.id}"
    assert rich.movies.get("Éclair").reviews() == []


def test_chapters_and_markers(rich: World) -> None:
    movie = rich.movie
    assert movie.chapterSource == "media"
    assert [(c.title, c.start, c.end, c.index) for c in movie.chapters] == [
        (None, 0, 60_000, 1),
        ("The bend", 60_000, 5_400_000, 2),
    ]
    assert [(m.type, m.start, m.end, m.final) for m in movie.markers] == [
        ("intro", 1000, 30_000, None),
        ("credits", 5_000_000, 5_400_000, True),
    ]
    assert [m.version for m in movie.markers] == ["5", "4"] and movie.markers[1].first is True
    picture = requests.get(rich.plex.url(movie.chapters[0].thumb, includeToken=True), timeout=10)
    assert picture.headers["Content-Type"] == "image/png"


def test_they_come_only_when_asked_for(rich: World) -> None:
    headers = {"X-Plex-Token": "tok", "Accept": "application/json"}

    def item(query: str = "") -> dict[str, Any]:
        answer = requests.get(f"{rich.handle.url}/library/metadata/1{query}", headers=headers, timeout=10)
        found: dict[str, Any] = answer.json()["MediaContainer"]["Metadata"][0]
        return found

    names = {"Extras", "Review", "Chapter", "Marker"}
    assert names & item().keys() == set()
    whole = item("?includeExtras=1&includeReviews=1&includeChapters=1&includeMarkers=1")
    assert names <= whole.keys()
    assert whole["Extras"]["size"] == 2 and whole["Extras"]["Metadata"][0]["extraType"] == 1
    assert whole["Marker"][1]["Attributes"]["version"] == 4


def test_they_survive_an_edit(rich: World) -> None:
    rich.movie.editTitle("Another Road")
    assert [e.title for e in rich.movie.extras()] == ["First look", "How it was made"]
    assert len(rich.movie.chapters) == 2


# --- versions, and the rest plexapi asks for ------------------------------------------------------------------


def test_one_of_several_versions_is_deleted(world: World) -> None:
    world.movie.merge([2])
    first, second = world.movie.media
    second.delete()
    assert [m.id for m in world.movie.media] == [first.id]
    world.handle.call("GET", "/state")
    first.delete()
    with pytest.raises(NotFound):
        world.plex.fetchItem(1)


def test_related_movies(world: World) -> None:
    (hub,) = world.movie.hubs()
    assert (hub.hubIdentifier, hub.context, hub.type) == ("movie.similar", "hub.movie.similar", "movie")
    assert {m.title for m in hub.items()} == {"Éclair", "A Short Walk"}
    assert world.clips.all()[0].hubs() == []


def test_a_collection_is_refreshed_and_analysed(world: World) -> None:
    roads = world.movies.collection("Roads")
    roads.refresh()
    roads.analyze()
    assert roads.hubs() == []


def test_the_account_of_the_server_and_the_root_of_its_disk(world: World) -> None:
    account = world.plex.account()
    assert (account.username, account.signInState, account.mappingState) == (
        "user@example.com",
        "ok",
        "mapped",
    )
    assert [path.path for path in world.plex.browse()] == ["/data"]
    assert world.plex.query("/services/browse/?includeFiles=0").find("Path").get("path") == "/data"
    assert world.plex.isBrowsable("/data/movies") is True


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"extras": [{"title": "x", "kind": "poster"}]}, "extras: 'kind' must be one of trailer"),
        ({"reviews": [{"by": "x"}]}, "reviews: 'text' is missing"),
        (
            {"markers": [{"kind": "intro", "start_ms": "1", "end_ms": 2}]},
            "'start_ms' must be a whole number, not '1'",
        ),
        ({"chapters": [{"name": "x"}]}, "chapters: unknown key 'name'"),
        ({"chapters": "all"}, "'chapters' must be a list of objects"),
        ({"subtitle_offers": [{"title": "x", "format": "doc"}]}, "'format' must be one of srt"),
    ],
)
def test_a_library_file_that_is_wrong(more: dict[str, Any], sentence: str) -> None:
    library = Library(0, lambda: 1_700_000_000.0)
    section = {"title": "M", "locations": ["/m"], "items": [{"file": "/m/a.mp4", **more}]}
    with pytest.raises(LibraryFileError, match=sentence):
        load(library, {"sections": [section]})


def test_a_picture_from_elsewhere_is_fetched(world: World, tmp_path: Path) -> None:
    with running(FakePlex.generated(1, token="other", seed=3)) as other:
        picture = f"{other.url}/library/metadata/1/thumb/1?X-Plex-Token=other"
        url = world.plex.transcodeImage(picture, height=10, width=10)
        answer = requests.get(url, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.content == requests.get(picture, timeout=10).content
        own = world.plex.transcodeImage(world.movie.thumb, height=10, width=10)
        assert requests.get(own, timeout=10).headers["Content-Type"] == "image/png"
    assert requests.get(url, timeout=10).status_code == 500
