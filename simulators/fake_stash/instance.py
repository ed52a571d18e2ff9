"""One fake Stash: its catalog, plugins, jobs, settings and log, and what a request may ask of them."""

import asyncio
import contextlib
import gc
import pickle
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from . import public_access
from .catalog import Catalog, CatalogError
from .finding import Finder
from .firing import RUNS_KEPT, Address, HookContext, HostSettings, PluginHost
from .jobs import JobQueue
from .library import Loader
from .logs import Log
from .process import Run
from .sessions import Caller, Sessions, make_api_key
from .settings import Settings

VERSION = "v0.30.1-37-gcf3489efd"
BUILD_TIME = "2026-01-11 07:02:11"
SCHEMA_VERSION = 75


class AccessRefused(Exception):
    """The API key or cookie is wrong, and the operation needs a right one."""


@dataclass
class Switches:
    """Behaviours that differ between installations or moments; the control API sets them."""

    database_locked: int = 0  # so many of the next root fields fail with `database is locked`
    database_locked_field: str = ""  # only this one; empty: any
    lose_stderr_tail: bool = False  # the last lines a plugin writes before its exit get lost
    zone_minutes: int | None = None  # the server's offset from UTC from now on; None: as the machine's
    scan_workers: int = 2  # files a scan handles side by side, with their hooks
    scan_file_ms: float = 0.0  # what a scan takes for a file
    cover_delay_ms: float = 0.0  # from a scanned scene's Create hooks to its cover
    seen_from: str = ""  # the address every request seems to come from; empty: its own
    shutdown_waits: bool = False  # a server that stops waits for open requests, as Stash does


def parse_zone(text: str) -> int:
    """Minutes of an offset like `+11:00` or `Z`. Raises ValueError."""
    if text in ("Z", "UTC"):
        return 0
    sign = {"+": 1, "-": -1}[text[0]] if text[:1] in ("+", "-") else 0
    hours, _, minutes = text[1:].partition(":")
    if not sign or not hours.isdigit() or not minutes.isdigit():
        raise ValueError(f"a zone is an offset like +11:00, not {text!r}")
    return sign * (int(hours) * 60 + int(minutes))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A library is made at once and stays: looking for garbage meanwhile costs a fifth more."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass
class DiskFile:
    """A video on the disk that Stash may or may not know. `values` are those of a library file's scene."""

    path: str
    values: dict[str, Any] = field(default_factory=dict)
    version: int = 0  # grows when the file is written to


@dataclass
class History:
    """What the catalog was, for reads that are to be stale: (until when, pickled tables)."""

    seconds: float = 0.0
    before: deque[tuple[float, bytes]] = field(default_factory=deque)


@dataclass
class Dlna:
    """What the DLNA server is said to do; there is none."""

    running: bool = False
    until: str | None = None
    allowed: dict[str, str | None] = field(default_factory=dict)


