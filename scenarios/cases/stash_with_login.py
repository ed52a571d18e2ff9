"""Stash asks for a user and password; hooks bring a cookie, the worker moves to the key."""

from scenarios.scenario import Scenario, World
from scenarios.workloads import trickle

SCENARIO = Scenario("stash_with_login", __doc__, World(login=True), workload=trickle(range(1, 7), 0.2))
