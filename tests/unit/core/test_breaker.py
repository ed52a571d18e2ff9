"""The breaker: an outage is noticed, probed with patience, and over at the first answer."""

from __future__ import annotations

import json
import random

import pytest

from plexsync.core.breaker import (
    BACKOFF_CAP_S,
    PROBE_LEASE_S,
    TABLE,
    THRESHOLD,
    Breaker,
    Event,
    State,
    after_failure,
    after_success,
    allow,
    from_dict,
    to_dict,
)

NOW = 1_000_000.0


def opened(now: float = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker = after_failure(breaker, now, random.Random(1))
    return breaker


def test_a_closed_breaker_lets_everybody_through_and_forgets_failures_at_a_success() -> None:
    breaker = after_failure(Breaker(), NOW, random.Random(1))
    assert breaker.state is State.CLOSED
    assert allow(breaker, NOW) == (True, breaker)
    assert after_success(breaker, NOW) == Breaker()


def test_it_opens_at_the_threshold_and_remembers_since_when() -> None:
    breaker = opened()
    assert (breaker.state, breaker.failures, breaker.opened_at) == (State.OPEN, THRESHOLD, NOW)
    assert NOW + 0.5 <= breaker.probe_at <= NOW + 1
    assert allow(breaker, NOW)[0] is False


def test_when_due_exactly_one_caller_may_ask() -> None:
    breaker = opened()
    answers = []
    for _ in range(5):
        allowed, breaker = allow(breaker, NOW + 2)
        answers.append(allowed)
    assert answers == [True, False, False, False, False]
    assert breaker.state is State.HALF_OPEN


def test_a_probe_that_never_came_back_is_replaced_after_its_lease() -> None:
    _, breaker = allow(opened(), NOW + 2)
    assert allow(breaker, NOW + 2 + PROBE_LEASE_S - 1)[0] is False
    assert allow(breaker, NOW + 2 + PROBE_LEASE_S)[0] is True


def test_each_failed_probe_doubles_the_wait_up_to_the_cap_in_one_outage() -> None:
    breaker, now, waits = opened(), NOW, []
    for _ in range(10):
        now = breaker.probe_at
        allowed, breaker = allow(breaker, now)
        assert allowed
        breaker = after_failure(breaker, now, random.Random(1))
        assert breaker.state is State.OPEN
        waits.append(breaker.backoff_s)
    assert waits == [2, 4, 8, 16, 32, BACKOFF_CAP_S, 60, 60, 60, 60]
    assert breaker.opened_at == NOW


def test_an_answer_closes_it_in_any_state() -> None:
    _, half_open = allow(opened(), NOW + 2)
    for breaker in (Breaker(failures=2), opened(), half_open):
        assert after_success(breaker, NOW) == Breaker()


def test_late_failures_of_questions_asked_before_it_opened_do_not_prolong_it() -> None:
    breaker = opened()
    assert after_failure(breaker, NOW + 0.1, random.Random(1)).probe_at == breaker.probe_at


def test_a_clock_set_back_does_not_hold_it_shut() -> None:
    breaker = opened(now=NOW + 1_000_000)
    assert allow(breaker, NOW)[0] is True


def test_it_survives_json_and_damage_counts_as_closed() -> None:
    for breaker in (Breaker(), opened(), allow(opened(), NOW + 2)[1]):
        assert from_dict(json.loads(json.dumps(to_dict(breaker)))) == breaker


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"state": "ajar"},
        {**to_dict(opened()), "failures": "3"},
        {**to_dict(opened()), "probe_at": float("nan")},
        {**to_dict(opened()), "backoff_s": -1},
        {**to_dict(opened()), "state": None},
    ],
)
def test_damaged_records(stored: dict[str, object] | None) -> None:
    assert from_dict(stored) == Breaker()


def test_the_table_covers_what_the_functions_can_ask_of_it() -> None:
    impossible = {(State.CLOSED, Event.DUE), (State.OPEN, Event.TRIP), (State.HALF_OPEN, Event.FAILURE)}
    assert set(TABLE) == {(state, event) for state in State for event in Event} - impossible
