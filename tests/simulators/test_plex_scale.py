"""Size and speed as ratios, so that a slow machine does not matter: what grows with the library, and what must not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from simulators.fake_plex import edits, search, wire
from simulators.fake_plex.library import Library
from simulators.fake_plex.service import generated_library
from simulators.generate import generate
from simulators.measure import BOUNDS, WORDS, measure, measure_stash, missed, report

FEW, MANY = 1_000, 10_000


def made(n: int) -> Library:
    library = Library(1, time.time)
    with library.filling():
        generated_library(library, n, seed=1)
    return library


def cpu_s(what: Callable[[], object]) -> float:
    """The least processor time of five goes."""
    found = []
    for _ in range(5):
        began = time.process_time()
        what()
        found.append(time.process_time() - began)
    return min(found)


def test_a_page_and_an_edit_cost_the_same_in_a_library_ten_times_as_large() -> None:
    few, many = made(FEW), made(MANY)

    def page(library: Library) -> None:
        section = library.sections[1]
        rows = search.select(library, section, [("type", "1")])[500:1000]
        assert len([wire.summary(library, item).xml() for item in rows]) == 500

    def edit(library: Library) -> None:
        for key in range(1, 101):
            library.edit(
                [library.items[key]], edits.Edit({"title": f"T{time.perf_counter_ns()}"}, {"title": True})
            )

    for what in (page, edit):
        assert cpu_s(lambda what=what: what(many)) < 4 * cpu_s(lambda what=what: what(few)) + 0.01


def test_a_page_shown_before_is_cheaper() -> None:
    library = made(FEW)
    items = list(library.movies(library.sections[1]))

    def show() -> None:
        for item in items:
            wire.summary(library, item).xml()

    began = time.process_time()
    show()
    first = time.process_time() - began
    assert cpu_s(show) < first / 3


def test_making_grows_no_faster_than_the_library() -> None:
    assert cpu_s(lambda: made(MANY)) < 25 * cpu_s(lambda: made(FEW))


def test_the_order_of_titles_survives_edits() -> None:
    library = made(FEW)
    section = library.sections[1]
    for key in range(1, 200, 3):
        library.edit([library.items[key]], edits.Edit({"title": f"The {key % 7} Zebra"}))
    by_title = [item.key for item in library.movies(section)]
    assert by_title == [item.key for item in sorted(library.movies(section), key=lambda i: i.order)]
    assert len(set(by_title)) == FEW


def test_generated_scenes() -> None:
    scenes = generate(500, 3)
    assert scenes[:100] == generate(100, 3) and scenes != generate(500, 4)
    assert len({scene["path"] for scene in scenes}) == 500
    assert all(scene["path"].startswith("/data/stash/") for scene in scenes)
    assert {len(scene["date"]) if scene["date"] else 0 for scene in scenes} == {0, 4, 7, 10}


@pytest.mark.parametrize(("service", "measured"), [("plex", measure), ("stash", measure_stash)])
def test_measuring(service: str, measured: Callable[[int], dict[str, float | None]]) -> None:
    found = measured(2000)
    assert found["items"] == 2000 and all(value is None or value >= 0 for value in found.values())
    assert BOUNDS[service].keys() <= found.keys()
    assert all(f"{value:,}" in report(service, found) for value in found.values() if value is not None)


def test_a_promise_that_is_missed_is_said() -> None:
    found: dict[str, float | None] = dict.fromkeys(WORDS, 1.0)
    found |= {"items": 5, "start_s": 3.0, "page_first_ms": 499.9, "page_again_ms": 500.0, "edit_ms": None}
    assert missed("stash", found) == ["page_again_ms"]
    assert [line.split()[0] for line in report("stash", found).splitlines() if line.endswith("MISSED")] == [
        "the"
    ]
    assert "not known" in report("stash", found)
