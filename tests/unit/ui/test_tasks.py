"""The buttons, on a real queue, with Stash and Plex as dictionaries and a clock turned by hand."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plexsync import hook
from plexsync.clock import SystemClock
from plexsync.core.breaker import Breaker, State, to_dict
from plexsync.core.failures import Permanent, Unavailable
from plexsync.core.settings import parse
from plexsync.locks import FileLock
from plexsync.protocol import Task
from plexsync.queue import events, spool
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry
from plexsync.servers.sync_state import SyncState
from plexsync.sync import outages, worker
from plexsync.ui import export, process_queue, tasks
from plexsync.ui.arguments import WrongArgument
from plexsync.ui.session import sentence
from plexsync.ui.words import duration
from scenarios.clock import ManualClock
from tests.doubles import NOW, Paper, Session, make_dead_letter, run_task

ROOT = Path(__file__).resolve().parents[3]


# ---- queueing ----


def test_all_queues_every_scene_in_pages(session: Session) -> None:
    session.store.enqueue(7, "update", ["title"])
    assert run_task(session, "all") == {
        "scenes": 500,
        "queued": 499,
        "already_waiting": 1,
        "returned": 0,
    }
    assert session.store.counts().pending == 500
    assert session.bar == [0.4, 0.8, 1.0]
    assert session.lines == [("info", "500 scenes in Stash: 499 queued, 1 queued already.")]


@pytest.mark.parametrize("mode", ["all", "recent", "reconcile_all", "reconcile_recent"])
def test_who_queues_scenes_is_told_what_is_wrong_with_the_settings(
    session: Session, paper: Paper, mode: str
) -> None:
    """In Stash's log, where they look: else nothing but the number queued would stand there."""
    paper.stored["retry_base_s"] = "soon"
    run_task(session, mode)
    assert session.lines[-1] == (
        "warning",
        "retry_base_s must be a number, not 'soon'; the default 5 is used.",
    )
    del paper.stored["retry_base_s"]
    session.store.state.save("attention", "Plex does not accept plex_token (401).")
    run_task(session, mode)
    assert session.lines[-1] == ("warning", "The queue is paused: Plex does not accept plex_token (401).")


@pytest.mark.parametrize("mode", ["all", "recent"])
def test_what_nothing_can_be_synced_without_is_named_when_scenes_are_queued(
    session: Session, paper: Paper, mode: str
) -> None:
    del paper.stored["plex_token"]
    session.store.state.save("attention", parse(paper.stored)[1][0].sentence)
    run_task(session, mode)
    warned = [text for level, text in session.lines if level == "warning"]
    assert len(warned) == 1 and warned[0].startswith("plex_token is not set: ")


def test_all_of_an_empty_stash(session: Session, paper: Paper) -> None:
    paper.has.clear()
    assert run_task(session, "all") == {"scenes": 0, "queued": 0, "already_waiting": 0, "returned": 0}
    assert session.bar == [1.0]


@pytest.mark.parametrize(
    ("args", "scenes"), [({}, 24), ({"hours": "48"}, 48), ({"hours": 2.5}, 2), ({"hours": ""}, 24)]
)
def test_recent_queues_what_stash_changed_lately(
    session: Session, args: dict[str, object], scenes: int
) -> None:
    assert run_task(session, "recent", **args)["queued"] == scenes
    assert session.store.counts().pending == scenes
    assert all(0 <= part <= 1 for part in session.bar) and session.bar[-1] == 1.0


@pytest.mark.parametrize("mode", ["all", "recent"])
def test_what_was_rated_in_plex_is_looked_at_though_stash_changed_nothing(
    session: Session, paper: Paper, mode: str
) -> None:
    """A job of a sync is done without Plex where nothing seems to have changed; that of an edit is not."""
    paper.remembered.record(400, 1400, "as it was", {"rating": "5"})
    paper.items[1400] = replace(paper.items[1400], user_rating=7.5, last_rated_at=int(NOW))
    assert run_task(session, mode)["returned"] == 0, "not without the setting"
    paper.stored["ratings_to_stash"] = True
    assert run_task(session, mode)["returned"] == 1
    assert {job.scene_id for job in session.store.waiting(600) if job.update_type == "update"} == {400}


