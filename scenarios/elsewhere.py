"""`demo --stash URL --plex URL --tag NAME`: the same engine against servers that are somebody's own.

Nothing is written unless `--write` is given, and then only to the items of scenes that have the tag; never to Stash.
Stash's API key and Plex's token come from the environment (STASH_API_KEY, PLEX_TOKEN), so that they are in no list of
processes. What is stored of the plugin's settings in Stash holds here too. Queue and memory are kept in a folder that
is gone afterwards.
"""

from __future__ import annotations

import logging
import os
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plexsync.clock import SystemClock
from plexsync.core.failures import SyncFailure
from plexsync.core.settings import Problem, Settings, parse
from plexsync.queue.store import Store
from plexsync.servers.world import Servers
from plexsync.sync.worker import Worker
from plexsync.ui import diff
from scenarios.person import Person
from scenarios.recorder import NotDone

PATIENCE_S = 300.0  # for the queue to come to rest


class Elsewhere(Servers):
    """The servers at these addresses, with the settings stored in that Stash, for a folder of our own."""

    def __init__(self, stash: str, plex: str, data_dir: str, store: Store | None = None) -> None:
        super().__init__(data_dir, SystemClock(), store)
        address = urlsplit(stash)
        self._given_connection = {
            "Scheme": address.scheme,
            "Host": address.hostname,
            "Port": address.port or (443 if address.scheme == "https" else 9999),
            "ApiKey": os.environ.get("STASH_API_KEY", ""),
        }
        self._plex_url = plex

    def connection(self) -> dict[str, object]:
        return dict(self._given_connection)

    def read_settings(self) -> tuple[Settings, tuple[Problem, ...]]:
        if self._settings is None:
            stored: Mapping[str, object] = self.stash().settings()
            here = {"plex_url": self._plex_url, "plex_token": os.environ.get("PLEX_TOKEN", "")}
            settings, self._problems = parse({**stored, **here})
            # Stash is only read, whatever its plugin may do; and no scan is started.
            self._settings = replace(
                settings,
                ratings_to_stash=False,
                watched_to_stash=False,
                scan_plex=False,
                reconcile_interval=0,
            )
        return self._settings, self._problems


def run(stash: str, plex: str, tag: str, write: bool = False, console: Console | None = None) -> int:
    """Compare the scenes of the tag, sync them if told to, and compare again; the exit status."""
    console = console or Console()
    for name, address in (("--stash", stash), ("--plex", plex)):
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            console.print(f"{name} is an address like http://192.168.1.10:9999, not {escape(address)}")
            return 2
    try:
        scene_ids = _tagged(Person(stash, os.environ.get("STASH_API_KEY", "")), tag)
    except NotDone as why:
        console.print(f"Stash at {escape(stash)} cannot be asked: {escape(str(why))}", highlight=False)
        return 1
    if not scene_ids:
        console.print(
            f"No scene in this Stash has the tag {escape(tag)}; give one to the scenes to try this with."
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="plexsync-demo-") as folder:
        try:
            return _compared(Elsewhere(stash, plex, folder), stash, plex, folder, scene_ids, write, console)
        except SyncFailure as failure:
            console.print(escape(str(failure)), highlight=False)
            return 1


def _tagged(person: Person, tag: str) -> list[int]:
    """The ids of the scenes that have the tag of this name."""
    tags = person.ask("query { findTags(filter: {per_page: -1}) { tags { id name } } }")["findTags"]["tags"]
    wanted = [row["id"] for row in tags if row["name"].casefold() == tag.casefold()]
    if not wanted:
        return []
    query = (
        "query($wanted: [ID!]) { findScenes(filter: {per_page: -1},"
        " scene_filter: {tags: {value: $wanted, modifier: INCLUDES}}) { scenes { id } } }"
    )
    return sorted(int(row["id"]) for row in person.ask(query, {"wanted": wanted})["findScenes"]["scenes"])


def _compared(
    servers: Elsewhere,
    stash: str,
    plex: str,
    folder: str,
    scene_ids: list[int],
    write: bool,
    console: Console,
) -> int:
    before = list(diff.previews(servers, servers.settings(), scene_ids))
    _show(console, "What a sync would write" if not write else "What differs now", before)
    level = sum(not one.matters for one in before)
    console.print(f"{level} of {len(before)} scenes are in sync with Plex.", highlight=False)
    if not write:
        console.print("Nothing was written; --write would do it.", highlight=False)
        return 0
    began = time.monotonic()
    with Store(folder) as store:
        worker = Worker(store, Elsewhere(stash, plex, folder, store), SystemClock(), random.Random())
        store.enqueue_many(scene_ids, "update")

        def at_rest() -> bool:
            counts = store.counts()
            late = time.monotonic() - began > PATIENCE_S
            return late or (counts.in_progress == 0 and counts.pending == counts.waiting_later)

        with _telling(console):
            worker.run(should_stop=at_rest)
        counts = store.counts()
    after = list(diff.previews(servers, servers.settings(), scene_ids))
    _show(console, "What differs still", [one for one in after if one.matters])
    level = sum(not one.matters for one in after)
    console.print(
        f"{level} of {len(after)} scenes are in sync with Plex after {time.monotonic() - began:.1f} s; "
        f"{counts.dead} dead letters, {counts.pending} wait for later.",
        highlight=False,
    )
    return 0 if level == len(after) else 1


def _show(console: Console, title: str, previews: list[diff.Preview]) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("scene", "field", "in Plex", "from Stash"):
        table.add_column(name, overflow="fold")
    for preview in previews:
        if preview.matters:
            for row in diff.rows(preview):
                table.add_row(*(escape(cell) for cell in row))
    if table.row_count:
        console.print(table)


class _telling(logging.Handler):
    """The plugin's log lines on the console, for as long as the block lasts."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(escape(record.getMessage()), highlight=False, style="dim")

    def __enter__(self) -> None:
        ours = logging.getLogger("plexsync")
        self._before = ours.level
        ours.addHandler(self)
        ours.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        ours = logging.getLogger("plexsync")
        ours.removeHandler(self)
        ours.setLevel(self._before)
