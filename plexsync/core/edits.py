"""What to change on a Plex item so that it says what the scene says.

``FIELDS`` has a row for each field we sync. ``plan`` settles row by row (``merge.settle``) and returns
``Edits``: the parameters of one PUT to ``/library/sections/<id>/all``, in the form python-plexapi 4.18 sends.
Nothing to change, no parameters.

How Plex takes them (PMS 1.41, python-plexapi's own tests against it):

- ``<field>.value`` with ``<field>.locked=1``; an empty value clears the field. What is not locked is rewritten by the
  next metadata refresh, so a value that is right but not locked counts as a difference.
- ``<kind>[i].tag.tag`` adds tags and ``<kind>[].tag.tag-`` removes some: names quoted one by one, joined with commas.
  Today's servers append, some are said to have replaced: we send all the wanted tags and the removal of the others,
  which ends the same on both.
- Tags come back in the case of an older tag of the same name (a label with a capital first letter), so they are
  compared without case, and a tag that is already there is sent as Plex spells it.

Choices of ours, each a rule of one sentence:

- What is empty in Stash is cleared in Plex only if we wrote it there (``merge`` tells how we know). Without memory a
  lock tells it, if the title, which is written to every item, is locked as well.
- Labels and collections are shared with other people: of those we remove only what we added.
- What the settings leave alone stays remembered. Where they want tags or collections no longer, ours go.
- An item that two scenes share is an edit of nobody's when it has what was written for the other one.
- A partial date is its first day: 2024 is written as 2024-01-01, 2024-05 as 2024-05-01.
- rating100 is the user's rating out of 10; Plex shows 85 as eight and a half.
- Texts beyond TEXT_LIMIT and SUMMARY_LIMIT characters end in "…": they travel in the URL.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plexsync.core import template
from plexsync.core.cast import kept as kept_roles
from plexsync.core.cast import recalled, role, to_write
from plexsync.core.item import Item
from plexsync.core.match import plex_paths
from plexsync.core.merge import Rules, Step, Value, folded, same, settle, without_theirs
from plexsync.core.scene import Performer, Scene, writable
from plexsync.core.settings import Settings

TEXT_LIMIT = 1_000
SUMMARY_LIMIT = 10_000
WATCHED, YES = "watched", "yes"  # a field of its own request: Plex has no parameter for it
ROLES = "roles"  # beside the fields in what is remembered as written: a line for each actor we gave a role
PHOTOS = "photos"  # beside the fields in what is remembered as written: the addresses of actors' photos
TAKEN = " taken"  # after a field's name, likewise: its value, when that came from Plex to Stash
REFUSED = " refused"  # after a field's name, likewise: what Stash said when Plex's later edit of it was kept
_in_order = json.JSONEncoder(sort_keys=True).encode  # made once: it is used for every scene
_RULES_VERSION = 1  # of how a scene becomes values; a new one makes every fingerprint a new one


@dataclass(frozen=True)
class Change:
    """One field that differs: what Plex has, and what it is to have."""

    field: str
    before: Value
    after: Value


@dataclass(frozen=True)
class Kept:
    """One field that differs and stays as it is in Plex, and why (Step.KEEP_EDIT or Step.KEEP_LOCK)."""

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

    ``intended`` is what to remember before they are sent: per field that is written our value, empty where
    it is cleared. Should the answer be lost, Plex may have it now, later or never.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    written: Mapping[str, Value] = field(default_factory=dict)
    intended: Mapping[str, Value] = field(default_factory=dict)
    watched: bool | None = None  # what the item is to be marked as
    rating100: int | None = None  # what Stash is to be told, because a person rated the item in Plex

    def __bool__(self) -> bool:
        return bool(self.params) or self.watched is not None


@dataclass(frozen=True)
class Field:
    """One row: a field we sync."""

    name: str  # as we call it in logs and settings
    plex: str  # as Plex's edit calls it
    # What Stash says it should be, empty when that is unset; None when the settings leave the field alone.
    wants: Callable[[Scene, Settings], Value | None]
    has: Callable[[Item], Value]
    # A metadata refresh rewrites it unless it is locked. A person's rating is nobody's metadata.
    refreshed: bool = True
    shared: bool = False  # other people add to this list too
    # Whether the settings want it no longer, as against leaving it alone: what we added is taken away then.
    ended: Callable[[Settings], bool] = lambda settings: False


def plan(
    scene: Scene,
    item: Item,
    settings: Settings,
    written: Mapping[str, object] | None = None,
    intended: Sequence[Mapping[str, object]] = (),
    wants: Mapping[str, Value] | None = None,
    beside: Sequence[Mapping[str, object]] = (),
) -> Edits:
    """The edits that bring ``item`` in sync with ``scene``; ``wants`` are its ``wanted_values``, if they are known.

    ``written`` is what was remembered of this very item (``Edits.written``, perhaps through JSON); None when
    nothing is. ``intended`` are the ``Edits.intended`` of writes to it whose end nobody saw, oldest first. ``beside``
    is what was remembered of the same item for other scenes.
    Laws: plan again on an item that took the edits, and nothing is left; every parameter belongs to a field
    in ``fields``; fields that are in sync or kept are not touched; what only we can have written is never taken
    for somebody's edit.
    """
    params: dict[str, str] = {}
    changes: list[Change] = []
    kept: list[Kept] = []
    ours: dict[str, Value] = {}
    aims: dict[str, Value] = {}
    rating100: int | None = None
    actors: Value = ()
    wants = wanted_values(scene, settings) if wants is None else wants
    as_found = item
    locks_are_ours = "title" in wants and "title" in item.locked
    for row in FIELDS:
        held = row.has(item)
        wanted, last = wants.get(row.name), _remembered(written, row.name, held)
        tried = [value for one in intended if (value := _remembered(one, row.name, held)) is not None]
        if wanted is None:
            if row.ended(settings) and isinstance(held, tuple):
                ending = _ending(row, held, item, [value for value in (last, *tried) if value])
                changes += ending.changes
                params |= ending.params
                aims |= ending.intended
            else:  # left alone for now, and perhaps not for ever
                names = [row.name + suffix for suffix in ("", TAKEN, REFUSED)]
                meanwhile = {name: _remembered(written, name, held) for name in names}
                ours |= {name: value for name, value in meanwhile.items() if value is not None}
            continue
        # A line break that is not escaped comes out of XML as a space; what we wrote so is ours all the same.
        held = next((v for v in (last, *tried) if isinstance(v, str) and held == v.replace("\n", " ")), held)
        theirs: tuple[str, ...] = ()
        if row.shared and isinstance(wanted, tuple) and isinstance(held, tuple):
            added = tuple(tag for value in (last, *tried) if isinstance(value, tuple) for tag in value)
            wanted, held, theirs = without_theirs(wanted, held, added)
        # Of a write that seemed to fail and landed all the same, Plex has what we wanted to write then.
        last = next((value for value in (last, *reversed(tried)) if _agree(held, value)), last)
        if held != row.has(as_found) and any(_agree(row.has(as_found), value) for value in (last, *tried)):
            last = held  # a sort title of ours that follows the new title by itself is nobody's edit
        of_another = (
            bool(held)
            and not row.shared
            and not _agree(held, last)
            and any(_agree(row.has(as_found), written_by_us(one, row.name, wanted)) for one in beside)
        )
        if of_another:
            last = held if wanted else None
        locked = row.plex in item.locked
        rules = Rules(
            policy=settings.policy(row.name),
            respect_locks=settings.respect_locks,
            locks_are_ours=locks_are_ours and not beside,
            by_person=not row.refreshed,
            stash_is_newer=_is_newer(scene, (row.name == "rating" and item.last_rated_at) or item.updated_at),
        )
        refused = _remembered(written, row.name + REFUSED, wanted)
        step = settle(
            wanted, held, last, known=written is not None, locked=locked, rules=rules, refused=refused
        )
        remembered = wanted if step in (Step.LEVEL, Step.WRITE) else last
        if step is Step.LEVEL and locked and last is None and settings.respect_locks:
            remembered = None  # the same by chance, and locked by somebody else
        kept_in_plex = step in (Step.KEEP_EDIT, Step.KEEP_LOCK)
        plexs_stays = (kept_in_plex or step is Step.LEAVE) and not of_another
        if row.name == "rating" and settings.ratings_to_stash and plexs_stays:
            rating100 = _out_of_100(item.user_rating)
        if row.name == "rating" and rating100 is not None:
            # Both sides have it soon; should Stash make something else of it, that will count.
            remembered = ours[row.name + TAKEN] = held
        elif kept_in_plex:
            kept.append(Kept(row.name, held, wanted, step))
            if rules.policy == "newest" and not _agree(wanted, last):
                ours[row.name + REFUSED] = wanted
        if step is Step.LEVEL and _agree(wanted, _remembered(written, row.name + TAKEN, wanted)):
            ours[row.name + TAKEN] = wanted
        if remembered:  # of a field that was cleared nothing is ours any more
            ours[row.name] = remembered
        bare = row.refreshed and not row.shared and not locked and not settings.keep_unlocked
        if row.name == "performers" and isinstance(wanted, tuple):
            actors = wanted if step is Step.WRITE else row.has(item)
        if step is Step.WRITE or (step is Step.LEVEL and wanted and bare):
            change = Change(
                row.name, row.has(item), (*theirs, *wanted) if isinstance(wanted, tuple) else wanted
            )
            changes.append(change)
            aims[row.name] = wanted
            if row.name == "title" and isinstance(wanted, str):
                item = replace(item, title=wanted)  # a sort title Plex does not name follows the title
            params |= _parameters(row.plex, change.after, change.before)
            params[f"{row.plex}.locked"] = "0" if settings.keep_unlocked else "1"
    held_roles = {folded(actor.name): actor.role for actor in item.actors}
    roles: dict[str, str] = {}
    last_roles, *tried_roles = (recalled(_remembered(one, ROLES, ()) or ()) for one in (written, *intended))
    ours_now: Mapping[str, str] = last_roles
    if settings.role_template and "performers" in wants:
        wanted_roles = _roles(scene, settings, actors)
        # Of a write that seemed to fail and landed all the same, as above.
        landed = {
            name: text
            for one in tried_roles
            for name, text in one.items()
            if text == held_roles.get(name) != last_roles.get(name)
        }
        newer = _is_newer(scene, item.updated_at)
        rules = Rules(settings.policy(ROLES), settings.respect_locks, stash_is_newer=newer)
        # A lock on actors we wrote is ours.
        locked = "actor" in item.locked and "performers" not in ours
        roles = to_write(wanted_roles, held_roles, last_roles | landed, locked=locked, rules=rules)
        ours_now = {
            name: text if name in roles or held_roles.get(name) == text else last_roles.get(name, "")
            for name, text in wanted_roles.items()
        }
    if any(ours_now.values()):
        ours[ROLES] = kept_roles({name: text for name, text in ours_now.items() if text})
    if roles:
        held_then = {name: held_roles.get(name, "") for name in roles}
        changes.append(Change(ROLES, _shown_roles(held_then), _shown_roles(roles)))
        aims[ROLES] = kept_roles(roles)
        params |= _named_actors(params, actors, item)
    photos = _photos(scene, settings, actors)
    if photos:
        ours[PHOTOS] = tuple(photos.values())
        shown = {*(_remembered(written, PHOTOS, ()) or ()), *(actor.photo for actor in item.actors)}
        if shown.issuperset(photos.values()):
            photos = {}
        else:
            before = tuple(actor.photo for actor in item.actors if actor.photo)
            changes.append(Change(PHOTOS, before, tuple(photos.values())))
            params |= _named_actors(params, actors, item)
    params |= _beside_actors(
        params, {name: role for name, role in held_roles.items() if role} | roles, photos
    )
    watched = None
    if not settings.write_watched:
        marked = _remembered(written, WATCHED, "")
        if marked:
            ours[WATCHED] = marked
    else:
        played, seen = YES if scene.play_count else "", YES if item.view_count else ""
        last = _remembered(written, WATCHED, played)
        tried = [mark for one in intended if (mark := _remembered(one, WATCHED, played)) is not None]
        last = next((mark for mark in reversed(tried) if mark == seen), last)
        rules = Rules(settings.policy(WATCHED), stash_is_newer=_is_newer(scene, item.last_viewed_at))
        step = settle(played, seen, last, known=written is not None, locked=False, rules=rules)
        if step is Step.WRITE:
            watched = bool(played)
            changes.append(Change(WATCHED, seen, played))
            aims[WATCHED] = played
        elif step is Step.KEEP_EDIT:
            kept.append(Kept(WATCHED, seen, played, step))
        remembered = played if step in (Step.LEVEL, Step.WRITE) else last
        if remembered:
            ours[WATCHED] = remembered
    return Edits(
        params,
        tuple(change.field for change in changes),
        tuple(changes),
        tuple(kept),
        ours,
        aims,
        watched,
        rating100,
    )


def _ending(row: Field, held: tuple[str, ...], item: Item, added: Iterable[Value]) -> Edits:
    """The edits that take what we added from a list the settings want no more; a list that is empty then is no longer
    locked."""
    _, ours, theirs = without_theirs((), held, tuple(tag for some in added for tag in some))
    if not ours:
        return Edits()
    params = _parameters(row.plex, theirs, held)
    params[f"{row.plex}.locked"] = "1" if theirs and row.plex in item.locked else "0"
    return Edits(params, changes=(Change(row.name, held, theirs),), intended={row.name: ()})


def _photos(scene: Scene, settings: Settings, actors: Iterable[str]) -> dict[str, str]:
    """The address under which Plex can fetch each actor's picture, by the folded name; without those who have none."""
    if not settings.photo_address:
        return {}
    paths = {folded(_line(name)): path for name, path in scene.photos}
    names = (folded(name) for name in actors)
    return {name: settings.photo_address + paths[name] for name in names if name in paths}


