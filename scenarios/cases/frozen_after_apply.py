"""The worker stands still when Plex has carried its write out; its lease ends, another does the job, then it wakes."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import FreezeAt
from scenarios.workloads import Edit, trickle

SCENARIO = Scenario(
    "frozen_after_apply",
    __doc__,
    workload=trickle([*range(1, 7), *range(1, 7)], 0.5),
    trouble=(
        At(1.0, FreezeAt("plex", "after_apply", 3.0, expire=True)),
        At(7.0, Edit(1, {"title": "After the frost"})),
    ),
    expect=Expect(stale_writes=True, drain_s=30),
)
