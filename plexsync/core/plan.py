"""What to change on a Plex item so that it says what the scene says.

``fields.FIELDS`` has a row for each field we sync. ``plan`` settles row by row (``merge.settle``), then roles, photos
and the watched mark, and returns ``Edits``: the parameters of one PUT to ``/library/sections/<id>/all``, in the form
python-plexapi 4.18 sends. Nothing to change, no parameters.

How Plex takes them (PMS 1.41, python-plexapi's own tests against it):

- ``<field>.value`` with ``<field>.locked=1``; an empty value clears the field. What is not locked is rewritten by the
  next metadata refresh, so a value that is right but not locked counts as a difference.
- ``<kind>[i].tag.tag`` adds tags and ``<kind>[].tag.tag-`` removes some: names quoted one by one, joined with commas.
  Today's servers append, some are said to have replaced: we send all the wanted tags and the removal of the others,
  which ends the same on both.
- Tags come back in the case of an older tag of the same name (a label with a capital first letter), so they are
  compared without case, and a tag that is already there is sent as Plex spells it.

Choices of ours, each a rule of one sentence:

- What is empty in Stash is cleared in Plex only if we wrote it there for this very scene.
- A title made from a file's name never replaces a title we did not write, and a scene that says nothing (a new one, or
  one found again after Stash cleaned it away) changes nothing until it does.
- Labels and collections are lists people add to as well: of those we remove only what we added.
- What the settings leave alone stays remembered. Where they want tags or collections no longer, ours go.
- A value that was written for another scene of the same item is no edit made in Plex.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from plexsync.core.fields import FIELDS, Field, names_its_file, rating_text, tag_list, wanted_values
from plexsync.core.gate import is_bare
from plexsync.core.item import Item
from plexsync.core.match import plex_paths
from plexsync.core.merge import Rules, Step, Value, folded, same, settle, without_theirs
from plexsync.core.roles import kept as kept_roles
from plexsync.core.roles import photo_addresses, recalled, role_texts, to_write
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings

WATCHED, YES = "watched", "yes"  # a field of its own request: Plex has no parameter for it
# Beside the fields in what is remembered as written:
ROLES = "roles"  # a line for each actor we gave a role
PHOTOS = "photos"  # the addresses of actors' photos
PLAYS = "plays"  # the plays in Plex that Stash knows of
WROTE = "wrote_at"  # epoch seconds of Plex's clock when we wrote to the item last
# After a field's name: where Remembered's fields are stored.
_FROM_PLEX, _DECLINED, _SHOWN, _FOUND = " taken", " refused", " shown", " found"
_in_order = json.JSONEncoder(sort_keys=True).encode  # made once: it is used for every scene
_RULES_VERSION = 2  # of how a scene becomes values; a new one makes every fingerprint a new one


@dataclass(frozen=True)
class Change:
    """One field that differs: what Plex has, and what it is to have."""

    field: str
    before: Value
    after: Value


@dataclass(frozen=True)
class Kept:
    """One field that differs and stays as it is in Plex, and why: a KEEP step, or NOT_TAKEN."""

    field: str
    plex: Value
    stash: Value
    why: Step


@dataclass(frozen=True)
class Edits:
    """The parameters of one PUT, whether the item is to be marked, and the fields these touch. Falsy when there is
    nothing to write.

    ``written`` is what to remember once Plex has taken them (also when there was nothing to take): per field,
    the value Plex then has of us. It is what the next ``plan`` is given.

    ``pending`` is what to remember before they are sent: per field that is written our value, empty where
    it is cleared. Should the answer be lost, Plex may have it now, later or never.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    written: Mapping[str, Value] = field(default_factory=dict)
    pending: Mapping[str, Value] = field(default_factory=dict)
    watched: bool | None = None  # what the item is to be marked as
    rating100: int | None = None  # what Stash is to be told, because a person rated the item in Plex

    def __bool__(self) -> bool:
        return bool(self.params) or self.watched is not None