def _roles(scene: Scene, settings: Settings, actors: Iterable[str]) -> dict[str, str]:
    """The role text of each of these actors, by the folded name; "" where nothing is known to make it of. Of two
    performers of one name the first is meant."""
    values, day = _values(scene, settings)
    performers = {folded(_line(name)): Performer(name) for name in scene.performers}
    performers |= {folded(_line(one.name)): one for one in reversed(scene.cast)}
    there = [name for name in map(folded, actors) if name in performers]
    return {name: _line(role(settings.role_template, performers[name], values, day)) for name in there}


def _shown_roles(roles: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}: {text}" for name, text in roles.items() if text)


def _named_actors(params: Mapping[str, str], actors: Value, item: Item) -> dict[str, str]:
    """The actors as they are, named so that something can go beside them; nothing where they are sent anyway."""
    if "actor.locked" in params:
        return {}
    return {**_parameters("actor", actors, actors), "actor.locked": "1" if "actor" in item.locked else "0"}


def _beside_actors(
    params: Mapping[str, str], roles: Mapping[str, str], photos: Mapping[str, str]
) -> dict[str, str]:
    """What goes beside the name of each actor that is sent: the photo, and the role it has or gets. Those somebody else
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


def farewell(item: Item, written: Sequence[Mapping[str, object]]) -> Edits:
    """The edits that take from ``item`` what we added to the lists we share with other people, when its scene
    has left Stash. Everything else stays: a title is no better for being cleared.

    ``written`` is all that was ever remembered of writes to it, ``Edits.written`` and ``Edits.intended``.
    Locks stay as they are.
    """
    params: dict[str, str] = {}
    changes: list[Change] = []
    for row in FIELDS:
        held = row.has(item)
        if not row.shared or not isinstance(held, tuple):
            continue
        ours = {folded(tag) for one in written for tag in _remembered(one, row.name, ()) or ()}
        theirs = tuple(tag for tag in held if folded(tag) not in ours)
        if theirs != held:
            changes.append(Change(row.name, held, theirs))
            params |= _parameters(row.plex, theirs, held)
            params[f"{row.plex}.locked"] = "1" if row.plex in item.locked else "0"
    return Edits(params, tuple(change.field for change in changes), tuple(changes))


def shared_of(written: Mapping[str, object]) -> dict[str, Value]:
    """The part of what was written that is in lists we share with other people."""
    values = {row.name: _remembered(written, row.name, ()) for row in FIELDS if row.shared}
    return {name: value for name, value in values.items() if value}


def inherited(written: Mapping[str, object], of_another: Mapping[str, object]) -> dict[str, object]:
    """What counts as written for a scene whose item was another scene's as well: also what that one added to
    shared lists."""
    both = {**written}
    for name, tags in shared_of(of_another).items():
        both[name] = _tags((*(_remembered(written, name, ()) or ()), *tags))
    return both


def written_by_us(written: Mapping[str, object], name: str, like: Value = "") -> Value | None:
    """What was written last, of the kind ``like`` is; None also when it was Plex's and went to Stash."""
    last, taken = (_remembered(written, key, like) for key in (name, name + TAKEN))
    return None if last is not None and _agree(last, taken) else last


