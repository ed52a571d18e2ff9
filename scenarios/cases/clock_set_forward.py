"""The wall clock jumps a day ahead while edits come in."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import TurnClock
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "clock_set_forward",
    __doc__,
    workload=trickle(range(1, 7), 0.4),
    trouble=(At(1.2, TurnClock(86400.0)),),
    expect=Expect(outages=False),
)
