"""Session cookies and the API key, as Stash 0.30 judges them (pkg/session).

A cookie holds a user id and the (plugin, trigger) pairs already visited; it is signed, stamped and dead
`max_age_s` seconds after it was made. It exists also when no credentials are set, since it carries the loop guard.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

Visits = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Caller:
    """Who asks: `user` is "" for nobody; `visited` lists the plugin runs that led to this request."""

    user: str = ""
    visited: Visits = ()


class Sessions:
    def __init__(self, now: Callable[[], float], max_age_s: int = 3600) -> None:
        self.max_age_s = max_age_s
        self._now = now
        self._key = secrets.token_bytes(32)

    def _sign(self, payload: bytes) -> str:
        return hmac.new(self._key, payload, hashlib.sha256).hexdigest()

    def make(self, caller: Caller) -> str:
        """The value of a cookie for `caller`, fresh from now."""
        payload = json.dumps([self._now(), caller.user, caller.visited]).encode()
        return base64.urlsafe_b64encode(payload + b"|" + self._sign(payload).encode()).decode()

    def read(self, value: str) -> Caller | None:
        """None for a cookie that is damaged, signed by another server or too old."""
        try:
            raw = base64.urlsafe_b64decode(value.encode())
        except ValueError:
            return None
        payload, _, signature = raw.rpartition(b"|")
        if base64.urlsafe_b64encode(raw).decode() != value:
            return None
        if not hmac.compare_digest(self._sign(payload).encode(), signature):
            return None
        made, user, visited = json.loads(payload)
        if self._now() - made > self.max_age_s:
            return None
        return Caller(user, tuple((plugin, trigger) for plugin, trigger in visited))


def plugin_cookie(value: str) -> dict[str, object]:
    """`SessionCookie` of a plugin's input: Go's http.Cookie, where only the value matters."""
    return {
        "Name": "session",
        "Value": value,
        "Quoted": False,
        "Path": "",
        "Domain": "",
        "Expires": "0001-01-01T00:00:00Z",
        "RawExpires": "",
        "MaxAge": 0,
        "Secure": False,
        "HttpOnly": False,
        "SameSite": 0,
        "Partitioned": False,
        "Raw": "",
        "Unparsed": None,
    }


def make_api_key(user: str, now: float) -> str:
    """A key in the form of Stash's: a JWT without expiry."""

    def part(value: object) -> str:
        raw = json.dumps(value, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    head = part({"alg": "HS256", "typ": "JWT"}) + "." + part({"uid": user, "sub": "APIKey", "iat": int(now)})
    return head + "." + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
