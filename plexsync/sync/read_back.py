"""A write counts when Plex shows it: what was written is read back, many items a request.

A server may answer 200 and have done nothing (python-plexapi#419, #478), or show something else than it was given: a
rating as whole stars, a date a day early, a tag in its own case. What is not shown is written once more; what is not
shown then either is remembered as what Plex makes of our value, so that it is neither written for ever nor taken for
an edit made in Plex.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from plexsync.core import plan as planning
from plexsync.core.failures import Landed, Transient
from plexsync.core.item import Item
from plexsync.core.merge import Value
from plexsync.core.plan import Edits
from plexsync.core.settings import Settings
from plexsync.core.verdict import Failed, Outcome, Synced
from plexsync.servers.world import World
from plexsync.sync.plan_batch import ScenePlan

Done = tuple[Outcome, ScenePlan]


def read_back(done: Mapping[int, Done], world: World, settings: Settings) -> dict[int, Done]:
    """The same outcomes once Plex was asked what it shows of each item that was written. Raises the failures of Plex:
    then it is not known what it shows, and the scenes are to be compared again."""
    found = dict(done)
    written = {number: seen for number, (outcome, seen) in done.items() if _was_written(outcome, seen)}
    items = _read(written.values(), world)
    left: dict[int, ScenePlan] = {}
    for number, seen in written.items():
        item = items.get(_key(seen))
        if item is None:
            vanished = Transient(
                f"Plex item {_key(seen)} vanished while it was written.", landed=Landed.PERHAPS
            )
            found[number] = Failed(vanished), seen
            continue
        seen = replace(seen, item=item)
        if again := _missing(seen, settings):
            world.plex().write(item, again)
            left[number] = seen
        else:
            found[number] = found[number][0], _remembered(seen, {})
    items = _read(left.values(), world)
    for number, seen in left.items():
        seen = replace(seen, item=items.get(_key(seen), seen.item))
        shown = {change.field: change.before for change in _missing(seen, settings).changes}
        outcome = found[number][0]
        assert isinstance(outcome, Synced)
        found[number] = (
            replace(outcome, not_taken=planning.as_shown(shown)),
            _remembered(seen, shown),
        )
    return found


def _was_written(outcome: Outcome, seen: ScenePlan) -> bool:
    return isinstance(outcome, Synced) and seen.item is not None and (seen.landed or bool(outcome.fields))


def _key(seen: ScenePlan) -> int:
    assert seen.item is not None
    return seen.item.rating_key


def _read(plans: Collection[ScenePlan], world: World) -> dict[int, Item]:
    keys = sorted({_key(seen) for seen in plans})
    return {item.rating_key: item for item in world.plex().read(keys)} if keys else {}


def _remembered(seen: ScenePlan, shown: Mapping[str, Value]) -> ScenePlan:
    assert seen.item is not None
    return replace(seen, edits=planning.with_shown(seen.edits, shown, seen.item.updated_at))


def _missing(seen: ScenePlan, settings: Settings) -> Edits:
    """What of the edits the item does not show."""
    assert seen.scene is not None and seen.item is not None
    rules = replace(
        settings.for_library(seen.item.section_title),
        conflict_policy=(
            ("", "stash"),
        ),  # what is otherwise now is no edit of a person: it was written just now
        respect_locks=False,
        first_contact="stash",
        ratings_to_stash=False,
        write_watched=False,
    )
    again = planning.plan(seen.scene, seen.item, rules, seen.edits.written)
    return planning.only(again, seen.edits.fields)
