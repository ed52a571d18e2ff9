"""Request -> library -> elements. A table of paths and a short function each; the rules are in library.py.

A function takes the Call and returns an El (sent as XML or JSON), None (the empty answer of an edit) or a
Raw; it may be a coroutine. What the library refuses is turned into a status by STATUSES.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulators.fake_plex import search, wire
from simulators.fake_plex.library import (
    Broken,
    Conflict,
    Forbidden,
    Item,
    Library,
    NoSuch,
    NotSeparate,
    Refused,
    Section,
)
from simulators.fake_plex.prefs import Pref
from simulators.fake_plex.wire import El

STATUSES: dict[type[Refused], int] = {
    Refused: 400,
    Forbidden: 403,
    NoSuch: 404,
    Conflict: 409,
    Broken: 500,
    NotSeparate: 501,
}


@dataclass(frozen=True)
class Raw:
    """An answer that is no element."""

    body: bytes
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Created:
    """An element sent with status 201."""

    root: El


@dataclass
class Call:
    """One request as the functions see it."""

    library: Library
    method: str
    path: str
    parts: tuple[str, ...]  # what the pattern caught
    params: Sequence[tuple[str, str]]
    headers: Any
    body: bytes
    fetch: Callable[[str], Awaitable[bytes]]  # downloads an image; Refused when it cannot be had

    def get(self, name: str, default: str = "") -> str:
        """A query parameter, the last of its name."""
        return next((v for k, v in reversed(self.params) if k == name), default)

    def flag(self, name: str) -> bool:
        return self.get(name, "0") not in ("", "0", "false")

    @property
    def window(self) -> tuple[int, int | None] | None:
        """(start, size) of a paged list, by header or by parameter; None when neither is there."""
        start = self._plex("Container-Start")
        size = self._plex("Container-Size")
        if start is None and size is None:
            return None
        return int(start or 0), None if size is None else int(size)

    def _plex(self, name: str) -> str | None:
        """An X-Plex- value, given as a header or as a query argument."""
        value = self.headers.get(f"X-Plex-{name}") or self.get(f"X-Plex-{name}") or None
        if value is not None and not value.isdigit():
            raise Refused
        return value

    def section(self) -> Section:
        return self.library.section(self.parts[0])


Handler = Callable[[Call], Any]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(methods: str, pattern: str) -> Callable[[Handler], Handler]:
    """Enters a function in the table; `*` in the pattern is one part of the path."""

    def enter(function: Handler) -> Handler:
        compiled = re.compile(pattern.replace("*", "([^/]+)"))
        ROUTES.extend((method, compiled, function) for method in methods.split())
        return function

    return enter


def find(method: str, path: str) -> tuple[Handler, tuple[str, ...]] | int:
    """The function for a request and the parts of its path; 404 or 405 when there is none."""
    known = False
    method = "GET" if method == "HEAD" else method
    for wanted, pattern, function in ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            if wanted == method:
                return function, found.groups()
            known = True
    return 405 if known else 404


# --- lists --------------------------------------------------------------------------------------------------


def windowed(call: Call, attributes: dict[str, Any], rows: Sequence[Any], make: Callable[[Any], El]) -> El:
    """The part of a list that was asked for, with size, totalSize and offset as the switches have it."""
    total = len(rows)
    window = call.window
    start, size = window if window is not None else (0, None)
    part = rows[start:] if size is None else rows[start : start + size]
    head: dict[str, Any] = {"size": len(part)}
    mode = call.library.switches.total_size
    everything = len(part) == total
    if size == 0 or mode == "always" or (window is not None and (mode == "windowed" or not everything)):
        head |= {"totalSize": total, "offset": start}
    return El("MediaContainer", {**head, **attributes}, [make(row) for row in part])


def summaries(call: Call, attributes: dict[str, Any], rows: Sequence[Item]) -> El:
    guids = call.flag("includeGuids")
    return windowed(call, attributes, rows, lambda item: wire.summary(call.library, item, guids))


def selected(call: Call, section: Section | None, params: Iterable[tuple[str, str]]) -> Sequence[Item]:
    """The items a listing's parameters ask for; Refused when one of them cannot be read."""
    try:
        return search.select(call.library, section, params)
    except ValueError as problem:
        raise Refused from problem


def read_prefs(known: Iterable[Pref], values: dict[str, Any], params: Iterable[tuple[str, str]]) -> None:
    """Takes the preferences among the parameters into `values`; others are ignored, as by the server (it
    answers 200).

    Refused when a value is not of the preference's type.
    """
    by_name = {pref.id.lower(): pref for pref in known}
    for name, text in params:
        pref = by_name.get(name.lower())
        if pref is not None:
            try:
                values[pref.id] = pref.read(unquote(text))
            except ValueError as problem:
                raise Refused from problem
