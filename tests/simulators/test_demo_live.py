"""The live page in a headless Chromium: every button is clicked, and what it does is seen on the page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios import looking
from tests.simulators.scenario_browser import browsing, chromium

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="real worlds are looked at through /proc")


@pytest.fixture
def served(tmp_path):
    """The address of a live page, whose end leaves nothing."""
    chromium()
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios", "demo", "--serve"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+/", line)
        assert found, line
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
    assert process.returncode == 0
    assert looking.processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_every_button_does_what_it_says_and_all_ends_level(served):
    with browsing(1240, 1000) as page:
        page.go(served)
        page.wait("document.body.dataset.inSync === 'true'", within_s=40)
        assert page.js("document.querySelectorAll('.row').length") == 12
        assert page.js("document.querySelectorAll('.mid.insync').length") == 12, "each in the colour of that"

        def click(name: str) -> None:
            page.js(f"document.getElementById('act-{name}').click()")
            page.wait(f"!document.getElementById('act-{name}').disabled")

        def log(text: str) -> str:
            return f"document.getElementById('log').textContent.includes({text!r})"

        click("edit")
        page.wait(log("edit of scene"))
        click("bulk")
        page.wait(log("edit of 6 scenes: ok"))
        page.wait("document.body.dataset.inSync === 'true'")
        click("lose")
        click("garble")
        click("edit")
        click("kill")
        page.wait(log("SIGKILL to the worker"))
        click("plex_down")
        page.wait("document.getElementById('plex').className === 'off'")
        click("bulk")
        page.wait("document.querySelector('.row.differs')")
        click("freeze")
        page.wait(log("the worker goes on"))
        click("stash_down")
        page.wait("document.getElementById('stash').className === 'off'")
        click("heal")
        page.wait("document.getElementById('stash').className === ''")
        click("process_queue")
        page.wait("document.body.dataset.inSync === 'true'", within_s=40)
        clicked = {
            "edit",
            "bulk",
            "lose",
            "garble",
            "kill",
            "plex_down",
            "freeze",
            "stash_down",
            "heal",
            "process_queue",
        }
        there = page.js("[...document.querySelectorAll('button')].map(b => b.id.slice(4))")
        assert set(there) == clicked
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        assert page.complaints == []
        if os.environ.get("PICTURES"):
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                page.picture(Path(os.environ["PICTURES"]) / f"live_{scheme}.png")
