"""What happens to scenes: which action fires which hook, which touches, what lists and filters answer, settings."""

import json
import time

import pytest
import yaml
from stash_world import wait_for, world

ALL = ", ".join(
    f"{kind}.{event}.Post"
    for kind in ("Scene", "SceneMarker", "Tag", "Performer", "Studio", "Group", "Movie", "Gallery", "Image")
    for event in ("Create", "Update", "Destroy")
)
QUIET = "import sys; sys.stdin.read()"
OLD = "2020-01-01T00:00:00Z"


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=11) as found:
        found.plugin("All", script=QUIET, triggers=ALL + ", Tag.Merge.Post")
        age(found)
        yield found


def age(stash) -> None:
    for scene in stash.instance.catalog.scenes.values():
        scene.updated_at = OLD
    stash.instance.catalog.changed()


def fired(stash) -> list[tuple[str, int | None]]:
    return [(run["trigger"], run["scene_id"]) for run in stash.runs()]


def touched(stash) -> list[int]:
    return [scene.id for scene in stash.instance.catalog.scenes.values() if scene.updated_at != OLD]


# Section by section: a mutation, the hooks it fires, the scenes it touches.
ACTIONS = [
    ("sceneUpdate(input: {id: 1}) { id }", [("Scene.Update.Post", 1)], [1]),
    ("sceneUpdate(input: {id: 1, rating100: null}) { id }", [("Scene.Update.Post", 1)], [1]),
    (
        "bulkSceneUpdate(input: {ids: [1, 3], organized: true}) { id }",
        [("Scene.Update.Post", 1), ("Scene.Update.Post", 3)],
        [1, 3],
    ),
    (
        "scenesUpdate(input: [{id: 2, title: a}]) { id }".replace("a}", '"a"}'),
        [("Scene.Update.Post", 2)],
        [2],
    ),
    ("sceneDestroy(input: {id: 1})", [("Scene.Destroy.Post", 1)], []),
    ("scenesDestroy(input: {ids: [1, 2]})", [("Scene.Destroy.Post", 1), ("Scene.Destroy.Post", 2)], []),
    ("sceneMerge(input: {source: [2, 3], destination: 1}) { id }", [], [1]),
    ("sceneSaveActivity(id: 1, resume_time: 5, playDuration: 2)", [], []),
    ("sceneResetActivity(id: 1, reset_resume: true)", [], []),
    ("sceneAddPlay(id: 1) { count }", [], []),
    ("sceneIncrementPlayCount(id: 1)", [], []),
    ("sceneResetPlayCount(id: 1)", [], []),
    ("sceneAddO(id: 1) { count }", [], []),
    ("sceneIncrementO(id: 1)", [], []),
    ('moveFiles(input: {ids: [1], destination_basename: "renamed.mp4"})', [], []),
    ("sceneAssignFile(input: {scene_id: 4, file_id: 3})", [], []),
    ('fileSetFingerprints(input: {id: 1, fingerprints: [{type: "phash", value: "1"}]})', [], []),
    (
        'sceneMarkerCreate(input: {title: "m", seconds: 1, scene_id: 1, primary_tag_id: 1}) { id }',
        [("SceneMarker.Create.Post", 1)],
        [],
    ),
    ('tagUpdate(input: {id: 1, name: "Renamed"}) { id }', [("Tag.Update.Post", 1)], []),
    ("tagsMerge(input: {source: [2], destination: 1}) { id }", [("Tag.Merge.Post", 1)], []),
    ("tagDestroy(input: {id: 1})", [("Tag.Destroy.Post", 1)], []),
    ('performerUpdate(input: {id: 1, name: "New"}) { id }', [("Performer.Update.Post", 1)], []),
    ("performerMerge(input: {source: [2], destination: 1}) { id }", [], []),
    ("performersDestroy(ids: [1])", [("Performer.Destroy.Post", 1)], []),
    ('studioUpdate(input: {id: 1, name: "New"}) { id }', [("Studio.Update.Post", 1)], []),
    ("studioDestroy(input: {id: 1})", [("Studio.Destroy.Post", 1)], []),
    (
        'groupUpdate(input: {id: 1, name: "N"}) { id }',
        [("Group.Update.Post", 1), ("Movie.Update.Post", 1)],
        [],
    ),
    ('execSQL(sql: "UPDATE scenes SET title = 1") { rows_affected }', [], []),
]


