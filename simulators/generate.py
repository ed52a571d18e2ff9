"""Made-up scenes, the same for the same seed, shared by both simulators so that they hold the same files.

May be imported by both simulators, scenarios and tests. Imports the standard library only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

ROOT = "/data/stash"

# fmt: off
_ADJECTIVES = (
    "Amber", "Bitter", "Blue", "Broken", "Candid", "Crimson", "Distant", "Early", "Electric", "Endless",
    "Faint", "Gentle", "Golden", "Hidden", "Hollow", "Idle", "Ivory", "Late", "Little", "Lost", "Lucid",
    "Midnight", "Narrow", "Northern", "Open", "Paper", "Quiet", "Restless", "Second", "Silent", "Silver",
    "Slow", "Southern", "Still", "Sudden", "Summer", "Tender", "Velvet", "Wandering", "Winter",
)
_NOUNS = (
    "Afternoon", "Archive", "Balcony", "Bridge", "Canyon", "Carousel", "Echo", "Evening", "Ferry",
    "Garden", "Harbor", "Holiday", "Hotel", "Island", "Lantern", "Letter", "Market", "Meadow", "Mirror",
    "Morning", "Night", "Orchard", "Parade", "Postcard", "Promise", "Rehearsal", "River", "Road", "Room",
    "Season", "Secret", "Shore", "Station", "Story", "Street", "Studio", "Terrace", "Tide", "Train",
    "Window",
)
_FIRST = (
    "Ada", "Alba", "Anton", "Béa", "Bruno", "Carla", "Chloé", "Dana", "Dario", "Elena", "Emil", "Farah",
    "Felix", "Greta", "Hugo", "Ines", "Jonas", "Julia", "Kai", "Lara", "Leo", "Mara", "Milo", "Nadia",
    "Nils", "Olga", "Oscar", "Petra", "Quinn", "Renée", "Rosa", "Sami", "Sofia", "Tara", "Theo", "Uma",
    "Vera", "Viktor", "Willa", "Zoë",
)
_LAST = (
    "Ahlberg", "Baker", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Hansen", "Ito", "Jansen",
    "Keller", "Lindqvist", "Moreau", "Novák", "O'Brien", "Petrov", "Quist", "Rossi", "Søndergaard",
    "Tanaka", "Urban", "Varga", "Weiss", "Xu", "Yılmaz", "Zielinski",
)
_STUDIO_WORDS = (
    "Blackbird", "Copperline", "Driftwood", "Evergreen", "Foxglove", "Gaslight", "Halcyon", "Juniper",
    "Kestrel", "Lodestar",
)
_STUDIO_KINDS = (
    "Films", "Media", "Pictures", "Studios", "& Daughters", "Productions",
)
_TAG_NAMES = (
    "Interview", "Outdoor", "Indoor", "Black & White", "Slow Motion", "Handheld", "Tripod", "Night",
    "Beach", "City", "Forest", "Dance", "Music", "Comedy", "Drama", "Documentary", "Behind the Scenes",
    "Remastered", "4K", "60fps", "Subtitled", "Short", "Feature", "Compilation", "Bonus", "Red Hair",
    "Blue Eyes", "Tattoo", "Rock and Roll", "Café", "Sunset", "Rain", "Workout", "Cooking", "Travel",
    "Vintage", "Animation", "Award", "Pool", "Snow",
)
# fmt: on
_SENTENCES = (
    "Two friends meet again after a long summer.",
    "Filmed in a single take on the last day of the season.",
    "A quiet piece about doors, windows & what lies between.",
    "The director's own favourite, restored from the camera original.",
    'Nobody knew it would become known as "the long one".',
    "Part of a series; each part stands on its own.",
    "Includes an interview of ten minutes with everybody involved.",
    "Été, lumière et poussière: a study in three movements.",
)
_CONTAINERS = ("mp4", "mp4", "mp4", "mkv", "m4v", "avi")
_FRAME_RATES = (23.976, 25.0, 29.97, 59.94)
_SIZES = ((1920, 1080), (1920, 1080), (3840, 2160), (1280, 720), (720, 576))


def generate(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """`n` scenes as plain dictionaries, paths unique below ROOT; the first k are the same for every n >= k.

    Keys: title (sometimes empty), path, studio (or None), performers, tags, groups, date ("YYYY-MM-DD",
    "YYYY-MM", "YYYY" or None), details, rating100 (or None), code, director, organized, duration (seconds),
    size (bytes), width, height, frame_rate, bit_rate (bits a second), mtime (epoch seconds).
    """
    world = random.Random(f"world:{seed}")
    studios = [f"{word} {kind}" for word in _STUDIO_WORDS for kind in _STUDIO_KINDS]
    world.shuffle(studios)
    performers = [f"{first} {last}" for first in _FIRST for last in _LAST]
    world.shuffle(performers)
    groups = [f"The {a} {b}" for a, b in zip(_ADJECTIVES, _NOUNS, strict=False)]
    chance = random.Random(f"scenes:{seed}").random
    return [_scene(number, chance, studios, performers, groups) for number in range(1, n + 1)]


def _pick(chance: Callable[[], float], names: Sequence[Any]) -> Any:
    return names[int(chance() * len(names))]


def _some(chance: Callable[[], float], names: Sequence[str], most: int) -> list[str]:
    """Up to `most` different names."""
    return sorted({names[int(chance() * len(names))] for _ in range(int(chance() * (most + 1)))})


def _scene(
    number: int, chance: Callable[[], float], studios: list[str], performers: list[str], groups: list[str]
) -> dict[str, Any]:
    # Popular names come up more often, as in a real library.
    studio = studios[int(len(studios) * chance() ** 2)] if chance() < 0.9 else None
    title = f"{_pick(chance, _ADJECTIVES)} {_pick(chance, _NOUNS)}"
    stem = f"{title} {number:06d}"
    width, height = _pick(chance, _SIZES)
    duration = round(90 + 4710 * chance(), 2)
    bit_rate = int(width * height * (1.5 + 3 * chance()))
    year, month, day = 1994 + int(31 * chance()), 1 + int(12 * chance()), 1 + int(28 * chance())
    date: str | None = f"{year}-{month:02d}-{day:02d}"
    whole = chance()
    if whole > 0.82:
        date = f"{year}-{month:02d}" if whole < 0.87 else f"{year}" if whole < 0.92 else None
    cast = {performers[int(len(performers) * chance() ** 2)] for _ in range(int(5 * chance()))}
    code = f"{_pick(chance, 'ABCDEF')}{_pick(chance, 'GHJKLM')}-{number:04d}"
    return {
        "title": title if chance() < 0.85 else "",
        "path": f"{ROOT}/{studio or 'Unsorted'}/{stem}.{_pick(chance, _CONTAINERS)}",
        "studio": studio,
        "performers": sorted(cast),
        "tags": _some(chance, _TAG_NAMES, 6),
        "groups": [_pick(chance, groups)] if chance() < 0.2 else [],
        "date": date,
        "details": " ".join(_some(chance, _SENTENCES, 3)),
        "rating100": 5 + 5 * int(20 * chance()) if chance() < 0.6 else None,
        "code": code if chance() < 0.5 else "",
        "director": _pick(chance, performers) if chance() < 0.2 else "",
        "organized": chance() < 0.7,
        "duration": duration,
        "size": int(duration * bit_rate / 8),
        "width": width,
        "height": height,
        "frame_rate": _pick(chance, _FRAME_RATES),
        "bit_rate": bit_rate,
        "mtime": 1_577_836_800 + number * 977 + int(900 * chance()),
    }
