"""The wire to Stash: each shape of input it is known to send, some it never should; what we write back."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from plexsync import protocol
from plexsync.protocol import Hook, Problem, Task, read_input

ROOT = Path(__file__).resolve().parents[2]
CONNECTION = {
    "Scheme": "http",
    "Host": "0.0.0.0",
    "Port": 9999,
    "SessionCookie": {"Name": "session", "Value": "MTc5"},
    "Dir": "/root/.stash",
    "PluginDir": "/root/.stash/plugins/PlexSync",
}


def message(args: object, **more: object) -> bytes:
    return json.dumps({"server_connection": CONNECTION, "args": args, **more}).encode()


def hook(**context: object) -> Hook:
    full = {
        "id": 45,
        "type": "Scene.Update.Post",
        "input": {"id": "45"},
        "inputFields": ["id", "title"],
        **context,
    }
    read = read_input(message({"hookContext": full}))
    assert isinstance(read, Hook), read
    return read


def sentence(data: bytes) -> str:
    read = read_input(data)
    assert isinstance(read, Problem), read
    assert read.sentence.endswith(".") and "\n" not in read.sentence
    return read.sentence


def test_an_update_hook() -> None:
    read = hook()
    assert (read.type, read.scene_id, read.input) == ("Scene.Update.Post", 45, {"id": "45"})
    assert read.input_fields == ("id", "title")
    assert read.connection == CONNECTION


@pytest.mark.parametrize(
    "input",
    [
        None,
        {"id": "45", "title": "Test"},
        [{"id": "44", "title": "a"}, {"id": "45", "title": "b"}],  # scenesUpdate: the whole list
        {"ids": ["44", "45"], "tag_ids": {"ids": [], "mode": "ADD"}},  # bulkSceneUpdate
        {"ids": ["44", "45"], "delete_file": False, "checksum": "", "oshash": "", "path": "/a"},
    ],
)
def test_every_shape_of_input_is_passed_on_as_it_came(input: object) -> None:
    assert hook(input=input).input == input


def test_a_scan_sends_neither_input_nor_fields() -> None:
    read = read_input(message({"hookContext": {"id": 7, "type": "Scene.Create.Post", "input": None}}))
    assert isinstance(read, Hook)
    assert (read.scene_id, read.input, read.input_fields) == (7, None, ())


def test_the_one_line_of_the_readme_has_no_connection() -> None:
    read = read_input(
        b'{"args":{"hookContext":{"type":"Scene.Update.Post","id":123,"input":{"id":"123","title":"Test"},'
        b'"inputFields":["id","title"]}}}\n'
    )
    assert isinstance(read, Hook)
    assert (read.scene_id, read.connection) == (123, {})


def test_a_cover_of_megabytes() -> None:
    cover = "data:image/jpeg;base64," + base64.b64encode(bytes(6_000_000)).decode()
    read = hook(input={"id": "45", "cover_image": cover})
    assert isinstance(read.input, dict) and len(read.input["cover_image"]) > 8_000_000


def test_lone_surrogates_and_escapes() -> None:
    read = read_input(
        b'{"args":{"hookContext":{"type":"Scene.Update.Post","id":1,'
        b'"input":{"title":"\\ud83d \\u003cb\\u003e \\ud83d\\ude00 \xc3\xa9"}}}}'
    )
    assert isinstance(read, Hook)
    assert read.input == {"title": "\ud83d <b> \U0001f600 é"}


@pytest.mark.parametrize("value", [1, 45, 2**63 - 1, "45", "0045"])
def test_ids(value: object) -> None:
    assert hook(id=value).scene_id == int(str(value))


@pytest.mark.parametrize(
    "value", [0, -1, 2**63, 4.5, True, None, "", "x", "-4", "4.0", "٣", "9" * 5000, [], {"a": 1}]
)
def test_not_ids(value: object) -> None:
    context = {"id": value, "type": "Scene.Update.Post", "input": {"id": "45"}}
    assert "must be a scene's number" in sentence(message({"hookContext": context}))


@pytest.mark.parametrize("fields", [None, "title", 5, {"title": 1}, ["title", 5]])
def test_fields_we_cannot_read_are_unknown_fields(fields: object) -> None:
    assert hook(inputFields=fields).input_fields == ()


def test_tasks_and_operations() -> None:
    read = read_input(message({"mode": "purge_dlq", "days": "30"}))
    assert isinstance(read, Task)
    assert (read.mode, dict(read.args), read.connection) == (
        "purge_dlq",
        {"mode": "purge_dlq", "days": "30"},
        CONNECTION,
    )


@pytest.mark.parametrize(
    "args", [{}, None, {"mode": None}, {"mode": 5}, {"mode": ["all"]}, {"hookContext": None}]
)
def test_a_task_without_a_mode(args: object) -> None:
    read = read_input(message(args))
    assert isinstance(read, Task) and read.mode == ""


def test_a_connection_of_the_wrong_kind_is_none() -> None:
    for connection in (None, [], "x", 5):
        read = read_input(message({"mode": "all"}, server_connection=connection))
        assert isinstance(read, Task) and read.connection == {}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "sent nothing"),
        (b" \n", "sent nothing"),
        (b"{", "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"args": {}} {}', "not JSON: Extra data"),
        (b'{"args": }', "not JSON"),
        (b'{"args": {"hookContext": {"title": "a\nb"}}}', "not JSON"),
        (b'{"args": {"mode": "\xff"}}', "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"args": {"hookContext": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_002, "nested too deeply"),
        (b'{"args": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"null", "it is null"),
        (b"[]", "it is a list"),
        (b'"text"', "it is a string"),
        (b"5", "it is a number"),
        (b"true", "it is true or false"),
        (b"NaN", "it is a number"),
        (b'{"args": []}', "it is a list"),
        (b'{"args": "mode"}', "it is a string"),
        (b'{"args": {"hookContext": []}}', "it is a list"),
        (b'{"args": {"hookContext": {}}}', "hookContext.type"),
        (b'{"args": {"hookContext": {"id": 5, "type": 5}}}', "hookContext.type"),
        (
            b'{"args": {"hookContext": {"type": "Scene.Update.Post", "input": {"id": "5"}}}}',
            "hookContext.id is missing",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(data: bytes, says: str) -> None:
    assert says in sentence(data)


def test_a_byte_order_mark_is_fine() -> None:
    assert isinstance(read_input(b"\xef\xbb\xbf" + message({"mode": "all"})), Task)


def test_no_bytes_make_it_raise() -> None:
    """A good message, damaged at random, is read or refused."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    good = message(
        {"hookContext": {"id": 45, "type": "Scene.Update.Post", "input": {"id": "45", "title": "é\ud800"}}}
    )
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 9)] = rng.choice(
                [b"", b"[", b'"', b"\xff", b"0", b"\\u", b"null", b"{"]
            )
        assert isinstance(read_input(bytes(data)), Hook | Task | Problem)