def plan(
    scene: Scene,
    item: Item,
    settings: Settings,
    written: Mapping[str, object] | None = None,
    pending: Sequence[Mapping[str, object]] = (),
    wants: Mapping[str, Value] | None = None,
    beside: Sequence[Mapping[str, object]] = (),
) -> Edits:
    """The edits that bring ``item`` in sync with ``scene``; ``wants`` are its ``wanted_values``, if they are known.

    ``written`` is what was remembered of this very item (``Edits.written``, perhaps through JSON); None when
    nothing is. ``pending`` are the ``Edits.pending`` of writes to it whose end was not seen, oldest first. ``beside``
    is what was remembered of the same item for other scenes.
    Laws: plan again on an item that took the edits, and nothing is left; every parameter belongs to a field
    in ``fields``; fields that are in sync or kept are not touched; what only we can have written is never taken
    for an edit made in Plex.
    """
    wants = wanted_values(scene, settings) if wants is None else wants
    silent = says_nothing(scene, written, pending)
    draft = _Draft(scene, item, settings, written, tuple(pending), wants, tuple(beside), silent)
    for row in FIELDS:
        _plan_field(draft, row)
    if draft.silent:
        return draft.edits()
    roles = _plan_roles(draft)
    photos = _plan_photos(draft)
    held_roles = {name: role for name, role in _held_roles(item).items() if role}
    draft.params |= _beside_actors(draft.params, held_roles | roles, photos)
    _plan_watched(draft)
    if (wrote_at := _stored(written, WROTE, "")) and draft.last:
        draft.last[WROTE] = wrote_at
    return draft.edits()


def says_nothing(
    scene: Scene, written: Mapping[str, object] | None, pending: Sequence[Mapping[str, object]] = ()
) -> bool:
    """Whether nothing was ever written for the scene and it has nothing to say: one that a scan has just made."""
    if not is_bare(scene) or any(
        name not in (PLAYS, WROTE) for one in (written or {}, *pending) for name in one
    ):
        return False
    return not (scene.groups or scene.code or scene.director or scene.organized or scene.play_count)


@dataclass
class _Draft:
    """What a plan is made from, and what it is so far."""

    scene: Scene
    item: Item
    settings: Settings
    written: Mapping[str, object] | None
    pending: tuple[Mapping[str, object], ...]
    wants: Mapping[str, Value]
    beside: tuple[Mapping[str, object], ...]
    silent: bool  # see ``says_nothing``
    params: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    last: dict[str, Value] = field(default_factory=dict)  # to be Edits.written
    aims: dict[str, Value] = field(default_factory=dict)  # to be Edits.pending
    watched: bool | None = None
    rating100: int | None = None
    actors: Value = ()  # as they are after the edits
    titled: Item | None = None  # the item with the title that is about to be written

    def held(self, row: Field) -> Value:
        """What Plex has; a sort title Plex does not name follows the title we are about to write."""
        return row.has(self.titled or self.item)

    def edits(self) -> Edits:
        return Edits(
            self.params,
            tuple(change.field for change in self.changes),
            tuple(self.changes),
            tuple(self.kept),
            self.last,
            self.aims,
            self.watched,
            self.rating100,
        )


class Remembered(NamedTuple):
    """What is known of our writes to one field of one item."""

    last: Value | None  # written last
    pending: tuple[Value, ...]  # of writes whose end was not seen, oldest first
    from_plex: Value | None  # its value, when that went from Plex to Stash
    declined: Value | None  # what Stash said when a value of Plex was kept
    shown: Value | None  # what Plex showed when it had been given ``last`` twice
    found: Value | None  # ``last``, when Plex had it before we wrote there

    @property
    def all(self) -> tuple[Value | None, ...]:
        return (self.last, *self.pending)


_NOTHING = Remembered(None, (), None, None, None, None)


