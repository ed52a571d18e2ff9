"""The side tables: the path index as ``plex`` wants it, and what was written last."""

from __future__ import annotations

import pytest

from plexsync.core.match import folded_name, path_key
from plexsync.queue.store import Store
from plexsync.servers.path_index import BATCH, Entry, InMemory, Mark, PathIndex
from plexsync.servers.sync_state import LATE_S, SyncState
from scenarios.clock import ManualClock


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path, clock=ManualClock()) as opened:
        yield opened


@pytest.fixture(params=["sync_state", "memory"])
def index(request, store):
    return SyncState(store.file, "http://plex:32400") if request.param == "sync_state" else PathIndex()


def at(path, index):
    return index.lookup(path_key(path))


def test_a_listing_replaces_the_one_before(index):
    assert index.put(1, [Entry(10, ("/a.mp4", "/b.mp4")), Entry(11, ("/c.mp4",))]) == 2
    assert at("/a.mp4", index) == at("/b.mp4", index) == (10,)
    index.replace(1, [Entry(11, ("/d.mp4",)), Entry(12, ("/a.mp4",))])
    assert at("/a.mp4", index) == (12,)
    assert at("/b.mp4", index) == at("/c.mp4", index) == ()
    assert at("/d.mp4", index) == (11,)


def test_a_listing_of_one_library_leaves_the_others_alone(index):
    index.put(1, [Entry(10, ("/a.mp4",))])
    index.put(2, [Entry(20, ("/a.mp4",))])
    index.replace(1, [])
    assert at("/a.mp4", index) == (20,)


def test_an_item_that_changed_has_only_its_new_files(index):
    index.put(1, [Entry(10, ("/a.mp4",))])
    assert index.put(1, [Entry(10, ("/b.mp4",))]) == 0
    assert at("/a.mp4", index) == ()
    index.drop(10)
    assert at("/b.mp4", index) == ()
    index.drop(10)


def test_an_item_without_files_is_new_once(index):
    """Counted as new at every look, the library would never seem to have the size Plex tells."""
    assert index.put(1, [Entry(10, ()), Entry(11, ("/a.mp4",))]) == 2
    assert index.put(1, [Entry(10, ())]) == 0
    index.replace(1, [Entry(10, ()), Entry(11, ("/a.mp4",))])
    assert index.put(1, [Entry(10, ()), Entry(11, ())]) == 0
    assert list(index.paths()) == []
    assert index.put(1, [Entry(10, ("/b.mp4",))]) == 0
    assert list(index.paths()) == [path_key("/b.mp4")]
    index.drop(10)
    assert index.put(1, [Entry(10, ())]) == 1


def test_files_are_found_by_their_name_without_case(index):
    """Of a large library too; whoever waits for a file asks again and again."""
    index.put(
        1, [Entry(10, ("/x/Straße.mp4", "/x/b.mp4")), Entry(11, ("C:\\y\\STRASSE.MP4",)), Entry(12, ())]
    )
    names = [folded_name(path_key("/strasse.mp4"))]
    assert set(index.named(names)) == {path_key("/x/Straße.mp4"), path_key("C:\\y\\STRASSE.MP4")}
    assert list(index.named([])) == []
    index.drop(10)
    assert list(index.named([*names, "b.mp4"])) == [path_key("C:\\y\\STRASSE.MP4")]


def test_a_long_listing_is_whole(index):
    entries = [Entry(number, (f"/{number}.mp4",)) for number in range(1, 2 * BATCH + 8)]
    index.replace(1, entries)
    index.replace(1, entries[:-1])
    assert at(f"/{2 * BATCH}.mp4", index) == (2 * BATCH,)
    assert at(entries[-1].files[0], index) == ()


def test_how_far_a_library_is_known(index):
    assert index.mark(1) is None
    index.set_mark(1, Mark(5, 100.0))
    index.set_mark(1, Mark(6, 200.0))
    assert index.mark(1) == Mark(6, 200.0)


