"""From scenes to edits, many at a time: the same for a hook's job, a task, a dry run and a test.

``plan_batch`` asks as little as can be: one request to Stash for a batch of scenes, none to Plex for those it is known
to be in sync with, one to Plex for the items of all the others. What it returns is a value a scene: either already the
outcome, or the item and the edits it needs. ``apply`` carries it out, ``record`` keeps what is to be remembered of it.

``fresh`` ids are compared with Plex even when nothing seems to have changed: the scene was just saved, and its editor
expects to see it in Plex.
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from plexsync.core import match as matching
from plexsync.core import plan as planning
from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Unavailable, redact
from plexsync.core.fields import wanted_values
from plexsync.core.gate import gate
from plexsync.core.item import Item
from plexsync.core.merge import Step, Value
from plexsync.core.plan import PLAYS, Edits
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.core.undo import content
from plexsync.core.verdict import Ambiguous, Failed, Gone, InSync, NoFile, NotFound, Outcome, Skipped
from plexsync.servers.sync_state import SceneState, SyncState
from plexsync.servers.world import World


@dataclass(frozen=True)
class ScenePlan:
    """What was found out about one scene. Without an ``outcome``, ``edits`` are to be written to ``item``; without a
    ``scene`` as well, they clean the item of a scene that is gone."""

    scene_id: int
    outcome: Outcome | None = None
    scene: Scene | None = None
    item: Item | None = None
    edits: Edits = field(default_factory=Edits)
    fingerprint: str = ""  # "" when there is nothing to remember
    images: Mapping[str, str] = field(default_factory=dict)  # as remembered, then as they are after ``apply``
    cover: bool = False  # the cover may have changed and is to be written
    files: tuple[str, ...] = ()  # those of the item that are the scene's
    plays: int = 0  # in Plex, that Stash is to be told of
    remarks: tuple[str, ...] = ()  # phrases that say why Plex looks as it does
    landed: bool = False  # Plex has answered that it took the edits
    ours: frozenset[str] = frozenset()  # the fields of the item that hold, or may hold, something of ours


def plan_batch(
    scene_ids: Sequence[int], world: World, settings: Settings, fresh: Collection[int] = ()
) -> dict[int, ScenePlan]:
    """Each scene's ScenePlan. Never raises: what goes wrong for one scene, or for all, is their outcome."""
    try:
        return _plan_batch(scene_ids, world, settings, fresh)
    except (Unavailable, NeedsAttention, SettingProblem) as failure:  # the servers', not any scene's
        return {scene_id: ScenePlan(scene_id, Failed(failure)) for scene_id in scene_ids}
    except Exception as error:  # noqa: BLE001 - a defect of ours becomes the outcome of the scene that shows it
        if len(scene_ids) > 1:
            apart = [plan_batch([scene_id], world, settings, fresh) for scene_id in scene_ids]
            return {scene_id: found for one in apart for scene_id, found in one.items()}
        return {scene_ids[0]: ScenePlan(scene_ids[0], failed(error, settings))}


def failed(error: Exception, settings: Settings) -> Failed:
    """The outcome of an exception; with its traceback when it is none of our own failures."""
    if isinstance(error, SyncFailure):
        return Failed(error)
    return Failed(error, redact("".join(tracebacks.format_exception(error)), [settings.plex_token]))


def _plan_batch(
    scene_ids: Sequence[int], world: World, settings: Settings, fresh: Collection[int]
) -> dict[int, ScenePlan]:
    sync_state = world.sync_state(settings)
    scenes = world.stash().scenes(scene_ids)
    found: dict[int, ScenePlan] = {}
    asked: dict[int, tuple[str, ...]] = {}
    memories = sync_state.recall_many(scenes)
    compared = {*fresh, *sync_state.unsettled(scenes)}
    stale = [scene for scene in scenes.values() if scene.id not in compared]
    in_sync = known_in_sync(stale, memories, sync_state, settings)
    skipped = known_skipped(stale, memories, sync_state, settings)
    skipped |= undone(scenes.values(), sync_state)
    for scene_id in scene_ids:
        scene = scenes.get(scene_id)
        outcome = _without_plex(scene, settings, skipped.get(scene_id), scene_id in memories)
        if outcome is None and scene is not None:
            if scene_id in in_sync:
                outcome = InSync()
            else:
                asked[scene_id] = matching.plex_paths(scene, settings.path_map)
        found[scene_id] = ScenePlan(scene_id, outcome, scene)
    if asked:
        plex = world.plex()
        plex.connect()
        if world.sync_state(settings).server != sync_state.server:
            return _plan_batch(
                scene_ids, world, settings, fresh
            )  # another server answers: what we know is not of it
        answers = dict(zip(asked, plex.find_many(list(asked.values())), strict=True))
        # Where no item has the path, perhaps the path map does not reach: items of the same file name are looked at.
        lost = [scene_id for scene_id, items in answers.items() if not items and not settings.exact_paths]
        alike = (
            dict(zip(lost, plex.find_alike([asked[scene_id] for scene_id in lost]), strict=True))
            if lost
            else {}
        )
        candidates = {item.rating_key for items in (*answers.values(), *alike.values()) for item in items}
        known = _Known(
            sync_state,
            memories,
            sync_state.pending_writes_many(asked),
            sync_state.written_to_many(candidates),
        )
        for scene_id, paths in asked.items():
            near = alike.get(scene_id, ())
            found[scene_id] = _one(found[scene_id], paths, answers[scene_id], near, known, settings)
    return found | _cleanups(
        [scene_id for scene_id in scene_ids if scene_id not in scenes], world, sync_state
    )


