"""The plugin host: what a plugin is given, how its end is seen, and what happens when the client goes away."""

import base64
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from stash_world import wait_for, world

from simulators.fake_stash.inputs import SCENE_UPDATE_KEYS
from simulators.fake_stash.process import Output, end_text, read_mark, read_output, read_progress

UPDATE = "mutation($i: SceneUpdateInput!) { sceneUpdate(input: $i) { id title } }"
BULK = "mutation($i: BulkSceneUpdateInput!) { bulkSceneUpdate(input: $i) { id } }"
MANY = "mutation($i: [SceneUpdateInput!]!) { scenesUpdate(input: $i) { id title } }"
OPERATION = "mutation($p: ID!, $a: Map) { runPluginOperation(plugin_id: $p, args: $a) }"
TASK = "mutation($p: ID!, $t: String, $m: Map) { runPluginTask(plugin_id: $p, task_name: $t, args_map: $m) }"
ALL = "Scene.Create.Post, Scene.Update.Post, Scene.Destroy.Post"


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=7) as found:
        yield found


def hook_contexts(stash) -> list[dict]:
    return [run["input"]["args"]["hookContext"] for run in stash.runs()]


# --- stdin --------------------------------------------------------------------------------------------------


def test_the_whole_input_in_go_s_order_and_escapes(stash):
    folder = stash.plugin("Echo", triggers=ALL)
    stash.ask(UPDATE, i={"id": 1, "title": "a <b> & é\u2028", "details": None})
    run = stash.runs()[0]
    text = run["stdin"]
    port = int(stash.url.rsplit(":", 1)[1])
    cookie = run["input"]["server_connection"]["SessionCookie"]["Value"]
    head = (
        f'{{"server_connection":{{"Scheme":"http","Host":"127.0.0.1","Port":{port},"SessionCookie":{{"Name":"session",'
        f'"Value":"{cookie}","Quoted":false,"Path":"","Domain":"","Expires":"0001-01-01T00:00:00Z","RawExpires":"",'
        f'"MaxAge":0,"Secure":false,"HttpOnly":false,"SameSite":0,"Partitioned":false,"Raw":"","Unparsed":null}},'
        f'"Dir":"{stash.instance.config_dir}","PluginDir":"{folder}"}},'
        f'"args":{{"hookContext":{{"id":1,"type":"Scene.Update.Post","input":{{'
    )
    assert text.startswith(head)
    assert '"title":"a \\u003cb\\u003e \\u0026 é\\u2028","code":null' in text
    assert list(hook_contexts(stash)[0]) == ["id", "type", "input", "inputFields"]
    assert list(hook_contexts(stash)[0]["input"]) == SCENE_UPDATE_KEYS
    assert run["exit"] == 0 and run["wall_ms"] > 1 and run["log"] == [{"level": "info", "message": "seen"}]


def test_the_bind_address_is_passed_on_as_it_stands(tmp_path):
    with world(tmp_path, advertised_host="0.0.0.0") as stash:
        stash.plugin("Echo", triggers=ALL)
        stash.ask(UPDATE, i={"id": 1})
        assert stash.runs()[0]["input"]["server_connection"]["Host"] == "0.0.0.0"


def test_items_of_a_scene_update(stash):
    stash.plugin("Echo", triggers=ALL)
    stash_id = {"endpoint": "e", "stash_id": "s"}
    stash.ask(UPDATE, i={"id": 1, "groups": [{"group_id": 1}], "stash_ids": [stash_id], "tag_ids": [1]})
    given = hook_contexts(stash)[0]["input"]
    assert given["groups"] == [{"group_id": "1", "scene_index": None}]
    assert list(given["stash_ids"][0].items()) == [("stash_id", "s"), ("endpoint", "e"), ("updated_at", None)]
    assert (given["id"], given["tag_ids"]) == ("1", ["1"])


