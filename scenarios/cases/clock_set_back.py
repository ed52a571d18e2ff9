"""The wall clock goes back by an hour while jobs wait for their next try; none of them waits an hour."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import WRITE, Fault, TurnClock
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "clock_set_back",
    __doc__,
    workload=trickle(range(1, 7), 0.4),
    trouble=(
        At(0.3, Fault("plex", "status", WRITE, {"code": 500, "for_s": 2.5})),
        At(1.6, TurnClock(-3600.0)),
    ),
    expect=Expect(outages=False),
)
