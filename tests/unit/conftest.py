"""Fixtures of several unit tests; the doubles themselves are in paper.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from paper import Office, Paper, shelf


@pytest.fixture
def paper() -> Paper:
    return shelf()


@pytest.fixture
def office(tmp_path: Path, paper: Paper) -> Iterator[Office]:
    opened = Office(tmp_path, paper)
    yield opened
    opened.close()
