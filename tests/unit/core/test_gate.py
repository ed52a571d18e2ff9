"""Which scenes are synced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plexsync.core.gate import gate
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import Settings

SCENE = Scene(
    1,
    title="T",
    organized=True,
    studio="Studio",
    parent_studio="Network",
    tags=("Drama", "Short"),
    stash_ids=("0f",),
    files=(SceneFile("/data/films/a.mp4"), SceneFile("/copies/a.mp4")),
)


def test_without_rules_every_scene_passes() -> None:
    assert gate(SCENE, Settings()) is None
    assert gate(Scene(1), Settings()) is None


@pytest.mark.parametrize(
    ("rule", "failing", "reason"),
    [
        ({"only_organized": True}, {"organized": False}, "not organized"),
        ({"only_identified": True}, {"stash_ids": ()}, "has no stash-box id"),
        ({"include_tags": ("drama", "x")}, {"tags": ("Other",)}, "has no tag of those to sync"),
        ({"exclude_tags": ("x", "private")}, {"tags": ("Private",)}, "has the tag 'private'"),
        ({"include_studios": ("studio",)}, {"studio": "Other"}, "has no studio of those to sync"),
        ({"include_studios": ("network",)}, {"studio": "Other", "parent_studio": None}, "has no studio"),
        ({"exclude_studios": ("Other",)}, {"studio": "other"}, "has the studio 'Other'"),
        ({"exclude_studios": ("Other",)}, {"parent_studio": "Other"}, "has the studio 'Other'"),
        ({"include_paths": ("/data",)}, {"files": (SceneFile("/database/a.mp4"),)}, "is in no folder"),
        ({"include_paths": ("/copies/",)}, {"files": ()}, "is in no folder"),
        (
            {"exclude_paths": ("/x", "/private")},
            {"files": (SceneFile("/private/a.mp4"),)},
            "folder '/private'",
        ),
        ({"exclude_paths": (r"D:\private",)}, {"files": (SceneFile(r"d:\Private\a.mp4"),)}, "folder"),
    ],
)
def test_each_rule_lets_the_scene_pass_and_stops_the_one_it_means(
    rule: dict[str, object], failing: dict[str, object], reason: str
) -> None:
    settings = Settings(**rule)  # type: ignore[arg-type]
    assert gate(SCENE, settings) is None
    said = gate(replace(SCENE, **failing), settings)  # type: ignore[arg-type]
    assert said is not None
    assert reason in said


@pytest.mark.parametrize(
    "something",
    [
        {"title": "T"},
        {"details": "D"},
        {"date": "2024"},
        {"rating100": 1},
        {"studio": "S"},
        {"performers": ("P",)},
        {"tags": ("T",)},
    ],
)
def test_a_bare_scene_is_skipped_until_something_is_known(something: dict[str, object]) -> None:
    settings = Settings(skip_bare=True)
    bare = Scene(1, organized=True, files=SCENE.files)
    assert gate(bare, settings) == "has no metadata yet"
    assert gate(replace(bare, **something), settings) is None  # type: ignore[arg-type]


def test_all_rules_must_be_met() -> None:
    settings = Settings(include_tags=("Drama",), exclude_tags=("Short",))
    assert gate(SCENE, settings) == "has the tag 'Short', which is not to be synced"


def test_a_scene_that_was_synced_is_not_bare_but_emptied() -> None:
    """What a person clears in Stash is to leave Plex too."""
    bare = Scene(1, files=SCENE.files)
    assert gate(bare, Settings(skip_bare=True), synced=True) is None
    assert gate(bare, Settings(skip_bare=True, only_organized=True), synced=True) == "not organized"