@pytest.mark.parametrize(("mutation", "hooks", "bumped"), ACTIONS, ids=[action[0][:40] for action in ACTIONS])
def test_what_an_action_fires_and_touches(stash, mutation, hooks, bumped):
    stash.ask(f"mutation {{ {mutation} }}")
    assert fired(stash) == hooks
    assert touched(stash) == bumped


def test_a_merge_moves_what_it_should(stash):
    catalog = stash.instance.catalog
    stash.ask("mutation { sceneAddPlay(id: 2) { count } }")
    stash.ask(
        'mutation { sceneMarkerCreate(input: {title: "m", seconds: 1, scene_id: 2, primary_tag_id: 1}) { id } }'
    )
    given = '{source: [2], destination: 1, values: {id: 1, title: "T"}, play_history: true}'
    fields = "{ title files { path } play_count scene_markers { title } }"
    found = stash.ask(f"mutation {{ sceneMerge(input: {given}) {fields} }}")["sceneMerge"]
    assert found == {
        "title": "T",
        "files": [{"path": "/data/a/first.mp4"}, {"path": "/data/a/second.mp4"}],
        "play_count": 1,
        "scene_markers": [{"title": "m"}],
    }
    assert 2 not in catalog.scenes


def test_silent_changes_are_visible_all_the_same(stash):
    stash.ask("mutation { tagsMerge(input: {source: [2], destination: 1}) { id } }")
    stash.ask('mutation { performerUpdate(input: {id: 1, name: "Renamed"}) { id } }')
    stash.ask('mutation { moveFiles(input: {ids: [1], destination_folder: "/else"}) }')
    found = stash.ask("{ findScene(id: 1) { tags { name } performers { name } files { path } updated_at } }")[
        "findScene"
    ]
    assert found == {
        "tags": [{"name": "Outdoor"}],
        "performers": [{"name": "Renamed"}, {"name": "Béa Ito"}],
        "files": [{"path": "/else/first.mp4"}],
        "updated_at": OLD,
    }


# --- scans --------------------------------------------------------------------------------------------------


def scan(stash, **options) -> None:
    job = stash.ask("mutation($i: ScanMetadataInput!) { metadataScan(input: $i) }", i=options)["metadataScan"]
    assert stash.ended(job)["status"] == "FINISHED"


def test_a_new_file(stash):
    stash.handle.call("POST", "/files", {"path": "/data/new.mp4", "duration": 61.5})
    stash.handle.call("POST", "/switches", {"cover_delay_ms": 150.0})
    scan(stash)
    assert fired(stash) == [("Scene.Create.Post", 5)]
    assert stash.runs()[0]["input"]["args"]["hookContext"]["input"] is None
    found = stash.scene(5)
    assert (found.title, found.cover is not None) == ("", True)
    assert stash.instance.catalog.primary_file(found).duration == 61.5


def test_the_cover_comes_after_the_hook_without_one(stash):
    script = """
import json, sys, urllib.request
given = json.load(sys.stdin)
connection, scene = given["server_connection"], given["args"]["hookContext"]["id"]
with urllib.request.urlopen(f"http://127.0.0.1:{connection['Port']}/scene/{scene}/screenshot") as reply:
    print(json.dumps({"output": reply.headers["Content-Type"]}))
"""
    stash.plugin("Cover", script=script, triggers="Scene.Create.Post")
    made = stash.handle.call(
        "POST", "/scenes", {"path": "/data/n.mp4", "title": "with a title", "tags": ["New"]}
    )
    assert made == {"id": 5}
    assert json.loads(stash.runs()[-1]["stdout"])["output"] == "image/svg+xml"
    assert stash.request("GET", "/scene/5/screenshot").headers["Content-Type"] == "image/png"
    assert [name for name, _ in fired(stash)] == ["Scene.Create.Post"] * 2


