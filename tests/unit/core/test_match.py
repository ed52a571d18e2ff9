"""Matching by full path: separators, cases, Unicode forms, and whose file it is."""

from __future__ import annotations

import unicodedata

import pytest

from plexsync.core.item import Item
from plexsync.core.match import (
    Ambiguous,
    Found,
    Missing,
    choose,
    closest,
    common_end,
    common_tail,
    file_name,
    files_of,
    folder_of,
    is_below,
    learn,
    map_path,
    path_key,
)
from plexsync.core.scene import Scene, SceneFile
from plexsync.core.settings import PathPair


def scene(*paths: str) -> Scene:
    return Scene(1, files=tuple(SceneFile(path) for path in paths))


def item(rating_key: int, *files: str, title: str = "") -> Item:
    return Item(rating_key, 1, title=title, files=files)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/data/a.mp4", "/data//a.mp4"),
        ("/data/a.mp4", "/data/./a.mp4"),
        ("/data/é.mp4", unicodedata.normalize("NFD", "/data/é.mp4")),
        (r"C:\Data\A.mp4", "c:/data/a.MP4"),
        (r"\\NAS\Share\a.mp4", "//nas/share/A.mp4"),
        (r"\\?\C:\Data\a.mp4", r"C:\data\a.mp4"),
        (r"\\?\UNC\nas\share\a.mp4", r"\\nas\share\a.mp4"),
    ],
)
def test_paths_of_one_file(one: str, other: str) -> None:
    assert path_key(one) == path_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/data/a.mp4", "/data/A.mp4"),
        ("/data/a.mp4", "data/a.mp4"),
        ("/data/a b.mp4", "/data/ab.mp4"),
        (r"/data/a\b.mp4", "/data/a/b.mp4"),
        (r"C:\a.mp4", r"D:\a.mp4"),
        ("C:/a.mp4", "/a.mp4"),
        (r"\\nas\a.mp4", "/nas/a.mp4"),
    ],
)
def test_paths_of_two_files(one: str, other: str) -> None:
    assert path_key(one) != path_key(other)


@pytest.mark.parametrize(
    ("path", "mapped"),
    [
        ("/data/a.mp4", "/media/a.mp4"),
        ("/data/x/y/a.mp4", "/media/x/y/a.mp4"),
        ("/database/a.mp4", "/database/a.mp4"),
        ("/data/films/a.mp4", "/films/a.mp4"),
        ("/elsewhere/a.mp4", "/elsewhere/a.mp4"),
        ("/Data/a.mp4", "/Data/a.mp4"),
        (r"D:\Videos\x\a.mp4", "/videos/x/a.mp4"),
        (r"d:\videos\a.mp4", "/videos/a.mp4"),
        ("/win/x/a.mp4", r"M:\Media\x\a.mp4"),
        ("/unc/x/a.mp4", r"\\nas\share\x\a.mp4"),
        (r"\\stash\v\a.mp4", "/v/a.mp4"),
    ],
)
def test_map_path(path: str, mapped: str) -> None:
    path_map = (
        PathPair("/data", "/media"),
        PathPair("/data/films/", "/films/"),
        PathPair("D:/Videos", "/videos"),
        PathPair("/win", r"M:\Media"),
        PathPair("/unc", r"\\nas\share"),
        PathPair(r"\\Stash\V", "/v"),
    )
    assert map_path(path, path_map) == mapped


def test_the_root_and_a_drive_may_be_mapped() -> None:
    assert map_path("/a/b.mp4", [PathPair("/", "/mnt")]) == "/mnt/a/b.mp4"
    assert map_path(r"E:\a\b.mp4", [PathPair("E:", "/e")]) == "/e/a/b.mp4"
    assert map_path("/e/a.mp4", [PathPair("/e", "E:\\")]) == "E:\\a.mp4"


def test_found_by_the_file_and_not_by_the_title() -> None:
    right = item(2, "/media/a.mp4", title="Something else")
    wrong = item(3, "/media/other/a.mp4", title="a")
    assert choose(scene("/data/a.mp4"), [wrong, right], [PathPair("/data", "/media")]) == Found(right)


def test_an_item_with_several_versions_is_found_by_any() -> None:
    merged = item(2, "/data/a.4k.mp4", "/data/a.mp4")
    assert choose(scene("/data/a.mp4"), [merged]) == Found(merged)


