"""What holds of the queue's decisions for every input: waits, filters, what was read, who goes together, outages."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plexsync import hook, protocol
from plexsync.core import outages
from plexsync.core.gate import gate
from plexsync.core.job import InLine, next_batch
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.core.verdict import backoff_s
from plexsync.queue import events
from tests.property import strategies as some

# --- waits

SECONDS = st.floats(0.1, 1e5)


@given(st.integers(0, 10**6), SECONDS, SECONDS, st.randoms())
def test_a_wait_is_half_certain_and_never_beyond_its_cap(
    attempts: int, base_s: float, cap_s: float, rng: random.Random
) -> None:
    whole_s = min(base_s * 2.0 ** min(max(attempts, 1) - 1, 60), cap_s)
    assert whole_s / 2 <= backoff_s(attempts, base_s, cap_s, rng) <= whole_s <= cap_s


@given(st.integers(1, 100), SECONDS, SECONDS, st.integers(0, 2**32))
def test_with_the_same_luck_a_later_wait_is_no_shorter(
    attempts: int, base_s: float, cap_s: float, luck: int
) -> None:
    waits = [backoff_s(n, base_s, cap_s, random.Random(luck)) for n in (attempts, attempts + 1)]
    assert waits[0] <= waits[1] <= 2 * waits[0] * (1 + 1e-9)


@given(st.integers(0, 2**32))
def test_what_failed_together_does_not_come_back_together(seed: int) -> None:
    rng = random.Random(seed)
    waits = sorted(backoff_s(8, 5.0, 600.0, rng) for _ in range(2_000))
    in_a_second = max(sum(at <= other < at + 1 for other in waits) for at in waits[:: len(waits) // 40])
    assert in_a_second < 0.05 * len(waits)


# --- filters


@given(some.scenes)
def test_without_rules_every_scene_passes(scene: Scene) -> None:
    assert gate(scene, Settings()) is None


LISTS = st.lists(some.names, max_size=3).map(tuple)


@given(some.scenes, LISTS, LISTS, LISTS, LISTS, st.booleans(), st.booleans())
def test_one_more_rule_never_lets_a_scene_in(
    scene: Scene,
    tags: tuple[str, ...],
    no_tags: tuple[str, ...],
    studios: tuple[str, ...],
    no_studios: tuple[str, ...],
    organized: bool,
    bare: bool,
) -> None:
    rules: dict[str, Any] = {
        "include_tags": tags,
        "exclude_tags": no_tags,
        "include_studios": studios,
        "exclude_studios": no_studios,
        "only_organized": organized,
        "skip_bare": bare,
    }
    alone = [gate(scene, replace(Settings(), **{name: value})) for name, value in rules.items()]
    together = gate(scene, replace(Settings(), **rules))
    assert (together is None) == all(reason is None for reason in alone)
    assert together is None or together in alone


@given(some.scenes, LISTS)
def test_what_is_included_and_excluded_is_excluded(scene: Scene, tags: tuple[str, ...]) -> None:
    reason = gate(scene, replace(Settings(), include_tags=tags, exclude_tags=tags))
    assert (reason is None) == (not tags)


FIELD_NAMES = st.lists(st.sampled_from(sorted(hook.FIELDS)) | st.text(max_size=8), max_size=6).map(tuple)


@given(st.sampled_from(sorted(hook.UPDATE_TYPES)), st.integers(1, 2**63 - 1), FIELD_NAMES, FIELD_NAMES)
def test_an_edit_is_dropped_only_if_all_its_fields_are_known_to_show_nothing(
    kind: str, scene_id: int, names: tuple[str, ...], more: tuple[str, ...]
) -> None:
    event = hook.event_of(protocol.Hook(kind, scene_id, None, names, {}))
    idle = bool(names) and all(hook.FIELDS.get(name) is False for name in names)
    assert (event is None) == idle
    if event is not None:
        assert events.key_of(event) == f"scene:{scene_id}"
        assert names == () or set(event["fields"]) <= set(names)  # type: ignore[call-overload]
        assert hook.event_of(protocol.Hook(kind, scene_id, None, names + more, {})) is not None or not names


# --- what Stash sent

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | some.any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(some.any_text, inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_reading_never_fails_and_says_in_a_sentence_what_is_wrong(raw: bytes) -> None:
    found = protocol.read_input(raw)
    if isinstance(found, protocol.Problem):
        assert found.sentence.endswith(".") and "\n" not in found.sentence


@given(
    st.sampled_from([*hook.UPDATE_TYPES, *hook.ENTITY_HOOKS, *hook.DELETED]),
    st.integers(1, 2**63 - 1),
    JSON,
    st.lists(some.any_text, max_size=4),
    st.booleans(),
)
def test_a_hook_is_read_as_it_was_written(
    kind: str, number: int, sent: Any, names: list[str], text: bool
) -> None:
    context = {"type": kind, "id": str(number) if text else number, "input": sent, "inputFields": names}
    found = protocol.read_input(json.dumps({"args": {"hookContext": context}}).encode())
    assert isinstance(found, protocol.Hook)
    assert (found.type, found.scene_id, found.input, found.input_fields) == (kind, number, sent, tuple(names))


@given(JSON)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    text = events.encode(value)
    assert text.isascii() and protocol.decode(text) == value == json.loads(text)


# --- who goes together

KEYS = st.none() | st.sampled_from(["scene:1", "scene:2", "scene:3"])
PLACES = st.tuples(KEYS, st.sampled_from([5.0, 10.0, 15.0]), st.booleans())


@given(st.lists(PLACES, max_size=8), st.lists(PLACES, max_size=3), st.integers(1, 4))
def test_a_barrier_parts_what_was_put_before_it_from_what_was_put_after(
    waiting_: list[tuple[str | None, float, bool]], busy_: list[tuple[str | None, float, bool]], limit: int
) -> None:
    waiting = [InLine(number, *one) for number, one in enumerate(waiting_, 1)]
    busy = [InLine(100 + number, *one) for number, one in enumerate(busy_)]
    chosen = [one for one in waiting if one.id in next_batch(waiting, busy, 10.0, limit)]
    assert len(chosen) <= limit
    assert all(one.due_at <= 10.0 for one in chosen)
    for one in chosen:
        before = [other for other in waiting if other.id < one.id]
        if one.sequential:
            assert chosen == [one] and not busy and not before
        else:
            assert not any(other.sequential for other in [*before, *busy])
            assert one.key is None or one.key not in {other.key for other in busy}
    if not busy and waiting and waiting[0].due_at <= 10.0:
        assert chosen  # the first in line is held up by nobody


# --- outages

SPANS = st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(0, 1e6)), min_size=1, max_size=6)


@given(SPANS, st.floats(0, 3e6))
def test_outages_add_up(spans: list[tuple[float, float | None]], now: float) -> None:
    records = [{"server": "Plex", "started_at": start, "ended_at": end} for start, end in spans]
    found = outages.summary(records, now)["Plex"]
    assert found == outages.summary(reversed(records), now)["Plex"] or len(
        {start for start, _ in spans}
    ) < len(spans)
    assert found["count"] == len(spans)
    assert found["ongoing"] == sum(end is None for _, end in spans)
    assert 0 <= found["availability"] <= 1  # type: ignore[operator]
    for name in ("down_s", "mttr_s", "mtbf_s"):
        assert found[name] is None or found[name] >= 0  # type: ignore[operator]