def test_a_copy_a_change_and_a_move(stash):
    first = stash.instance.catalog.files[1].fingerprint("oshash")
    stash.handle.call("POST", "/files", {"path": "/data/copy.mp4", "oshash": first})
    scan(stash)
    assert (fired(stash), touched(stash)) == ([("Scene.Update.Post", 1)], [1])
    assert [stash.instance.catalog.files[item].path for item in stash.scene(1).file_ids] == [
        "/data/a/first.mp4",
        "/data/copy.mp4",
    ]
    age(stash)
    stash.handle.call("DELETE", "/runs")
    stash.handle.call("POST", "/files", {"path": "/data/b/third.mp4"})
    scan(stash)
    assert (fired(stash), touched(stash)) == ([("Scene.Update.Post", 3)], [])
    stash.handle.call("DELETE", "/runs")
    stash.handle.call("POST", "/files/move", {"from": "/data/a/second.mp4", "to": "/data/moved/2.mp4"})
    scan(stash, paths=["/data/moved"])
    assert (fired(stash), touched(stash)) == ([("Scene.Update.Post", 2)], [])
    assert stash.ask("{ findScene(id: 2) { files { path } } }")["findScene"]["files"] == [
        {"path": "/data/moved/2.mp4"}
    ]
    assert [run["input"]["args"]["hookContext"]["input"] for run in stash.runs()] == [None]


def test_a_rescan_tells_of_everything_and_touches_nothing(stash):
    scan(stash, rescan=True)
    assert sorted(fired(stash)) == [("Scene.Update.Post", n) for n in (1, 2, 3)]
    assert touched(stash) == []


def test_scan_workers_run_hooks_side_by_side(stash):
    span = "import json, sys, time\nb = time.time(); time.sleep(0.4); print(json.dumps({'output': [b, time.time()]}))"
    stash.plugin("Slow", script=span, triggers="Scene.Create.Post")
    for number in range(2):
        stash.handle.call("POST", "/files", {"path": f"/data/n{number}.mp4"})
    scan(stash)
    (a, b), (c, d) = [json.loads(r["stdout"])["output"] for r in stash.runs() if r["plugin"] == "Slow"]
    assert a < d and c < b


def test_stopping_a_scan_kills_its_hook(stash):
    stash.plugin("Zzz", script="import time; time.sleep(30)", triggers="Scene.Create.Post")
    stash.handle.call("POST", "/files", {"path": "/data/n.mp4"})
    job = stash.ask("mutation { metadataScan(input: {}) }")["metadataScan"]
    wait_for(lambda: any(run["plugin"] == "Zzz" and run["pid"] for run in stash.runs()))
    stash.ask("mutation($id: ID!) { stopJob(job_id: $id) }", id=job)
    assert stash.ended(job)["status"] == "CANCELLED"
    assert wait_for(lambda: [run["signal"] for run in stash.runs() if run["plugin"] == "Zzz"] == ["SIGKILL"])


# --- the other jobs -----------------------------------------------------------------------------------------


def run_job(stash, mutation: str) -> None:
    answer = stash.ask(f"mutation {{ job: {mutation} }}")
    assert stash.ended(answer["job"])["status"] == "FINISHED"


def test_clean(stash):
    catalog = stash.instance.catalog
    copy = catalog.add_file("/data/a/copy.mp4")
    catalog.update(catalog.scenes[1], {"file_ids": [1, copy.id]}, touch=False)
    for path in ("/data/a/first.mp4", "/data/b/third.mp4"):
        stash.handle.call("DELETE", "/files", {"path": path})
    stash.handle.call("POST", "/files", {"path": "/data/a/copy.mp4"})
    run_job(stash, "metadataClean(input: {dryRun: true})")
    assert (fired(stash), touched(stash)) == ([], [])
    run_job(stash, "metadataClean(input: {dryRun: false})")
    assert (fired(stash), touched(stash)) == ([("Scene.Destroy.Post", 3)], [1])
    assert stash.scene(1).file_ids == [copy.id]
    given = stash.runs()[0]["input"]["args"]["hookContext"]["input"]
    assert (given["id"], given["delete_file"], given["path"]) == ("", None, "/data/b/third.mp4")


