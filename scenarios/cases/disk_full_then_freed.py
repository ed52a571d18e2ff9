"""The disk is full for a while: hooks say what they could not keep, and afterwards one task brings it over."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import FillDisk
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "disk_full_then_freed",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Before"})),
        At(0.5, Until("done")),
        At(1.5, Edit(2, {"title": "Full"})),
        At(1.8, Edit(3, {"title": "Full too"})),
        At(4.0, Edit(4, {"title": "Room again"})),
        At(4.5, Press("recent")),
    ),
    trouble=(At(1.2, FillDisk(2.0)),),
    needs=("root",),
)
