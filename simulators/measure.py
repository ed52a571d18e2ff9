"""`python -m simulators.measure [N] [--only plex|stash] [--json FILE]`: how fast the stand-ins are when they are full.

Starts a fake Plex of N items and then a fake Stash of N scenes (default 100,000), asks each as a client would, and
prints a figure a line beside what is promised. Exit status 1 when a promise is missed. Times are medians; on a machine
that has other work the server's own processor time, beside some of them, says more.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simulators.handle import Handle, spawned

PAGE = 1000
MANY = 100_000
# Figure -> what it must stay below, with MANY items on two cores.
BOUNDS: dict[str, dict[str, float]] = {
    "plex": {"start_s": 10, "page_first_ms": 150, "page_again_ms": 150, "edit_ms": 10, "memory_mb": 1024},
    "stash": {"start_s": 10, "page_first_ms": 500, "page_again_ms": 500},
}
WORDS = {
    "start_s": "ready after",
    "start_cpu_s": "  of processor time",
    "page_first_ms": "a page of 1,000, the first time",
    "page_cpu_ms": "  of processor time",
    "page_again_ms": "the same page again",
    "edit_ms": "an edit",
    "edit_cpu_ms": "  of processor time",
    "item_ms": "one item",
    "search_ms": "a search through all titles",
    "memory_mb": "memory",
}
SCENES_PAGE = """
query($f: FindFilterType, $s: SceneFilterType) {
  findScenes(filter: $f, scene_filter: $s) {
    count
    scenes {
      id title code details director urls date rating100 organized o_counter play_count created_at updated_at
      studio { id name parent_studio { id name } } performers { id name alias_list } tags { id name aliases }
      groups { group { id name } scene_index } stash_ids { endpoint stash_id } paths { screenshot stream }
      files { id path basename size duration mod_time fingerprints { type value } parent_folder { id path } }
    }
  }
}
"""


def _median_ms(what: Callable[[int], None], times: int) -> float:
    found = []
    for n in range(times):
        began = time.perf_counter()
        what(n)
        found.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(found), 1)


def _memory_mb(pid: int) -> float | None:
    """Resident memory where /proc tells it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            kilobytes = next(line.split()[1] for line in status if line.startswith("VmRSS"))
    except FileNotFoundError:
        return None
    return round(int(kilobytes) / 1024, 1)


def _cpu_s(pid: int) -> float | None:
    """Processor time the process has had so far, where /proc tells it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as status:
            fields = status.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _timed(pid: int, name: str, what: Callable[[int], None], times: int) -> dict[str, float | None]:
    """The median of so many goes, and the server's processor time for one of them."""
    before = _cpu_s(pid)
    found: dict[str, float | None] = {name: _median_ms(what, times)}
    after = _cpu_s(pid)
    cpu = None if before is None or after is None else round((after - before) * 1000 / times, 1)
    return {**found, f"{name.split('_')[0]}_cpu_ms": cpu}


class _Client:
    """One connection that stays open; every answer must be a 200."""

    def __init__(self, handle: Handle, headers: Mapping[str, str]) -> None:
        self.connection = http.client.HTTPConnection(handle.url.removeprefix("http://"))
        self.headers = {"Accept-Encoding": "gzip", **headers}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        data = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, data, {**self.headers, **named})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")


