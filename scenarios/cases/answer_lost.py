"""Plex carries the write out and the connection breaks before the answer, three times."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import WRITE, Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "answer_lost",
    __doc__,
    workload=trickle(range(1, 7), 0.3),
    trouble=(At(0.0, Fault("plex", "reset_after", WRITE, {"count": 3})),),
)
