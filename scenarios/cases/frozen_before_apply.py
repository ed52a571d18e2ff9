"""The worker stands still while its write is at Plex and not carried out yet; it wakes and reads the answer then."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import FreezeAt
from scenarios.workloads import Edit, trickle

SCENARIO = Scenario(
    "frozen_before_apply",
    __doc__,
    workload=trickle(range(1, 7), 0.5),
    trouble=(At(1.0, FreezeAt("plex", "before_apply", 3.0)), At(5.0, Edit(1, {"title": "After the frost"}))),
)
