"""The runner itself, in real worlds: what it reports, and that nothing of a world is left behind.

The cases are run by `make scenarios`; here are a few, and the ways in which a run can be cut short.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from scenarios import looking
from scenarios.cases import all_cases
from scenarios.history import OK
from scenarios.runner import play, play_safely
from scenarios.scenario import At, Expect, Scenario, World
from scenarios.workloads import Edit
from tests.simulators.scenario_browser import browsing

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="real worlds are looked at through /proc")


def test_an_edit_arrives_and_everything_asked_of_a_run_is_in_its_result():
    scenario = Scenario(
        "one_edit", "One edit.", World(scenes=2), workload=(At(0.0, Edit(1, {"title": "Arrived"})),)
    )
    result = play(scenario, seed=5)
    assert result.passed, [v for v in result.verdicts if not v.holds]
    assert [edit.outcome for edit in result.history.edits] == [OK]
    assert [write.title for write in result.history.writes] == ["Arrived"]
    assert [move.action for move in result.history.moves] == ["synced"]
    row = result.as_json()
    assert row["counts"]["edits"] == 1 and row["seed"] == 5 and row["hook_ms"]["max"] > 0
    assert row["plex_requests"] > 0 and row["stash_requests"] > 0 and row["converge_s"] < 10


@pytest.mark.parametrize("name", ["killed_after_apply", "deleted_while_waiting"])
def test_a_case_passes(name):
    result = play_safely(all_cases()[name], seed=3)
    assert result.passed, [(v.check, v.sentence, v.evidence) for v in result.verdicts if not v.holds]


@dataclass(frozen=True)
class Explode:
    """An act with a defect."""

    simulated: ClassVar[bool] = False

    def do(self, world: Any) -> None:
        raise RuntimeError("this act is broken")


def test_a_scenario_that_breaks_down_is_a_failure_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other worlds may be there beside this one
    lane = (At(0.0, Edit(1, {"title": "x"})), At(0.1, Explode()))
    result = play_safely(Scenario("breaks", "Breaks.", World(scenes=2), workload=lane), seed=0)
    assert not result.passed
    assert "this act is broken" in result.verdicts[0].sentence
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_that_does_not_hold_fails_the_run():
    """The harness itself: a plugin that is told a wrong library must not look as if all were well."""
    scenario = Scenario(
        "wrong_library",
        "The library's name is wrong and stays wrong.",
        World(scenes=2, settings={"plex_library": "No Such Library"}),
        workload=(At(0.0, Edit(1, {"title": "Never arrives"})),),
        expect=Expect(drain_s=3, woken=False),
    )
    result = play_safely(scenario, seed=0)
    broken = {verdict.check for verdict in result.verdicts if not verdict.holds}
    assert {"nothing_lost", "plex_is_level", "drained_in_time"} <= broken


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_no_process_and_no_folder(tmp_path, number):
    command = [sys.executable, "-m", "scenarios", "run", "plex_down_and_two_kills"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 30
    while not looking.workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert looking.processes(tmp_path)
    process.send_signal(number)
    process.communicate(timeout=40)
    assert process.returncode == 130
    assert looking.processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_its_reports_and_ends_with_the_count(tmp_path):
    files = [f"--{kind}={tmp_path / kind}" for kind in ("html", "junit", "json")]
    command = [sys.executable, "-m", "scenarios", "run", "play_count_leaves_no_row", "--seed", "4", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed", done.stdout + done.stderr
    assert done.returncode == 0
    (row,) = json.loads((tmp_path / "json").read_text())
    assert (row["name"], row["seed"], row["passed"]) == ("play_count_leaves_no_row", 4, True)
    assert 'failures="0"' in (tmp_path / "junit").read_text()

    page_file = tmp_path / "html"
    page_file.rename(tmp_path / "page.html")
    with browsing() as page:
        for scheme in ("dark", "light"):
            page.scheme(scheme)
            page.go((tmp_path / "page.html").as_uri())
            page.wait("document.querySelectorAll('.js-plotly-plot').length === 3")
            page.wait("document.querySelectorAll('.yes').length > 10")
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.js(background)
        page.js("window.isTheOldPage = true")
        page.scheme("dark")  # the page draws itself anew in the other colours, by loading again
        page.wait("!window.isTheOldPage && document.querySelectorAll('.js-plotly-plot').length === 3")
        assert page.js(background) != light
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        assert page.complaints == []


def test_unknown_names_are_said_so():
    command = [sys.executable, "-m", "scenarios", "run", "no_such_case"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no_such_case" in done.stderr


def test_list_names_every_case():
    done = subprocess.run(
        [sys.executable, "-m", "scenarios", "list"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(all_cases())
