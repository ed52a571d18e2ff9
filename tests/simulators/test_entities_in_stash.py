"""Edits of what scenes have in common, in a Stash with the plugin installed: names, parents, and deletions.

Of a deletion Stash's hook tells a number alone, and nobody can be asked any more which scenes it was of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from installed import World, at_rest, installed, wait_until

SCENES = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with installed(tmp_path_factory.mktemp("stash"), scenes=SCENES) as found:
        found.configure(parent_studio=True, collections_from="groups")
        found.operation("all")
        at_rest(found)
        yield found


def make(world: World, kind: str, **fields: object) -> str:
    query = f"mutation($input: {kind}CreateInput!) {{ {kind.lower()}Create(input: $input) {{ id }} }}"
    return str(world.stash.graphql(query, input=fields)[f"{kind.lower()}Create"]["id"])


def change(world: World, kind: str, **fields: object) -> None:
    query = f"mutation($input: {kind}UpdateInput!) {{ {kind.lower()}Update(input: $input) {{ id }} }}"
    world.stash.graphql(query, input=fields)


def delete(world: World, kind: str, *ids: str) -> None:
    """As Stash's pages do, several together."""
    query = f"mutation($ids: [ID!]!) {{ {kind.lower()}sDestroy(ids: $ids) }}"
    world.stash.graphql(query, ids=list(ids))


def shown(world: World, number: int) -> dict[str, Any]:
    return world.item(world.file(number))


def studio(world: World, number: int) -> object:
    return shown(world, number)["fields"].get("studio") or ""


def jobs(world: World) -> int:
    status = world.operation("queue_status")
    return int(status["completed"] + status["pending"] + status["in_progress"])


def test_a_parent_studio_reaches_the_scenes_of_its_sub_studios(world: World) -> None:
    parent, other = make(world, "Studio", name="Network"), make(world, "Studio", name="Rival")
    channel = make(world, "Studio", name="Channel", parent_id=parent)
    world.edit(id="1", studio_id=channel)
    wait_until(lambda: studio(world, 1) == "Network")
    change(world, "Studio", id=parent, name="Renamed")
    wait_until(lambda: studio(world, 1) == "Renamed")
    change(world, "Studio", id=channel, parent_id=other)
    wait_until(lambda: studio(world, 1) == "Rival")
    delete(world, "Studio", other)
    wait_until(lambda: studio(world, 1) == "Channel")
    delete(world, "Studio", channel)
    wait_until(lambda: studio(world, 1) == "")
    at_rest(world)


def test_a_group_renamed_and_deleted(world: World) -> None:
    group = make(world, "Group", name="Trilogy")
    world.edit(id="2", groups=[{"group_id": group}])
    wait_until(lambda: shown(world, 2)["tags"].get("collection") == ["Trilogy"])
    change(world, "Group", id=group, name="Tetralogy")
    wait_until(lambda: shown(world, 2)["tags"].get("collection") == ["Tetralogy"])
    delete(world, "Group", group)
    wait_until(lambda: not shown(world, 2)["tags"].get("collection"))
    at_rest(world)


def test_tags_deleted_together_leave_their_scenes(world: World) -> None:
    tags = [make(world, "Tag", name=f"Passing {number}") for number in range(6)]
    world.edit(id="3", tag_ids=tags)
    wait_until(lambda: len(shown(world, 3)["tags"].get("genre", [])) == 6)
    delete(world, "Tag", *tags)
    wait_until(lambda: not shown(world, 3)["tags"].get("genre"))
    at_rest(world)


def test_a_deleted_performer_leaves_its_scenes(world: World) -> None:
    performer = make(world, "Performer", name="Somebody")
    world.edit(id="4", performer_ids=[performer])
    wait_until(lambda: shown(world, 4)["tags"].get("actor") == ["Somebody"])
    delete(world, "Performer", performer)
    wait_until(lambda: not shown(world, 4)["tags"].get("actor"))
    at_rest(world)


def test_what_no_scene_shows_of_them_makes_no_job(world: World) -> None:
    performer = make(world, "Performer", name="Known by many names")
    tag, parent = make(world, "Tag", name="Below"), make(world, "Tag", name="Above")
    world.edit(id="5", performer_ids=[performer], tag_ids=[tag])
    wait_until(lambda: shown(world, 5)["tags"].get("genre") == ["Below"])
    at_rest(world)
    before = jobs(world)
    change(world, "Performer", id=performer, alias_list=["Another"])
    change(world, "Tag", id=tag, parent_ids=[parent])
    at_rest(world)
    assert jobs(world) == before
