"""A clock turned by hand, for simulated worlds and tests: it keeps the contract of ``plexsync.clock.Clock``."""

from __future__ import annotations


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
        """The wall clock is set; monotonic time does not notice."""
        self.wall += seconds

    def reboot(self, boot: str) -> None:
        """The machine starts again: monotonic time begins anew under another name."""
        self.mono = 0.0
        self.boot = boot
