"""Stash is away while its edits are worked on; the task for recent edits finds what an interrupted save left behind."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Outage
from scenarios.workloads import Edit, Press

SCENARIO = Scenario(
    "stash_away",
    __doc__,
    workload=(
        *(At(0.1 * i, Edit(i, {"title": f"Scene {i}"})) for i in range(1, 7)),
        At(5.0, Press("recent")),
    ),
    trouble=(At(0.0, Outage("plex", 2.0)), At(1.2, Outage("stash", 3.0))),
    expect=Expect(drain_s=30),
)
