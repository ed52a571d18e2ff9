"""Every kind of fault over a real socket: what the client feels, what was applied, what the journal says."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from simulators import faults
from simulators.fake_plex.service import FakePlex
from simulators.faults import KINDS, ControlError, Rule
from simulators.handle import Handle, running

LIBRARY = {
    "sections": [
        {"title": "Clips", "locations": ["/d"], "items": [{"file": f"/d/{n}.mp4"} for n in range(3)]}
    ]
}


@pytest.fixture
def plex() -> Iterator[Handle]:
    with running(FakePlex.from_document(LIBRARY, token=""), seed=11) as handle:
        yield handle


def edit(handle: Handle, title: str, timeout: float = 5, key: int = 1) -> requests.Response:
    query = {"type": 1, "id": key, "title.value": title, "title.locked": 1}
    return requests.put(handle.url + "/library/sections/1/all", params=query, timeout=timeout)


def title(handle: Handle, key: int = 1) -> str:
    rows = handle.state()["sections"][0]["items"]
    return str(next(row["title"] for row in rows if row["rating_key"] == key))


def last(handle: Handle) -> dict[str, Any]:
    return handle.requests()[-1]


def test_delay(plex: Handle) -> None:
    plex.fault("delay", ms=200, jitter_ms=50)
    began = time.monotonic()
    assert edit(plex, "x").status_code == 200
    assert 0.15 <= time.monotonic() - began < 1
    assert last(plex)["faults"] == ["delay"] and last(plex)["ms"] >= 150


def test_status(plex: Handle) -> None:
    plex.fault("status", code=500, count=1)
    plex.fault("status", code=429, body={"wait": 1}, headers={"Retry-After": 3}, count=1, after=1)
    first, second, third = edit(plex, "x"), edit(plex, "y"), edit(plex, "z")
    assert "<h1>500 Internal Server Error</h1>" in first.text
    assert (second.status_code, second.json(), second.headers["Retry-After"]) == (429, {"wait": 1}, "3")
    assert third.status_code == 200 and title(plex) == "z"


@pytest.mark.parametrize(("kind", "applied"), [("reset_before", False), ("reset_after", True)])
def test_reset(plex: Handle, kind: str, applied: bool) -> None:
    plex.fault(kind, count=1)
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        edit(plex, "new")
    assert (title(plex) == "new") is applied
    assert last(plex)["faults"] == [kind] and last(plex)["status"] is None
    assert edit(plex, "again").status_code == 200


def test_refuse_at_once_and_for_a_while(plex: Handle) -> None:
    plex.fault("refuse", for_s=0.4)
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        edit(plex, "x")
    time.sleep(0.5)
    assert edit(plex, "x").status_code == 200
    assert [row["faults"] for row in plex.requests()] == [["refuse"], []]


def test_refuse_from_a_request_on_until_it_is_taken_away(plex: Handle) -> None:
    fault = plex.fault("refuse", match={"method": "PUT"}, after=1)
    assert requests.get(plex.url + "/identity", timeout=5).ok and edit(plex, "one").ok
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        edit(plex, "two")
    with pytest.raises(requests.ConnectionError, match="refused"):
        edit(plex, "three")
    plex.clear_faults(fault)
    assert edit(plex, "four").ok and title(plex) == "four"


def test_hang(plex: Handle) -> None:
    plex.fault("hang", s=0.3, count=1)
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        edit(plex, "x")
    assert 0.25 < time.monotonic() - began < 2
    plex.fault("hang", count=1)
    with pytest.raises(requests.ReadTimeout):
        edit(plex, "x", timeout=0.3)
    assert title(plex) == "0"


def test_truncate_at_every_byte(plex: Handle) -> None:
    whole = requests.get(plex.url + "/identity", timeout=5).content
    assert len(whole) > 150
    for cut in range(0, len(whole), 7):
        fault = plex.fault("truncate", bytes=cut, match={"path": "^/identity$"})
        connection = http.client.HTTPConnection(plex.url.removeprefix("http://"), timeout=5)
        connection.request("GET", "/identity")
        answer = connection.getresponse()
        assert int(answer.headers["Content-Length"]) == len(whole)
        with pytest.raises(http.client.IncompleteRead) as error:
            answer.read()
        assert error.value.partial == whole[:cut]
        plex.clear_faults(fault)
        connection.close()


def raw_answer(handle: Handle, request: str) -> bytes:
    host, port = handle.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        found = b""
        while chunk := sock.recv(65536):
            found += chunk
        return found


def test_truncate_counts_from_the_status_line_when_told_to(plex: Handle) -> None:
    request = "PUT /library/sections/1/all?type=1&id=1&title.value="
    for cut in (0, 1, 12, 40):
        fault = plex.fault("truncate", bytes=cut, of="answer")
        found = raw_answer(plex, f"{request}cut{cut}")
        assert found == b"HTTP/1.1 200 OK\r\nX-Plex-Protocol: 1.0\r\nCache-Control"[:cut]
        assert title(plex) == f"cut{cut}"
        plex.clear_faults(fault)


def test_truncate_can_end_in_a_reset(plex: Handle) -> None:
    plex.fault("truncate", bytes=10, end="reset")
    with pytest.raises(ConnectionResetError):
        raw_answer(plex, "GET /identity")


def test_slow_body(plex: Handle) -> None:
    size = len(requests.get(plex.url + "/identity", timeout=5).content)
    plex.fault("slow_body", bytes_per_s=size * 2)
    began = time.monotonic()
    assert len(requests.get(plex.url + "/identity", timeout=5).content) == size
    assert 0.4 < time.monotonic() - began < 2


@pytest.mark.parametrize("how", ["break", "cut", "control", "html", "empty"])
def test_garble(plex: Handle, how: str) -> None:
    import xml.etree.ElementTree as ET

    plex.fault("garble", how=how)
    answer = requests.get(plex.url + "/library/sections", timeout=5)
    assert answer.status_code == 200
    with pytest.raises(ET.ParseError):
        ET.fromstring(answer.content)


def test_stale_read(plex: Handle) -> None:
    assert edit(plex, "old").ok
    plex.fault("stale_read", s=0.6)
    assert edit(plex, "new").ok
    item = plex.url + "/library/metadata/1"
    assert 'title="old"' in requests.get(item, timeout=5).text
    assert 'title="old"' in requests.get(plex.url + "/library/sections/1/all", timeout=5).text
    assert title(plex) == "new"
    time.sleep(0.8)
    assert 'title="new"' in requests.get(item, timeout=5).text
    assert edit(plex, "newer").ok
    plex.clear_faults()
    assert 'title="newer"' in requests.get(item, timeout=5).text


def test_stale_read_of_what_came_and_went(plex: Handle) -> None:
    plex.fault("stale_read", s=30)
    plex.call("POST", "/media", {"file": "/d/brand new.mp4"})
    plex.call("DELETE", "/media", {"file": "/d/0.mp4"})
    listing = requests.get(plex.url + "/library/sections/1/all", timeout=5).text
    assert "brand new" not in listing and "/d/0.mp4" in listing
    plex.clear_faults()
    listing = requests.get(plex.url + "/library/sections/1/all", timeout=5).text
    assert "brand new" in listing and "/d/0.mp4" not in listing


def test_slow_apply_lands_though_the_client_has_left(plex: Handle) -> None:
    plex.fault("slow_apply", s=0.6, match={"method": "PUT"})
    with pytest.raises(requests.ReadTimeout):
        edit(plex, "late", timeout=0.2)
    assert title(plex) == "0"
    time.sleep(0.7)
    assert title(plex) == "late"
    assert last(plex)["faults"] == ["slow_apply"]


CHILD = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], method="PUT")
urllib.request.urlopen(request).read()
print("answered", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("when", "answered"), [("before_apply", False), ("after_apply", False), ("after_answer", True)]
)
def test_kill(plex: Handle, when: str, answered: bool) -> None:
    url = f"{plex.url}/library/sections/1/all?type=1&id=1&title.value=by+child"
    command = [sys.executable, "-c", CHILD, url]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    plex.fault("kill", pid=child.pid, when=when)
    out, _ = child.communicate(timeout=10) if not answered else ("", "")
    if answered:
        child.wait(10)
        assert child.stdout is not None
        child.stdout.read()
    assert child.returncode == -signal.SIGKILL
    assert "answered" not in out
    time.sleep(0.05)
    # The request had reached the server, so it is carried out whenever its client died.
    assert title(plex) == "by child"
    assert last(plex)["faults"] == ["kill"]


def test_kill_of_nobody_is_noted(plex: Handle) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    plex.fault("kill", pid=child.pid, signal="TERM")
    assert edit(plex, "x").ok
    assert last(plex)["notes"] == ["kill: no such process"]


def test_kill_then_not_applied(plex: Handle) -> None:
    """Faults add up, the first posted outermost: dead before it was applied, and it never is."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    plex.fault("kill", pid=child.pid, when="before_apply")
    plex.fault("reset_before")
    with pytest.raises(requests.ConnectionError):
        edit(plex, "x")
    assert child.wait(5) == -signal.SIGKILL and title(plex) == "0"
    assert last(plex)["faults"] == ["kill", "reset_before"]


