"""Six saves whose tab is closed before the hook has ended; the task for recent edits finds what no hook could note."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import CloseTab
from scenarios.workloads import Press

SCENARIO = Scenario(
    "hook_killed_by_closed_tab",
    __doc__,
    workload=(
        *(At(0.5 * i, CloseTab(i, {"title": f"Tab {i}"}, ms=8.0 * i)) for i in range(1, 7)),
        At(4.0, Press("recent")),
    ),
)
