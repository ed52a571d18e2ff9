"""As poison_scene, but the item recovers and somebody presses "Retry dead letters": nothing is missing."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import Poison
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "poison_scene_healed",
    __doc__,
    World(settings={"max_attempts": 2, "retry_cap_s": 1}),
    workload=(
        At(0.0, Poison(2)),
        At(0.3, Edit(2, {"title": "Poison, then not"})),
        At(0.5, Until("dead", within_s=15.0)),
        At(0.5, Poison(2, on=False)),
        At(0.6, Press("retry_dlq")),
    ),
)
