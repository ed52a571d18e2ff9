"""The queue's cost, as ratios that mean the same on another machine; ``make bench`` calls it.

    python -m benchmarks.queue [--json build/bench.json] [--quick]

Everything that is compared is measured in turns within one run. Hooks are whole processes, from spawn to exit, beside
``python -c pass`` of the same interpreter. Two races are run as well: many processes on one queue, and eight hooks at
once on a folder that does not exist; both must lose nothing. Exit status 1 when one does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import persistqueue

from plexsync import intake
from plexsync.store import Store

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = str(ROOT / "PlexSync.py")


def hook_input(scene_id: int) -> bytes:
    context = {
        "type": "Scene.Update.Post",
        "id": scene_id,
        "input": {"id": str(scene_id), "title": "T"},
        "inputFields": ["id", "title"],
    }
    return json.dumps({"args": {"hookContext": context}}).encode()


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000, 2)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": round(ordered[-1] * 1000, 2)}


# ---- throughput -------------------------------------------------------------------------------------------------


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


PAYLOAD = {"scene_id": 1, "update_type": "update", "fields": ["title"], "data": {}, "enqueued_at": 1.0}


def ours(folder: str, jobs: int) -> tuple[float, float]:
    """Seconds for so many enqueues, and for so many claims with their acknowledgements."""
    with Store(folder) as store:
        put = timed(lambda: [store.put(n, "update", ["title"]) for n in range(1, jobs + 1)])
        return put, timed(lambda: [store.finish(store.claim()) for _ in range(jobs)])


def stock(folder: str, jobs: int) -> tuple[float, float]:
    queue = persistqueue.SQLiteAckQueue(folder, auto_resume=False)
    queue._conn.execute("PRAGMA synchronous=FULL")
    put = timed(lambda: [queue.put({**PAYLOAD, "scene_id": n}) for n in range(jobs)])
    took = timed(lambda: [queue.ack(queue.get(block=False)) for _ in range(jobs)])
    queue.close()
    return put, took


def raw(folder: str, jobs: int) -> tuple[float, float]:
    insert, done = "INSERT INTO q (data, status) VALUES (?, 0)", "UPDATE q SET status = 5 WHERE id = ?"
    claim = "UPDATE q SET status = 2 WHERE id = (SELECT min(id) FROM q WHERE status = 0) RETURNING id"
    text = json.dumps(PAYLOAD)
    os.makedirs(folder)
    with closing(sqlite3.connect(os.path.join(folder, "raw.db"), isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE q (id INTEGER PRIMARY KEY, data TEXT, status INTEGER)")
        db.execute("CREATE INDEX w ON q(id) WHERE status = 0")
        put = timed(lambda: [db.execute(insert, (text,)) for _ in range(jobs)])
        return put, timed(lambda: [db.execute(done, db.execute(claim).fetchall()[0]) for _ in range(jobs)])


def throughput(jobs: int, rounds: int) -> dict[str, object]:
    """Durable enqueues and claim+ack pairs a second: ours, stock persist-queue, and raw SQLite, in turns."""
    contenders = {"plexsync": ours, "persistqueue": stock, "sqlite": raw}
    rates: dict[str, dict[str, list[float]]] = {name: {"enqueue": [], "claim_ack": []} for name in contenders}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, contender in contenders.items():
                put, took = contender(os.path.join(folder, name), jobs)
                rates[name]["enqueue"].append(jobs / put)
                rates[name]["claim_ack"].append(jobs / took)
    found = {
        name: {what: round(statistics.median(rate)) for what, rate in both.items()}
        for name, both in rates.items()
    }
    ratios = {
        f"{what}_to_{other}": round(found["plexsync"][what] / found[other][what], 2)
        for what in ("enqueue", "claim_ack")
        for other in ("persistqueue", "sqlite")
    }
    return {"per_second": found, "ratios": ratios}


# ---- history ----------------------------------------------------------------------------------------------------


def finished_rows(folder: str, number: int) -> None:
    """A queue that has done that much, as if it were never pruned."""
    with Store(folder) as store:
        text = intake.encode(intake.new_event(1, "update", ["title"]))
        row = f"INSERT INTO {intake.TABLE} (data, timestamp, status, key, checksum, finished_at) VALUES (?,1,5,?,?,?)"
        crc = intake.checksum(text)
        for start in range(0, number, 50_000):
            with store.transaction() as db:
                db.executemany(
                    row, ((text, f"scene:{n}", crc, n) for n in range(start, min(start + 50_000, number)))
                )
        store.tidy()


def history(sizes: tuple[int, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of what is done all day, by the number of finished rows; measured in turns."""
    with tempfile.TemporaryDirectory() as base:
        folders = {size: os.path.join(base, str(size)) for size in sizes}
        for size, folder in folders.items():
            finished_rows(folder, size)
        took: dict[int, dict[str, list[float]]] = {
            size: {"open": [], "enqueue": [], "claim": [], "finish": [], "status": []} for size in sizes
        }
        for number in range(rounds):
            for size, folder in folders.items():
                spent = took[size]
                began = time.perf_counter()
                store = Store(folder)
                spent["open"].append(time.perf_counter() - began)
                for again in range(5):
                    scene_id = 10_000_000 + number * 10 + again
                    spent["enqueue"].append(timed(lambda s=store, n=scene_id: s.put(n)))
                    began = time.perf_counter()
                    job = store.claim()
                    spent["claim"].append(time.perf_counter() - began)
                    assert job is not None
                    spent["finish"].append(timed(lambda s=store, j=job: s.finish(j)))
                    spent["status"].append(timed(store.counts))
                store.close()
    return {
        str(size): {what: round(statistics.median(times) * 1000, 3) for what, times in spent.items()}
        for size, spent in took.items()
    }


