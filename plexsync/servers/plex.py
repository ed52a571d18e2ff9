"""Plex, through python-plexapi: find the items that have a file, and write edits to one of them.

What the requests rest on (PMS 1.41.5, python-plexapi 4.18.3):

- A library listing names the files of each item, but cuts its tag lists short and leaves out what is locked; so it
  only fills the path index, and an item is read in full before anything is decided about it.
- Rating keys are given out again after a library was rebuilt; so an item found by the index counts only if it still
  has the file. A path the index does not have is looked for among what Plex changed since, every time anew.
- All edits of one item go in one PUT; python-plexapi's objects would add requests of their own (they reload whenever
  an empty attribute is read), so of python-plexapi we use the server object, its session and its spelling of
  queries.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import requests

from plexsync import __version__
from plexsync.core.failures import (
    Landed,
    NeedsAttention,
    Permanent,
    SettingProblem,
    SyncFailure,
    Transient,
    Unavailable,
    redact,
)
from plexsync.core.item import Actor, Item
from plexsync.core.match import common_end, folded_name, folder_of, is_below, path_key
from plexsync.core.pieces import halves, kind_of
from plexsync.core.plan import Edits
from plexsync.core.settings import Settings, library_key
from plexsync.servers import transport
from plexsync.servers.path_index import Entry, Mark, PathIndex


@contextlib.contextmanager
def _without_user_config() -> Iterator[None]:
    """python-plexapi reads ~/.config/plexapi/config.ini and PLEXAPI_* when imported, and may open a log file
    they name. Those belong to the user's own scripts."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PLEXAPI_")}
    os.environ["PLEXAPI_CONFIG_PATH"] = os.devnull
    try:
        yield
    finally:
        del os.environ["PLEXAPI_CONFIG_PATH"]
        os.environ.update(held)


with _without_user_config():
    from plexapi.server import PlexServer
    from plexapi.utils import joinArgs

# python-plexapi says it is typed, and annotates nothing.
_connect: Callable[..., Any] = PlexServer
_query: Callable[[Mapping[str, object]], str] = joinArgs

PAGE_SIZE = 1000  # items a request when a library is listed
NEWEST_SIZE = 100  # items looked at first when a path is not known
READ_SIZE = 100  # full items a request
ALIKE_SIZE = 20  # items of one file name that are read in full
RELIST_S = 60.0  # a library whose size does not add up is listed again, but no more often than this
RELIST_LATEST_S = 600.0  # and any library, when a path is missed and the listing is older than this

_DIGITS = 18  # of the longest number that is believed
_CALENDAR_ENDS = 253_402_300_800  # epoch seconds of the year 10000
_MOVIE = 1  # Plex's type number of films and other videos
# What python-plexapi's reload() asks for; its answers are the full items the recordings show.
_FULL = (
    "?includeBandwidths=1&includeChapters=1&includeFields=thumbBlurHash%2CartBlurHash"
    "&includeGeolocation=1&includeLoudnessRamps=1&includeMarkers=1"
)
_SHOWN = (
    "title", "titleSort", "originalTitle", "studio", "contentRating", "originallyAvailableAt", "userRating",
    "thumb", "art",
)  # fmt: skip
_MARK, _UNMARK = "/:/scrobble", "/:/unscrobble"
_ORDERS = (_MARK, _UNMARK, "/refresh")
# A listing is for paths alone; servers that know these leave the rest out.
_LEAN = (
    "&includeGuids=0&excludeFields=summary%2Ctagline"
    "&excludeElements=Genre%2CCountry%2CGuid%2CRating%2CCollection%2CDirector%2CWriter%2CRole%2CProducer%2CSimilar"
)


@dataclass(frozen=True)
class Library:
    """A section of Plex that holds films or other videos."""

    id: int
    title: str
    locations: tuple[str, ...] = ()  # folders, as Plex sees them


@dataclass(frozen=True)
class Identity:
    """Which server answers, for a look at whether one does."""

    machine_identifier: str
    version: str


@dataclass(frozen=True)
class Health:
    """What a working connection tells: every part of it was asked for and answered."""

    name: str
    version: str
    libraries: tuple[Library, ...]  # those we write to


