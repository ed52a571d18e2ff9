"""The two servers as the worker and the tasks reach them: where they are, what the settings say, one client each.

Stash's address comes from ``connection.json``, which every hook and task leaves behind (``hook.remember``). Settings
are read from Stash, kept for a few seconds, and a client is made anew when what it was made from has changed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from plexsync.clock import Clock
from plexsync.core.failures import NeedsAttention, SettingProblem
from plexsync.core.settings import Problem, Settings, parse
from plexsync.queue.store import Store
from plexsync.servers.plex import Plex, client_identifier
from plexsync.servers.stash import Stash
from plexsync.servers.sync_state import SyncState, known_server, meet_server

log = logging.getLogger(__name__)

SETTINGS_S = 5.0  # how old the settings may be; Stash tells nobody that they changed
CONNECTION_FILE = "connection.json"


class World(Protocol):
    """What the worker asks for; Servers in the product, models in a simulation. All raise ``failures``."""

    def settings(self) -> Settings: ...

    def stash(self) -> Any: ...

    def plex(self) -> Any: ...

    def sync_state(self, settings: Settings) -> SyncState: ...

    def probe(self, server: str) -> None: ...


class Servers:
    """Clients of the servers this data folder belongs to."""

    def __init__(
        self,
        data_dir: str,
        clock: Clock,
        store: Store | None = None,
        connection: Mapping[str, Any] | None = None,
        complain: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """With a ``store``, what is learned of Plex's files is kept in its sync state; without, until the process ends.
        ``connection`` is what Stash told this process, for a folder that did not take it. ``complain`` is told once of
        each setting something else is used for; what nothing can be synced without is raised instead."""
        self._data_dir = data_dir
        self._told = connection
        self._complain = complain
        self._clock = clock
        self._store = store
        self._connection_seen: tuple[float, int] | None = None
        self._stash: Stash | None = None
        self._plex: Plex | None = None
        self._plex_made_from: Settings | None = None
        self._settings: Settings | None = None
        self._problems: tuple[Problem, ...] = ()
        self._settings_until = 0.0
        self._sync_state: SyncState | None = None
        self._state_of = ""

    def connection(self) -> dict[str, Any]:
        """Stash's server_connection as the last hook or task left it. Raises NeedsAttention when there is none yet."""
        try:
            with open(os.path.join(self._data_dir, CONNECTION_FILE), encoding="ascii") as file:
                found = json.load(file)
        except (OSError, ValueError):
            found = None
        if self._told and not found:
            return dict(self._told)
        if not isinstance(found, dict) or not found:
            raise NeedsAttention(
                "Stash",
                "PlexSync does not know yet where Stash is: run one of its tasks in Stash (Settings, Tasks), "
                "or save any scene.",
            )
        return found

    def stash(self) -> Stash:
        """The client of Stash, made anew when a hook brought another address or cookie."""
        try:
            stat = os.stat(os.path.join(self._data_dir, CONNECTION_FILE))
            seen = (stat.st_mtime, stat.st_ino)
        except OSError:
            seen = None
        if self._stash is None:
            self._stash = Stash(self.connection(), self._timeout_s())
        elif seen != self._connection_seen:
            self._stash.refresh(self.connection())
        self._connection_seen = seen
        return self._stash

    def settings(self) -> Settings:
        """The settings, at most SETTINGS_S old. Raises SettingProblem when nothing can be synced with them."""
        settings, problems = self.read_settings()
        for problem in problems:
            if problem.blocking:
                raise SettingProblem(problem.key, problem.sentence)
        return settings

    def read_settings(self) -> tuple[Settings, tuple[Problem, ...]]:
        """The settings and all that is wrong with them."""
        now = self._clock.monotonic()
        if self._settings is None or now >= self._settings_until:
            stash = self.stash()
            known = {problem.sentence for problem in self._problems}
            self._settings, self._problems = self._with_safe_photos(*parse(stash.settings()))
            for problem in self._problems:
                if not problem.blocking and problem.sentence not in known:
                    self._complain(problem.sentence)
            stash.set_timeout(self._timeout_s())
            self._settings_until = now + SETTINGS_S
        return self._settings, self._problems

    def _with_safe_photos(
        self, settings: Settings, problems: tuple[Problem, ...]
    ) -> tuple[Settings, tuple[Problem, ...]]:
        """Without photos when Stash asks for a login: a key in their address would be in Plex for all to see."""
        if not settings.photo_address or not self.stash().needs_login():
            return settings, problems
        said = (
            "photo_address is not used: this Stash asks for a login, so Plex could fetch no picture without a key "
            "in its address."
        )
        return replace(settings, photo_address=""), (*problems, Problem("photo_address", said))

    def plex(self) -> Plex:
        """The client of Plex for the present settings."""
        settings = self.settings()
        if self._plex is None or settings != self._plex_made_from:
            self._plex = Plex(
                settings,
                client_id=client_identifier(self._data_dir),
                index=self.sync_state(settings),
                met=self._meet_plex,
                clock=self._clock.now,
            )
            self._plex_made_from = settings
        return self._plex

    def sync_state(self, settings: Settings) -> SyncState:
        """What is remembered of the Plex server of these settings: in the store, if there is one."""
        server = settings.plex_url
        if self._store is not None:
            server = known_server(self._store.file, settings.plex_url)
        known = self._sync_state
        if known is None or self._state_of != settings.plex_url or known.server != server:
            if known is not None:
                self._plex = None  # another process met another server there
            known = SyncState(None if self._store is None else self._store.file, server)
            self._sync_state, self._state_of = known, settings.plex_url
        return known

    def _meet_plex(self, identifier: str) -> SyncState:
        """The server that answers now, and what is remembered of it."""
        settings = self.settings()
        if self._store is not None and meet_server(self._store.file, settings.plex_url, identifier):
            log.warning(
                "another Plex server answers at %s (identifier %s): it is synced from the beginning",
                settings.plex_url,
                identifier,
            )
        self._sync_state = None
        return self.sync_state(settings)

    def probe(self, server: str) -> None:
        """Ask "Stash" or "Plex" for what a sync needs first; raises the failure a job would meet."""
        if server == "Plex":
            self.plex().health()
        else:
            self.stash().version()

    def _timeout_s(self) -> float:
        return (self._settings or Settings()).stash_timeout_s