def test_input_fields_come_in_random_order(stash):
    stash.plugin("Echo", triggers=ALL)
    for _ in range(6):
        stash.ask(UPDATE, i={"id": 1, "title": "t", "code": "c", "details": "d", "director": "e"})
    orders = [tuple(context["inputFields"]) for context in hook_contexts(stash)]
    assert len(set(orders)) > 1
    assert {frozenset(order) for order in orders} == {
        frozenset(("id", "title", "code", "details", "director"))
    }


def test_bulk_and_plural_updates(stash):
    stash.plugin("Echo", triggers=ALL)
    stash.ask(BULK, i={"ids": [1, 2], "rating100": 20, "tag_ids": {"mode": "ADD"}, "title": None})
    bulk = hook_contexts(stash)
    assert [context["id"] for context in bulk] == [1, 2]
    assert bulk[0]["input"] == {"ids": ["1", "2"], "rating100": 20, "tag_ids": {"ids": None, "mode": "ADD"}}
    assert set(bulk[0]["inputFields"]) == {"ids", "rating100", "tag_ids", "title"}
    stash.handle.call("DELETE", "/runs")
    stash.ask(MANY, i=[{"id": 1, "title": "a"}, {"id": 3, "code": "b"}])
    many = hook_contexts(stash)
    assert [context["id"] for context in many] == [1, 3]
    assert many[0]["input"] == many[1]["input"]
    assert [item["id"] for item in many[0]["input"]] == ["1", "3"]
    assert set(many[1]["inputFields"]) == {"id", "code"}


def test_destroy_and_create(stash):
    stash.plugin("Echo", triggers=ALL)
    oshash = stash.instance.catalog.files[1].fingerprint("oshash")
    stash.ask("mutation { sceneDestroy(input: {id: 1, delete_generated: true}) }")
    stash.ask("mutation { scenesDestroy(input: {ids: [2, 4]}) }")
    stash.ask('mutation { sceneCreate(input: {title: "n"}) { id } }')
    first, second, third, created = hook_contexts(stash)
    assert list(first["input"]) == ["id", "delete_file", "delete_generated", "checksum", "oshash", "path"]
    assert first["input"] | {"checksum": ""} == {
        "id": "1",
        "delete_file": None,
        "delete_generated": True,
        "checksum": "",
        "oshash": oshash,
        "path": "/data/a/first.mp4",
    }
    assert "inputFields" not in first
    assert second["input"]["ids"] == ["2", "4"] and second["input"]["path"] == "/data/a/second.mp4"
    assert (third["input"]["path"], third["input"]["oshash"]) == ("", "")
    assert created == {"id": 5, "type": "Scene.Create.Post", "input": None}


def test_a_cover_is_megabytes_on_stdin(stash):
    stash.plugin("Echo", triggers=ALL, script="import sys; print(len(sys.stdin.read()))")
    cover = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + os.urandom(3_000_000)).decode()
    stash.ask(UPDATE, i={"id": 1, "cover_image": cover})
    run = stash.runs()[0]
    assert int(run["stdout"]) == len(run["stdin"]) > 4_000_000
    assert run["input"]["args"]["hookContext"]["input"]["cover_image"] == cover


def test_a_plugin_need_not_read_its_input(stash):
    stash.plugin("Deaf", triggers=ALL, script="import os; os.close(0); print('{}')")
    stash.ask(UPDATE, i={"id": 1, "cover_image": base64.b64encode(os.urandom(500_000)).decode()})
    assert stash.runs()[0]["exit"] == 0
    assert any("error writing input to plugins stdin" in line for line in stash.logged())


