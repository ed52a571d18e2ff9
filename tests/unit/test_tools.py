"""The small programs of tools/ that other tests do not run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lines(*args: str) -> list[str]:
    command = [sys.executable, str(ROOT / "tools" / "requirements.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_requirements_are_those_of_the_extras_named() -> None:
    alone, tested = lines(), lines("test", "lint")
    assert alone and tested[: len(alone)] == alone
    names = [re.split(r"[><=]", line)[0] for line in tested]
    assert {"pytest", "ruff", "mypy", "aiohttp", "persist-queue"} <= set(names)
    assert len(names) == len(set(names))
    assert not [line for line in tested if line.startswith("plexsync")], (
        "an extra that names extras is resolved"
    )


def test_an_unknown_extra_is_an_error() -> None:
    command = [sys.executable, str(ROOT / "tools" / "requirements.py"), "nothing"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_vendored_versions_are_the_tested_ones() -> None:
    """What the bundle carries is allowed by pyproject.toml; the lock names each package once, with one hash."""
    lock = (ROOT / "tools" / "vendor.txt").read_text()
    rows = re.findall(r"^([a-z0-9-]+)==([^ ]+) --hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE)
    assert len(rows) == len(lock.splitlines()) - 1
    versions = dict(rows)
    assert len(versions) == len(rows)
    for line in lines():
        name, _, least = line.partition(">=")
        have = [int(part) for part in versions[name].split(".")]
        assert have >= [int(part) for part in least.split(".")], line
