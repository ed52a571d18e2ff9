"""Plex goes away amid a sync of many scenes, when the worker has read the next ones already; they are not held up."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import Fault, Outage
from scenarios.workloads import Press, Until

SCENARIO = Scenario(
    "plex_gone_while_reading_ahead",
    __doc__,
    World(scenes=150),
    workload=(At(0.0, Press("all")),),
    trouble=(
        At(0.0, Fault("plex", "delay", {"method": "PUT"}, {"ms": 100})),
        At(0.1, Until("writes", 45)),
        At(0.2, Outage("plex", 3.0)),
    ),
)
