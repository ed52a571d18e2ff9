"""Stash's plugin wire: standard input to Hook, Task or Problem; log lines, progress and the one answer.

It is on the hook's path, where Stash's user waits for every millisecond, so it imports next to nothing.
``json`` alone would cost a third of the hook: its decoder pulls in ``re`` and ``enum``. Hence its C half.

Seen in Stash 0.30, ``pkg/plugin/raw.go`` and ``pkg/logger/plugin.go``: one JSON object comes on stdin; all of
stdout is read to its end as one JSON value; each line of stderr is a log line.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# Stash stops reading stderr for good at a line of 65,536 bytes; its own prefix is not counted, our mark is.
LINE_BYTES_MAX = 60_000
MARKS = {"trace": b"t", "debug": b"d", "info": b"i", "warning": b"w", "error": b"e"}
SCENE_ID_MAX = 2**63 - 1  # what an SQLite integer holds


class Hook:
    """Stash did something to one scene. ``input`` is as Stash sent it: object, list, or None after a scan."""

    __slots__ = ("connection", "input", "input_fields", "scene_id", "type")

    def __init__(
        self,
        type: str,
        scene_id: int,
        input: object,
        input_fields: tuple[str, ...],
        connection: Mapping[str, Any],
    ) -> None:
        self.type = type  # "Scene.Update.Post"
        self.scene_id = scene_id  # 1 or more
        self.input = input
        self.input_fields = (
            input_fields  # what the caller sent, in no order; empty: unknown, so anything may differ
        )
        self.connection = connection  # server_connection; {} when there was none


class Task:
    """A button in Stash, or ``runPluginOperation``. ``mode`` is "" when the caller named none."""

    __slots__ = ("args", "connection", "mode")

    def __init__(self, mode: str, args: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
        self.mode = mode
        self.args = args  # all of them, mode too; values from defaultArgs are always strings
        self.connection = connection


class Problem:
    """Input we cannot act on. ``sentence`` says why, for the answer's ``error``."""

    __slots__ = ("sentence",)

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence


