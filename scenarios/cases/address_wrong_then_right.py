"""The Plex address is wrong for a while; the edits wait for the right one."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Setting
from scenarios.workloads import Edit, Until

SCENARIO = Scenario(
    "address_wrong_then_right",
    __doc__,
    workload=(
        At(0.0, Edit(1, {"title": "Before"})),
        At(0.6, Until("idle")),
        At(1.5, Edit(2, {"title": "Meanwhile"})),
        At(2.0, Edit(3, {"title": "Meanwhile too"})),
    ),
    trouble=(At(1.2, Setting("plex_url", "http://127.0.0.1:9")), At(4.0, Setting("plex_url", None))),
    expect=Expect(outages=False, drain_s=40),
)