def _remembered(written: Mapping[str, object] | None, name: str, wanted: Value) -> Value | None:
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


def _parameters(kind: str, goal: Value, held: Value) -> dict[str, str]:
    if isinstance(goal, str):
        return {f"{kind}.value": goal}
    there = {folded(tag): tag for tag in held}
    kept = {folded(tag) for tag in goal}
    params = {f"{kind}[{i}].tag.tag": there.get(folded(tag), tag) for i, tag in enumerate(goal)}
    surplus = [tag for tag in held if folded(tag) not in kept]
    if surplus:
        params[f"{kind}[].tag.tag-"] = ",".join(urllib.parse.quote(tag) for tag in surplus)
    return params


def wanted_values(scene: Scene, settings: Settings) -> dict[str, Value]:
    """Per field, what Stash says it should be; without the fields the settings leave alone."""
    values = {row.name: row.wants(scene, settings) for row in FIELDS}
    return {name: value for name, value in values.items() if value is not None}


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
        *([_photos(scene, settings, scene.performers)] if settings.photo_address else []),
        *([_roles(scene, settings, scene.performers)] if settings.role_template else []),
        *([bool(scene.play_count)] if settings.write_watched else []),
    ]
    return hashlib.sha256(_in_order(parts).encode()).hexdigest()


