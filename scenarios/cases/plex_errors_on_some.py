"""Every other write is answered 500; tried again, all arrive."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import WRITE, Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_errors_on_some",
    __doc__,
    workload=trickle(range(1, 9), 0.2),
    trouble=(At(0.0, Fault("plex", "status", WRITE, {"code": 500, "probability": 0.5, "for_s": 6})),),
    expect=Expect(drain_s=40),
)
