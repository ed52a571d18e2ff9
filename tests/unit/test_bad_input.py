"""What Stash and Plex may say that nobody expects: each is written correctly or has a name, and costs no other scene
anything.

The scenes go the whole way: read as GraphQL answers them, worked on from a real queue, written to a Plex over a socket.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from plexsync.core.item import Item
from plexsync.core.scene import Scene, SceneFile, scene_from
from plexsync.core.settings import Settings
from plexsync.core.verdict import InSync
from plexsync.queue.store import Store
from plexsync.servers.plex import Plex
from plexsync.servers.stash import Cover
from plexsync.servers.sync_state import SyncState
from plexsync.sync import plan_batch
from plexsync.sync.worker import Worker
from scenarios.clock import ManualClock
from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running
from tests.doubles import Model

TOKEN = "t0ken-0f-the-0wner"
FOLDER = "/data/films"
MILLION = "väldigt lång " * 80_000  # beyond 1 MB as UTF-8
MISSING = object()

TEXTS: dict[str, object] = {
    "missing": MISSING,
    "null": None,
    "empty": "",
    "blank": " \n\t ",
    "huge": MILLION,
    "emoji": "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "control characters": "a\x00\x07\x1b[31m\x0b\x85\u2028b",
    "right to left": "\u202eעברית\u202c العربية",
    "lone surrogate": "half \ud83d and \udc00",
    "markup": "<b>&amp;\"']]>%2C, ${x} {title}",
    "a number": 7,
    "a list": ["x", None],
    "an object": {"name": 7},
}
NUMBERS: dict[str, object] = {
    "missing": MISSING,
    "null": None,
    "zero": 0,
    "below": -5,
    "above": 101,
    "a fraction": 49.5,
    "beyond all floats": 10**400,
    "a text": "85",
    "true": True,
}
DATES = ("2024", "2024-05", "2024-02-30", "0000", "9999-12-31", "17.5.2024", "٢٠٢٤")


def named(entries: object) -> object:
    return [{"id": "5", "name": name, "image_path": None} for name in entries] if entries else entries


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Scenes that are odd in one place each, and which."""
    for what, value in TEXTS.items():
        for key in ("title", "details", "code", "director", "updated_at", "date"):
            yield f"{key} {what}", {key: value}
        for key in ("performers", "tags", "groups", "stash_ids", "paths", "studio"):
            if not isinstance(value, str):
                yield f"{key} {what}", {key: value}
        if isinstance(value, str):
            yield f"studio {what}", {"studio": {"name": value, "parent_studio": {"name": value}}}
            yield f"performer {what}", {"performers": named([value, "Ann"])}
            facts = dict.fromkeys(("disambiguation", "gender", "country", "birthdate"), value)
            yield f"what is said of a performer {what}", {"performers": [{"name": "Ann", **facts}]}
            yield f"tag {what}", {"tags": named([value, "Drama", f"{value} more"])}
            yield f"group {what}", {"groups": [{"group": {"name": value}}]}
            yield f"screenshot {what}", {"paths": {"screenshot": value}}
    for what, value in NUMBERS.items():
        for key in ("rating100", "play_count", "organized"):
            yield f"{key} {what}", {key: value}
        yield f"size {what}", {"size": value}
        yield f"duration {what}", {"duration": value}
    for date in DATES:
        yield f"date {date}", {"date": date}
    yield "500 performers", {"performers": named([f"Performer {n}, ü" for n in range(500)])}
    yield "2,000 tags", {"tags": named([f"tag {n} & ä" for n in range(2_000)])}


ODD = list(answers())
SETTINGS = Settings(
    plex_token=TOKEN,
    plex_timeout_s=30,
    sort_title_template="{studio} {date} {title}",
    original_title_template="{code} {id} {rating}",
    tagline_template="{groups} with {performers} in {tags}",
    role_template="{performer} {disambiguation} {gender} {country} {age}",
    write_directors=True,
    write_watched=True,
    collections_from=("studio", "parent_studio", "groups", "organized"),
)


@dataclass
class World:
    """Stash as a list of answers; Plex over a socket."""

    scenes_of: dict[int, dict[str, Any]]
    given: Settings
    door: Plex
    kept: SyncState

    def settings(self) -> Settings:
        return self.given

    def stash(self) -> World:
        return self

    def plex(self) -> Plex:
        return self.door

    def sync_state(self, settings: Settings) -> SyncState:
        return self.kept

    def probe(self, server: str) -> None:
        """Both are there."""

    def scenes(self, scene_ids: Any) -> dict[int, Scene]:
        return {number: scene_from(self.scenes_of[number]) for number in scene_ids}


