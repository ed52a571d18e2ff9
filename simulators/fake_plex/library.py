"""What the server holds and the rules it keeps: values, and one Library that owns them. No HTTP in here.

Items are replaced, never changed: `Library.put` is the one door through which a new version of an item comes
in, so history (for stale reads), the order by title, the index of files and of tags, and the notices to
listeners are kept in one place. Time comes from a clock handed in; what takes time (a scan, the analysis
after it) is a list of things due, done by `settle(now)`, which every look at the library calls first.

Sources: recorded answers of PMS 1.41.5 and python-plexapi 4.18.3; each choice where they disagree is a field
of Switches.
"""

from __future__ import annotations

import datetime
import hashlib
import os.path
import random
import re
import time
import unicodedata
import uuid
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar

from simulators.fake_plex import search
from simulators.fake_plex.edits import Edit, TagEdit
from simulators.fake_plex.images import GALLERIES, Gallery
from simulators.fake_plex.prefs import SECTION_PREFS, SERVER_PREFS
from simulators.fake_plex.supplements import KEYS as SUPPLEMENT_KEYS
from simulators.fake_plex.supplements import NOTHING, Extra, Supplement
from simulators.fake_plex.supplements import read as read_supplement

MOVIE, COLLECTION = 1, 18  # the server's type numbers

# --- refusals: routes.py translates them to a status -------------------------------------------------------


class Refused(Exception):
    """What was asked is not done; str() is a bare sentence, or empty."""


class NoSuch(Refused):
    """There is no such thing."""


class Broken(Refused):
    """The real server's handler throws."""


class Conflict(Refused):
    """It contradicts what is there."""


class Forbidden(Refused):
    """Not for this user, or not allowed by a preference."""


class NotSeparate(Refused):
    """The stream is inside its file."""


# --- switches -----------------------------------------------------------------------------------------------


@dataclass
class Switches:
    """Where servers differ, sources disagree, or trouble is wanted. Set by the library file or POST
    /switches.
    """

    scan_s: float = 0.3  # a scan takes this long; files found appear at its end
    settle_s: float = 0.3  # then analysis and thumbs take this long (about 28 s on a real server)
    tags: str = "append"  # indexed tags "append" (documented) or "replace" (a remark of 2017)
    tag_case: str = (
        "fold"  # "fold": a name differing only in case is the existing tag; "exact": it is another
    )
    label_capital: bool = True  # a new label gets a capital first letter (Kometa#201)
    contradiction: str = "add"  # who wins when one request adds and removes the same tag: "add" or "remove"
    year_follows_date: bool = True  # editing originallyAvailableAt sets year
    refresh_rewrites: str = (
        "scalars"  # what a refresh re-derives when unlocked: "scalars", "all" (tags too), "nothing"
    )
    total_size: str = "windowed"  # totalSize in lists: "windowed", "partial" (only if not all), "always"
    list_tags: bool = (
        True  # lists cut Genre, Director, Writer, Country to 2 and Role to 3; False: all of them
    )
    list_collections: bool = (
        False  # lists show the Collection tags of items (some recordings) or do not (others)
    )
    moved_file: str = "new_key"  # a file found under another path is a "new_key" or "same_key"
    rescan_ids: str = (
        "new"  # a file that vanished, was emptied from trash and is back: "new" id or the "same"
    )
    upload_bytes_max: int = 10_480_000  # a larger image is a 500 (Kometa PR#2449)
    url_fetch_s: float = 10  # an image by url that does not answer is given up after this
    starting: str = "up"  # "maintenance": all 503; "reads_only": writes 400 "still starting up"; "up"
    collections_vanish: bool = False  # a collection made by a tag goes with its last member

    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {
        "tags": ("append", "replace"),
        "tag_case": ("fold", "exact"),
        "contradiction": ("add", "remove"),
        "refresh_rewrites": ("scalars", "all", "nothing"),
        "total_size": ("windowed", "partial", "always"),
        "moved_file": ("new_key", "same_key"),
        "rescan_ids": ("new", "same"),
        "starting": ("up", "reads_only", "maintenance"),
    }

    def changed(self, given: Mapping[str, Any]) -> Switches:
        """A copy with `given` set; ValueError names the switch that is unknown or has a wrong value."""
        known = {f.name: f for f in fields(self)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"switches: unknown key {name!r} (there are {', '.join(known)})")
            now = getattr(self, name)
            if name in self.CHOICES:
                if value not in self.CHOICES[name]:
                    raise ValueError(f"switches: {name!r} must be one of {', '.join(self.CHOICES[name])}")
            elif isinstance(now, bool) != isinstance(value, bool) or not isinstance(
                value, (bool, int, float)
            ):
                kind = "true or false" if isinstance(now, bool) else "a number"
                raise ValueError(f"switches: {name!r} must be {kind}, not {value!r}")
        return replace(self, **given)


# --- values -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """One name of one kind, known to the whole server; the thumb belongs to it, not to its use."""

    id: int
    kind: str  # genre, actor, label, collection ...
    name: str
    thumb: str = ""


@dataclass(frozen=True, slots=True)
class Tagging:
    """The use of a tag on an item; `text` is the role an actor plays."""

    tag: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """One version of an item: one file. `analyzed` False: the scanner saw it, nobody looked inside yet."""

    id: int
    file: str
    size: int
    duration_ms: int
    container: str
    mtime: int
    width: int = 1920
    height: int = 1080
    bitrate: int = 8000  # kbit/s
    video_codec: str = "h264"
    audio_codec: str = "aac"
    channels: int = 2
    frame_rate: str = "24p"
    languages: tuple[str, ...] = ()  # an audio stream each, codes of three letters
    subtitles: tuple[str, ...] = ()
    analyzed: bool = True


def plain_media(number: int, file: str, duration_ms: int) -> Media:
    """A version with that number, for a file nobody says more of."""
    return Media(number, file, duration_ms * 1000, duration_ms, file.rpartition(".")[2].lower(), 0)


