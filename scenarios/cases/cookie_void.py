"""Stash asks for a login and is restarted: the worker's cookie is void, its key is not."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import RestartStash
from scenarios.workloads import in_turn, trickle

SCENARIO = Scenario(
    "cookie_void",
    __doc__,
    World(login=True),
    # In one lane: the edits that follow come when Stash is there again, however long that takes.
    workload=in_turn(
        trickle(range(1, 4), 0.7), (At(2.0, RestartStash()),), trickle(range(4, 9), 0.7, start_s=2.5)
    ),
    expect=Expect(drain_s=30),
)
