"""Plex goes and comes back every second."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Outage
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_flaps",
    __doc__,
    World(scenes=8),
    workload=trickle([*range(1, 9), *range(1, 9)], 0.4),
    trouble=tuple(At(0.5 + 2.0 * i, Outage("plex", 0.9)) for i in range(4)),
    expect=Expect(drain_s=30),
)
