"""The worker is killed between the answer of Plex and its own acknowledgement, twice."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import KillAt
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "killed_before_acknowledging",
    __doc__,
    workload=trickle(range(1, 9), 0.6),
    trouble=(At(1.0, KillAt("plex", "after_answer")), At(2.5, KillAt("plex", "after_answer"))),
)