# --- what Stash says


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _line(text: str) -> str:
    """``text`` on one line: an XML attribute gives a line break or tab back as a space."""
    text = writable(text)
    return _cut(text if text.isprintable() else re.sub(r"\s*[\t\n]\s*", " ", text), TEXT_LIMIT)


def file_stem(scene: Scene) -> str:
    """The primary file's name without its extension; "" for a scene without files."""
    if not scene.files:
        return ""
    name = re.split(r"[\\/]", scene.files[0].path)[-1]
    stem, dot, _ = name.rpartition(".")
    return _line(stem if dot and stem else name)


def full_date(date: str | None) -> str:
    """``date`` completed to its first day; "" when it is no day of the calendar."""
    if not date:
        return ""
    year, month, day, *_ = [*date.split("-"), "01", "01"]
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def filled(text: str, scene: Scene, settings: Settings) -> str:
    """A template filled with the scene's parts; the title is the file's name where the scene has none."""
    return _line(template.fill(text, *_values(scene, settings)))


def _values(scene: Scene, settings: Settings) -> tuple[dict[str, str], datetime.date | None]:
    """What the names of a template stand for, and the day a form of {date} is applied to."""
    stem = file_stem(scene)
    date = full_date(scene.date)
    values = {
        "title": _line(scene.title) or stem,
        "stem": stem,
        "studio": _studio(scene, settings),
        "parent_studio": scene.parent_studio or "",
        "date": scene.date if date and scene.date else "",
        "code": scene.code,
        "director": scene.director,
        "performers": ", ".join(scene.performers),
        "tags": ", ".join(_mapped_tags(scene, settings)),
        "groups": ", ".join(scene.groups),
        "rating": "" if scene.rating100 is None else str(scene.rating100),
        "id": str(scene.id),
    }
    return values, datetime.date.fromisoformat(date) if date else None


