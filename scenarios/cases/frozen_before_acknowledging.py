"""The worker stands still between Plex's answer and its acknowledgement, and finds that another took its job over."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import FreezeAt
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "frozen_before_acknowledging",
    __doc__,
    workload=trickle([*range(1, 7), *range(1, 7)], 0.5),
    trouble=(At(1.0, FreezeAt("plex", "after_answer", 3.0, expire=True)),),
    expect=Expect(stale_writes=True, drain_s=30),
)
