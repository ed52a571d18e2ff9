"""Time as a thing one is handed, so that simulated worlds and tests can hand over another.

``now`` is wall time (seconds since 1970, may jump); ``monotonic`` never goes back, and on Linux, macOS and Windows
means the same instant in every process until the machine restarts. ``boot`` names that span, so that a monotonic
time written to a file can be told from one of an earlier boot.
"""

from __future__ import annotations

import time
from typing import Protocol


def boot_id() -> str:
    """A name for the time since the machine started; "" where the system offers none.

    Linux gives a random id per boot; a container sees its host's. Elsewhere an old lease is told by the owner's lock
    being free instead.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


class Clock(Protocol):
    """What the store and the worker ask of time."""

    boot: str

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own time."""

    def __init__(self) -> None:
        self.boot = boot_id()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
