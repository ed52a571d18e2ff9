"""Titles made of a scene's parts: ``{studio} - {title} ({date:%Y})``.

A template is text with names in braces. A part that is unset takes its surroundings along: empty brackets go,
and so does a separator with nothing on one side of it, in brackets too, so that one template does for all scenes.
The values themselves are never touched, and neither is a template whose parts are all set.
"""

from __future__ import annotations

import datetime
import re
import string
from collections.abc import Mapping, Sequence

NAMES = (
    "title", "stem", "studio", "parent_studio", "date", "code", "director", "performers", "tags", "groups", "rating",
    "id",
)  # fmt: skip
PERFORMER_NAMES = (
    "performer",
    "disambiguation",
    "gender",
    "country",
    "age",
)  # beside those, of one performer

_DATE_FORMAT = re.compile(r"(%[YymdjBb]|[^%])*")
_HELD = 0xE000  # private-use characters stand for values while the text around them is tidied
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|<\s*>")
_SEPARATOR = r"[-–—|:;·•,/&+~_]"
_DOUBLED = re.compile(rf"({_SEPARATOR})(?:\s*{_SEPARATOR})+")
_AT_AN_END = re.compile(rf"^\s*{_SEPARATOR}+\s*|\s*{_SEPARATOR}+\s*$")
_IN_BRACKETS = re.compile(rf"([(\[])\s*(?:{_SEPARATOR}\s*)*|(?:\s*{_SEPARATOR})*\s*([)\]])")


def problem(template: str, names: Sequence[str] = NAMES) -> str | None:
    """What is wrong with a template of these names, as the part of a sentence; None when it can be filled."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return "has a brace that is not closed"
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in names:
            return f"names {{{name[:40]}}}, which is none of {', '.join(names)}"
        if conversion or "{" in (form or ""):
            return f"has a form of {{{name}}} that is not known"
        if form and (name != "date" or not _DATE_FORMAT.fullmatch(form)):
            return f"has a form of {{{name}}} that is not known; only dates have one, like {{date:%Y}}"
    return None


def fill(template: str, values: Mapping[str, str], date: datetime.date | None) -> str:
    """The template with ``values`` in it; ``date`` is what a form of {date} is applied to.

    Expects a template without ``problem``. Names that are missing in ``values`` count as unset. Where all are unset, so
    is the whole: the words between them say nothing by themselves.
    """
    held: list[str] = []
    text, whole = "", True
    for literal, name, form, _ in string.Formatter().parse(template):
        text += literal
        if name is None:
            continue
        value = values.get(name, "")
        if form:
            value = date.strftime(form) if date else ""
        if value:
            text += chr(_HELD + len(held))
            held.append(value)
        else:
            whole = False
    if not held and not whole:
        return ""
    text = text.strip() if whole else _tidied(text)
    return "".join(held[ord(c) - _HELD] if 0 <= ord(c) - _HELD < len(held) else c for c in text)


def _tidied(text: str) -> str:
    text = _DOUBLED.sub(r"\1", text)
    text = _IN_BRACKETS.sub(r"\1\2", text)
    while (emptied := _EMPTY_BRACKETS.sub("", text)) != text:  # brackets in brackets
        text = _IN_BRACKETS.sub(r"\1\2", emptied)
    text = _DOUBLED.sub(r"\1", text)
    text = _AT_AN_END.sub("", text)
    return re.sub(r"\s{2,}", " ", text).strip()
