"""Every setting changes something: one case each, where its effect really is, with the setting left alone and set.

A case is given as Stash stores it, so the reading of it is part of the way.
"""

from __future__ import annotations

import random
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest

from plexsync.core.failures import SyncFailure, Transient
from plexsync.core.item import Item
from plexsync.core.job import Job
from plexsync.core.plan import PLAYS, Edits, plan
from plexsync.core.scene import Performer, Scene, SceneFile
from plexsync.core.settings import SETTINGS, USUAL_FIELDS, Settings, parse
from plexsync.core.verdict import DeadLettered, Failed, Finish, NotFound, Outcome, Postpone, Skipped, after
from plexsync.queue.store import Store
from plexsync.servers.plex import Plex
from plexsync.servers.world import Servers
from plexsync.sync import plan_batch
from plexsync.sync.worker import Worker
from scenarios.clock import ManualClock
from simulators.fake_plex.service import FakePlex
from simulators.fake_stash.instance import Instance
from simulators.fake_stash.routes import FakeStash
from simulators.handle import Handle, running
from tests.doubles import Model, Paper, applied
from tests.simulators.stash_world import self_signed

TOKEN = "t0ken-0f-the-0wner"
FILE = "/data/films/a file.mp4"
SCENE = Scene(
    1,
    title="A title",
    details="What happens.",
    date="2024-05-17",
    rating100=85,
    code="AB-1",
    director="Dee",
    studio="Studio",
    parent_studio="Network",
    performers=("Ann",),
    photos=(("Ann", "/performer/5/image?t=9"),),
    cast=(Performer("Ann", "the elder"),),
    tags=("Drama",),
    groups=("Series 1",),
    play_count=1,
    files=(SceneFile(FILE, size=777),),
)
ITEM = Item(101, 1, title="a file", files=(FILE,), sizes=(777,))

Probe = Callable[["Bench", Settings], object]


@dataclass
class Bench:
    """Where a case is tried: a folder of its own, and a Plex over a real socket for those that need one."""

    folder: Path
    plex: Handle

    def worker(self, settings: Settings, model: Model) -> tuple[Worker, Store, ManualClock]:
        """A worker on a new queue."""
        clock = ManualClock()
        model.given = settings
        self.folder = self.folder / "next"
        store = Store(self.folder, clock=clock)
        return Worker(store, model, clock, random.Random(7)), store, clock


@dataclass(frozen=True)
class Case:
    """With the setting left alone ``probe`` gives ``usual``, with it ``given`` it gives ``changed``."""

    given: object  # as Stash stores it; {plex} in it is the address of the Plex at hand
    probe: Probe
    usual: object
    changed: object
    besides: dict[str, object] = field(default_factory=dict)  # other settings, both times


# --- what is written


def parameter(name: str, scene: Scene = SCENE, item: Item = ITEM) -> Probe:
    """One parameter of the PUT; None when it is not among them."""
    return lambda bench, settings: plan(scene, item, settings).params.get(name)


def is_written(name: str) -> Probe:
    return lambda bench, settings: name in plan(SCENE, ITEM, settings).fields


def title_after_an_edit_in_plex(bench: Bench, settings: Settings) -> object:
    by_hand = replace(ITEM, title="By hand", locked=frozenset({"title"}))
    return plan(SCENE, by_hand, settings, {"title": "A title"}).params.get("title.value")


def title_somebody_locked(bench: Bench, settings: Settings) -> object:
    locked = replace(ITEM, title="By hand", locked=frozenset({"title"}))
    return plan(SCENE, locked, settings, {}).params.get("title.value")


def mark(bench: Bench, settings: Settings) -> object:
    return plan(SCENE, ITEM, settings).watched


def rating_for_stash(bench: Bench, settings: Settings) -> object:
    rated = replace(ITEM, user_rating=7.5, last_rated_at=99)
    return plan(replace(SCENE, rating100=None), rated, settings).rating100


def plays_for_stash(bench: Bench, settings: Settings) -> object:
    model = Model(has={1: SCENE}, items={101: replace(ITEM, view_count=2, last_viewed_at=70)})
    model.remembered.record(1, 101, "", {PLAYS: "0"})
    return plan_batch.plan_batch([1], model, settings)[1].plays


def uploads(bench: Bench, settings: Settings) -> object:
    model = Model(
        has={1: replace(SCENE, screenshot="http://stash/scene/1/screenshot?t=1")}, items={101: ITEM}
    )
    applied(plan_batch.plan_batch([1], model, settings)[1], model, settings)
    return [gallery for _, gallery in model.uploads]


