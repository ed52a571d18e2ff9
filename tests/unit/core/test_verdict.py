"""What follows an attempt."""

from __future__ import annotations

import random

import pytest

from plexsync.core.failures import NeedsAttention, Permanent, SettingProblem, Transient, Unavailable
from plexsync.core.item import Item
from plexsync.core.job import Job, Remark
from plexsync.core.settings import Settings
from plexsync.core.verdict import (
    ATTENTION_HOLD_S,
    NOT_FOUND_CAP_S,
    Ambiguous,
    DeadLettered,
    Decision,
    Failed,
    Finish,
    Gone,
    InSync,
    NoFile,
    NotFound,
    Outcome,
    Postpone,
    Skipped,
    Synced,
    after,
    backoff_s,
)

NOW = 1_000_000.0


def judged(outcome: Outcome, attempts: int = 1, **settings: float) -> Decision:
    job = Job(1, 7, "update", attempts=attempts)
    return after(job, outcome, NOW, random.Random(1), Settings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "name", "note"),
    [
        (Synced(("title", "tags")), "synced", "wrote title, tags"),
        (InSync(), "in_sync", "nothing to write"),
        (InSync(remarks=("a remark",)), "in_sync", "nothing to write; a remark"),
        (
            Synced(("title",), ("rating",), ("plays",), ("one", "two")),
            "synced",
            "wrote title; told Stash the plays; kept Plex's own rating; one; two",
        ),
        (Skipped("not organized"), "skipped", "not organized"),
        (Gone(), "gone", "no longer in Stash"),
        (NoFile(), "no_file", "has no file"),
    ],
)
def test_what_is_done_is_finished(outcome: Outcome, name: str, note: str) -> None:
    assert outcome.name == name
    remarks = {
        "wrote title; told": ((Remark.KEPT, "rating"),),
        "not organized": ((Remark.SKIPPED, "not organized"),),
    }
    assert judged(outcome, attempts=99) == Finish(note, remarks.get(note.partition(" Stash")[0], ()))


@pytest.mark.parametrize(
    ("error", "hold_s"),
    [
        (Unavailable("Plex", "Plex is away."), 5),
        (NeedsAttention("Plex", "Plex says no."), ATTENTION_HOLD_S),
        (SettingProblem("plex_url", "plex_url is not set."), ATTENTION_HOLD_S),
    ],
)
def test_what_is_no_jobs_fault_costs_no_attempt_and_never_buries(error: Exception, hold_s: float) -> None:
    decision = judged(Failed(error), attempts=10_000)
    waits_for = getattr(error, "service", "")
    assert decision == Postpone(NOW + hold_s, str(error), uses_attempt=False, waits_for=waits_for)


def test_a_permanent_failure_is_dead_lettered_at_once_with_its_traceback() -> None:
    assert judged(Failed(Permanent("Plex refuses."), "Traceback …")) == DeadLettered(
        "Permanent", "Plex refuses.", "Traceback …"
    )


@pytest.mark.parametrize("error", [Transient("500."), KeyError("scene"), ZeroDivisionError()])
def test_what_may_work_later_is_tried_again_and_then_buried(error: Exception) -> None:
    for attempts in range(1, 8):
        decision = judged(Failed(error), attempts)
        assert isinstance(decision, Postpone)
        assert decision.uses_attempt
        whole_s = min(5 * 2 ** (attempts - 1), 600)
        assert NOW + whole_s / 2 <= decision.until <= NOW + whole_s
    letter = judged(Failed(error, "Traceback …"), 8)
    assert isinstance(letter, DeadLettered)
    assert letter.error_type == type(error).__name__
    assert letter.message
    assert letter.traceback == "Traceback …"


def test_a_file_plex_has_not_scanned_gets_more_time_and_its_own_limit() -> None:
    waits = []
    for attempts in range(1, 12):
        decision = judged(NotFound(("/a.mp4",)), attempts)
        assert isinstance(decision, Postpone)
        assert decision.uses_attempt
        waits.append(decision.until - NOW)
    assert waits[0] >= 15
    assert NOT_FOUND_CAP_S / 2 <= waits[-1] <= NOT_FOUND_CAP_S
    assert judged(NotFound(("/a.mp4", "/b.mp4")), 12) == DeadLettered(
        "NotFound", "No Plex item has the file /a.mp4 or /b.mp4."
    )


def test_limits_are_the_settings() -> None:
    assert isinstance(judged(Failed(Transient("x")), 2, max_attempts=2), DeadLettered)
    assert isinstance(judged(NotFound(("/a",)), 2, not_found_attempts=2), DeadLettered)
    skipped = judged(NotFound(("/a",)), 1, skip_not_found=True)
    assert skipped == Finish("No Plex item has the file /a.")
    decision = judged(Failed(Transient("x")), 30, max_attempts=99, retry_cap_s=40)
    assert isinstance(decision, Postpone)
    assert NOW + 20 <= decision.until <= NOW + 40


def test_candidates_are_named_for_whoever_has_to_choose() -> None:
    candidates = (
        Item(7, 1, section_title="Films", files=("/a.mp4",)),
        Item(8, 2, section_title="Clips", files=("/a.mp4", "/a.4k.mp4")),
    )
    decision = judged(Ambiguous(candidates))
    assert decision == DeadLettered(
        "Ambiguous",
        "2 Plex items have the file: rating key 7 in Films (/a.mp4); rating key 8 in Clips (/a.mp4, /a.4k.mp4).",
    )


def test_backoff_is_half_certain_half_chance_and_bounded_for_any_count() -> None:
    rng = random.Random(5)
    waits = {backoff_s(3, 5, 600, rng) for _ in range(50)}
    assert len(waits) == 50
    assert all(10 <= wait <= 20 for wait in waits)
    assert backoff_s(10**9, 5, 600, rng) <= 600
    assert backoff_s(0, 5, 600, rng) <= 5
