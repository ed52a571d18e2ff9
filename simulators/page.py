"""The live page of a simulator at its control address (`--page`): the library as cards, the request journal beside it.

Read-only, one HTML file without anything from elsewhere; it asks `/page/data` again and again and shows what
changed between two answers. Which values make a card is a row of SHELVES for each service; both are read from
the service's `state`, or from `cards` where a service has a quicker way.

May be imported by simulators.serving. Imports: simulators.serving's values, standard library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARDS_MAX = 120
ROWS_MAX = 200
# A state that takes long to write is asked for less often, so that looking costs the service a tenth at most.
POLL_MS = 700


@dataclass(frozen=True)
class Shelf:
    """How one service's library is shown."""

    cards: Callable[[Any], list[dict[str, Any]]]  # its state -> cards, in any order
    picture: str  # the path of a card's picture at the service, {id} filled in
    key_header: str  # the header its key goes into
    key: str  # the key's name in the ready line


def _plex_cards(state: Any) -> list[dict[str, Any]]:
    return [plex_card(item) for section in state["sections"] for item in section["items"]]


def plex_card(item: Mapping[str, Any]) -> dict[str, Any]:
    fields, tags = item["fields"], item["tags"]
    return {
        "id": item["rating_key"],
        "title": item["title"],
        "studio": fields.get("studio", ""),
        "date": fields.get("originallyAvailableAt", ""),
        "people": tags.get("actor", []),
        "tags": [*tags.get("genre", []), *tags.get("label", []), *tags.get("collection", [])],
        "rating": fields.get("userRating"),
        "summary": fields.get("summary", ""),
        "file": item["file"] or "",
        "marks": [f"{name} locked" for name in item["locked"]],
        "picture": len(item["posters"]),
        "changed_at": item["updated_at"],
    }


def _stash_cards(state: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": scene["id"],
            "title": scene["title"] or Path(scene["path"] or "").stem,
            "studio": scene["studio"] or "",
            "date": scene["date"] or "",
            "people": scene["performers"],
            "tags": [*scene["tags"], *scene["groups"]],
            "rating": None if scene["rating100"] is None else scene["rating100"] / 10,
            "summary": scene["details"] or "",
            "file": scene["path"] or "",
            "marks": ["organized"] if scene["organized"] else [],
            "picture": int(bool(scene["cover"])),
            "changed_at": scene["updated_at"],
        }
        for scene in state["scenes"]
    ]


SHELVES = {
    "fake_plex": Shelf(_plex_cards, "/library/metadata/{id}/thumb/0", "X-Plex-Token", "token"),
    "fake_stash": Shelf(_stash_cards, "/scene/{id}/screenshot", "ApiKey", "api_key"),
}


def html() -> bytes:
    return Path(__file__).with_name("page.html").read_bytes()


def data(service: Any, journal: Any, up: bool, since: int) -> dict[str, Any]:
    """What the page asks for: the cards changed last, and the journal's rows after `since`."""
    began = time.monotonic()
    quick = getattr(service, "cards", None)
    if quick is not None:
        total, cards = quick(CARDS_MAX)
    else:
        every = SHELVES[service.name].cards(service.state({}))
        total = len(every)
        cards = sorted(every, key=lambda card: (str(card["changed_at"]), card["id"]), reverse=True)[
            :CARDS_MAX
        ]
    took_ms = (time.monotonic() - began) * 1000
    rows = [row for row in journal.since(since) if not row["path"].startswith("/page")]
    return {
        "service": service.name,
        "up": up,
        "total": total,
        "cards": cards,
        "requests": rows[-ROWS_MAX:],
        "seq": journal.seq,
        "poll_ms": max(POLL_MS, int(took_ms * 10)),
    }
