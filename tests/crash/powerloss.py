"""What a disk may hold after the power failed, replayed from recorded system calls.

A recording is read into steps: writes, truncations and syncs of files; names made, moved and removed in folders; and
what was acknowledged in between. After any step the power may fail. Then of each file everything up to its last sync is
there, and of what was written since any part may be: each write whole, missing, or torn at a sector; of each folder
everything up to its last sync, and any of the changes since. That is less than any file system promises (ext4 keeps
their order), so what survives here survives there. The index of the log (``-shm``) is gone, as after any restart.
"""

from __future__ import annotations

import ast
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTOR = 512


@dataclass
class File:
    """One inode: bytes that are safe, and what was done since."""

    safe: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data); None cuts there

    def content(self, done: list[tuple[int, bytes | None]]) -> bytes:
        data = bytearray(self.safe)
        for at, piece in done:
            if piece is None:
                del data[at:]
                data.extend(bytes(at - len(data)))
            else:
                data.extend(bytes(max(0, at - len(data))))
                data[at : at + len(piece)] = piece
        return bytes(data)

    def sync(self) -> None:
        self.safe = bytearray(self.content(self.since))
        self.since = []


@dataclass
class Folder:
    """Names that are safe, names now, and the changes in between: each puts and removes names at once."""

    safe: dict[str, object] = field(default_factory=dict)
    now: dict[str, object] = field(default_factory=dict)
    since: list[dict[str, object]] = field(default_factory=list)  # name -> what it names, None: nothing

    def change(self, names: dict[str, object]) -> None:
        self.since.append(names)
        _apply(self.now, names)

    def sync(self) -> None:
        self.safe, self.since = dict(self.now), []


def _apply(names: dict[str, object], change: dict[str, object]) -> None:
    for name, what in change.items():
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what


class Disk:
    """A tree of folders and files below ``root``, moved by recorded calls."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.top = Folder()

    def load(self) -> None:
        """What lies there before the recording is safe."""
        self.top = self._load(self.root)

    def _load(self, path: str) -> Folder:
        folder = Folder()
        for name in os.listdir(path):
            full = os.path.join(path, name)
            if os.path.isdir(full):
                folder.now[name] = self._load(full)
            else:
                with open(full, "rb") as file:
                    folder.now[name] = File(bytearray(file.read()))
        folder.sync()
        return folder

    def _at(self, path: str) -> tuple[Folder, str] | None:
        """The folder a path's last name is in; None for what is not ours."""
        if not (path + "/").startswith(self.root + "/"):
            return None
        folder = self.top
        *above, name = os.path.relpath(path, self.root).split("/")
        for part in above:
            inner = folder.now.get(part)
            if not isinstance(inner, Folder):
                return None
            folder = inner
        return folder, name

    def find(self, path: str) -> object | None:
        if path == self.root:
            return self.top
        place = self._at(path)
        return None if place is None else place[0].now.get(place[1])

    def do(self, call: str, args: list[str], text: str, result: int) -> bool:
        """Apply one call that succeeded; whether it changed anything a power cut could undo."""
        if call == "openat":
            place = self._at(args[0])
            if place is None or "O_CREAT" not in text or self.find(args[0]) is not None:
                return False
            place[0].change({place[1]: File()})
            return True
        if call == "mkdir":
            place = self._at(args[0])
            if place is None:
                return False
            place[0].change({place[1]: Folder()})
            return True
        if call in ("rename", "link", "unlink"):
            return self._names(call, args)
        what = self.find(args[0])
        if isinstance(what, Folder):
            what.sync()
        elif isinstance(what, File):
            if call in ("fsync", "fdatasync"):
                what.sync()
            elif call == "ftruncate":
                what.since.append((int(re.search(r", (\d+)\)", text).group(1)), None))
            else:
                data = ast.literal_eval("b" + re.search(r'"(?:\\x[0-9a-f]{2})*"', text).group(0))
                offset = re.search(r", (\d+)\)\s*=", text) if call == "pwrite64" else None
                at = int(offset.group(1)) if offset else len(what.content(what.since))
                if "worker.lock" in args[0] or args[0].endswith((".gate", ".lock")):
                    at = 0
                what.since.append((at, data[:result]))
        else:
            return False
        return True

    def _names(self, call: str, args: list[str]) -> bool:
        place = self._at(args[0])
        if place is None:
            return False
        folder, name = place
        if call == "unlink":
            folder.change({name: None})
            return True
        other, new = self._at(args[1])
        what = folder.now[name]
        if other is folder:
            folder.change({new: what} if call == "link" else {new: what, name: None})
        else:
            other.change({new: what})
            if call == "rename":
                folder.change({name: None})
        return True

    # ---- after the power came back ----

    def write_out(self, folder: str, rng: random.Random | None, keep: str) -> str:
        """Lay one possible state into an empty folder; ``keep`` is "all", "none" or "some". Gives a word for what was
        chosen, the same for the same state."""
        return self._folder(self.top, folder, rng, keep)

    def _folder(self, what: Folder, path: str, rng: random.Random | None, keep: str) -> str:
        names = dict(what.safe)
        for change in what.since:
            if keep == "all" or (keep == "some" and rng.random() < 0.5):
                _apply(names, change)
        said = []
        for name, inner in sorted(names.items()):
            if name.endswith("-shm"):
                continue
            full = os.path.join(path, name)
            if isinstance(inner, Folder):
                os.mkdir(full)
                said.append(f"{name}/{self._folder(inner, full, rng, keep)}")
            else:
                data = inner.content(list(_survivors(inner, rng, keep)))
                with open(full, "wb") as file:
                    file.write(data)
                said.append(f"{name}:{hash(data)}")
        return "(" + " ".join(said) + ")"


def _survivors(file: File, rng: random.Random | None, keep: str) -> Iterator[tuple[int, bytes | None]]:
    if keep == "all":
        yield from file.since
    elif keep == "some":
        for at, piece in file.since:
            fate = rng.random()
            if piece is None or fate < 0.4:
                if piece is not None or fate < 0.5:
                    yield at, piece
            elif fate < 0.6:
                # Torn: some of its sectors reached the disk.
                for start in range(0, len(piece), SECTOR):
                    if rng.random() < 0.5:
                        yield at + start, piece[start : start + SECTOR]


CALL = re.compile(r"^\d+ +(\w+)\((.*)\s=\s(-?\d+)(?:<.*>)?$")
FD = re.compile(r"^\d+<([^>]*)>")
NAME = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def steps(log: str) -> Iterator[tuple[str, list[str], str, int]]:
    """The calls of a recording in their order: name, paths, text, result. ``sendto`` is what the child said."""
    with open(log, encoding="latin-1") as file:
        for line in file:
            found = CALL.match(line.rstrip("\n"))
            if not found or int(found.group(3)) < 0:
                continue
            call, text, result = found.group(1), found.group(2) + " = ", int(found.group(3))
            strings = [_plain(one) for one in NAME.findall(text)]
            if call in ("openat", "mkdir", "rename", "link", "unlink") or call == "sendto":
                yield call, strings, text, result
            else:
                path = FD.match(text)
                if path:
                    yield call, [_unhex(path.group(1))], text, result


def _plain(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode("utf-8", "replace")


def _unhex(text: str) -> str:
    return _plain(text) if text.startswith("\\x") else text


TRACED = "openat,mkdir,rename,link,unlink,pwrite64,write,ftruncate,fsync,fdatasync,sendto"
OPTIONS = ("-e", f"trace={TRACED}", "-xx", "-y", "-s", "20000000")
