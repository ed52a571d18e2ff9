"""`python -m simulators.measure [N]`: how fast a fake Plex of N items (default 100,000) starts, lists and edits.

Prints one JSON object; times are medians in milliseconds, except the start (seconds), and memory in megabytes.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable

from simulators.serving import Handle, spawned

PAGE = 1000


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


def measure(items: int) -> dict[str, float | None]:
    began = time.perf_counter()
    with spawned("simulators.fake_plex", f"--generate={items}", "--token=t") as handle:
        start_s = round(time.perf_counter() - began, 2)
        return {"items": items, "start_s": start_s, **_timed(handle, items)}


def _timed(handle: Handle, items: int) -> dict[str, float | None]:
    connection = http.client.HTTPConnection(handle.url.removeprefix("http://"))
    pages = max(1, items // PAGE)

    def ask(method: str, path: str, start: int = 0) -> None:
        window = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(PAGE)}
        connection.request(method, path, headers={"X-Plex-Token": "t", "Accept-Encoding": "gzip", **window})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status}")

    def page(n: int) -> None:
        ask("GET", "/library/sections/1/all?includeGuids=1&type=1", n % pages * PAGE)

    def edit(n: int) -> None:
        change = f"title.value=New%20{n}&title.locked=1&genre%5B0%5D.tag.tag=Drama"
        ask("PUT", f"/library/sections/1/all?type=1&id={n % items + 1}&{change}")

    found = {
        "page_first_ms": _median_ms(page, min(pages, 20)),
        "page_again_ms": _median_ms(page, min(pages, 20)),
    }
    found["edit_ms"] = _median_ms(edit, 50)
    found["item_ms"] = _median_ms(lambda n: ask("GET", f"/library/metadata/{n % items + 1}"), 50)
    found["search_ms"] = _median_ms(lambda n: ask("GET", f"/library/sections/1/all?title=garden%20{n}"), 5)
    return {**found, "memory_mb": _memory_mb(handle.pid)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)))
