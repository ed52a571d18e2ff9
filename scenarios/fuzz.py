"""Random trouble in simulated worlds: a seed draws a world, what people do in it for weeks, and what goes wrong.

Swarm testing: not only when a fault happens is drawn, but which kinds there are at all and how often each comes, so
that some runs are one long outage and others nothing but kills. What fails is shrunk with Hypothesis to the fewest
acts that still fail, and printed with one command that plays exactly these again.

Worlds are played in several processes and told of in the order of their seeds: what is printed, but for the seconds
it took, is the same on any machine and with any number of processes. A line near the end names a hash of all logs.

`reached` counts in which moments of a job, and with which state of Plex's breaker, each trouble was there. A run that
is long enough fails when a cell of that table stays empty: tests that never meet a case prove nothing about it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, NoSuchExample

from scenarios import checks
from scenarios.acts import Act
from scenarios.checks import Verdict
from scenarios.history import History
from scenarios.scenario import At, Expect, Lane, Scenario, World
from scenarios.simulated import simulate
from scenarios.trouble import (
    WRITE,
    Calm,
    Fault,
    Freeze,
    KillAt,
    KillWorker,
    Outage,
    Poison,
    RebuildLibrary,
    Scan,
    Setting,
    TurnClock,
)
from scenarios.workloads import BulkEdit, Create, Destroy, Edit, Play, Press, Rename, some_fields

DAY_S = 86400.0
DRAIN_S = 2 * DAY_S  # looks for files and dead letters that are tried again take their hours
RUNS = 150
TRIES = 600  # to make a history that fails shorter
FULL_RUNS = 150  # from so many on, every cell of the table must be reached

# Troubles as the table names them, and the moments at which each can be there.
TROUBLES = (
    "plex away", "stash away", "delay", "status", "reset_before", "reset_after", "hang", "garble", "slow_apply", "kill",
    "poison", "no token", "freeze",
)  # fmt: skip
CELLS = (
    ("waiting", "closed"),
    ("waiting", "open"),
    ("reading Stash", "closed"),
    ("reading Plex", "closed"),
    ("writing", "closed"),
    ("probing", "half_open"),
)
# Without a token nothing is read or written; what is waited for then is a person. And Stash is asked for the settings
# before Plex is probed, so that no probe is sent while Stash is away.
NEVER = frozenset(
    {
        ("no token", "reading Plex", "closed"),
        ("no token", "writing", "closed"),
        ("no token", "probing", "half_open"),
        ("stash away", "probing", "half_open"),
    }
)
FLOOR = frozenset((trouble, moment, state) for trouble in TROUBLES for moment, state in CELLS) - NEVER


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
        "freeze": lambda: Freeze(rng.choice((3.0, 90.0, 1200.0)), expire=rng.random() < 0.7),
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
    # And trouble seldom comes alone: some of the rest falls into the time in which Plex is away.
    away = [(a.s, a.act.s) for a in near if isinstance(a.act, Outage) and a.act.service == "plex"]
    for i, a in enumerate(near):
        if away and isinstance(a.act, (Outage, Freeze, Setting)) and a.s > 0 and rng.random() < 0.3:
            since, length = rng.choice(away)
            near[i] = replace(a, s=round(since + rng.uniform(0, length), 3))
    # Some files Plex finds later, some of them after the looks for them are used up.
    unknown = rng.choice((0, 0, 0, 1, 2))
    found_at = round(rng.uniform(0, days * DAY_S), 3)
    later = [At(found_at, Scan(tuple(range(scenes - unknown + 1, scenes + 1))))] if unknown else []
    if "settings" in chosen:
        later.append(At(max(a.s for a in near), Setting("plex_token", None)))
    ordered = tuple(sorted([*near, *later], key=lambda a: a.s))
    world = World(
        scenes=scenes,
        plex_has=scenes - unknown,
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
    stale = bool({"slow_apply", "freeze"} & set(chosen))
    expect = Expect(outages="clock" not in chosen, redrive=True, stale_writes=stale, drain_s=DRAIN_S)
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
    return Press(rng.choice(("all", "recent", "reconcile_all", "process_queue", "queue_status")))


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


def shrink(drawn: Drawn, names: Collection[str], tries: int = TRIES) -> list[int]:
    """The numbers of the fewest acts found with which one of these checks still fails; the same on every machine."""
    left = tries
    best = list(range(len(drawn.acts)))

    def fails(kept: list[int]) -> bool:
        nonlocal best, left
        if not left:
            return False
        left -= 1
        if any(verdict.check in names for verdict in broken(drawn, kept)):
            best = min(best, kept, key=len)
            return True
        return False

    # The coarse cut: whole stretches of acts, shorter and shorter ones. Hypothesis does the rest.
    length = len(best)
    while length > 1:
        length = -(-length // 2)
        for start in range(0, len(drawn.acts), length):
            rest = [i for i in best if not start <= i < start + length]
            if len(rest) < len(best):
                fails(rest)
    coarse = tuple(best)
    # A zero drops an act. Nearly all are kept at first, so that the first try fails as the whole does.
    numbers = st.lists(st.integers(0, 40), min_size=len(coarse), max_size=len(coarse))
    quiet = settings(
        max_examples=400,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    with suppress(NoSuchExample, Flaky):  # no try was left
        find(
            numbers,
            lambda keeps: fails([i for i, number in zip(coarse, keeps, strict=True) if number]),
            settings=quiet,
            random=random.Random(0),
        )
    return best


@dataclass(frozen=True)
class Played:
    """What came of one seed."""

    seed: int
    wrong: tuple[Verdict, ...]
    days: float = 0.0
    reached: frozenset[tuple[str, str, str]] = frozenset()
    totals: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    digest: str = ""  # of the log of events


def play_seed(seed: int) -> Played:
    """Draw, play and judge; a defect that ends the play is a finding, and the others go on."""
    drawn = draw(seed)
    try:
        history, verdicts, world = play(drawn)
    except Exception as problem:  # noqa: BLE001 - whatever ends the play is what we are looking for
        return Played(seed, (Verdict("played_to_the_end", False, repr(problem)),))
    return Played(
        seed,
        tuple(verdict for verdict in verdicts if not verdict.holds),
        max(drawn.days, (history.ended_at - history.began_at) / DAY_S),
        frozenset(world.reached),
        checks.counts(history),
        len(world.log),
        hashlib.sha256("\n".join(world.log).encode()).hexdigest(),
    )


@contextmanager
def _players(jobs: int) -> Iterator[Callable[[Sequence[int]], Iterator[Played]]]:
    """Plays seeds, in their order, in so many processes: with one, in this."""
    if jobs < 2:
        yield lambda seeds: map(play_seed, seeds)
        return
    pool = ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context("spawn"),
        initializer=signal.signal,  # Ctrl-C is for the one that tells
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        yield lambda seeds: pool.map(play_seed, seeds)
    finally:
        pool.shutdown(cancel_futures=True)


def run(
    runs: int, seed: int, shard: tuple[int, int] = (1, 1), show: Callable[[str], None] = print, jobs: int = 1
) -> int:
    """Play `runs` seeds from `seed` on, those of this shard; the exit status."""
    mine = [seed + i for i in range(runs) if i % shard[1] == shard[0] - 1]
    began = time.monotonic()
    reached: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[str] = Counter()
    days = 0.0
    failed = events = 0
    logs = hashlib.sha256()
    with _players(jobs) as players:
        for played in players(mine):
            reached.update(played.reached)
            totals.update(played.totals)
            days += played.days
            events += played.events
            logs.update(played.digest.encode())
            if played.wrong:
                failed += 1
                _tell(draw(played.seed), played.seed, played.wrong, show)
    _table(reached, show)
    empty = sorted(FLOOR - set(reached))
    short = len(mine) >= FULL_RUNS and bool(empty)
    for cell in empty if short else ():
        show(f"never reached: {cell[0]} while {cell[1]} with Plex's breaker {cell[2]}")
    met = len(FLOOR) - len(empty)
    show(f"{met} of {len(FLOOR)} cells reached" + (", which is too few for so many runs" if short else ""))
    show(
        ", ".join(
            f"{totals[name]} {name}"
            for name in ("edits", "kills", "outages", "retried", "duplicated", "lost")
        )
    )
    show(f"{events} events, their logs' sha256 {logs.hexdigest()}")
    show(f"{days:.0f} simulated days in {time.monotonic() - began:.0f} s")
    show(f"{len(mine) - failed} passed, {failed} failed")
    return 1 if failed or short else 0


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
        cells = "".join(
            f"{reached[trouble, moment, state] or ('' if (trouble, moment, state) in NEVER else '-'):>24}"
            for moment, state in CELLS
        )
        show(f"{trouble:34}{cells}")
