"""Sections: listing, editing many, filters and their choices, scans. See routes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

from simulators.fake_plex import edits, search, wire
from simulators.fake_plex.library import (
    COLLECTION,
    TAG_KINDS,
    Item,
    Library,
    NoSuch,
    Refused,
    Section,
)
from simulators.fake_plex.prefs import SECTION_PREFS
from simulators.fake_plex.routes import Call, Created, Raw, read_prefs, route, selected, summaries, windowed
from simulators.fake_plex.wire import LIBRARY_ATTRIBUTES, El, container

# --- sections -----------------------------------------------------------------------------------------------


@route("GET", "/library/sections/?")
def sections(call: Call) -> El:
    about = {"allowSync": False, "title1": "Plex Library"}
    return container(about, [wire.section_element(s) for s in call.library.sections.values()])


@route("GET", "/library/sections/*/all")
def section_all(call: Call) -> El:
    section = call.section()
    about = wire.list_attributes(section)
    number = COLLECTION if call.get("type") == str(COLLECTION) else 1
    if call.flag("includeMeta"):
        about |= {"sortAsc": True, "viewMode": "131122"}
    made = summaries(call, about, selected(call, section, call.params))
    if call.flag("includeMeta"):
        made.children.insert(0, wire.meta(section, number))
    return made


@route("PUT", "/library/sections/*/all")
def section_edit(call: Call) -> None:
    section = call.section()
    params = [(k, v) for k, v in call.params if not k.startswith("X-Plex-")]
    edit, rest = edits.parse(params, TAG_KINDS)
    given = dict(rest)
    if given.get("type") not in ("1", "18") or any(k.startswith("?") for k, _ in rest):
        raise Refused
    if not (edit.values or edit.locks or edit.tags):
        raise Refused
    if "id" in given:
        items = [call.library.item(key) for key in given["id"].split(",")]
        if any(item.section != section.key for item in items):
            raise NoSuch
        if any(str(item.number) != given["type"] for item in items):
            raise Refused
    else:
        items = list(selected(call, section, rest))
    call.library.edit(items, edit)


@route("GET", "/library/sections/*/collections")
def section_collections(call: Call) -> El:
    section = call.section()
    about = wire.list_attributes(section)
    if call.flag("includeMeta"):
        about |= {"sortAsc": True, "title2": "All Movies", "viewMode": "131122"}
    rows = selected(call, section, [*call.params, ("type", str(COLLECTION))])
    made = summaries(call, about, rows)
    if call.flag("includeMeta"):
        made.children.insert(0, wire.meta(section, COLLECTION))
    return made


@route("GET POST", "/library/sections/*/refresh")
def section_refresh(call: Call) -> Raw | None:
    """A scan of the section, of a folder in it, or ("all") of every section; a header names the activity."""
    if call.parts[0] == "all":
        for section in call.library.sections.values():
            call.library.scan(section, force=call.flag("force"))
        return None
    activity = call.library.scan(call.section(), call.get("path") or None, call.flag("force"))
    return Raw(b"", headers={"X-Plex-Activity": activity.uuid})


@route("DELETE", "/library/sections/*/refresh")
def section_refresh_cancel(call: Call) -> None:
    found = call.library.sections.values() if call.parts[0] == "all" else [call.section()]
    for section in found:
        call.library.cancel_scan(section)


@route("PUT", "/library/sections/*/emptyTrash")
def section_empty_trash(call: Call) -> None:
    call.library.empty_trash(call.section())


@route("PUT", "/library/sections/*/analyze")
def section_analyze(call: Call) -> None:
    call.section()


# --- what a section's items can be filtered by --------------------------------------------------------------


def _choices(library: Library, section: Section, name: str) -> list[tuple[Any, str]]:
    """(key, title) of every value a filter can take in this section; key is what goes into the query."""
    if name in search.TAG_FIELDS:
        return [(tag.id, tag.name) for tag, _ in library.tag_counts(section, name)]
    if name in search.BOOLEANS:
        return [(1, "Yes"), (0, "No")]
    read = search.INTEGERS.get(name) or search.EXACT.get(name) or search.STRINGS.get(name)
    if read is None:
        raise NoSuch
    found = {value for item in library.movies(section) if (value := read(item)) is not None}
    titles = {"decade": "{}s", "resolution": "{}"}
    return [
        (value, titles.get(name, "{}").format(value))
        for value in sorted(found, reverse=name in search.INTEGERS)
    ]


def choices(call: Call) -> El:
    section, name = call.section(), call.parts[1]
    base = f"/library/sections/{section.key}/all?{name}="
    rows = [
        El(
            "Directory",
            {"fastKey": f"{base}{quote(str(key))}", "key": str(key), "title": title, "type": name},
        )
        for key, title in _choices(call.library, section, name)
    ]
    title = next((label for key, _, label in wire.FILTERS if key == name), name)
    return container(_secondary(section, f"By {title}"), rows)


def _secondary(section: Section, title2: str | None) -> dict[str, Any]:
    """What the container of a list that is no list of items says."""
    return {
        "allowSync": False,
        **wire.section_images(section),
        "content": "secondary",
        **LIBRARY_ATTRIBUTES,
        "nocache": True,
        "title1": section.title,
        "title2": title2,
        "viewGroup": "secondary",
        "viewMode": "65592",
    }


for _name in {*search.TAG_FIELDS, *(key for key, _, _ in wire.FILTERS)}:
    route("GET", f"/library/sections/*/({_name})")(choices)


# --- lists about a section ----------------------------------------------------------------------------------


@route("GET", "/library/sections/*/sorts")
def sorts(call: Call) -> El:
    section = call.section()
    about = _secondary(section, None)
    del about["nocache"]
    return container(about, wire.sort_elements(section, "Directory", active=False))


@route("GET", "/library/sections/*/filters")
def filters(call: Call) -> El:
    section = call.section()
    return container(_secondary(section, "Filters"), wire.filter_elements(section, "Directory"))


@route("GET", r"/library/sections/(\d+|None)")
def section_details(call: Call) -> El:
    section = call.section()
    rows = [
        ("all", f"All {section.title}"),
        ("unwatched", "Unplayed"),
        ("newest", "Recently Released"),
        ("recentlyAdded", "Recently Added"),
        ("onDeck", "On Deck"),
        *((key, f"By {title}") for key, _, title in wire.FILTERS if key in search.TAG_FIELDS),
        ("firstCharacter", "By First Letter"),
        ("folder", "By Folder"),
    ]
    children = [
        El("Directory", {"key": key, "title": title, "secondary": True if title.startswith("By ") else None})
        for key, title in rows
    ]
    search_row = {"key": "search?type=1", "prompt": "Search Movies", "search": True, "title": "Search..."}
    children.append(El("Directory", search_row))
    about = {
        "allowSync": False,
        **wire.section_images(section),
        "content": "secondary",
        "librarySectionID": section.key,
        **LIBRARY_ATTRIBUTES,
        "title1": section.title,
        "viewGroup": "secondary",
        "viewMode": "65592",
    }
    if call.flag("includeDetails"):
        children += [
            wire.type_element(section, 1, active=False),
            wire.type_element(section, COLLECTION, active=False),
        ]
        children += wire.field_types()
    return container(about, children)


def _short(which: str, params: list[tuple[str, str]], name: str) -> None:
    """A named list that is a filter or a sort of all."""

    def listing(call: Call) -> El:
        section = call.section()
        return summaries(
            call, wire.list_attributes(section), selected(call, section, [*call.params, *params])
        )

    listing.__name__ = name
    route("GET", f"/library/sections/*/{which}")(listing)


_short("recentlyAdded", [("sort", "addedAt:desc")], "recently_added")
_short("newest", [("sort", "originallyAvailableAt:desc")], "newest")
_short("onDeck", [("inProgress", "1"), ("sort", "lastViewedAt:desc")], "on_deck")
_short("recentlyViewed", [("unwatched", "0"), ("sort", "lastViewedAt:desc")], "recently_viewed")


def _first(item: Item) -> str:
    letter = item.title_sort[:1].upper()
    return letter if letter.isalpha() else "#"


@route("GET", "/library/sections/*/firstCharacter")
def first_characters(call: Call) -> El:
    section = call.section()
    counts: dict[str, int] = {}
    for item in selected(call, section, call.params):
        counts[_first(item)] = counts.get(_first(item), 0) + 1
    base = f"/library/sections/{section.key}/firstCharacter"
    rows = [
        El("Directory", {"key": f"{base}/{quote(letter, safe='')}", "size": n, "title": letter})
        for letter, n in sorted(counts.items())
    ]
    return container(_secondary(section, "By First Letter"), rows)


@route("GET", "/library/sections/*/firstCharacter/*")
def first_character(call: Call) -> El:
    section = call.section()
    rows = [item for item in call.library.movies(section) if _first(item) == call.parts[1]]
    return summaries(call, wire.list_attributes(section), rows)


@route("GET", "/library/sections/*/folder")
def folder(call: Call) -> El:
    """The folders and videos right below a folder; the locations' content when no parent is named."""
    section, library = call.section(), call.library
    parent = call.get("parent")
    roots = [unquote(parent)] if parent else [path for _, path in section.locations]
    folders: dict[str, str] = {}
    videos: list[Item] = []
    for item in library.movies(section):
        for media in item.media[:1]:
            file = media.file.replace("\\", "/")
            for root in roots:
                head = root.rstrip("/") + "/"
                if not file.startswith(head):
                    continue
                name, slash, _ = file[len(head) :].partition("/")
                if slash:
                    folders[head + name] = name
                else:
                    videos.append(item)
    base = f"/library/sections/{section.key}/folder?parent="
    rows = [
        El("Directory", {"key": base + quote(path, safe=""), "title": name})
        for path, name in sorted(folders.items())
    ]
    rows += [wire.summary(library, item) for item in videos]
    return container({**wire.list_attributes(section), "title2": "By Folder"}, rows)


