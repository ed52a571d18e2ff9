"""Filters, operators and sorts of a section listing: `title=x&year>>=1990&push=1&genre=5&or=1&actor=7&pop=1`.

`parse` turns parameters into a predicate over items, `ordering` a sort into a list of items sorted. Operators
as served in the Meta of PMS 1.41: string = contains, != not, == is, !== is not, <= begins, >= ends; integer =
!= >>= <<=; date >>= <<=; tag, boolean and resolution = and !=. A comma is "or" inside a value, a repeated key
is "and".

Pure but for the library it looks tags up in; `now` is epoch seconds.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

Predicate = Callable[[Any], bool]

TAG_FIELDS = ("genre", "collection", "director", "writer", "producer", "actor", "country", "label")

# What is read from an item for each field; None when the item has no such value.
STRINGS: dict[str, Callable[[Any], Any]] = {
    "title": lambda i: i.title,
    "titleSort": lambda i: i.title_sort,
    "studio": lambda i: i.fields.get("studio"),
    "summary": lambda i: i.fields.get("summary"),
    "tagline": lambda i: i.fields.get("tagline"),
    "originalTitle": lambda i: i.fields.get("originalTitle"),
    "editionTitle": lambda i: i.fields.get("editionTitle"),
    "file": lambda i: "\n".join(m.file for m in i.media),
}
INTEGERS: dict[str, Callable[[Any], Any]] = {
    "year": lambda i: i.fields.get("year"),
    "decade": lambda i: None if i.fields.get("year") is None else i.fields["year"] // 10 * 10,
    "duration": lambda i: i.duration_ms or None,
    "userRating": lambda i: i.fields.get("userRating"),
    "rating": lambda i: i.fields.get("rating"),
    "audienceRating": lambda i: i.fields.get("audienceRating"),
    "viewCount": lambda i: i.view_count,
    "viewOffset": lambda i: i.view_offset_ms,
    "mediaSize": lambda i: sum(m.size for m in i.media) or None,
    "mediaBitrate": lambda i: i.media[0].bitrate if i.media else None,
    "mediaHeight": lambda i: i.media[0].height if i.media else None,
    "id": lambda i: i.key,
    "index": lambda i: getattr(i, "tag", i.key),  # of a collection the id of its tag
}
DATES: dict[str, Callable[[Any], Any]] = {
    "originallyAvailableAt": lambda i: _day(i.fields.get("originallyAvailableAt")),
    "addedAt": lambda i: i.added_at,
    "updatedAt": lambda i: i.updated_at,
    "lastViewedAt": lambda i: i.last_viewed_at,
    "lastRatedAt": lambda i: i.last_rated_at,
}
EXACT: dict[str, Callable[[Any], Any]] = {
    "guid": lambda i: i.guid,
    "contentRating": lambda i: i.fields.get("contentRating"),
    "resolution": lambda i: resolution(i.media[0].height) if i.media else None,
    "audioLanguage": lambda i: next((code for m in i.media for code in m.languages), None),
    "subtitleLanguage": lambda i: next((code for m in i.media for code in m.subtitles), None),
}
# Studio is a string to the operators, but a filter choice as well: plain = of a served choice is exact on
# both readings.
BOOLEANS: dict[str, Callable[[Any], bool]] = {
    "unwatched": lambda i: not i.view_count,
    "inProgress": lambda i: bool(i.view_offset_ms),
    "unmatched": lambda i: (
        ".agents.none" not in i.guid and not i.guid.startswith(("plex://", "collection://"))
    ),
    "duplicate": lambda i: len(i.media) > 1,
    "hdr": lambda i: False,
    "trash": lambda i: i.deleted_at is not None,
}


def resolution(height: int) -> str:
    """What Plex calls a picture of that height."""
    for least, name in ((2000, "4k"), (1000, "1080"), (700, "720"), (570, "576"), (400, "480")):
        if height >= least:
            return name
    return "sd"


def _day(text: str | None) -> int | None:
    if not text:
        return None
    day = datetime.date.fromisoformat(text)
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp())


_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "mon": 2592000, "y": 31536000}


def moment(text: str, now: float) -> int:
    """Epoch seconds of "1700000000", "2024-05-17" or, relative to now, "-30d"; ValueError when it is none."""
    if relative := re.fullmatch(r"-(\d+)(mon|[smhdwy])", text):
        return int(now - int(relative[1]) * _SPANS_S[relative[2]])
    if re.fullmatch(r"\d{4}-\d\d?-\d\d?", text):
        year, month, day = map(int, text.split("-"))
        found = _day(datetime.date(year, month, day).isoformat())
        assert found is not None
        return found
    return int(text)


def parse(params: Iterable[tuple[str, str]], library: Any, now: float) -> Predicate | None:
    """The predicate of a listing's parameters; None when nothing filters. ValueError: a value cannot be read."""
    stack: list[tuple[list[Predicate], bool]] = []
    parts: list[Predicate] = []
    either = False
    for key, value in params:
        if key == "push":
            stack.append((parts, either))
            parts, either = [], False
        elif key == "pop":
            group = _joined(parts, either)
            parts, either = stack.pop() if stack else ([], False)
            if group is not None:
                parts.append(group)
        elif key == "or":
            either = True
        elif key == "and":
            either = False
        else:
            one = _condition(key, value, library, now)
            if one is not None:
                parts.append(one)
    while stack:
        group = _joined(parts, either)
        parts, either = stack.pop()
        if group is not None:
            parts.append(group)
    return _joined(parts, either)


