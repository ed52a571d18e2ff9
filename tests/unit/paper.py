"""A Session whose Stash and Plex are dictionaries: what the tests of tasks, checks and commands share."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from plexsync.clock import ManualClock, SystemClock
from plexsync.core.failures import SettingProblem, SyncFailure
from plexsync.core.item import Item
from plexsync.core.match import path_key
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings, parse
from plexsync.queue.store import Store
from plexsync.servers.plex import Entry, Health, Identity, Library
from plexsync.servers.sync_state import MemoryLedger
from plexsync.ui import tasks
from plexsync.ui.session import Session as RealSession

FILLED = {"plex_url": "http://plex:32400", "plex_token": "token-of-the-owner"}
NOW = ManualClock().now()


def _name(path: str) -> str:
    return path_key(path).split("/")[-1].casefold()


@dataclass
class Paper:
    """Stash and Plex as dictionaries; ``trouble`` is raised by whatever touches that server."""

    has: dict[int, Scene] = field(default_factory=dict)
    items: dict[int, Item] = field(default_factory=dict)
    stored: dict[str, object] = field(default_factory=lambda: dict(FILLED))
    trouble: dict[str, SyncFailure] = field(default_factory=dict)
    address: str = "http://127.0.0.1:9999"
    remembered: MemoryLedger = field(default_factory=MemoryLedger)
    pages: list[int] = field(default_factory=list)  # how many scenes each page asked for

    def _meet(self, server: str) -> None:
        if server in self.trouble:
            raise self.trouble[server]

    def read_settings(self) -> tuple[Settings, tuple[object, ...]]:
        self._meet("Stash")
        return parse(self.stored)

    def settings(self) -> Settings:
        settings, problems = self.read_settings()
        for problem in problems:
            if problem.blocking:
                raise SettingProblem(problem.key, problem.sentence)
        return settings

    def stash(self) -> Paper:
        self._meet("Stash")
        return self

    def plex(self) -> Paper:
        self.settings()
        self._meet("Plex")
        return self

    def probe(self, server: str) -> None:
        self._meet(server)

    def version(self) -> str:
        return "v0.30.1"

    def count(self) -> int:
        return len(self.has)

    def all_ids(self) -> Iterator[int]:
        yield from sorted(self.has)

    def scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        return {number: self.has[number] for number in scene_ids if number in self.has}

    def scene_pages(
        self, after_id: int = 0, per_page: int = 100, updated_since: datetime.datetime | None = None
    ) -> Iterator[list[Scene]]:
        self.pages.append(per_page)
        wanted = [
            scene
            for _, scene in sorted(self.has.items())
            if scene.id > after_id
            and (updated_since is None or datetime.datetime.fromisoformat(scene.updated_at) >= updated_since)
        ]
        for start in range(0, len(wanted), per_page):
            yield wanted[start : start + per_page]

    def identity(self) -> Identity:
        return Identity("abc", "1.41.5")

    def libraries(self) -> tuple[Library, ...]:
        return (Library(1, "Films", ("/media/films",)),)

    def health(self) -> Health:
        return Health("Den", "1.41.5", self.libraries())

    def find(self, paths: tuple[str, ...]) -> tuple[Item, ...]:
        keys = {path_key(path) for path in paths}
        return tuple(item for item in self.items.values() if keys & {path_key(file) for file in item.files})

    def find_many(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        self._meet("Plex")
        return [self.find(paths) for paths in groups]

    def find_alike(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        names = [{_name(path) for path in paths} for paths in groups]
        return [
            tuple(i for i in self.items.values() if wanted & {_name(f) for f in i.files}) for wanted in names
        ]

    def touched(self, moment: str, since: int) -> list[Entry]:
        self._meet("Plex")
        return [
            Entry(item.rating_key, item.files, 0, item.user_rating, item.view_count)
            for item in self.items.values()
            if (item.last_rated_at if moment == "lastRatedAt" else item.last_viewed_at) > since
        ]

    def freshen(self) -> None:
        self._meet("Plex")

    def ledger(self, settings: Settings) -> MemoryLedger:
        return self.remembered

    def write(self, item: Item, edits: object) -> None:
        self.items[item.rating_key] = replace(item, title="written")


class Session(RealSession):
    """A session whose servers are on paper and whose lines are kept."""

    def __init__(self, data_dir: Path, paper: Paper, clock: ManualClock | SystemClock | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.bar: list[float] = []
        super().__init__(
            str(data_dir),
            lambda level, text: self.lines.append((level, text)),
            self.bar.append,
            clock or ManualClock(),
            self.date_on_the_wall,
        )
        self.dates: dict[str, float | None] = {}  # by address; the same as ours where none is given
        self.paper = paper

    @cached_property
    def servers(self) -> Paper:  # type: ignore[override]
        return self.paper

    def date_on_the_wall(self, url: str) -> float | None:
        return self.dates.get(url, self.clock.now())

    def wake(self) -> None:
        """No process is started for a test."""

    def successor(self) -> AbstractContextManager[None]:
        return nullcontext()


def shelf() -> Paper:
    """500 scenes, each with an item that has its file; scene N was edited N hours ago."""
    world = Paper()
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    for number in range(1, 501):
        path = f"/data/{number}.mp4"
        edited = moment - datetime.timedelta(hours=number)
        world.has[number] = Scene(
            number, title=f"Scene {number}", files=(SceneFile(path),), updated_at=edited.isoformat()
        )
        world.items[1000 + number] = Item(1000 + number, 1, title="old", files=(path,))
    return world


def run_task(session: Session, mode: str, **args: object) -> dict[str, object]:
    return tasks.TASKS[mode].run(session, {"mode": mode, **args})


def make_dead_letter(store: Store, scene_id: int, error_type: str = "Permanent") -> None:
    store.enqueue(scene_id)
    job = store.claim()
    assert job is not None
    store.dead_letter(job, error_type, f"{error_type} happened.", "Traceback …")
