"""The table of a job's moves."""

from __future__ import annotations

import pytest

from plexsync.core.job import MOVES, IllegalMove, Job, Status, move

ACTIONS = sorted({action for _, action in MOVES})


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("action", ACTIONS)
def test_a_move_is_in_the_table_or_refused(status, action):
    if (status, action) in MOVES:
        assert move(status, action) is MOVES[status, action]
    else:
        with pytest.raises(IllegalMove, match=action):
            move(status, action)


def test_an_action_nobody_knows_is_refused():
    with pytest.raises(IllegalMove, match="WAITING cannot dance"):
        move(Status.WAITING, "dance")


def test_what_is_done_stays_done():
    assert not [action for status, action in MOVES if status is Status.DONE]


def test_only_a_replay_leads_out_of_failure():
    assert [action for status, action in MOVES if status is Status.FAILED] == ["replay"]


def test_every_state_can_be_reached_from_a_fresh_row():
    reached = {Status.FRESH}
    for _ in Status:
        reached |= {to for (status, _), to in MOVES.items() if status in reached}
    assert reached == set(Status)


def test_the_numbers_are_persist_queues():
    assert {status.name: int(status) for status in Status} == {
        "FRESH": 0,
        "WAITING": 1,
        "IN_PROGRESS": 2,
        "DONE": 5,
        "FAILED": 9,
    }


def test_what_a_job_is_about():
    assert Job(1, 12, "update").about == "scene=12"
    assert Job(1, 0, "update", entity="performer", entity_id=5).about == "performer=5"
