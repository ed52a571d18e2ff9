"""What would change, told before it is done: values, sentences, and that looking leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from plexsync.core.failures import Permanent, SyncFailure, Unavailable
from plexsync.core.item import Actor, Item
from plexsync.core.merge import Step
from plexsync.core.plan import Change, Kept
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.servers.sync_state import SyncState
from plexsync.ui import diff
from plexsync.ui.page import scene

SETTINGS = Settings(plex_url="http://plex:32400", plex_token="token")
SCENE = Scene(
    1, title="New", details="Words.", rating100=80, tags=("Beach", "Night"), files=(SceneFile("/data/1.mp4"),)
)
ITEM = Item(
    11,
    1,
    "Films",
    title="Old",
    summary="Words.",
    genres=("beach", "Day"),
    actors=(Actor("Ann"),),
    locked=frozenset({"summary", "genre", "title"}),
    files=("/data/1.mp4",),
)


@dataclass
class World:
    """Stash and Plex as dictionaries. There is no ``write``: whoever writes fails."""

    scenes_held: dict[int, Scene] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    trouble: SyncFailure | None = None
    remembered: SyncState = field(default_factory=SyncState)
    batches: list[int] = field(default_factory=list)

    def stash(self) -> World:
        return self

    def plex(self) -> World:
        if self.trouble:
            raise self.trouble
        return self

    def sync_state(self, settings: Settings) -> SyncState:
        return self.remembered

    def scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        self.batches.append(len(scene_ids))
        return {number: self.scenes_held[number] for number in scene_ids if number in self.scenes_held}

    def connect(self) -> None:
        pass

    def find_many(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        return [tuple(item for item in self.items if set(paths) & set(item.files)) for paths in groups]

    def find_alike(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        return [() for _ in groups]


@pytest.fixture
def world() -> World:
    return World({1: SCENE}, [ITEM])


def look(world: World, *scene_ids: int, settings: Settings = SETTINGS) -> list[diff.Preview]:
    return list(diff.previews(world, settings, scene_ids or (1,)))  # type: ignore[arg-type]


def test_every_field_that_would_change_and_no_other(world: World) -> None:
    (found,) = look(world)
    assert found.outcome == "differs" and found.item == ITEM and not found.kept
    assert found.changes == (
        Change("title", "Old", "New"),
        Change("tags", ("beach", "Day"), ("Beach", "Night")),
        Change("rating", "", "8"),
    )
    assert diff.rows(found) == [
        ("1", "title", "Old", "New"),
        ("", "tags", "beach, Day", "+ Night, − Day"),
        ("", "rating", "–", "8"),
    ]
    assert diff.lines(found)[1] == "Scene 1, tags: beach, Day → + Night, − Day"


def test_a_field_that_would_only_be_locked_says_so(world: World) -> None:
    world.items = [replace(ITEM, locked=frozenset({"genre", "title"}))]
    rows = {row[1]: row for row in diff.rows(look(world)[0])}
    assert rows["summary"][2:] == ("Words.", "the same, locked")


def test_what_is_kept_is_told_with_its_reason(world: World) -> None:
    (found,) = look(world, settings=replace(SETTINGS, respect_locks=True))
    assert [(kept.field, kept.why) for kept in found.kept] == [
        ("title", Step.KEEP_LOCK),
        ("tags", Step.KEEP_LOCK),
    ]
    sentence = "Old is kept, Stash has New: it was locked in Plex, not by PlexSync"
    assert ("", "title", "", sentence) in diff.rows(found)
    assert found.matters


def test_every_outcome_has_its_reason(world: World) -> None:
    world.scenes_held |= {
        2: replace(SCENE, id=2, files=()),
        3: replace(SCENE, id=3, files=(SceneFile("/data/3.mp4"),)),
        4: replace(SCENE, id=4, files=(SceneFile("/data/4.mp4"),)),
        5: replace(SCENE, id=5, organized=True),
    }
    world.items += [replace(ITEM, rating_key=key, files=("/data/4.mp4",)) for key in (41, 42)]
    found = {preview.scene_id: preview for preview in look(world, 1, 2, 3, 4, 5, 6)}
    assert {number: preview.outcome for number, preview in found.items()} == {
        1: "differs", 2: "no_file", 3: "not_found", 4: "ambiguous", 5: "differs", 6: "gone",
    }  # fmt: skip
    assert found[3].reason == "No Plex item has the file /data/3.mp4."
    assert [row[1] for row in diff.rows(found[4])] == ["ambiguous", "item 41", "item 42"]
    assert all(diff.rows(preview)[0][0] == str(number) for number, preview in found.items())
    (skipped,) = look(world, 1, settings=replace(SETTINGS, only_organized=True))
    assert (skipped.outcome, skipped.reason) == ("skipped", "not organized")
    assert set(diff.MEANINGS) >= {preview.outcome for preview in found.values()} | {
        "skipped",
        "failed",
        "in_sync",
    }


def test_a_scene_known_to_be_in_sync_is_compared_all_the_same(world: World) -> None:
    """Somebody may have changed the item in Plex since; only a look tells."""
    world.items = [replace(ITEM, title="New", genres=("Beach", "Night"), user_rating=8.0)]
    (same,) = look(world)
    assert (same.outcome, same.matters, diff.rows(same)) == ("in_sync", False, [("1", "in sync", "", "")])
    from plexsync.sync import plan_batch, record

    looked = plan_batch.plan_batch([1], world, SETTINGS, {1})[1]  # type: ignore[arg-type]
    record.record_written(looked, world.remembered)
    world.items = [replace(world.items[0], title="Edited in Plex")]
    assert [change.field for change in look(world)[0].changes] == ["title"]


def test_looking_remembers_no_scene(world: World) -> None:
    look(world)
    assert world.remembered.recall(1) is None
    world.items = [replace(ITEM, title="New", genres=("Beach", "Night"), user_rating=8.0)]
    assert look(world)[0].outcome == "in_sync"
    assert world.remembered.recall(1) is None


def test_covers_are_told_but_not_fetched(world: World) -> None:
    world.scenes_held[1] = replace(SCENE, screenshot="http://stash/1?t=5")
    (found,) = look(world, settings=replace(SETTINGS, write_poster=True))
    assert found.pictures == ("poster",)
    assert diff.rows(found)[-1][1] == "poster"
    assert diff.as_json(found)["pictures"] == ["poster"]


def test_many_scenes_are_read_in_batches(world: World) -> None:
    numbers = range(1, 2 * diff.BATCH + 2)
    world.scenes_held = {number: replace(SCENE, id=number) for number in numbers}
    assert [preview.scene_id for preview in look(world, *numbers)] == list(numbers)
    assert world.batches == [diff.BATCH, diff.BATCH, 1]


def test_a_server_that_is_away_ends_the_look(world: World) -> None:
    world.trouble = Unavailable("Plex", "Plex is away.")
    with pytest.raises(Unavailable, match="Plex is away"):
        look(world)
    world.trouble = Permanent("No.")
    (found,) = look(world)
    assert (found.outcome, found.reason) == ("failed", "No.")


def test_json_leaves_out_what_has_nothing_to_say(world: World) -> None:
    assert diff.as_json(look(world)[0]) == {
        "scene_id": 1,
        "outcome": "differs",
        "title": "New",
        "path": "/data/1.mp4",
        "rating_key": 11,
        "library": "Films",
        "changes": [
            {"field": "title", "before": "Old", "after": "New"},
            {"field": "tags", "before": ("beach", "Day"), "after": ("Beach", "Night")},
            {"field": "rating", "before": "", "after": "8"},
        ],
    }


def test_the_tally(world: World) -> None:
    tally = diff.Tally()
    assert tally.calm and tally.sentence() == "0 scenes: nothing to look at."
    for preview in look(world, 1, 7):
        tally.add(preview)
    assert not tally.calm
    assert tally.sentence() == (
        "2 scenes: 1 would change (1 × title, 1 × tags, 1 × rating), 1 no longer in Stash."
    )
    assert tally.as_json() == {
        "scenes": 2,
        "outcomes": {"differs": 1, "gone": 1},
        "fields": {"title": 1, "tags": 1, "rating": 1},
        "kept": 0,
    }


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ("", "", ("", "", "", "")),
        ("abc", "abc", ("abc", "", "", "")),
        ("abc", "", ("", "abc", "", "")),
        ("one two three", "one 2 three", ("one ", "two", "2", " three")),
        ("aa", "aaa", ("aa", "", "a", "")),
        ("aba", "aca", ("a", "b", "c", "a")),
    ],
)
def test_texts_are_parted_where_they_differ(before: str, after: str, parts: tuple[str, ...]) -> None:
    start, gone, come, end = diff.split_at_change(before, after)
    assert (start, gone, come, end) == parts
    assert (start + gone + end, start + come + end) == (before, after)


def test_a_narrow_table_shows_the_place_where_two_texts_part() -> None:
    row = ("1", "summary", "x" * 500 + " one " + "y" * 500, "x" * 500 + " two " + "y" * 500)
    _, _, before, after = diff.fitted(row, 30)
    assert (len(before), len(after)) == (30, 30) and "one" in before and "two" in after
    lines = list(diff.table([diff.HEADINGS, row, ("2", "skipped", "", "z" * 90)], 80))
    assert len(lines[1]) <= 80 and lines[2].endswith("z" * 90)
    assert next(diff.table([row])).endswith("y" * 500)


def test_a_screen_too_narrow_for_columns_has_them_below_each_other() -> None:
    rows = [
        diff.HEADINGS,
        ("1", "title", "Old", "New"),
        ("", "tags", "a", "+ b"),
        ("2", "skipped", "", "Why."),
        ("3", "in sync", "", ""),
    ]
    assert list(diff.table(rows, 40)) == [
        "1: title",
        "    - Old",
        "    + New",
        "  tags",
        "    - a",
        "    + + b",
        "2: skipped",
        "    Why.",
        "3: in sync",
    ]


def test_kept_fields_are_counted() -> None:
    tally = diff.Tally()
    tally.add(diff.Preview(1, "in_sync", kept=(Kept("title", "a", "b", Step.KEEP_EDIT),)))
    assert tally.sentence() == "1 scene: 1 in sync. Kept as they are in Plex: 1."


def test_what_stash_would_be_told_is_shown_as_well(world: World) -> None:
    """Else a scene would be said to differ, and nobody could see in what."""
    settings = Settings(
        plex_url="http://plex:32400", plex_token="token", ratings_to_stash=True, watched_to_stash=True
    )
    world.scenes_held[1] = Scene(1, title="Old", files=SCENE.files)
    world.items[0] = replace(ITEM, user_rating=7.5, last_rated_at=60, view_count=5, last_viewed_at=70)
    world.remembered.record(1, 11, "", {"plays": "3"})
    (preview,) = look(world, settings=settings)
    assert diff.as_json(preview)["to_stash"] == {"rating": 75, "plays": 2}
    assert diff.rows(preview) == [
        ("1", "rating", "", "Stash is told: 75"),
        ("", "plays", "", "Stash is told: 2"),
    ]
    assert "Stash is told: 75." in scene(preview) and "Would change" not in scene(preview)
