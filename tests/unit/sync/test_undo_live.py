"""Undo against a Plex over a real socket: the first day comes back, values, locks and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.core.verdict import InSync, Skipped, Synced
from plexsync.queue.store import Store
from plexsync.servers.plex import Plex
from plexsync.servers.stash import Cover
from plexsync.servers.sync_state import SyncState
from plexsync.sync import plan_batch, record, undo
from scenarios.clock import ManualClock
from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running
from tests.doubles import Paper, applied

TOKEN = "t0ken-0f-the-0wner"
FILES = ("/data/films/one.mp4", "/data/films/two.mp4")
LIBRARIES = {
    "sections": [
        {
            "title": "Films",
            "type": "movie",
            "locations": ["/data/films"],
            "items": [{"file": file} for file in FILES],
        }
    ]
}
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100


class Den(Paper):
    """Stash on paper, Plex on the wire."""

    def __init__(self, server: Handle, store: Store) -> None:
        super().__init__()
        self.kept = SyncState(store.file, "den")
        self.given = Settings(plex_url=server.url, plex_token=TOKEN, write_poster=True)
        self.client = Plex(self.given, index=self.kept)
        self.has = {
            number: Scene(
                number,
                title=f"Title {number}",
                details="What happens.",
                performers=("Ann",),
                tags=("Rain",),
                rating100=80,
                files=(SceneFile(file),),
                screenshot=f"http://stash/scene/{number}/screenshot?t=1",
            )
            for number, file in enumerate(FILES, 1)
        }

    def settings(self) -> Settings:
        return self.given

    def plex(self) -> Any:
        return self.client

    def sync_state(self, settings: Settings) -> SyncState:
        return self.kept

    def cover(self, scene_id: int, etag: str = "") -> Cover:
        return Cover(JPEG, "image/jpeg", "etag")

    def sync(self, *scene_ids: int) -> list[object]:
        came: list[object] = []
        for seen in plan_batch.plan_batch(scene_ids, self, self.given, set(scene_ids)).values():
            record.note_pending_writes([seen], self.kept)
            outcome, after = (
                (seen.outcome, seen) if seen.outcome is not None else applied(seen, self, self.given)
            )
            if isinstance(outcome, (Synced, InSync)):
                record.record_written(after, self.kept)
            came.append(outcome)
        return came


@pytest.fixture
def server() -> Iterator[Handle]:
    with running(FakePlex.from_document(LIBRARIES, token=TOKEN)) as found:
        yield found


@pytest.fixture
def den(server: Handle, tmp_path: Path) -> Iterator[Den]:
    with Store(tmp_path, ManualClock()) as store:
        yield Den(server, store)


def state(server: Handle) -> list[tuple[object, ...]]:
    items = server.call("GET", "/state")["sections"][0]["items"]
    return [
        (
            item["rating_key"],
            item["title"],
            sorted(item["fields"].items()),
            sorted((kind, tuple(sorted(tags))) for kind, tags in item["tags"].items() if tags),
            sorted(item["locked"]),
            [one["key"] for one in item["posters"] if one.get("selected") and "upload" in one["key"]],
        )
        for item in items
    ]


def test_everything_comes_back_and_stays_until_it_is_edited(den: Den, server: Handle) -> None:
    before = state(server)
    assert [type(one) for one in den.sync(1, 2)] == [Synced, Synced]
    den.has[1] = replace(den.has[1], title="Other", tags=(), details="")
    den.sync(1)
    assert state(server) != before
    seen = undo.undo(den, den.given, dry_run=True)
    assert seen.items == 2 and state(server) != before
    done = undo.undo(den, den.given)
    assert (done.items, done.failed) == (2, 0) and done.fields == seen.fields
    assert state(server) == before
    assert den.sync(1, 2) == [Skipped(plan_batch.UNDONE)] * 2 and state(server) == before
    den.has[2] = replace(den.has[2], title="Edited again")
    assert [type(one) for one in den.sync(1, 2)] == [Skipped, Synced]
    assert undo.undo(den, den.given).items == 1 and state(server) == before


def test_one_scene_alone(den: Den, server: Handle) -> None:
    before = state(server)
    den.sync(1, 2)
    after = state(server)
    assert undo.undo(den, den.given, scene_ids=[2]).items == 1
    assert state(server) == [after[0], before[1]]


def test_a_time_span_goes_back_to_what_was_there_then(den: Den, server: Handle) -> None:
    den.sync(1)
    then = state(server)
    clock = den.kept.originals._database.clock
    assert isinstance(clock, ManualClock)
    clock.advance(3600)
    den.has[1] = replace(den.has[1], title="Later", tags=("Sun",))
    den.sync(1)
    clock.advance(60)
    assert undo.undo(den, den.given, since=clock.now() - 1800).items == 1
    assert state(server) == then


def test_an_item_that_has_another_file_by_now_is_left_alone(den: Den, server: Handle) -> None:
    den.sync(1)
    server.call("DELETE", "/media", {"file": FILES[0]})
    told: list[undo.Restored] = []
    assert undo.undo(den, den.given, told=told.append).failed == 1
    assert told[0].problem == "Plex does not have its file any more"


def test_the_way_back_is_taken_over_from_a_damaged_file(tmp_path: Path, server: Handle) -> None:
    with Store(tmp_path, ManualClock()) as store:
        den = Den(server, store)
        before = state(server)
        den.sync(1, 2)
        store.file.db.execute("DROP TABLE breakers")
    with Store(tmp_path, ManualClock()) as store:
        assert store.troubles
        again = Den(server, store)
        assert undo.undo(again, again.given).items == 2
        assert state(server) == before
