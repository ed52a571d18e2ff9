"""The bundle where it belongs: installed by a fake Stash, run by a Python that has nothing installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed import ROOT, Service, World, end_worker, start, wait_until


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the package source."""
    return tmp_path_factory.mktemp("bundled") / "dist" / "index.yml"


@pytest.fixture(scope="module")
def world(index: Path) -> Iterator[World]:
    folder = index.parents[1]
    venv.create(folder / "bare", with_pip=False)
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
        world = World(stash, plex, config / "plugins" / "PlexSync" / "data")
        world.configure()
        yield world
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


def test_an_edit_reaches_plex(world: World) -> None:
    file = world.file(1)
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


def test_an_update_keeps_queue_log_and_worker(world: World, index: Path) -> None:
    """Stash deletes the old files and writes the new ones under the running worker; the data is none of them."""
    before = world.operation("queue_status")["finished_ever"]
    build(index, 1_800_000_000)
    package_job(world.stash, "updatePackages", index)
    installed = world.stash.graphql("{ installedPackages(type: Plugin) { package_id version date } }")
    assert [package["date"] for package in installed["installedPackages"]] == ["2027-01-15T08:00:00Z"]
    file = world.file(2)
    world.edit(id="2", title="Edited after the update")
    wait_until(lambda: world.item(file)["title"] == "Edited after the update")
    wait_until(lambda: world.operation("queue_status")["finished_ever"] == before + 1)
