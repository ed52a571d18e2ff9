"""The Plex adapter against answers made by hand: what it asks for, and what each kind of trouble becomes.

The same adapter meets a whole server in ``test_adapters_live.py``.
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
import requests
import responses
import urllib3

from plexsync.core.failures import (
    NeedsAttention,
    Permanent,
    SettingProblem,
    SyncFailure,
    Transient,
    Unavailable,
)
from plexsync.core.item import Actor, Item
from plexsync.core.match import path_key
from plexsync.core.plan import Edits, plan
from plexsync.core.scene import Scene
from plexsync.core.settings import Settings
from plexsync.queue.store import Store
from plexsync.servers.path_index import PathIndex
from plexsync.servers.plex import (
    ALIKE_SIZE,
    NEWEST_SIZE,
    PAGE_SIZE,
    RELIST_LATEST_S,
    RELIST_S,
    Library,
    Plex,
    client_identifier,
)
from plexsync.servers.sync_state import SyncState
from plexsync.servers.transport import Transport
from scenarios.clock import ManualClock

URL = "http://plex:32400"
TOKEN = "s3cr3t-t0k3n-value"
SETTINGS = Settings(plex_url=URL, plex_token=TOKEN)
ROOT = '<MediaContainer size="1" friendlyName="Home" machineIdentifier="abc" version="1.41.5" />'
SECTIONS = (
    '<MediaContainer size="3"><Directory key="1" type="movie" title="Films"><Location id="1" path="/data" />'
    '</Directory><Directory key="2" type="movie" title="Clips" /><Directory key="3" type="show" title="Series" />'
    "</MediaContainer>"
)
_ANY = re.compile(r"http://plex:32400/.*")
HTML = "<html><head><title>Login</title></head><body><br>Please log in</body></html>"


Answer = tuple[int, dict[str, str], str]


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """Answers by path, and the list of what was asked."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self._mock = mock
        self._answers: dict[tuple[str, str], Callable[[requests.PreparedRequest], Answer]] = {}
        self.items: Callable[[requests.PreparedRequest], Answer] | None = None  # answers for all items
        for method in ("GET", "PUT"):
            mock.add_callback(method, _ANY, self._answer)
        self.says("/", ROOT)
        self.says("/library/sections", SECTIONS)
        for section in (1, 2):
            self.says(f"/library/sections/{section}/all", "", method="PUT")
            self.lists(section, [])

    def says(self, path: str, body: str, *, status: int = 200, method: str = "GET", **headers: str) -> None:
        reply = {"Content-Type": "text/xml;charset=utf-8", **headers}
        self._answers[method, path] = lambda request: (status, reply, body)

    def breaks(self, path: str, error: Exception, *, times: int = 99, method: str = "GET") -> None:
        """``times`` requests end in ``error``, then it is as before."""
        left, before = [times], self._answers[method, path]

        def answer(request: requests.PreparedRequest) -> Answer:
            left[0] -= 1
            if left[0] >= 0:
                raise error
            return before(request)

        self._answers[method, path] = answer

    def lists(self, section: int, items: Sequence[tuple[int, str]], *, total: int | None = None) -> None:
        """A section with these (rating key, file), served in windows; the newest last."""

        def answer(request: requests.PreparedRequest) -> Answer:
            start = int(request.headers["X-Plex-Container-Start"])
            size = int(request.headers["X-Plex-Container-Size"])
            shown = list(reversed(items)) if "updatedAt%3Adesc" in str(request.url) else list(items)
            videos = "".join(
                f'<Video ratingKey="{key}" updatedAt="{n}"><Media><Part file={quoteattr(file)} /></Media></Video>'
                for n, (key, file) in enumerate(shown[start : start + size])
            )
            said = len(items) if total is None else total
            return 200, {"Content-Type": "text/xml;charset=utf-8"}, container(videos, f'totalSize="{said}"')

        self._answers["GET", f"/library/sections/{section}/all"] = answer

    def has(self, key: int, file: str, more: str = "", inside: str = "") -> None:
        """An item in full."""
        self.says(
            f"/library/metadata/{key}", container(video(key, file, more, inside), 'librarySectionID="1"')
        )

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        path = str(request.path_url).partition("?")[0]
        known = self._answers.get((str(request.method), path))
        if self.items and path.startswith("/library/metadata/"):
            return self.items(request)
        return known(request) if known else (404, {"Content-Type": "text/html"}, "<html>404 Not Found</html>")

    @property
    def asked(self) -> list[str]:
        """Method and path of every request so far."""
        return [
            f"{call.request.method} {str(call.request.path_url).partition('?')[0]}"
            for call in self._mock.calls
        ]

    @property
    def requests(self) -> list[requests.PreparedRequest]:
        return [call.request for call in self._mock.calls]

    def forget(self) -> None:
        self._mock.calls.reset()