# --- when and how often ----------------------------------------------------------------------------------------


def test_after_and_count(plex: Handle) -> None:
    plex.fault("status", code=500, after=2, count=2)
    assert [edit(plex, str(n)).status_code for n in range(6)] == [200, 200, 500, 500, 200, 200]
    (report,) = plex.faults()
    assert (report["kind"], report["seen"], report["fired"], report["live"]) == ("status", 4, 2, False)


def test_for_s(plex: Handle) -> None:
    plex.fault("status", code=500, for_s=0.3)
    assert edit(plex, "x").status_code == 500
    time.sleep(0.35)
    assert edit(plex, "x").status_code == 200


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({"method": "put"}, True),
        ({"method": "GET"}, False),
        ({"path": "sections/1"}, True),
        ({"path": "^/all"}, False),
        ({"query": r"title\.value=a b"}, True),
        ({"query": "a%20b|a\\+b"}, True),
        ({"query": "title=c"}, False),
        ({"method": "PUT", "path": "all$", "query": "id=1"}, True),
        ({"method": "PUT", "path": "nope", "query": "id=1"}, False),
        ({"body": "x"}, False),
    ],
)
def test_match(plex: Handle, match: dict[str, str], hit: bool) -> None:
    plex.fault("status", code=500, match=match)
    assert (edit(plex, "a b").status_code == 500) is hit
    assert bool(last(plex)["faults"]) is hit


