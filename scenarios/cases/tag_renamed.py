"""A tag and a performer get other names; every scene that has them changes in Plex."""

from scenarios.scenario import At, Scenario, World
from scenarios.workloads import Edit, Press, Rename, Until

SCENARIO = Scenario(
    "tag_renamed",
    __doc__,
    World(scenes=8),
    workload=(
        *(
            At(0.1 * i, Edit(i, {"tags": ["Rain", "Night"], "performers": ["Ada Hansen"]}))
            for i in range(1, 9)
        ),
        At(2.0, Until("idle")),
        At(2.1, Rename("tag", "Rain", "Drizzle")),
        At(2.5, Rename("performer", "Ada Hansen", "Ada H. Hansen")),
        At(3.0, Press("all")),
    ),
)
