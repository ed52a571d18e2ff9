"""What Plex is to say when Stash says this: the promise of the README, written down a second time.

The plugin has its own table (`plexsync/core/plan.py`); this one is told independently of it, so that a mistake there
is not a mistake here. Both sides are read from the simulators' `GET /state` and brought into one form: a text, a
number or a sorted tuple of names, "" or () when empty.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from typing import Any

FIELDS = ("title", "studio", "date", "performers", "tags", "rating", "summary")
Said = Mapping[str, Any]

# How a field is called in an edit of Plex, for its lock.
EDIT_NAMES = {
    "title": "title",
    "studio": "studio",
    "date": "originallyAvailableAt",
    "performers": "actor",
    "tags": "genre",
    "rating": "userRating",
    "summary": "summary",
}


def stash_says(scene: Mapping[str, Any]) -> Said:
    """A scene of fake Stash's state as Plex is to show it."""
    path = scene.get("path") or ""
    stem = os.path.splitext(os.path.basename(path))[0]
    date = scene.get("date") or ""
    rating = scene.get("rating100")
    return {
        "title": (scene.get("title") or "").strip() or stem,
        "studio": scene.get("studio") or "",
        "date": date + "-01" * (3 - len(date.split("-"))) if date else "",
        "performers": names(scene.get("performers")),
        "tags": names(scene.get("tags")),
        "rating": round(rating / 10, 1) if rating else "",
        "summary": (scene.get("details") or "").strip(),
    }


def plex_says(item: Mapping[str, Any]) -> Said:
    """An item of fake Plex's state in the same form."""
    fields, tags = item["fields"], item["tags"]
    rating = fields.get("userRating")
    return {
        "title": item["title"],
        "studio": fields.get("studio") or "",
        "date": fields.get("originallyAvailableAt") or "",
        "performers": names(tags.get("actor")),
        "tags": names(tags.get("genre")),
        "rating": round(float(rating), 1) if rating not in (None, "") and float(rating) >= 0 else "",
        "summary": fields.get("summary") or "",
    }


def names(given: Any) -> tuple[str, ...]:
    """Names in an order that does not depend on the server; Plex may spell one in another case."""
    found = [one if isinstance(one, str) else one.get("tag") or one.get("name") for one in given or ()]
    return tuple(sorted(found, key=str.casefold))


def differing(stash: Mapping[str, Any], plex: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields in which the two do not agree; names of tags agree without regard to case."""
    return tuple(name for name in FIELDS if _folded(stash.get(name)) != _folded(plex.get(name)))


def _folded(value: Any) -> Any:
    return tuple(name.casefold() for name in value) if isinstance(value, (tuple, list)) else value
