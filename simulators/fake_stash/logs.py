"""Stash's log as clients see it: the last 30 items, newest first, and batches for subscribers."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

LEVELS = ("Trace", "Debug", "Info", "Warning", "Error")
KEPT = 30

_TO_PYTHON = {"Trace": 5, "Debug": logging.DEBUG, "Info": logging.INFO, "Warning": logging.WARNING}
_output = logging.getLogger("simulators.fake_stash")


@dataclass(frozen=True, slots=True)
class LogEntry:
    time: datetime
    level: str
    message: str


class Log:
    """Cache and fan-out. Safe to call from any thread; listeners are called in the caller's thread."""

    def __init__(self, now: Callable[[], datetime], level: str = "Info") -> None:
        self.level = (
            level  # entries below it are neither kept nor sent (Stash: logLevel; Info unless configured)
        )
        self._now = now
        self._kept: deque[LogEntry] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[LogEntry], object]] = []

    def write(self, level: str, message: str) -> None:
        _output.log(_TO_PYTHON.get(level, logging.ERROR), "%s", message)
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        entry = LogEntry(self._now(), level, message)
        self._kept.append(entry)
        for listener in list(self._listeners):
            listener(entry)

    def trace(self, message: str) -> None:
        self.write("Trace", message)

    def debug(self, message: str) -> None:
        self.write("Debug", message)

    def info(self, message: str) -> None:
        self.write("Info", message)

    def warning(self, message: str) -> None:
        self.write("Warning", message)

    def error(self, message: str) -> None:
        self.write("Error", message)

    def recent(self) -> list[LogEntry]:
        """Newest first."""
        return list(self._kept)[::-1]

    def listen(self, listener: Callable[[LogEntry], object]) -> Callable[[], None]:
        """Call `listener` with every entry from now on; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