@pytest.mark.parametrize("mode", ["all", "recent", "reconcile_all"])
def test_plex_away_hinders_no_queueing(session: Session, paper: Paper, mode: str) -> None:
    paper.stored["ratings_to_stash"] = True
    paper.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 refuses connections.")
    answer = run_task(session, mode)
    assert answer["queued"] == answer.get("scenes", answer.get("seen"))
    assert [text for level, text in session.lines if level == "warning"] == [
        "Ratings and plays in Plex could not be read, and are read next time: "
        "Plex at http://plex:32400 refuses connections."
    ]


def test_stash_away_is_said_and_nothing_is_queued(session: Session, paper: Paper) -> None:
    paper.trouble["Stash"] = Unavailable("Stash", "Stash at http://127.0.0.1:9999 is not reachable.")
    for mode in ("all", "recent"):
        with pytest.raises(Unavailable):
            run_task(session, mode)
    assert session.store.counts().pending == 0


# ---- dead letters and deleting ----


def test_retry_queues_dead_letters_once(session: Session) -> None:
    for scene_id in (1, 2, 3):
        make_dead_letter(session.store, scene_id, "NotFound" if scene_id == 3 else "Permanent")
    assert run_task(session, "retry_dlq", error_type="NotFound") == {"replayed": 1}
    assert run_task(session, "retry_dlq") == {"replayed": 2}
    assert run_task(session, "retry_dlq", error_type="") == {"replayed": 0}
    assert (session.store.counts().pending, session.store.counts().dead) == (3, 0)


def test_clearing(session: Session) -> None:
    for scene_id in (1, 2):
        make_dead_letter(session.store, scene_id)
    session.store.enqueue_many([5, 6, 7])
    assert run_task(session, "clear_queue") == {"deleted": 3}
    assert (session.store.counts().pending, session.store.counts().dead) == (0, 2)
    assert run_task(session, "clear_dlq") == {"deleted": 2}
    assert session.store.counts().dead == 0


@pytest.mark.parametrize(
    ("given", "days", "left"),
    [
        ({}, 30.0, 2),
        ({"days": "30"}, 30.0, 2),
        ({"days": "7"}, 7.0, 1),
        ({"days": 0}, 0.0, 0),
        ({"days": 90}, 90.0, 3),
    ],
)
def test_purge_deletes_what_is_older(
    session: Session, given: dict[str, object], days: float, left: int
) -> None:
    assert isinstance(session.clock, ManualClock)
    for scene_id, wait_days in ((1, 30), (2, 10), (3, 1)):
        make_dead_letter(session.store, scene_id)
        session.clock.advance(wait_days * 86_400)
    assert run_task(session, "purge_dlq", **given) == {"deleted": 3 - left, "days": days}
    assert session.store.counts().dead == left


@pytest.mark.parametrize("days", ["a week", "-1", -1, "nan", "inf", True, [7], {"days": 7}, "1e99"])
def test_days_that_are_none_delete_nothing(session: Session, days: object) -> None:
    make_dead_letter(session.store, 1)
    with pytest.raises(WrongArgument, match="days must be a number of days from 0 to"):
        run_task(session, "purge_dlq", days=days)
    assert session.store.counts().dead == 1


# ---- working ----


def test_process_queue_works_itself_when_nobody_does(session: Session) -> None:
    session.store.enqueue_many(range(1, 31))
    answer = run_task(session, "process_queue")
    assert answer == {"done": 30, "dead": 0, "waiting": 0, "reasons": []}
    assert session.store.counts().completed == 30
    assert session.bar[-1] == 1.0 and session.bar == sorted(session.bar)
    told = (Path(session.data_dir) / "plexsync.log").read_text()
    assert all(f" scene={number} " in told for number in range(1, 31)), (
        "one line a move, in the worker's log too"
    )


def test_process_queue_makes_what_waits_for_later_due(session: Session) -> None:
    session.store.enqueue(1)
    job = session.store.claim()
    assert job is not None
    session.store.postpone(job, NOW + 3600, "Plex had a cold", uses_attempt=True)
    assert run_task(session, "process_queue")["done"] == 1


def test_process_queue_counts_what_is_given_up(session: Session, paper: Paper) -> None:
    paper.trouble["Plex"] = Permanent("Plex refuses the edit (400).")
    session.store.enqueue_many([1, 2])
    assert run_task(session, "process_queue") == {"done": 0, "dead": 2, "waiting": 0, "reasons": []}


