"""``python -m tests.crash.child NAME FOLDER FD``: one piece of ``world.WORK``, done under strace.

What it says goes to the socket FD, as ``sendto``: a system call nothing else here makes, so that faults injected into
``write`` leave it alone. A failure the product names is an outcome, not a defect; anything else ends with status 1.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys

from plexsync import hook
from plexsync.core.job import StaleLease
from plexsync.queue import recovery
from tests.crash import world


def main() -> None:
    name, folder, fd = sys.argv[1], sys.argv[2], int(sys.argv[3])
    voice = socket.socket(fileno=fd)
    voice.send(b"begin\n")
    try:
        world.WORK[name][1](folder, lambda text: voice.send(f"{text}\n".encode()))
    except (sqlite3.Error, OSError, hook.CannotKeep, StaleLease, recovery.Refused, AttributeError) as error:
        if isinstance(error, AttributeError) and "NoneType" not in str(error):
            raise  # a claim that gave None, because the row could not be written, is met by the next call
        voice.send(f"failed {type(error).__name__}\n".encode())
    voice.send(b"end\n")
    os._exit(0)


main()
