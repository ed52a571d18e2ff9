"""The Stash adapter against answers made by hand: what it asks for, and what each kind of trouble becomes.

The same adapter meets a whole server in ``test_adapters_live.py``.
"""

from __future__ import annotations

import datetime
import json
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

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
from plexsync.core.scene import Scene
from plexsync.servers.stash import Stash

COOKIE = "c00kie-of-the-session"
KEY = "k3y.of.the.api"
CONNECTION = {
    "Scheme": "http",
    "Host": "0.0.0.0",
    "Port": 9999,
    "SessionCookie": {"Name": "session", "Value": COOKIE},
    "Dir": "/root/.stash",
    "PluginDir": "/root/.stash/plugins/PlexSync",
}
HTML = "<html><body>Please log in</body></html>"

Reply = tuple[int, dict[str, str], str]


class Wire:
    """Answers by the words a query holds, and the list of what was asked."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self._mock = mock
        self._answers: dict[str, Callable[[dict[str, Any]], Reply]] = {}
        self.refuses_keys = False
        mock.add_callback("POST", re.compile(r".*/graphql"), self._answer)
        self.data("StashVersion", {"version": {"version": "v0.30.1", "hash": "abcdef012", "build_time": ""}})
        self.data("getApiKey", {"configuration": {"general": {"apiKey": ""}}})

    def says(self, word: str, body: str, *, status: int = 200, **headers: str) -> None:
        self._answers[word] = lambda asked: (status, {"Content-Type": "application/json", **headers}, body)

    def data(self, word: str, data: object) -> None:
        self.says(word, json.dumps({"data": data}))

    def errors(
        self, word: str, message: str, *, status: int = 200, data: object = None, code: str = ""
    ) -> None:
        error = {"message": message, **({"extensions": {"code": code}} if code else {})}
        self.says(word, json.dumps({"errors": [error], "data": data}), status=status)

    def breaks(self, word: str, error: Exception, *, times: int = 99) -> None:
        left, before = [times], self._answers[word]

        def answer(asked: dict[str, Any]) -> Reply:
            left[0] -= 1
            if left[0] >= 0:
                raise error
            return before(asked)

        self._answers[word] = answer

    def finds(self, scenes: list[dict[str, Any]]) -> None:
        """``findScenes`` with paging by id."""

        def answer(asked: dict[str, Any]) -> Reply:
            page, chosen = asked["variables"]["filter"], asked["variables"]["scene_filter"]
            after = chosen.get("id", {"value": 0})["value"]
            left = [scene for scene in scenes if int(scene["id"]) > after][: page["per_page"]]
            found = {"count": len(scenes), "scenes": left}
            return 200, {"Content-Type": "application/json"}, json.dumps({"data": {"findScenes": found}})

        self._answers["findScenes"] = answer

    def _answer(self, request: requests.PreparedRequest) -> Reply:
        asked = json.loads(request.body or "{}")
        if self.refuses_keys and "ApiKey" in request.headers:
            return 401, {"WWW-Authenticate": "FormBased"}, ""
        for word, answer in self._answers.items():
            if word in asked["query"]:
                return answer(asked)
        return (
            422,
            {"Content-Type": "application/json"},
            '{"errors": [{"message": "unknown field"}], "data": null}',
        )

    @property
    def requests(self) -> list[requests.PreparedRequest]:
        return [call.request for call in self._mock.calls]

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(request.body or "{}") for request in self.requests]

    def forget(self) -> None:
        self._mock.calls.reset()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Wire(mock)


@pytest.fixture
def stash(wire: Wire) -> Stash:
    return Stash(CONNECTION, 7)


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """stashapi prints to standard error, which is Stash's log; nothing may, in any test."""
    yield
    assert capfd.readouterr() == ("", "")


def failure(kind: type[SyncFailure], act: Callable[[], object]) -> str:
    """The sentence ``act`` fails with; no secret in it, nor in anything a traceback would print."""
    with pytest.raises(kind) as caught:
        act()
    assert caught.type is kind
    printed = "".join(traceback.format_exception(caught.value))
    assert COOKIE not in printed
    assert KEY not in printed
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- telling Stash


def test_a_rating_is_an_edit_of_nothing_else(stash: Stash, wire: Wire) -> None:
    wire.data("sceneUpdate", {"sceneUpdate": {"id": "12"}})
    stash.rate(12, 75)
    assert wire.asked[-1]["variables"] == {"input": {"id": "12", "rating100": 75}}


