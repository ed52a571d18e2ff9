"""Scenes, items, settings and outcomes of every kind, for the property tests.

Hypothesis prints the example it shrank a failure to, and the seed to repeat it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis
from hypothesis import strategies as st

from plexsync.core import verdict
from plexsync.core.failures import NeedsAttention, Permanent, SettingProblem, Transient, Unavailable
from plexsync.core.fields import FIELDS
from plexsync.core.item import Actor, Item
from plexsync.core.job import Job
from plexsync.core.scene import Scene, scene_from
from plexsync.core.settings import COLLECTION_SOURCES, Pair, PathPair, Settings

hypothesis.settings.register_profile("plexsync", deadline=None, print_blob=True, max_examples=60)
hypothesis.settings.load_profile("plexsync")

# Few names, so that they meet: in other cases, with commas and percent signs, composed and decomposed.
NAMES = (
    "Ann",
    "ann",
    "ANN",
    "Bob",
    "A,B",
    "50%",
    "%2C",
    "é",
    "e\u0301",
    "É",
    "ß",
    "SS",
    "a b",
    "😀",
    "x" * 300,
)

names = st.sampled_from(NAMES) | st.text(min_size=1, max_size=12)
any_text = st.text(max_size=30) | st.sampled_from(["", " ", "a\r\nb", "\x00", "\ud800", "é", "e\u0301"])
dates = st.sampled_from(
    ["", "2024", "2024-05", "2024-05-17", "1969-12-31", "2024-02-30", "0000", "x", "9999-12-31"]
)

folders = st.sampled_from(
    ["/data", "/data/x", "/Data", "/d", r"C:\data", r"c:\Data\x", r"\\nas\share", "//NAS/Share"]
)
tails = st.lists(st.sampled_from(["a", "A", "é", "e\u0301", "b.mp4", "x"]), min_size=1, max_size=3)


@st.composite
def paths(draw: st.DrawFn) -> str:
    folder, tail = draw(folders), draw(tails)
    separator = "\\" if "\\" in folder else "/"
    return separator.join([folder, *tail])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """A scene as GraphQL may answer it."""
    optional = {
        "title": any_text,
        "details": any_text,
        "date": dates | st.none(),
        "rating100": st.integers(-5, 105) | st.none(),
        "organized": st.booleans(),
        "play_count": st.integers(0, 2) | st.none(),
        "director": any_text,
        "updated_at": st.sampled_from(["2026-01-11T18:07:53+11:00", "1970-01-01T00:00:00Z", ""]),
        "studio": st.none() | st.builds(lambda name: {"name": name, "parent_studio": None}, names),
        "performers": st.lists(
            st.builds(lambda name, more: {"name": name, "disambiguation": more}, names, any_text), max_size=5
        ),
        "tags": st.lists(st.builds(lambda name: {"name": name}, names), max_size=8),
        "files": st.lists(
            st.builds(lambda path: {"path": path, "size": 5, "duration": 1.5}, paths()), max_size=3
        ),
    }
    return {"id": str(draw(st.integers(1, 10**6))), **draw(st.fixed_dictionaries({}, optional=optional))}


scenes: st.SearchStrategy[Scene] = st.builds(scene_from, answers())

lock_names = st.frozensets(st.sampled_from([row.plex for row in FIELDS]))
plex_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@st.composite
def items(draw: st.DrawFn, files: st.SearchStrategy[str] | None = None) -> Item:
    tags = st.lists(names, max_size=6, unique=True).map(tuple)
    return Item(
        rating_key=draw(st.integers(1, 20)),
        section_id=draw(st.integers(1, 3)),
        title=draw(plex_text),
        summary=draw(plex_text),
        studio=draw(plex_text),
        originally_available_at=draw(st.none() | st.dates().map(lambda date: date.isoformat())),
        user_rating=draw(st.none() | st.floats(0, 10)),
        updated_at=draw(st.sampled_from([0, 1, 2_000_000_000])),
        view_count=draw(st.integers(0, 2)),
        title_sort=draw(plex_text),
        tagline=draw(plex_text),
        genres=draw(tags),
        labels=draw(tags),
        collections=draw(tags),
        directors=draw(tags),
        actors=tuple(Actor(name, draw(plex_text)) for name in draw(tags)),
        locked=draw(lock_names),
        files=tuple(draw(st.lists(paths() if files is None else files, max_size=3))),
    )


policies = st.sampled_from(["stash", "plex", "newest"])
tag_pairs = st.builds(Pair, names, names | st.just(""))
settings_for_edits = st.builds(
    Settings,
    keep_unlocked=st.booleans(),
    leave_summary=st.booleans(),
    title_template=st.sampled_from(["", "{studio} - {title} ({date:%Y})", "{code}"]),
    sort_title_template=st.sampled_from(["", "{title}", "{studio} {date}"]),
    role_template=st.sampled_from(["", "{disambiguation}"]),
    tagline_template=st.sampled_from(["", "{performers}"]),
    write_directors=st.booleans(),
    write_watched=st.booleans(),
    tags_as_labels=st.booleans(),
    tag_map=st.lists(tag_pairs, max_size=2).map(tuple),
    collections_from=st.lists(st.sampled_from(COLLECTION_SOURCES), unique=True, max_size=3).map(tuple),
)
pairs = st.builds(PathPair, folders, st.sampled_from(["/media", "/", r"M:\Media", r"\\plex\v", "/data"]))
path_maps = st.lists(pairs, max_size=4).map(tuple)

bounded_settings = st.builds(
    Settings,
    max_attempts=st.integers(1, 1000),
    not_found_attempts=st.integers(1, 1000),
    retry_base_s=st.floats(0.1, 3600),
    retry_cap_s=st.floats(0.1, 86_400),
)
jobs = st.builds(
    Job,
    id=st.integers(1, 10**9),
    scene_id=st.integers(1, 10**9),
    update_type=st.sampled_from(["create", "update", "destroy", "sync"]),
    attempts=st.integers(0, 10**6),
)
unavailable = st.builds(Unavailable, st.sampled_from(["Plex", "Stash"]), any_text)
holding = (
    unavailable
    | st.builds(NeedsAttention, st.sampled_from(["Plex", "Stash"]), any_text)
    | st.builds(SettingProblem, st.sampled_from(["plex_url", "plex_token"]), any_text)
)
other_errors = st.builds(Transient, any_text) | st.sampled_from(
    [KeyError("x"), ValueError(), OSError(5, "x")]
)
outcomes: st.SearchStrategy[verdict.Outcome] = st.one_of(
    st.builds(verdict.Synced, st.lists(st.sampled_from(["title", "tags"]), max_size=2).map(tuple)),
    st.just(verdict.InSync()),
    st.builds(verdict.Skipped, any_text),
    st.just(verdict.Gone()),
    st.just(verdict.NoFile()),
    st.builds(verdict.NotFound, st.lists(paths(), max_size=3).map(tuple)),
    st.builds(verdict.Ambiguous, st.lists(items(), min_size=2, max_size=4).map(tuple)),
    st.builds(verdict.Failed, holding | other_errors | st.builds(Permanent, any_text), any_text),
)

stored_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=6,
)
SCENE_KEYS = [field.name for field in dataclasses.fields(Scene) if field.name != "id"] + ["paths"]
