"""Looking into a data folder from outside: the queue file by plain SQL, the log by its lines, processes by /proc.

None of the plugin's own code is asked, so that it cannot hide its mistakes from the checks.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from scenarios.history import Letter, Move, Outage, Sample

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (\w+) (.*)")
MOVE = re.compile(r"([\w-]+) scene[ =](\d+) job=\d+ attempt=(\d+): (.*)")


def queue_file(data: Path) -> Path:
    return data / "queue" / "data.db"


def _open(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{queue_file(data).as_uri()}?mode=ro", uri=True, timeout=2)


def sample(data: Path, worker: bool, now: float | None = None) -> Sample | None:
    """What the queue holds now; None when it cannot be read at this moment."""
    at = time.time() if now is None else now
    spooled = len(list((data / "spool").glob("*.json"))) if (data / "spool").is_dir() else 0
    if not queue_file(data).exists():
        return Sample(at, pending=spooled, spooled=spooled, worker=worker)
    try:
        with closing(_open(data)) as db:
            waiting, later, busy = db.execute(
                "SELECT coalesce(sum(status < 2), 0), coalesce(sum(status < 2 AND due_at > ?), 0),"
                " coalesce(sum(status = 2), 0) FROM ack_queue_default",
                (at,),
            ).fetchone()
            done = db.execute("SELECT coalesce(sum(value), 0) FROM tally WHERE name = 'finished'").fetchone()[
                0
            ]
            dead = db.execute("SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL").fetchone()[0]
            states = {
                name: json.loads(state)["state"] for name, state in db.execute("SELECT * FROM breakers")
            }
    except sqlite3.Error:
        return None
    return Sample(
        at,
        pending=waiting + spooled,
        in_progress=busy,
        later=later,
        done=done,
        dead=dead,
        spooled=spooled,
        plex=states.get("Plex", "closed"),
        stash=states.get("Stash", "closed"),
        worker=worker,
    )


def jobs(data: Path) -> list[dict[str, object]]:
    """What waits or is worked on: scene, state, attempts, seconds until it is due; none when it cannot be read."""
    if not queue_file(data).exists():
        return []
    try:
        with closing(_open(data)) as db:
            rows = db.execute(
                "SELECT key, status, attempts, due_at, last_error FROM ack_queue_default WHERE status < 3"
            ).fetchall()
    except sqlite3.Error:
        return []
    now = time.time()
    return [
        {
            "scene": int(key.rpartition(":")[2]),
            "state": "in progress" if status == 2 else "waiting",
            "attempts": attempts,
            "due_in_s": round(max(0.0, due_at - now), 1),
            "error": error,
        }
        for key, status, attempts, due_at, error in rows
        if str(key).startswith("scene:")
    ]


def letters(data: Path) -> tuple[Letter, ...]:
    with closing(_open(data)) as db:
        return tuple(
            Letter(*row)
            for row in db.execute(
                "SELECT scene_id, error_type, message, attempts FROM dead_letters WHERE replayed_at IS NULL ORDER BY id"
            )
        )


def outages(data: Path) -> tuple[Outage, ...]:
    with closing(_open(data)) as db:
        return tuple(
            Outage(*row) for row in db.execute("SELECT server, started_at, ended_at FROM outages ORDER BY id")
        )


def log_lines(data: Path) -> Iterator[tuple[float, str, str]]:
    """Every line of plexsync.log with its older parts: wall seconds, level, text. Tracebacks join their line."""
    files = sorted(data.glob("plexsync.log*"), key=lambda path: path.name, reverse=True)
    entry: tuple[float, str, str] | None = None
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            found = _LINE.match(line)
            if found is None:
                at, level, text = entry or (0.0, "ERROR", "")
                entry = (at, level, f"{text}\n{line}")
                continue
            if entry is not None:
                yield entry
            at = time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) + int(found[2]) / 1000
            entry = (at, found[3], found[4])
    if entry is not None:
        yield entry


def moves(data: Path) -> tuple[Move, ...]:
    found = []
    for at, _, text in log_lines(data):
        move = MOVE.match(text)
        if move:
            found.append(Move(at, move[1], int(move[2]), int(move[3]), move[4]))
    return tuple(found)


def defects(data: Path) -> tuple[str, ...]:
    """Log entries with a traceback: defects of the plugin, whatever became of the job."""
    return tuple(text for _, _, text in log_lines(data) if "Traceback (most recent call last)" in text)


def processes(folder: Path) -> list[tuple[int, str]]:
    """Living processes whose command line names this folder: pid and command line. Linux."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            command = (
                Path(f"/proc/{entry}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
            state = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in command and state not in "ZX":
            found.append((int(entry), command))
    return sorted(found)


def workers(data: Path) -> list[int]:
    """The workers of a data folder."""
    return [pid for pid, command in processes(data) if " worker " in f"{command} "]
