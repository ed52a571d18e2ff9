"""Answers of Plex are malformed, cut short, empty, or a proxy's page."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Fault
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "plex_garbled",
    __doc__,
    workload=trickle(range(1, 9), 0.3),
    trouble=tuple(
        At(0.2 + 0.5 * i, Fault("plex", "garble", {}, {"how": how, "count": 2}))
        for i, how in enumerate(("break", "cut", "html", "empty"))
    ),
    expect=Expect(drain_s=30),
)