def read_input(data: bytes) -> Hook | Task | Problem:
    """What Stash wrote on standard input, understood. Never raises, whatever the bytes are."""
    if not data.strip():
        return Problem("Stash sent nothing on standard input.")
    try:
        message = decode(data.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        return Problem(f"The input is not UTF-8: byte {error.start} is wrong.")
    except ValueError as error:  # also an integer of more digits than Python converts
        return Problem(f"The input is not JSON: {error}.")
    except RecursionError:
        return Problem("The input is nested too deeply to be read.")
    if not isinstance(message, dict):
        return Problem(f"The input must be a JSON object, but it is {_kind(message)}.")
    connection = message.get("server_connection")
    if not isinstance(connection, dict):
        connection = {}
    args = message.get("args")
    if args is None:
        args = {}
    if not isinstance(args, dict):
        return Problem(f"The input's args must be an object, but it is {_kind(args)}.")
    context = args.get("hookContext")
    if context is None:
        mode = args.get("mode")
        return Task(mode if isinstance(mode, str) else "", args, connection)
    return _hook(context, connection)


def _hook(context: object, connection: Mapping[str, Any]) -> Hook | Problem:
    if not isinstance(context, dict):
        return Problem(f"hookContext must be an object, but it is {_kind(context)}.")
    type_ = context.get("type")
    if not isinstance(type_, str) or not type_:
        return Problem("hookContext.type must name the hook, like Scene.Update.Post.")
    if "id" not in context:  # Stash leaves it out when it is 0
        return Problem("hookContext.id is missing, so the hook names no scene.")
    scene_id = _scene_id(context["id"])
    if scene_id is None:
        return Problem("hookContext.id must be a scene's number, 1 or more.")
    names = context.get("inputFields")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        names = []  # unknown: that keeps the event, and syncing a scene once too often does no harm
    return Hook(type_, scene_id, context.get("input"), tuple(names), connection)


def _scene_id(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= SCENE_ID_MAX:
        return value
    return None


def _kind(value: object) -> str:
    """A JSON value's kind in words; never the value itself, which may be a secret, or megabytes."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names[type(value)]


class _Scan:
    """What ``_json.make_scanner`` wants to be told: the settings of ``json.loads`` without arguments."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def decoder() -> Callable[[str], object]:
    """``json.loads``: JSON text to values; ValueError or RecursionError when it is not JSON."""
    try:
        from _json import make_scanner

        scan = make_scanner(_Scan)  # type: ignore[arg-type]
        scan('[{"a": 1}]', 0)
    except (ImportError, AttributeError, TypeError):  # another Python than CPython, or one that asks for more
        from json import loads

        return loads
    blank = " \t\n\r"

    def decode(text: str) -> object:
        text = text.strip(blank)
        try:
            value, end = scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, SystemError):  # the latter is how it fails to find json's own error
            pass
        except RecursionError:
            return _decode_deep(text)
        from json import loads

        return loads(text)  # raises, and says what is wrong and where

    return decode


def _decode_deep(text: str) -> object:
    """By json's Python half, which goes as deep as the recursion limit: C stops at 1,500 levels in Python 3.12."""
    from json import JSONDecoder, scanner

    deep = JSONDecoder()
    deep.scan_once = scanner.py_make_scanner(deep)  # type: ignore[attr-defined]
    return deep.decode(text)


def encoder() -> Callable[[object], str]:
    """``json.dumps``: values to JSON in ASCII, lone surrogates included, keys in their order, no blanks.

    TypeError for a value JSON does not have, ValueError for NaN or a value that contains itself.
    """

    def refuse(value: object) -> object:
        raise TypeError(f"JSON has no {type(value).__name__}")

    def encode(value: object) -> str:
        if isinstance(value, str):
            return encode_basestring_ascii(value)
        # A dictionary for each call: it remembers the containers on the way, to notice one inside itself.
        write = make_encoder({}, refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
        return "".join(write(value, 0))

    try:
        from _json import encode_basestring_ascii, make_encoder

        encode([{"a": 1}])
    except (ImportError, AttributeError, TypeError):  # as above
        from json import JSONEncoder

        return JSONEncoder(allow_nan=False, separators=(",", ":")).encode
    return encode


decode = decoder()
encode = encoder()


def log(level: str, text: str) -> None:
    """One log line in Stash for each line of ``text``; level is a key of MARKS.

    Blank lines are left out: Stash shows a mark without a message as an error with the mark in it. A line is
    cut at 60,000 bytes of UTF-8. A stderr that Stash has closed already loses the text and nothing else.
    """
    mark = b"\x01" + MARKS[level] + b"\x02"
    out = []
    for line in text.splitlines():
        line = line.strip()
        if line:
            raw = line.encode("utf-8", "backslashreplace")
            if len(raw) > LINE_BYTES_MAX:
                raw = raw[: LINE_BYTES_MAX - 8].decode("utf-8", "ignore").encode("utf-8") + b"\xe2\x80\xa6"
            out.append(mark + raw + b"\n")
    _write(2, b"".join(out))


def progress(part: float) -> None:
    """The bar of the running task: 0 is begun, 1 is done; what lies outside is moved to the nearer end."""
    part = min(1.0, max(0.0, part))
    _write(2, b"\x01p\x02%.4f\n" % part)


def answer(output: object = None, error: str | None = None) -> None:
    """The one JSON object on stdout: ``{"error": …}`` when there is an error, else ``{"output": …}``.

    Call it once in a process and write nothing else there: Stash takes two values in a row for plain text.
    """
    if error is None:
        body = encode({"output": output})
    else:
        body = encode({"error": error or "PlexSync failed and gave no reason."})
    _write(1, body.encode("ascii") + b"\n")


def _write(fd: int, data: bytes) -> None:
    """All of ``data`` to standard output or error, past Python's buffers: nothing is left to fail at exit.

    A reader that went away is no failure of ours: the work is done, or on disk. A stream that was closed
    before we began (Python then has None for it) is not written: its number may be another file's by now.
    """
    if (sys.stdout if fd == 1 else sys.stderr) is None:
        return
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        pass