def remembered(draft: _Draft, name: str, like: Value) -> Remembered:
    """Of the kind that ``like`` is: anything else stored there is damage, and as good as nothing."""
    if not draft.written and not draft.pending:
        return _NOTHING
    pending = (_stored(one, name, like) for one in draft.pending)
    last, from_plex, declined, shown, found = (
        _stored(draft.written, key, like)
        for key in (name, name + _FROM_PLEX, name + _DECLINED, name + _SHOWN, name + _FOUND)
    )
    tried = tuple(value for value in pending if value is not None)
    return Remembered(last, tried, from_plex, declined, shown, found)


class _Sides(NamedTuple):
    """The values of one field that are to be settled, without what other people added to the list."""

    wanted: Value
    held: Value
    last: Value | None
    others: tuple[str, ...] = ()  # what other people added
    of_another: bool = False  # Plex has what was written for another scene of the item
    as_shown: bool = False  # Plex has what it made of our last value


def _plan_field(draft: _Draft, row: Field) -> None:
    wanted = draft.wants.get(row.name)
    past = remembered(draft, row.name, draft.held(row))
    if wanted is None:
        _plan_unwanted(draft, row, past)
        return
    if draft.silent or (past == _NOTHING and names_its_file(row.name, wanted, draft.scene)):
        return
    sides = _sides(draft, row, wanted, past)
    rules = _rules(draft, row)
    locked = row.plex in draft.item.locked
    step = settle(
        sides.wanted,
        sides.held,
        sides.last,
        locked=locked,
        rules=rules,
        refused=past.declined,
        found=past.last is not None and _agree(past.last, past.found),
    )
    _remember(draft, row, sides, past, step, rules.policy)
    if sides.as_shown and step is Step.LEVEL:
        draft.last[row.name + _SHOWN] = row.has(draft.item)
        draft.kept.append(Kept(row.name, row.has(draft.item), wanted, Step.NOT_TAKEN))
        return
    bare = row.refreshed and not row.shared and not locked and not draft.settings.keep_unlocked
    if row.name == "performers":
        draft.actors = sides.wanted if step is Step.WRITE else draft.held(row)
    if step is Step.WRITE or (step is Step.LEVEL and sides.wanted and bare):
        _write(draft, row, sides)
    elif (value := draft.last.get(row.name)) and (
        _agree(value, past.found) or (step is Step.LEVEL and sides.last is None)
    ):
        draft.last[row.name + _FOUND] = value


def _plan_unwanted(draft: _Draft, row: Field, past: Remembered) -> None:
    """The settings want the field no longer, or leave it alone for now and perhaps not for ever."""
    held = draft.held(row)
    if row.ended(draft.settings) and isinstance(held, tuple):
        ending = _ending(row, held, draft.item, [value for value in past.all if value])
        draft.changes += ending.changes
        draft.params |= ending.params
        draft.aims |= ending.pending
        return
    stored = {
        row.name: past.last,
        row.name + _FROM_PLEX: past.from_plex,
        row.name + _DECLINED: past.declined,
        row.name + _SHOWN: past.shown,
        row.name + _FOUND: past.found,
    }
    draft.last |= {name: value for name, value in stored.items() if value is not None}


def _sides(draft: _Draft, row: Field, wanted: Value, past: Remembered) -> _Sides:
    found = row.has(draft.item)
    if past.last is not None and _agree(found, past.shown):
        return _Sides(wanted, past.last, past.last, as_shown=True)
    held, last = draft.held(row), past.last
    # A line break that is not escaped comes out of XML as a space; what we wrote so is ours all the same.
    held = next((v for v in past.all if isinstance(v, str) and held == v.replace("\n", " ")), held)
    others: tuple[str, ...] = ()
    if row.shared and isinstance(wanted, tuple) and isinstance(held, tuple):
        added = tuple(tag for value in past.all if isinstance(value, tuple) for tag in value)
        wanted, held, others = without_theirs(wanted, held, added)
    # Of a write that seemed to fail and landed all the same, Plex has what we wanted to write then.
    last = next((value for value in (last, *reversed(past.pending)) if _agree(held, value)), last)
    if held != found and any(_agree(found, value) for value in (last, *past.pending)):
        last = held  # a sort title of ours that follows the new title by itself is no edit made in Plex
    of_another = (
        bool(held)
        and not row.shared
        and not _agree(held, last)
        and any(_agree(found, written_by_us(one, row.name, wanted)) for one in draft.beside)
    )
    if of_another:
        last = held if wanted else None
    return _Sides(wanted, held, last, others, of_another)


