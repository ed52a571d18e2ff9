"""The plugin is replaced by a newer version, file by file, while hooks fire and the worker works."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import Upgrade
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "upgrade_under_load",
    __doc__,
    World(scenes=12),
    workload=trickle(range(1, 13), 0.25),
    trouble=(At(1.0, Upgrade()),),
)
