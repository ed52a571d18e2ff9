"""Stash asks for a login and is restarted: the worker's cookie is void, its key is not."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import RestartStash
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "cookie_void",
    __doc__,
    World(login=True),
    workload=trickle(range(1, 9), 0.9),
    trouble=(At(2.0, RestartStash()),),
    expect=Expect(drain_s=30),
)