def test_another_server_starts_with_nothing(store):
    one, two = SyncState(store.file, "http://one:32400"), SyncState(store.file, "http://two:32400")
    one.put(1, [Entry(10, ("/a.mp4",))])
    one.record(1, 10, "print", {"title": "A"})
    one.choose(1, 10)
    assert at("/a.mp4", two) == ()
    assert two.recall(1) is None and two.choice(1) is None


def test_what_was_written_is_remembered_until_forgotten(store):
    sync_state = SyncState(store.file, "http://plex:32400")
    sync_state.record(1, 10, "print", {"title": "A", "genres": ["x", "y"]})
    memory = sync_state.recall(1)
    assert (memory.rating_key, memory.fingerprint, memory.synced_at) == (10, "print", store.clock.now())
    assert memory.written == {"title": "A", "genres": ["x", "y"]}
    sync_state.record(1, 11, "other", {})
    assert sync_state.recall(1).rating_key == 11
    sync_state.forget(1)
    assert sync_state.recall(1) is None


@pytest.fixture(params=["sync_state", "memory"])
def sync_state(request, store):
    return SyncState(store.file, "http://plex:32400") if request.param == "sync_state" else SyncState()


def test_what_was_intended_is_kept_until_its_end_was_seen(sync_state):
    sync_state.note_pending(1, 10, {"title": "A"})
    sync_state.note_pending(1, 10, {"title": "B"})
    sync_state.note_pending(1, 10, {"title": "A"})
    sync_state.note_pending(1, 11, {"title": "of another item"})
    assert sync_state.pending_writes(1, 10) == [{"title": "B"}, {"title": "A"}]
    sync_state.record(1, 10, "print", {"title": "A"}, {}, {"title": "A"})
    assert sync_state.pending_writes(1, 10) == [{"title": "A"}, {"title": "B"}], (
        "that one may land, and the first A too"
    )
    assert sync_state.pending_writes(1, 11) == []
    sync_state.note_pending(1, 10, {"title": "C"})
    sync_state.drop_pending(1, 10, {"title": "C"})
    sync_state.drop_pending(1, 10, {"title": "B"})
    assert sync_state.pending_writes(1, 10) == [{"title": "A"}]
    sync_state.forget(1)
    assert sync_state.pending_writes(1, 10) == []


def test_a_write_without_an_end_is_settled_by_a_look_long_after(store):
    for sync_state in (SyncState(store.file, "http://plex:32400"), SyncState(InMemory(store.clock))):
        assert sync_state.settle(1, store.clock.now()) is None
        began = store.clock.now()
        sync_state.note_pending(1, 10, {"title": "A"})
        store.clock.advance(50)
        sync_state.note_pending(1, 10, {"title": "B"})
        sync_state.note_pending(2, 10, {"title": "A"})
        assert sync_state.unsettled([1, 2, 3]) == {1, 2}
        assert sync_state.settle(1, began - 1) == began + 50
        assert sync_state.settle(1, began) == began + 50, "A has landed by now, B may still"
        assert sync_state.settle(1, began - 90, began + 20) == began + 20, (
            "the clock was set back: begun now at the latest"
        )
        assert sync_state.settle(1, began + 50) is None and sync_state.unsettled([1, 2, 3]) == {2}
        assert sync_state.pending_writes(1, 10) == [{"title": "A"}, {"title": "B"}], "still no edit by hand"
        sync_state.pending_landed(2, 10, {"title": "A"})
        assert sync_state.unsettled([2]) == set() and sync_state.pending_writes(2, 10) == [{"title": "A"}]


