"""Thirty edits while Plex is away for ten seconds and the worker is killed twice."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import KillWorker, Outage
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_down_and_two_kills",
    __doc__,
    World(scenes=30),
    workload=trickle(range(1, 31), every_s=0.25, start_s=0.5),
    trouble=(At(0.2, Outage("plex", 10)), At(3.0, KillWorker()), At(6.0, KillWorker())),
    expect=Expect(drain_s=30),
)
