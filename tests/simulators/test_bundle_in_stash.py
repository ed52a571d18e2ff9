"""The bundle where it belongs: installed by a fake Stash, run by a Python that has nothing installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plexsync.hook import WORKER_LOCKS
from plexsync.locks import FileLock

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Service:
    """A simulator as its ready line describes it."""

    url: str
    control: str
    token: str

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.control + path, timeout=30) as answer:
            return json.load(answer)

    def graphql(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            self.url + "/graphql", body, {"Content-Type": "application/json", "Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read().decode()) from None
        assert "errors" not in said, said
        return said["data"]


def start(running: list[subprocess.Popen[str]], name: str, *args: object) -> Service:
    process = subprocess.Popen(
        [sys.executable, "-m", f"simulators.{name}", *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    running.append(process)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    return Service(ready["url"], ready["control"], ready.get("token", ""))


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"waited {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class World:
    """A Stash with the bundle installed, and a Plex with the same files."""

    stash: Service
    plex: Service
    data: Path
    index: Path  # of the package source

    def edit(self, **fields: object) -> None:
        self.stash.graphql(
            "mutation($input: SceneUpdateInput!) { sceneUpdate(input: $input) { id } }", input=fields
        )

    def item(self, file: str) -> dict[str, Any]:
        """What Plex has of this file."""
        sections = self.plex.get("/state")["sections"]
        return next(item for section in sections for item in section["items"] if item["file"] == file)

    def operation(self, mode: str) -> Any:
        mutation = 'mutation($args: Map) { runPluginOperation(plugin_id: "PlexSync", args: $args) }'
        return self.stash.graphql(mutation, args={"mode": mode})["runPluginOperation"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bundled")
    venv.create(folder / "bare", with_pip=False)
    index = folder / "dist" / "index.yml"
    build(index, 1_700_000_000)
    config = folder / "stash"
    running: list[subprocess.Popen[str]] = []
    try:
        python = folder / "bare" / "bin" / "python"
        stash = start(running, "fake_stash", "--generate", 3, "--config-dir", config, "--python-path", python)
        plex = start(running, "fake_plex", "--generate", 3)
        source = {"name": "PlexSync", "url": index.as_uri(), "local_path": "community"}
        stash.graphql(
            "mutation($input: ConfigGeneralInput!) { configureGeneral(input: $input) { pluginsPath } }",
            input={"pluginPackageSources": [source]},
        )
        package_job(stash, "installPackages", index)
        stash.graphql(
            'mutation($values: Map!) { configurePlugin(plugin_id: "PlexSync", input: $values) }',
            values={"plex_url": plex.url, "plex_token": plex.token},
        )
        yield World(stash, plex, config / "plugins" / "PlexSync" / "data", index)
    finally:
        end_worker(config / "plugins" / "PlexSync" / "data")
        for process in running:
            process.terminate()
            process.wait(20)


def build(index: Path, date: int) -> None:
    """The bundle as of some time, in seconds since 1970."""
    command = [sys.executable, "tools/bundle.py", "--out", str(index.parent)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(date)}, check=True)


def package_job(stash: Service, mutation: str, index: Path) -> None:
    """Press install or update in Stash and wait for its job."""
    spec = [{"id": "PlexSync", "sourceURL": index.as_uri()}]
    query = f"mutation($packages: [PackageSpecInput!]!) {{ {mutation}(type: Plugin, packages: $packages) }}"
    job = stash.graphql(query, packages=spec)[mutation]
    look = "query($id: ID!) { findJob(input: {id: $id}) { status } }"
    wait_until(lambda: stash.graphql(look, id=job)["findJob"]["status"] == "FINISHED")


def end_worker(data: Path) -> None:
    """The worker is a process of its own session; its number is in its log."""
    lock = FileLock(str(data / WORKER_LOCKS[0]))
    log = data / "plexsync.log"
    if log.exists() and not lock.take():
        os.kill(int(log.read_text().split("worker ")[-1].split()[0]), signal.SIGTERM)
        wait_until(lock.take)
    lock.release()


def test_an_edit_reaches_plex(world: World) -> None:
    scene = world.stash.graphql("{ findScene(id: 1) { title files { path } } }")["findScene"]
    file = scene["files"][0]["path"]
    assert world.item(file)["title"] != "Edited in Stash"
    world.edit(id="1", title="Edited in Stash", details="Two\nlines.", rating100=85, date="2024-05")
    wait_until(lambda: world.item(file)["title"] == "Edited in Stash")
    fields = world.item(file)["fields"]
    assert fields["summary"] == "Two\nlines."
    assert fields["originallyAvailableAt"] == "2024-05-01"
    runs = world.stash.get("/runs")
    hooks = [run for run in runs if run["kind"] == "hook"]
    assert [(run["trigger"], run["scene_id"], run["exit"]) for run in hooks] == [("Scene.Update.Post", 1, 0)]
    assert json.loads(hooks[0]["stdout"]).keys() == {"output"}
    assert hooks[0]["log"] == []


def test_the_health_check_finds_all_well(world: World) -> None:
    answer = world.operation("health_check")
    assert [check for check in answer["checks"] if not check["ok"]] == []
    assert answer["healthy"] is True


def test_a_task_shows_its_progress(world: World) -> None:
    mutation = 'mutation { runPluginTask(plugin_id: "PlexSync", task_name: "Sync all scenes") }'
    world.stash.graphql(mutation)
    wait_until(lambda: any(run["kind"] == "task" and run["exit"] == 0 for run in world.stash.get("/runs")))
    task = next(run for run in world.stash.get("/runs") if run["kind"] == "task")
    assert json.loads(task["stdout"])["output"]["scenes"] == 3
    assert task["progress"] and task["progress"][-1] == 1.0
    assert {line["level"] for line in task["log"]} == {"info"}
    wait_until(lambda: world.operation("queue_status")["pending"] == 0)
    status = world.operation("queue_status")
    assert (status["dead"], status["in_progress"]) == (0, 0)


def test_only_the_bundle_was_used(world: World) -> None:
    """The worker, too, runs on the bare interpreter, from the folder Stash has it in."""
    log = (world.data / "plexsync.log").read_text()
    worker = int(log.split("worker ")[-1].split()[0])
    command = Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
    assert b"bare/bin/python" in command[0] and b"plugins/community/PlexSync/PlexSync.py" in command[1]
    environment = Path(f"/proc/{worker}/maps").read_text()
    assert ".venv" not in environment
    assert (world.data / "connection.json").stat().st_mode & 0o777 == 0o600


def test_an_update_keeps_queue_log_and_worker(world: World) -> None:
    """Stash deletes the old files and writes the new ones under the running worker; the data is none of them."""
    before = world.operation("queue_status")["finished_ever"]
    build(world.index, 1_800_000_000)
    package_job(world.stash, "updatePackages", world.index)
    installed = world.stash.graphql("{ installedPackages(type: Plugin) { package_id version date } }")
    assert [package["date"] for package in installed["installedPackages"]] == ["2027-01-15T08:00:00Z"]
    file = world.stash.graphql("{ findScene(id: 2) { files { path } } }")["findScene"]["files"][0]["path"]
    world.edit(id="2", title="Edited after the update")
    wait_until(lambda: world.item(file)["title"] == "Edited after the update")
    wait_until(lambda: world.operation("queue_status")["finished_ever"] == before + 1)
