"""Build, play, heal, drain, judge.

`play` does one scenario from nothing to nothing: when it returns or raises, no process and no folder of it is left.
"""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios import checks
from scenarios.checks import Verdict
from scenarios.history import History, quantile
from scenarios.recorder import Watcher
from scenarios.scenario import Lane, Scenario
from scenarios.world import RealWorld, building

AT_ONCE = 2  # real worlds at the same time: they wait more than they compute
LIVE: set[RealWorld] = set()  # worlds that are being played, to be ended when the run is
QUIET_S = 0.3  # so long nothing may stir before we believe that a queue is at rest


@dataclass(frozen=True)
class Result:
    """A history and what the checks say of it."""

    scenario: Scenario
    history: History
    verdicts: tuple[Verdict, ...]
    skipped: str = ""  # why it was not played

    @property
    def passed(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        history = self.history
        times = [hook.wall_ms for hook in history.hooks]
        parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        drained = history.drained_at
        return {
            "name": self.scenario.name,
            "seed": history.seed,
            "passed": self.passed,
            "verdicts": [
                {"check": v.check, "holds": v.holds, "sentence": v.sentence, "evidence": list(v.evidence)}
                for v in self.verdicts
            ],
            "counts": checks.counts(history),
            "hook_ms": {name: round(quantile(times, part), 1) for name, part in parts.items()},
            "converge_s": None if drained is None else round(max(0.0, drained - history.healed_at), 2),
            "plex_requests": history.plex_requests,
            "stash_requests": history.stash_requests,
            "seconds": round(history.ended_at - history.began_at, 2),
            "mode": history.mode,
            **({"skipped": self.skipped} if self.skipped else {}),
        }


def play(
    scenario: Scenario, seed: int = 0, watcher: Watcher | None = None, keep: Path | None = None
) -> Result:
    """Play one scenario in a real world."""
    workload, trouble = scenario.lanes(random.Random(seed))
    with building(scenario, seed, watcher, keep) as world, _known(world):
        world.begin()
        play_lanes(world, (workload, trouble))
        world.pause(world.back_at - time.time())
        world.heal()
        world.recorder.mark("heal", "all trouble is over")
        healed_at = time.time()
        drained_at = drain(world, scenario)
        world.recorder.mark("drained", "at rest" if drained_at else "not at rest")
        world.stop_watching()
        evidence = world.evidence()
        leftovers = world.stop_worker()
        world.stop_servers()
        leftovers += world.leftovers()
        history = world.history(
            healed_at=healed_at, drained_at=drained_at, leftovers=tuple(leftovers), **evidence
        )
    if keep is not None:
        (keep / scenario.name / "history.json").write_text(history.as_json(), encoding="utf-8")
    return Result(scenario, history, checks.judge(history, scenario.expect))


@contextmanager
def _known(world: RealWorld) -> Iterator[None]:
    LIVE.add(world)
    try:
        yield
    finally:
        LIVE.discard(world)


def play_lanes(world: RealWorld, lanes: Sequence[Lane]) -> None:
    """All lanes side by side; the first exception of an act is raised when all have ended."""

    def walk(lane: Lane) -> None:
        for at in lane:
            world.sleep_until(at.s)
            at.act.do(world)

    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        futures = [pool.submit(walk, lane) for lane in lanes]
        try:
            for future in futures:
                future.result()
        except BaseException:
            world.halt.set()
            raise


def drain(world: RealWorld, scenario: Scenario) -> float | None:
    """Wait until nothing is due; when it came to rest, or None when it did not in time.

    A worker that was killed is started by the next hook or task. When no hook comes any more, a person presses a
    button: so do we, once, if the scenario allows for it.
    """
    deadline = time.monotonic() + scenario.expect.drain_s
    rest = "rested" if scenario.expect.later else "idle"
    pressed = False
    alone_since: float | None = None
    while time.monotonic() < deadline:
        if world.wait_until(rest, within_s=0):
            at = time.time()
            world.pause(QUIET_S)
            if world.wait_until(rest, within_s=0):
                return at
            continue
        if world.wait_until("no_worker", within_s=0):
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > 1.0 and scenario.expect.woken and not pressed:
                pressed = True
                world.press("process_queue")
        else:
            alone_since = None
        world.pause(0.1)
    return None


def skipped_because(scenario: Scenario) -> str:
    """Why this scenario cannot be played here; "" when it can."""

    if not sys.platform.startswith("linux"):
        return "real worlds look for processes in /proc, so they need Linux"
    if "root" in scenario.needs and os.geteuid() != 0:
        return "it mounts a small disk, for which it must be root"
    return ""


def play_safely(scenario: Scenario, seed: int, keep: Path | None = None) -> Result:
    """As `play`; a scenario that cannot be built or breaks down is a result that did not pass."""
    why = skipped_because(scenario)
    empty = History(scenario.name, seed)
    if why:
        return Result(scenario, empty, (), skipped=why)
    try:
        return play(scenario, seed, keep=keep)
    except Exception as problem:  # noqa: BLE001 - one broken scenario must not keep the others from their verdicts
        rows = tuple(traceback.format_exc().strip().splitlines()[-8:])
        return Result(scenario, empty, (Verdict("played_to_the_end", False, repr(problem), rows),))


def play_all(
    scenarios: Sequence[Scenario],
    seed: int,
    keep: Path | None = None,
    tell: Any = lambda result: None,
    gaps: bool = True,
) -> list[Result]:
    """Several scenarios, a few at a time, results in the order given; `tell` hears of each as it ends.

    Without `gaps`, scenarios that show a known gap of the plugin are skipped. Those that may take longest come first,
    so that none is left alone at the end.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def one(scenario: Scenario) -> Result:
            if scenario.gap and not gaps:
                why = f"KNOWN GAP: {scenario.gap}"
                result = Result(scenario, History(scenario.name, seed), (), skipped=why)
            else:
                result = play_safely(scenario, seed, keep)
            tell(result)
            return result

        try:
            order = sorted(scenarios, key=lambda scenario: -scenario.expect.drain_s)
            ended = dict(zip((scenario.name for scenario in order), pool.map(one, order), strict=True))
            return [ended[scenario.name] for scenario in scenarios]
        except BaseException:
            for world in tuple(LIVE):
                world.halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