def container(inside: str, more: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<MediaContainer size="1" {more}>{inside}</MediaContainer>'
    )


def video(key: int, file: str, more: str = "", inside: str = "") -> str:
    return (
        f'<Video ratingKey="{key}" type="movie" {more}><Media><Part file={quoteattr(file)} size="5" /></Media>'
        f"{inside}</Video>"
    )


@pytest.fixture
def wire() -> Iterator[Wire]:
    def exchange(
        door: Transport, request: requests.PreparedRequest, headers: Mapping[str, str]
    ) -> requests.Response:
        """Answers made by hand wait where requests sends; how ``ask`` passes it by is test_transport's."""
        request.headers = requests.structures.CaseInsensitiveDict({**headers, **door._headers})
        return door._exchange(request)

    with (
        pytest.MonkeyPatch.context() as patch,
        responses.RequestsMock(assert_all_requests_are_fired=False) as mock,
    ):
        patch.setattr(Transport, "_exchange_plainly", exchange)
        yield Wire(mock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def plex(wire: Wire, clock: FakeClock) -> Plex:
    return Plex(SETTINGS, client_id="client-1", clock=clock)


def failure(kind: type[SyncFailure], act: Callable[[], object]) -> str:
    """The sentence ``act`` fails with; no secret in it, nor in anything a traceback would print."""
    with pytest.raises(kind) as caught:
        act()
    assert caught.type is kind or kind is Transient
    sentence = str(caught.value)
    printed = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in printed
    assert "\n" not in sentence
    assert sentence.endswith(".") or "refuses the edit" in sentence or sentence.endswith("?")
    return sentence


# --- what it asks for


def test_requests_carry_our_identity_and_the_token_as_headers(plex: Plex, wire: Wire) -> None:
    plex.health()
    for request in wire.requests:
        assert request.headers["X-Plex-Token"] == TOKEN
        assert request.headers["X-Plex-Product"] == "PlexSync"
        assert request.headers["X-Plex-Client-Identifier"] == "client-1"
        assert TOKEN not in str(request.url)
        assert os.uname().nodename not in request.headers["X-Plex-Device-Name"]


def test_a_client_identifier_is_the_data_folders() -> None:
    one = client_identifier("/data/one")
    assert one == client_identifier(Path("/data/one"))
    assert one != client_identifier("/data/two")
    assert len(one) == 32


def test_every_request_has_a_timeout(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    real = requests.adapters.HTTPAdapter.send

    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        given.append(kwargs["timeout"])
        return real(self, request, **kwargs)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    Plex(Settings(plex_url=URL, plex_token=TOKEN, plex_timeout_s=4)).health()
    Plex(Settings(plex_url=URL, plex_token=TOKEN, plex_timeout_s=40)).health()
    assert set(given) == {(4, 4), (10, 40)}


def test_health_and_identity(plex: Plex, wire: Wire) -> None:
    wire.says("/identity", '<MediaContainer machineIdentifier="abc" version="1.41.5" />')
    assert plex.identity().machine_identifier == "abc"
    health = plex.health()
    assert (health.name, health.version) == ("Home", "1.41.5")
    assert health.libraries == (Library(1, "Films", ("/data",)), Library(2, "Clips"))


def test_libraries_are_chosen_by_title_without_case(wire: Wire) -> None:
    plex = Plex(Settings(plex_url=URL, plex_token=TOKEN, plex_library=("films",)))
    assert [library.title for library in plex.libraries()] == ["Films"]


def test_a_wrong_library_name_lists_those_there_are(wire: Wire) -> None:
    plex = Plex(Settings(plex_url=URL, plex_token=TOKEN, plex_library=("Films", "Vidoes", "Series")))
    said = failure(SettingProblem, plex.libraries)
    assert said == (
        "plex_library: Plex has no library 'Vidoes'; 'Series' cannot be written to, only films and other videos can; "
        "there are 'Films', 'Clips'."
    )


def test_a_library_of_shows_is_there_but_none_of_ours(wire: Wire) -> None:
    plex = Plex(Settings(plex_url=URL, plex_token=TOKEN, plex_library=("Series", "Nix")))
    wire.says(
        "/library/sections",
        '<MediaContainer><Directory key="3" type="show" title="Series" />'
        '<Directory key="4" type="movie" title="Long, short" /></MediaContainer>',
    )
    assert failure(SettingProblem, plex.libraries) == (
        "plex_library: Plex has no library 'Nix'; 'Series' cannot be written to, only films and other videos can; "
        "there are 'Long, short'. A name with a comma needs a semicolon behind it, like “Long, short;”."
    )


@pytest.mark.parametrize(
    ("end", "hint"),
    [
        (":9", "is plex_url right?"),
        (
            ":9/library/sections",
            "It ends in /library/sections, which only a proxy in front of Plex asks for.",
        ),
        ("", "It names no port; Plex's own is 32400."),
    ],
)
def test_what_is_odd_about_an_address_that_leads_nowhere(end: str, hint: str) -> None:
    said = failure(Unavailable, Plex(Settings(plex_url=f"http://127.0.0.1{end}", plex_token=TOKEN)).identity)
    assert said.endswith(hint)


@pytest.mark.parametrize("path", ["", "/library/sections"])
def test_what_is_odd_about_an_address_where_something_else_answers(wire: Wire, path: str) -> None:
    wire.says(f"{path}/identity", HTML)
    said = failure(Unavailable, Plex(Settings(plex_url=f"{URL}{path}", plex_token=TOKEN)).identity)
    assert "is plex_url right?" in said
    assert ("which only a proxy" in said) == bool(path)


def test_a_plex_without_any_library_of_ours(plex: Plex, wire: Wire) -> None:
    wire.says(
        "/library/sections",
        '<MediaContainer><Directory key="3" type="show" title="Series" /></MediaContainer>',
    )
    assert "no library of films" in failure(SettingProblem, plex.libraries)


@pytest.mark.parametrize("missing", ["plex_url", "plex_token"])
def test_a_setting_that_is_missing_is_named_before_anything_is_sent(wire: Wire, missing: str) -> None:
    plex = Plex(Settings(**{"plex_url": URL, "plex_token": TOKEN, missing: ""}))
    assert failure(SettingProblem, plex.health).startswith(f"{missing} is not set")
    assert wire.asked == []


# --- finding


def test_an_item_in_full(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.has(
        7,
        "/data/a.mp4",
        'title="T &#233;" titleSort="T e" summary="S" studio="St" year="2024" originallyAvailableAt="2024-05-17" '
        'userRating="8.5" duration="60500" updatedAt="1700000000" librarySectionTitle="Films" tagline="Tl" '
        'contentRating="R" originalTitle="O"',
        '<Genre tag="G1" /><Genre tag="G2" /><Role tag="Ann" role="Self" /><Role tag="Bob" /><Label tag="L" />'
        '<Collection tag="C" /><Director tag="D" /><Field locked="1" name="title" /><Field locked="0" name="x" />',
    )
    (item,) = plex.find(["/data/a.mp4"])
    assert item.shown.startswith("1700000000 ")
    assert (item,) == (
        Item(
            rating_key=7,
            section_id=1,
            section_title="Films",
            title="T é",
            title_sort="T e",
            original_title="O",
            summary="S",
            tagline="Tl",
            studio="St",
            content_rating="R",
            originally_available_at="2024-05-17",
            year=2024,
            user_rating=8.5,
            genres=("G1", "G2"),
            actors=(Actor("Ann", "Self"), Actor("Bob")),
            directors=("D",),
            labels=("L",),
            collections=("C",),
            locked=frozenset({"title"}),
            files=("/data/a.mp4",),
            sizes=(5,),
            duration=60.5,
            updated_at=1700000000,
            shown=item.shown,
        ),
    )


def test_surprising_values_count_as_unset(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.has(
        7,
        "/data/a.mp4",
        'year="MMXX" userRating="nan" updatedAt="-5" duration="1e3"',
        '<Genre /><Role role="x" />',
    )
    (item,) = plex.find(["/data/a.mp4"])
    assert (item.year, item.user_rating, item.updated_at, item.duration) == (None, None, 0, 0)
    assert (item.genres, item.actors) == ((), ())


@pytest.mark.parametrize("huge", ["9" * 18, "9" * 19, "9" * 20, "9" * 5000])
def test_numbers_no_plex_has_harm_nothing(wire: Wire, tmp_path: Path, huge: str) -> None:
    """Neither the other items of the listing, nor what is kept of it, nor a date made of a time."""
    odd = f'<Video ratingKey="{huge}" updatedAt="{huge}"><Media><Part file="/data/b.mp4" /></Media></Video>'
    moments = "".join(
        f' {name}="{huge}"' for name in ("updatedAt", "lastRatedAt", "lastViewedAt", "viewCount")
    )
    wire.says("/library/sections/1/all", container(odd + video(7, "/data/a.mp4"), f'totalSize="{huge}"'))
    wire.has(7, "/data/a.mp4", f'year="{huge}" duration="{huge}" userRating="{huge}" {moments}')
    with Store(tmp_path, clock=ManualClock()) as store:
        (item,) = Plex(SETTINGS, index=SyncState(store.file, URL)).find(["/data/a.mp4"])
    for moment in (item.updated_at, item.last_rated_at, item.last_viewed_at):
        datetime.datetime.fromtimestamp(moment, datetime.UTC)
    assert plan(Scene(1, title="T", rating100=85), item, SETTINGS).params["userRating.value"] == "8.5"


def test_items_without_files_or_without_a_year(plex: Plex, wire: Wire) -> None:
    inside = {5: "", 6: "<Media />", 8: "<Media><Part /></Media>"}
    bare = "".join(f'<Video ratingKey="{key}">{what}</Video>' for key, what in inside.items())
    wire.says(
        "/library/sections/1/all", container(f"{bare}<Video />{video(7, '/data/a.mp4')}", 'totalSize="5"')
    )
    wire.has(7, "/data/a.mp4")
    (item,) = plex.find(["/data/a.mp4"])
    assert (item.rating_key, item.year, item.originally_available_at) == (7, None, None)
    for key in inside:
        wire.says(f"/library/metadata/{key}", container(bare, 'librarySectionID="1"'))
    assert plex.find([""]) == ()
    assert [there.files for there in plex.read([5])] == [(), (), ()]
    wire.says("/library/metadata/7", container(bare, 'librarySectionID="1"'))
    assert plex.find(["/data/a.mp4"]) == (), "it has lost its file"


def test_a_known_scene_costs_one_get_and_one_put(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.has(7, "/data/a.mp4")
    plex.find(["/data/a.mp4"])
    wire.forget()
    (item,) = plex.find(["/data/a.mp4"])
    plex.write(
        item, Edits({"title.value": "A & B", "title.locked": "1", "genre[0].tag.tag": "G,H"}, ("title",))
    )
    assert wire.asked == ["GET /library/metadata/7", "PUT /library/sections/1/all"]
    assert str(wire.requests[1].url).partition("?")[2] == (
        "genre%5B0%5D.tag.tag=G%2CH&id=7&title.locked=1&title.value=A%20%26%20B&type=1"
    )


def test_no_edits_no_request(plex: Plex, wire: Wire) -> None:
    plex.write(Item(7, 1), Edits())
    assert wire.asked == []


def test_files_of_several_scenes_in_two_libraries_are_found_in_one_read(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.lists(2, [(8, "/data/a.mp4")])
    wire.says(
        "/library/metadata/7,8",
        container(video(7, "/data/a.mp4") + video(8, "/data/a.mp4"), 'librarySectionID="1"'),
    )
    assert [item.rating_key for item in plex.find(["/data/a.mp4"])] == [7, 8]


def test_a_large_library_is_listed_in_pages(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(n, f"/data/{n}.mp4") for n in range(1, 2 * PAGE_SIZE + 2)])
    wire.has(2 * PAGE_SIZE + 1, f"/data/{2 * PAGE_SIZE + 1}.mp4")
    assert plex.find([f"/data/{2 * PAGE_SIZE + 1}.mp4"])
    windows = [r.headers["X-Plex-Container-Start"] for r in wire.requests if "/sections/1/all" in str(r.url)]
    assert windows == ["0", "1000", "2000"]


@pytest.mark.parametrize("claimed", [None, 10**6])
def test_a_listing_ends_though_the_server_ignores_the_window_or_claims_too_much(
    plex: Plex, wire: Wire, claimed: int | None
) -> None:
    everything = "".join(video(n, f"/data/{n}.mp4") for n in range(1, PAGE_SIZE + 6))
    total = "" if claimed is None else f'totalSize="{claimed}"'
    wire.says("/library/sections/1/all", container(everything, total))
    wire.has(PAGE_SIZE + 5, f"/data/{PAGE_SIZE + 5}.mp4")
    assert plex.find([f"/data/{PAGE_SIZE + 5}.mp4"])
    assert wire.asked.count("GET /library/sections/1/all") == 1


def test_a_miss_is_never_remembered(plex: Plex, wire: Wire) -> None:
    assert plex.find(["/data/a.mp4"]) == ()
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.has(7, "/data/a.mp4")
    wire.forget()
    assert [item.rating_key for item in plex.find(["/data/a.mp4"])] == [7]
    assert wire.asked == [
        "GET /library/sections",
        "GET /library/sections/1/all",
        "GET /library/sections/2/all",
        "GET /library/metadata/7",
    ]
    assert wire.requests[1].headers["X-Plex-Container-Size"] == str(NEWEST_SIZE)


def test_a_library_whose_size_does_not_add_up_is_listed_again_but_not_at_every_miss(
    plex: Plex, wire: Wire, clock: FakeClock
) -> None:
    """A file that arrived with an old date of change is not among the newest."""
    files = [(n, f"/data/{n}.mp4") for n in range(1, 300)]
    wire.lists(1, files)
    plex.find(["/data/new.mp4"])
    wire.lists(1, [(999, "/data/new.mp4"), *files])
    wire.has(999, "/data/new.mp4")
    assert plex.find(["/data/new.mp4"]) == ()
    clock.now += RELIST_S + 1
    assert [item.rating_key for item in plex.find(["/data/new.mp4"])] == [999]


def test_an_old_listing_is_made_anew_at_a_miss(plex: Plex, wire: Wire, clock: FakeClock) -> None:
    """A file that moved without a trace: same number of items, no date changed."""
    files = [(n, f"/data/{n}.mp4") for n in range(1, 300)]
    wire.lists(1, files)
    plex.find(["/data/moved.mp4"])
    wire.lists(1, [(1, "/data/moved.mp4"), *files[1:]])
    wire.has(1, "/data/moved.mp4")
    clock.now += RELIST_LATEST_S + 1
    assert [item.rating_key for item in plex.find(["/data/moved.mp4"])] == [1]


def test_items_plex_added_since_are_expected_and_do_not_cause_a_listing(
    plex: Plex, wire: Wire, clock: FakeClock
) -> None:
    wire.lists(1, [(1, "/data/1.mp4")])
    plex.find(["/data/2.mp4"])
    wire.lists(1, [(1, "/data/1.mp4"), (2, "/data/2.mp4")])
    wire.has(2, "/data/2.mp4")
    assert plex.find(["/data/2.mp4"])
    clock.now += RELIST_S + 1
    wire.forget()
    plex.find(["/data/3.mp4"])
    sizes = [r.headers["X-Plex-Container-Size"] for r in wire.requests if "/sections/1/all" in str(r.url)]
    assert sizes == [str(NEWEST_SIZE)]


def test_a_rating_key_that_was_given_to_another_file_is_not_believed(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4"), (8, "/data/b.mp4")])
    wire.has(7, "/data/a.mp4")
    plex.find(["/data/a.mp4"])
    wire.lists(1, [(7, "/data/family.mp4"), (8, "/data/b.mp4"), (9, "/data/a.mp4")])
    wire.has(7, "/data/family.mp4")
    wire.has(9, "/data/a.mp4")
    assert [item.rating_key for item in plex.find(["/data/a.mp4"])] == [9]


def test_an_item_that_is_gone_is_looked_for_anew(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.lists(1, [(7, "/data/a.mp4"), (9, "/data/a.mp4")])
    wire.says("/library/metadata/7,9", "<html>404</html>", status=404)
    wire.has(9, "/data/a.mp4")
    assert [item.rating_key for item in plex.find(["/data/a.mp4"])] == [9]
    wire.forget()
    assert plex.find(["/data/a.mp4"])
    assert wire.asked == ["GET /library/metadata/9"]


def test_a_library_added_later_is_looked_into(plex: Plex, wire: Wire) -> None:
    plex.find(["/data/a.mp4"])
    wire.says("/library/sections", SECTIONS.replace('type="show"', 'type="movie"'))
    wire.lists(3, [(7, "/data/a.mp4")])
    wire.has(7, "/data/a.mp4")
    assert plex.find(["/data/a.mp4"])


def test_a_library_that_is_left_out_from_now_on_is_not_written_to(wire: Wire, tmp_path: Path) -> None:
    """What was learned of it belongs to the same server, and outlives a change of the settings."""
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.lists(2, [(8, "/data/a.mp4"), (9, "/data/b.mp4")])
    wire.says("/library/metadata/7,8", container(video(7, "/data/a.mp4") + video(8, "/data/a.mp4")))
    wire.has(7, "/data/a.mp4")
    wire.has(9, "/data/b.mp4")
    with Store(tmp_path) as store:
        for index in (SyncState(store.file, URL), PathIndex()):
            before = Plex(SETTINGS, index=index)
            assert len(before.find(["/data/a.mp4"])) == 2
            after = Plex(replace(SETTINGS, plex_library=("Films",)), index=index)
            assert [item.rating_key for item in after.find(["/data/a.mp4"])] == [7]
            assert after.find(["/data/b.mp4"]) == ()
            assert after.find_alike([["/elsewhere/b.mp4"]]) == [()]
            assert list(index.paths()) == [path_key("/data/a.mp4")], "nor is it missing in Stash"
            assert before.find(["/data/b.mp4"]), "a change of mind"


def test_paths_are_found_whatever_their_separators_and_unicode_form(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "M:\\Media\\e\u0301.mp4")])
    wire.has(7, "M:\\Media\\e\u0301.mp4")
    assert plex.find(["m:/media/\u00e9.mp4"])


def test_items_with_a_file_of_the_same_name_are_offered_the_nearest_first(plex: Plex, wire: Wire) -> None:
    wire.lists(
        1,
        [(n, f"/other/{n}/s1/A.mp4") for n in range(1, 30)] + [(40, "/media/show/s1/a.mp4"), (41, "/b.mp4")],
    )
    seen: list[str] = []

    def answer(request: requests.PreparedRequest) -> Answer:
        seen.append(str(request.path_url).split("?")[0].rsplit("/", 1)[1])
        files = {40: "/media/show/s1/a.mp4", 41: "/b.mp4"}
        keys = [int(key) for key in seen[-1].split(",")]
        videos = "".join(video(key, files.get(key, f"/other/{key}/s1/A.mp4")) for key in keys)
        return 200, {"Content-Type": "text/xml;charset=utf-8"}, container(videos, 'librarySectionID="1"')

    wire.items = answer
    assert plex.find(["/data/none.mp4"]) == ()
    first, second, third = plex.find_alike([["/data/show/s1/a.mp4"], ["/x/b.mp4", "/y/c.mp4"], ["/z.mp4"]])
    assert len(first) == ALIKE_SIZE
    assert 40 in [item.rating_key for item in first]
    assert [item.rating_key for item in second] == [41]
    assert third == ()
    assert len(seen) == 1, "one request for all of them"
    assert plex.find_alike([]) == []


def test_a_scan_is_of_the_folders_below_the_libraries_each_once(plex: Plex, wire: Wire) -> None:
    places = (
        'title="Clips"><Location id="2" path="/data/clips" /><Location id="3" path="M:\\v" /></Directory>'
    )
    wire.says("/library/sections", SECTIONS.replace('title="Clips" />', places))
    for section in (1, 2):
        wire.says(f"/library/sections/{section}/refresh", "")
    paths = ["/data/a & b/1.mp4", "/data/a & b/2.mp4", "m:/V/c/3.mp4", "/elsewhere/4.mp4", "/database/5.mp4"]
    assert plex.scan(paths) == ("/data/a & b", "m:\\V\\c")
    asked = [str(request.path_url) for request in wire.requests if "/refresh" in str(request.path_url)]
    assert asked == [
        "/library/sections/1/refresh?path=%2Fdata%2Fa%20%26%20b",
        "/library/sections/2/refresh?path=m%3A%5CV%5Cc",
    ]
    assert plex.scan([]) == ()


def test_what_was_rated_or_watched_since(plex: Plex, wire: Wire) -> None:
    asked: list[str] = []

    def answer(request: requests.PreparedRequest) -> Answer:
        asked.append(str(request.path_url))
        start = int(request.headers["X-Plex-Container-Start"])
        videos = "".join(
            f'<Video ratingKey="{key}" userRating="7.5" viewCount="2" />'
            for key in range(start + 1, min(start + PAGE_SIZE, PAGE_SIZE + 3) + 1)
        )
        return (
            200,
            {"Content-Type": "text/xml;charset=utf-8"},
            container(videos, f'totalSize="{PAGE_SIZE + 3}"'),
        )

    wire._answers["GET", "/library/sections/1/all"] = answer
    found = list(plex.touched("lastRatedAt", 1_700_000_000))
    assert [entry.rating_key for entry in found] == list(range(1, PAGE_SIZE + 4))
    assert (found[0].user_rating, found[0].view_count) == (7.5, 2)
    assert len(asked) == 2 and all("lastRatedAt%3E%3E=1700000000" in path for path in asked)
    wire.says(
        "/library/sections/1/all", container("".join(f'<Video ratingKey="{n}" />' for n in range(1, 3001)))
    )
    assert len(list(plex.touched("lastViewedAt", -5))) == 3000, "a server that knows no windows"


# --- trouble


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (401, HTML, NeedsAttention, "plex_token"),
        (403, HTML, NeedsAttention, "owner"),
        (404, HTML, Unavailable, "404"),
        (400, "", Unavailable, "400"),
        (429, "", Unavailable, "429"),
        (500, HTML, Unavailable, "500"),
        (502, HTML, Unavailable, "502"),
        (503, '{"code":503,"title":"Maintenance"}', Unavailable, "maintenance"),
        (302, "", Unavailable, "another address"),
        (406, "", Unavailable, "406"),
        (599, "", Unavailable, "599"),
        (200, HTML, Unavailable, "plex_url"),
        (200, "<!DOCTYPE html><html></html>", Unavailable, "plex_url"),
        (200, '{"MediaContainer": {}}', Unavailable, "plex_url"),
        (200, "", Unavailable, "nothing"),
        (200, "   ", Unavailable, "nothing"),
        (200, '<MediaContainer size="1"><Directory', Unavailable, "plex_url"),
        (200, "<Response />", Unavailable, "plex_url"),
        (200, '<MediaContainer allowSync="often" machineIdentifier="x" />', Unavailable, "plex_url"),
        (200, "<MediaContainer />", Unavailable, "plex_url"),
    ],
)
def test_answers_that_are_no_use(
    wire: Wire, status: int, body: str, kind: type[SyncFailure], part: str
) -> None:
    """The first question, and the same on a connection that worked before."""
    working = Plex(SETTINGS)
    working.libraries()
    if "allowSync" not in body and body != "<MediaContainer />":
        wire.says("/library/sections", body, status=status, Location="http://elsewhere/")
        assert part in failure(kind, lambda: working.libraries(fresh=True))
    wire.says("/", body, status=status, Location="http://elsewhere/")
    assert part in failure(kind, Plex(SETTINGS).health)


NAME_UNKNOWN = urllib3.exceptions.NameResolutionError("plex", None, OSError("x"))  # type: ignore[arg-type]
DROPPED = requests.ConnectionError(
    urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset"))
)


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (requests.ConnectionError(ConnectionRefusedError(111, TOKEN)), Unavailable, "refused"),
        (
            requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, TOKEN, NAME_UNKNOWN)),
            Unavailable,
            "name",
        ),  # type: ignore[arg-type]
        (requests.ConnectTimeout(TOKEN), Unavailable, "no connection in time"),
        (requests.ReadTimeout(TOKEN), Unavailable, "within 30 s"),
        (requests.exceptions.ChunkedEncodingError(TOKEN), Unavailable, "broke off"),
        (DROPPED, Unavailable, "broke off"),
        (
            requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"),
            SettingProblem,
            "switch plex_insecure on",
        ),
        (requests.exceptions.SSLError("WRONG_VERSION_NUMBER"), Unavailable, "https"),
        (requests.exceptions.InvalidURL(TOKEN), Unavailable, "address"),
    ],
)
def test_no_answer_at_all(
    plex: Plex, wire: Wire, error: Exception, kind: type[SyncFailure], part: str
) -> None:
    wire.breaks("/", error)
    assert part in failure(kind, plex.health)