def answer(number: int, odd: dict[str, Any]) -> dict[str, Any]:
    """A scene as GraphQL answers it, with what is odd about it."""
    file = {"path": f"{FOLDER}/{number}.mp4", "size": 5, "duration": 1.5}
    file |= {key: odd[key] for key in ("size", "duration") if key in odd}
    whole: dict[str, Any] = {
        "title": f"Title {number}",
        "details": "What happens.",
        "date": "2024-05-17",
        "rating100": 85,
        "code": "AB-1",
        "director": "Dee",
        "studio": {"name": "Studio", "parent_studio": None},
        "performers": named(["Ann"]),
        "tags": named(["Drama"]),
        "groups": [{"group": {"name": "Series"}}],
        "files": [file],
        **{key: value for key, value in odd.items() if key not in ("size", "duration")},
    }
    return {"id": str(number), **{key: value for key, value in whole.items() if value is not MISSING}}


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, clock=ManualClock()) as store:
        yield store


def drain(worker: Worker) -> None:
    while worker.outages.may_claim() and worker.step():
        pass


@contextmanager
def at_work(queue: Store, scenes: dict[int, dict[str, Any]]) -> Iterator[tuple[Handle, World, Worker]]:
    """A Plex with a file for each number up to the highest of these scenes, and a worker between it and them."""
    items = [{"title": "old", "file": f"{FOLDER}/{number}.mp4"} for number in range(max(scenes) + 1)]
    library = {"sections": [{"title": "Films", "type": "movie", "locations": [FOLDER], "items": items}]}
    with running(FakePlex.from_document(library, token=TOKEN)) as server:
        settings = replace(SETTINGS, plex_url=server.url)
        sync_state = SyncState(queue.file, server.url)
        world = World(scenes, settings, Plex(settings, index=sync_state), sync_state)
        worker = Worker(queue, world, queue.clock, random.Random(7))
        queue.enqueue_many(list(scenes))
        try:
            yield server, world, worker
        finally:
            worker._writers.close()


def level_items(world: World) -> dict[int, Item]:
    """The item of each scene, read anew; each has all of its scene."""
    again = plan_batch.plan_batch(list(world.scenes_of), world, world.given, fresh=list(world.scenes_of))
    left = {
        number: seen.edits.changes or seen.outcome
        for number, seen in again.items()
        if seen.outcome != InSync()
    }
    assert left == {}
    return {number: seen.item for number, seen in again.items() if seen.item is not None}


def test_whatever_a_field_of_a_scene_is_all_of_the_scene_reaches_plex(queue: Store) -> None:
    scenes = {number: answer(number, odd) for number, (_, odd) in enumerate(ODD, 1)}
    with at_work(queue, scenes) as (_, world, worker):
        drain(worker)
        assert [
            (ODD[(letter.scene_id or 1) - 1][0], letter.message) for letter in queue.letters.newest()
        ] == []
        assert [(ODD[job.scene_id - 1][0], job.last_error) for job in queue.waiting()] == []
        items = level_items(world)
        of = {what: items[number] for number, (what, _) in enumerate(ODD, 1)}
        assert len(of["500 performers"].actors) == 500 and len(of["2,000 tags"].genres) == 2_000
        assert of["title emoji"].title == TEXTS["emoji"]
        assert of["details right to left"].summary == TEXTS["right to left"]
        assert of["title lone surrogate"].title == "half  and"


@pytest.mark.parametrize(
    "path",
    ["/data/half \ud83d.mp4", "/data/a\x00b.mp4", "/data/\u202eעברית.mp4", "x" * 1_000_000, "/", "\\\\", "."],
    ids=["surrogate", "NUL", "right to left", "1 MB", "root", "UNC", "dot"],
)
def test_a_path_plex_cannot_have_is_waited_for_under_its_name(queue: Store, path: str) -> None:
    scene = {**answer(1, {}), "files": [{"path": path, "size": 5, "duration": 1.5}]}
    with at_work(queue, {1: scene}) as (_, _, worker):
        drain(worker)
        (job,) = queue.waiting()
        assert job.last_error.startswith("No Plex item has the file ")


@pytest.mark.parametrize(
    "files",
    [MISSING, None, [], "x", 7, [None], [{}], [{"path": None}], [{"path": ""}], {"path": "/data/a.mp4"}],
    ids=lambda value: "missing" if value is MISSING else str(value),
)
def test_without_a_file_there_is_nothing_to_write_and_that_has_a_name(queue: Store, files: object) -> None:
    with at_work(queue, {1: answer(1, {"files": files})}) as (_, _, worker):
        drain(worker)
        (note,) = queue.file.db.execute("SELECT note FROM ack_queue_default").fetchone()
        assert note == "no_file: has no file" and queue.counts().finished == 1


JPEG = b"\xff\xd8\xff\xe0"


