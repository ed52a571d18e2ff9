"""What people do in Stash: acts, and lanes of acts.

An act names scenes by their number (their id in Stash) and relations by name. Lanes draw from the generator they are
given and from nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scenarios.acts import Act, Acts
from scenarios.scenario import At, Lane

STUDIOS = ("Northlight Films", "Blue Door", "Harbour & Sons", "Atelier Zoë")
PERFORMERS = ("Ada Hansen", "Bruno García", "Chloé Moreau", "Dana O'Brien", "Emil Søndergaard", "Farah Xu")
TAGS = ("Interview", "Outdoor", "Slow Motion", "Black & White", "Café", "Rain", "Night", "Award")


@dataclass(frozen=True)
class Edit:
    """Save one scene."""

    scene: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.edit("update", (self.scene,), self.fields)


@dataclass(frozen=True)
class BulkEdit:
    """Save many scenes with one click; lists of names are set, not added."""

    scenes: tuple[int, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.edit("bulk", self.scenes, self.fields)


@dataclass(frozen=True)
class Create:
    """A file is found by a scan: the scene is there, and Plex knows the file (or not yet)."""

    title: str
    in_plex: bool = True
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.create(self.title, self.in_plex)


@dataclass(frozen=True)
class Destroy:
    """Delete scenes in Stash; Plex keeps its items."""

    scenes: tuple[int, ...]
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.edit("destroy", self.scenes, {})


@dataclass(frozen=True)
class Merge:
    """Scene `into` takes over the files of another, which is gone then."""

    scene: int
    into: int
    simulated: ClassVar[bool] = False

    def do(self, world: Acts) -> None:
        world.edit("merge", (self.scene, self.into), {})


@dataclass(frozen=True)
class Play:
    """Watch a scene: counts a play and keeps where one stopped. Nothing Plex shows is edited."""

    scene: int
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.edit("plays", (self.scene,), {"play_count": 1, "resume_time": 31.5})


@dataclass(frozen=True)
class RateInPlex:
    """The owner of the token rates a scene's item in Plex; `rating100` as Stash counts."""

    scene: int
    rating100: int
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.rate_in_plex(self.scene, self.rating100)


@dataclass(frozen=True)
class Rename:
    """Give a tag, performer or studio another name: one edit there, a difference on every scene that has it."""

    kind: str  # tag, performer, studio
    old: str
    new: str
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.rename(self.kind, self.old, self.new)


@dataclass(frozen=True)
class Press:
    """Press one of the plugin's buttons in Stash and wait for it to end."""

    mode: str
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.press(self.mode)


@dataclass(frozen=True)
class AskStatus:
    """Ask the plugin what its queue holds, and look into the file before and after."""

    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.ask_status()


@dataclass(frozen=True)
class Together:
    """Several acts at the same moment, as from several browser tabs."""

    acts: tuple[Act, ...]
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.together(self.acts)


@dataclass(frozen=True)
class Until:
    """Go on when something has come true, at the latest after `within_s`.

    "idle": nothing waits or is worked on; "waiting": at least n wait; "resting": at least n wait
    and none is worked on; "done": at least n are done; "worker": one runs;
    "writes": Plex has been sent at least n edits; "no_worker": none runs; "dead": at least n dead letters.
    """

    what: str
    n: int = 1
    within_s: float = 20.0
    simulated: ClassVar[bool] = True

    def do(self, world: Acts) -> None:
        world.wait_until(self.what, self.n, self.within_s)


# ---- lanes ---------------------------------------------------------------------------------------------------


def some_fields(rng: random.Random, label: str) -> dict[str, Any]:
    """A save as people make them: a title that names the edit, and a few of the other fields."""
    choices: dict[str, Any] = {
        "studio": rng.choice(STUDIOS),
        "date": rng.choice(("2019-06-30", "2021-02", "1998", "2024-12-01")),
        "rating100": rng.randint(1, 20) * 5,
        "performers": rng.sample(PERFORMERS, rng.randint(1, 3)),
        "tags": rng.sample(TAGS, rng.randint(1, 4)),
        "details": f"{label}: {rng.choice(('a long evening', 'a short walk', 'été & lumière'))}.",
    }
    kept = rng.sample(sorted(choices), rng.randint(1, 4))
    return {"title": label, **{name: choices[name] for name in kept}}


def trickle(scenes: Iterable[int], every_s: float, start_s: float = 0.0, label: str = "Edit") -> Any:
    """One scene after the other, at a person's pace."""
    order = tuple(scenes)

    def lane(rng: random.Random) -> Lane:
        return tuple(
            At(start_s + i * every_s, Edit(scene, some_fields(rng, f"{label} {i + 1}")))
            for i, scene in enumerate(order)
        )

    return lane


def storm(scenes: Iterable[int], at_s: float = 0.0, tabs: int = 4) -> Any:
    """All of them at once, from several tabs."""
    order = tuple(scenes)

    def lane(rng: random.Random) -> Lane:
        acts = [Edit(scene, some_fields(rng, f"Storm {i + 1}")) for i, scene in enumerate(order)]
        return tuple(At(at_s, Together(tuple(acts[i : i + tabs]))) for i in range(0, len(acts), tabs))

    return lane


def repeats(scene: int, times: int, every_s: float, start_s: float = 0.0) -> Any:
    """The same scene again and again; only the last state counts."""

    def lane(rng: random.Random) -> Lane:
        return tuple(
            At(start_s + i * every_s, Edit(scene, some_fields(rng, f"Take {i + 1}"))) for i in range(times)
        )

    return lane


def in_turn(*parts: Any) -> Any:
    """Lanes one after the other, each with its own times."""

    def lane(rng: random.Random) -> Lane:
        return tuple(at for part in parts for at in (part(rng) if callable(part) else part))

    return lane
