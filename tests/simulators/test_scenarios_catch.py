"""The harness is worth its name: defects put into the plugin by hand, each caught by a named check of a named scenario.

Every row is a change somebody could make by mistake. The cases are played in simulated worlds, unchanged; those of
`SEAMS` in real ones, by a copy of the checkout with the defect in it, so that hooks, tasks and worker all have it.
`python -m tests.simulators.test_scenarios_catch` prints who catches what; with the name of a defect behind it, the unit
tests are run with that defect in the plugin. Of those in `ALONE` they find nothing: only a scenario does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from plexsync import hook
from plexsync.core import breaker, plan, verdict
from plexsync.core.failures import Permanent, Unavailable
from plexsync.core.match import Found
from plexsync.queue import events, layout
from plexsync.queue.state import State
from plexsync.queue.store import Store
from plexsync.queue.upkeep import Upkeep
from plexsync.sync import outages, plan_batch, record
from scenarios import checks
from scenarios.cases import all_cases
from scenarios.scenario import At, Expect, Scenario, World
from scenarios.simulated import simulate
from scenarios.trouble import Fault, Outage
from scenarios.workloads import Edit, Until
from scenarios.world import CHECKOUT

Patch = Callable[[pytest.MonkeyPatch], None]


def _forgets_failed_attempts(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Any, job: Any, until: float, reason: str, uses_attempt: bool, waits_for: str) -> None:
        self.finish(job, "forgotten")

    patch.setattr(Store, "postpone", forget)


def _never_recovers_what_the_dead_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Upkeep, "recover", lambda self: 0)


def _swallows_an_edit_while_its_scene_is_worked_on(patch: pytest.MonkeyPatch) -> None:
    insert = events.insert

    def swallowing(db: Any, event: Any, now: float, *more: Any, **named: Any) -> Any:
        busy = db.execute(
            f"SELECT _id FROM {layout.TABLE} WHERE status = 2 AND key = ?", (events.key_of(event),)
        ).fetchone()
        return (busy[0], 2) if busy else insert(db, event, now, *more, **named)

    patch.setattr(events, "insert", swallowing)


def _counts_an_outage_against_the_job(patch: pytest.MonkeyPatch) -> None:
    def after(job: Any, outcome: Any, now: float, rng: Any, settings: Any) -> Any:
        if isinstance(outcome, verdict.Failed) and isinstance(outcome.error, Unavailable):
            return verdict.DeadLettered("Unavailable", str(outcome.error))
        return verdict.after(job, outcome, now, rng, settings)

    patch.setattr(record, "after", after)


def _gives_up_at_the_first_error(patch: pytest.MonkeyPatch) -> None:
    def after(job: Any, outcome: Any, now: float, rng: Any, settings: Any) -> Any:
        return verdict.after(job, outcome, now, rng, replace(settings, max_attempts=1))

    patch.setattr(record, "after", after)


def _never_closes_an_outage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(State, "close_outage", lambda self, server: None)


def _opens_the_breaker_at_any_failure_of_a_job(patch: pytest.MonkeyPatch) -> None:
    learn = outages.Outages.learn

    def learning(self: Any, outcome: Any) -> None:
        if isinstance(outcome, verdict.Failed):
            for _ in range(breaker.THRESHOLD):
                self._failed("Plex", str(outcome.error))
        else:
            learn(self, outcome)

    patch.setattr(outages.Outages, "learn", learning)


def _without_field(name: str) -> Patch:
    def patched(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(plan, "FIELDS", tuple(row for row in plan.FIELDS if row.name != name))

    patched.__name__ = f"_without_{name}"
    return patched


def _adds_tags_and_removes_none(patch: pytest.MonkeyPatch) -> None:
    planned = plan.plan

    def adding(*args: Any, **named: Any) -> Any:
        made = planned(*args, **named)
        return replace(made, params={k: v for k, v in made.params.items() if not k.endswith("[].tag.tag-")})

    patch.setattr(plan, "plan", adding)


def _believes_that_all_is_in_sync(patch: pytest.MonkeyPatch) -> None:
    look = plan_batch.plan_batch

    def believing(scene_ids: Any, world: Any, settings: Any, fresh: Any = ()) -> Any:
        found = look(scene_ids, world, settings, fresh)
        return {
            number: replace(seen, outcome=verdict.InSync()) if seen.item is not None else seen
            for number, seen in found.items()
        }

    patch.setattr(plan_batch, "plan_batch", believing)


def _drops_the_hook_of_a_title(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(hook.FIELDS, "title", False)


def _makes_a_job_of_every_play(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(hook.FIELDS, "play_count", True)


def _writes_to_whatever_item_comes_first(patch: pytest.MonkeyPatch) -> None:
    def first(scene: Any, items: Any, path_map: Any = ()) -> Any:
        return Found(items[0])

    patch.setattr(plan_batch.matching, "choose", first)


def _says_nothing_in_the_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(record, "log_move", lambda level, action, job, text: None)


def _takes_an_error_of_plex_for_final(patch: pytest.MonkeyPatch) -> None:
    def failed(error: Exception, settings: Any) -> Any:
        return verdict.Failed(Permanent(str(error)))

    patch.setattr(plan_batch, "failed", failed)


def _writes_on_after_losing_its_leases(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "holds", lambda self, job: True)


def _asks_ever_more_seldom_whether_plex_is_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(breaker, "BACKOFF_CAP_S", 30 * 86400.0)


def _waits_a_week_for_a_person(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outages, "ATTENTION_HOLD_S", 7 * 86400.0)
    patch.setattr(verdict, "ATTENTION_HOLD_S", 7 * 86400.0)


def _never_tells_stash_of_a_rating(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "_was_rated", lambda draft: False)


DURING = Scenario(
    "edited_during_its_write",
    "A scene is edited again while its write is on the way.",
    World(scenes=3),
    workload=(
        At(0.0, Edit(1, {"title": "First"})),
        At(2.0, Edit(1, {"title": "Second"})),
        At(2.5, Until("idle")),
    ),
    trouble=(At(0.0, Fault("plex", "delay", {"method": "PUT"}, {"ms": 2000})),),
)
REFUSED = Scenario(
    "token_refused_for_an_hour",
    "Plex refuses the token for an hour, and takes it again without anybody having done anything.",
    World(scenes=4),
    workload=tuple(At(300.0 * i, Edit(1 + i % 4, {"title": f"Edit {i}"})) for i in range(10)),
    trouble=(At(1.0, Fault("plex", "status", {}, {"code": 401, "for_s": 3600.0})),),
    expect=Expect(drain_s=120.0, outages=False),
)
AWAY = Scenario(
    "away_for_an_hour",
    "Plex is away for an hour while somebody edits.",
    World(scenes=4),
    workload=tuple(At(300.0 * i, Edit(1 + i % 4, {"title": f"Edit {i}"})) for i in range(10)),
    trouble=(At(1.0, Outage("plex", 3600.0)),),
)
NIGHT = all_cases()["plex_down_overnight"].when_simulated
assert NIGHT is not None
CASES = {**all_cases(), **{case.name: case for case in (DURING, AWAY, REFUSED, NIGHT)}}

# What is broken, the scenario that meets it, and the check that says so.
DEFECTS: list[tuple[Patch, str, str]] = [
    (_forgets_failed_attempts, "plex_errors_on_some", "nothing_lost"),
    (_never_recovers_what_the_dead_held, "killed_after_apply", "drained_in_time"),
    (_swallows_an_edit_while_its_scene_is_worked_on, "edited_during_its_write", "nothing_lost"),
    (_counts_an_outage_against_the_job, "away_for_an_hour", "attempts_fair"),
    (_gives_up_at_the_first_error, "plex_errors_on_some", "dead_letters_deserved"),
    (_never_closes_an_outage, "plex_down_overnight", "outages_true"),
    (_opens_the_breaker_at_any_failure_of_a_job, "poison_scene", "outages_true"),
    (_without_field("rating"), "bulk_edit_of_twenty", "plex_is_level"),
    (_without_field("summary"), "first_sync", "plex_is_level"),
    (_adds_tags_and_removes_none, "plex_replaces_tags", "plex_is_level"),
    (_believes_that_all_is_in_sync, "bulk_edit_of_twenty", "nothing_lost"),
    (_drops_the_hook_of_a_title, "deleted_while_waiting", "nothing_lost"),
    (_makes_a_job_of_every_play, "play_count_leaves_no_row", "plays_leave_no_note"),
    (_writes_to_whatever_item_comes_first, "in_two_libraries", "dead_letters_deserved"),
    (_says_nothing_in_the_log, "other_paths", "log_tells"),
    (_takes_an_error_of_plex_for_final, "plex_errors_on_some", "dead_letters_deserved"),
    (_writes_on_after_losing_its_leases, "frozen_after_apply", "duplicates_bounded"),
    (_asks_ever_more_seldom_whether_plex_is_back, "plex_down_overnight", "drained_in_time"),
    (_waits_a_week_for_a_person, "token_refused_for_an_hour", "drained_in_time"),
    (_never_tells_stash_of_a_rating, "ratings_from_both_sides", "ratings_reach_stash"),
]


@dataclass(frozen=True)
class Slip:
    """A defect as a change of the text of one file, which stands there once."""

    name: str
    file: str
    was: str
    becomes: str


# As DEFECTS, in what one process leaves to the next, or finds again later.
SEAMS: list[tuple[Slip, str, str]] = [
    (
        Slip(
            "keeps_what_it_read_ahead_when_plex_goes",
            "plexsync/sync/worker.py",
            "            self._requeue(self._ahead.jobs)\n            self._ahead = None\n",
            "            self._ahead = None\n",
        ),
        "plex_gone_while_reading_ahead",
        "drained_in_time",
    ),
    (
        Slip(
            "looks_at_the_spool_only_when_it_begins",
            "plexsync/sync/worker.py",
            "next_upkeep = now + UPKEEP_S",
            'next_upkeep = float("inf")',
        ),
        "queue_locked",
        "nothing_lost",
    ),
    (
        Slip(
            "keeps_the_settings_it_read_first",
            "plexsync/servers/world.py",
            "self._settings_until = now + SETTINGS_S",
            'self._settings_until = float("inf")',
        ),
        "settings_missing",
        "nothing_lost",
    ),
]
# Shown by running tests/unit and tests/property with each of them: all pass.
ALONE = {
    "keeps_the_settings_it_read_first",
    "keeps_what_it_read_ahead_when_plex_goes",
    "looks_at_the_spool_only_when_it_begins",
}


@contextmanager
def planted(slip: Slip) -> Iterator[Path]:
    """A copy of this checkout that has the defect, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="plexsync-defect-") as folder:
        copy = Path(folder) / "checkout"
        left_out = shutil.ignore_patterns(".*_cache", ".git", ".venv", ".hypothesis", "__pycache__", "build")
        shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=left_out)
        text = (copy / slip.file).read_text("utf-8")
        assert text.count(slip.was) == 1, f"{slip.file} has changed: {slip.name} cannot be planted"
        (copy / slip.file).write_text(text.replace(slip.was, slip.becomes), "utf-8")
        yield copy


