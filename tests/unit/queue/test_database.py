"""The queue's file: made, opened, compared."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from plexsync.locks import FileLock
from plexsync.queue import database, events, layout

LAYOUT_1 = 3134036895  # of SCHEMA as 0.1 has it


def put(db):
    db.execute("BEGIN IMMEDIATE")
    events.insert(db, events.new_event(7, "update", ["title"], now=1.0), 100.0)
    db.execute("COMMIT")


def rows(db):
    return db.execute(f"SELECT _id FROM {layout.TABLE}").fetchall()


@pytest.mark.parametrize(
    ("given", "connection", "folder"),
    [
        ("/d", {"Dir": "/s"}, "/d"),
        ("", {"Dir": "/s"}, "/s/plugins/PlexSync/data"),
        (None, {"Dir": "/s"}, "/s/plugins/PlexSync/data"),
        (None, {"Dir": ""}, "/h/.stash/plugins/PlexSync/data"),
        (None, {"Dir": 7}, "/h/.stash/plugins/PlexSync/data"),
        (None, None, "/h/.stash/plugins/PlexSync/data"),
        (None, ["Dir"], "/h/.stash/plugins/PlexSync/data"),
    ],
)
def test_the_data_folder(given, connection, folder, monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.delenv("STASH_PLUGIN_DATA", raising=False)
    if given is not None:
        monkeypatch.setenv("STASH_PLUGIN_DATA", given)
    assert database.data_folder(connection) == folder


# ---- the file ----


def test_a_new_file_is_durable_and_whole(path, tmp_path):
    db = database.connect(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA user_version").fetchone() == (layout.SCHEMA_VERSION,)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [name for name in os.listdir(tmp_path / "queue") if ".new-" in name] == []


def test_every_connection_is_durable(path):
    database.connect(path)
    assert database.connect(path).execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_columns_begin_with_persist_queues_own(db):
    names = [row[1] for row in db.execute(f"PRAGMA table_info({layout.TABLE})")]
    assert names[:4] == ["_id", "data", "timestamp", "status"]


def test_nothing_is_made_where_nothing_is(tmp_path):
    with pytest.raises(FileNotFoundError):
        database.connect(database.queue_file(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_no_new_file_beside_an_old_log(tmp_path, end):
    path = tmp_path / "queue" / "data.db"
    path.parent.mkdir()
    Path(f"{path}{end}").write_bytes(b"old")
    with pytest.raises(OSError, match="no "):
        database.create(str(path))
    assert not path.exists()


def test_who_comes_second_leaves_the_file_as_it_is(path, db):
    put(db)
    before = os.stat(path).st_ino
    database.create(path)
    assert os.stat(path).st_ino == before
    assert len(rows(db)) == 1


def test_without_hard_links_a_file_is_made_all_the_same(tmp_path, monkeypatch):
    def no_links(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = database.queue_file(str(tmp_path))
    Path(path).parent.mkdir()
    Path(path + ".making").write_bytes(b"")  # left by somebody who was killed here
    database.create(path)
    put(database.connect(path))
    database.create(path)
    assert len(rows(database.connect(path))) == 1


def test_a_file_of_another_layout_is_not_touched(path, db):
    db.execute("PRAGMA user_version=99")
    with pytest.raises(database.NotOurs, match="layout 99"):
        database.connect(path)


def test_a_file_being_mended_is_not_opened(path):
    gate = FileLock(path + database.GATE)
    assert gate.take()
    with pytest.raises(sqlite3.OperationalError, match="mended"):
        database.connect(path)
    gate.release()
    database.connect(path).close()


def test_opening_leaves_the_gate_open(path):
    first = database.connect(path)
    gate = FileLock(path + database.GATE)
    assert gate.take()
    gate.release()
    first.close()


def test_folders_not_known_to_be_durable_are_synced_by_whoever_comes_next(path):
    # A file just linked says so by a negative version; the syncing itself is checked in tests/crash.
    fresh = path + "-2"
    database.create(fresh)
    plain = sqlite3.connect(fresh)
    assert plain.execute("PRAGMA user_version").fetchone() == (-layout.SCHEMA_VERSION,)
    database.connect(fresh)
    assert plain.execute("PRAGMA user_version").fetchone() == (layout.SCHEMA_VERSION,)


def test_the_writer_to_be_waits_for_a_short_one_and_not_for_a_long_one(path, db):
    other = database.connect(path)
    database.begin(db)
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database.begin(other)
    assert time.monotonic() - began >= database.BUSY_MS / 1000
    ending = threading.Timer(0.02, lambda: db.execute("COMMIT"))
    ending.start()
    database.begin(other, busy_ms=20_000)
    ending.join()
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):  # what waiting does not help
        database.begin(other, busy_ms=20_000)
    other.close()


def test_the_layout_is_what_the_files_out_there_were_made_with():
    """Opening compares a file's layout with this text, its comments included: another text makes every file there is a
    damaged one. A change needs another SCHEMA_VERSION and a way over."""
    assert layout.SCHEMA_VERSION == 1
    assert events.checksum(layout.SCHEMA) == LAYOUT_1
