"""How many writes at a time: up while it helps, down when it does not."""

from __future__ import annotations

from plexsync.core.throttle import Throttle, after_burst


def settle(rate_of, bursts=40, most=4):
    """The limits tried on a server that does ``rate_of(limit)`` writes a second."""
    throttle, limits = Throttle(most=most), []
    for _ in range(bursts):
        throttle = after_burst(throttle, 16, 16 / rate_of(throttle.limit), failed=False)
        limits.append(throttle.limit)
    return limits


def test_a_server_that_likes_company_gets_all_that_is_allowed():
    assert max(settle(lambda limit: 10.0 * limit)[-10:]) == 4


def test_a_server_that_slows_down_is_left_with_few():
    late = settle(lambda limit: 10.0 / limit)[-10:]
    assert max(late) <= 2 and min(late) == 1


def test_never_below_one_or_above_what_is_allowed():
    for rate in (lambda limit: 10.0 * limit, lambda limit: 10.0 / limit, lambda limit: 10.0):
        limits = settle(rate, most=3)
        assert min(limits) >= 1 and max(limits) <= 3


def test_a_failure_means_one_at_a_time():
    assert after_burst(Throttle(limit=4), 16, 1.0, failed=True).limit == 1


def test_a_few_writes_say_nothing():
    throttle = Throttle(limit=2, rate=5.0)
    assert after_burst(throttle, 1, 0.001, failed=False) == throttle
