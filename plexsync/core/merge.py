"""One field, three sides: what Stash says, what Plex has, and what we wrote last.

    we wrote last        Plex has            Stash says      then
    -------------------  ------------------  --------------  --------------------------------------------------
    (any)                the same as Stash   (the same)      level: nothing, perhaps a lock
    a value              it still            another value   write
    a value              another value       it still        policy stash: write; plex, newest: keep Plex's
    a value              another value       a third value   policy stash: write; plex: keep; newest: the later
    nothing              (any)               nothing         leave alone
    nothing              nothing             a value         write
    nothing              a value             another value   first contact stash: write, or keep what is locked;
                                                             fill: keep, until Stash says something else
    nothing              a person's value    another value   the policy, as if both had changed

What we never wrote for this scene is never cleared, also when both sides had the same value by chance: what a lock
means cannot be known, so it is not guessed. "Keep what is locked" applies when the settings say that locks of other
people are respected. After the data folder was lost, everything counts as never written.

"The later" is asked once for each value: what Stash says and was found to be older stays so, whatever else of the
scene is edited afterwards.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

Value = str | tuple[str, ...]  # of a text field, of a tag field; empty when unset
Policy = Literal["stash", "plex", "newest"]


class Step(Enum):
    """What to do with one field."""

    LEVEL = "is in sync"
    WRITE = "is written"
    LEAVE = "is unset in Stash and was never written by us"
    KEEP_EDIT = "was changed in Plex since we wrote it"
    KEEP_LOCK = "was locked in Plex, not by PlexSync"
    KEEP_FIRST = "was in Plex before PlexSync"
    NOT_TAKEN = "is what Plex makes of Stash's value"


@dataclass(frozen=True)
class Rules:
    """How to settle one field."""

    policy: Policy = "stash"
    respect_locks: bool = False
    by_person: bool = False  # only a person gives Plex a value of this field
    stash_is_newer: bool = True  # for the policy "newest", when both sides changed
    fill: bool = False  # first contact: only what Plex lacks is written


def settle(
    wanted: Value,
    held: Value,
    last: Value | None,
    *,
    locked: bool,
    rules: Rules,
    refused: Value | None = None,
    found: bool = False,
) -> Step:
    """What to do with a field that Stash wants to be ``wanted``, and Plex has as ``held``.

    ``last`` is what we wrote last for this scene, None when we never wrote it; ``refused`` is what Stash said when
    Plex's value was kept; ``found`` tells that ``last`` was not written but found in Plex already. Laws: level when
    both sides agree; a WRITE never follows another on an unchanged Stash and Plex; with the policy ``stash`` whatever
    is set in Stash is written unless a lock is respected or the first contact only fills; what was never written is
    never cleared.
    """
    if same(wanted, held):
        return Step.LEVEL
    if found and not wanted:
        return Step.LEAVE
    if last is not None and same(held, last):
        return Step.WRITE
    if last is None:
        if not wanted:
            return Step.LEAVE
        if locked and rules.respect_locks:
            return Step.KEEP_LOCK
        if held and rules.fill and (refused is None or same(wanted, refused)):
            return Step.KEEP_FIRST
        if not (held and rules.by_person):
            return Step.WRITE
    changed = not any(one is not None and same(wanted, one) for one in (last, refused))
    stash_wins = rules.policy == "stash" or (rules.policy == "newest" and changed and rules.stash_is_newer)
    return Step.WRITE if stash_wins else Step.KEEP_EDIT


Tags = tuple[str, ...]


def without_theirs(wanted: Tags, held: Tags, last: Tags) -> tuple[Tags, Tags, Tags]:
    """A tag list we share with other people, seen as our part of it and theirs.

    Theirs is what the item has and we did not write, even if Stash wants it too: it stays when Stash no
    longer does. Returns what is wanted beyond theirs, what is held of ours, and theirs.
    """
    ours = _set(last)
    theirs = tuple(tag for tag in held if folded(tag) not in ours)
    others = _set(theirs)
    return (
        tuple(tag for tag in wanted if folded(tag) not in others),
        tuple(tag for tag in held if folded(tag) in ours),
        theirs,
    )


def folded(tag: str) -> str:
    """What two tags share when Plex takes them for one."""
    return tag.lower() if tag.isascii() else unicodedata.normalize("NFC", tag).casefold()


def same(one: Value, other: Value) -> bool:
    """Texts exactly, tag lists as sets without case."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return _set(one) == _set(other)


def _set(tags: Iterable[str]) -> set[str]:
    return {folded(tag) for tag in tags}
