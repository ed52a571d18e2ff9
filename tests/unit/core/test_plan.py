"""The plan of one PUT."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from plexsync.core.fields import FIELDS, SUMMARY_LIMIT, TEXT_LIMIT, wanted_values
from plexsync.core.item import Actor, Item
from plexsync.core.merge import Policy, Step
from plexsync.core.plan import (
    ROLES,
    WATCHED,
    WROTE,
    Change,
    Edits,
    Kept,
    cleanup,
    fingerprint,
    inherited,
    ours,
    plan,
)
from plexsync.core.scene import Performer, Scene, SceneFile
from plexsync.core.settings import OTHER_FIELDS, USUAL_FIELDS, Pair, Settings

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
    edits = plan(SCENE, LEVEL, SETTINGS)
    assert not edits
    assert (edits.params, edits.fields, edits.changes, edits.kept) == ({}, (), (), ())
    assert not Edits()


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


def test_what_is_empty_in_stash_is_cleared_where_we_wrote_it() -> None:
    written = plan(SCENE, Item(7, 1, title="a file"), SETTINGS).written
    edits = plan(Scene(1, title="A title"), LEVEL, SETTINGS, written)
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


@pytest.mark.parametrize("written", [None, {}, {"title": "A title"}])
def test_what_we_never_wrote_is_never_cleared_however_it_is_locked(written: dict[str, object] | None) -> None:
    """A locked title says nothing of who filled the other fields (Themerr#208: owners edit by hand, which locks)."""
    assert not plan(Scene(1, title="A title"), LEVEL, SETTINGS, written)


def test_a_scene_that_says_nothing_changes_nothing() -> None:
    """A scan of a library that was cared for, or a scan after Clean (stash#4263): Plex has the only copy."""
    bare = Scene(1, files=SCENE.files, screenshot="http://stash/scene/1/screenshot?t=1")
    settings = replace(
        SETTINGS, content_rating="XXX", sort_title_template="{title}", tagline_template="{stem}"
    )
    for locked in (LOCKS, frozenset[str]()):
        edits = plan(bare, replace(LEVEL, locked=locked), settings)
        assert not edits and not edits.written
    assert plan(replace(bare, tags=("Rain",)), LEVEL, SETTINGS).fields == ("tags",)


def test_a_scene_that_was_emptied_by_a_person_is_emptied_in_plex() -> None:
    written = plan(SCENE, Item(7, 1, title="a file"), SETTINGS).written
    edits = plan(Scene(1, files=SCENE.files), LEVEL, SETTINGS, written)
    assert edits.params["title.value"] == "a file" and edits.params["summary.value"] == ""


def test_what_is_empty_in_stash_and_not_locked_is_somebody_elses() -> None:
    item = replace(LEVEL, locked=frozenset({"title"}))
    assert not plan(Scene(1, title="A title"), item, SETTINGS)


@pytest.mark.parametrize("keep_unlocked", [False, True])
def test_at_first_sight_nothing_is_cleared_that_somebody_locked_or_that_is_not_locked(
    keep_unlocked: bool,
) -> None:
    """We write every title, so where the title is not locked the other locks are not ours."""
    settings = Settings(keep_unlocked=keep_unlocked)
    scene = Scene(1, title="New")
    for locked in (frozenset(), LOCKS - {"title"}):
        assert plan(scene, replace(LEVEL, locked=locked), settings).fields == ("title",)
    alone = Settings(keep_unlocked=keep_unlocked, leave_title=True)
    assert not plan(scene, LEVEL, alone), "without a title of ours nothing tells"


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
    scene, item = Scene(1, files=(SceneFile(path),)), Item(7, 1, title="old", locked=LOCKS)
    edits = plan(scene, item, SETTINGS, {"title": "old"})
    assert edits.params == {"title.value": title, "title.locked": "1"}
    # Of a title we did not write the file's name is no improvement.
    assert not plan(replace(scene, tags=("Rain",)), item, replace(SETTINGS, leave_tags=True))


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
    written = {"date": "2024-05-17"}
    assert (
        plan(replace(SCENE, date=date), item, SETTINGS, written).params["originallyAvailableAt.value"] == ""
    )


@pytest.mark.parametrize(
    ("rating100", "written"), [(1, "0.1"), (85, "8.5"), (80, "8"), (100, "10"), (None, "")]
)
def test_ratings_are_out_of_ten(rating100: int | None, written: str) -> None:
    item = replace(LEVEL, user_rating=5.0)
    edits = plan(replace(SCENE, rating100=rating100), item, SETTINGS, {"rating": "5"})
    assert edits.params["userRating.value"] == written


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


@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
def test_line_breaks_that_come_back_as_spaces_are_no_edit_and_no_endless_difference(policy: Policy) -> None:
    settings = Settings(conflict_policy=(("summary", policy),))
    scene = replace(SCENE, details="One.\n\nTwo.")
    flat = replace(LEVEL, summary="One.  Two.")
    first = plan(scene, flat, settings, {**written(), "summary": "One.  Two."})
    assert first.fields == ("summary",), "as an edit in Stash it goes over"
    assert not plan(scene, flat, settings, first.written)
    assert plan(replace(scene, details="Three."), flat, settings, first.written).fields == ("summary",)
    by_hand = replace(LEVEL, summary="Mine. Two.")
    assert plan(scene, by_hand, settings, first.written).fields == (("summary",) if policy == "stash" else ())


def test_names_that_differ_only_in_case_are_one() -> None:
    edits = plan(replace(SCENE, performers=("Cy", "CY", "Ann")), LEVEL, SETTINGS)
    assert edits.params["actor[0].tag.tag"] == "Cy"
    assert edits.params["actor[1].tag.tag"] == "Ann"
    assert "actor[2].tag.tag" not in edits.params


# --- three sides


def written(scene: Scene = SCENE, settings: Settings = SETTINGS) -> dict[str, object]:
    """What is remembered after a sync, as it comes back from JSON."""
    remembered = plan(scene, Item(7, 1), settings).written
    loaded: dict[str, object] = json.loads(json.dumps(dict(remembered)))
    return loaded


def test_what_was_written_is_remembered_and_what_is_unset_is_not() -> None:
    assert plan(SCENE, Item(7, 1), SETTINGS).written == {
        "title": "A title",
        "summary": "What happens.",
        "studio": "Studio",
        "date": "2024-05-17",
        "performers": ("Ann", "Bob"),
        "tags": ("Drama", "Short"),
        "rating": "8.5",
    }
    # What both sides had by chance is known, and marked as not written by us.
    found = plan(Scene(1, title="A title"), LEVEL, SETTINGS).written
    assert found == {"title": "A title", "title found": "A title"} and ours(found) == set()


def test_with_memory_what_we_never_wrote_is_not_cleared_though_it_is_locked() -> None:
    assert not plan(Scene(1, title="A title"), LEVEL, SETTINGS, {"title": "A title"})
    assert plan(Scene(1, title="A title"), LEVEL, SETTINGS, written()).fields == (
        "summary",
        "studio",
        "date",
        "performers",
        "tags",
        "rating",
    )


@pytest.mark.parametrize(("policy", "fields"), [("stash", ("title",)), ("plex", ()), ("newest", ())])
def test_an_edit_made_in_plex_since(policy: Policy, fields: tuple[str, ...]) -> None:
    settings = Settings(conflict_policy=(("", policy),))
    edits = plan(SCENE, replace(LEVEL, title="By hand"), settings, written())
    assert edits.fields == fields
    if not fields:
        assert edits.kept == (Kept("title", "By hand", "A title", Step.KEEP_EDIT),)
        assert edits.written["title"] == "A title"


@pytest.mark.parametrize(
    ("policy", "edited", "fields"),
    [
        ("stash", 2, ("title",)),
        ("plex", 1, ()),
        ("newest", 1, ("title",)),
        ("newest", 2, ()),
    ],
)
def test_edits_on_both_sides(policy: Policy, edited: int, fields: tuple[str, ...]) -> None:
    settings = Settings(conflict_policy=(("", policy),))
    scene = replace(SCENE, title="New in Stash", updated_at="1970-01-01T02:00:01+02:00")
    edits = plan(scene, replace(LEVEL, title="By hand", updated_at=edited), settings, written())
    assert edits.fields == fields


def test_a_policy_for_one_field_only() -> None:
    settings = Settings(conflict_policy=(("rating", "plex"),))
    item = replace(LEVEL, title="By hand", user_rating=2.0)
    assert plan(SCENE, item, settings, written()).fields == ("title",)


def test_locks_of_other_people_are_respected_if_wanted() -> None:
    item = Item(7, 1, title="By hand", locked=frozenset({"title"}), files=LEVEL.files)
    scene = Scene(1, title="A title", details="What happens.")
    respectful = Settings(respect_locks=True)
    for memory in (None, {}):
        assert plan(scene, item, SETTINGS, memory).fields == ("title", "summary")
        edits = plan(scene, item, respectful, memory)
        assert edits.fields == ("summary",)
        assert edits.kept == (Kept("title", "By hand", "A title", Step.KEEP_LOCK),)
    assert plan(scene, replace(item, title="Ours"), respectful, {"title": "Ours"}).fields == (
        "title",
        "summary",
    )


@pytest.mark.parametrize(
    "damaged", [{"title": 7}, {"title": ["x"]}, {"tags": "x"}, {"tags": None}, {"x": {}}]
)
def test_damaged_memory_is_none(damaged: dict[str, object]) -> None:
    assert plan(replace(SCENE, title="New"), LEVEL, SETTINGS, damaged).fields == ("title",)


# --- the settings that shape what is written


def field(name: str, scene: Scene = SCENE, **settings: object) -> object:
    return wanted_values(scene, Settings(**settings)).get(name, "left alone")  # type: ignore[arg-type]


def test_every_usual_field_can_be_left_alone() -> None:
    for name in USUAL_FIELDS:
        assert field(name) != "left alone"
        assert field(name, **{f"leave_{name}": True}) == "left alone"


def test_other_fields_are_left_alone_until_something_is_set_for_them() -> None:
    assert {*(row.name for row in FIELDS), ROLES, WATCHED} == {*USUAL_FIELDS, *OTHER_FIELDS}
    for name in OTHER_FIELDS:
        assert field(name) == "left alone"


RICH = replace(
    SCENE,
    parent_studio="Network",
    code="AB-1",
    director="Dee, Eve",
    groups=("Series 1",),
    organized=True,
)


def test_tags_are_mapped_by_name_and_by_their_beginning() -> None:
    tags = ("Genre: Drama", "genre:Short", "Meta 1", "META", "Meta kept", "Genre: Left out", "Other", "Gen")
    pairs = [
        ("Genre:*", "*"),
        ("Meta*", ""),
        ("Meta kept", "Kept"),
        ("Genre: Left*", ""),
        ("Other*", "My * own"),
    ]
    scene = replace(SCENE, tags=tags)
    mapped = field("tags", scene, tag_map=tuple(Pair(*pair) for pair in pairs))
    assert mapped == ("Drama", "Short", "Kept", "My  own", "Gen")
    assert field("tags", tag_map=(Pair("*", "Stash *"),)) == ("Stash Drama", "Stash Short")


def test_a_mark_taken_back_whose_answer_was_lost_is_no_edit_of_anybodys() -> None:
    """Found by the law of writes whose end nobody saw: marked, taken back without an answer, and played again."""
    played, on = replace(SCENE, play_count=1), Settings(write_watched=True, conflict_policy=(("", "plex"),))
    first = plan(played, LEVEL, on)
    unseen = plan(SCENE, replace(LEVEL, view_count=1), on, first.written)
    assert unseen.watched is False
    assert plan(played, LEVEL, on, first.written, [unseen.pending]).watched is True


def test_what_was_played_is_marked_as_watched_once_and_only_our_mark_is_taken_back() -> None:
    played, on = replace(SCENE, play_count=3), Settings(write_watched=True)
    assert plan(played, LEVEL, SETTINGS).watched is None
    first = plan(played, LEVEL, on)
    assert (first.watched, first.fields, first.params) == (True, ("watched",), {}) and first
    assert first.written["watched"] == first.pending["watched"] == "yes"
    seen = replace(LEVEL, view_count=1)
    assert not plan(played, seen, on, first.written)
    assert plan(SCENE, seen, on, first.written).watched is False
    assert not plan(SCENE, seen, on, {}), "somebody watched it in Plex"
    kept = plan(played, LEVEL, replace(on, conflict_policy=(("watched", "plex"),)), first.written)
    assert not kept and kept.kept == (Kept("watched", "", "yes", Step.KEEP_EDIT),)
    assert fingerprint(played, on) != fingerprint(SCENE, on)
    assert fingerprint(played, on) == fingerprint(replace(played, play_count=9), on)
    assert fingerprint(played, SETTINGS) == fingerprint(SCENE, SETTINGS)


def test_templates() -> None:
    assert field("title", RICH, title_template="{studio} - {title} ({date:%Y})") == "Studio - A title (2024)"
    assert field("sort_title", RICH, sort_title_template="{studio} {date}") == "Studio 2024-05-17"
    assert field("original_title", RICH, original_title_template="{code}") == "AB-1"
    assert field("tagline", RICH, tagline_template="{groups} with {performers}") == "Series 1 with Ann, Bob"
    bare = Scene(1, files=(SceneFile("/data/a file.mp4"),))
    assert field("title", bare, title_template="{studio} - {title} ({date:%Y})") == "a file"
    assert field("title", bare, title_template="{code}") == "a file"
    assert field("tagline", bare, tagline_template="{code}") == ""


@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
def test_a_sort_title_of_ours_that_follows_the_title_is_nobodys_edit(policy: Policy) -> None:
    settings = Settings(sort_title_template="{code} {title}", conflict_policy=(("", policy),))
    memory = {**written(), "sort_title": "A title"}  # the same as the title, so Plex has none
    later = replace(SCENE, title="Another", code="AB-1")
    edits = plan(later, LEVEL, settings, memory)
    assert edits.fields == ("title", "sort_title") and edits.params["titleSort.value"] == "AB-1 Another"


def test_a_sort_title_equal_to_the_title_is_level() -> None:
    """Plex leaves the attribute out then."""
    settings = Settings(sort_title_template="{title}")
    locked = LOCKS | {"titleSort"}
    assert not plan(SCENE, replace(LEVEL, locked=locked), settings)


def test_single_settings() -> None:
    assert field("content_rating", content_rating="XXX") == "XXX"
    assert field("studio", RICH, parent_studio=True) == "Network"
    assert field("studio", SCENE, parent_studio=True) == "Studio"
    assert field("directors", RICH, write_directors=True) == ("Dee", "Eve")
    tag_map = (Pair("drama", "Play"), Pair("Short", ""))
    assert field("tags", tag_map=tag_map) == ("Play",)
    assert field("tags", tags_as_labels=True) == "left alone"
    assert field("labels", tags_as_labels=True, tag_map=tag_map) == ("Play",)
    assert field("labels", tags_as_labels=True, leave_tags=True) == "left alone"
    assert field(
        "collections", RICH, collections_from=("studio", "parent_studio", "groups", "organized")
    ) == (
        "Studio",
        "Network",
        "Series 1",
        "Organized",
    )
    assert field("collections", RICH, collections_from=("performers", "tags")) == (
        "Ann",
        "Bob",
        "Drama",
        "Short",
    )


def test_of_collections_only_those_we_added_are_removed() -> None:
    settings = Settings(collections_from=("studio", "groups"))
    theirs = replace(LEVEL, collections=("By hand", "studio"))
    first = plan(RICH, theirs, settings)
    assert first.params == {
        "collection[0].tag.tag": "By hand",
        "collection[1].tag.tag": "studio",
        "collection[2].tag.tag": "Series 1",
        "collection.locked": "1",
    }
    after = replace(theirs, collections=("By hand", "studio", "Series 1"))
    assert not plan(RICH, after, settings, first.written)
    other = replace(RICH, groups=("Series 2",))
    second = plan(other, after, settings, first.written)
    assert second.params == {
        "collection[0].tag.tag": "By hand",
        "collection[1].tag.tag": "studio",
        "collection[2].tag.tag": "Series 2",
        "collection[].tag.tag-": "Series%201",
        "collection.locked": "1",
    }
    without = replace(RICH, studio=None, groups=())
    assert plan(
        without, after, settings, {**first.written, "studio": "Studio", "studio found": ""}
    ).params == {
        "studio.value": "",
        "studio.locked": "1",
        "collection[0].tag.tag": "By hand",
        "collection[1].tag.tag": "studio",
        "collection[].tag.tag-": "Series%201",
        "collection.locked": "1",
    }
    assert "collections" not in plan(without, after, settings).fields, "without memory nothing is ours"


def test_a_collection_of_ours_that_was_removed_by_hand() -> None:
    memory = {**written(), "collections": ["Studio"]}
    for policy, fields in (("stash", ("collections",)), ("plex", ())):
        settings = Settings(collections_from=("studio",), conflict_policy=(("", policy),))  # type: ignore[arg-type]
        assert plan(RICH, LEVEL, settings, memory).fields == fields


def test_what_was_written_to_a_field_that_is_left_alone_for_a_while_is_not_forgotten() -> None:
    """Else what we added to a shared list would pass for somebody else's for ever."""
    on = Settings(tags_as_labels=True, write_watched=True)
    off = Settings(tags_as_labels=True, leave_tags=True, leave_title=True)
    scene = replace(RICH, play_count=1)
    first = plan(scene, LEVEL, on)
    synced = replace(LEVEL, title="By hand", labels=("Drama", "Short", "Theirs"), view_count=1)
    meanwhile = plan(scene, synced, off, first.written)
    assert not meanwhile and meanwhile.written == first.written
    moved = replace(scene, studio="Other", tags=("Short",), play_count=0)
    again = plan(moved, synced, replace(on, conflict_policy=(("title", "plex"),)), meanwhile.written)
    assert again.fields == ("studio", "labels", WATCHED) and again.kept[0].field == "title"
    assert again.params["label[].tag.tag-"] == "Drama"


# --- writes whose end nobody saw


@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
def test_a_write_that_landed_unseen_is_not_taken_for_an_edit_by_hand(policy: Policy) -> None:
    settings = Settings(conflict_policy=(("", policy),))
    second = replace(SCENE, title="Second", tags=("Other",), studio=None, updated_at="1970-01-01T00:00:01Z")
    unseen = plan(second, LEVEL, settings, written())
    assert unseen.pending == {"title": "Second", "studio": "", "tags": ("Other",)}
    landed = replace(LEVEL, title="Second", studio="", genres=("Other",), updated_at=99)
    third = replace(second, title="Third", tags=(), studio="Back again")
    tried = [json.loads(json.dumps(dict(unseen.pending)))]
    edits = plan(third, landed, settings, written(), tried)
    assert edits.fields == ("title", "studio", "tags") and not edits.kept
    if policy != "stash":
        assert plan(third, landed, settings, written()).kept, "without the memory of it, it is"
        by_hand = plan(third, replace(landed, title="By hand"), settings, written(), tried)
        assert [kept.field for kept in by_hand.kept] == ["title"]


def test_a_write_that_did_not_land_leaves_everything_as_it_was() -> None:
    settings = Settings(conflict_policy=(("", "plex"),))
    unseen = plan(replace(SCENE, title="Second"), LEVEL, settings, written())
    assert plan(replace(SCENE, title="Third"), LEVEL, settings, written(), [unseen.pending]).fields == (
        "title",
    )


def test_a_collection_whose_adding_nobody_saw_is_ours_to_remove() -> None:
    settings = Settings(collections_from=("groups",))
    theirs = replace(LEVEL, collections=("By hand",))
    unseen = plan(RICH, theirs, settings)
    assert unseen.pending["collections"] == ("Series 1",)
    landed = replace(theirs, collections=("By hand", "Series 1"))
    edits = plan(replace(RICH, groups=()), landed, settings, None, [unseen.pending])
    assert edits.params["collection[].tag.tag-"] == "Series%201"
    assert "collection[1].tag.tag" not in edits.params


# --- ratings given in Plex


@pytest.mark.parametrize(
    ("stash", "plex", "last", "policy", "told"),
    [
        (None, 7.5, None, "", 75),  # rated in Plex, never in Stash
        (None, 7.5, None, "stash", 75),  # no conflict
        (85, 7.5, "8.5", "", 75),  # changed in Plex only
        (85, 7.5, "8.5", "plex", 75),
        (85, 7.5, "8.5", "stash", None),  # Stash's is written again
        (60, 7.5, "8.5", "newest", None),  # both changed, Stash later
        (60, 7.5, "8.5", "plex", 75),
        (60, 8.5, "8.5", "plex", None),  # changed in Stash only
        (75, 7.5, "8.5", "plex", None),  # level
        (85, None, "8.5", "plex", None),  # taken away in Plex
        (None, 0.0, None, "", None),
        (85, 12.0, "8.5", "plex", None),  # nothing Stash can have
        (None, 8.46, None, "", 85),
    ],
)
def test_a_rating_goes_to_stash_where_plex_may_win(
    stash: int | None, plex: float | None, last: str | None, policy: str, told: int | None
) -> None:
    settings = Settings(
        ratings_to_stash=True,
        conflict_policy=(("rating", policy),) if policy else (),  # type: ignore[arg-type]
    )
    scene = replace(SCENE, rating100=stash, updated_at="1970-01-01T00:01:00Z")
    item = replace(LEVEL, user_rating=plex, last_rated_at=30, locked=LEVEL.locked - {"userRating"})
    memory = {**written(replace(SCENE, rating100=None)), **({"rating": last} if last else {})}
    edits = plan(scene, item, settings, memory)
    assert edits.rating100 == told
    if told is not None:
        assert not edits and not edits.kept and edits.written["rating"] == f"{plex:.2g}"
        # Whatever Stash makes of it, nothing is told twice.
        for made in (told, told - 1, None):
            again = plan(replace(scene, rating100=made), item, settings, edits.written)
            assert again.rating100 is None
    off = plan(scene, item, replace(settings, ratings_to_stash=False), memory)
    assert off.rating100 is None


def test_of_two_ratings_the_one_given_later_counts_and_not_the_item_touched_later() -> None:
    settings = Settings(ratings_to_stash=True)
    scene = replace(SCENE, rating100=60, updated_at="1970-01-01T00:01:00Z")
    item = replace(LEVEL, user_rating=7.5, updated_at=5_000)
    assert plan(scene, replace(item, last_rated_at=30), settings, written()).fields == ("rating",)
    assert plan(scene, replace(item, last_rated_at=90), settings, written()).rating100 == 75


@pytest.mark.parametrize(
    ("policy", "rated_at", "told"),
    [("", 30, None), ("", 90, 75), ("newest", 90, 75), ("plex", 30, 75), ("stash", 90, None)],
)
def test_of_two_ratings_that_were_there_before_us_the_policy_says_which_counts(
    policy: str, rated_at: int, told: int | None
) -> None:
    """A rating in Plex is a person's, whether or not anything of the scene was ever written."""
    settings = Settings(
        ratings_to_stash=True,
        conflict_policy=(("rating", policy),) if policy else (),  # type: ignore[arg-type]
    )
    scene = replace(SCENE, rating100=60, updated_at="1970-01-01T00:01:00Z")
    item = replace(LEVEL, user_rating=7.5, last_rated_at=rated_at)
    for memory in (None, written(replace(SCENE, rating100=None))):
        edits = plan(scene, item, settings, memory)
        assert edits.rating100 == told
        assert edits.params.get("userRating.value") == ("6" if told is None else None)


def test_a_rating_somebody_locked_in_plex_is_kept_there_and_told_to_stash() -> None:
    settings = Settings(ratings_to_stash=True, respect_locks=True)
    rated = replace(LEVEL, user_rating=7.5, last_rated_at=99)
    edits = plan(replace(SCENE, rating100=60), rated, settings)
    assert not edits and edits.rating100 == 75


@pytest.mark.parametrize(
    ("rated_at", "told"),
    [(0, None), (1_000, None), (1_699_999_999, None), (1_700_000_000, 30), (1_700_000_001, 30)],
)
def test_a_rating_goes_to_stash_only_as_a_later_act_than_our_own_last_write(
    rated_at: int, told: int | None
) -> None:
    """A restored backup shows what was rated before; a server that rounds shows what nobody gave."""
    settings = Settings(ratings_to_stash=True)
    written = {**plan(SCENE, LEVEL, settings).written, WROTE: "1700000000"}
    restored = replace(LEVEL, user_rating=3.0, last_rated_at=rated_at, updated_at=1_600_000_000)
    edits = plan(SCENE, restored, settings, written)
    assert edits.rating100 == told


# --- settings that come and go


@pytest.mark.parametrize(("policy", "kept"), [("plex", True), ("stash", False)])
def test_what_is_left_alone_for_a_while_is_remembered_meanwhile(policy: Policy, kept: bool) -> None:
    """Else an edit in Plex would be taken for what a metadata agent said, and what we wrote for somebody's."""
    settings = Settings(conflict_policy=(("", policy),))
    away = replace(settings, leave_title=True, leave_tags=True)
    meanwhile = plan(SCENE, LEVEL, away, written()).written
    assert meanwhile["title"] == "A title" and meanwhile["tags"] == ("Drama", "Short")
    by_hand = replace(LEVEL, title="By hand")
    assert not plan(replace(SCENE, title="New", tags=()), by_hand, away, meanwhile)
    back = plan(replace(SCENE, title="New", tags=()), by_hand, settings, meanwhile)
    assert back.fields == (("tags",) if kept else ("title", "tags"))
    assert back.params["genre[].tag.tag-"] == "Drama,Short"


def test_tags_that_become_labels_leave_the_genres_and_come_back() -> None:
    """What somebody else added to either list stays, and stays as it is locked."""
    as_labels = Settings(tags_as_labels=True)
    item = replace(LEVEL, genres=("Drama", "SHORT", "By hand"), labels=("Kept",))
    there = plan(SCENE, item, as_labels, written())
    assert there.fields == ("tags", "labels")
    assert there.params["genre[].tag.tag-"] == "Drama,SHORT"
    assert (there.params["genre[0].tag.tag"], there.params["genre.locked"]) == ("By hand", "1")
    assert "tags" not in there.written and there.pending["tags"] == ()
    moved = replace(item, genres=("By hand",), labels=("Kept", "Drama", "Short"))
    assert not plan(SCENE, moved, as_labels, there.written)
    back = plan(SCENE, moved, SETTINGS, there.written)
    assert back.params["label[].tag.tag-"] == "Drama,Short" and back.params["label[0].tag.tag"] == "Kept"
    assert plan(SCENE, LEVEL, as_labels, written()).params["genre.locked"] == "0", "nothing to keep there"
    assert plan(SCENE, LEVEL, as_labels).fields == ("labels",), "without memory the genres are not ours"
    left = replace(as_labels, leave_tags=True)
    assert not plan(SCENE, item, left, written()), "left alone is left alone"


def test_collections_that_are_wanted_no_longer_go_and_theirs_stay() -> None:
    item = replace(LEVEL, collections=("By hand", "Studio"))
    memory = {**written(), "collections": ["Studio"]}
    edits = plan(SCENE, item, SETTINGS, memory)
    assert edits.params == {
        "collection[0].tag.tag": "By hand",
        "collection[].tag.tag-": "Studio",
        "collection.locked": "1",
    }
    assert not plan(SCENE, replace(item, collections=("By hand",)), SETTINGS, edits.written)
    unseen = [{"collections": ["Studio"]}]
    assert plan(SCENE, item, SETTINGS, written(), unseen).fields == ("collections",)


def test_another_policy_counts_for_what_was_kept_before() -> None:
    plexs, by_hand = Settings(conflict_policy=(("", "plex"),)), replace(LEVEL, title="By hand")
    kept = plan(replace(SCENE, title="New"), by_hand, plexs, written())
    assert not kept and kept.kept
    edits = plan(replace(SCENE, title="New"), by_hand, SETTINGS, kept.written)
    assert edits.params == {"title.value": "New", "title.locked": "1"}
    assert fingerprint(SCENE, plexs) != fingerprint(SCENE, SETTINGS)


# --- the newest


def test_an_edit_of_another_field_does_not_make_an_old_title_the_newest() -> None:
    settings = Settings(conflict_policy=(("", "newest"),))
    item = replace(LEVEL, title="By hand", updated_at=90)
    scene = replace(SCENE, title="New", updated_at="1970-01-01T00:01:00Z")
    first = plan(scene, item, settings, written())
    assert [kept.field for kept in first.kept] == ["title"] and not first
    memory = json.loads(json.dumps(dict(first.written)))
    later = replace(scene, details="Other.", updated_at="1970-01-01T01:00:00+00:00")
    second = plan(later, item, settings, memory)
    assert second.fields == ("summary",) and [kept.field for kept in second.kept] == ["title"]
    left = plan(later, item, replace(settings, leave_title=True), second.written)
    assert "title" not in plan(later, item, settings, left.written).fields
    third = plan(replace(later, title="Newer"), item, settings, {**second.written})
    assert third.params["title.value"] == "Newer"
    assert not [name for name in third.written if name.endswith("refused")]


@pytest.mark.parametrize(
    ("edited", "newer"),
    [
        ("1970-01-01T11:01:00+11:00", True),  # 00:01:00 of Plex's clock
        ("1970-01-01T10:59:00+11:00", False),  # later by the look of it
        ("1969-12-31T23:01:31-01:00", True),
        ("1970-01-01T00:00:30", True),  # without a zone it is no instant: Stash is taken for the newer
        ("", True),
        ("yesterday", True),
    ],
)
def test_the_newest_is_told_by_instants_whatever_their_zone(edited: str, newer: bool) -> None:
    settings = Settings(conflict_policy=(("", "newest"),))
    item = replace(LEVEL, title="By hand", updated_at=59)
    edits = plan(replace(SCENE, title="New", updated_at=edited), item, settings, written())
    assert edits.fields == (("title",) if newer else ())


# --- what a person cleared, and locks


@pytest.mark.parametrize(("policy", "fields"), [("stash", ("summary", "tags")), ("plex", ()), ("newest", ())])
def test_what_a_person_cleared_in_plex_is_an_edit_like_any_other(
    policy: Policy, fields: tuple[str, ...]
) -> None:
    settings = Settings(conflict_policy=(("", policy),))
    edits = plan(SCENE, replace(LEVEL, summary="", genres=()), settings, written())
    assert edits.fields == fields
    assert [kept.field for kept in edits.kept] == ([] if fields else ["summary", "tags"])


def test_a_lock_without_a_value_is_somebodys_as_well() -> None:
    item = replace(LEVEL, studio="", genres=(), locked=frozenset({"studio", "genre"}))
    kept = {one.field for one in plan(SCENE, item, Settings(respect_locks=True)).kept}
    assert kept == {"studio", "tags"}
    assert {"studio", "tags"} <= set(plan(SCENE, item, SETTINGS).fields)


def test_what_somebody_locked_stays_theirs_though_stash_said_the_same_for_a_while() -> None:
    settings = Settings(respect_locks=True)
    item = replace(LEVEL, locked=LOCKS - {"title"})
    first = plan(SCENE, item, settings)
    assert first.fields == ("title",) and first.written == {"title": "A title"}
    after = replace(item, locked=LOCKS)
    edits = plan(replace(SCENE, title="New", studio="Other"), after, settings, first.written)
    assert edits.fields == ("title",) and [kept.field for kept in edits.kept] == ["studio"]


# --- two scenes, one item


@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
def test_what_another_scene_wrote_to_the_item_is_nobodys_edit(policy: Policy) -> None:
    settings = Settings(conflict_policy=(("", policy),), ratings_to_stash=True)
    second = replace(SCENE, id=2, title="Part two", rating100=50, details="More.")
    item = replace(LEVEL, title="Part two", user_rating=5.0, summary="More.")
    theirs = written(second)
    mine = written()
    edits = plan(replace(SCENE, details=""), item, settings, mine, beside=[theirs])
    assert edits.fields == ("title", "rating") and not edits.kept, "theirs stays where Stash has nothing"
    assert edits.rating100 is None
    unrated = plan(replace(SCENE, rating100=None), item, settings, None, beside=[theirs])
    assert unrated.rating100 is None and "rating" not in unrated.fields
    rated = plan(SCENE, replace(item, user_rating=9.0, last_rated_at=2**31), settings, mine, beside=[theirs])
    assert rated.rating100 == (None if policy == "stash" else 90), "a person rated it"
    bare = plan(Scene(1, title="Part one"), item, settings, None, beside=[theirs])
    assert bare.fields == ("title",), "the locks are the other scene's"


# --- beside an actor's name

PICTURED = replace(SCENE, photos=(("Ann", "/performer/5/image?t=9"),))
ANN = "http://stash:9999/performer/5/image?t=9"
WITH_PHOTOS = Settings(photo_address="http://stash:9999")


def test_photos_are_written_with_the_actors_and_then_left_alone() -> None:
    assert not plan(PICTURED, LEVEL, SETTINGS, written()), "not without an address"
    level = replace(LEVEL, actors=(Actor("Ann"), Actor("Bob")))
    edits = plan(PICTURED, level, WITH_PHOTOS, written())
    assert edits.params == {
        "actor[0].tag.tag": "Ann",
        "actor[0].tag.thumb": ANN,
        "actor[1].tag.tag": "Bob",
        "actor.locked": "1",
    }
    assert edits.fields == ("photos",) and edits.written["photos"] == (ANN,)
    # Plex may keep the address, or make one of its own of it; or somebody may choose another picture.
    for shown in (ANN, "https://plex.example/a.jpg", ""):
        item = replace(LEVEL, actors=(Actor("ANN", photo=shown), Actor("Bob")))
        assert not plan(PICTURED, item, WITH_PHOTOS, json.loads(json.dumps(dict(edits.written))))
    newer = replace(SCENE, photos=(("Ann", "/performer/5/image?t=10"),))
    assert plan(newer, LEVEL, WITH_PHOTOS, edits.written).fields == ("photos",)
    other = replace(LEVEL, actors=(Actor("Ann", photo=ANN), Actor("Bob")))
    assert not plan(PICTURED, other, WITH_PHOTOS, written()), "another scene has given it to her already"


def test_photos_go_into_the_write_of_the_actors() -> None:
    edits = plan(PICTURED, replace(LEVEL, actors=()), WITH_PHOTOS)
    assert edits.fields == ("performers", "photos") and edits.params["actor[0].tag.thumb"] == ANN
    assert plan(PICTURED, LEVEL, replace(WITH_PHOTOS, leave_performers=True)).fields == ()


def test_a_changed_photo_is_no_known_scene() -> None:
    newer = replace(SCENE, photos=(("Ann", "/performer/5/image?t=10"),))
    assert fingerprint(PICTURED, WITH_PHOTOS) != fingerprint(newer, WITH_PHOTOS)
    assert fingerprint(PICTURED, SETTINGS) == fingerprint(newer, SETTINGS)


def test_roles_somebody_wrote_go_with_the_actors_that_stay() -> None:
    item = replace(LEVEL, actors=(Actor("ANN", "The guest"), Actor("Cid", "The host")))
    assert plan(SCENE, item, SETTINGS).params == {
        "actor[0].tag.tag": "ANN",
        "actor[0].tagging.text": "The guest",
        "actor[1].tag.tag": "Bob",
        "actor[].tag.tag-": "Cid",
        "actor.locked": "1",
    }


CAST = replace(
    SCENE, cast=(Performer("Ann", "the elder", "FEMALE", "SE", "2000-05-18"), Performer("BOB", country="NO"))
)
WITH_ROLES = Settings(role_template="{disambiguation} ({age})")


def roles(role: str, of_bob: str = "") -> Item:
    return replace(LEVEL, actors=(Actor("Ann", role), Actor("Bob", of_bob)))


def test_roles_are_made_by_a_template_and_written_once() -> None:
    assert not plan(CAST, roles(""), SETTINGS, written())
    edits = plan(CAST, roles("", "Himself"), WITH_ROLES, written())
    assert edits.params == {
        "actor[0].tag.tag": "Ann",
        "actor[0].tagging.text": "the elder (23)",
        "actor[1].tag.tag": "Bob",
        "actor[1].tagging.text": "Himself",
        "actor.locked": "1",
    }
    assert edits.changes == (Change("roles", (), ("ann: the elder (23)",)),)
    memory = json.loads(json.dumps(dict(edits.written)))
    assert not plan(CAST, roles("the elder (23)", "Himself"), WITH_ROLES, memory)
    # Plex does not take it, or somebody thinks otherwise.
    assert not plan(CAST, roles(""), WITH_ROLES, memory) and not plan(CAST, roles("Star"), WITH_ROLES, memory)
    # An actor who was taken out by hand comes back with it.
    again = plan(CAST, replace(LEVEL, actors=(Actor("Bob"),)), WITH_ROLES, memory)
    assert again.params["actor[0].tagging.text"] == "the elder (23)"


@pytest.mark.parametrize(
    ("policy", "held", "sent"),
    [
        ("stash", "the elder (23)", "the elder (24)"),
        ("stash", "Star", "the elder (24)"),
        ("plex", "the elder (23)", "the elder (24)"),
        ("plex", "Star", None),
    ],
)
def test_a_role_edited_in_plex_is_settled_like_any_field(policy: Policy, held: str, sent: str | None) -> None:
    settings = replace(WITH_ROLES, conflict_policy=(("roles", policy),))
    memory = {**written(), "roles": ["ann\tthe elder (23)"]}
    later = replace(CAST, date="2024-05-18")
    item = replace(roles(held), originally_available_at="2024-05-18")
    edits = plan(later, item, settings, {**memory, "date": "2024-05-18"})
    assert edits.params.get("actor[0].tagging.text") == sent
    assert edits.written["roles"] == ((f"ann\t{sent}",) if sent else ("ann\tthe elder (23)",))


def test_a_role_goes_when_there_is_nothing_more_to_make_it_of_but_only_ours() -> None:
    settings, bare = replace(WITH_ROLES, role_template="{disambiguation}"), replace(CAST, cast=())
    memory = {**written(), "roles": ["ann\tthe elder"]}
    edits = plan(bare, roles("the elder", "Himself"), settings, memory)
    assert edits.params["actor[0].tagging.text"] == "" and "roles" not in edits.written
    assert edits.params["actor[1].tagging.text"] == "Himself"
    assert not plan(bare, roles("the elder"), settings) and not plan(
        bare, roles("the elder"), settings, written()
    )
    alone = plan(CAST, roles("the elder"), SETTINGS, memory)
    assert not alone and alone.written["roles"] == ("ann\tthe elder",), "left alone for a while"


def test_a_role_that_landed_unseen_is_ours() -> None:
    settings = replace(WITH_ROLES, conflict_policy=(("", "plex"),))
    first = plan(CAST, roles(""), settings, written())
    later = replace(CAST, cast=(Performer("Ann", "the eldest"),))
    edits = plan(
        later, roles("the elder (23)"), settings, written(), [json.loads(json.dumps(dict(first.pending)))]
    )
    assert edits.params["actor[0].tagging.text"] == "the eldest"


def test_roles_go_beside_actors_whose_lock_is_ours_though_locks_are_respected() -> None:
    settings = replace(WITH_ROLES, respect_locks=True)
    assert "roles" in plan(CAST, roles(""), settings, written()).fields
    by_hand = {key: value for key, value in written().items() if key != "performers"}
    assert not plan(CAST, roles(""), settings, by_hand)


def test_a_role_is_part_of_the_fingerprint_where_roles_are_written() -> None:
    other = replace(CAST, cast=())
    assert fingerprint(CAST, WITH_ROLES) != fingerprint(other, WITH_ROLES)
    assert fingerprint(CAST, SETTINGS) == fingerprint(other, SETTINGS)


@pytest.mark.parametrize(
    ("born", "date", "age"),
    [
        ("2000-05-17", "2024-05-17", "24"),
        ("2000-02-29", "2024-02-28", "23"),
        ("2000", "2024-05-17", ""),
        ("2000-05-17", None, ""),
        ("2030-01-01", "2024-05-17", ""),
        ("2000-02-30", "2024-05-17", ""),
    ],
)
def test_an_age_is_known_where_both_days_are(born: str, date: str | None, age: str) -> None:
    scene = replace(SCENE, date=date, cast=(Performer("Ann", birthdate=born),))
    edits = plan(scene, roles(""), replace(WITH_ROLES, role_template="{age}"), written())
    assert edits.params.get("actor[0].tagging.text", "") == age


# --- a scene that left Stash


def test_a_cleanup_takes_only_what_was_ours_from_lists_that_are_shared() -> None:
    item = replace(
        LEVEL,
        collections=("By hand", "SERIES 1", "Late"),
        labels=("Kept", "ours"),
        locked=frozenset({"collection", "title"}),
    )
    memory = {"title": "A title", "tags": ["Drama"], "collections": ["Series 1"], "labels": ["Ours"]}
    edits = cleanup(item, [memory, {"collections": ["late"], "labels": "damaged"}])
    assert edits.params == {
        "label[0].tag.tag": "Kept",
        "label[].tag.tag-": "ours",
        "label.locked": "0",
        "collection[0].tag.tag": "By hand",
        "collection[].tag.tag-": "SERIES%201,Late",
        "collection.locked": "1",
    }
    assert edits.fields == ("labels", "collections")
    assert not cleanup(replace(item, collections=("By hand",), labels=()), [memory])


def test_what_another_scene_added_to_the_same_item_is_inherited() -> None:
    mine, theirs = {"title": "A", "labels": ["One"]}, {"title": "B", "labels": ["one", "Two"], "tags": ["x"]}
    assert inherited(mine, theirs) == {"title": "A", "labels": ("One", "Two")}


# --- the fingerprint


def test_the_fingerprint_is_the_same_for_the_same_and_another_for_whatever_counts() -> None:
    base = fingerprint(SCENE, SETTINGS)
    assert fingerprint(replace(SCENE, updated_at="2030-01-01T00:00:00Z", stash_ids=("x",)), SETTINGS) == base
    assert fingerprint(replace(SCENE, tags=SCENE.tags), Settings(plex_timeout_s=3)) == base
    others = [
        fingerprint(replace(SCENE, title="x"), SETTINGS),
        fingerprint(replace(SCENE, tags=("x",)), SETTINGS),
        fingerprint(replace(SCENE, files=(SceneFile("/moved/a file.mp4"),)), SETTINGS),
        fingerprint(SCENE, Settings(keep_unlocked=True)),
        fingerprint(SCENE, Settings(path_map=(Pair("/data", "/media"),))),
        fingerprint(SCENE, Settings(title_template="{title} x")),
        fingerprint(SCENE, Settings(leave_rating=True)),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_sort_title_that_would_follow_the_new_title_is_written_with_it() -> None:
    settings = Settings(title_template="{studio} - {title}", sort_title_template="{title}")
    item = replace(LEVEL, title="A title", locked=LOCKS | {"titleSort"})
    edits = plan(SCENE, item, settings)
    assert edits.params["title.value"] == "Studio - A title"
    assert edits.params["titleSort.value"] == "A title"
