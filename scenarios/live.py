"""`demo --serve`: a world that is kept up, and a page to watch it and to make trouble with.

The page asks for `/now` a few times a second and draws what it is told; each button is a POST to `/act/NAME`. Nothing
but a browser is needed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from scenarios import in_sync, looking
from scenarios.checks import differences
from scenarios.history import Edit, Mark, Sample
from scenarios.scenario import Scenario, World
from scenarios.trouble import Fault, Freeze, KillWorker, Outage
from scenarios.workloads import BulkEdit, some_fields
from scenarios.workloads import Edit as Save
from scenarios.world import RealWorld, building

PAGE = Path(__file__).with_name("live.html")
SCENES = 12
OUTAGE_S = 8.0
FREEZE_S = 4.0
KEPT = 1200  # samples: two minutes

WORLD = Scenario(
    "live", "A world to play with.", World(scenes=SCENES, dated=True, settings={"worker_linger_s": 600})
)


class Board:
    """What the page is told."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.marks: deque[dict[str, Any]] = deque(maxlen=200)
        self.edits = 0

    def see(self, event: Any) -> None:
        if isinstance(event, Sample):
            self.samples.append(event)
        elif isinstance(event, Mark) and event.at <= time.time() + 0.5:
            self.marks.append({"t": event.at, "kind": event.kind, "text": event.text})
        elif isinstance(event, Edit) and event.answered_at is not None:
            self.edits += 1
            what = (
                f"{len(event.scene_ids)} scenes"
                if len(event.scene_ids) > 1
                else f"scene {event.scene_ids[0]}"
            )
            self.marks.append(
                {"t": event.asked_at, "kind": "edit", "text": f"edit of {what}: {event.outcome}"}
            )


class Live:
    """The world, the board, and what the buttons do."""

    def __init__(self, world: RealWorld, board: Board, seed: int) -> None:
        self.world, self.board = world, board
        self.rng = random.Random(f"live:{seed}")
        self.number = 0
        self.down: dict[str, float] = {"plex": 0.0, "stash": 0.0}
        self.acts: dict[str, Callable[[], Any]] = {
            "edit": self.edit,
            "bulk": self.bulk,
            "plex_down": lambda: self.away("plex"),
            "stash_down": lambda: self.away("stash"),
            "kill": lambda: KillWorker().do(self.world),
            "freeze": lambda: Freeze(FREEZE_S).do(self.world),
            "garble": lambda: Fault("plex", "garble", {}, {"count": 2}).do(self.world),
            "lose": lambda: Fault("plex", "reset_after", {"method": "PUT"}, {"count": 1}).do(self.world),
            "heal": self.heal,
            "process_queue": lambda: self.world.press("process_queue"),
        }

    def edit(self) -> None:
        self.number += 1
        Save(self.rng.randint(1, SCENES), some_fields(self.rng, f"Edit {self.number}")).do(self.world)

    def bulk(self) -> None:
        self.number += 1
        chosen = tuple(sorted(self.rng.sample(range(1, SCENES + 1), 6)))
        BulkEdit(chosen, {"studio": f"Studio {self.number}", "rating100": self.rng.randint(1, 20) * 5}).do(
            self.world
        )

    def away(self, service: str) -> None:
        self.down[service] = time.time() + OUTAGE_S
        Outage(service, OUTAGE_S).do(self.world)

    def heal(self) -> None:
        self.world.heal()
        self.down = dict.fromkeys(self.down, 0.0)
        self.world.recorder.mark("calm", "all trouble is taken back")

    def now(self) -> dict[str, Any]:
        """Everything the page shows, as JSON."""
        at = time.time()
        samples = list(self.board.samples)
        waiting = {row["scene"]: row for row in looking.jobs(self.world.data)}
        rows = [
            {
                "scene": pair.scene_id,
                "stash": dict(pair.stash),
                "plex": None if pair.plex is None else dict(pair.plex),
                "differs": list(in_sync.FIELDS)
                if pair.plex is None
                else list(differences(pair.stash, pair.plex, pair.before)),
                "job": waiting.get(pair.scene_id),
            }
            for pair in self.world.pairs()
        ]
        return {
            "at": at,
            "began": self.world.began_at,
            "rows": rows,
            "now": samples[-1].__dict__ if samples else None,
            "line": [
                [s.at, s.pending + s.in_progress, s.dead, int(s.worker)]
                for s in samples[:: max(1, len(samples) // 300)]
            ],
            "marks": list(self.board.marks),
            "down": {name: max(0.0, until - at) for name, until in self.down.items()},
            "edits": self.board.edits,
        }


def application(live: Live) -> web.Application:
    """The page, its data and its buttons."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE.read_text(encoding="utf-8"), content_type="text/html")

    async def now(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(live.now))

    async def act(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in live.acts:
            return web.json_response({"error": f"there is no button {name}"}, status=404)
        await asyncio.to_thread(live.acts[name])
        return web.json_response({"ok": True})

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/now", now), web.post("/act/{name}", act)])
    return app


async def _serve(live: Live, port: int) -> None:
    runner = web.AppRunner(application(live), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
        print(f"Open http://127.0.0.1:{runner.addresses[0][1]}/ (Ctrl-C ends it)", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def run(seed: int = 0, port: int = 0) -> int:
    """Serve until Ctrl-C."""
    board = Board()
    with building(WORLD, seed, board.see) as world:
        world.begin()
        live = Live(world, board, seed)
        live.world.press("all")
        try:
            asyncio.run(_serve(live, port))
        except KeyboardInterrupt:
            print("stopped", flush=True)
        world.stop_watching()
    return 0