def test_a_kept_connection_that_was_dropped_is_tried_once_more(plex: Plex, wire: Wire) -> None:
    wire.breaks("/library/sections", DROPPED, times=1)
    assert plex.libraries()
    assert wire.asked.count("GET /library/sections") == 2


def test_damaged_xml_of_one_item_is_that_items_trouble(plex: Plex, wire: Wire) -> None:
    """Else one item would stop all the others for good."""
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.says("/library/metadata/7", '<MediaContainer><Video ratingKey="7" title="')
    assert "damaged" in failure(Transient, lambda: plex.find(["/data/a.mp4"]))
    wire.says("/library/metadata/7", HTML, status=500)
    assert "this item" in failure(Transient, lambda: plex.find(["/data/a.mp4"]))


def test_control_characters_plex_lets_through_are_taken_out(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/a.mp4")])
    wire.has(7, "/data/a.mp4", 'title="a\x0bb"')
    assert plex.find(["/data/a.mp4"])[0].title == "ab"


def test_an_answer_without_charset_is_utf8(plex: Plex, wire: Wire) -> None:
    wire.lists(1, [(7, "/data/é.mp4")])
    body = container(video(7, "/data/é.mp4", 'title="é"'), 'librarySectionID="1"')
    wire.says("/library/metadata/7", body, **{"Content-Type": "text/xml"})
    assert plex.find(["/data/é.mp4"])[0].title == "é"


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (400, f"'language' is invalid {TOKEN}", Permanent, "'language' is invalid <hidden>"),
        (400, "", Permanent, "does not say why"),
        (400, "the server is still starting up. Please retry later", Unavailable, "starting up"),
        (413, "", Permanent, "413"),
        (414, HTML, Permanent, "One title alone is longer than it takes"),
        (431, HTML, Permanent, "431"),
        (404, HTML, Transient, "vanished"),
        (406, HTML, Transient, "406"),
        (500, HTML, Transient, "this item"),
        (503, "", Unavailable, "503"),
        (401, HTML, NeedsAttention, "plex_token"),
        (200, HTML, Unavailable, "plex_url"),
        (200, "<broken", Unavailable, "did not answer"),
    ],
)
def test_an_edit_that_fails(
    plex: Plex, wire: Wire, status: int, body: str, kind: type[SyncFailure], part: str
) -> None:
    wire.says("/library/sections/1/all", body, status=status, method="PUT")
    edits = Edits({"title.value": "T", "title.locked": "1"}, ("title",))
    assert part in failure(kind, lambda: plex.write(Item(7, 1), edits))


