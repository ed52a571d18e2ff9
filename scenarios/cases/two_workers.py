"""Somebody starts a second worker on the same folder; nothing is done twice."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import SecondWorker
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "two_workers",
    __doc__,
    World(scenes=10),
    workload=trickle(range(1, 11), 0.2),
    trouble=(At(0.6, SecondWorker()), At(1.0, SecondWorker())),
)
