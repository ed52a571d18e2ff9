"""The router: a hook goes to hook.py, a task to tasks.py, a person to cli.py.

What a route needs is imported once the route is known, so that the hook never pays for the others.
"""

from __future__ import annotations

import os
import sys

from plexsync import protocol

# JSON this deep is odd but legal, and a hook must not fail on it; CPython's default of 1,000 is a guard for code.
NESTING_MAX = 10_000


def main() -> int:
    """Serve one call of Stash (JSON on standard input) or of a person (arguments); gives the exit status."""
    if len(sys.argv) > 1 or sys.stdin is None or sys.stdin.isatty():
        try:
            from plexsync.ui import cli

            return cli.main(sys.argv[1:])
        except ModuleNotFoundError as missing:
            print(_without(missing), file=sys.stderr)
            return 3
        except KeyboardInterrupt:  # before cli was there to say so
            return 130
    sys.setrecursionlimit(NESTING_MAX)
    message = protocol.read_input(sys.stdin.buffer.read())
    if isinstance(message, protocol.Problem):
        protocol.answer(error=message.sentence)
        return 0
    if isinstance(message, protocol.Hook):
        from plexsync import hook

        try:
            done = hook.run(message)
        except hook.CannotKeep as trouble:
            protocol.log("error", str(trouble))
            protocol.answer(error=str(trouble))
            return 1
        protocol.answer(done)
        # Everything is on disk and said. Ending here spares the interpreter's farewell, and leaves the queue's file
        # open to the last, so that SQLite does not copy its log back while the user's save waits.
        os._exit(0)
    try:
        from plexsync.ui import tasks

        return tasks.run(message)
    except ModuleNotFoundError as missing:
        protocol.log("error", _without(missing))
        protocol.answer(error=_without(missing))
        return 0


def _without(missing: ModuleNotFoundError) -> str:
    """For who has put the sources into Stash's plugins folder: hooks keep every edit there, and nothing is synced."""
    if (missing.name or "plexsync").partition(".")[0] == "plexsync":
        raise missing
    return (
        f"PlexSync cannot work without the Python package {missing.name}, which {sys.executable} does not have: "
        "install PlexSync from its package, which brings all it needs (README, Install). What is queued stays queued."
    )


if __name__ == "__main__":
    sys.exit(main())
