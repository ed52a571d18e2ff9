"""The plan of one PUT."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plexsync.core.edits import FIELDS, SUMMARY_LIMIT, TEXT_LIMIT, Change, Edits, plan
from plexsync.core.item import Actor, Item
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings

SETTINGS = Settings()
LOCKS = frozenset(row.plex for row in FIELDS)
SCENE = Scene(
    1,
    title="A title",
    details="What happens.",
    date="2024-05-17",
    rating100=85,
    studio="Studio",
    performers=("Ann", "Bob"),
    tags=("Drama", "Short"),
    files=(SceneFile("/data/a file.mp4"),),
)
LEVEL = Item(
    7,
    1,
    title="A title",
    summary="What happens.",
    studio="Studio",
    originally_available_at="2024-05-17",
    user_rating=8.5,
    genres=("Drama", "Short"),
    actors=(Actor("Bob", "Himself"), Actor("Ann")),
    locked=LOCKS,
    files=("/data/a file.mp4",),
)


def test_nothing_differs() -> None:
    assert plan(SCENE, LEVEL, SETTINGS) == Edits()
    assert not plan(SCENE, LEVEL, SETTINGS)


def test_everything_differs() -> None:
    edits = plan(SCENE, Item(7, 1, title="a file"), SETTINGS)
    assert edits.params == {
        "title.value": "A title",
        "title.locked": "1",
        "summary.value": "What happens.",
        "summary.locked": "1",
        "studio.value": "Studio",
        "studio.locked": "1",
        "originallyAvailableAt.value": "2024-05-17",
        "originallyAvailableAt.locked": "1",
        "actor[0].tag.tag": "Ann",
        "actor[1].tag.tag": "Bob",
        "actor.locked": "1",
        "genre[0].tag.tag": "Drama",
        "genre[1].tag.tag": "Short",
        "genre.locked": "1",
        "userRating.value": "8.5",
        "userRating.locked": "1",
    }
    assert edits.fields == ("title", "summary", "studio", "date", "performers", "tags", "rating")
    assert edits.changes[0] == Change("title", "a file", "A title")


def test_one_field_that_differs_is_the_only_one_touched() -> None:
    edits = plan(replace(SCENE, title="New"), LEVEL, SETTINGS)
    assert edits.params == {"title.value": "New", "title.locked": "1"}


def test_a_right_value_that_is_not_locked_is_locked_but_a_rating_is_not() -> None:
    """A refresh would rewrite the value; nothing rewrites a rating."""
    edits = plan(SCENE, replace(LEVEL, locked=LOCKS - {"summary", "genre", "userRating"}), SETTINGS)
    assert edits.fields == ("summary", "tags")
    assert edits.params["summary.locked"] == edits.params["genre.locked"] == "1"


def test_keep_unlocked_writes_values_without_locks() -> None:
    settings = Settings(keep_unlocked=True)
    assert not plan(SCENE, replace(LEVEL, locked=frozenset()), settings)
    edits = plan(replace(SCENE, title="New"), replace(LEVEL, locked=frozenset()), settings)
    assert edits.params == {"title.value": "New", "title.locked": "0"}


def test_tags_to_go_are_removed_and_all_wanted_ones_sent() -> None:
    edits = plan(replace(SCENE, tags=("Short", "New")), LEVEL, SETTINGS)
    assert edits.params == {
        "genre[0].tag.tag": "Short",
        "genre[1].tag.tag": "New",
        "genre[].tag.tag-": "Drama",
        "genre.locked": "1",
    }


def test_removed_tags_are_quoted_one_by_one() -> None:
    item = replace(LEVEL, genres=("Drama", "Short", "A,B", "50%", "Ä"))
    assert plan(SCENE, item, SETTINGS).params["genre[].tag.tag-"] == "A%2CB,50%25,%C3%84"


def test_tags_compare_without_case_and_keep_plexs_spelling() -> None:
    item = replace(LEVEL, genres=("DRAMA", "short"))
    assert not plan(SCENE, item, SETTINGS)
    edits = plan(replace(SCENE, tags=("drama", "new")), item, SETTINGS)
    assert edits.params["genre[0].tag.tag"] == "DRAMA"
    assert edits.params["genre[].tag.tag-"] == "short"


def test_what_is_empty_in_stash_is_cleared_where_it_is_locked() -> None:
    edits = plan(Scene(1, title="A title"), LEVEL, SETTINGS)
    assert edits.params == {
        "summary.value": "",
        "summary.locked": "1",
        "studio.value": "",
        "studio.locked": "1",
        "originallyAvailableAt.value": "",
        "originallyAvailableAt.locked": "1",
        "actor[].tag.tag-": "Bob,Ann",
        "actor.locked": "1",
        "genre[].tag.tag-": "Drama,Short",
        "genre.locked": "1",
        "userRating.value": "",
        "userRating.locked": "1",
    }


def test_what_is_empty_in_stash_and_not_locked_is_somebody_elses() -> None:
    item = replace(LEVEL, locked=frozenset({"title"}))
    assert not plan(Scene(1, title="A title"), item, SETTINGS)


def test_what_is_empty_on_both_sides_is_level_locked_or_not() -> None:
    for locked in (LOCKS, frozenset({"title"})):
        assert not plan(Scene(1, title="A title"), Item(7, 1, title="A title", locked=locked), SETTINGS)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/data/a file.mp4", "a file"),
        (r"C:\data\a.b.mp4", "a.b"),
        ("/data/noextension", "noextension"),
        ("/data/.hidden", ".hidden"),
        ("/data/odd\x07 name.mp4", "odd name"),
    ],
)
def test_without_a_title_the_file_gives_one(path: str, title: str) -> None:
    edits = plan(Scene(1, files=(SceneFile(path),)), Item(7, 1, title="old", locked=LOCKS), SETTINGS)
    assert edits.params == {"title.value": title, "title.locked": "1"}


@pytest.mark.parametrize(
    ("date", "written"),
    [
        ("2024", "2024-01-01"),
        ("2024-05", "2024-05-01"),
        ("2024-02-29", "2024-02-29"),
        ("1899-12-31", "1899-12-31"),
    ],
)
def test_a_partial_date_is_its_first_day(date: str, written: str) -> None:
    edits = plan(
        Scene(1, title="A title", date=date),
        Item(7, 1, title="A title", locked=frozenset({"title"})),
        SETTINGS,
    )
    assert edits.params["originallyAvailableAt.value"] == written


@pytest.mark.parametrize("date", [None, "2024-13", "2023-02-29", "0000-01-01"])
def test_what_is_no_day_is_no_date(date: str | None) -> None:
    item = replace(LEVEL, locked=LOCKS)
    assert plan(replace(SCENE, date=date), item, SETTINGS).params["originallyAvailableAt.value"] == ""


@pytest.mark.parametrize(
    ("rating100", "written"), [(1, "0.1"), (85, "8.5"), (80, "8"), (100, "10"), (None, "")]
)
def test_ratings_are_out_of_ten(rating100: int | None, written: str) -> None:
    item = replace(LEVEL, user_rating=5.0)
    assert plan(replace(SCENE, rating100=rating100), item, SETTINGS).params["userRating.value"] == written


def test_a_rating_that_came_back_as_a_longer_fraction_is_the_same() -> None:
    assert not plan(SCENE, replace(LEVEL, user_rating=8.499999046325684), SETTINGS)


def test_huge_texts_are_cut() -> None:
    edits = plan(replace(SCENE, details="word " * 300_000, title="x" * 5_000), LEVEL, SETTINGS)
    assert len(edits.params["summary.value"]) <= SUMMARY_LIMIT
    assert len(edits.params["title.value"]) == TEXT_LIMIT
    assert edits.params["title.value"].endswith("…")


def test_line_breaks_stay_in_a_summary_and_leave_one_line_fields() -> None:
    item = replace(LEVEL, title="x")
    edits = plan(replace(SCENE, title="One\n two\tthree", details="One.\n\nTwo."), item, SETTINGS)
    assert edits.params["title.value"] == "One two three"
    assert edits.params["summary.value"] == "One.\n\nTwo."


def test_names_that_differ_only_in_case_are_one() -> None:
    edits = plan(replace(SCENE, performers=("Cy", "CY", "Ann")), LEVEL, SETTINGS)
    assert edits.params["actor[0].tag.tag"] == "Cy"
    assert edits.params["actor[1].tag.tag"] == "Ann"
    assert "actor[2].tag.tag" not in edits.params