def test_process_queue_ends_when_plex_is_down(session: Session, paper: Paper) -> None:
    paper.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 is not reachable.")
    session.store.enqueue_many(range(1, 31))
    answer = run_task(session, "process_queue")
    assert (answer["done"], answer["waiting"]) == (0, 30)
    assert answer["reasons"] == [
        "Plex at http://plex:32400 is not reachable. Pending jobs are synced as soon as Plex recovers."
    ]


def test_process_queue_says_why_a_few_still_wait(session: Session, paper: Paper) -> None:
    """Too few failures to call it an outage, and a scene Plex has not scanned yet."""
    paper.trouble["Plex"] = Unavailable("Plex", "Plex at http://plex:32400 is not reachable.")
    session.store.enqueue_many([1, 2])
    assert run_task(session, "process_queue")["reasons"] == ["Plex at http://plex:32400 is not reachable."]
    del paper.trouble["Plex"], paper.items[1001]
    answer = run_task(session, "process_queue")
    assert (answer["done"], answer["waiting"], answer["reasons"]) == (
        1,
        1,
        ["No Plex item has the file /data/1.mp4."],
    )


def test_process_queue_asks_at_once_a_plex_that_was_down(session: Session) -> None:
    session.store.state.save_breaker("Plex", to_dict(Breaker(State.OPEN, 3, NOW, NOW + 50, 60)))
    session.store.enqueue(1)
    assert run_task(session, "process_queue")["done"] == 1
    assert session.clock.now() < NOW + 10


def test_process_queue_says_which_setting_holds_it(session: Session, paper: Paper) -> None:
    del paper.stored["plex_token"]
    session.store.enqueue_many([1, 2])
    answer = run_task(session, "process_queue")
    assert answer["waiting"] == 2
    reasons = answer["reasons"]
    assert isinstance(reasons, list) and reasons[0].startswith("The queue is paused: plex_token is not set")
    assert ("warning", reasons[0]) in session.lines


def test_process_queue_with_nothing_to_do(session: Session) -> None:
    assert run_task(session, "process_queue") == {"done": 0, "dead": 0, "waiting": 0, "reasons": []}
    assert session.bar == [1.0]


def test_process_queue_looks_on_while_a_worker_works(tmp_path: Path, paper: Paper) -> None:
    """Another thread holds the worker's lock and works slowly; the bar follows it."""
    session = Session(tmp_path, paper, SystemClock())
    session.store.enqueue_many(range(1, 9))
    lock = FileLock(str(tmp_path / "worker.lock"))
    assert lock.take()

    def work() -> None:
        with Store(tmp_path) as store:
            while (job := store.claim()) is not None:
                SystemClock().sleep(0.2)
                store.finish(job, "synced")
        lock.release()

    other = threading.Thread(target=work)
    other.start()
    answer = run_task(session, "process_queue")
    other.join()
    session.close()
    assert answer == {"done": 8, "dead": 0, "waiting": 0, "reasons": []}
    assert session.bar == sorted(session.bar) and len(set(session.bar)) >= 3
    assert session.lines[0] == ("info", "A worker is running already; this shows its progress.")


def test_process_queue_takes_over_from_a_worker_that_dies(tmp_path: Path, paper: Paper) -> None:
    session = Session(tmp_path, paper, SystemClock())
    session.store.enqueue_many([1, 2])
    lock = FileLock(str(tmp_path / "worker.lock"))
    assert lock.take()
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    answer = run_task(session, "process_queue")
    session.close()
    assert answer["done"] == 2


# ---- looking ----


def test_queue_lists_what_waits(session: Session) -> None:
    assert run_task(session, "queue") == {"queue": []} and session.lines == [
        ("info", "There are no pending jobs.")
    ]
    session.store.enqueue(1, "update", ["title"])
    job = session.store.claim()
    assert job is not None
    session.store.postpone(job, NOW + 90, "Plex had a cold.", uses_attempt=True)
    session.store.enqueue(5, "update", ["name"], entity="performer")
    rows = run_task(session, "queue")["queue"]
    assert isinstance(rows, list)
    assert [(row["about"], row["due_in_s"]) for row in rows] == [("performer 5", 0.0), ("scene 1", 90.0)]
    assert session.lines[-1][1].endswith("due in 90 s, 1 attempt so far. Plex had a cold.")
    assert len(run_task(session, "queue", limit="1")["queue"]) == 1  # type: ignore[arg-type]


