"""Scenario: a world, what people do in it, what goes wrong, and what must hold in the end. A value, nothing more.

    At(2.0, Edit(3, {"title": "New"}))      two seconds in, somebody edits scene 3
    At(0.5, Outage("plex", 10))             half a second in, Plex is away for ten seconds

`workload` and `trouble` are two lanes that run side by side; within a lane one act follows the other, never before
its time. A lane is a tuple, or a function of a random generator that makes one, so that the seed decides. Times are
seconds since the world stood. Every part has a default that does nothing: `Scenario("calm")` passes.

`play` says where it can be played: acts that need signals, disks or processes need a real world.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.acts import Act

# Patience for people, not for tests: real worlds wait a tenth of what the plugin does by default.
QUICK: Mapping[str, Any] = {
    "retry_base_s": 0.3,
    "retry_cap_s": 2,
    "plex_timeout_s": 3,
    "stash_timeout_s": 3,
    "worker_linger_s": 20,
}


@dataclass(frozen=True)
class At:
    """An act and its moment, in seconds since the beginning."""

    s: float
    act: Act


Lane = tuple[At, ...]
Chance = Callable[[random.Random], Lane]


@dataclass(frozen=True)
class World:
    """What there is before anything happens."""

    scenes: int = 8  # made up from the seed, the same files in Stash and Plex
    settings: Mapping[str, Any] = field(default_factory=dict)  # on top of QUICK
    plex_has: int | None = None  # how many of the scenes' files Plex knows; None: all of them
    plex_root: str | None = None  # Plex sees the files below another folder
    twice: tuple[int, ...] = ()  # scenes whose file two Plex libraries have
    dated: bool = False  # every scene has a date; without one Plex keeps the date of the file
    login: bool = False  # Stash asks for a user and password
    second: int = 0  # scenes of a second Stash with a plugin of its own, numbered from 1001; the same Plex
    bundle: bool = False  # the plugin comes out of dist/PlexSync.zip instead of the checkout
    latency_s: float = 0.01  # of each request, in a simulated world
    switches: Mapping[str, Any] = field(default_factory=dict)  # of fake Plex


@dataclass(frozen=True)
class Expect:
    """What the checks are to allow for."""

    dead: Mapping[int, str] = field(default_factory=dict)  # scene: error type of its dead letter
    never_in_sync: tuple[int, ...] = ()  # scenes that cannot be in sync: not in Plex, or twice
    later: bool = False  # something may still wait for a later time at the end
    stale_writes: bool = (
        False  # a frozen worker, or Plex, may have written late; the last word is what counts
    )
    outages: bool = True  # the plugin's outage records are to match ours
    hook_ms: float = 100.0  # the 95th percentile, on a machine that starts Python in 20 ms
    drain_s: float = 20.0
    redrive: bool = False  # after healing somebody presses "Retry dead letters" (simulated worlds)
    woken: bool = True  # after healing somebody presses "Process queue" when no worker lives


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str = ""  # one sentence for the list and the report
    world: World = World()
    workload: Lane | Chance = ()
    trouble: Lane | Chance = ()
    expect: Expect = Expect()
    needs: tuple[str, ...] = ()  # "root": skipped, and said so, where it is not given
    gap: str = ""  # what the plugin cannot do yet: played when named, else skipped, and said so
    when_simulated: Scenario | None = None  # the same story at another size, for simulated worlds
    in_run: bool = True  # False: only when named (the demo, long campaigns)

    def lanes(self, rng: random.Random) -> tuple[Lane, Lane]:
        """Workload and trouble as this generator draws them."""
        both = [part(rng) if callable(part) else part for part in (self.workload, self.trouble)]
        return both[0], both[1]

    def simulated(self) -> bool:
        """Whether a simulated world can play it too."""
        return not (self.needs or self.world.second) and all(
            at.act.simulated for lane in self.lanes(random.Random(0)) for at in lane
        )
