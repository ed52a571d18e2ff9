"""The threads that write to Plex side by side; how many at a time serve best is found by trying (``core.throttle``).

The threads live as long as the worker. With one write at a time there are none: the caller writes itself, in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from plexsync.clock import Clock
from plexsync.core.failures import Unavailable
from plexsync.core.throttle import Throttle, after_burst
from plexsync.core.verdict import Failed, Outcome
from plexsync.sync.plan_batch import ScenePlan

HANDED_S = 0.5  # what was written is handed over at least this often
HANDED = 4  # and this many at a time when they are written in order

Written = tuple[
    int, Outcome, ScenePlan
]  # the number in what was given, what came of it, and the look as it is then
Write = Callable[[ScenePlan], tuple[Outcome, ScenePlan]]


class Writers:
    """Not for several callers at once."""

    def __init__(self, clock: Clock) -> None:
        self.throttle = Throttle()
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0  # threads the pool may have
        self._changed = threading.Condition()
        self._left: deque[tuple[int, ScenePlan]] = deque()
        self._written: list[Written] = []
        self._active = 0  # threads at work
        self._down = False

    def apply_all(
        self,
        plans: Sequence[ScenePlan],
        write: Write,
        most: int,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Iterator[list[Written]]:
        """Write all of ``plans``, at most ``most`` at a time, and hand over what is done, piece by piece.

        Ends early when the server is found to be down: what is missing then was not tried. ``write`` must not raise.
        ``meanwhile`` is called once while threads are writing, not at all when there are none.
        """
        self.throttle = replace(self.throttle, most=most, limit=min(self.throttle.limit, most))
        self._left, self._down = deque(enumerate(plans)), False
        if self.throttle.limit == 1:
            while self._left and not self._down:
                yield [self._one(write) for _ in range(min(HANDED, len(self._left))) if not self._down]
            return
        self._start(write, most)
        try:
            meanwhile()
        except BaseException:
            self._left.clear()
            self._wait(None)
            raise
        while True:
            over = self._wait(HANDED_S)
            with self._changed:
                written, self._written = self._written, []
            if written:
                yield written
            if over:
                return

    def learn(self, writes: int, seconds: float) -> None:
        """So many writes took so long, with all that goes with them; for how many to send at a time next."""
        self.throttle = after_burst(self.throttle, writes, seconds, self._down)

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    @property
    def down(self) -> bool:
        """Whether the last ``apply_all`` found the server down."""
        return self._down

    def _one(self, write: Write) -> Written:
        number, seen = self._left.popleft()
        outcome, seen = write(seen)
        if isinstance(outcome, Failed) and isinstance(outcome.error, Unavailable):
            self._down = True
        return number, outcome, seen

    def _start(self, write: Write, most: int) -> None:
        if self._pool is None or self._size < most:
            self.close()
            self._pool, self._size = ThreadPoolExecutor(most, "write"), most
        threads = min(self.throttle.limit, len(self._left))
        self._active = threads
        for _ in range(threads):
            self._pool.submit(self._work, write)

    def _work(self, write: Write) -> None:
        """One thread's part: the next that is left, and the next, until nothing is or the server is down."""
        try:
            while not self._down:
                try:
                    written = self._one(write)
                except IndexError:
                    return  # another thread took the last one
                self._written.append(written)
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify()

    def _wait(self, seconds: float | None) -> bool:
        """Whether all threads are through, after ``seconds`` at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active, seconds)