def test_dead_letters_by_type_and_by_number(session: Session) -> None:
    for scene_id, error_type in ((1, "Permanent"), (2, "NotFound")):
        make_dead_letter(session.store, scene_id, error_type)
    found = run_task(session, "dead")["dead_letters"]
    assert isinstance(found, list) and [letter["scene_id"] for letter in found] == [2, 1]
    assert "payload" not in found[0]
    only = run_task(session, "dead", error_type="Permanent")["dead_letters"]
    assert isinstance(only, list) and [letter["scene_id"] for letter in only] == [1]
    (whole,) = run_task(session, "dead", ids=[only[0]["id"], 999])["dead_letters"]  # type: ignore[misc, attr-defined]
    assert whole["traceback"] == "Traceback …" and whole["payload"]["scene_id"] == 1
    assert run_task(session, "dead", ids=999) == {"dead_letters": []}
    assert session.lines[-1] == ("warning", "There is no dead letter 999.")


def test_retry_of_named_letters(session: Session) -> None:
    for scene_id in (1, 2, 3):
        make_dead_letter(session.store, scene_id)
    newest = session.store.letters.newest()[0].id
    assert run_task(session, "retry_dlq", ids=f"{newest}, {newest - 1}") == {"replayed": 2}
    assert [letter.scene_id for letter in session.store.letters.newest()] == [1]


# ---- choosing ----


@pytest.fixture
def twins(session: Session, paper: Paper) -> Session:
    """Scene 1 has two items, and was given up for it; scene 2 too, without anybody having noticed."""
    for number in (1, 2):
        paper.items[2000 + number] = replace(
            paper.items[1000 + number], rating_key=2000 + number, title="twin"
        )
    session.store.enqueue(1)
    run_task(session, "process_queue")
    assert session.store.letters.by_type() == {"Ambiguous": 1}
    session.lines.clear()
    return session


def test_choosing_is_kept_and_queues_the_scene(twins: Session, paper: Paper) -> None:
    waiting = run_task(twins, "choose")["waiting"]
    assert isinstance(waiting, list) and [letter["scene_id"] for letter in waiting] == [1]
    listed = run_task(twins, "choose", scene_id="1")
    assert [each["rating_key"] for each in listed["candidates"]] == [1001, 2001]  # type: ignore[attr-defined]
    assert (listed["outcome"], listed["chosen"], listed["replayed"]) == ("ambiguous", None, 0)
    assert twins.lines[-1] == ("info", "2001: “twin” in 1, /data/1.mp4")
    answer = run_task(twins, "choose", scene_id=1, rating_key=2001)
    assert (answer["chosen"], answer["replayed"]) == (2001, 1)
    assert twins.store.letters.newest() == []
    assert run_task(twins, "process_queue")["done"] == 1
    assert (paper.items[2001].title, paper.items[1001].title) == ("Scene 1", "old")


def test_a_choice_can_be_changed(twins: Session) -> None:
    run_task(twins, "choose", scene_id=1, rating_key=2001)
    assert run_task(twins, "choose", scene_id=1)["chosen"] == 2001
    assert ("info", "2001 (chosen): “twin” in 1, /data/1.mp4") in twins.lines
    assert run_task(twins, "choose", scene_id=1, rating_key=1001)["chosen"] == 1001


def test_a_scene_nobody_gave_up_may_be_chosen_for_and_is_queued(twins: Session) -> None:
    answer = run_task(twins, "choose", scene_id=2, rating_key=1002)
    assert (answer["chosen"], answer["replayed"]) == (1002, 0)
    assert twins.store.counts().pending == 1


