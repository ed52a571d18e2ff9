"""Made-up scenes, the same for the same seed, shared by both simulators so that they hold the same files.

May be imported by both simulators, scenarios and tests. Imports the standard library only.
"""

from __future__ import annotations

import random
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
    rng = random.Random(f"scenes:{seed}")
    return [_scene(number, rng, studios, performers, groups) for number in range(1, n + 1)]


def _scene(
    number: int, rng: random.Random, studios: list[str], performers: list[str], groups: list[str]
) -> dict[str, Any]:
    # Popular names come up more often, as in a real library.
    studio = studios[int(len(studios) * rng.random() ** 2)] if rng.random() < 0.9 else None
    title = f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"
    stem = f"{title} {number:06d}"
    width, height = rng.choice(_SIZES)
    duration = round(rng.uniform(90, 4800), 2)
    bit_rate = int(width * height * rng.uniform(1.5, 4.5))
    year, month, day = rng.randint(1994, 2024), rng.randint(1, 12), rng.randint(1, 28)
    whole = rng.random()
    date = f"{year}-{month:02d}-{day:02d}"
    if whole > 0.9:
        date = f"{year}" if whole > 0.95 else f"{year}-{month:02d}"
    cast = {performers[int(len(performers) * rng.random() ** 2)] for _ in range(rng.randint(0, 4))}
    return {
        "title": title if rng.random() < 0.85 else "",
        "path": f"{ROOT}/{studio or 'Unsorted'}/{stem}.{rng.choice(_CONTAINERS)}",
        "studio": studio,
        "performers": sorted(cast),
        "tags": sorted(rng.sample(_TAG_NAMES, rng.randint(0, 6))),
        "groups": [rng.choice(groups)] if rng.random() < 0.2 else [],
        "date": date if rng.random() < 0.92 else None,
        "details": " ".join(rng.sample(_SENTENCES, rng.randint(0, 3))),
        "rating100": rng.randint(1, 20) * 5 if rng.random() < 0.6 else None,
        "code": f"{rng.choice('ABCDEF')}{rng.choice('GHJKLM')}-{number:04d}" if rng.random() < 0.5 else "",
        "director": rng.choice(performers) if rng.random() < 0.2 else "",
        "organized": rng.random() < 0.7,
        "duration": duration,
        "size": int(duration * bit_rate / 8),
        "width": width,
        "height": height,
        "frame_rate": rng.choice((23.976, 25.0, 29.97, 59.94)),
        "bit_rate": bit_rate,
        "mtime": 1_577_836_800 + number * 977 + rng.randint(0, 900),
    }
