"""Somebody deletes the queue file under a running worker; edits after that arrive as ever."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import DamageQueue
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "queue_file_deleted",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Before"})),
        At(0.1, Until("done")),
        At(1.5, DamageQueue("gone")),
        At(2.0, Edit(2, {"title": "After"})),
        At(2.4, Edit(3, {"title": "After that"})),
    ),
)
