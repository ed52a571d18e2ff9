"""A queue file and a connection to it."""

from __future__ import annotations

import pytest

from plexsync.queue import database


@pytest.fixture
def path(tmp_path):
    path = database.queue_file(str(tmp_path))
    database.create(path)
    return path


@pytest.fixture
def db(path):
    db = database.connect(path)
    yield db
    db.close()
