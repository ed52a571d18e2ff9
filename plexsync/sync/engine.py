"""From scenes to edits, many at a time: the same for a hook's job, a task, a dry run and a test.

``look`` asks as little as can be: one request to Stash for a batch of scenes, none to Plex for those it is known to be
in sync with, one to Plex for the items of all the others. What it returns is a value a scene: either already the
outcome, or the item and the edits it needs. ``Look.written`` is what to remember once Plex has taken them.

``fresh`` ids are compared with Plex even when nothing seems to have changed: somebody saved the scene and expects to
see it in Plex.
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from plexsync.core import match as matching
from plexsync.core import plan as planning
from plexsync.core.failures import Landed, NeedsAttention, SettingProblem, SyncFailure, Unavailable, redact
from plexsync.core.fields import wanted_values
from plexsync.core.gate import gate
from plexsync.core.item import Item
from plexsync.core.merge import Value
from plexsync.core.picture import Picture, judge
from plexsync.core.plan import Edits
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.core.verdict import Ambiguous, Failed, Gone, InSync, NoFile, NotFound, Outcome, Skipped, Synced
from plexsync.servers.sync_state import SceneState, SyncState
from plexsync.servers.world import World

PLAYS = "plays"  # beside the fields in what is remembered as written: the plays in Plex that Stash knows of


@dataclass(frozen=True)
class Look:
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
    remarks: tuple[str, ...] = ()  # phrases for whoever wonders why Plex looks as it does
    landed: bool = False  # Plex has answered that it took the edits


def look(
    scene_ids: Sequence[int], world: World, settings: Settings, fresh: Collection[int] = ()
) -> dict[int, Look]:
    """Each scene's Look. Never raises: what goes wrong for one scene, or for all, is their outcome."""
    try:
        return _look(scene_ids, world, settings, fresh)
    except (Unavailable, NeedsAttention, SettingProblem) as failure:  # the servers', not any scene's
        return {scene_id: Look(scene_id, Failed(failure)) for scene_id in scene_ids}
    except Exception as error:  # noqa: BLE001 - a defect of ours becomes the outcome of the scene that shows it
        if len(scene_ids) > 1:
            apart = [look([scene_id], world, settings, fresh) for scene_id in scene_ids]
            return {scene_id: found for one in apart for scene_id, found in one.items()}
        return {scene_ids[0]: Look(scene_ids[0], failed(error, settings))}


def failed(error: Exception, settings: Settings) -> Failed:
    """The outcome of an exception; with its traceback when it is none of our own failures."""
    if isinstance(error, SyncFailure):
        return Failed(error)
    return Failed(error, redact("".join(tracebacks.format_exception(error)), [settings.plex_token]))


def _look(
    scene_ids: Sequence[int], world: World, settings: Settings, fresh: Collection[int]
) -> dict[int, Look]:
    sync_state = world.sync_state(settings)
    scenes = world.stash().scenes(scene_ids)
    found: dict[int, Look] = {}
    asked: dict[int, tuple[str, ...]] = {}
    memories = sync_state.recall_many(scenes)
    compared = {*fresh, *sync_state.unsettled(scenes)}
    stale = [scene for scene in scenes.values() if scene.id not in compared]
    level = known_in_sync(stale, memories, sync_state, settings)
    skipped = known_skipped(stale, memories, sync_state, settings)
    for scene_id in scene_ids:
        scene = scenes.get(scene_id)
        outcome = _without_plex(scene, settings, skipped.get(scene_id), scene_id in memories)
        if outcome is None and scene is not None:
            if scene_id in level:
                outcome = InSync()
            else:
                asked[scene_id] = matching.plex_paths(scene, settings.path_map)
        found[scene_id] = Look(scene_id, outcome, scene)
    if asked:
        plex = world.plex()
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
    return found | _farewells(
        [scene_id for scene_id in scene_ids if scene_id not in scenes], world, sync_state
    )


def _farewells(gone: Sequence[int], world: World, sync_state: SyncState) -> dict[int, Look]:
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
    found: dict[int, Look] = {}
    for scene_id in traces:
        memory = memories[scene_id]
        # Who else has this item: those that stay take over; of several that go together, the first cleans for all.
        staying = [other for other in sync_state.others_of(memory.rating_key, scene_id) if other not in gone]
        going = [other for other in traces if memories[other].rating_key == memory.rating_key]
        heirs = staying or [other for other in going[:1] if other != scene_id]
        item = items.get(memory.rating_key)
        if heirs:
            found[scene_id] = Look(scene_id, Gone(heirs=tuple(heirs)))
        elif item is not None and not _has_none_of(item, memory.files):
            edits = planning.farewell(item, [fields for other in going for fields in traces[other]])
            found[scene_id] = Look(scene_id, None if edits else Gone(), item=item, edits=edits)
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
        return {scene_id: reason for scene_id, reason in reasons.items() if reason}
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
    return found


