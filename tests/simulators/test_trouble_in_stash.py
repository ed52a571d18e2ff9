"""Each trouble a user can have: one sentence that names it, in the log and in the health check, and no edit lost.

The world has credentials, so there is a token, an API key and a cookie that nobody may ever read in a text.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from installed import World, end_worker, installed, wait_until

from plexsync.queue.store import Store

WRONG_TOKEN = "wrongTokenOfSomebody"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    credentials = ("--username", "somebody", "--password", "passwordOfSomebody")
    with installed(tmp_path_factory.mktemp("stash"), *credentials) as found:
        yield found


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what a user is told."""

    name: str
    says: str  # a pattern
    settings: dict[str, object] = field(default_factory=dict)  # instead of the right ones
    fault: dict[str, object] | None = None  # of Plex
    down: bool = False  # Plex


TROUBLES = [
    Trouble("plex is down", "Plex at .* is not reachable: connection refused", down=True),
    Trouble("no address", "plex_url is not set", {"plex_url": ""}),
    Trouble("no token", "plex_token is not set", {"plex_token": ""}),
    Trouble("wrong token", r"does not accept plex_token \(401\)", {"plex_token": WRONG_TOKEN}),
    Trouble("wrong library", "plex_library: Plex has no library 'Nope'; it has '", {"plex_library": "Nope"}),
    Trouble("not plex", "points to another address .302.; is plex_url right", {"plex_url": "stash"}),
    Trouble(
        "starting up",
        r"starting or under maintenance \(503\)",
        fault={"kind": "status", "code": 503},
    ),
    Trouble(
        "one item fails",
        r"failed on this item \(500\)",
        fault={"kind": "status", "code": 500, "match": {"path": "/library/metadata/"}},
    ),
    Trouble("garbage", "does not answer as Plex does", fault={"kind": "garble"}),
    Trouble(
        "too slow",
        "did not answer within 0.5 s",
        {"plex_timeout_s": 0.5},
        fault={"kind": "hang", "s": 3},
    ),
]


@pytest.mark.parametrize(
    ("number", "trouble"), list(enumerate(TROUBLES, 1)), ids=[trouble.name for trouble in TROUBLES]
)
def test_it_is_said_in_one_sentence_and_the_edit_is_kept(world: World, number: int, trouble: Trouble) -> None:
    """A scene and a worker for each trouble, so that no case leans on another."""
    end_worker(world.data)
    title = f"Edited in spite of: {trouble.name}"
    file = world.file(number)
    settings = {**trouble.settings}
    if settings.get("plex_url") == "stash":
        settings["plex_url"] = world.stash.url
    world.configure(**settings)
    fault = world.plex.send("POST", "/faults", trouble.fault)["id"] if trouble.fault else None
    if trouble.down:
        world.plex.send("POST", "/outage", {"seconds": 60})
    try:
        world.edit(id=str(number), title=title)
        it_is_said_and_kept(world, trouble)
    finally:
        if fault is not None:
            world.plex.send("DELETE", f"/faults/{fault}")
        if trouble.down:
            world.plex.send("POST", "/outage", {"up": True})
        world.configure()
    # Healed, everything goes on by itself.
    wait_until(lambda: world.item(file)["title"] == title)
    wait_until(lambda: world.operation("queue_status")["pending"] == 0)
    assert world.operation("queue_status")["dead"] == 0


def it_is_said_and_kept(world: World, trouble: Trouble) -> None:
    def is_said() -> bool:
        return any(re.search(trouble.says, reason) for reason in world.operation("process_queue")["reasons"])

    wait_until(is_said)
    health = world.operation("health_check")
    wrong = [check["message"] for check in health["checks"] if not check["ok"]]
    assert not health["healthy"]
    assert any(re.search(trouble.says, message) for message in wrong), wrong
    status = world.operation("queue_status")
    assert (status["pending"] + status["in_progress"], status["dead"]) == (1, 0)
    log = (world.data / "plexsync.log").read_text()
    assert re.search(trouble.says, log) and "Traceback" not in log
    no_secret_is_told(world)


def no_secret_is_told(world: World) -> None:
    """Not in a log line, an answer, a file others may read, or a row; connection.json is for the worker alone."""
    cookies = set(re.findall(r'"Value":"([^"]+)"', (world.data / "connection.json").read_text()))
    secrets = {world.plex.token, world.stash.token, WRONG_TOKEN, "passwordOfSomebody", *cookies}
    assert len(secrets) >= 5 and all(len(secret) > 8 for secret in secrets)
    told = [path.read_text() for path in world.data.glob("*.log*")]
    told += [json.dumps([run["stdout"], run["log"]]) for run in world.stash.get("/runs")]
    with sqlite3.connect(world.data / "queue" / "data.db") as db:
        told += list(db.iterdump())
    for text in told:
        for secret in secrets:
            assert secret not in text
    assert (world.data / "connection.json").stat().st_mode & 0o777 == 0o600