def test_who_else_has_an_item_and_which_scenes_are_known(sync_state):
    for scene_id, rating_key in ((3, 10), (1, 10), (2, 11), (9, 10)):
        sync_state.record(scene_id, rating_key, "print", {})
    assert sync_state.others_of(10, 1) == (3, 9)
    assert {key: list(some) for key, some in sync_state.written_to_many([10, 11, 12]).items()} == {
        10: [1, 3, 9],
        11: [2],
    }
    assert sync_state.others_of(11, 2) == ()
    assert sync_state.scene_ids(1, 3) == [2, 3]
    sync_state.choose(9, 10)
    sync_state.forget(9)
    assert sync_state.scene_ids(0, 100) == [1, 2, 3] and sync_state.choice(9) is None


def test_what_is_awaited_is_told_once_when_it_is_there(sync_state):
    assert not sync_state.expects() and sync_state.arrived() == []
    for scene_id in (1, 2, 3, 4):
        sync_state.expect(scene_id, ["/old.mp4"])
        sync_state.expect(scene_id, [f"/{scene_id}.mp4", f"/{scene_id}.mkv"])
    sync_state.record(3, 30, "print", {})  # found otherwise
    sync_state.forget(4)
    sync_state.put(
        1, [Entry(10, ("/1.mp4", "/1.mkv")), Entry(30, ("/3.mp4",)), Entry(40, ("/4.mp4", "/old.mp4"))]
    )
    assert sync_state.arrived() == [1] and sync_state.arrived() == []
    assert sync_state.expects()
    sync_state.put(1, [Entry(20, ("/2.mkv",))])
    assert sync_state.arrived() == [2] and not sync_state.expects()


def test_what_was_intended_long_ago_is_forgotten_at_the_next_look(store):
    sync_state = SyncState(store.file, "http://plex:32400")
    sync_state.note_pending(1, 10, {"title": "A"})
    store.clock.advance(LATE_S + 1)
    assert sync_state.pending_writes(1, 10) == [{"title": "A"}], "nobody has looked since"
    sync_state.record(1, 10, "print", {})
    assert sync_state.pending_writes(1, 10) == []


def test_a_damaged_intention_is_none(store):
    sync_state = SyncState(store.file, "http://plex:32400")
    sync_state.note_pending(1, 10, {"title": "A"})
    for damage in ("{", "[]"):
        store.file.db.execute("UPDATE pending_writes SET fields = ?", (damage,))
        assert sync_state.pending_writes(1, 10) == []


def test_a_damaged_memory_is_no_memory(store):
    sync_state = SyncState(store.file, "http://plex:32400")
    sync_state.record(1, 10, "print", {})
    store.file.db.execute("UPDATE scenes SET written = '{'")
    assert sync_state.recall(1) is None


def test_a_choice_stays_and_may_change(store):
    sync_state = SyncState(store.file, "http://plex:32400")
    assert sync_state.choice(1) is None
    sync_state.choose(1, 10)
    sync_state.choose(1, 11)
    assert SyncState(store.file, "http://plex:32400").choice(1) == 11


def test_an_index_that_was_never_asked_has_no_paths():
    assert list(PathIndex().paths()) == []


def test_a_write_that_0_1_did_not_see_the_end_of_is_still_pending(tmp_path):
    """Its table had another name. Forgotten, that write would pass for an edit made in Plex."""
    with Store(tmp_path, clock=ManualClock()) as store:
        store.file.db.execute(
            "CREATE TABLE intended (server TEXT NOT NULL, scene_id INTEGER NOT NULL, rating_key INTEGER NOT NULL,"
            " fields TEXT NOT NULL, intended_at REAL NOT NULL, checked INTEGER NOT NULL DEFAULT 0)"
        )
        store.file.db.execute(
            "INSERT INTO intended VALUES ('http://plex', 1, 10, '{\"title\": \"A\"}', 5.0, 0)"
        )
        for _ in range(2):  # the second finds nothing left to take over
            sync_state = SyncState(store.file, "http://plex")
            assert sync_state.pending_writes(1, 10) == [{"title": "A"}]
            assert sync_state.unsettled([1]) == {1}