def test_identify(stash):
    match = {
        "title": "Found",
        "date": "2021",
        "tags": ["Fresh"],
        "groups": ["G"],
        "cover": True,
        "performers": ["Uma Xu"],
    }
    stash.handle.call("POST", "/identify", {"scene_id": 3, "matches": [match]})
    source = 'sources: [{source: {stash_box_endpoint: "x"}}]'
    run_job(stash, f"metadataIdentify(input: {{{source}, sceneIDs: [3, 4]}})")
    assert (fired(stash), touched(stash)) == ([("Scene.Update.Post", 3)], [3])
    context = stash.runs()[0]["input"]["args"]["hookContext"]
    fields = {"title", "date", "tag_ids", "movies", "cover_image", "performer_ids"}
    assert set(context["inputFields"]) == fields
    assert (
        context["input"]["movies"] == [{"movie_id": "2", "scene_index": None}]
        and context["input"]["groups"] is None
    )
    assert not context["input"]["cover_image"].startswith("data:")
    assert stash.scene(3).title == "Found"
    stash.handle.call("DELETE", "/runs")
    stash.handle.call("POST", "/identify", {"scene_id": 2, "matches": [match, match]})
    run_job(
        stash, f'metadataIdentify(input: {{{source}, sceneIDs: [2], options: {{skipMultipleMatchTag: "1"}}}})'
    )
    assert (fired(stash), touched(stash)) == ([], [2, 3])
    assert stash.scene(2).tag_ids == [1]


def test_auto_tag(stash):
    catalog = stash.instance.catalog
    catalog.add("tag", {"name": "data"})
    catalog.add("performer", {"name": "Third"})
    run_job(
        stash, 'metadataAutoTag(input: {tags: ["*"], performers: ["*"], studios: ["*"], paths: ["/data/b"]})'
    )
    assert (fired(stash), touched(stash)) == ([], [3])
    found = stash.ask("{ findScene(id: 3) { tags { name } performers { name } } }")["findScene"]
    assert found == {"tags": [{"name": "Beach"}, {"name": "data"}], "performers": [{"name": "Third"}]}


def test_generate(stash):
    run_job(stash, "metadataGenerate(input: {previews: true, sprites: true, phashes: true})")
    assert (fired(stash), touched(stash)) == ([], [])
    assert stash.instance.catalog.files[1].fingerprint("phash")
    run_job(stash, "metadataGenerate(input: {covers: true, sceneIDs: [2]})")
    assert (fired(stash), touched(stash)) == ([], [2])
    stash.ask("mutation { sceneGenerateScreenshot(id: 3) }")
    wait_for(lambda: stash.scene(3).cover)
    assert (fired(stash), touched(stash)) == ([], [2, 3])


# --- jobs ---------------------------------------------------------------------------------------------------

TASK = 'runPluginTask(plugin_id: "P", task_name: "T", args_map: {s: %s}, description: "d")'
SLEEPY = "import json, sys, time\ntime.sleep(json.load(sys.stdin)['args']['s'])\n"


def queue(stash) -> list[tuple[str, str]] | None:
    found = stash.ask("{ jobQueue { id status } }")["jobQueue"]
    return None if found is None else [(job["id"], job["status"]) for job in found]


def test_one_job_at_a_time_and_stop(stash):
    stash.plugin("P", script=SLEEPY, yml="tasks:\n  - name: T\n")
    first, second, third = (stash.ask(f"mutation {{ j: {TASK % s} }}")["j"] for s in ("30", "30", "0"))
    assert (first, second, third) == ("1", "2", "3")
    wait_for(lambda: stash.runs() and stash.runs()[0]["pid"])
    assert queue(stash) == [("1", "RUNNING"), ("2", "READY"), ("3", "READY")]
    assert stash.ask("mutation { stopJob(job_id: 2) }") == {"stopJob": True}
    assert queue(stash) == [("1", "RUNNING"), ("3", "READY")]
    assert stash.job(2)["status"] == "CANCELLED"
    began = time.monotonic()
    stash.ask("mutation { stopJob(job_id: 1) }")
    assert stash.ended(1)["status"] == "CANCELLED"
    assert time.monotonic() - began < 0.5
    assert stash.ended(3) == {
        "id": "3",
        "status": "FINISHED",
        "progress": 0,
        "error": None,
        "description": "Running plugin task: d",
    }
    assert queue(stash) is None
    assert wait_for(lambda: stash.runs()[0]["signal"]) == "SIGKILL"
    assert stash.ask("mutation { a: stopJob(job_id: 99) b: stopAllJobs }") == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("mutation", "error"),
    [
        ('runPluginTask(plugin_id: "Nope")', "Error creating plugin task: no plugin with ID Nope"),
        (
            'runPluginTask(plugin_id: "P", task_name: "Nope")',
            "Error creating plugin task: no task with name Nope in plugin P",
        ),
        ('runPluginTask(plugin_id: "Off")', "Error creating plugin task: plugin Off is disabled"),
        ('runPluginTask(plugin_id: "Empty")', "Error running plugin task: empty exec value in operation "),
    ],
)
def test_tasks_that_do_not_start_fail(stash, mutation, error):
    stash.plugin("P")
    stash.plugin("Off")
    (stash.plugin("Empty") / "Empty.yml").write_text("name: Empty\n")
    stash.ask("mutation { reloadPlugins setPluginsEnabled(enabledMap: {Off: false}) }")
    found = stash.ended(stash.ask(f"mutation {{ j: {mutation} }}")["j"])
    assert (found["status"], found["error"]) == ("FAILED", error)


