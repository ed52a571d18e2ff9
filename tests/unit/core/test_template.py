"""Titles made of parts."""

from __future__ import annotations

import datetime

import pytest

from plexsync.core.template import NAMES, fill, problem

DAY = datetime.date(2024, 5, 17)
ALL = {"studio": "St", "title": "T", "date": "2024-05-17", "code": "AB-1", "performers": "Ann, Bob"}


@pytest.mark.parametrize(
    ("template", "missing", "filled"),
    [
        ("{studio} - {title} ({date:%Y})", (), "St - T (2024)"),
        ("{studio} - {title} ({date:%Y})", ("studio",), "T (2024)"),
        ("{studio} - {title} ({date:%Y})", ("date",), "St - T"),
        ("{studio} - {title} ({date:%Y})", ("studio", "date"), "T"),
        ("{studio} - {title} ({date:%Y})", ("studio", "title", "date"), ""),
        ("[{code}] {title}: {performers}", (), "[AB-1] T: Ann, Bob"),
        ("[{code}] {title}: {performers}", ("code", "performers"), "T"),
        ("{studio} | {code} | {title}", ("code",), "St | T"),
        ("{title} ({studio}, {date:%Y})", ("date",), "T (St)"),
        ("{title} ({studio}, {date:%Y})", ("studio",), "T (2024)"),
        ("{title} ({studio}, {date:%Y})", ("studio", "date"), "T"),
        ("{title} ({studio}, {code}, {date:%Y})", ("code",), "T (St, 2024)"),
        ("{title} ({studio} [{code}])", ("code",), "T (St)"),
        ("{title} ({studio} [{code}])", ("studio",), "T ([AB-1])"),
        ("{title} - ([{code}] {studio})", ("studio", "code"), "T"),
        ("{title}; {code} • {performers}", ("code", "performers"), "T"),
        ("{title}_{code}", ("code",), "T"),
        ("{studio} -> {title} ({date})", ("date",), "St -> T"),
        ("-= {title} =- {code} -", (), "-= T =- AB-1 -"),
        ("{title} {date}", (), "T 2024-05-17"),
        ("{date:%d.%m.%y}", (), "17.05.24"),
        ("just text", (), "just text"),
        ("{code} years old", ("code",), ""),
        ("{{{title}}}", (), "{T}"),
        ("", (), ""),
    ],
)
def test_a_part_that_is_unset_takes_its_surroundings_along(
    template: str, missing: tuple[str, ...], filled: str
) -> None:
    assert problem(template) is None
    values = {name: value for name, value in ALL.items() if name not in missing}
    assert fill(template, values, None if "date" in missing else DAY) == filled


@pytest.mark.parametrize("value", ["- x -", "()", "a  b", "A - - B", "{title}", "%Y", "\ue000"])
def test_values_are_never_touched(value: str) -> None:
    assert fill("{studio} - {title}", {"title": value}, None) == value


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{studio", "brace"),
        ("studio}", "brace"),
        ("{sudio}", "{sudio}"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{title.__class__}", "none of"),
        ("{title[0]}", "none of"),
        ("{title!r}", "form"),
        ("{title:>10}", "form"),
        ("{date:%Y{title}}", "form"),
        ("{date:%H}", "form"),
        ("{date:%", "brace"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(template: str, part: str) -> None:
    said = problem(template)
    assert said is not None
    assert part in said


def test_every_name_can_be_used() -> None:
    for name in NAMES:
        assert problem(f"{{{name}}}") is None
        assert fill(f"{{{name}}}", {name: "x"}, DAY) == "x"
