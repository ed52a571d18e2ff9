"""Two hundred kills of the worker and fifty of hooks while people edit; then two buttons, and nothing is missing."""

import random

from scenarios.scenario import At, Expect, Lane, Scenario, World
from scenarios.trouble import CloseTab, KillWorker
from scenarios.workloads import Edit, Press, Until, some_fields

# A hook takes 17 ms on a quiet machine; a tab closed after that kills none.
KILLS, CLOSED_TABS, SCENES = 200, 60, 30


def _people(rng: random.Random) -> Lane:
    lane = []
    for i in range(2 * CLOSED_TABS):
        fields = some_fields(rng, f"Edit {i}")
        scene = rng.randint(1, SCENES)
        act = Edit(scene, fields) if i % 2 else CloseTab(scene, fields, ms=rng.uniform(2, 14))
        lane.append(At(1.2 * i, act))
    return tuple(lane)


def _kills(rng: random.Random) -> Lane:
    lane = [At(0.5 + 0.7 * i + rng.uniform(0, 0.4), KillWorker(wake=True)) for i in range(KILLS)]
    # The buttons are pressed when the last kill is over, however long all of them took, and nobody edits any more.
    after = 1.2 * 2 * CLOSED_TABS + 5
    return (
        *lane,
        At(after, Press("recent")),
        At(after, Until("idle", within_s=60.0)),
        At(after, Press("retry_dlq")),
    )


SCENARIO = Scenario(
    "two_hundred_kills",
    __doc__,
    World(scenes=SCENES),
    workload=_people,
    trouble=_kills,
    expect=Expect(drain_s=90, hook_ms=200.0),
    in_run=False,  # takes some minutes
)
