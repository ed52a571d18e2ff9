"""One click edits twenty scenes; twenty items change."""

from scenarios.scenario import At, Scenario, World
from scenarios.workloads import BulkEdit

SCENARIO = Scenario(
    "bulk_edit_of_twenty",
    __doc__,
    World(scenes=22),
    workload=(
        At(
            0.0,
            BulkEdit(
                tuple(range(1, 21)), {"studio": "Blue Door", "tags": ["Rain", "Award"], "rating100": 85}
            ),
        ),
    ),
)