def in_plex(world: World, number: int, title: str) -> Callable[[], bool]:
    file = world.file(number)
    return lambda: world.item(file)["title"] == title


def test_another_address_that_leads_nowhere_is_the_one_that_is_named(world: World) -> None:
    """The first was named for as long as the outage it began went on."""
    end_worker(world.data)
    arrived = in_plex(world, 14, "Second try")
    world.configure(plex_url="http://127.0.0.1:1")
    world.edit(id="14", title="Second try")

    def is_named(address: str) -> Callable[[], bool]:
        return lambda: f"Plex at {address} is not" in str(world.operation("queue_status")["blocked"])

    wait_until(is_named("http://127.0.0.1:1"))
    world.configure(plex_url="http://127.0.0.1:2")
    wait_until(is_named("http://127.0.0.1:2"))
    world.configure()
    wait_until(arrived)


def test_a_value_that_cannot_be_used_is_in_the_log_once(world: World) -> None:
    end_worker(world.data)
    world.configure(max_attempts="many")
    for title in ("Once", "Twice"):
        world.edit(id="13", title=title)
        wait_until(in_plex(world, 13, title))
    log = (world.data / "plexsync.log").read_text()
    assert log.count(" WARNING max_attempts must be a number, not 'many'; the default 8 is used.\n") == 1
    world.configure(max_attempts=0)


def test_stash_away_costs_nothing(world: World) -> None:
    """The worker meets a Stash that is gone for a moment."""
    world.configure()
    arrived = in_plex(world, 15, "Stash was away")
    log = world.data / "plexsync.log"
    world.plex.send("POST", "/outage", {"seconds": 60})  # so that the edit still waits when Stash goes
    try:
        world.edit(id="15", title="Stash was away")
        world.stash.send("POST", "/outage", {"seconds": 60})
        world.plex.send("POST", "/outage", {"up": True})
        wait_until(
            lambda: bool(re.search("Stash at .* is not reachable: connection refused", log.read_text()))
        )
    finally:
        world.stash.send("POST", "/outage", {"up": True})
    wait_until(arrived)
    no_secret_is_told(world)


def test_a_worker_takes_over_from_a_task_that_is_stopped(world: World) -> None:
    """The hook of an edit made meanwhile sees somebody at work and starts nobody; the task is killed then."""
    world.configure()
    end_worker(world.data)
    with Store(world.data) as store:
        store.enqueue(18)
    arrived = in_plex(world, 19, "While a task worked")
    hanging = world.plex.send("POST", "/faults", {"kind": "hang", "s": 600})["id"]
    press = 'mutation { runPluginTask(plugin_id: "PlexSync", task_name: "Process queue") }'
    job = world.stash.graphql(press)["runPluginTask"]
    try:
        wait_until(lambda: any(row["fired"] for row in world.plex.get("/faults")))
        world.edit(id="19", title="While a task worked")
        world.stash.graphql("mutation($job: ID!) { stopJob(job_id: $job) }", job=job)
    finally:
        world.plex.send("DELETE", f"/faults/{hanging}")
    wait_until(arrived)
    wait_until(lambda: not world.operation("queue_status")["pending"])


def test_a_scene_plex_does_not_have_waits_for_it(world: World) -> None:
    world.configure()
    file = world.file(16)
    section = world.plex.get("/state")["sections"][0]["title"]
    world.plex.send("DELETE", "/media", {"file": file})
    world.edit(id="16", title="Not scanned yet")
    wait_until(lambda: any(file in reason for reason in world.operation("process_queue")["reasons"]))
    assert world.operation("queue_status")["dead"] == 0
    world.plex.send("POST", "/media", {"section": section, "file": file, "scan": "now"})
    wait_until(lambda: not world.operation("process_queue")["waiting"])
    assert in_plex(world, 16, "Not scanned yet")()


def test_a_scene_deleted_meanwhile_is_done(world: World) -> None:
    world.configure()
    world.plex.send("POST", "/outage", {"seconds": 60})
    world.edit(id="17", title="Soon gone")
    world.stash.graphql("mutation { sceneDestroy(input: {id: 17}) }")
    world.plex.send("POST", "/outage", {"up": True})
    wait_until(lambda: not world.operation("process_queue")["waiting"])
    assert world.operation("queue_status")["dead"] == 0
    assert re.search("gone scene.17 ", (world.data / "plexsync.log").read_text())
