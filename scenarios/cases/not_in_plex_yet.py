"""Plex has not scanned two of the files; when it has, everything arrives."""

from scenarios.scenario import At, Scenario, World
from scenarios.trouble import Scan
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "not_in_plex_yet",
    __doc__,
    World(plex_has=6),
    workload=(
        *(At(0.2 * i, Edit(i, {"title": f"Scene {i}"})) for i in range(1, 9)),
        At(2.0, Until("done", 6)),
        At(4.0, Press("process_queue")),
    ),
    trouble=(At(3.0, Scan((7, 8))),),
)