def test_a_job_about_a_scene_that_is_not_there_fails_and_the_next_one_runs(stash):
    found = stash.ended(
        stash.ask("mutation { j: metadataGenerate(input: {covers: true, sceneIDs: [99]}) }")["j"]
    )
    assert (found["status"], found["error"]) == ("FAILED", "scene with id 99 not found")
    run_job(stash, "optimiseDatabase")


def test_a_plugin_s_own_errors_leave_the_job_finished(stash):
    stash.plugin(
        "P", script='import sys; print(\'{"error": "mine"}\'); sys.exit(3)', yml="tasks:\n  - name: T\n"
    )
    found = stash.ended(stash.ask('mutation { j: runPluginTask(plugin_id: "P", task_name: "T") }')["j"])
    assert (found["status"], found["error"]) == ("FINISHED", None)
    assert "Error Plugin returned error: mine" in stash.logged()


def test_progress_is_lossy_and_clamped(stash):
    script = """
import os, sys, time
sys.stdin.read()
for n in range(1, 101):
    os.write(2, b"\\x01p\\x02%f\\n" % (n / 100))
time.sleep(0.3); os.write(2, b"\\x01p\\x027\\n"); time.sleep(0.3)
"""
    stash.plugin("P", script=script, yml="tasks:\n  - name: T\n")
    job = stash.ask('mutation { j: runPluginTask(plugin_id: "P", task_name: "T") }')["j"]
    seen = {wait_for(lambda: stash.job(job)["progress"])}
    while stash.job(job)["status"] == "RUNNING":
        seen.add(stash.job(job)["progress"])
    assert len(stash.runs()[0]["progress"]) == 101
    assert 1 in seen and all(0 < value <= 1 for value in seen)


def test_the_last_ten_jobs_are_kept(stash):
    for _ in range(12):
        run_job(stash, "optimiseDatabase")
    assert [stash.job(n) is not None for n in range(1, 13)] == [False] * 2 + [True] * 10


# --- lists --------------------------------------------------------------------------------------------------


def ids(stash, scene_filter: str = "{}", find: str = "{per_page: -1}") -> list[int]:
    query = f"{{ findScenes(scene_filter: {scene_filter}, filter: {find}) {{ scenes {{ id }} }} }}"
    return [int(scene["id"]) for scene in stash.ask(query)["findScenes"]["scenes"]]


@pytest.mark.parametrize(
    ("find", "found"),
    [
        ("{}", [1, 2, 3, 4]),
        ("{per_page: 0}", []),
        ("{per_page: -5}", [1, 2, 3, 4]),
        ("{per_page: 3, page: 2}", [4]),
        ("{per_page: 3, page: 0}", [1, 2, 3]),
        ('{sort: "id", direction: DESC}', [4, 3, 2, 1]),
        ('{sort: "path"}', [4, 1, 2, 3]),
        ('{sort: "date"}', [4, 3, 2, 1]),
        ('{sort: "rating"}', [2, 4, 3, 1]),
        ('{q: "light"}', [1]),
        ('{q: "light third"}', [1, 3]),
        ('{q: "\\"no file\\""}', [4]),
        ('{q: "/data/a/"}', [1, 2]),
    ],
)
def test_pages_order_and_search(stash, find, found):
    assert ids(stash, find=find) == found


