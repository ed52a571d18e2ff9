"""Filters, operators, groups, sorts and windows, evaluated by the server; asked through plexapi where it can ask."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
import requests
from plexapi.exceptions import NotFound

from tests.simulators.conftest import World

LONG, ECLAIR, WALK = "The Long Road", "Éclair", "A Short Walk"


@pytest.fixture(scope="module")
def world(shared_world: World) -> World:
    return shared_world


def asked(world: World, query: str, section: int = 1, **headers: str) -> ET.Element:
    url = f"{world.handle.url}/library/sections/{section}/all?{query}"
    answer = requests.get(url, headers={"X-Plex-Token": "tok", **headers}, timeout=5)
    assert answer.status_code == 200, answer.text
    return ET.fromstring(answer.content)


def titles(root: ET.Element) -> set[str]:
    return {str(video.get("title")) for video in root}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("title=long", {LONG}),
        ("title=LONG", {LONG}),
        ("title!=long", {ECLAIR, WALK}),
        ("title%3D=the long road", {LONG}),
        ("title%3D=long", set()),
        ("title!%3D=the long road", {ECLAIR, WALK}),
        ("title%3C=a", {WALK}),
        ("title%3E=road", {LONG}),
        ("title=long,walk", {LONG, WALK}),
        ("studio=sons", {WALK}),
        ("studio!=sons", {LONG, ECLAIR}),
        ("year=1999", {LONG}),
        ("year=1999,2004", {LONG, ECLAIR}),
        ("year!=1999", {ECLAIR, WALK}),
        ("year%3E%3E=1999", {ECLAIR, WALK}),
        ("year%3C%3C=2004", {LONG}),
        ("decade=1990", {LONG}),
        ("duration%3E%3E=100000", {LONG, ECLAIR}),
        ("originallyAvailableAt%3E%3E=2004-07-01", {WALK}),
        ("originallyAvailableAt%3C%3C=2004-07-01", {LONG}),
        ("addedAt%3E%3E=-1d", {LONG, ECLAIR, WALK}),
        ("addedAt%3C%3C=-1d", set()),
        ("contentRating=R", {LONG}),
        ("contentRating!=R", {ECLAIR, WALK}),
        ("resolution=4k", {WALK}),
        ("resolution=576,1080", {LONG, ECLAIR}),
        ("unwatched=1", {ECLAIR, WALK}),
        ("unwatched=0", {LONG}),
        ("unwatched!=1", {LONG}),
        ("duplicate=1", set()),
        ("genre=Action", {LONG, WALK}),
        ("genre!=Action", {ECLAIR}),
        ("genre=Comedy,Action", {LONG, WALK}),
        ("genre=Action&genre=Drama", {LONG}),
        ("actor=Two%20Actor", {LONG, ECLAIR}),
        ("label=keep", {LONG}),
        ("collection=roads", {LONG}),
        ("genre=Nothing", set()),
        ("audioLanguage=fra", {LONG}),
        ("push=1&title=long&or=1&title=walk&pop=1", {LONG, WALK}),
        ("push=1&title=long&or=1&year%3E%3E=2003&pop=1&genre=Action", {LONG, WALK}),
        ("push=1&title=a&and=1&push=1&year=1999&or=1&year=2021&pop=1&pop=1", {LONG, WALK}),
        ("title=a&year=2004", {ECLAIR}),
        ("X-Plex-Language=en&includeGuids=1&somethingElse=1", {LONG, ECLAIR, WALK}),
    ],
)
def test_filter(world: World, query: str, found: set[str]) -> None:
    assert titles(asked(world, query)) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("titleSort", [ECLAIR, LONG, WALK]),
        ("titleSort:desc", [WALK, LONG, ECLAIR]),
        ("year:desc", [WALK, ECLAIR, LONG]),
        ("movie.originallyAvailableAt", [LONG, ECLAIR, WALK]),
        ("duration", [WALK, ECLAIR, LONG]),
        ("rating:desc,titleSort", [LONG, ECLAIR, WALK]),
        ("viewCount:desc,year:desc", [LONG, WALK, ECLAIR]),
        ("mediaHeight", [ECLAIR, LONG, WALK]),
    ],
)
def test_sort(world: World, sort: str, order: list[str]) -> None:
    assert [v.get("title") for v in asked(world, f"sort={sort}")] == order


def test_value_that_cannot_be_read_is_refused(world: World) -> None:
    for query in ("year=x", "addedAt>>=yesterday"):
        url = f"{world.handle.url}/library/sections/1/all?{query}"
        assert requests.get(url, headers={"X-Plex-Token": "tok"}, timeout=5).status_code == 400


@pytest.mark.parametrize(
    ("asked_for", "found"),
    [
        ({"title": "long"}, {LONG}),
        ({"title==": "éclair"}, {ECLAIR}),
        ({"title<": "the"}, {LONG}),
        ({"studio!": "Marv"}, {WALK, ECLAIR}),
        ({"year<<": 2000}, {LONG}),
        ({"genre": ["Comedy", "Drama"]}, {LONG, ECLAIR}),
        ({"genre&": ["Comedy", "Drama"]}, {LONG}),
        ({"genre!": "Drama"}, {WALK}),
        ({"unwatched": True}, {WALK, ECLAIR}),
        ({"label": "Keep"}, {LONG}),
        ({"or": [{"title": "long"}, {"and": [{"year>>": 2010}, {"unwatched": True}]}]}, {LONG, WALK}),
    ],
)
def test_through_plexapi(world: World, asked_for: dict[str, Any], found: set[str]) -> None:
    assert {m.title for m in world.movies.search(filters=asked_for)} == found


def test_plexapi_knows_fields_sorts_and_operators_from_us(world: World) -> None:
    movies = world.movies
    assert {"genre", "year", "studio", "label"} <= {f.filter for f in movies.listFilters()}
    assert {"titleSort", "addedAt", "random"} <= {s.key for s in movies.listSorts()}
    assert {"title", "studio", "label", "addedAt"} <= {f.key for f in movies.listFields()}
    assert [o.key for o in movies.listOperators("string")] == ["=", "!=", "==", "!==", "<=", ">="]
    with pytest.raises(NotFound):
        movies.search(nonsense="x")


def test_limit_and_get(world: World) -> None:
    assert len(asked(world, "limit=2", section=2)) == 2
    assert len(world.clips.search(limit=5)) == 5


# --- windows ---------------------------------------------------------------------------------------------------


def test_window_by_header_and_by_query(world: World) -> None:
    by_header = asked(
        world, "type=1", section=2, **{"X-Plex-Container-Start": "5", "X-Plex-Container-Size": "4"}
    )
    by_query = asked(world, "type=1&X-Plex-Container-Start=5&X-Plex-Container-Size=4", section=2)
    assert [v.get("title") for v in by_header] == ["clip 06", "clip 07", "clip 08", "clip 09"]
    assert ET.tostring(by_header) == ET.tostring(by_query)
    assert (by_header.get("size"), by_header.get("totalSize"), by_header.get("offset")) == ("4", "12", "5")
    assert by_header.get("librarySectionID") == "2" and by_header.get("librarySectionTitle") == "Clips"


def test_no_window_no_total(world: World) -> None:
    root = asked(world, "type=1", section=2)
    assert (root.get("size"), root.get("totalSize"), root.get("offset")) == ("12", None, None)


def test_size_only(world: World) -> None:
    root = asked(world, "X-Plex-Container-Start=0&X-Plex-Container-Size=0", section=2)
    assert (root.get("size"), root.get("totalSize"), len(root)) == ("0", "12", 0)


@pytest.mark.parametrize(
    ("mode", "whole", "part", "bare"),
    [("windowed", "12", "12", None), ("partial", None, "12", None), ("always", "12", "12", "12")],
)
def test_total_size_as_servers_differ(world: World, mode: str, whole: str, part: str, bare: str) -> None:
    world.handle.call("POST", "/switches", {"total_size": mode})
    try:
        window = "X-Plex-Container-Start=0&X-Plex-Container-Size="
        assert asked(world, f"{window}50", section=2).get("totalSize") == whole
        assert asked(world, f"{window}5", section=2).get("totalSize") == part
        assert asked(world, "", section=2).get("totalSize") == bare
        assert asked(world, f"{window}0", section=2).get("totalSize") == "12"
        assert len(world.clips.all(container_size=5)) == 12
    finally:
        world.handle.call("POST", "/switches", {"total_size": "windowed"})


def test_pages_cover_everything_once(world: World) -> None:
    assert [c.title for c in world.clips.all(container_size=5)] == [f"clip {n:02d}" for n in range(1, 13)]
    assert world.clips.all(container_start=10)[0].title == "clip 11"


def test_summaries_are_cut_and_bare(world: World) -> None:
    root = asked(world, "includeGuids=1&title=long")
    (video,) = root
    assert [g.attrib for g in video.iter("Genre")] == [{"tag": "Action"}, {"tag": "Drama"}]
    assert [r.attrib for r in video.iter("Role")] == [
        {"tag": t} for t in ("One Actor", "Two Actor", "Three Actor")
    ]
    assert [w.attrib for w in video.iter("Writer")] == [{"tag": "Ann Lee"}, {"tag": "Bo Diaz"}]
    for absent in ("Collection", "Label", "Field", "Stream", "Rating"):
        assert video.find(f".//{absent}") is None
    assert video.get("librarySectionID") is None
    assert [g.get("id") for g in video.iter("Guid")] == ["imdb://tt0000001", "tmdb://1"]
    assert asked(world, "title=long").find(".//Guid") is None


def test_first_characters_folders_and_choices(world: World) -> None:
    assert [(c.title, c.size) for c in world.clips.firstCharacter()] == [("C", "12")]
    assert [f.title for f in world.clips.folders()] == ["even", "odd"]
    assert len(world.clips.folders()[0].subfolders()) == 6
    assert [c.title for c in world.movies.listFilterChoices("decade")] == ["2020s", "2000s", "1990s"]
    assert [c.title for c in world.movies.listFilterChoices("actor")] == [
        "Four Actor",
        "One Actor",
        "Three Actor",
        "Two Actor",
    ]


def test_common(world: World) -> None:
    same = world.movies.common([world.plex.fetchItem(1)])
    assert (same.title, same.mixedFields, [g.tag for g in same.genres]) == (
        LONG,
        [""],
        ["Action", "Drama", "Comedy"],
    )
    mixed = world.movies.common([world.plex.fetchItem(1), world.plex.fetchItem(2)])
    assert "title" in mixed.mixedFields and [g.tag for g in mixed.genres] == ["Drama"]
