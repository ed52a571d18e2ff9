"""The power fails after any system call; and the log ends at any byte. What was acknowledged is there."""

from __future__ import annotations

import copy
import os
import random
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from plexsync.queue import database, events, layout, spool
from plexsync.queue.store import Store
from tests.crash import powerloss, straced, world

FULL = bool(os.environ.get("PLEXSYNC_FULL"))
STATES = 60_000 if FULL else 1_500  # of all pieces of work together
LOG_BYTES = 82_000
SAMPLED_CUTS = 300  # of each quarter
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

LIGHT = [
    "first hooks",
    "hooks",
    "first spooling",
    "spooling",
    "first opening",
    "putting",
    "working",
    "giving up",
]
LIGHT += ["superseding", "merging", "trying again", "batching", "housekeeping"]
HEAVY = ["migrating", "mending"]  # here the next start has to finish what was begun


def glance(folder, said, before):
    """What must hold, by plain SQL: fast enough for thousands of states."""
    owed = world.owed(said, before)
    path = database.queue_file(folder)
    found = set()
    if os.path.exists(path) and os.path.getsize(path):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=OFF")
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "damaged"
            assert abs(db.execute("PRAGMA user_version").fetchone()[0]) == layout.SCHEMA_VERSION
            rows = db.execute(
                f"SELECT CAST(substr(key, 7) AS INTEGER), status, data, checksum FROM {layout.TABLE}"
                " WHERE status IN (0, 1, 2, 9)"
            ).fetchall()
            letters = db.execute(
                "SELECT scene_id, job_id FROM dead_letters WHERE replayed_at IS NULL"
            ).fetchall()
        assert all(crc is None or events.checksum(data) == crc for _, _, data, crc in rows)
        world._nothing_twice([(scene, status) for scene, status, _, _ in rows], letters)
        found = {scene for scene, *_ in rows} | {scene for scene, _ in letters}
    folder_of_spool = Path(folder, "spool")
    for file in folder_of_spool.glob("*.json") if folder_of_spool.exists() else ():
        event = spool.read(file.read_bytes())
        if event is not None:  # a torn one was never answered for
            found.add(event["scene_id"])
    lost = owed - found
    assert not lost, f"acknowledged and gone: {sorted(lost)}"