def test_what_cannot_be_chosen(twins: Session, paper: Paper) -> None:
    with pytest.raises(WrongArgument, match="Scene 1 is one of the items 1001, 2001, not 77"):
        run_task(twins, "choose", scene_id=1, rating_key=77)
    for args in ({"rating_key": 5}, {"scene_id": "1,2"}, {"scene_id": 1, "rating_key": [1, 2]}):
        with pytest.raises(WrongArgument, match="takes one scene_id"):
            run_task(twins, "choose", **args)
    answer = run_task(twins, "choose", scene_id=3, rating_key=1003)
    assert (answer["candidates"], answer["chosen"], answer["outcome"]) == ([], None, "differs")
    assert twins.lines[-1] == ("info", "Scene 3 needs no choice. It is item 1003.")
    run_task(twins, "choose", scene_id=999)
    assert twins.lines[-1] == ("info", "Scene 999 needs no choice. Stash has no scene with this number.")
    assert paper.remembered.choice(1) is None


# ---- exporting ----


def test_export_holds_everything(session: Session, tmp_path: Path) -> None:
    make_dead_letter(session.store, 1)
    session.store.enqueue_many([2, 3])
    session.store.state.open_outage("Plex", "Plex is away.")
    sync_state = SyncState(session.store.file, "http://plex")
    sync_state.put(1, [Entry(1001, ("/data/1.mp4",))])
    sync_state.record(2, 1002, "print", {"tags": ["a"]})
    sync_state.choose(3, 1003)
    spool.write(str(tmp_path), events.new_event(9, "update", ["title"], now=NOW))
    answer = run_task(session, "export")
    assert answer == {
        "file": str(tmp_path / "export.jsonl"),
        "lines": {
            "job": 3, "dead_letter": 1, "outage": 1, "scene": 1, "choice": 1, "plex_file": 1, "spooled": 1,
        },
    }  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text(encoding="utf-8").splitlines()]
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["scene"]["written"] == {"tags": ["a"]} and by_kind["scene"]["rating_key"] == 1002
    assert by_kind["dead_letter"]["data"]["scene_id"] == 1
    assert by_kind["spooled"]["data"]["scene_id"] == 9
    assert (by_kind["choice"]["scene_id"], by_kind["choice"]["rating_key"]) == (3, 1003)


def test_no_table_is_forgotten_by_the_export(session: Session) -> None:
    SyncState(session.store.file, "http://plex").choose(1, 2)
    rows = session.store.file.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {row[0] for row in rows}
    assert tables - export.LEFT_OUT == set(export.TABLES.values())


def test_export_shows_damage_as_it_is(session: Session, tmp_path: Path) -> None:
    make_dead_letter(session.store, 1)
    session.store.file.db.execute("UPDATE dead_letters SET data = CAST(x'7bff' AS TEXT)")
    run_task(session, "export")
    rows = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["data"] for row in rows if row["kind"] == "dead_letter"] == ["{\\xff"]


def test_export_is_one_moment_while_others_write(session: Session) -> None:
    session.store.enqueue_many(range(1, 1201))
    rows = export.rows(session.store)
    first = next(rows)
    session.store.enqueue_many(range(2001, 2101))
    assert first["kind"] == "job" and sum(1 for _ in rows) == 1199


def test_queue_status(session: Session) -> None:
    make_dead_letter(session.store, 9, "Ambiguous")
    session.store.enqueue_many([1, 2, 3])
    job = session.store.claim()
    assert job is not None
    session.store.postpone(job, NOW + 90, "not yet", uses_attempt=True)
    status = run_task(session, "queue_status")
    assert {key: status[key] for key in ("pending", "in_progress", "completed", "failed", "dead")} == {
        "pending": 3, "in_progress": 0, "completed": 0, "failed": 1, "dead": 1,
    }  # fmt: skip
    assert (status["waiting_later"], status["worker_running"], status["blocked"]) == (1, False, None)
    assert status["dead_by_type"] == {"Ambiguous": 1}
    letter = status["dead_letters"][0]  # type: ignore[index]
    assert (letter["scene_id"], letter["error_type"], letter["message"]) == (
        9,
        "Ambiguous",
        "Ambiguous happened.",
    )
    json.dumps(status)
    said = "\n".join(text for _, text in session.lines)
    assert "3 pending, 1 of them due later" in said and "1 dead letter." in said
    assert "scene 9 after 1 attempt, Ambiguous: Ambiguous happened." in said


