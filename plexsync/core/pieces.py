"""An edit in two pieces, for when it is too long for one request.

All of an edit travels in the address, and how long one may be is not known: people met 414 from Plex when some
hundred items were named in one (spotify-to-plex PR#23, Maintainerr#3001), and proxies take 8 kB as a rule. So an edit
is sent whole, and only what is refused for its length is halved, and halved again.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping

Params = Mapping[str, str]

_KIND = re.compile(r"[A-Za-z]+")
_TAG = re.compile(r"[A-Za-z]+\[(\d+)\](\..+)")
_GONE = "[].tag.tag-"


def halves(params: Params) -> tuple[Params, Params] | None:
    """Two edits that do together what this one does, if they are made in this order; None for a single value.

    Each field keeps its lock, in both pieces where its tags are shared out; tags are counted from 0 in each, as a
    server that appends takes them. Texts come first, the longest before all others: one that is too long by itself
    is refused before anything is written.
    """
    fields: dict[str, dict[str, str]] = {}
    for key, value in params.items():
        fields.setdefault(kind_of(key), {})[key] = value
    if len(fields) > 1:
        order = sorted(fields, key=lambda kind: (f"{kind}.value" not in fields[kind], -_length(fields[kind])))
        here = _half([_length(fields[kind]) for kind in order])
        return _joined(fields[kind] for kind in order[:here]), _joined(fields[kind] for kind in order[here:])
    ((kind, one),) = fields.items()
    tags = _tags(kind, one)
    if len(tags) < 2:
        return None
    here = _half([_length(tag) for tag in tags])
    lock = {key: value for key, value in one.items() if key == f"{kind}.locked"}
    return {**_counted(kind, tags[:here]), **lock}, {**_counted(kind, tags[here:]), **lock}


def kind_of(key: str) -> str:
    """The field a parameter is about, as Plex calls it."""
    found = _KIND.match(key)
    return found.group() if found else key


def _tags(kind: str, params: Params) -> list[dict[str, str]]:
    """What is said of each tag: of one that is added by the end of its keys, of one that goes as it is."""
    added: dict[int, dict[str, str]] = {}
    for key, value in params.items():
        if found := _TAG.fullmatch(key):
            added.setdefault(int(found[1]), {})[found[2]] = value
    gone = params.get(kind + _GONE, "")
    return [*(added[number] for number in sorted(added)), *({_GONE: tag} for tag in gone.split(",") if tag)]


def _counted(kind: str, tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    params: dict[str, str] = {}
    gone, number = [], 0
    for tag in tags:
        if _GONE in tag:
            gone.append(tag[_GONE])
        else:
            params |= {f"{kind}[{number}]{end}": value for end, value in tag.items()}
            number += 1
    if gone:
        params[kind + _GONE] = ",".join(gone)
    return params


def _length(params: Params) -> int:
    """Characters it takes in an address."""
    return sum(len(key) + len(urllib.parse.quote(value, safe="")) + 8 for key, value in params.items())


def _half(lengths: list[int]) -> int:
    """How many of them come to about half of all; at least one, and never all."""
    whole, sofar = sum(lengths), 0
    for number, length in enumerate(lengths[:-1]):
        sofar += length
        if sofar * 2 >= whole:
            return number + 1
    return len(lengths) - 1


def _joined(parts: Iterable[Params]) -> dict[str, str]:
    return {key: value for part in parts for key, value in part.items()}