class Instance:
    def __init__(
        self,
        config_dir: Path,
        plugins_path: Path | None = None,
        library: dict[str, Any] | None = None,
        seed: int = 0,
        zone: str | None = None,
        user: str = "",
        password: str = "",
        python_path: str = "",
        advertised_host: str | None = None,
    ) -> None:
        self.config_dir = config_dir
        self.plugins_path = plugins_path or config_dir / "plugins"
        self.library = library or {}
        self.seed = seed
        self.switches = Switches(zone_minutes=None if zone is None else parse_zone(zone))
        self.settings = Settings(config_dir)
        given = {"username": user, "password": password, "python_path": python_path}
        if any(given.values()):
            self.settings.set({key: value for key, value in given.items() if value})
        self.log = Log(self.now)
        self.runs: deque[Run] = deque(maxlen=RUNS_KEPT)
        self.sessions = Sessions(time.time, self.settings.get("max_session_age", 3600))
        self.address = Address("127.0.0.1", 9999)
        self.advertised_host = advertised_host
        self.rng = random.Random(f"stash:{seed}")
        self.host = self._new_host()
        self.apply_settings()
        self.jobs = JobQueue(self.now, (CatalogError,))
        self.scrapers: list[Any] | None = None  # read when they are first asked for
        self.scan_listeners: list[asyncio.Queue[bool]] = []
        self.history = History()
        self.started_at = time.time()
        if user and not self.settings.get("api_key"):
            self.settings.set({"api_key": make_api_key(user, time.time())})
        self.catalog = Catalog(self.now)
        self.load_library()

    # The server's own state.

    def zone(self) -> tzinfo | None:
        minutes = self.switches.zone_minutes
        return None if minutes is None else timezone(timedelta(minutes=minutes))

    def now(self) -> datetime:
        """The server's clock, in the server's zone."""
        return datetime.now().astimezone(self.zone())

    def _new_host(self) -> PluginHost:
        return PluginHost(
            HostSettings(self.plugins_path, self.config_dir),
            self.log,
            self.sessions,
            lambda: self.address,
            random.Random(f"host:{self.seed}"),
            self.runs,
        )

    def apply_settings(self) -> None:
        """Tell the plugin host what the settings say."""
        host = self.host.settings
        host.python_path = self.settings.get("python_path", "")
        host.disabled = self.settings.disabled_plugins
        host.lose_stderr_tail = self.switches.lose_stderr_tail
        host.plugins_path = Path(self.settings.get("plugins_path", self.plugins_path))
        self.sessions.max_age_s = self.settings.get("max_session_age", 3600)

    def load_library(self) -> None:
        self.catalog = Catalog(self.now)
        with _no_collection():
            Loader(self.catalog).load(self.library)
        self.finder = Finder(self.catalog, self.rng)
        self.disk = {
            file.path: DiskFile(file.path, {"oshash": file.fingerprint("oshash")})
            for file in self.catalog.files.values()
        }
        self.seen_versions: dict[str, int] = {}
        self.identify_matches: dict[int, list[dict[str, Any]]] = {}
        self.saved_filters: dict[int, dict[str, Any]] = {}
        self.dlna = Dlna()

    @property
    def user(self) -> str:
        return str(self.settings.get("username", ""))

    @property
    def api_key(self) -> str:
        return str(self.settings.get("api_key", ""))

    def refuse_outsiders(self, peer: str, forwarded_for: str) -> int:
        """0 for a request that may go on, or the status it is refused with. Trips the lock when it must."""
        settings = self.settings
        if self.needs_login or settings.get(public_access.DANGEROUS):
            return 0
        address = self.switches.seen_from or peer
        try:
            found = public_access.outsider(address, forwarded_for, settings.get(public_access.TRUSTED, ()))
        except public_access.UntrustedProxy as proxy:
            self.log.error(f"Error checking external access security: untrusted proxy {proxy}")
            return 500
        if found:
            self.log.error(
                f"Stash has been accessed from the internet (public IP {found}), without authentication."
            )
            settings.set({public_access.TRIPPED: found})
        return 403 if settings.get(public_access.TRIPPED) else 0

    @property
    def needs_login(self) -> bool:
        return bool(self.user and self.settings.get("password"))

    async def restart(self) -> None:
        """What is left when the process is started anew: the database and config.yml.

        Jobs and the log are forgotten, ids of jobs start over; plugin processes that run become orphans.
        """
        self.host.abandon()
        self.jobs.forget()
        self.log = Log(self.now, self.log.level)
        self.host = self._new_host()
        self.scrapers = None
        self.settings.load()
        self.apply_settings()
        self.host.reload()

    async def reset(self) -> None:
        """Back to the library file; settings, jobs and runs are gone."""
        self.jobs.stop_all()
        await self.jobs.settle()
        self.jobs.forget()
        keep = {key: self.settings.get(key) for key in ("username", "password", "api_key", "python_path")}
        self.settings.clear()
        if any(keep.values()):
            self.settings.set(keep)
        self.switches = Switches(zone_minutes=self.switches.zone_minutes)
        self.apply_settings()
        self.load_library()
        self.runs.clear()
        self.host.reload()

    # Stale reads.

    def remember(self, seconds: float) -> None:
        self.history.seconds = seconds
        if not seconds:
            self.history.before.clear()

    def about_to_change(self) -> None:
        """Keep what is there now for reads that are to be answered late; nothing unless somebody asked for it."""
        if not self.history.seconds:
            return
        moment = time.monotonic()
        before = self.history.before
        before.append((moment, pickle.dumps(self.catalog.rows)))
        while before and moment - before[0][0] > self.history.seconds + 1:
            before.popleft()

    def catalog_at(self, moment: float) -> Catalog:
        """The catalog as it was at a time.monotonic()."""
        for until, rows in self.history.before:
            if until > moment:
                then = Catalog(self.now)
                then.rows = pickle.loads(rows)
                return then
        return self.catalog


@dataclass
class Call:
    """One request's context: who asks, of what, and under which address."""

    instance: Instance
    caller: Caller = field(default_factory=Caller)
    base_url: str = ""
    catalog: Catalog = field(init=False)
    finder: Finder = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = self.instance.catalog
        self.finder = self.instance.finder

    def as_of(self, moment: float) -> None:
        self.catalog = self.instance.catalog_at(moment)
        self.finder = Finder(self.catalog, self.instance.rng)

    @property
    def api_key(self) -> str:
        return self.instance.api_key

    async def fire(self, trigger: str, row_id: int, given: Any = None, fields: Sequence[str] = ()) -> None:
        """Run the hooks of one event, to their end."""
        await self.instance.host.run_hooks(HookContext(trigger, row_id, given, fields), self.caller)

    def check_lock(self, field_name: str) -> None:
        """Raises CatalogError when this root field is one that finds the database locked."""
        switches = self.instance.switches
        if switches.database_locked <= 0:
            return
        if switches.database_locked_field not in ("", field_name):
            return
        switches.database_locked -= 1
        raise CatalogError("database is locked")
