"""The images of one item: what was uploaded, what was chosen. Values; no HTTP, nothing of ours imported.

Uploads are known by the SHA-1 of their bytes, so the same image twice is one entry and every other upload
stays for ever, as on PMS (there is no call that deletes one upload).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace

# Gallery name in the path -> the field its lock has and the name of the element's attribute.
GALLERIES = {
    "posters": "thumb",
    "arts": "art",
    "clearLogos": "clearLogo",
    "squareArts": "squareArt",
    "themes": "theme",
    "banners": "banner",
}
# What an uploaded image's key says, by gallery.
_SCHEMES = {"posters": "posters", "arts": "art", "clearLogos": "clearLogos", "squareArts": "squareArts"}


@dataclass(frozen=True)
class Picture:
    key: str  # ratingKey of the Photo element: upload://posters/<sha1>, or a url
    data: bytes = b""
    provider: str = ""
    source_url: str = ""  # where an upload by url came from


@dataclass(frozen=True)
class Gallery:
    kind: str
    pictures: tuple[Picture, ...] = ()
    selected: str = ""  # a Picture's key

    def uploaded(self, data: bytes, source_url: str = "") -> Gallery:
        """With the upload in it and selected."""
        key = f"upload://{_SCHEMES.get(self.kind, self.kind)}/{hashlib.sha1(data).hexdigest()}"
        known = any(picture.key == key for picture in self.pictures)
        more = () if known else (Picture(key, data, source_url=source_url),)
        return replace(self, pictures=(*self.pictures, *more), selected=key)

    def chosen(self, key: str) -> Gallery:
        """With that picture selected; a url nobody offered becomes one of the pictures."""
        known = any(picture.key == key for picture in self.pictures)
        more = () if known else (Picture(key),)
        return replace(self, pictures=(*self.pictures, *more), selected=key)

    def none_chosen(self) -> Gallery:
        return replace(self, selected="")

    def current(self) -> Picture | None:
        return next((picture for picture in self.pictures if picture.key == self.selected), None)


def plain_png(number: int, width: int = 40, height: int = 60) -> bytes:
    """A picture of one colour, which the number decides."""
    colour = bytes((60 + number * 37 % 130, 60 + number * 91 % 130, 60 + number * 53 % 130))
    rows = (b"\0" + colour * width) * height

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
