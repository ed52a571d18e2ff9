"""Criteria of Stash's filters as predicates on rows: text, numbers, dates, sets of ids (pkg/sqlite of Stash 0.30).

Each takes the criterion as the client sent it and a function that gets the value off a row.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from .catalog import CatalogError, referred

Predicate = Callable[
    [Any], bool | None
]  # None: SQL's NULL, which neither a condition nor its opposite lets pass
Get = Callable[[Any], Any]
Criterion = Mapping[str, Any]


# --- text ---------------------------------------------------------------------------------------------------


def words_of(query: str) -> list[str]:
    """The words of a search, any of which will do; text in quotes is one phrase."""
    query = query.strip()
    if len(query) > 1 and query[0] == query[-1] == '"':
        return [query.strip('"').lower()]
    return query.lower().split()


@functools.lru_cache(maxsize=1 << 18)
def natural_key(text: str) -> tuple[Any, ...]:
    """Case-insensitive order in which `scene 2` comes before `scene 10`."""
    parts = re.split(r"(\d+)", text.lower())
    return tuple((int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts))


# --- criteria: (criterion, getter) -> predicate -------------------------------------------------------------


def _unfit(modifier: str) -> CatalogError:
    return CatalogError(f"internal system error: unsupported modifier {modifier}")


def text(criterion: Criterion, get: Get) -> Predicate:
    """One text, or a list of which any will do."""
    value, modifier = criterion["value"], criterion["modifier"]
    low = value.lower()

    def texts(row: Any) -> list[str]:
        found = get(row)
        return (
            [found or ""]
            if found is None or isinstance(found, str)
            else [item or "" for item in found] or [""]
        )

    def regex() -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            raise CatalogError(f"error parsing regexp: {error}") from error

    match modifier:
        case "EQUALS":
            return lambda row: any(item.lower() == low for item in texts(row))
        case "NOT_EQUALS":
            return lambda row: all(item.lower() != low for item in texts(row))
        case "INCLUDES":
            words = words_of(value)
            return lambda row: any(word in item.lower() for item in texts(row) for word in words)
        case "EXCLUDES":
            words = words_of(value)
            return lambda row: all(word not in item.lower() for item in texts(row) for word in words)
        case "MATCHES_REGEX":
            pattern = regex()
            return lambda row: any(item and pattern.search(item) for item in texts(row))
        case "NOT_MATCHES_REGEX":
            pattern = regex()
            return lambda row: not any(item and pattern.search(item) for item in texts(row))
        case "IS_NULL":
            return lambda row: not any(texts(row))
        case "NOT_NULL":
            return lambda row: any(texts(row))
    raise _unfit(modifier)


def opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def all_of(values: Iterable[bool | None]) -> bool | None:
    """SQL's AND."""
    found: bool | None = True
    for value in values:
        if value is None:
            found = None
        elif not value:
            return False
    return found


_COMPARISONS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "EQUALS": lambda value, low, high: value == low,
    "NOT_EQUALS": lambda value, low, high: value != low,
    "GREATER_THAN": lambda value, low, high: value > low,
    "LESS_THAN": lambda value, low, high: value < low,
    "BETWEEN": lambda value, low, high: low <= value <= high,
    "NOT_BETWEEN": lambda value, low, high: not low <= value <= high,
}


def number(criterion: Criterion, get: Get) -> Predicate:
    """Comparisons with nothing are neither true nor false."""
    low, high = criterion["value"], criterion.get("value2")
    high = low if high is None else high
    match modifier := criterion["modifier"]:
        case "IS_NULL":
            return lambda row: get(row) is None
        case "NOT_NULL":
            return lambda row: get(row) is not None
    if modifier not in _COMPARISONS:
        raise _unfit(modifier)
    compare = _COMPARISONS[modifier]
    return lambda row: None if (value := get(row)) is None else compare(value, low, high)