def test_the_status_says_why_scenes_were_skipped_and_what_was_kept(session: Session, paper: Paper) -> None:
    paper.stored |= {"only_organized": True, "exclude_tags": "private", "conflict_policy": "plex"}
    for number in range(1, 8):
        paper.has[number] = replace(paper.has[number], organized=number > 4)
    paper.has[5] = replace(paper.has[5], tags=("Private",))
    for number in (6, 7):
        paper.remembered.record(number, 1000 + number, "", {"title": "By us"})
        paper.items[1000 + number] = replace(paper.items[1000 + number], title="By hand")
        paper.has[number] = replace(paper.has[number], details="" if number == 6 else "What happens.")
    session.store.enqueue_many(range(1, 8))
    drainer = worker.Worker(session.store, paper, session.clock, random.Random(1))  # type: ignore[arg-type]
    while drainer.step():
        pass
    drainer._writers.close()
    status = run_task(session, "queue_status")
    assert status["skipped"] == {
        "not organized": 4,
        "has the tag 'private', which is not to be synced": 1,
    }
    assert status["kept"] == {"title": 2} and status["of_the_last"] == 7
    said = [text for _, text in session.lines]
    assert (
        "Of the last 7 jobs done, skipped: 4 × not organized, 1 × has the tag 'private', which is not to be synced."
        in said
    )
    assert "Of the last 7 jobs done, kept as Plex has it: 2 × title." in said


def test_queue_status_sees_a_worker_by_its_lock(session: Session, tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path / "worker.lock"))
    assert lock.take()
    assert run_task(session, "queue_status")["worker_running"] is True
    lock.release()
    assert run_task(session, "queue_status")["worker_running"] is False


