"""A Plex that replaces the tags it is sent instead of adding them, and keeps their case apart."""

from scenarios.scenario import At, Scenario, World
from scenarios.workloads import Edit

SCENARIO = Scenario(
    "plex_replaces_tags",
    __doc__,
    World(switches={"tags": "replace", "tag_case": "exact"}),
    workload=(
        *(At(0.2 * i, Edit(i, {"tags": ["Rain", "Night", "Café"]})) for i in range(1, 4)),
        At(1.5, Edit(1, {"tags": ["rain", "Award"]})),
        At(1.8, Edit(2, {"tags": []})),
    ),
)
