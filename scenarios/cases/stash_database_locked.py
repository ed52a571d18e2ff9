"""Stash answers "database is locked" ten times."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import LockedDatabase
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "stash_database_locked",
    __doc__,
    workload=trickle(range(1, 7), 0.3),
    trouble=(At(0.2, LockedDatabase(10)),),
    expect=Expect(drain_s=30),
)
