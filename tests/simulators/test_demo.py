"""The demo, as a visitor runs it."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from scenarios import demo
from scenarios.checks import judge
from scenarios.history import Edit, Mark, Pair, Sample
from scenarios.runner import Result
from tests.unit.test_scenario_checks import SAID, SHOWN, WELL

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="real worlds are looked at through /proc")
def test_the_demo_ends_well_in_less_than_a_minute():
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "scenarios", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 of 24 scenes agree, 168 of 168 values" in done.stdout
    assert "Plex is away: connections are refused" in done.stdout
    assert "SIGKILL to the worker" in done.stdout
    assert took_s < 60


def end(pairs: tuple[Pair, ...]) -> tuple[int, str]:
    """Exit status and what is printed for such an end."""
    history = replace(WELL, pairs=pairs)
    console = Console(file=io.StringIO(), width=132)
    status = demo.report(console, Result(demo.SCENARIO, history, judge(history, demo.SCENARIO.expect)), 12.0)
    return status, console.file.getvalue()


def test_one_value_that_differs_is_shown_and_fails_the_demo():
    level = [Pair(i, f"/{i}.mp4", SAID, SHOWN, None) for i in range(1, demo.SCENES + 1)]
    for pair in level:
        object.__setattr__(pair, "plex", {**SHOWN, "date": ""})
    assert end(tuple(level))[0] == 0
    wrong = replace(level[7], plex={**SHOWN, "date": "", "rating": 1.0})
    status, text = end((*level[:7], wrong, *level[8:]))
    assert status == 1
    assert "rating" in text and "23 of 24 scenes agree, 167 of 168 values" in text


def test_a_scene_plex_does_not_have_fails_the_demo():
    level = [Pair(i, f"/{i}.mp4", SAID, {**SHOWN, "date": ""}, None) for i in range(1, demo.SCENES)]
    assert end((*level, Pair(24, "/24.mp4", SAID, None, None)))[0] == 1
    assert end(tuple(level))[0] == 1


def test_the_live_view_shows_what_it_was_told():
    scene = demo.Scene()
    scene.see(Sample(1.0, pending=3, in_progress=1, worker=True))
    scene.see(Edit(0, "bulk", (1, 2), {"studio": "Blue Door"}, 1.0, 1.2, "ok"))
    scene.see(Mark(2.0, "down", "Plex is away", "plex"))
    scene.see(Sample(3.0, pending=9, plex="open", worker=False))
    console = Console(file=io.StringIO(), width=110)
    console.print(scene.draw())
    text = console.file.getvalue()
    for shown in ("9 waiting", "edit of 2 scenes: studio", "Plex is away", "no worker", "the worker is gone"):
        assert shown in text
