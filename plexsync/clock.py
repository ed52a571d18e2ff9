"""Time as a thing one is handed: the system's, or one a test turns by hand.

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


class ManualClock:
    """Time that moves only when told; sleeping moves it, so a night passes in no time."""

    def __init__(
        self, now: float = 1_700_000_000.0, monotonic: float = 1_000.0, boot: str = "boot-1"
    ) -> None:
        self.wall = now
        self.mono = monotonic
        self.boot = boot

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Both clocks go on, as they do in the world."""
        self.wall += seconds
        self.mono += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; monotonic time does not notice."""
        self.wall += seconds

    def reboot(self, boot: str) -> None:
        """The machine starts again: monotonic time begins anew under another name."""
        self.mono = 0.0
        self.boot = boot
