"""How many writes to send to one Plex at a time: found by trying, between 1 and what the settings allow.

Parallel writers make a real Plex slower at some point (its database has one writer), and a busy machine reaches that
point earlier, so no fixed number is right. What each number was seen to do in a second is remembered; one more is
tried while that is better, and the smallest number is taken that does about as well as the best. Now and then its
neighbours are tried again, since servers change. A failure of the server means one at a time, and to begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

BETTER = 1.05  # a rate must be this much higher to count as better: less is noise
BURST_LEAST = 4  # writes; fewer say nothing about a rate
STALE = 12  # bursts with the same number, after which the neighbours' rates are too old to believe


@dataclass(frozen=True)
class Throttle:
    """``limit`` writes may be under way at once."""

    limit: int = 1
    most: int = 4
    rates: tuple[float, ...] = ()  # writes a second with 1, 2, … at a time; 0 where that is not known
    held: int = 0  # bursts in a row with this limit


def after_burst(throttle: Throttle, writes: int, seconds: float, failed: bool) -> Throttle:
    """The throttle after ``writes`` writes took ``seconds``; ``failed`` when the server itself failed at one."""
    if failed:
        return Throttle(most=throttle.most)
    if writes < max(BURST_LEAST, throttle.limit) or seconds <= 0:
        return throttle
    rates = [*throttle.rates, *[0.0] * throttle.most][: throttle.most]
    limit = min(throttle.limit, throttle.most)
    rate, before = writes / seconds, rates[limit - 1]
    rates[limit - 1] = (rate + before) / 2 if before else rate
    held = throttle.held + 1
    if held >= STALE:  # the present one's is fresh
        rates = [known if number == limit else 0.0 for number, known in enumerate(rates, 1)]
        held = 0
    chosen = _next(rates, limit)
    return replace(throttle, limit=chosen, rates=tuple(rates), held=held if chosen == throttle.limit else 0)


def _next(rates: list[float], limit: int) -> int:
    """The neighbour to try, or the smallest number that does about as well as the best."""
    best = max(rates)
    if limit < len(rates) and not rates[limit] and rates[limit - 1] * BETTER >= best:
        return limit + 1
    good = next(number for number, rate in enumerate(rates, 1) if rate * BETTER >= best)
    if good > 1 and not rates[good - 2]:
        return good - 1
    return good