@pytest.mark.parametrize(
    ("scene_filter", "found"),
    [
        ("{id: {value: 2, modifier: GREATER_THAN}}", [3, 4]),
        ("{id: {value: 2, value2: 3, modifier: BETWEEN}}", [2, 3]),
        ('{title: {value: "third", modifier: EQUALS}}', [3]),
        ('{title: {value: "", modifier: IS_NULL}}', [2]),
        ('{path: {value: "/a/.*mp4$", modifier: MATCHES_REGEX}}', [1, 2]),
        ("{organized: true}", [3]),
        ("{rating100: {value: 0, modifier: IS_NULL}}", [2, 3, 4]),
        ("{rating100: {value: 50, modifier: GREATER_THAN}}", [1]),
        ('{date: {value: "2024-05-01", modifier: GREATER_THAN}}', [1]),
        ("{tags: {value: [1], modifier: INCLUDES}}", [1]),
        ("{tags: {value: [1], modifier: INCLUDES, depth: -1}}", [1, 3]),
        ("{tags: {value: [1, 2], modifier: INCLUDES_ALL}}", [1]),
        ("{tags: {value: [2], modifier: EXCLUDES}}", [2, 4]),
        ("{tags: {modifier: IS_NULL}}", [2, 4]),
        ("{studios: {value: [1], modifier: INCLUDES, depth: 1}}", [1, 2]),
        ("{performers: {value: [1], modifier: INCLUDES, excludes: [2]}}", [4]),
        ('{is_missing: "studio"}', [3, 4]),
        ('{performers_filter: {name: {value: "Ada", modifier: INCLUDES}}}', [1, 4]),
        ('{files_filter: {basename: {value: "third.mp4", modifier: EQUALS}}}', [3]),
        ("{file_count: {value: 0, modifier: EQUALS}}", [4]),
        ("{NOT: {organized: true}}", [1, 2, 4]),
        (
            "{NOT: {rating100: {value: 90, modifier: GREATER_THAN}}}",
            [1],
        ),  # nothing is neither above nor below
        ("{organized: true, OR: {rating100: {value: 90, modifier: LESS_THAN}}}", [1, 3]),
        ('{organized: true, OR: {title: {value: "No file", modifier: EQUALS}}}', [3, 4]),
        ("{AND: {rating100: {value: 80, modifier: EQUALS}, organized: false}}", [1]),
        ("{resolution: {value: FULL_HD, modifier: EQUALS}}", [1, 2, 3]),
        ("{duration: {value: 60, modifier: EQUALS}}", [1]),
    ],
)
def test_filters(stash, scene_filter, found):
    assert ids(stash, scene_filter) == found


def test_an_unknown_sort_is_an_error(stash):
    answer = stash.post('{ findScenes(filter: {sort: "nope"}) { count } }').json
    assert answer["errors"][0]["message"] == "invalid sort: nope" and answer["data"] is None


def test_moments_are_compared_as_text(stash):
    scenes = stash.instance.catalog.scenes
    scenes[1].updated_at = "2026-01-11T10:00:00Z"
    scenes[2].updated_at = "2026-01-11T12:00:00+11:00"  # nine hours before scene 1, and yet it sorts behind
    scenes[3].updated_at = "2026-01-10T23:59:59Z"
    scenes[4].updated_at = "2026-01-12T00:00:00Z"
    stash.instance.catalog.changed()
    assert ids(stash, find='{sort: "updated_at"}') == [3, 1, 2, 4]

    def after(value: str, modifier: str = "GREATER_THAN", more: str = "") -> list[int]:
        return ids(stash, f'{{updated_at: {{value: "{value}", modifier: {modifier} {more}}}}}')

    assert after("2026-01-11T10:00:00Z") == [2, 4]
    assert after("2026-01-11T10:00:00Z", "EQUALS") == [1]
    assert after("2026-01-11 23:00") == [1, 2, 4]
    assert after("2026-01-11T00:00:00Z", "BETWEEN") == [1, 2, 4]
    assert after("2026-01-11", "BETWEEN", ', value2: "2026-01-12"') == [1, 2]
    assert after("", "NOT_NULL") == [1, 2, 3, 4]