def _cleanups(gone: Sequence[int], world: World, sync_state: SyncState) -> dict[int, ScenePlan]:
    """What is to be cleaned in Plex of scenes that left Stash: only where we added to lists of other people, and only
    while the item still has the scene's file."""
    memories = {scene_id: memory for scene_id in gone if (memory := sync_state.recall(scene_id)) is not None}
    traces = {
        scene_id: (memory.written, *sync_state.pending_writes(scene_id, memory.rating_key))
        for scene_id, memory in memories.items()
    }
    traces = {scene_id: some for scene_id, some in traces.items() if any(map(planning.shared_of, some))}
    if not traces:
        return {}
    items = {
        item.rating_key: item
        for item in world.plex().read(sorted({memories[scene_id].rating_key for scene_id in traces}))
    }
    found: dict[int, ScenePlan] = {}
    for scene_id in traces:
        memory = memories[scene_id]
        # Who else has this item: those that stay take over; of several that go together, the first cleans for all.
        staying = [other for other in sync_state.others_of(memory.rating_key, scene_id) if other not in gone]
        going = [other for other in traces if memories[other].rating_key == memory.rating_key]
        sharing = staying or [other for other in going[:1] if other != scene_id]
        item = items.get(memory.rating_key)
        if sharing:
            found[scene_id] = ScenePlan(scene_id, Gone(sharing=tuple(sharing)))
        elif item is not None and not _has_none_of(item, memory.files):
            written = [fields for other in going for fields in traces[other]]
            edits = planning.cleanup(item, written)
            ours = frozenset(name for one in written for name in planning.ours(one))
            found[scene_id] = ScenePlan(
                scene_id, None if edits else Gone(), item=item, edits=edits, ours=ours
            )
    return found


def _has_none_of(item: Item, files: Iterable[str]) -> bool:
    return {matching.path_key(file) for file in files}.isdisjoint(map(matching.path_key, item.files))


def _without_plex(
    scene: Scene | None, settings: Settings, reason: str | None, synced: bool
) -> Outcome | None:
    """What can be said without asking Plex; ``reason`` is why the scene is known to be skipped."""
    if scene is None:
        return Gone()
    if not scene.files:
        return NoFile()
    reason = reason or _reason_anywhere(scene, settings.in_all_libraries(), synced)
    return Skipped(reason) if reason else None


def _reason_anywhere(scene: Scene, libraries: Iterable[Settings], synced: bool) -> str | None:
    """Why the scene is to be skipped whichever of these libraries it is in; None when it is to be synced in one."""
    reasons = [gate(scene, library, synced) for library in libraries]
    return reasons[0] if all(reasons) else None


UNDONE = "was undone; edit it in Stash to have it synced again"


def undone(scenes: Collection[Scene], sync_state: SyncState) -> dict[int, str]:
    """Of these scenes those that a person had undone and that were not edited since: why they are skipped, by id."""
    marks = sync_state.originals.undone([scene.id for scene in scenes])
    if not marks:
        return {}
    return {scene.id: UNDONE for scene in scenes if marks.get(scene.id) == content(scene)}


