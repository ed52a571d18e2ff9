"""The demo: a scenario one can watch, and a table in the end that says whether Plex says what Stash says."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from scenarios import in_sync
from scenarios.checks import differences
from scenarios.history import OK, Edit, Mark, Pair, Sample, quantile
from scenarios.runner import Result, play
from scenarios.scenario import At, Expect, Lane, Scenario, World
from scenarios.trouble import Fault, KillAt, KillWorker, Outage
from scenarios.workloads import BulkEdit, some_fields
from scenarios.workloads import Edit as Save

SCENES = 24
SHOWN = 9  # lines of what happened last
PLAIN_WIDTH = 132
BARS = " ▁▂▃▄▅▆▇█"


def _edits(rng: random.Random) -> Lane:
    """Every scene is edited, some twice, one batch with a single click while Plex is away."""
    titles = (
        "Ferry at Dawn",
        "Paper Lanterns",
        "The Long Take",
        "Rooftop Garden",
        "Second Rehearsal",
        "Night Market",
    )
    singles = [*range(1, 15), 3, 7, *range(21, 25), 14]
    lane = []
    for i, scene in enumerate(singles):
        fields = some_fields(
            rng, f"{titles[i % len(titles)]} {scene}" + (" (again)" if scene in singles[:i] else "")
        )
        lane.append(At(0.3 + 0.8 * i, Save(scene, fields)))
    bulk = BulkEdit(tuple(range(15, 21)), {"studio": "Blue Door", "tags": ["Rain", "Award"], "rating100": 90})
    return tuple(sorted([*lane, At(8.1, bulk)], key=lambda at: at.s))


SCENARIO = Scenario(
    "demo",
    "Edits arrive while Plex is away for a while and the worker is killed twice.",
    World(scenes=SCENES, settings={"retry_base_s": 0.5}, dated=True),
    workload=_edits,
    trouble=(
        At(0.0, Fault("plex", "delay", {}, {"ms": 60, "jitter_ms": 30})),
        At(5.0, Outage("plex", 7.0)),
        At(9.0, KillWorker()),
        At(13.5, KillAt("plex", "after_apply")),
    ),
    expect=Expect(drain_s=25),
    in_run=False,
)


class Scene:
    """What is known while the demo runs; the picture is drawn from this and nothing else."""

    def __init__(self) -> None:
        self.began = time.time()
        self.asked = 0
        self.saved = 0
        self.sample = Sample(0.0)
        self.depths: deque[int] = deque(maxlen=56)
        self.lines: deque[tuple[float, str, str]] = deque(maxlen=SHOWN)
        self.kills = 0
        self.down_until = 0.0
        self.title_of: dict[int, str] = {}
        self.mutex = threading.Lock()

    def see(self, event: Any) -> list[tuple[float, str, str]]:
        """Take an event in; the lines it is worth."""
        at = time.time() - self.began
        new: list[tuple[float, str, str]] = []
        with self.mutex:
            if isinstance(event, Sample):
                if self.sample.worker and not event.worker:
                    new.append((at, "red", "the worker is gone; what it held is still in the queue"))
                elif event.worker and not self.sample.worker:
                    new.append((at, "green", "a worker starts, woken by an edit"))
                if self.sample.plex == "closed" and event.plex != "closed":
                    new.append(
                        (
                            at,
                            "yellow",
                            "PlexSync has noticed the outage: it stops asking, and keeps every edit",
                        )
                    )
                elif self.sample.plex != "closed" and event.plex == "closed":
                    new.append(
                        (at, "green", f"PlexSync has noticed that Plex is back: {event.pending} to catch up")
                    )
                self.sample = event
                self.depths.append(event.pending + event.in_progress)
            elif isinstance(event, Edit):
                if event.answered_at is None:
                    self.asked += len(event.scene_ids)
                else:
                    self.saved += len(event.scene_ids) if event.outcome == OK else 0
                    what = (
                        f"{len(event.scene_ids)} scenes"
                        if len(event.scene_ids) > 1
                        else f"scene {event.scene_ids[0]}"
                    )
                    fields = ", ".join(str(name) for name in event.fields)
                    took = (event.answered_at - event.asked_at) * 1000
                    new.append((at, "cyan", f"edit of {what}: {fields} ({event.outcome}, {took:.0f} ms)"))
            elif isinstance(event, Mark):
                if event.kind == "kill":
                    self.kills += 1
                if event.kind == "down":
                    new.append((at, "red", f"{event.text}: connections are refused"))
                elif event.kind == "up":
                    self.down_until = event.at
                elif event.kind == "kill":
                    new.append((at, "red", event.text))
                elif event.kind == "heal":
                    new.append((at, "green", "all trouble is over; the queue empties"))
                elif event.kind == "task":
                    new.append((at, "magenta", f"somebody presses a button: {event.text}"))
            self.lines.extend(new)
        return new

    def draw(self) -> Group:
        with self.mutex:
            sample, now = self.sample, time.time()
            plex_up = now >= self.down_until
            depth = sample.pending + sample.in_progress
            boxes = Table.grid(expand=True, padding=(0, 1))
            for _ in range(3):
                boxes.add_column(ratio=1)
            stash = Text.assemble(
                ("Stash", "bold"), f"\n{self.saved} of {self.asked} saves answered\n", ("up", "green")
            )
            worker = ("worker running", "green") if sample.worker else ("no worker", "red")
            breaker = "" if sample.plex == "closed" else f", Plex is {sample.plex.replace('_', ' ')}"
            queue = Text.assemble(
                ("Queue", "bold"),
                f"\n{sample.pending} waiting, {sample.in_progress} in progress, {sample.dead} dead\n",
                worker,
                (breaker, "yellow"),
            )
            plex = Text.assemble(
                ("Plex", "bold"),
                f"\n{sample.done} jobs done\n",
                ("up", "green") if plex_up else (f"away for {self.down_until - now:.0f} s more", "bold red"),
            )
            color = "red" if not plex_up else "yellow" if depth else "green"
            boxes.add_row(
                Panel(stash, border_style="cyan"),
                Panel(queue, border_style=color),
                Panel(plex, border_style="green" if plex_up else "red"),
            )
            top = max([*self.depths, 8])
            bars = "".join(BARS[-(-value * (len(BARS) - 1) // top)] for value in self.depths)
            line = Text.assemble(("waiting ", "dim"), (bars.ljust(56), color), f" {depth}")
            log = Table.grid(padding=(0, 1))
            log.add_column(justify="right", style="dim", no_wrap=True)
            log.add_column(no_wrap=True, overflow="ellipsis")
            for at, style, text in self.lines:
                log.add_row(f"{at:5.1f} s", Text(text, style=style))
            for _ in range(SHOWN - len(self.lines)):
                log.add_row("", "")
            return Group(boxes, line, log)


def run(seed: int = 0, console: Console | None = None) -> int:
    """Play the demo and compare; the exit status."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    began = time.monotonic()
    console.print("[bold]PlexSync[/]: edits in Stash arrive in Plex, whatever happens on the way.")
    console.print(
        "[dim]A fake Stash with the real plugin installed and a fake Plex, each in its own process.[/]"
    )
    scene = Scene()
    if console.is_terminal:
        with Live(get_renderable=scene.draw, console=console, refresh_per_second=8, transient=True):
            result = play(SCENARIO, seed, watcher=scene.see)
    else:
        result = play(SCENARIO, seed, watcher=lambda event: _plain(console, scene, event))
    return report(console, result, time.monotonic() - began)


