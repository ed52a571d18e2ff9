"""A tag gets another name while Plex is away, and before the scenes that have it are found Stash is away too."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Outage
from scenarios.workloads import Edit, Rename, Until

SCENARIO = Scenario(
    "renamed_and_stash_gone",
    __doc__,
    World(scenes=6),
    workload=(
        *(At(0.1 * i, Edit(i, {"tags": ["Rain", "Night"]})) for i in range(1, 7)),
        At(1.0, Until("idle")),
        At(1.1, Outage("plex", 4.0)),
        At(1.2, Edit(1, {"title": "Meets the outage"})),
        At(1.5, Until("resting")),
        At(2.0, Rename("tag", "Rain", "Drizzle")),
        At(2.1, Outage("stash", 4.0)),
    ),
    expect=Expect(drain_s=30),
)
