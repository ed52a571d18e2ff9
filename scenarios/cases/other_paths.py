"""Plex sees the files below another folder than Stash."""

from scenarios.scenario import Scenario, World
from scenarios.workloads import trickle

SCENARIO = Scenario("other_paths", __doc__, World(plex_root="/mnt/media"), workload=trickle(range(1, 7), 0.2))
