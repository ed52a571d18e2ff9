"""What a sync would do, scene by scene and field by field, before anything is done.

``previews`` plans as the worker plans (``plan_batch``) and stops there: nothing is written to Plex, and no scene is
recorded as in sync. Every scene is compared with Plex as it is, also one that is known to be in sync, since that costs
only the reading. What has been learned of Plex's paths on the way is kept, as it saves the next one asking.

A ``Preview`` is a value; ``as_json`` and ``table`` show it to programs and people, ``plexsync.ui.page`` to a browser.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plexsync.core.failures import NeedsAttention, SettingProblem, Unavailable
from plexsync.core.item import Item
from plexsync.core.merge import Value, folded
from plexsync.core.plan import Change, Kept
from plexsync.core.settings import Settings
from plexsync.core.verdict import Ambiguous, Failed, Gone, NoFile, NotFound, Outcome, Skipped
from plexsync.servers.sync_state import SyncState
from plexsync.servers.world import World
from plexsync.sync import plan_batch

BATCH = 100  # scenes a look: one request to Stash, two to Plex
NARROW = 60  # columns a screen must have for a table
NEAR = 24  # characters shown before the place where two long texts part


@dataclass(frozen=True)
class Preview:
    """One scene. ``outcome`` is a key of MEANINGS; ``reason`` says why there is nothing to compare."""

    scene_id: int
    outcome: str
    title: str = ""  # in Stash
    path: str = ""  # of its first file, as Stash sees it
    item: Item | None = None
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    to_stash: Mapping[str, int] = field(
        default_factory=dict
    )  # rating out of 100, plays: what Stash would be told
    pictures: tuple[str, ...] = ()  # poster, background: looked at when the scene is synced
    reason: str = ""
    candidates: tuple[Item, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether there is anything to tell."""
        return self.outcome != "in_sync" or bool(self.kept)


MEANINGS: dict[str, str] = {
    "differs": "would change",
    "in_sync": "in sync",
    "skipped": "skipped by a rule",
    "not_found": "not in Plex",
    "ambiguous": "in need of a choice",
    "no_file": "without a file",
    "gone": "no longer in Stash",
    "failed": "not readable",
}
CALM = frozenset({"in_sync", "skipped", "no_file", "gone"})  # nothing would change, and nothing needs doing


def previews(world: World, settings: Settings, scene_ids: Iterable[int]) -> Iterator[Preview]:
    """A Preview for each of these scenes, BATCH at a time however many there are.

    Raises Unavailable, NeedsAttention, SettingProblem and sqlite3.Error; what is wrong with one scene alone is its
    outcome.
    """
    for batch in _batches(scene_ids):
        looks = plan_batch.plan_batch(batch, world, settings, fresh=frozenset(batch))
        for scene_id in batch:
            yield _preview(looks[scene_id], settings)


