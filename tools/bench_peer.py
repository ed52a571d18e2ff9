"""Stash2Plex, a plugin for the same purpose, at the same work: ``make bench ARGS="--peer FOLDER"``.

FOLDER is a checkout of https://github.com/trek-e/Stash2Plex that somebody has made; none of it is ours. It runs as
Stash runs it: a copy in the plugin folder of a stand-in for Stash, its task pressed through GraphQL, pictures
and collections off. The scenes and the Plex are those our own figures come from.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import SAVE, Figure, Service

PLUGIN = "Stash2Plex"
TASK = "Sync All Scenes to Plex"
PACKAGES = "persistqueue, stashapi, plexapi, tenacity, pydantic, diskcache"
LEFT_OUT = (".*", "tests", "docs", "__pycache__", "data", "*.zip", "*.md", "*.yml")
MOST_S = 1_800.0  # for one of its tasks; with a thousand scenes it takes some minutes
AHEAD = 20.0  # times its throughput is what we promise

CONFIGURE = "mutation($id: ID!, $values: Map!) { configurePlugin(plugin_id: $id, input: $values) }"
ENABLE = "mutation($enabled: BoolMap!) { setPluginsEnabled(enabledMap: $enabled) }"
PRESS = "mutation($id: ID!, $task: String!) { runPluginTask(plugin_id: $id, task_name: $task) }"
JOBS = "{ jobQueue { id } }"


class NoPeer(SystemExit):
    """The folder cannot be used; the sentence says why and what to do."""


def interpreter(folder: Path) -> str:
    """The Python that has what the peer needs: the checkout's own environment, else ours. Raises NoPeer."""
    if not (folder / f"{PLUGIN}.py").is_file() or not (folder / f"{PLUGIN}.yml").is_file():
        raise NoPeer(f"bench: --peer: {folder} is no checkout of {PLUGIN}; there is no {PLUGIN}.py in it.")
    own = folder / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    tried = subprocess.run([python, "-c", f"import {PACKAGES}"], capture_output=True, text=True)
    if tried.returncode:
        missing = tried.stderr.strip().splitlines()[-1] if tried.stderr.strip() else "it does not start"
        raise NoPeer(
            f"bench: --peer: {python} lacks what {PLUGIN} needs ({missing}); run `python3 -m venv {own.parents[1]} && "
            f"{own} -m pip install -r {folder / 'requirements.txt'}`."
        )
    return python


def version(folder: Path) -> str:
    """What its plugin file says it is."""
    found = re.search(
        r"^version:\s*(\S+)", (folder / f"{PLUGIN}.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else "of no version"


def syncing(folder: Path, scenes: int, ours: float) -> Iterator[Figure]:
    """Its first "Sync All" of so many scenes, a second, and a third after a hundredth was edited; and how many times
    its throughput ``ours`` is, in scenes a second of our first sync."""
    python = interpreter(folder)
    name = f"{PLUGIN} {version(folder)}"
    with contextlib.ExitStack() as stack:
        config = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        installed = config / "plugins" / PLUGIN
        shutil.copytree(folder, installed, ignore=shutil.ignore_patterns(*LEFT_OUT))
        shutil.copy(folder / f"{PLUGIN}.yml", installed)
        stash = Service(
            stack, "fake_stash", "--generate", scenes, "--config-dir", config, "--python-path", python
        )
        plex = Service(stack, "fake_plex", "--generate", scenes)
        values: dict[str, object] = {"plex_url": plex.ready["url"], "plex_token": plex.ready["token"]}
        values |= {"sync_poster": False, "sync_background": False, "sync_collection": False}
        libraries = [section["title"] for section in plex.call("/state")["sections"]]
        stash.graphql(CONFIGURE, id=PLUGIN, values={**values, "plex_library": ", ".join(libraries)})

        def run(what: str) -> Iterator[Figure]:
            for service in (stash, plex):
                service.call("/requests", "DELETE")
            yield Figure(f"{name}, {what}: time", press(stash), "s")
            to_plex, to_stash = asked(plex), asked(stash)
            puts = [row for row in to_plex if row["method"] == "PUT" and row["status"] == 200]
            written = len({item_of(row) for row in puts})
            yield Figure(f"{name}, {what}: scenes written", float(written), "scenes")
            if written:  # until the last one: what it waits for to be tried again is not held against it
                took_s = max(row["t"] for row in puts) - min(row["t"] for row in to_stash)
                yield Figure(f"{name}, {what}: scenes", written / took_s, "scenes/s")
            yield Figure(f"{name}, {what}: requests to Plex for a scene", len(to_plex) / scenes, "requests")
            yield Figure(f"{name}, {what}: requests to Stash for a scene", len(to_stash) / scenes, "requests")

        first = list(run("first sync"))
        yield from first
        its = next((figure.value for figure in first if figure.unit == "scenes/s"), 0.0)
        if not its:
            raise SystemExit(f"bench: {name} wrote nothing; its log is in the stand-in's: {log_of(stash)}")
        yield Figure(f"first sync, times the throughput of {name}", ours / its, "times", at_least=AHEAD)
        yield from run("second sync, nothing changed")
        stash.graphql(
            ENABLE, enabled={PLUGIN: False}
        )  # as before ours: a sync finds them, no hook tells of them
        for number in range(1, scenes + 1, 100):
            stash.graphql(SAVE, input={"id": str(number), "title": f"Edited {number}"})
        stash.graphql(ENABLE, enabled={PLUGIN: True})
        yield from run("1 % changed")


def log_of(stash: Service) -> str:
    """The last lines it logged."""
    lines = [line for run in stash.call("/runs") for line in run["log"]]
    return " / ".join(str(line) for line in lines[-5:])


def press(stash: Service) -> float:
    """Seconds until Stash says the task has ended."""
    began = time.monotonic()
    stash.graphql(PRESS, id=PLUGIN, task=TASK)
    while stash.graphql(JOBS)["jobQueue"]:
        if time.monotonic() - began > MOST_S:
            raise SystemExit(f"bench: {PLUGIN} was not done with {TASK!r} after {MOST_S:.0f} s")
        time.sleep(0.2)
    took_s = time.monotonic() - began
    ran = [run for run in stash.call("/runs") if run["kind"] == "task"][-1]
    if ran["exit"]:
        raise SystemExit(f"bench: {PLUGIN} failed: {ran['stdout'][-300:] or ran['exit']}")
    return took_s


def asked(service: Service) -> list[dict[str, Any]]:
    """The plugin's requests since the journal was cleared, without ours that press and look on."""
    rows = service.call("/requests")
    return [
        row for row in rows if row.get("method") and row.get("operation") not in ("runPluginTask", "jobQueue")
    ]


def item_of(row: dict[str, Any]) -> str:
    """Which item an edit was of."""
    found = re.search(r"(?:^|&)id=(\d+)", str(row.get("query", "")))
    return found[1] if found else str(row["path"])