def _plain(console: Console, scene: Scene, event: Any) -> None:
    for at, _, text in scene.see(event):
        depth = scene.sample.pending + scene.sample.in_progress
        console.print(
            f"{at:5.1f} s  {depth:2} in the queue  {text}", highlight=False, markup=False, soft_wrap=True
        )


def report(console: Console, result: Result, took_s: float) -> int:
    """The table, the numbers, the exit status."""
    history = result.history
    table = Table(title="What both say now", show_lines=False, expand=False, title_justify="left")
    table.add_column("", justify="right", style="dim")
    table.add_column("Stash says")
    table.add_column("Plex says")
    table.add_column("")
    agree = fields = 0
    for pair in history.pairs:
        wrong = _wrong(pair)
        agree += not wrong
        fields += len(in_sync.FIELDS) - len(wrong)
        mark = Text("=", style="green") if not wrong else Text(", ".join(wrong), style="bold red")
        table.add_row(str(pair.scene_id), _said(pair.stash, wrong), _said(pair.plex, wrong), mark)
    console.print(table)
    of, values = len(history.pairs), len(history.pairs) * len(in_sync.FIELDS)
    counts = result.as_json()["counts"]
    hooks = [hook.wall_ms for hook in history.hooks]
    level = agree == of and of == SCENES
    console.print(
        f"{agree} of {of} scenes agree, {fields} of {values} values ({', '.join(in_sync.FIELDS)}).",
        style="bold green" if level else "bold red",
    )
    console.print(
        f"{counts['edits']} saves, {len(hooks)} hooks of {quantile(hooks, 0.5):.0f} ms (median); "
        f"1 outage, {counts['kills']} workers killed, {counts['retried']} attempts put off, "
        f"{len(history.writes)} writes to Plex, {counts['duplicated']} of them repeated after a kill; "
        f"{counts['dead']} dead letters, {history.final.pending} waiting.",
        highlight=False,
    )
    for verdict in result.verdicts:
        if not verdict.holds:
            console.print(f"[yellow]{verdict.check}[/]: {verdict.sentence}", highlight=False)
            for row in verdict.evidence[:3]:
                console.print(f"    {row}", highlight=False, markup=False)
    console.print(f"[dim]{took_s:.0f} s in all. Seed {history.seed}.[/]")
    return 0 if level else 1


def _wrong(pair: Pair) -> tuple[str, ...]:
    return in_sync.FIELDS if pair.plex is None else differences(pair.stash, pair.plex, pair.before)


def _said(said: Any, wrong: tuple[str, ...]) -> Text:
    """One side of one scene: title, then the other fields in a quieter line; what differs in red."""
    if said is None:
        return Text("nothing", style="red")

    def shown(name: str) -> str:
        value = said[name]
        return ", ".join(value) if isinstance(value, tuple) else str(value)

    text = Text(shown("title"), style="red" if "title" in wrong else "bold")
    text.append("\n")
    rest = [
        name for name in ("studio", "date", "performers", "tags", "rating") if said[name] or name in wrong
    ]
    for i, name in enumerate(rest):
        text.append(" · " if i else "", style="not bold dim")
        text.append(shown(name) or f"no {name}", style="red" if name in wrong else "not bold dim")
    return text
