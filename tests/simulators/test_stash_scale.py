"""Size and speed as ratios and processor time, so that a busy machine does not matter."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from simulators.fake_stash.instance import Call, Instance
from simulators.fake_stash.routes import make_engine
from simulators.generate import generate
from simulators.measure import SCENES_PAGE as PAGE

FEW, MANY = 1_600, 12_000


@pytest.fixture(scope="module")
def instances(tmp_path_factory) -> dict[int, Instance]:
    folder = tmp_path_factory.mktemp("config")
    return {n: Instance(folder / str(n), None, {"scenes": generate(n, 1)}) for n in (FEW, MANY)}


def answer(instance: Instance, query: str, variables: dict[str, Any]) -> Any:
    engine = make_engine()
    found = asyncio.run(
        engine.run(engine.prepare(query, variables, None), Call(instance, base_url="http://x"))
    )
    assert found.errors == []
    return json.loads(found.data)


def cpu_s(what: Callable[[], object]) -> float:
    """The least processor time of five goes."""
    found = []
    for _ in range(5):
        began = time.process_time()
        what()
        found.append(time.process_time() - began)
    return min(found)


AFTER = {"s": {"id": {"value": 500, "modifier": "GREATER_THAN"}}, "f": {"sort": "id", "per_page": 1000}}


def test_a_page_of_a_thousand_with_relations(instances):
    found = answer(instances[FEW], PAGE, AFTER)["findScenes"]
    assert (found["count"], len(found["scenes"])) == (FEW - 500, 1000)
    assert [int(scene["id"]) for scene in found["scenes"]] == list(range(501, 1501))
    assert cpu_s(lambda: answer(instances[FEW], PAGE, AFTER)) < 0.5


def test_a_page_costs_little_more_in_a_library_ten_times_as_large(instances):
    few, many = (cpu_s(lambda n=n: answer(instances[n], PAGE, AFTER)) for n in (FEW, MANY))
    assert many < 3 * few + 0.05


def test_making_grows_no_faster_than_the_library(tmp_path):
    def make(n: int) -> None:
        Instance(tmp_path, None, {"scenes": scenes[:n]})

    scenes = generate(MANY, 2)
    assert cpu_s(lambda: make(MANY)) < 25 * cpu_s(lambda: make(FEW))


def test_an_order_once_made_is_kept_until_something_changes(instances):
    instance = instances[MANY]

    def page() -> list[str]:
        found = answer(instance, PAGE, {"f": {"sort": "title", "per_page": 5}})["findScenes"]["scenes"]
        return [scene["title"] for scene in found]

    def fresh() -> list[str]:
        instance.catalog.changed()
        return page()

    assert cpu_s(page) < cpu_s(fresh) / 2
    assert "Aaa" not in page()
    instance.catalog.update(instance.catalog.scenes[MANY], {"title": "Aaa"})
    assert page()[0] == "Aaa"