def client_identifier(data_dir: str | Path) -> str:
    """What Plex knows this installation by: the same for the same data folder, and no trace of the machine."""
    return hashlib.sha256(f"PlexSync {Path(data_dir).absolute()}".encode()).hexdigest()[:32]


class _NotThere(Transient):
    """404: what was asked for is not there (any more)."""


class _TooLong(Permanent):
    """An edit whose address is longer than Plex, or a proxy before it, takes."""


class Plex:
    """One Plex server and the libraries of ours in it. Connects when first used.

    Every method raises only failures of ours: SettingProblem (address, token or library name), NeedsAttention
    (401, 403), Unavailable (no answer, or not Plex's), Transient (500 on one item, an item that vanished),
    Permanent (an edit Plex refuses).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        client_id: str = "plexsync",
        index: PathIndex | None = None,
        met: Callable[[str], PathIndex] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._index = index if index is not None else PathIndex()
        self._met = met  # told of the server's machineIdentifier; gives the index of that server
        self._identifier = ""
        self._clock = clock
        self._connected: Any = None
        self._headers = {"X-Plex-Token": settings.plex_token, "Accept": "*/*"}  # beside those of the door
        self._libraries: tuple[Library, ...] = ()
        hint = _address_hint(settings.plex_url)
        self._doubt = f"is plex_url right? {hint}".rstrip()
        self._too_long = sys.maxsize  # the shortest path that was refused for its length
        self._session = requests.Session()
        self._door = door = transport.Transport(
            "Plex",
            settings.plex_url,
            settings.plex_timeout_s,
            self._judge,
            headers={
                "X-Plex-Product": "PlexSync",
                "X-Plex-Version": __version__,
                "X-Plex-Device": "Stash",
                "X-Plex-Device-Name": "PlexSync",
                "X-Plex-Client-Identifier": client_id,
            },
            address_setting="plex_url",
            address_hint=hint,
            insecure_setting="plex_insecure",
            once=lambda request: f"{_MARK}?" in (request.url or ""),  # each counts a view
        )
        transport.mount(self._session, door, verify=not settings.plex_insecure)

    def connect(self) -> None:
        """See that a server answers and which one it is; one request, once."""
        self._server()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._session.close()

    def identity(self) -> Identity:
        """Which server answers."""
        root = self._get("/identity")
        identifier = root.get("machineIdentifier", "")
        self._meet(identifier)
        return Identity(identifier, root.get("version", ""))

    def _meet(self, identifier: str) -> None:
        """Another server at the same address, a new installation for one, has its own keys and knows nothing of us."""
        if identifier and identifier != self._identifier:
            self._identifier, self._libraries = identifier, ()
            if self._met is not None:
                self._index = self._met(identifier)

    def health(self) -> Health:
        """Ask for all a sync needs: the server, with the token, and the libraries."""
        root = self._get("/")
        self._meet(root.get("machineIdentifier", ""))
        return Health(root.get("friendlyName", ""), root.get("version", ""), self.libraries(fresh=True))

    def libraries(self, *, fresh: bool = False) -> tuple[Library, ...]:
        """The libraries we write to, read once unless ``fresh``; SettingProblem when one of them does not exist."""
        if fresh or not self._libraries:
            self._libraries = self._chosen(self._get("/library/sections").findall("Directory"))
            self._index.keep({library.id for library in self._libraries})
        return self._libraries

    def _chosen(self, directories: Sequence[ElementTree.Element]) -> tuple[Library, ...]:
        there = [
            Library(
                _int(d.get("key")),
                d.get("title", ""),
                tuple(x.get("path", "") for x in d.findall("Location")),
            )
            for d in directories
            if d.get("type") == "movie"
        ]
        if not there:
            raise SettingProblem("plex_library", "Plex has no library of films or other videos to write to.")
        named = {
            "plex_library": self._settings.plex_library,
            # Were a library of another name, what is to be left alone in it would be written.
            "library_rules": [rule.library for rule in self._settings.library_rules],
        }
        titles = {library_key(library.title) for library in there}
        for key, names in named.items():
            unknown = [name for name in names if library_key(name) not in titles]
            if unknown:
                others = {library_key(d.get("title", "")) for d in directories}
                missing = [repr(name) for name in unknown if library_key(name) not in others]
                odd = [repr(name) for name in unknown if library_key(name) in others]
                said = [f"Plex has no library {' or '.join(missing)}"] * bool(missing)
                said += [f"{' and '.join(odd)} cannot be written to, only films and other videos can"] * bool(
                    odd
                )
                comma = next((x.title for x in there if "," in x.title and key == "plex_library"), None)
                hint = f" A name with a comma needs a semicolon behind it, like “{comma};”." if comma else ""
                raise SettingProblem(
                    key,
                    f"{key}: {'; '.join(said)}; {'there are' if odd else 'it has'} "
                    f"{', '.join(repr(library.title) for library in there)}.{hint}",
                )
        wanted = set(map(library_key, self._settings.plex_library))
        return tuple(library for library in there if not wanted or library_key(library.title) in wanted)

    def find(self, paths: Sequence[str]) -> tuple[Item, ...]:
        """Every item that has one of these files (as Plex sees them), read in full; () when none has.

        One request for a path the index knows. An item is returned only if Plex says it has the file now.
        """
        return self.find_many([paths])[0]

    def find_many(self, groups: Sequence[Sequence[str]]) -> list[tuple[Item, ...]]:
        """``find`` for several groups of paths at once, READ_SIZE items a request."""
        for library in self.libraries():
            mark = self._index.mark(library.id)
            if mark is None:
                self._list(library)
            elif mark.title != library.title:
                self._index.set_mark(library.id, replace(mark, title=library.title))
        wanted = [{path_key(path) for path in paths} for paths in groups]
        found = self._holders(wanted)
        unknown = {key for keys, items in zip(wanted, found, strict=True) if not items for key in keys}
        if unknown:
            self._look_again(unknown)
            again = self._holders(
                [keys if not items else set() for keys, items in zip(wanted, found, strict=True)]
            )
            found = [items or later for items, later in zip(found, again, strict=True)]
        return found

    def find_alike(self, groups: Sequence[Sequence[str]]) -> list[tuple[Item, ...]]:
        """Per group of paths, items with a file of the same name, read in full; for ``match.closest`` to
        judge.

        At most ALIKE_SIZE a group, those with the longest common tails. What Plex has added since ``find_many``
        missed these paths is in the index.
        """
        tails = [[path_key(path).casefold() for path in paths] for paths in groups]
        by_name: dict[str, list[int]] = {}
        for number, keys in enumerate(tails):
            for key in keys:
                by_name.setdefault(folded_name(key), []).append(number)
        by_name.pop("", None)  # of no file
        alike: list[list[tuple[int, str]]] = [[] for _ in groups]
        for key in self._index.named(by_name):
            folded = key.casefold()
            for number in by_name.get(folded_name(key), ()):
                alike[number].append((max(common_end(folded, ours) for ours in tails[number]), key))
        nearest = [{key for _, key in sorted(candidates, reverse=True)[:ALIKE_SIZE]} for candidates in alike]
        return self._holders(nearest)

    def freshen(self) -> None:
        """See what each library has added, changed or lost; one request a library unless much has."""
        self._look_again(set())

    def touched(self, moment: Literal["lastRatedAt", "lastViewedAt"], since: int) -> Iterator[Entry]:
        """The items that were rated, or watched, after an epoch second of Plex's clock; in any order, and perhaps
        others with them."""
        for library in self.libraries():
            start, known = 0, set()
            while True:
                which = f"&{moment}%3E%3E={max(since, 0)}"
                page, total = self._page(library, "addedAt", start, PAGE_SIZE, which)
                news = [entry for entry in page if entry.rating_key not in known]
                yield from news
                known |= {entry.rating_key for entry in news}
                start += PAGE_SIZE
                if not news or len(page) != PAGE_SIZE or (total is not None and start >= total):
                    break

    def scan(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Let Plex look for these files (as it sees them), each folder once; the folders it was asked to scan.

        A folder outside the libraries is left out: Plex would scan nothing, or everything.
        """
        wanted: dict[tuple[int, str], None] = {}
        for path in paths:
            for library in self.libraries():
                if any(is_below(path, location) for location in library.locations):
                    wanted[library.id, folder_of(path)] = None
        for library_id, folder in wanted:
            server = self._server()
            with self._border():
                server.query(f"/library/sections/{library_id}/refresh{_query({'path': folder})}")
        return tuple(dict.fromkeys(folder for _, folder in wanted))

    def relist(self) -> None:
        """Read every library of the server there is now: the evidence of what it has, shows and has lost."""
        self.identity()
        for library in self.libraries(fresh=True):
            self._list(library)

    def _holders(self, groups: Sequence[set[str]]) -> list[tuple[Item, ...]]:
        """Per group of path keys the items the index knows for it, as they are now."""
        known = self._index.lookup_many({key for wanted in groups for key in wanted})
        keys = [
            sorted({rating_key for key in wanted for rating_key in known.get(key, ())}) for wanted in groups
        ]
        every = sorted({rating_key for some in keys for rating_key in some})
        items = {item.rating_key: item for item in self.read(every)}
        found = []
        for wanted, some in zip(groups, keys, strict=True):
            holders = []
            for item in (items[key] for key in some if key in items):
                if wanted.isdisjoint(path_key(file) for file in item.files):
                    self._index.drop(item.rating_key)  # the key was given to something else
                else:
                    holders.append(item)
            found.append(tuple(holders))
        return found

    def read(self, rating_keys: Sequence[int]) -> tuple[Item, ...]:
        """These items in full, READ_SIZE a request, without those Plex no longer has."""
        if not rating_keys:
            return ()
        if len(rating_keys) > READ_SIZE:
            return self.read(rating_keys[:READ_SIZE]) + self.read(rating_keys[READ_SIZE:])
        try:
            path = f"/library/metadata/{','.join(map(str, rating_keys))}{_FULL}"
            root = self._get(path, of_one_item=True)
        except Transient as failure:
            if len(rating_keys) > 1:  # one bad item spoils the answer for all
                return tuple(item for key in rating_keys for item in self.read([key]))
            if isinstance(failure, _NotThere):
                self._index.drop(rating_keys[0])
                return ()
            raise
        titles = {library.id: library.title for library in self._libraries}
        items = tuple(_item(video, root, titles) for video in root.findall("Video"))
        self._index.see({item.rating_key: item.shown for item in items})
        for gone in set(rating_keys) - {item.rating_key for item in items}:
            self._index.drop(gone)
        return items

    def write(self, item: Item, edits: Edits) -> None:
        """Apply ``edits`` to ``item``: one PUT (several when Plex finds it too long), one more request when it is to be
        marked, none when there are none.

        What it raises is ``Landed.NO`` when Plex has certainly taken none of the edits and will not.
        """
        if edits.params:
            self._edit(item, edits.params)
        if edits.watched is not None:
            try:
                self._mark(item, edits.watched)
            except SyncFailure as failure:
                raise failure.with_landed(Landed.PERHAPS) from None

    def _mark(self, item: Item, watched: bool) -> None:
        """As watched, which counts a view of now, or as never watched, which forgets them all."""
        query = _query({"identifier": "com.plexapp.plugins.library", "key": item.rating_key})
        path = f"{_MARK if watched else _UNMARK}{query}"
        server = self._server()
        with self._there(item), self._border():
            self._door.ask("GET", server.url(path), self._headers)

    def _edit(self, item: Item, params: Mapping[str, str]) -> None:
        """All of it in one request, in pieces if that is too long."""
        query = _query({**params, "type": _MOVIE, "id": item.rating_key})
        query = query.replace("[", "%5B").replace("]", "%5D")  # as requests does to python-plexapi's
        path = f"/library/sections/{item.section_id}/all{query}"
        pieces = halves(params)
        if pieces and len(path) >= self._too_long:
            self._edit_in_two(item, *pieces)
            return
        server = self._server()
        try:
            with self._there(item), self._border():
                answer = self._door.ask("PUT", server.url(path), self._headers)
        except _TooLong as failure:
            self._too_long = min(self._too_long, len(path))
            if pieces:
                self._edit_in_two(item, *pieces)
                return
            raise Permanent(
                f"{failure} One {kind_of(next(iter(params)))} alone is longer than it takes: shorten that in Stash or, "
                "where a proxy stands before Plex, let the proxy take longer addresses."
            ) from None
        if answer.content and not _is_xml(answer.content):
            raise Unavailable("Plex", f"{self._where} took an edit but did not answer as Plex does.")

    def _edit_in_two(self, item: Item, first: Mapping[str, str], second: Mapping[str, str]) -> None:
        self._edit(item, first)
        try:
            self._edit(item, second)
        except SyncFailure as failure:
            raise failure.with_landed(Landed.PERHAPS) from None  # the first half has

    def upload(self, item: Item, data: bytes, gallery: Literal["posters", "arts"] = "posters") -> None:
        """Give ``item`` a picture, which it then shows and keeps through refreshes.

        Plex stores each different upload for ever: whoever calls remembers what was sent
        (``Picture.sha256``).
        """
        server = self._server()
        try:
            with self._there(item), self._border():
                server.query(
                    f"/library/metadata/{item.rating_key}/{gallery}", method=self._session.post, data=data
                )
        except ElementTree.ParseError:
            raise Unavailable(
                "Plex", f"{self._where} took a picture but did not answer as Plex does."
            ) from None

    def selected(self, item: Item, gallery: str) -> str:
        """What names the picture the item shows among its ``posters`` or ``arts``; "" when it shows none of them."""
        root = self._get(f"/library/metadata/{item.rating_key}/{gallery}", of_one_item=True)
        photos = (one for one in root if one.get("selected") in ("1", "true"))
        return next((one.get("ratingKey", "") for one in photos), "")

    def select(self, item: Item, gallery: str, name: str) -> None:
        """Have the item show a picture it has, by what ``selected`` named it."""
        server = self._server()
        path = f"/library/metadata/{item.rating_key}/{gallery.removesuffix('s')}{_query({'url': name})}"
        with self._there(item), self._border():
            server.query(path, method=self._session.put)

    @contextlib.contextmanager
    def _there(self, item: Item) -> Iterator[None]:
        """What is written to an item that is gone meanwhile is tried again, from its reading on."""
        try:
            yield
        except _NotThere:
            self._index.drop(item.rating_key)
            raise Transient(
                f"Plex item {item.rating_key} vanished between reading and writing.", landed=Landed.NO
            ) from None

    # Listing

    def _list(self, library: Library) -> None:
        """Read the whole library into the index."""
        entries: dict[int, Entry] = {}
        start = 0
        while True:
            # Sorted by arrival, what is added meanwhile comes last and shifts nothing.
            page, total = self._page(library, "addedAt", start, PAGE_SIZE)
            news = {entry.rating_key: entry for entry in page if entry.rating_key not in entries}
            entries |= news
            start += PAGE_SIZE
            # Some servers ignore the window and answer everything at once, some say no total.
            last = start >= total if total is not None else len(page) < PAGE_SIZE
            if last or not news or len(page) > PAGE_SIZE:
                break
        self._index.replace(library.id, entries.values())
        self._index.set_mark(library.id, Mark(len(entries), self._clock(), library.title))

    def _look_again(self, wanted: set[str]) -> None:
        """Find out whether Plex has one of these paths by now, at one request a library as a rule."""
        for library in self.libraries(fresh=True):
            mark = self._index.mark(library.id)
            if mark is None:
                self._list(library)
                continue
            newest, total = self._page(library, "updatedAt:desc", 0, NEWEST_SIZE)
            items = mark.items + self._index.put(library.id, newest)
            self._index.set_mark(library.id, Mark(items, mark.listed_at, library.title))
            if any(path_key(file) in wanted for entry in newest for file in entry.files):
                continue
            age_s = self._clock() - mark.listed_at
            odd = total is not None and total != items
            if age_s > RELIST_LATEST_S or (odd and age_s > RELIST_S):
                self._list(library)

    def _page(
        self, library: Library, sort: str, start: int, size: int, which: str = ""
    ) -> tuple[list[Entry], int | None]:
        """One window of a library's listing, and how many items there are in all, if the server says."""
        root = self._get(
            f"/library/sections/{library.id}/all?type={_MOVIE}&sort={sort.replace(':', '%3A')}{which}{_LEAN}",
            headers={"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)},
        )
        entries = [
            Entry(
                key,
                _files(video),
                _moment(video.get("updatedAt")),
                _float(video.get("userRating")),
                _int(video.get("viewCount")),
                _shown(video),
            )
            for video in root.findall("Video")
            if (key := _int(video.get("ratingKey")))
        ]
        total = root.get("totalSize")
        return entries, int(total) if total is not None and _is_number(total) else None

    # The border: one place where a request leaves and an answer, or a failure, comes back

    @property
    def _where(self) -> str:
        return f"Plex at {self._settings.plex_url}"

    def _server(self) -> Any:
        """plexapi's server object, made at first use: one GET of the root."""
        if self._connected is None:
            for key, remedy in (("plex_url", "where Plex is"), ("plex_token", "the token of Plex's owner")):
                if not getattr(self._settings, key):
                    raise SettingProblem(key, f"{key} is not set: PlexSync needs to know {remedy}.")
            try:
                with self._border():
                    server = _connect(
                        self._settings.plex_url,
                        self._settings.plex_token,
                        session=self._session,
                        timeout=self._settings.plex_timeout_s,
                    )
            except (ElementTree.ParseError, AttributeError, TypeError, ValueError):
                raise self._strange() from None
            if not server.machineIdentifier:
                raise self._strange()
            self._connected = server
            self._meet(server.machineIdentifier)
        return self._connected

    def _get(
        self, path: str, *, headers: Mapping[str, str] | None = None, of_one_item: bool = False
    ) -> ElementTree.Element:
        """The MediaContainer of an answer."""
        server = self._server()
        try:
            with self._border():
                root = server.query(path, headers=headers)
        except ElementTree.ParseError:
            if of_one_item:  # Plex speaks, but about this item it speaks nonsense: the others need not wait
                raise Transient(f"{self._where} answered damaged XML for an item.") from None
            raise self._strange() from None
        if not isinstance(root, ElementTree.Element) or root.tag != "MediaContainer":
            raise self._strange()
        return root

    @contextlib.contextmanager
    def _border(self) -> Iterator[None]:
        """What requests refuses before sending: an address or a header it cannot use."""
        try:
            yield
        except requests.exceptions.InvalidHeader:
            raise SettingProblem("plex_token", "plex_token cannot be sent; copy it again.") from None
        except (requests.RequestException, UnicodeError):
            raise SettingProblem("plex_url", "plex_url is not an address one can connect to.") from None

    def _strange(self) -> Unavailable:
        return Unavailable("Plex", f"{self._where} does not answer as Plex does; {self._doubt}")

    def _judge(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Turn an answer that is no use into its failure, by status and by the first bytes of the body."""
        if "charset" not in response.headers.get("Content-Type", "").lower():
            response.encoding = "utf-8"  # requests would take text/* for Latin-1
        status = response.status_code
        # A scan and a mark are asked for by GET (python-plexapi's section.update, markPlayed) and answered by nothing.
        reading = request.method == "GET" and not any(
            f"{path}?" in (request.path_url or "") for path in _ORDERS
        )
        about_one_item = not reading or "/library/metadata/" in (request.path_url or "")
        if status in (200, 201, 204):
            self._judge_body(response.content.lstrip()[:512].lower(), reading)
        elif status == 401:
            raise NeedsAttention(
                "Plex",
                f"{self._where} does not accept plex_token (401): copy it anew (support.plex.tv, article 204059436, "
                "says where) and set it in Stash.",
            )
        elif status == 403:
            raise NeedsAttention("Plex", f"{self._where} forbids this (403); plex_token must be the owner's.")
        elif status == 404 and about_one_item:
            raise _NotThere(f"{self._where} does not have what was asked for (404).")
        elif status == 400 and "starting up" in response.text:
            raise self._refusal("is still starting up (400)")
        elif status in (413, 414, 431) and request.method == "PUT":
            raise _TooLong(f"Plex refuses the edit ({status}): it is too long.")
        elif status in (400, 413, 414, 431) and not reading:
            said = redact(transport.excerpt(response.text), [self._settings.plex_token])
            raise Permanent(f"Plex refuses the edit ({status}): {said or 'it does not say why'}")
        elif status == 500 and about_one_item:
            raise Transient(f"{self._where} failed on this item (500).")
        elif status == 503:
            raise self._refusal("is starting or under maintenance (503)")
        elif status == 429:
            raise self._refusal("answers 429; its own log may say why")
        elif status >= 500:
            raise Unavailable("Plex", f"{self._where} answers {status}; its own log may say why.")
        elif 300 <= status < 400:  # followed, it would carry the token to wherever it points
            raise Unavailable("Plex", f"{self._where} points to another address ({status}); {self._doubt}")
        elif about_one_item:
            raise Transient(f"{self._where} answered {status}.")
        else:
            raise Unavailable("Plex", f"{self._where} answered {status}; {self._doubt}")

    def _refusal(self, how: str) -> Unavailable:
        """Plex cannot be talked to, and says so before it does anything."""
        return Unavailable("Plex", f"{self._where} {how}.", landed=Landed.NO)

    def _judge_body(self, start: bytes, reading: bool) -> None:
        if not start:
            if reading:
                raise Unavailable("Plex", f"{self._where} answered nothing.")
        elif not start.startswith(b"<") or b"<html" in start or start.startswith(b"<!doctype html"):
            raise self._strange()


def _address_hint(url: str) -> str:
    """What is odd about an address that leads nowhere: a sentence, or ""."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.path:
            return f"It ends in {parts.path}, which only a proxy in front of Plex asks for."
        return "" if parts.port else "It names no port; Plex's own is 32400."
    except ValueError:
        return ""


def _is_xml(body: bytes) -> bool:
    try:
        ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return False
    return True


def _item(video: ElementTree.Element, container: ElementTree.Element, titles: Mapping[int, str]) -> Item:
    """One full item. Values that are missing or no numbers count as unset. ``titles`` are those of the libraries."""
    section_id = _int(video.get("librarySectionID") or container.get("librarySectionID"))
    parts = [part for part in video.iter("Part") if part.get("file")]
    return Item(
        rating_key=_int(video.get("ratingKey")),
        section_id=section_id,
        section_title=video.get("librarySectionTitle")
        or titles.get(section_id)
        or container.get("librarySectionTitle")
        or "",
        title=video.get("title", ""),
        title_sort=video.get("titleSort", ""),
        original_title=video.get("originalTitle", ""),
        summary=video.get("summary", ""),
        tagline=video.get("tagline", ""),
        studio=video.get("studio", ""),
        content_rating=video.get("contentRating", ""),
        originally_available_at=video.get("originallyAvailableAt") or None,
        year=_int(video.get("year")) or None,
        user_rating=_float(video.get("userRating")),
        genres=_tags(video, "Genre"),
        actors=tuple(
            Actor(role.get("tag", ""), role.get("role", ""), role.get("thumb", ""))
            for role in video.findall("Role")
            if role.get("tag")
        ),
        directors=_tags(video, "Director"),
        labels=_tags(video, "Label"),
        collections=_tags(video, "Collection"),
        locked=frozenset(
            f.get("name", "") for f in video.findall("Field") if f.get("locked") in ("1", "true")
        ),
        files=tuple(part.get("file", "") for part in parts),
        sizes=tuple(_int(part.get("size")) for part in parts),
        duration=_int(video.get("duration")) / 1000,
        last_rated_at=_moment(video.get("lastRatedAt")),
        view_count=_int(video.get("viewCount")),
        last_viewed_at=_moment(video.get("lastViewedAt")),
        updated_at=_moment(video.get("updatedAt")),
        poster=video.get("thumb", ""),
        background=video.get("art", ""),
        shown=_shown(video),
    )


def _shown(video: ElementTree.Element) -> str:
    """``Item.shown``: the second of the last change, and a checksum of what stands in a listing and in a full item
    alike. Two edits within one second leave ``updatedAt`` as it is (PMS 1.41), so it is not enough alone."""
    rest = "\0".join(video.get(name, "") for name in _SHOWN)
    return f"{video.get('updatedAt', '')} {zlib.crc32(rest.encode('utf-8', 'replace')):08x}"


def _files(video: ElementTree.Element) -> tuple[str, ...]:
    return tuple(file for part in video.iter("Part") if (file := part.get("file")))


def _tags(video: ElementTree.Element, kind: str) -> tuple[str, ...]:
    return tuple(tag for element in video.findall(kind) if (tag := element.get("tag")))


def _is_number(text: str) -> bool:
    """Whether it is a whole number that SQLite can hold as well."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _int(text: str | None) -> int:
    return int(text) if text is not None and _is_number(text) else 0


def _moment(text: str | None) -> int:
    """Epoch seconds; 0 also for those after which the calendar ends."""
    moment = _int(text)
    return moment if moment < _CALENDAR_ENDS else 0


def _float(text: str | None) -> float | None:
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
