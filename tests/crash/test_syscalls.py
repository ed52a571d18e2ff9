"""Every write, sync, truncate, rename and unlink made to fail once, to fail from then on, or to be the last.

An error means "unknown": what was answered for is there, what raised may be there or not, and the next start goes on.
"""

from __future__ import annotations

import os
import random
import tempfile

import pytest

from tests.crash import straced, world

FULL = bool(os.environ.get("PLEXSYNC_FULL"))
SAMPLE = 4  # faults a piece of work in the ordinary suite

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
    with tempfile.TemporaryDirectory(prefix="calls-") as folder:
        prepare(folder)
        number = straced.calls(name, folder, str(tmp_path / "log"))
    assert number["fdatasync"] + number["fsync"] > 0
    points = [
        (fault, call, n)
        for call, times in number.items()
        for n in range(1, times + 1)
        for fault in straced.FAULTS
    ]
    if not FULL:
        seed = random.randrange(2**32)
        print("seed", seed)
        points = random.Random(seed).sample(points, min(SAMPLE, len(points)))
    for fault, call, n in points:
        with tempfile.TemporaryDirectory(prefix="fault-") as folder:
            prepare(folder)
            said, _ = straced.faulted(name, folder, call, fault, n)
            acknowledged = tuple(line for line in said if line.split()[0] in ("put", "doing", "done"))
            try:
                world.holds(folder, acknowledged, before)
            except BaseException as error:
                raise AssertionError(f"{fault}, {call} {n}, having said {said}: {error}") from error
    print(f"{len(points)} faults")
    request.node.user_properties.append(("system-call faults", len(points)))
