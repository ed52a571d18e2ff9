"""What is taken away in Stash is taken away in Plex."""

from scenarios.scenario import At, Scenario, World
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "all_fields_cleared",
    __doc__,
    World(dated=True),
    workload=(
        At(
            0.0,
            Edit(
                1,
                {
                    "title": "Full",
                    "studio": "Blue Door",
                    "tags": ["Rain"],
                    "performers": ["Ada Hansen"],
                    "rating100": 70,
                    "details": "A text.",
                },
            ),
        ),
        At(0.5, Until("idle")),
        At(
            1.0,
            Edit(
                1,
                {"title": "", "studio": None, "tags": [], "performers": [], "rating100": None, "details": ""},
            ),
        ),
    ),
)
