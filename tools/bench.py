"""What a save in Stash costs, and how soon Plex shows it: ``make bench``.

Everything is measured from outside, on real processes: the hook as Stash starts it, then whole saves in a fake Stash
beside a fake Plex, both on this machine. Milliseconds depend on the machine; the ratios to an empty Python and to a
save without plugins hardly do. Each pair of cases is measured in turns, so that a busy moment hits both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from plexsync.hook import WORKER_LOCKS  # noqa: E402
from plexsync.locks import FileLock  # noqa: E402

RUNS = 30
SCENES = 200


@dataclass(frozen=True)
class Figure:
    """One line of the report. ``at_most`` or ``at_least`` is what we promise, None where we only tell."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def promise(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = parser.parse_args(argv)
    return report([*hook_alone(), *in_stash()], given.json)


def report(figures: Sequence[Figure], json_file: Path | None) -> int:
    """Print the figures, and add them to a file; gives the exit status, 1 when a promise is missed."""
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        mark = "" if figure.holds else "  MISSED"
        print(f"{figure.name:{width}}  {figure.value:9.2f} {figure.unit:9} {figure.promise}{mark}")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        there = json.loads(json_file.read_text(encoding="utf-8")) if json_file.exists() else {}
        rows = {
            f.name: {
                "value": round(f.value, 3),
                "unit": f.unit,
                "at_most": f.at_most,
                **({} if f.at_least is None else {"at_least": f.at_least}),
            }
            for f in figures
        }
        json_file.write_text(json.dumps({**there, **rows}, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figure.holds for figure in figures) else 1


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


# ---- the hook as a process ----------------------------------------------------------------------------------------


def hook_alone() -> Iterator[Figure]:
    """A hook with a worker running (the usual case) beside a Python that does nothing, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "plugins", "PlexSync", "data")
        data.mkdir(parents=True)
        lock = FileLock(str(data / WORKER_LOCKS[0]))  # we are the worker
        lock.take()
        connection = {
            "Scheme": "http",
            "Host": "0.0.0.0",
            "Port": 9999,
            "Dir": folder,
            "SessionCookie": {"Value": "x"},
        }

        def hook(scene_id: int, fields: list[str], cover: str | None = None) -> None:
            given = {"id": str(scene_id), "title": "Title", "cover_image": cover}
            context = {"id": scene_id, "type": "Scene.Update.Post", "input": given, "inputFields": fields}
            message = {"server_connection": connection, "args": {"hookContext": context}}
            python([str(ROOT / "PlexSync.py")], json.dumps(message).encode())

        hook(1, ["title"])  # makes the queue's file and the compiled modules
        cover = "data:image/jpeg;base64," + "A" * 4_000_000
        empty, kept, dropped, covered = [], [], [], []
        for number in range(2, RUNS + 2):
            empty.append(seconds(lambda: python(["-c", "pass"])))
            kept.append(seconds(lambda number=number: hook(number, ["id", "title"])))  # type: ignore[misc]
            dropped.append(seconds(lambda number=number: hook(number, ["id", "play_count"])))  # type: ignore[misc]
        for number in range(100, 105):
            covered.append(seconds(lambda number=number: hook(number, ["id", "title", "cover_image"], cover)))  # type: ignore[misc]
        lock.release()
    base = median(empty)
    yield Figure("an empty Python, start to exit", base * 1000, "ms")
    yield Figure("hook that queues an edit", median(kept) * 1000, "ms")
    yield Figure("hook that queues an edit, 95 % of them", quantiles(kept, n=20)[-1] * 1000, "ms")
    yield Figure("hook that queues an edit, to an empty Python", median(kept) / base, "times", 2.5)
    yield Figure("hook that has nothing to do, to an empty Python", median(dropped) / base, "times", 2.5)
    yield Figure("hook with a cover of 4 MB", median(covered) * 1000, "ms")


def python(args: list[str], stdin: bytes = b"") -> None:
    env = {name: value for name, value in os.environ.items() if name != "STASH_PLUGIN_DATA"}
    subprocess.run([sys.executable, *args], input=stdin, env=env, stdout=subprocess.DEVNULL, check=True)


# ---- whole saves --------------------------------------------------------------------------------------------------


class Service:
    """A simulator in a process of its own."""

    def __init__(self, stack: contextlib.ExitStack, name: str, *args: object) -> None:
        command = [sys.executable, "-m", f"simulators.{name}", *map(str, args)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.ready = json.loads(process.stdout.readline())

    def call(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.ready["control"] + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def graphql(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self.ready["url"] + "/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        if "errors" in said:
            raise SystemExit(f"bench: Stash says {said['errors']}")
        return said["data"]


SAVE = "mutation($input: SceneUpdateInput!) { sceneUpdate(input: $input) { id } }"
CONFIGURE = 'mutation($values: Map!) { configurePlugin(plugin_id: "PlexSync", input: $values) }'
ENABLE = "mutation($enabled: BoolMap!) { setPluginsEnabled(enabledMap: $enabled) }"
PRESS = 'mutation { runPluginTask(plugin_id: "PlexSync", task_name: "Sync all scenes") }'
STATUS = 'mutation { runPluginOperation(plugin_id: "PlexSync", args: {mode: "queue_status"}) }'


def in_stash() -> Iterator[Figure]:
    """Saves in a fake Stash with the plugin and without, until a fake Plex shows them."""
    with contextlib.ExitStack() as stack:
        config = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = config / "plugins" / "PlexSync" / "data"
        installed = config / "plugins" / "PlexSync"
        installed.mkdir(parents=True)
        for name in ("PlexSync.yml", "PlexSync.py", "plexsync"):
            (installed / name).symlink_to(ROOT / name)
        stash = Service(
            stack, "fake_stash", "--generate", SCENES, "--config-dir", config, "--python-path", sys.executable
        )
        plex = Service(stack, "fake_plex", "--generate", SCENES)
        stack.callback(end_worker, data)
        stash.graphql(CONFIGURE, values={"plex_url": plex.ready["url"], "plex_token": plex.ready["token"]})

        def titles() -> set[str]:
            return {item["title"] for section in plex.call("/state")["sections"] for item in section["items"]}

        def until_plex_has(title: str) -> None:
            give_up = time.monotonic() + 60
            while title not in titles():
                if time.monotonic() > give_up:
                    raise SystemExit(f"bench: {title!r} did not reach Plex; see {data}/plexsync.log")
                time.sleep(0.005)

        def save(number: int, title: str) -> None:
            stash.graphql(SAVE, input={"id": str(number), "title": title})

        def save_and_see(number: int, title: str) -> None:
            save(number, title)
            until_plex_has(title)

        yield Figure("save to Plex, no worker yet", seconds(lambda: save_and_see(1, "Cold")), "s", 3.0)
        warm, plugged, plain = [], [], []
        for number in range(2, RUNS + 2):
            warm.append(seconds(lambda number=number: save_and_see(number, f"Warm {number}")))  # type: ignore[misc]
            plugged.append(seconds(lambda number=number: save(number, f"With {number}")))  # type: ignore[misc]
            stash.graphql(ENABLE, enabled={"PlexSync": False})
            plain.append(seconds(lambda number=number: save(number, f"Without {number}")))  # type: ignore[misc]
            stash.graphql(ENABLE, enabled={"PlexSync": True})
        yield Figure("save to Plex, worker running", median(warm), "s", 1.0)
        yield Figure("save to Plex, worker running, 95 % of them", quantiles(warm, n=20)[-1], "s")
        yield Figure("what the plugin adds to a save", (median(plugged) - median(plain)) * 1000, "ms", 150)
        yield Figure("queue_status from Stash", median(status_times(stash)) * 1000, "ms")

        plex.call("/requests", "DELETE")
        save_and_see(SCENES, "Once more")
        yield Figure("requests to Plex for one changed scene", float(len(plex.call("/requests"))), "requests")
        took = seconds(lambda: everything(stash))
        yield Figure("scenes synced in one go", SCENES / took, "scenes/s")


def status_times(stash: Service) -> list[float]:
    return [seconds(lambda: stash.graphql(STATUS)) for _ in range(10)]


def everything(stash: Service) -> None:
    """Press “Sync all scenes” and wait until nothing is left."""
    before = stash.graphql(STATUS)["runPluginOperation"]["finished_ever"]
    stash.graphql(PRESS)
    while True:
        status = stash.graphql(STATUS)["runPluginOperation"]
        if status["finished_ever"] >= before + SCENES and not status["pending"] and not status["in_progress"]:
            return


def end_worker(data: Path) -> None:
    """The worker is in a session of its own; its number is in its log."""
    lock = FileLock(str(data / WORKER_LOCKS[0]))
    while not lock.take():
        os.kill(int((data / "plexsync.log").read_text().split("worker ")[-1].split()[0]), signal.SIGTERM)
        time.sleep(0.1)
    lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
