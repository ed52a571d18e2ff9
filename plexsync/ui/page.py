"""What ``diff`` found as one HTML page that needs nothing but itself: no network, no other file, dark and light.

Scenes are written as they come, so the page of a large library needs no more memory than that of a small one; only the
head, which counts them, is written last and put in front.
"""

from __future__ import annotations

import shutil
import tempfile
from html import escape
from types import TracebackType
from typing import TextIO

from plexsync.core.merge import Value
from plexsync.ui.diff import MEANINGS, Preview, Tally, parted, plain, split_at_change, tags

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1c2126; --soft: #5b6670; --line: #d9dee3; --head: #f3f5f7;
  --out: #9b1c1c; --out-ground: #fdeaea; --in: #14612f; --in-ground: #e4f6e9; --note: #7a4b00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #e4e8eb; --soft: #9aa5af; --line: #2f363c;
  --head: #1d2226; --out: #ff9b9b; --out-ground: #3b1d1f; --in: #86e0a3; --in-ground: #16321f; --note: #f0c06a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 75rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; }
.soft { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; margin: 1rem 0; padding: .75rem 1rem;
  background: var(--head); border: 1px solid var(--line); border-radius: 6px; }
nav input[type=search] { flex: 1 1 14rem; font: inherit; padding: .1rem .5rem; }
section { margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
h2 { font-size: 1rem; margin: 0; padding: .5rem .75rem; background: var(--head); overflow-wrap: anywhere; }
h2 .soft { font-weight: normal; }
section > p { padding: .4rem .75rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; white-space: pre-wrap; }
th { font-weight: 600; width: 9rem; }
td.note { color: var(--note); }
del { color: var(--out); background: var(--out-ground); }
ins { color: var(--in); background: var(--in-ground); text-decoration: none; }
[hidden] { display: none; }
@media (max-width: 40rem) {
  body { padding: 1rem .75rem 3rem; }
  tr { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); border-top: 1px solid var(--line); }
  th, td { border: 0; width: auto; }
  th { grid-column: 1 / -1; padding-bottom: 0; }
}
"""

SCRIPT = """
const boxes = [...document.querySelectorAll('nav input[type=checkbox]')];
const search = document.querySelector('nav input[type=search]');
const apply = () => {
  const shown = new Set(boxes.filter(box => box.checked).map(box => box.value));
  const wanted = search.value.toLowerCase();
  for (const scene of document.querySelectorAll('section'))
    scene.hidden = !shown.has(scene.dataset.outcome) || !scene.textContent.toLowerCase().includes(wanted);
};
for (const input of [...boxes, search]) input.addEventListener('input', apply);
"""


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
        self._whole.write(f"<script>{SCRIPT}</script>\n</body>\n</html>\n")


def head(tally: Tally, which: str, at: str, shown: int) -> str:
    """Everything before the first scene."""
    boxes = "".join(
        f'<label><input type="checkbox" value="{name}" checked> {escape(meaning)} ({tally.outcomes[name]})</label>'
        for name, meaning in MEANINGS.items()
        if tally.outcomes[name]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>PlexSync: what would change</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>What a sync would change</h1>\n<p>{escape(tally.sentence())}</p>\n"
        f'<p class="soft">{escape(which)}, {escape(at)}; nothing was written. Scenes shown below: {shown}.</p>\n'
        f'<nav aria-label="Which scenes to show">{boxes}'
        '<input type="search" placeholder="Title, path, field …" aria-label="Show only scenes with this text"></nav>\n'
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