def _rules(draft: _Draft, row: Field) -> Rules:
    item, settings = draft.item, draft.settings
    changed_at = (row.name == "rating" and item.last_rated_at) or item.updated_at
    return Rules(
        policy=settings.policy(row.name),
        respect_locks=settings.respect_locks,
        by_person=not row.refreshed,
        stash_is_newer=_is_newer(draft.scene, changed_at),
        fill=settings.first_contact == "fill",
    )


def _remember(draft: _Draft, row: Field, sides: _Sides, past: Remembered, step: Step, policy: str) -> None:
    """What is to be remembered of the field, and whether its value goes to Stash or is kept."""
    settings, wanted = draft.settings, sides.wanted
    value = wanted if step in (Step.LEVEL, Step.WRITE) else sides.last
    if step is Step.LEVEL and row.plex in draft.item.locked and sides.last is None and settings.respect_locks:
        value = None  # the same by chance, and locked in Plex
    kept = step in (Step.KEEP_EDIT, Step.KEEP_LOCK, Step.KEEP_FIRST)
    stays = (kept or step is Step.LEAVE) and not sides.of_another
    if row.name == "rating" and settings.ratings_to_stash and stays and _was_rated(draft):
        draft.rating100 = _out_of_100(draft.item.user_rating)
    if row.name == "rating" and draft.rating100 is not None:
        # Both sides have it soon; should Stash make something else of it, that will count.
        value = draft.last[row.name + _FROM_PLEX] = sides.held
    elif kept:
        draft.kept.append(Kept(row.name, sides.held, wanted, step))
        if step is Step.KEEP_FIRST or (policy == "newest" and not _agree(wanted, sides.last)):
            draft.last[row.name + _DECLINED] = wanted
    if step is Step.LEVEL and _agree(wanted, past.from_plex):
        draft.last[row.name + _FROM_PLEX] = wanted
    if value:  # of a field that was cleared nothing is ours any more
        draft.last[row.name] = value


def _was_rated(draft: _Draft) -> bool:
    """Whether Plex shows a person's act that is not older than our own last write, as that in a restored backup is.
    Within one second both may be; what Plex made of our own value is known (``Remembered.shown``) and is none."""
    rated_at = draft.item.last_rated_at
    wrote_at = _stored(draft.written, WROTE, "") or "0"
    known = int(wrote_at) if isinstance(wrote_at, str) and wrote_at.isdecimal() else 0
    return rated_at > 0 and rated_at >= known


def _write(draft: _Draft, row: Field, sides: _Sides) -> None:
    wanted = sides.wanted
    after = (*sides.others, *wanted) if isinstance(wanted, tuple) else wanted
    change = Change(row.name, draft.held(row), after)
    draft.changes.append(change)
    draft.aims[row.name] = wanted
    if row.name == "title" and isinstance(wanted, str):
        draft.titled = replace(draft.item, title=wanted)
    draft.params |= parameters(row.plex, change.after, change.before)
    draft.params[f"{row.plex}.locked"] = "0" if draft.settings.keep_unlocked else "1"


def _held_roles(item: Item) -> dict[str, str]:
    return {folded(actor.name): actor.role for actor in item.actors}