def known_skipped(
    scenes: Collection[Scene],
    memories: Collection[int],
    sync_state: SyncState,
    settings: Settings,
) -> dict[int, str]:
    """Why scenes are to be skipped, by id, as far as the index knows which libraries they are in. ``memories`` are the
    ids of those that were synced before."""
    if not settings.library_rules:
        reasons = {scene.id: gate(scene, settings, scene.id in memories) for scene in scenes}
        return {scene_id: reason for scene_id, reason in reasons.items() if reason} | undone(
            scenes, sync_state
        )
    keys = {scene.id: _path_keys(matching.plex_paths(scene, settings.path_map)) for scene in scenes}
    holders = sync_state.lookup_many({key for some in keys.values() for key in some})
    titles = sync_state.libraries_of({rating_key for some in holders.values() for rating_key in some})
    found = {}
    for scene in scenes:
        places = {titles.get(one, "") for key in keys[scene.id] for one in holders.get(key, ())}
        known = places and all(places)
        libraries = map(settings.for_library, sorted(places)) if known else settings.in_all_libraries()
        reason = _reason_anywhere(scene, libraries, scene.id in memories)
        if reason:
            found[scene.id] = reason
    return found | undone(scenes, sync_state)


def _path_keys(paths: Iterable[str]) -> list[str]:
    return [matching.path_key(path) for path in paths]


def known_in_sync(
    scenes: Iterable[Scene],
    memories: Mapping[int, SceneState],
    sync_state: SyncState,
    settings: Settings,
) -> set[int]:
    """The ids of those scenes of which nothing has changed since Plex was in sync with them, and whose item still has
    their file and shows what it showed then, as far as the index knows: neither later nor earlier. ``memories`` are
    what the sync state recalls of them."""
    titles: dict[int, str] = {}
    if settings.library_rules:
        titles = sync_state.libraries_of({memory.rating_key for memory in memories.values()})
    unchanged: dict[int, list[str]] = {}
    for scene in scenes:
        memory = memories.get(scene.id)
        if memory is None:
            continue
        library = titles.get(memory.rating_key, "")
        if settings.library_rules and not library:
            continue  # which rules hold for it is not known
        if memory.fingerprint == fingerprint(scene, settings.for_library(library)):
            # Of other names where the path map does not reach.
            unchanged[scene.id] = _path_keys(memory.files or matching.plex_paths(scene, settings.path_map))
    holders = sync_state.lookup_many({key for keys in unchanged.values() for key in keys})
    shown = sync_state.shown_many({memories[scene_id].rating_key for scene_id in unchanged})
    return {
        scene_id
        for scene_id, keys in unchanged.items()
        if shown.get(memories[scene_id].rating_key) == memories[scene_id].shown
        and any(memories[scene_id].rating_key in holders.get(key, ()) for key in keys)
    }


@dataclass(frozen=True)
class _Known:
    """What is remembered of the scenes that are looked at together."""

    sync_state: SyncState
    memories: Mapping[int, SceneState]
    pending: Mapping[tuple[int, int], Sequence[Mapping[str, object]]]  # by scene and item
    written: Mapping[int, Mapping[int, Mapping[str, object]]]  # by item and scene


def _one(
    seen: ScenePlan,
    paths: tuple[str, ...],
    items: tuple[Item, ...],
    near: tuple[Item, ...],
    known: _Known,
    settings: Settings,
) -> ScenePlan:
    assert seen.scene is not None
    scene = seen.scene
    chosen = _choose(scene, items, near, known.sync_state, settings)
    if not isinstance(chosen, Item):
        return ScenePlan(scene.id, chosen or NotFound(paths), scene)
    settings = settings.for_library(chosen.section_title)
    if (reason := gate(scene, settings, scene.id in known.memories)) is not None:
        return ScenePlan(scene.id, Skipped(reason), scene, chosen)
    wants = wanted_values(scene, settings)
    memory = known.memories.get(scene.id)
    if memory is not None and memory.rating_key != chosen.rating_key:
        memory = None  # of another item
    remembered = None if memory is None else memory.written
    if memory is not None and not memory.shown:
        remembered = planning.without_shown(memory.written)  # everything is to be tried again
    tried = known.pending.get((scene.id, chosen.rating_key), ())
    to_item = known.written.get(chosen.rating_key, {})
    changes = planning.plan(
        scene,
        chosen,
        settings,
        remembered,
        tried,
        wants,
        [written for other, written in to_item.items() if other != scene.id],
    )
    plays = _plays_since(memory, chosen, tried) if settings.watched_to_stash else 0
    # Noted also while no setting asks for it, so that later nothing is told that was played before.
    views = 0 if changes.watched is False else chosen.view_count + bool(changes.watched)
    changes = replace(changes, written={**changes.written, PLAYS: str(views)})
    remarks = _sharing(chosen, [other for other in to_item if other != scene.id], known.sync_state)
    told = plays > 0 or changes.rating100 is not None
    images = {} if memory is None else memory.images
    silent = planning.says_nothing(scene, remembered, tried)
    cover = bool(pictures(settings)) and not silent and images.get("cover") != cover_key(scene, settings)
    return ScenePlan(
        scene.id,
        outcome=None
        if changes or cover or told
        else InSync(kept_fields(changes), remarks, not_taken(changes)),
        scene=scene,
        item=chosen,
        edits=changes,
        fingerprint=_fingerprint_once_told(scene, changes.rating100, plays, settings, wants),
        images=images,
        cover=cover,
        plays=plays,
        remarks=remarks,
        files=matching.files_of(scene, chosen, settings.path_map),
        ours=frozenset(name for one in (*to_item.values(), *tried) for name in planning.ours(one)),
    )


