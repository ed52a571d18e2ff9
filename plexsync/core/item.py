"""An item: what Plex says about one video, as far as Stash is concerned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """A performer on an item, with the role text Plex shows below the name. The photo is the address of a picture and
    belongs to the name: it is the same wherever that name is an actor."""

    name: str
    role: str = ""
    photo: str = ""


@dataclass(frozen=True)
class Item:
    """One video of a Plex library, read in full: the lists are complete, as they are not in a library listing."""

    rating_key: int
    section_id: int
    section_title: str = ""
    title: str = ""
    title_sort: str = ""  # "" when Plex made it from the title itself
    original_title: str = ""
    summary: str = ""
    tagline: str = ""
    studio: str = ""
    content_rating: str = ""
    originally_available_at: str | None = None  # "2024-05-17"
    year: int | None = None
    user_rating: float | None = None  # 0.0 to 10.0
    genres: tuple[str, ...] = ()
    actors: tuple[Actor, ...] = ()
    directors: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    locked: frozenset[str] = frozenset()  # names as the edit calls them: title, genre, actor, collection …
    files: tuple[str, ...] = ()  # as Plex sees them; several when versions were merged
    sizes: tuple[int, ...] = ()  # bytes, beside files
    duration: float = 0.0  # seconds
    last_rated_at: int = 0  # epoch seconds of Plex's clock; 0 when nobody rated it
    view_count: int = 0  # how often the token's owner has watched it
    last_viewed_at: int = 0  # epoch seconds of Plex's clock
    updated_at: int = 0  # epoch seconds of Plex's clock; moves with every edit, refresh and analysis
    poster: str = ""  # the address of the picture it shows; "" when it has none
    background: str = ""
    shown: str = (
        ""  # what a listing shows of it, as one value: another one when anything of that is different
    )
