"""One item answers 500 for ever: its scene becomes a dead letter after its attempts, the others go on at once."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Poison
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "poison_scene",
    __doc__,
    World(settings={"max_attempts": 3, "retry_cap_s": 1}),
    workload=(
        At(0.3, Edit(2, {"title": "Poison"})),
        At(0.4, Edit(1, {"title": "Good"})),
        At(0.5, Edit(3, {"title": "Good too"})),
        At(1.0, Until("dead", within_s=15.0)),
    ),
    trouble=(At(0.0, Poison(2)),),
    expect=Expect(dead={2: "Transient"}),
)
