"""Forty saves from eight tabs at once."""

from scenarios.scenario import Expect, Scenario, World
from scenarios.workloads import storm

SCENARIO = Scenario(
    "storm_of_tabs",
    __doc__,
    World(scenes=40),
    workload=storm(range(1, 41), tabs=8),
    expect=Expect(hook_ms=250.0),
)
