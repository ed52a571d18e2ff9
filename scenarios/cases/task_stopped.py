"""Somebody stops the tasks of the plugin in Stash while they work."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import StopJob
from scenarios.workloads import Press

SCENARIO = Scenario(
    "task_stopped",
    __doc__,
    World(scenes=80),
    workload=(
        At(0.0, StopJob("all", 250.0)),
        At(0.5, StopJob("process_queue", 400.0)),
        At(1.5, StopJob("process_queue", 700.0)),
        At(3.0, Press("all")),
    ),
    expect=Expect(drain_s=60),
)
