"""The queue file is overwritten with rubbish while nothing waits; it is set aside, and edits after that arrive."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import DamageQueue
from scenarios.workloads import Edit, Press, Until

SCENARIO = Scenario(
    "queue_file_damaged",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Before"})),
        At(0.1, Until("done")),
        At(2.0, DamageQueue("file")),
        At(2.5, Edit(2, {"title": "After"})),
        At(3.0, Edit(3, {"title": "After that"})),
        At(3.5, Press("recent")),
    ),
    expect=Expect(drain_s=30),
)
