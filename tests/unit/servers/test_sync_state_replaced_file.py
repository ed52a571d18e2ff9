"""The side tables when the queue file is deleted or replaced under a running worker."""

from __future__ import annotations

import os

from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry, Mark
from plexsync.servers.sync_state import SyncState
from scenarios.clock import ManualClock


def test_the_tables_are_made_again_in_the_file_that_takes_the_place_of_a_deleted_one(tmp_path):
    with Store(tmp_path, ManualClock()) as store:
        sync_state = SyncState(store.file, "http://plex:32400")
        sync_state.set_mark(1, Mark(1, 5.0))
        for name in (store.path, store.path + "-wal", store.path + "-shm"):
            os.unlink(name)
        assert store.reopen_if_replaced()

        assert sync_state.mark(1) is None
        sync_state.replace(1, [Entry(7, ("/data/a.mp4",))])
        sync_state.set_mark(1, Mark(1, 6.0))

        assert sync_state.lookup("/\0data/a.mp4") == (7,)
        assert sync_state.mark(1) == Mark(1, 6.0)


def test_a_first_write_after_the_change_finds_its_table_too(tmp_path):
    with Store(tmp_path, ManualClock()) as store:
        sync_state = SyncState(store.file, "http://plex:32400")
        for name in (store.path, store.path + "-wal", store.path + "-shm"):
            os.unlink(name)
        store.reopen_if_replaced()

        sync_state.drop(7)

        assert sync_state.lookup("/\0data/a.mp4") == ()