def test_the_primary_file_decides_between_items() -> None:
    first, second = item(2, "/data/b.mp4"), item(3, "/data/a.mp4")
    assert choose(scene("/data/a.mp4", "/data/b.mp4"), [first, second]) == Found(second)
    assert choose(scene("/data/gone.mp4", "/data/b.mp4"), [first, second]) == Found(first)


def test_one_file_in_two_items_is_for_a_person_to_choose() -> None:
    one, two = item(3, "/data/a.mp4"), item(2, "/data/a.mp4")
    assert choose(scene("/data/a.mp4"), [one, two]) == Ambiguous((two, one))


def test_the_same_item_given_twice_is_one() -> None:
    same = item(2, "/data/a.mp4")
    assert choose(scene("/data/a.mp4"), [same, same]) == Found(same)


def test_the_exact_spelling_wins_over_another_unicode_form() -> None:
    decomposed = unicodedata.normalize("NFD", "/data/é.mp4")
    composed, other = item(2, "/data/é.mp4"), item(3, decomposed)
    assert choose(scene("/data/é.mp4"), [other, composed]) == Found(composed)
    assert choose(scene(decomposed), [other, composed]) == Found(other)
    assert choose(scene(decomposed), [composed]) == Found(composed)


def test_missing_names_the_paths_plex_would_have() -> None:
    path_map = [PathPair("/data", "/media")]
    assert choose(scene("/data/a.mp4", "/b.mp4"), [item(2, "/c.mp4"), item(3)], path_map) == Missing(
        ("/media/a.mp4", "/b.mp4")
    )
    assert choose(scene(), [item(2, "/c.mp4")]) == Missing(())


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [
        ("/data/x/a.mp4", "/data", True),
        ("/data/a.mp4", "/data/", True),
        ("/data", "/data", False),
        ("/database/a.mp4", "/data", False),
        ("/a.mp4", "/", True),
        (r"C:\Data\a.mp4", "c:/data", True),
        (r"C:\Data\a.mp4", "/Data", False),
    ],
)
def test_is_below(path: str, folder: str, below: bool) -> None:
    assert is_below(path, folder) is below


# --- where the path map does not reach


@pytest.mark.parametrize(
    ("path", "plex", "tail"),
    [
        ("/data/x/a.mp4", "/media/x/a.mp4", 2),
        ("/data/a.mp4", "/media/b.mp4", 0),
        ("/data/a.mp4", "/data/a.mp4", 2),
        ("/a.mp4", "/media/a.mp4", 1),
        ("/x/A.mp4", "/y/a.mp4", 0),
        ("/x/A.mp4", r"C:\y\a.mp4", 1),
        (r"C:\x\A.mp4", "/y/a.mp4", 0),
        ("/x/e\u0301.mp4", "/y/\u00e9.mp4", 1),
        ("/x/xa.mp4", "/y/a.mp4", 0),
    ],
)
def test_common_tail(path: str, plex: str, tail: int) -> None:
    assert common_tail(path, plex) == tail


@pytest.mark.parametrize(
    ("one", "other", "end"),
    [
        ("/a/b/c", "/x/b/c", 2),
        ("/c", "/x/c", 1),
        (r"C:\b\c", "/b/c", 2),
        ("/a/b", "/a/b", 2),
        ("/a", "/b", 0),
    ],
)
def test_ends_of_path_keys(one: str, other: str, end: int) -> None:
    assert common_end(path_key(one), path_key(other)) == end
    assert file_name(path_key(one)) == one[-1]


def sized(rating_key: int, file: str, size: int = 0, duration: float = 0.0) -> Item:
    return Item(rating_key, 1, files=(file,), sizes=(size,), duration=duration)


FILE = SceneFile("/data/show/s1/01.mp4", 1000, 60.0)


@pytest.mark.parametrize(
    ("candidate", "found"),
    [
        (sized(2, "/media/show/s1/01.mp4", 1000), True),
        (sized(2, "/media/01.mp4", 1000), True),
        (sized(2, "/media/show/s1/01.mp4", 1001), False),
        (sized(2, "/media/show/s1/01.mp4", 1001, 60.0), False),
        (sized(2, "/media/show/s1/02.mp4", 1000, 60.0), False),
        (sized(2, "/media/show/s1/01.mp4", 0, 60.9), True),
        (sized(2, "/media/show/s1/01.mp4", 0, 61.1), False),
        (sized(2, "/media/01.mp4", 0, 60.0), False),
        (sized(2, "/media/show/s1/01.mp4"), False),
    ],
)
def test_a_file_that_ends_alike_counts_only_if_it_is_the_same_content(candidate: Item, found: bool) -> None:
    paths = (FILE.path,)
    assert closest(Scene(1, files=(FILE,)), [candidate]) == (Found(candidate) if found else Missing(paths))