def _path_keys(paths: Iterable[str]) -> list[str]:
    return [matching.path_key(path) for path in paths]


def known_in_sync(
    scenes: Iterable[Scene],
    memories: Mapping[int, SceneState],
    sync_state: SyncState,
    settings: Settings,
) -> set[int]:
    """The ids of those scenes of which nothing has changed since Plex was in sync with them, and whose item still has
    their file, as far as the index knows. ``memories`` are what the sync_state recalls of them."""
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
    return {
        scene_id
        for scene_id, keys in unchanged.items()
        if any(memories[scene_id].rating_key in holders.get(key, ()) for key in keys)
    }


@dataclass(frozen=True)
class _Known:
    """What is remembered of the scenes that are looked at together."""

    sync_state: SyncState
    memories: Mapping[int, SceneState]
    pending: Mapping[tuple[int, int], Sequence[Mapping[str, object]]]  # by scene and item
    written: Mapping[int, Mapping[int, Mapping[str, object]]]  # by item and scene


def _one(
    seen: Look,
    paths: tuple[str, ...],
    items: tuple[Item, ...],
    near: tuple[Item, ...],
    known: _Known,
    settings: Settings,
) -> Look:
    assert seen.scene is not None
    scene = seen.scene
    try:
        chosen = _choose(scene, items, near, known.sync_state, settings)
        if not isinstance(chosen, Item):
            return Look(scene.id, chosen or NotFound(paths), scene)
        settings = settings.for_library(chosen.section_title)
        if (reason := gate(scene, settings, scene.id in known.memories)) is not None:
            return Look(scene.id, Skipped(reason), scene, chosen)
        wants = wanted_values(scene, settings)
        memory = known.memories.get(scene.id)
        if memory is not None and memory.rating_key != chosen.rating_key:
            memory = None  # of another item
        tried = known.pending.get((scene.id, chosen.rating_key), ())
        to_item = known.written.get(chosen.rating_key, {})
        changes = planning.plan(
            scene,
            chosen,
            settings,
            None if memory is None else memory.written,
            tried,
            wants,
            [written for other, written in to_item.items() if other != scene.id],
        )
        plays = _plays_since(memory, chosen, tried) if settings.watched_to_stash else 0
        # Noted also while nobody wants to know, so that later nothing is told that was played before.
        views = 0 if changes.watched is False else chosen.view_count + bool(changes.watched)
        changes = replace(changes, written={**changes.written, PLAYS: str(views)})
        remarks = _sharing(chosen, [other for other in to_item if other != scene.id], known.sync_state)
        told = plays > 0 or changes.rating100 is not None
        images = {} if memory is None else memory.images
        cover = bool(_pictures(settings)) and images.get("cover") != _cover_key(scene, settings)
        return Look(
            scene.id,
            outcome=None if changes or cover or told else InSync(_kept(changes), remarks),
            scene=scene,
            item=chosen,
            edits=changes,
            fingerprint=_fingerprint_once_told(scene, changes.rating100, plays, settings, wants),
            images=images,
            cover=cover,
            plays=plays,
            remarks=remarks,
            files=matching.files_of(scene, chosen, settings.path_map),
        )
    except Exception as error:  # noqa: BLE001 - a defect of ours must not cost the other scenes of the batch theirs
        return Look(scene.id, failed(error, settings), scene)


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
    ours = not written.get(planning.WATCHED) and any(one.get(planning.WATCHED) for one in tried)
    return max(item.view_count - int(known) - ours, 0)


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
    """``edits.fingerprint``, and the version of the cover where covers are written.

    The cover's address carries the second in which Stash last touched the scene; making a cover is such a touch.
    """
    plain = planning.fingerprint(scene, settings, wants)
    return f"{plain} {_cover_key(scene, settings)}" if _pictures(settings) else plain


def _pictures(settings: Settings) -> list[tuple[str, Literal["posters", "arts"]]]:
    """What is made of the cover, by our name and by Plex's."""
    poster: list[tuple[str, Literal["posters", "arts"]]] = [("poster", "posters")]
    background: list[tuple[str, Literal["posters", "arts"]]] = [("background", "arts")]
    return poster * settings.write_poster + background * settings.write_background


def _cover_key(scene: Scene, settings: Settings) -> str:
    """Another one when the cover may be another, or when something else is to be made of it."""
    return " ".join([scene.screenshot or "", *(name for name, _ in _pictures(settings))])


def _kept(changes: Edits) -> tuple[str, ...]:
    return tuple(kept.field for kept in changes.kept)