def test_ties_fall_to_the_title_and_else_to_the_id_as_text(stash):
    for number in range(5, 13):
        stash.instance.catalog.add("scene", {"title": f"scene {14 - number}" if number > 8 else ""})
    age(stash)
    found = ids(stash, find='{per_page: -1, sort: "updated_at"}')
    assert found == [2, 5, 6, 7, 8, 1, 4, 12, 11, 10, 9, 3]


def test_a_zone_is_written_into_rows(stash):
    stash.handle.call("POST", "/switches", {"zone": "+11:00"})
    stash.ask('mutation { sceneUpdate(input: {id: 1, title: "t"}) { id } }')
    stash.handle.call("POST", "/switches", {"zone": "-05:30"})
    stash.ask('mutation { sceneUpdate(input: {id: 2, title: "t"}) { id } }')
    assert stash.scene(1).updated_at.endswith("+11:00") and stash.scene(2).updated_at.endswith("-05:30")
    stash.ask("mutation { sceneAddPlay(id: 1) { count history } }")
    assert stash.ask("{ findScene(id: 1) { last_played_at } }")["findScene"]["last_played_at"].endswith("Z")


def test_null_and_empty(stash):
    fields = (
        "title code details director o_counter play_count resume_time play_duration date rating100 urls url"
    )
    fields += " studio { id } last_played_at captions { language_code } interactive_speed files { id }"
    assert stash.ask(f"{{ findScene(id: 4) {{ {fields} }} }}")["findScene"] == {
        "title": "No file",
        "code": "",
        "details": "",
        "director": "",
        "o_counter": 0,
        "play_count": 0,
        "resume_time": 0,
        "play_duration": 0,
        "date": None,
        "rating100": None,
        "urls": [],
        "url": None,
        "studio": None,
        "last_played_at": None,
        "captions": None,
        "interactive_speed": None,
        "files": [],
    }
    stash.ask(
        'mutation { sceneUpdate(input: {id: 4, title: "  x ", urls: ["a", "b"], date: "2020-03"}) { id } }'
    )
    assert stash.ask("{ findScene(id: 4) { title url date } }")["findScene"] == {
        "title": "x",
        "url": "a",
        "date": "2020-03",
    }
    answer = stash.post('mutation { sceneUpdate(input: {id: 4, date: "03/2020"}) { id } }').json
    assert "converting date" in answer["errors"][0]["message"]
    answer = stash.post("mutation { sceneUpdate(input: {id: 4, tag_ids: [99]}) { id } }").json
    assert answer["errors"][0]["message"] == "FOREIGN KEY constraint failed"


# --- settings -----------------------------------------------------------------------------------------------

CONFIGURE = "mutation($p: ID!, $m: Map!) { configurePlugin(plugin_id: $p, input: $m) }"


def test_settings_are_absent_until_set_and_replaced_whole(stash):
    assert stash.ask("{ configuration { plugins } }")["configuration"]["plugins"] == {}
    assert stash.ask(CONFIGURE, p="Any", m={"aKey": "x", "flag": False, "Other": 3})["configurePlugin"] == {
        "aKey": "x",
        "flag": False,
        "Other": 3,
    }
    assert stash.ask(CONFIGURE, p="Any", m={"flag": True})["configurePlugin"] == {"flag": True}
    stash.ask(CONFIGURE, p="Empty", m={})
    query = "query($i: [ID!]) { configuration { plugins(include: $i) } }"
    assert stash.ask(query, i=None)["configuration"]["plugins"] == {"Any": {"flag": True}, "Empty": {}}
    assert stash.ask(query, i=["Any", "Empty", "Nope"])["configuration"]["plugins"] == {"Any": {"flag": True}}
    path = stash.instance.settings.path
    assert yaml.safe_load(path.read_text())["plugins"]["settings"]["Any"] == {"flag": True}
    assert path.stat().st_mode & 0o777 == 0o640
    assert fired(stash) == []


