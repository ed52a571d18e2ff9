"""The one door to a server's HTTP, used by ``stash`` and ``plex``: what goes wrong here becomes a failure of ours.

stashapi 0.1.5 has no timeouts and swallows most errors; plexapi 4.18 puts whole URLs into its exceptions. Both speak
through requests, so we mount a Transport on their sessions and judge answers before they see them. Messages are
written from parts known to be harmless (service, address, kind of trouble), never from an exception's text.

What is sent a thousand times goes through ``ask``, past requests: its preparing of a request costs more than the
request. Both ways share one connection pool, one judge and one set of failures.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.client import BadStatusLine
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from plexsync.core.failures import Landed, SettingProblem, SyncFailure, Unavailable

CONNECT_TIMEOUT_S = 10.0  # at most; a machine that is off answers nothing at all
BODY_TIMEOUTS = 4  # times the timeout, for a whole body to arrive
PIECE_BYTES = 65_536
POOL_SIZE = 8  # connections kept open to one server

_CONNECT_TIMEOUT = urllib3.exceptions.ConnectTimeoutError
_NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationValueError,
)

Judge = Callable[[requests.PreparedRequest, requests.Response], None]
"""Looks at an answer with its body read; raises a SyncFailure when it is not what was asked for."""


class Transport(HTTPAdapter):
    """Timeouts for every request, one more try for a connection that was dropped, failures instead of exceptions.

    A server closes idle connections (Plex after 20 s); a request on one just then is answered by a reset. Requests of
    ours may be sent twice (edits set values, they add nothing up), so they are sent once more; but for those of which
    ``once`` is true.
    """

    def __init__(
        self,
        service: str,
        address: str,
        timeout_s: float,
        judge: Judge,
        *,
        headers: Mapping[str, str] | None = None,
        address_setting: str = "",
        address_hint: str = "",
        insecure_setting: str = "",
        once: Callable[[requests.PreparedRequest], bool] = lambda request: False,
    ) -> None:
        """``address`` is shown to people, ``address_setting`` where they set it, if anywhere, ``address_hint`` what is
        odd about it, as a sentence for when it leads nowhere, and ``insecure_setting`` the switch that accepts any
        certificate, if any."""
        self._service = service
        self._address = address
        self._timeout_s = timeout_s
        self._judge = judge
        self._headers = dict(headers or {})
        self._address_setting = address_setting
        self._address_hint = address_hint
        self._insecure_setting = insecure_setting
        self._once = once
        self._verify = True
        self._pool: Any = None  # urllib3's, to ``address``; once ``ask`` was used
        super().__init__(pool_connections=1, pool_maxsize=POOL_SIZE)

    def set_timeout(self, timeout_s: float) -> None:
        """For every request from now on."""
        self._timeout_s = timeout_s

    def check_certificates(self, verify: bool) -> None:
        """Whether ``ask`` does; requests says it anew with everything it sends."""
        self._verify = verify

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Send a request without a body to ``address`` and judge the answer. Raises only failures of ours.

        ``url`` is whole and already spelled as it is to be sent.
        """
        request = requests.PreparedRequest()
        request.method, request.url = method, url
        try:
            response = self._twice(self._once(request), lambda: self._exchange_plainly(request, headers))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as trouble:
            raise self._failure(trouble) from None
        self._judge(request, response)
        return response

    def _exchange_plainly(
        self, request: requests.PreparedRequest, headers: Mapping[str, str]
    ) -> requests.Response:
        if self._pool is None:
            whole = requests.Request(request.method, request.url).prepare()
            pool = self.get_connection_with_tls_context(whole, self._verify)
            self.cert_verify(pool, whole.url, self._verify, None)  # type: ignore[no-untyped-call]
            self._pool = pool
        url = request.url or ""
        response = requests.Response()
        response.url = url
        response.raw = self._pool.urlopen(
            request.method or "GET",
            url[url.index("/", url.index("://") + 3) :],
            headers={**headers, **self._headers},
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=min(self._timeout_s, CONNECT_TIMEOUT_S), read=self._timeout_s),
            preload_content=False,
        )
        response.status_code = response.raw.status
        response.headers = CaseInsensitiveDict(response.raw.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        self._read(response)
        return response

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, read the whole body, judge. Raises only failures of ours."""
        kwargs["timeout"] = (min(self._timeout_s, CONNECT_TIMEOUT_S), self._timeout_s)
        request.headers.update(self._headers)
        try:
            response = self._twice(self._once(request), lambda: self._exchange(request, *args, **kwargs))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as trouble:
            raise self._failure(trouble) from None
        self._judge(request, response)
        return response

    def _exchange(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **kwargs)
        self._read(response)
        return response

    def _twice(self, once: bool, exchange: Callable[[], requests.Response]) -> requests.Response:
        """``exchange``, and once more if the connection was dropped, unless it must be sent ``once``."""
        if not once:
            try:
                return exchange()
            except (requests.ConnectionError, urllib3.exceptions.ProtocolError) as trouble:
                if not _dropped(trouble):
                    raise
        return exchange()

    def _read(self, response: requests.Response) -> None:
        """Read the body here, so that one cut short fails here; and within a limit as a whole, since a socket's timeout
        starts anew with every byte."""
        ends_at = time.monotonic() + self._timeout_s * BODY_TIMEOUTS
        pieces = []
        while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
            pieces.append(piece)
            if time.monotonic() > ends_at:
                response.close()
                raise requests.ReadTimeout
        response.raw.release_conn()
        # What Response.content does, piece by piece; it has no way in from outside.
        response._content = b"".join(pieces)
        response._content_consumed = True  # type: ignore[attr-defined]

    def _failure(self, trouble: Exception) -> SyncFailure:
        # All other trouble may come after the server has begun to do what it was asked.
        unsent = _chain_has(trouble, urllib3.exceptions.NewConnectionError) or isinstance(
            trouble, (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError, *_NO_ADDRESS)
        )
        meaning = self._meaning(trouble)
        return meaning.with_landed(Landed.NO) if unsent else meaning

    def _meaning(self, trouble: Exception) -> SyncFailure:
        where = f"{self._service} at {self._address}"
        if _chain_has(trouble, urllib3.exceptions.NameResolutionError):
            return Unavailable(
                self._service, f"{where} is not reachable: its name is not known; {self._check()}"
            )
        # urllib3's own is also the base of "no connection at all", which is told apart below.
        if isinstance(trouble, requests.ConnectTimeout) or type(trouble) is _CONNECT_TIMEOUT:
            return Unavailable(
                self._service, f"{where} is not reachable: no connection in time; {self._check()}"
            )
        if isinstance(trouble, requests.Timeout) or _chain_has(trouble, urllib3.exceptions.ReadTimeoutError):
            return Unavailable(self._service, f"{where} did not answer within {self._timeout_s:g} s.")
        if isinstance(trouble, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
            if self._insecure_setting and "CERTIFICATE_VERIFY_FAILED" in str(trouble):
                return SettingProblem(
                    self._insecure_setting,
                    f"{where} shows a certificate that cannot be checked; use the address it was made for or "
                    f"switch {self._insecure_setting} on.",
                )
            remedy = f"write http:// in {self._address_setting}." if self._address_setting else self._check()
            return Unavailable(self._service, f"{where} does not speak https; {remedy}")
        if self._address_setting and _speaks_tls(trouble):
            return Unavailable(
                self._service, f"{where} does not speak http; write https:// in {self._address_setting}."
            )
        if isinstance(trouble, _NO_ADDRESS):
            return Unavailable(self._service, f"{where}: this is not an address one can connect to.")
        if _chain_has(trouble, ConnectionRefusedError):
            return Unavailable(
                self._service, f"{where} is not reachable: connection refused; {self._check()}"
            )
        if _chain_has(trouble, urllib3.exceptions.NewConnectionError):
            return Unavailable(self._service, f"{where} is not reachable; {self._check()}")
        return Unavailable(self._service, f"{where} broke off the connection.")

    def _check(self) -> str:
        """What a person should look at, as the end of a sentence."""
        if not self._address_setting:
            return f"does {self._service} run?"
        own = urllib.parse.urlsplit(self._address).hostname in ("localhost", "127.0.0.1", "::1")
        note = " (to a container, that is the container itself)" if own else ""
        hint = f" {self._address_hint}" if self._address_hint else ""
        return f"does {self._service} run there{note}, and is {self._address_setting} right?{hint}"


def mount(session: requests.Session, transport: Transport, *, verify: bool) -> None:
    """Make ``transport`` the session's only door. Proxies and .netrc of the environment are for the internet, not for
    the neighbours we talk to."""
    session.trust_env = False
    session.verify = verify
    transport.check_certificates(verify)
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user chose; once is enough
    for scheme in ("http://", "https://"):
        session.mount(scheme, transport)


def excerpt(text: str, limit: int = 120) -> str:
    """The start of something a server said, on one line, for the end of a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _dropped(trouble: Exception) -> bool:
    """The connection had been made and was closed on us, as an idle one is."""
    if isinstance(trouble, (requests.Timeout, requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        return False
    return _chain_has(trouble, urllib3.exceptions.ProtocolError)


def _speaks_tls(trouble: BaseException) -> bool:
    """The other side answered with a TLS alert where HTTP begins with its version."""
    return any(isinstance(each, BadStatusLine) and "\x15\x03" in str(each) for each in _chain(trouble))


def _chain_has(trouble: BaseException, kind: type[BaseException]) -> bool:
    """Is ``kind`` among what requests and urllib3 wrapped?"""
    return any(isinstance(each, kind) for each in _chain(trouble))


def _chain(trouble: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps: causes, contexts, reasons and arguments."""
    seen: set[int] = set()
    waiting: list[object] = [trouble]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        yield current
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
