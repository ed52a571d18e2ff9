"""The machine tells the worker to stop (SIGTERM) in the middle of things; the job in hand is done or given back."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import Fault, KillWorker
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "worker_told_to_stop",
    __doc__,
    workload=trickle(range(1, 9), 0.4),
    trouble=(
        At(0.0, Fault("plex", "delay", {}, {"ms": 150})),
        At(1.3, KillWorker("TERM")),
        At(2.6, KillWorker("TERM")),
    ),
)