# ---- the hook ---------------------------------------------------------------------------------------------------

BUSY = """
import sys, time
from plexsync.store import Store
store = Store(sys.argv[1])
n = int(sys.argv[2])
while True:
    n += 1
    store.put(n)
    store.finish(store.claim() or store.claim_row()[0])
"""
FROZEN = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(3600)
"""


@contextmanager
def running(*commands: list[str], wait_for: str = "", freeze: bool = False) -> Iterator[None]:
    children = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ.copy(),
        )
        for command in commands
    ]
    try:
        for child in children:
            if wait_for and child.stdout is not None:
                assert child.stdout.readline().strip() == wait_for
            if freeze:
                child.send_signal(signal.SIGSTOP)
        time.sleep(0.0 if wait_for else 1.0)
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def one_hook(folder: str, scene_id: int) -> float:
    environ = {**os.environ, "STASH_PLUGIN_DATA": folder}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, SCRIPT], input=hook_input(scene_id), env=environ, capture_output=True
    )
    took = time.perf_counter() - began
    assert done.returncode == 0 and b'"output"' in done.stdout, done
    return took


def one_empty() -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))


def measure(folder_for: Callable[[int], str], number: int, first_id: int) -> dict[str, object]:
    """So many hooks, each beside an empty Python; how many edits were kept."""
    hooks, empties, folders = [], [], []
    for turn in range(number):
        folders.append(folder_for(turn))
        empties.append(one_empty())
        hooks.append(one_hook(folders[-1], first_id + turn))
    kept = 0
    for folder in dict.fromkeys(folders):
        with closing(sqlite3.connect(intake.queue_file(folder), timeout=30)) as db:
            kept += db.execute(
                f"SELECT count(DISTINCT key) FROM {intake.TABLE} WHERE CAST(substr(key, 7) AS INTEGER) BETWEEN ? AND ?",
                (first_id, first_id + number - 1),
            ).fetchone()[0]
        spool = Path(folder, "spool")
        kept += len(list(spool.glob("*.json"))) if spool.exists() else 0
    mine, plain = quantiles(hooks), quantiles(empties)
    ratios = {
        name.replace("_ms", ""): round(mine[name] / plain[name], 2) for name in ("p50_ms", "p95_ms", "p99_ms")
    }
    return {"hook": mine, "empty_python": plain, "ratios": ratios, "hooks": number, "lost": number - kept}


def hooks(number: int, history_rows: int) -> dict[str, dict[str, object]]:
    found = {}
    with tempfile.TemporaryDirectory() as base:

        def fresh(name: str) -> str:
            folder = os.path.join(base, name)
            one_hook(folder, 1)
            return folder

        quiet = fresh("quiet")
        found["quiet"] = measure(lambda _: quiet, number, 1_000_000)
        full = os.path.join(base, "full")
        finished_rows(full, history_rows)
        found[f"{history_rows} finished rows"] = measure(lambda _: full, number, 90_000_000)
        busy = fresh("busy")
        writers = [[sys.executable, "-c", BUSY, busy, str(start)] for start in (10_000_000, 20_000_000)]
        with running(*writers):
            found["two busy writers"] = measure(lambda _: busy, number, 1_000_000)
        frozen = fresh("frozen")
        holder = [sys.executable, "-c", FROZEN, intake.queue_file(frozen)]
        with running(holder, wait_for="held", freeze=True):
            found["writer frozen in a transaction"] = measure(lambda _: frozen, number, 1_000_000)
        found["first run"] = measure(
            lambda turn: os.path.join(base, "new", str(turn), "data"), number, 1_000_000
        )
    return found


# ---- races ------------------------------------------------------------------------------------------------------

DRAIN = """
import sys, time
from plexsync.store import Store
store = Store(sys.argv[1], busy_s=60)
me, jobs = int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
store.put_many(range(me * 1_000_000 + 1, me * 1_000_000 + jobs + 1))
idle = 0
while idle < 100:
    job = store.claim()
    if job is None:
        idle += 1
        time.sleep(0.01)
        continue
    idle = 0
    print(job.scene_id)
    store.finish(job)