def test_decode_agrees_with_json() -> None:
    for value in (
        None,
        True,
        1,
        -1.5e300,
        "",
        'a\\"b\u2028',
        [],
        [[], {}],
        {"a": [1, {"b": "\ud800"}]},
        10**400,
    ):
        assert protocol.decode(json.dumps(value)) == value
        assert protocol.decode(f" \n\t\r{json.dumps(value, indent=2)} ") == value


def test_encode_agrees_with_json() -> None:
    text = 'é \ud800 \n \x00 \x7f \U0001f600 " \\ </script>'
    for value in (
        None,
        True,
        1,
        -1.5e300,
        0.1,
        text,
        [],
        (),
        [[], {}],
        {"b": [1, {text: text}], "a": None},
        10**400,
    ):
        assert protocol.encode(value) == json.dumps(value, separators=(",", ":"))
        assert protocol.encode(value).isascii()


def test_encode_refuses_what_json_does_not_have() -> None:
    circle: list[object] = []
    circle.append(circle)
    for value, error in (
        ({1, 2}, TypeError),
        (b"x", TypeError),
        (float("nan"), ValueError),
        (circle, ValueError),
    ):
        with pytest.raises(error):
            protocol.encode({"a": value})


def test_log_marks_every_line_and_leaves_out_empty_ones(capfd: pytest.CaptureFixture[str]) -> None:
    protocol.log("info", "  one\n\n   \r\ntwo\r\n")
    protocol.log("warning", "")
    protocol.log("error", " \n\x1c\u2028")
    for level, mark in (("trace", "t"), ("debug", "d"), ("info", "i"), ("warning", "w"), ("error", "e")):
        protocol.log(level, f"{mark} é")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.split("\n") == [
        "\x01i\x02one",
        "\x01i\x02two",
        *[f"\x01{mark}\x02{mark} é" for mark in "tdiwe"],
        "",
    ]