@route("GET", "/library/sections/*/timeline")
def timeline(call: Call) -> El:
    section = call.section()
    about = _secondary(section, None)
    del about["nocache"], about["title2"]
    waiting = sum(1 for item in call.library.movies(section) if not item.settled)
    return El(
        "MediaContainer",
        {"size": 1, **about, "latestEntryTime": section.updated_at, "updateQueueSize": waiting},
    )


# What Common compares, in the order of mixedFields as recorded.
_COMMON = (
    "title",
    "ratingKey",
    "titleSort",
    "tagline",
    "rating",
    "summary",
    "year",
    "studio",
    "originallyAvailableAt",
    "originalTitle",
    "contentRating",
    "editionTitle",
)


@route("GET", "/library/sections/*/common")
def common(call: Call) -> El:
    section, library = call.section(), call.library
    if not call.get("type"):
        raise Refused
    keys = [key for key in call.get("id").split(",") if key]
    items: Sequence[Item] = (
        [library.movie(key) for key in keys] if keys else selected(call, section, call.params)
    )
    if not items:
        raise NoSuch
    shown = [wire.item_element(library, item, full=True) for item in items]
    values: dict[str, set[Any]] = {name: {el.attributes.get(name) for el in shown} for name in _COMMON}
    mixed = [name for name in _COMMON if len(values[name]) > 1]
    same = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    attributes: dict[str, Any] = {
        "guid": "",
        "index": 1,
        "key": None,
        "mixedFields": ",".join(mixed),
        "ratingCount": 0,
    }
    if same.get("ratingKey"):
        attributes["key"] = f"/library/metadata/{same['ratingKey']}/children"
    attributes |= {**same, "titleSort": same.get("titleSort") or same.get("title") or "", "type": "common"}
    names = {element for element, _ in TAG_KINDS.values()} | {"Field"}
    rows = [
        child
        for child in shown[0].children
        if child.name in names and all(_holds(other, child) for other in shown[1:])
    ]
    return container(_secondary(section, "Common"), [El("Common", attributes, rows)])


