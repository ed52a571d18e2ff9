"""One breaker a server: after a few failures in a row nobody asks it, except one probe now and then.

    state      event          next
    closed     success        closed
    closed     failure        closed, or open at the THRESHOLD-th in a row
    open       due            half_open: one caller may ask
    half_open  success        closed
    half_open  failure        open, for twice as long
    half_open  due            half_open: the probe never came back (its worker was killed), one more may ask

Times are wall seconds, because the breaker outlives its process; a clock that was set back cannot hold it
shut for longer than BACKOFF_CAP_S. Only ``failures.Unavailable`` counts as failure: a wrong token or one bad
item says nothing about whether the server is there.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

THRESHOLD = 3  # failures in a row
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
PROBE_LEASE_S = 60.0  # a probe not heard of for this long is lost


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    TRIP = "trip"  # the failure that is one too many
    DUE = "due"  # the time of the next probe has come, and somebody asks


TABLE: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.SUCCESS): State.CLOSED,
    (State.CLOSED, Event.FAILURE): State.CLOSED,
    (State.CLOSED, Event.TRIP): State.OPEN,
    (State.OPEN, Event.DUE): State.HALF_OPEN,
    (State.HALF_OPEN, Event.DUE): State.HALF_OPEN,
    (State.HALF_OPEN, Event.SUCCESS): State.CLOSED,
    (State.HALF_OPEN, Event.TRIP): State.OPEN,
    # Answers to questions asked before the breaker opened may still come in.
    (State.OPEN, Event.SUCCESS): State.CLOSED,
    (State.OPEN, Event.FAILURE): State.OPEN,
}


@dataclass(frozen=True)
class Breaker:
    """What is known of one server. ``Breaker()`` is closed."""

    state: State = State.CLOSED
    failures: int = 0  # in a row
    opened_at: float = 0.0  # wall seconds of the first opening of this outage; 0 when closed
    probe_at: float = 0.0  # wall seconds before which nobody may ask, unless closed
    backoff_s: float = 0.0  # the wait that ends at probe_at; 0 when closed


def allow(breaker: Breaker, now: float) -> tuple[bool, Breaker]:
    """May the caller ask the server, and the breaker afterwards.

    In half-open exactly one caller is told yes, provided the caller keeps (and stores) the breaker it is
    given.
    """
    if breaker.state is State.CLOSED:
        return True, breaker
    longest_s = PROBE_LEASE_S if breaker.state is State.HALF_OPEN else BACKOFF_CAP_S
    if now < breaker.probe_at <= now + longest_s:
        return False, breaker
    return True, replace(breaker, state=TABLE[breaker.state, Event.DUE], probe_at=now + PROBE_LEASE_S)


def after_success(breaker: Breaker, now: float) -> Breaker:
    """The server answered: closed, whatever was before."""
    return Breaker(state=TABLE[breaker.state, Event.SUCCESS])


def after_failure(breaker: Breaker, now: float, rng: random.Random) -> Breaker:
    """The server did not answer: one failure more, and open when it is one too many."""
    failures = breaker.failures + 1
    if breaker.state is State.OPEN:
        return replace(breaker, state=TABLE[breaker.state, Event.FAILURE], failures=failures)
    if breaker.state is State.CLOSED and failures < THRESHOLD:
        return replace(breaker, state=TABLE[breaker.state, Event.FAILURE], failures=failures)
    whole_s = min(max(breaker.backoff_s * 2, BACKOFF_BASE_S), BACKOFF_CAP_S)
    return Breaker(
        state=TABLE[breaker.state, Event.TRIP],
        failures=failures,
        opened_at=breaker.opened_at or now,
        probe_at=now + whole_s / 2 + rng.random() * whole_s / 2,
        backoff_s=whole_s,
    )


def to_dict(breaker: Breaker) -> dict[str, object]:
    """The breaker as JSON can hold it."""
    return asdict(breaker)


def from_dict(stored: Mapping[str, object] | None) -> Breaker:
    """The breaker ``to_dict`` stored. What is missing or damaged counts as closed: asking once costs little."""
    if not stored:
        return Breaker()
    numbers = [stored.get(key) for key in ("failures", "opened_at", "probe_at", "backoff_s")]
    usable = [
        n for n in numbers if isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n)
    ]
    if stored.get("state") not in tuple(State) or len(usable) != len(numbers) or min(usable) < 0:
        return Breaker()
    failures, opened_at, probe_at, backoff_s = usable
    return Breaker(State(str(stored["state"])), int(failures), opened_at, probe_at, backoff_s)
