"""What holds of the core's decisions for every input."""

from __future__ import annotations

import json
import math
import random
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
from hypothesis import assume, given
from hypothesis import strategies as st

from plexsync.core import breaker, verdict
from plexsync.core.failures import NeedsAttention, Permanent, SettingProblem, Unavailable
from plexsync.core.fields import FIELDS, names_its_file
from plexsync.core.item import Actor, Item
from plexsync.core.job import Job
from plexsync.core.match import (
    Ambiguous,
    Found,
    Missing,
    choose,
    closest,
    learn,
    map_path,
    path_key,
    plex_paths,
)
from plexsync.core.merge import Policy, Rules, Step, same, settle
from plexsync.core.pieces import halves
from plexsync.core.plan import ROLES, Edits, fingerprint, plan, says_nothing
from plexsync.core.scene import Scene, SceneFile, scene_from
from plexsync.core.settings import SETTINGS, PathPair, Settings, parse
from plexsync.sync import plan_batch
from tests.doubles import Paper
from tests.property import strategies as some

# --- edits: a server takes them, and nothing is left to do


@dataclass(frozen=True)
class Server:
    """How a server takes edits, where servers are known or said to differ."""

    replaces: bool  # indexed tags replace what was there, instead of joining it
    removes_first: bool  # of one request's removals and additions
    dedupes: bool  # tags that differ only in case are one
    spelling: Callable[[str], str]  # how it spells a tag it did not know yet

    def take(self, item: Item, edits: Edits) -> Item:
        params = edits.params
        values: dict[str, Any] = {}
        if edits.watched is not None:
            values["view_count"] = item.view_count + 1 if edits.watched else 0
        locked = set(item.locked)
        for kind in (*TEXTS, *TAGS):
            if params.get(f"{kind}.locked") == "1":
                locked.add(kind)
            elif params.get(f"{kind}.locked") == "0":
                locked.discard(kind)
        for kind, attribute in TEXTS.items():
            if f"{kind}.value" in params:
                values[attribute] = _stored(kind, params[f"{kind}.value"])
        for kind, attribute in TAGS.items():
            held = [tag.name if isinstance(tag, Actor) else tag for tag in getattr(item, attribute)]
            values[attribute] = _tagged(kind, self._tags(held, kind, params))
        values["actors"] = self._cast(item.actors, values["actors"], params)
        after = replace(item, locked=frozenset(locked), **values)
        return replace(after, title_sort="") if after.title_sort == after.title else after

    def _tags(self, held: list[str], kind: str, params: Mapping[str, str]) -> list[str]:
        added = [params[key] for key in sorted((k for k in params if _indexed(k, kind)), key=_index)]
        gone = params.get(f"{kind}[].tag.tag-")
        removed = {urllib.parse.unquote(tag) for tag in gone.split(",")} if gone else set()
        if self.replaces and added:
            held = []
        if self.removes_first:
            held = [tag for tag in held if tag not in removed]
        for tag in added:
            same = [other for other in held if other == tag or (self.dedupes and _like(other, tag))]
            if not same:
                held = [*held, self.spelling(tag)]
        return [tag for tag in held if self.removes_first or tag not in removed]

    def _cast(
        self, before: Sequence[Actor], now: Sequence[Actor], params: Mapping[str, str]
    ) -> tuple[Actor, ...]:
        """With their roles: those the edit says, else those they had, if they were not replaced."""
        named = [(key, name) for key, name in params.items() if _indexed(key, "actor")]
        had = {} if self.replaces and named else {_folded(actor.name): actor.role for actor in before}
        said = {_folded(name): params.get(key.replace("tag.tag", "tagging.text")) for key, name in named}
        roles = had | {name: text for name, text in said.items() if text is not None}
        return tuple(replace(actor, role=roles.get(_folded(actor.name), "")) for actor in now)

    def refresh(self, item: Item) -> Item:
        """The agent writes its own values over what is not locked."""
        values = {
            attribute: _stored(kind, "1999-09-09" if kind == "originallyAvailableAt" else "Agent's")
            for kind, attribute in TEXTS.items()
            if kind not in item.locked and kind != "userRating"
        }
        tags = {a: _tagged(kind, ["Agent's"]) for kind, a in AGENTS_TAGS.items() if kind not in item.locked}
        return replace(item, **values, **tags)


