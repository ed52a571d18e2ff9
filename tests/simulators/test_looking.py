"""The command line beside a Stash and a Plex: what it tells, and that looking changes neither of them."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from installed import Service, end_worker

from plexsync.queue.store import Store
from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running, spawned

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "t0ken-0f-the-0wner"
SCENES: list[dict[str, Any]] = [
    {
        "title": f"Scene {n}",
        "path": f"/stash/films/{'ab'[n % 2]}/{n}.mp4",
        "size": 1000 + n,
        "duration": 60 + n,
        "tags": ["Beach"],
        "organized": n == 1,
    }
    for n in range(1, 7)
]


def plex_library(root: str = "/stash/films") -> dict[str, Any]:
    items = [
        {"title": f"Old {n}", "file": f"{root}/{'ab'[n % 2]}/{n}.mp4", "size": 1000 + n, "duration": 60 + n}
        for n in range(1, 6)
    ]
    return {"sections": [{"title": "Films", "type": "movie", "locations": [root], "items": items}]}


@dataclass
class Place:
    """A data folder with a Stash and a Plex behind it."""

    data: Path
    stash: Handle
    plex: Handle

    def configure(self, **values: object) -> None:
        """The plugin's settings, these besides the needed ones."""
        door = Service(self.stash.url, self.stash.control, "")
        door.graphql(
            'mutation($values: Map!) { configurePlugin(plugin_id: "PlexSync", input: $values) }',
            values={"plex_url": self.plex.url, "plex_token": TOKEN, **values},
        )

    def run(self, *args: object) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name != "STASH_PLUGIN_DATA"}
        return subprocess.run(
            [sys.executable, str(ROOT / "PlexSync.py"), *map(str, args), "--data", str(self.data)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=clean,
            timeout=60,
            check=False,
        )

    def answer(self, *args: object) -> Any:
        done = self.run(*args, "--json")
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    folder = tmp_path_factory.mktemp("stash")
    (folder / "library.json").write_text(json.dumps({"scenes": SCENES}))
    with spawned(
        "simulators.fake_stash",
        "--library",
        str(folder / "library.json"),
        "--config-dir",
        str(folder / "config"),
    ) as handle:
        yield handle


@contextlib.contextmanager
def placed(folder: Path, stash: Handle, plex: Handle) -> Iterator[Place]:
    """A place, whose worker is ended with it if a command has started one."""
    host, port = stash.url.removeprefix("http://").split(":")
    folder.mkdir()
    connection = {"Scheme": "http", "Host": host, "Port": int(port), "SessionCookie": None}
    (folder / "connection.json").write_text(json.dumps(connection))
    place = Place(folder, stash, plex)
    place.configure()
    try:
        yield place
    finally:
        end_worker(folder)


@pytest.fixture
def place(tmp_path: Path, stash: Handle) -> Iterator[Place]:
    document = FakePlex.from_document(plex_library(), token=TOKEN)
    with running(document) as plex, placed(tmp_path / "data", stash, plex) as there:
        yield there


def kept(data: Path) -> list[str]:
    """All the queue's file holds, but for what was learned of Plex's paths."""
    with Store(data) as store:
        return [
            line
            for line in store.file.db.iterdump()
            if "plex_files" not in line and "plex_sections" not in line
        ]


def test_diff_tells_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    place.run("diff", 1)  # makes the queue's file
    plex, stash, queue = place.plex.state(), place.stash.state()["scenes"], kept(place.data)
    place.plex.clear_requests()
    found = place.answer("diff", "--all", "--level")
    assert (found["scenes"], found["outcomes"]) == (6, {"differs": 5, "not_found": 1})
    assert found["fields"]["title"] == 5 and found["fields"]["tags"] == 5
    first = found["previews"][0]
    assert (first["scene_id"], first["outcome"], first["library"]) == (1, "differs", "Films")
    assert {"field": "title", "before": "Old 1", "after": "Scene 1"} in first["changes"]
    assert found["previews"][5]["reason"] == "No Plex item has the file /stash/films/a/6.mp4."
    page = tmp_path / "page.html"
    done = place.run("diff", "--all", "--html", page)
    assert done.returncode == 1 and "6 scenes: 5 would change" in done.stdout
    assert "<del>Old</del>" in page.read_text() and page.read_text().count("<section") == 6
    assert place.run("diff", 1, 6).stdout.startswith("   Scene  Field")
    assert {row["method"] for row in place.plex.requests() if row.get("method")} == {"GET"}
    assert (place.plex.state(), place.stash.state()["scenes"], kept(place.data)) == (plex, stash, queue)


def test_diff_says_that_nothing_would_change(place: Place) -> None:
    place.configure(only_organized=True, leave_tags=True)
    assert place.answer("diff", 2, 3)["outcomes"] == {"skipped": 2}
    assert place.run("diff", 2, 3).returncode == 0
    assert place.run("diff", 1).returncode == 1
    recent = place.answer("diff", "--recent", "--hours", 0)
    assert (recent["scenes"], recent["previews"]) == (0, [])


def test_diff_of_a_queue_that_stays_locked_does_not_blame_the_scene(place: Place) -> None:
    """It was called a scene that cannot be read."""
    Store(place.data).close()
    with contextlib.closing(sqlite3.connect(place.data / "queue" / "data.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        done = place.run("diff", 1, "--json")
    assert (done.returncode, done.stderr) == (3, "")
    assert "database is locked. Another program keeps" in json.loads(done.stdout)["error"]


def test_diff_with_plex_away_is_still_json(place: Place) -> None:
    place.plex.outage()
    done = place.run("diff", "--all", "--json")
    assert done.returncode == 3 and "not reachable" in json.loads(done.stdout)["error"]
    done = place.run("diff", "--all")
    assert (done.returncode, done.stdout) == (3, "") and "not reachable" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_doctor_proves_the_path_map_it_proposes(tmp_path: Path, stash: Handle) -> None:
    document = FakePlex.from_document(plex_library("/media/Films"), token=TOKEN)
    with running(document) as plex, placed(tmp_path / "data", stash, plex) as place:
        found = {check["name"]: check for check in place.answer("doctor")["checks"]}
        assert not found["Paths"]["ok"]
        assert "Set path_map to: /stash/films => /media/Films (with it 5 of 5" in found["Paths"]["message"]
        place.configure(path_map="/stash/films => /media/Films")
        found = {check["name"]: check for check in place.answer("doctor")["checks"]}
        assert found["Paths"]["ok"], found["Paths"]
        assert "5 are in Plex under their paths" in found["Paths"]["message"]
        assert [name for name, check in found.items() if not check["ok"]] == []
        assert "Stash and Plex agree" in found["Clock"]["message"]


def test_choosing_between_two_items_ends_in_the_one_that_was_meant(tmp_path: Path, stash: Handle) -> None:
    library = plex_library()
    library["sections"].append({**library["sections"][0], "title": "Again"})
    document = FakePlex.from_document(library, token=TOKEN)
    with running(document) as plex, placed(tmp_path / "data", stash, plex) as place:
        with Store(place.data) as store:
            store.enqueue(2)
        assert place.answer("drain")["dead"] == 1
        done = place.run("choose", 2)
        assert done.returncode == 1 and "in Films, /stash/films/a/2.mp4" in done.stdout
        keys = [each["rating_key"] for each in place.answer("choose", 2)["candidates"]]
        assert len(keys) == 2
        assert place.run("choose", 2, 99).returncode == 2
        chosen = place.answer("choose", 2, keys[1])
        assert (chosen["chosen"], chosen["replayed"]) == (keys[1], 1)
        assert place.run("drain").returncode == 0
        titles = {
            i["rating_key"]: i["title"] for section in plex.state()["sections"] for i in section["items"]
        }
        assert (titles[keys[1]], titles[keys[0]]) == ("Scene 2", "Old 2")
        assert place.run("choose", 2).returncode == 0


def test_reconcile_queues_what_plex_is_not_level_with(place: Place) -> None:
    place.configure(only_organized=False)
    found = place.answer("reconcile", "--scope", "all")
    assert (found["seen"], found["queued"]) == (6, 6)
    missing = place.answer("reconcile", "--scope", "missing")
    assert (missing["scenes"], missing["items"]) == (1, 0)
    assert place.run("reconcile", "--scope", "missing").returncode == 1