def whole_number(criterion: Criterion, get: Get) -> Predicate:
    """For columns with fractions asked for by whole numbers: they are cut off first."""
    return number(criterion, lambda row: None if (value := get(row)) is None else int(value))


def flag(criterion: bool, get: Get) -> Predicate:
    return lambda row: bool(get(row)) == criterion


def true_text(criterion: str, get: Get) -> Predicate:
    wanted = criterion == "true"
    return lambda row: bool(get(row)) == wanted


def partial_date(criterion: Criterion, get: Get) -> Predicate:
    """A date without day or month counts as the first of them."""

    def full(date: str | None) -> str | None:
        return None if date is None else date + "-01-01"[len(date) - 4 :] if len(date) < 10 else date

    given = {key: full(value) if key != "modifier" else value for key, value in criterion.items()}
    return number(given, lambda row: full(get(row)))


def members(
    criterion: Criterion, get: Get, widen: Callable[[int], set[int]] = lambda row_id: {row_id}
) -> Predicate:
    """Sets of ids. `widen` gives an id together with those that count as it (its children)."""
    wanted = [widen(row_number(item)) for item in criterion.get("value") or ()]
    excluded = set().union(*(widen(row_number(item)) for item in criterion.get("excludes") or ()))
    every = set().union(*wanted)

    def kept(test: Callable[[set[int]], bool]) -> Predicate:
        def check(row: Any) -> bool:
            held = set(referred(get(row)))
            return test(held) and not (excluded and held & excluded)

        return check

    match criterion["modifier"]:
        case "INCLUDES":
            return kept(lambda held: not wanted or bool(held & every))
        case "INCLUDES_ALL":
            return kept(lambda held: all(held & group for group in wanted))
        case "EXCLUDES":
            return kept(lambda held: not held & every)
        case "EQUALS":
            return kept(lambda held: len(held) == len(wanted) and all(held & group for group in wanted))
        case "NOT_EQUALS":
            return kept(lambda held: not (len(held) == len(wanted) and all(held & group for group in wanted)))
        case "IS_NULL":
            return kept(lambda held: not held)
        case "NOT_NULL":
            return kept(bool)
    raise _unfit(criterion["modifier"])


def row_number(value: Any) -> int:
    """An ID as a number. Raises CatalogError with Go's words."""
    try:
        return int(value)
    except ValueError as error:
        raise CatalogError(f'strconv.Atoi: parsing "{value}": invalid syntax') from error


def stash_id(criterion: Criterion, get: Get) -> Predicate:
    endpoint, wanted = criterion.get("endpoint"), criterion.get("stash_id")

    def having(row: Any) -> list[Any]:
        return [item for item in get(row) if not endpoint or item.endpoint == endpoint]

    match criterion["modifier"]:
        case "EQUALS":
            return lambda row: any(item.stash_id == wanted for item in having(row))
        case "NOT_EQUALS":
            return lambda row: all(item.stash_id != wanted for item in having(row))
        case "IS_NULL":
            return lambda row: not having(row)
        case "NOT_NULL":
            return lambda row: bool(having(row))
    raise _unfit(criterion["modifier"])


_HEIGHTS = {  # lower bound of the shorter side
    "VERY_LOW": 144,
    "LOW": 240,
    "R360P": 360,
    "STANDARD": 480,
    "WEB_HD": 540,
    "STANDARD_HD": 720,
    "FULL_HD": 1080,
    "QUAD_HD": 1440,
    "VR_HD": 1920,
    "FOUR_K": 1920,
    "FIVE_K": 2560,
    "SIX_K": 3000,
    "SEVEN_K": 3584,
    "EIGHT_K": 3840,
    "HUGE": 6143,
}


