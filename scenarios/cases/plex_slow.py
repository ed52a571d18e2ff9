"""Plex takes most of a second for everything; the queue is slow, and nothing is lost or sent twice."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_slow",
    __doc__,
    workload=trickle(range(1, 7), 0.3),
    trouble=(At(0.0, Fault("plex", "delay", {}, {"ms": 350, "jitter_ms": 150})),),
)
