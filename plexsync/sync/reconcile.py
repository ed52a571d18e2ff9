"""Finding what no hook told: merges, Auto Tag, covers, file moves, and whatever happened while no hook could run.

Stash fires no hook for these and bumps ``updated_at`` for some of them only (Stash 0.30, ``pkg/sqlite/scene.go``). So
a sweep reads the scenes in pages by id and compares each one's fingerprint with the one remembered from when Plex was
last in sync with it; Plex lists what it has, a thousand items a request, and each item is to show what it showed then.
Scenes that differ on either side are queued. How far a sweep came is kept, so that one that was cut short goes on
instead of beginning again.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plexsync.core.failures import SyncFailure
from plexsync.core.fields import rating_text
from plexsync.core.job import RELIST
from plexsync.core.match import path_key, plex_paths
from plexsync.core.plan import PLAYS, written_by_us_and_shown
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.queue.store import Store
from plexsync.servers.path_index import Entry
from plexsync.servers.sync_state import SceneState, SyncState
from plexsync.servers.world import World
from plexsync.sync import plan_batch

PAGE = 500  # scenes a request to Stash, and a transaction
RESUME_S = 86_400.0  # a sweep cut short longer ago than this begins anew
LAST_ID = 2**63 - 1  # SQLite's
CLOCKS_APART_S = 86_400.0  # Plex's clock may be this far from ours
SAMPLES = 20  # examples named in a report


@dataclass(frozen=True)
class Swept:
    """What a sweep found."""

    seen: int = 0
    queued: int = 0  # of those seen and beside them
    in_sync: int = 0  # unchanged, and Plex shows what it showed when they were in sync
    skipped: int = 0  # by a rule of the settings, or without a file
    reasons: Mapping[str, int] = field(
        default_factory=dict
    )  # why, and how many each; the most frequent first
    waiting: int = 0  # have a job already
    edited: int = 0  # were edited, restored or lost in Plex; queued beside those seen
    gone: int = 0  # were in sync once and are no longer in Stash; queued, to be cleaned up after
    returned: int = 0  # were rated or played in Plex; queued, to tell Stash
    untold: str = (
        ""  # why Plex could not be asked: what is in sync is then unchanged since the last sync, no more
    )
    done: bool = True  # False when it was told to stop; the next sweep of all goes on from there

    @property
    def out_of_sync(self) -> int:
        """Of those seen, how many were queued."""
        return self.seen - self.in_sync - self.waiting - self.skipped


def sweep(
    store: Store,
    world: World,
    settings: Settings,
    hours: float | None = None,
    progress: Callable[[int, int], None] = lambda seen, last_id: None,
    should_stop: Callable[[], bool] = lambda: False,
    hurry: bool = True,
    synced_once: str = "",
    force: bool = False,
) -> Swept:
    """Queue every scene that is not known to be in sync, or of those changed in the last ``hours`` hours.

    A look at all of them also queues those we remember and Stash no longer has, since a merge fires no hook for the
    scenes it swallows. Where Stash has none at all it is more likely another Stash than an emptied one.

    Raises Stash's failures. When Plex cannot be asked, ``untold`` says why and Stash's side is compared all the same;
    with ``force``, which has every field of every scene compared, that failure is raised too. ``progress`` is told how
    many were seen and the last id. Without ``hurry`` what waits for a reason, like a file Plex does not have yet, goes
    on waiting. ``synced_once`` names a look that leaves
    alone what was never in sync, and by which it goes on when it was cut short.
    """
    place = synced_once or f"sweep {'all' if hours is None else f'{hours:g} h'}"
    untold = "" if synced_once else _evidence(store, world, force)
    sync_state = world.sync_state(settings)
    if force:
        sync_state.drop_evidence()
    found, after_id, since = Swept(untold=untold), 0, None
    reasons: Counter[str] = Counter()
    if hours is None:
        after_id = _resume(store, place)
    else:
        now = datetime.datetime.fromtimestamp(store.clock.now(), datetime.UTC)
        since = now - datetime.timedelta(hours=hours)
    for scenes in world.stash().scene_pages(after_id=after_id, per_page=PAGE, updated_since=since):
        memories = sync_state.recall_many([scene.id for scene in scenes])
        skipped = plan_batch.known_skipped(scenes, memories, sync_state, settings)
        wanted = [scene for scene in scenes if scene.files and scene.id not in skipped]
        known = plan_batch.known_in_sync(wanted, memories, sync_state, settings)
        stale = [
            scene.id
            for scene in wanted
            if scene.id not in known and (scene.id in memories or not synced_once)
        ]
        gone = _gone(sync_state, after_id, scenes) if hours is None else []
        after_id = scenes[-1].id
        queued = store.enqueue_many(stale, hurry=hurry)
        gone_queued = store.enqueue_many(gone, hurry=hurry)
        reasons.update(
            skipped.get(scene.id, "has no file") for scene in scenes if scene.id in skipped or not scene.files
        )
        found = replace(
            found,
            seen=found.seen + len(scenes),
            queued=found.queued + queued + gone_queued,
            in_sync=found.in_sync + len(known),
            skipped=reasons.total(),
            reasons=dict(reasons.most_common()),
            waiting=found.waiting + len(stale) - queued,
            gone=found.gone + len(gone),
        )
        if hours is None:
            store.state.save(place, f"{scenes[-1].id} {store.clock.now()}")
        progress(found.seen, scenes[-1].id)
        if should_stop():
            return replace(found, done=False)
    if hours is None and after_id:
        gone = sync_state.scene_ids(after_id, LAST_ID)
        queued = store.enqueue_many(gone, hurry=hurry)
        found = replace(found, queued=found.queued + queued, gone=found.gone + len(gone))
    store.state.drop(place)
    if synced_once or untold:
        return found
    if hours is not None:
        found = _queue_edited(store, sync_state, found, hurry)
    try:
        returned, queued = returning(store, world, settings)
    except SyncFailure as failure:  # what was found in Stash is queued all the same
        return replace(found, untold=str(failure))
    return replace(found, queued=found.queued + queued, returned=returned)


def _evidence(store: Store, world: World, force: bool) -> str:
    """Have Plex list what it has and shows; why that could not be had, "" when it could."""
    try:
        world.plex().relist()
        store.state.drop(RELIST)
    except SyncFailure as failure:
        if force:
            raise
        return str(failure)
    return ""


def _queue_edited(store: Store, sync_state: SyncState, found: Swept, hurry: bool) -> Swept:
    """Queue the scenes whose items do not show what they did: whatever Stash has changed, Plex has changed too."""
    after_id = 0
    while some := sync_state.changed_in_plex(after_id):
        queued = store.enqueue_many(some, hurry=hurry)
        found = replace(found, queued=found.queued + queued, edited=found.edited + queued)
        after_id = some[-1]
    return found


def returning(store: Store, world: World, settings: Settings) -> tuple[int, int]:
    """Queue the scenes whose items were rated or played in Plex since the last such look; how many, and how many of
    them did not wait already.

    Found are also ratings we wrote ourselves, and those are told by our memory of them; so the looks may overlap.
    Raises the failures of the servers.
    """
    sync_state = world.sync_state(settings)
    returned = queued = 0
    libraries = settings.in_all_libraries()
    for moment, wanted in (
        ("lastRatedAt", [library.ratings_to_stash for library in libraries]),
        ("lastViewedAt", [library.watched_to_stash for library in libraries]),
    ):
        if not any(wanted):
            continue
        place = f"{moment} of {settings.plex_url}"
        began = store.clock.now()
        since = float(store.state.load(place) or 0.0) - CLOCKS_APART_S
        told: list[int] = []
        for entry in world.plex().touched(moment, int(since)):
            memories = sync_state.recall_many(sync_state.others_of(entry.rating_key, 0))
            told += _to_tell(moment, entry, memories)
        # As edits: a scene that seems to be in sync is looked at all the same.
        queued += store.enqueue_many(told, "update") if told else 0
        returned += len(told)
        store.state.save(place, str(began))
    return returned, queued


def _to_tell(moment: str, entry: Entry, memories: Mapping[int, SceneState]) -> list[int]:
    """Which of the scenes that have this item do not know of its rating, or of its plays."""
    if moment == "lastRatedAt":
        # What we wrote there for one scene is no rating of the others.
        rating = rating_text(entry.user_rating)
        ours = [
            value for one in memories.values() for value in written_by_us_and_shown(one.written, "rating")
        ]
        if not rating or rating in ours:
            return []
        return [scene_id for scene_id, memory in memories.items() if memory.written.get("rating") != rating]
    views = str(entry.view_count)
    return [scene_id for scene_id, memory in memories.items() if memory.written.get(PLAYS) != views]


def _gone(sync_state: SyncState, after_id: int, scenes: Sequence[Scene]) -> list[int]:
    """The scenes we remember between ``after_id`` and the last of this page that are not on it."""
    there = {scene.id for scene in scenes}
    return [scene_id for scene_id in sync_state.scene_ids(after_id, scenes[-1].id) if scene_id not in there]


def _resume(store: Store, place: str) -> int:
    """The id after which an earlier sweep was cut short, 0 when it was not, or is too long ago."""
    kept = (store.state.load(place) or "").split()
    if len(kept) != 2:
        return 0
    return int(kept[0]) if 0 <= store.clock.now() - float(kept[1]) <= RESUME_S else 0


@dataclass(frozen=True)
class Missing:
    """What only one of the two sides has."""

    scenes: int = 0  # in Stash, not in Plex
    items: int = 0  # in Plex's libraries, not in Stash
    scene_samples: tuple[str, ...] = ()  # paths as Stash sees them
    item_samples: tuple[str, ...] = ()  # paths as Plex spells them in a comparison
    seen: int = 0


def missing(
    world: World, settings: Settings, progress: Callable[[int, int], None] = lambda seen, last_id: None
) -> Missing:
    """Compare the paths of all scenes with those of all items. Writes and queues nothing.

    Raises the failures of the servers.
    """
    world.plex().freshen()
    sync_state = world.sync_state(settings)
    seen = scenes_without = 0
    scene_samples: list[str] = []
    known: set[str] = set()
    for scenes in world.stash().scene_pages(per_page=PAGE):
        for scene in scenes:
            keys = _keys(scene, settings)
            known.update(keys)
            if scene.files and not any(sync_state.lookup(key) for key in keys):
                scenes_without += 1
                if len(scene_samples) < SAMPLES:
                    scene_samples.append(scene.files[0].path)
        seen += len(scenes)
        progress(seen, scenes[-1].id)
    items_without = 0
    item_samples: list[str] = []
    for key in sync_state.paths():
        if key not in known:
            items_without += 1
            if len(item_samples) < SAMPLES:
                item_samples.append(key)
    return Missing(scenes_without, items_without, tuple(scene_samples), tuple(item_samples), seen)


def _keys(scene: Scene, settings: Settings) -> list[str]:
    return [path_key(path) for path in plex_paths(scene, settings.path_map)]
