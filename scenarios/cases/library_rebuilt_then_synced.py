"""The Plex library is emptied and scanned anew while nobody edits; "Sync all scenes" brings everything back."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import RebuildLibrary
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "library_rebuilt_then_synced",
    __doc__,
    workload=(
        *(At(0.1 * i, Edit(i, {"title": f"Scene {i}"})) for i in range(1, 7)),
        At(1.0, Until("idle")),
        At(1.2, RebuildLibrary()),
        At(1.4, Press("all")),
    ),
)