def resolution(criterion: Criterion, get: Get) -> Predicate:
    low = _HEIGHTS[criterion["value"]]
    high = min((height for height in _HEIGHTS.values() if height > low), default=10**9) - 1
    modifier = criterion["modifier"]
    asked = {
        "EQUALS": {"modifier": "BETWEEN", "value": low, "value2": high},
        "NOT_EQUALS": {"modifier": "NOT_BETWEEN", "value": low, "value2": high},
        "LESS_THAN": {"modifier": "LESS_THAN", "value": low},
        "GREATER_THAN": {"modifier": "GREATER_THAN", "value": high},
    }
    if modifier not in asked:
        raise _unfit(modifier)
    return number(asked[modifier], lambda row: min(file.width, file.height) if (file := get(row)) else None)


def orientation(criterion: Criterion, get: Get) -> Predicate:
    def shape(row: Any) -> str | None:
        file = get(row)
        if file is None:
            return None
        return (
            "SQUARE" if file.width == file.height else "LANDSCAPE" if file.width > file.height else "PORTRAIT"
        )

    return lambda row: shape(row) in criterion["value"]


def phash_distance(criterion: Criterion, get: Get) -> Predicate:
    """Hashes at most so many bits away (0 when not said)."""
    wanted, most = int(criterion["value"] or "0", 16), criterion.get("distance") or 0

    def near(row: Any) -> bool:
        return any(value and (int(value, 16) ^ wanted).bit_count() <= most for value in get(row))

    match criterion["modifier"]:
        case "EQUALS":
            return near
        case "NOT_EQUALS":
            return lambda row: not near(row)
        case "IS_NULL":
            return lambda row: not any(get(row))
        case "NOT_NULL":
            return lambda row: any(get(row))
    raise _unfit(criterion["modifier"])


def hashes(criteria: list[Criterion], get: Get) -> Predicate:
    """Every one of (type, value) is among a file's fingerprints; phashes may be some bits away."""

    def has(row: Any, wanted: Criterion) -> bool:
        held = [value for kind, value in get(row) if kind == wanted["type"]]
        if wanted["type"] == "phash" and wanted.get("distance"):
            near = {"value": wanted["value"], "distance": wanted["distance"], "modifier": "EQUALS"}
            return bool(phash_distance(near, lambda values: values)(held))
        return wanted["value"] in held

    return lambda row: all(has(row, wanted) for wanted in criteria)


def _field(get: Get, name: str, row: Any) -> Any:
    return get(row).get(name)


def _is_one_of(get: Get, name: str, values: list[Any], wanted: bool, row: Any) -> bool:
    return (_field(get, name, row) in values) == wanted


def custom_fields(criteria: list[Criterion], get: Get) -> Predicate:
    """All of the criteria, each on the field it names."""
    tests: list[Predicate] = []
    for criterion in criteria:
        name, values = criterion["field"], list(criterion.get("value") or ())
        if criterion["modifier"] in ("EQUALS", "NOT_EQUALS"):
            wanted = criterion["modifier"] == "EQUALS"
            tests.append(partial(_is_one_of, get, name, values, wanted))
            continue
        first = values[0] if values else ""
        handler = number if isinstance(first, int | float) else text
        given = {
            "value": first,
            "value2": values[1] if len(values) > 1 else None,
            "modifier": criterion["modifier"],
        }
        tests.append(handler(given, partial(_field, get, name)))
    return lambda row: all(test(row) for test in tests)


def gender(criterion: Criterion, get: Get) -> Predicate:
    wanted = {criterion.get("value"), *(criterion.get("value_list") or ())} - {None}
    match criterion["modifier"]:
        case "EQUALS" | "INCLUDES":
            return lambda row: get(row) in wanted
        case "NOT_EQUALS" | "EXCLUDES":
            return lambda row: get(row) not in wanted
        case "IS_NULL":
            return lambda row: get(row) is None
        case "NOT_NULL":
            return lambda row: get(row) is not None
    raise _unfit(criterion["modifier"])


def circumcision(criterion: Criterion, get: Get) -> Predicate:
    return gender({"modifier": criterion["modifier"], "value_list": criterion.get("value")}, get)
