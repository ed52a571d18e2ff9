"""The HTTP door: bodies in every form a server sends them in, cut short, trickling, or refused."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from plexsync.core.failures import SyncFailure, Unavailable
from plexsync.servers.transport import BODY_TIMEOUTS, Transport, excerpt, mount

BODY = b"<answer>" + b"x" * 300_000 + b"</answer>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        getattr(self, f"answer_{self.path.strip('/').partition('?')[0]}")()

    def head(self, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def answer_plain(self) -> None:
        self.head(Content_Length=str(len(BODY)))
        self.wfile.write(BODY)

    def answer_headers(self) -> None:
        said = json.dumps({**self.headers, "path": self.path}).encode()
        self.head(Content_Length=str(len(said)))
        self.wfile.write(said)

    def answer_empty(self) -> None:
        self.head(Content_Length="0")

    def answer_gzip(self) -> None:
        packed = gzip.compress(BODY)
        self.head(Content_Length=str(len(packed)), Content_Encoding="gzip")
        for start in range(0, len(packed), 5):  # so that a piece may hold too little to unpack anything
            self.wfile.write(packed[start : start + 5])
            self.wfile.flush()

    def answer_chunked(self) -> None:
        self.head(Transfer_Encoding="chunked")
        for start in range(0, len(BODY), 70_000):
            piece = BODY[start : start + 70_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def answer_until_closed(self) -> None:
        self.head(Connection="close")
        self.wfile.write(BODY)
        self.close_connection = True

    def answer_cut(self) -> None:
        self.head(Content_Length=str(len(BODY)))
        self.wfile.write(BODY[:1000])
        self.close_connection = True

    def answer_cut_chunked(self) -> None:
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n%s\r\n" % (8, BODY[:8]))
        self.close_connection = True

    def answer_bad_gzip(self) -> None:
        self.head(Content_Length="9", Content_Encoding="gzip")
        self.wfile.write(b"not gzip!")

    def answer_trickle(self) -> None:
        self.head(Content_Length="100000")
        for _ in range(1000):
            time.sleep(0.02)
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    def answer_hang(self) -> None:
        time.sleep(1)
        self.head(Content_Length="0")

    def answer_dropped_once(self) -> None:
        if type(self).asked == 1:
            self.close_connection = True
            return
        self.answer_plain()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def session() -> requests.Session:
    made = requests.Session()
    mount(
        made,
        Transport("It", "http://it", 0.3, lambda request, response: None, headers={"X-It": "1"}),
        verify=True,
    )
    return made


Get = Callable[[str], requests.Response]


@pytest.fixture(params=["through requests", "past requests"])
def get(request: pytest.FixtureRequest, session: requests.Session, url: str) -> Get:
    """Both ways through the door."""
    if request.param == "through requests":
        return lambda form: session.get(f"{url}/{form}")
    door = session.get_adapter(url)
    assert isinstance(door, Transport)
    return lambda form: door.ask("GET", f"{url}/{form}", {"Accept-Encoding": "gzip"})


@pytest.mark.parametrize("form", ["plain", "gzip", "chunked", "until_closed"])
def test_a_body_arrives_whole_in_every_form(get: Get, form: str) -> None:
    for _ in range(2):
        assert get(form).content == BODY


def test_a_body_may_be_empty(get: Get) -> None:
    assert get("empty").content == b""
    assert get("plain").text == BODY.decode()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("cut", "broke off"),
        ("cut_chunked", "broke off"),
        ("bad_gzip", "broke off"),
        ("hang", "within 0.3 s"),
    ],
)
def test_a_body_that_is_no_use(get: Get, form: str, said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        get(form)
    assert get("plain").content == BODY


def test_a_body_that_trickles_is_given_up(get: Get) -> None:
    """Each byte comes well within the timeout; the last would come in half an hour."""
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"within 0\.3 s"):
        get("trickle")
    assert 0.3 * BODY_TIMEOUTS <= time.monotonic() - began < 5
    assert get("plain").content == BODY


def test_a_dropped_connection_is_tried_once_more(get: Get) -> None:
    assert get("dropped_once").content == BODY
    assert Handler.asked == 2


def test_connections_are_kept_and_shared_by_both_ways(session: requests.Session, url: str) -> None:
    door = session.get_adapter(url)
    assert isinstance(door, Transport)
    for _ in range(3):
        session.get(f"{url}/plain")
        door.ask("GET", f"{url}/plain", {})
    pools = session.get_adapter(url).poolmanager.pools  # type: ignore[attr-defined]
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - not a dictionary


def test_the_environments_proxies_are_not_used(
    session: requests.Session, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert session.get(f"{url}/plain").content == BODY


def test_an_https_address_of_a_plain_server(session: requests.Session, url: str) -> None:
    secure = url.replace("http:", "https:") + "/plain"
    with pytest.raises(SyncFailure, match="https"):
        session.get(secure)
    door = session.get_adapter(secure)
    assert isinstance(door, Transport)
    with pytest.raises(SyncFailure, match="https"):
        door.ask("PUT", secure, {})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://no-such-host.invalid:1", "its name is not known"),
    ],
)
def test_where_nobody_answers_both_ways_say_the_same(
    session: requests.Session, address: str, said: str
) -> None:
    door = session.get_adapter(address)
    assert isinstance(door, Transport)
    with pytest.raises(Unavailable, match=said):
        session.put(address + "/x")
    with pytest.raises(Unavailable, match=said):
        door.ask("PUT", address + "/x", {})


def test_what_is_asked_past_requests_carries_the_headers_of_the_door_and_its_own(
    session: requests.Session, url: str
) -> None:
    door = session.get_adapter(url)
    assert isinstance(door, Transport)
    said = door.ask("GET", f"{url}/headers?a=%2C", {"X-Plex-Token": "t"}).json()
    assert said["X-It"] == "1" and said["X-Plex-Token"] == "t"
    assert said["path"] == "/headers?a=%2C"


@pytest.mark.parametrize(
    ("address", "setting", "end"),
    [
        ("http://127.0.0.1:1", "", "refused; does It run?"),
        (
            "http://127.0.0.1:1",
            "it_url",
            "refused; does It run there (to a container, that is the container itself), and is it_url right?",
        ),
        ("http://no.such.invalid", "it_url", "not known; does It run there, and is it_url right?"),
    ],
)
def test_an_address_nobody_answers_at_says_what_to_look_at(address: str, setting: str, end: str) -> None:
    session = requests.Session()
    door = Transport("It", address, 5, lambda request, response: None, address_setting=setting)
    mount(session, door, verify=True)
    with pytest.raises(Unavailable) as caught:
        session.get(address)
    assert str(caught.value).startswith(f"It at {address} is not reachable: ") and str(caught.value).endswith(
        end
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_wrong_scheme_is_named(scheme: str) -> None:
    """What OpenSSL says to plain HTTP is an alert; what a web server says to a TLS greeting is in plain text."""
    said = {"http": b"\x15\x03\x01\x00\x02\x02F", "https": b"HTTP/1.1 400 Bad Request\r\n\r\n"}[scheme]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):  # what was dropped is tried once more
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        session = requests.Session()
        door = Transport("It", address, 5, lambda request, response: None, address_setting="it_url")
        mount(session, door, verify=True)
        with pytest.raises(Unavailable) as caught:
            session.get(address)
    other = {"http": "https", "https": "http"}[scheme]
    assert str(caught.value) == f"It at {address} does not speak {scheme}; write {other}:// in it_url."


def test_an_excerpt_is_short_and_on_one_line() -> None:
    assert excerpt(" a\n\tb ") == "a b"
    assert len(excerpt("x" * 500)) == 120