def test_a_lone_surrogate_can_be_logged(capfd: pytest.CaptureFixture[str]) -> None:
    protocol.log("info", "a \ud800 b")
    assert capfd.readouterr().err == "\x01i\x02a \\ud800 b\n"


@pytest.mark.parametrize("letter", ["a", "é", "漢", "\U0001f600"])
def test_a_long_line_is_cut_in_bytes_and_stays_utf8(
    letter: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    protocol.log("error", letter * 70_000 + "\nnext")
    first, second, rest = capfdbinary.readouterr().err.split(b"\n")
    assert 59_900 < len(first) <= 60_000
    assert first.decode().endswith(letter + "…")
    assert (second, rest) == (b"\x01e\x02next", b"")


def test_progress_stays_between_nothing_and_all(capfd: pytest.CaptureFixture[str]) -> None:
    for part in (0, 0.25, 1 / 3, 1, -2, 7):
        protocol.progress(part)
    lines = capfd.readouterr().err.splitlines()
    assert [line.removeprefix("\x01p\x02") for line in lines] == [
        "0.0000",
        "0.2500",
        "0.3333",
        "1.0000",
        "0.0000",
        "1.0000",
    ]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({}, {"output": None}),
        ({"output": "queued"}, {"output": "queued"}),
        (
            {"output": {"pending": 3, "names": ["é", "\ud800"]}},
            {"output": {"pending": 3, "names": ["é", "\ud800"]}},
        ),
        ({"output": 0}, {"output": 0}),
        ({"error": "No.\nNo."}, {"error": "No.\nNo."}),
        ({"output": 1, "error": "é \ud800"}, {"error": "é \ud800"}),
        ({"error": ""}, {"error": "PlexSync failed and gave no reason."}),
    ],
)
def test_the_answer_is_one_line_of_json(
    given: dict[str, object], written: object, capfd: pytest.CaptureFixture[str]
) -> None:
    protocol.answer(**given)  # type: ignore[arg-type]
    out, err = capfd.readouterr()
    assert json.loads(out) == written
    assert out.count("\n") == 1 and out.isascii() and err == ""


def run_with(code: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", f"from plexsync import protocol\n{code}"],
        cwd=ROOT,
        timeout=30,
        check=False,
        **streams,
    )


def test_a_stash_that_went_away_is_no_failure() -> None:
    """Stash closes stderr when the process outlives its hook, and both when it ends."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "for _ in range(3):\n protocol.log('info', 'x' * 100_000)\n protocol.progress(1)\n"
    done = run_with(code + " protocol.answer('done')", stdout=writing, stderr=writing)
    os.close(writing)
    assert done.returncode == 0


def test_closed_streams_are_not_written(tmp_path: Path) -> None:
    """With 1 and 2 closed, the next file opened gets one of the numbers: it must not receive our words."""
    code = f"held = [open({str(tmp_path / 'a')!r}, 'w'), open({str(tmp_path / 'b')!r}, 'w')]\n"
    code += "protocol.log('info', 'x')\nprotocol.answer('y')"
    script = f'exec {sys.executable} -c "$CODE" >&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=ROOT,
        env={**os.environ, "CODE": f"from plexsync import protocol\n{code}"},
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == ""


@pytest.mark.parametrize(
    "without",
    ["sys.modules['_json'] = None", "import _json; _json.make_encoder = _json.make_scanner = object"],
)
def test_it_works_without_the_c_half_of_json(without: str) -> None:
    """Which is nobody's promise: another Python may lack it, a later one call it otherwise."""
    code = f"import sys, json\n{without}\nfrom plexsync import protocol as p\n"
    code += "print(p.decode(' [1, \"a\"] '), p.encode({'é': [1]}))\nprint(p.read_input(b'{').sentence)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "[1, 'a'] {\"\\u00e9\":[1]}"
    assert "not JSON" in second


def test_importing_it_is_cheap() -> None:
    """It is on the hook's path: nothing but ``_json`` that the interpreter has not loaded anyway."""
    code = "import sys\nbefore = set(sys.modules)\nimport plexsync.protocol\n"
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__future__", "_json", "plexsync", "plexsync.protocol"]
