"""Of all processes that find a breaker half open at the same instant, exactly one asks the server."""

from __future__ import annotations

import os
import random
import time

import pytest

from plexsync.clock import SystemClock
from plexsync.core import breaker
from plexsync.core.failures import Unavailable
from plexsync.core.settings import Settings
from plexsync.queue.store import Store
from plexsync.sync.worker import Worker

PROCESSES, ROUNDS = 6, 8

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


class _Slow:
    """Plex answers nobody for a while; each probe is a byte in the pipe."""

    def __init__(self, probes: int) -> None:
        self.probes = probes

    def settings(self) -> Settings:
        return Settings(plex_url="http://plex:32400", plex_token="token-of-the-owner")

    def probe(self, server: str) -> None:
        os.write(self.probes, b".")
        time.sleep(0.3)
        raise Unavailable("Plex", "Plex does not answer.")


def asker(folder: str, go: int, probes: int) -> None:
    """In a child: wait for the start, ask whether to claim, and be gone."""
    status = 1
    try:
        clock = SystemClock()
        with Store(folder, clock) as store:
            worker = Worker(store, _Slow(probes), clock, random.Random())
            os.write(probes, b"r")
            os.read(go, 1)
            status = int(worker.outages.may_claim())
    finally:
        os._exit(status)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_process_asks(tmp_path, number):
    with Store(tmp_path) as store:
        due = breaker.Breaker(breaker.State.OPEN, 3, time.time() - 9, time.time() - 1, 4.0)
        store.state.save_breaker("Plex", breaker.to_dict(due))
    go, start = os.pipe()
    said, probes = os.pipe()
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(start)
            asker(str(tmp_path), go, probes)
        children.append(child)
    os.close(go)
    os.close(probes)
    ready = 0
    while ready < PROCESSES:
        ready += len(os.read(said, 1))
    os.close(start)
    with os.fdopen(said, "rb") as pipe:
        asked = pipe.read()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * PROCESSES
    assert asked == b"."
    with Store(tmp_path) as store:
        known = breaker.from_dict(store.state.load_breaker("Plex"))
        assert (known.state, known.failures) == (breaker.State.OPEN, 4)
