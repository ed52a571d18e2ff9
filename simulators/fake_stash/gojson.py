"""JSON as Go writes it: what a plugin reads on stdin, and numbers as gqlgen prints them.

Go's encoding/json escapes ``<``, ``>``, ``&``, U+2028 and U+2029, leaves other non-ASCII text alone, prints whole
floats without a fraction and sorts the keys of maps (not of structs).
"""

import math
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


class Number(float):
    """A JSON number with a fraction or exponent that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "Number":
        number = super().__new__(cls, text)
        number.text = text
        return number


def dumps(value: Any) -> str:
    """Compact JSON; a dict keeps its order (a Go struct), so pass maps through `sorted_map` first."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return encode_basestring(value).translate(_ESCAPES)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Number):
        return value.text
    if isinstance(value, float):
        return struct_float(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{dumps(str(key))}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    raise TypeError(f"no JSON form for {type(value).__name__}")


def sorted_map(value: Any) -> Any:
    """The same value with the keys of every mapping in byte order, as Go prints a map."""
    if isinstance(value, Mapping):
        return {key: sorted_map(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [sorted_map(item) for item in value]
    return value


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest significant digits, and the power of ten of the first one."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return sign, "0", 0
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    power = len(whole) - 1 + int(exponent or 0)
    raw = whole + fraction
    kept = raw.lstrip("0")
    power -= len(raw) - len(kept)
    return sign, kept.rstrip("0") or "0", power


def _plain(sign: str, digits: str, power: int) -> str:
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    if len(digits) <= power + 1:
        return sign + digits + "0" * (power + 1 - len(digits))
    return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"


def _scientific(sign: str, digits: str, power: int, width: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):0{width}d}"


def struct_float(value: float) -> str:
    """A float as encoding/json prints it: plain between 1e-6 and 1e21."""
    sign, digits, power = _digits(value)
    if value != 0 and not -6 <= power < 21:
        return _scientific(sign, digits, power, 2 if power >= 0 else 1)
    return _plain(sign, digits, power)


def graphql_float(value: float) -> str:
    """A float as gqlgen 0.17.73 prints it (``%g``): 60, 0.5, 1.2e+06, 1.234567e+06."""
    sign, digits, power = _digits(value)
    if value != 0 and not -4 <= power < 6:
        return _scientific(sign, digits, power, 2)
    return _plain(sign, digits, power)
