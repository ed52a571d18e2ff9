"""Scenarios as values: cases, lanes, what Plex is to say, the report and JUnit of a run."""

from __future__ import annotations

import json
import random
import re
from xml.etree import ElementTree

import pytest

from scenarios import in_sync, looking
from scenarios.cases import all_cases
from scenarios.checks import Verdict, judge
from scenarios.history import History
from scenarios.report import html, junit
from scenarios.runner import Result
from scenarios.scenario import Expect, Scenario
from scenarios.world import SECOND
from tests.unit.test_scenario_checks import WELL


def test_there_are_thirty_cases_each_with_a_sentence_of_its_own():
    cases = all_cases()
    assert len([case for case in cases.values() if case.in_run]) >= 30
    sentences = [case.about.strip() for case in cases.values()]
    assert len(set(sentences)) == len(sentences)
    assert all(re.fullmatch(r"[A-Z].*\.", sentence, re.S) for sentence in sentences)


@pytest.mark.parametrize("name", sorted(all_cases()))
def test_a_case_is_the_same_for_the_same_seed_and_names_scenes_that_exist(name):
    case = all_cases()[name]
    lanes = case.lanes(random.Random(7))
    assert lanes == case.lanes(random.Random(7))
    named = {at.act.scene for lane in lanes for at in lane if hasattr(at.act, "scene")}
    named |= {scene for lane in lanes for at in lane for scene in getattr(at.act, "scenes", ())}
    there = {*range(1, case.world.scenes + 1), *range(SECOND + 1, SECOND + case.world.second + 1)}
    assert named <= there


def test_a_scenario_does_nothing_unless_it_is_told_to():
    assert Scenario("calm").lanes(random.Random(0)) == ((), ())
    assert Scenario("calm").simulated()


STASH = {
    "title": "Ferry",
    "path": "/data/a.b.mp4",
    "date": "2021-02",
    "rating100": 85,
    "studio": "Blue Door",
    "performers": ["Zoë", "ada"],
    "tags": [],
    "details": " A text.\n",
}


def test_what_plex_is_to_say_of_a_scene():
    assert in_sync.stash_says(STASH) == {
        "title": "Ferry",
        "studio": "Blue Door",
        "date": "2021-02-01",
        "performers": ("ada", "Zoë"),
        "tags": (),
        "rating": 8.5,
        "summary": "A text.",
    }
    bare = in_sync.stash_says({"title": "", "path": "/data/a.b.mp4", "rating100": None, "date": None})
    assert bare["title"] == "a.b"
    assert (bare["date"], bare["rating"], bare["studio"]) == ("", "", "")


def test_an_item_says_the_same_in_the_same_form():
    item = {
        "title": "Ferry",
        "fields": {
            "studio": "Blue Door",
            "originallyAvailableAt": "2021-02-01",
            "userRating": 8.5,
            "summary": "A text.",
        },
        "tags": {"actor": ["Zoë", "ada"]},
    }
    assert in_sync.differing(in_sync.stash_says(STASH), in_sync.plex_says(item)) == ()
    item["tags"]["actor"].append("Somebody else")
    assert in_sync.differing(in_sync.stash_says(STASH), in_sync.plex_says(item)) == ("performers",)


def test_the_log_is_read_with_its_older_parts_and_tracebacks(tmp_path):
    older = "2026-01-02 03:04:05,250 INFO synced scene 7 job=1 attempt=1: wrote title\n"
    newer = "2026-01-02 03:04:06,000 ERROR dead-lettered scene 8 job=2 attempt=3: KeyError: 'x'\n"
    newer += "Traceback (most recent call last):\n  x\n"
    (tmp_path / "plexsync.log.1").write_text(older)
    (tmp_path / "plexsync.log").write_text(newer)
    found = looking.moves(tmp_path)
    assert [(move.action, move.scene_id, move.attempt) for move in found] == [
        ("synced", 7, 1),
        ("dead-lettered", 8, 3),
    ]
    assert len(looking.defects(tmp_path)) == 1
    assert found[0].at % 1 == 0.25


def test_a_folder_without_a_queue_is_an_empty_queue(tmp_path):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1.json").write_text("{}")
    found = looking.sample(tmp_path, False)
    assert found is not None and (found.pending, found.spooled, found.done) == (1, 1, 0)


def results() -> list[Result]:
    good = Result(Scenario("all_well", "All is well."), WELL, judge(WELL, Expect()))
    broken = Verdict("nothing_lost", False, "1 scenes lost an edit", ("scene 1: </script> & \x01",))
    bad = Result(Scenario("gone_wrong", "Something is not."), WELL, (broken,))
    never = Result(Scenario("not_here", "Needs more."), History("not_here", 1), (), skipped="it must be root")
    return [good, bad, never]


def test_junit_names_what_does_not_hold():
    suite = ElementTree.fromstring(junit(results()).split("\n", 1)[1])
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase[@name='gone_wrong']/failure")
    assert failure is not None and "nothing_lost" in str(failure.get("message"))


def test_the_page_needs_nothing_from_elsewhere_and_survives_any_text():
    page = html(results())
    ours = page.replace(
        page[page.index("<script>") : page.index("</script>")], ""
    )  # without Plotly's own code
    assert not re.search(r"(src|href)=\"(https?:)?//", ours)
    data = page[page.index("const results = ") + len("const results = ") :].split(";\n", 1)[0]
    told = json.loads(data.replace("<\\/", "</"))
    assert [row["name"] for row in told] == ["all_well", "gone_wrong", "not_here"]
    assert told[1]["replay"] == "python -m scenarios run gone_wrong --seed 1"


def test_the_json_of_a_result_has_every_promised_key():
    row = results()[0].as_json()
    promised = "name seed passed verdicts counts hook_ms converge_s plex_requests stash_requests"
    assert set(promised.split()) <= set(row)
    assert set(row["counts"]) == {"edits", "lost", "duplicated", "dead", "retried", "outages", "kills"}
    assert set(row["hook_ms"]) == {"p50", "p95", "p99", "max"}
