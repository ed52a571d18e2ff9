"""What is known of the two servers: whether each may be asked, since when not, and whether the queue is paused.

A breaker a server says whether asking makes sense; an outage is its record for people; the queue is paused while only a
person can help (a token, a setting). Breakers and outages are in the queue's file, so every process knows the same.
"""

from __future__ import annotations

import logging
import random

from plexsync.clock import Clock
from plexsync.core import breaker as breakers
from plexsync.core.failures import SERVERS, NeedsAttention, SettingProblem, SyncFailure, Unavailable
from plexsync.core.settings import Settings
from plexsync.core.verdict import ATTENTION_HOLD_S, Ambiguous, Failed, InSync, NotFound, Outcome, Synced
from plexsync.queue.store import Store
from plexsync.servers.world import World

log = logging.getLogger(__name__)

UNASKED = ("plex_url", "plex_token", "server_connection")  # settings without which Plex cannot be asked
UNREAD = Settings()  # the defaults, until Stash has told us better


class Outages:
    """Asked before a claim (``may_claim``), told of every outcome (``learn``). Not for several threads."""

    def __init__(self, store: Store, world: World, clock: Clock, rng: random.Random) -> None:
        self.store, self.world, self.clock, self.rng = store, world, clock, rng
        self.settings = UNREAD  # the last known, for judging while Stash is unreachable
        self.backlog = 0  # of what an outage left, jobs to take in the next step; 0: as many as ever
        self.paused_by = (
            ""  # the sentence of what only a person can put right; "" while the queue is not paused
        )
        self.paused_until = 0.0  # monotonic; then it is tried again
        self._unusable = False  # the settings were, when read last while the queue was paused

    def learn(self, outcome: Outcome) -> None:
        """What an outcome says of the servers."""
        error = outcome.error if isinstance(outcome, Failed) else None
        if isinstance(error, Unavailable):
            self._failed(error.service, str(error))
        elif error is not None and pauses(error):
            self._pause(str(error))
        else:
            self.resume()
            self.answered("Stash")
            if isinstance(outcome, (Synced, InSync, NotFound, Ambiguous)):
                self.answered("Plex")

    def may_claim(self) -> bool:
        """Whether asking the servers makes sense now; sends the probe that is due, if one is."""
        return not self._is_paused() and all(self._is_reachable(server) for server in SERVERS)

    def answered(self, server: str) -> None:
        """The server answered: an outage of it has ended, and the jobs that wait for it are due."""
        if self._breaker(server) == breakers.Breaker():
            return
        with self.store.transaction():
            before = self._breaker(server)
            then = breakers.after_success(before, self.clock.now())
            self.store.state.save_breaker(server, breakers.to_dict(then))
            if before.state is breakers.State.CLOSED:
                return
            self.store.state.close_outage(server)
            released = self.store.upkeep.release_due(server)
        self.backlog = 1
        log.info("%s recovered; %s jobs are due again", server, released)

    def resume(self) -> None:
        """What paused the queue is put right."""
        if self.store.state.load("attention"):
            self.store.state.save("attention", "")
            log.info("queue resumed")
        self.paused_by, self.paused_until = "", 0.0

    def forget_lost_probes(self) -> None:
        """A probe still under way was that of a worker that has ended, or is frozen: another is due now."""
        for server in SERVERS:
            self._forget_probe(server)

    def _breaker(self, server: str) -> breakers.Breaker:
        return breakers.from_dict(self.store.state.load_breaker(server))

    def _failed(self, server: str, cause: str) -> None:
        with self.store.transaction():  # other processes learn of the same server at the same time
            before = self._breaker(server)
            then = breakers.after_failure(before, self.clock.now(), self.rng)
            self.store.state.save_breaker(server, breakers.to_dict(then))
            began = then.state is breakers.State.OPEN and before.state is breakers.State.CLOSED
            if then.state is breakers.State.OPEN:
                self.store.state.open_outage(
                    server, cause
                )  # or the cause by now: another address may be wrong too
        if began:
            log.error("outage of %s began: %s", server, cause)

    def _pause(self, sentence: str) -> None:
        if sentence != self.paused_by:
            log.error("queue paused: %s", sentence)
            self.store.state.save("attention", sentence)
        self.paused_by = sentence
        self.paused_until = self.clock.monotonic() + ATTENTION_HOLD_S

    def _is_paused(self) -> bool:
        if not self.paused_by or self.clock.monotonic() >= self.paused_until:
            return False
        changed = self._settings_changed()
        if changed:
            log.info("the settings have changed; trying again")
            self.resume()
            self.store.upkeep.release_due()
        return not changed

    def _settings_changed(self) -> bool:
        """The settings, read anew every few seconds, are others: that may be the help we wait for."""
        try:
            settings = self.world.settings()
            if self._unusable:  # what was missing is there, even if it is what was known before
                self._unusable = False
                return True
            if self.settings is UNREAD:  # a worker that has just begun has seen nothing change
                self.settings = settings
            return settings != self.settings
        except SyncFailure as failure:
            self._unusable = isinstance(failure, SettingProblem)
            other_cause = bool(self.paused_by) and str(failure) != self.paused_by
            return other_cause and not isinstance(failure, Unavailable)

    def _is_reachable(self, server: str) -> bool:
        known = self._breaker(server)
        if known.state is breakers.State.CLOSED:
            return True
        if not self._may_probe(server) and not (server == "Plex" and self._settings_changed()):
            return False  # another address or token is tried at once
        try:
            if server == "Stash":
                self.world.probe(server)  # Stash tells the settings
            self.settings = self.world.settings()
            if server != "Stash":
                self.world.probe(server)
        except Unavailable as failure:
            self._failed(failure.service, str(failure))
            if failure.service != server:
                self._forget_probe(server)  # it could not be sent, so it is due still
            return False
        except SyncFailure as failure:
            if server == "Stash" or _is_of_plex(failure):
                self.answered(server)  # it is there, and has something else to say
            else:
                self._forget_probe(server)
            self._pause(str(failure))
            return False
        self.answered(server)
        return True

    def _may_probe(self, server: str) -> bool:
        """Whether a probe is due and ours to send, of all processes that ask at this moment."""
        if not breakers.allow(self._breaker(server), self.clock.now())[0]:
            return False
        with self.store.transaction():
            allowed, then = breakers.allow(self._breaker(server), self.clock.now())
            if allowed:
                self.store.state.save_breaker(server, breakers.to_dict(then))
        return allowed

    def _forget_probe(self, server: str) -> None:
        known = self._breaker(server)
        if known.state is breakers.State.HALF_OPEN:
            self.store.state.save_breaker(server, {**breakers.to_dict(known), "probe_at": 0.0})


def pauses(error: Exception) -> bool:
    """Whether only a person can put this right, so that the queue is paused."""
    return isinstance(error, (NeedsAttention, SettingProblem))


def _is_of_plex(failure: SyncFailure) -> bool:
    """Whether Plex itself was asked, and what it said led to this."""
    if isinstance(failure, NeedsAttention):
        return failure.service == "Plex"
    return not isinstance(failure, SettingProblem) or failure.key not in UNASKED