def _holds(element: El, child: El) -> bool:
    return any(c.name == child.name and c.attributes == child.attributes for c in element.children)


@route("GET", "/library/sections/*/prefs")
def section_prefs(call: Call) -> El:
    section = call.section()
    return container({}, [wire.setting(pref, section.prefs[pref.id]) for pref in SECTION_PREFS])


@route("PUT", "/library/sections/*/prefs")
def section_prefs_edit(call: Call) -> None:
    section = call.section()
    read_prefs(SECTION_PREFS, section.prefs, call.params)
    section.hidden = int(section.prefs["hidden"])


# --- sections made and changed ------------------------------------------------------------------------------


def _bracketed(call: Call) -> list[tuple[str, str]]:
    """The preferences given as prefs[name]=value."""
    return [
        (key[6:-1], value) for key, value in call.params if key.startswith("prefs[") and key.endswith("]")
    ]


@route("POST", "/library/sections")
def section_add(call: Call) -> Any:
    for name in ("name", "type", "agent", "scanner", "language"):
        if not call.get(name):
            raise Refused(f"'{name}' is invalid")
    made = call.library.add_section(
        call.get("name"),
        type=call.get("type"),
        agent=call.get("agent"),
        scanner=call.get("scanner"),
        language=call.get("language"),
        locations=[value for key, value in call.params if key == "location"],
    )
    read_prefs(SECTION_PREFS, made.prefs, _bracketed(call))
    call.library.scan(made)
    return Created(container({"allowSync": False}, [wire.section_element(made)]))