def test_after_a_failure_the_next_question_works(plex: Plex, wire: Wire) -> None:
    wire.breaks("/", requests.ReadTimeout(), times=1)
    failure(Unavailable, plex.health)
    assert plex.health().name == "Home"


# --- python-plexapi's own ways


def test_the_users_plexapi_configuration_is_neither_read_nor_written(tmp_path: Path) -> None:
    """It may hold another token, and name a log file."""
    (tmp_path / ".config" / "plexapi").mkdir(parents=True)
    config = (
        "[auth]\nserver_token = other-token\nserver_baseurl = http://other\n[log]\npath = {}\nlevel = DEBUG\n"
    )
    (tmp_path / ".config" / "plexapi" / "config.ini").write_text(config.format(tmp_path / "ini.log"))
    code = (
        "import os, plexsync.servers.plex, plexapi; assert plexapi.CONFIG.data == {}, plexapi.CONFIG.data; "
        "assert plexapi.logfile is None, plexapi.logfile; assert os.environ['PLEXAPI_LOG_PATH']; "
        "assert 'PLEXAPI_CONFIG_PATH' not in os.environ"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PLEXAPI_LOG_PATH": str(tmp_path / "env.log")}
    environment.pop("PLEXAPI_CONFIG_PATH", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=30)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".config"]
