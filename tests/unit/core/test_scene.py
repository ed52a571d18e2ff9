"""Scenes as GraphQL answers them."""

from __future__ import annotations

from typing import Any

import pytest

from plexsync.core.failures import Permanent
from plexsync.core.scene import Performer, Scene, SceneFile, scene_from, writable

ANSWER: dict[str, Any] = {
    "id": "7",
    "title": "A title",
    "details": "One line.\r\nAnother.",
    "date": "2024-05",
    "rating100": 85,
    "code": "AB-1",
    "director": "Someone",
    "organized": True,
    "updated_at": "2026-01-11T18:07:53+11:00",
    "studio": {"name": "Studio", "parent_studio": {"name": "Network"}},
    "performers": [
        {
            "id": "5",
            "name": "Ann",
            "image_path": "http://h:1/performer/5/image?t=9&apikey=k3y",
            "disambiguation": "the elder",
            "gender": "TRANSGENDER_FEMALE",
            "country": "SE",
            "birthdate": "2000-05",
        },
        {"id": "6", "name": "Bob", "image_path": "http://h:1/performer/6/image?t=9&default=true"},
    ],
    "tags": [{"name": "Tag"}],
    "groups": [{"group": {"name": "Group"}}],
    "files": [{"path": "/data/a.mp4", "size": 5_000_000_000, "duration": 60.5}, {"path": "/data/b.mp4"}],
    "stash_ids": [{"stash_id": "0f0f"}],
    "paths": {"screenshot": "http://stash/scene/7/screenshot?t=1"},
}


def test_a_scene_with_everything() -> None:
    assert scene_from(ANSWER) == Scene(
        id=7,
        title="A title",
        details="One line.\nAnother.",
        date="2024-05",
        rating100=85,
        code="AB-1",
        director="Someone",
        organized=True,
        studio="Studio",
        parent_studio="Network",
        performers=("Ann", "Bob"),
        photos=(("Ann", "/performer/5/image?t=9"),),
        cast=(Performer("Ann", "the elder", "transgender female", "SE", "2000-05"),),
        tags=("Tag",),
        groups=("Group",),
        files=(SceneFile("/data/a.mp4", 5_000_000_000, 60.5), SceneFile("/data/b.mp4")),
        stash_ids=("0f0f",),
        updated_at="2026-01-11T18:07:53+11:00",
        screenshot="http://stash/scene/7/screenshot?t=1",
    )


def test_a_scene_with_nothing_but_an_id() -> None:
    assert scene_from({"id": 7}) == Scene(id=7)


@pytest.mark.parametrize(
    ("number", "address"),
    [
        (None, "http://h/?t=9"),
        ("x", "http://h/?t=9"),
        ("5", None),
        ("5", "http://h/image"),
        ("5", "http://[h"),
    ],
)
def test_an_odd_picture_is_none(number: object, address: object) -> None:
    performer = {"id": number, "name": "Ann", "image_path": address}
    assert scene_from({"id": 7, "performers": [performer]}).photos == ()


@pytest.mark.parametrize("identity", [None, "", "x", True, 1.5, "-3", [], "9" * 19, "9" * 5000, 10**30])
def test_a_scene_without_a_usable_id_is_damaged(identity: object) -> None:
    with pytest.raises(Permanent):
        scene_from({"id": identity})


@pytest.mark.parametrize("wrong", [None, 7, True, "text", ["text"], {"name": 7}, [None, {"name": None}]])
def test_values_of_the_wrong_type_count_as_unset(wrong: object) -> None:
    lists = (
        "studio",
        "performers",
        "tags",
        "groups",
        "files",
        "stash_ids",
        "paths",
        "rating100",
        "organized",
    )
    scene = scene_from({"id": 1, **{key: wrong for key in lists if not (key == "rating100" and wrong == 7)}})
    assert scene == Scene(id=1, organized=wrong is True)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(0, None), (-1, 1), (101, 100), (1, 1), (None, None), (float("nan"), None), (10**400, None)],
)
def test_ratings_stay_within_one_and_a_hundred(given: object, wanted: int | None) -> None:
    assert scene_from({"id": 1, "rating100": given}).rating100 == wanted


@pytest.mark.parametrize("date", ["2024", "2024-05", "2024-05-17"])
def test_dates_may_be_partial(date: str) -> None:
    assert scene_from({"id": 1, "date": date}).date == date


@pytest.mark.parametrize("date", ["", "17.5.2024", "2024-5", "2024-05-17T00:00", None, 2024])
def test_other_dates_are_none(date: object) -> None:
    assert scene_from({"id": 1, "date": date}).date is None


def test_names_are_kept_once_whatever_their_case() -> None:
    tags = [{"name": "Tag"}, {"name": "tag"}, {"name": " TAG "}, {"name": ""}, {"name": "Other"}]
    assert scene_from({"id": 1, "tags": tags}).tags == ("Tag", "Other")


def test_text_is_what_plex_can_give_back() -> None:
    assert writable(" a\x00b\x0bc\ud800d\ufffee\tf\r\ng\rh ") == "abcde\tf\ng\nh"
    assert writable("émoji 😀 עברית") == "émoji 😀 עברית"


def test_a_path_is_left_exactly_as_it_is() -> None:
    scene = scene_from({"id": 1, "files": [{"path": " /data/odd\x07name.mp4 "}]})
    assert scene.files[0].path == " /data/odd\x07name.mp4 "
