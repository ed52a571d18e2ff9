"""What outage records add up to."""

from __future__ import annotations

from plexsync.core.outages import summary


def record(start, end, server="Plex"):
    return {"server": server, "started_at": start, "ended_at": end, "cause": "", "waiting": 0}


def test_nothing_happened():
    assert summary([], 100.0) == {}


def test_two_outages_and_the_time_between():
    (plex,) = summary([record(200.0, 220.0), record(100.0, 110.0)], 300.0).values()
    assert plex == {
        "count": 2,
        "ongoing": 0,
        "down_s": 30.0,
        "mttr_s": 15.0,
        "mtbf_s": 90.0,
        "availability": 0.85,
    }


def test_one_that_lasts_counts_until_now_and_has_no_time_to_repair():
    (plex,) = summary([record(100.0, None)], 150.0).values()
    assert (plex["count"], plex["ongoing"], plex["down_s"], plex["mttr_s"], plex["availability"]) == (
        1,
        1,
        50.0,
        None,
        0.0,
    )


def test_each_server_has_its_own():
    both = summary([record(0.0, 10.0), record(0.0, 40.0, "Stash")], 100.0)
    assert (both["Plex"]["availability"], both["Stash"]["availability"]) == (0.9, 0.6)


def test_a_clock_set_back_makes_nothing_negative():
    (plex,) = summary([record(100.0, 90.0), record(80.0, None)], 70.0).values()
    assert plex["down_s"] == 0.0 and 0 <= plex["availability"] <= 1
