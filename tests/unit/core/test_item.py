"""Items are values."""

from __future__ import annotations

import dataclasses

import pytest

from plexsync.core.item import Actor, Item


def test_items_are_equal_by_value_and_frozen() -> None:
    one, other = (Item(7, 1, actors=(Actor("Ann"),), locked=frozenset({"title"})) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.title = "x"  # type: ignore[misc]