def measure(items: int) -> dict[str, float | None]:
    """The figures of a fake Plex of so many items."""
    began = time.perf_counter()
    with spawned("simulators.fake_plex", f"--generate={items}", "--token=t") as handle:
        start_s, start_cpu_s = round(time.perf_counter() - began, 2), _cpu_s(handle.pid)
        client = _Client(handle, {"X-Plex-Token": "t"})
        pages = max(1, items // PAGE)

        def page(n: int) -> None:
            window = {"X_Plex_Container_Start": str(n % pages * PAGE), "X_Plex_Container_Size": str(PAGE)}
            client.ask("GET", "/library/sections/1/all?includeGuids=1&type=1", **window)

        def edit(n: int) -> None:
            change = f"title.value=New%20{n}&title.locked=1&genre%5B0%5D.tag.tag=Drama"
            client.ask("PUT", f"/library/sections/1/all?type=1&id={n % items + 1}&{change}")

        return {
            "items": items,
            "start_s": start_s,
            "start_cpu_s": start_cpu_s,
            **_timed(handle.pid, "page_first_ms", page, min(pages, 20)),
            "page_again_ms": _median_ms(page, min(pages, 20)),
            **_timed(handle.pid, "edit_ms", edit, 50),
            "item_ms": _median_ms(lambda n: client.ask("GET", f"/library/metadata/{n % items + 1}"), 50),
            "search_ms": _median_ms(
                lambda n: client.ask("GET", f"/library/sections/1/all?title=garden%20{n}"), 5
            ),
            "memory_mb": _memory_mb(handle.pid),
        }


def measure_stash(scenes: int) -> dict[str, float | None]:
    """The figures of a fake Stash of so many scenes; a page is `findScenes` with all relations of its scenes."""
    began = time.perf_counter()
    with spawned("simulators.fake_stash", f"--generate={scenes}") as handle:
        start_s, start_cpu_s = round(time.perf_counter() - began, 2), _cpu_s(handle.pid)
        client = _Client(handle, {"Content-Type": "application/json", "Accept": "application/json"})
        pages = max(1, scenes // PAGE)

        def graphql(query: str, **variables: Any) -> None:
            client.ask("POST", "/graphql", {"query": query, "variables": variables})

        def page(n: int) -> None:
            after = {"id": {"value": n % pages * PAGE, "modifier": "GREATER_THAN"}}
            graphql(SCENES_PAGE, s=after, f={"sort": "id", "per_page": PAGE})

        def edit(n: int) -> None:
            graphql(
                "mutation($i: SceneUpdateInput!) { sceneUpdate(input: $i) { id } }",
                i={"id": n % scenes + 1, "title": f"New {n}"},
            )

        def item(n: int) -> None:
            graphql("query($i: ID!) { findScene(id: $i) { id title tags { name } } }", i=n % scenes + 1)

        def search(n: int) -> None:
            graphql("query($f: FindFilterType) { findScenes(filter: $f) { count } }", f={"q": f"garden {n}"})

        return {
            "items": scenes,
            "start_s": start_s,
            "start_cpu_s": start_cpu_s,
            **_timed(handle.pid, "page_first_ms", page, min(pages, 20)),
            "page_again_ms": _median_ms(page, min(pages, 20)),
            **_timed(handle.pid, "edit_ms", edit, 50),
            "item_ms": _median_ms(item, 50),
            "search_ms": _median_ms(search, 5),
            "memory_mb": _memory_mb(handle.pid),
        }


def missed(service: str, found: Mapping[str, float | None]) -> list[str]:
    """The figures that break their promise."""
    return [
        name
        for name, bound in BOUNDS[service].items()
        if (value := found[name]) is not None and value >= bound
    ]


def report(service: str, found: Mapping[str, float | None]) -> str:
    """A line a figure, with what is promised and MISSED behind those that break it."""
    lines = [f"fake {service.capitalize()}, {found['items']:,} {'items' if service == 'plex' else 'scenes'}"]
    late = missed(service, found)
    for name, words in WORDS.items():
        value, unit = found[name], name.rpartition("_")[2].replace("mb", "MB")
        shown = "not known" if value is None else f"{value:,} {unit}"
        bound = f"promised: under {BOUNDS[service][name]:,} {unit}" if name in BOUNDS[service] else ""
        lines.append(f"  {words:<34}{shown:>12}  {bound}{'  MISSED' if name in late else ''}".rstrip())
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulators.measure", description=__doc__)
    parser.add_argument("items", nargs="?", type=int, default=MANY, help=f"how many (default {MANY:,})")
    parser.add_argument("--only", choices=list(BOUNDS), help="one of the services")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    figures = {}
    for service, measured in (("plex", measure), ("stash", measure_stash)):
        if args.only in (None, service):
            figures[service] = measured(args.items)
            print(report(service, figures[service]), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(any(missed(service, found) for service, found in figures.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