def _joined(parts: list[Predicate], either: bool) -> Predicate | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    if either:
        return lambda item: any(part(item) for part in parts)
    return lambda item: all(part(item) for part in parts)


def _condition(key: str, value: str, library: Any, now: float) -> Predicate | None:
    """One parameter; None when it is no filter. The last character of an operator is the "=" before the
    value.
    """
    found = re.fullmatch(r"(?:(?:movie|collection)\.)?([A-Za-z]+)(!=|=|!|<<|>>|<|>|&)?", key)
    if found is None:
        return None
    name, operator = found[1], found[2] or ""
    if name in TAG_FIELDS:
        return _negated(_tagged(name, value, library), operator == "!")
    if name in STRINGS:
        return _text(STRINGS[name], operator, value)
    if name in INTEGERS:
        numbers = [float(v) for v in value.split(",")]
        return _number(INTEGERS[name], operator, numbers)
    if name in DATES:
        return _number(DATES[name], operator, [float(moment(v, now)) for v in value.split(",")])
    if name in EXACT:
        read, wanted = EXACT[name], set(value.split(","))
        return _negated(lambda item: read(item) in wanted, operator == "!")
    if name in BOOLEANS:
        yes = (value not in ("0", "false", "")) != (operator == "!")
        check = BOOLEANS[name]
        return lambda item: check(item) is yes
    return None


def _negated(one: Predicate, no: bool) -> Predicate:
    return (lambda item: not one(item)) if no else one


def _tagged(kind: str, value: str, library: Any) -> Predicate:
    wanted = {tag.id for name in value.split(",") if (tag := library.tag_named(kind, name)) is not None}
    return lambda item: any(tagging.tag in wanted for tagging in item.tags.get(kind, ()))


def _text(read: Callable[[Any], Any], operator: str, value: str) -> Predicate:
    wanted = [v.casefold() for v in value.split(",")] if operator in ("", "!") else [value.casefold()]
    tests: dict[str, Callable[[str, str], bool]] = {
        "": lambda text, v: v in text,
        "=": lambda text, v: text == v,
        "<": lambda text, v: text.startswith(v),
        ">": lambda text, v: text.endswith(v),
    }
    if operator in ("!", "!="):
        return _negated(_text(read, {"!": "", "!=": "="}[operator], value), True)
    test = tests.get(operator, tests[""])
    if operator == "" and "," in value:
        # A title may hold a comma: the whole value counts as well as its parts.
        wanted.append(value.casefold())

    if operator == "" and len(wanted) == 1:
        # By far the most frequent search, over every item there is.
        (only,) = wanted
        return lambda item: only in (read(item) or "").casefold() if only else read(item) is not None

    def matches(item: Any) -> bool:
        text = read(item)
        if text is None:
            return False
        text = text.casefold()
        return any(test(text, v) for v in wanted)

    return matches