@pytest.mark.parametrize(
    ("history", "sent"),
    [
        ([], 2),
        (["2023-11-14T22:13:19Z", "2023-11-14T22:13:21Z"], 2),
        (["2023-11-14T22:13:20Z"], 1),
        (["2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20Z"], 0),
    ],
)
def test_plays_that_are_counted_already_are_not_counted_again(
    stash: Stash, wire: Wire, history: list[str], sent: int
) -> None:
    wire.data("sceneAddPlay", {"sceneAddPlay": {"count": 9}})
    wire.data("play_history", {"findScene": {"play_history": history}})
    stash.add_plays(12, 2, 1_700_000_000)
    told = [asked["variables"] for asked in wire.asked if "sceneAddPlay" in asked["query"]]
    assert told == ([{"id": "12", "times": ["2023-11-14T22:13:20Z"] * sent}] if sent else [])


def test_plays_of_a_scene_deleted_meanwhile_are_nobodys(stash: Stash, wire: Wire) -> None:
    wire.data("play_history", {"findScene": None})
    stash.add_plays(12, 2, 1_700_000_000)
    assert not [asked for asked in wire.asked if "sceneAddPlay" in asked["query"]]


def test_what_adds_up_is_not_sent_twice_over_a_dropped_connection(stash: Stash, wire: Wire) -> None:
    wire.data("sceneAddPlay", {"sceneAddPlay": {"count": 9}})
    wire.data("play_history", {"findScene": {"play_history": []}})
    wire.breaks(
        "sceneAddPlay", requests.ConnectionError(urllib3.exceptions.ProtocolError("dropped")), times=1
    )
    failure(Unavailable, lambda: stash.add_plays(12, 1, 1_700_000_000))
    assert sum("sceneAddPlay" in asked["query"] for asked in wire.asked) == 1


# --- connecting


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:9999"),
        ("::", "http://[::1]:9999"),
        ("[::]", "http://[::1]:9999"),
        ("::1", "http://[::1]:9999"),
        ("192.168.1.5", "http://192.168.1.5:9999"),
        ("stash.local", "http://stash.local:9999"),
        ("", "http://localhost:9999"),
        (None, "http://localhost:9999"),
    ],
)
def test_every_interface_becomes_loopback(wire: Wire, host: str | None, address: str) -> None:
    stash = Stash({**CONNECTION, "Host": host})
    assert stash.address == address
    assert stash.version()
    assert all(str(request.url).startswith(f"{address}/graphql") for request in wire.requests)


def test_connecting_takes_two_questions_and_none_is_an_introspection(stash: Stash, wire: Wire) -> None:
    assert wire.requests == []
    assert stash.api_key == ""
    assert len(wire.requests) == 2
    assert not any("__schema" in asked["query"] for asked in wire.asked)


def test_keys_of_the_connection_may_come_in_any_case(wire: Wire) -> None:
    stash = Stash({"scheme": "http", "HOST": "10.0.0.1", "port": 1234, "sessioncookie": {"Value": COOKIE}})
    assert stash.version()
    assert str(wire.requests[0].url) == "http://10.0.0.1:1234/graphql"
    assert wire.requests[0].headers["Cookie"] == f"session={COOKIE}"


@pytest.mark.parametrize("cookie", [None, {}, {"Value": ""}, "text"])
def test_a_connection_without_a_cookie(wire: Wire, cookie: object) -> None:
    assert Stash({**CONNECTION, "SessionCookie": cookie}).version().startswith("v0.30.1")
    assert "Cookie" not in wire.requests[0].headers


def test_the_api_key_is_preferred_once_known(stash: Stash, wire: Wire) -> None:
    wire.data("getApiKey", {"configuration": {"general": {"apiKey": KEY}}})
    assert stash.api_key == KEY
    stash.version()
    assert wire.requests[-1].headers["ApiKey"] == KEY
    assert "Cookie" not in wire.requests[-1].headers
    assert set(stash.secrets) == {KEY, COOKIE}


def test_a_key_that_was_replaced_is_given_up_for_the_cookie(wire: Wire) -> None:
    """Stash answers a wrong key with 401 and does not look at the cookie."""
    stash = Stash({**CONNECTION, "ApiKey": "an-old-key"})
    wire.refuses_keys = True
    assert stash.version().startswith("v0.30.1")
    assert "ApiKey" in wire.requests[0].headers
    assert "ApiKey" not in wire.requests[-1].headers


def test_only_the_newest_cookie_is_sent(stash: Stash, wire: Wire) -> None:
    """Stash reads the first of two; an hour later that is the one that has expired."""
    stash.version()
    version = json.dumps({"data": {"version": {"version": "v0.30.1", "hash": "", "build_time": ""}}})
    for renewed in ("second", "third"):
        wire.says("StashVersion", version, **{"Set-Cookie": f"session={renewed}; Path=/; Max-Age=3600"})
        stash.version()
        stash.version()
        assert set(wire.requests[-1].headers["Cookie"].split("; ")) == {f"session={renewed}"}


