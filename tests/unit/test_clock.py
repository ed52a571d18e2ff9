"""Time by the system, and time by hand."""

from __future__ import annotations

import time

from plexsync.clock import SystemClock, boot_id
from scenarios.clock import ManualClock


def test_the_systems_time():
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5
    assert clock.boot == boot_id() == SystemClock().boot


def test_sleeping_takes_its_time_and_never_a_negative_one():
    clock = SystemClock()
    begun = time.monotonic()
    clock.sleep(0.05)
    clock.sleep(-5)
    assert 0.05 <= time.monotonic() - begun < 4


def test_both_clocks_go_on_together():
    clock = ManualClock(now=100.0, monotonic=10.0)
    clock.sleep(5)
    clock.sleep(-5)
    clock.advance(1)
    assert (clock.now(), clock.monotonic()) == (106.0, 16.0)


def test_a_jump_is_of_the_wall_clock_alone():
    clock = ManualClock(now=100.0, monotonic=10.0)
    clock.jump(-50)
    assert (clock.now(), clock.monotonic()) == (50.0, 10.0)


def test_a_reboot_begins_monotonic_time_anew_under_another_name():
    clock = ManualClock(now=100.0, monotonic=10.0)
    clock.reboot("boot-2")
    assert (clock.now(), clock.monotonic(), clock.boot) == (100.0, 0.0, "boot-2")
