"""What syncing many scenes costs, in time and in requests: ``make bench`` runs it after ``tools/bench.py``.

The engine runs in this process, a stand-in for Stash and one for Plex in theirs, all on this machine; requests are
counted by the stand-ins. Scenes a second depend on the machine and on how fast the stand-ins answer, so they are also
given as a share of a bare client that sends nothing but our own edits, recorded before, over as many connections kept
open as we use. A sweep (``reconcile_all``) runs in a process of its own, whose peak memory is the sweep's.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import bench_peer  # noqa: E402
from bench import CONFIGURE, SAVE, Figure, Service, report, seconds  # noqa: E402

from plexsync.clock import SystemClock  # noqa: E402
from plexsync.core.item import Item  # noqa: E402
from plexsync.core.match import plex_paths  # noqa: E402
from plexsync.queue.store import Store  # noqa: E402
from plexsync.servers.path_index import Entry  # noqa: E402
from plexsync.servers.world import CONNECTION_FILE, Servers  # noqa: E402
from plexsync.sync import plan_batch, reconcile, record  # noqa: E402
from plexsync.sync.worker import Worker  # noqa: E402

SCENES = 1_000
COVER_BYTES = 50_000
FIRST = "first sync: scenes"
SWEEPS = (1_000, 10_000)
FULL_SWEEPS = (*SWEEPS, 100_000)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures here, beside what is there"
    )
    parser.add_argument("--full", action="store_true", help="sweep 100,000 scenes too; takes some minutes")
    parser.add_argument("--scenes", type=int, default=SCENES, help="how many are synced")
    parser.add_argument("--sweep", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument(
        "--peer",
        type=Path,
        metavar="FOLDER",
        help="a checkout of Stash2Plex, to be driven with the same scenes; takes some minutes",
    )
    given = parser.parse_args(argv)
    if given.sweep:
        return sweep(given.sweep)
    if given.peer:
        bench_peer.interpreter(given.peer.resolve())  # says at once what is missing
    figures = list(syncing(given.scenes))
    if given.peer:
        ours = next(figure.value for figure in figures if figure.name == FIRST)
        figures += bench_peer.syncing(given.peer.resolve(), given.scenes, ours)
    figures += sweeping(FULL_SWEEPS if given.full else SWEEPS)
    return report(figures, given.json)


def server(folder: Path, stash: Service) -> None:
    """Leave Stash's address in a data folder, as a hook does."""
    folder.mkdir(parents=True, exist_ok=True)
    where = urllib.parse.urlsplit(stash.ready["url"])
    connection = {"Scheme": where.scheme, "Host": where.hostname, "Port": where.port}
    (folder / CONNECTION_FILE).write_text(json.dumps(connection), encoding="utf-8")


# ---- syncing ------------------------------------------------------------------------------------------------------