@route("PUT", r"/library/sections/(\d+)")
def section_change(call: Call) -> None:
    section = call.section()
    section.title = call.get("name") or section.title
    section.agent = call.get("agent") or section.agent
    section.scanner = call.get("scanner") or section.scanner
    section.language = call.get("language") or section.language
    read_prefs(SECTION_PREFS, section.prefs, _bracketed(call))
    section.hidden = int(section.prefs["hidden"])
    locations = [value for key, value in call.params if key == "location"]
    if locations:
        known = {path: number for number, path in section.locations}
        section.locations = [(known.get(p) or call.library.next_id("location"), p) for p in locations]
    section.updated_at = call.library.now()


@route("DELETE", r"/library/sections/(\d+)")
def section_delete(call: Call) -> None:
    call.library.remove_section(call.section())


@route("DELETE", "/library/sections/*/indexes")
def section_indexes(call: Call) -> None:
    call.section()


# --- all sections at once -----------------------------------------------------------------------------------


@route("GET", "/library/all")
def library_all(call: Call) -> El:
    about = {"allowSync": False, **LIBRARY_ATTRIBUTES, "title1": "All", "viewGroup": "movie"}
    rows = selected(call, None, call.params)
    return windowed(
        call, about, rows, lambda item: wire.in_section(call.library, item, call.flag("includeGuids"))
    )


@route("GET", "/library/recentlyAdded")
def library_recently_added(call: Call) -> El:
    rows = selected(call, None, [("sort", "addedAt:desc")])[:50]
    about = {"allowSync": False, **LIBRARY_ATTRIBUTES, "mixedParents": True}
    return windowed(call, about, rows, lambda item: wire.in_section(call.library, item))


@route("GET", "/library/onDeck")
def library_on_deck(call: Call) -> El:
    rows = selected(call, None, [("inProgress", "1"), ("sort", "lastViewedAt:desc")])
    about = {"allowSync": False, **LIBRARY_ATTRIBUTES, "mixedParents": True}
    return windowed(call, about, rows, lambda item: wire.in_section(call.library, item))


@route("GET", "/library/tags")
def tags(call: Call) -> El:
    """The tags of one type number, with what they are used for."""
    library, number = call.library, call.get("type")
    kinds = [kind for kind, (_, tag_type) in TAG_KINDS.items() if str(tag_type) == number]
    rows = [
        El("Directory", wire.tag_attributes(library, tag))
        for tag in library.tags.values()
        if tag.kind in kinds and library.tagged.get(tag.id)
    ]
    return container({"allowSync": False, **LIBRARY_ATTRIBUTES}, rows)