def test_args_of_hooks_tasks_and_operations(stash):
    yml = "tasks:\n  - name: T\n    defaultArgs: {b: 5, z: yes}\n"
    folder = stash.plugin("Echo", yml=yml)
    stash.ended(
        stash.ask(TASK, p="Echo", t="T", m={"b": 1e3, "a": 2.50, "c": [1, {"y": 1, "x": None}]})[
            "runPluginTask"
        ]
    )
    stash.ended(stash.ask(TASK, p="Echo", t=None, m={"only": True})["runPluginTask"])
    assert stash.ask(OPERATION, p="Echo", a={"q": 1})["runPluginOperation"] == {"q": 1}
    assert stash.ask(OPERATION, p="Echo", a=None)["runPluginOperation"] == {}
    texts = [run["stdin"].partition('"args":')[2] for run in stash.runs()]
    assert texts[0] == '{"a":2.5,"b":1000.0,"c":[1,{"x":null,"y":1}],"z":"yes"}}'  # as the request wrote them
    assert texts[1] == '{"only":true}}'
    (folder / "Echo.yml").write_text(
        'name: Echo\nexec: [python3, "{pluginDir}/main.py"]\n'
        "hooks:\n  - name: h\n    triggeredBy: [Scene.Update.Post]\n"
        "    defaultArgs: {zz: 1, mode: hook}\n"
    )
    stash.ask("mutation { reloadPlugins }")
    stash.ask(UPDATE, i={"id": 1})
    assert list(stash.runs()[-1]["input"]["args"]) == ["hookContext", "mode", "zz"]
    assert stash.runs()[-1]["input"]["args"]["mode"] == "hook"


# --- the process --------------------------------------------------------------------------------------------

LOOK = """
import json, os, sys
print(json.dumps({"output": {"argv": sys.argv, "cwd": os.getcwd(), "path": os.environ.get("PYTHONPATH"),
    "exe": sys.executable, "sid": os.getsid(0), "pgid": os.getpgid(0)}}))
"""


def test_command_folder_and_environment(stash, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/before")
    folder = stash.plugin(
        "Look", script=LOOK, yml="tasks:\n  - name: T\n    execArgs: ['{pluginDir}/x', y]\n"
    )
    found = stash.ask(OPERATION, p="Look", a={})["runPluginOperation"]
    assert found["argv"] == [f"{folder}/main.py"]
    assert found["cwd"] == os.getcwd()
    assert found["path"] == f"/before{os.pathsep}{stash.plugins}"
    assert (found["sid"], found["pgid"]) == (os.getsid(0), os.getpgid(0))
    stash.ended(stash.ask(TASK, p="Look", t="T", m={})["runPluginTask"])
    assert json.loads(stash.runs()[-1]["stdout"])["output"]["argv"] == [
        f"{folder}/main.py",
        f"{folder}/x",
        "y",
    ]


def test_only_python_and_python3_get_a_pythonpath(stash, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    folder = stash.plugin("Look", script=LOOK)
    (folder / "Look.yml").write_text(f'exec: ["{sys.executable}", "{{pluginDir}}/main.py"]\n')
    stash.ask("mutation { reloadPlugins }")
    assert stash.ask(OPERATION, p="Look", a={})["runPluginOperation"]["path"] is None


def test_a_program_beside_the_yml(stash):
    folder = stash.plugin("Near")
    (folder / "Near.yml").write_text("exec: [run-me]\n")
    (folder / "run-me").write_text('#!/bin/sh\necho \'{"output": "near"}\'\n')
    (folder / "run-me").chmod(0o755)
    stash.ask("mutation { reloadPlugins }")
    assert stash.ask(OPERATION, p="Near", a={})["runPluginOperation"] == "near"


def test_a_plugin_that_cannot_start_ends_the_round(stash):
    stash.plugin("A", triggers=ALL)
    folder = stash.plugin("B", triggers=ALL)
    stash.plugin("C", triggers=ALL)
    text = (folder / "B.yml").read_text().replace("python3", "no-such-program")
    (folder / "B.yml").write_text(text)
    stash.ask("mutation { reloadPlugins }")
    stash.ask(UPDATE, i={"id": 1})
    assert [run["plugin"] for run in stash.runs()] == ["A"]
    assert any(
        line.startswith("Error error executing post hooks: error running plugin") for line in stash.logged()
    )
    (folder / "B.yml").write_text(text.replace('exec: [no-such-program, "{pluginDir}/main.py"]', "exec: []"))
    stash.ask("mutation { reloadPlugins }")
    stash.ask(UPDATE, i={"id": 1})
    assert [run["plugin"] for run in stash.runs()] == ["A", "A"]


# --- stdout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdout", "result"),
    [
        ('{"output":"x"}', Output(None, "x")),
        ('{"error":"bad","output":1}', Output("bad", 1)),
        ('{"Error":"e","OUTPUT":"o"}', Output("e", "o")),
        ("{}", Output()),
        ("null", Output()),
        ('{"foo":1}', Output()),
        ("5", Output(None, "5")),
        ('"str"', Output(None, '"str"')),
        ("[]", Output(None, "[]")),
        ("plain\n", Output(None, "plain\n")),
        ('{"output":1} {"output":2}', Output(None, '{"output":1} {"output":2}')),
        ('{"error":5}', Output("", '{"error":5}')),
        ('{"output":NaN}', Output(None, '{"output":NaN}')),
        ("", Output(None, "")),
    ],
)
def test_reading_stdout(stdout, result):
    assert read_output(stdout) == result


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, None), (3, "exit status 3"), (-signal.SIGKILL, "signal: killed"), (-6, "signal: aborted")],
)
def test_reading_the_end(code, text):
    assert end_text(code) == text


