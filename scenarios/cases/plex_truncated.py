"""Answers of Plex end in the middle."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_truncated",
    __doc__,
    workload=trickle(range(1, 7), 0.3),
    trouble=(At(0.0, Fault("plex", "truncate", {}, {"bytes": 40, "count": 5})),),
    expect=Expect(drain_s=30),
)
