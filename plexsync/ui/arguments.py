"""What a task is given, read: Stash passes texts, its API numbers and lists, and a wrong one is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUMBER_MAX = 1_000_000  # a century in hours; beyond it the calendar ends

Args = Mapping[str, Any]


class WrongArgument(Exception):
    """An argument a task cannot use; the text names it, and what would do."""


def number(args: Args, key: str, default: float, unit: str) -> float:
    """An argument as a number from 0 to NUMBER_MAX; Stash hands arguments over as texts and the API as numbers."""
    given = args.get(key)
    if given is None or given == "":
        return default
    try:
        value = float(given) if isinstance(given, (str, int, float)) and not isinstance(given, bool) else -1.0
    except (ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= NUMBER_MAX:
        raise WrongArgument(
            f"{key} must be a number of {unit} from 0 to {NUMBER_MAX:,}, not {str(given)[:40]!r}."
        )
    return value


def switch(args: Args, key: str) -> bool:
    """An argument as on or off; Stash hands ``true`` and ``false`` over as texts."""
    given = args.get(key) or False
    return (
        given.strip().lower() not in ("", "0", "false", "no", "off")
        if isinstance(given, str)
        else bool(given)
    )


def numbers(args: Args, key: str) -> list[int]:
    """The numbers an argument names, each once: one, a list of them, or a text with commas; none without it."""
    given = args.get(key)
    parts = given if isinstance(given, (list, tuple)) else str("" if given is None else given).split(",")
    texts = [text for part in parts if (text := str(part).strip())]
    if not all(text.isascii() and text.isdecimal() and len(text) < 19 for text in texts):
        raise WrongArgument(
            f"{key} must be a number, or several with commas between them, not {str(given)[:40]!r}."
        )
    return list(dict.fromkeys(int(text) for text in texts))


def error_type_of(args: Args) -> str | None:
    error_type = args.get("error_type") or None
    if error_type is not None and not isinstance(error_type, str):
        raise WrongArgument("error_type must be the name of an error, as queue_status lists them.")
    return error_type