def test_numbers_in_settings(stash):
    raw = b'{"query":"mutation($m: Map!) { configurePlugin(plugin_id: \\"P\\", input: $m) }","variables":{"m":%s}}'

    def stored(text: bytes):
        answer = stash.request("POST", "/graphql", raw % text, {"Content-Type": "application/json"})
        return answer.raw.partition(b'"configurePlugin":')[2][:-2]

    assert (
        stored(b'{"a":5.0,"b":2.5,"c":1e3,"d":7,"e":[1,2.5]}') == b'{"a":5,"b":2.5,"c":0,"d":7,"e":[1,2.5]}'
    )
    stash.handle.call("POST", "/restart")
    found = stash.ask("{ configuration { plugins } }")["configuration"]["plugins"]["P"]
    assert found == {"a": 5, "b": 2.5, "c": 0, "d": 7, "e": ["1", "2.5"]}


def test_the_settings_page_overwrites_what_a_plugin_stored_meanwhile(stash):
    opened = {"a": 1}
    stash.ask(CONFIGURE, p="P", m=opened)
    stash.ask(CONFIGURE, p="P", m={"a": 1, "stored_by_plugin": True})
    stash.ask(CONFIGURE, p="P", m={**opened, "b": 2})
    assert stash.ask("{ configuration { plugins } }")["configuration"]["plugins"]["P"] == {"a": 1, "b": 2}


def test_settings_outlive_the_server(tmp_path):
    with world(tmp_path) as first:
        first.ask(CONFIGURE, p="P", m={"a": 1})
    with world(tmp_path) as second:
        assert second.ask("{ configuration { plugins } }")["configuration"]["plugins"] == {"P": {"a": 1}}


# --- control ------------------------------------------------------------------------------------------------


def test_state_and_reset(stash):
    state = stash.handle.state()
    assert state["scenes"][0]["title"] == "First light" and state["scenes"][0]["performers"] == [
        "Ada Keller",
        "Béa Ito",
    ]
    stash.ask("mutation { sceneDestroy(input: {id: 1}) }")
    stash.ask(CONFIGURE, p="P", m={"a": 1})
    run_job(stash, "optimiseDatabase")
    stash.handle.reset()
    state = stash.handle.state()
    assert [scene["id"] for scene in state["scenes"]] == [1, 2, 3, 4]
    assert (state["settings"], state["jobs"], stash.runs()) == ({}, [], [])


def test_journal_and_faults_by_operation_name(stash):
    stash.handle.fault("status", code=503, match={"operation": "findScenes"}, count=1)
    assert stash.post("{ findScenes { count } }").status == 503
    assert stash.post("{ findScenes { count } }").status == 200
    assert [row["faults"] for row in stash.handle.requests()][-2:] == [["status"], []]


def test_stale_reads(stash):
    stash.handle.fault("stale_read", s=5, match={"operation": "findScene"})
    stash.ask('mutation { sceneUpdate(input: {id: 1, title: "new"}) { id } }')
    assert stash.ask("{ findScene(id: 1) { title } }")["findScene"]["title"] == "First light"
    stash.handle.clear_faults()
    assert stash.ask("{ findScene(id: 1) { title } }")["findScene"]["title"] == "new"


def test_an_answer_lost_after_the_edit(stash):
    stash.handle.fault("reset_after", match={"operation": "sceneUpdate"}, count=1)
    with pytest.raises(ConnectionError):
        stash.ask('mutation { sceneUpdate(input: {id: 1, title: "landed"}) { id } }')
    assert stash.scene(1).title == "landed"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/switches", {"nope": 1}, "unknown key 'nope'"),
        ("/switches", {"zone": "Mars"}, "a zone is an offset"),
        ("/switches", {"database_locked": "x"}, "must be a int"),
        ("/scenes", {"title": "x"}, "'path' is missing"),
        ("/scenes", {"path": "/x.mp4", "titel": "x"}, "unknown key 'titel'"),
        ("/scenes", {"path": "/data/a/first.mp4"}, "in the library already"),
        ("/files/move", {"from": "/nope"}, "must be a file on the disk"),
        ("/identify", {}, "'scene_id' must be a number"),
        ("/files", [], "must be a JSON object"),
    ],
)
def test_senseless_control_calls_are_one_sentence(stash, path, body, words):
    with pytest.raises(ValueError, match=words):
        stash.handle.call("POST", path, body)