def _plan_roles(draft: _Draft) -> dict[str, str]:
    """The role texts to be written, by the folded name of the actor."""
    held = _held_roles(draft.item)
    last, *pending = (recalled(_stored(one, ROLES, ()) or ()) for one in (draft.written, *draft.pending))
    roles: dict[str, str] = {}
    now: Mapping[str, str] = last
    if draft.settings.role_template and "performers" in draft.wants:
        wanted = role_texts(draft.scene, draft.settings, draft.actors)
        # Of a write that seemed to fail and landed all the same, as above.
        landed = {
            name: text
            for one in pending
            for name, text in one.items()
            if text == held.get(name) != last.get(name)
        }
        newer = _is_newer(draft.scene, draft.item.updated_at)
        rules = Rules(draft.settings.policy(ROLES), draft.settings.respect_locks, stash_is_newer=newer)
        # A lock on actors we wrote is ours.
        locked = "actor" in draft.item.locked and "performers" not in draft.last
        roles = to_write(wanted, held, last | landed, locked=locked, rules=rules)
        now = {
            name: text if name in roles or held.get(name) == text else last.get(name, "")
            for name, text in wanted.items()
        }
    if any(now.values()):
        draft.last[ROLES] = kept_roles({name: text for name, text in now.items() if text})
    if roles:
        before = {name: held.get(name, "") for name in roles}
        draft.changes.append(Change(ROLES, _shown_roles(before), _shown_roles(roles)))
        draft.aims[ROLES] = kept_roles(roles)
        draft.params |= _named_actors(draft.params, draft.actors, draft.item)
    return roles


def _plan_photos(draft: _Draft) -> dict[str, str]:
    """The photo addresses to be written, by the folded name of the actor."""
    photos = photo_addresses(draft.scene, draft.settings, draft.actors)
    if not photos:
        return {}
    draft.last[PHOTOS] = tuple(photos.values())
    shown = {*(_stored(draft.written, PHOTOS, ()) or ()), *(actor.photo for actor in draft.item.actors)}
    if shown.issuperset(photos.values()):
        return {}
    before = tuple(actor.photo for actor in draft.item.actors if actor.photo)
    draft.changes.append(Change(PHOTOS, before, tuple(photos.values())))
    draft.params |= _named_actors(draft.params, draft.actors, draft.item)
    return photos


def _plan_watched(draft: _Draft) -> None:
    scene, item = draft.scene, draft.item
    if not draft.settings.write_watched:
        if marked := _stored(draft.written, WATCHED, ""):
            draft.last[WATCHED] = marked
        return
    played, seen = YES if scene.play_count else "", YES if item.view_count else ""
    past = remembered(draft, WATCHED, played)
    last = next((mark for mark in reversed(past.pending) if mark == seen), past.last)
    rules = Rules(draft.settings.policy(WATCHED), stash_is_newer=_is_newer(scene, item.last_viewed_at))
    step = settle(played, seen, last, locked=False, rules=rules)
    if step is Step.WRITE:
        draft.watched = bool(played)
        draft.changes.append(Change(WATCHED, seen, played))
        draft.aims[WATCHED] = played
    elif step is Step.KEEP_EDIT:
        draft.kept.append(Kept(WATCHED, seen, played, step))
    if value := played if step in (Step.LEVEL, Step.WRITE) else last:
        draft.last[WATCHED] = value


def only(edits: Edits, fields: Sequence[str]) -> Edits:
    """The part of the edits that touches these of ``FIELDS``."""
    kinds = {row.plex for row in FIELDS if row.name in fields}
    changes = tuple(change for change in edits.changes if change.field in fields)
    params = {key: value for key, value in edits.params.items() if re.split(r"[.\[]", key)[0] in kinds}
    return Edits(params, tuple(change.field for change in changes), changes)


