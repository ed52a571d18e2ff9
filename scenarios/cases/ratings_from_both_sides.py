"""Scenes are rated in Plex and in Stash; the newest rating of each ends up on both sides."""

from scenarios.scenario import At, Scenario, World
from scenarios.workloads import Edit, Press, RateInPlex, Until

SCENARIO = Scenario(
    "ratings_from_both_sides",
    __doc__,
    World(scenes=6, settings={"ratings_to_stash": True}),
    workload=(
        *(At(0.1 * i, Edit(i, {"title": f"Scene {i}", "rating100": 10 * i})) for i in range(1, 7)),
        At(1.0, Until("idle")),
        # Both sides count in seconds, so what is newer is newer by more than one.
        At(3.0, RateInPlex(1, 95)),
        At(3.1, RateInPlex(2, 15)),
        At(3.2, RateInPlex(3, 85)),
        At(3.3, Edit(4, {"rating100": 75})),
        At(5.5, Edit(2, {"rating100": 100})),
        At(5.6, Edit(3, {"title": "Scene 3, another title"})),
        At(5.7, RateInPlex(4, 55)),
        At(7.0, Press("reconcile_all")),
        At(7.2, Until("idle")),
    ),
)
