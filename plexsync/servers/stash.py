"""Stash, through stashapi: its settings of ours, and scenes as they are now.

stashapi 0.1.5 swallows most errors, prints them to standard error and answers with an empty dictionary; it
has no timeouts. So answers are judged at the transport, before stashapi sees them, and its logger is a silent
one. Every query carries its own selection: stashapi's default one is refused by Stash 0.30.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from stashapi.stashapp import StashInterface

from plexsync.core.failures import NeedsAttention, SettingProblem, Transient, Unavailable, redact
from plexsync.core.scene import SELECTION, Scene, scene_from
from plexsync.servers import transport

PLUGIN_ID = "PlexSync"
PAGE_SIZE = 100  # scenes a request
ADD_PLAY = "sceneAddPlay"
# updated_at is compared as text, and carries the offset of whichever zone Stash ran under: -12:00 to +14:00.
ZONES_APART = datetime.timedelta(hours=28)

_SILENT = logging.getLogger("plexsync.stash.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class _Client(StashInterface):
    """stashapi's client behind our transport, without its construction's third request.

    That request is a full introspection, half a megabyte, for default selections we never use.
    """

    def __init__(self, connection: Mapping[str, object], door: transport.Transport) -> None:
        self._door = door
        super().__init__({**connection, "Logger": _SILENT}, verify_ssl=False, force_api_key=True)

    def set_timeout(self, timeout_s: float) -> None:
        self._door.set_timeout(timeout_s)

    @property
    def s(self) -> requests.Session:
        """stashapi's session; it asks its first question as soon as it has one."""
        return self._session

    @s.setter
    def s(self, session: requests.Session) -> None:
        # A Stash at home shows a certificate it made itself, and the connection data came from Stash itself.
        transport.mount(session, self._door, verify=False)
        session.hooks["response"].append(self._keep_renewed_cookie)
        self._session = session

    def _keep_renewed_cookie(self, response: requests.Response, *args: object, **kwargs: object) -> None:
        """Only the newest session cookie is sent. stashapi's own has no domain, so a renewed one would be
        stored beside it and sent second; Stash reads the first, and locks a client out when that is an hour
        old."""
        renewed = response.cookies.get("session")
        if renewed:
            self._session.cookies.clear()
            self._session.cookies.set("session", renewed)

    def _get_fragments_introspection(self, *args: object, **kwargs: object) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Cover:
    """The answer to a request for a scene's cover; ``core.picture.judge`` tells whether it is a picture."""

    data: bytes
    content_type: str
    etag: str  # to be sent with the next request for it