def test_a_frozen_worker_does_not_run_and_the_one_beside_it_does(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, second = (FileLock(str(tmp_path / name)) for name in hook.WORKER_LOCKS)
    assert frozen.take()
    monkeypatch.setattr(hook, "FROZEN_S", 0.1)
    time.sleep(0.2)
    assert run_task(session, "queue_status")["worker_running"] is False
    assert second.take()
    assert run_task(session, "queue_status")["worker_running"] is True
    frozen.release()
    second.beat()
    assert run_task(session, "queue_status")["worker_running"] is True
    second.release()


def test_looking_changes_nothing(session: Session) -> None:
    session.store.enqueue_many([1, 2])
    before = "\n".join(session.store.file.db.iterdump())
    run_task(session, "queue_status")
    run_task(session, "health_check")
    assert "\n".join(session.store.file.db.iterdump()) == before


def test_diff_tells_what_would_change(session: Session, paper: Paper, tmp_path: Path) -> None:
    del paper.items[1003]
    answer = run_task(session, "diff", hours=4, page=True)
    assert (answer["scenes"], answer["outcomes"]) == (4, {"differs": 3, "not_found": 1})
    previews = answer["previews"]
    assert isinstance(previews, list) and [each["scene_id"] for each in previews] == [1, 2, 3, 4]
    assert ("info", "Scene 1, title: old → Scene 1") in session.lines
    assert (
        answer["page"] == str(tmp_path / "diff.html") and (tmp_path / "diff.html").stat().st_mode & 0o077 == 0
    )
    assert session.store.counts().pending == 0 and session.bar[-1] == 1.0
    json.dumps(answer)


def test_a_page_is_off_as_a_text_too(session: Session) -> None:
    assert run_task(session, "diff", hours=4, page="false")["page"] is None


def test_diff_of_many_keeps_its_answer_short(session: Session) -> None:
    answer = run_task(session, "diff", scope="all", limit="3")
    assert (answer["scenes"], len(answer["previews"]), answer["left_off"]) == (500, 3, 497)  # type: ignore[arg-type]
    assert answer["page"] is None and session.bar == sorted(session.bar) and len(session.bar) > 3
    assert run_task(session, "diff", scope="7days")["scenes"] == 168


@pytest.mark.parametrize("given", ["2,3, 2", [2, "3"], ["2", 3, 3]])
def test_scenes_may_be_named_in_several_ways(session: Session, given: object) -> None:
    assert run_task(session, "diff", scene_id=given)["scenes"] == 2


@pytest.mark.parametrize(
    "args",
    [{"scene_id": "x"}, {"scene_id": -1}, {"scene_id": "9" * 30}, {"scene_id": {"id": 1}}, {"scope": "now"}],
)
def test_scenes_that_are_none(session: Session, args: dict[str, object]) -> None:
    with pytest.raises(WrongArgument, match="must be"):
        run_task(session, "diff", **args)


# ---- from Stash's side: one JSON object whatever happens ----


def run(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    mode: str,
    connection: dict[str, object] | None = None,
    **args: object,
) -> tuple[dict[str, object], list[str]]:
    assert tasks.run(Task(mode, {"mode": mode, **args}, connection or {"Dir": str(folder)})) == 0
    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    assert all(
        line[0] == "\x01" and line[1] in "tdiwep" and line[2] == "\x02" and line[3:]
        for line in err.splitlines()
    )
    answer = json.loads(out)
    assert len(answer) == 1
    return answer, err.splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STASH_PLUGIN_DATA", raising=False)
    return tmp_path


def data(folder: Path) -> Path:
    return folder / "plugins" / "PlexSync" / "data"


@pytest.mark.parametrize("mode", ["", "nope", "reconcile_everything", "x" * 5000])
def test_an_unknown_mode_names_the_known_ones(
    folder: Path, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer, lines = run(capfd, folder, mode)
    for known in tasks.TASKS:
        assert known in str(answer["error"])
    assert len(lines) == 1 and len(str(answer["error"])) < 400
    assert not data(folder).exists()


def test_a_task_leaves_the_connection_for_the_worker(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    connection = {
        "Dir": str(folder),
        "Host": "0.0.0.0",
        "Port": 9,
        "SessionCookie": {"Value": "secret-cookie"},
    }
    answer, lines = run(capfd, folder, "queue_status", connection)
    assert answer["output"]["pending"] == 0  # type: ignore[index]
    kept = data(folder) / "connection.json"
    assert json.loads(kept.read_text()) == connection
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "secret-cookie" not in json.dumps(answer) + "".join(lines)


def test_read_only_tasks_put_their_result_in_output(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "healthy" in run(capfd, folder, "health_check")[0]["output"]  # type: ignore[operator]
    assert "pending" in run(capfd, folder, "queue_status")[0]["output"]  # type: ignore[operator]


def test_a_wrong_argument_is_an_error(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answer, _ = run(capfd, folder, "purge_dlq", days="soon")
    assert answer == {"error": "days must be a number of days from 0 to 1,000,000, not 'soon'."}


@pytest.mark.parametrize(
    ("mode", "args", "sentence"),
    [
        ("purge_dlq", {"day": 365}, "There is no argument 'day'; purge_dlq knows days."),
        ("retry_dlq", {"id": 1}, "There is no argument 'id'; retry_dlq knows error_type, ids."),
        ("clear_dlq", {"days": 30}, "There is no argument 'days'; clear_dlq takes no arguments."),
    ],
)
def test_a_misspelled_argument_is_no_default(
    mode: str, args: dict[str, object], sentence: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Store(data(folder)) as store:
        store.letters.add({"scene_id": 5}, "Transient", "Old.")
    assert run(capfd, folder, mode, **args)[0] == {"error": sentence}
    with Store(data(folder)) as store:
        assert store.counts().dead == 1


def test_a_stash_nobody_listens_at(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answer, _ = run(capfd, folder, "all", {"Dir": str(folder), "Host": "127.0.0.1", "Port": 1})
    assert "127.0.0.1:1" in str(answer["error"]) and "not reachable" in str(answer["error"])


def test_a_folder_that_does_not_take_the_connection_is_no_stash_nobody_knows(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (data(folder) / "connection.json").mkdir(parents=True)
    answer, _ = run(capfd, folder, "all", {"Dir": str(folder), "Host": "127.0.0.1", "Port": 1})
    assert str(answer["error"]).startswith("Stash at http://127.0.0.1:1 is not reachable")


def test_a_newer_queue_is_left_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(capfd, folder, "queue_status")
    file = data(folder) / "queue" / "data.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    answer, _ = run(capfd, folder, "clear_queue")
    assert set(answer) == {"error"}
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_an_sqlite_that_is_too_old_is_named(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    answer, _ = run(capfd, folder, "queue_status")
    assert str(answer["error"]).startswith(f"PlexSync needs SQLite 3.35 or newer, and {sys.executable} has ")
    assert not (data(folder) / "queue").exists()


def test_a_folder_that_is_a_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "plugins").write_text("not a folder")
    answer, _ = run(capfd, folder, "queue_status")
    assert str(answer["error"]).startswith(f"The queue in {data(folder)} cannot be used: ")


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["NUL", "half a letter"])
def test_a_folder_of_a_name_no_folder_can_have(
    name: str, capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    """It ended in a traceback."""
    answer, lines = run(capfd, folder, "queue_status", {"Dir": f"/{name}"})
    assert str(answer["error"]).startswith("There can be no data folder '/") and "\0" not in str(
        answer["error"]
    )
    assert len(lines) == 1


def sqlite_trouble(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            sqlite_trouble(5, "database is locked"),
            "database is locked. Another program keeps the file locked;",
        ),
        (sqlite_trouble(13, "database or disk is full"), "database or disk is full. Make room on that disk."),
        (
            sqlite_trouble(8 | 6 << 8, "attempt to write a readonly database"),
            "database. Give the user PlexSync runs",
        ),
        (sqlite_trouble(10, "disk I/O error"), "disk I/O error. Check that the folder exists,"),
        (
            OSError(28, "No space left on device", "/x/y"),
            "No space left on device, /x/y. Make room on that disk.",
        ),
        (OSError(30, "Read-only file system", "/x/y"), "Read-only file system, /x/y. Mount it so"),
        (OSError("odd"), "odd. Check that"),
    ],
)
def test_a_queue_that_cannot_be_used_has_its_remedy(trouble: Exception, said: str, tmp_path: Path) -> None:
    text = sentence(trouble, str(tmp_path))
    assert text.startswith(f"The queue in {tmp_path} cannot be used: ") and said in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.42, "0.4 s"),
        (29.999, "30 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (3599.9, "1 h"),
        (12_000, "3 h 20 min"),
        (86_399, "1 day"),
        (187_200, "2 days 4 h"),
    ],
)
def test_times_a_person_can_picture(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def is_held(lock_file: Path) -> bool:
    lock = FileLock(str(lock_file))
    held = not lock.take()
    lock.release()
    return held


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up, "waited 20 s"
        time.sleep(0.05)


def test_retry_wakes_a_worker(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The real one, in the background: it begins, cannot reach Stash, keeps the job, and stops when told to."""
    with Store(data(folder)) as store:
        make_dead_letter(store, 5)
    answer, _ = run(capfd, folder, "retry_dlq", {"Dir": str(folder), "Host": "127.0.0.1", "Port": 1})
    assert answer == {"output": {"replayed": 1}}
    log, lock = data(folder) / "plexsync.log", data(folder) / "worker.lock"
    wait_until(lambda: log.exists() and "begins" in log.read_text())
    try:
        wait_until(lambda: "postponed scene=5" in log.read_text())
        assert is_held(lock)
    finally:
        os.kill(int(log.read_text().split("worker ")[1].split()[0]), signal.SIGTERM)
    wait_until(lambda: not is_held(lock))
    with Store(data(folder)) as store:
        assert store.counts().pending == 1


def test_log_records_reach_stash_with_their_level(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A row that is no job is buried by the store, which logs; other packages' records stay away."""
    code = (
        "import logging; from plexsync.ui import tasks; tasks.log_to_stash()\n"
        "logging.getLogger('plexsync.queue.store').critical('two\\nlines')\n"
        "logging.getLogger('urllib3').error('http://x/?X-Plex-Token=t')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "\x01e\x02two\n\x01e\x02lines\n"


def test_every_mode_of_the_table_is_documented_by_its_function() -> None:
    for spec in tasks.TASKS.values():
        assert spec.run.__doc__


def test_hooks_and_tasks_agree_on_the_folder(folder: Path) -> None:
    assert hook.database.data_folder({"Dir": str(folder)}) == str(data(folder))


def test_looking_at_the_queue_needs_no_client_of_a_server(tmp_path: Path) -> None:
    code = (
        "import sys; from plexsync import protocol; from plexsync.ui import tasks\n"
        f"tasks.run(protocol.Task('queue_status', {{}}, {{'Dir': {str(tmp_path)!r}}}))\n"
        "assert not {'plexapi', 'stashapi', 'requests'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


def test_tasks_and_worker_know_the_same_servers() -> None:
    assert process_queue.SERVERS is outages.SERVERS
    assert tasks.RELIST is worker.RELIST
