"""Both adapters against whole servers over real sockets: what test_plex and test_stash cannot show with
answers made by hand.

Set PLEXSYNC_TEST_PLEX=http://host:32400 and PLEXSYNC_TEST_PLEX_TOKEN to run the harmless ones of them against
a real Plex as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Transient, Unavailable
from plexsync.core.item import Item
from plexsync.core.match import Found, choose, plex_paths
from plexsync.core.picture import NoPicture, Picture, judge
from plexsync.core.plan import Edits, plan
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.servers.plex import Plex
from plexsync.servers.stash import Stash
from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running, spawned

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100
TOKEN = "t0ken-0f-the-0wner"
FOLDER = "/data/clips"
CLIPS = [f"{FOLDER}/clip {number}.mp4" for number in range(1, 6)]
PLEX = {
    "sections": [
        {
            "title": "Clips",
            "type": "movie",
            "agent": "tv.plex.agents.none",
            "locations": [FOLDER],
            "items": [{"title": path.rsplit("/", 1)[1][:-4], "file": path} for path in CLIPS],
        },
        {"title": "Series", "type": "show", "locations": ["/data/series"]},
    ]
}
STASH = {
    "studios": [{"name": "Studio"}],
    "scenes": [
        {
            "title": f"Scene {n}",
            "path": path,
            "tags": ["Tag, with comma", "Other"],
            "performers": ["Ann"],
            "date": "2024-05",
            "cover": n == 1,
        }
        for n, path in enumerate(CLIPS, 1)
    ],
}
SCENE = Scene(
    1,
    title="Tïtle & more; 100% “quoted”",
    details="Line one.\n\nLine two, with <tags> & 'quotes'.",
    date="2024-05",
    rating100=85,
    studio="Studio, Inc.",
    performers=("Ann O'Hara", "Bob, Jr.", "100%"),
    tags=("A,B", "50%", "été", "emoji 😀", "a/b?c=d&e#f"),
    files=(SceneFile(CLIPS[0]),),
)


def settings_for(server: Handle, **values: Any) -> Settings:
    return replace(
        Settings(plex_url=server.url, plex_token=server.ready["token"], plex_timeout_s=5), **values
    )


@pytest.fixture
def server() -> Iterator[Handle]:
    with running(FakePlex.from_document(PLEX, token=TOKEN)) as handle:
        yield handle


@pytest.fixture
def plex(server: Handle) -> Plex:
    return Plex(settings_for(server))


def sync(
    plex: Plex, scene: Scene, settings: Settings, memory: dict[str, object] | None = None
) -> tuple[str, ...]:
    """One look at a scene as the worker takes it; the fields it wrote. ``memory`` is what was written before."""
    found = choose(scene, plex.find(plex_paths(scene, settings.path_map)), settings.path_map)
    assert isinstance(found, Found), found
    edits = plan(scene, found.item, settings, memory)
    plex.write(found.item, edits)
    if memory is not None:
        memory.clear()
        memory.update(edits.written)
    return edits.fields


def item(plex: Plex, path: str = CLIPS[0]) -> Item:
    (found,) = plex.find([path])
    return found


def asked(server: Handle) -> list[str]:
    return [f"{row['method']} {row['path']}" for row in server.requests() if row.get("method")]


def failure(act: Callable[[], object]) -> SyncFailure:
    with pytest.raises(SyncFailure) as caught:
        act()
    assert TOKEN not in str(caught.value)
    return caught.value


# --- Plex: writing


@pytest.mark.parametrize("tags", ["append", "replace"])
@pytest.mark.parametrize("tag_case", ["fold", "exact"])
def test_a_scene_is_level_after_one_put_whatever_is_in_it(
    server: Handle, plex: Plex, tags: str, tag_case: str
) -> None:
    server.call("POST", "/switches", {"tags": tags, "tag_case": tag_case})
    settings = settings_for(server)
    memory: dict[str, object] = {}
    assert set(sync(plex, SCENE, settings, memory)) == {
        "title",
        "summary",
        "studio",
        "date",
        "performers",
        "tags",
        "rating",
    }
    assert sync(plex, SCENE, settings, memory) == ()
    there = item(plex)
    assert there.title == SCENE.title
    assert there.summary == SCENE.details
    assert there.originally_available_at == "2024-05-01"
    assert there.user_rating == 8.5
    assert sorted(there.genres) == sorted(SCENE.tags)
    assert sorted(actor.name for actor in there.actors) == sorted(SCENE.performers)

    changed = replace(
        SCENE, tags=("50%", "new"), performers=("ANN O'HARA",), studio=None, rating100=None, details=""
    )
    assert set(sync(plex, changed, settings, memory)) == {"summary", "studio", "performers", "tags", "rating"}
    assert sync(plex, changed, settings, memory) == ()
    there = item(plex)
    assert sorted(there.genres) == ["50%", "new"]
    assert [actor.name for actor in there.actors] == ["Ann O'Hara"]
    assert (there.studio, there.summary, there.user_rating) == ("", "", None)


def test_what_we_wrote_survives_a_refresh(server: Handle, plex: Plex) -> None:
    server.call("POST", "/switches", {"refresh_rewrites": "all"})
    settings = settings_for(server)
    sync(plex, SCENE, settings)
    plex._server().query(f"/library/metadata/{item(plex).rating_key}/refresh", method=plex._session.put)
    assert sync(plex, SCENE, settings) == ()
    assert item(plex).title == SCENE.title


def test_a_known_scene_costs_one_get_and_one_put(server: Handle, plex: Plex) -> None:
    settings = settings_for(server)
    sync(plex, SCENE, settings)
    server.clear_requests()
    assert sync(plex, replace(SCENE, title="Other"), settings) == ("title",)
    key = item(plex).rating_key
    assert asked(server)[:2] == [f"GET /library/metadata/{key}", "PUT /library/sections/1/all"]
    assert len({row["client"] for row in server.requests()}) == 1, "one connection is kept"


def test_hundreds_of_names_and_a_huge_summary_travel_in_one_put(server: Handle, plex: Plex) -> None:
    huge = replace(
        SCENE,
        details="väldigt lång " * 80_000,
        tags=tuple(f"tag {n}, ä" for n in range(2_000)),
        performers=tuple(f"Performer {n}" for n in range(500)),
    )
    settings = settings_for(server, plex_timeout_s=30)
    patient = Plex(settings)
    sync(patient, huge, settings)
    assert sync(patient, huge, settings) == ()
    assert len(item(patient).genres) == 2_000


# --- Plex: finding


def test_a_file_that_arrives_is_found_at_the_next_look(server: Handle, plex: Plex) -> None:
    new = f"{FOLDER}/new.mp4"
    assert plex.find([new]) == ()
    server.call("POST", "/media", {"section": "Clips", "file": new, "scan": "now"})
    deadline = time.monotonic() + 10
    while not (found := plex.find([new])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[0].files == (new,)


def test_a_file_that_vanished_is_not_found(server: Handle, plex: Plex) -> None:
    item(plex)
    server.call("DELETE", "/media", {"file": CLIPS[0]})
    deadline = time.monotonic() + 10
    while plex.find([CLIPS[0]]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_items_with_one_file_are_both_returned() -> None:
    section = PLEX["sections"][0]
    twice = {"sections": [section, {**section, "title": "Again"}]}
    with running(FakePlex.from_document(twice, token=TOKEN)) as server:
        plex = Plex(settings_for(server))
        assert [there.section_title for there in plex.find([CLIPS[0]])] == ["Clips", "Again"]
        chosen = Plex(settings_for(server, plex_library=("again",)))
        assert [there.section_title for there in chosen.find([CLIPS[0]])] == ["Again"]


def test_a_library_of_thousands_is_listed_in_pages_of_a_thousand() -> None:
    with running(FakePlex.generated(2_500, token=TOKEN)) as server:
        plex = Plex(settings_for(server, plex_timeout_s=30))
        state = server.state()
        files = [there["file"] for section in state["sections"] for there in section["items"]]
        assert plex.find([files[-1]])[0].files == (files[-1],)
        listings = [row for row in server.requests() if row.get("path", "").endswith("/all")]
        assert len(listings) == len([s for s in state["sections"] if s["type"] == "movie"]) + 2


def test_a_wrong_library_name_lists_those_there_are(server: Handle) -> None:
    plex = Plex(settings_for(server, plex_library=("Vidoes",)))
    assert "'Vidoes'; it has 'Clips'." in str(failure(plex.libraries))


def test_a_picture_is_shown_locked_and_kept_once(server: Handle, plex: Plex) -> None:
    there = item(plex)
    for _ in range(2):
        plex.upload(there, JPEG)
        plex.upload(there, JPEG, "arts")
    (shown,) = [
        i for section in server.state()["sections"] for i in section["items"] if i["file"] == CLIPS[0]
    ]
    assert len([poster for poster in shown["posters"] if "upload://" in str(poster)]) == 1
    assert {"thumb", "art"} <= set(shown["locked"])
    gone = replace(there, rating_key=99_999)
    assert "vanished" in str(failure(lambda: plex.upload(gone, JPEG)))
    server.fault("status", code=500, count=1, match={"method": "POST"})
    assert isinstance(failure(lambda: plex.upload(there, JPEG)), Transient)


def test_a_picture_whose_answer_was_lost_is_one_picture_after_the_next_try(
    server: Handle, plex: Plex
) -> None:
    there = item(plex)
    picture = JPEG + b"another"
    server.fault("reset_after", count=2, match={"method": "POST"})
    assert isinstance(failure(lambda: plex.upload(there, picture)), Unavailable)
    plex.upload(there, picture)
    (shown,) = [
        i for section in server.state()["sections"] for i in section["items"] if i["file"] == CLIPS[0]
    ]
    key = f"upload://posters/{hashlib.sha1(picture).hexdigest()}"
    assert [key in str(poster) for poster in shown["posters"]].count(True) == 1


def test_a_mark_counts_one_view_even_where_the_connection_was_dropped(server: Handle, plex: Plex) -> None:
    there = item(plex)
    server.fault("reset_after", count=1, match={"path": "/:/scrobble"})
    assert isinstance(failure(lambda: plex.write(there, Edits(watched=True))), Unavailable)
    assert item(plex).view_count == 1, "it was not sent again"
    plex.write(there, Edits(watched=True))
    assert item(plex).view_count == 2
    plex.write(there, Edits(watched=False))
    assert item(plex).view_count == 0
    gone = replace(there, rating_key=99_999)
    assert "vanished" in str(failure(lambda: plex.write(gone, Edits(watched=True))))


# --- Plex: trouble


def test_trouble_while_connected_and_calm_afterwards(server: Handle, plex: Plex) -> None:
    settings = settings_for(server)
    sync(plex, SCENE, settings)
    reading = {"path": "/library/metadata/.*"}
    for fault, kind in (
        ({"kind": "status", "code": 500}, Transient),
        ({"kind": "status", "code": 503}, Unavailable),
        ({"kind": "status", "code": 401}, NeedsAttention),
        ({"kind": "reset_before", "count": 2}, Unavailable),
        ({"kind": "reset_after", "count": 2}, Unavailable),
        ({"kind": "truncate", "bytes": 40, "count": 2}, Unavailable),
        ({"kind": "garble", "how": "break"}, Transient),
        ({"kind": "garble", "how": "cut"}, Transient),
        ({"kind": "garble", "how": "html"}, Unavailable),
        ({"kind": "garble", "how": "empty"}, Unavailable),
    ):
        server.call("POST", "/faults", {"count": 1, "match": reading, **fault})
        assert type(failure(lambda: item(plex))) is kind, fault
        server.clear_faults()
        assert sync(plex, SCENE, settings) == ()


def test_one_dropped_connection_goes_unnoticed(server: Handle, plex: Plex) -> None:
    item(plex)
    for kind in ("reset_before", "reset_after"):
        server.fault(kind, count=1)
        assert item(plex).files == (CLIPS[0],)


def test_an_edit_whose_answer_was_lost_is_level_at_the_next_look(server: Handle) -> None:
    """A busy Plex answers late and applies all the same."""
    settings = settings_for(server, plex_timeout_s=0.3)
    plex = Plex(settings)
    item(plex)
    server.fault("slow_apply", s=0.8, count=1, match={"method": "PUT"})
    assert "within 0.3 s" in str(failure(lambda: sync(plex, SCENE, settings)))
    time.sleep(0.8)
    assert sync(plex, SCENE, settings) == ()


def test_an_outage_and_the_return(server: Handle, plex: Plex) -> None:
    item(plex)
    server.outage()
    for _ in range(2):
        assert "refused" in str(failure(lambda: item(plex)))
    server.up()
    assert item(plex).files == (CLIPS[0],)


def test_a_plex_that_is_starting(server: Handle, plex: Plex) -> None:
    settings = settings_for(server)
    server.call("POST", "/switches", {"starting": "maintenance"})
    assert isinstance(failure(plex.health), Unavailable)
    server.call("POST", "/switches", {"starting": "reads_only"})
    assert isinstance(failure(lambda: sync(plex, SCENE, settings)), Unavailable)
    server.call("POST", "/switches", {"starting": "up"})
    assert sync(plex, SCENE, settings)


def test_a_wrong_token(server: Handle) -> None:
    plex = Plex(settings_for(server, plex_token="wr0ng-t0ken-wr0ng"))
    refused = failure(plex.health)
    assert isinstance(refused, NeedsAttention)
    assert "plex_token" in str(refused)
    assert "wr0ng" not in str(refused)


def test_no_request_holds_the_token_in_its_address(server: Handle, plex: Plex) -> None:
    sync(plex, SCENE, settings_for(server))
    assert not any(TOKEN in str(row) for row in server.requests())


@pytest.mark.skipif("PLEXSYNC_TEST_PLEX" not in os.environ, reason="no real Plex given")
def test_a_real_plex_is_healthy() -> None:
    url, token = os.environ["PLEXSYNC_TEST_PLEX"], os.environ.get("PLEXSYNC_TEST_PLEX_TOKEN", "")
    health = Plex(Settings(plex_url=url.rstrip("/"), plex_token=token)).health()
    assert health.version
    assert health.libraries


# --- Stash


@pytest.fixture(scope="module")
def stash_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    folder = tmp_path_factory.mktemp("stash")
    (folder / "library.json").write_text(json.dumps(STASH))
    with spawned(
        "simulators.fake_stash",
        "--library",
        str(folder / "library.json"),
        "--config-dir",
        str(folder / "config"),
    ) as handle:
        yield handle


def connection(server: Handle) -> dict[str, Any]:
    host, port = server.url.removeprefix("http://").split(":")
    return {"Scheme": "http", "Host": host, "Port": int(port), "SessionCookie": None}


@pytest.fixture
def stash(stash_server: Handle) -> Iterator[Stash]:
    yield Stash(connection(stash_server), 5)
    stash_server.clear_faults()


def test_stash_is_asked_for_scenes_and_settings(stash: Stash) -> None:
    scene = stash.scene(1)
    assert scene is not None
    assert (scene.title, scene.date, scene.files[0].path) == ("Scene 1", "2024-05", CLIPS[0])
    assert set(scene.tags) == {"Tag, with comma", "Other"}
    assert scene.performers == ("Ann",)
    assert stash.scene(999) is None
    assert sorted(stash.scenes([1, 2, 999])) == [1, 2]
    assert [[s.id for s in page] for page in stash.scene_pages(per_page=2)] == [[1, 2], [3, 4], [5]]
    assert list(stash.all_ids(after_id=3)) == [4, 5]
    assert stash.count() == 5
    assert stash.settings() == {}
    assert stash.version().startswith("v")


def test_a_cover_is_asked_for_once_and_then_only_if_it_changed(stash_server: Handle, stash: Stash) -> None:
    first = stash.cover(1)
    assert first is not None
    assert isinstance(judge(first.data, first.content_type), Picture)
    assert stash.cover(1, first.etag) is None
    bare = stash.cover(2)
    assert bare is not None
    assert judge(bare.data, bare.content_type) == NoPicture(
        "is the placeholder Stash shows where there is no cover"
    )
    assert stash.cover(999) is None
    for fault, kind in (
        ({"kind": "status", "code": 500}, Transient),
        ({"kind": "status", "code": 302}, NeedsAttention),
        ({"kind": "truncate", "bytes": 9, "count": 2}, Unavailable),
    ):
        stash_server.call("POST", "/faults", {"count": 1, "match": {"path": "/scene/.*"}, **fault})
        assert type(failure(lambda: stash.cover(1))) is kind, fault
        stash_server.clear_faults()


def test_stash_in_trouble_and_calm_afterwards(stash_server: Handle, stash: Stash) -> None:
    stash.version()
    for fault, kind in (
        ({"kind": "status", "code": 500}, Unavailable),
        ({"kind": "status", "code": 401}, NeedsAttention),
        ({"kind": "reset_before", "count": 2}, Unavailable),
        ({"kind": "reset_after", "count": 2}, Unavailable),
        ({"kind": "truncate", "bytes": 20, "count": 2}, Unavailable),
        ({"kind": "garble", "how": "cut"}, Unavailable),
        ({"kind": "garble", "how": "html"}, Unavailable),
        ({"kind": "garble", "how": "empty"}, Unavailable),
    ):
        stash_server.call("POST", "/faults", {"count": 1, "match": {"path": "/graphql"}, **fault})
        assert type(failure(lambda: stash.scene(1))) is kind, fault
        stash_server.clear_faults()
        assert stash.scene(1) is not None


def test_a_hanging_stash_is_given_up(stash_server: Handle) -> None:
    stash = Stash(connection(stash_server), 0.3)
    stash.version()
    stash_server.fault("hang", s=3, count=1)
    assert "within 0.3 s" in str(failure(lambda: stash.scene(1)))
    stash_server.clear_faults()
    assert stash.scene(1) is not None


def test_a_stash_that_is_not_there() -> None:
    gone = {"Scheme": "http", "Host": "127.0.0.1", "Port": 1}
    assert "refused" in str(failure(Stash(gone).version))
    assert isinstance(
        failure(Stash({**gone, "Host": "no.such.host.invalid"}, 5).version), (Unavailable, SettingProblem)
    )


def test_a_stash_with_credentials_is_spoken_to_by_its_key(tmp_path: Any) -> None:
    with spawned(
        "simulators.fake_stash", "--config-dir", str(tmp_path), "--username", "u", "--password", "p4ssw0rd"
    ) as server:
        assert server.ready["api_key"]
        stash = Stash({**connection(server), "ApiKey": server.ready["api_key"]}, 5)
        assert stash.count() == 0
        assert isinstance(failure(Stash(connection(server), 5).version), NeedsAttention)
