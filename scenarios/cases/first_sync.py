"""A library of 120 scenes is synced for the first time."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.workloads import Press, Until

SCENARIO = Scenario(
    "first_sync",
    __doc__,
    World(scenes=120),
    workload=(At(0.0, Press("all")), At(0.1, Until("idle", within_s=60.0))),
    expect=Expect(drain_s=60),
)
