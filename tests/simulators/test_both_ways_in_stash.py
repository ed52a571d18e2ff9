"""What goes beyond a save, from end to end: ratings and plays that come back from Plex, and scenes that leave.

The world has credentials, so the worker speaks to Stash by API key, where Stash does not guard against a hook that
fires itself.
"""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installed import World, at_rest, end_worker, installed, wait_until

CREDENTIALS = ("--username", "somebody", "--password", "passwordOfSomebody")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with installed(tmp_path_factory.mktemp("stash"), *CREDENTIALS) as found:
        yield found


def synced(world: World, number: int, **settings: object) -> dict[str, Any]:
    """The item of a scene that was saved and has reached Plex."""
    world.configure(**settings)
    end_worker(world.data)  # so that the next one reads the settings anew
    title = f"Scene {number} is synced"
    world.edit(id=str(number), title=title)
    file = world.file(number)
    wait_until(lambda: world.item(file)["title"] == title)
    at_rest(world)
    return world.item(file)


def in_plex(world: World, path: str, **query: object) -> None:
    """What a person does in Plex."""
    text = urllib.parse.urlencode({"identifier": "com.plexapp.plugins.library", **query})
    method = "PUT" if path == "/:/rate" else "GET"
    request = urllib.request.Request(
        f"{world.plex.url}{path}?{text}", headers={"X-Plex-Token": world.plex.token}, method=method
    )
    urllib.request.urlopen(request, timeout=30).close()


def in_stash(world: World, number: int, fields: str) -> dict[str, Any]:
    found = world.stash.graphql(f"query($id: ID!) {{ findScene(id: $id) {{ {fields} }} }}", id=number)
    return dict(found["findScene"])


def edits_of_stash(world: World, field: str) -> int:
    """How often a root field was asked for so far."""
    return sum(row["operation"] == field for row in world.stash.get("/requests"))


def test_a_rating_given_in_plex_reaches_stash_and_comes_to_rest(world: World) -> None:
    item = synced(world, 3, ratings_to_stash=True)
    in_plex(world, "/:/rate", key=item["rating_key"], rating=7.5)
    before = edits_of_stash(world, "sceneUpdate")
    world.operation("reconcile_recent")
    wait_until(lambda: in_stash(world, 3, "rating100")["rating100"] == 75)
    at_rest(world)
    runs = len(world.stash.get("/runs"))
    world.operation("reconcile_recent")  # finds nothing new
    at_rest(world)
    assert edits_of_stash(world, "sceneUpdate") == before + 1
    hooks = [run for run in world.stash.get("/runs")[runs:] if "hookContext" in run["stdin"]]
    assert hooks == [], "no hook has fired since"
    log = (world.data / "plexsync.log").read_text()
    assert log.count("told Stash the rating") == 1


def test_a_rating_from_before_the_first_sync_meets_stashs_by_its_age(world: World) -> None:
    """And sync all sees a later one, of a scene it would not look at otherwise."""
    file = world.file(10)
    in_plex(world, "/:/rate", key=world.item(file)["rating_key"], rating=9)
    world.configure(ratings_to_stash=True, conflict_policy="rating=plex")
    end_worker(world.data)
    world.edit(id="10", title="Rated on both sides", rating100=40)
    wait_until(lambda: world.item(file)["title"] == "Rated on both sides")
    wait_until(lambda: in_stash(world, 10, "rating100")["rating100"] == 90)
    at_rest(world)
    assert world.item(file)["fields"]["userRating"] == 9.0
    in_plex(world, "/:/rate", key=world.item(file)["rating_key"], rating=3)
    world.operation("all")
    wait_until(lambda: in_stash(world, 10, "rating100")["rating100"] == 30)
    at_rest(world)


