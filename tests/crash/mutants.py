"""The harness proves itself: bugs this product could have, each put into a copy of it, each caught by a named check.

    python -m tests.crash.mutants            all of them; exit status 0 when every one is caught
    python -m tests.crash.mutants NAME ...   these

A mutant is a file, a text that stands in it exactly once, what stands there instead, and the check that must fail then
(and that passes without it, or it would prove nothing).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE, ROWS, LETTERS, UPKEEP, DATABASE, SPOOL, SPOOL_READER, COMPAT, RECOVERY = (
    f"plexsync/queue/{name}.py"
    for name in (
        "store",
        "rows",
        "dead_letters",
        "upkeep",
        "database",
        "spool",
        "spool_reader",
        "compat",
        "recovery",
    )
)
HOOK = "plexsync/hook.py"
TEST_STORE, KILLS, POWER = (
    "tests/unit/queue/test_store.py",
    "tests/crash/test_kills.py",
    "tests/crash/test_powerloss.py",
)


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    check: str  # a test's id
    full: bool = False  # the check takes every point, not a sample
    times: int = 1  # how often the old text stands there


MUTANTS = (
    Mutant(
        "ack before put: a replay closes the letter in a transaction of its own, and then queues the job",
        LETTERS,
        "                row_id, _ = events.insert(db, event, now, late=True)\n                db.execute(\n"
        '                    "UPDATE dead_letters SET replayed_at',
        '                db.execute("UPDATE dead_letters SET replayed_at = 1 WHERE id = ?", (letter.id,))\n'
        '                db.execute(f"UPDATE {TABLE} SET status = 5 WHERE _id = ? AND status = 9", (letter.job_id,))\n'
        '                db.execute("COMMIT")\n                db.execute("BEGIN IMMEDIATE")\n'
        "                row_id, _ = events.insert(db, event, now, late=True)\n                db.execute(\n"
        '                    "UPDATE dead_letters SET replayed_at',
        f"{KILLS}::test_killed_anywhere[giving up-statement]",
        full=True,
    ),
    Mutant(
        "the dead letter is written in a transaction of its own, as if in a second file",
        ROWS,
        '    if letter is None:\n        raise StaleLease(f"another owner has job {row_id} now")\n',
        '    if letter is None:\n        raise StaleLease(f"another owner has job {row_id} now")\n'
        '    db.execute("COMMIT")\n    db.execute("BEGIN IMMEDIATE")\n',
        f"{KILLS}::test_killed_anywhere[giving up-statement]",
        full=True,
    ),
    Mutant(
        "synchronous NORMAL",
        DATABASE,
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=NORMAL",
        f"{POWER}::test_the_power_may_fail_at_any_moment[hooks]",
        full=True,
        times=2,
    ),
    Mutant(
        "auto_resume: opening takes every lease",
        STORE,
        "        self.upkeep.release_from_the_future()\n\n    def reopen",
        '        self.file.db.execute(f"UPDATE {TABLE} SET status = 1 WHERE status = 2")\n\n    def reopen',
        f"{TEST_STORE}::test_nobody_else_gets_a_claimed_job[durable]",
    ),
    Mutant(
        "select, then update, without a transaction around the two",
        STORE,
        "                with self.transaction() as db:\n"
        "                    found = db.execute(free, values).fetchone()",
        "                if True:\n                    db = self.file.db\n"
        "                    found = db.execute(free, values).fetchone()\n"
        "                    __import__('time').sleep(0.001)\n"
        '                    db.execute(f"UPDATE {TABLE} SET status = 0 WHERE _id = ?", found or (0,))',
        f"{TEST_STORE}::test_four_processes_never_share_a_job",
    ),
    Mutant(
        "no token is asked for when a job is closed",
        ROWS,
        '        " WHERE _id = ? AND status = 2 AND token = ?",\n        (*columns.values(), row_id, token),\n',
        '        " WHERE _id = ? AND status = 2",\n        (*columns.values(), row_id),\n',
        f"{TEST_STORE}::test_an_expired_lease_is_free_and_its_late_holder_can_change_nothing[durable-time]",
    ),
    Mutant(
        "attempts are counted when a job fails, not when it is claimed",
        STORE,
        "SET status = 2, attempts = attempts + 1, owner = ?",
        "SET status = 2, owner = ?",
        f"{TEST_STORE}::test_what_the_dead_held_is_free_at_once[durable]",
        times=2,
    ),
    Mutant(
        "a job given another try goes to the head of the queue",
        STORE,
        "                due_at=until,\n",
        "                due_at=0.0,\n",
        f"{TEST_STORE}::test_one_that_fails_for_ever_starves_nobody[durable]",
    ),
    Mutant(
        "the number of waiting jobs is remembered, not asked for",
        COMPAT,
        "        return self._count()\n",
        '        self._cached = getattr(self, "_cached", None) or self._count()\n        return self._cached\n',
        f"{TEST_STORE}::test_persist_queues_own_calls",
    ),
    Mutant(
        "the breaker counts what is not there (404) and every other failure",
        "plexsync/sync/outages.py",
        "        if isinstance(error, Unavailable):\n            self._failed(error.service, str(error))",
        '        if error is not None or outcome.name == "not_found":\n'
        '            self._failed(getattr(error, "service", "Plex"), str(error))',
        "tests/unit/sync/test_worker.py",
    ),
    Mutant(
        "an open breaker lets everybody through when its time has come",
        "plexsync/core/breaker.py",
        "    if now < breaker.probe_at <= now + longest_s:\n        return False, breaker\n",
        "    if breaker.state is State.HALF_OPEN:\n        return True, breaker\n"
        "    if now < breaker.probe_at <= now + longest_s:\n        return False, breaker\n",
        "tests/unit/core/test_breaker.py::test_when_due_exactly_one_caller_may_ask",
    ),
    Mutant(
        "a probe is sent without being noted, so that every process sends one",
        "plexsync/sync/outages.py",
        "            if allowed:\n                self.store.state.save_breaker(",
        "            if not allowed:\n                self.store.state.save_breaker(",
        "tests/unit/sync/test_worker_one_probe.py::test_one_process_asks[0]",
    ),
    Mutant(
        "a barrier does not wait for what was put before it and is to be tried again",
        "plexsync/core/job.py",
        "if place == 0 and not busy",
        "if not chosen and not busy",
        f"{TEST_STORE}::test_a_barrier_waits_for_what_was_put_before_it_and_is_to_be_tried_again[durable-batch]",
    ),
    Mutant(
        "no jitter",
        "plexsync/core/verdict.py",
        "return whole_s / 2 + rng.random() * whole_s / 2",
        "return whole_s",
        "tests/unit/core/test_verdict.py",
    ),
    Mutant(
        "spool without a sync of its folder",
        SPOOL,
        "        raise\n    sync_folder(folder)\n    if fresh:",
        "        raise\n    if fresh:",
        f"{POWER}::test_the_power_may_fail_at_any_moment[spooling]",
        full=True,
    ),
    Mutant(
        "spool without a sync of the file",
        SPOOL,
        "                body = body[os.write(fd, body) :]\n            os.fsync(fd)\n",
        "                body = body[os.write(fd, body) :]\n",
        f"{POWER}::test_the_power_may_fail_at_any_moment[spooling]",
        full=True,
    ),
    Mutant(
        "a new file is answered for before its folder is synced",
        DATABASE,
        "            if version < 0:\n                sync_folders(path)\n",
        "            if version < 0:\n",
        f"{POWER}::test_the_power_may_fail_at_any_moment[first hooks]",
        full=True,
    ),
    Mutant(
        "a spool file is deleted before its edit is queued",
        SPOOL_READER,
        "                    came += self._merge(event)\n                    unlink(path)\n",
        "                    unlink(path)\n                    came += self._merge(event)\n",
        f"{KILLS}::test_killed_anywhere[merging-statement]",
        full=True,
    ),
    Mutant(
        "a merged spool file's id is not kept",
        SPOOL_READER,
        "            if not fresh or self._is_queued(db, event):\n                return 0\n",
        '            db.execute("DELETE FROM spooled")\n',
        f"{TEST_STORE}::test_a_spooled_edit_comes_in_once[durable]",
    ),
    Mutant(
        "a retry puts its old data over newer data",
        LETTERS,
        "                row_id, _ = events.insert(db, event, now, late=True)\n",
        "                row_id, _ = events.insert(db, event, now)\n",
        f"{TEST_STORE}::test_an_old_letter_never_puts_older_data_over_newer[durable]",
    ),
    Mutant(
        "the hook waits ten seconds for the file",
        DATABASE,
        "BUSY_MS = 12 ",
        "BUSY_MS = 10_000 ",
        "tests/unit/test_hook.py::test_a_held_lock_means_the_spool",
    ),
    Mutant(
        "all of the history is pruned in one transaction",
        UPKEEP,
        "(min(over, PRUNE_ROWS),)",
        "(over,)",
        f"{TEST_STORE}::test_pruning_takes_some_at_a_time",
    ),
    Mutant(
        "leases run on the wall clock",
        UPKEEP,
        "expired = boot != clock.boot or until is None or until < clock.monotonic()",
        "expired = boot != clock.boot or until is None or until - 1_000 < clock.now() - 1.7e9",
        f"{TEST_STORE}::test_a_jump_of_the_wall_clock_ends_no_lease[durable-1000000.0]",
    ),
    Mutant(
        "an error of the disk is swallowed and the edit answered for",
        HOOK,
        "        queue_trouble = error\n",
        "        queue_trouble = error\n"
        '        if "disk" in str(error) or "full" in str(error):\n            return "queued"\n',
        "tests/unit/test_hook.py::test_a_full_disk_means_the_spool_or_a_clear_refusal",
    ),
    Mutant(
        "rows are read as pickles when they are no JSON",
        ROWS,
        "        payload = json.loads(raw)\n    except (TypeError",
        "        payload = json.loads(raw) if raw[:1] != b'\\x80' else __import__('pickle').loads(raw)\n"
        "    except (TypeError",
        f"{TEST_STORE}::test_a_pickle_in_a_row_runs_nothing",
    ),
    Mutant(
        "a row's checksum is not looked at",
        ROWS,
        "        if checksum is not None and events.checksum(raw) != checksum:\n",
        "        if checksum is not None and events.checksum(raw) != checksum and len(raw) < 0:\n",
        f"{TEST_STORE}::test_a_damaged_row_is_a_letter_with_its_bytes_and_its_neighbours_go_on",
    ),
    Mutant(
        "a job that kills its workers is given back for ever",
        UPKEEP,
        "            elif deaths >= DEATHS_MAX:\n",
        "            elif deaths >= DEATHS_MAX * 1000:\n",
        f"{TEST_STORE}::test_what_kills_its_workers_is_dead_lettered[durable]",
    ),
    Mutant(
        "a rescue looks away from the log",
        RECOVERY,
        '        for end in ("", "-wal"):\n            if os.path.exists(name + end):\n                # Reading',
        '        for end in ("",):\n            if os.path.exists(name + end):\n                # Reading',
        "tests/unit/queue/test_recovery.py::test_a_rescue_cut_short_while_moving_goes_on",
    ),
    Mutant(
        "a hook answers for a row in a file that was taken away",
        HOOK,
        "    if database.identity(path) != found:\n",
        "    if database.identity(path) != found and not path:\n",
        "tests/unit/queue/test_recovery.py::test_a_hook_never_answers_for_a_row_in_a_file_that_was_taken_away",
    ),
    Mutant(
        "a statement reads through the history",
        STORE,
        "{line} INDEXED BY plexsync_due WHERE status < 2 ORDER BY _id",
        "{line} WHERE status < 2 ORDER BY _id",
        f"{TEST_STORE}::test_no_statement_reads_through_the_history",
    ),
)


def apply(mutant: Mutant, root: Path) -> None:
    """Put the bug into a copy of the tree. Raises AssertionError when the code has moved on."""
    path = root / mutant.file
    text = path.read_text(encoding="utf-8")
    found = text.count(mutant.old)
    assert found == mutant.times, f"{mutant.name}: the text stands {found} times in {mutant.file}"
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def copy_tree(into: Path) -> None:
    for part in ("plexsync", "tests", "simulators", "scenarios"):
        shutil.copytree(ROOT / part, into / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("PlexSync.py", "PlexSync.yml", "pyproject.toml"):
        shutil.copy(ROOT / file, into / file)


@dataclass(frozen=True)
class Report:
    """What came of one bug."""

    mutant: Mutant
    failed: tuple[str, ...]  # the checks that did
    said: str  # the end of what they said
    seconds: float

    @property
    def caught(self) -> bool:
        return bool(self.failed)

    def __str__(self) -> str:
        by = self.failed[0] if self.failed else self.mutant.check
        word = "caught" if self.caught else "MISSED"
        return f"{word}  {self.mutant.name}\n        by {by}  ({self.seconds:.1f} s)"


def attempt(mutant: Mutant) -> Report:
    """Put the bug into a copy of the tree and let its check look at that."""
    environ = {name: value for name, value in os.environ.items() if name != "PLEXSYNC_FULL"}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", **({"PLEXSYNC_FULL": "1"} if mutant.full else {})}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "-p", "no:cacheprovider", mutant.check]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        copy_tree(root)
        apply(mutant, root)
        done = subprocess.run(
            command, cwd=root, env=environ, capture_output=True, text=True, timeout=600, check=False
        )
    # Status 1 is a test that failed; a check that cannot even be collected has caught nothing.
    failed = (
        re.findall(r"^FAILED (\S.*?)(?: - .*)?$", done.stdout, re.MULTILINE) if done.returncode == 1 else []
    )
    return Report(mutant, tuple(failed), done.stdout[-600:] + done.stderr[-300:], time.monotonic() - began)


def main(names: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    number = 0
    for mutant in chosen:
        report = attempt(mutant)
        number += report.caught
        print(report, flush=True)
    print(f"{number} of {len(chosen)} caught")
    return 0 if number == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