SAY = """
import json, os, signal, sys
args = json.loads(sys.stdin.read())["args"]
sys.stdout.write(args["say"]); sys.stdout.flush()
if args.get("kill"): os.kill(os.getpid(), signal.SIGKILL)
sys.exit(args.get("exit", 0))
"""


@pytest.mark.parametrize(
    ("args", "output", "error"),
    [
        ({"say": '{"output": {"a": [1, null]}}'}, {"a": [1, None]}, None),
        ({"say": "text"}, "text", None),
        ({"say": '{"error": "no", "output": 1}'}, None, "no"),
        ({"say": '{"error": ""}'}, None, ""),
        ({"say": '{"output": 1}', "exit": 3}, None, "exit status 3"),
        ({"say": '{"error": "mine"}', "exit": 3}, None, "mine"),
        ({"say": "x", "kill": True}, None, "signal: killed"),
    ],
)
def test_an_operation_s_outcome(stash, args, output, error):
    stash.plugin("Say", script=SAY)
    answer = stash.post(OPERATION, {"p": "Say", "a": args}).json
    assert answer["data"] == {"runPluginOperation": output}
    assert [e["message"] for e in answer.get("errors", [])] == ([] if error is None else [error])


def test_operations_of_nobody(stash):
    answer = stash.post(OPERATION, {"p": "Nobody", "a": {}}).json
    assert answer["errors"][0]["message"].startswith("Internal system error. Error <runtime error")
    stash.plugin("Echo")
    stash.ask("mutation($m: BoolMap!) { setPluginsEnabled(enabledMap: $m) }", m={"Echo": False})
    answer = stash.post(OPERATION, {"p": "Echo", "a": {}}).json
    assert answer["errors"] == [{"message": "plugin Echo is disabled", "path": ["runPluginOperation"]}]
    assert stash.runs() == []


def test_errors_of_hooks_never_reach_the_client(stash):
    stash.plugin("Bad", script='import sys; print(\'{"error": "my trouble"}\'); sys.exit(4)', triggers=ALL)
    assert stash.ask(UPDATE, i={"id": 1, "title": "t"})["sceneUpdate"]["title"] == "t"
    assert "Error Scene.Update.Post [Bad]: returned error: my trouble" in stash.logged()


