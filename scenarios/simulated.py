"""A simulated world: the plugin's own worker and store on a clock that leaps, with models of Stash and Plex.

The worker, the store and everything between are the product's. Only the adapters are replaced: the models answer in
values and raise the failures the adapters would. Time passes where the worker asks a server or sleeps, and while it
passes the acts of the scenario happen, so an edit can arrive in the middle of a write. A kill is an exception the
worker cannot catch: it is abandoned at that very operation, and the next hook starts another on the same file.

Nothing here looks at the real clock, the environment or an unseeded generator, so one seed gives one log of events,
byte for byte.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import random
import shutil
import tempfile
import unicodedata
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plexsync import hook
from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Transient, Unavailable
from plexsync.core.item import Actor, Item
from plexsync.core.job import RELIST
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Problem, Settings, parse
from plexsync.protocol import Hook
from plexsync.queue.layout import TABLE
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry
from plexsync.servers.sync_state import SyncState
from plexsync.servers.world import SETTINGS_S
from plexsync.sync import reconcile
from plexsync.sync.worker import POLL_S, Worker
from scenarios import in_sync
from scenarios.acts import Act
from scenarios.clock import ManualClock
from scenarios.history import FAILED, RATED_IN_PLEX, History, Letter, Move, Outage, Pair, Sample, Write
from scenarios.looking import MOVE
from scenarios.recorder import NotDone, Recorder
from scenarios.scenario import QUICK, Lane, Scenario
from simulators.generate import ROOT, generate

START = 1_700_000_000.0
BLINK_S = 1e-6  # what adding up seconds may be wrong by
LEAP_S = 3600.0  # the longest sleep in one piece
GIVE_UP_S = 2 * 86400.0  # simulated, for coming to rest
# A worker that waits for a server or for a person looks again once a minute, and finds the same until something
# happens in the world. After so many looks in vain the clock leaps to that, over whole minutes.
IN_VAIN = 12
ROUND_S = 60.0

ENTITIES = {"tag": "Tag.Update.Post", "performer": "Performer.Update.Post", "studio": "Studio.Update.Post"}
STASH_NAMES = {"studio": "studio_id", "performers": "performer_ids", "tags": "tag_ids"}


# What a job is at while it asks this.
MOMENTS = {
    "find": "reading Plex",
    "freshen": "reading Plex",
    "read": "reading Plex",
    "write": "writing",
    "probe": "probing",
}


class Killed(BaseException):
    """The worker ends here and now."""


class Clock(ManualClock):
    """While it moves, the world's acts happen."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__(now=START)
        self._world = world

    def sleep(self, seconds: float) -> None:
        self._world.pass_time(seconds, idle=seconds == POLL_S)


@dataclass
class Rule:
    """A fault that is on."""

    service: str
    kind: str
    writes_only: bool
    settings: Mapping[str, Any]
    since: float
    seen: int = 0
    fired: int = 0

    def fires(self, service: str, writing: bool, now: float, rng: random.Random) -> bool:
        what = self.settings
        if service != self.service or (self.writes_only and not writing):
            return False
        over = what.get("for_s") is not None and now >= self.since + what["for_s"]
        if over or (what.get("count") is not None and self.fired >= what["count"]):
            return False
        self.seen += 1
        if self.seen <= what.get("after", 0) or rng.random() >= what.get("probability", 1.0):
            return False
        self.fired += 1
        return True


@dataclass
class Strip:
    """One lane as it is played: what comes next, and what it waits for."""

    acts: Lane
    next: int = 0
    waiting: Callable[[], bool] | None = None
    until: float = 0.0  # the wait ends then at the latest

    def due(self) -> float:
        """Seconds since the beginning at which something happens here; infinite when nothing more does."""
        if self.waiting is not None:
            return self.until
        return self.acts[self.next].s if self.next < len(self.acts) else float("inf")


