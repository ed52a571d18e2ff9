"""Scenes are deleted in Stash while their edits wait for Plex to come back."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import Outage
from scenarios.workloads import Destroy, Edit

SCENARIO = Scenario(
    "deleted_while_waiting",
    __doc__,
    workload=(
        *(At(0.1 * i, Edit(i, {"title": f"Scene {i}"})) for i in range(1, 7)),
        At(1.5, Destroy((2, 3))),
    ),
    trouble=(At(0.0, Outage("plex", 3.0)),),
)
