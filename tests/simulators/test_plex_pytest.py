"""The pytest plugin, used as another project would use it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

USER_TEST = """
import pytest
import requests
from plexapi.server import PlexServer

pytestmark = pytest.mark.fake_plex(seed=5)

def test_both_hold_the_same_files(fake_plex, fake_stash):
    plex = PlexServer(fake_plex.url, fake_plex.ready["token"])
    mine = {video.locations[0] for video in plex.library.section("Stash").all()}
    assert len(mine) == 12

@pytest.mark.fake_plex(library={"sections": [{"title": "A", "items": [{"file": "/a/b.mp4"}]}]}, token="t")
def test_library(fake_plex):
    assert [s.title for s in PlexServer(fake_plex.url, "t").library.sections()] == ["A"]

@pytest.mark.parametrize("process", [False, True])
def test_same_generated(process, request):
    request.node.add_marker(pytest.mark.fake_plex(generate=5, process=process, seed=9))
    request.node.add_marker(pytest.mark.fake_stash(generate=5, process=process, seed=9))
    plex, stash = request.getfixturevalue("fake_plex"), request.getfixturevalue("fake_stash")
    files = {item["file"] for item in plex.state()["sections"][0]["items"]}
    assert files == {scene["path"] for scene in stash.state()["scenes"]} and len(files) == 5
    plex.fault("status", code=500)
    assert requests.get(plex.url + "/identity").status_code == 500

@pytest.mark.fake_plex(colour="red")
def test_wrong_mark(fake_plex):
    pass
"""


def ran(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        *more,
        str(folder),
    ]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=60)


def test_another_projects_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["simulators.pytest"]\n')
    (tmp_path / "test_theirs.py").write_text(USER_TEST)
    done = ran(tmp_path)
    assert "4 passed" in done.stdout and "1 error" in done.stdout, done.stdout + done.stderr
    assert "fake_plex: unknown colour" in done.stdout


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    readme = (ROOT / "simulators" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(# (?:conftest|test_\w+)\.py\n.*?)```", readme, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        (tmp_path / block.split("\n", 1)[0].removeprefix("# ")).write_text(block)
    done = ran(tmp_path)
    assert re.search(r"\b\d+ passed", done.stdout) and "failed" not in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("flag", ["--markers", "--fixtures"])
def test_it_documents_itself(tmp_path: Path, flag: str) -> None:
    done = ran(tmp_path, "-p", "simulators.pytest", flag)
    assert "fake_plex" in done.stdout and "fake_stash" in done.stdout