def intend(looks: Iterable[Look], sync_state: SyncState) -> None:
    """Remember what is about to be written: a write that seems to fail may land all the same, even much later, and must
    not look like somebody's edit then."""
    for seen in looks:
        if seen.edits.pending and seen.item is not None:
            sync_state.note_pending(seen.scene_id, seen.item.rating_key, seen.edits.pending)


def apply(seen: Look, world: World, settings: Settings) -> tuple[Outcome, Look]:
    """Write what a look found to be written, to Plex first; the outcome, and the look as it is to be remembered.

    Never raises. Whatever was written before a failure is met again as in sync.
    """
    try:
        if seen.edits:
            world.plex().write(seen.item, seen.edits)
            seen = replace(seen, landed=True)
        return _apply_beside(seen, world, settings)
    except Exception as error:  # noqa: BLE001 - a defect of ours is an outcome as well
        return failed(error, settings), seen


def _apply_beside(seen: Look, world: World, settings: Settings) -> tuple[Outcome, Look]:
    """What goes beside the fields: the cover, and what Stash is to be told."""
    item = seen.item
    assert item is not None
    fields = seen.edits.fields
    if seen.scene is None:
        return Gone(fields), seen
    settings = settings.for_library(item.section_title)
    if seen.cover:
        seen, sent = _apply_cover(seen, world, settings)
        fields = (*fields, *sent)
    told: list[str] = []
    if seen.edits.rating100 is not None:
        world.stash().rate(seen.scene_id, seen.edits.rating100)
        told.append("rating")
    if seen.plays:
        world.stash().add_plays(seen.scene_id, seen.plays, item.last_viewed_at)
        told.append("plays")
    kept = _kept(seen.edits)
    if fields or told:
        return Synced(fields, kept, tuple(told), seen.remarks), seen
    return InSync(kept, seen.remarks), seen


def _apply_cover(seen: Look, world: World, settings: Settings) -> tuple[Look, tuple[str, ...]]:
    """The look with what to remember of the cover as ``images``, and the fields that were written.

    Remembered: ``cover``, the address it had and what was made of it; ``etag``, Stash's name for its bytes; ``poster``
    and ``background``, the hash of what Plex was given. Bytes that are no picture (Stash's placeholder above all) are
    asked for again only when the address changes.
    """
    assert seen.scene is not None and seen.item is not None
    images = {**seen.images, "cover": _cover_key(seen.scene, settings)}
    given = _pictures(settings)
    has_all = all(name in seen.images for name, _ in given)
    cover = world.stash().cover(seen.scene_id, seen.images.get("etag", "") if has_all else "")
    if cover is None:
        return replace(seen, images=images), ()
    images["etag"] = cover.etag
    picture = judge(cover.data, cover.content_type)
    if not isinstance(picture, Picture):
        remark = f"the cover is not written: it {picture.reason}"
        return replace(seen, images=images, remarks=(*seen.remarks, remark)), ()
    sent = []
    for name, gallery in given:
        if images.get(name) != picture.sha256:
            world.plex().upload(seen.item, picture.data, gallery)
            images[name] = picture.sha256
            sent.append(name)
    return replace(seen, images=images), tuple(sent)


def remember(seen: Look, sync_state: SyncState) -> None:
    """Plex is in sync with this look now, by our writing or of itself."""
    if seen.fingerprint and seen.item is not None:
        sync_state.record(
            seen.scene_id,
            seen.item.rating_key,
            seen.fingerprint,
            seen.edits.written,
            seen.images,
            seen.edits.pending,
            seen.files,
        )


def retract(seen: Look, sync_state: SyncState) -> None:
    """What ``intend`` remembered of this look was not written, for certain."""
    if seen.edits.pending and seen.item is not None:
        sync_state.drop_pending(seen.scene_id, seen.item.rating_key, seen.edits.pending)


def note_failure(seen: Look, outcome: Failed, sync_state: SyncState) -> None:
    """Whether its edits may still land: not if Plex took them before something else failed, nor if it refused them."""
    if seen.landed:
        if seen.edits.pending and seen.item is not None:
            sync_state.pending_landed(seen.scene_id, seen.item.rating_key, seen.edits.pending)
    elif isinstance(outcome.error, SyncFailure) and outcome.error.landed is Landed.NO:
        retract(seen, sync_state)


def forget(scene_id: int, gone: Gone, sync_state: SyncState) -> None:
    """The scene has left Stash. What it had added to its item's shared lists passes to its heirs, who are then to be
    looked at: they keep of it what they want themselves."""
    memory = sync_state.recall(scene_id)
    for heir in gone.heirs:
        theirs = sync_state.recall(heir)
        if memory is not None and theirs is not None:
            written = planning.inherited(theirs.written, memory.written)
            sync_state.record(heir, theirs.rating_key, "", written, theirs.images, files=theirs.files)
    sync_state.forget(scene_id)
