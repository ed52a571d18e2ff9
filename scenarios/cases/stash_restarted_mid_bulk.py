"""Stash is restarted while a bulk edit runs its hooks: what it stored is brought over by the task for recent edits."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import RestartStash
from scenarios.workloads import BulkEdit, Press

SCENARIO = Scenario(
    "stash_restarted_mid_bulk",
    __doc__,
    World(scenes=16),
    workload=(At(0.2, BulkEdit(tuple(range(1, 17)), {"studio": "Blue Door"})), At(3.5, Press("recent"))),
    trouble=(At(0.5, RestartStash()),),
)
