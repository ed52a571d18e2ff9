"""The worker is killed when Plex has carried its write out and before the answer: nobody knows it was done."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import KillAt
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "killed_after_apply",
    __doc__,
    workload=trickle(range(1, 7), 0.5),
    trouble=(At(1.0, KillAt("plex", "after_apply")),),
)
