"""Fifty saves of one scene in a row: few writes, and the last state wins."""

from scenarios.scenario import Scenario
from scenarios.workloads import repeats

SCENARIO = Scenario("one_scene_again_and_again", __doc__, workload=repeats(1, 50, 0.04))
