"""Another program holds the queue file for three seconds: hooks leave their edits in the spool and are not slowed."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import LockQueue
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "queue_locked", __doc__, workload=trickle(range(1, 7), 0.4), trouble=(At(0.9, LockQueue(3.0)),)
)
