"""The side tables when the queue file is deleted or replaced under a running worker."""

from __future__ import annotations

import os

from plexsync.clock import ManualClock
from plexsync.queue.store import Store
from plexsync.servers.plex import Entry, Mark
from plexsync.servers.sync_state import Ledger


def test_the_tables_are_made_again_in_the_file_that_takes_the_place_of_a_deleted_one(tmp_path):
    with Store(tmp_path, ManualClock()) as store:
        ledger = Ledger(store, "http://plex:32400")
        ledger.set_mark(1, Mark(1, 5.0))
        for name in (store.path, store.path + "-wal", store.path + "-shm"):
            os.unlink(name)
        assert store.reopen_if_replaced()

        assert ledger.mark(1) is None
        ledger.replace(1, [Entry(7, ("/data/a.mp4",))])
        ledger.set_mark(1, Mark(1, 6.0))

        assert ledger.lookup("/\0data/a.mp4") == (7,)
        assert ledger.mark(1) == Mark(1, 6.0)


def test_a_first_write_after_the_change_finds_its_table_too(tmp_path):
    with Store(tmp_path, ManualClock()) as store:
        ledger = Ledger(store, "http://plex:32400")
        for name in (store.path, store.path + "-wal", store.path + "-shm"):
            os.unlink(name)
        store.reopen_if_replaced()

        ledger.drop(7)

        assert ledger.lookup("/\0data/a.mp4") == ()
