"""A bit flips in a waiting row: that edit is a dead letter, its neighbours go on."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import DamageQueue, Outage
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "row_damaged",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Fine"})),
        At(0.2, Until("done")),
        At(0.3, Outage("plex", 3.0)),
        At(0.4, Edit(2, {"title": "Fine too"})),
        At(0.6, Edit(3, {"title": "Damaged"})),
        At(0.8, Until("resting", 2)),
        At(0.8, DamageQueue("row")),
    ),
    expect=Expect(dead={3: "DamagedRow"}),
)
