"""Ten thousand scenes wait for Plex; edits go on being noted at once, and when Plex is back all of them arrive."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import Outage
from scenarios.workloads import AskStatus, Edit, Press, Until


def _waiting(scenes: int, small: Scenario | None = None) -> Scenario:
    return Scenario(
        "ten_thousand_waiting",
        __doc__,
        World(scenes=scenes),
        workload=(
            At(0.5, Press("all")),
            At(0.6, Until("waiting", scenes, within_s=25.0)),
            *(At(1.0, Edit(scenes // 25 * i, {"title": f"Edited meanwhile, {i}"})) for i in range(1, 25)),
            At(1.5, AskStatus()),
        ),
        trouble=(At(0.0, Outage("plex", 30.0)),),
        expect=Expect(drain_s=400),
        when_simulated=small,
    )


SCENARIO = _waiting(10_000, small=_waiting(500))
