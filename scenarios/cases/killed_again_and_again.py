"""The worker is killed every second while edits come in; each death costs a repeat at most."""

from scenarios.scenario import At, Expect, Scenario, World
from scenarios.trouble import KillWorker
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "killed_again_and_again",
    __doc__,
    World(scenes=12),
    workload=trickle([*range(1, 13), *range(1, 13)], 0.35),
    trouble=tuple(At(0.8 + 1.1 * i, KillWorker(wake=True)) for i in range(8)),
    expect=Expect(drain_s=30),
)