# --- stderr -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("\x01i\x02hello", "Info", "hello"),
        ("\x01w\x02  padded \t", "Warning", "padded"),
        ("\x01p\x020.5", "Progress", "0.5"),
        ("\x01i\x02", "Error", "\x01i\x02"),
        ("\x01i\x02 ", "Info", ""),
        ("\x01I\x02loud", "Error", "\x01I\x02loud"),
        ("\x010\x02critical", "Error", "\x010\x02critical"),
        (" \x01i\x02late", "Error", " \x01i\x02late"),
        ("plain", "Error", "plain"),
    ],
)
def test_level_marks(line, level, text):
    assert read_mark(line, "error") == (level, text)


def test_unmarked_lines_go_by_err_log():
    assert read_mark("x", "warning") == ("Warning", "x")
    assert read_mark("x", "none")[0] == "None"
    assert read_mark("0.5", "progress") == ("Progress", "0.5")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), ("1e-1", 0.1), (".5", 0.5), ("1", 1.0), ("", None), ("half", None), ("0.5 x", None)],
)
def test_progress_is_go_s_float_syntax(text, value):
    assert read_progress(text) == value


def write_stderr(code: str) -> str:
    return f"import os, sys\nsys.stdin.read()\n{code}\nprint('{{}}')"


def lines_of(stash) -> list[tuple[str, str]]:
    return [(entry["level"], entry["message"]) for entry in stash.runs()[0]["log"]]


def test_lines_as_they_come(stash):
    code = r"os.write(2, b'\x01i\x02one\r\n\n\x01d\x02two\nthree\n\x01p\x02bad\nlast without newline')"
    stash.plugin("Log", script=write_stderr(code), triggers=ALL)
    stash.ask(UPDATE, i={"id": 1})
    assert lines_of(stash)[:3] == [("info", "one"), ("debug", "two"), ("error", "three")]
    assert lines_of(stash)[3][1].startswith("Error parsing progress value 'bad'")
    assert lines_of(stash)[4] == ("error", "last without newline")
    assert "Info [Plugin / Log] one" in stash.logged()
    assert not any("two" in line for line in stash.logged())  # debug, and the log's level is Info


def test_a_line_of_64_kib_passes_and_a_longer_one_ends_the_log(stash):
    code = (
        "os.write(2, b'\\x01i\\x02' + b'a' * (65536 - 4) + b'\\n')\n"
        "os.write(2, b'\\x01i\\x02' + b'b' * (65536 - 3) + b'\\n')\n"
        "import time; time.sleep(0.1)\n"
        "try:\n    os.write(2, b'after\\n')\nexcept BrokenPipeError:\n    print('{\"output\": \"EPIPE\"}'); sys.exit()"
    )
    stash.plugin("Long", script=write_stderr(code), triggers=ALL)
    stash.ask(UPDATE, i={"id": 1})
    assert [len(text) for _, text in lines_of(stash)] == [65532]
    assert stash.runs()[0]["stdout"] == '{"output": "EPIPE"}\n'


FLOOD = "os.write(2, b''.join(b'\\x01i\\x02%d\\n' % n for n in range(1500)))"


def test_the_tail_is_complete_unless_the_switch_says_it_is_lost(stash):
    stash.plugin("Flood", script=write_stderr(FLOOD), triggers=ALL)
    stash.ask(UPDATE, i={"id": 1})
    assert len(stash.runs()[0]["log"]) == 1500
    stash.handle.call("POST", "/switches", {"lose_stderr_tail": True})
    stash.ask(UPDATE, i={"id": 1})
    lost = stash.runs()[1]["log"]
    assert len(lost) < 1500
    assert [int(entry["message"]) for entry in lost] == list(range(len(lost)))


# --- children that stay -------------------------------------------------------------------------------------

