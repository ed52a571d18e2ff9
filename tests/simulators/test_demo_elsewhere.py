"""`demo --stash --plex` against servers of somebody's own: the simulators, reached by their public addresses only."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from scenarios import elsewhere
from simulators.generate import generate
from simulators.handle import spawned

TAG = "PlexSync may try"


@pytest.fixture
def servers(tmp_path, monkeypatch):
    """A Stash of six scenes of which two have the tag, and a Plex with the files of all."""
    rows = [{k: v for k, v in row.items() if v is not None} for row in generate(6, 3)]
    for row in rows:
        row["tags"] = [*row["tags"], TAG] if row is rows[1] or row is rows[4] else row["tags"]
    items = [{"title": "as scanned", "file": row["path"]} for row in rows]
    (tmp_path / "stash.json").write_text(json.dumps({"scenes": rows}))
    plex = {"sections": [{"title": "Films", "locations": ["/data/stash"], "items": items}]}
    (tmp_path / "plex.json").write_text(json.dumps(plex))
    stash_args = ("--library", str(tmp_path / "stash.json"), "--config-dir", str(tmp_path / "config"))
    with (
        spawned("simulators.fake_stash", *stash_args) as stash,
        spawned("simulators.fake_plex", "--library", str(tmp_path / "plex.json")) as plex,
    ):
        monkeypatch.setenv("PLEX_TOKEN", plex.ready["token"])
        yield stash, plex


def run(stash: str, plex: str, tag: str = TAG, write: bool = False) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=160)
    status = elsewhere.run(stash, plex, tag, write, console)
    return status, console.file.getvalue()


def changing(server) -> list[dict]:
    """Requests that could change something: Stash's mutations, and all but reads in Plex."""
    return [
        row
        for row in server.requests()
        if (row["path"] == "/graphql" and (row.get("operation") or "").lower().startswith("mutation"))
        or (row["path"] != "/graphql" and row["method"] not in ("GET", "HEAD"))
    ]


def test_it_shows_what_differs_and_writes_nothing(servers):
    stash, plex = servers
    before = plex.state(), stash.state()
    status, text = run(stash.url, plex.url)
    assert status == 0
    assert "0 of 2 scenes are in sync" in text and "Nothing was written" in text
    assert (plex.state(), stash.state()) == before
    assert changing(plex) == []
    assert plex.ready["token"] not in text


def test_told_to_write_it_writes_to_the_chosen_scenes_and_to_no_other(servers):
    stash, plex = servers
    untouched = stash.state()["scenes"]
    status, text = run(stash.url, plex.url, write=True)
    assert status == 0, text
    assert "2 of 2 scenes are in sync" in text
    assert stash.state()["scenes"] == untouched
    files = {scene["id"]: scene["path"] for scene in untouched}
    written = {item["file"] for item in plex.state()["sections"][0]["items"] if item["title"] != "as scanned"}
    assert written == {files[2], files[5]}
    again, said = run(stash.url, plex.url)
    assert again == 0 and "2 of 2 scenes are in sync" in said


def test_what_is_wrong_with_the_call_or_a_server_is_one_sentence(servers, monkeypatch):
    stash, plex = servers
    assert run(stash.url, plex.url, tag="No such tag")[0] == 2
    status, text = run("stash.local:9999", plex.url)
    assert status == 2 and "--stash is an address" in text
    status, text = run("http://127.0.0.1:9", plex.url)
    assert status == 1 and "Traceback" not in text
    status, text = run(stash.url, "http://127.0.0.1:9")
    assert status == 1 and "Traceback" not in text and len(text.strip().splitlines()) == 1
    monkeypatch.setenv("PLEX_TOKEN", "not-the-token")
    status, text = run(stash.url, plex.url)
    assert status == 1 and "not-the-token" not in text
