"""Plex does not have the file of one scene: its job waits for later, and is not given up at once."""

from scenarios.scenario import Expect, Scenario, World
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "never_in_plex",
    __doc__,
    World(plex_has=7),
    workload=trickle(range(1, 9), 0.2),
    expect=Expect(never_in_sync=(8,), later=True),
)
