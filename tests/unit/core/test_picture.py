"""Which bytes are a picture."""

from __future__ import annotations

import hashlib

import pytest

from plexsync.core.picture import LIMIT_BYTES, NoPicture, Picture, judge

JPEG = b"\xff\xd8\xff\xe0" + b"j" * 20
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 20
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


@pytest.mark.parametrize(("data", "kind"), [(JPEG, "jpeg"), (PNG, "png"), (WEBP, "webp")])
@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "", "text/html"])
def test_a_picture_is_told_by_its_bytes(data: bytes, kind: str, content_type: str) -> None:
    assert judge(data, content_type) == Picture(data, kind, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    ("data", "content_type", "reason"),
    [
        (b"", "image/jpeg", "is empty"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml", "placeholder"),
        (b'<?xml version="1.0"?>\n<svg>', "image/svg+xml; charset=utf-8", "placeholder"),
        (b'<?xml version="1.0"?>\n<svg>', "", "placeholder"),
        (b"<!DOCTYPE html><html>", "text/html; charset=utf-8", "web page"),
        (b"  <html>", "", "web page"),
        (b"\x00\x00\x00\x20ftypmp42", "video/mp4", "video"),
        (b"GIF89a", "image/gif", "image/gif"),
        (b"\xff\xd8", "", "something unknown"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio/wav", "audio/wav"),
    ],
)
def test_what_is_none_says_why(data: bytes, content_type: str, reason: str) -> None:
    said = judge(data, content_type)
    assert isinstance(said, NoPicture)
    assert reason in said.reason


def test_a_picture_may_be_too_large_for_plex() -> None:
    assert isinstance(judge(JPEG.ljust(LIMIT_BYTES, b"x"), "image/jpeg"), Picture)
    said = judge(JPEG.ljust(LIMIT_BYTES + 1, b"x"), "image/jpeg")
    assert said == NoPicture("has 10,000,001 bytes, and Plex takes 10,000,000")
