"""A scan in Stash finds new files that Plex has as well."""

from scenarios.scenario import At, Scenario
from scenarios.workloads import Create, Edit

SCENARIO = Scenario(
    "created_by_a_scan",
    __doc__,
    workload=(
        At(0.0, Create("Brand New")),
        At(0.5, Create("Newer Still")),
        At(1.0, Edit(1, {"title": "An old one"})),
    ),
)
