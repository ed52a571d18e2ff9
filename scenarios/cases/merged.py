"""A scene is merged into another one, which has two files then."""

from scenarios.scenario import At, Scenario
from scenarios.workloads import Edit, Merge, Press

SCENARIO = Scenario(
    "merged",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Stays"})),
        At(0.2, Edit(2, {"title": "Goes"})),
        At(1.0, Merge(2, into=1)),
        At(1.5, Edit(1, {"title": "Stays, with both files"})),
        At(2.0, Press("recent")),
    ),
)
