"""One field, three sides: the table at the top of merge.py, row by row."""

from __future__ import annotations

import pytest

from plexsync.core.merge import Policy, Rules, Step, Value, same, settle, without_theirs

NEVER = None


def step(
    wanted: Value,
    held: Value,
    last: Value | None,
    *,
    locked: bool = False,
    policy: Policy = "stash",
    newer: bool = True,
    respect: bool = False,
    person: bool = False,
    fill: bool = False,
    refused: Value | None = None,
) -> Step:
    rules = Rules(policy, respect, by_person=person, stash_is_newer=newer, fill=fill)
    return settle(wanted, held, last, locked=locked, rules=rules, refused=refused)


@pytest.mark.parametrize("last", [NEVER, "", "old", "new"])
@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
def test_both_sides_agree(last: Value | None, policy: Policy) -> None:
    assert step("new", "new", last, policy=policy) is Step.LEVEL
    assert step(("A", "b"), ("B", "a"), (), policy=policy) is Step.LEVEL


@pytest.mark.parametrize("policy", ["stash", "plex", "newest"])
@pytest.mark.parametrize("locked", [True, False])
def test_changed_in_stash_only(policy: Policy, locked: bool) -> None:
    for respect in (True, False):
        assert (
            step("new", "old", "old", policy=policy, locked=locked, respect=respect, newer=False)
            is Step.WRITE
        )
        assert step("", "old", "old", policy=policy, locked=locked, respect=respect) is Step.WRITE


@pytest.mark.parametrize(
    ("policy", "newer", "then"),
    [
        ("stash", False, Step.WRITE),
        ("plex", True, Step.KEEP_EDIT),
        ("newest", True, Step.KEEP_EDIT),
        ("newest", False, Step.KEEP_EDIT),
    ],
)
def test_changed_in_plex_only(policy: Policy, newer: bool, then: Step) -> None:
    assert step("old", "by hand", "old", policy=policy, newer=newer) is then
    assert step("old", "", "old", policy=policy, newer=newer) is then


EDITED_TWICE = pytest.mark.parametrize(
    ("policy", "newer", "then"),
    [
        ("stash", False, Step.WRITE),
        ("plex", True, Step.KEEP_EDIT),
        ("newest", True, Step.WRITE),
        ("newest", False, Step.KEEP_EDIT),
    ],
)


@EDITED_TWICE
def test_changed_on_both_sides(policy: Policy, newer: bool, then: Step) -> None:
    assert step("new", "by hand", "old", policy=policy, newer=newer) is then
    assert step("", "by hand", "old", policy=policy, newer=newer) is then


def test_set_in_stash_and_never_written_by_us() -> None:
    assert step("new", "agent's", NEVER) is Step.WRITE
    assert step("new", "agent's", NEVER, locked=True) is Step.WRITE
    assert step("new", "agent's", NEVER, respect=True) is Step.WRITE
    assert step("new", "by hand", NEVER, locked=True, respect=True) is Step.KEEP_LOCK


def test_a_first_contact_that_fills_keeps_what_plex_has_until_stash_says_something_else() -> None:
    assert step("new", "", NEVER, fill=True) is Step.WRITE
    assert step("new", "agent's", NEVER, fill=True) is Step.KEEP_FIRST
    assert step("new", "agent's", NEVER, fill=True, refused="new") is Step.KEEP_FIRST
    assert step("newer", "agent's", NEVER, fill=True, refused="new") is Step.WRITE
    assert step("newer", "new", "new", fill=True) is Step.WRITE
    assert step("", "agent's", NEVER, fill=True) is Step.LEAVE


def test_unset_in_stash_and_never_written_by_us() -> None:
    assert step("", "agent's", NEVER) is Step.LEAVE
    assert step("", "by hand", NEVER, locked=True) is Step.LEAVE
    assert step((), ("x",), NEVER, locked=True) is Step.LEAVE


@EDITED_TWICE
def test_what_only_a_person_can_have_given_is_an_edit_though_we_never_wrote_there(
    policy: Policy, newer: bool, then: Step
) -> None:
    assert step("8", "5", NEVER, policy=policy, newer=newer, person=True) is then
    assert step("8", "", NEVER, policy=policy, newer=newer, person=True) is Step.WRITE
    assert step("", "5", NEVER, policy=policy, newer=newer, person=True) is Step.LEAVE


def test_what_was_found_in_plex_is_never_cleared_but_counts_as_known() -> None:
    found = settle("", "both", "both", locked=True, rules=Rules(), found=True)
    assert found is Step.LEAVE
    plex = Rules("plex")
    assert settle("both", "by hand", "both", locked=True, rules=plex, found=True) is Step.KEEP_EDIT
    assert settle("new", "both", "both", locked=True, rules=plex, found=True) is Step.WRITE


def test_what_lost_against_a_later_edit_in_plex_does_not_win_without_being_edited_again() -> None:
    for newer in (True, False):
        assert step("new", "by hand", "old", policy="newest", newer=newer, refused="new") is Step.KEEP_EDIT
    assert step("newer", "by hand", "old", policy="newest", refused="new") is Step.WRITE
    assert step("new", "by hand", "old", policy="stash", refused="new") is Step.WRITE


def test_texts_compare_exactly_and_tags_as_sets_without_case() -> None:
    assert not same("a", "A")
    assert same(("a", "É"), ("e\u0301".upper(), "A"))
    assert not same(("a",), ("a", "b"))
    assert not same("a", ("a",))


def test_our_part_of_a_shared_list_and_theirs() -> None:
    assert without_theirs(("A", "B", "C"), ("a", "x", "b"), ("B", "D")) == (("B", "C"), ("b",), ("a", "x"))
    assert without_theirs((), ("x",), ()) == ((), (), ("x",))
