"""The one door to a server's HTTP, used by ``stash`` and ``plex``: what goes wrong here becomes a failure of
ours.

stashapi 0.1.5 has no timeouts and swallows most errors; plexapi 4.18 puts whole URLs into its exceptions.
Both speak through requests, so we mount a Transport on their sessions and judge answers before they see them.
Messages are written from parts known to be harmless (service, address, kind of trouble), never from an
exception's text.
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

from plexsync.core.failures import SettingProblem, SyncFailure, Unavailable

CONNECT_TIMEOUT_S = 10.0  # at most; a machine that is off answers nothing at all
BODY_TIMEOUTS = 4  # times the timeout, for a whole body to arrive
PIECE_BYTES = 65_536
POOL_SIZE = 8  # connections kept open to one server

Judge = Callable[[requests.PreparedRequest, requests.Response], None]
"""Looks at an answer with its body read; raises a SyncFailure when it is not what was asked for."""


class Transport(HTTPAdapter):
    """Timeouts for every request, one more try for a connection that was dropped, failures instead of
    exceptions.

    A server closes idle connections (Plex after 20 s); a request on one just then is answered by a reset.
    Requests of ours may be sent twice (edits set values, they add nothing up), so they are sent once more; but
    for those of which ``once`` is true.
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
        insecure_setting: str = "",
        once: Callable[[requests.PreparedRequest], bool] = lambda request: False,
    ) -> None:
        """``address`` is shown to people, ``address_setting`` where they set it, if anywhere, and ``insecure_setting``
        the switch that accepts any certificate, if any."""
        self._service = service
        self._address = address
        self._timeout_s = timeout_s
        self._judge = judge
        self._headers = dict(headers or {})
        self._address_setting = address_setting
        self._insecure_setting = insecure_setting
        self._once = once
        super().__init__(pool_connections=1, pool_maxsize=POOL_SIZE)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, read the whole body, judge. Raises only failures of ours."""
        kwargs["timeout"] = (min(self._timeout_s, CONNECT_TIMEOUT_S), self._timeout_s)
        request.headers.update(self._headers)
        try:
            response = self._exchange(request, *args, **kwargs)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as trouble:
            raise self._failure(trouble) from None
        self._judge(request, response)
        return response

    def _exchange(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        for final in (self._once(request), True):
            try:
                response = super().send(request, *args, **kwargs)
                self._read(response)
                return response
            except (requests.ConnectionError, urllib3.exceptions.ProtocolError) as trouble:
                if final or not _dropped(trouble):
                    raise
        raise AssertionError("the second round returns or raises")

    def _read(self, response: requests.Response) -> None:
        """Read the body here, so that one cut short fails here; and within a limit as a whole, since a
        socket's timeout starts anew with every byte."""
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
        where = f"{self._service} at {self._address}"
        if _chain_has(trouble, urllib3.exceptions.NameResolutionError):
            return Unavailable(
                self._service, f"{where} is not reachable: its name is not known; {self._check()}"
            )
        if isinstance(trouble, requests.ConnectTimeout):
            return Unavailable(
                self._service, f"{where} is not reachable: no connection in time; {self._check()}"
            )
        if isinstance(trouble, requests.Timeout) or _chain_has(trouble, urllib3.exceptions.ReadTimeoutError):
            return Unavailable(self._service, f"{where} did not answer within {self._timeout_s:g} s.")
        if isinstance(trouble, requests.exceptions.SSLError):
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
        if isinstance(trouble, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
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
        return f"does {self._service} run there{note}, and is {self._address_setting} right?"


def mount(session: requests.Session, transport: Transport, *, verify: bool) -> None:
    """Make ``transport`` the session's only door. Proxies and .netrc of the environment are for the internet,
    not for the neighbours we talk to."""
    session.trust_env = False
    session.verify = verify
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
    if isinstance(trouble, (requests.Timeout, requests.exceptions.SSLError)):
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
