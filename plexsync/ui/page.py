"""What ``diff`` found as one HTML page that needs nothing but itself: no network, no other file, dark and light.

Scenes are written as they come, so the page of a large library needs no more memory than that of a small one; only the
head, which counts them, is written last and put in front.
"""

from __future__ import annotations

import shutil
import tempfile
from html import escape
from pathlib import Path
from string import Template
from types import TracebackType
from typing import TextIO

from plexsync.core.merge import Value
from plexsync.ui.diff import MEANINGS, Preview, Tally, parted, plain, split_at_change, tags

# The page around the scenes; string.Template fills the part before them.
HEAD, FOOT = Path(__file__).with_name("diff.html").read_text(encoding="utf-8").split("<!-- scenes -->\n")


class Page:
    """A page being written into ``whole``, which holds nothing before ``finish``."""

    def __init__(self, whole: TextIO) -> None:
        self._whole = whole
        self._scenes = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by us
        self._shown = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scenes.close()

    def add(self, preview: Preview) -> None:
        """One more scene."""
        self._scenes.write(scene(preview))
        self._shown += 1

    def finish(self, tally: Tally, which: str, at: str) -> None:
        """Put the page together. ``which`` scenes were looked at, and when, for its head."""
        self._scenes.seek(0)
        self._whole.write(head(tally, which, at, self._shown))
        shutil.copyfileobj(self._scenes, self._whole)
        self._whole.write(FOOT)


def head(tally: Tally, which: str, at: str, shown: int) -> str:
    """Everything before the first scene."""
    boxes = "".join(
        f'<label><input type="checkbox" value="{name}" checked> {escape(meaning)} ({tally.outcomes[name]})</label>'
        for name, meaning in MEANINGS.items()
        if tally.outcomes[name]
    )
    return Template(HEAD).substitute(
        sums=escape(tally.sentence()), which=escape(which), at=escape(at), shown=shown, boxes=boxes
    )


def scene(preview: Preview) -> str:
    """One scene."""
    item = ""
    if preview.item is not None:
        item = f" → item {preview.item.rating_key} in {preview.item.section_title or preview.item.section_id}"
    name = escape(preview.title or preview.path or "without a title")
    lines = [
        f'<section data-outcome="{preview.outcome}" id="scene-{preview.scene_id}">',
        f'<h2>{name} <span class="soft">scene {preview.scene_id}{escape(item)}</span></h2>',
    ]
    if preview.reason or not (preview.changes or preview.kept or preview.to_stash or preview.pictures):
        meaning = MEANINGS[preview.outcome]
        reason = f": {preview.reason}" if preview.reason else ""
        lines.append(f"<p>{escape(meaning[0].upper() + meaning[1:] + reason)}</p>")
    table = [_row(change.field, *_marked(change.before, change.after)) for change in preview.changes]
    for kept in preview.kept:
        note = f"Kept; Stash has {plain(kept.stash)}: it {kept.why.value}."
        table.append(_row(kept.field, escape(plain(kept.plex)), escape(note), note=True))
    for name, number in preview.to_stash.items():
        table.append(_row(name, "", f"Stash is told: {number}.", note=True))
    for picture in preview.pictures:
        table.append(_row(picture, "", "The scene’s cover, unless Plex has it already.", note=True))
    for candidate in preview.candidates:
        where = f"{candidate.title} in {candidate.section_title or candidate.section_id}"
        table.append(_row(f"item {candidate.rating_key}", escape(where), escape("\n".join(candidate.files))))
    if table:
        lines += ["<table>", *table, "</table>"]
    return "\n".join([*lines, "</section>\n"])


def _row(name: str, before: str, after: str, note: bool = False) -> str:
    """One field; ``before`` and ``after`` are HTML already."""
    kind = ' class="note"' * note
    return f"<tr><th scope=row>{escape(name)}</th><td>{before}</td><td{kind}>{after}</td></tr>"


def _marked(before: Value, after: Value) -> tuple[str, str]:
    """Both sides with what goes and what comes marked."""
    if before == after:
        return escape(plain(before)), "The same, but locked, so that a refresh keeps it."
    if isinstance(before, str) and isinstance(after, str):
        start, gone, come, end = split_at_change(before, after)
        return (
            f"{escape(start)}{_tag('del', gone)}{escape(end)}" or "–",
            f"{escape(start)}{_tag('ins', come)}{escape(end)}" or "–",
        )
    gone_tags, come_tags = parted(tags(before), tags(after))
    return (
        ", ".join(_tag("del", tag) if tag in gone_tags else escape(tag) for tag in tags(before)) or "–",
        ", ".join(_tag("ins", tag) if tag in come_tags else escape(tag) for tag in tags(after)) or "–",
    )


def _tag(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""
