"""Two Plex libraries have the same file: a dead letter names both, nothing is written to either."""

from scenarios.scenario import Expect, Scenario, World
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "in_two_libraries",
    __doc__,
    World(twice=(2,)),
    workload=trickle(range(1, 5), 0.2),
    expect=Expect(dead={2: "Ambiguous"}, never_in_sync=(2,)),
)
