"""Plex accepts connections and says nothing for a while."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_hangs",
    __doc__,
    World(settings={"plex_timeout_s": 1}),
    workload=trickle(range(1, 7), 0.4),
    trouble=(At(0.5, Fault("plex", "hang", {}, {"s": 10, "for_s": 4})),),
    expect=Expect(drain_s=30),
)