def _sharing(item: Item, others: Sequence[int], sync_state: SyncState) -> tuple[str, ...]:
    """A remark where other scenes were in sync with this item and it still has their files, as versions or parts of one
    film: the one that is edited last has it."""
    memories = sync_state.recall_many(others) if others else {}
    sharing = [str(other) for other, memory in memories.items() if not _has_none_of(item, memory.files)]
    if not sharing:
        return ()
    return (f"the item is that of scene{'s' if len(sharing) > 1 else ''} {', '.join(sharing)} too",)


def _fingerprint_once_told(
    scene: Scene, rating100: int | None, plays: int, settings: Settings, wants: Mapping[str, Value]
) -> str:
    """Of the scene as it will be once Stash has been told: our own edit there is no news then."""
    if rating100 is None and not plays:
        return fingerprint(scene, settings, wants)
    rating100 = scene.rating100 if rating100 is None else rating100
    return fingerprint(replace(scene, rating100=rating100, play_count=scene.play_count + plays), settings)


def _plays_since(memory: SceneState | None, item: Item, tried: Iterable[Mapping[str, Any]]) -> int:
    """How often the item was played since we looked last. The first look only takes note: what was played before is not
    ours to tell; nor is a mark of ours whose answer was lost, which Plex counts as a play."""
    written = {} if memory is None else memory.written
    known = written.get(PLAYS)
    if not isinstance(known, str) or not known.isdecimal() or not item.last_viewed_at:
        return 0
    if memory is not None and item.updated_at < _updated_at(memory.shown):
        return 0  # the clock of a restored Plex goes back; what it shows is no play of now
    ours = not written.get(planning.WATCHED) and any(one.get(planning.WATCHED) for one in tried)
    return max(item.view_count - int(known) - ours, 0)


def _updated_at(shown: str) -> int:
    """The second of Plex's last change, of ``Item.shown``; 0 when it is not known."""
    first = shown.partition(" ")[0]
    return int(first) if first.isdecimal() else 0


def _choose(
    scene: Scene,
    items: tuple[Item, ...],
    near: tuple[Item, ...],
    sync_state: SyncState,
    settings: Settings,
) -> Item | Ambiguous | None:
    chosen = matching.choose(scene, items, settings.path_map)
    if isinstance(chosen, matching.Missing):
        chosen = matching.closest(scene, near, settings.path_map)
    match chosen:
        case matching.Found(item):
            return item
        case matching.Ambiguous(candidates):
            # A person was asked before, and what they said holds.
            said = sync_state.choice(scene.id)
            known = next((item for item in candidates if item.rating_key == said), None)
            return known or Ambiguous(candidates)
        case matching.Missing():
            return None


def fingerprint(scene: Scene, settings: Settings, wants: Mapping[str, Value] | None = None) -> str:
    """``plan.fingerprint``, and the version of the cover where covers are written.

    The cover's address carries the second in which Stash last touched the scene; making a cover is such a touch.
    """
    plain = planning.fingerprint(scene, settings, wants)
    return f"{plain} {cover_key(scene, settings)}" if pictures(settings) else plain


def pictures(settings: Settings) -> list[tuple[str, Literal["posters", "arts"]]]:
    """What is made of the cover, by our name and by Plex's."""
    poster: list[tuple[str, Literal["posters", "arts"]]] = [("poster", "posters")]
    background: list[tuple[str, Literal["posters", "arts"]]] = [("background", "arts")]
    return poster * settings.write_poster + background * settings.write_background


def cover_key(scene: Scene, settings: Settings) -> str:
    """Another one when the cover may be another, or when something else is to be made of it."""
    return " ".join([scene.screenshot or "", *(name for name, _ in pictures(settings))])


def kept_fields(changes: Edits) -> tuple[str, ...]:
    return tuple(kept.field for kept in changes.kept if kept.why is not Step.NOT_TAKEN)


def not_taken(changes: Edits) -> tuple[str, ...]:
    return planning.as_shown({kept.field: kept.plex for kept in changes.kept if kept.why is Step.NOT_TAKEN})
