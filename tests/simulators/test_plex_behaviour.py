"""How the fake Plex behaves where it hurts: locks and refreshes, scans and vanished files, tags, errors, notices."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from plexapi.exceptions import BadRequest, NotFound, Unauthorized
from plexapi.server import PlexServer
from stash_world import self_signed

from simulators.fake_plex import edits
from simulators.fake_plex.library import Broken, Library, Switches
from simulators.fake_plex.service import FakePlex, LibraryFileError
from simulators.handle import running, spawned
from simulators.serving import ControlError
from tests.simulators.conftest import World


def ask(world: World, path: str, method: str = "GET", **headers: str) -> requests.Response:
    headers = {"X-Plex-Token": "tok", **headers}
    return requests.request(method, world.handle.url + path, headers=headers, timeout=10)


def edit(world: World, query: str, section: int = 1) -> int:
    return ask(world, f"/library/sections/{section}/all?type=1&{query}", "PUT").status_code


def until(what: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


# --- the wire -----------------------------------------------------------------------------------------------


def test_token_by_header_and_by_query(world: World) -> None:
    assert requests.get(f"{world.handle.url}/library?X-Plex-Token=tok", timeout=5).status_code == 200
    assert requests.get(f"{world.handle.url}/library", timeout=5).status_code == 401
    assert requests.get(f"{world.handle.url}/identity", timeout=5).status_code == 200
    with pytest.raises(Unauthorized):
        PlexServer(world.handle.url, "wrong")


def test_a_guest_may_look_and_play_but_not_change(world: World) -> None:
    guest = PlexServer(world.handle.url, "guest")
    movie = guest.fetchItem(1)
    movie.markUnplayed()
    assert world.held(1)["view_count"] == 0
    for refused in (
        lambda: movie.editTitle("x"),
        guest.sessions,
        lambda: movie.uploadPoster(url="http://x/"),
        movie.delete,
    ):
        with pytest.raises(BadRequest, match=r"^\(403\)"):
            refused()
    assert world.held(1)["title"] == "The Long Road"


def test_xml_is_plain_ascii_with_references(world: World) -> None:
    world.movie.editTitle("Ünï “quoted” 'n' <b> & 日本\n2")
    answer = ask(world, "/library/metadata/1", **{"Accept-Encoding": "identity"})
    assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
    assert answer.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<MediaContainer size="1" ')
    assert b"&#220;n&#239; &#8220;quoted&#8221; &#39;n&#39; &lt;b&gt; &amp; &#26085;" in answer.content
    assert world.movie.title == "Ünï “quoted” 'n' <b> & 日本\n2"


def test_json_when_asked(world: World) -> None:
    answer = ask(world, "/library/metadata/1", Accept="application/json")
    assert answer.headers["Content-Type"].startswith("application/json")
    (row,) = answer.json()["MediaContainer"]["Metadata"]
    assert (row["ratingKey"], row["librarySectionID"], row["year"]) == ("1", 1, 1999)
    assert row["Field"] == [{"locked": True, "name": "thumb"}]
    (bare,) = ask(world, "/library/metadata/2", Accept="application/json").json()["MediaContainer"][
        "Metadata"
    ]
    assert "Field" not in bare and "viewCount" not in bare


def test_gzip_and_headers(world: World) -> None:
    connection = http.client.HTTPConnection(world.handle.url.removeprefix("http://"))
    connection.request(
        "GET", "/library/sections/2/all", headers={"X-Plex-Token": "tok", "Accept-Encoding": "gzip"}
    )
    answer = connection.getresponse()
    body = answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["X-Plex-Content-Compressed-Length"]) == len(body)
    assert int(answer.headers["X-Plex-Content-Original-Length"]) == len(gzip.decompress(body))
    assert answer.headers["X-Plex-Protocol"] == "1.0" and answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Keep-Alive"] == "timeout=20" and "X-Plex-Token" in answer.headers["Vary"]
    # The connection is kept, and closed after an error.
    connection.request("GET", "/library", headers={"X-Plex-Token": "tok"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read()
    connection.request("GET", "/nope", headers={"X-Plex-Token": "tok"})
    answer = connection.getresponse()
    assert answer.status == 404 and answer.headers["Connection"] == "close"
    assert len({row["client"] for row in world.handle.requests()[-3:]}) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/library/metadata/99", 404),
        ("GET", "/library/metadata/98,99", 404),
        ("GET", "/library/sections/9/all", 404),
        ("GET", "/library/metadata/1/refresh", 405),
        ("PUT", "/library/sections/None/all?type=1&id=1&title.value=x", 500),
        ("PUT", "/library/sections/1/all?type=1&id=99&title.value=x", 404),
        ("PUT", "/library/sections/2/all?type=1&id=1&title.value=x", 404),
        ("PUT", "/library/sections/1/all?id=1&title.value=x", 400),
        ("PUT", "/library/sections/1/all?type=18&id=1&title.value=x", 400),
        ("PUT", "/library/sections/1/all?type=1&id=1&colour.value=x", 400),
        ("PUT", "/library/sections/1/all?type=1&id=1&nonsense[0].tag.tag=x", 400),
        ("PUT", "/library/sections/1/all?type=1&id=1&originallyAvailableAt.value=2024", 500),
        ("PUT", "/library/sections/1/all?type=1&id=1&userRating.value=eleven", 500),
        ("PUT", "/library/sections/1/all?type=1&id=1&userRating.value=11", 500),
        ("PUT", "/library/sections/1/all?type=1&id=1&thumb.value=x", 400),
        ("GET", "/library/sections/1/common", 400),
        ("PUT", "/:/rate?key=1&identifier=com.plexapp.plugins.library&rating=x", 400),
        ("GET", "/:/scrobble?key=1&identifier=other", 400),
        ("GET", "/library/sections/1/all?X-Plex-Container-Start=x", 400),
        ("POST", "/library/metadata/1/posters", 400),
        ("GET", "/no/such/path", 404),
    ],
)
def test_error_status(world: World, method: str, path: str, status: int) -> None:
    before = world.held(1)
    answer = ask(world, path, method)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert world.held(1) == before


def test_edit_answers_empty_text(world: World) -> None:
    answer = ask(world, "/library/sections/1/all?type=1&id=1&title.value=x", "PUT")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"].startswith("text/html")


def test_several_edited_or_none(world: World) -> None:
    assert edit(world, "id=1,2,99&title.value=x") == 404
    assert edit(world, "id=1,2&title.value=x&year.value=y") == 500
    assert world.held(1)["title"] == "The Long Road"
    assert edit(world, "id=1,2&studio.value=Both") == 200
    assert [world.held(key)["fields"]["studio"] for key in (1, 2)] == ["Both", "Both"]


def test_control_characters_break_a_page_until_cleaned(world: World) -> None:
    """As on a real server: metadata with a control character makes malformed XML, which plexapi cleans up."""
    assert edit(world, "id=2&summary.value=a%0Bb") == 200
    with pytest.raises(ET.ParseError):
        ET.fromstring(ask(world, "/library/sections/1/all").content)
    assert len(world.movies.all()) == 3


# --- fields and locks ---------------------------------------------------------------------------------------

SCALARS = {
    "addedAt": ("1000000000", 1000000000),
    "audienceRating": ("7.2", 7.2),
    "contentRating": ("PG", "PG"),
    "rating": ("3.5", 3.5),
    "editionTitle": ("Cut", "Cut"),
    "originallyAvailableAt": ("2001-02-03", "2001-02-03"),
    "originalTitle": ("Orig", "Orig"),
    "titleSort": ("zz", "zz"),
    "studio": ("St", "St"),
    "summary": ("Sum", "Sum"),
    "tagline": ("Tag", "Tag"),
    "title": ("Ti", "Ti"),
    "userRating": ("8", 8.0),
}


@pytest.mark.parametrize("name", list(SCALARS))
def test_every_scalar_round_trips(world: World, name: str) -> None:
    text, value = SCALARS[name]
    old = world.held(2)
    assert edit(world, f"id=2&{name}.value={text}&{name}.locked=1") == 200
    held = world.held(2)
    assert (held["added_at"] if name == "addedAt" else held["fields"][name]) == value
    assert held["locked"] == [name]
    assert world.plex.fetchItem(2).reload().isLocked(name)
    back = old["added_at"] if name == "addedAt" else old["fields"].get(name, "")
    assert edit(world, f"id=2&{name}.value={back}&{name}.locked=0") == 200
    again = world.held(2)
    assert again["locked"] == [] and again["fields"].get(name) == old["fields"].get(name)


def test_an_unlocked_value_is_lost_at_the_next_refresh(world: World) -> None:
    key = world.clips.all()[0].ratingKey
    query = "summary.value=mine&title.value=kept&title.locked=1&originallyAvailableAt.value=2020-01-01"
    assert edit(world, f"id={key}&{query}&genre[0].tag.tag=G", section=2) == 200
    ask(world, f"/library/metadata/{key}/refresh", "PUT")
    held = world.held(key)
    assert held["fields"]["summary"] == "" and held["title"] == "kept"
    assert held["fields"]["originallyAvailableAt"] == "1970-01-01" and held["fields"]["year"] == 1970
    assert held["tags"]["genre"] == ["G"]
    world.handle.call("POST", "/switches", {"refresh_rewrites": "all"})
    ask(world, f"/library/metadata/{key}/refresh", "PUT")
    assert world.held(key)["tags"] == {}


def test_locked_values_survive_a_forced_refresh(world: World) -> None:
    key = world.clips.all()[0].ratingKey
    locked = "summary.value=mine&summary.locked=1&originallyAvailableAt.value=2020-01-01&originallyAvailableAt.locked=1"
    assert edit(world, f"id={key}&{locked}", section=2) == 200
    ask(world, "/library/sections/2/refresh?force=1")
    until(lambda: not world.handle.state()["sections"][1]["refreshing"])
    fields = world.held(key)["fields"]
    assert (fields["summary"], fields["originallyAvailableAt"], fields["year"]) == (
        "mine",
        "2020-01-01",
        2020,
    )


def test_images_of_an_item_move_with_every_edit(world: World) -> None:
    before = world.movie.thumb
    world.handle.call("POST", "/items", {"rating_key": 1, "values": {"title": "x"}})
    after = world.movie
    assert after.thumb == f"/library/metadata/1/thumb/{int(after.updatedAt.timestamp())}"
    assert before.rpartition("/")[0] == after.thumb.rpartition("/")[0]


# --- tags ---------------------------------------------------------------------------------------------------


def test_adding_appends_and_removing_in_the_same_request(world: World) -> None:
    assert edit(world, "id=1&genre[0].tag.tag=New&genre[].tag.tag-=Drama") == 200
    assert world.held(1)["tags"]["genre"] == ["New", "Action", "Comedy"]
    assert edit(world, "id=1&genre[].tag.tag-=Never,A%252CB") == 200
    assert edit(world, "id=1&genre[].tag=") == 200
    assert "genre" not in world.held(1)["tags"]


def test_the_whole_list_indexed_and_the_rest_removed_is_exact_on_both_kinds_of_server(world: World) -> None:
    for mode in ("append", "replace"):
        world.handle.call("POST", "/switches", {"tags": mode})
        assert (
            edit(world, "id=1&genre[0].tag.tag=A&genre[1].tag.tag=Drama&genre[].tag.tag-=Action,Comedy,B")
            == 200
        )
        assert world.held(1)["tags"]["genre"] == ["A", "Drama"]
        assert edit(world, "id=1&genre[0].tag.tag=B") == 200
        assert world.held(1)["tags"]["genre"] == (["B", "A", "Drama"] if mode == "append" else ["B"])


def test_who_wins_when_a_tag_is_added_and_removed(world: World) -> None:
    query = "id=2&label[0].tag.tag=X&label[].tag.tag-=X"
    assert edit(world, query) == 200
    assert world.held(2)["tags"]["label"] == ["X"]
    world.handle.call("POST", "/switches", {"contradiction": "remove"})
    assert edit(world, query) == 200
    assert "label" not in world.held(2)["tags"]


def test_case_of_labels_collections_and_others(world: World) -> None:
    assert (
        edit(world, "id=2&label[0].tag.tag=new%20one&collection[0].tag.tag=ROADS&genre[0].tag.tag=action")
        == 200
    )
    assert world.held(2)["tags"] | {"actor": 0} == {
        "label": ["New one"],
        "collection": ["Roads"],
        "genre": ["Action", "Drama"],
        "actor": 0,
    }
    world.handle.call("POST", "/switches", {"tag_case": "exact", "label_capital": False})
    assert edit(world, "id=3&genre[0].tag.tag=aCTION&label[0].tag.tag=lower") == 200
    assert world.held(3)["tags"]["genre"] == ["aCTION", "Action"]
    assert world.held(3)["tags"]["label"] == ["lower"]


def test_special_characters_survive(world: World) -> None:
    names = ["!@#$%^&*()-_=+[];:'\"/?,.", " leading", "100%", "a%2Cb", "日本"]
    world.movie.addGenre(names)
    assert set(names) <= {g.tag for g in world.movie.genres}
    world.movie.removeGenre(names)
    assert [g.tag for g in world.movie.genres] == ["Action", "Drama", "Comedy"]


def test_a_tag_and_its_thumb_are_one_for_the_whole_server(world: World) -> None:
    assert edit(world, "id=1&actor[0].tag.tag=Two%20Actor&actor[0].tag.thumb=http%3A%2F%2Fx%2F2.jpg") == 200
    one = next(a for a in world.movie.actors if a.tag == "Two Actor")
    two = world.plex.fetchItem(2).reload().actors[0]
    assert (one.id, one.thumb) == (two.id, two.thumb) and two.thumb == "http://x/2.jpg"
    as_director = edits.parse([("director[0].tag.tag", "Two Actor")], ["director"])[0]
    assert as_director.tags["director"].add[0].name == "Two Actor"
    assert edit(world, "id=1&director[0].tag.tag=Two%20Actor") == 200
    assert world.movie.directors[0].id != one.id


def test_collections_made_by_a_tag(world: World) -> None:
    world.movie.addCollection("Fly")
    assert world.movies.collection("Fly").childCount == 1
    world.movie.removeCollection("Fly")
    assert world.movies.collection("Fly").childCount == 0
    world.handle.call("POST", "/switches", {"collections_vanish": True})
    world.movie.addCollection("Other").removeCollection("Other")
    assert [c.title for c in world.movies.collections()] == ["Roads"]


# --- collections and playlists ------------------------------------------------------------------------------


def test_smart_collection(world: World) -> None:
    made = world.movies.createCollection("Old", smart=True, sort="year:desc", filters={"year<<": 2010})
    assert made.smart and [i.title for i in made.items()] == ["Éclair", "The Long Road"]
    world.handle.call("POST", "/items", {"rating_key": 2, "values": {"year": 2015}})
    assert [i.title for i in world.movies.collection("Old").items()] == ["The Long Road"]
    made.updateFilters(filters={"year>>": 2010})
    assert len(world.movies.collection("Old").items()) == 2
    assert ask(world, f"/library/collections/{made.ratingKey}/items/1", "DELETE").status_code == 400


def test_order_of_a_collection(world: World) -> None:
    made = world.movies.createCollection("All", items=world.movies.all())
    assert [i.ratingKey for i in made.items()] == [1, 2, 3]
    made.moveItem(world.plex.fetchItem(1), after=world.plex.fetchItem(3))
    assert [i.ratingKey for i in world.movies.collection("All").items()] == [2, 3, 1]
    made.moveItem(world.plex.fetchItem(3))
    assert [i.ratingKey for i in world.movies.collection("All").items()] == [3, 2, 1]


def test_two_collections_of_one_title_but_no_renaming_onto_one(world: World) -> None:
    world.movies.createCollection("Roads", items=[world.plex.fetchItem(2)])
    assert len([c for c in world.movies.collections() if c.title == "Roads"]) == 2
    other = world.movies.createCollection("Paths", items=[world.plex.fetchItem(2)])
    with pytest.raises(BadRequest, match="409"):
        other.editTitle("Roads")


def test_promoting_a_collection(world: World) -> None:
    roads = world.movies.collection("Roads")
    hub = roads.visibility()
    assert (hub.promotedToRecommended, hub._promoted) == (False, False)
    hub.promoteHome()
    assert (
        world.movies.managedHubs()[-1].title == "Roads" and world.movies.managedHubs()[-1].promotedToOwnHome
    )
    world.movies.managedHubs()[-1].move()
    assert world.movies.managedHubs()[0].title == "Roads"
    world.movies.managedHubs()[0].remove()
    assert "Roads" not in [hub.title for hub in world.movies.managedHubs()]
    assert [hub.title for hub in world.movies.hubs()][2] == "Recently Added"


def test_playlists(world: World) -> None:
    made = world.plex.createPlaylist("Mine", items=world.movies.all()[:2])
    assert (made.title, made.leafCount, made.playlistType) == ("Mine", 2, "video")
    made.addItems(world.plex.fetchItem(3))
    made.moveItem(made.reload().items()[2])
    playlist = world.plex.playlist("Mine")
    assert [i.ratingKey for i in playlist.items()] == [3, 2, 1]
    playlist.removeItems(playlist.items()[0])
    playlist.editTitle("Ours").editSummary("S")
    again = world.plex.playlist("Ours")
    assert len(again.items()) == 2 and again.summary == "S"
    smart = world.plex.createPlaylist("Smart", section=world.movies, smart=True, filters={"genre": "Drama"})
    assert {i.ratingKey for i in smart.items()} == {1, 2}
    assert [p.title for p in world.plex.playlists()] == ["Ours", "Smart"]
    again.delete()
    with pytest.raises(NotFound):
        world.plex.playlist("Ours")


# --- images -------------------------------------------------------------------------------------------------


def test_uploads_pile_up_and_large_ones_break(world: World) -> None:
    for n in range(3):
        answer = requests.post(
            f"{world.handle.url}/library/metadata/1/posters?X-Plex-Token=tok",
            data=b"\xff\xd8%d" % n,
            timeout=5,
        )
        assert answer.status_code == 200
    held = world.held(1)["posters"]
    assert len(held) == 3 and [p["selected"] for p in held] == [False, False, True]
    big = b"\xff\xd8" + b"x" * 10_480_000
    answer = requests.post(
        f"{world.handle.url}/library/metadata/1/posters?X-Plex-Token=tok", data=big, timeout=20
    )
    assert answer.status_code == 500 and len(world.held(1)["posters"]) == 3
    assert ask(world, "/library/metadata/1/posters?url=upload", "DELETE").status_code in (404, 405)


def test_logos_and_square_arts(world: World, tmp_path: Path) -> None:
    file = tmp_path / "x.jpg"
    file.write_bytes(b"\xff\xd8\xff logo")
    movie = world.movie
    movie.uploadLogo(filepath=str(file)).uploadSquareArt(filepath=str(file))
    assert [f.name for f in movie.reload().fields] == ["clearLogo", "squareArt", "thumb"]
    assert requests.get(movie.logoUrl, timeout=5).content == file.read_bytes()
    assert requests.get(movie.squareArtUrl, timeout=5).content == file.read_bytes()
    assert [logo.selected for logo in movie.logos()] == [True] == [art.selected for art in movie.squareArts()]
    movie.deleteLogo().unlockLogo().deleteSquareArt().unlockSquareArt()
    assert {i.type for i in movie.reload().images} == {"coverPoster", "background"}
    assert [f.name for f in movie.fields] == ["thumb"] and len(movie.logos()) == 1


def test_a_dead_url_takes_its_time_and_fails(world: World) -> None:
    world.handle.call("POST", "/switches", {"url_fetch_s": 0.5})
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        assert ask(world, f"/library/metadata/1/posters?url={url}", "POST").status_code == 500
        assert time.monotonic() - began > 0.4
        # Others are served meanwhile and afterwards.
        assert ask(world, "/identity").status_code == 200
    assert ask(world, "/library/metadata/1/posters?url=file%3A%2F%2F%2Fetc", "POST").status_code == 400


def test_pictures_of_items_without_uploads(world: World) -> None:
    answer = requests.get(world.movie.thumbUrl, timeout=5)
    assert answer.headers["Content-Type"] == "image/png" and answer.content.startswith(b"\x89PNG")
    scaled = world.plex.transcodeImage(world.movie.thumb, 100, 100)
    assert requests.get(scaled, timeout=5).content == answer.content


# --- scans and files ----------------------------------------------------------------------------------------

CLIP = "/data/clips/odd/clip 01.mp4"


def key_of(world: World, file: str) -> int | None:
    return next((c.ratingKey for c in world.clips.all() if c.locations == [file]), None)


def scan(world: World) -> None:
    ask(world, "/library/sections/2/refresh")
    until(lambda: not world.handle.state()["sections"][1]["refreshing"])


def test_a_file_that_appears_is_provisional_first(world: World) -> None:
    world.handle.call("POST", "/switches", {"settle_s": 0.5})
    world.handle.call(
        "POST", "/media", {"section": "Clips", "file": "/data/clips/n.mp4", "scan": "on_refresh"}
    )
    assert world.handle.state()["sections"][1]["pending"] == ["/data/clips/n.mp4"]
    scan(world)
    clip = world.clips.get("n")
    assert clip.thumb is None and clip.media[0].width is None
    assert world.clips.timeline().updateQueueSize == 1
    assert [a.type for a in world.plex.activities] == ["library.update.item.metadata"]
    until(lambda: world.clips.get("n").thumb is not None)
    assert world.clips.get("n").media[0].width == 1920 and world.plex.activities == []


def test_a_scan_of_a_file_or_of_another_place_finds_nothing(world: World) -> None:
    world.handle.call("POST", "/media", {"file": "/data/clips/sub/n.mp4", "scan": "on_refresh"})
    for path in ("/data/clips/sub/n.mp4", "/elsewhere/sub", "/data/clips/other"):
        world.clips.update(path=path)
    until(lambda: not world.handle.state()["sections"][1]["refreshing"])
    assert world.clips.search(title="n.") == [] and key_of(world, "/data/clips/sub/n.mp4") is None
    world.clips.update(path="/data/clips/sub")
    until(lambda: key_of(world, "/data/clips/sub/n.mp4") is not None)


def test_a_file_that_vanishes_and_comes_back_has_a_new_number(world: World) -> None:
    before = key_of(world, CLIP)
    world.handle.call("DELETE", "/media", {"file": CLIP})
    assert key_of(world, CLIP) is None
    with pytest.raises(NotFound):
        world.plex.fetchItem(before)
    world.handle.call("POST", "/media", {"file": CLIP})
    assert key_of(world, CLIP) not in (None, before)
    world.handle.call("POST", "/switches", {"rescan_ids": "same"})
    now = key_of(world, CLIP)
    world.handle.call("DELETE", "/media", {"file": CLIP})
    world.handle.call("POST", "/media", {"file": CLIP})
    assert key_of(world, CLIP) == now


def test_vanishing_named_in_the_query(world: World) -> None:
    path = f"/media?file={quote(CLIP)}"
    assert requests.delete(world.handle.control + path, timeout=5).json()["sections"] == ["Clips"]
    assert key_of(world, CLIP) is None


def test_vanished_on_refresh_is_there_until_a_scan(world: World) -> None:
    world.handle.call("DELETE", "/media", {"file": CLIP, "scan": "on_refresh"})
    clip = world.plex.fetchItem(key_of(world, CLIP)).reload(checkFiles=True)
    assert clip.media[0].parts[0].exists is False
    scan(world)
    assert key_of(world, CLIP) is None


def test_trash_when_it_is_not_emptied_by_itself(world: World) -> None:
    ask(world, "/:/prefs?autoEmptyTrash=0", "PUT")
    key = key_of(world, CLIP)
    world.handle.call("DELETE", "/media", {"file": CLIP})
    (listed,) = [c for c in world.clips.all() if c.ratingKey == key]
    assert listed._data.attrib["deletedAt"]
    assert ask(world, f"/library/metadata/{key}").status_code == 404
    assert ask(world, "/library/sections/2/all?trash=1").text.count("<Video") == 1
    # The file is back before the trash was emptied: the same item again.
    world.handle.call("POST", "/media", {"file": CLIP})
    assert world.plex.fetchItem(key).title == "clip 01"
    assert world.held(key)["deleted"] is False


@pytest.mark.parametrize("mode", ["new_key", "same_key"])
def test_a_moved_file(world: World, mode: str) -> None:
    world.handle.call("POST", "/switches", {"moved_file": mode})
    before = key_of(world, CLIP)
    world.handle.call("DELETE", "/media", {"file": CLIP, "scan": "on_refresh"})
    world.handle.call("POST", "/media", {"file": "/data/clips/moved/clip 01.mp4"})
    after = key_of(world, "/data/clips/moved/clip 01.mp4")
    assert after is not None and (after == before) is (mode == "same_key")
    assert key_of(world, CLIP) is None


def test_scanned_now_or_by_a_request_meanwhile(world: World) -> None:
    """A scan asked for "now" leaves another that is under way alone."""
    world.handle.call("POST", "/switches", {"scan_s": 30})
    world.clips.update()
    made = world.handle.call("POST", "/media", {"file": "/data/clips/x.mp4", "title": "Other title"})
    assert world.plex.fetchItem(made["rating_key"]).title == "Other title"
    assert world.clips.reload().refreshing


# --- trouble and switches -----------------------------------------------------------------------------------


def test_the_start_up_sequence(world: World) -> None:
    world.handle.call("POST", "/startup", {"maintenance_s": 0.5, "reads_only_s": 0.5})
    assert ask(world, "/identity").status_code == 503 and edit(world, "id=1&title.value=x") == 503
    until(lambda: ask(world, "/identity").status_code == 200)
    assert edit(world, "id=1&title.value=x") == 400 and world.held(1)["title"] == "The Long Road"
    until(lambda: edit(world, "id=1&title.value=x") == 200)
    with pytest.raises(ControlError, match="unknown key 'refused_s'"):
        world.handle.call("POST", "/startup", {"refused_s": 1})


def test_a_refresh_names_its_activity(world: World) -> None:
    world.handle.call("POST", "/switches", {"scan_s": 30})
    named = ask(world, "/library/sections/2/refresh").headers["X-Plex-Activity"]
    (activity,) = world.plex.activities
    assert activity.uuid == named
    assert ask(world, f"/activities/{named}", "DELETE").status_code == 200 and world.plex.activities == []


def test_one_bad_item(world: World) -> None:
    world.handle.call("POST", "/items", {"rating_key": 1, "poisoned": True})
    assert ask(world, "/library/metadata/1").status_code == 500
    assert edit(world, "id=1&title.value=x") == 500
    assert edit(world, "id=2&title.value=x") == 200 and len(world.movies.all()) == 3
    world.handle.call("POST", "/items", {"rating_key": 1, "poisoned": False})
    assert ask(world, "/library/metadata/1").status_code == 200


def test_deletion_only_where_it_is_allowed(world: World) -> None:
    ask(world, "/:/prefs?allowMediaDeletion=0", "PUT")
    assert ask(world, "/library/metadata/1", "DELETE").status_code == 403
    assert world.movie.title == "The Long Road"


def test_a_session_ended_by_the_server(world: World) -> None:
    world.movie.updateTimeline(1000, state="playing")
    (session,) = world.plex.sessions()
    session.stop()
    assert world.plex.sessions() == []


def test_history_of_a_deleted_item_has_no_key(world: World) -> None:
    world.movie.updateTimeline(5_400_000)
    world.handle.call("DELETE", "/media", {"file": world.movie.locations[0]})
    (row,) = world.plex.history()
    assert row.title == "The Long Road" and row.ratingKey is None
    row.delete()
    assert world.plex.history() == []


def test_sections_made_and_removed(world: World) -> None:
    world.plex.library.add(
        "Third", "movie", "com.plexapp.agents.none", "Plex Video Files Scanner", "/data/third", "xn"
    )
    made = world.plex.library.section("Third")
    assert made.title == "Third" and made.locations == ["/data/third"]
    made.addLocations("/data/fourth")
    assert world.plex.library.section("Third").locations == ["/data/third", "/data/fourth"]
    world.handle.call("POST", "/media", {"section": "Third", "file": "/data/fourth/a.mp4"})
    assert len(world.plex.library.section("Third").all()) == 1
    world.plex.library.section("Third").delete()
    assert ask(world, "/library/sections/3/all").status_code == 404


def test_preferences_of_items_and_sections(world: World) -> None:
    world.movie.editAdvanced(languageOverride="de-DE")
    assert world.movie.preferences()[0].value == "de-DE"
    world.movies.editAdvanced(hidden=1)
    assert world.handle.state()["sections"][0]["title"] == "Movies"
    assert {s.id: s.value for s in world.movies.settings()}["hidden"] == 1


def test_event_source(world: World) -> None:
    url = f"{world.handle.url}/:/eventsource/notifications?X-Plex-Token=tok"
    with requests.get(url, stream=True, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.iter_lines(decode_unicode=True)
        assert next(lines) == "event: ping"
        edit(world, "id=2&title.value=told")
        for line in lines:
            if line.startswith("data:") and "TimelineEntry" in line:
                break
    assert json.loads(line[5:])["TimelineEntry"]["title"] == "told"


def test_odds_and_ends_plexapi_asks_for(world: World) -> None:
    plex = world.plex
    assert plex.library.onDeck() == [] and plex.continueWatching() == []
    world.movie.updateProgress(60_000)
    assert (
        [m.ratingKey for m in plex.library.onDeck()] == [1] == [m.ratingKey for m in plex.continueWatching()]
    )
    assert [m.ratingKey for m in world.movies.continueWatching()] == [1]
    assert len(plex.library.recentlyAdded()) == 15 and len(world.clips.recentlyAdded(maxresults=3)) == 3
    assert len(plex.library.all(libtype="movie")) == 15
    assert plex.library.hubs()[0].title == "Continue Watching in Movies"
    assert world.movies.totalStorage > 4_000_000_000 and world.movies.totalDuration == 6_060_000
    assert plex.clients() == [] and plex.transcodeSessions() == []
    assert plex.library.optimize() is plex.library and plex.library.cleanBundles() is plex.library
    assert plex.createToken().startswith("transient-")
    assert world.movie.extras() == [] and world.clips.all()[0].hubs() == []
    plex.library.update()
    assert world.clips.reload().refreshing
    plex.library.cancelUpdate()
    assert not world.clips.reload().refreshing
    assert (
        requests.get(plex.url(world.movie.media[0].parts[0].key, includeToken=True), timeout=5).status_code
        == 200
    )


def test_play_queues(world: World) -> None:
    queue = world.plex.createPlayQueue(world.movies.all()[0], repeat=1)
    assert [i.ratingKey for i in queue.items] == [2] and not queue.playQueueShuffled
    queue.addItem(world.plex.fetchItem(3))
    queue.addItem(world.plex.fetchItem(1), playNext=True)
    assert [i.ratingKey for i in queue.items] == [2, 1, 3]
    queue.moveItem(queue[2])
    assert [i.ratingKey for i in queue.items] == [3, 2, 1]
    queue.removeItem(queue[0])
    assert [i.ratingKey for i in queue.items] == [2, 1] and queue.playQueueVersion == 5
    collection = world.movies.createCollection("All", items=world.movies.all())
    shuffled = world.plex.createPlayQueue(collection, shuffle=1)
    assert {i.ratingKey for i in shuffled.items} == {1, 2, 3} and shuffled.playQueueShuffled
    queue.clear()
    assert queue.items == []


def test_disk_agents_devices_and_diagnostics(world: World, tmp_path: Path) -> None:
    plex = world.plex
    assert [p.path for p in plex.browse()] == ["/data"]
    assert [p.path for p in plex.browse("/data/clips")] == ["/data/clips/even", "/data/clips/odd"]
    assert (
        len(plex.browse("/data/clips/odd")) == 6 and plex.browse("/data/clips/odd", includeFiles=False) == []
    )
    assert sum(len(files) for _, _, files in plex.walk("/data/clips")) == 12
    assert plex.isBrowsable("/data/third") and not plex.isBrowsable("/data/nowhere")
    assert {a.shortIdentifier for a in plex.agents()} == {"movie", "imdb", "themoviedb", "none"}
    assert [s.id for s in plex.agents()[0].settings()] == ["country"]
    (device,) = plex.systemDevices()
    assert device.clientIdentifier == plex._headers()["X-Plex-Client-Identifier"]
    assert Path(plex.downloadLogs(str(tmp_path))).stat().st_size > 20
    assert plex.checkForUpdate() is None


def test_by_external_id_and_without_the_heavy_parts(world: World) -> None:
    assert world.movies.getGuid("imdb://tt0000001").ratingKey == 1
    with pytest.raises(NotFound):
        world.movies.getGuid("imdb://tt9999999")
    movie = world.movie
    movie.reload(includeFields=False, **movie._EXCLUDES)
    movie._autoReload = False
    assert (movie.media, movie.summary, movie.genres, movie.title) == ([], None, [], "The Long Road")


def test_a_theme_is_a_track(world: World) -> None:
    answer = requests.post(
        f"{world.handle.url}/library/metadata/1/themes?X-Plex-Token=tok", data=b"ID3x", timeout=5
    )
    assert answer.status_code == 200
    (theme,) = world.movie.themes()
    assert theme.selected and theme.ratingKey.startswith("upload://themes/") and world.movie.isLocked("theme")


def test_collection_preferences_and_posters(world: World) -> None:
    smart = world.movies.createCollection("Smart", smart=True, filters={"genre": "Drama"})
    smart.filterUserUpdate("user")
    assert smart.reload().collectionFilterBasedOnUser == 1
    roads = world.movies.collection("Roads")
    (own,) = roads.posters()
    assert own.selected and "/composite/" in own.ratingKey
    assert world.movies.search(libtype="collection", index=roads.index)[0].title == "Roads"


# --- control and library file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("POST", "/media", {}, "media: 'file' is missing"),
        (
            "POST",
            "/media",
            {"file": "/elsewhere/x.mp4"},
            "no section has a location above '/elsewhere/x.mp4'",
        ),
        (
            "POST",
            "/media",
            {"file": "/elsewhere/x.mp4", "section": "Clips"},
            "not below a location of 'Clips'",
        ),
        ("POST", "/media", {"file": "/data/clips/x.mp4", "section": "Nope"}, "there is no section 'Nope'"),
        ("POST", "/media", {"file": "/data/clips/x.mp4", "scan": "soon"}, "'scan' must be"),
        ("POST", "/media", {"file": "/data/clips/x.mp4", "colour": 1}, "unknown key 'colour'"),
        ("DELETE", "/media", {"file": "/nope"}, "there is no file '/nope'"),
        ("POST", "/switches", {"tags": "both"}, "'tags' must be one of append, replace"),
        ("POST", "/switches", {"nope": 1}, "unknown key 'nope'"),
        ("POST", "/switches", {"scan_s": "1"}, "'scan_s' must be a number"),
        ("POST", "/switches", {"label_capital": 1}, "'label_capital' must be true or false"),
        ("POST", "/items", {"rating_key": 77}, "there is no item 77"),
        ("POST", "/items", {"rating_key": 1, "values": {"colour": "x"}}, "refused with 400"),
        ("POST", "/items", {"rating_key": 1, "tags": {"colour": []}}, "unknown tag kind 'colour'"),
    ],
)
def test_senseless_control_calls(world: World, method: str, path: str, body: Any, sentence: str) -> None:
    before = world.handle.state()
    with pytest.raises(ControlError) as refused:
        world.handle.call(method, path, body)
    assert sentence in str(refused.value)
    assert world.handle.state() == before


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "a library file is a JSON object"),
        ({"section": []}, "library file: unknown key 'section'"),
        ({"sections": [{"items": []}]}, "a section has no 'title'"),
        ({"sections": [{"title": "A", "path": "/x"}]}, "section 'A': unknown key 'path'"),
        ({"sections": [{"title": "A", "items": [{"title": "t"}]}]}, "an item has no 'file': 't'"),
        (
            {"sections": [{"title": "A", "items": [{"file": "/a", "genre": []}]}]},
            "item '/a': unknown key 'genre'",
        ),
        (
            {
                "sections": [
                    {
                        "title": "A",
                        "items": [{"file": "/a", "rating_key": 1}, {"file": "/b", "rating_key": 1}],
                    }
                ]
            },
            "rating_key 1 is given to two items",
        ),
        ({"switches": {"tags": "x"}}, "switches: 'tags' must be one of"),
    ],
)
def test_library_file_that_is_wrong(document: Any, sentence: str) -> None:
    with pytest.raises(LibraryFileError) as refused:
        FakePlex.from_document(document)
    assert sentence in str(refused.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_https_with_a_certificate_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # either makes requests forget `verify = False`
        monkeypatch.delenv(name, raising=False)
    certificate, key = self_signed(tmp_path)
    files = ("--tls-cert", certificate, "--tls-key", key)
    with spawned("simulators.fake_plex", "--generate=2", "--token=t", *files) as handle:
        assert handle.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            PlexServer(handle.url, "t")
        session = requests.Session()
        session.verify = False
        assert PlexServer(handle.url, "t", session=session).library.section("Stash").totalSize == 2
    wrong = [sys.executable, "-m", "simulators.fake_plex", "--tls-cert", key, "--tls-key", certificate]
    ended = subprocess.run(wrong, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def test_library_file_from_disk(tmp_path: Path) -> None:
    from simulators.handle import spawned

    path = tmp_path / "library.json"
    path.write_text(
        json.dumps({"sections": [{"title": "A", "locations": ["/a"], "items": [{"file": "/a/1.mp4"}]}]})
    )
    with spawned("simulators.fake_plex", "--library", str(path), "--token", "t") as handle:
        assert handle.state()["sections"][0]["items"][0]["title"] == "1"
    path.write_text("{")
    with (
        pytest.raises(RuntimeError, match=r"library\.json"),
        spawned("simulators.fake_plex", "--library", str(path)),
    ):
        pass


def test_reset_is_the_library_file_again(world: World) -> None:
    first = world.handle.state()
    world.movie.editTitle("x").addCollection("y")
    world.clips.all()[0].delete()
    world.handle.reset()

    def timeless(state: Any) -> Any:
        return json.loads(
            json.dumps(state), object_hook=lambda d: {k: v for k, v in d.items() if not k.endswith("_at")}
        )

    assert timeless(world.handle.state()) == timeless(first)


def test_generated_is_the_same_for_the_same_seed() -> None:
    with (
        running(FakePlex.generated(30, seed=4), seed=4) as one,
        running(FakePlex.generated(30, seed=4), seed=4) as two,
    ):
        assert one.ready["token"] == two.ready["token"]
        first, second = one.state()["sections"], two.state()["sections"]
        assert first[0]["items"] == second[0]["items"]
        item = first[0]["items"][0]
        assert item["file"].startswith("/data/stash/") and item["title"] in item["file"]
        assert item["guid"].startswith("com.plexapp.agents.none://")


def test_stale_view_of_a_library_without_a_server() -> None:
    clock = [1000.0]
    library = Library(0, lambda: clock[0], Switches())
    section = library.add_section("S", locations=["/s"])
    item = library.add_item(section, "/s/a.mp4")
    library.remember(10, lambda: clock[0])
    for n in range(3):
        clock[0] += 1
        library.edit([library.items[item.key]], edits.Edit({"title": f"t{n}"}))
    for moment, title in ((1000.5, "a"), (1001.5, "t0"), (1002.5, "t1"), (1003.5, "t2")):
        with library.as_of(moment):
            assert library.items[item.key].title == title
            assert [i.title for i in library.movies(section)] == [title]
    assert library.items[item.key].title == "t2"
    with pytest.raises(Broken):
        library.section("None")