"""


def processes_race(processes: int, jobs: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        Store(folder).close()
        children = [
            subprocess.Popen(
                [sys.executable, "-c", DRAIN, folder, str(number + 1), str(jobs)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(processes)
        ]
        for child in children:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        taken = [int(line) for child in children for line in child.communicate()[0].split()]
        took = time.perf_counter() - began
    return {
        "jobs": processes * jobs,
        "done": len(taken),
        "twice": len(taken) - len(set(taken)),
        "missing": processes * jobs - len(set(taken)),
        "seconds": round(took, 1),
    }


def hooks_race(hooks_at_once: int, times: int) -> dict[str, object]:
    """Hooks that start at the same instant on a folder that does not exist."""
    kept = 0
    code = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from plexsync import hook\n"
        "os.read(int(sys.argv[1]), 1)\n"
        f"sys.argv[:] = [{SCRIPT!r}]\n"
        "from plexsync.__main__ import main\n"
        "sys.exit(main())\n"
    )
    for _ in range(times):
        with tempfile.TemporaryDirectory() as base:
            folder = os.path.join(base, "plugins", "PlexSync", "data")
            wait, release = os.pipe()
            children = []
            for number in range(hooks_at_once):
                child = subprocess.Popen(
                    [sys.executable, "-c", code, str(wait)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "STASH_PLUGIN_DATA": folder},
                    pass_fds=(wait,),
                )
                assert child.stdin is not None
                child.stdin.write(hook_input(number + 1))
                child.stdin.close()
                child.stdin = None
                children.append(child)
            os.close(wait)
            time.sleep(0.3)
            os.close(release)
            for child in children:
                assert b'"output"' in child.communicate()[0]
            with Store(folder) as store:
                store.merge_spool()
                kept += len({job.scene_id for job in store.waiting()})
    return {"hooks": hooks_at_once * times, "kept": kept}


# ---- the report -------------------------------------------------------------------------------------------------


def show(found: dict[str, object]) -> None:
    rates = found["throughput"]
    print("\nDurable jobs a second       enqueue  claim+ack")
    for name, both in rates["per_second"].items():  # type: ignore[index]
        print(f"  {name:24} {both['enqueue']:8} {both['claim_ack']:10}")
    print("  ratios:", ", ".join(f"{name} {value}" for name, value in rates["ratios"].items()))  # type: ignore[index]
    print("\nMilliseconds by finished rows    open  enqueue    claim   finish   status")
    for size, spent in found["history"].items():  # type: ignore[attr-defined]
        print(f"  {size:>24}  " + " ".join(f"{value:8.3f}" for value in spent.values()))
    print("\nOne hook, spawn to exit, ms              p50    p95    p99    max   to an empty python    lost")
    for name, one in found["hook"].items():  # type: ignore[attr-defined]
        times, ratios = one["hook"], one["ratios"]
        print(
            f"  {name:36}"
            + " ".join(f"{times[key]:6.1f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
            + f"   {ratios['p50']:.2f} {ratios['p95']:.2f} {ratios['p99']:.2f}      {one['lost']} of {one['hooks']}"
        )
    print("\nRaces:", json.dumps(found["races"]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there, under the key queue")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, to see that it works")
    options = parser.parse_args()
    small = 10 if options.quick else 1
    rows = 1_000_000 // small
    found: dict[str, object] = {
        "throughput": throughput(1000 // small, 5),
        "history": history((1_000, rows), 20 // small + 2),
        "hook": hooks(100 // small, rows),
        "races": {"processes": processes_race(8, 1000 // small), "first hooks": hooks_race(8, 20 // small)},
    }
    show(found)
    if options.json:
        path = Path(options.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**whole, "queue": found}, indent=2) + "\n")
    races = found["races"]
    lost = sum(one["lost"] for one in found["hook"].values())  # type: ignore[attr-defined]
    lost += races["processes"]["twice"] + races["processes"]["missing"]  # type: ignore[index]
    lost += races["first hooks"]["hooks"] - races["first hooks"]["kept"]  # type: ignore[index]
    print("Nothing was lost." if not lost else f"{lost} edits were lost or doubled.")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