# Scalar fields an edit may set: how the text is read (ValueError becomes a 500), and the element's attribute.
def _date(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(text)
    return datetime.date.fromisoformat(text).isoformat()


def _stars(text: str) -> float:
    value = float(text)
    if not -1 <= value <= 10:
        raise ValueError(text)
    return value


MOVIE_FIELDS: dict[str, Callable[[str], Any]] = {
    "title": str,
    "titleSort": str,
    "originalTitle": str,
    "summary": str,
    "tagline": str,
    "studio": str,
    "contentRating": str,
    "editionTitle": str,
    "originallyAvailableAt": _date,
    "rating": _stars,
    "audienceRating": _stars,
    "userRating": _stars,
    "addedAt": int,
    "year": int,
}
COLLECTION_FIELDS = {
    name: MOVIE_FIELDS[name] for name in ("title", "titleSort", "summary", "contentRating")
} | {
    "addedAt": int,
    "userRating": _stars,
    "rating": _stars,
    "audienceRating": _stars,
}
LOCK_ONLY = ("thumb", "art", "clearLogo", "squareArt", "theme", "logo", "banner")

# Tag kinds: element name, tagType number.
TAG_KINDS: dict[str, tuple[str, int]] = {
    "genre": ("Genre", 1),
    "collection": ("Collection", 2),
    "director": ("Director", 4),
    "writer": ("Writer", 5),
    "actor": ("Role", 6),
    "producer": ("Producer", 7),
    "country": ("Country", 8),
    "label": ("Label", 11),
    "mood": ("Mood", 300),
    "style": ("Style", 301),
    "similar": ("Similar", 305),
}
PEOPLE = ("director", "writer", "actor", "producer")

ARTICLES = ("the ", "das ", "der ", "a ", "an ", "el ", "la ")


def sort_title(title: str) -> str:
    """The title to sort by: no leading article, no diacritics (PMS hidden preference ArticleStrings)."""
    if title.lower().startswith(ARTICLES):
        title = title.partition(" ")[2] or title
    if title.isascii():
        return title
    plain = unicodedata.normalize("NFKD", title)
    return "".join(c for c in plain if not unicodedata.combining(c))


def stem(path: str) -> str:
    """The file name without folder and extension, for POSIX, Windows and UNC paths alike."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return os.path.splitext(name)[0]


class Item:
    """A movie, a clip of a personal media library, or (subclass) a collection. Replaced, never changed.

    `fields` holds what an edit may set and `agent` what a refresh would set again where no lock keeps it from
    doing so; both are shared between versions, so they are replaced as well.
    """

    __slots__ = (
        "__weakref__",
        "added_at",
        "agent",
        "agent_tags",
        "deleted_at",
        "fields",
        "galleries",
        "guid",
        "guids",
        "key",
        "last_rated_at",
        "last_viewed_at",
        "locks",
        "media",
        "order_key",
        "poisoned",
        "prefs",
        "revision",
        "section",
        "settled",
        "skip_count",
        "supplement",
        "tags",
        "updated_at",
        "view_count",
        "view_offset_ms",
    )
    type = "movie"
    number = MOVIE

    def __init__(self, key: int, section: int, guid: str, values: dict[str, Any], added_at: int) -> None:
        self.key = key
        self.section = section
        self.guid = guid
        self.fields = values
        self.agent = values
        self.agent_tags: dict[str, tuple[Tagging, ...]] = {}
        self.tags: dict[str, tuple[Tagging, ...]] = {}
        self.locks: frozenset[str] = frozenset()
        self.media: tuple[Media, ...] = ()
        self.guids: tuple[str, ...] = ()
        self.galleries: dict[str, Gallery] = {}
        self.prefs: dict[str, Any] = {}
        self.supplement: Supplement = NOTHING
        self.added_at = added_at
        self.updated_at = added_at
        self.deleted_at: int | None = None
        self.view_count = 0
        self.skip_count = 0
        self.view_offset_ms = 0
        self.last_viewed_at: int | None = None
        self.last_rated_at: int | None = None
        self.settled = True  # False: found by a scan, not analysed yet
        self.poisoned = False  # True: reading or writing it is a 500
        self.order_key: str | None = None
        self.revision = 0  # counts changes that come from elsewhere: a renamed tag, a switch

    def version(self) -> Item:
        """A copy to be changed and put back."""
        new = copy(self)
        new.order_key = None
        return new

    @property
    def title(self) -> str:
        return str(self.fields.get("title", ""))

    @property
    def title_sort(self) -> str:
        return str(self.fields.get("titleSort") or sort_title(self.title))

    @property
    def order(self) -> tuple[str, int]:
        if self.order_key is None:
            self.order_key = self.title_sort.casefold()
        return (self.order_key, self.key)

    @property
    def duration_ms(self) -> int:
        return self.media[0].duration_ms if self.media else 0

    def tag_ids(self, kind: str) -> tuple[int, ...]:
        return tuple(t.tag for t in self.tags.get(kind, ()))


class Collection(Item):
    """`tag` is the id of the Collection tag its members carry; a smart one has a search instead of members."""

    __slots__ = ("arranged", "for_user", "from_tag", "mode", "smart", "sort", "tag", "type_of_items")
    type = "collection"
    number = COLLECTION

    def __init__(
        self, key: int, section: int, guid: str, values: dict[str, Any], added_at: int, tag: int
    ) -> None:
        super().__init__(key, section, guid, values, added_at)
        self.tag = tag
        self.smart: str | None = None  # the search, as path and query of a section listing
        self.mode = -1  # -1 default, 0 hide, 1 hide items, 2 show items
        self.sort = 0  # 0 release date, 1 alphabetical, 2 custom
        self.for_user = 0  # whose play state its search goes by: 0 the owner's, 1 of who is looking
        self.arranged: tuple[int, ...] = ()  # custom order
        self.from_tag = False  # made on the fly by tagging an item
        self.type_of_items = MOVIE


class Playlist(Item):
    __slots__ = ("entries", "smart")
    type = "playlist"
    number = 15

    def __init__(self, key: int, guid: str, values: dict[str, Any], added_at: int) -> None:
        super().__init__(key, 0, guid, values, added_at)
        self.entries: tuple[tuple[int, int], ...] = ()  # (playlistItemID, rating key)
        self.smart: str | None = None


@dataclass(frozen=True)
class PlayQueue:
    """What a client plays next: (playQueueItemID, rating key) in their order."""

    id: int
    entries: tuple[tuple[int, int], ...]
    selected: int  # a playQueueItemID
    shuffled: bool
    source: str  # the uri it was made of
    version: int = 1


@dataclass
class Section:
    """A library. `disk` is what is under its locations now; items are what the last scan knew."""

    key: int
    title: str
    type: str
    agent: str
    scanner: str
    language: str
    uuid: str
    locations: list[tuple[int, str]]
    created_at: int
    updated_at: int
    scanned_at: int
    hidden: int = 0
    content_changed_at: int = 1
    refreshing: int = 0  # scans under way
    prefs: dict[str, Any] = field(default_factory=dict)
    disk: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)  # movies by title
    collections: dict[int, None] = field(default_factory=dict)
    managed_hubs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def personal(self) -> bool:
        """Whether nobody looks up metadata for it ("Other Videos")."""
        return self.agent.endswith("agents.none")


@dataclass
class Activity:
    uuid: str
    type: str
    title: str
    subtitle: str
    progress: int
    context: dict[str, Any]
    cancellable: bool = False


@dataclass(frozen=True)
class View:
    """A row of the play history. `key` is None when the item is gone."""

    id: int
    key: int | None
    section: int
    title: str
    type: str
    thumb: str
    viewed_at: int
    account: int


@dataclass
class Due:
    at: float
    what: str
    work: Callable[[], None]


class Library:
    """Everything a server holds. `clock` gives epoch seconds; `seed` decides ids that are made up."""

    def __init__(self, seed: int, clock: Callable[[], float], switches: Switches | None = None) -> None:
        self.seed, self.clock = seed, clock
        self.rng = random.Random(f"plex:{seed}")
        self.switches = switches or Switches()
        self.server: dict[str, Any] = {
            "friendlyName": "fake plex",
            "machineIdentifier": hashlib.sha1(f"machine:{seed}".encode()).hexdigest(),
            "version": "1.41.5.9522-a96edc606",
            "platform": "Linux",
            "platformVersion": "6.8.0-55-generic",
        }
        self.accounts: list[tuple[int, str]] = [(0, ""), (1, "owner")]
        self.guests: set[str] = set()  # tokens that may look and play, not change
        self.prefs: dict[str, Any] = {pref.id: pref.default for pref in SERVER_PREFS}
        self.sections: dict[int, Section] = {}
        self.items: dict[int, Item] = {}
        self.playlists: dict[int, Playlist] = {}
        self.play_queues: dict[int, PlayQueue] = {}
        self.tags: dict[int, Tag] = {}
        self.tag_names: dict[tuple[str, str], int] = {}
        self.tagged: dict[int, dict[int, None]] = {}  # tag id -> rating keys
        self.files: dict[str, tuple[int, ...]] = {}  # file -> rating keys
        self.extras: dict[int, int] = {}  # rating key of a trailer or the like -> that of its item
        self.folders: set[str] = set()  # on the disk, besides those that locations and files tell of
        self.activities: dict[str, Activity] = {}
        self.views: list[View] = []
        self.playing: dict[str, dict[str, Any]] = {}  # session key -> what a client reports
        self.due: list[Due] = []
        self.listeners: list[Callable[[str, dict[str, Any]], None]] = []
        self.started_at = int(clock())
        self._ids = {
            "item": 0,
            "media": 0,
            "tag": 0,
            "location": 0,
            "stream": 0,
            "supplement": 0,
            "playlist_item": 0,
            "session": 0,
            "queue": 0,
            "queue_item": 0,
        }
        self._gone_keys: dict[str, int] = {}  # file -> rating key it had
        self._filling = False
        self._remember_s = 0.0
        self._past: deque[tuple[float, int, Item | None]] = deque()  # (time, key, version replaced then)
        self._monotonic: Callable[[], float] = clock

    # Numbers and names made up.

    def next_id(self, kind: str) -> int:
        self._ids[kind] += 1
        return self._ids[kind]

    def _hex(self, text: str, length: int = 40) -> str:
        return hashlib.sha1(f"{self.seed}:{text}".encode("utf-8", "surrogatepass")).hexdigest()[:length]

    def _uuid(self, text: str) -> str:
        return str(uuid.UUID(self._hex(text, 32)))

    def now(self) -> int:
        return int(self.clock())

    # The one door for items.

    def put(self, item: Item) -> None:
        """Makes this version of the item the current one."""
        if isinstance(item, Playlist):
            self.playlists[item.key] = item
            return
        old = self.items.get(item.key)
        self._remember(item.key, old)
        if old is None:
            self._index(item)
        elif old is not item:
            self._reindex(old, item)
        self.items[item.key] = item

    def drop(self, key: int) -> None:
        """The item is no more; its number is not used again."""
        item = self.items[key]
        self._remember(key, item)
        self._unindex(item)
        del self.items[key]

    @contextmanager
    def filling(self) -> Iterator[None]:
        """For adding many items at once: the order by title is made at the end."""
        self._filling = True
        try:
            yield
        finally:
            self._filling = False
            for section in self.sections.values():
                section.order.sort()

    def _index(self, item: Item) -> None:
        section = self.sections[item.section]
        if isinstance(item, Collection):
            section.collections[item.key] = None
        elif self._filling:
            section.order.append(item.order)
        else:
            insort(section.order, item.order)
        for media in item.media:
            self.files[media.file] = (*self.files.get(media.file, ()), item.key)
        for extra in item.supplement.extras:
            self.extras[extra.key] = item.key
        for taggings in item.tags.values():
            for tagging in taggings:
                self.tagged.setdefault(tagging.tag, {})[item.key] = None

    def _unindex(self, item: Item) -> None:
        section = self.sections[item.section]
        if isinstance(item, Collection):
            section.collections.pop(item.key, None)
        else:
            del section.order[bisect_left(section.order, item.order)]
        for media in item.media:
            left = tuple(k for k in self.files.get(media.file, ()) if k != item.key)
            if left:
                self.files[media.file] = left
            else:
                self.files.pop(media.file, None)
        for extra in item.supplement.extras:
            self.extras.pop(extra.key, None)
        for taggings in item.tags.values():
            for tagging in taggings:
                self.tagged.get(tagging.tag, {}).pop(item.key, None)

    def _reindex(self, old: Item, new: Item) -> None:
        if old.media is not new.media or old.section != new.section:
            self._unindex(old)
            self._index(new)
            return
        if not isinstance(new, Collection) and old.order != new.order:
            order = self.sections[new.section].order
            del order[bisect_left(order, old.order)]
            insort(order, new.order)
        if old.tags is not new.tags:
            before = {t.tag for taggings in old.tags.values() for t in taggings}
            after = {t.tag for taggings in new.tags.values() for t in taggings}
            for tag in before - after:
                self.tagged.get(tag, {}).pop(new.key, None)
            for tag in after - before:
                self.tagged.setdefault(tag, {})[new.key] = None

    # What was true a moment ago.

    def remember(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """From now on keep the versions of the last `seconds`, by the clock reads are asked by."""
        self._remember_s, self._monotonic = seconds, monotonic
        if not seconds:
            self._past.clear()

    def _remember(self, key: int, old: Item | None) -> None:
        if not self._remember_s:
            return
        now = self._monotonic()
        self._past.append((now, key, old))
        while self._past and self._past[0][0] < now - self._remember_s - 1:
            self._past.popleft()

    @contextmanager
    def as_of(self, moment: float | None) -> Iterator[None]:
        """Inside the block the items are as they were at `moment`; None: as they are."""
        if moment is None:
            yield
            return
        then: dict[int, Item | None] = {}
        for at, key, old in self._past:
            if at > moment:
                then.setdefault(key, old)
        now = {key: self.items.get(key) for key in then}
        keep, self._remember_s = self._remember_s, 0.0
        try:
            self._swap(then)
            yield
        finally:
            self._swap(now)
            self._remember_s = keep

    def _swap(self, versions: Mapping[int, Item | None]) -> None:
        for key, item in versions.items():
            if item is not None:
                self.put(item)
            elif key in self.items:
                self.drop(key)

    # Things that take time.

    def settle(self) -> None:
        """Does everything that is due by now."""
        now = self.clock()
        while self.due and min(d.at for d in self.due) <= now:
            first = min(self.due, key=lambda d: d.at)
            self.due.remove(first)
            first.work()

    def later(self, seconds: float, what: str, work: Callable[[], None]) -> None:
        self.due.append(Due(self.clock() + seconds, what, work))

    def tell(self, kind: str, **about: Any) -> None:
        """Tells whoever listens, e.g. tell("timeline", item=..., state=5)."""
        for listener in self.listeners:
            listener(kind, about)

    # Sections.

    def section(self, text: Any) -> Section:
        """By number as it stands in a path; Broken for "None" (as the server throws), NoSuch otherwise."""
        if not str(text).isdigit():
            raise Broken
        found = self.sections.get(int(text))
        if found is None:
            raise NoSuch
        return found

    def add_section(self, title: str, **given: Any) -> Section:
        """A library, empty. `given`: type, agent, scanner, language, locations, hidden, uuid, key."""
        key = int(given.get("key") or max(self.sections, default=0) + 1)
        now = self.now()
        kind = given.get("type", "movie")
        personal = kind == "movie"
        agent = given.get("agent", "com.plexapp.agents.none" if personal else f"tv.plex.agents.{kind}")
        default_scanner = "Plex Video Files Scanner" if agent == "com.plexapp.agents.none" else "Plex Movie"
        default_scanner = "Plex Video Files" if agent == "tv.plex.agents.none" else default_scanner
        section = Section(
            key=key,
            title=title,
            type=kind,
            agent=agent,
            scanner=given.get("scanner", default_scanner),
            language=given.get("language", "xn" if agent.endswith("agents.none") else "en-US"),
            uuid=given.get("uuid") or self._uuid(f"section:{key}"),
            locations=[(self.next_id("location"), path) for path in given.get("locations", ())],
            created_at=now,
            updated_at=now,
            scanned_at=now,
            hidden=given.get("hidden", 0),
            prefs={pref.id: pref.default for pref in SECTION_PREFS},
        )
        self.sections[key] = section
        return section

    def remove_section(self, section: Section) -> None:
        for key in [item.key for item in self.items.values() if item.section == section.key]:
            self.drop(key)
        del self.sections[section.key]

    def _touch(self, section: Section) -> None:
        section.content_changed_at += 1
        section.updated_at = self.now()

    def movies(self, section: Section) -> Iterator[Item]:
        """By title."""
        items = self.items
        return (items[key] for _, key in section.order)

    def collections(self, section: Section) -> list[Collection]:
        found = [self.items[key] for key in section.collections]
        return sorted((c for c in found if isinstance(c, Collection)), key=lambda c: c.order)

    # Items.

    def item(self, text: Any) -> Item:
        """By rating key; NoSuch when unknown or in the trash, Broken when it is the one bad item."""
        item = self.items.get(int(text)) if str(text).isdigit() else None
        if item is None or item.deleted_at is not None:
            raise NoSuch
        if item.poisoned:
            raise Broken
        return item

    def movie(self, text: Any) -> Item:
        item = self.item(text)
        if isinstance(item, Collection):
            raise NoSuch
        return item

    def extra(self, text: Any) -> tuple[Item, Extra]:
        """A trailer or the like by its rating key, and the item it belongs to."""
        item = self.item(self.extras.get(int(text)) if str(text).isdigit() else None)
        return item, next(extra for extra in item.supplement.extras if extra.key == int(text))

    def with_media(self, number: Any) -> tuple[Item, Media]:
        """The version of that number, and its item."""
        for item in self.items.values():
            for media in item.media:
                if str(media.id) == str(number):
                    return item, media
        raise NoSuch

    def anything(self, text: Any) -> Item:
        """An item, a collection or a playlist."""
        playlist = self.playlists.get(int(text)) if str(text).isdigit() else None
        return playlist or self.item(text)

    def collection(self, text: Any) -> Collection:
        item = self.item(text)
        if not isinstance(item, Collection):
            raise NoSuch
        return item

    def add_item(self, section: Section, file: str, **given: Any) -> Item:
        """An item for a file. `given` are the keys of a library file's item; all but the file have defaults."""
        now = self.now()
        key = int(given.get("rating_key") or self.next_id("item"))
        if key in self.items or key in self.extras:
            raise ValueError(f"rating_key {key} is given to two items")
        self._ids["item"] = max(self._ids["item"], key)
        added_at = int(given.get("added_at", now))
        mtime = int(given.get("mtime", added_at))
        values = self._agent_values(section, file, mtime, given)
        guid = given.get("guid") or self._guid(section, key, file)
        item = Item(key, section.key, guid, values, added_at)
        if section.personal and MOVIE_FIELDS.keys() & given.keys():
            item.agent = self._agent_values(section, file, mtime, {})
        item.media = tuple(self._media(path, mtime, given) for path in (file, *given.get("more_files", ())))
        for media in item.media:
            section.disk[media.file] = _NOTHING_NEW
        item.guids = tuple(given.get("guids", ()))
        if SUPPLEMENT_KEYS & given.keys():
            item.supplement = read_supplement(given, file, item.media[0].id, self.next_id)
        for kind in _TAGS_BY_KEY.keys() & given.keys():
            taggings = tuple(Tagging(self.tag(_TAGS_BY_KEY[kind], name).id) for name in given[kind])
            if taggings:
                item.tags[_TAGS_BY_KEY[kind]] = taggings
        item.agent_tags = {} if section.personal else item.tags
        item.locks = frozenset(given.get("locked", ()))
        item.view_count = int(given.get("view_count", 0))
        self.put(item)
        return item

    def gather_collections(self, section: Section) -> None:
        """Makes the collections that items of the section name and that are not there yet."""
        for item in list(self.movies(section)):
            for tag in item.tag_ids("collection"):
                self._collection_for_tag(section, self.tags[tag])

    def _agent_values(
        self, section: Section, file: str, mtime: int, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The fields an agent would fill in; for personal media what the file itself tells."""
        values = {k: v for k, v in given.items() if k in MOVIE_FIELDS and v not in (None, "")}
        values.setdefault("title", stem(file))
        values.setdefault("summary", "")
        if section.personal and mtime > 0:
            day = time.strftime("%Y-%m-%d", time.gmtime(mtime))
            values.setdefault("originallyAvailableAt", day)
        if values.get("originallyAvailableAt"):
            values.setdefault("year", int(values["originallyAvailableAt"][:4]))
        return values

    def _guid(self, section: Section, key: int, file: str) -> str:
        if section.agent == "com.plexapp.agents.none":
            return f"com.plexapp.agents.none://{self._hex(file)}?lang=xn"
        if section.agent == "tv.plex.agents.none":
            return f"tv.plex.agents.none://{key}"
        return f"plex://movie/{self._hex(file, 24)}"

    def _media(self, file: str, mtime: int, given: Mapping[str, Any], analyzed: bool = True) -> Media:
        duration_ms = int(given.get("duration", 0) or 0)
        extension = file.rpartition(".")[2].lower()
        bitrate = int(given.get("bitrate", 8000))
        return Media(
            id=self.next_id("media"),
            file=file,
            size=int(given.get("size") or duration_ms * bitrate // 8),
            duration_ms=duration_ms,
            container=given.get("container") or (extension if extension.isalnum() else "mp4"),
            mtime=mtime,
            width=int(given.get("width", 1920)),
            height=int(given.get("height", 1080)),
            bitrate=bitrate,
            video_codec=given.get("video_codec", "h264"),
            audio_codec=given.get("audio_codec", "aac"),
            channels=int(given.get("audio_channels", 2)),
            frame_rate=given.get("frame_rate", "24p"),
            languages=tuple(given.get("languages", ())),
            subtitles=tuple(given.get("subtitles", ())),
            analyzed=analyzed,
        )

    def touch(self, item: Item) -> Item:
        """A new version whose updatedAt is now."""
        new = item.version()
        new.updated_at = self.now()
        return new

    def saved(self, item: Item, state: int = 5) -> None:
        """Puts a changed version and tells listeners."""
        self.put(item)
        section = self.sections.get(item.section)
        if section is not None:
            self._touch(section)
        self.tell("timeline", item=item, state=state)

    # Tags.

    def tag(self, kind: str, name: str) -> Tag:
        """The tag of that name, made when there is none. Whose case counts is a matter of the switches."""
        if kind == "label" and self.switches.label_capital:
            name = name[:1].upper() + name[1:]
        fold = self.switches.tag_case == "fold" or kind in ("label", "collection")
        slot = (kind, name.casefold() if fold else name)
        known = self.tag_names.get(slot)
        if known is not None:
            return self.tags[known]
        tag = Tag(self.next_id("tag"), kind, name)
        self.tags[tag.id] = tag
        self.tag_names[slot] = tag.id
        return tag

    def tag_named(self, kind: str, name: str) -> Tag | None:
        """The tag of that name or number, if there is one."""
        for slot in ((kind, name), (kind, name.casefold())):
            if slot in self.tag_names:
                return self.tags[self.tag_names[slot]]
        found = self.tags.get(int(name)) if name.isdigit() else None
        return found if found is not None and found.kind == kind else None

    def tag_counts(self, section: Section, kind: str) -> list[tuple[Tag, int]]:
        """The tags of a kind in use in a section, by name, with the number of items."""
        counts = []
        for tag in self.tags.values():
            if tag.kind == kind:
                keys = self.tagged.get(tag.id, {})
                n = sum(1 for key in keys if self.items[key].section == section.key)
                if n:
                    counts.append((tag, n))
        return sorted(counts, key=lambda pair: pair[0].name.casefold())

    # Edits.

    def edit(self, items: Iterable[Item], edit: Edit) -> None:
        """Applies one request's edit to each item, or to none: a value that cannot be read is Broken."""
        todo = list(items)
        for item in todo:
            if item.poisoned:
                raise Broken
        made = [self._edited(item, edit) for item in todo]
        for item in made:
            self.saved(item)
            for name in item.tag_ids("collection"):
                self._collection_for_tag(self.sections[item.section], self.tags[name])
        if self.switches.collections_vanish:
            self._sweep_collections()

    def _edited(self, item: Item, edit: Edit) -> Item:
        known = COLLECTION_FIELDS if isinstance(item, Collection) else MOVIE_FIELDS
        if isinstance(item, Playlist):
            known = {name: MOVIE_FIELDS[name] for name in ("title", "titleSort", "summary")}
        for name in (*edit.values, *edit.locks):
            if name not in known and name not in LOCK_ONLY and name not in TAG_KINDS:
                raise Refused
        new = self.touch(item)
        values = dict(item.fields)
        for name, text in edit.values.items():
            self._set(new, values, name, text, known)
        if values != item.fields:
            new.fields = values
        locks = set(item.locks)
        for name, on in edit.locks.items():
            (locks.add if on else locks.discard)(name)
        new.locks = frozenset(locks)
        if edit.tags:
            tags = dict(item.tags)
            for kind, change in edit.tags.items():
                left = self._tagged(tags.get(kind, ()), kind, change)
                if left:
                    tags[kind] = left
                else:
                    tags.pop(kind, None)
            if tags != item.tags:
                new.tags = tags
        return new

    def _set(
        self,
        new: Item,
        values: dict[str, Any],
        name: str,
        text: str,
        known: Mapping[str, Callable[[str], Any]],
    ) -> None:
        if name not in known:
            raise Refused
        try:
            value = known[name](text) if text != "" else None
        except ValueError as problem:
            raise Broken from problem
        if name == "addedAt":
            new.added_at = value if value is not None else new.added_at
            return
        if name == "userRating":
            new.last_rated_at = self.now()
            value = None if value is not None and value < 0 else value
        if name == "title" and isinstance(new, Collection):
            self._free_title(new, text)
        if value is None and name not in ("summary", "title"):
            values.pop(name, None)
        else:
            values[name] = text if value is None else value
        if name == "originallyAvailableAt" and self.switches.year_follows_date:
            if value is None:
                values.pop("year", None)
            else:
                values["year"] = int(value[:4])
        if name == "title" and "titleSort" not in new.locks:
            values.pop("titleSort", None)

    def _tagged(self, held: tuple[Tagging, ...], kind: str, change: TagEdit) -> tuple[Tagging, ...]:
        """The taggings after one request: those sent come first, by their index, then those held before."""
        removed = {tag.id for name in change.remove if (tag := self.tag_named(kind, name))}
        if change.clear or (self.switches.tags == "replace" and change.add):
            held = ()
        sent: dict[int, Tagging] = {}
        before = {tagging.tag: tagging for tagging in held}
        for wanted in change.add:
            tag = self.tag(kind, wanted.name)
            if wanted.thumb is not None and wanted.thumb != tag.thumb:
                self.tags[tag.id] = tag = replace(tag, thumb=wanted.thumb)
                self._revise_tagged(tag.id)
            text = wanted.text if wanted.text is not None else before.get(tag.id, Tagging(tag.id)).text
            sent.setdefault(tag.id, Tagging(tag.id, text))
        if self.switches.contradiction == "add":
            removed -= set(sent)
        after = [*sent.values(), *(t for t in held if t.tag not in sent)]
        return tuple(t for t in after if t.tag not in removed)

    def _revise_tagged(self, tag: int) -> None:
        for key in self.tagged.get(tag, {}):
            self.items[key].revision += 1

    def revise_all(self) -> None:
        """A switch about how items are shown was thrown: none is as it was."""
        for item in self.items.values():
            item.revision += 1

    # Collections.

    def _collection_for_tag(self, section: Section, tag: Tag) -> Collection:
        """The collection whose members carry the tag, made on the fly."""
        for key in section.collections:
            found = self.items[key]
            if isinstance(found, Collection) and found.tag == tag.id:
                return found
        made = self._new_collection(section, tag.name, tag.id)
        made.from_tag = True
        self.put(made)
        return made

    def _new_collection(self, section: Section, title: str, tag: int) -> Collection:
        key = self.next_id("item")
        guid = f"collection://{self._uuid(f'collection:{key}')}"
        return Collection(key, section.key, guid, {"title": title, "summary": ""}, self.now(), tag)

    def create_collection(
        self, section: Section, title: str, keys: Iterable[int], smart: str | None = None, number: int = MOVIE
    ) -> Collection:
        """A new collection, even when there is one of that title already (PMS makes two)."""
        members = [self.movie(key) for key in keys]
        tag = Tag(self.next_id("tag"), "collection", title)
        self.tags[tag.id] = tag
        self.tag_names.setdefault(("collection", title.casefold()), tag.id)
        made = self._new_collection(section, title, tag.id)
        made.smart, made.type_of_items = smart, number
        self.put(made)
        self.collect(made, [item.key for item in members])
        return made

    def collect(self, collection: Collection, keys: Iterable[int]) -> None:
        for key in keys:
            item = self.movie(key)
            if collection.tag not in item.tag_ids("collection"):
                new = self.touch(item)
                held = item.tags.get("collection", ())
                new.tags = {**item.tags, "collection": (*held, Tagging(collection.tag))}
                self.saved(new)
        self.saved(self.touch(collection))

    def uncollect(self, collection: Collection, key: Any) -> None:
        item = self.movie(key)
        if collection.tag not in item.tag_ids("collection"):
            raise NoSuch
        self._untag(item, collection.tag)
        self.saved(self.touch(collection))

    def _untag(self, item: Item, tag: int) -> None:
        new = self.touch(item)
        left = tuple(t for t in item.tags.get("collection", ()) if t.tag != tag)
        new.tags = {**item.tags, "collection": left}
        if not left:
            del new.tags["collection"]
        self.saved(new)

    def delete_collection(self, collection: Collection) -> None:
        for key in list(self.tagged.get(collection.tag, {})):
            self._untag(self.items[key], collection.tag)
        self.drop(collection.key)
        self.tell("timeline", item=collection, state=9)

    def _sweep_collections(self) -> None:
        for section in self.sections.values():
            for collection in self.collections(section):
                if collection.from_tag and not self.tagged.get(collection.tag):
                    self.drop(collection.key)

    def _free_title(self, collection: Collection, title: str) -> None:
        for other in self.collections(self.sections[collection.section]):
            if other.key != collection.key and other.title == title:
                raise Conflict

    def members(self, collection: Collection) -> list[Item]:
        """The members of a collection in its order; of a smart one what its search finds now."""
        if collection.smart:
            return [item for item in search.smart(self, collection.smart) if item.deleted_at is None]
        found = [self.items[key] for key in self.tagged.get(collection.tag, {})]
        found = [item for item in found if item.deleted_at is None]
        if collection.sort == 2:
            place = {key: n for n, key in enumerate(collection.arranged)}
            return sorted(found, key=lambda i: place.get(i.key, len(place)))
        if collection.sort == 1:
            return sorted(found, key=lambda i: i.order)
        return sorted(found, key=lambda i: (i.fields.get("originallyAvailableAt", ""), i.order))

    def arrange(self, collection: Collection, key: Any, after: Any) -> None:
        """Moves a member behind another, or to the front; the order is custom from then on."""
        keys = [item.key for item in self.members(collection)]
        moved = self.movie(key).key
        if moved not in keys:
            raise NoSuch
        keys.remove(moved)
        keys.insert(keys.index(self.movie(after).key) + 1 if after else 0, moved)
        new = self.touch(collection)
        assert isinstance(new, Collection)
        new.arranged, new.sort = tuple(keys), 2
        self.saved(new)

    # Images.

    def gallery(self, item: Item, kind: str) -> Gallery:
        return item.galleries.get(kind) or Gallery(kind)

    def set_gallery(self, item: Item, gallery: Gallery, lock: bool) -> None:
        new = self.touch(item)
        new.galleries = {**item.galleries, gallery.kind: gallery}
        if lock:
            new.locks = item.locks | {GALLERIES[gallery.kind]}
        self.saved(new)

    # What was played.

    def rate(self, item: Item, stars: float) -> None:
        new = self.touch(item)
        values = dict(item.fields)
        if stars < 0:
            values.pop("userRating", None)
            new.last_rated_at = None
        else:
            values["userRating"] = stars
            new.last_rated_at = self.now()
        new.fields = values
        new.updated_at = item.updated_at
        self.saved(new)

    def scrobble(self, item: Item, played: bool) -> None:
        """Marks played or unplayed; writes no history row."""
        new = item.version()
        new.view_offset_ms = 0
        new.view_count = item.view_count + 1 if played else 0
        new.last_viewed_at = self.now() if played else None
        self.saved(new)
        self._refresh_activity(item)

    def progress(self, item: Item, offset_ms: int) -> None:
        new = item.version()
        duration = item.duration_ms
        if duration and offset_ms >= duration * 0.9:
            new.view_offset_ms, new.view_count = 0, item.view_count + 1
            self.played(item)
        else:
            new.view_offset_ms = offset_ms
        new.last_viewed_at = self.now()
        self.saved(new)

    def played(self, item: Item, account: int = 1) -> None:
        """A row in the history, as real playback writes it."""
        thumb = f"/library/metadata/{item.key}/thumb/{item.updated_at}"
        row = View(
            len(self.views) + 1, item.key, item.section, item.title, item.type, thumb, self.now(), account
        )
        self.views.append(row)

    # Refresh, scan, trash.

    def refresh(self, item: Item) -> None:
        """Re-derives what is not locked, as the agent would; posters of the agent come again."""
        new = self.touch(item)
        if self.switches.refresh_rewrites != "nothing":
            kept = {
                name: value
                for name, value in item.fields.items()
                if name in item.locks or name == "userRating"
            }
            derived = {name: value for name, value in item.agent.items() if name not in item.locks}
            held = {
                n: v
                for n, v in item.fields.items()
                if n not in derived and not self.sections[item.section].personal
            }
            new.fields = {**held, **derived, **kept}
            if "originallyAvailableAt" in item.locks and "year" in item.fields:
                new.fields["year"] = item.fields["year"]
        if self.switches.refresh_rewrites == "all":
            new.tags = {**{k: t for k, t in item.agent_tags.items() if k not in item.locks}}
            new.tags |= {k: t for k, t in item.tags.items() if k in item.locks}
        self.saved(new)
        self._refresh_activity(item)

    def _refresh_activity(self, item: Item) -> None:
        activity = self._activity(
            "library.refresh.items", "Refreshing", {"key": f"/library/metadata/{item.key}"}
        )
        self._finish(activity)

    def _activity(self, kind: str, title: str, context: dict[str, Any], subtitle: str = "") -> Activity:
        made = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        activity = Activity(made, kind, title, subtitle, 0, context)
        self.activities[made] = activity
        self.tell("activity", event="started", activity=activity)
        return activity

    def _finish(self, activity: Activity) -> None:
        activity.progress = 100
        self.activities.pop(activity.uuid, None)
        self.tell("activity", event="ended", activity=activity)

    def scan(self, section: Section, path: str | None = None, force: bool = False) -> Activity:
        """Starts a scan of a section, or of a folder below one of its locations; what is elsewhere is not
        seen.

        `force` refreshes the metadata of everything as well.
        """
        section.refreshing += 1
        context = {"librarySectionID": str(section.key)}
        activity = self._activity("library.update.section", "Scanning", context, f"Scanning {section.title}")
        activity.cancellable = True
        self.later(
            self.switches.scan_s, f"scan {section.key}", lambda: self._scanned(section, path, force, activity)
        )
        return activity

    def start_up(self, maintenance_s: float, reads_only_s: float) -> None:
        """As after a restart: every request a 503 for a while, then writes refused for a while, then up."""
        steps = (("maintenance", 0.0), ("reads_only", maintenance_s), ("up", maintenance_s + reads_only_s))
        for state, after_s in steps:
            self.later(after_s, "start-up", partial(self._starting, state))
        self.settle()

    def _starting(self, state: str) -> None:
        self.switches = replace(self.switches, starting=state)

    def cancel_scan(self, section: Section) -> None:
        self.due = [d for d in self.due if d.what != f"scan {section.key}"]
        section.refreshing = 0
        for activity in list(self.activities.values()):
            if activity.type == "library.update.section" and activity.context == {
                "librarySectionID": str(section.key)
            }:
                self._finish(activity)

    def _scanned(self, section: Section, path: str | None, force: bool, activity: Activity) -> None:
        if section.key not in self.sections:
            return
        seen = self._in_scope(section, path)
        new = [file for file in section.disk if seen(file) and not self._known(section, file)]
        gone = [
            item
            for item in list(self.movies(section))
            if item.deleted_at is None and item.media and all(m.file not in section.disk for m in item.media)
            if any(seen(m.file) for m in item.media)
        ]
        for item in list(self.movies(section)):
            if item.deleted_at is not None and any(
                m.file in section.disk and seen(m.file) for m in item.media
            ):
                self._restored(item)
        found = [self._found(section, file, gone) for file in new]
        for item in gone:
            self._vanished(item)
        if self.prefs.get("autoEmptyTrash", True):
            self.empty_trash(section)
        section.refreshing = max(0, section.refreshing - 1)
        section.scanned_at = self.now()
        if new or gone:
            self._touch(section)
        self._finish(activity)
        if force:
            for item in list(self.movies(section)):
                self.refresh(item)
        if found:
            context = {"librarySectionID": str(section.key)}
            more = self._activity("library.update.item.metadata", "Updating metadata", context)
            self.later(
                self.switches.settle_s, "analysis", lambda: self._analyzed([i.key for i in found], more)
            )

    def _in_scope(self, section: Section, path: str | None) -> Callable[[str], bool]:
        """Which files a scan looks at: a folder below a location, or all locations; a file is no folder."""
        roots = [_folder(location) for _, location in section.locations]
        if path is None:
            return lambda file: any(_folder(file).startswith(root) for root in roots)
        wanted = _folder(path)
        if not any(wanted.startswith(root) for root in roots):
            return lambda file: False
        return lambda file: _folder(file).startswith(wanted) and _folder(file) != wanted

    def _known(self, section: Section, file: str) -> bool:
        return any(self.items[key].section == section.key for key in self.files.get(file, ()))

    def _found(self, section: Section, file: str, gone: list[Item]) -> Item:
        """The item for a file a scan has found: provisional until it is analysed."""
        meta = section.disk[file]
        moved = next((i for i in gone if self._same_file(i, file, meta)), None)
        if moved is not None and self.switches.moved_file == "same_key":
            gone.remove(moved)
            new = self.touch(moved)
            new.media = tuple(replace(m, file=file) for m in moved.media)
            self.saved(new)
            return new
        given = {k: v for k, v in meta.items() if k in _ITEM_KEYS}
        if self.switches.rescan_ids == "same" and self._gone_keys.get(file, 0) not in self.items:
            given["rating_key"] = self._gone_keys.get(file)
        item = self.add_item(section, file, **given)
        section.disk[file] = meta
        new = item.version()
        new.settled = False
        new.media = tuple(replace(m, analyzed=False) for m in item.media)
        self.put(new)
        self.tell("timeline", item=new, state=0)
        return new

    def _same_file(self, item: Item, file: str, meta: Mapping[str, Any]) -> bool:
        here = item.media[0]
        return stem(here.file) == stem(file) and here.size == int(meta.get("size", here.size))

    def _analyzed(self, keys: list[int], activity: Activity) -> None:
        for key in keys:
            item = self.items.get(key)
            if item is not None and not item.settled:
                new = self.touch(item)
                new.settled = True
                new.media = tuple(replace(m, analyzed=True) for m in item.media)
                self.saved(new, state=1 if self.sections[item.section].personal else 5)
        self._finish(activity)

    def _vanished(self, item: Item) -> None:
        new = self.touch(item)
        new.deleted_at = self.now()
        self.put(new)
        self.tell("timeline", item=new, state=9)

    def _restored(self, item: Item) -> None:
        new = self.touch(item)
        new.deleted_at = None
        self.saved(new)

    def empty_trash(self, section: Section) -> None:
        for item in list(self.movies(section)):
            if item.deleted_at is not None:
                for media in item.media:
                    self._gone_keys[media.file] = item.key
                self.drop(item.key)
                self.views = [replace(v, key=None) if v.key == item.key else v for v in self.views]

    def delete_item(self, item: Item) -> None:
        """DELETE on an item deletes its files, where that is allowed."""
        if not self.prefs.get("allowMediaDeletion", True):
            raise Forbidden
        section = self.sections[item.section]
        for media in item.media:
            section.disk.pop(media.file, None)
        self.drop(item.key)
        self.tell("timeline", item=item, state=9)

    def delete_media(self, item: Item, number: int) -> None:
        """Deletes one version and its file; with the last one the item goes."""
        left = tuple(media for media in item.media if media.id != number)
        if len(left) == len(item.media):
            raise NoSuch
        if not left:
            self.delete_item(item)
            return
        if not self.prefs.get("allowMediaDeletion", True):
            raise Forbidden
        for media in item.media:
            if media.id == number:
                self.sections[item.section].disk.pop(media.file, None)
        new = self.touch(item)
        new.media = left
        self.saved(new)

    def supplement(self, item: Item, supplement: Supplement) -> None:
        """Gives the item another supplement."""
        new = self.touch(item)
        new.supplement = supplement
        self.saved(new)

    def merge(self, item: Item, keys: Iterable[str]) -> None:
        """Makes the files of other items versions of this one."""
        others = [self.movie(key) for key in keys]
        new = self.touch(item)
        new.media = (*item.media, *(m for other in others for m in other.media))
        for other in others:
            self.drop(other.key)
        self.saved(new)

    def split(self, item: Item) -> None:
        """Gives every version but the first an item of its own."""
        section = self.sections[item.section]
        new = self.touch(item)
        new.media = item.media[:1]
        self.saved(new)
        for media in item.media[1:]:
            alone = self.add_item(section, media.file, duration=media.duration_ms, size=media.size)
            self.put(alone)

    # The disk, as the control API changes it.

    def file_appears(self, section: Section, file: str, meta: dict[str, Any]) -> None:
        section.disk[file] = {"mtime": self.now(), **meta}

    def file_vanishes(self, file: str) -> list[Section]:
        """The sections the file was in."""
        found = [section for section in self.sections.values() if file in section.disk]
        for section in found:
            del section.disk[file]
        return found

    def scan_now(self, section: Section) -> None:
        """A whole scan with everything after it, done before this returns."""
        switches, self.switches = self.switches, replace(self.switches, scan_s=0, settle_s=0)
        self.scan(section)
        self.settle()
        self.switches = switches


# What is on the disk for a file that an item knows everything about.
_NOTHING_NEW: dict[str, Any] = {}
_ITEM_KEYS = {
    *MOVIE_FIELDS,
    "duration",
    "size",
    "container",
    "width",
    "height",
    "bitrate",
    "video_codec",
    "audio_codec",
    "audio_channels",
    "frame_rate",
    "languages",
    "subtitles",
    "guid",
    "guids",
    "locked",
    "mtime",
    "rating_key",
    "added_at",
    "view_count",
    "more_files",
    *SUPPLEMENT_KEYS,
}


def _plural(kind: str) -> str:
    return {"country": "countries"}.get(kind, f"{kind}s")


_TAGS_BY_KEY = {_plural(kind): kind for kind in TAG_KINDS}
ITEM_KEYS = (_ITEM_KEYS - {"addedAt"}) | {"file"} | {_plural(kind) for kind in TAG_KINDS}


def _folder(path: str) -> str:
    """A path with a separator at its end and no doubt about which one, so that a prefix is a parent."""
    return path.replace("\\", "/").rstrip("/") + "/"