def title(scene: Scene, settings: Settings) -> str:
    """The title by its template, else the scene's own, else the name of its file, as Stash's own pages show it."""
    made = filled(settings.title_template, scene, settings) if settings.title_template else ""
    return made or _line(scene.title) or file_stem(scene)


def _studio(scene: Scene, settings: Settings) -> str:
    return _line((scene.parent_studio if settings.parent_studio else None) or scene.studio or "")


def rating_text(value: float | None) -> str:
    """A rating out of 10 as both sides are compared: one decimal, none when it is whole."""
    return "" if value is None else f"{round(value, 1):g}"


def _tags(names: Iterable[str]) -> tuple[str, ...]:
    """Each name on one line, and once; Plex has no two tags that differ only in case."""
    found: dict[str, str] = {}
    for name in names:
        tag = _line(name)
        if tag:
            found.setdefault(folded(tag), tag)
    return tuple(found.values())


def _mapped_tags(scene: Scene, settings: Settings) -> tuple[str, ...]:
    names = {folded(pair.stash): pair.plex for pair in settings.tag_map}
    starts = [
        (pair.stash.removesuffix("*"), pair.plex) for pair in settings.tag_map if pair.stash.endswith("*")
    ]
    starts.sort(key=lambda pair: -len(pair[0]))
    return _tags(names.get(folded(tag), _by_start(tag, starts)) for tag in scene.tags)


