"""Plex breaks every third connection before it has read the request."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "connection_reset",
    __doc__,
    workload=trickle(range(1, 9), 0.2),
    trouble=(At(0.0, Fault("plex", "reset_before", {}, {"probability": 0.33})),),
    expect=Expect(drain_s=30),
)
