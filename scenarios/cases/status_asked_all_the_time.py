"""The plugin is asked what its queue holds while Plex is away, a worker dies and edits come in."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import KillWorker, Outage
from scenarios.workloads import AskStatus, Edit

SCENARIO = Scenario(
    "status_asked_all_the_time",
    __doc__,
    workload=(
        *(
            at
            for i in range(1, 7)
            for at in (At(0.5 * i, Edit(i, {"title": f"Scene {i}"})), At(0.5 * i + 0.2, AskStatus()))
        ),
        At(5.0, AskStatus()),
    ),
    trouble=(At(0.7, Outage("plex", 2.5)), At(1.8, KillWorker())),
)
