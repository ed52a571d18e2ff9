"""Plex answers 503 to everything for four seconds, as it does while it starts."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_in_maintenance",
    __doc__,
    workload=trickle(range(1, 7), 0.4),
    trouble=(At(0.6, Fault("plex", "status", {}, {"code": 503, "for_s": 4})),),
    expect=Expect(drain_s=30),
)