class SimulatedWorld:
    """The acts of `world.RealWorld` that need no processes, in one thread."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.spec, self.seed = scenario, scenario.world, seed
        self.rng = random.Random(f"world:{seed}")
        self.clock = Clock(self)
        self.began_at = self.clock.now()
        self.recorder = Recorder(self.stamp)
        shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.root = Path(tempfile.mkdtemp(prefix="plexsync-sim-", dir=shm))
        self.log: list[str] = []  # the log of events
        self.reached: set[tuple[str, str, str]] = set()  # (trouble, state of a job, state of Plex's breaker)
        self.store = Store(self.root, clock=self.clock)  # the hooks' and our own door to the queue
        self.worker: Worker | None = None
        self.wanted = False  # a hook or a button wakes a worker
        self.strips: list[Strip] = []
        self.rules: list[Rule] = []
        self.down_until = {"plex": 0.0, "stash": 0.0}  # monotonic
        self.landing: list[tuple[float, Callable[[], None]]] = []  # writes that are carried out late
        self.kill_at_request: tuple[str, str, bool] | None = None
        self.kill_soon = False
        self.freeze_soon: tuple[float, bool] | None = None
        self.freeze_at_request: tuple[str, str, bool, float, bool] | None = None
        self.frozen = False  # a worker stands still, and whoever runs meanwhile is another
        self.busy = False  # an act is being played: its own requests pass no time
        self.writes: list[Write] = []
        self.moves: list[Move] = []
        self.healed_at = 0.0
        self.rebuilt = False
        self.give_up = float("inf")
        self._in_vain = 0  # looks that found what the one before had found
        self._known: tuple[Settings, tuple[Problem, ...]] | None = (
            None  # the settings as the worker read them last
        )
        self._known_until = 0.0
        self._build()

    def _build(self) -> None:
        self.scenes: dict[int, dict[str, Any]] = {}
        self.items: dict[int, dict[str, Any]] = {}
        self.files: dict[int, str] = {}  # of all items there ever were, by rating key
        self.poisoned: set[str] = set()
        self.entities: dict[int, tuple[str, str]] = {}  # kind and name by id
        rows = generate(self.spec.scenes, self.seed)
        for number, row in enumerate(rows, 1):
            row = {**row, "id": number, "updated_at": self.clock.now(), "details": row["details"]}
            if self.spec.dated:
                row["date"] = row["date"] or "2020-02-02"
            self.scenes[number] = row
            if self.spec.plex_has is None or number <= self.spec.plex_has:
                self._new_item(self.plex_path(row["path"]))
            if number in self.spec.twice:
                self._new_item(self.plex_path(row["path"]))
        self.newest_scene = len(self.scenes)  # Stash never gives an id away twice
        self.before = {item["file"]: in_sync.plex_says(item) for item in self.items.values()}
        self.given: dict[str, Any] = {
            **QUICK,
            "plex_url": "http://plex:32400",
            "plex_token": "token-of-the-owner",
            "plex_concurrency": 1,  # one write after the other: threads would make chance of the order
            **self.spec.settings,
        }
        if self.spec.plex_root:
            self.given["path_map"] = f"{ROOT} => {self.spec.plex_root}"
        self.first_settings = dict(self.given)

    def plex_path(self, path: str) -> str:
        return path.replace(ROOT, self.spec.plex_root, 1) if self.spec.plex_root else path

    def stash_path(self, file: str) -> str:
        return file.replace(self.spec.plex_root, ROOT, 1) if self.spec.plex_root else file

    def _new_item(self, file: str) -> None:
        key = max(self.items, default=0) + 1
        self.files[key] = file
        title = os.path.splitext(os.path.basename(file))[0]
        fields = {"title": title, "originallyAvailableAt": "2023-11-14"}
        self.items[key] = {
            "rating_key": key,
            "title": title,
            "file": file,
            "fields": fields,
            "tags": {},
            "locked": set(),
        }

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- time ----

    def now_s(self) -> float:
        return self.clock.monotonic() - 1000.0

    def stamp(self) -> float:
        """The time that a history speaks of: it never jumps, whatever somebody does to the wall clock."""
        return self.began_at + self.now_s()

    def event(self, text: str) -> None:
        self.log.append(f"{self.now_s():.3f} {text}")

    def pass_time(self, seconds: float, idle: bool = False) -> None:
        """Let time go by and play what falls into it. An idle worker's sleep goes on until something can happen."""
        if self.busy:
            return
        end = self.now_s() + seconds
        if idle:
            end = max(end, min(self._next_moment(), end + LEAP_S))
            self._in_vain = self._in_vain + 1 if self._shut_out() else 0
            if self._in_vain > IN_VAIN and (ahead := self._next_news() - end) < float("inf"):
                end += max(0.0, ahead // ROUND_S) * ROUND_S
        while True:
            moment = min([strip.due() for strip in self.strips] + [at for at, _ in self.landing] + [end])
            if moment > self.now_s() + BLINK_S:
                self.clock.advance(moment - self.now_s())
            if not self._play_due() and self.now_s() >= end - BLINK_S:
                return

    def _play_due(self) -> bool:
        """Play one thing that is due; False when there is none."""
        now = self.now_s() + BLINK_S
        for at, land in sorted(self.landing, key=lambda pair: pair[0]):
            if at <= now:
                self.landing.remove((at, land))
                land()
                self._in_vain = 0
                return True
        for strip in self.strips:
            if strip.waiting is not None and (strip.waiting() or now >= strip.until):
                strip.waiting = None
                return True
            if strip.waiting is None and strip.due() <= now:
                act = strip.acts[strip.next].act
                strip.next += 1
                self._in_vain = 0
                self._playing, self.busy = strip, True
                try:
                    act.do(self)
                finally:
                    self.busy = False
                self._look()
                if self.kill_soon:
                    self._die()
                if self.freeze_soon is not None and self.worker is not None:
                    self._stand_still(*self.freeze_soon)
                return True
        return False

    def _shut_out(self) -> bool:
        """Whether the worker can do no job until a server answers or somebody changes the settings."""
        assert self.worker is not None
        states = [
            (self.store.state.load_breaker(name) or {}).get("state", "closed") for name in ("Plex", "Stash")
        ]
        return bool(self.worker.outages.paused_by) or states != ["closed", "closed"]

    def _next_news(self) -> float:
        """When something next happens that the worker has no part in."""
        moments = [strip.due() for strip in self.strips] + [at for at, _ in self.landing]
        moments += [until - 1000.0 for until in self.down_until.values() if until > self.clock.monotonic()]
        for rule in self.rules:
            ends = rule.since + (rule.settings.get("for_s") or float("inf"))
            # What comes by chance or runs out may spare the very next request.
            certain = rule.settings.get("probability", 1.0) >= 1.0 and rule.settings.get("count") is None
            if ends > self.now_s():
                moments.append(ends if certain else self.now_s())
        return min(moments)

    def _next_moment(self) -> float:
        """When an idle worker can next have something to do, as far as the queue and the breakers tell."""
        offset = self.now_s() - self.clock.now()
        counts = self.store.counts()
        moments = [float("inf")]
        breakers = [self.store.state.load_breaker(name) or {} for name in ("Plex", "Stash")]
        shut = [b["probe_at"] for b in breakers if b.get("state") in ("open", "half_open")]
        if counts.next_due_at is not None:
            held = (
                self.worker.outages.paused_until - 1000.0
                if self.worker and self.worker.outages.paused_by
                else 0.0
            )
            moments.append(max([counts.next_due_at + offset, held, *(at + offset for at in shut)]))
        if counts.in_progress:
            moments.append(self.now_s() + 60.0)
        if not counts.pending:
            moments.append(self.now_s() + float(self.given.get("worker_linger_s", 60)) / 2)
        if any(strip.waiting is not None for strip in self.strips):
            moments.append(self.now_s() + 1.0)
        return min(moments)

    def _die(self) -> None:
        self.kill_soon = False
        if self.worker is not None:
            raise Killed

    def _stand_still(self, s: float, expire: bool) -> None:
        """The worker is stopped at this very operation. Another lives meanwhile, if one is wanted, and ends its step
        when the first goes on."""
        standing, self.worker = self.worker, None
        self.freeze_soon, self.frozen = None, True
        self.event("the worker stands still")
        self.recorder.mark("freeze", "the worker stands still", "worker")
        if expire:
            with self.store.transaction() as db:
                db.execute(f"UPDATE {TABLE} SET lease_until = 0 WHERE status = 2")
            self.wanted = True
        end = self.now_s() + s
        while self.now_s() < end - BLINK_S:
            self._look()
            self._turn(until=end)
        self.event("the worker goes on")
        self.recorder.mark("thaw", "the worker goes on", "worker")
        self.worker, self.frozen = standing, False

    # ---- playing ----

    def play(self, lanes: Sequence[Lane]) -> float | None:
        """Play, heal, drain; when it came to rest (wall seconds), None when it never did."""
        self.strips = [Strip(lane) for lane in lanes]
        while not self.healed_at:
            self._turn()
            self._heal_in_time()
        self.wanted = True
        while self.now_s() < self.give_up:
            self._turn()
            counts = self.store.counts()
            rest = counts.waiting_later if self.scenario.expect.later else 0
            if counts.in_progress == 0 and counts.pending == rest and not self.landing:
                return self.stamp()
            self.wanted = True
            self.clock.advance(0.5)
        return None

    def _heal_in_time(self) -> None:
        """Take back all trouble once every lane is played out and what ends by itself has ended."""
        playing = any(strip.due() < float("inf") for strip in self.strips) or bool(self.landing)
        if (
            self.healed_at
            or self.frozen
            or playing
            or any(t > self.clock.monotonic() for t in self.down_until.values())
        ):
            return
        self.heal()
        self.recorder.mark("heal", "all trouble is over")
        self.healed_at = self.stamp()
        self.give_up = self.now_s() + GIVE_UP_S
        if self.scenario.expect.redrive:
            self.press("retry_dlq")
        if (
            self.rebuilt and self.scenario.expect.redrive
        ):  # no hook tells of it: somebody has everything compared
            self.press("all")

    def _turn(self, until: float = float("inf")) -> None:
        """A worker's life, if one is wanted; else time until the next act. Neither goes on much after `until`."""
        if not self.wanted:
            self.pass_time(min(1.0, until - self.now_s()), idle=False)
            due = min([strip.due() for strip in self.strips] + [at for at, _ in self.landing])
            ends = [until - 1000.0 for until in self.down_until.values() if until > self.clock.monotonic()]
            target = min([due, *ends, until])
            if self.now_s() < target < float("inf") and not self.wanted:
                self.pass_time(target - self.now_s())
            return
        self.wanted = False
        self.event("a worker starts")
        store = Store(self.root, clock=self.clock)
        self._known = None
        self.worker = Worker(store, self, self.clock, random.Random(self.rng.getrandbits(32)))
        try:
            self.worker.run(should_stop=lambda: self.now_s() >= until or self._draining())
            self.event("the worker ends")
        except Killed:
            self.event("the worker is killed")
            self.recorder.mark("kill", "the worker is abandoned", "worker")
        finally:
            self.worker = None
            store.close()

    def _draining(self) -> bool:
        """Whether there is nothing more to wait for: all is played out and healed, and the queue is empty."""
        self._heal_in_time()
        if not self.healed_at or self.landing:
            return False
        if self.now_s() > self.give_up:
            return True
        counts = self.store.counts()
        rest = counts.waiting_later if self.scenario.expect.later else 0
        return counts.in_progress == 0 and counts.pending == rest

    def wait_until(self, what: str, n: int = 1, within_s: float = 20.0) -> bool:
        """Called by an act: its lane goes on when it has come true."""

        def true() -> bool:
            counts = self.store.counts()
            tests = {
                "idle": counts.pending == counts.in_progress == 0,
                "resting": counts.pending >= n and counts.in_progress == 0,
                "waiting": counts.pending >= n,
                "done": counts.finished >= n,
                "dead": counts.dead >= n,
                "worker": self.worker is not None,
                "no_worker": self.worker is None,
                "writes": len(self.writes) >= n,
            }
            return tests[what]

        self._playing.waiting, self._playing.until = true, self.now_s() + within_s
        return True

    def _look(self) -> None:
        """A sample, and which cells of the table of troubles are reached."""
        counts = self.store.counts()
        states = {
            name: str((self.store.state.load_breaker(name) or {}).get("state", "closed"))
            for name in ("Plex", "Stash")
        }
        sample = Sample(
            self.stamp(),
            counts.pending,
            counts.in_progress,
            counts.waiting_later,
            counts.finished,
            counts.dead,
            0,
            states["Plex"],
            states["Stash"],
            self.worker is not None,
        )
        self.recorder.sample(sample)
        if counts.pending:
            self._reach("waiting")

    # ---- what the worker asks ----

    def settings(self) -> Settings:
        """As `Servers.settings`: read from Stash, and kept for a few seconds."""
        if self._known is None or self.clock.monotonic() >= self._known_until:
            self.meet("stash", "settings")
            self._known, self._known_until = parse(self.given), self.clock.monotonic() + SETTINGS_S
        settings, problems = self._known
        for problem in problems:
            if problem.blocking:
                raise SettingProblem(problem.key, problem.sentence)
        return settings

    def stash(self) -> StashModel:
        return StashModel(self)

    def plex(self) -> SimulatedWorld:
        return self

    def sync_state(self, settings: Settings) -> SyncState:
        store = self.store if self.worker is None else self.worker.store
        return SyncState(store.file, settings.plex_url)

    def touched(self, moment: str, since: int) -> Iterator[Entry]:
        self.meet("plex", "touched")
        for item in self.items.values():
            if moment == "lastRatedAt" and item.get("rated_at", 0) >= since:
                rating = item["fields"].get("userRating")
                yield Entry(
                    item["rating_key"], (item["file"],), user_rating=float(rating) if rating else None
                )

    def probe(self, server: str) -> None:
        self.meet(server.lower(), "probe")

    def find_many(self, groups: Sequence[Sequence[str]]) -> list[tuple[Item, ...]]:
        self.meet("plex", "find")
        wanted = {path for group in groups for path in group}
        if wanted & self.poisoned:
            raise Transient("Plex answered 500 for one item.")
        by_file: dict[str, list[dict[str, Any]]] = {}
        for item in self.items.values():
            if item["file"] in wanted:
                by_file.setdefault(item["file"], []).append(item)
        found = [tuple(_item(item) for file in group for item in by_file.get(file, ())) for group in groups]
        assert self.worker is not None
        sync_state = SyncState(self.worker.store.file, str(self.given["plex_url"]))
        sync_state.put(1, [_entry(item) for items in found for item in items])
        return found

    def connect(self) -> None:
        """Who answers is found out by the first question of all."""

    def read(self, rating_keys: Sequence[int]) -> tuple[Item, ...]:
        self.meet("plex", "read")
        found = tuple(_item(self.items[key]) for key in rating_keys if key in self.items)
        assert self.worker is not None
        sync_state = SyncState(self.worker.store.file, str(self.given["plex_url"]))
        sync_state.see({item.rating_key: item.shown for item in found})
        return found

    def find_alike(self, groups: Sequence[Sequence[str]]) -> list[tuple[Item, ...]]:
        return [() for _ in groups]

    def freshen(self) -> None:
        self.meet("plex", "freshen")
        store = self.store if self.worker is None else self.worker.store
        sync_state = SyncState(store.file, str(self.given["plex_url"]))
        sync_state.replace(1, [_entry(_item(item)) for item in self.items.values()])

    relist = freshen

    def write(self, item: Item, edits: Any) -> None:
        self.meet(
            "plex", "write", lambda: self._apply(item.rating_key, edits.params), writing=item.rating_key
        )

    # ---- the line between worker and servers ----

    def meet(
        self, service: str, what: str, apply: Callable[[], None] = lambda: None, writing: int | None = None
    ) -> None:
        """One request: time passes, faults have their say, and `apply` is carried out or not."""
        name = service.capitalize()
        if self.busy:  # a task's, within an act: no time passes, and nothing is left to chance
            if self.down_until[service] > self.clock.monotonic():
                raise Unavailable(name, f"{name} cannot be reached: connection refused.")
            apply()
            return
        self._reach(MOMENTS.get(what, "reading Stash"))
        self.pass_time(self.spec.latency_s)
        self._reach(MOMENTS.get(what, "reading Stash"))  # what it meets is what there is when it arrives
        if self.down_until[service] > self.clock.monotonic():
            raise Unavailable(name, f"{name} cannot be reached: connection refused.")
        if writing and writing in self.items and self.items[writing]["file"] in self.poisoned:
            raise Transient("Plex answered 500 for one item.")
        rule = next(
            (r for r in self.rules if r.fires(service, writing is not None, self.now_s(), self.rng)), None
        )
        kind, what_of = (rule.kind, rule.settings) if rule else ("", {})
        kill = self.kill_at_request
        if kill is not None and kill[0] == service and (not kill[2] or writing is not None):
            self.kill_at_request = None
            if kill[1] != "before_apply":
                self._carry_out(writing, apply, 200, ())
            raise Killed
        freeze = self.freeze_at_request
        if freeze and freeze[0] == service and (not freeze[2] or writing is not None) and not self.frozen:
            self.freeze_at_request = None
        else:
            freeze = None
        if freeze and freeze[1] == "before_apply":
            self._stand_still(*freeze[3:])
        if kind == "delay":
            self.pass_time(max(0.0, what_of["ms"] / 1000))
        timeout_s = float(self.given.get(f"{service}_timeout_s", 30))
        if kind in ("reset_before", "refuse"):
            raise Unavailable(name, f"{name} broke the connection.")
        if kind == "status":
            if what_of["code"] in (401, 403):
                raise NeedsAttention(name, f"{name} does not accept our token ({what_of['code']}).")
            if what_of["code"] == 503 or service == "stash":
                raise Unavailable(name, f"{name} answers {what_of['code']}.")
            raise Transient(f"{name} answered {what_of['code']}.")
        if kind == "hang":
            self.pass_time(timeout_s)
            raise Unavailable(name, f"{name} did not answer within {timeout_s:g} s.")
        if kind == "slow_apply" and what_of["s"] > timeout_s:
            self.landing.append(
                (self.now_s() + what_of["s"], lambda: self._carry_out(writing, apply, None, ("slow_apply",)))
            )
            self.pass_time(timeout_s)
            raise Unavailable(name, f"{name} did not answer within {timeout_s:g} s.")
        if kind in ("reset_after", "truncate", "garble"):
            self._carry_out(writing, apply, None, (kind,))
            raise Unavailable(name, f"{name} answered something that is no answer.")
        self._carry_out(writing, apply, 200, (kind,) if kind else ())
        if freeze and freeze[1] == "after_apply":
            self._stand_still(*freeze[3:])
        self.pass_time(self.spec.latency_s)
        if freeze and freeze[1] == "after_answer":
            self._stand_still(*freeze[3:])

    def _carry_out(
        self, writing: int | None, apply: Callable[[], None], status: int | None, faults: tuple[str, ...]
    ) -> None:
        self._note = (writing, status, faults)
        apply()

    def _apply(self, key: int, params: Mapping[str, str]) -> None:
        """An edit as Plex takes it: values, locks, tags added by index and removed by name."""
        item = self.items.get(key)
        _, status, faults = self._note
        if item is None and status is not None:
            status = 404
        path = self.stash_path(self.files[key])
        scene = next((number for number, row in self.scenes.items() if row["path"] == path), None)
        asks = json.dumps(dict(sorted(params.items())), ensure_ascii=False)
        self.writes.append(Write(self.stamp(), scene, key, asks, params.get("title.value"), status, faults))
        self.event(f"plex: item {key} (scene {scene}) takes {asks}")
        if item is None:
            raise Transient("Plex has no such item any more.")
        item["updated_at"] = int(self.clock.now())
        for name, value in params.items():
            field_name, _, rest = name.partition(".")
            if rest == "value":
                item["fields"][field_name] = value
                if field_name == "title":
                    item["title"] = value
            elif rest == "locked":
                (item["locked"].add if value == "1" else item["locked"].discard)(field_name)
            elif name.endswith("[].tag.tag-"):
                gone = {_folded(urllib.parse.unquote(tag)) for tag in value.split(",")}
                kind = name.partition("[")[0]
                item["tags"][kind] = [tag for tag in item["tags"].get(kind, []) if _folded(tag) not in gone]
        for name in sorted(params, key=_index):
            if name.endswith("].tag.tag") and "[]" not in name:
                held = item["tags"].setdefault(name.partition("[")[0], [])
                if _folded(params[name]) not in map(_folded, held):
                    held.append(params[name])

    def _reach(self, moment: str) -> None:
        """Note which trouble meets which moment of a job and which state of Plex's breaker."""
        known = self.store.state.load_breaker("Plex") or {}
        state = str(known.get("state", "closed"))
        troubles = [rule.kind for rule in self.rules] + [
            f"{name} away"
            for name, until in sorted(self.down_until.items())
            if until > self.clock.monotonic()
        ]
        if self.kill_at_request is not None:
            troubles.append("kill")
        if self.poisoned:
            troubles.append("poison")
        if not self.given.get("plex_token"):
            troubles.append("no token")
        if self.frozen:
            troubles.append("freeze")
        for trouble in troubles or ["none"]:
            self.reached.add((trouble, moment, state))

    # ---- acts of people ----

    def edit(self, kind: str, scene_ids: tuple[int, ...], fields: Mapping[str, Any]) -> None:
        concerns = kind not in ("plays", "destroy")
        with suppress(NotDone), self.recorder.edit(kind, scene_ids, fields, concerns):
            if self.down_until["stash"] > self.clock.monotonic():
                raise NotDone(FAILED, "Stash is not there")
            self.event(f"stash: {kind} of {scene_ids} {json.dumps(dict(fields), ensure_ascii=False)}")
            for scene_id in scene_ids:
                if scene_id not in self.scenes:
                    raise NotDone(FAILED, f"scene with id {scene_id} not found")
                if kind == "destroy":
                    del self.scenes[scene_id]
                    self._hook("Scene.Destroy.Post", scene_id, ("id",))
                    continue
                if kind != "plays":
                    self.scenes[scene_id] |= {**fields, "updated_at": self.clock.now()}
                self._hook("Scene.Update.Post", scene_id, ("id", *(STASH_NAMES.get(n, n) for n in fields)))

    def create(self, title: str, in_plex: bool) -> None:
        self.newest_scene += 1
        number = self.newest_scene
        path = f"{ROOT}/New/{title}.mp4"
        if in_plex:
            self._new_item(self.plex_path(path))
            self.before[self.plex_path(path)] = in_sync.plex_says(self.items[max(self.items)])
        with self.recorder.edit("create", (number,), {"title": title}):
            bare: dict[str, Any] = {
                "title": title,
                "path": path,
                "studio": None,
                "performers": [],
                "tags": [],
                "details": "",
            }
            self.scenes[number] = {
                **bare,
                "id": number,
                "date": None,
                "rating100": None,
                "updated_at": self.clock.now(),
            }
            self.event(f"stash: scene {number} {title!r} is found")
            self._hook("Scene.Create.Post", number, ())

    def rate_in_plex(self, scene: int, rating100: int) -> None:
        with suppress(NotDone), self.recorder.edit(RATED_IN_PLEX, (scene,), {"rating100": rating100}):
            file = self.plex_path(self.scenes[scene]["path"]) if scene in self.scenes else ""
            items = [item for item in self.items.values() if item["file"] == file]
            if not items or self.down_until["plex"] > self.clock.monotonic():
                raise NotDone(FAILED, "Plex does not have it now")
            self.event(f"plex: the item of scene {scene} is rated {rating100 / 10}")
            for item in items:
                item["fields"]["userRating"] = str(rating100 / 10)
                item["rated_at"] = int(self.clock.now())

    def rename(self, kind: str, old: str, new: str) -> None:
        touched = tuple(number for number, row in self.scenes.items() if old in _names(row, kind))
        with suppress(NotDone), self.recorder.edit("rename", touched, {kind: new}):
            if not touched:
                raise NotDone(FAILED, f"there is no {kind} {old}")
            number = self.entity(kind, old)
            self.entities[number] = (kind, new)
            for scene_id in touched:
                row = self.scenes[scene_id]
                if kind == "studio":
                    row["studio"] = new
                else:
                    row[f"{kind}s"] = [new if name == old else name for name in row[f"{kind}s"]]
            self.event(f"stash: {kind} {old!r} is called {new!r}")
            self._hook(ENTITIES[kind], number, ("id", "name"))

    def entity(self, kind: str, name: str) -> int:
        """The id of a studio, performer or tag; it keeps it under another name."""
        for number, known in self.entities.items():
            if known == (kind, name):
                return number
        self.entities[len(self.entities) + 1] = (kind, name)
        return len(self.entities)

    def _hook(self, trigger: str, number: int, fields: tuple[str, ...]) -> None:
        """What the hook does, without its process: the same judgement, the same row, a worker woken."""
        event = hook.event_of(Hook(trigger, number, None, fields, {}))
        if event is None:
            return
        named = event.get("fields")
        self.store.enqueue(
            number,
            str(event["update_type"]),
            named if isinstance(named, list) else (),
            entity=str(event.get("entity", "scene")),
        )
        self._wake()

    def _wake(self) -> None:
        if self.worker is None:
            self.wanted = True

    def press(self, mode: str) -> None:
        self.recorder.mark("task", mode)
        self.event(f"button: {mode}")
        if mode in ("all", "recent"):
            since = 0.0 if mode == "all" else self.clock.now() - 86400
            if mode == "all":
                self.store.state.save(RELIST, "1")
            self.store.enqueue_many(
                [n for n, row in sorted(self.scenes.items()) if row["updated_at"] >= since]
            )
        elif mode == "reconcile_all":
            settings, _ = parse(self.given)
            with suppress(SyncFailure):
                reconcile.sweep(self.store, self, settings)
        elif mode == "process_queue":
            self.store.upkeep.release_due()
        elif mode == "retry_dlq":
            self.store.letters.replay()
        self._wake()

    def ask_status(self) -> None:
        """Asked in the same instant, the counts are what they are."""
        self._wake()

    def together(self, acts: Sequence[Act]) -> None:
        for act in acts:
            act.do(self)

    # ---- acts of trouble ----

    def outage(self, service: str, s: float) -> None:
        self.event(f"trouble: {service} away for {s:g} s")
        self.recorder.mark("down", f"{service.capitalize()} is away", service)
        self.recorder.mark("up", f"{service.capitalize()} is back", service, self.stamp() + s)
        self.down_until[service] = max(self.down_until[service], self.clock.monotonic() + s)

    def fault(self, service: str, kind: str, settings: Mapping[str, Any]) -> None:
        self.event(f"trouble: {service} {kind} {json.dumps(dict(settings), sort_keys=True)}")
        self.recorder.mark("fault", f"{service.capitalize()}: {kind}", service)
        writes_only = dict(settings.get("match", {})).get("method") == "PUT"
        self.rules.append(Rule(service, kind, writes_only, dict(settings), self.now_s()))

    def calm(self, service: str) -> None:
        self.event(f"calm: {service}")
        self.recorder.mark("calm", f"{service.capitalize()} is well again", service)
        self.rules = [rule for rule in self.rules if rule.service != service]

    def kill_worker(self, name: str, wake: bool) -> None:
        self.event(f"trouble: SIG{name} to the worker")
        self.kill_soon = self.worker is not None
        self.wanted = self.wanted or wake

    def freeze_worker(self, s: float, expire: bool) -> None:
        if self.worker is not None and not self.frozen:
            self.event(f"trouble: SIGSTOP to the worker for {s:g} s")
            self.freeze_soon = (s, expire)

    def freeze_at(self, service: str, when: str, match: Mapping[str, Any], s: float, expire: bool) -> None:
        self.event(f"trouble: the worker is to be stopped {when} at {service} for {s:g} s")
        self.freeze_at_request = (service, when, match.get("method") == "PUT", s, expire)

    def kill_at(self, service: str, when: str, match: Mapping[str, Any]) -> None:
        self.event(f"trouble: the worker is to be killed {when} at {service}")
        self.kill_at_request = (service, when, match.get("method") == "PUT")

    def change_setting(self, name: str, value: Any) -> None:
        self.event(f"setting: {name}")
        self.given[name] = self.first_settings.get(name) if value is None else value

    def turn_clock(self, s: float) -> None:
        self.event(f"trouble: the clock jumps by {s:+g} s")
        self.clock.jump(s)

    def poison(self, scene: int, on: bool) -> None:
        if scene not in self.scenes:
            return
        self.event(f"trouble: the item of scene {scene} is {'poisoned' if on else 'healed'}")
        (self.poisoned.add if on else self.poisoned.discard)(self.plex_path(self.scenes[scene]["path"]))

    def scan(self, scenes: Sequence[int]) -> None:
        known = {item["file"] for item in self.items.values()}
        for scene in scenes:
            if scene in self.scenes and (file := self.plex_path(self.scenes[scene]["path"])) not in known:
                self.event(f"plex: finds {file}")
                self._new_item(file)
                self.before[file] = in_sync.plex_says(self.items[max(self.items)])

    def rebuild_library(self) -> None:
        self.event("trouble: the Plex library is rebuilt")
        self.rebuilt = True
        files = [item["file"] for item in self.items.values()]
        next_key = max(self.items, default=0)
        self.items = {
            next_key: {
                "rating_key": next_key,
                "title": "",
                "file": "",
                "fields": {},
                "tags": {},
                "locked": set(),
            }
        }
        for file in files:
            self._new_item(file)
        del self.items[next_key]

    # ---- calm and evidence ----

    def heal(self) -> None:
        self.event("calm: all trouble is over")
        self.rules.clear()
        self.poisoned.clear()
        self.down_until = dict.fromkeys(self.down_until, 0.0)
        self.kill_at_request = self.freeze_soon = self.freeze_at_request = None
        self.kill_soon = False

    def history(self, drained_at: float | None) -> History:
        items = {item["file"]: item for item in self.items.values()}
        pairs = []
        for number, row in sorted(self.scenes.items()):
            file = self.plex_path(row["path"])
            item = items.get(file)
            said = in_sync.plex_says(item) if item else None
            pairs.append(Pair(number, file, in_sync.stash_says(row), said, self.before.get(file)))
        self._look()
        letters = [
            Letter(one.scene_id, one.error_type, one.message, one.attempts)
            for one in self.store.letters.newest()
        ]
        outages = [
            Outage(o["server"], o["started_at"], o["ended_at"]) for o in reversed(self.store.state.outages())
        ]
        return History(
            scenario=self.scenario.name,
            seed=self.seed,
            mode="simulated",
            began_at=self.began_at,
            healed_at=self.healed_at,
            drained_at=drained_at,
            ended_at=self.stamp(),
            edits=tuple(self.recorder.edits),
            marks=tuple(sorted(self.recorder.marks, key=lambda mark: mark.at)),
            samples=tuple(self.recorder.samples),
            writes=tuple(self.writes),
            moves=tuple(self.moves),
            letters=tuple(letters),
            outages=tuple(outages),
            pairs=tuple(pairs),
            final=self.recorder.samples[-1],
            plex_requests=len(self.writes),
        )


class StashModel:
    """Stash as the worker asks it."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        self._world.meet("stash", "scenes")
        return {
            number: _scene(self._world.scenes[number]) for number in scene_ids if number in self._world.scenes
        }

    def rate(self, scene_id: int, rating100: int) -> None:
        """As a person would: the hook of the edit is run."""
        world = self._world

        def apply() -> None:
            if scene_id in world.scenes:
                world.scenes[scene_id] |= {"rating100": rating100, "updated_at": world.clock.now()}
                world.event(f"stash: scene {scene_id} is rated {rating100} by the worker")
                world._hook("Scene.Update.Post", scene_id, ("id", "rating100"))

        world.meet("stash", "rate", apply)

    def scene_ids_of(self, entity: str, entity_id: int, after_id: int = 0) -> Iterator[list[int]]:
        self._world.meet("stash", "scene ids")
        kind, name = self._world.entities[entity_id]
        ids = [
            number
            for number, row in sorted(self._world.scenes.items())
            if number > after_id and name in _names(row, kind)
        ]
        if ids:
            yield ids

    def scene_pages(
        self, after_id: int = 0, per_page: int = 100, updated_since: Any = None
    ) -> Iterator[list[Scene]]:
        self._world.meet("stash", "pages")
        rows = [_scene(row) for number, row in sorted(self._world.scenes.items()) if number > after_id]
        if rows:
            yield rows


def _names(row: Mapping[str, Any], kind: str) -> Sequence[str]:
    return [row["studio"]] if kind == "studio" else row[f"{kind}s"]


def _scene(row: Mapping[str, Any]) -> Scene:
    return Scene(
        id=row["id"],
        title=(row["title"] or "").strip(),
        details=(row["details"] or "").strip(),
        date=row["date"],
        rating100=row["rating100"],
        studio=row["studio"] or None,
        performers=tuple(row["performers"]),
        tags=tuple(row["tags"]),
        files=(SceneFile(row["path"]),),
        updated_at=datetime.datetime.fromtimestamp(row["updated_at"], datetime.UTC).isoformat(),
    )


def _item(item: Mapping[str, Any]) -> Item:
    fields, tags = item["fields"], item["tags"]
    rating = fields.get("userRating")
    return Item(
        item["rating_key"],
        1,
        title=item["title"],
        summary=fields.get("summary", ""),
        studio=fields.get("studio", ""),
        originally_available_at=fields.get("originallyAvailableAt") or None,
        user_rating=float(rating) if rating else None,
        genres=tuple(tags.get("genre", ())),
        actors=tuple(Actor(name) for name in tags.get("actor", ())),
        directors=tuple(tags.get("director", ())),
        labels=tuple(tags.get("label", ())),
        collections=tuple(tags.get("collection", ())),
        title_sort=fields.get("titleSort", ""),
        locked=frozenset(item["locked"]),
        files=(item["file"],),
        last_rated_at=item.get("rated_at", 0),
        updated_at=item.get("updated_at", 0),
        shown=_shown(item),
    )


def _shown(item: Mapping[str, Any]) -> str:
    """As the adapter makes it of a listing: the last change, and some of what it shows."""
    names = ("studio", "originallyAvailableAt", "userRating")
    fields = [item["title"], *(item["fields"].get(name, "") for name in names)]
    return f"{item.get('updated_at', 0)} {zlib.crc32(json.dumps(fields).encode()):08x}"


def _entry(item: Item) -> Entry:
    return Entry(item.rating_key, item.files, item.updated_at, item.user_rating, item.view_count, item.shown)


def _folded(tag: str) -> str:
    return unicodedata.normalize("NFC", tag).casefold()


def _index(name: str) -> tuple[str, int]:
    """Where an indexed tag stands in its list."""
    kind, _, rest = name.partition("[")
    number = rest.partition("]")[0]
    return kind, int(number) if number.isdigit() else -1


class _Ear(logging.Handler):
    """What the plugin logs, as events and moves."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().splitlines()[0].replace(str(self._world.root), "<data>")
        self._world.event(f"log: {record.levelname} {text}")
        found = MOVE.match(text)
        if found:
            move = Move(self._world.stamp(), found[1], int(found[2]), int(found[3]), found[4])
            self._world.moves.append(move)


@contextmanager
def simulating(scenario: Scenario, seed: int) -> Iterator[SimulatedWorld]:
    """A simulated world for as long as the block lasts; one at a time in a process, since logging is one."""
    world = SimulatedWorld(scenario, seed)
    ours = logging.getLogger("plexsync")
    before = ours.handlers[:], ours.level, ours.propagate
    ours.handlers[:], ours.propagate = [_Ear(world)], False
    ours.setLevel(logging.INFO)
    try:
        yield world
    finally:
        ours.handlers[:], ours.propagate = before[0], before[2]
        ours.setLevel(before[1])
        world.close()


def simulate(
    scenario: Scenario, seed: int, lanes: Sequence[Lane] | None = None
) -> tuple[History, SimulatedWorld]:
    """Play a scenario in no time: its history, and the world with its log of events and what it reached."""
    with simulating(scenario, seed) as world:
        drained_at = world.play(lanes if lanes is not None else scenario.lanes(random.Random(seed)))
        world.recorder.mark("drained", "at rest" if drained_at else "not at rest")
        return world.history(drained_at), world