def _by_start(tag: str, starts: Iterable[tuple[str, str]]) -> str:
    """The tag as the longest beginning that fits says, its own end in the place of the asterisk."""
    for start, plex in starts:
        if folded(tag[: len(start)]) == folded(start):
            return plex.replace("*", tag[len(start) :].strip(), 1)
    return tag


def _collections(scene: Scene, settings: Settings) -> tuple[str, ...]:
    sources: dict[str, Sequence[str]] = {
        "studio": [scene.studio or ""],
        "parent_studio": [scene.parent_studio or ""],
        "groups": scene.groups,
        "performers": scene.performers,
        "tags": _mapped_tags(scene, settings),
        "organized": ["Organized"] if scene.organized else [],
    }
    return _tags(name for source in settings.collections_from for name in sources[source])


def _unless_left(
    name: str, wants: Callable[[Scene, Settings], Value | None]
) -> Callable[[Scene, Settings], Value | None]:
    """``wants``, unless the user said to leave the field alone."""
    return lambda scene, settings: None if settings.leaves(name) else wants(scene, settings)


def _by_template(key: str) -> Callable[[Scene, Settings], Value | None]:
    """The text a template makes; left alone without one."""

    def wants(scene: Scene, settings: Settings) -> Value | None:
        text: str = getattr(settings, key)
        return filled(text, scene, settings) if text else None

    return wants


def _tags_as(labels: bool) -> Callable[[Scene, Settings], Value | None]:
    return lambda scene, settings: (
        None
        if settings.leaves("tags") or settings.tags_as_labels is not labels
        else _mapped_tags(scene, settings)
    )


FIELDS: tuple[Field, ...] = (
    # A scene always has a title, unless it has no file either; Plex never does without.
    Field(
        "title",
        "title",
        _unless_left("title", lambda scene, settings: title(scene, settings) or None),
        lambda item: item.title,
    ),
    Field(
        "summary",
        "summary",
        _unless_left("summary", lambda scene, settings: _cut(writable(scene.details), SUMMARY_LIMIT)),
        lambda item: writable(item.summary),
    ),
    Field("studio", "studio", _unless_left("studio", _studio), lambda item: item.studio),
    Field(
        "date",
        "originallyAvailableAt",
        _unless_left("date", lambda scene, settings: full_date(scene.date)),
        lambda item: item.originally_available_at or "",
    ),
    Field(
        "performers",
        "actor",
        _unless_left("performers", lambda scene, settings: _tags(scene.performers)),
        lambda item: tuple(actor.name for actor in item.actors),
    ),
    Field(
        "tags",
        "genre",
        _tags_as(labels=False),
        lambda item: item.genres,
        ended=lambda settings: settings.tags_as_labels and not settings.leaves("tags"),
    ),
    Field(
        "labels",
        "label",
        _tags_as(labels=True),
        lambda item: item.labels,
        shared=True,
        ended=lambda settings: not settings.tags_as_labels and not settings.leaves("tags"),
    ),
    Field(
        "rating",
        "userRating",
        _unless_left(
            "rating",
            lambda scene, settings: rating_text(None if scene.rating100 is None else scene.rating100 / 10),
        ),
        lambda item: rating_text(item.user_rating),
        refreshed=False,
    ),
    Field(
        "sort_title",
        "titleSort",
        # Plex has no title without a sort title: cleared, it would come back as the title.
        lambda scene, settings: (
            filled(settings.sort_title_template, scene, settings) or title(scene, settings) or None
            if settings.sort_title_template
            else None
        ),
        lambda item: item.title_sort or item.title,
    ),
    Field(
        "original_title",
        "originalTitle",
        _by_template("original_title_template"),
        lambda item: item.original_title,
    ),
    Field("tagline", "tagline", _by_template("tagline_template"), lambda item: item.tagline),
    Field(
        "content_rating",
        "contentRating",
        lambda scene, settings: _line(settings.content_rating) or None,
        lambda item: item.content_rating,
    ),
    Field(
        "directors",
        "director",
        lambda scene, settings: _tags(scene.director.split(",")) if settings.write_directors else None,
        lambda item: item.directors,
    ),
    Field(
        "collections",
        "collection",
        lambda scene, settings: _collections(scene, settings) if settings.collections_from else None,
        lambda item: item.collections,
        shared=True,
        ended=lambda settings: not settings.collections_from,
    ),
)