def replay(name, states, seed, check):
    """Record a piece of work, then let the power fail at every call in turn until ``states`` were looked at: how many
    there were, and how many of them differed."""
    rng = random.Random(seed)
    prepare, _, before = world.WORK[name]
    with tempfile.TemporaryDirectory(prefix="power-") as base:
        root, log = os.path.join(base, "data"), os.path.join(base, "log")
        os.mkdir(root)
        prepare(root)
        disk = powerloss.Disk(root)
        disk.load()
        straced.run(name, root, *powerloss.OPTIONS, output=log)
        recorded = list(powerloss.steps(log))
    trial = copy.deepcopy(disk)
    moments = sum(call != "sendto" and trial.do(call, *more) for call, *more in recorded)
    each = max(1, states // max(1, moments))
    looked = 0
    seen = set()
    said: list[str] = []
    for call, paths, text, result in recorded:
        if call == "sendto":
            said += [line for line in paths[0].splitlines() if line.split()[0] in ("put", "doing", "done")]
            continue
        if not disk.do(call, paths, text, result):
            continue
        for number in range(each):
            keep = ("none", "all")[number] if number < 2 and each > 2 else "some"
            with tempfile.TemporaryDirectory(prefix="state-", dir=MEMORY) as folder:
                word = disk.write_out(folder, rng, keep)
                looked += 1
                if (word, len(said)) in seen:
                    continue
                seen.add((word, len(said)))
                try:
                    check(folder, tuple(said), before)
                except BaseException as error:
                    raise AssertionError(
                        f"power lost after {call} {paths}, {keep} kept, having said {said}: {error}"
                    ) from error
    return looked, len(seen)


@pytest.mark.parametrize("name", LIGHT + HEAVY)
def test_the_power_may_fail_at_any_moment(name, request):
    straced.needed()
    seed = random.randrange(2**32)
    print("seed", seed)
    share = STATES // (len(LIGHT) + 1)
    heavy = name in HEAVY
    looked, different = replay(name, share // (20 if heavy else 1), seed, world.holds if heavy else glance)
    print(f"{looked} states, {different} of them different")
    request.node.user_properties.append(("power-loss states", looked))
    assert looked > 20


@pytest.mark.parametrize("part", range(4))
def test_the_log_may_end_at_any_byte(part, tmp_path, request):
    """Whatever part of the log is left: an opening file, a prefix of what was acknowledged, and no more than that."""
    began = time.monotonic()
    with Store(tmp_path) as store:
        store.file.db.execute("PRAGMA wal_autocheckpoint=0")
        path = database.queue_file(str(tmp_path))
        ends = []
        while not ends or ends[-1] < LOG_BYTES:
            store.enqueue(len(ends) + 1, "update", ["title"])
            ends.append(os.path.getsize(path + "-wal"))
        whole, log = Path(path).read_bytes(), Path(path + "-wal").read_bytes()
    seed = random.randrange(2**32)
    print("seed", seed)
    cuts = range(part, len(log) + 1, 4)
    if not FULL:
        cuts = sorted(random.Random(seed).sample(cuts, SAMPLED_CUTS))
    folder = tempfile.mkdtemp(prefix="wal-", dir=MEMORY)
    try:
        target = os.path.join(folder, "data.db")
        Path(target).write_bytes(whole)
        for cut in cuts:
            Path(target + "-wal").write_bytes(log[:cut])
            with closing(sqlite3.connect(target, isolation_level=None)) as db:
                db.execute("PRAGMA wal_autocheckpoint=0")
                rows = db.execute(
                    "SELECT count(*) FROM sqlite_master WHERE name = ?", (layout.TABLE,)
                ).fetchone()
                keys = (
                    db.execute(f"SELECT key FROM {layout.TABLE} ORDER BY _id").fetchall() if rows[0] else []
                )
            found = [int(key[6:]) for (key,) in keys]
            least = sum(end <= cut for end in ends)
            assert found == list(range(1, len(found) + 1)), (cut, found)
            assert least <= len(found) <= least + 1, (cut, least, found)
            Path(target).write_bytes(whole)
            for end in ("-wal", "-shm"):
                Path(target + end).unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder)
    print(f"{len(cuts)} cuts in {time.monotonic() - began:.0f} s")
    request.node.user_properties.append(("WAL cuts", len(cuts)))


def test_the_replay_tells_full_from_normal(tmp_path, monkeypatch):
    """The replay itself: with ``synchronous=NORMAL`` it must find edits that were acknowledged and are gone."""
    straced.needed()
    source = straced.ROOT
    other = tmp_path / "copy"
    for part in ("plexsync", "tests", "scenarios"):
        shutil.copytree(source / part, other / part, ignore=shutil.ignore_patterns("__pycache__"))
    module = other / "plexsync" / "queue" / "database.py"
    text = module.read_text()
    assert text.count("PRAGMA synchronous=FULL") == 2
    module.write_text(text.replace("PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"))
    monkeypatch.setattr(straced, "ROOT", other)
    with pytest.raises(AssertionError, match="acknowledged and gone"):
        replay("hooks", 1_000, 1, glance)


def test_a_torn_recording_is_understood(tmp_path):
    """The replay knows its files: with everything kept it ends where the real folder ended."""
    straced.needed()
    root = tmp_path / "data"
    root.mkdir()
    disk = powerloss.Disk(str(root))
    disk.load()
    log = str(tmp_path / "log")
    straced.run("first hooks", str(root), *powerloss.OPTIONS, output=log)
    for call, paths, text, result in powerloss.steps(log):
        if call != "sendto":
            disk.do(call, paths, text, result)
    out = tmp_path / "out"
    out.mkdir()
    disk.write_out(str(out), None, "all")
    for name in ("queue/data.db", "queue/data.db-wal"):
        assert (out / name).read_bytes() == (root / name).read_bytes(), name
