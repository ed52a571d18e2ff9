"""Breakers, outages and pauses: what outcomes say of the servers, and when asking makes sense again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plexsync.core.breaker import THRESHOLD
from plexsync.core.failures import NeedsAttention, SettingProblem, Transient, Unavailable
from plexsync.core.verdict import ATTENTION_HOLD_S, Failed, InSync, NotFound
from plexsync.queue.store import Store
from plexsync.sync.outages import Outages, pauses
from scenarios.clock import ManualClock
from tests.doubles import SETTINGS, Model

AWAY = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
NO = NeedsAttention("Plex", "Plex does not accept the token (401).")


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def outages(tmp_path: Path, model: Model) -> Outages:
    clock = ManualClock()
    return Outages(Store(tmp_path, clock=clock), model, clock, random.Random(1))


def fail(outages: Outages, times: int = THRESHOLD) -> None:
    for _ in range(times):
        outages.learn(Failed(AWAY))


def test_some_failures_in_a_row_are_an_outage_and_one_answer_ends_it(outages: Outages) -> None:
    fail(outages, THRESHOLD - 1)
    assert outages.may_claim() and outages.store.state.outages() == []
    fail(outages, 1)
    assert not outages.may_claim()
    outages.learn(InSync())
    assert outages.may_claim()
    (one,) = outages.store.state.outages()
    assert (one["server"], one["ended_at"] is not None) == ("Plex", True)


def test_a_recovery_releases_the_jobs_that_wait_for_that_server_and_slowly(outages: Outages) -> None:
    for scene_id, server in ((1, "Plex"), (2, "Stash")):
        outages.store.enqueue(scene_id)
        job = outages.store.claim()
        assert job is not None
        # The sentence says nothing: which server it is has its own place.
        outages.store.postpone(job, outages.clock.now() + 900, "no answer", False, server)
    fail(outages)
    outages.answered("Plex")
    assert outages.backlog == 1
    assert [job.scene_id for job in outages.store.waiting() if job.due_at <= outages.clock.now()] == [1]


def test_what_stash_alone_answered_says_nothing_of_plex(outages: Outages) -> None:
    fail(outages)
    outages.learn(Failed(Transient("one scene")))
    assert not outages.may_claim()
    outages.learn(NotFound(("/data/1.mp4",)))
    assert outages.may_claim()


def test_when_a_probe_is_due_one_is_sent_and_its_answer_ends_the_outage(
    outages: Outages, model: Model
) -> None:
    fail(outages)
    model.trouble["Plex"] = AWAY
    outages.clock.sleep(120)
    assert not outages.may_claim() and model.probes == ["Plex"]
    assert not outages.may_claim() and model.probes == ["Plex"], "not before the next is due"
    del model.trouble["Plex"]
    outages.clock.sleep(120)
    assert outages.may_claim() and model.probes == ["Plex", "Plex"]


def test_what_only_a_person_can_help_pauses_the_queue_until_settings_change(
    outages: Outages, model: Model
) -> None:
    outages.settings = SETTINGS
    outages.learn(Failed(NO))
    assert not outages.may_claim() and outages.store.state.load("attention") == str(NO)
    model.given = model.given.__class__(plex_url="http://plex:32400", plex_token="another-token")
    assert outages.may_claim() and outages.store.state.load("attention") == ""


def test_a_pause_ends_by_itself_to_be_tried_again(outages: Outages) -> None:
    outages.settings = SETTINGS
    outages.learn(Failed(NO))
    outages.clock.sleep(ATTENTION_HOLD_S)
    assert outages.may_claim()
    outages.learn(InSync())
    assert outages.paused_by == ""


def test_a_probe_of_a_worker_that_has_ended_is_due_for_the_next(outages: Outages, model: Model) -> None:
    fail(outages)
    outages.clock.sleep(120)
    assert outages._may_probe("Plex"), "sent, and its worker is killed"
    assert not outages._may_probe("Plex")
    outages.forget_lost_probes()
    assert outages._may_probe("Plex")


@pytest.mark.parametrize(
    ("error", "said"),
    [(AWAY, False), (NO, True), (SettingProblem("plex_url", "not set"), True), (ValueError("x"), False)],
)
def test_what_pauses(error: Exception, said: bool) -> None:
    assert pauses(error) is said
