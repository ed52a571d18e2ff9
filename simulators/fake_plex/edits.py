"""What the parameters of an edit ask for:
`title.value=x&title.locked=1&genre[0].tag.tag=A&label[].tag.tag-=B`.

Sources: the requests python-plexapi 4.18.3 sends, and the notes on removal in its PR#1102. Pure; imports
nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True)
class Wanted:
    """A tag to be on the item; None means the request says nothing about it."""

    name: str
    text: str | None = None  # the role of an actor
    thumb: str | None = None


@dataclass(frozen=True)
class TagEdit:
    add: tuple[Wanted, ...] = ()  # by their index
    remove: tuple[str, ...] = ()
    clear: bool = False  # all taggings of the kind go first


@dataclass(frozen=True)
class Edit:
    values: dict[str, str] = field(default_factory=dict)
    locks: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, TagEdit] = field(default_factory=dict)


_SCALAR = re.compile(r"([A-Za-z]+)\.(value|locked)")
_INDEXED = re.compile(r"([a-z]+)\[(\d+)\]\.(tag\.tag|tag\.thumb|tag\.art|tagging\.text|locked)")
_REMOVED = re.compile(r"([a-z]+)\[\]\.tag(\.tag-?)?-?")


def parse(params: Iterable[tuple[str, str]], kinds: Iterable[str]) -> tuple[Edit, list[tuple[str, str]]]:
    """The edit, and the parameters that are none of it (section, ids, filters).

    `kinds` are the known tag kinds; an indexed or bracketed name of another kind is left among the others as
    "?name", which no filter knows.
    """
    edit, rest = Edit(), []
    indexed: dict[str, dict[int, dict[str, str]]] = {}
    removed: dict[str, list[str]] = {}
    cleared: set[str] = set()
    for name, value in params:
        if scalar := _SCALAR.fullmatch(name):
            if scalar[2] == "value":
                edit.values[scalar[1]] = value
            else:
                edit.locks[scalar[1]] = value not in ("", "0", "false")
        elif (one := _INDEXED.fullmatch(name)) and one[1] in kinds:
            if one[3] == "locked":
                edit.locks[one[1]] = value not in ("", "0", "false")
            else:
                indexed.setdefault(one[1], {}).setdefault(int(one[2]), {})[one[3]] = value
        elif (gone := _REMOVED.fullmatch(name)) and gone[1] in kinds:
            if name.endswith("-"):
                # Every tag is quoted, the list joined by commas and quoted again: "A,B" and "C" are A%2CB,C
                # here.
                removed.setdefault(gone[1], []).extend(unquote(tag) for tag in value.split(",") if tag)
            elif value == "":
                cleared.add(gone[1])
        elif "[" in name or name.count(".") > 1:
            rest.append((f"?{name}", value))
        else:
            rest.append((name, value))
    for kind in {*indexed, *removed, *cleared}:
        rows = [row for _, row in sorted(indexed.get(kind, {}).items())]
        add = tuple(
            Wanted(row["tag.tag"], row.get("tagging.text"), row.get("tag.thumb"))
            for row in rows
            if row.get("tag.tag")
        )
        edit.tags[kind] = TagEdit(add, tuple(removed.get(kind, ())), kind in cleared)
    return edit, rest
