"""The worker is killed while it asks Stash for the scene, before anything is written."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import KillAt
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "killed_while_reading_stash",
    __doc__,
    workload=trickle(range(1, 7), 0.5),
    trouble=(At(1.0, KillAt("stash", "after_apply", {"operation": "findScene|FindScene"})),),
)