def test_tags_that_become_labels_leave_the_genres_and_a_rule_for_bare_scenes_hinders_no_clearing(
    world: World,
) -> None:
    """The whole way: a setting changed, the next reconcile of all, and Plex as a person finds it."""
    tag = world.stash.graphql('mutation { tagCreate(input: {name: "Becomes a label"}) { id } }')["tagCreate"]
    world.edit(id="11", tag_ids=[tag["id"]])
    item = synced(world, 11, skip_bare=True)
    assert item["tags"]["genre"] == ["Becomes a label"]
    world.configure(skip_bare=True, tags_as_labels=True)
    end_worker(world.data)
    world.operation("reconcile_all")
    wait_until(lambda: world.item(item["file"])["tags"].get("label") == ["Becomes a label"])
    at_rest(world)
    assert not world.item(item["file"])["tags"].get("genre")
    world.edit(
        id="11", title="", details="", date=None, rating100=None, studio_id=None, performer_ids=[], tag_ids=[]
    )
    wait_until(lambda: not world.item(item["file"])["tags"].get("label"))
    at_rest(world)


def test_plays_in_plex_are_counted_in_stash_once(world: World) -> None:
    item = synced(world, 4, watched_to_stash=True)
    plays = in_stash(world, 4, "play_count")["play_count"]
    in_plex(world, "/:/scrobble", key=item["rating_key"])
    world.operation("reconcile_recent")
    wait_until(lambda: in_stash(world, 4, "play_count")["play_count"] == plays + 1)
    world.operation("reconcile_recent")
    world.edit(id="4", title="Saved once more")
    wait_until(lambda: world.item(item["file"])["title"] == "Saved once more")
    at_rest(world)
    assert in_stash(world, 4, "play_count")["play_count"] == plays + 1


def test_a_play_whose_answer_is_lost_is_not_counted_twice(world: World) -> None:
    item = synced(world, 5, watched_to_stash=True)
    plays = in_stash(world, 5, "play_count")["play_count"]
    lost = {"kind": "reset_after", "match": {"operation": "sceneAddPlay"}, "count": 1}
    world.stash.send("POST", "/faults", lost)
    in_plex(world, "/:/scrobble", key=item["rating_key"])
    world.edit(id="5", details="Saved again")
    wait_until(lambda: edits_of_stash(world, "sceneAddPlay") >= 1)
    at_rest(world)
    assert in_stash(world, 5, "play_count")["play_count"] == plays + 1


def test_a_scene_played_in_stash_is_watched_in_plex_after_the_next_reconcile(world: World) -> None:
    """Stash tells no plugin of a play. What we mark ourselves does not come back as a play."""
    world.stash.graphql("mutation { sceneResetPlayCount(id: 9) }")
    item = synced(world, 9, write_watched=True, watched_to_stash=True)
    assert item["view_count"] == 0
    world.stash.graphql("mutation { sceneAddPlay(id: 9) { count } }")
    world.operation("reconcile_all")
    wait_until(lambda: world.item(item["file"])["view_count"] == 1)
    at_rest(world)
    world.operation("reconcile_all")
    at_rest(world)
    assert world.item(item["file"])["view_count"] == 1
    assert in_stash(world, 9, "play_count")["play_count"] == 1
    world.stash.graphql("mutation { sceneResetPlayCount(id: 9) }")
    world.operation("reconcile_all")
    wait_until(lambda: world.item(item["file"])["view_count"] == 0)


def test_a_new_file_is_scanned_for_and_its_scene_synced_when_it_comes(world: World) -> None:
    """Plex's disk has it, and Plex would not look by itself."""
    world.configure(scan_plex=True)
    end_worker(world.data)
    file = world.file(7)
    section = world.plex.get("/state")["sections"][0]["title"]
    world.plex.send("DELETE", "/media", {"file": file})
    world.plex.send("POST", "/media", {"section": section, "file": file, "scan": "on_refresh"})
    world.edit(id="7", title="New on the disk")

    def is_there() -> bool:
        items = [item for section in world.plex.get("/state")["sections"] for item in section["items"]]
        return any(item["file"] == file and item["title"] == "New on the disk" for item in items)

    # The job itself would look again after 15 to 30 s; it is woken at the first look for what has arrived.
    assert wait_until(is_there) < 14
    at_rest(world)
    scans = [row for row in world.plex.get("/requests") if row["path"].endswith("/refresh")]
    assert [urllib.parse.unquote_plus(row["query"].partition("path=")[2]) for row in scans] == [
        file.rpartition("/")[0]
    ]


