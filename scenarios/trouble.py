"""What goes wrong, as acts: a fault on or off, a server away, a process killed or frozen, a disk full, a clock moved.

What begins here ends by itself or with healing, which takes every fault, outage, freeze and full disk back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scenarios.acts import Acts, real

WRITE = {"method": "PUT", "path": "/library/"}  # Plex: an edit
READ = {"method": "GET", "path": "/library/"}
SCENE = {"path": "/graphql", "operation": "findScene|FindScene"}


@dataclass(frozen=True)
class Outage:
    """A server refuses connections for `s` seconds."""

    service: str  # plex, stash
    s: float
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.outage(self.service, self.s)


@dataclass(frozen=True)
class Fault:
    """A fault as `POST /faults` takes it."""

    service: str
    kind: str
    match: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # count, after, probability, for_s and the kind's own
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.fault(self.service, self.kind, {"match": dict(self.match), **self.settings})


@dataclass(frozen=True)
class Calm:
    """All faults of a service end."""

    service: str
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.calm(self.service)


@dataclass(frozen=True)
class KillWorker:
    """The worker gets a signal, once there is one; `wake` starts another at once, as the next hook would."""

    signal: str = "KILL"
    wake: bool = False
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.kill_worker(self.signal, self.wake)


@dataclass(frozen=True)
class KillAt:
    """The worker is killed at an exact moment of the next request it sends that matches.

    `when`: before_apply, after_apply, after_answer.
    """

    service: str
    when: str
    match: Mapping[str, Any] = field(default_factory=lambda: dict(WRITE))
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.kill_at(self.service, self.when, dict(self.match))


@dataclass(frozen=True)
class Freeze:
    """The worker stands still (SIGSTOP) for `s` seconds and then goes on as if nothing had been."""

    s: float
    expire: bool = False  # its lease is made to end meanwhile, as if the freeze had lasted longer
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.freeze_worker(self.s, self.expire)


@dataclass(frozen=True)
class FreezeAt:
    """The worker stands still at an exact moment of the next request it sends that matches, for `s` seconds.

    `when`: before_apply, after_apply, after_answer.
    """

    service: str
    when: str
    s: float
    match: Mapping[str, Any] = field(default_factory=lambda: dict(WRITE))
    expire: bool = False  # its lease is made to end meanwhile
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.freeze_at(self.service, self.when, dict(self.match), self.s, self.expire)


@dataclass(frozen=True)
class SecondWorker:
    """Somebody starts another worker on the same folder."""

    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).second_worker()


@dataclass(frozen=True)
class RestartStash:
    """Stash is stopped and started again: cookies are void, jobs forgotten."""

    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).restart_stash()


@dataclass(frozen=True)
class CloseTab:
    """Somebody saves a scene and closes the tab `ms` later: Stash kills the hook that runs."""

    scene: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    ms: float = 20.0
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).close_tab(self.scene, self.fields, self.ms)


@dataclass(frozen=True)
class Setting:
    """A setting of the plugin is changed in Stash; None is what it was at the beginning."""

    name: str
    value: Any
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.change_setting(self.name, self.value)


@dataclass(frozen=True)
class RotateToken:
    """Plex is restarted with another token, as after "sign out all devices"; `tell_s` later the setting follows."""

    tell_s: float = 1.0
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).rotate_token(self.tell_s)


@dataclass(frozen=True)
class LockQueue:
    """Another program holds the queue file's write lock for `s` seconds."""

    s: float
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).lock_queue(self.s)


@dataclass(frozen=True)
class FillDisk:
    """The disk the data folder is on has no room for `s` seconds."""

    s: float
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).fill_disk(self.s)


@dataclass(frozen=True)
class ReadOnly:
    """The data folder cannot be written for `s` seconds."""

    s: float
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).read_only(self.s)


@dataclass(frozen=True)
class DamageQueue:
    """Bytes in the middle of one waiting row, or of the whole file, become others."""

    what: str = "row"  # row, file, gone
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).damage_queue(self.what)


@dataclass(frozen=True)
class TurnClock:
    """The wall clock jumps by `s` seconds (negative: back)."""

    s: float
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.turn_clock(self.s)


@dataclass(frozen=True)
class Upgrade:
    """The plugin's folder is replaced file by file while Stash goes on calling it, then plugins are reloaded."""

    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).upgrade()


@dataclass(frozen=True)
class Poison:
    """Plex answers 500 for one scene's item; `on` False heals it."""

    scene: int
    on: bool = True
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.poison(self.scene, self.on)


@dataclass(frozen=True)
class Scan:
    """Plex finds files of scenes it did not know, as after a scan."""

    scenes: tuple[int, ...]
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.scan(self.scenes)


@dataclass(frozen=True)
class RebuildLibrary:
    """Every file leaves Plex and comes back: new rating keys, metadata gone."""

    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.rebuild_library()


@dataclass(frozen=True)
class StopJob:
    """Start one of the plugin's tasks as a job and stop it in Stash `ms` later."""

    mode: str
    ms: float = 150.0
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).stop_job(self.mode, self.ms)


@dataclass(frozen=True)
class LockedDatabase:
    """The next `times` questions to Stash are answered "database is locked"."""

    times: int
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        real(world).stash_switches({"database_locked": self.times, "database_locked_field": "findScene"})
