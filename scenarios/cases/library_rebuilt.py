"""The Plex library is emptied and scanned anew while edits come in: new rating keys, all metadata gone."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import RebuildLibrary
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "library_rebuilt",
    __doc__,
    workload=(
        *(At(0.2 * i, Edit(i, {"title": f"First {i}"})) for i in range(1, 7)),
        At(1.5, Until("idle")),
        *(At(4.0 + 0.2 * i, Edit(i, {"title": f"Second {i}"})) for i in range(1, 7)),
    ),
    trouble=(At(3.0, RebuildLibrary()),),
)