# --- whether it is written, and to what


def outcome(scene: Scene = SCENE, item: Item = ITEM) -> Probe:
    """Why the scene is not written; "" when it is."""

    def probe(bench: Bench, settings: Settings) -> object:
        found = plan_batch.plan_batch([1], Paper(has={1: scene}, items={101: item}), settings)[1].outcome
        return found.reason if isinstance(found, Skipped) else "" if found is None else found.name

    return probe


# --- when it is tried again


def decision(came: Outcome, attempts: int) -> Probe:
    """Whether the job is done or given up; else whether the wait is below 100 s."""

    def probe(bench: Bench, settings: Settings) -> object:
        said = after(Job(1, 1, "update", attempts=attempts), came, 0.0, random.Random(7), settings)
        if isinstance(said, DeadLettered):
            return "given up"
        if isinstance(said, Finish):
            return "done"
        assert isinstance(said, Postpone)
        return "soon" if said.until < 100 else "late"

    return probe


FAILED = Failed(Transient("Plex failed on this item (500)."))


# --- the worker


def asked_to_scan(bench: Bench, settings: Settings) -> object:
    model = Model(has={1: SCENE})
    worker, store, _ = bench.worker(settings, model)
    with store:
        store.enqueue(1)
        worker.step()
    return model.scans


def kept_of_five(bench: Bench, settings: Settings) -> object:
    worker, store, _ = bench.worker(settings, Model(has={1: SCENE}, items={101: ITEM}))
    with store:
        for _ in range(5):
            store.enqueue(1)
            worker.step()
        worker.run()
        return store.counts().completed


def seconds_it_stays(bench: Bench, settings: Settings) -> object:
    worker, store, clock = bench.worker(settings, Model())
    with store:
        began = clock.monotonic()
        worker.run()
        return round(clock.monotonic() - began)


@dataclass
class Swept(Model):
    """Also knows whether it was asked for all scenes or for those changed lately."""

    asked_for: list[str] = field(default_factory=list)

    def scene_pages(self, after_id=0, per_page=100, updated_since=None):
        self.asked_for.append("all" if updated_since is None else "some")
        return iter(())


def looks_in_25_minutes(bench: Bench, settings: Settings) -> object:
    model = Swept()
    worker, store, clock = bench.worker(settings, model)
    with store:
        end = clock.now() + 25 * 60
        worker.run(should_stop=lambda: clock.now() > end)
    return model.asked_for


@dataclass
class Sociable(Model):
    """A Plex that takes ten seconds for a write, and the more at a time the better."""

    at_a_time: Callable[[], int] = lambda: 1
    turns: ManualClock = field(default_factory=ManualClock)
    alone: threading.Lock = field(default_factory=threading.Lock)

    def write(self, item: Item, edits: object) -> None:
        with self.alone:
            self.turns.advance(10.0 / self.at_a_time())
            super().write(item, edits)


def most_writes_at_a_time(bench: Bench, settings: Settings) -> object:
    model = Sociable()
    worker, store, model.turns = bench.worker(settings, model)
    model.at_a_time = lambda: worker._writers.throttle.limit
    most = 0
    with store:
        for turn in range(12):
            for number in range(1, 6):
                path = f"/data/{number}.mp4"
                model.has[number] = Scene(number, title=f"{turn}", files=(SceneFile(path),))
                model.items.setdefault(100 + number, Item(100 + number, 1, files=(path,)))
            store.enqueue_many([1, 2, 3, 4, 5])
            worker.step()
            most = max(most, worker._writers.throttle.limit)
    worker._writers.close()
    return most


# --- the servers, over real sockets


def health(bench: Bench, settings: Settings) -> object:
    """The libraries of the Plex, or the beginning of what is wrong."""
    return _answer(lambda: [library.title for library in Plex(settings).health().libraries])


