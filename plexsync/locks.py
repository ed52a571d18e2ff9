"""A lock on a file that the system frees when its holder dies, however it dies.

Used by the hook, so it imports next to nothing: ``fcntl.flock`` where there is one, ``msvcrt.locking`` on Windows. A
flock belongs to the open file, not to the process, so a child started with the open descriptor goes on holding it: the
hook takes the lock, hands it to the worker it starts, and leaves, and there is never a moment in which two workers
could start or none seem needed.
"""

from __future__ import annotations

import os
import sys
import time

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import msvcrt

    CAN_BE_INHERITED = False

    def _lock(fd: int, shared: bool) -> None:
        if shared:
            return  # there is none; what shared holders want kept in place, an open file keeps there by itself
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # far behind the beat, which others must be able to read
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    CAN_BE_INHERITED = True

    def _lock(fd: int, shared: bool) -> None:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class FileLock:
    """The lock at ``path``, held from ``take`` until ``release`` or until the last process with it open is gone."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1

    def take(self, shared: bool = False) -> bool:
        """True when the lock is ours now, False when somebody else holds it; ``shared`` holders bear each other.

        Raises OSError when the file cannot be made or the file system has no locks.
        """
        if self.fd >= 0:
            return True
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(fd, shared)
        except (BlockingIOError, PermissionError):  # Windows says "permission denied" for a held lock
            os.close(fd)
            return False
        except OSError:
            os.close(fd)
            raise
        self.fd = fd
        if not shared:
            self.beat()
        return True

    def is_held(self) -> bool:
        """Whether somebody else holds it, asked without writing; for a moment it is shared then. Raises OSError."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            _lock(fd, shared=True)
        except (BlockingIOError, PermissionError):
            return True
        finally:
            os.close(fd)
        return False

    def adopt(self, fd: int) -> bool:
        """Go on holding a lock that came with an inherited descriptor; False when the descriptor is another file's."""
        try:
            if not os.path.samestat(os.fstat(fd), os.stat(self.path)):
                return False
            _lock(fd, shared=False)  # no more than a question, when it is held already
        except OSError:
            return False
        self.fd = fd
        os.set_inheritable(fd, False)
        return True

    def beat(self) -> None:
        """Write into the file that its holder runs, as of now; see ``silent_s``."""
        if self.fd >= 0:
            try:
                os.lseek(self.fd, 0, os.SEEK_SET)
                os.write(self.fd, b"%020.3f\n" % time.monotonic())
            except OSError:
                pass  # a full disk makes nobody's lock worse

    def silent_s(self) -> float:
        """Seconds since the holder last said that it runs; 0 when that cannot be told.

        Monotonic time is the same in every process until the machine restarts, and a lock that is held was taken
        since then, so the two times can be compared.
        """
        try:
            with open(self.path, "rb") as file:
                return max(0.0, time.monotonic() - float(file.read(64)))  # a beat is rounded, perhaps upwards
        except (OSError, ValueError):
            return 0.0

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
