"""Watching a scene edits nothing Plex shows, and must not cost a job."""

from scenarios.scenario import At, Scenario
from scenarios.workloads import Edit, Play

SCENARIO = Scenario(
    "play_count_leaves_no_row",
    __doc__,
    workload=(
        At(0.0, Play(1)),
        At(0.2, Play(2)),
        At(0.4, Edit(3, {"title": "Worth a job"})),
        At(0.6, Play(1)),
    ),
)
