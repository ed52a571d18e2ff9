"""Changes that reach many scenes, or of which Stash says nothing: each ends in sync in Plex, and the test says how.

By a hook: a renamed performer (300 scenes), a merged tag. By the next reconcile: merged scenes, a new cover, a moved
file. Where it is the reconcile, the test first shows that nothing else did it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from installed import World, at_rest, installed, wait_until

SCENES = 310
ENABLE = "mutation($on: BoolMap!) { setPluginsEnabled(enabledMap: $on) }"
NEW_TAG = "mutation($input: TagCreateInput!) { tagCreate(input: $input) { id } }"
PERFORMER = (
    '{ findPerformers(performer_filter: {name: {value: "Before", modifier: EQUALS}}) { performers { id } } }'
)
FAMOUS = range(1, 301)  # the scenes of one performer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with installed(tmp_path_factory.mktemp("stash"), scenes=SCENES) as found:
        found.configure(write_poster=True)
        named = 'mutation { performerCreate(input: {name: "Before"}) { id } }'
        performer = found.stash.graphql(named)["performerCreate"]["id"]
        # The first sync is a task's: nobody needs a hook for each of these.
        found.stash.graphql(ENABLE, on={"PlexSync": False})
        found.stash.graphql(
            "mutation($input: BulkSceneUpdateInput!) { bulkSceneUpdate(input: $input) { id } }",
            input={
                "ids": [str(number) for number in FAMOUS],
                "performer_ids": {"ids": [performer], "mode": "ADD"},
            },
        )
        found.stash.graphql(ENABLE, on={"PlexSync": True})
        found.operation("all")
        at_rest(found)
        yield found


def items(world: World) -> dict[str, dict[str, Any]]:
    """What Plex has, by file."""
    sections = world.plex.get("/state")["sections"]
    return {item["file"]: item for section in sections for item in section["items"]}


def shown(world: World, number: int) -> dict[str, Any]:
    return items(world)[world.file(number)]


def actors(item: dict[str, Any]) -> set[str]:
    return set(item["tags"].get("actor", []))


def edits(world: World) -> int:
    """How many edits Plex has taken so far."""
    return sum(row["method"] in ("PUT", "POST") for row in world.plex.get("/requests"))


def nothing_happens(world: World, before: int) -> None:
    """Stash told nobody: nothing was queued, and Plex is as it was."""
    at_rest(world)
    assert edits(world) == before


def test_a_renamed_performer_reaches_all_300_scenes_by_its_hook(world: World) -> None:
    files = [world.file(number) for number in FAMOUS]
    found = world.stash.graphql(PERFORMER)
    performer = found["findPerformers"]["performers"][0]["id"]
    there = items(world)
    assert all("Before" in actors(there[file]) for file in files)
    world.stash.graphql(
        "mutation($input: PerformerUpdateInput!) { performerUpdate(input: $input) { id } }",
        input={"id": performer, "name": "After"},
    )

    def all_have_it() -> bool:
        now = items(world)
        return all("After" in actors(now[file]) for file in files)

    wait_until(all_have_it, 180)
    at_rest(world)
    now = items(world)
    assert not any("Before" in actors(now[file]) for file in files)


def test_a_merged_tag_reaches_its_scenes_by_its_hook(world: World) -> None:
    made = [world.stash.graphql(NEW_TAG, input={"name": name}) for name in ("Swallowed", "Kept")]
    swallowed, kept = (one["tagCreate"]["id"] for one in made)
    world.edit(id="301", tag_ids=[swallowed])
    wait_until(lambda: shown(world, 301)["tags"].get("genre") == ["Swallowed"])
    world.stash.graphql(
        "mutation($input: TagsMergeInput!) { tagsMerge(input: $input) { id } }",
        input={"source": [swallowed], "destination": kept},
    )
    wait_until(lambda: shown(world, 301)["tags"].get("genre") == ["Kept"])
    at_rest(world)


def test_merged_scenes_are_found_by_the_next_reconcile_of_all(world: World) -> None:
    """The one that stays has taken the values that were chosen; the one that went has left nothing to do."""
    gone = world.file(303)
    before = edits(world)
    world.stash.graphql(
        "mutation($input: SceneMergeInput!) { sceneMerge(input: $input) { id } }",
        input={"source": ["303"], "destination": "302", "values": {"id": "302", "title": "Both of them"}},
    )
    nothing_happens(world, before)
    found = world.operation("reconcile_all")
    assert found["gone"] == 1 and found["queued"] == 2
    wait_until(lambda: shown(world, 302)["title"] == "Both of them")
    at_rest(world)
    assert gone in items(world), "Plex has the file still"
    assert world.operation("reconcile_all")["queued"] == 0, "and all is in sync"


def test_a_new_cover_is_found_by_the_next_reconcile_of_a_day(world: World) -> None:
    posters = len(shown(world, 304)["posters"])
    before = edits(world)
    world.stash.graphql("mutation { sceneGenerateScreenshot(id: 304) }")
    nothing_happens(world, before)
    assert world.operation("reconcile_recent")["queued"] >= 1
    wait_until(lambda: len(shown(world, 304)["posters"]) == posters + 1)
    at_rest(world)
    assert world.operation("reconcile_recent")["queued"] == 0


def test_a_moved_file_is_found_by_the_next_reconcile_of_all(world: World) -> None:
    """In Plex it is a new item, which knows nothing of the old one's edits."""
    old = world.file(305)
    title = items(world)[old]["title"]
    file_id = world.stash.graphql("{ findScene(id: 305) { files { id } } }")["findScene"]["files"][0]["id"]
    before = edits(world)
    world.stash.graphql(
        "mutation($input: MoveFilesInput!) { moveFiles(input: $input) }",
        input={"ids": [file_id], "destination_basename": "moved away.mp4"},
    )
    new = world.file(305)
    assert new != old
    section = next(iter(world.plex.get("/state")["sections"]))
    world.plex.send("DELETE", "/media", {"file": old})
    world.plex.send("POST", "/media", {"section": section["title"], "file": new, "scan": "now"})
    wait_until(lambda: new in items(world))
    nothing_happens(world, before)
    assert world.operation("reconcile_all")["queued"] == 1
    wait_until(lambda: items(world)[new]["title"] == title)
    at_rest(world)
    assert world.operation("reconcile_all")["queued"] == 0
