"""Undo: bring items of Plex back to what they had before PlexSync, or before a time.

The scenes are marked before Plex is written, so that a kill in between leaves nothing that would be synced over again;
an item is done when Plex shows it, and one that was cut short is met again by the next undo.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from plexsync.core.failures import SyncFailure, Transient
from plexsync.core.item import Item
from plexsync.core.match import path_key
from plexsync.core.plan import Change
from plexsync.core.settings import Settings
from plexsync.core.undo import PICTURES, content, restoring
from plexsync.servers.originals import ItemRecord, Originals
from plexsync.servers.world import World

ITEMS = 50  # read at a time


@dataclass(frozen=True)
class Restored:
    """One item, and what was, or would be, restored."""

    rating_key: int
    title: str
    scenes: tuple[int, ...]
    changes: tuple[Change, ...]
    problem: str = ""  # why it could not be done


@dataclass(frozen=True)
class Undone:
    """What an undo did, or would do."""

    items: int = 0  # with something to restore
    fields: int = 0
    as_before: int = 0  # items that were so already
    failed: int = 0  # items that are gone, or that Plex refused


def undo(
    world: World,
    settings: Settings,
    scene_ids: Collection[int] | None = None,
    since: float | None = None,
    dry_run: bool = False,
    told: Callable[[Restored], None] = lambda one: None,
) -> Undone:
    """Restore all that was ever overwritten: of these scenes, since a wall time, or everything. Raises the failures of
    the servers; what one item alone fails with is told of it."""
    world.plex().connect()
    originals = world.sync_state(settings).originals
    total = Undone()
    keys = originals.items(scene_ids, since)
    for start in range(0, len(keys), ITEMS):
        records = originals.records(keys[start : start + ITEMS], since)
        for one in _restore(records, world, originals, dry_run):
            told(one)
            total = replace(
                total,
                items=total.items + bool(one.changes and not one.problem),
                fields=total.fields + (0 if one.problem else len(one.changes)),
                as_before=total.as_before + (not one.changes and not one.problem),
                failed=total.failed + bool(one.problem),
            )
    return total


def _restore(
    records: list[ItemRecord], world: World, originals: Originals, dry_run: bool
) -> Iterator[Restored]:
    items = {item.rating_key: item for item in world.plex().read([one.rating_key for one in records])}
    scenes = world.stash().scenes(sorted({number for one in records for number in one.scenes}))
    contents = {number: content(scene) for number, scene in scenes.items()}
    for record in records:
        item = items.get(record.rating_key)
        if item is None or not _is_the_same(item, record):
            item = _found_anew(record, world)
        if item is None:
            yield Restored(record.rating_key, "", record.scenes, (), "Plex does not have its file any more")
            continue
        changes = _changes(item, record, world)
        done = Restored(record.rating_key, item.title, record.scenes, changes)
        if not dry_run:
            originals.mark(record, contents)
            try:
                _write(item, record, world)
            except SyncFailure as failure:
                if not isinstance(failure, Transient):
                    raise
                yield replace(done, problem=str(failure))
                continue
            originals.restored(record)
        yield done


def _is_the_same(item: Item, record: ItemRecord) -> bool:
    return not record.files or not {path_key(file) for file in record.files}.isdisjoint(
        path_key(file) for file in item.files
    )


def _found_anew(record: ItemRecord, world: World) -> Item | None:
    """The item that has the file by now, when the key is another's or gone."""
    found: tuple[Item, ...] = world.plex().find(record.files) if record.files else ()
    return found[0] if len(found) == 1 else None


def _changes(item: Item, record: ItemRecord, world: World) -> tuple[Change, ...]:
    changes = restoring(item, [kept.before for kept in record.fields]).changes
    for kept in record.fields:
        gallery = PICTURES.get(kept.before.field)
        if gallery is not None:
            now = world.plex().selected(item, gallery)
            if now != kept.before.value:
                changes = (*changes, Change(kept.before.field, now, kept.before.value))
    return changes


def _write(item: Item, record: ItemRecord, world: World) -> None:
    """Restore, and once more what Plex does not show then: a worker may have been writing at the same moment."""
    for _ in range(2):
        for kept in record.fields:
            gallery = PICTURES.get(kept.before.field)
            value = kept.before.value
            if gallery and isinstance(value, str) and value and world.plex().selected(item, gallery) != value:
                world.plex().select(item, gallery, value)
        edits = restoring(item, [kept.before for kept in record.fields])
        if not edits and not any(kept.before.field in PICTURES for kept in record.fields):
            return
        if edits:
            world.plex().write(item, edits)
        item = next(iter(world.plex().read([item.rating_key])), item)
