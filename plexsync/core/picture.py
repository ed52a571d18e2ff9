"""Which bytes are a picture Plex can use, and how to tell one picture from another.

Stash answers ``/scene/<id>/screenshot`` with 200 and an SVG placeholder when there is no cover, and with a
login page when it does not know us (Stash 0.30, ``internal/api/routes_scene.go``); previews are videos. Plex
takes whatever it is given, fails at about 10 MB (PMS 1.41), and keeps every upload for ever, so nothing but a
picture that is new is sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LIMIT_BYTES = 10_000_000


@dataclass(frozen=True)
class Picture:
    """A picture Plex can use. ``sha256`` is its identity, to be remembered once Plex has it."""

    data: bytes
    kind: str  # jpeg, png or webp
    sha256: str


@dataclass(frozen=True)
class NoPicture:
    """Why some bytes are none, as a phrase."""

    reason: str


def judge(data: bytes, content_type: str) -> Picture | NoPicture:
    """The picture in an answer's body. The first bytes decide; the content type only words the reason."""
    if not data:
        return NoPicture("is empty")
    kind = _kind(data)
    if not kind:
        return NoPicture(_reason(data, content_type.partition(";")[0].strip().lower()))
    if len(data) > LIMIT_BYTES:
        return NoPicture(f"has {len(data):,} bytes, and Plex takes {LIMIT_BYTES:,}")
    return Picture(data, kind, hashlib.sha256(data).hexdigest())


def _kind(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return ""


def _reason(data: bytes, content_type: str) -> str:
    start = data[:512].lstrip().lower()
    if content_type == "image/svg+xml" or start.startswith(b"<svg") or b"<svg" in start:
        return "is the placeholder Stash shows where there is no cover"
    if content_type == "text/html" or start.startswith((b"<!doctype html", b"<html")):
        return "is a web page"
    if content_type.startswith("video/"):
        return "is a video"
    return f"is neither JPEG, PNG nor WebP but {content_type or 'something unknown'}"
