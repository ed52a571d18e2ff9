"""Filters, order and pages of lists, as Stash 0.30 asks them of SQLite (pkg/sqlite, pkg/models/find_filter.go).

Moments are compared as the text they are stored as, so two zones in one library compare wrongly, as in Stash.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .catalog import Catalog, CatalogError, Row, referred, stamp
from .criteria import (
    Criterion,
    Get,
    Predicate,
    all_of,
    members,
    natural_key,
    number,
    opposite,
    row_number,
    words_of,
)
from .filters import FILTERS, MEDIA_FILE, MISSING, RELATED, SORTABLE, SORTS, TREES

DEFAULT_PER_PAGE = 25


@dataclass(frozen=True)
class Page:
    """All matching rows, and those of the page asked for."""

    matching: list[Any]
    rows: list[Any]


class Finder:
    def __init__(self, catalog: Catalog, rng: random.Random) -> None:
        self.catalog = catalog
        self._rng = rng

    def find(
        self,
        kind: str,
        row_filter: Criterion | None = None,
        find_filter: Criterion | None = None,
        ids: Iterable[Any] | None = None,
    ) -> Page:
        """The page that a `find…` query answers. `ids` makes it ignore everything else.

        Raises CatalogError: an unknown id among `ids`, an unknown sort, a filter that Stash refuses.
        """
        if ids is not None:
            rows = self._by_ids(kind, [row_number(item) for item in ids])
            return Page(rows, rows)
        asked = find_filter or {}
        rows = list(self.catalog.rows[kind].values())
        predicates = []
        if row_filter:
            predicates.append(self.predicate(kind, row_filter))
        if query := (asked.get("q") or "").strip():
            predicates.append(self._search(kind, query))
        for predicate in predicates:
            rows = [row for row in rows if predicate(row)]
        sort, direction = asked.get("sort"), asked.get("direction") or "ASC"
        if predicates or not sort or sort.startswith("random"):
            rows = self.sort(kind, rows, sort, direction)
        else:
            rows = self.catalog.cached(
                ("sorted", kind, sort, direction), lambda: self.sort(kind, rows, sort, direction)
            )
        per_page = DEFAULT_PER_PAGE if (given := asked.get("per_page")) is None else given
        if per_page < 0:
            return Page(rows, rows)
        start = (max(asked.get("page") or 1, 1) - 1) * per_page
        return Page(rows, rows[start : start + per_page])

    def _by_ids(self, kind: str, ids: list[int]) -> list[Any]:
        if len(set(ids)) < len(ids):
            repeated = next(item for item in ids if ids.count(item) > 1)
            raise CatalogError(f"{kind} with id {repeated} not found")
        return [self.catalog.get(kind, item) for item in ids]

    # Filtering.

    def predicate(self, kind: str, row_filter: Criterion) -> Predicate:
        tests: list[Predicate] = []
        alternatives: list[Predicate] = []
        for key, value in row_filter.items():
            if value is None:
                continue
            if key == "AND":
                tests.append(self.predicate(kind, value))
            elif key == "OR":
                alternatives.append(self.predicate(kind, value))
            elif key == "NOT":
                inner = self.predicate(kind, value)
                tests.append(lambda row, inner=inner: opposite(inner(row)))  # type: ignore[misc]
            else:
                tests.append(self._criterion(kind, key, value))

        def check(row: Any) -> bool | None:
            return all_of(test(row) for test in tests)

        if not alternatives:
            return check
        branches = [*([check] if tests else []), *alternatives]
        return lambda row: opposite(all_of(opposite(branch(row)) for branch in branches))

    def _criterion(self, kind: str, key: str, value: Any) -> Predicate:
        if key in FILTERS[kind]:
            handler, getter = FILTERS[kind][key]
            return handler(value, getter(self.catalog))
        if key in TREES[kind]:
            target, name = TREES[kind][key]
            depth = value.get("depth") or 0
            return members(
                value, lambda row: getattr(row, name), lambda row_id: self.descendants(target, row_id, depth)
            )
        if key in RELATED[kind]:
            target, reach = RELATED[kind][key]
            inner = self.predicate(target, value)
            return lambda row: any(inner(other) for other in reach(self.catalog, row))
        match key:
            case "created_at" | "updated_at" | "mod_time":
                return self.moment(value, lambda row: getattr(row, key))
            case "last_played_at":
                return self.moment(value, lambda row: row.plays[0] if row.plays else None)
            case "scene_created_at" | "scene_updated_at":
                scenes = self.catalog.scenes
                return self.moment(
                    value, lambda row: getattr(scenes[row.scene_id], key.removeprefix("scene_"))
                )
            case "is_missing":
                name = MISSING.get(value, value)
                return lambda row: not getattr(row, name, None)
            case "performer_tags":
                performers = self.catalog.rows["performer"]
                depth = value.get("depth") or 0
                return members(
                    value,
                    lambda row: [tag for item in row.performer_ids for tag in performers[item].tag_ids],
                    lambda row_id: self.descendants("tag", row_id, depth),
                )
            case "performer_favorite":
                performers = self.catalog.rows["performer"]
                return lambda row: any(performers[item].favorite for item in row.performer_ids) == value
            case "duplicated":
                return self._duplicated(value)
            case "video_file_filter" | "image_file_filter":
                media = key.removesuffix("_file_filter")
                tests = [
                    MEDIA_FILE[name][0](given, MEDIA_FILE[name][1](self.catalog))
                    for name, given in value.items()
                ]
                return lambda row: row.media == media and all(test(row) for test in tests)
        raise CatalogError(f"filter {key} is not imitated")

    def _duplicated(self, value: Criterion) -> Predicate:
        hashes: dict[str, int] = {}
        for scene in self.catalog.scenes.values():
            for file_id in scene.file_ids:
                if phash := self.catalog.files[file_id].fingerprint("phash"):
                    hashes[phash] = hashes.get(phash, 0) + 1
        repeated = {phash for phash, times in hashes.items() if times > 1}
        wanted = value.get("duplicated", True)
        files = self.catalog.files

        def check(row: Any) -> bool:
            own = [row] if row.kind == "file" else [files[item] for item in row.file_ids]
            return any(file.fingerprint("phash") in repeated for file in own) == bool(wanted)

        return check

    def moment(self, criterion: Criterion, get: Get) -> Predicate:
        """Moments as text, exactly as given: strict, to the second, and blind to offsets."""
        given = dict(criterion)
        if given["modifier"] in ("BETWEEN", "NOT_BETWEEN") and given.get("value2") is None:
            given["value2"] = stamp(self.catalog.now() + timedelta(days=1))
        if given["modifier"] not in (
            [
                "EQUALS",
                "NOT_EQUALS",
                "GREATER_THAN",
                "LESS_THAN",
                "BETWEEN",
                "NOT_BETWEEN",
                "IS_NULL",
                "NOT_NULL",
            ]
        ):
            raise CatalogError("internal system error")
        return number(given, get)

    def descendants(self, kind: str, row_id: int, depth: int) -> set[int]:
        """The id with its children down to `depth` levels; below 0 means all."""
        name = {"studio": "parent_id", "tag": "parent_ids", "folder": "parent_folder_id"}.get(kind)
        found = {row_id}
        level = {row_id}
        while depth and level:
            if name is None:
                level = {
                    child
                    for item in level
                    if item in self.catalog.rows[kind]
                    for child in referred(self.catalog.rows[kind][item].sub_group_links)
                }
            elif kind == "folder":
                level = {row.id for row in self.catalog.rows[kind].values() if row.parent_folder_id in level}
            else:
                children = self.catalog.users(kind, name)
                level = {child.id for item in level for child in children.get(item, ())}
            level -= found
            found |= level
            depth -= 1
        return found

    def _search(self, kind: str, query: str) -> Predicate:
        words = words_of(query)
        read = self._searched(kind)
        return lambda row: any(word in read(row) for word in words)

    def _searched(self, kind: str) -> Callable[[Any], str]:
        files = self.catalog.files
        markers = self.catalog.users("marker", "scene_id")

        def media(row: Any) -> str:
            parts = [row.title, row.details]
            for file_id in row.file_ids:
                file = files[file_id]
                parts += [file.path, *(value for _, value in file.fingerprints)]
            if kind == "scene":
                parts += [marker.title for marker in markers.get(row.id, ())]
            return "\n".join(parts).lower()

        def named(row: Any) -> str:
            aliases = row.alias_list if kind == "performer" else row.aliases
            return "\n".join([row.name, *([aliases] if isinstance(aliases, str) else aliases)]).lower()

        if kind in ("scene", "gallery", "image"):
            return media
        if kind in ("performer", "studio", "tag", "group"):
            return named
        if kind == "marker":
            scenes = self.catalog.scenes
            return lambda row: f"{row.title}\n{scenes[row.scene_id].title}".lower()
        return lambda row: row.path.lower()

    # Order.

    def sort(self, kind: str, rows: list[Any], sort: str | None, direction: str) -> list[Any]:
        """No sort, no order (the order of ids, here). Ties fall to the title, else the id as text, natural order."""
        if not sort:
            return rows
        backwards = direction == "DESC"
        if sort == "id":
            return rows[::-1] if backwards else rows
        if sort == "random" or sort.startswith("random_"):
            seed = sort.removeprefix("random").removeprefix("_")
            shuffled = list(rows)
            random.Random(seed or self._rng.random()).shuffle(shuffled)
            return shuffled
        get = self._sort_key(kind, sort)

        def key(row: Row) -> tuple[bool, Any]:
            value = get(row)
            if isinstance(value, str):
                value = value.lower()
            return (value is not None, 0 if value is None else value)

        keyed = sorted(((key(row), row) for row in rows), key=lambda pair: pair[0], reverse=backwards)
        found: list[Any] = []
        start = 0
        for end in range(1, len(keyed) + 1):
            if end == len(keyed) or keyed[end][0] != keyed[start][0]:
                tied = [row for _, row in keyed[start:end]]
                found += tied if len(tied) == 1 else sorted(tied, key=_tie_key)
                start = end
        return found

    def _sort_key(self, kind: str, sort: str) -> Get:
        if sort in SORTS[kind]:
            return SORTS[kind][sort](self.catalog)
        known = next(iter(self.catalog.rows[kind].values()), None)
        if sort not in SORTABLE or (known is not None and not hasattr(known, sort)):
            raise CatalogError(f"invalid sort: {sort}")
        return lambda row: getattr(row, sort)


def _tie_key(row: Any) -> tuple[Any, ...]:
    return natural_key(getattr(row, "title", "") or getattr(row, "name", "") or str(row.id))
