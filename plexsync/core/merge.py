"""One field, three sides: what Stash says, what Plex has, and what we wrote last.

    we wrote last        Plex has            Stash says      then
    -------------------  ------------------  --------------  --------------------------------------------------
    (any)                the same as Stash   (the same)      level: nothing, perhaps a lock
    a value              it still            another value   write
    a value              another value       it still        policy stash: write; plex, newest: keep Plex's
    a value              another value       a third value   policy stash: write; plex: keep; newest: the later
    nothing              (any)               nothing         leave alone
    nothing              (any)               a value         write, or keep what is locked
    nothing              a person's value    another value   the policy, as if both had changed
    no memory at all     a value, locked     nothing         clear, if the locks look like ours; else leave alone
    no memory at all     a value, unlocked   nothing         leave alone
    no memory at all     (any)               a value         write, or keep what is locked

"Keep what is locked" applies when the settings say that locks of other people are respected. Without memory every
lock is taken for somebody else's then; that is the price of having lost the data folder.

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
    KEEP_LOCK = "was locked in Plex by somebody else"


@dataclass(frozen=True)
class Rules:
    """How to settle one field."""

    policy: Policy = "stash"
    respect_locks: bool = False
    locks_are_ours: bool = False  # without memory: the item looks like one we have written to
    by_person: bool = False  # nobody but a person gives Plex a value of this field
    stash_is_newer: bool = True  # for the policy "newest", when both sides changed


def settle(
    wanted: Value,
    held: Value,
    last: Value | None,
    *,
    known: bool,
    locked: bool,
    rules: Rules,
    refused: Value | None = None,
) -> Step:
    """What to do with a field that Stash wants to be ``wanted``, and Plex has as ``held``.

    ``last`` is what we wrote last, None when we never wrote it; ``known`` tells whether we have any memory of
    the item; ``refused`` is what Stash said when Plex's later edit was kept. Laws: level when both sides agree; a WRITE
    never follows another on an unchanged Stash and Plex; with the policy ``stash`` whatever is set in Stash is written
    unless a lock is respected.
    """
    if same(wanted, held):
        return Step.LEVEL
    if last is not None and same(held, last):
        return Step.WRITE
    if last is None and not wanted:
        ours = not known and locked and rules.locks_are_ours and not rules.respect_locks
        return Step.WRITE if ours else Step.LEAVE
    if last is None and locked and rules.respect_locks:
        return Step.KEEP_LOCK
    if last is None and not (held and rules.by_person):
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