def test_of_several_the_longest_tail_is_meant() -> None:
    near, far = sized(2, "/media/show/s1/01.mp4", 1000), sized(3, "/backup/s1/01.mp4", 1000)
    scene = Scene(1, files=(FILE,))
    assert closest(scene, [far, near]) == Found(near)
    twin = sized(4, "/other/show/s1/01.mp4", 1000)
    assert closest(scene, [twin, far, near]) == Ambiguous((near, twin))


def test_a_name_in_another_case_is_told_by_the_size_and_comes_after_one_in_the_same() -> None:
    """As of a file renamed on macOS, whose paths look like those of Linux, before Plex has scanned again."""
    other = sized(2, "/media/Show/S1/01.MP4", 1000)
    scene = Scene(1, files=(FILE,))
    assert closest(scene, [other]) == Found(other)
    assert files_of(scene, other) == other.files
    assert closest(scene, [sized(2, "/media/Show/S1/01.MP4", 1001, 60.0)]) == Missing((FILE.path,))
    assert closest(scene, [sized(2, "/media/Show/S1/01.MP4", 0, 60.0)]) == Missing((FILE.path,))
    same = sized(3, "/backup/01.mp4", 1000)
    assert closest(scene, [other, same]) == Found(same)


def test_the_primary_file_is_looked_for_first() -> None:
    second = SceneFile("/data/copy.mp4", 2000)
    one, two = sized(2, "/m/copy.mp4", 2000), sized(3, "/m/01.mp4", 1000)
    assert closest(Scene(1, files=(FILE, second)), [one, two]) == Found(two)
    assert closest(Scene(1, files=(FILE, second)), [one]) == Found(one)
    assert closest(Scene(1), [one]) == Missing(())


@pytest.mark.parametrize(
    ("pairs", "learnt"),
    [
        ([("/data/films/a.mp4", "/media/films/a.mp4")], [("/data", "/media")]),
        (
            [("/data/films/a.mp4", "/media/films/a.mp4"), ("/data/clips/b.mp4", "/other/clips/b.mp4")],
            [("/data/clips", "/other/clips"), ("/data/films", "/media/films")],
        ),
        (
            [
                ("/data/x/z/1.mp4", "/q/z/1.mp4"),
                ("/data/x/w/2.mp4", "/n/x/w/2.mp4"),
                ("/data/3.mp4", "/n/3.mp4"),
            ],
            [("/data", "/n"), ("/data/x/z", "/q/z")],
        ),
        ([(r"D:\Videos\x\a.mp4", "/videos/x/a.mp4")], [(r"D:\Videos", "/videos")]),
        ([("/v/x/a.mp4", r"M:\Media\X\a.mp4")], [("/v", r"M:\Media")]),
        ([("/a.mp4", "/media/a.mp4")], [("/", "/media")]),
        ([("/data/a.mp4", "/data/a.mp4"), ("/data/b.mp4", "/media/c.mp4")], []),
        (
            [("/d/1.mp4", "/p/1.mp4"), ("/d/2.mp4", "/q/2.mp4"), ("/d/3.mp4", "/q/3.mp4")],
            [("/d", "/q")],
        ),
        ([], []),
    ],
)
def test_a_path_map_is_learnt(pairs: list[tuple[str, str]], learnt: list[tuple[str, str]]) -> None:
    assert [(pair.stash, pair.plex) for pair in learn(pairs)] == learnt


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/media/a b/c.mp4", "/media/a b"),
        ("/c.mp4", "/"),
        ("M:\\Media\\x\\c.mp4", "M:\\Media\\x"),
        ("\\\\nas\\share\\c.mp4", "\\\\nas\\share"),
    ],
)
def test_the_folder_of_a_file(path: str, folder: str) -> None:
    assert folder_of(path) == folder


def test_the_files_of_an_item_that_are_the_scenes() -> None:
    item = Item(1, 1, files=("/media/a.mp4", "/media/x/b.mp4", "/media/b.mp4"))
    scene = Scene(1, files=(SceneFile("/data/b.mp4"), SceneFile("/gone.mp4")))
    assert files_of(scene, item) == ("/media/x/b.mp4", "/media/b.mp4")
    assert files_of(scene, item, (PathPair("/data", "/media"),)) == ("/media/b.mp4",)
    assert files_of(Scene(1), item) == ()
