"""Rules per library: what is set apart for a Plex library holds for the scenes in it, and for no others.

The Plex is a whole server over a real socket, and what is known of it is in a real sync state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from test_settings_have_effects import CASES

from plexsync.core.failures import SettingProblem
from plexsync.core.item import Item
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import PER_LIBRARY, Settings, parse
from plexsync.core.verdict import InSync, Skipped, Synced
from plexsync.queue.store import Store
from plexsync.servers.plex import Plex
from plexsync.servers.stash import Cover
from plexsync.servers.sync_state import SyncState
from plexsync.sync import plan_batch, reconcile, record
from plexsync.ui import diff
from scenarios.clock import ManualClock
from simulators.fake_plex.service import FakePlex
from simulators.handle import Handle, running
from tests.doubles import Paper, applied

TOKEN = "t0ken-0f-the-0wner"
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100
FILM, CLIP = "/data/films/a film.mp4", "/data/clips/a clip.mp4"
LIBRARIES = {
    "sections": [
        {"title": "Films", "type": "movie", "locations": ["/data/films"], "items": [{"file": FILM}]},
        {"title": "Clips", "type": "movie", "locations": ["/data/clips"], "items": [{"file": CLIP}]},
    ]
}


def scenes() -> dict[int, Scene]:
    return {
        number: Scene(
            number, title=f"Scene {number}", studio="Studio", tags=("Drama",), files=(SceneFile(path),)
        )
        for number, path in ((1, FILM), (2, CLIP))
    }


class TwoLibraries(Paper):
    """Stash on paper, a real Plex and a real sync state. Each change of the rules makes a new client, as in use."""

    def __init__(self, server: Handle, store: Store) -> None:
        super().__init__(has=scenes())
        self.stored = {"plex_url": server.url, "plex_token": TOKEN}
        self.kept = SyncState(store.file, server.url)
        self.client: Plex | None = None
        self.last: Settings | None = None

    def ruled(self, rules: str, **others: object) -> None:
        self.stored |= {"library_rules": rules, **others}

    def plex(self) -> Plex:  # type: ignore[override]
        settings = self.settings()
        if self.client is None or settings != self.last:
            self.client, self.last = Plex(settings, index=self.kept), settings
        return self.client

    def sync_state(self, settings: Settings) -> SyncState:  # type: ignore[override]
        return self.kept

    def sync(self, *fresh: int) -> dict[int, object]:
        """What came of each scene; what was written is remembered."""
        settings = self.settings()
        looks = plan_batch.plan_batch([1, 2], self, settings, fresh)
        came = {}
        for number, seen in looks.items():
            came[number], seen = (
                (seen.outcome, seen) if seen.outcome is not None else applied(seen, self, settings)
            )
            if isinstance(came[number], (Synced, InSync)):
                record.record_written(seen, self.kept)
        return came

    def cover(self, scene_id: int, etag: str = "") -> Cover:
        return Cover(JPEG, "image/jpeg", "etag")

    def held(self) -> dict[str, Item]:
        found = self.plex().find_many([[FILM], [CLIP]])
        return {"Films": found[0][0], "Clips": found[1][0]}


@pytest.fixture
def server() -> Iterator[Handle]:
    with running(FakePlex.from_document(LIBRARIES, token=TOKEN)) as handle:
        yield handle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, clock=ManualClock()) as opened:
        yield opened


@pytest.fixture
def world(server: Handle, store: Store) -> TwoLibraries:
    return TwoLibraries(server, store)


def reads(server: Handle) -> list[str]:
    return [one["path"] for one in server.requests() if "/library/metadata/" in one["path"]]


# --- the setting


@pytest.mark.parametrize("key", PER_LIBRARY)
def test_each_of_these_settings_can_be_set_apart_for_a_library(key: str) -> None:
    given = CASES[key].given
    text = f"{key} = {'on' if given is True else given}"
    apart, problems = parse({"plex_url": "h", "plex_token": "t", "library_rules": f"[Films] {text}"})
    alike, _ = parse({"plex_url": "h", "plex_token": "t", key: given})
    assert not problems
    assert replace(apart.for_library(" films"), library_rules=()) == alike
    assert apart.for_library("Clips") is apart.for_library("") is apart
    assert key in {field.name for field in fields(Settings)}


def test_rules_are_read_as_people_write_them() -> None:
    text = (
        "[Films] tags_as_labels; title_template = [{studio}] {title}; tag_map = A => B; C => D\n"
        "[[4K] Clips] only_organized = off; collections_from =; [films] LEAVE_RATING = yes"
    )
    settings, problems = parse({"library_rules": text, "only_organized": True, "collections_from": "studio"})
    films, clips = settings.for_library("FILMS"), settings.for_library("[4K] Clips")
    assert not [problem for problem in problems if problem.key == "library_rules"]
    assert (films.tags_as_labels, films.leave_rating, films.only_organized) == (True, True, True)
    assert films.title_template == "[{studio}] {title}"
    assert [(pair.stash, pair.plex) for pair in films.tag_map] == [("A", "B"), ("C", "D")]
    assert (clips.only_organized, clips.collections_from, clips.tags_as_labels) == (False, (), False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "leave_title",
            "names no library for 'leave_title', which is left out; write it like [Films] leave_title.",
        ),
        ("[Films] leav_title = on", "knows no setting 'leav_title' for [Films], which is left out."),
        ("[Films] plex_url = http://h", "knows no setting 'plex_url' for [Films], which is left out."),
        ("[Films] title_template", "[Films]: title_template has no value and is left out."),
        (
            "[Films] leave_title = maybe",
            "[Films]: leave_title must be on or off, not 'maybe'; it is left out.",
        ),
        (
            "[Films] collections_from = studio, moods",
            "[Films]: collections_from knows studio, parent_studio, groups, performers, tags, organized, not 'moods', "
            "which is left out.",
        ),
    ],
)
def test_a_rule_that_cannot_be_used_is_said_and_the_others_hold(text: str, said: str) -> None:
    settings, problems = parse({"library_rules": f"{text}; [Clips] leave_date"})
    assert [problem.sentence for problem in problems if problem.key == "library_rules"] == [
        f"library_rules {said}"
    ]
    assert settings.for_library("Clips").leave_date


def test_a_rule_for_a_library_plex_does_not_have_holds_everything_back(world: TwoLibraries) -> None:
    """It may be the one that says what is to be left alone."""
    world.ruled("[Flims] leave_title")
    came = world.sync()
    assert {type(one.error) for one in came.values()} == {SettingProblem}  # type: ignore[attr-defined]
    assert str(came[1].error) == (  # type: ignore[attr-defined]
        "library_rules: Plex has no library 'Flims'; it has 'Films', 'Clips'."
    )


# --- what is written


def test_each_library_gets_what_its_rules_say(world: TwoLibraries) -> None:
    world.ruled("[Clips] tags_as_labels; title_template = {studio}: {title}; keep_unlocked")
    assert {type(one) for one in world.sync().values()} == {Synced}
    held = world.held()
    assert (held["Films"].title, held["Films"].genres, held["Films"].labels) == ("Scene 1", ("Drama",), ())
    assert (held["Clips"].title, held["Clips"].genres, held["Clips"].labels) == (
        "Studio: Scene 2",
        (),
        ("Drama",),
    )
    assert "title" in held["Films"].locked
    assert "title" not in held["Clips"].locked


def test_once_written_nothing_is_left_and_plex_is_not_asked_again(
    world: TwoLibraries, server: Handle
) -> None:
    world.ruled("[Clips] title_template = {studio}: {title}")
    world.sync()
    server.clear_requests()
    assert world.sync() == {1: InSync(), 2: InSync()}
    assert reads(server) == []
    assert {type(one) for one in world.sync(1, 2).values()} == {InSync}  # compared, and nothing is left


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("", "[Clips] title_template = {studio}", ["Clips"]),
        ("[Clips] title_template = {studio}", "", ["Clips"]),
        (
            "[Clips] title_template = {studio}; [Films] title_template = {id}",
            "[Films] title_template = {studio}; [Clips] title_template = {id}",
            ["Films", "Clips"],
        ),
    ],
)
def test_a_change_of_the_rules_reaches_the_scenes_of_its_library(
    world: TwoLibraries, store: Store, before: str, after: str, changed: list[str]
) -> None:
    world.ruled(before)
    world.sync()
    world.ruled(after)
    found = reconcile.sweep(store, world, world.settings())
    assert sorted(job.scene_id for job in store.waiting()) == [
        {"Films": 1, "Clips": 2}[name] for name in changed
    ]
    assert found.in_sync == 2 - len(changed)
    came = world.sync()
    assert [
        name for name, one in zip(("Films", "Clips"), came.values(), strict=True) if one != InSync()
    ] == changed


def test_a_library_with_another_name_has_no_rules_any_more(world: TwoLibraries, server: Handle) -> None:
    """Its rules then name no library, until somebody tells them the new name."""
    world.ruled("[Clips] title_template = {studio}")
    world.sync()
    section = next(library for library in world.plex().libraries() if library.title == "Clips")
    answer = world.plex()._session.put(
        f"{server.url}/library/sections/{section.id}",
        params={"name": "Shorts"},
        headers={"X-Plex-Token": TOKEN},
    )
    assert answer.status_code == 200
    world.client = None
    assert {type(getattr(one, "error", None)) for one in world.sync(1, 2).values()} == {SettingProblem}
    world.ruled("[Shorts] title_template = {studio}")
    assert world.sync(1, 2) == {1: InSync(), 2: InSync()}
    world.ruled("")
    assert [type(one) for one in world.sync().values()] == [InSync, Synced]


@pytest.mark.parametrize(
    ("rules", "others", "came"),
    [
        ("[Clips] title_template = {studio}", {}, [InSync, Synced]),
        ("[Clips] only_organized = off", {"only_organized": True}, [Skipped, Synced]),
    ],
)
def test_libraries_whose_names_are_not_known_are_asked_about_once(
    world: TwoLibraries, store: Store, server: Handle, rules: str, others: dict[str, object], came: list[type]
) -> None:
    world.plex().find_many([[FILM], [CLIP]])  # known by path
    with store.transaction() as db:
        db.execute("DELETE FROM plex_sections")
    world.kept = SyncState(store.file, server.url)
    world.client = None
    if not others:
        world.sync()
    world.ruled(rules, **others)
    assert [type(one) for one in world.sync().values()] == came
    server.clear_requests()
    assert [type(one) for one in world.sync().values()] == [InSync if one is Synced else one for one in came]
    assert reads(server) == []


def test_the_cover_goes_where_the_rules_say(world: TwoLibraries, server: Handle) -> None:
    world.ruled("[Clips] write_poster")
    world.has = {
        number: replace(scene, screenshot=f"http://stash/scene/{number}/screenshot?t=1")
        for number, scene in world.has.items()
    }
    pictures = {one.scene_id: one.pictures for one in diff.previews(world, world.settings(), [1, 2])}
    assert pictures == {1: (), 2: ("poster",)}
    clip = world.held()["Clips"].rating_key
    world.sync()
    assert [one["path"].split("?")[0] for one in server.requests() if one["method"] == "POST"] == [
        f"/library/metadata/{clip}/posters"
    ]


# --- what is not


def test_a_gate_holds_for_its_library_alone_in_both_directions(world: TwoLibraries) -> None:
    world.ruled("[Clips] only_organized")
    assert [type(one) for one in world.sync().values()] == [Synced, Skipped]
    assert world.sync(1, 2)[2] == Skipped("not organized")
    world.ruled("[Clips] only_organized = off", only_organized=True)
    assert [type(one) for one in world.sync(1, 2).values()] == [Skipped, Synced]


def test_a_scene_skipped_in_its_library_costs_plex_nothing_unless_it_was_edited(
    world: TwoLibraries, store: Store, server: Handle
) -> None:
    world.ruled("[Clips] only_organized")
    world.sync()
    server.clear_requests()
    assert world.sync()[2] == Skipped("not organized")
    assert reads(server) == []
    found = reconcile.sweep(store, world, world.settings())
    assert (found.skipped, found.in_sync, found.queued) == (1, 1, 0)
    assert reads(server) == [], "what Plex lists is evidence enough"
    world.sync(2)
    assert len(reads(server)) == 1  # its file may be in another library by now


def test_what_no_library_wants_is_skipped_without_asking_where_it_is(
    world: TwoLibraries, server: Handle
) -> None:
    world.ruled("[Clips] only_organized = on", only_organized=True)
    assert world.sync(1, 2) == {1: Skipped("not organized"), 2: Skipped("not organized")}
    assert server.requests() == []


def test_ratings_come_back_from_the_library_that_says_so(
    world: TwoLibraries, store: Store, server: Handle
) -> None:
    world.ruled("[Clips] ratings_to_stash")
    world.sync()
    for item in world.held().values():
        world.plex()._session.put(
            f"{server.url}/:/rate",
            params={"key": item.rating_key, "identifier": "com.plexapp.plugins.library", "rating": 7},
            headers={"X-Plex-Token": TOKEN},
        )
    looks = plan_batch.plan_batch([1, 2], world, world.settings(), [1, 2])
    assert [looks[number].edits.rating100 for number in (1, 2)] == [None, 70]
    reconcile.sweep(store, world, world.settings())
    assert 2 in [job.scene_id for job in store.waiting()]
