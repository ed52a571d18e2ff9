"""The worker is killed when its write has reached Plex and before Plex has carried it out."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import KillAt
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "killed_before_apply",
    __doc__,
    workload=trickle(range(1, 7), 0.5),
    trouble=(At(1.0, KillAt("plex", "before_apply")),),
)