def test_newer_connection_data_is_taken_over_without_connecting_anew(stash: Stash, wire: Wire) -> None:
    stash.version()
    wire.forget()
    stash.refresh({**CONNECTION, "SessionCookie": {"Value": "newer-cookie"}})
    stash.version()
    assert [request.headers["Cookie"] for request in wire.requests] == ["session=newer-cookie"]


def test_a_stash_that_moved_is_connected_to_anew(stash: Stash, wire: Wire) -> None:
    stash.version()
    stash.refresh({**CONNECTION, "Port": 1234})
    stash.version()
    assert str(wire.requests[-1].url) == "http://127.0.0.1:1234/graphql"


def test_every_request_has_a_timeout(stash: Stash, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    real = requests.adapters.HTTPAdapter.send

    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        given.append((kwargs["timeout"], kwargs["verify"]))
        return real(self, request, **kwargs)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    stash.version()
    assert given
    assert set(given) == {((7, 7), False)}


# --- asking


def test_settings(stash: Stash, wire: Wire) -> None:
    wire.data("FindPluginConfig", {"configuration": {"plugins": {"PlexSync": {"plex_url": "http://plex"}}}})
    assert stash.settings() == {"plex_url": "http://plex"}
    assert wire.asked[-1]["variables"] == {"input": ["PlexSync"]}


@pytest.mark.parametrize("plugins", [{}, {"PlexSync": None}, {"PlexSync": {}}, {"Other": {"a": 1}}])
def test_settings_never_touched(stash: Stash, wire: Wire, plugins: object) -> None:
    wire.data("FindPluginConfig", {"configuration": {"plugins": plugins}})
    assert stash.settings() == {}


def test_a_scene(stash: Stash, wire: Wire) -> None:
    wire.data("findScene", {"findScene": {"id": "7", "title": "T"}})
    stash.version()
    wire.forget()
    assert stash.scene(7) == Scene(7, title="T")
    (asked,) = wire.asked
    assert asked["variables"] == {"scene_id": 7}
    assert "...Scene" not in asked["query"]
    assert "parent_folder" not in asked["query"]


def test_a_scene_that_is_gone(stash: Stash, wire: Wire) -> None:
    wire.data("findScene", {"findScene": None})
    assert stash.scene(7) is None


def test_a_damaged_scene(stash: Stash, wire: Wire) -> None:
    wire.data("findScene", {"findScene": {"id": None}})
    failure(Permanent, lambda: stash.scene(7))


def test_several_scenes_in_one_question(stash: Stash, wire: Wire) -> None:
    wire.data("findScene", {"s7": {"id": "7"}, "s8": None, "s9": {"id": "9"}})
    stash.version()
    wire.forget()
    assert stash.scenes([9, 7, 8, 7]) == {7: Scene(7), 9: Scene(9)}
    assert len(wire.asked) == 1
    assert wire.asked[0]["query"].count("findScene(") == 3
    assert stash.scenes([]) == {}
    assert len(wire.asked) == 1


def test_pages_by_id_neither_skip_nor_repeat(stash: Stash, wire: Wire) -> None:
    wire.finds([{"id": str(n)} for n in range(1, 8)])
    assert [[s.id for s in page] for page in stash.scene_pages(per_page=3)] == [[1, 2, 3], [4, 5, 6], [7]]
    assert [[s.id for s in page] for page in stash.scene_pages(after_id=4, per_page=3)] == [[5, 6, 7]]
    assert list(stash.scene_pages(after_id=7)) == []
    assert list(stash.all_ids(per_page=2)) == [1, 2, 3, 4, 5, 6, 7]
    assert stash.count() == 7
    assert all(a["variables"]["filter"].get("q", "") == "" for a in wire.asked if "variables" in a)


def test_scenes_changed_since_are_compared_as_instants(stash: Stash, wire: Wire) -> None:
    """Stash compares the texts, and keeps the offset it ran under when it wrote each."""
    since = datetime.datetime(2026, 1, 11, 12, 0, tzinfo=datetime.UTC)
    wire.finds(
        [
            {"id": "1", "updated_at": "2026-01-11T18:07:53+11:00"},  # 07:07 UTC
            {"id": "2", "updated_at": "2026-01-11T04:00:00-08:00"},  # 12:00 UTC
            {"id": "3", "updated_at": "2026-01-11T12:00:01Z"},
            {"id": "4", "updated_at": "some day"},
        ]
    )
    assert [[s.id for s in page] for page in stash.scene_pages(updated_since=since)] == [[2, 3, 4]]
    asked = wire.asked[-1]["variables"]["scene_filter"]
    assert asked["updated_at"] == {"modifier": "GREATER_THAN", "value": "2026-01-10T08:00:00Z"}


# --- trouble


LOCKED = "failed to begin: database is locked"


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (401, "", NeedsAttention, "API key (401)"),
        (403, HTML, NeedsAttention, "403"),
        (404, HTML, Unavailable, "404"),
        (429, "", Unavailable, "429"),
        (500, HTML, Unavailable, "500"),
        (503, "", Unavailable, "503"),
        (302, "", Unavailable, "another address"),
        (418, '{"data": {"findScene": null}}', Unavailable, "418"),
        (200, HTML, Unavailable, "does not answer as Stash does"),
        (200, "", Unavailable, "does not answer as Stash does"),
        (200, '{"data": {"findSc', Unavailable, "does not answer as Stash does"),
        (200, "[]", Unavailable, "does not answer as Stash does"),
        (200, '{"hello": 1}', Unavailable, "does not answer as Stash does"),
        (200, '{"data": {"other": {}}}', Unavailable, "does not answer as Stash does"),
        (200, '{"data": {}}', Unavailable, "does not answer as Stash does"),
        (200, '{"data": null}', Transient, "no reason given"),
        (
            200,
            json.dumps({"errors": [{"message": LOCKED}], "data": {"findScene": None}}),
            Transient,
            "locked",
        ),
        (200, json.dumps({"errors": ["odd"], "data": None}), Transient, "no reason given"),
        (
            200,
            json.dumps({"errors": [{"message": f"a\nb {KEY} {COOKIE}"}], "data": None}),
            Transient,
            "a b <hidden>",
        ),
        (
            422,
            '{"errors":[{"message":"Cannot query field \\"x\\"","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}],'
            '"data":null}',
            NeedsAttention,
            'version of Stash does not understand PlexSync: Cannot query field "x"',
        ),
    ],
)
def test_answers_that_are_no_use(
    wire: Wire, status: int, body: str, kind: type[SyncFailure], part: str
) -> None:
    wire.data("getApiKey", {"configuration": {"general": {"apiKey": KEY}}})
    stash = Stash(CONNECTION)
    stash.version()
    wire.says("findScene", body, status=status, Location="http://elsewhere/")
    assert part in failure(kind, lambda: stash.scene(7))


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_the_same_at_the_first_question(wire: Wire, status: int) -> None:
    wire.says("StashVersion", HTML, status=status)
    assert str(status) in failure(NeedsAttention if status < 404 else Unavailable, Stash(CONNECTION).version)