CHILD = '''
import subprocess, sys
sys.stdin.read()
code = """
import os, time
time.sleep(0.4)
try:
    os.write(2, b'late')
    result = 'ok'
except BrokenPipeError:
    result = 'EPIPE'
open(%r, 'w').write(result)
"""
subprocess.Popen([sys.executable, "-c", code % sys.argv[1]], {streams})
print("{{}}")
'''


def child(stash, tmp_path: Path, streams: str) -> tuple[float, Path]:
    """Seconds the update took with a child that keeps what `streams` says; the file it writes at its end."""
    trace = tmp_path / "trace"
    yml = f"hooks:\n  - name: h\n    triggeredBy: [Scene.Update.Post]\n    execArgs: ['{trace}']\n"
    stash.plugin("Child", script=CHILD.format(streams=streams), yml=yml)
    began = time.monotonic()
    stash.ask(UPDATE, i={"id": 1})
    return time.monotonic() - began, trace


def test_a_child_on_stdout_holds_the_hook(stash, tmp_path):
    took_s, trace = child(stash, tmp_path, "stdin=subprocess.DEVNULL")
    assert took_s >= 0.4 and trace.exists()


def test_a_child_on_stderr_does_not_and_gets_epipe(stash, tmp_path):
    took_s, trace = child(stash, tmp_path, "stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL")
    assert not trace.exists(), took_s
    assert wait_for(lambda: trace.exists() and trace.read_text()) == "EPIPE"


def test_closing_stdout_early_releases_nothing(stash):
    stash.plugin(
        "Early", script="import os, sys, time\nos.close(1); time.sleep(0.3); os._exit(0)", triggers=ALL
    )
    began = time.monotonic()
    stash.ask(UPDATE, i={"id": 1})
    assert time.monotonic() - began >= 0.3
    assert stash.runs()[0]["wall_ms"] >= 300


# --- order --------------------------------------------------------------------------------------------------

SPAN = """
import json, sys, time
began = time.time(); sys.stdin.read(); time.sleep({s}); print(json.dumps({{"output": [began, time.time()]}}))
"""


def spans(stash) -> list[list[float]]:
    return [json.loads(run["stdout"])["output"] for run in stash.runs()]


def overlap(a, b) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def test_hooks_of_a_request_run_one_after_the_other(stash):
    stash.plugin("A", script=SPAN.format(s=0.02), triggers="Scene.Update.Post, Scene.Update.Post")
    stash.plugin("B", script=SPAN.format(s=0.02), triggers="Scene.Update.Post")
    stash.ask(BULK, i={"ids": [1, 2], "rating100": 5})
    assert [(run["plugin"], run["scene_id"]) for run in stash.runs()] == [
        ("A", 1),
        ("A", 1),
        ("B", 1),
        ("A", 2),
        ("A", 2),
        ("B", 2),
    ]
    found = spans(stash)
    assert not any(overlap(a, b) for a, b in itertools.pairwise(found))


