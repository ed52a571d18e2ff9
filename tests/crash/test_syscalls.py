"""Every write, sync, truncate, rename and unlink made to fail once, to fail from then on, or to be the last.

An error means "unknown": what was answered for is there, what raised may be there or not, and the next start goes on.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile

import pytest

from tests.crash import kill_at, straced, world

FULL = bool(os.environ.get("PLEXSYNC_FULL"))
SAMPLE = 3  # faults a piece of work in the ordinary suite
# At full size: each call of each piece of work meets one or two of the four faults, others each run. With 1 it meets
# all of them, in half an hour.
THIN = int(os.environ.get("PLEXSYNC_THIN", "3"))

WORK = [
    "first hooks",
    "hooks",
    "spooling",
    "putting",
    "working",
    "giving up",
    "superseding",
    "merging",
    "migrating",
    "mending",
]


@pytest.mark.parametrize("name", WORK)
def test_any_system_call_may_fail_or_be_the_last(name, tmp_path, request):
    straced.needed()
    prepare, _, before = world.WORK[name]
    with tempfile.TemporaryDirectory(prefix="calls-", dir=kill_at.MEMORY) as base:
        template = os.path.join(base, "before")
        os.mkdir(template)
        prepare(template)
        number = straced.calls(
            name, shutil.copytree(template, os.path.join(base, "counted")), str(tmp_path / "log")
        )
        assert number["fdatasync"] + number["fsync"] > 0
        points = [
            (fault, call, n)
            for call, times in number.items()
            for n in range(1, times + 1)
            for fault in straced.FAULTS
        ]
        seed = random.randrange(2**32)
        print("seed", seed)
        rng = random.Random(seed)
        points = points[rng.randrange(THIN) :: THIN] if FULL else rng.sample(points, min(SAMPLE, len(points)))
        for at, (fault, call, n) in enumerate(points):
            folder = shutil.copytree(template, os.path.join(base, str(at)))
            said, _ = straced.faulted(name, folder, call, fault, n)
            acknowledged = tuple(line for line in said if line.split()[0] in ("put", "doing", "done"))
            try:
                world.holds(folder, acknowledged, before)
            except BaseException as error:
                raise AssertionError(f"{fault}, {call} {n}, having said {said}: {error}") from error
            shutil.rmtree(folder)
    print(f"{len(points)} faults")
    request.node.user_properties.append(("system-call faults", len(points)))
