"""A queue file that is missing, damaged, foreign, old, new, or taken away: nothing of it is lost in silence."""

from __future__ import annotations

import gc
import json
import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import persistqueue
import pytest

from plexsync import hook
from plexsync.core.job import StaleLease
from plexsync.locks import FileLock
from plexsync.queue import damage, database, events, layout, recovery, salvage
from plexsync.queue.store import Store
from plexsync.servers.sync_state import SyncState

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def path_of(data):
    return Path(database.queue_file(str(data)))


def keep(data, *scene_ids):
    for scene_id in scene_ids:
        hook.keep(str(data), events.new_event(scene_id, "update", ["title"]))
    gc.collect()  # a hook leaves its connection to the end of its process; here that is now


def hooks(data, *scene_ids):
    """The same by processes that end as hooks do: the log and its index stay."""
    code = (
        "import os, sys\n"
        "from plexsync import hook\nfrom plexsync.queue import database, events, layout\n"
        "for scene_id in sys.argv[2:]:\n"
        "    hook.keep(sys.argv[1], events.new_event(int(scene_id), 'update', ['title']))\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(data), *map(str, scene_ids)], cwd=ROOT, check=True)


def waiting(data):
    with Store(data) as store:
        store.spool.merge()
        return sorted(job.scene_id for job in store.waiting(10_000))


def asides(data):
    return [
        name
        for name in os.listdir(path_of(data).parent)
        if ".aside-" in name and not name.endswith(("wal", "shm"))
    ]


def leftovers(data):
    return [name for name in os.listdir(path_of(data).parent) if ".rescue-" in name or ".suspect" in name]


# ---- nothing wrong ----


def test_no_file_is_a_new_one_without_a_word(data):
    with Store(data) as store:
        assert store.troubles == []
        assert store.counts().pending == 0


def test_a_sound_file_is_left_as_it_is(data):
    keep(data, 1, 2)
    before = path_of(data).stat().st_ino
    assert recovery.make_usable(str(path_of(data)), time.time()) == []
    with Store(data) as store:
        assert store.troubles == []
    assert path_of(data).stat().st_ino == before
    assert asides(data) == []


# ---- damage ----


def test_an_empty_file(data):
    hooks(data, 1)
    for end in ("-wal", "-shm"):
        Path(f"{path_of(data)}{end}").unlink()
    path_of(data).write_bytes(b"")
    with Store(data) as store:
        (trouble,) = store.troubles
        assert "was empty" in trouble
    assert len(asides(data)) == 1


def test_a_file_that_is_no_database(data):
    path_of(data).parent.mkdir(parents=True)
    path_of(data).write_bytes(b"holiday pictures" * 1000)
    with Store(data) as store:
        (trouble,) = store.troubles
        assert "is damaged" in trouble
        store.enqueue(5)
    (aside,) = asides(data)
    assert (path_of(data).parent / aside).read_bytes() == b"holiday pictures" * 1000


def test_a_database_of_something_else(data):
    path_of(data).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute("CREATE TABLE theirs (a)")
    with Store(data) as store:
        (trouble,) = store.troubles
        assert "something else" in trouble
    (aside,) = asides(data)
    with closing(sqlite3.connect(path_of(data).parent / aside)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def fill(data, jobs):
    with Store(data) as store:
        store.enqueue_many(range(1, jobs + 1))
        store.upkeep.tidy()
    assert not Path(f"{path_of(data)}-wal").exists()


def test_a_damaged_page_costs_its_own_rows_only(data):
    fill(data, 2000)
    path = path_of(data)
    raw = bytearray(path.read_bytes())
    pages = [at for at in range(0, len(raw), 4096) if b'"scene_id":900,' in raw[at : at + 4096]]
    for at in pages:
        raw[at : at + 200] = os.urandom(200)
    path.write_bytes(raw)
    (path.parent / "data.db.suspect").write_bytes(b"")
    with Store(data) as store:
        (trouble,) = store.troubles
        assert "is damaged" in trouble
    left = waiting(data)
    assert 1900 < len(left) < 2000
    assert {1, 500, 2000} <= set(left)


def test_damage_met_while_in_use_is_mended_at_the_next_opening(data):
    fill(data, 2000)
    path = path_of(data)
    raw = bytearray(path.read_bytes())
    for at in range(4096, len(raw), 4096):
        page = raw[at : at + 4096]
        # Leaves of the table, but not the first, which opening reads; the indexes stay well.
        if raw[at] == 13 and b'"scene_id":' in page and b'"scene_id":1,' not in page:
            raw[at : at + 8] = b"\xff" * 8
    path.write_bytes(raw)
    with Store(data) as store, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        while (job := store.claim()) is not None:
            store.finish(job)
    with Store(data) as store:
        assert any("is damaged" in trouble for trouble in store.troubles)
        assert store.counts().pending > 1800  # the texts of all rows were still there
        assert store.claim().scene_id > 1
    assert leftovers(data) == []


def test_a_suspicion_without_cause_changes_nothing(data):
    keep(data, 1)
    damage.suspect(str(path_of(data)))
    with Store(data) as store:
        assert store.troubles == []
        assert store.counts().pending == 1
    assert leftovers(data) == []


def test_a_suspicion_that_comes_again_at_once_is_damage_the_check_does_not_see(data):
    """Met with a flipped byte in an index: a claim failed as malformed, the check said ok, and so on for ever."""
    fill(data, 5)
    path = str(path_of(data))
    damage.suspect(path)
    with Store(data) as store:
        assert store.troubles == []
    damage.suspect(path)
    with Store(data) as store:
        (said,) = store.troubles
        assert "failed again" in said and "5 waiting jobs" in said
        assert store.counts().pending == 5
    damage.suspect(path)
    with Store(data) as store:
        assert store.troubles == []  # another file, another beginning
    os.utime(path + recovery.CLEARED, (0, 0))
    damage.suspect(path)
    with Store(data) as store:
        assert store.troubles == []  # that was long ago


def test_a_missing_table_is_damage(data):
    keep(data, 1, 2)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute("DROP TABLE dead_letters")
    with Store(data) as store:
        assert "lacks dead_letters" in store.troubles[0]
    assert waiting(data) == [1, 2]


def test_a_renamed_column_is_damage(data):
    keep(data, 1, 2)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute(f"ALTER TABLE {layout.TABLE} RENAME COLUMN first_failed_at TO first_faiked_at")
    with Store(data) as store:
        assert "layout" in store.troubles[0]
    assert waiting(data) == [1, 2]


def test_a_file_cut_short_anywhere_opens_and_says_so(data, tmp_path):
    fill(data, 300)
    whole = path_of(data).read_bytes()
    seed = random.randrange(2**32)
    print("seed", seed)
    cuts = [0, 1, 100, 4095, 4096, *random.Random(seed).sample(range(len(whole)), 20)]
    for number, cut in enumerate(cuts):
        other = tmp_path / f"cut{number}"
        path_of(other).parent.mkdir(parents=True)
        path_of(other).write_bytes(whole[:cut])
        damage.suspect(str(path_of(other)))
        with Store(other) as store:
            assert store.troubles, cut
            store.enqueue(9999)
            assert store.claim() is not None


@pytest.mark.parametrize("spoiled", ["the schema", "the header", "all but the log"])
def test_without_structure_the_texts_are_found(data, spoiled):
    with Store(data) as store:
        store.enqueue_many(range(1, 101))
        if spoiled == "all but the log":
            copies = {end: Path(f"{path_of(data)}{end}").read_bytes() for end in ("", "-wal")}
        else:
            store.upkeep.tidy()
    if spoiled == "all but the log":
        path_of(data).write_bytes(b"")
        Path(f"{path_of(data)}-wal").write_bytes(copies["-wal"])
    else:
        raw = bytearray(path_of(data).read_bytes())
        raw[0 if spoiled == "the header" else 100 : 200] = os.urandom(100)
        path_of(data).write_bytes(raw)
    with Store(data) as store:
        assert "100 waiting jobs" in store.troubles[0]
    assert waiting(data) == list(range(1, 101))


def test_random_damage_never_stops_the_queue(data, tmp_path):
    fill(data, 300)
    whole = path_of(data).read_bytes()
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for number in range(40):
        other = tmp_path / f"hit{number}"
        path_of(other).parent.mkdir(parents=True)
        raw = bytearray(whole)
        for _ in range(rng.choice([1, 10, 300])):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        path_of(other).write_bytes(raw)
        for _ in range(3):  # the worker opens the file anew when it fails under it
            try:
                with Store(other) as store:
                    for _ in range(320):
                        job = store.claim()
                        if job is None:
                            break
                        try:
                            store.finish(job)
                        except StaleLease:  # the row is found by one way and not by another
                            store.upkeep.recover()  # as the worker does every so often; it reads them all
                    store.enqueue(9999)
                    job = store.claim()
                    if job is None:
                        store.upkeep.examine()  # an index that has lost the row; raises
                    assert job is not None and job.scene_id == 9999
                    break
            except recovery.Refused:
                break  # the damage hit the version; loud enough, and nothing was touched
            except sqlite3.DatabaseError as error:
                print(number, error)
        else:
            raise AssertionError(f"hit {number} stopped the queue for good")


# ---- a log without its file, a file taken away ----


def test_a_log_without_its_file_is_set_aside(data):
    path_of(data).parent.mkdir(parents=True)
    Path(f"{path_of(data)}-wal").write_bytes(b"rest of a log")
    keep(data, 4)  # to the spool
    with Store(data) as store:
        assert "write-ahead log" in store.troubles[0]
    assert waiting(data) == [4]
    kept = [name for name in os.listdir(path_of(data).parent) if name.endswith("-wal") and "aside" in name]
    assert (path_of(data).parent / kept[0]).read_bytes() == b"rest of a log"


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be taken away there")
@pytest.mark.parametrize("how", ["deleted", "deleted with its log", "replaced"])
def test_a_file_taken_away_while_in_use_is_noticed_and_its_rows_are_kept(data, tmp_path, how):
    keep(tmp_path / "other", 77)
    with Store(tmp_path / "other") as other:
        other.upkeep.tidy()
    with Store(data) as store:
        store.enqueue(1)
        held = store.claim()
        store.enqueue(2)
        path = path_of(data)
        if how == "replaced":
            os.replace(path_of(tmp_path / "other"), path)
        else:
            path.unlink()
        if how != "deleted":
            for end in ("-wal", "-shm"):
                Path(f"{path}{end}").unlink()
        assert store.enqueue(3)[1] == 1
        assert not store.reopen_if_replaced()
        assert store.troubles
        with pytest.raises(Exception, match="another owner has job"):
            store.finish(held)
        found = sorted(job.scene_id for job in store.waiting())
        assert found == sorted([1, 2, 3] + [77] * (how == "replaced"))


def test_a_hook_never_answers_for_a_row_in_a_file_that_was_taken_away(data, monkeypatch):
    keep(data, 1)
    path = path_of(data)
    insert = events.insert

    def taken_away_meanwhile(*args, **more):
        done = insert(*args, **more)
        os.rename(path, f"{path}.gone")
        return done

    monkeypatch.setattr(events, "insert", taken_away_meanwhile)
    assert hook.keep(str(data), events.new_event(2, "update", [])) == "spooled"


# ---- the original plan's queue, and a newer one ----


class Bomb:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


def test_a_queue_of_the_original_plan_is_taken_over_without_running_its_pickles(data, tmp_path):
    old = persistqueue.SQLiteAckQueue(str(path_of(data).parent), auto_resume=False)
    jobs = [
        {
            "scene_id": number,
            "update_type": "metadata",
            "data": {"title": f"T{number}"},
            "enqueued_at": 5.0 + number,
            "job_key": f"scene_{number}",
        }
        for number in range(1, 8)
    ]
    for job in jobs:
        old.put(job)
    assert old.get()["scene_id"] == 1
    old.ack(old.get())
    old.ack_failed(old.get())
    old.nack(old.get())
    old.close()
    canary = tmp_path / "executed"
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute(
            f"INSERT INTO {layout.TABLE} (data, timestamp, status) VALUES (?, 1, 0)",
            (pickle.dumps({"scene_id": 9, "data": Bomb(canary)}),),
        )
        db.commit()
    with Store(data) as store:
        (trouble,) = store.troubles
        assert "original plan" in trouble
        counts = store.counts()
        assert (counts.pending, counts.in_progress, counts.completed, counts.failed, counts.dead) == (
            5,
            0,
            1,
            1,
            2,
        )
        job, payload, put_at = store.claim_row()
        assert payload["data"] == {"title": "T1"}
        assert payload["update_type"] == "metadata"
        assert put_at == 6.0
        by_type = store.letters.by_type()
        assert by_type == {"DamagedRow": 1, "Failed": 1}
        (failed,) = store.letters.newest(error_type="Failed")
        assert failed.scene_id == 3 and failed.payload["data"] == {"title": "T3"}
    assert not canary.exists()
    assert len(asides(data)) == 1


def test_json_rows_of_the_original_plan_too(data):
    path_of(data).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute(
            f"CREATE TABLE {layout.TABLE} (_id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB, timestamp FLOAT,"
            " status INTEGER)"
        )
        for raw in ('{"scene_id": "12"}', '{"scene_id": 13, "fields": ["a"]}', "[]", '{"scene_id": -1}'):
            db.execute(f"INSERT INTO {layout.TABLE} (data, timestamp, status) VALUES (?, 3.0, 0)", (raw,))
        db.commit()
    with Store(data) as store:
        assert sorted((j.scene_id, j.fields, j.enqueued_at) for j in store.waiting()) == [
            (12, (), 3.0),
            (13, ("a",), 3.0),
        ]
        assert store.counts().dead == 2


@pytest.mark.parametrize(
    "raw",
    [
        pickle.dumps({"scene_id": 1, "data": {1: (2, 3)}}),
        pickle.dumps({"scene_id": 1, "when": 5.0, "fields": ("a", "b")}),
        pickle.dumps({"scene_id": 1, "data": b"bytes"}),
    ],
)
def test_a_pickle_of_plain_values_is_read(raw):
    assert salvage._payload(raw)["scene_id"] == 1


def test_no_bytes_make_reading_a_pickle_fail():
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    whole = pickle.dumps({"scene_id": 1, "data": {"a": [1, 2.5, None, "x"]}})
    for _ in range(3000):
        raw = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            raw[rng.randrange(2, len(raw))] = rng.randrange(256)
        found = salvage._payload(bytes(raw[: rng.randrange(1, len(raw) + 1)]))
        assert found is None or events.key_of(found)


def test_a_newer_queue_is_refused_and_not_touched(data):
    keep(data, 1)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute("PRAGMA user_version=99")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path_of(data).read_bytes()
    with pytest.raises(recovery.Refused, match="newer PlexSync"):
        Store(data)
    assert path_of(data).read_bytes() == before
    assert asides(data) == []


# ---- what is taken over ----


def damage_to(data):
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute("DROP TABLE breakers")


def test_everything_known_of_a_job_and_a_letter_is_taken_over(data):
    with Store(data) as store:
        store.enqueue(1, "create", ["title"], {"note": "x"})
        store.postpone(store.claim(), time.time() + 1000, "Plex was slow", uses_attempt=True)
        store.enqueue(2)
        store.dead_letter(store.claim(), "Ambiguous", "two items", "Traceback …")
        store.enqueue(3)
        store.finish(store.claim(), "synced")
        store.state.open_outage("Plex", "refused")
        store.state.close_outage("Plex")
        old = store.letters.newest()[0]
        outages = store.state.outages()
    damage_to(data)
    with Store(data) as store:
        assert len(store.troubles) == 1
        (job,) = store.waiting()
        assert (job.scene_id, job.update_type, job.fields) == (1, "create", ("title",))
        assert job.last_error and job.first_failed_at is not None
        (new,) = store.letters.newest()
        for name in ("scene_id", "error_type", "message", "traceback", "attempts", "failed_at", "payload"):
            assert getattr(new, name) == getattr(old, name), name
        counts = store.counts()
        assert (counts.completed, counts.failed, counts.dead, counts.finished) == (1, 1, 1, 1)
        assert store.state.outages() == outages


def test_a_flipped_bit_is_a_dead_letter_not_a_job(data):
    keep(data, 1, 2)
    with closing(sqlite3.connect(path_of(data))) as db:
        db.execute(f"UPDATE {layout.TABLE} SET data = replace(data, 'title', 'tit1e') WHERE key = 'scene:1'")
        db.commit()
    damage_to(data)
    with Store(data) as store:
        jobs = {job.scene_id: job for job in store.waiting()}
        assert jobs[2].fields == ("title",)
        assert jobs[1].fields == ()  # of the damaged one nothing but its scene is believed
        (letter,) = store.letters.newest()
        assert letter.error_type == "DamagedRow"


def test_what_a_worker_held_waits_again(data):
    keep(data, 1)
    with Store(data) as store:
        assert store.claim()
    damage_to(data)
    assert waiting(data) == [1]


# ---- killed half way ----


@pytest.mark.parametrize("gone", [("",), ("", "-shm"), ("", "-shm", "-wal")])
def test_a_rescue_cut_short_while_moving_goes_on(data, gone):
    hooks(data, 1, 2, 3)
    path = path_of(data)
    for end in gone:
        os.rename(f"{path}{end}", f"{path}.rescue-abcd1234{end}")
    hooks(data, 4)  # hooks go on meanwhile, into the spool or a new file
    assert waiting(data) == [1, 2, 3, 4]
    assert leftovers(data) == []
    assert len(asides(data)) == 1


def test_a_rescue_cut_short_after_its_commit_takes_nothing_twice(data):
    keep(data, 1)
    with Store(data) as store:
        store.dead_letter(store.claim(), "Ambiguous", "two items")
        store.enqueue(2)
    path = path_of(data)
    copies = path.parent / "copies"
    copies.mkdir()
    for end in ("", "-wal"):
        if Path(f"{path}{end}").exists():
            shutil.copy(f"{path}{end}", copies / f"data.db.rescue-abcd1234{end}")
    damage_to(data)
    for name in os.listdir(copies):
        shutil.copy(copies / name, path.parent / name)
    with Store(data) as store:
        assert store.counts().dead == 1
    for name in os.listdir(copies):  # as if it had been killed before it set the file aside
        shutil.copy(copies / name, path.parent / name)
    with Store(data) as store:
        counts = store.counts()
        assert (counts.pending, counts.dead) == (1, 1)
    assert leftovers(data) == []


# ---- several at once ----


def test_several_openers_mend_once(data):
    keep(data, *range(1, 20))
    damage_to(data)
    found = []

    def open_it():
        with Store(data) as store:
            found.append(len(store.troubles))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [0, 0, 0, 0, 0, 1]
    assert waiting(data) == list(range(1, 20))


def test_somebody_elses_mending_is_waited_for_but_not_for_ever(data, monkeypatch):
    keep(data, 1)
    damage_to(data)
    monkeypatch.setattr(recovery, "WAIT_S", 0.1)
    gate = FileLock(str(path_of(data)) + database.GATE)
    assert gate.take()
    with pytest.raises(sqlite3.OperationalError, match="mending"):
        recovery.make_usable(str(path_of(data)), time.time())
    gate.release()


def test_half_made_files_are_swept_away_in_time(data):
    keep(data, 1)
    litter = path_of(data).parent / "data.db.new-1-abcd"
    litter.write_bytes(b"x")
    damage.suspect(str(path_of(data)))
    with Store(data):
        assert litter.exists()
    os.utime(litter, (1, 1))
    damage.suspect(str(path_of(data)))
    with Store(data):
        assert not litter.exists()


def test_the_sentence_names_the_copy_and_the_numbers(data):
    keep(data, 1, 2)
    damage_to(data)
    with Store(data) as store:
        (sentence,) = store.troubles
    assert asides(data)[0] in sentence
    assert "2 waiting jobs" in sentence
    json.dumps(sentence)


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_disk_that_fails_now_is_no_damage(data):
    """No room for the index of the copy that is read: nothing is taken for unreadable, the next opening does it all."""
    old = persistqueue.SQLiteAckQueue(str(path_of(data).parent), auto_resume=False)
    for number in range(1, 6):
        old.put({"scene_id": number})
    old.close()
    del old
    gc.collect()
    size = path_of(data).stat().st_size
    code = (
        "import resource, signal, sqlite3, sys\n"
        "from plexsync.queue import store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "failed = 0\n"
        "for limit in range(int(sys.argv[2]), 200_000, 4_096):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        store.Store(sys.argv[1]).close()\n"
        "        break\n"
        "    except (sqlite3.Error, OSError):\n"
        "        failed += 1\n"
        "print(failed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(data), str(size)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 0
    assert waiting(data) == [1, 2, 3, 4, 5]


def test_what_a_person_chose_survives_a_damaged_file(data):
    """Which item of Plex a scene is: no later sync could find that out again."""
    with Store(data) as store:
        store.enqueue(1)
        SyncState(store.file, "http://plex:32400").choose(12, 4711)
        store.file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage_to(data)
    with Store(data) as store:
        assert store.troubles, "the file was damaged, and mended"
        assert SyncState(store.file, "http://plex:32400").choice(12) == 4711


def test_choices_before_a_damaged_page_are_taken_over(data):
    with Store(data) as store:
        store.enqueue(1)
        state = SyncState(store.file, "http://plex:32400")
        for scene_id in range(1, 2001):
            state.choose(scene_id, scene_id + 10_000)
        store.file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = store.file.db.execute("PRAGMA page_size").fetchone()[0]
    damage_to(data)
    whole = path_of(data).read_bytes()
    pages = [whole[at : at + size] for at in range(0, len(whole), size)]
    leaves = [number for number, page in enumerate(pages) if page[0] == 10 and b"http://plex" in page]
    pages[leaves[-1]] = b"\xff" * size  # 10 marks a leaf of a table without row ids
    path_of(data).write_bytes(b"".join(pages))
    with Store(data) as store:
        state = SyncState(store.file, "http://plex:32400")
        kept = sum(state.choice(scene_id) == scene_id + 10_000 for scene_id in range(1, 2001))
        assert 1000 < kept < 2000, kept
