"""The worker stands still in a write for longer than its lease; another takes over, then the first one wakes up."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import WRITE, Fault, Freeze
from scenarios.workloads import Edit

SCENARIO = Scenario(
    "worker_frozen",
    __doc__,
    workload=(
        *(At(0.3 * i, Edit(i, {"title": f"First {i}"})) for i in range(1, 5)),
        At(2.5, Edit(1, {"title": "Second 1"})),
        At(3.0, Edit(2, {"title": "Second 2"})),
    ),
    trouble=(At(0.0, Fault("plex", "delay", WRITE, {"ms": 400})), At(1.6, Freeze(3.0, expire=True))),
    expect=Expect(stale_writes=True, drain_s=30),
)
