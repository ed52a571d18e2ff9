"""What the records of outages add up to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any


def summary(records: Iterable[Mapping[str, Any]], now: float) -> dict[str, dict[str, float | int | None]]:
    """Per server: how often it was away and for how long.

    ``records`` have server, started_at and ended_at (wall seconds; None while it lasts), in any order. For each server:

    - ``count``: outages, the present one included; ``ongoing``: 1 while one lasts
    - ``down_s``: seconds away in all; ``mttr_s``: mean of an outage that ended, None without one
    - ``mtbf_s``: mean from one outage's end to the next one's start, None with fewer than two
    - ``availability``: the share of the time since the first outage began in which the server was there, 0 to 1
    """
    by_server: dict[str, list[tuple[float, float | None]]] = {}
    for record in records:
        span = (float(record["started_at"]), record["ended_at"])
        by_server.setdefault(str(record["server"]), []).append(span)
    return {server: _one(sorted(spans, key=lambda span: span[0]), now) for server, spans in by_server.items()}


def _one(spans: list[tuple[float, float | None]], now: float) -> dict[str, float | int | None]:
    lengths = [max((now if end is None else end) - start, 0.0) for start, end in spans]
    ended = [length for length, (_, end) in zip(lengths, spans, strict=True) if end is not None]
    between = [
        max(later[0] - earlier[1], 0.0)
        for earlier, later in itertools.pairwise(spans)
        if earlier[1] is not None
    ]
    observed = max(now - spans[0][0], sum(lengths))
    return {
        "count": len(spans),
        "ongoing": len(spans) - len(ended),
        "down_s": round(sum(lengths), 3),
        "mttr_s": round(sum(ended) / len(ended), 3) if ended else None,
        "mtbf_s": round(sum(between) / len(between), 3) if between else None,
        "availability": round(1 - sum(lengths) / observed, 6) if observed else 1.0,
    }
