"""Settings: one table, every wrong value named, never a raise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from plexsync.core.settings import SETTINGS, PathPair, Settings, parse

WORKING = {"plex_url": "http://plex:32400", "plex_token": "tok-1234567890"}


def parsed(**values: object) -> Settings:
    return parse({**WORKING, **values})[0]


def complaint(**values: object) -> str:
    """The one sentence about these values."""
    (problem,) = parse({**WORKING, **values})[1]
    assert problem.key in values
    return problem.sentence


def test_the_table_has_each_field_once_and_describes_it() -> None:
    keys = [row.key for row in SETTINGS]
    assert keys == [field.name for field in dataclasses.fields(Settings)]
    for row in SETTINGS:
        assert row.name and row.sentence.endswith(".")
        assert row.kind in ("STRING", "NUMBER", "BOOLEAN")
        if row.kind == "NUMBER":
            assert row.unit
            assert row.least <= float(row.default) <= row.most or row.default == 0
            assert f"Default: {row.default:g} {row.unit}." in row.description
    assert len({row.name for row in SETTINGS}) == len(SETTINGS)


def test_every_switch_is_off_by_default_and_says_so() -> None:
    """Stash draws a switch nobody touched as off."""
    switches = [row for row in SETTINGS if row.kind == "BOOLEAN"]
    assert switches
    for row in switches:
        assert row.default is False
        assert "off by default" in row.name


def test_defaults_when_nothing_is_stored_and_what_is_needed_is_named() -> None:
    settings, problems = parse({})
    assert settings == Settings()
    assert {problem.key for problem in problems} == {"plex_url", "plex_token"}
    assert all(problem.blocking and "is not set" in problem.sentence for problem in problems)


def test_what_stash_draws_for_untouched_settings_means_the_defaults() -> None:
    drawn = {row.key: {"STRING": "", "NUMBER": 0, "BOOLEAN": False}[row.kind] for row in SETTINGS}
    settings, problems = parse({**drawn, **WORKING})
    assert settings == Settings(**WORKING)
    assert problems == ()


@pytest.mark.parametrize("given", ["7", 7, 7.0, " 7 ", "7.0"])
def test_a_number_may_come_in_any_type(given: object) -> None:
    assert parsed(max_attempts=given).max_attempts == 7


@pytest.mark.parametrize(
    "given", ["many", True, None, [], {}, float("nan"), float("inf"), "1" * 400, 10**400, "٣x"]
)
def test_a_wrong_number_is_the_default_and_named(given: object) -> None:
    settings, problems = parse({**WORKING, "max_attempts": given})
    assert settings.max_attempts == 8
    if given is not None:
        assert "max_attempts must be a number" in problems[0].sentence
        assert "the default 8 is used" in problems[0].sentence
        assert len(problems[0].sentence) < 200


def test_a_number_out_of_bounds_is_the_nearest_bound() -> None:
    assert parsed(plex_timeout_s=1e9).plex_timeout_s == 600
    assert "between 0.1 and 600 seconds; 600 is used" in complaint(plex_timeout_s=1e9)
    assert parsed(max_attempts=-3).max_attempts == 1


def test_counts_are_whole_and_times_need_not_be() -> None:
    assert parsed(max_attempts=2.6).max_attempts == 3
    assert "whole number" in complaint(max_attempts=2.6)
    assert parsed(retry_base_s="0.5").retry_base_s == 0.5


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (True, True),
        ("true", True),
        ("On", True),
        (1, True),
        ("yes", True),
        (False, False),
        ("off", False),
        (0, False),
    ],
)
def test_a_switch(given: object, wanted: bool) -> None:
    assert parsed(plex_insecure=given).plex_insecure is wanted


@pytest.mark.parametrize("given", ["maybe", 2, [True], {"on": 1}])
def test_a_wrong_switch_is_off_and_named(given: object) -> None:
    assert parsed(plex_insecure=given).plex_insecure is False
    assert "plex_insecure must be on or off" in complaint(plex_insecure=given)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://plex:32400", "http://plex:32400"),
        (" https://plex.example/ ", "https://plex.example"),
        ("192.168.1.2:32400", "http://192.168.1.2:32400"),
        ("http://[::1]:32400/", "http://[::1]:32400"),
        ("http://plex:32400/web/index.html", "http://plex:32400"),
        ("http://plex:32400/web", "http://plex:32400"),
        ("https://proxy/plex/", "https://proxy/plex"),
    ],
)
def test_an_address(given: str, wanted: str) -> None:
    assert parsed(plex_url=given).plex_url == wanted


@pytest.mark.parametrize(
    "given",
    [
        "ftp://plex",
        "http://",
        "http://pl ex",
        "http://plex:port",
        "http://plex:0",
        "plex:0",
        "http:/plex:32400",
        "http//plex:32400",
        "http://http://plex:32400",
        "https://https://plex:32400",
        "http://[x",
        12.5j,
        [],
    ],
)
def test_a_wrong_address_blocks_and_is_not_repeated(given: Any) -> None:
    settings, problems = parse({**WORKING, "plex_url": given})
    assert settings.plex_url == ""
    assert problems[0].blocking
    assert problems[0].key == "plex_url"
    assert "nothing is synced until" in problems[0].sentence


def test_the_port_0_is_named() -> None:
    """It was taken for no port at all, and http's own was tried."""
    assert complaint(plex_url="http://plex:0").startswith("plex_url has the port 0, which nobody can be")


