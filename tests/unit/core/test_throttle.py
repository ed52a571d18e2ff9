"""How many writes at a time: up while it helps, down when it does not."""

from __future__ import annotations

import random

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
    throttle = Throttle(limit=2, rates=(4.0, 5.0, 0.0, 0.0))
    assert after_burst(throttle, 1, 0.001, failed=False) == throttle


def test_noise_does_not_drive_it_away_from_what_serves_best():
    """Each rate is off by up to a tenth; of 60 bursts most go out with the number that is best by far."""
    rng = random.Random(5)
    print("seed 5")
    limits = settle(lambda limit: 10.0 * min(limit, 3) * rng.uniform(0.9, 1.1), bursts=60)
    assert limits.count(3) + limits.count(4) > 45
    assert limits[10:].count(1) < 5


def test_a_server_that_changes_is_noticed():
    throttle, limits = Throttle(most=4), []
    for burst in range(120):
        rate = 10.0 * throttle.limit if burst < 60 else 10.0 / throttle.limit
        throttle = after_burst(throttle, 16, 16 / rate, failed=False)
        limits.append(throttle.limit)
    assert limits[50:60].count(4) >= 7
    assert sum(limit <= 2 for limit in limits[-20:]) >= 16
