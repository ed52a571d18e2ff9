"""A process killed at every executed line and every SQL statement of every public operation.

The ordinary suite takes every so-manieth point, another one each run (the seed is printed); ``make crash`` takes all.
"""

from __future__ import annotations

import os
import random

import pytest

from plexsync.queue import store as _warm  # noqa: F401 - imported once here, not in each child
from tests.crash import kill_at, world

FULL = bool(os.environ.get("PLEXSYNC_FULL"))
SAMPLE = 5  # points a piece of work in the ordinary suite

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.mark.parametrize("kind", ["line", "statement"])
@pytest.mark.parametrize("name", world.WORK)
def test_killed_anywhere(name, kind, request):
    if kind == "statement" and name in world.WITHOUT_SQL:
        pytest.skip("it has no statement to be killed at")
    prepare, operation, before = world.WORK[name]
    step, first = 1, 1
    if not FULL:
        total = length(prepare, operation, kind)
        seed = random.randrange(2**32)
        print("seed", seed)
        step = max(1, total // SAMPLE)
        first = random.Random(seed).randint(1, step)
    deaths = kill_at.every_point(
        operation, prepare, lambda folder, said: world.holds(folder, said, before), kind, step, first
    )
    print(f"{deaths} deaths")
    request.node.user_properties.append(("crash points", deaths))
    assert deaths > 0


def length(prepare, operation, kind):
    """How many moments an operation has, counted in a child that is not killed."""
    import tempfile

    def counted(folder, say):
        trap = kill_at.Trap(0)
        if kind == "line":
            trap.lines()
        else:
            trap.statements()
        operation(folder, lambda text: None)
        import sys

        sys.settrace(None)
        say(str(trap.seen))

    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        prepare(folder)
        death = kill_at.run(counted, folder, 0, "none")
    assert not death.error, death.error
    return int(death.said[-1])