def test_what_a_wrong_text_counts_as() -> None:
    assert complaint(reconcile_scope="weekly").endswith("recent, 7days, all; it counts as empty.")


@pytest.mark.parametrize(
    ("given", "shown"),
    [("data => media", "'data', 'media'"), ("/data => media", "'media'"), ("d => /m", "'d'")],
)
def test_a_path_map_of_paths_that_fit_nothing(given: str, shown: str) -> None:
    settings, problems = parse({**WORKING, "path_map": f"/a => /b; {given}; D:\\x => \\\\nas\\x; /c => e:/"})
    assert settings.path_map == (
        PathPair("/a", "/b"),
        PathPair("D:\\x", "\\\\nas\\x"),
        PathPair("/c", "e:/"),
    )
    assert problems[0].sentence == (
        f"path_map has a path that does not begin with / or a drive, so its pair is left out: {shown}."
    )


def test_a_token_pasted_with_the_address_goes_nowhere() -> None:
    settings, problems = parse(
        {**WORKING, "plex_url": "http://user:pa55word@plex:32400/?X-Plex-Token=s3cr3ttok"}
    )
    assert settings.plex_url == "http://plex:32400"
    assert "s3cr3ttok" not in repr((settings, problems))
    assert "pa55word" not in repr((settings, problems))
    assert not problems[0].blocking


@pytest.mark.parametrize("given", ["tok\nen123456", "tök123456", "tok en123456", ["tok123456"], True])
def test_a_wrong_token_blocks_and_is_not_repeated(given: object) -> None:
    settings, problems = parse({**WORKING, "plex_token": given})
    assert settings.plex_token == ""
    assert problems[0].blocking
    assert "123456" not in problems[0].sentence


def test_the_token_stays_out_of_repr() -> None:
    settings = parsed()
    assert settings.plex_token == WORKING["plex_token"]
    assert WORKING["plex_token"] not in repr(settings)


def test_libraries() -> None:
    assert parsed(plex_library=" Films, Clips ,,films\nMore").plex_library == ("Films", "Clips", "More")
    assert parsed(plex_library=["Films", 2024]).plex_library == ("Films", "2024")
    assert parsed(plex_library=2024).plex_library == ("2024",)


def test_a_path_map() -> None:
    wanted = (PathPair("/data", "/media/x"), PathPair(r"D:\Videos", "/videos"))
    assert parsed(path_map=r"/data => /media/x; D:\Videos=>/videos;").path_map == wanted
    assert parsed(path_map="/data => /media/x\n\nD:\\Videos => /videos\n").path_map == wanted
    assert parsed(path_map=["/data => /media/x", r"D:\Videos => /videos"]).path_map == wanted


def test_a_bad_pair_is_named_and_the_good_ones_stay() -> None:
    settings, problems = parse({**WORKING, "path_map": "/a => /b; /c; => /d; /e => /f => /g"})
    assert settings.path_map == (PathPair("/a", "/b"),)
    assert len(problems) == 3
    assert "'/c'" in problems[0].sentence


@pytest.mark.parametrize("given", [None, [], "text", 7, object()])
def test_settings_that_are_no_mapping_are_the_defaults(given: object) -> None:
    settings, problems = parse(given)
    assert settings == Settings()
    assert any(problem.blocking for problem in problems)


def test_unknown_keys_are_left_to_those_who_know_them() -> None:
    assert parse({**WORKING, "from_the_future": 1})[1] == ()
