"""What can be done in a world: ``Acts`` in a real and in a simulated one, ``RealActs`` where processes and disks are.

Services are "plex" and "stash", scenes their numbers in Stash, seconds those of the world. What cannot be done at this
moment raises ``recorder.NotDone``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable


class Act(Protocol):
    """Something that happens. `simulated` says whether a simulated world can do it as well."""

    simulated: ClassVar[bool]

    def do(self, world: Acts, /) -> None: ...


class Acts(Protocol):
    """The whole of what scenarios ask of any world."""

    # Of people, in Stash and Plex

    def edit(self, kind: str, scene_ids: tuple[int, ...], fields: Mapping[str, Any]) -> None:
        """One save in Stash: update, bulk, destroy, merge or plays; ``fields`` by the names of fake Stash's state."""

    def create(self, title: str, in_plex: bool) -> None:
        """A scan finds a new file, which Plex has at once or not."""

    def rename(self, kind: str, old: str, new: str) -> None:
        """A tag, performer or studio gets another name."""

    def rate_in_plex(self, scene: int, rating100: int) -> None: ...

    def press(self, mode: str) -> object:
        """A task is started in Stash by its mode."""

    def ask_status(self) -> None: ...

    def together(self, acts: Sequence[Act]) -> None:
        """All of them at the same time."""

    def change_setting(self, name: str, value: Any) -> None: ...

    # Waiting

    def wait_until(self, what: str, n: int = 1, within_s: float = 20.0) -> bool:
        """True when it came true in time."""

    # Trouble, and its end

    def outage(self, service: str, s: float) -> None: ...

    def fault(self, service: str, kind: str, settings: Mapping[str, Any]) -> object:
        """A fault of the simulators, by its kind and settings."""

    def calm(self, service: str) -> None:
        """All faults of a service end."""

    def kill_worker(self, name: str, wake: bool) -> None:
        """By the signal's name; with ``wake`` another is started at once."""

    def kill_at(self, service: str, when: str, match: Mapping[str, Any]) -> None:
        """At an exact moment of the next request that matches: before_apply, after_apply, after_answer."""

    def freeze_worker(self, s: float, expire: bool) -> None:
        """It stands still; with ``expire`` its leases end meanwhile."""

    def freeze_at(
        self, service: str, when: str, match: Mapping[str, Any], s: float, expire: bool
    ) -> None: ...

    def turn_clock(self, s: float) -> None:
        """The wall clock jumps by so many seconds."""

    def poison(self, scene: int, on: bool) -> None:
        """The scene's item in Plex answers every request with an error."""

    def scan(self, scenes: Sequence[int]) -> None:
        """Plex finds the files of these scenes."""

    def rebuild_library(self) -> None:
        """Plex's library is made anew: the same files under other keys."""


@runtime_checkable
class RealActs(Acts, Protocol):
    """What needs processes, disks and sockets."""

    def second_worker(self) -> None: ...

    def restart_stash(self) -> None:
        """The same address, scenes and settings; cookies and jobs are gone."""

    def close_tab(self, scene: int, fields: Mapping[str, Any], ms: float) -> None:
        """A save whose client closes the connection after so many milliseconds."""

    def rotate_token(self, tell_s: float) -> None:
        """What the plugin knows is no longer a token; the right one is entered so many seconds later."""

    def lock_queue(self, s: float) -> None: ...

    def fill_disk(self, s: float) -> None: ...

    def read_only(self, s: float) -> None: ...

    def damage_queue(self, what: str) -> None: ...

    def upgrade(self) -> None:
        """As Stash installs a package: file by file over the old one, then the plugins are read again."""

    def stop_job(self, mode: str, ms: float) -> None: ...

    def stash_switches(self, switches: Mapping[str, Any]) -> None: ...


def real(world: Acts) -> RealActs:
    """The world of an act that needs a real one; TypeError for a simulated world, which never plays such acts."""
    if not isinstance(world, RealActs):
        raise TypeError(f"{type(world).__name__} has no processes")
    return world
