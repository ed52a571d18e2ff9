"""The layer both simulators stand on, with a service so small that only the layer can be wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from simulators.handle import Handle, running, spawned
from simulators.serving import NOT_MINE, ControlError, Reply, Request, Service, expect


class Notebook(Service):
    """Keeps what is put into it; `/slow` takes as long as it is told to and says how it ended."""

    name = "notebook"

    def __init__(self, cancel: bool = False) -> None:
        self.cancel_when_gone = cancel
        self.notes: list[str] = []
        self.ended: list[str] = []

    async def answer(self, request: Request) -> Reply:
        if request.path == "/slow":
            return await self._slow(request)
        if request.path == "/stream":
            return Reply(stream=self._lines(), content_type="text/plain")
        if request.method == "PUT":
            self.notes.append(request.get("note", "") or request.body.decode())
        shown = {"notes": self.notes, "params": request.params, "path": request.path}
        return Reply(body=json.dumps(shown).encode(), headers={"X-Kept": "yes"})

    async def _slow(self, request: Request) -> Reply:
        try:
            await asyncio.wait_for(request.gone.wait(), float(request.get("s", "1") or 1))
            self.ended.append("gone")
        except TimeoutError:
            self.ended.append("in time")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return Reply(body=b"{}")

    async def _lines(self) -> Any:
        for n in range(3):
            yield f"{n}\n".encode()

    def labels(self, request: Request) -> tuple[str, ...]:
        return ("write",) if request.method == "PUT" else ("read",)

    def state(self, params: Mapping[str, str]) -> Any:
        return {"notes": self.notes, "ended": self.ended}

    async def reset(self) -> None:
        self.notes = []

    async def control(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Any:
        if (method, path) == ("POST", "/forget"):
            call = expect(body, "forget", {"n": "int"}, required=("n",))
            del self.notes[: call["n"]]
            return {"left": len(self.notes)}
        return NOT_MINE


@pytest.fixture
def book() -> Iterator[Handle]:
    with running(Notebook(), seed=5) as handle:
        yield handle


def test_request_reaches_the_service_whole(book: Handle) -> None:
    answer = requests.put(book.url + "/a%20b?x=1&x=2&empty=&k%5B0%5D=%C3%A9+%2B", data=b"body", timeout=5)
    assert answer.headers["X-Kept"] == "yes"
    assert answer.json() == {
        "notes": ["body"],
        "path": "/a b",
        "params": [["x", "1"], ["x", "2"], ["empty", ""], ["k[0]", "é +"]],
    }


def test_long_request_line_and_large_body(book: Handle) -> None:
    note = "n" * 200_000
    assert requests.put(book.url + "/", params={"note": note}, timeout=5).json()["notes"] == [note]
    big = b"b" * 12_000_000
    assert requests.put(book.url + "/", data=big, timeout=20).json()["notes"][1] == big.decode()


def test_journal(book: Handle) -> None:
    session = requests.Session()
    session.get(book.url + "/one?q=1", timeout=5)
    session.put(book.url + "/two", timeout=5)
    one, two = book.requests()
    assert {"seq", "t", "method", "path", "query", "status", "ms", "bytes", "client"} <= set(one)
    assert (one["seq"], one["method"], one["path"], one["query"], one["status"]) == (
        1,
        "GET",
        "/one",
        "q=1",
        200,
    )
    assert one["client"].startswith("127.0.0.1:") and one["client"] == two["client"]
    assert one["bytes"] == 65 - len("") or one["bytes"] > 0
    assert (two["operation"], one["operation"]) == ("write", "read")
    assert abs(one["t"] - time.time()) < 60
    assert [row["seq"] for row in book.requests(since=1)] == [2]
    book.clear_requests()
    assert book.requests() == []
    session.get(book.url, timeout=5)
    assert [row["seq"] for row in book.requests()] == [3]


def test_streamed_answer(book: Handle) -> None:
    assert requests.get(book.url + "/stream", timeout=5).text == "0\n1\n2\n"
    assert book.requests()[-1]["bytes"] == 6


@pytest.mark.parametrize(("cancel", "ended"), [(False, "gone"), (True, "cancelled")])
def test_service_learns_that_its_client_has_left(cancel: bool, ended: str) -> None:
    service = Notebook(cancel)
    with running(service) as handle:
        with pytest.raises(requests.ReadTimeout):
            requests.get(handle.url + "/slow?s=20", timeout=0.3)
        deadline = time.monotonic() + 3
        while not service.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.ended == [ended]
        assert handle.requests()[-1]["status"] is None
        assert handle.requests()[-1]["notes"] == ["client gone"]


def test_outage_refuses_and_resets_and_comes_back_on_the_same_port(book: Handle) -> None:
    session = requests.Session()
    session.get(book.url, timeout=5)
    errors: list[BaseException] = []

    def wait_for_an_answer() -> None:
        try:
            requests.get(book.url + "/slow?s=20", timeout=10)
        except requests.RequestException as error:
            errors.append(error)

    waiting = threading.Thread(target=wait_for_an_answer)
    waiting.start()
    while not book.requests() or book.requests()[-1]["path"] != "/slow":
        time.sleep(0.01)
    book.outage(0.6)
    waiting.join(3)
    assert "Connection reset by peer" in repr(errors)
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        session.get(book.url, timeout=5)
    report = book.call("GET", "/outage")
    assert report["up"] is False and 0 < report["left_s"] <= 0.6
    assert book.call("GET", "/health")["up"] is False
    time.sleep(0.7)
    assert session.get(book.url, timeout=5).status_code == 200
    assert book.call("GET", "/outage") == {"up": True, "closed_by": [], "left_s": None}


def test_outage_without_an_end_until_up(book: Handle) -> None:
    book.outage()
    with pytest.raises(requests.ConnectionError):
        requests.get(book.url, timeout=5)
    book.up()
    assert requests.get(book.url, timeout=5).status_code == 200


def test_nobody_takes_the_port_during_an_outage(book: Handle) -> None:
    port = int(book.url.rpartition(":")[2])
    book.outage()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    book.up()
    assert requests.get(book.url, timeout=5).ok


def test_reset_is_back_to_the_beginning(book: Handle) -> None:
    requests.put(book.url + "/?note=x", timeout=5)
    book.fault("status", code=500)
    book.outage()
    book.reset()
    assert book.state()["notes"] == [] and book.faults() == [] and book.requests() == []
    assert requests.get(book.url, timeout=5).status_code == 200


def test_a_services_own_control_call(book: Handle) -> None:
    requests.put(book.url + "/?note=x", timeout=5)
    assert book.call("POST", "/forget", {"n": 1}) == {"left": 0}


BAD_CALLS = [
    ("POST", "/outage", {}, "outage: one of seconds, up is needed"),
    ("POST", "/outage", {"second": 1}, "outage: unknown key 'second' (it takes seconds, up)"),
    ("POST", "/outage", {"seconds": "1"}, "outage: 'seconds' must be a number, 0 or more, not \"1\""),
    ("POST", "/outage", [1], "outage: the body must be a JSON object with seconds, up"),
    ("POST", "/faults", {}, "fault: 'kind' is missing"),
    ("POST", "/faults", "x", "a fault is a JSON object"),
    ("POST", "/faults", {"kind": "delay", "ms": -1}, "fault delay: 'ms' must be a number, 0 or more, not -1"),
    ("POST", "/faults", {"kind": "delay"}, "fault delay: 'ms' is missing"),
    ("POST", "/faults", {"kind": "delay", "ms": 1, "cuont": 1}, "unknown key 'cuont'"),
    ("POST", "/faults", {"kind": "delay", "ms": 1, "match": {"url": "x"}}, "unknown key 'url'"),
    (
        "POST",
        "/faults",
        {"kind": "delay", "ms": 1, "match": {"path": "("}},
        "'path' is no regular expression",
    ),
    ("POST", "/faults", {"kind": "delay", "ms": 1, "match": []}, "'match' must be an object"),
    ("POST", "/faults", {"kind": "delay", "ms": 1, "probability": 1.5}, "'probability' must be 0 to 1"),
    ("POST", "/faults", {"kind": "delay", "ms": 1, "count": True}, "'count' must be a whole number"),
    ("POST", "/faults", {"kind": "kill", "pid": 1}, "'pid' must be more than 1"),
    ("POST", "/faults", {"kind": "kill", "pid": 99, "signal": "SIGNOPE"}, "is no signal"),
    ("POST", "/faults", {"kind": "kill", "pid": 99, "when": "later"}, "'when' must be one of"),
    ("POST", "/faults", {"kind": "status", "code": 99}, "'code' must be 200 to 599"),
    ("POST", "/faults", {"kind": "truncate", "bytes": 1, "of": "head"}, "'of' must be"),
    ("POST", "/faults", {"kind": "garble", "how": "nicely"}, "'how' must be one of"),
    ("POST", "/faults", {"kind": "slow_body", "bytes_per_s": 0}, "'bytes_per_s' must be more than 0"),
    ("POST", "/faults", {"kind": "stale_read", "s": 1}, "notebook keeps no history"),
    ("GET", "/requests?since=x", None, "'since' must be a whole number"),
    ("POST", "/forget", {"n": 1.5}, "forget: 'n' must be a whole number"),
    ("GET", "/nothing", None, "no such call: GET /nothing"),
    ("DELETE", "/faults/77", None, "no such call"),
]


@pytest.mark.parametrize(("method", "path", "body", "sentence"), BAD_CALLS)
def test_a_senseless_call_is_told_why(book: Handle, method: str, path: str, body: Any, sentence: str) -> None:
    with pytest.raises(ControlError) as refused:
        book.call(method, path, body)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert book.faults() == []


def test_control_body_that_is_not_json(book: Handle) -> None:
    answer = requests.post(book.control + "/outage", data="{", timeout=5)
    assert answer.status_code == 400 and answer.json()["error"].startswith("the body is not JSON")


# --- as a process --------------------------------------------------------------------------------------------


def test_ready_line_and_clean_stop() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        command = [sys.executable, "-m", "simulators.fake_plex", "--token", "t", "--seed", "3"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"ready", "service", "url", "control", "token", "pid"}
        assert ready["ready"] is True and ready["service"] == "fake_plex" and ready["pid"] == process.pid
        assert requests.get(ready["url"] + "/identity", timeout=5).status_code == 200
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
        assert (process.returncode, rest) == (0, ""), errors


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "simulators.fake_plex", "--port", port],
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fake_plex: cannot listen on 127.0.0.1, port {port}")
    assert done.stderr.count("\n") == 1


def test_spawned_gives_the_same_handle() -> None:
    with spawned("simulators.fake_plex", "--generate", "3", "--token", "t") as handle:
        assert handle.pid != os.getpid()
        assert len(handle.state()["sections"][0]["items"]) == 3
    with (
        pytest.raises(RuntimeError, match="status 2"),
        spawned("simulators.fake_plex", "--library", "/nowhere"),
    ):
        pass
