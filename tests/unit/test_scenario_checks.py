"""Every check on histories written by hand: one that is well, and for each promise at least one that is sick."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scenarios import checks
from scenarios.history import (
    FAILED,
    OK,
    RATED_IN_PLEX,
    UNKNOWN,
    Answer,
    Edit,
    History,
    Hook,
    Letter,
    Mark,
    Move,
    Outage,
    Pair,
    Sample,
    Write,
    duplicates,
    quantile,
)
from scenarios.scenario import Expect

SAID = {
    "title": "New",
    "studio": "Blue Door",
    "date": "",
    "performers": (),
    "tags": ("Rain",),
    "rating": 8.5,
    "summary": "",
}
BARE = {
    "title": "file",
    "studio": "",
    "date": "2020-01-01",
    "performers": (),
    "tags": (),
    "rating": "",
    "summary": "",
}
SHOWN = {**SAID, "date": "2020-01-01"}  # without a date in Stash, Plex keeps the file's


def edit(
    number: int, scene: int, title: str, outcome: str = OK, kind: str = "update", concerns: bool = True
) -> Edit:
    return Edit(
        number, kind, (scene,), {"title": title}, 100.0 + number, 100.1 + number, outcome, "", concerns
    )


def write(
    at: float, scene: int | None, title: str, status: int | None = 200, faults: tuple[str, ...] = ()
) -> Write:
    return Write(at, scene, 70 + (scene or 0), f'{{"title": "{title}"}}', title, status, faults)


WELL = History(
    scenario="by hand",
    seed=1,
    began_at=100.0,
    healed_at=110.0,
    drained_at=111.0,
    ended_at=112.0,
    edits=(edit(0, 1, "New"),),
    writes=(write(101.0, 1, "New"),),
    moves=(Move(101.1, "synced", 1, 1, "wrote title"),),
    hooks=(Hook(100.2, 1, "Scene.Update.Post", 40.0, 0, None),),
    pairs=(Pair(1, "/a.mp4", SAID, SHOWN, BARE), Pair(2, "/b.mp4", SAID, BARE, BARE)),
    final=Sample(111.0, done=1),
    baselines_ms=(20.0, 22.0),
)


def verdict(name: str, history: History, expect: Expect | None = None) -> checks.Verdict:
    return next(v for v in checks.judge(history, expect or Expect()) if v.check == name)


def test_a_history_that_is_well_passes_every_check():
    assert [v for v in checks.judge(WELL, Expect()) if not v.holds] == []
    assert {v.check for v in checks.judge(WELL, Expect())} == {check.__name__ for check in checks.CHECKS}


def test_counts_of_a_history_that_is_well():
    assert checks.counts(WELL) == {
        "edits": 1,
        "lost": 0,
        "duplicated": 0,
        "dead": 0,
        "retried": 0,
        "outages": 0,
        "kills": 0,
    }


RATED = Edit(5, RATED_IN_PLEX, (1,), {"rating100": 40}, 105.0, 105.1, OK)
NOT_SHOWN = (Pair(1, "/a.mp4", SAID, {**SHOWN, "title": "Old"}, BARE),)
SICK = {
    "nothing_lost": [
        replace(WELL, pairs=NOT_SHOWN),
        replace(WELL, pairs=(Pair(1, "/a.mp4", SAID, None, BARE),)),
        replace(WELL, pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "tags": ("Rain", "Old")}, BARE),)),
        # An unknown outcome counts when Stash has it.
        replace(WELL, edits=(edit(0, 1, "New", UNKNOWN),), pairs=NOT_SHOWN),
    ],
    "plex_is_level": [
        replace(WELL, pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "rating": 8.0}, BARE),)),
        replace(WELL, edits=(), pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "studio": ""}, BARE),)),
        replace(WELL, pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "date": "2021-01-01"}, BARE),)),
    ],
    "nothing_from_nowhere": [
        replace(WELL, writes=(*WELL.writes, write(102.0, 2, "Nobody asked"))),
        replace(WELL, writes=(*WELL.writes, write(102.0, None, "Whose?"))),
        replace(WELL, pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "title": "Invented"}, BARE),)),
    ],
    "duplicates_bounded": [
        replace(WELL, writes=(write(101.0, 1, "New"), write(101.5, 1, "New"))),
        replace(
            WELL,
            marks=(Mark(101.2, "kill", "SIGKILL", "worker"),),
            writes=(write(101.0, 1, "New"), write(101.5, 1, "New"), write(101.7, 1, "New")),
        ),
        # As many kills as repeats, but none of them explains this one.
        replace(
            WELL,
            marks=(Mark(106.0, "kill", "SIGKILL", "worker"),),
            writes=(write(101.0, 1, "New"), write(101.5, 1, "New")),
        ),
    ],
    "order_kept": [
        replace(
            WELL,
            edits=(edit(0, 1, "Older"), edit(1, 1, "New")),
            writes=(write(101.0, 1, "New"), write(102.0, 1, "Older")),
        ),
    ],
    "newest_wins": [
        replace(
            WELL,
            edits=(edit(0, 1, "Older"), edit(1, 1, "Newer")),
            pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "title": "Older"}, BARE),),
        ),
        # One that was asked for before it, and whose outcome nobody knows, may be the last; an older one may not.
        replace(
            WELL,
            edits=(edit(0, 1, "Oldest"), edit(1, 1, "Lost", UNKNOWN), edit(2, 1, "Newest")),
            pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "title": "Oldest"}, BARE),),
        ),
    ],
    "ratings_reach_stash": [
        # Overwritten in Plex as if nobody had given it; kept in Plex and never told to Stash.
        replace(WELL, edits=(*WELL.edits, RATED)),
        replace(
            WELL,
            edits=(*WELL.edits, RATED),
            pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "rating": 4.0}, BARE),),
        ),
    ],
    "dead_letters_deserved": [
        replace(WELL, letters=(Letter(1, "Transient", "no luck", 8),)),
        replace(WELL, letters=(Letter(None, "DamagedRow", "", 1),)),
    ],
    "attempts_fair": [replace(WELL, letters=(Letter(1, "Unavailable", "refused", 8),))],
    "outages_true": [
        replace(WELL, outages=(Outage("Plex", 103.0, 104.0),)),
        replace(
            WELL,
            marks=(Mark(102.0, "down", "away", "plex"), Mark(105.0, "up", "back", "plex")),
            outages=(Outage("Plex", 103.0, None),),
        ),
        replace(WELL, final=Sample(111.0, plex="half_open")),
    ],
    "hook_in_budget": [
        replace(WELL, hooks=(Hook(100.2, 1, "Scene.Update.Post", 480.0, 0, None),)),
        replace(WELL, hooks=tuple(Hook(100.0, 1, "", 300.0 if i > 30 else 20.0, 0, None) for i in range(40))),
    ],
    "status_true": [
        replace(
            WELL,
            answers=(
                Answer(
                    105.0,
                    {"pending": 9, "in_progress": 0, "dead": 0, "finished_ever": 1},
                    Sample(104.9, done=1),
                    Sample(105.1, done=1),
                ),
            ),
        ),
        replace(WELL, answers=(Answer(105.0, {}, Sample(104.9), Sample(105.1)),)),
    ],
    "log_tells": [replace(WELL, moves=())],
    "plays_leave_no_note": [
        replace(
            WELL,
            edits=(*WELL.edits, edit(1, 2, "", kind="plays", concerns=False)),
            moves=(*WELL.moves, Move(103.0, "in_sync", 2, 1, "nothing differed")),
        ),
    ],
    "no_secret": [replace(WELL, secrets=("plexsync.log",))],
    "no_defects": [
        replace(WELL, troubles=("dead-lettered scene 1\nTraceback (most recent call last):\nKeyError: 'x'",))
    ],
    "drained_in_time": [
        replace(WELL, drained_at=None),
        replace(WELL, drained_at=140.0),
        replace(WELL, final=Sample(111.0, pending=1, later=1)),
    ],
    "nothing_left_running": [replace(WELL, leftovers=("4711: python PlexSync.py worker",))],
}


@pytest.mark.parametrize(
    ("name", "history"), [(name, sick) for name, histories in SICK.items() for sick in histories]
)
def test_a_sick_history_is_caught_by_its_check_and_shown_with_a_row(name, history):
    found = verdict(name, history)
    assert not found.holds
    assert found.evidence and all(found.evidence)


def test_every_check_has_a_sick_history():
    assert set(SICK) == {check.__name__ for check in checks.CHECKS}


HEALTHY = [
    # What a scenario says it must allow for.
    ("nothing_lost", replace(WELL, pairs=NOT_SHOWN), Expect(never_in_sync=(1,))),
    (
        "nothing_lost",
        replace(WELL, pairs=NOT_SHOWN, letters=(Letter(1, "NotFound", "no item", 12),)),
        Expect(),
    ),
    ("nothing_lost", replace(WELL, edits=(edit(0, 1, "New", FAILED),), pairs=NOT_SHOWN), Expect()),
    ("plex_is_level", replace(WELL, pairs=NOT_SHOWN), Expect(dead={1: "Transient"})),
    ("plex_is_level", replace(WELL, edits=(edit(0, 1, "New", FAILED),), moves=(), pairs=NOT_SHOWN), Expect()),
    (
        "plex_is_level",
        replace(WELL, pairs=(Pair(1, "/a", SAID, {**SHOWN, "tags": ("RAIN",)}, BARE),)),
        Expect(),
    ),
    # A kill explains one repeated write, a lost answer another, and what was not carried out is no first one.
    (
        "duplicates_bounded",
        replace(
            WELL,
            marks=(Mark(101.2, "kill", "SIGKILL", "worker"),),
            writes=(
                write(101.0, 1, "New", None, ("reset_after",)),
                write(101.5, 1, "New"),
                write(102.0, 1, "New"),
            ),
        ),
        Expect(),
    ),
    (
        "duplicates_bounded",
        replace(WELL, writes=(write(101.0, 1, "New", 500, ("status",)), write(101.5, 1, "New"))),
        Expect(),
    ),
    (
        "dead_letters_deserved",
        replace(WELL, letters=(Letter(1, "Ambiguous", "two items", 1),)),
        Expect(dead={1: "Ambiguous"}),
    ),
    (
        "outages_true",
        replace(
            WELL,
            marks=(Mark(102.0, "down", "away", "plex"), Mark(105.0, "up", "back", "plex")),
            outages=(Outage("Plex", 103.0, 106.0),),
        ),
        Expect(),
    ),
    (
        "hook_in_budget",
        replace(WELL, baselines_ms=(90.0,), hooks=(Hook(100.2, 1, "", 180.0, 0, None),)),
        Expect(),
    ),
    ("drained_in_time", replace(WELL, final=Sample(111.0, pending=1, later=1)), Expect(later=True)),
    (
        "newest_wins",
        replace(
            WELL,
            edits=(edit(0, 1, "Older"), edit(1, 1, "Lost", UNKNOWN)),
            pairs=(Pair(1, "/a.mp4", SAID, {**SHOWN, "title": "Lost"}, BARE),),
        ),
        Expect(),
    ),
    (
        "ratings_reach_stash",
        replace(WELL, edits=(RATED, replace(edit(6, 1, "New"), fields={"rating100": 85}))),
        Expect(),
    ),
    (
        "order_kept",
        replace(
            WELL,
            edits=(edit(0, 1, "Older"), edit(1, 1, "New")),
            writes=(write(101.0, 1, "New"), write(102.0, 1, "Older"), write(103.0, 1, "New")),
        ),
        Expect(stale_writes=True),
    ),
]


@pytest.mark.parametrize(("name", "history", "expect"), HEALTHY)
def test_what_is_explained_or_allowed_for_is_no_fault(name, history, expect):
    found = verdict(name, history, expect)
    assert found.holds, found


def test_a_dead_letter_that_is_deserved_and_missing_is_a_fault():
    assert not verdict("dead_letters_deserved", WELL, Expect(dead={1: "Ambiguous"})).holds


def test_duplicates_are_counted_item_by_item_in_the_order_of_time():
    writes = (
        write(3.0, 1, "A"),
        write(1.0, 1, "A"),
        write(2.0, 2, "A"),
        write(4.0, 1, "B"),
        write(5.0, 1, "A"),
    )
    assert [(a.at, b.at) for a, b in duplicates(replace(WELL, writes=writes))] == [(1.0, 3.0)]


@pytest.mark.parametrize(
    ("values", "part", "wanted"),
    [([], 0.5, 0.0), ([3], 0.95, 3), ([1, 2, 3, 4], 0.5, 2), (range(1, 101), 0.95, 95)],
)
def test_quantile(values, part, wanted):
    assert quantile(values, part) == wanted
