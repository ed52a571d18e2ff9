"""Plex is away from evening to morning; people edit on, the machine is restarted at night, and by day all is there."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import KillWorker, Outage
from scenarios.workloads import Edit

HOUR_S = 3600.0


def _night(scale: float, about: str = __doc__) -> Scenario:
    """Nine hours, each `scale` times as long as an hour is."""
    hour = HOUR_S * scale
    return Scenario(
        "plex_down_overnight",
        about,
        World(scenes=9),
        workload=tuple(
            At(hour * at, Edit(1 + i % 9, {"title": f"Edit {i}", "details": f"Written at {at:g} h."}))
            for i, at in enumerate((0.1, 0.5, 1, 1.5, 2, 2.5, 3, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.8, 10))
        ),
        trouble=(At(hour * 0.3, Outage("plex", 9 * hour)), At(hour * 5, KillWorker())),
        expect=Expect(drain_s=60),
        when_simulated=None if scale == 1 else _night(1),
    )


SCENARIO = _night(2.5 / HOUR_S)
