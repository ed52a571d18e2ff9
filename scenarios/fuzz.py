"""Random trouble in simulated worlds: a seed draws a world, what people do in it for weeks, and what goes wrong.

Swarm testing: not only when a fault happens is drawn, but which kinds there are at all and how often each comes, so
that some runs are one long outage and others nothing but kills. What fails is shrunk with Hypothesis to the fewest
acts that still fail, and printed with one command that plays exactly these again.

`reached` counts in which moments of a job, and with which state of Plex's breaker, each trouble was there. A run that
is long enough fails when a cell of that table stays empty: tests that never meet a case prove nothing about it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, NoSuchExample

from scenarios import checks
from scenarios.checks import Verdict
from scenarios.history import History
from scenarios.scenario import Act, At, Expect, Lane, Scenario, World
from scenarios.simulated import simulate
from scenarios.trouble import (
    WRITE,
    Calm,
    Fault,
    KillAt,
    KillWorker,
    Outage,
    Poison,
    RebuildLibrary,
    Setting,
    TurnClock,
)
from scenarios.workloads import BulkEdit, Create, Destroy, Edit, Play, Press, Rename, some_fields

DAY_S = 86400.0
RUNS = 150
FULL_RUNS = 150  # from so many on, every cell of the table must be reached

# Troubles as the table names them, and the moments at which each can be there.
TROUBLES = (
    "plex away", "stash away", "delay", "status", "reset_before", "reset_after", "hang", "garble", "slow_apply", "kill",
)  # fmt: skip
CELLS = (
    ("waiting", "closed"),
    ("waiting", "open"),
    ("reading Stash", "closed"),
    ("reading Plex", "closed"),
    ("writing", "closed"),
    ("probing", "half_open"),
)
FLOOR = frozenset((trouble, moment, state) for trouble in TROUBLES for moment, state in CELLS)


@dataclass(frozen=True)
class Drawn:
    """What a seed came to."""

    scenario: Scenario
    acts: tuple[At, ...]
    days: float


def _fault(rng: random.Random, **how: Any) -> Callable[[], Act]:
    def one() -> Act:
        kind = how["kind"]
        told = {"for_s": rng.choice((5.0, 60.0, 900.0, 7200.0)), "probability": rng.choice((0.2, 0.7, 1.0))}
        extra = {name: draw() for name, draw in how.items() if callable(draw)}
        match = WRITE if kind in ("slow_apply", "reset_after") or rng.random() < 0.3 else {}
        service = (
            "plex"
            if kind in ("slow_apply", "reset_after", "garble")
            else rng.choice(("plex", "plex", "stash"))
        )
        return Fault(service, kind, match, {**told, **extra})

    return one


def _troubles(rng: random.Random, scenes: int) -> dict[str, Callable[[], Act]]:
    """Each kind of trouble, as something that can be drawn again and again."""
    lengths = (3.0, 60.0, 1800.0, 9 * 3600.0, 2 * DAY_S)
    moments = ("before_apply", "after_apply", "after_answer")
    return {
        "plex away": lambda: Outage("plex", rng.choice(lengths)),
        "stash away": lambda: Outage("stash", rng.choice(lengths[:4])),
        "delay": _fault(rng, kind="delay", ms=lambda: rng.choice((100, 2000, 20000))),
        "status": _fault(rng, kind="status", code=lambda: rng.choice((500, 503, 401))),
        "reset_before": _fault(rng, kind="reset_before"),
        "reset_after": _fault(rng, kind="reset_after"),
        "hang": _fault(rng, kind="hang"),
        "garble": _fault(rng, kind="garble"),
        "slow_apply": _fault(rng, kind="slow_apply", s=lambda: rng.choice((0.5, 2.0))),
        "kill": lambda: KillWorker(wake=rng.random() < 0.5),
        "kill at": lambda: KillAt(
            rng.choice(("plex", "plex", "stash")), rng.choice(moments), rng.choice((WRITE, {}))
        ),
        "poison": lambda: Poison(rng.randint(1, scenes), on=rng.random() < 0.6),
        "calm": lambda: Calm(rng.choice(("plex", "stash"))),
        "clock": lambda: TurnClock(rng.choice((-7200.0, -60.0, 45.0, 3600.0))),
        "rebuilt": RebuildLibrary,
        "settings": lambda: Setting("plex_token", rng.choice(("", None))),
    }


def draw(seed: int) -> Drawn:
    """A world, its people and its trouble, all from one number."""
    rng = random.Random(f"fuzz:{seed}")
    scenes = rng.randint(2, 9)
    days = rng.choice((10.0, 30.0, 90.0, 180.0))
    kinds = _troubles(rng, scenes)
    chosen = rng.sample(sorted(kinds), rng.randint(1, 7))
    acts: list[At] = []
    for name in chosen:
        for _ in range(min(14, int(rng.expovariate(1 / (days * rng.choice((0.05, 0.2, 0.6))))) + 1)):
            acts.append(At(round(rng.uniform(0, days * DAY_S), 3), kinds[name]()))
    if "settings" in chosen:
        acts.append(At(days * DAY_S, Setting("plex_token", None)))
    at = 0.0
    gap_s = days * DAY_S / rng.randint(8, 40)
    number = 0
    while at < days * DAY_S:
        burst = rng.randint(1, 4)
        for _ in range(burst):
            number += 1
            acts.append(At(round(at, 3), _deed(rng, scenes, number)))
            at += rng.choice((0.0, 0.01, 1.0, 30.0))
        at += rng.expovariate(1 / gap_s)
    # Trouble is worth most where people are at work: half of it comes close to an edit.
    busy = [a.s for a in acts if isinstance(a.act, (Edit, BulkEdit))] or [0.0]
    near = [
        replace(a, s=round(max(0.0, rng.choice(busy) + rng.uniform(-2, 3)), 3))
        if not isinstance(a.act, (Edit, BulkEdit, Setting)) and rng.random() < 0.5
        else a
        for a in acts
    ]
    ordered = tuple(sorted(near, key=lambda a: a.s))
    world = World(
        scenes=scenes,
        dated=True,
        latency_s=rng.choice((0.01, 0.2, 1.5)),
        settings={
            "max_attempts": rng.choice((2, 8)),
            "retry_base_s": rng.choice((0.5, 5)),
            "retry_cap_s": rng.choice((10, 600)),
            "plex_timeout_s": rng.choice((3, 30)),
            "worker_linger_s": rng.choice((5, 60)),
        },
    )
    expect = Expect(outages="clock" not in chosen, redrive=True, stale_writes="slow_apply" in chosen)
    scenario = Scenario(f"fuzz_{seed}", f"Drawn from seed {seed}: {', '.join(chosen)}.", world, expect=expect)
    return Drawn(scenario, ordered, days)


def _deed(rng: random.Random, scenes: int, number: int) -> Act:
    """One thing somebody does in Stash."""
    label = f"Edit {number}"
    what = rng.random()
    if what < 0.62:
        return Edit(rng.randint(1, scenes), some_fields(rng, label))
    if what < 0.74:
        chosen = tuple(sorted(rng.sample(range(1, scenes + 1), rng.randint(2, scenes))))
        return BulkEdit(chosen, {"studio": f"Studio {number}", "rating100": rng.randint(1, 20) * 5})
    if what < 0.80:
        return Play(rng.randint(1, scenes))
    if what < 0.86:
        return Create(f"Found {number}")
    if what < 0.90:
        return Destroy((rng.randint(1, scenes),))
    if what < 0.94:
        kind, old = rng.choice((("tag", "Rain"), ("performer", "Ada Hansen")))
        return Rename(kind, old, f"Name {number}")
    return Press(rng.choice(("all", "recent", "process_queue", "queue_status")))


def play(drawn: Drawn, kept: Collection[int] | None = None) -> tuple[History, tuple[Verdict, ...], Any]:
    """Play what was drawn, or only the acts of these numbers."""
    acts: Lane = tuple(act for i, act in enumerate(drawn.acts) if kept is None or i in kept)
    history, world = simulate(drawn.scenario, 0, [acts])
    return history, checks.judge(history, drawn.scenario.expect), world


def broken(drawn: Drawn, kept: Collection[int] | None = None) -> tuple[Verdict, ...]:
    """The verdicts that do not hold; a defect that ends the play counts as one."""
    try:
        _, verdicts, _ = play(drawn, kept)
    except Exception as problem:  # noqa: BLE001 - whatever ends the play is what we are looking for
        return (Verdict("played_to_the_end", False, repr(problem)),)
    return tuple(verdict for verdict in verdicts if not verdict.holds)


def shrink(drawn: Drawn, names: Collection[str], seconds: float = 60.0) -> list[int]:
    """The numbers of the fewest acts found with which one of these checks still fails."""
    deadline = time.monotonic() + seconds
    best = list(range(len(drawn.acts)))

    def fails(drops: Sequence[int]) -> bool:
        nonlocal best
        kept = [i for i, number in enumerate(drops) if number]
        if time.monotonic() > deadline:
            return False
        if any(verdict.check in names for verdict in broken(drawn, kept)):
            best = min(best, kept, key=len)
            return True
        return False

    # A zero drops an act. Nearly all are kept at first, so that the first try fails as the whole does.
    size = len(drawn.acts)
    numbers = st.lists(st.integers(0, 40), min_size=size, max_size=size)
    quiet = settings(
        max_examples=400,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        find(numbers, fails, settings=quiet, random=random.Random(0))
    except (NoSuchExample, Flaky):  # time was up while it tried
        return best
    return best


def run(runs: int, seed: int, shard: tuple[int, int] = (1, 1), show: Callable[[str], None] = print) -> int:
    """Play `runs` seeds from `seed` on, those of this shard; the exit status."""
    mine = [seed + i for i in range(runs) if i % shard[1] == shard[0] - 1]
    began = time.monotonic()
    reached: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[str] = Counter()
    days = 0.0
    failed = 0
    for number in mine:
        drawn = draw(number)
        try:
            history, verdicts, world = play(drawn)
        except Exception as problem:  # noqa: BLE001 - a broken run is a finding, and the others go on
            wrong: tuple[Verdict, ...] = (Verdict("played_to_the_end", False, repr(problem)),)
        else:
            wrong = tuple(verdict for verdict in verdicts if not verdict.holds)
            reached.update(world.reached)
            totals.update(checks.counts(history))
            days += max(drawn.days, (history.ended_at - history.began_at) / DAY_S)
        if wrong:
            failed += 1
            _tell(drawn, number, wrong, show)
    _table(reached, show)
    empty = sorted(FLOOR - set(reached))
    if len(mine) >= FULL_RUNS and empty:
        failed += 1
        for cell in empty:
            show(f"never reached: {cell[0]} while {cell[1]} with Plex's breaker {cell[2]}")
    took = time.monotonic() - began
    show(
        f"{days:.0f} simulated days in {took:.0f} s; "
        + ", ".join(
            f"{totals[name]} {name}"
            for name in ("edits", "kills", "outages", "retried", "duplicated", "lost")
        )
    )
    show(f"{len(mine) - min(failed, len(mine))} passed, {failed} failed")
    return 1 if failed else 0


def _tell(drawn: Drawn, seed: int, wrong: Sequence[Verdict], show: Callable[[str], None]) -> None:
    show(f"seed {seed} failed: {drawn.scenario.about}")
    names = {verdict.check for verdict in wrong}
    kept = shrink(drawn, names)
    for verdict in broken(drawn, kept) or wrong:
        show(f"    {verdict.check}: {verdict.sentence}")
        for row in verdict.evidence[:4]:
            show(f"        {row}")
    show(f"    the shortest history found that fails, {len(kept)} of {len(drawn.acts)} acts:")
    for i in kept:
        show(f"        {drawn.acts[i].s:12.3f} s  {drawn.acts[i].act}")
    show(
        f"    again: python -m scenarios fuzz --seed {seed} --runs 1 --acts {','.join(map(str, kept)) or 'none'}"
    )


def replay(seed: int, kept: Collection[int], show: Callable[[str], None] = print) -> int:
    """One seed, only these acts, with its log of events."""
    drawn = draw(seed)
    _, verdicts, world = play(drawn, kept)
    for line in world.log:
        show(line)
    wrong = [verdict for verdict in verdicts if not verdict.holds]
    for verdict in wrong:
        show(f"{verdict.check}: {verdict.sentence}")
        for row in verdict.evidence:
            show(f"    {row}")
    show(f"{int(not wrong)} passed, {int(bool(wrong))} failed")
    return 1 if wrong else 0


def _table(reached: Counter[tuple[str, str, str]], show: Callable[[str], None]) -> None:
    """In how many runs each trouble was there at each moment."""
    heads = [f"{moment}, {state}" for moment, state in CELLS]
    show(f"{'runs in which it was there while':34}" + "".join(f"{head:>24}" for head in heads))
    for trouble in TROUBLES:
        cells = "".join(f"{reached[trouble, moment, state] or '-':>24}" for moment, state in CELLS)
        show(f"{trouble:34}{cells}")