def with_shown(edits: Edits, shown: Mapping[str, Value], wrote_at: int) -> Edits:
    """The edits as they are to be remembered once they were read back: when that was, by Plex's clock, and what Plex
    shows of the fields it did not take as they were written."""
    marks = {field + _SHOWN: value for field, value in shown.items()}
    return replace(edits, written={**edits.written, **marks, WROTE: str(wrote_at)})


def without_shown(written: Mapping[str, object]) -> Mapping[str, object]:
    """What is remembered, without what Plex made of our values: they are tried again."""
    return {name: value for name, value in written.items() if not name.endswith(_SHOWN)}


def as_shown(shown: Mapping[str, Value]) -> tuple[str, ...]:
    """How status, log and diff name fields that Plex did not take: “date as 2024-05-16”."""
    return tuple(
        f"{field} as {value if isinstance(value, str) else ', '.join(value)}" if value else f"{field} unset"
        for field, value in shown.items()
    )


def _ending(row: Field, held: tuple[str, ...], item: Item, added: Iterable[Value]) -> Edits:
    """The edits that take what we added from a list the settings want no more; a list that is empty then is no longer
    locked."""
    _, ours, theirs = without_theirs((), held, tuple(tag for some in added for tag in some))
    if not ours:
        return Edits()
    params = parameters(row.plex, theirs, held)
    params[f"{row.plex}.locked"] = "1" if theirs and row.plex in item.locked else "0"
    return Edits(params, changes=(Change(row.name, held, theirs),), pending={row.name: ()})


def _shown_roles(roles: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}: {text}" for name, text in roles.items() if text)


def _named_actors(params: Mapping[str, str], actors: Value, item: Item) -> dict[str, str]:
    """The actors as they are, named so that something can go beside them; nothing where they are sent anyway."""
    if "actor.locked" in params:
        return {}
    return {**parameters("actor", actors, actors), "actor.locked": "1" if "actor" in item.locked else "0"}


def _beside_actors(
    params: Mapping[str, str], roles: Mapping[str, str], photos: Mapping[str, str]
) -> dict[str, str]:
    """What goes beside the name of each actor that is sent: the photo, and the role it has or gets. Those other people
    wrote stay, also on a server that replaces the whole list."""
    found: dict[str, str] = {}
    for key, name in params.items():
        place = key.removesuffix("tag.tag")
        if place != key and key.startswith("actor["):
            if folded(name) in photos:
                found[f"{place}tag.thumb"] = photos[folded(name)]
            if folded(name) in roles:
                found[f"{place}tagging.text"] = roles[folded(name)]
    return found


def _agree(held: Value, value: Value | None) -> bool:
    return value is not None and same(held, value)


def cleanup(item: Item, written: Sequence[Mapping[str, object]]) -> Edits:
    """The edits that take from ``item`` what we added to the lists we share with other people, when its scene
    has left Stash. Everything else stays: a title is no better for being cleared.

    ``written`` is all that was ever remembered of writes to it, ``Edits.written`` and ``Edits.pending``.
    Locks stay as they are.
    """
    params: dict[str, str] = {}
    changes: list[Change] = []
    for row in FIELDS:
        held = row.has(item)
        if not row.shared or not isinstance(held, tuple):
            continue
        ours = {folded(tag) for one in written for tag in _stored(one, row.name, ()) or ()}
        theirs = tuple(tag for tag in held if folded(tag) not in ours)
        if theirs != held:
            changes.append(Change(row.name, held, theirs))
            params |= parameters(row.plex, theirs, held)
            params[f"{row.plex}.locked"] = "1" if row.plex in item.locked else "0"
    return Edits(params, tuple(change.field for change in changes), tuple(changes))


def shared_of(written: Mapping[str, object]) -> dict[str, Value]:
    """The part of what was written that is in lists we share with other people."""
    values = {row.name: _stored(written, row.name, ()) for row in FIELDS if row.shared}
    return {name: value for name, value in values.items() if value}


