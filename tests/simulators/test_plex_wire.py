"""Every call of the recorded list of plexapi 4.18.3's requests, made by unmodified plexapi, judged by its result.

CALLS is the list; a call's name is the one it has in PLEXAPI_WIRE.txt, and a test compares the two where that
file is at hand.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from plexapi.exceptions import NotFound

from tests.simulators.conftest import World, recorded_calls

CALLS: dict[str, Callable[[World], None]] = {}


def call(name: str) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def enter(function: Callable[[World], None]) -> Callable[[World], None]:
        CALLS[name] = function
        return function

    return enter


# --- server and sections -------------------------------------------------------------------------------------


@call("PlexServer()")
def _(w: World) -> None:
    assert w.plex.friendlyName == "fake plex"
    assert w.plex.version.startswith("1.41.")
    assert len(w.plex.machineIdentifier) == 40


@call("library")
def _(w: World) -> None:
    assert w.plex.library.title1 == "Plex Library"
    assert w.plex.library.identifier == "com.plexapp.plugins.library"


@call("sections()")
def _(w: World) -> None:
    movies, clips = w.plex.library.sections()
    assert (movies.title, movies.type, movies.agent, movies.locations) == (
        "Movies",
        "movie",
        "tv.plex.agents.movie",
        ["/data/movies"],
    )
    assert (clips.agent, clips.scanner, clips.language) == (
        "com.plexapp.agents.none",
        "Plex Video Files Scanner",
        "xn",
    )
    assert clips.refreshing is False


@call("section.all()")
def _(w: World) -> None:
    assert [m.title for m in w.movies.all()] == ["Éclair", "The Long Road", "A Short Walk"]
    clip = w.clips.all()[0]
    assert clip.title == "clip 01"
    assert clip.media[0].parts[0].file == "/data/clips/odd/clip 01.mp4"
    assert clip.librarySectionID == w.clips.key


@call("section.all() again")
def _(w: World) -> None:
    assert [m.ratingKey for m in w.movies.all()] == [m.ratingKey for m in w.movies.all()]


@call("section.search(title)")
def _(w: World) -> None:
    assert [m.title for m in w.movies.search(title="long r")] == ["The Long Road"]


@call("section.search(title__iexact)")
def _(w: World) -> None:
    assert w.movies.search(title__iexact="long r") == []
    assert [m.ratingKey for m in w.movies.search(title__iexact="the long ROAD")] == [1]


@call("section.search(Media__Part__file)")
def _(w: World) -> None:
    assert [m.ratingKey for m in w.movies.search(Media__Part__file__contains="Short Walk")] == [3]


@call("search(genre=Action)")
def _(w: World) -> None:
    assert {m.title for m in w.movies.search(genre="Action")} == {"The Long Road", "A Short Walk"}


@call("search(filters and)")
def _(w: World) -> None:
    found = w.movies.search(sort="addedAt:desc", limit=5, filters={"and": [{"title": "a"}, {"year>>": 2000}]})
    assert {m.title for m in found} == {"Éclair", "A Short Walk"}


@call("search(guid=)")
def _(w: World) -> None:
    assert [m.ratingKey for m in w.movies.search(guid=w.movie.guid)] == [1]


@call("section.get")
def _(w: World) -> None:
    assert w.movies.get("Short").title == "A Short Walk"


@call("totalSize")
def _(w: World) -> None:
    assert (w.movies.totalSize, w.clips.totalSize) == (3, 12)


# --- one item --------------------------------------------------------------------------------------------------


@call("fetchItem(int)")
def _(w: World) -> None:
    movie = w.plex.fetchItem(1)
    assert movie.title == "The Long Road"
    assert movie.isPartialObject()


@call("library.fetchItem")
def _(w: World) -> None:
    assert w.plex.library.fetchItem(2).title == "Éclair"


@call("a.tagline (present)")
def _(w: World) -> None:
    movie = w.movies.get("Long")
    before = len(w.sent())
    assert movie.tagline == "Longer than you think"
    assert len(w.sent()) == before


@call("a.userRating (absent")
def _(w: World) -> None:
    movie = w.movies.get("Long")
    assert movie.isPartialObject()
    assert movie.userRating is None
    assert w.sent()[-1][1] == "/library/metadata/1" and "includeMarkers=1" in w.sent()[-1][2]
    assert movie.isFullObject()


@call("a.editionTitle again")
def _(w: World) -> None:
    movie = w.movie
    before = len(w.sent())
    assert movie.editionTitle is None
    assert len(w.sent()) == before


@call("reload()")
def _(w: World) -> None:
    movie = w.movies.get("Long").reload()
    assert [g.tag for g in movie.genres] == ["Action", "Drama", "Comedy"]
    assert [a.tag for a in movie.actors] == ["One Actor", "Two Actor", "Three Actor", "Four Actor"]
    assert [g.id for g in movie.guids] == ["imdb://tt0000001", "tmdb://1"]
    assert [f.name for f in movie.fields] == ["thumb"]
    assert movie.isLocked("thumb") and not movie.isLocked("title")
    assert movie.collections[0].tag == "Roads" and movie.labels[0].tag == "Keep"
    assert movie.media[0].parts[0].videoStreams()[0].codec == "h264"


@call("reload(checkFiles=True)")
def _(w: World) -> None:
    part = w.movie.reload(checkFiles=True).media[0].parts[0]
    assert part.exists is True and part.accessible is True


@call("reload(includeX=False)")
def _(w: World) -> None:
    off = dict.fromkeys(
        (
            "includeBandwidths",
            "includeChapters",
            "includeFields",
            "includeGeolocation",
            "includeLoudnessRamps",
            "includeMarkers",
        ),
        False,
    )
    assert w.movie.reload(**off).title == "The Long Road"
    assert w.sent()[-1] == ("GET", "/library/metadata/1", "")


@call("fetchItems list")
def _(w: World) -> None:
    assert [m.ratingKey for m in w.plex.fetchItems([1, 2, 999])] == [1, 2]


@call("unknown path")
def _(w: World) -> None:
    with pytest.raises(NotFound, match=r"\(404\) not_found"):
        w.plex.query("/nope")


# --- edits -----------------------------------------------------------------------------------------------------


@call("editTitle")
def _(w: World) -> None:
    w.movie.editTitle("Ü & b's")
    again = w.movie
    assert again.title == "Ü & b's" and again.isLocked("title")
    assert again.titleSort == "U & b's"


@call("editSummary empty")
def _(w: World) -> None:
    w.movie.editSummary("")
    assert w.movie.summary == "" and w.movie.isLocked("summary")


@call("editSortTitle unlock")
def _(w: World) -> None:
    w.movie.editSortTitle("z", locked=False)
    assert w.movie.titleSort == "z" and not w.movie.isLocked("titleSort")
    assert [m.ratingKey for m in w.movies.all()][-1] == 1


@call("editOriginallyAvailable")
def _(w: World) -> None:
    w.movie.editOriginallyAvailable("2020-01-02")
    again = w.movie
    assert again.originallyAvailableAt.strftime("%Y-%m-%d") == "2020-01-02" and again.year == 2020


@call("editUserRating")
def _(w: World) -> None:
    w.movie.editUserRating(8.5)
    assert w.movie.userRating == 8.5 and w.movie.isLocked("userRating")


@call("rate(8.5)")
def _(w: World) -> None:
    w.movie.rate(8.5)
    assert w.movie.userRating == 8.5 and w.movie.lastRatedAt is not None


@call("rate()")
def _(w: World) -> None:
    w.movie.rate(3.0)
    w.movie.rate()
    assert w.movie.userRating is None and w.movie.lastRatedAt is None


@call("addGenre")
def _(w: World) -> None:
    w.movie.addGenre(["New One", "A,B"])
    assert [g.tag for g in w.movie.genres] == ["Action", "Drama", "Comedy", "New One", "A,B"]
    assert w.movie.isLocked("genre")


@call("removeGenre")
def _(w: World) -> None:
    w.movie.addGenre(["New One", "A,B", "100%"])
    w.movie.removeGenre(["New One", "A,B", "100%", "never there"])
    assert [g.tag for g in w.movie.genres] == ["Action", "Drama", "Comedy"]


@call("addLabel")
def _(w: World) -> None:
    w.movie.addLabel("l1")
    assert [t.tag for t in w.movie.labels] == ["Keep", "L1"]


@call("addCollection")
def _(w: World) -> None:
    w.movie.addCollection("C1")
    assert [t.tag for t in w.movie.collections] == ["Roads", "C1"]
    assert [i.ratingKey for i in w.movies.collection("C1").items()] == [1]


@call("removeCollection")
def _(w: World) -> None:
    w.movie.removeCollection("Roads")
    assert w.movie.collections == []
    assert w.held(1)["locked"] == ["collection", "thumb"]


@call("actor edit()")
def _(w: World) -> None:
    thumb = "http://x/y.jpg?a=1"
    edit = {"actor[0].tag.tag": "Jane Doe", "actor[0].tagging.text": "Self", "actor[0].tag.thumb": thumb}
    w.movie.edit(**edit, **{"actor.locked": 1})
    first = w.movie.roles[0]
    assert (first.tag, first.role, first.thumb) == ("Jane Doe", "Self", thumb)
    assert len(w.movie.roles) == 5


@call("batchEdits")
def _(w: World) -> None:
    movie = w.movie
    movie.batchEdits().editTitle("T").editSummary("S").editStudio("St").addGenre("G").removeLabel(
        "Keep"
    ).saveEdits()
    assert [method for method, _, _ in w.sent()].count("PUT") == 1
    held = w.held(1)
    assert (held["title"], held["fields"]["summary"], held["fields"]["studio"]) == ("T", "S", "St")
    assert held["tags"]["genre"] == ["Action", "Drama", "Comedy", "G"] and "label" not in held["tags"]
    assert {"title", "summary", "studio", "genre", "label"} <= set(held["locked"])


@call("batchMultiEdits")
def _(w: World) -> None:
    items = w.clips.all()[:2]
    w.clips.batchMultiEdits(items)
    w.clips.editStudio("S").addLabel("x").saveMultiEdits()
    for item in items:
        assert w.held(item.ratingKey)["fields"]["studio"] == "S"
        assert w.held(item.ratingKey)["tags"]["label"] == ["X"]
    assert "studio" not in w.held(w.clips.all()[2].ratingKey)["fields"]


@call("lockPoster")
def _(w: World) -> None:
    w.plex.fetchItem(2).lockPoster()
    assert w.held(2)["locked"] == ["thumb"]


@call("lockArt")
def _(w: World) -> None:
    w.movie.lockArt()
    assert w.held(1)["locked"] == ["art", "thumb"]


@call("unlockPoster")
def _(w: World) -> None:
    w.movie.unlockPoster()
    assert w.held(1)["locked"] == []


@call("lockAllField")
def _(w: World) -> None:
    w.clips.lockAllField("thumb")
    assert all(item.reload().isLocked("thumb") for item in w.clips.all())
    assert w.held(2)["locked"] == []


# --- images ------------------------------------------------------------------------------------------------------

JPEG = b"\xff\xd8\xff" + b"x" * 100


def _image_server(data: bytes) -> tuple[str, HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "missing" not in self.path else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}", server


@call("posters()")
def _(w: World) -> None:
    (own,) = w.movie.posters()
    assert own.selected and own.provider == "local" and own.ratingKey.startswith("media://")


@call("setPoster")
def _(w: World) -> None:
    w.movie.uploadPoster(filepath=_file(JPEG))
    own = next(p for p in w.movie.posters() if p.ratingKey.startswith("media://"))
    w.movie.setPoster(own)
    assert [p.ratingKey for p in w.movie.posters() if p.selected] == [own.ratingKey]
    assert len(w.movie.posters()) == 2


@call("setArt")
def _(w: World) -> None:
    w.movie.uploadArt(filepath=_file(JPEG))
    own = next(p for p in w.movie.arts() if p.ratingKey.startswith("media://"))
    w.movie.setArt(own)
    assert [p.ratingKey for p in w.movie.arts() if p.selected] == [own.ratingKey]
    assert "art" in w.held(1)["locked"]


@call("uploadPoster(file bytes)")
def _(w: World) -> None:
    movie = w.plex.fetchItem(2)
    movie.uploadPoster(filepath=_file(JPEG))
    movie.uploadPoster(filepath=_file(JPEG))
    upload = next(p for p in movie.posters() if p.selected)
    assert upload.ratingKey == f"upload://posters/{hashlib.sha1(JPEG).hexdigest()}"
    assert len(movie.posters()) == 2
    assert movie.reload().isLocked("thumb")
    assert w.plex._session.get(movie.thumbUrl).content == JPEG


@call("uploadPoster(url)")
def _(w: World) -> None:
    url, server = _image_server(JPEG)
    w.movie.uploadPoster(url=f"{url}/scene/1/screenshot?apikey=k&t=1")
    server.shutdown()
    (poster,) = w.held(1)["posters"]
    assert poster["bytes"] == len(JPEG) and poster["selected"]
    assert poster["source_url"] == f"{url}/scene/1/screenshot?apikey=k&t=1"


@call("uploadArt(url)")
def _(w: World) -> None:
    url, server = _image_server(JPEG)
    w.movie.uploadArt(url=f"{url}/a b.jpg")
    server.shutdown()
    assert w.held(1)["arts"][0]["source_url"] == f"{url}/a b.jpg"


@call("deletePoster")
def _(w: World) -> None:
    w.movie.deletePoster()
    assert not any(p.selected for p in w.movie.posters())
    assert w.movie.thumb is None


FOLDER = tempfile.TemporaryDirectory(prefix="fake-plex-")  # gone when the tests end


def _file(data: bytes) -> str:
    path = Path(FOLDER.name) / f"{hashlib.sha1(data).hexdigest()}.jpg"
    path.write_bytes(data)
    return str(path)


# --- play state --------------------------------------------------------------------------------------------------


@call("markPlayed")
def _(w: World) -> None:
    movie = w.plex.fetchItem(2)
    movie.markPlayed()
    assert movie.reload().viewCount == 1 and movie.lastViewedAt is not None and movie.isPlayed
    assert movie.history() == []


@call("markUnplayed")
def _(w: World) -> None:
    w.movie.markUnplayed()
    assert not w.movie.isPlayed


@call("updateProgress")
def _(w: World) -> None:
    w.movie.updateProgress(60_000)
    assert w.movie.viewOffset == 60_000


@call("updateTimeline")
def _(w: World) -> None:
    w.movie.updateTimeline(60_000, state="playing", duration=5_400_000)
    assert [(s.ratingKey, s.players[0].state) for s in w.plex.sessions()] == [(1, "playing")]
    w.movie.updateTimeline(61_000)
    assert w.plex.sessions() == []
    assert w.movie.viewOffset == 61_000


@call("history")
def _(w: World) -> None:
    w.movie.updateTimeline(5_400_000)
    (row,) = w.movie.history()
    assert (row.title, row.accountID, row.ratingKey) == ("The Long Road", 1, 1)
    assert w.plex.fetchItem(2).history() == []


@call("plex.history")
def _(w: World) -> None:
    w.movie.updateTimeline(5_400_000)
    w.plex.fetchItem(2).updateTimeline(600_000)
    assert [row.ratingKey for row in w.plex.history(maxresults=5)] == [2, 1]


@call("sessions")
def _(w: World) -> None:
    w.movie.updateTimeline(1000, state="paused")
    (session,) = w.plex.sessions()
    assert session.session.location == "lan" and session.players[0].state == "paused"
    assert session.usernames == ["owner"]


# --- scans and what they show --------------------------------------------------------------------------------------


def _until(what: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


@call("section.update")
def _(w: World) -> None:
    w.handle.call("POST", "/media", {"file": "/data/clips/new one.mp4", "scan": "on_refresh"})
    clips = w.clips
    clips.update()
    assert clips.reload().refreshing is True
    assert clips.search(title="new one") == []
    _until(lambda: clips.reload().refreshing is False)
    assert [c.title for c in clips.search(title="new one")] == ["new one"]


@call("section.update(path)")
def _(w: World) -> None:
    for file in ("/data/clips/a b/ü/one.mp4", "/data/clips/other/two.mp4"):
        w.handle.call("POST", "/media", {"file": file, "scan": "on_refresh"})
    w.clips.update(path="/data/clips/a b/ü")
    _until(lambda: len(w.clips.search(title="one")) == 1)
    assert w.clips.search(title="two") == []


@call("section.refresh")
def _(w: World) -> None:
    clip = w.clips.all()[0]
    clip.editSummary("not locked", locked=False)
    w.clips.refresh()
    _until(lambda: clip.reload().summary == "")


@call("cancelUpdate")
def _(w: World) -> None:
    w.handle.call("POST", "/switches", {"scan_s": 60})
    clips = w.clips
    clips.update()
    assert clips.reload().refreshing
    clips.cancelUpdate()
    assert not clips.reload().refreshing
    assert w.plex.activities == []


@call("emptyTrash")
def _(w: World) -> None:
    w.plex.settings.get("autoEmptyTrash").set(False)
    w.plex.settings.save()
    clip = w.clips.all()[0]
    w.handle.call("DELETE", "/media", {"file": clip.locations[0]})
    assert w.held(clip.ratingKey)["deleted"] is True
    with pytest.raises(NotFound):
        w.plex.fetchItem(clip.ratingKey)
    w.clips.emptyTrash()
    assert w.clips.totalSize == 11


@call("section.reload")
def _(w: World) -> None:
    clips = w.clips
    before = w.handle.state()["sections"][1]["scanned_at"]
    clips.update()
    assert clips.reload().refreshing
    _until(lambda: not clips.reload().refreshing)
    assert w.handle.state()["sections"][1]["scanned_at"] >= before


@call("section.timeline")
def _(w: World) -> None:
    timeline = w.movies.timeline()
    assert timeline.title1 == "Movies" and timeline.updateQueueSize == 0
    assert timeline.latestEntryTime > 0 and timeline.viewGroup == "secondary"


@call("activities")
def _(w: World) -> None:
    w.handle.call("POST", "/switches", {"scan_s": 60})
    w.clips.update()
    (activity,) = w.plex.activities
    assert (activity.type, activity.title) == ("library.update.section", "Scanning")


@call("item.refresh")
def _(w: World) -> None:
    clip = w.clips.all()[0]
    clip.editTitle("kept").editSummary("lost", locked=False)
    clip.refresh()
    clip.reload()
    assert (clip.title, clip.summary) == ("kept", "")


@call("item.analyze")
def _(w: World) -> None:
    before = w.held(1)
    w.movie.analyze()
    assert w.held(1) == before
    assert w.sent()[-2][:2] == ("PUT", "/library/metadata/1/analyze") or w.sent()[-1][0] == "PUT"


# --- collections ---------------------------------------------------------------------------------------------------


@call("collections()")
def _(w: World) -> None:
    (roads,) = w.movies.collections()
    assert (roads.title, roads.childCount, roads.smart) == ("Roads", 1, False)


@call("collection(title)")
def _(w: World) -> None:
    assert w.movies.collection("roads").title == "Roads"


@call("createCollection")
def _(w: World) -> None:
    made = w.movies.createCollection("New C", items=w.movies.all()[:2])
    assert (made.title, made.childCount, made.subtype) == ("New C", 2, "movie")
    assert {i.ratingKey for i in made.items()} == {i.ratingKey for i in w.movies.all()[:2]}
    assert made.index in [t.id for t in w.plex.fetchItem(2).reload().collections]


@call("coll.addItems")
def _(w: World) -> None:
    w.movies.collection("Roads").addItems(w.plex.fetchItem(3))
    assert [i.ratingKey for i in w.movies.collection("Roads").items()] == [1, 3]


@call("coll.removeItems")
def _(w: World) -> None:
    w.movies.collection("Roads").removeItems(w.movie)
    assert w.movies.collection("Roads").items() == []


@call("coll.items")
def _(w: World) -> None:
    assert [i.title for i in w.movies.collection("Roads").items()] == ["The Long Road"]


@call("coll.reload")
def _(w: World) -> None:
    roads = w.movies.collection("Roads").reload()
    assert (roads.minYear, roads.maxYear, roads.librarySectionID) == (1999, 1999, w.movies.key)


@call("coll.editTitle")
def _(w: World) -> None:
    w.movies.collection("Roads").editTitle("Streets")
    assert w.movies.collection("Streets").isLocked("title")


@call("coll.delete")
def _(w: World) -> None:
    w.movies.collection("Roads").delete()
    assert w.movies.collections() == []
    assert w.movie.collections == []


@call("coll.modeUpdate")
def _(w: World) -> None:
    roads = w.movies.collection("Roads")
    roads.modeUpdate("hide")
    roads.sortUpdate("alpha")
    roads.reload()
    assert (roads.collectionMode, roads.collectionSort) == (0, 1)


@call("coll.uploadPoster")
def _(w: World) -> None:
    url, server = _image_server(JPEG)
    roads = w.movies.collection("Roads")
    roads.uploadPoster(url=f"{url}/p")
    server.shutdown()
    assert w.held(roads.ratingKey)["posters"][0]["selected"]
    assert roads.reload().thumb.startswith(f"/library/metadata/{roads.ratingKey}/thumb/")


# --- the rest ------------------------------------------------------------------------------------------------------


@call("identity")
def _(w: World) -> None:
    assert w.plex.identity().machineIdentifier == w.plex.machineIdentifier


@call("plex.search")
def _(w: World) -> None:
    assert [m.title for m in w.plex.search("short", limit=3)] == ["A Short Walk"]
    assert {type(r).__name__ for r in w.plex.search("actor")} == {"Role"}


@call("hubSearch")
def _(w: World) -> None:
    found = w.movies.hubSearch("a")
    assert {m.title for m in found if m.type == "movie"} == {"Éclair", "The Long Road", "A Short Walk"}
    assert [t.tag for t in found if type(t).__name__ == "Genre"] == ["Action", "Drama"]
    assert w.clips.hubSearch("drama") == []


@call("settings")
def _(w: World) -> None:
    assert w.plex.settings.get("autoEmptyTrash").value is True
    assert w.plex.settings.get("ScheduledLibraryUpdateInterval").value == 3600


@call("section.settings")
def _(w: World) -> None:
    assert {s.id for s in w.movies.settings()} >= {"hidden", "enableBIFGeneration", "collectionMode"}


@call("listFilterChoices")
def _(w: World) -> None:
    assert [c.title for c in w.movies.listFilterChoices("genre")] == ["Action", "Comedy", "Drama"]
    assert [c.title for c in w.movies.listFilterChoices("year")] == ["2021", "2004", "1999"]


@call("library.search")
def _(w: World) -> None:
    found = w.plex.library.search(title="clip 0")
    assert len(found) == 9 and {m.librarySectionID for m in found} == {w.clips.key}


@call("library.tags")
def _(w: World) -> None:
    assert {t.tag for t in w.plex.library.tags("genre")} == {"Action", "Drama", "Comedy"}


@call("systemAccounts")
def _(w: World) -> None:
    assert [(a.id, a.name) for a in w.plex.systemAccounts()] == [(0, ""), (1, "owner")]


@call("butler")
def _(w: World) -> None:
    assert "RefreshLibraries" in [t.name for t in w.plex.butlerTasks()]
    w.plex.runButlerTask("RefreshLibraries")
    assert w.clips.reload().refreshing


@call("m.delete")
def _(w: World) -> None:
    w.movie.delete()
    assert len(w.movies.all()) == 2
    with pytest.raises(NotFound):
        w.plex.fetchItem(1)


@call("mergesplit")
def _(w: World) -> None:
    movie = w.movie
    movie.merge([2, 3])
    assert len(w.movie.media) == 3 and len(w.movies.all()) == 1
    movie.split()
    assert len(w.movie.media) == 1 and len(w.movies.all()) == 3


@call("unmatch")
def _(w: World) -> None:
    w.movie.unmatch()
    assert w.movie.guid == "local://1"


@call("matches")
def _(w: World) -> None:
    assert [m.name for m in w.movie.matches()] == ["The Long Road"]
    assert w.clips.all()[0].matches() == []


@call("items of role tag")
def _(w: World) -> None:
    role = w.movie.roles[1]
    assert [m.ratingKey for m in role.items()] == [2, 1]


@pytest.mark.parametrize("name", list(CALLS))
def test_call(name: str, world: World) -> None:
    CALLS[name](world)


def test_every_recorded_call_is_here(plex_records: Path) -> None:
    recorded = recorded_calls(plex_records)
    assert len(recorded) > 80
    assert [name for name in recorded if name not in CALLS] == []