TEXTS = {
    "title": "title",
    "titleSort": "title_sort",
    "summary": "summary",
    "tagline": "tagline",
    "studio": "studio",
    "originallyAvailableAt": "originally_available_at",
    "userRating": "user_rating",
}
AGENTS_TAGS = {"genre": "genres", "actor": "actors", "director": "directors"}
TAGS = {**AGENTS_TAGS, "label": "labels", "collection": "collections"}


def _tagged(kind: str, names: list[str]) -> tuple[Any, ...]:
    return tuple(Actor(name) for name in names) if kind == "actor" else tuple(names)


def _stored(kind: str, value: str) -> Any:
    if kind == "userRating":
        return float(value) if value else None
    if kind == "originallyAvailableAt":
        return value or None
    return value


def _indexed(key: str, kind: str) -> bool:
    return re.fullmatch(rf"{kind}\[\d+\]\.tag\.tag", key) is not None


def _index(key: str) -> int:
    return int(key.partition("[")[2].partition("]")[0])


def _like(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


servers = st.builds(
    Server,
    replaces=st.booleans(),
    removes_first=st.booleans(),
    dedupes=st.booleans(),
    spelling=st.sampled_from([str, lambda tag: tag[:1].upper() + tag[1:]]),
)


policed = st.builds(
    replace,
    some.settings_for_edits,
    respect_locks=st.booleans(),
    conflict_policy=some.policies.map(lambda policy: (("", policy),)),
)


@given(some.scenes, some.scenes, some.scenes, some.items(), policed, servers, st.booleans())
def test_a_write_whose_end_nobody_saw_is_never_taken_for_somebodys_edit(
    scene: Scene, newer: Scene, newest: Scene, item: Item, settings: Settings, server: Server, landed: bool
) -> None:
    first = plan(scene, item, settings)
    synced = server.take(item, first)
    unseen = plan(newer, synced, settings, first.written)
    now = server.take(synced, unseen) if landed else synced
    edits = plan(newest, now, settings, first.written, [json.loads(json.dumps(dict(unseen.pending)))])
    kept = {kept.field for kept in edits.kept if kept.why is Step.KEEP_EDIT}
    if first.written.get("rating") is None and now.user_rating == item.user_rating:
        kept.discard("rating")  # it is a person's, and of before us
    assert not kept & set(unseen.fields)
    assert not plan(newest, server.take(now, edits), settings, edits.written)


@given(some.scenes, some.items(), policed, servers)
def test_apply_a_plan_plan_again_nothing_is_left(
    scene: Scene, item: Item, settings: Settings, server: Server
) -> None:
    first = plan(scene, item, settings)
    after = server.take(item, first)
    for memory in (first.written, json.loads(json.dumps(dict(first.written)))):
        again = plan(scene, after, settings, memory)
        assert not again, again.changes
    # Without memory our lock of the title makes all locks look like ours, those of other people too.
    theirs = {row.name for row in FIELDS if row.plex in item.locked and not row.wants(scene, settings)}
    assert set(plan(scene, after, settings, None).fields) <= theirs


def _apart(params: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The smallest pieces of an edit."""
    pieces = halves(params)
    return [params] if pieces is None else [small for piece in pieces for small in _apart(piece)]


@given(some.scenes, some.items(), some.settings_for_edits, servers)
def test_an_edit_in_pieces_does_what_it_does_as_a_whole(
    scene: Scene, item: Item, settings: Settings, server: Server
) -> None:
    """But where indexed tags replace what was there: such a server is known by hearsay alone."""
    server = replace(server, replaces=False)
    whole = plan(scene, item, settings)
    now = server.take(item, replace(whole, params={}))
    for params in _apart(whole.params) if whole.params else ():
        now = server.take(now, Edits(params))
    assert now == server.take(item, whole)


@given(some.scenes, some.items(), some.settings_for_edits, servers)
def test_a_refresh_after_a_sync_changes_nothing_we_wrote(
    scene: Scene, item: Item, settings: Settings, server: Server
) -> None:
    settings = replace(settings, keep_unlocked=False)
    first = plan(scene, item, settings)
    after = server.refresh(server.take(item, first))
    assert not plan(scene, after, settings, first.written)


@given(some.scenes, some.items(), some.settings_for_edits, servers)
def test_what_is_in_stash_is_in_plex_afterwards_and_nothing_else_of_a_list_that_is_ours(
    scene: Scene, item: Item, settings: Settings, server: Server
) -> None:
    after = server.take(item, plan(scene, item, settings))
    for row in FIELDS:
        wanted, has = row.wants(scene, settings), row.has(after)
        if not wanted or says_nothing(scene, None) or names_its_file(row.name, wanted, scene):
            continue
        if isinstance(wanted, str):
            assert has == wanted
        elif row.shared:
            assert {_folded(tag) for tag in wanted} <= {_folded(tag) for tag in has}
        else:
            assert {_folded(tag) for tag in has} == {_folded(tag) for tag in wanted}


@given(st.lists(some.scenes, min_size=2, max_size=3), some.items(), some.settings_for_edits, servers)
def test_after_any_row_of_edits_plex_has_the_last_of_ours_and_all_of_theirs(
    scenes: list[Scene], item: Item, settings: Settings, server: Server
) -> None:
    now, memory = item, None
    for scene in scenes:
        edits = plan(scene, now, settings, memory)
        now, memory = server.take(now, edits), edits.written
    for row in FIELDS:
        wanted, had, has = row.wants(scenes[-1], settings), row.has(item), row.has(now)
        if row.name not in (memory or {}) and wanted:
            assert says_nothing(scenes[-1], memory) or names_its_file(row.name, wanted, scenes[-1])
            continue
        if row.shared and wanted is not None:
            assert {_folded(t) for t in has} == {_folded(t) for t in (*had, *wanted)}
        elif isinstance(wanted, tuple) and (wanted or any(row.wants(s, settings) for s in scenes[:-1])):
            assert {_folded(t) for t in has} == {_folded(t) for t in wanted}
        elif isinstance(wanted, str) and (wanted or any(row.wants(s, settings) for s in scenes[:-1])):
            assert has == wanted


@given(some.scenes, some.scenes, some.items(), some.items(), some.settings_for_edits, servers)
def test_with_the_policy_plex_nothing_that_was_edited_there_is_overwritten(
    scene: Scene, newer: Scene, item: Item, by_hand: Item, settings: Settings, server: Server
) -> None:
    settings = replace(settings, conflict_policy=(("", "plex"),))
    first = plan(scene, item, settings)
    synced = server.take(item, first)
    edited = replace(by_hand, rating_key=synced.rating_key)
    edits = plan(newer, edited, settings, first.written)
    for row in FIELDS:
        last = first.written.get(row.name)
        if last and not row.shared and not same(row.has(edited), last):
            wanted = row.wants(newer, settings)
            same_already = wanted is not None and same(row.has(edited), wanted)
            # Without a sort title of its own an item is sorted by its title, so nothing was edited there.
            follows_the_title = row.name == "sort_title" and not edited.title_sort
            assert same_already or follows_the_title or row.name not in edits.fields


@given(some.scenes, some.items(), some.settings_for_edits)
def test_what_somebody_locked_is_not_touched_if_locks_are_respected(
    scene: Scene, item: Item, settings: Settings
) -> None:
    settings = replace(settings, respect_locks=True, keep_unlocked=False)
    for memory in (None, {}):
        edits = plan(scene, item, settings, memory)
        for row in FIELDS:
            if row.plex in item.locked and not row.shared:
                assert row.name not in edits.fields


@given(some.scenes, some.scenes, some.settings_for_edits)
def test_equal_fingerprints_mean_equal_plans(one: Scene, other: Scene, settings: Settings) -> None:
    """So a scene whose fingerprint is remembered need not be compared with Plex again."""
    assert fingerprint(one, settings) == fingerprint(one, settings)
    if fingerprint(one, settings) == fingerprint(other, settings):
        item = Item(1, 1)
        assert plan(one, item, settings).params == plan(other, item, settings).params


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


@given(some.scenes, some.items(), some.settings_for_edits)
def test_every_parameter_belongs_to_a_field_that_changes_and_can_travel_in_a_url(
    scene: Scene, item: Item, settings: Settings
) -> None:
    edits = plan(scene, item, settings)
    kinds = {row.plex for row in FIELDS if row.name in edits.fields}
    kinds |= {"actor"} if ROLES in edits.fields else set()
    assert {re.split(r"[.\[]", key)[0] for key in edits.params} == kinds
    assert tuple(change.field for change in edits.changes) == edits.fields
    for value in edits.params.values():
        urllib.parse.quote(value)  # a lone surrogate would raise


@given(some.scenes, some.items(), some.settings_for_edits)
def test_what_is_unset_in_stash_and_unlocked_in_plex_is_never_touched(
    scene: Scene, item: Item, settings: Settings
) -> None:
    edits = plan(scene, item, settings)
    for row in FIELDS:
        if not row.wants(scene, settings) and not {row.plex, "title"} <= item.locked:
            assert row.name not in edits.fields


@given(some.scenes, some.scenes, some.items(), policed, policed, servers)
def test_after_a_change_of_settings_plex_is_level_with_the_new_ones_and_rid_of_what_they_end(
    scene: Scene, newer: Scene, item: Item, before: Settings, settings: Settings, server: Server
) -> None:
    first = plan(scene, item, before)
    synced = server.take(item, first)
    edits = plan(newer, synced, settings, json.loads(json.dumps(dict(first.written))))
    after = server.take(synced, edits)
    assert not plan(newer, after, settings, edits.written)
    for row in FIELDS:
        last, had, has = first.written.get(row.name), row.has(item), row.has(after)
        if row.name in edits.fields or not last:
            if row.ended(settings) and isinstance(last, tuple):
                assert not {_folded(tag) for tag in last} & {_folded(tag) for tag in has}
                assert row.name not in edits.written
                if row.shared:
                    assert {_folded(tag) for tag in has} == {_folded(tag) for tag in had}
        elif row.wants(newer, settings) is None:
            assert edits.written[row.name] == json.loads(json.dumps(last)) or same(
                edits.written[row.name], last
            )
            # A sort title Plex does not name follows the title.
            assert same(has, row.has(synced)) or row.name == "sort_title", "left alone"


@given(st.lists(some.scenes, min_size=2, max_size=4), some.items(), policed, servers)
def test_scenes_of_one_item_never_take_each_others_values_for_somebodys_edit(
    scenes: list[Scene], item: Item, settings: Settings, server: Server
) -> None:
    settings = replace(settings, ratings_to_stash=True)
    # What a person had rated or locked before us is kept by rule, whoever looks.
    now = replace(item, user_rating=None, locked=frozenset())
    memories: dict[int, Mapping[str, Any]] = {}
    for turn in (0, 1):
        for number, scene in enumerate(scenes):
            beside = [memory for other, memory in memories.items() if other != number]
            edits = plan(scene, now, settings, memories.get(number), beside=beside)
            assert edits.rating100 is None
            assert not [one for one in edits.kept if one.why is Step.KEEP_EDIT and one.field != "watched"]
            now, memories[number] = server.take(now, edits), edits.written
            assert not plan(scene, now, settings, edits.written, beside=beside), turn


@given(some.scenes, some.scenes, some.scenes, some.items(), some.items(), policed, servers)
def test_the_newest_is_found_once_whatever_is_edited_afterwards(
    scene: Scene, newer: Scene, later: Scene, item: Item, by_hand: Item, settings: Settings, server: Server
) -> None:
    settings = replace(settings, conflict_policy=(("", "newest"),), respect_locks=False)
    first = plan(scene, item, settings)
    edited = replace(by_hand, rating_key=item.rating_key)
    second = plan(newer, edited, settings, first.written)
    after = server.take(edited, second)
    again = replace(newer, rating100=later.rating100, updated_at="2099-01-01T00:00:00Z")
    third = plan(again, after, settings, json.loads(json.dumps(dict(second.written))))
    for kept in second.kept:
        if kept.field not in ("rating", "watched", "labels", "collections"):
            assert kept.field not in third.fields


# --- scenes


@given(st.integers(1, 99), st.dictionaries(st.sampled_from(some.SCENE_KEYS), some.stored_values))
def test_a_scene_can_be_read_and_planned_whatever_its_values(number: int, answer: dict[str, Any]) -> None:
    scene = scene_from({**answer, "id": number})
    assert scene.id == number
    assert scene.rating100 is None or 1 <= scene.rating100 <= 100
    after = plan(scene, Item(1, 1), Settings())
    for value in after.params.values():
        urllib.parse.quote(value)


# --- match


@given(some.scenes, st.lists(some.items(), max_size=5), some.path_maps)
def test_an_item_is_chosen_only_for_a_file_of_the_scene(
    scene: Scene, items: list[Item], path_map: tuple[PathPair, ...]
) -> None:
    keys = {path_key(path) for path in plex_paths(scene, path_map)}
    having = [item for item in items if keys & {path_key(file) for file in item.files}]
    match choose(scene, items, path_map):
        case Found(item):
            assert item in having
        case Ambiguous(candidates):
            assert len({item.rating_key for item in candidates}) > 1
            assert all(item in having for item in candidates)
        case Missing(paths):
            assert not having
            assert paths == plex_paths(scene, path_map)


@given(some.scenes, st.lists(some.items(), max_size=5), some.path_maps, st.randoms())
def test_the_order_in_which_plex_lists_items_decides_nothing(
    scene: Scene, items: list[Item], path_map: tuple[PathPair, ...], rng: random.Random
) -> None:
    unique = list({item.rating_key: item for item in items}.values())
    shuffled = rng.sample(unique, len(unique))
    assert choose(scene, unique, path_map) == choose(scene, shuffled, path_map)


@given(some.paths())
def test_a_path_key_knows_no_unicode_form_and_no_doubled_separator(path: str) -> None:
    for form in ("NFC", "NFD"):
        assert path_key(unicodedata.normalize(form, path)) == path_key(path)
    separator = "\\" if "\\" in path else "/"
    head, tail = path[:2], path[2:]
    assert path_key(head + tail.replace(separator, separator * 2)) == path_key(path)


@given(some.paths(), some.paths())
def test_windows_paths_compare_without_case_and_others_with_it(one: str, other: str) -> None:
    windows = [not path.startswith("/") or path.startswith("//") for path in (one, other)]
    alike = [unicodedata.normalize("NFC", path).replace("\\", "/") for path in (one, other)]
    if all(windows):
        assert (path_key(one) == path_key(other)) == (alike[0].casefold() == alike[1].casefold())
    elif not any(windows):
        assert (path_key(one) == path_key(other)) == (alike[0] == alike[1])
    else:
        assert path_key(one) != path_key(other)


@given(some.paths(), some.path_maps)
def test_a_mapped_path_keeps_its_file_name_and_an_unmapped_one_everything(
    path: str, path_map: tuple[PathPair, ...]
) -> None:
    assume(path_key(path) not in {path_key(pair.stash) for pair in path_map})  # it would be the folder itself
    mapped = map_path(path, path_map)
    assert re.split(r"[\\/]", mapped)[-1] == re.split(r"[\\/]", path)[-1]
    fitting = [pair for pair in path_map if _is_below(path, pair.stash)]
    if not fitting:
        assert mapped == path
    else:
        longest = max(len(_parts(pair.stash)) for pair in fitting)
        assert any(_is_below(mapped, pair.plex) for pair in fitting if len(_parts(pair.stash)) == longest)


def _parts(path: str) -> list[str]:
    return path_key(path).replace("\0", "/").rstrip("/").split("/")


def _is_below(path: str, folder: str) -> bool:
    return _parts(path)[: len(_parts(folder))] == _parts(folder) and path_key(path) != path_key(folder)


@given(
    some.tails,
    st.sampled_from(["/data", r"C:\v", r"\\nas\s"]),
    st.sampled_from(["/media", r"M:\Media", r"\\p\q"]),
)
def test_a_map_and_its_reverse_lead_back(tail: list[str], stash: str, plex: str) -> None:
    separator = "\\" if "\\" in stash else "/"
    path = separator.join([stash, *tail])
    there = map_path(path, [PathPair(stash, plex)])
    assert map_path(there, [PathPair(plex, stash)]) == path


parts = st.sampled_from(["a", "b", "c", "d"])
trees = st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8, unique=True)
true_maps = st.dictionaries(
    st.lists(parts, max_size=2).map(lambda folder: "/".join(["/stash", *folder])),
    st.lists(parts, max_size=2).map(lambda folder: "/".join(["/plex", *folder])),
    min_size=1,
    max_size=3,
).map(lambda pairs: tuple(PathPair(stash, plex) for stash, plex in pairs.items()))


@given(trees, true_maps)
def test_a_learnt_path_map_leads_every_file_it_was_learnt_from_to_where_plex_has_it(
    tree: list[str], true_map: tuple[PathPair, ...]
) -> None:
    files = [f"/stash/{path}.mp4" for path in tree]
    pairs = [(file, map_path(file, true_map)) for file in files]
    learnt = learn(pairs)
    for stash, plex in pairs:
        if stash != plex or not learnt:
            assert map_path(stash, learnt) == plex
    assert learn(reversed(pairs)) == learnt


@given(some.scenes, st.lists(some.items(), max_size=5), some.path_maps)
def test_the_closest_item_has_a_file_of_the_scenes_name_and_size(
    scene: Scene, items: list[Item], path_map: tuple[PathPair, ...]
) -> None:
    items = [replace(item, rating_key=n, sizes=tuple(5 for _ in item.files)) for n, item in enumerate(items)]
    match closest(scene, items, path_map):
        case Found(item):
            chosen = [item]
        case Ambiguous(several):
            chosen = list(several)
        case Missing():
            chosen = []
    names = {_folded(re.split(r"[\\/]", path)[-1]) for path in plex_paths(scene, path_map)}
    for item in chosen:
        assert names & {_folded(re.split(r"[\\/]", file)[-1]) for file in item.files}


@dataclass
class Liar(Paper):
    """A Plex that offers every item it has for every file, or for every name, and has given rating keys to other
    items since."""

    of_files: bool = True

    def find_many(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        return self.find_alike(groups) if self.of_files else super().find_many(groups)

    def find_alike(self, groups: Sequence[tuple[str, ...]]) -> list[tuple[Item, ...]]:
        return [tuple(self.items.values()) for _ in groups]

    def read(self, rating_keys: Sequence[int]) -> tuple[Item, ...]:
        return tuple(self.items[key] for key in rating_keys if key in self.items)


near = st.sampled_from(
    [
        "/data/a",
        "/data/A",
        "/data/x/a",
        "/media/a",
        "/media/x/a",
        "/media/x/b",
        "/data/b",
        r"C:\data\a",
        r"c:\Data\A",
    ]
)
sizes = st.sampled_from([0, 5, 6])
filed = st.builds(
    Scene,
    st.integers(1, 9),
    title=st.just("A title"),
    files=st.lists(st.builds(SceneFile, near, sizes, st.just(1.5)), min_size=1, max_size=2).map(tuple),
)


@hypothesis.settings(max_examples=200)
@given(
    st.lists(filed, min_size=1, max_size=4, unique_by=lambda scene: scene.id),
    st.lists(
        st.tuples(some.items(near), sizes), min_size=1, max_size=6, unique_by=lambda one: one[0].rating_key
    ),
    st.sampled_from([(), (PathPair("/data", "/media"),), (PathPair("/data/x", "/media"),)]),
    st.booleans(),
    near,
    st.booleans(),
)
def test_nothing_is_written_to_an_item_whose_file_is_not_the_scenes(
    scenes: list[Scene],
    sized: list[tuple[Item, int]],
    path_map: tuple[PathPair, ...],
    exact_paths: bool,
    once: str,
    of_files: bool,
) -> None:
    settings = Settings(path_map=path_map, exact_paths=exact_paths, tags_as_labels=True)
    gone = 10
    items = [
        replace(item, sizes=tuple(size for _ in item.files), labels=("Ours", *item.labels), duration=1.5)
        for item, size in sized
    ]
    world = Liar({scene.id: scene for scene in scenes}, {item.rating_key: item for item in items})
    world.of_files = of_files
    world.remembered.record(gone, items[0].rating_key, "", {"labels": ["Ours"]}, files=(once,))
    for seen in plan_batch.plan_batch([*world.has, gone], world, settings).values():
        assert not isinstance(seen.outcome, verdict.Failed), seen.outcome
        if seen.item is None:
            continue
        theirs = {path_key(file) for file in seen.item.files}
        if seen.scene is None:
            assert path_key(once) in theirs
            continue
        paths = plex_paths(seen.scene, path_map)
        if theirs.isdisjoint(map(path_key, paths)):
            assert not exact_paths
            assert {_name(path) for path in paths} & {_name(file) for file in seen.item.files}
            known = {file.size for file in seen.scene.files} - {0}
            size = seen.item.sizes[0]
            assert size in known or not size or len(known) < len(seen.scene.files)


def _name(path: str) -> str:
    return _folded(re.split(r"[\\/]", path)[-1])


# --- three sides

texts = st.sampled_from(["", "a", "A", "b"])
lists = st.lists(st.sampled_from(["a", "A", "b", "e\u0301", "\u00e9"]), max_size=2).map(tuple)
three: st.SearchStrategy[tuple[Any, Any, Any]] = st.tuples(texts, texts, st.none() | texts) | st.tuples(
    lists, lists, st.none() | lists
)


@given(three, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_three_sides_of_a_field(
    sides: tuple[Any, Any, Any],
    locked: bool,
    respect: bool,
    person: bool,
    fill: bool,
    newer: bool,
) -> None:
    wanted, held, last = sides

    def step(policy: Policy, held: Any = held, last: Any = last, refused: Any = None) -> Step:
        rules = Rules(policy, respect, person, newer, fill)
        return settle(wanted, held, last, locked=locked, rules=rules, refused=refused)

    stash, plex, newest = step("stash"), step("plex"), step("newest")
    assert newest in (stash, plex)
    for policy, then in (("stash", stash), ("plex", plex), ("newest", newest)):
        assert (then is Step.LEVEL) == same(wanted, held)
        assert step(policy, wanted, wanted) is Step.LEVEL  # type: ignore[arg-type]
        assert step(policy, wanted, last) is Step.LEVEL, "also if the answer to the write was lost"  # type: ignore[arg-type]
        if last is None and not wanted:
            assert then in (Step.LEAVE, Step.LEVEL), "what was never written is never cleared"
        if then is Step.KEEP_FIRST:
            assert fill and held and wanted and last is None
        if then is Step.LEAVE:
            assert not wanted and last is None
        if then is Step.KEEP_LOCK:
            assert wanted and locked and respect and last is None
        if then is Step.KEEP_EDIT:
            assert (person and held and wanted) if last is None else not same(held, last)
            assert step(policy, refused=wanted) is Step.KEEP_EDIT, "what lost stays so"
        if last is not None and same(held, last) and not same(wanted, held):
            assert then is Step.WRITE, "what was changed in Stash only is written"
    assert stash is not Step.KEEP_EDIT
    if plex is Step.WRITE:
        assert last is None or same(held, last), "nothing that was edited in Plex is overwritten"
        assert last is not None or not (person and held and wanted)
    if last is not None and same(wanted, last) and not same(held, last):
        assert newest is Step.KEEP_EDIT, "what was changed in Plex only is the newest"


# --- verdict

NOW = 1_700_000_000.0


@given(some.jobs, some.outcomes, some.bounded_settings, st.randoms())
def test_every_outcome_has_a_decision_and_no_wait_ends_in_the_past(
    job: Job, outcome: verdict.Outcome, settings: Settings, rng: random.Random
) -> None:
    decision = verdict.after(job, outcome, NOW, rng, settings)
    match decision:
        case verdict.Finish(note):
            assert isinstance(note, str)
            assert outcome.name in ("synced", "in_sync", "skipped", "gone", "no_file")
        case verdict.Postpone(until, reason, _):
            assert (
                NOW
                <= until
                <= NOW + max(settings.retry_cap_s, verdict.NOT_FOUND_CAP_S, settings.retry_base_s)
            )
            assert reason
        case verdict.DeadLettered(error_type, message, _):
            assert error_type
            assert message


@given(some.jobs, some.holding, some.bounded_settings, st.randoms())
def test_what_is_no_jobs_fault_costs_nothing_however_long_it_lasts(
    job: Job, error: Exception, settings: Settings, rng: random.Random
) -> None:
    assert isinstance(error, (Unavailable, NeedsAttention, SettingProblem))
    decision = verdict.after(job, verdict.Failed(error), NOW, rng, settings)
    assert isinstance(decision, verdict.Postpone)
    assert not decision.uses_attempt


@given(some.other_errors, some.bounded_settings, st.randoms())
def test_a_job_that_always_fails_is_tried_max_attempts_times(
    error: Exception, settings: Settings, rng: random.Random
) -> None:
    settings = replace(settings, max_attempts=min(settings.max_attempts, 30))
    attempts, now = 0, NOW
    while True:
        attempts += 1
        decision = verdict.after(
            Job(1, 1, "update", attempts=attempts), verdict.Failed(error), now, rng, settings
        )
        if isinstance(decision, verdict.DeadLettered):
            break
        assert isinstance(decision, verdict.Postpone)
        assert decision.uses_attempt
        now = decision.until
    assert attempts == settings.max_attempts


@given(some.jobs, some.any_text, some.bounded_settings, st.randoms())
def test_what_can_never_work_is_dead_lettered_at_once(
    job: Job, text: str, settings: Settings, rng: random.Random
) -> None:
    decision = verdict.after(job, verdict.Failed(Permanent(text)), NOW, rng, settings)
    assert isinstance(decision, verdict.DeadLettered)


# --- breaker

steps = st.lists(st.tuples(st.sampled_from(["ask", "success", "failure"]), st.floats(0, 200)), max_size=60)


@given(steps, st.randoms())
def test_the_breaker_only_makes_moves_of_its_table_and_stays_within_its_bounds(
    history: list[tuple[str, float]], rng: random.Random
) -> None:
    known, now = breaker.Breaker(), NOW
    for action, pause_s in history:
        now += pause_s
        before = known
        if action == "ask":
            _, known = breaker.allow(known, now)
        elif action == "success":
            known = breaker.after_success(known, now)
            assert known == breaker.Breaker()
        else:
            known = breaker.after_failure(known, now, rng)
            assert known.failures == before.failures + 1
        assert any(start == before.state and end == known.state for (start, _), end in breaker.TABLE.items())
        if known.state is breaker.State.CLOSED:
            assert known.failures < breaker.THRESHOLD
            assert breaker.allow(known, now) == (True, known)
        else:
            assert known.opened_at <= now
            assert known.probe_at <= now + max(breaker.BACKOFF_CAP_S, breaker.PROBE_LEASE_S)
        assert breaker.from_dict(breaker.to_dict(known)) == known


@given(st.integers(3, 30), st.lists(st.floats(0, 5), max_size=30), st.randoms())
def test_of_all_who_ask_while_a_probe_is_out_exactly_one_may(
    failures: int, pauses: list[float], rng: random.Random
) -> None:
    known, now = breaker.Breaker(), NOW
    for _ in range(failures):
        known = breaker.after_failure(known, now, rng)
    now = known.probe_at
    allowed, known = breaker.allow(known, now)
    assert allowed
    for pause_s in pauses:
        now += pause_s
        if now < known.probe_at:
            assert breaker.allow(known, now) == (False, known)


@given(steps, st.randoms())
def test_nobody_waits_for_ever(history: list[tuple[str, float]], rng: random.Random) -> None:
    known, now = breaker.Breaker(), NOW
    for action, pause_s in history:
        now += pause_s
        known = (
            breaker.after_failure(known, now, rng) if action == "failure" else breaker.allow(known, now)[1]
        )
    assert breaker.allow(known, now + max(breaker.BACKOFF_CAP_S, breaker.PROBE_LEASE_S))[0]


# --- settings


@given(some.stored_values)
def test_settings_that_are_anything_at_all(values: object) -> None:
    check_usable(*parse(values))


@given(st.dictionaries(st.sampled_from([row.key for row in SETTINGS]), some.stored_values))
def test_settings_with_anything_at_all_in_them(values: dict[str, object]) -> None:
    settings, problems = parse(values)
    check_usable(settings, problems)
    for problem in problems:
        assert problem.key in {row.key for row in SETTINGS}
        assert problem.key in problem.sentence
        assert len(problem.sentence) < 400
    for row in SETTINGS:
        blocked = any(problem.blocking and problem.key == row.key for problem in problems)
        assert blocked == (row.needed and not getattr(settings, row.key))


def check_usable(settings: Settings, problems: tuple[object, ...]) -> None:
    assert isinstance(problems, tuple)
    for row in SETTINGS:
        value = getattr(settings, row.key)
        if row.kind == "NUMBER":
            assert math.isfinite(value)
            assert row.least <= value <= row.most or value == row.default
        elif row.kind == "BOOLEAN":
            assert isinstance(value, bool)
        else:
            assert type(value) is type(getattr(Settings(), row.key))
    assert hash(settings) is not None
    settings.plex_token.encode("ascii")


@given(st.uuids().map(str), st.sampled_from(["", "\n", "ö", " x"]))
def test_a_token_is_in_no_text(token: str, spoiling: str) -> None:
    spoilt = f"{token}{spoiling}{token}"
    for values in (
        {"plex_token": spoilt},
        {"plex_url": f"http://{token}@h/?a={spoilt}", "plex_token": token},
    ):
        assert token not in repr(parse(values))