def inherited(written: Mapping[str, object], of_another: Mapping[str, object]) -> dict[str, object]:
    """What counts as written for a scene whose item was another scene's as well: also what that one added to
    shared lists."""
    both = {**written}
    for name, tags in shared_of(of_another).items():
        both[name] = tag_list((*(_stored(written, name, ()) or ()), *tags))
    return both


def ours(written: Mapping[str, object]) -> set[str]:
    """The fields we wrote to, of all that is remembered."""
    return {
        name for name in written if not name.endswith(_FOUND) and written.get(name + _FOUND) != written[name]
    }


def written_by_us(written: Mapping[str, object], name: str, like: Value = "") -> Value | None:
    """What was written last, of the kind ``like`` is; None also when it was Plex's and went to Stash."""
    last, taken = (_stored(written, key, like) for key in (name, name + _FROM_PLEX))
    return None if last is not None and _agree(last, taken) else last


def written_by_us_and_shown(written: Mapping[str, object], name: str) -> list[Value]:
    """What was written last, and what Plex made of it."""
    values = [written_by_us(written, name), _stored(written, name + _SHOWN, "")]
    return [value for value in values if value is not None]


def _stored(written: Mapping[str, object] | None, name: str, wanted: Value) -> Value | None:
    """What we wrote last, if it is of the kind the field is; JSON has made lists of tuples."""
    last = (written or {}).get(name)
    if isinstance(wanted, str):
        return last if isinstance(last, str) else None
    return tuple(str(tag) for tag in last) if isinstance(last, (list, tuple)) else None


def _out_of_100(rating: float | None) -> int | None:
    """A rating of Plex as Stash knows it; None when it has none or none Stash can have. That Plex has none any
    more is no reason to take Stash's away: it may be another owner's token, or a new library."""
    number = round(float(rating_text(rating) or 0) * 10)
    return number if 1 <= number <= 100 else None


def _is_newer(scene: Scene, changed_at: int) -> bool:
    """Was the scene edited after the item was? Two clocks are compared, and Plex's moves with every analysis too,
    so this is a guess; without dates Stash is the newer one."""
    try:
        edited = datetime.datetime.fromisoformat(scene.updated_at)
    except ValueError:
        return True
    return edited.tzinfo is None or edited.timestamp() >= changed_at


def parameters(kind: str, goal: Value, held: Value) -> dict[str, str]:
    if isinstance(goal, str):
        return {f"{kind}.value": goal}
    there = {folded(tag): tag for tag in held}
    kept = {folded(tag) for tag in goal}
    params = {f"{kind}[{i}].tag.tag": there.get(folded(tag), tag) for i, tag in enumerate(goal)}
    surplus = [tag for tag in held if folded(tag) not in kept]
    if surplus:
        params[f"{kind}[].tag.tag-"] = ",".join(urllib.parse.quote(tag) for tag in surplus)
    return params


def fingerprint(scene: Scene, settings: Settings, wants: Mapping[str, Value] | None = None) -> str:
    """Equal for two looks at a scene exactly when a ``plan`` for an unchanged item would be equal too.

    Whoever remembers it beside ``Edits.written`` need not ask Plex about a scene that has not changed. ``wants`` are
    the scene's ``wanted_values``, if they are known.
    """
    parts = [
        _RULES_VERSION,
        wanted_values(scene, settings) if wants is None else wants,
        plex_paths(scene, settings.path_map),
        settings.plex_library,
        settings.keep_unlocked,
        settings.respect_locks,
        settings.conflict_policy,
        *(["exact_paths"] if settings.exact_paths else []),
        *(["fill"] if settings.first_contact == "fill" else []),
        *([photo_addresses(scene, settings, scene.performers)] if settings.photo_address else []),
        *([role_texts(scene, settings, scene.performers)] if settings.role_template else []),
        *([bool(scene.play_count)] if settings.write_watched else []),
    ]
    return hashlib.sha256(_in_order(parts).encode()).hexdigest()
