"""Fixtures of several unit tests; the doubles themselves are in paper.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles import Paper, Session, shelf


@pytest.fixture
def paper() -> Paper:
    return shelf()


@pytest.fixture
def session(tmp_path: Path, paper: Paper) -> Iterator[Session]:
    opened = Session(tmp_path, paper)
    yield opened
    opened.close()