def caught_in_a_real_world(slip: Slip, name: str) -> set[str]:
    """The checks that do not hold with the defect."""
    with planted(slip) as copy:
        told = copy / "told.json"
        command = [sys.executable, "-m", "scenarios", "run", name, "--json", str(told)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
        assert told.exists(), done.stdout + done.stderr
        (result,) = json.loads(told.read_text("utf-8"))
        return {verdict["check"] for verdict in result["verdicts"] if not verdict["holds"]}


def caught(defect: Patch, name: str) -> tuple[set[str], set[str]]:
    """The checks that do not hold without the defect, and with it."""
    case = CASES[name]
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            history, _ = simulate(case, 0)
            verdicts = checks.judge(history, case.expect)
            found.append({verdict.check for verdict in verdicts if not verdict.holds})
            defect(patch)
    return found[0], found[1]


@pytest.mark.parametrize(
    ("defect", "name", "check"), DEFECTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_defect_is_caught_and_without_it_all_is_well(defect, name, check):
    without, broken = caught(defect, name)
    assert without == set()
    assert check in broken


# That the cases pass without the defects is for test_scenarios_real.
@pytest.mark.parametrize(("slip", "name", "check"), SEAMS, ids=lambda value: getattr(value, "name", value))
def test_a_defect_between_processes_is_caught(slip, name, check):
    assert check in caught_in_a_real_world(slip, name)


def _run_unit_tests(name: str) -> int:
    """The status of pytest with this defect in the plugin; it stops at the first test that finds it."""
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "tests/unit", "tests/property"]
    for slip, _, _ in SEAMS:
        if slip.name == name:
            with planted(slip) as copy:
                for command in (["git", "init", "-q"], ["git", "add", "-A"]):  # a test asks git what there is
                    subprocess.run(command, cwd=copy, check=True)
                return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=copy).returncode
    for defect, _, _ in DEFECTS:
        if defect.__name__.strip("_") == name:
            with pytest.MonkeyPatch.context() as patch:
                defect(patch)
                return int(pytest.main(arguments))
    raise SystemExit(f"there is no defect named {name}")


def main(names: list[str]) -> int:
    """Plant each defect, one after the other; 0 when every one is caught by the check named for it."""
    if names:
        return max(_run_unit_tests(name) for name in names)
    met = alone = 0

    def say(good: bool, defect: str, case: str, check: str) -> None:
        nonlocal met, alone
        met += good
        alone += good and defect in ALONE
        word, mark = "caught" if good else "MISSED", "  by a scenario alone" if defect in ALONE else ""
        print(f"{word}  {defect:52} {case:30} {check}{mark}", flush=True)

    for defect, name, check in DEFECTS:
        without, broken = caught(defect, name)
        say(not without and check in broken, defect.__name__.strip("_"), name, check)
    for slip, name, check in SEAMS:
        say(check in caught_in_a_real_world(slip, name), slip.name, name, check)
    of = len(DEFECTS) + len(SEAMS)
    print(f"{met} of {of} defects caught; {alone} of them by no unit test")
    return 0 if met == of else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
