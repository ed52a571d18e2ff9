"""The plugin installed in a fake Stash, beside a fake Plex: what the tests of whole saves share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plexsync.hook import WORKER_LOCKS
from plexsync.locks import FileLock

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Service:
    """A simulator as its ready line describes it."""

    url: str
    control: str
    token: str  # Plex's token or Stash's API key

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.control + path, timeout=30) as answer:
            return json.load(answer)

    def send(self, method: str, path: str, body: object = None) -> Any:
        """To the control API."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            self.control + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def graphql(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["ApiKey"] = self.token
        request = urllib.request.Request(self.url + "/graphql", body, headers)
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
    return Service(ready["url"], ready["control"], ready.get("token") or ready.get("api_key") or "")


def wait_until(holds: Callable[[], bool], seconds: float = 90) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"waited {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class World:
    """A Stash with the plugin installed, and a Plex with the same files."""

    stash: Service
    plex: Service
    data: Path

    def configure(self, **changes: object) -> None:
        """The plugin's settings: where Plex is, and these changes."""
        self.stash.graphql(
            'mutation($values: Map!) { configurePlugin(plugin_id: "PlexSync", input: $values) }',
            values={"plex_url": self.plex.url, "plex_token": self.plex.token, **changes},
        )

    def file(self, scene_id: int) -> str:
        """The path of a scene's first file, which is the same in both."""
        found = self.stash.graphql("query($id: ID!) { findScene(id: $id) { files { path } } }", id=scene_id)
        return str(found["findScene"]["files"][0]["path"])

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


def at_rest(world: World) -> None:
    """Wait until nothing waits, and nothing has failed."""

    def rests() -> bool:
        status = world.operation("queue_status")
        assert status["dead"] == 0, status
        return bool(status["pending"] + status["in_progress"] == 0)

    wait_until(rests)


@contextmanager
def installed(config: Path, *args: object, scenes: int = 20) -> Iterator[World]:
    """The plugin copied into Stash's folder, as a person does, beside a Plex with the files of so many scenes.

    ``args`` are for Stash.
    """
    folder = config / "plugins" / "PlexSync"
    folder.mkdir(parents=True)
    for name in ("PlexSync.yml", "PlexSync.py"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "plexsync", folder / "plexsync", ignore=shutil.ignore_patterns("__pycache__"))
    running: list[Any] = []
    try:
        python = ("--config-dir", config, "--python-path", sys.executable)
        stash = start(running, "fake_stash", "--generate", scenes, *python, *args)
        plex = start(running, "fake_plex", "--generate", scenes)
        yield World(stash, plex, folder / "data")
    finally:
        end_worker(folder / "data")
        for process in running:
            process.terminate()
            process.wait(20)


def end_worker(data: Path) -> None:
    """The worker is a process of its own session; its number is in its log."""
    lock = FileLock(str(data / WORKER_LOCKS[0]))
    log = data / "plexsync.log"
    if log.exists() and not lock.take():
        wait_until(lambda: "worker " in log.read_text())  # it may have started this very moment
        os.kill(int(log.read_text().split("worker ")[-1].split()[0]), signal.SIGTERM)
        wait_until(lock.take)
    lock.release()
