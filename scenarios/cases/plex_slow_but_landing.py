"""Plex takes longer than we wait, and the write lands all the same; meanwhile the scene is edited again."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import WRITE, Fault
from scenarios.workloads import Edit

SCENARIO = Scenario(
    "plex_slow_but_landing",
    __doc__,
    World(settings={"plex_timeout_s": 1}),
    workload=(
        At(0.0, Edit(1, {"title": "Older"})),
        At(1.2, Edit(1, {"title": "Newer"})),
        At(1.5, Edit(2, {"title": "Neighbour"})),
        At(5.0, Edit(3, {"title": "Later"})),
    ),
    trouble=(At(0.0, Fault("plex", "slow_apply", WRITE, {"s": 2.5, "count": 1})),),
    expect=Expect(stale_writes=True),  # the older write does land later; what counts is that it is put right
)
