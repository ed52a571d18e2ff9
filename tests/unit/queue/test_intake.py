"""The queue row and the spool: what is written by hand, as it is found on disk."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plexsync.locks import FileLock
from plexsync.queue import intake

ROOT = Path(__file__).resolve().parents[3]
LAYOUT_1 = 3134036895  # of SCHEMA as 0.1 has it


@pytest.fixture
def path(tmp_path):
    path = intake.queue_file(str(tmp_path))
    intake.create(path)
    return path


@pytest.fixture
def db(path):
    db = intake.connect(path)
    yield db
    db.close()


def put(db, event, now=100.0, **more):
    db.execute("BEGIN IMMEDIATE")
    done = intake.insert(db, event, now, **more)
    db.execute("COMMIT")
    return done


def rows(db, columns="_id, data, status, key, generation"):
    return db.execute(f"SELECT {columns} FROM {intake.TABLE} ORDER BY _id").fetchall()


# ---- where things are ----


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
    assert intake.data_folder(connection) == folder


# ---- what a note is about ----


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"scene_id": 12}, "scene:12"),
        ({"entity": "scene", "scene_id": 12}, "scene:12"),
        ({"entity": "performer", "id": 5}, "performer:5"),
        ({"entity": "performer", "scene_id": 5}, None),
        ({"entity": "planet", "id": 5}, None),
        ({"entity": ["scene"], "scene_id": 5}, None),
        ({"scene_id": 0}, None),
        ({"scene_id": -1}, None),
        ({"scene_id": True}, None),
        ({"scene_id": "12"}, None),
        ({"scene_id": 2**63}, None),
        ({"scene_id": 2**63 - 1}, f"scene:{2**63 - 1}"),
        ({}, None),
        (None, None),
        ([12], None),
    ],
)
def test_key(payload, key):
    assert intake.key_of(payload) == key


def test_an_unknown_kind_of_edit_is_refused():
    with pytest.raises(ValueError, match="rename"):
        intake.new_event(1, "rename", [])


def test_two_events_never_have_one_id():
    assert len({intake.new_event(1, "update", [])["event"] for _ in range(100)}) == 100


# ---- merging ----


def event(kind="update", fields=("title",), at=1.0, **more):
    return {**intake.new_event(7, kind, list(fields), now=at), **more}


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("create", "update", "create"),
        ("update", "create", "create"),
        ("update", "update", "update"),
        ("sync", "update", "update"),
        ("destroy", "update", "destroy"),
        ("update", "destroy", "destroy"),
        ("destroy", "create", "destroy"),
    ],
)
def test_kind_of_two_edits(first, second, kind):
    assert intake.merged(event(first), event(second))["update_type"] == kind


@pytest.mark.parametrize(
    ("first", "second", "fields"),
    [
        (["title"], ["date"], ["date", "title"]),
        (["title"], ["title"], ["title"]),
        ([], ["title"], []),  # unknown stays unknown
        (["title"], [], []),
    ],
)
def test_fields_of_two_edits(first, second, fields):
    assert intake.merged(event(fields=first), event(fields=second))["fields"] == fields


def test_a_merged_edit_keeps_the_first_moment_and_the_newest_data():
    both = intake.merged(event(at=1.0, data={"a": 1}), event(at=9.0, data={"a": 2}))
    assert (both["enqueued_at"], both["data"]) == (1.0, {"a": 2})


def test_what_a_destroy_says_of_the_scene_stays():
    gone = event("destroy", data={"path": "/x"})
    assert intake.merged(gone, event(data={"b": 1}))["data"] == {"path": "/x"}


def test_a_barrier_stays_a_barrier():
    assert intake.merged(event(parallel=False), event(parallel=True))["parallel"] is False


@pytest.mark.parametrize("odd", ["soon", None, True, -1, float("nan"), float("inf"), [1], 1e300])
def test_a_moment_that_is_none_is_not_taken_over(odd):
    assert intake.merged(event(enqueued_at=odd), event(at=5.0))["enqueued_at"] == 5.0


# ---- the one INSERT ----


def test_an_edit_is_one_row(db):
    assert put(db, event()) == (1, 1)
    [(_, data, status, key, generation)] = rows(db)
    assert (status, key, generation) == (0, "scene:7", 1)
    assert json.loads(data)["fields"] == ["title"]
    assert rows(db, "checksum, due_at, decided_at") == [(intake.checksum(data), intake.BEFORE_ALL_DUE, 100.0)]


def test_a_hundred_edits_of_a_scene_are_one_row(db):
    for number in range(100):
        assert put(db, event(fields=[f"f{number}"])) == (1, number + 1)
    [(_, data, _, _, generation)] = rows(db)
    assert generation == 100
    assert len(json.loads(data)["fields"]) == 100


def test_a_row_that_is_worked_on_is_left_alone(db):
    put(db, event())
    db.execute(f"UPDATE {intake.TABLE} SET status = 2")
    assert put(db, event()) == (2, 1)


def test_an_edit_makes_a_postponed_row_due_and_forgets_its_failures(db):
    put(db, event())
    db.execute(f"UPDATE {intake.TABLE} SET status = 1, due_at = 9999, attempts = 5, deaths = 2")
    put(db, event(), now=200.0)
    assert rows(db, "due_at, attempts, deaths") == [(intake.BEFORE_ALL_DUE, 0, 0)]


@pytest.mark.parametrize(("first", "then"), [("sync", "sync"), ("update", "sync"), ("sync", "update")])
def test_an_edit_does_not_put_off_a_row_that_is_due(db, first, then):
    """And is due before all that a task asks for, which is due from then on."""
    put(db, event(first), now=100.0)
    put(db, event(then), now=200.0)
    assert rows(db, "due_at") == [(100.0 if first == then else intake.BEFORE_ALL_DUE,)]


def test_a_late_edit_does_not_put_older_data_over_newer(db):
    put(db, event(data={"title": "new"}, at=5.0))
    put(db, event(data={"title": "old"}, at=1.0, fields=["date"]), late=True)
    [(data,)] = rows(db, "data")
    said = json.loads(data)
    assert said["data"] == {"title": "new"}
    assert said["fields"] == ["date", "title"]
    assert said["enqueued_at"] == 1.0


@pytest.mark.parametrize("damage", ["{", "[]", "null", b"\x80\x04", "\udcff", "1e999"])
def test_a_waiting_row_that_cannot_be_read_gives_way_to_the_new_edit(db, damage):
    put(db, event())
    raw = damage.encode("utf-8", "surrogatepass") if isinstance(damage, str) else damage
    db.execute(f"UPDATE {intake.TABLE} SET data = CAST(? AS TEXT)", (raw,))
    put(db, event(fields=["date"]))
    [(data, crc)] = rows(db, "data, checksum")
    assert json.loads(data)["fields"] == ["date"]
    assert crc == intake.checksum(data)


def test_a_flipped_bit_is_not_merged_into_a_sound_row(db):
    put(db, event(fields=["title"]))
    db.execute(f"UPDATE {intake.TABLE} SET data = replace(data, 'title', 'tit1e')")
    put(db, event(fields=["date"]))
    assert json.loads(rows(db, "data")[0][0])["fields"] == ["date"]


@pytest.mark.parametrize("text", ["\U0001f600", "\ud83d", "\x00", "\u2028", "é" * 1000])
def test_any_text_comes_back_as_it_was(db, text):
    put(db, event(data={"note": text}))
    assert json.loads(rows(db, "data")[0][0])["data"] == {"note": text}


# ---- the file ----


def test_a_new_file_is_durable_and_whole(path, tmp_path):
    db = intake.connect(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA user_version").fetchone() == (intake.SCHEMA_VERSION,)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [name for name in os.listdir(tmp_path / "queue") if ".new-" in name] == []


def test_every_connection_is_durable(path):
    intake.connect(path)
    assert intake.connect(path).execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_columns_begin_with_persist_queues_own(db):
    names = [row[1] for row in db.execute(f"PRAGMA table_info({intake.TABLE})")]
    assert names[:4] == ["_id", "data", "timestamp", "status"]


def test_nothing_is_made_where_nothing_is(tmp_path):
    with pytest.raises(FileNotFoundError):
        intake.connect(intake.queue_file(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_no_new_file_beside_an_old_log(tmp_path, end):
    path = tmp_path / "queue" / "data.db"
    path.parent.mkdir()
    Path(f"{path}{end}").write_bytes(b"old")
    with pytest.raises(OSError, match="no "):
        intake.create(str(path))
    assert not path.exists()


def test_who_comes_second_leaves_the_file_as_it_is(path, db):
    put(db, event())
    before = os.stat(path).st_ino
    intake.create(path)
    assert os.stat(path).st_ino == before
    assert len(rows(db)) == 1


def test_without_hard_links_a_file_is_made_all_the_same(tmp_path, monkeypatch):
    def no_links(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = intake.queue_file(str(tmp_path))
    Path(path).parent.mkdir()
    Path(path + ".making").write_bytes(b"")  # left by somebody who was killed here
    intake.create(path)
    put(intake.connect(path), event())
    intake.create(path)
    assert len(rows(intake.connect(path))) == 1


def test_a_file_of_another_layout_is_not_touched(path, db):
    db.execute("PRAGMA user_version=99")
    with pytest.raises(intake.NotOurs, match="layout 99"):
        intake.connect(path)


def test_a_file_being_mended_is_not_opened(path):
    gate = FileLock(path + intake.GATE)
    assert gate.take()
    with pytest.raises(sqlite3.OperationalError, match="mended"):
        intake.connect(path)
    gate.release()
    intake.connect(path).close()


def test_opening_leaves_the_gate_open(path):
    first = intake.connect(path)
    gate = FileLock(path + intake.GATE)
    assert gate.take()
    gate.release()
    first.close()


def test_folders_not_known_to_be_durable_are_synced_by_whoever_comes_next(path):
    # A file just linked says so by a negative version; the syncing itself is checked in tests/crash.
    fresh = path + "-2"
    intake.create(fresh)
    plain = sqlite3.connect(fresh)
    assert plain.execute("PRAGMA user_version").fetchone() == (-intake.SCHEMA_VERSION,)
    intake.connect(fresh)
    assert plain.execute("PRAGMA user_version").fetchone() == (intake.SCHEMA_VERSION,)


# ---- the spool ----


def test_a_spooled_event_comes_back(tmp_path):
    one = intake.new_event(7, "update", ["title"], {"note": "\ud83d\x00\U0001f600"})
    path = intake.spool(str(tmp_path), one)
    assert intake.unspool(Path(path).read_bytes()) == one
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path / "spool") == [os.path.basename(path)]


def test_spool_files_sort_by_time(tmp_path):
    paths = [intake.spool(str(tmp_path), intake.new_event(n, "update", [])) for n in range(1, 30)]
    assert sorted(paths) == paths


def test_an_event_cut_at_any_byte_is_no_event(tmp_path):
    raw = Path(intake.spool(str(tmp_path), intake.new_event(7, "update", ["title"]))).read_bytes()
    for end in range(len(raw) - 1):  # all but the newline
        assert intake.unspool(raw[:end]) is None, end


def test_an_event_with_any_bit_flipped_is_no_event_or_the_same(tmp_path):
    one = intake.new_event(7, "update", ["title"])
    raw = Path(intake.spool(str(tmp_path), one)).read_bytes()
    for at in range(len(raw)):
        for bit in range(8):
            bad = bytearray(raw)
            bad[at] ^= 1 << bit
            assert intake.unspool(bytes(bad)) in (None, one), (at, bit)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\n",
        b"{}",
        b"[]",
        b"null",
        b'{"event":{}}',
        b'{"checksum":0,"event":null}',
        b'{"checksum":"x","event":{"scene_id":1}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"PK\x03\x04",
    ],
)
def test_what_is_foreign_is_no_event(odd):
    assert intake.unspool(odd) is None


@pytest.mark.parametrize(
    "change",
    [
        {"scene_id": 0},
        {"scene_id": True},
        {"scene_id": "7"},
        {"scene_id": 2**63},
        {"update_type": "rename"},
        {"fields": "title"},
        {"event": 5},
    ],
)
def test_a_sound_file_with_an_impossible_event_is_no_event(change):
    odd = {**intake.new_event(7, "update", []), **change}
    text = intake.encode(odd)
    assert intake.unspool(f'{{"checksum":{intake.checksum(text)},"event":{text}}}'.encode()) is None


def test_what_could_not_be_spooled_leaves_nothing(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "from plexsync.queue import intake\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
        "try:\n"
        "    intake.spool(sys.argv[1], intake.new_event(7, 'update', ['title']))\n"
        "except OSError as error:\n"
        "    print('refused', error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("refused")
    assert os.listdir(tmp_path / "spool") == []


def test_the_writer_to_be_waits_for_a_short_one_and_not_for_a_long_one(path, db):
    other = intake.connect(path)
    intake.begin(db)
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        intake.begin(other)
    assert time.monotonic() - began >= intake.BUSY_MS / 1000
    ending = threading.Timer(0.02, lambda: db.execute("COMMIT"))
    ending.start()
    intake.begin(other, busy_ms=20_000)
    ending.join()
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):  # what waiting does not help
        intake.begin(other, busy_ms=20_000)
    other.close()


def test_the_layout_is_what_the_files_out_there_were_made_with():
    """Opening compares a file's layout with this text, its comments included: another text makes every file there is a
    damaged one. A change needs another SCHEMA_VERSION and a way over."""
    assert intake.SCHEMA_VERSION == 1
    assert intake.checksum(intake.SCHEMA) == LAYOUT_1
