"""The Plex token is void; the queue waits, says so once, and goes on when the new one is entered."""

from scenarios.scenario import At, Scenario
from scenarios.trouble import RotateToken
from scenarios.workloads import trickle

SCENARIO = Scenario(
    "token_rotated", __doc__, workload=trickle(range(1, 7), 0.4), trouble=(At(0.9, RotateToken(tell_s=3.0)),)
)