def test_requests_run_their_hooks_side_by_side(stash):
    stash.plugin("A", script=SPAN.format(s=0.5), triggers="Scene.Update.Post")
    threads = [threading.Thread(target=stash.ask, args=(UPDATE,), kwargs={"i": {"id": n}}) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = spans(stash)
    assert overlap(first, second)


def test_the_reply_shows_what_the_plugin_changed(stash):
    script = """
import json, sys, urllib.request
given = json.load(sys.stdin)
if "title" in given["args"]["hookContext"]["inputFields"]:
    connection = given["server_connection"]
    body = json.dumps({"query": 'mutation { sceneUpdate(input: {id: 1, code: "by hook"}) { id } }'}).encode()
    url = f"http://{connection['Host']}:{connection['Port']}/graphql"
    cookie = "session=" + connection["SessionCookie"]["Value"]
    headers = {"Content-Type": "application/json", "Cookie": cookie}
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()
"""
    stash.plugin("Writer", script=script, triggers="Scene.Update.Post")
    query = "mutation($i: SceneUpdateInput!) { sceneUpdate(input: $i) { title code } }"
    assert stash.ask(query, i={"id": 1, "title": "mine"})["sceneUpdate"] == {
        "title": "mine",
        "code": "by hook",
    }
    assert len(stash.runs()) == 2


LOOP = """
import json, sys, urllib.request
given = json.load(sys.stdin)
connection = given["server_connection"]
body = json.dumps({"query": "mutation { sceneUpdate(input: {id: 1, rating100: 5}) { id } }"}).encode()
url = f"http://{connection['Host']}:{connection['Port']}/graphql"
headers = {"Content-Type": "application/json", "Cookie": "session=" + connection["SessionCookie"]["Value"]}
urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()
"""


def test_a_hook_that_updates_its_own_scene_nests_ten_deep(stash):
    stash.plugin("Loop", script=LOOP, triggers="Scene.Update.Post")
    stash.ask(UPDATE, i={"id": 1})
    assert len(stash.runs()) == 10


def test_by_api_key_alone_nothing_stops_it(tmp_path):
    with world(tmp_path, user="u", password="p") as stash:
        key = stash.instance.api_key
        script = LOOP.replace(
            '"Cookie": "session=" + connection["SessionCookie"]["Value"]', f'"ApiKey": "{key}"'
        )
        folder = stash.plugins / "Loop"
        folder.mkdir()
        stop = folder / "stop"
        (folder / "main.py").write_text(
            f"import os, sys\nif os.path.exists({str(stop)!r}): sys.exit()\n" + script
        )
        (folder / "Loop.yml").write_text(
            'exec: [python3, "{pluginDir}/main.py"]\nhooks:\n  - name: h\n    triggeredBy: [Scene.Update.Post]\n'
        )
        stash.post("mutation { reloadPlugins }", headers={"ApiKey": key})
        caller = threading.Thread(target=stash.post, args=(UPDATE, {"i": {"id": 1}}, {"ApiKey": key}))
        caller.start()
        wait_for(lambda: len(stash.runs()) > 12, 20)
        stop.write_text("")
        caller.join(20)
        assert not caller.is_alive()


# --- a client that goes away --------------------------------------------------------------------------------


def leave_after(stash, query: str, variables, look) -> None:
    """Send a request and close the connection once `look()` is true."""
    host, port = stash.url.removeprefix("http://").split(":")
    body = json.dumps({"query": query, "variables": variables}).encode()
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_for(look)


SLEEP = "import time; time.sleep(30)"


def test_disconnect_kills_the_hook_and_the_rest_of_a_bulk_edit_has_none(stash):
    stash.plugin("A", script=SLEEP, triggers="Scene.Update.Post")
    stash.plugin("B", triggers="Scene.Update.Post")
    leave_after(
        stash,
        BULK,
        {"i": {"ids": [1, 2, 3], "rating100": 15}},
        lambda: stash.runs() and stash.runs()[0]["pid"],
    )
    run = wait_for(lambda: stash.runs()[0] if stash.runs()[0]["signal"] else None)
    assert (run["signal"], run["exit"]) == ("SIGKILL", None)
    time.sleep(0.1)
    assert [(r["plugin"], r["scene_id"]) for r in stash.runs()] == [("A", 1)]
    assert [stash.scene(n).rating100 for n in (1, 2, 3)] == [15, 15, 15]
    assert "Error error executing post hooks: operation cancelled" in stash.logged()


def test_disconnect_from_a_plural_delete_starts_and_kills_each(stash):
    stash.plugin("A", script=SLEEP, triggers="Scene.Destroy.Post")
    query = "mutation($i: ScenesDestroyInput!) { scenesDestroy(input: $i) }"
    leave_after(stash, query, {"i": {"ids": [1, 2, 3]}}, lambda: stash.runs() and stash.runs()[0]["pid"])
    wait_for(lambda: [r["signal"] for r in stash.runs()] == ["SIGKILL"] * 3)
    assert [r["scene_id"] for r in stash.runs()] == [1, 2, 3]
    assert list(stash.instance.catalog.scenes) == [4]


def test_disconnect_kills_an_operation(stash):
    stash.plugin("A", script=SLEEP)
    leave_after(stash, OPERATION, {"p": "A", "a": {}}, lambda: stash.runs() and stash.runs()[0]["pid"])
    wait_for(lambda: stash.runs()[0]["signal"] == "SIGKILL")


def test_children_of_a_killed_hook_live_on(stash, tmp_path):
    trace = tmp_path / "alive"
    code = f"import time; time.sleep(0.5); open({str(trace)!r}, 'w').close()"
    spawn = f"subprocess.Popen([sys.executable, '-c', {code!r}])"
    script = f"import subprocess, sys, time\n{spawn}\nprint('spawned', file=sys.stderr)\ntime.sleep(30)"
    stash.plugin("A", script=script, triggers="Scene.Update.Post")
    leave_after(stash, UPDATE, {"i": {"id": 1}}, lambda: stash.runs() and stash.runs()[0]["log"])
    wait_for(trace.exists)
    assert stash.runs()[0]["exit"] is None


# --- reload, disable, restart -------------------------------------------------------------------------------


def test_reload_and_disable(stash):
    folder = stash.plugin("Echo", triggers=ALL)
    (folder / "bad.yml").write_text("nmae: x\n")
    stash.ask("mutation { reloadPlugins }")
    assert [plugin["id"] for plugin in stash.ask("{ plugins { id } }")["plugins"]] == ["Echo"]
    assert any("field nmae not found in type plugin.Config" in line for line in stash.logged())
    stash.ask("mutation($m: BoolMap!) { setPluginsEnabled(enabledMap: $m) }", m={"Echo": False})
    stash.ask(UPDATE, i={"id": 1})
    assert stash.runs() == []
    plugin = stash.ask("{ plugins { id enabled hooks { name hooks } tasks { name } settings { name } } }")[
        "plugins"
    ][0]
    assert plugin == {
        "id": "Echo",
        "enabled": False,
        "hooks": [{"name": "h", "hooks": ALL.split(", ")}],
        "tasks": None,
        "settings": None,
    }
    stash.ask("mutation($m: BoolMap!) { setPluginsEnabled(enabledMap: $m) }", m={"Echo": True})
    stash.ask(UPDATE, i={"id": 1})
    assert len(stash.runs()) == 1


ORPHAN = """
import os, sys, time
sys.stdin.read()
for _ in range(200):
    time.sleep(0.02)
    try:
        os.write(2, b"still here\\n")
    except BrokenPipeError:
        open(sys.argv[1], "w").write("EPIPE")
        sys.exit()
"""


def test_a_restart_forgets_the_queue_and_orphans_the_plugin(stash, tmp_path):
    trace = tmp_path / "trace"
    stash.plugin("Orphan", script=ORPHAN, yml=f"tasks:\n  - name: T\n    execArgs: ['{trace}']\n")
    first = stash.ask(TASK, p="Orphan", t="T", m={})["runPluginTask"]
    second = stash.ask(TASK, p="Orphan", t="T", m={})["runPluginTask"]
    wait_for(lambda: stash.runs() and stash.runs()[0]["log"])
    stash.handle.call("POST", "/restart")
    assert (stash.job(first), stash.job(second)) == (None, None)
    assert stash.ask("{ jobQueue { id } }")["jobQueue"] is None
    assert wait_for(lambda: trace.exists() and trace.read_text()) == "EPIPE"
    run = wait_for(lambda: stash.runs()[0] if stash.runs()[0]["exit"] is not None else None)
    assert (run["exit"], run["signal"]) == (0, None)
    assert stash.ask(TASK, p="Orphan", t="Nope", m={})["runPluginTask"] == "1"