def _number(read: Callable[[Any], Any], operator: str, values: list[float]) -> Predicate:
    tests: dict[str, Callable[[float], bool]] = {
        "": lambda n: n in values,
        "!": lambda n: n not in values,
        ">>": lambda n: n > values[0],
        "<<": lambda n: n < values[0],
        ">": lambda n: n >= values[0],
        "<": lambda n: n <= values[0],
    }
    test = tests.get(operator, tests[""])

    def matches(item: Any) -> bool:
        number = read(item)
        return operator == "!" if number is None else test(number)

    return matches


# --- order --------------------------------------------------------------------------------------------------


def ordering(items: Iterable[Any], sort: str | None, rng: random.Random) -> list[Any]:
    """The items sorted by "movie.addedAt:desc,titleSort"; titleSort when nothing is asked, unknown keys
    ignored.

    Items without a value come last in either direction.
    """
    found = list(items)
    if not sort:
        return sorted(found, key=lambda i: i.order)
    for part in reversed(sort.split(",")):
        name, _, direction = part.partition(":")
        name = name.rpartition(".")[2]
        down = direction.startswith("desc")
        if name == "random":
            rng.shuffle(found)
            continue
        if name in ("titleSort", "title"):
            found.sort(key=lambda i: i.order[0], reverse=down)
            continue
        read = INTEGERS.get(name) or DATES.get(name) or STRINGS.get(name) or EXACT.get(name)
        if read is None:
            continue
        with_value = [i for i in found if read(i) is not None]
        without = [i for i in found if read(i) is None]
        found = sorted(with_value, key=read, reverse=down) + without
    return found


# --- a whole listing ----------------------------------------------------------------------------------------


class _ByTitle(Sequence[Any]):
    """The movies of a section in their standing order, looked up only where a page wants them."""

    def __init__(self, library: Any, section: Any) -> None:
        self.order, self.items = section.order, library.items

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return [self.items[key] for _, key in self.order[which]]
        return self.items[self.order[which][1]]


_NO_FILTERS = ("type", "sort", "limit", "checkFiles")


def select(library: Any, section: Any, params: Iterable[tuple[str, str]]) -> Sequence[Any]:
    """The items a listing's parameters ask for, filtered, sorted and limited; of all sections when it is
    None.

    ValueError when a parameter cannot be read.
    """
    params = [(k, v) for k, v in params if not k.startswith(("X-Plex-", "include", "exclude"))]
    given = dict(params)
    number = given.get("type", "1")
    sections = [section] if section is not None else list(library.sections.values())
    keep = parse([(k, v) for k, v in params if k not in _NO_FILTERS], library, library.clock())
    sort = given.get("sort")
    rows: Sequence[Any]
    if number == "18":
        rows = [c for s in sections for c in library.collections(s)]
    elif section is not None and number == "1" and keep is None and not sort and "limit" not in given:
        return _ByTitle(library, section)
    elif number == "1":
        rows = [item for s in sections for item in library.movies(s)]
    else:
        rows = []
    if keep is not None:
        rows = [item for item in rows if keep(item)]
    if sort:
        rows = ordering(rows, sort, library.rng)
    if given.get("limit", "").isdigit():
        rows = rows[: int(given["limit"])]
    return rows


def smart(library: Any, content: str) -> Sequence[Any]:
    """What a smart collection or playlist holds now; `content` is the path and query of a section listing."""
    path, _, query = unquote(content).partition("?") if "?" not in content else content.partition("?")
    found = re.search(r"/library/sections/(\d+)/", path)
    section = library.sections.get(int(found[1])) if found else None
    if section is None:
        return ()
    return select(library, section, parse_qsl(query, keep_blank_values=True))