class _Undecided:
    """The same servers, with a sync state in which nothing is chosen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sync_state = SyncState()

    def sync_state(self, settings: Settings) -> SyncState:
        return self._sync_state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)


def undecided(world: World, settings: Settings, scene_id: int) -> Preview:
    """One scene as it looks without what was chosen for it, so that another item can be chosen."""
    return next(previews(_Undecided(world), settings, [scene_id]))


def _batches(scene_ids: Iterable[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for scene_id in scene_ids:
        batch.append(scene_id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _preview(seen: plan_batch.ScenePlan, settings: Settings) -> Preview:
    outcome = seen.outcome
    if isinstance(outcome, Failed) and isinstance(
        outcome.error, (Unavailable, NeedsAttention, SettingProblem, sqlite3.Error)
    ):
        raise outcome.error  # the servers', the settings' or the queue's trouble, and the next scene's too
    if seen.item is not None:
        settings = settings.for_library(seen.item.section_title)
    pictures = ("poster" * settings.write_poster, "background" * settings.write_background)
    return Preview(
        seen.scene_id,
        "differs" if outcome is None else outcome.name,
        title=seen.scene.title if seen.scene else "",
        path=seen.scene.files[0].path if seen.scene and seen.scene.files else "",
        item=seen.item,
        changes=seen.edits.changes,
        kept=seen.edits.kept,
        to_stash={
            name: number
            for name, number in (("rating", seen.edits.rating100), ("plays", seen.plays))
            if number
        },
        pictures=tuple(filter(None, pictures)) if seen.cover else (),
        reason=_reason(outcome),
        candidates=outcome.candidates if isinstance(outcome, Ambiguous) else (),
    )


def _reason(outcome: Outcome | None) -> str:
    match outcome:
        case Skipped(reason):
            return reason
        case NotFound(paths):
            return f"No Plex item has the file {' or '.join(paths)}."
        case Ambiguous(candidates):
            return f"{len(candidates)} Plex items have the file; `choose` says which is meant."
        case NoFile():
            return "The scene has no file."
        case Gone():
            return "Stash has no scene with this number."
        case Failed(error):
            return str(error) or type(error).__name__
    return ""


@dataclass
class Tally:
    """What many previews add up to."""

    scenes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)  # that would change
    kept: int = 0  # fields that differ and stay

    def add(self, preview: Preview) -> None:
        self.scenes += 1
        self.outcomes[preview.outcome] += 1
        self.fields.update(change.field for change in preview.changes)
        self.kept += len(preview.kept)

    @property
    def calm(self) -> bool:
        """Nothing would change, and nothing is in the way of a sync."""
        return set(self.outcomes) <= CALM

    def as_json(self) -> dict[str, object]:
        return {
            "scenes": self.scenes,
            "outcomes": {name: self.outcomes[name] for name in MEANINGS if self.outcomes[name]},
            "fields": dict(self.fields.most_common()),
            "kept": self.kept,
        }

    def sentence(self) -> str:
        """ "12 scenes: 3 would change (2 × title, 1 × tags), 9 in sync." """
        parts = []
        for name, meaning in MEANINGS.items():
            if self.outcomes[name]:
                which = ", ".join(f"{count} × {field}" for field, count in self.fields.most_common())
                parts.append(
                    f"{self.outcomes[name]} {meaning}{f' ({which})' * (name == 'differs' and bool(which))}"
                )
        kept = f" Kept as they are in Plex: {self.kept}." if self.kept else ""
        return f"{self.scenes} scene{'s' * (self.scenes != 1)}: {', '.join(parts) or 'nothing to look at'}.{kept}"


# ---- for programs


def as_json(preview: Preview) -> dict[str, object]:
    """The preview as a JSON object; keys that have nothing to say are left out."""
    whole: dict[str, object] = {
        "scene_id": preview.scene_id,
        "outcome": preview.outcome,
        "title": preview.title,
        "path": preview.path,
        "rating_key": preview.item.rating_key if preview.item else None,
        "library": preview.item.section_title if preview.item else "",
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after}
            for change in preview.changes
        ],
        "kept": [
            {"field": kept.field, "plex": kept.plex, "stash": kept.stash, "why": kept.why.value}
            for kept in preview.kept
        ],
        "to_stash": dict(preview.to_stash),
        "pictures": list(preview.pictures),
        "reason": preview.reason,
        "candidates": [candidate(item) for item in preview.candidates],
    }
    return {key: value for key, value in whole.items() if value not in ("", None, [], {})}


def candidate(item: Item) -> dict[str, object]:
    """One of several items a scene may be."""
    return {
        "rating_key": item.rating_key,
        "library": item.section_title or str(item.section_id),
        "title": item.title,
        "files": list(item.files),
        "sizes": list(item.sizes),
        "duration_s": item.duration,
    }


# ---- for people

Row = tuple[
    str, str, str, str
]  # scene, field, what Plex has, what it would have; or a sentence, with nothing before
HEADINGS: Row = ("Scene", "Field", "In Plex", "Would be")


def rows(preview: Preview) -> list[Row]:
    """The preview as lines of a table, at least one; a text is whole, however long."""
    found: list[Row] = []
    if preview.reason or not (preview.changes or preview.to_stash):
        found.append(("", preview.outcome.replace("_", " "), "", preview.reason))
    for change in preview.changes:
        found.append(("", change.field, *cells(change.before, change.after)))
    for kept in preview.kept:
        text = f"{plain(kept.plex)} is kept, Stash has {plain(kept.stash)}: it {kept.why.value}"
        found.append(("", kept.field, "", text))
    for name, number in preview.to_stash.items():
        found.append(("", name, "", f"Stash is told: {number}"))
    for picture in preview.pictures:
        found.append(("", picture, "", "the scene's cover, unless Plex has it already"))
    for item in preview.candidates:
        text = f"{item.title} in {item.section_title or item.section_id}, {' and '.join(item.files)}"
        found.append(("", f"item {item.rating_key}", "", text))
    return [(str(preview.scene_id), *found[0][1:]), *found[1:]]


def lines(preview: Preview) -> list[str]:
    """The preview as sentences for a log."""
    found = []
    for _, name, before, after in rows(preview):
        found.append(
            f"Scene {preview.scene_id}, {name}: {f'{before} → {after}' if before else after}".rstrip(": ")
        )
    return found


def cells(before: Value, after: Value) -> tuple[str, str]:
    """What Plex has and what it would have; of a list, what would come and go."""
    if before == after:
        return plain(before), "the same, locked"
    if isinstance(before, str) and isinstance(after, str):
        return plain(before), plain(after)
    gone, come = parted(tags(before), tags(after))
    return plain(before), ", ".join([*(f"+ {tag}" for tag in come), *(f"− {tag}" for tag in gone)]) or plain(
        after
    )


def parted(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tags that would go, and those that would come; Plex does not tell tags apart by case."""
    there, wanted = {folded(tag) for tag in before}, {folded(tag) for tag in after}
    return (
        [tag for tag in before if folded(tag) not in wanted],
        [tag for tag in after if folded(tag) not in there],
    )


