"""What Plex had before PlexSync changed it, field by field, and the edits that bring exactly that back.

A field is kept as its value and its lock. Actors are kept with their role and photo, which go with the name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from plexsync.core.fields import FIELDS
from plexsync.core.item import Actor, Item
from plexsync.core.merge import Value, folded, same
from plexsync.core.plan import PHOTOS, ROLES, WATCHED, YES, Change, Edits, parameters
from plexsync.core.scene import Scene

ACTORS = "performers"
SORT_TITLE = "sort_title"
PICTURES = {"poster": "posters", "background": "arts"}  # by our name: Plex's
_ROWS = {row.name: row for row in FIELDS}


@dataclass(frozen=True)
class Before:
    """One field of an item as it was."""

    field: str
    value: Value  # of ACTORS a line an actor: name, role and photo with tabs between
    locked: bool = False


def kept_before(item: Item, edits: Edits, written: Collection[str]) -> list[tuple[Before, bool]]:
    """What the edits are about to change, and whether it is what Plex had before us; ``written`` are the fields of
    the item that hold something of ours, for whichever scene."""
    found: dict[str, tuple[Before, bool]] = {}
    for change in edits.changes:
        for name in _touched(change.field, item):
            if name not in found:
                found[name] = (as_is(item, name), name not in written)
    return list(found.values())


def _touched(field: str, item: Item) -> list[str]:
    if field in (ROLES, PHOTOS):
        return [ACTORS]
    # A new title gives the item a new sort title too, where that is not locked.
    return [field, SORT_TITLE] if field == "title" and "titleSort" not in item.locked else [field]


def as_is(item: Item, field: str) -> Before:
    """The field as the item has it now."""
    if field == WATCHED:
        return Before(field, YES if item.view_count else "")
    if field == ACTORS:
        lines = tuple(f"{actor.name}\t{actor.role}\t{actor.photo}" for actor in item.actors)
        return Before(field, lines, "actor" in item.locked)
    if field in PICTURES:
        lock = "thumb" if field == "poster" else "art"
        return Before(field, "", lock in item.locked)
    row = _ROWS[field]
    value = item.title_sort if field == SORT_TITLE else row.has(item)
    return Before(field, value, row.plex in item.locked)


def restoring(item: Item, kept: Iterable[Before]) -> Edits:
    """The edits that give the item these values and locks again; none of what is so already. Pictures are not among
    them."""
    params: dict[str, str] = {}
    changes: list[Change] = []
    watched: bool | None = None
    titled: str | None = None
    for before in sorted(kept, key=lambda one: one.field == SORT_TITLE):  # it depends on the title
        now = as_is(item, before.field)
        if before.field in PICTURES:
            lock = "thumb" if before.field == "poster" else "art"
            if now.locked != before.locked:
                params[f"{lock}.locked"] = "1" if before.locked else "0"
            continue
        same_value = before.value == now.value if before.field == ACTORS else same(before.value, now.value)
        if before.field == SORT_TITLE and titled is not None and not before.locked:
            same_value = False  # the new title takes it along
        if same_value and now.locked == before.locked:
            continue
        if not same_value:
            changes.append(Change(before.field, now.value, before.value))
        if before.field == WATCHED:
            watched = bool(before.value)
            continue
        kind = _ROWS[before.field].plex
        if before.field == ACTORS:
            params |= _actors(item, before.value) if not same_value else {}
        elif not same_value and not (before.field == SORT_TITLE and not before.value):
            params |= parameters(kind, before.value, now.value)
            titled = str(before.value) if before.field == "title" else titled
        params[f"{kind}.locked"] = "1" if before.locked else "0"
        if same_value:
            changes.append(Change(before.field, now.value, before.value))
    return Edits(params, tuple(change.field for change in changes), tuple(changes), watched=watched)


def _actors(item: Item, lines: Value) -> dict[str, str]:
    wanted = [Actor(*line.split("\t")[:3]) for line in lines]
    params = parameters(
        "actor", tuple(actor.name for actor in wanted), tuple(actor.name for actor in item.actors)
    )
    had = {folded(actor.name): actor for actor in item.actors}
    for number, actor in enumerate(wanted):
        now = had.get(folded(actor.name), replace(actor, role="", photo=""))
        if actor.role != now.role:
            params[f"actor[{number}].tagging.text"] = actor.role
        if actor.photo and actor.photo != now.photo:
            params[f"actor[{number}].tag.thumb"] = actor.photo
    return params


def content(scene: Scene) -> str:
    """Another one when a person edited the scene; the same when it was only played, scanned or given a new cover."""
    said = replace(
        scene, files=(), updated_at="", screenshot=None, play_count=0, photos=(), cast=(), stash_ids=()
    )
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()
