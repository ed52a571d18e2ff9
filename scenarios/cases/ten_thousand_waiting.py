"""Ten thousand scenes wait for Plex; edits go on being noted at once, and when Plex is back all of them arrive."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Outage
from scenarios.workloads import AskStatus, Edit, Press, Until

SCENES = 10_000
SCENARIO = Scenario(
    "ten_thousand_waiting",
    __doc__,
    World(scenes=SCENES),
    workload=(
        At(0.5, Press("all")),
        At(0.6, Until("waiting", SCENES, within_s=25.0)),
        *(At(1.0, Edit(400 * i, {"title": f"Edited while {SCENES} wait, {i}"})) for i in range(1, 25)),
        At(1.5, AskStatus()),
    ),
    trouble=(At(0.0, Outage("plex", 30.0)),),
    expect=Expect(drain_s=300),
)
