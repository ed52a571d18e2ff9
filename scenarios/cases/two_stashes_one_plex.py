"""Two Stashes with a plugin each write to one Plex, which goes away for a while; a worker of the first is killed."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import KillWorker, Outage
from scenarios.workloads import in_turn, trickle
from scenarios.world import SECOND

SCENARIO = Scenario(
    "two_stashes_one_plex",
    __doc__,
    World(scenes=6, second=6),
    workload=in_turn(
        trickle([n for i in range(1, 7) for n in (i, SECOND + i)], 0.25),
        trickle([n for i in range(1, 4) for n in (i, SECOND + i)], 0.25, start_s=6.0, label="Again"),
    ),
    trouble=(At(1.0, Outage("plex", 3.0)), At(2.0, KillWorker())),
    expect=Expect(drain_s=30),
)