class Stash:
    """One Stash server. Connects when first used.

    Every method raises only failures of ours: NeedsAttention (401, 403, or a Stash that does not understand
    our questions), Unavailable (no answer, or not GraphQL's), Transient (an error inside Stash, a locked
    database), Permanent (a scene without an id).
    """

    def __init__(self, connection: Mapping[str, object], timeout_s: float = 30.0) -> None:
        """``connection`` is the ``server_connection`` of a plugin's input, keys in any case, values perhaps
        missing."""
        self._given = _lowered(connection)
        self._timeout_s = timeout_s
        self._client: Any = None  # stashapi is annotated here and there; too little to check against

    def refresh(self, connection: Mapping[str, object]) -> None:
        """Newer connection data: a cookie is taken over at once; a connection by API key goes on as it is."""
        before, self._given = self.address, _lowered(connection)
        cookie = self._cookie()
        if self.address != before:
            self._client = None
        elif self._client is not None and cookie and "ApiKey" not in self._client.s.headers:
            self._client.s.cookies.clear()
            self._client.s.cookies.set("session", cookie)

    def set_timeout(self, timeout_s: float) -> None:
        """For every request from now on: the setting is Stash's to tell, so it is known only once Stash was asked."""
        self._timeout_s = timeout_s
        if self._client is not None:
            self._client.set_timeout(timeout_s)

    @property
    def address(self) -> str:
        """``scheme://host:port``, with every-interface addresses turned into loopback."""
        scheme = self._given.get("scheme") or "http"
        return f"{scheme}://{_host(self._given.get('host'))}:{self._given.get('port') or 9999}"

    @property
    def api_key(self) -> str:
        """The key in use once connected, "" when Stash has none. It outlives a session cookie (one hour)."""
        with self._border():
            return str(self._connected().s.headers.get("ApiKey") or "")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text: the API key and the session cookie, as far as they are known."""
        found = [self._given.get("apikey"), self._cookie()]
        if self._client is not None:
            found.append(self._client.s.headers.get("ApiKey"))
        return tuple(str(secret) for secret in found if secret)

    def version(self) -> str:
        """Stash's version as stashapi spells it, asked for anew: it tells whether Stash is there."""
        with self._border():
            return str(self._connected().stash_version())

    def settings(self) -> dict[str, object]:
        """What is stored of the plugin's settings; keys never touched are absent."""
        with self._border():
            stored = self._connected().find_plugin_config(PLUGIN_ID)
        return dict(stored) if isinstance(stored, Mapping) else {}

    def scene(self, scene_id: int) -> Scene | None:
        """The scene as it is now; None when there is none with this id."""
        with self._border():
            found = self._connected().find_scene(scene_id, fragment=SELECTION)
        return scene_from(found) if isinstance(found, Mapping) else None

    def scenes(self, scene_ids: Iterable[int]) -> dict[int, Scene]:
        """Those of these scenes that exist, by id, in one request.

        Asked one by one under aliases: ``findScenes(ids:)`` fails as a whole for one unknown id.
        """
        asked = " ".join(
            f"s{number}: findScene(id: {number}) {{ ...Synced }}" for number in sorted(set(scene_ids))
        )
        if not asked:
            return {}
        with self._border():
            answer = self._connected().call_GQL(
                f"query {{ {asked} }} fragment Synced on Scene {{ {SELECTION} }}"
            )
        found = [scene_from(scene) for scene in answer.values() if isinstance(scene, Mapping)]
        return {scene.id: scene for scene in found}

    def scene_pages(
        self,
        after_id: int = 0,
        per_page: int = PAGE_SIZE,
        updated_since: datetime.datetime | None = None,
    ) -> Iterator[list[Scene]]:
        """All scenes with a greater id, in order of their ids, in lists of at most ``per_page``; none is
        empty.

        Paging by id neither skips nor repeats while scenes come and go. ``updated_since`` (an instant with
        its zone) keeps those edited at or after it; Stash's own comparison is by text, so it is asked for
        more and the instants are compared here.
        """
        scene_filter: dict[str, object] = {}
        if updated_since is not None:
            earliest = (updated_since - ZONES_APART).astimezone(datetime.UTC)
            scene_filter["updated_at"] = {
                "modifier": "GREATER_THAN",
                "value": earliest.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        for page in self._pages(scene_filter, SELECTION, after_id, per_page):
            scenes = [scene_from(scene) for scene in page]
            if updated_since is not None:
                scenes = [scene for scene in scenes if _instant(scene.updated_at) >= updated_since]
            if scenes:
                yield scenes

    def all_ids(self, after_id: int = 0, per_page: int = 1000) -> Iterator[int]:
        """The ids of all scenes, ascending."""
        for page in self._pages({}, "id", after_id, per_page):
            yield from (int(scene["id"]) for scene in page)

    def scene_ids_of(
        self, entity: str, entity_id: int, after_id: int = 0, per_page: int = 500
    ) -> Iterator[list[int]]:
        """The ids of the scenes of one performer, studio (its sub-studios too), tag or group, ascending, in lists."""
        wanted: dict[str, object] = {"value": [str(entity_id)], "modifier": "INCLUDES"}
        if entity == "studio":
            wanted["depth"] = -1  # a scene may show its parent studio
        for page in self._pages({f"{entity}s": wanted}, "id", after_id, per_page):
            yield [int(scene["id"]) for scene in page]

    def needs_login(self) -> bool:
        """Whether a picture is shown only to those who log in; asked as somebody who has neither key nor cookie."""
        door = transport.Transport("Stash", self.address, self._timeout_s, lambda request, response: None)
        with self._border(), requests.Session() as session:
            transport.mount(session, door, verify=False)
            # There is no performer 0, so nothing is sent; who must log in is told so before that is noticed.
            answer = session.get(f"{self.address}/performer/0/image", allow_redirects=False)
        return answer.is_redirect or answer.status_code in (401, 403)

    def rate(self, scene_id: int, rating100: int) -> None:
        """Give the scene this rating and touch nothing else of it. Fires the hook of an edit."""
        with self._border():
            self._connected().update_scene({"id": str(scene_id), "rating100": rating100})

    def add_plays(self, scene_id: int, count: int, at: int) -> None:
        """Count ``count`` plays that ended at an epoch second, unless they are counted already. Fires no hook."""
        moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
        query = "query Plays($id: ID!) { findScene(id: $id) { play_history } }"
        with self._border():
            found = self._connected().call_GQL(query, {"id": str(scene_id)})["findScene"]
            if found is None:
                return  # deleted meanwhile
            missing = count - sum(_instant(time) == moment for time in found["play_history"])
            if missing > 0:
                self._connected().call_GQL(
                    f"mutation {ADD_PLAY}($id: ID!, $times: [Timestamp!]) "
                    f"{{ {ADD_PLAY}(id: $id, times: $times) {{ count }} }}",
                    {"id": str(scene_id), "times": [moment.strftime("%Y-%m-%dT%H:%M:%SZ")] * missing},
                )

    def count(self) -> int:
        """How many scenes there are."""
        with self._border():
            number, _ = self._connected().find_scenes(
                {}, filter={"per_page": 0}, fragment="id", get_count=True
            )
        return int(number)

    def cover(self, scene_id: int, etag: str = "") -> Cover | None:
        """The scene's cover as Stash shows it; None when it is still the one of ``etag``, or the scene is
        gone.

        The address is ours, not the one in ``Scene.screenshot``: that one is made from a Host header.
        """
        with self._border():
            answer = self._connected().s.get(
                f"{self.address}/scene/{scene_id}/screenshot",
                headers={"Accept": "image/*", **({"If-None-Match": etag} if etag else {})},
            )
        if answer.status_code in (304, 404):
            return None
        return Cover(answer.content, answer.headers.get("Content-Type", ""), answer.headers.get("ETag", ""))

    def _pages(
        self, scene_filter: Mapping[str, object], selection: str, after_id: int, per_page: int
    ) -> Iterator[list[Mapping[str, Any]]]:
        while True:
            # Fresh dictionaries for every call: stashapi writes into those it is given.
            with self._border():
                page = self._connected().find_scenes(
                    {**scene_filter, "id": {"modifier": "GREATER_THAN", "value": after_id}},
                    filter={"per_page": per_page, "page": 1, "sort": "id", "direction": "ASC"},
                    fragment=selection,
                )
            if page:
                yield page
            if len(page) < per_page:
                return
            after_id = int(page[-1]["id"])

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> _Client:
        door = transport.Transport("Stash", self.address, self._timeout_s, self._judge, once=_adds_up)
        connection: dict[str, object] = {
            "Scheme": self._given.get("scheme") or "http",
            "Host": _host(self._given.get("host")),
            "Port": self._given.get("port") or 9999,
        }
        cookie, key = self._cookie(), str(self._given.get("apikey") or "")
        if cookie:
            connection["SessionCookie"] = {"Value": cookie}
        if key:
            try:
                return _Client({**connection, "ApiKey": key}, door)
            except (
                NeedsAttention
            ):  # a key made invalid by a newer one; Stash does not look at the cookie then
                if not cookie:
                    raise
        return _Client(connection, door)

    def _cookie(self) -> str:
        cookie = self._given.get("sessioncookie")
        return str(cookie.get("Value") or "") if isinstance(cookie, Mapping) else ""

    @contextlib.contextmanager
    def _border(self) -> Iterator[None]:
        """What requests refuses before sending, and what stashapi makes of an answer without what it asked for."""
        try:
            yield
        except (requests.RequestException, UnicodeError):
            raise SettingProblem(
                "server_connection", f"Stash gave an address one cannot connect to: {self.address}."
            ) from None
        except (AttributeError, KeyError, TypeError, IndexError):
            raise self._strange() from None

    def _strange(self) -> Unavailable:
        return Unavailable("Stash", f"Stash at {self.address} does not answer as Stash does.")

    def _judge(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Turn an answer that is no use into its failure; stashapi sees only complete data."""
        where, status = f"Stash at {self.address}", response.status_code
        if status == 401:
            self._client = None  # a key may have been replaced: connect anew, by cookie, next time
            raise NeedsAttention(
                "Stash",
                f"{where} does not accept our session or API key (401): run one of PlexSync's tasks in Stash, or save "
                "any scene, and it lends a new one.",
            )
        if status == 403:
            raise NeedsAttention("Stash", f"{where} forbids this (403); its log tells why.")
        if request.method == "GET":
            self._judge_picture(status)
            return
        if 300 <= status < 400:  # followed, it would carry the key to wherever it points
            raise Unavailable("Stash", f"{where} points to another address ({status}).")
        if status >= 500 or status in (404, 429):
            raise Unavailable("Stash", f"{where} answers {status}; its own log may say why.")
        try:
            answer = json.loads(response.content)
        except ValueError:
            raise self._strange() from None
        if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
            raise self._strange()
        errors = answer.get("errors")
        if errors or answer.get("data") is None:
            # Data beside errors is data with holes, and a hole would be written to Plex as "unset".
            raise self._refusal(status, errors if isinstance(errors, list) else [])
        if status != 200:
            raise Unavailable("Stash", f"{where} answers {status}.")

    def _judge_picture(self, status: int) -> None:
        """Of a picture only the status is judged here; trouble with one says nothing about Stash as a whole."""
        if status in (301, 302, 303, 307, 308):  # to the login page, which would come with 200
            raise NeedsAttention("Stash", f"Stash at {self.address} wants a login for pictures ({status}).")
        if status not in (200, 304, 404):
            raise Transient(f"Stash at {self.address} answers {status} for a picture.")

    def _refusal(self, status: int, errors: Sequence[object]) -> Transient | NeedsAttention:
        first = errors[0] if errors and isinstance(errors[0], dict) else {}
        said = redact(transport.excerpt(str(first.get("message") or "no reason given"), 200), self.secrets)
        if "database is locked" in said:
            return Transient("Stash's database is locked just now.")
        extensions = first.get("extensions")
        code = str(extensions.get("code", "")) if isinstance(extensions, dict) else ""
        if code in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED") or status in (400, 422):
            return NeedsAttention("Stash", f"This version of Stash does not understand PlexSync: {said}")
        return Transient(f"Stash failed to answer: {said}")


def _adds_up(request: requests.PreparedRequest) -> bool:
    """Would sending this request twice count something twice?"""
    body = request.body or b""
    return ADD_PLAY in (body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body))


def _lowered(connection: Mapping[str, object]) -> dict[str, object]:
    return {str(key).lower(): value for key, value in connection.items()}


def _host(given: object) -> str:
    """A host one can connect to, as a URL spells it: Stash reports the address it listens on."""
    host = str(given or "localhost").strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def _instant(text: str) -> datetime.datetime:
    """The instant of an RFC 3339 time; the latest there is when it is none, so that its scene is not left out."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
