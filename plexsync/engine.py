"""From scenes to edits, many at a time: the same for a hook's job, a task, a dry run and a test.

``look`` asks as little as can be: one request to Stash for a batch of scenes, none to Plex for those it is known to be
level with, one to Plex for the items of all the others. What it returns is a value a scene: either already the outcome,
or the item and the edits it needs. ``Look.written`` is what to remember once Plex has taken them.

``fresh`` ids are compared with Plex even when nothing seems to have changed: somebody saved the scene and expects to
see it in Plex.
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from plexsync.core import edits as planning
from plexsync.core import match as matching
from plexsync.core.edits import Edits
from plexsync.core.failures import NeedsAttention, SettingProblem, SyncFailure, Unavailable, redact
from plexsync.core.gate import gate
from plexsync.core.item import Item
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.core.verdict import Ambiguous, Failed, Gone, Level, NoFile, NotFound, Outcome, Skipped
from plexsync.ledger import Ledger, MemoryLedger
from plexsync.servers import World


@dataclass(frozen=True)
class Look:
    """What was found out about one scene. Without an ``outcome``, ``edits`` are to be written to ``item``."""

    scene_id: int
    outcome: Outcome | None = None
    scene: Scene | None = None
    item: Item | None = None
    edits: Edits = field(default_factory=Edits)
    fingerprint: str = ""  # "" when there is nothing to remember


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
    ledger = world.ledger(settings)
    scenes = world.stash().scenes(scene_ids)
    found: dict[int, Look] = {}
    asked: dict[int, tuple[str, ...]] = {}
    for scene_id in scene_ids:
        scene = scenes.get(scene_id)
        outcome = _without_plex(scene, settings)
        if outcome is None and scene is not None:
            paths = matching.plex_paths(scene, settings.path_map)
            if scene_id not in fresh and is_known_level(scene, paths, ledger, settings):
                outcome = Level()
            else:
                asked[scene_id] = paths
        found[scene_id] = Look(scene_id, outcome, scene)
    if asked:
        answers = world.plex().find_many(list(asked.values()))
        for (scene_id, paths), items in zip(asked.items(), answers, strict=True):
            found[scene_id] = _one(found[scene_id], paths, items, ledger, settings)
    return found


def _without_plex(scene: Scene | None, settings: Settings) -> Outcome | None:
    """What can be said without asking Plex."""
    if scene is None:
        return Gone()
    if not scene.files:
        return NoFile()
    reason = gate(scene, settings)
    return Skipped(reason) if reason else None


def is_known_level(
    scene: Scene, paths: tuple[str, ...], ledger: Ledger | MemoryLedger, settings: Settings
) -> bool:
    """Nothing has changed since Plex was level with the scene, and its item still has its file."""
    memory = ledger.recall(scene.id)
    if memory is None or memory.fingerprint != planning.fingerprint(scene, settings):
        return False
    return any(memory.rating_key in ledger.lookup(matching.path_key(path)) for path in paths)


def _one(
    seen: Look,
    paths: tuple[str, ...],
    items: tuple[Item, ...],
    ledger: Ledger | MemoryLedger,
    settings: Settings,
) -> Look:
    assert seen.scene is not None
    scene = seen.scene
    try:
        chosen = _choose(scene, items, ledger, settings)
        if not isinstance(chosen, Item):
            return Look(scene.id, chosen or NotFound(paths), scene)
        memory = ledger.recall(scene.id)
        written = memory.written if memory is not None and memory.rating_key == chosen.rating_key else None
        changes = planning.plan(scene, chosen, settings, written)
        return Look(
            scene.id,
            outcome=None if changes else Level(tuple(kept.field for kept in changes.kept)),
            scene=scene,
            item=chosen,
            edits=changes,
            fingerprint=planning.fingerprint(scene, settings),
        )
    except Exception as error:  # noqa: BLE001 - a defect of ours must not cost the other scenes of the batch theirs
        return Look(scene.id, failed(error, settings), scene)


def _choose(
    scene: Scene, items: tuple[Item, ...], ledger: Ledger | MemoryLedger, settings: Settings
) -> Item | Ambiguous | None:
    match matching.choose(scene, items, settings.path_map):
        case matching.Found(item):
            return item
        case matching.Ambiguous(candidates):
            # A person was asked before, and what they said holds.
            said = ledger.choice(scene.id)
            return next((item for item in candidates if item.rating_key == said), None) or Ambiguous(
                candidates
            )
        case matching.Missing():
            return None


def remember(seen: Look, ledger: Ledger | MemoryLedger) -> None:
    """Plex is level with this look now, by our writing or of itself."""
    if seen.fingerprint and seen.item is not None:
        ledger.remember(seen.scene_id, seen.item.rating_key, seen.fingerprint, seen.edits.written)