def _answer(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except SyncFailure as failure:
        return type(failure).__name__


def a_plex_that_is_slow(bench: Bench, settings: Settings) -> object:
    plex = Plex(settings)
    plex.health()
    bench.plex.fault("delay", ms=800, count=1)
    try:
        return _answer(lambda: bool(plex.libraries(fresh=True)))
    finally:
        bench.plex.clear_faults()


def a_stash_that_is_slow(bench: Bench, settings: Settings) -> object:
    """The settings come from Stash, so it has been asked for them when they begin to count."""
    folder = bench.folder / "stash"
    folder.mkdir(exist_ok=True)
    library = {"scenes": [{"title": "T", "path": FILE}]}
    instance = Instance(folder, None, library, 0, None, "", "", "", None)
    with running(FakeStash(instance, None)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        given = {"stash_timeout_s": settings.stash_timeout_s, "plex_url": "http://h", "plex_token": TOKEN}
        servers = Servers(
            str(bench.folder), ManualClock(), None, {"Scheme": "http", "Host": host, "Port": int(port)}
        )
        configure = 'mutation($v: Map!) { configurePlugin(plugin_id: "PlexSync", input: $v) }'
        servers.stash()._connected().call_GQL(configure, {"v": given})
        assert servers.settings().stash_timeout_s == settings.stash_timeout_s
        server.fault("delay", ms=800, count=1)
        return _answer(lambda: servers.stash().count())


def a_plex_with_a_certificate_of_its_own(bench: Bench, settings: Settings) -> object:
    """Both ways to it: what is read, and what is written past requests."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    service = FakePlex.from_document(LIBRARIES, token=TOKEN)
    service.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    service.tls.load_cert_chain(*self_signed(bench.folder))
    with running(service) as server:
        plex = Plex(replace(settings, plex_url=server.url))

        def ask() -> object:
            (item,) = plex.find([FILE])
            plex.write(item, Edits({"title.value": "T", "title.locked": "1"}, ("title",)))
            return plex.find([FILE])[0].title

        return _answer(ask)


LIBRARIES = {
    "sections": [
        {"title": "Films", "type": "movie", "locations": ["/data/films"], "items": [{"file": FILE}]},
        {"title": "Clips", "type": "movie", "locations": ["/data/clips"]},
    ]
}

CASES: dict[str, Case] = {
    "plex_url": Case("{plex}", health, "SettingProblem", ["Films", "Clips"]),
    "plex_token": Case(TOKEN, health, "SettingProblem", ["Films", "Clips"]),
    "plex_library": Case("clips", health, ["Films", "Clips"], ["Clips"]),
    "path_map": Case(
        "/data => /media",
        outcome(item=replace(ITEM, files=(FILE.replace("/data", "/media"),))),
        "not_found",
        "",
        {"exact_paths": True},
    ),
    "exact_paths": Case(True, outcome(item=replace(ITEM, files=("/media/a file.mp4",))), "", "not_found"),
    "scan_plex": Case(True, asked_to_scan, [], [(FILE,)]),
    "max_attempts": Case(2, decision(FAILED, 2), "soon", "given up"),
    "retry_base_s": Case(300, decision(FAILED, 1), "soon", "late"),
    "retry_cap_s": Case(20, decision(FAILED, 7), "late", "soon"),
    "skip_not_found": Case(True, decision(NotFound((FILE,)), 1), "soon", "done"),
    "not_found_attempts": Case(1, decision(NotFound((FILE,)), 1), "soon", "given up"),
    "plex_timeout_s": Case(0.3, a_plex_that_is_slow, True, "Unavailable"),
    "plex_concurrency": Case(2, most_writes_at_a_time, 4, 2),
    "stash_timeout_s": Case(0.3, a_stash_that_is_slow, 1, "Unavailable"),
    "worker_linger_s": Case(5, seconds_it_stays, 60, 5),
    "history_keep": Case(2, kept_of_five, 5, 2),
    "reconcile_interval": Case(0.2, looks_in_25_minutes, [], ["some"] * 3),
    "reconcile_scope": Case(
        "all", looks_in_25_minutes, ["some"] * 2, ["all"] * 2, {"reconcile_interval": 0.3}
    ),
    **{f"leave_{name}": Case(True, is_written(name), True, False) for name in USUAL_FIELDS},
    "title_template": Case("{studio}: {title}", parameter("title.value"), "A title", "Studio: A title"),
    "sort_title_template": Case("{studio} {date}", parameter("titleSort.value"), None, "Studio 2024-05-17"),
    "original_title_template": Case("{code}", parameter("originalTitle.value"), None, "AB-1"),
    "tagline_template": Case("{groups}", parameter("tagline.value"), None, "Series 1"),
    "content_rating": Case("XXX", parameter("contentRating.value"), None, "XXX"),
    "parent_studio": Case(True, parameter("studio.value"), "Studio", "Network"),
    "write_directors": Case(True, parameter("director[0].tag.tag"), None, "Dee"),
    "tags_as_labels": Case(True, parameter("label[0].tag.tag"), None, "Drama"),
    "tag_map": Case("drama => Play", parameter("genre[0].tag.tag"), "Drama", "Play"),
    "collections_from": Case("groups", parameter("collection[0].tag.tag"), None, "Series 1"),
    "write_poster": Case(True, uploads, [], ["posters"]),
    "write_background": Case(True, uploads, [], ["arts"]),
    "role_template": Case("{disambiguation}", parameter("actor[0].tagging.text"), None, "the elder"),
    "photo_address": Case(
        "http://stash:9999",
        parameter("actor[0].tag.thumb"),
        None,
        "http://stash:9999/performer/5/image?t=9",
    ),
    "conflict_policy": Case("plex", title_after_an_edit_in_plex, "A title", None),
    "first_contact": Case(
        "fill", parameter("summary.value", item=replace(ITEM, summary="An agent's.")), "What happens.", None
    ),
    "write_watched": Case(True, mark, None, True),
    "ratings_to_stash": Case(True, rating_for_stash, None, 75),
    "watched_to_stash": Case(True, plays_for_stash, 0, 2),
    "respect_locks": Case(True, title_somebody_locked, "A title", None),
    "only_organized": Case(True, outcome(), "", "not organized"),
    "only_identified": Case(True, outcome(), "", "has no stash-box id"),
    "skip_bare": Case(True, outcome(Scene(1, code="X", files=SCENE.files)), "in_sync", "has no metadata yet"),
    "include_tags": Case("Short", outcome(), "", "has no tag of those to sync"),
    "exclude_tags": Case("drama", outcome(), "", "has the tag 'drama', which is not to be synced"),
    "include_studios": Case("Other", outcome(), "", "has no studio of those to sync"),
    "exclude_studios": Case("network", outcome(), "", "has the studio 'network', which is not to be synced"),
    "include_paths": Case("/data/clips", outcome(), "", "is in no folder of those to sync"),
    "exclude_paths": Case(
        "/data/films", outcome(), "", "is in the folder '/data/films', which is not to be synced"
    ),
    "keep_unlocked": Case(True, parameter("title.locked"), "1", "0"),
    "library_rules": Case(  # more about them in test_library_rules.py
        "[films] only_organized", outcome(item=replace(ITEM, section_title="Films")), "", "not organized"
    ),
    "plex_insecure": Case(True, a_plex_with_a_certificate_of_its_own, "SettingProblem", "T"),
}


@pytest.fixture(scope="module")
def plex() -> Iterator[Handle]:
    with running(FakePlex.from_document(LIBRARIES, token=TOKEN)) as handle:
        yield handle


def test_every_setting_has_a_case_and_no_case_is_of_another() -> None:
    assert list(CASES) == [row.key for row in SETTINGS]


@pytest.mark.parametrize("key", CASES)
def test_a_setting_changes_what_it_says(key: str, tmp_path: Path, plex: Handle) -> None:
    case, bench = CASES[key], Bench(tmp_path, plex)
    assert case.usual != case.changed
    needed: dict[str, object] = {"plex_url": plex.url, "plex_token": TOKEN}
    given = case.given.format(plex=plex.url) if case.given == "{plex}" else case.given
    others = {name: value for name, value in {**needed, **case.besides}.items() if name != key}
    usual, _ = parse(others)
    changed, problems = parse({**others, key: given})
    assert not problems
    assert [
        one.name for one in fields(Settings) if getattr(usual, one.name) != getattr(changed, one.name)
    ] == [key]
    assert case.probe(bench, usual) == case.usual
    assert case.probe(bench, changed) == case.changed


# What changes a scene's fingerprint when it is changed later, so that the next look at all finds its scenes. Of the
# others, those that choose scenes are asked every time, and the rest say how and when, not what.
FOLLOWED = [
    key
    for key in CASES
    if key.startswith(
        ("leave_", "write_", "path_map", "exact_", "plex_library", "photo_", "conflict_", "tag")
    )
    or key.endswith(("_template", "_locks", "_unlocked", "_rating", "_studio", "_from"))
]


@pytest.mark.parametrize("key", FOLLOWED)
def test_a_change_of_what_is_written_is_found_by_the_next_look_at_all(key: str) -> None:
    case = CASES[key]
    scene = replace(SCENE, screenshot="http://stash/scene/1/screenshot?t=1")
    usual, _ = parse({**case.besides, "plex_url": "http://plex:32400", "plex_token": TOKEN})
    changed, _ = parse(
        {**case.besides, "plex_url": "http://plex:32400", "plex_token": TOKEN, key: case.given}
    )
    assert plan_batch.fingerprint(scene, usual) != plan_batch.fingerprint(scene, changed)
