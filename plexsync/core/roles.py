"""The role text below an actor's name: made by a template of what Stash says of the performer.

Stash knows no roles of its own. In Plex a role belongs to one actor on one item, and has no lock but that of the
actors as a whole.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from plexsync.core import template
from plexsync.core.fields import one_line, template_values
from plexsync.core.merge import Rules, Step, folded, settle
from plexsync.core.scene import Performer, Scene
from plexsync.core.settings import Settings

Roles = Mapping[str, str]  # by folded name


def role(text: str, performer: Performer, values: Mapping[str, str], day: datetime.date | None) -> str:
    """A template filled for one performer; ``values`` are the scene's, ``day`` is its date."""
    of_one = {
        "performer": performer.name,
        "disambiguation": performer.disambiguation,
        "gender": performer.gender,
        "country": performer.country,
        "age": _age(performer.birthdate, day),
    }
    return template.fill(text, {**values, **of_one}, day)


def to_write(wanted: Roles, held: Roles, last: Roles, *, locked: bool, rules: Rules) -> dict[str, str]:
    """The roles that differ and are to be written, "" where one is to go; of the actors in ``wanted`` alone.

    What we wrote and Plex has otherwise is not written again: somebody thinks otherwise, or Plex does not take the
    role of an actor it has already. Without memory nothing goes: nobody but people and we write roles.
    """
    found = {}
    for name, text in wanted.items():
        had = last.get(name)
        if name in held and had == text:
            continue
        if settle(text, held.get(name, ""), had, locked=locked, rules=rules) is Step.WRITE:
            found[name] = text
    return found


def kept(roles: Roles) -> tuple[str, ...]:
    """As they are remembered."""
    return tuple(f"{name}\t{text}" for name, text in roles.items())


def recalled(lines: Iterable[str]) -> dict[str, str]:
    return {name: text for name, _, text in (line.partition("\t") for line in lines)}


def _age(birthdate: str, day: datetime.date | None) -> str:
    """Full years, where both days are known."""
    try:
        born = datetime.date.fromisoformat(birthdate)
    except ValueError:
        return ""
    if day is None or day < born:
        return ""
    return str(day.year - born.year - ((day.month, day.day) < (born.month, born.day)))


def photo_addresses(scene: Scene, settings: Settings, actors: Iterable[str]) -> dict[str, str]:
    """The address under which Plex can fetch each actor's picture, by the folded name; without those who have none."""
    if not settings.photo_address:
        return {}
    paths = {folded(one_line(name)): path for name, path in scene.photos}
    names = (folded(name) for name in actors)
    return {name: settings.photo_address + paths[name] for name in names if name in paths}


def role_texts(scene: Scene, settings: Settings, actors: Iterable[str]) -> dict[str, str]:
    """The role text of each of these actors, by the folded name; "" where nothing is known to make it of. Of two
    performers of one name the first is meant."""
    values, day = template_values(scene, settings)
    performers = {folded(one_line(name)): Performer(name) for name in scene.performers}
    performers |= {folded(one_line(one.name)): one for one in reversed(scene.cast)}
    there = [name for name in map(folded, actors) if name in performers]
    return {name: one_line(role(settings.role_template, performers[name], values, day)) for name in there}
