"""How many writes to send to one Plex at a time: found by trying, between 1 and what the settings allow.

Parallel writers make a real Plex slower at some point (its database has one writer), and a busy machine reaches that
point earlier, so no fixed number is right. After each burst of writes the rate is compared with the burst before:
while it improves, one more goes in at a time; when it does not, one fewer. A failure of the server means one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

BETTER = 1.05  # a rate must be this much higher to count as better: less is noise
BURST_LEAST = 4  # writes; fewer say nothing about a rate


@dataclass(frozen=True)
class Throttle:
    """``limit`` writes may be under way at once."""

    limit: int = 1
    most: int = 4
    rate: float = 0.0  # writes a second of the last burst that counted; 0 when there was none
    rising: bool = True  # the direction last tried


def after_burst(throttle: Throttle, writes: int, seconds: float, failed: bool) -> Throttle:
    """The throttle after ``writes`` writes took ``seconds``; ``failed`` when the server itself failed at one."""
    if failed:
        return replace(throttle, limit=1, rate=0.0, rising=True)
    if writes < max(BURST_LEAST, throttle.limit) or seconds <= 0:
        return throttle
    rate = writes / seconds
    rising = throttle.rising if rate >= throttle.rate * BETTER else not throttle.rising
    limit = min(max(throttle.limit + (1 if rising else -1), 1), throttle.most)
    return replace(throttle, limit=limit, rate=rate, rising=rising)