def syncing(scenes: int) -> Iterator[Figure]:
    """Everything for the first time, again, and after a hundredth was edited; then covers; then the bare client."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stash = Service(stack, "fake_stash", "--generate", scenes, "--config-dir", folder / "stash")
        plex = Service(stack, "fake_plex", "--generate", scenes)
        stash.graphql(CONFIGURE, values={"plex_url": plex.ready["url"], "plex_token": plex.ready["token"]})
        server(folder / "data", stash)
        for number in range(1, scenes + 1):
            stash.graphql(SAVE, input={"id": str(number), "cover_image": cover(number)})
        store = stack.enter_context(Store(folder / "data"))
        scene_ids = range(1, scenes + 1)

        def run(
            name: str, ids: Sequence[int], at_most: float | None = None, of: int = scenes
        ) -> Iterator[Figure]:
            """Queue these scenes, work them off as the worker does, and tell what that took for each of ``of``."""
            for service in (stash, plex):
                service.call("/requests", "DELETE")
            store.enqueue_many(ids)
            took_s = seconds(lambda: drain(store, folder / "data"))
            to_plex, to_stash = requests(plex), requests(stash)
            yield Figure(f"{name}: scenes", len(ids) / took_s, "scenes/s")
            yield Figure(f"{name}: requests to Plex for a scene", to_plex.total() / of, "requests", at_most)
            yield Figure(f"{name}: requests to Stash for a scene", to_stash.total() / of, "requests")

        first = list(run("first sync", scene_ids, 2.2))
        puts = [row for row in plex.call("/requests") if row.get("method") == "PUT"]
        yield from first
        yield Figure("first sync: scenes written", float(len(puts)), "scenes")
        yield from run("second sync, nothing changed", scene_ids, 0.02)
        for number in range(1, scenes + 1, 100):
            stash.graphql(SAVE, input={"id": str(number), "title": f"Edited {number}"})
        yield from run("1 % changed", scene_ids)
        written = [row for row in plex.call("/requests") if row.get("method") == "PUT"]
        yield Figure("1 % changed: scenes written", float(len(written)), "scenes")

        values = {"plex_url": plex.ready["url"], "plex_token": plex.ready["token"], "write_poster": True}
        stash.graphql(CONFIGURE, values=values)
        yield from run("posters for the first time", scene_ids)
        posts = [row for row in plex.call("/requests") if row.get("method") == "POST"]
        yield Figure("posters for the first time: pictures sent", float(len(posts)), "pictures")
        yield from run("posters, nothing changed", scene_ids, 0.02)

        plex.call("/reset", "POST")
        bare_s = seconds(lambda: send(plex, puts))
        ours = first[0].value
        yield Figure("bare client, our edits alone", len(puts) / bare_s, "scenes/s")
        yield Figure("first sync, as a share of the bare client", 100 * ours * bare_s / len(puts), "%")


def cover(number: int) -> str:
    """A picture of its own for each scene, of a usual size."""
    jpeg = b"\xff\xd8\xff\xe0" + str(number).encode() + b"picture" * (COVER_BYTES // 7)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def drain(store: Store, data: Path) -> None:
    """What a worker does from its start until nothing waits."""
    clock = SystemClock()
    worker = Worker(store, Servers(str(data), clock, store), clock, random.Random(0))
    worker.run(should_stop=lambda: not (counts := store.counts()).pending and not counts.in_progress)
    dead = store.letters.newest(1)
    if dead:
        raise SystemExit(f"bench: {dead[0].message}")


def requests(service: Service) -> Counter[str]:
    """What a stand-in was asked since its journal was cleared."""
    return Counter(row["method"] for row in service.call("/requests") if row.get("method"))


def send(plex: Service, puts: Sequence[dict[str, Any]], connections: int = 4) -> None:
    """The same edits again, by clients that do nothing else."""
    where = urllib.parse.urlsplit(plex.ready["url"])

    def work(part: Sequence[dict[str, Any]]) -> None:
        client = http.client.HTTPConnection(where.hostname or "", where.port)
        for row in part:
            client.request(
                "PUT", f"{row['path']}?{row['query']}", headers={"X-Plex-Token": plex.ready["token"]}
            )
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"bench: Plex answers {answer.status} to an edit it took before")
        client.close()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, [puts[start::connections] for start in range(connections)]))


# ---- sweeping -----------------------------------------------------------------------------------------------------


def sweeping(sizes: Sequence[int]) -> Iterator[Figure]:
    """``reconcile_all`` of libraries where every scene is in sync with Plex."""
    for scenes in sizes:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stash = Service(stack, "fake_stash", "--generate", scenes, "--config-dir", folder / "stash")
            stash.graphql(CONFIGURE, values={"plex_url": "http://127.0.0.1:1", "plex_token": "never-asked"})
            server(folder / "data", stash)
            all_level(folder / "data")
            stash.call("/requests", "DELETE")
            command = [sys.executable, __file__, "--sweep", str(folder / "data")]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
            if (found["in_sync"], found["queued"]) != (scenes, 0):
                raise SystemExit(f"bench: not every scene was in sync: {found}")
            asked = [row for row in stash.call("/requests") if row.get("method")]
            name = f"reconcile_all, {scenes:,} scenes in sync"
            yield Figure(f"{name}: requests to Stash", float(len(asked)), "requests")
            yield Figure(f"{name}: requests to Plex", 0.0, "requests", 0.0)
            yield Figure(f"{name}: time", found["seconds"], "s")
            yield Figure(
                f"{name}: of it waiting for the stand-in", sum(row["ms"] for row in asked) / 1000, "s"
            )
            yield Figure(f"{name}: peak memory", found["peak_mb"], "MB", 200.0)


def all_level(data: Path) -> None:
    """Remember every scene as in sync with an item of the same file, as a first sync would have."""
    clock = SystemClock()
    with Store(data) as store:
        servers = Servers(str(data), clock, store)
        settings = servers.settings()
        sync_state = servers.sync_state(settings)
        for scenes in servers.stash().scene_pages(per_page=1000):
            items = [Item(scene.id, 1, files=plex_paths(scene, settings.path_map)) for scene in scenes]
            sync_state.put(1, [Entry(item.rating_key, item.files) for item in items])
            with store.transaction():
                for scene, item in zip(scenes, items, strict=True):
                    mark = plan_batch.fingerprint(scene, settings)
                    record.record_written(
                        plan_batch.ScenePlan(scene.id, scene=scene, item=item, fingerprint=mark), sync_state
                    )


def sweep(data: str) -> int:
    """Sweep a data folder and print what that took; run as a process of its own."""
    clock = SystemClock()
    with Store(data) as store:
        servers = Servers(data, clock, store)
        settings = servers.settings()
        began = time.perf_counter()
        found = reconcile.sweep(store, servers, settings)
        took_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    answer = {"seconds": took_s, "peak_mb": peak / 1e6, "in_sync": found.in_sync, "queued": found.queued}
    os.write(1, json.dumps(answer).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