def test_a_deleted_scene_takes_its_collection_with_it(world: World) -> None:
    """Somebody's own collection, the title and everything else stay."""
    studio = in_stash(world, 6, "studio { name }")["studio"]
    if studio is None:
        number = world.stash.graphql('mutation { studioCreate(input: {name: "Of six"}) { id } }')
        world.edit(id="6", studio_id=number["studioCreate"]["id"])
        studio = {"name": "Of six"}
    world.plex.send(
        "POST",
        "/items",
        {"rating_key": world.item(world.file(6))["rating_key"], "tags": {"collection": ["By hand"]}},
    )
    item = synced(world, 6, collections_from="studio")
    assert [tag.lower() for tag in item["tags"]["collection"]] == ["by hand", studio["name"].lower()]
    world.stash.graphql("mutation { sceneDestroy(input: {id: 6}) }")
    wait_until(lambda: world.item(item["file"])["tags"]["collection"] == ["By hand"])
    at_rest(world)
    assert world.item(item["file"])["title"] == "Scene 6 is synced"


PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def performer_with_a_picture(world: World, number: int) -> str:
    """The id of a new performer, who is in this scene."""
    made = world.stash.graphql(
        "mutation($input: PerformerCreateInput!) { performerCreate(input: $input) { id } }",
        input={"name": f"Pictured {number}", "image": PICTURE},
    )
    performer = str(made["performerCreate"]["id"])
    world.edit(id=str(number), performer_ids=[performer])
    return performer


def roles(world: World, number: int) -> str:
    """The item of a scene as Plex shows it."""
    key = world.item(world.file(number))["rating_key"]
    request = urllib.request.Request(
        f"{world.plex.url}/library/metadata/{key}", headers={"X-Plex-Token": world.plex.token}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_behind_a_login_no_photo_is_written_and_it_is_said_why(world: World) -> None:
    performer_with_a_picture(world, 8)
    synced(world, 8, photo_address=world.stash.url)
    found = roles(world, 8)
    assert "Pictured 8" in found and "/image" not in found and world.stash.token not in found
    told = [check["message"] for check in world.operation("health_check")["checks"]]
    assert any("photo_address is not used: this Stash asks for a login" in message for message in told), told


def test_an_actors_role_says_what_stash_says_of_the_performer(world: World) -> None:
    performer = performer_with_a_picture(world, 9)
    update = "mutation($input: PerformerUpdateInput!) { performerUpdate(input: $input) { id } }"
    facts = {"id": performer, "disambiguation": "the elder", "birthdate": "1990-05-17"}
    world.stash.graphql(update, input=facts)
    world.edit(id="9", date="2024-05-17")
    synced(world, 9, role_template="{disambiguation}, {age}")
    assert 'role="the elder, 34"' in roles(world, 9)
    # Nobody touches the scene: it is the performer's own hook that brings it in sync.
    world.stash.graphql(update, input={"id": performer, "disambiguation": "the eldest"})
    wait_until(lambda: 'role="the eldest, 34"' in roles(world, 9))
    at_rest(world)


def test_without_a_login_performers_have_their_photos_in_plex(tmp_path: Path) -> None:
    with installed(tmp_path) as world:
        performer = performer_with_a_picture(world, 8)
        synced(world, 8, photo_address=world.stash.url)
        assert f'thumb="{world.stash.url}/performer/{performer}/image?t=' in roles(world, 8)
        writes = sum(row["method"] == "PUT" for row in world.plex.get("/requests"))
        world.edit(id="8", code="nothing Plex shows")
        at_rest(world)
        assert sum(row["method"] == "PUT" for row in world.plex.get("/requests")) == writes


def test_a_rule_of_its_library_reaches_a_scene_and_goes_again(world: World) -> None:
    """The rule is met by a reconcile: the settings changed, and no scene."""
    (library,) = {section["title"] for section in world.plex.get("/state")["sections"]}
    item = synced(world, 10)
    world.configure(library_rules=f"[{library.upper()}] title_template = {{id}}: {{title}}")
    end_worker(world.data)
    world.operation("reconcile_all")
    wait_until(lambda: world.item(item["file"])["title"] == f"10: {item['title']}")
    at_rest(world)
    world.configure()
    end_worker(world.data)
    world.operation("reconcile_all")
    wait_until(lambda: world.item(item["file"])["title"] == item["title"])
    at_rest(world)
