"""Ends a child at the n-th moment of what it does: SIGKILL at an executed line of the product, or at an SQL statement.

The child is a fork, so a point costs milliseconds. It writes what it has been answered for into a pipe, a line a piece;
what stands there when it dies was acknowledged. Lines are counted with ``sys.settrace`` up to Python 3.11 and with
``sys.monitoring`` from 3.12 on; the product needs no trap doors for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PRODUCT = str(Path(__file__).resolve().parents[2] / "plexsync") + os.sep
MEMORY = (
    "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
)  # where a sync costs nothing; deaths are the same

Say = Callable[[str], None]
Operation = Callable[[str, Say], None]


@dataclass(frozen=True)
class Death:
    """How a child ended, and what it had said by then."""

    said: tuple[str, ...]
    killed: bool  # else it came to its end, and there are no more points
    error: str = ""


class Trap:
    """Counts moments and ends the process at the n-th; 0 is never."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0

    def spring(self, *_: object) -> None:
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def lines(self) -> None:
        """From here on every line of the product is a moment."""
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.DEBUGGER_ID, "kill_at")
            monitoring.register_callback(monitoring.DEBUGGER_ID, monitoring.events.LINE, self._line)
            monitoring.set_events(monitoring.DEBUGGER_ID, monitoring.events.LINE)
        else:
            sys.settrace(self._trace)

    def _line(self, code: object, line: int) -> object:
        if not code.co_filename.startswith(PRODUCT):
            return sys.monitoring.DISABLE
        return self.spring()

    def _trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PRODUCT):
            return None
        if event == "line":
            self.spring()
        return self._trace

    def statements(self) -> None:
        """From here on every SQL statement of every connection is a moment."""
        connect = sqlite3.connect

        def traced(*args, **more):
            db = connect(*args, **more)
            db.set_trace_callback(self.spring)
            return db

        sqlite3.connect = traced
        import _sqlite3

        from plexsync.queue import database

        _sqlite3.connect = traced
        database.sqlite3.connect = traced


def run(operation: Operation, folder: str, at: int, kind: str) -> Death:
    """Fork, do ``operation(folder, say)``, and end it at its ``at``-th moment of that kind ("line", "statement")."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(read)
            trap = Trap(at)
            if kind == "line":
                trap.lines()
            elif kind == "statement":
                trap.statements()
            operation(folder, lambda text: os.write(write, f"{text}\n".encode()))
            status = 0
        except BaseException:  # noqa: BLE001 - a child may not return into the test
            os.write(write, ("ERROR " + traceback.format_exc().replace("\n", " | ") + "\n").encode())
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    errors = [line for line in said if line.startswith("ERROR")]
    return Death(
        tuple(line for line in said if not line.startswith("ERROR")),
        os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "".join(errors),
    )


def every_point(
    operation: Operation,
    prepare: Callable[[str], None],
    check: Callable[[str, tuple[str, ...]], None],
    kind: str,
    step: int = 1,
    first: int = 1,
) -> int:
    """Kill at each moment (each ``step``-th), check what is left; how many deaths there were.

    Raises AssertionError naming the moment; any error of the child that is not a death is one too.
    """
    with tempfile.TemporaryDirectory(prefix="kill-", dir=MEMORY) as base:
        before = os.path.join(base, "before")
        os.mkdir(before)
        prepare(before)
        return _every_point(operation, base, check, kind, step, first)


def _every_point(operation, base, check, kind, step, first) -> int:
    deaths = 0
    at = first
    while True:
        folder = os.path.join(base, str(at))
        shutil.copytree(os.path.join(base, "before"), folder)
        try:
            death = run(operation, folder, at, kind)
            if death.error:
                raise AssertionError(f"{kind} {at}: {death.error}")
            try:
                check(folder, death.said)
            except BaseException as error:
                raise AssertionError(f"killed at {kind} {at}, having said {death.said}: {error}") from error
            if not death.killed:
                return deaths
        finally:
            shutil.rmtree(folder)
        deaths += 1
        at += step