def test_data_with_holes_is_not_taken_for_data(stash: Stash, wire: Wire) -> None:
    """A studio that could not be read would be cleared in Plex."""
    wire.errors("findScene", "studio failed", data={"findScene": {"id": "7", "title": "T", "studio": None}})
    assert "studio failed" in failure(Transient, lambda: stash.scene(7))


NAME_UNKNOWN = urllib3.exceptions.NameResolutionError("stash", None, OSError("x"))  # type: ignore[arg-type]
DROPPED = requests.ConnectionError(
    urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset"))
)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (requests.ConnectionError(ConnectionRefusedError(111, COOKIE)), "refused"),
        (requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", NAME_UNKNOWN)), "name"),  # type: ignore[arg-type]
        (requests.ReadTimeout(COOKIE), "within 7 s"),
        (requests.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, "/", COOKIE)), "within 7 s"),  # type: ignore[arg-type]
        (requests.exceptions.ChunkedEncodingError(COOKIE), "broke off"),
        (DROPPED, "broke off"),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "https"),
        (OSError(COOKIE), "broke off"),
    ],
)
def test_no_answer_at_all(stash: Stash, wire: Wire, error: Exception, part: str) -> None:
    wire.breaks("StashVersion", error)
    said = failure(Unavailable, stash.version)
    assert part in said
    assert "Stash at http://127.0.0.1:9999" in said


def test_a_kept_connection_that_was_dropped_is_tried_once_more(stash: Stash, wire: Wire) -> None:
    stash.version()
    wire.breaks("StashVersion", DROPPED, times=1)
    assert stash.version()


def test_after_a_failure_the_next_question_works(stash: Stash, wire: Wire) -> None:
    wire.breaks("getApiKey", requests.ReadTimeout(), times=1)
    failure(Unavailable, stash.version)
    assert stash.version()


def test_an_address_that_is_none(wire: Wire) -> None:
    assert "address" in failure(SettingProblem, Stash({"Host": "exa mple", "Port": "x"}).version)