@pytest.mark.parametrize(
    ("cover", "why"),
    [
        (Cover(b"", "image/jpeg", "e"), "is empty"),
        (
            Cover(JPEG.ljust(50_000_000, b"x"), "image/jpeg", "e"),
            "has 50,000,000 bytes, and Plex takes 10,000,000",
        ),
        (Cover(b"GIF89a", "image/gif", "e"), "is neither JPEG, PNG nor WebP but image/gif"),
        (Cover(b"\x00\x00\x00\x20ftypmp42", "video/mp4", ""), "is a video"),
        (Cover(b"<!DOCTYPE html><html>", "image/jpeg", "e"), "is a web page"),
        (Cover(JPEG[:2], "image/jpeg", "e"), "is neither JPEG, PNG nor WebP but image/jpeg"),
    ],
    ids=["0 bytes", "50 MB", "GIF", "video", "web page", "cut short"],
)
def test_a_cover_that_is_no_picture_costs_the_scene_nothing_and_is_asked_for_once(
    queue: Store, cover: Cover, why: str
) -> None:
    scene = Scene(
        1, title="T", files=(SceneFile("/data/1.mp4"),), screenshot="http://stash/scene/1/screenshot?t=1"
    )
    model = Model(has={1: scene}, items={101: Item(101, 1, files=("/data/1.mp4",))}, picture=cover)
    model.given = replace(model.given, write_poster=True, write_background=True)
    worker = Worker(queue, model, queue.clock, random.Random(7))
    for _ in range(2):
        queue.enqueue(1)
        drain(worker)
    assert model.items[101].title == "T"
    assert (model.uploads, len(model.covers_asked)) == ([], 1)
    assert queue.counts().finished == 2 and queue.counts().dead == 0
    notes = [note for (note,) in queue.file.db.execute("SELECT note FROM ack_queue_default ORDER BY _id")]
    assert notes[0].endswith(f"; the cover is not written: it {why}") and "cover" not in notes[1]


# An edit is answered by nothing, of which nothing can be cut off.
NONSENSE: list[tuple[str, dict[str, object]]] = [
    *(("GET", {"kind": "garble", "how": how}) for how in ("html", "cut", "break", "empty")),
    ("GET", {"kind": "truncate", "bytes": 40}),
    *(("PUT", {"kind": "garble", "how": how}) for how in ("html", "break")),
]


@pytest.mark.parametrize(("method", "nonsense"), NONSENSE, ids=str)
def test_an_answer_of_plex_that_is_none_costs_nothing_but_time(
    queue: Store, method: str, nonsense: dict[str, object]
) -> None:
    """Also where the edit was taken and only its answer is no use."""
    match = {"method": method, "path": "/library/metadata/.*" if method == "GET" else ".*"}
    with at_work(queue, {number: answer(number, {}) for number in (1, 2, 3)}) as (server, world, worker):
        server.call("POST", "/faults", {"count": 3, "match": match, **nonsense})
        drain(worker)
        assert queue.counts().pending, "it was noticed"
        server.clear_faults()
        for _ in range(20):
            assert isinstance(queue.clock, ManualClock)
            queue.clock.advance(60)
            drain(worker)
        assert (queue.counts().pending, queue.counts().dead) == (0, 0)
        assert len(level_items(world)) == 3


SHORT = 8_000  # characters of a query; what proxies take as a rule


def test_a_plex_that_takes_only_short_addresses_gets_a_long_edit_in_pieces(queue: Store) -> None:
    many = {
        "details": "långt " * 500,
        "performers": named([f"Performer {n}, ü" for n in range(500)]),
        "tags": named([f"tag {n} & ä" for n in range(2_000)]),
    }
    few = {"performers": named(["Ann"]), "tags": named(["Other"])}
    with at_work(queue, {1: answer(1, many), 2: answer(2, {})}) as (server, world, worker):
        match = {"method": "PUT", "query": f"^.{{{SHORT},}}$"}
        server.call("POST", "/faults", {"kind": "status", "code": 414, "match": match})
        drain(worker)
        items = level_items(world)
        assert (len(items[1].actors), len(items[1].genres)) == (500, 2_000)
        # And back again: what goes is shared out as well.
        world.scenes_of[1] = answer(1, few)
        server.call("DELETE", "/requests")
        queue.enqueue(1)
        drain(worker)
        items = level_items(world)
        assert [actor.name for actor in items[1].actors] == ["Ann"] and items[1].genres == ("Other",)
        assert (queue.counts().pending, queue.counts().dead) == (0, 0)
        puts = [row for row in server.call("GET", "/requests") if row["method"] == "PUT"]
        assert {row["status"] for row in puts} == {200}, "how much it takes is known by now"


def test_a_text_that_is_too_long_by_itself_is_named_and_nothing_of_its_scene_is_written(queue: Store) -> None:
    scenes = {1: answer(1, {"details": "長い" * 2_000}), 2: answer(2, {})}
    with at_work(queue, scenes) as (server, _, worker):
        match = {"method": "PUT", "query": f"^.{{{SHORT},}}$"}
        server.call("POST", "/faults", {"kind": "status", "code": 414, "match": match})
        drain(worker)
        (letter,) = queue.letters.newest()
        assert letter.scene_id == 1 and "One summary alone is longer than it takes" in letter.message
        items = {item["title"] for item in server.call("GET", "/state")["sections"][0]["items"]}
        assert items == {"old", "Title 2"}