def test_body_and_operation_match() -> None:
    class Asked:
        method, path, query = "POST", "/graphql", ""
        operations = ("SceneUpdate", "sceneUpdate")
        body = json.dumps({"variables": {"input": {"title": "Long one"}, "ids": [7, 8]}}).encode()

    def fires(match: dict[str, Any]) -> bool:
        rule = Rule(1, {"kind": "nothing", "match": match}, seed=0, now=0.0)
        return rule.fires(Asked(), 0.0)

    assert fires({"operation": "sceneUpdate"}) and fires({"operation": "Scene.*"})
    assert not fires({"operation": "scene"})
    assert fires({"body": "Long"}) and not fires({"body": "Short"})
    assert fires({"body": {"variables.input.title": "^Long"}}) and fires({"body": {"variables.ids.1": "^8$"}})
    assert not fires({"body": {"variables.input.code": "."}})


def test_probability_repeats_with_the_seed() -> None:
    def pattern(seed: int) -> list[bool]:
        rule = Rule(3, {"kind": "nothing", "probability": 0.3}, seed=seed, now=0.0)
        return [rule.fires(object(), 0.0) for _ in range(400)]

    seed = random.randrange(10**6)
    print("seed", seed)
    assert pattern(seed) == pattern(seed)
    assert pattern(seed) != pattern(seed + 1)
    assert 60 < sum(pattern(seed)) < 180


def test_every_kind_has_its_test_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


def test_the_ten_lines_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that simulators/README.md adds for example, added and posted."""
    readme = (Path(__file__).parents[2] / "simulators" / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n# faults.py\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    known = dict(vars(faults))
    exec(compile("from __future__ import annotations\n" + code, "README.md", "exec"), known)
    monkeypatch.setitem(KINDS, "twice", known["Twice"])
    with running(FakePlex.from_document(LIBRARY, token="")) as plex:
        plex.fault("twice", pause_ms=1)
        assert requests.get(plex.url + "/:/scrobble?key=1", timeout=5).ok
        assert plex.state()["sections"][0]["items"][0]["view_count"] == 2
        with pytest.raises(ControlError, match="'pause_ms' must be a number"):
            plex.fault("twice", pause_ms="long")
