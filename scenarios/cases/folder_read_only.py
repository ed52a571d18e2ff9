"""The data folder cannot be written for a while: hooks say so, and afterwards one task brings the edits over."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import ReadOnly
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "folder_read_only",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Before"})),
        At(0.5, Until("done")),
        At(1.5, Edit(2, {"title": "Refused"})),
        At(4.0, Edit(3, {"title": "Writable again"})),
        At(4.5, Press("recent")),
    ),
    trouble=(At(1.2, ReadOnly(2.0)),),
    needs=("root",),
)
