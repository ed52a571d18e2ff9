"""Plex is away, and when it is back Stash goes: for seven seconds one of the two is always missing."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import Outage
from scenarios.workloads import Edit

SCENARIO = Scenario(
    "servers_take_turns",
    __doc__,
    workload=(
        At(0.5, Edit(1, {"title": "While Plex is away"})),
        At(0.8, Edit(2, {"title": "While Plex is away, too"})),
        At(8.0, Edit(1, {"title": "When both are back"})),
    ),
    trouble=(At(0.2, Outage("plex", 3.5)), At(3.5, Outage("stash", 3.5))),
)
