"""What Plex had before us comes back, whatever was written: values and locks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from plexsync.core.fields import FIELDS
from plexsync.core.item import Actor, Item
from plexsync.core.merge import same
from plexsync.core.plan import ours, plan
from plexsync.core.scene import Performer, Scene, SceneFile
from plexsync.core.settings import Settings
from plexsync.core.undo import as_is, content, kept_before, restoring
from tests.doubles import taken

SETTINGS = Settings(role_template="{disambiguation}", collections_from=("studio",), write_directors=True)
SCENE = Scene(
    1,
    title="A title",
    details="What happens.",
    date="2024-05-17",
    rating100=85,
    studio="Studio",
    performers=("Ann", "Bob"),
    cast=(Performer("Ann", disambiguation="the elder"), Performer("Bob")),
    director="Dee",
    tags=("Drama",),
    files=(SceneFile("/data/a.mp4"),),
)
ITEM = Item(
    7,
    1,
    title="By an agent",
    title_sort="Agent, by an",
    summary="An agent's.",
    studio="Other",
    originally_available_at="2001-01-01",
    user_rating=3.0,
    genres=("Comedy", "Rain"),
    actors=(Actor("Bob", "Himself", "http://x/bob.jpg"), Actor("Cy", "A guest")),
    collections=("By hand",),
    locked=frozenset({"summary", "genre"}),
    files=("/data/a.mp4",),
)


def test_what_was_overwritten_comes_back_with_its_lock() -> None:
    edits = plan(SCENE, ITEM, SETTINGS)
    kept = [before for before, first in kept_before(ITEM, edits, ()) if first]
    after = taken(ITEM, edits.params)
    back = taken(after, restoring(after, kept).params)
    assert replace(back, actors=()) == replace(ITEM, actors=())
    assert {(one.name, one.role) for one in back.actors} == {("Bob", "Himself"), ("Cy", "A guest")}
    assert not restoring(back, kept)


def test_what_holds_something_of_ours_is_no_original() -> None:
    edits = plan(SCENE, ITEM, SETTINGS)
    assert [
        before.field for before, first in kept_before(ITEM, edits, ("title", "summary")) if not first
    ] == [
        "title",
        "summary",
    ]


texts = st.sampled_from(["", "a", "B"])
names = st.lists(st.sampled_from(["Ann", "Bob", "Cy"]), unique=True, max_size=3).map(tuple)
scenes = st.builds(
    replace,
    st.just(SCENE),
    title=texts,
    details=texts,
    performers=names,
    tags=names,
    studio=texts,
    cast=st.just(()),
)
items = st.builds(
    replace,
    st.just(ITEM),
    title=st.sampled_from(["a", "x"]),
    title_sort=st.sampled_from(["", "x, the"]),
    summary=texts,
    genres=names,
    actors=names.map(lambda some: tuple(Actor(name) for name in some)),
    locked=st.frozensets(st.sampled_from(["title", "titleSort", "summary", "genre", "actor", "collection"])),
)


@given(items, st.lists(scenes, min_size=1, max_size=5))
def test_after_any_row_of_edits_the_first_day_comes_back(item: Item, history: list[Scene]) -> None:
    now, written, kept = item, None, {}
    for scene in history:
        edits = plan(scene, now, Settings(), written)
        for before, first in kept_before(now, edits, ours(written or {})):
            if first:
                kept.setdefault(before.field, before)
        now, written = taken(now, edits.params), edits.written
    now = taken(now, restoring(now, kept.values()).params)
    for row in FIELDS:
        assert same(row.has(now), row.has(item)), row.name
        assert (row.plex in now.locked) == (row.plex in item.locked), row.name
    assert all(as_is(now, name).locked == before.locked for name, before in kept.items())


def test_only_a_persons_edit_is_another_content() -> None:
    played = replace(
        SCENE, play_count=3, updated_at="2026-01-01T00:00:00Z", screenshot="http://s?t=2", files=()
    )
    assert content(played) == content(SCENE)
    assert content(replace(SCENE, title="Other")) != content(SCENE)