def tags(value: Value) -> tuple[str, ...]:
    """A value as a list."""
    return value if isinstance(value, tuple) else (value,) * bool(value)


def plain(value: Value) -> str:
    """A value on one line; "–" when it is unset."""
    return " ".join(", ".join(tags(value)).split()) or "–"


def split_at_change(before: str, after: str) -> tuple[str, str, str, str]:
    """Two texts as what they begin with alike, the differing middles, and what they end with alike."""
    shorter = min(len(before), len(after))
    start = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    rest = shorter - start
    end = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    return (
        before[:start],
        before[start : len(before) - end],
        after[start : len(after) - end],
        after[len(after) - end :],
    )


def fitted(row: Row, width: int) -> Row:
    """The row with its last two cells cut to ``width`` characters each, around the place where they part."""
    if not row[2] or max(len(row[2]), len(row[3])) <= width:
        return row
    start = max(len(split_at_change(row[2], row[3])[0]) - min(NEAR, width // 3), 0)
    return row[0], row[1], _window(row[2], start, width), _window(row[3], start, width)


def _window(text: str, start: int, width: int) -> str:
    if len(text) <= width:
        return text
    start = min(start, len(text) - width + 1)
    shown = text[start:] if start <= 0 else "…" + text[start + 1 :]
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _stacked(found: Iterable[Row]) -> Iterator[str]:
    """Rows for a screen that is too narrow for columns: what Plex has, and below it what it would have."""
    for first, name, before, after in found:
        if (first, name, before, after) == HEADINGS:
            continue
        yield f"{first}: {name}" if first else f"  {name}"
        if before:
            yield f"    - {before}"
        if after:
            yield f"    {'+ ' * bool(before)}{after}"


def table(found: Iterable[Row], width: int | None = None) -> Iterator[str]:
    """Rows as aligned lines of about ``width`` characters; no text is cut without one, and a sentence never is."""
    if width is not None and width < NARROW:
        yield from _stacked(found)
        return
    wide = 30 if width is None else max((width - 31) // 2, 10)
    for row in found:
        first, name, before, after = row if width is None else fitted(row, wide)
        texts = f"{before:<{wide}}  {after}" if before else after
        yield f"{first:>8}  {name:<17}  {texts}".rstrip()
