"""The durable store and its twin in memory, side by side: whatever is done to both, they must agree.

Every rule does the same to both worlds and compares what came back; an invariant compares all that can be seen. Three
processes work on each world. They are killed, the clocks jump, the machine restarts, hooks write rows and spool files.
In the end everything heals and drains, and what went in must have come out.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plexsync import hook
from plexsync.core.job import StaleLease
from plexsync.queue import database, events, layout, spool
from plexsync.queue.store import Store
from scenarios.clock import ManualClock
from tests.stores import Durable, InMemory

EXAMPLES = int(os.environ.get("PLEXSYNC_EXAMPLES", "25"))
SCENES = st.integers(1, 4)
KINDS = st.sampled_from(events.KINDS)
FIELDS = st.lists(st.sampled_from(["title", "date", "tag_ids", "\ud83d", "\x00"]), max_size=3)
WAITS = st.sampled_from([-5, 0, 30, 5000])
SERVERS = st.sampled_from(["", "Plex", "Stash"])
WHO = st.integers(0, 2)
DATA = st.none() | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=2)


def comparable(value):
    """What both must agree on: everything but the tokens, which are chance."""
    return replace(value, token="") if hasattr(value, "token") else value


def outcome(act):
    """What a call gave, or that the job was no longer ours."""
    try:
        found = act()
    except StaleLease:
        return "stale"
    if isinstance(found, list):
        return [comparable(one) for one in found]
    return comparable(found)


class Twins(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clocks = (ManualClock(), ManualClock())
        self.worlds = (Durable(self.clocks[0]), InMemory(self.clocks[1]))
        self.doors = [[world.open() for _ in range(3)] for world in self.worlds]
        self.jobs = []  # pairs, as claimed; some long stale
        self.edits = 0
        self.wanted = set()  # scenes edited and not yet looked at since

    def both(self, act):
        """Do it to both worlds; what came back must be the same."""
        found = [act(number) for number in (0, 1)]
        assert found[0] == found[1]
        return found[0]

    def teardown(self):
        for world in self.worlds:
            world.end()

    # ---- edits ----

    @rule(who=WHO, scene=SCENES, kind=KINDS, fields=FIELDS, data=DATA)
    def put(self, who, scene, kind, fields, data):
        self.both(lambda n: self.doors[n][who].enqueue(scene, kind, fields, data))
        self.wanted.add(scene)

    @rule(who=WHO, scenes=st.lists(SCENES, max_size=4), hurry=st.booleans())
    def enqueue_many(self, who, scenes, hurry):
        self.both(lambda n: self.doors[n][who].enqueue_many(scenes, hurry=hurry))
        self.wanted |= set(scenes)

    @rule(who=WHO, scene=SCENES, in_s=st.sampled_from([0.0, 30.0]))
    def enqueue_later(self, who, scene, in_s):
        self.both(lambda n: self.doors[n][who].enqueue_later(scene, self.clocks[n].now() + in_s))

    @rule(who=WHO, number=SCENES, entity=st.sampled_from(["performer", events.LIBRARY]))
    def put_entity(self, who, number, entity):
        self.both(lambda n: self.doors[n][who].enqueue(number, "update", ["name"], entity=entity))

    @rule(who=WHO, scene=SCENES, parallel=st.booleans())
    def put_batch_job(self, who, scene, parallel):
        self.both(
            lambda n: self.doors[n][who].enqueue_payload(
                {"scene_id": scene, "parallel": parallel, "event": "e"}
            )
        )
        self.wanted.add(scene)

    @rule(who=WHO, odd=st.sampled_from([[], {}, "x", {"scene_id": 0}]))
    def put_something_else(self, who, odd):
        self.both(lambda n: self.doors[n][who].enqueue_payload(odd))

    @rule(scene=SCENES, kind=KINDS, fields=FIELDS, ago=st.sampled_from([0, 50]))
    def spool(self, scene, kind, fields, ago):
        event = events.new_event(scene, kind, fields, now=self.clocks[0].now() - ago)
        for world in self.worlds:
            world.spool(event)
        self.wanted.add(scene)

    @rule(who=WHO)
    def merge_spool(self, who):
        self.both(lambda n: self.doors[n][who].spool.merge())

    # ---- working ----

    def took(self, pair):
        if pair[0] is not None:
            self.jobs.append(pair)
            self.wanted.discard(pair[0].scene_id)  # it is read after the claim

    @rule(who=WHO, lease=st.sampled_from([5.0, 60.0]))
    def claim(self, who, lease):
        pair = [self.doors[n][who].claim(lease) for n in (0, 1)]
        found = [one and comparable(one) for one in pair]
        assert found[0] == found[1]
        self.took(pair)

    @rule(who=WHO, limit=st.integers(1, 3))
    def claim_many(self, who, limit):
        found = [self.doors[n][who].claim_many(limit) for n in (0, 1)]
        assert list(map(comparable, found[0])) == list(map(comparable, found[1]))
        for pair in zip(*found, strict=True):
            self.took(list(pair))

    @rule(who=WHO, limit=st.integers(1, 3))
    def claim_batch(self, who, limit):
        found = [self.doors[n][who].claim_batch(limit) for n in (0, 1)]
        plain = [[(comparable(job), without_event(payload)) for job, payload in side] for side in found]
        assert plain[0] == plain[1]
        for (one, _), (two, _) in zip(*found, strict=True):
            self.took([one, two])

    def closing(self, which, who, act):
        pair = self.jobs[which % len(self.jobs)]
        said = self.both(lambda n: outcome(lambda: act(self.doors[n][who], pair[n])))
        if said == "stale":
            return
        if not isinstance(said, int):
            self.wanted.add(pair[0].scene_id)

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 50), who=WHO)
    def finish(self, which, who):
        pair = self.jobs[which % len(self.jobs)]
        self.both(lambda n: outcome(lambda: self.doors[n][who].finish(pair[n], "synced")))

    @precondition(lambda self: self.jobs)
    @rule(
        which=st.integers(0, 50),
        who=WHO,
        wait=st.sampled_from([-5, 0, 30, 5000]),
        uses=st.booleans(),
        server=SERVERS,
    )
    def postpone(self, which, who, wait, uses, server):
        until = self.clocks[0].now() + wait
        self.closing(which, who, lambda door, job: door.postpone(job, until, f"reason {wait}", uses, server))

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 50), who=WHO)
    def requeue(self, which, who):
        self.closing(which, who, lambda door, job: door.requeue(job))

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 50), who=WHO, kind=st.sampled_from(["A", "B"]))
    def dead_letter(self, which, who, kind):
        self.closing(which, who, lambda door, job: door.dead_letter(job, kind, "message", "traceback"))

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 50), who=WHO, lease=st.sampled_from([5.0, 60.0]))
    def heartbeat(self, which, who, lease):
        pair = self.jobs[which % len(self.jobs)]
        self.both(lambda n: self.doors[n][who].holds(pair[n]))
        self.both(lambda n: outcome(lambda: self.doors[n][who].heartbeat(pair[n], lease)))

    @rule(who=WHO)
    def recover(self, who):
        self.both(lambda n: self.doors[n][who].upkeep.recover())

    @rule(who=WHO, server=st.sampled_from([None, "Plex", "Stash"]))
    def release_due(self, who, server):
        self.both(lambda n: self.doors[n][who].upkeep.release_due(server))

    # ---- dead letters, clearing, pruning ----

    @rule(who=WHO, ids=st.none() | st.lists(st.integers(1, 5), max_size=3), kind=st.sampled_from([None, "A"]))
    def replay(self, who, ids, kind):
        self.both(lambda n: self.doors[n][who].letters.replay(ids, kind))
        self.wanted |= {job.scene_id for job in self.doors[1][who].waiting(1000) if job.scene_id}

    @rule(who=WHO, kind=st.sampled_from(["A", "C"]), scene=SCENES | st.none())
    def add_dead_letter(self, who, kind, scene):
        payload = {"event": "e"} if scene is None else {"scene_id": scene, "event": "e"}
        self.both(lambda n: self.doors[n][who].letters.add(payload, kind, "from outside", "", 2))

    @rule(who=WHO, age=st.sampled_from([0.0, 100.0]))
    def purge_dead(self, who, age):
        self.both(lambda n: self.doors[n][who].letters.purge(age))

    @rule(who=WHO)
    def clear_dead(self, who):
        self.both(lambda n: self.doors[n][who].letters.clear())

    @rule(who=WHO)
    def clear_waiting(self, who):
        self.both(lambda n: self.doors[n][who].clear_waiting())
        self.wanted.clear()

    @rule(who=WHO, keep=st.integers(0, 5))
    def prune(self, who, keep):
        self.both(lambda n: self.doors[n][who].upkeep.prune(keep))

    @rule(who=WHO)
    def tidy(self, who):
        for n in (0, 1):
            self.doors[n][who].upkeep.tidy()

    @rule(
        who=WHO,
        server=st.sampled_from(["Plex", "Stash"]),
        ends=st.booleans(),
        why=st.sampled_from(["busy", "off"]),
    )
    def outage(self, who, server, ends, why):
        for n in (0, 1):
            door = self.doors[n][who]
            door.state.close_outage(server) if ends else door.state.open_outage(server, why)
            door.state.save_breaker(server, {"state": "closed" if ends else "open"})

    # ---- what happens to processes and machines ----

    @rule(who=WHO, killed=st.booleans())
    def another_process(self, who, killed):
        for n in (0, 1):
            world, door = self.worlds[n], self.doors[n][who]
            world.kill(door) if killed else door.close()
            self.doors[n][who] = world.open()

    @rule(seconds=st.sampled_from([0.5, 10.0, 61.0, 4000.0]))
    def time_passes(self, seconds):
        for clock in self.clocks:
            clock.advance(seconds)

    @rule(seconds=st.sampled_from([-86_400.0, -10.0, 10.0, 86_400.0]))
    def somebody_sets_the_clock(self, seconds):
        for clock in self.clocks:
            clock.jump(seconds)

    @rule(name=st.sampled_from(["boot-2", "boot-3"]))
    def the_machine_restarts(self, name):
        for n in (0, 1):
            for who in range(3):
                self.worlds[n].kill(self.doors[n][who])
            self.clocks[n].reboot(name)
            self.doors[n] = [self.worlds[n].open() for _ in range(3)]

    # ---- what must hold at every moment ----

    @invariant()
    def they_agree(self):
        self.both(lambda n: self.doors[n][0].counts())
        self.both(lambda n: [comparable(job) for job in self.doors[n][1].waiting(100)])
        self.both(lambda n: self.doors[n][1].remarks(100))
        self.both(lambda n: [letter_of(one) for one in self.doors[n][2].letters.newest(100, replayed=True)])
        self.both(lambda n: self.doors[n][0].letters.by_type())
        self.both(lambda n: self.doors[n][0].state.outages())
        self.both(lambda n: self.doors[n][0].state.load_breaker("Plex"))

    @invariant()
    def a_scene_waits_once_and_is_worked_on_once(self):
        for status in ("status < 2", "status = 2"):
            rows = self.doors[0][0].file.db.execute(
                f"SELECT key, count(*) FROM {layout.TABLE} WHERE {status} AND key IS NOT NULL GROUP BY key"
            )
            assert all(number == 1 for _, number in rows)

    @invariant()
    def everything_is_in_one_place(self):
        db = self.doors[0][0].file.db
        (failed,) = db.execute(f"SELECT count(*) FROM {layout.TABLE} WHERE status = 9").fetchone()
        (letters,) = db.execute(
            "SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL AND job_id IS NOT NULL"
        ).fetchone()
        (kept,) = db.execute("SELECT value FROM tally WHERE name = 'kept'").fetchone()
        (done,) = db.execute(f"SELECT count(*) FROM {layout.TABLE} WHERE status = 5").fetchone()
        assert failed == letters
        assert kept == done

    @invariant()
    def no_edit_is_lost(self):
        """A scene that was edited and not looked at since is waiting, being looked at, spooled or a dead letter."""
        db = self.doors[0][0].file.db
        rows = db.execute(f"SELECT DISTINCT key FROM {layout.TABLE} WHERE status IN (0, 1, 2, 9)")
        found = {int(key.partition(":")[2]) for (key,) in rows if key and key.startswith("scene:")}
        found |= {event["scene_id"] for event in self.worlds[1].memory.spool}
        found |= {row[0] for row in db.execute("SELECT scene_id FROM dead_letters WHERE replayed_at IS NULL")}
        assert self.wanted - {0} <= found | self.cleared()

    def cleared(self):
        return set()


def without_event(payload):
    """Ids of events are chance."""
    return {k: v for k, v in payload.items() if k != "event"} if isinstance(payload, dict) else payload


def letter_of(letter):
    return replace(letter, payload=without_event(letter.payload))


class CountedTwins(Twins):
    """As above; dead letters that a person deletes are no loss either."""

    @initialize()
    def begin(self):
        self.deleted = set()

    @rule(who=WHO, age=st.sampled_from([0.0, 100.0]))
    def purge_dead(self, who, age):
        self.deleted |= {letter.scene_id for letter in self.doors[1][who].letters.newest(1000)}
        self.both(lambda n: self.doors[n][who].letters.purge(age))

    @rule(who=WHO)
    def clear_dead(self, who):
        self.deleted |= {letter.scene_id for letter in self.doors[1][who].letters.newest(1000)}
        self.both(lambda n: self.doors[n][who].letters.clear())

    def cleared(self):
        return self.deleted


TestTwins = CountedTwins.TestCase
TestTwins.settings = settings(
    max_examples=EXAMPLES,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
        *([Phase.shrink] * bool(os.environ.get("PLEXSYNC_SHRINK"))),
    ],
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


# ---- the hook's row and the queue's are one ----

EVENTS = st.lists(st.tuples(SCENES, KINDS, FIELDS), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    numbers = iter(range(10**9))
    return lambda: tmp_path_factory.mktemp(f"twins{next(numbers)}")


@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
@given(edits=EVENTS)
def test_hook_row_and_queue_row_are_one_row(edits, folders):
    by_hook, by_store = folders(), folders()
    clock = ManualClock()
    for scene, kind, fields in edits:
        hook.keep(str(by_hook), events.new_event(scene, kind, sorted(fields), now=clock.now()))
    gc.collect()
    with Store(by_store, clock) as store:
        for scene, kind, fields in edits:
            store.enqueue(scene, kind, fields)
    found = []
    for folder in (by_hook, by_store):
        with closing(sqlite3.connect(database.queue_file(str(folder)))) as db:
            cursor = db.execute(f"SELECT * FROM {layout.TABLE} ORDER BY _id")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in rows:
            payload = json.loads(row["data"])
            assert row["checksum"] == events.checksum(row["data"])
            assert len(payload["event"]) == 16
            row["data"] = without_event(payload)
            for chance in ("checksum", "due_at", "decided_at"):  # the hook has the machine's time
                del row[chance]
        found.append(rows)
    assert found[0] == found[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=EXAMPLES * 4, deadline=None, print_blob=True)
@given(payload=JSON)
def test_what_goes_in_comes_out(payload, shared_store):
    if events.key_of(payload) is not None or payload is None:
        return
    shared_store.enqueue_payload(payload)
    job, out, _ = shared_store.claim_row()
    assert out == payload
    shared_store.finish(job)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("shared")) as store:
        yield store


@settings(max_examples=EXAMPLES * 4, deadline=None, print_blob=True)
@given(
    scene=st.integers(1, 2**63 - 1),
    kind=KINDS,
    fields=st.lists(st.text()),
    data=st.dictionaries(st.text(), JSON),
)
def test_a_spooled_edit_comes_back_whatever_it_says(scene, kind, fields, data):
    event = events.new_event(scene, kind, fields, data)
    text = events.encode(event)
    assert spool.read(f'{{"checksum":{events.checksum(text)},"event":{text}}}\n'.encode()) == event


@settings(max_examples=EXAMPLES * 4, deadline=None, print_blob=True)
@given(st.binary(max_size=300))
def test_no_bytes_are_an_event_by_accident(raw):
    assert spool.read(raw) is None


@settings(max_examples=EXAMPLES * 4, deadline=None, print_blob=True)
@given(st.lists(st.tuples(KINDS, FIELDS, st.integers(0, 100)), min_size=2, max_size=5))
def test_merging_is_the_same_in_whatever_steps(edits):
    """(a + b) + c is a + (b + c): the rows of a scene may meet in any grouping."""
    rows = [events.new_event(1, kind, sorted(fields), now=float(at)) for kind, fields, at in edits]
    left = rows[0]
    for event in rows[1:]:
        left = events.merged(left, event)
    right = rows[-1]
    for event in reversed(rows[:-1]):
        right = events.merged(event, right)
    assert {**left, "data": 0} == {**right, "data": 0}
