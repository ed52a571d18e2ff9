"""Every failure we raise, and what each one means for the job at hand.

    SyncFailure                 one clear sentence that never holds a secret
    ├── SettingProblem          a setting is missing or wrong            -> the queue is paused, no attempt used
    ├── Unavailable             a server cannot be talked to             -> an outage of it, no attempt used
    ├── NeedsAttention          a server refuses us or our questions     -> the queue is paused, no attempt used
    ├── Transient               this job failed now, may work later      -> postponed, an attempt used
    └── Permanent               this job will never work as it is        -> a dead letter

The first three concern every job alike, so none of them is any job's fault. ``verdict.after`` turns each into
a decision. The adapters raise them ``from None``: what they translate may quote a URL or a header, and a
traceback would print it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

SERVERS = ("Stash", "Plex")  # what ``service`` of a failure can be
_SHORTEST_SECRET = 4  # characters; replacing shorter ones would shred ordinary words


class Landed(StrEnum):
    """What is known of the request that failed."""

    NO = "no"  # certainly not done: no connection was made, or the answer says so
    PERHAPS = "perhaps"  # it was sent, and how it ended was not seen


class SyncFailure(Exception):
    """Something we expected might go wrong did. ``str()`` is one sentence for a person."""

    def __init__(self, message: str, *, landed: Landed = Landed.PERHAPS) -> None:
        super().__init__(message)
        self.landed = landed

    def with_landed(self, landed: Landed) -> Self:
        """The same failure of a larger request, of which more is known, or less."""
        failure = type(self).__new__(
            type(self), *self.args
        )  # copy would call __init__ with the message alone
        failure.__dict__.update(self.__dict__, landed=landed)
        return failure


class SettingProblem(SyncFailure):
    """A setting is missing or wrong; the sentence names it and the remedy."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message, landed=Landed.NO)
        self.key = key


class Unavailable(SyncFailure):
    """A server refused, reset, timed out, answered 5xx as a whole, or something that is not its language."""

    def __init__(self, service: str, message: str, *, landed: Landed = Landed.PERHAPS) -> None:
        super().__init__(message, landed=landed)
        self.service = service


class NeedsAttention(SyncFailure):
    """A server turns us away (token or key wrong), or does not understand what we ask; only a person can help."""

    def __init__(self, service: str, message: str) -> None:
        super().__init__(message, landed=Landed.NO)
        self.service = service


class Transient(SyncFailure):
    """This job failed now and may work later: an error on one item, a database that is locked."""


class Permanent(SyncFailure):
    """This job will never work as it is: an edit Plex refuses, a payload that is damaged."""

    def __init__(self, message: str) -> None:
        super().__init__(message, landed=Landed.NO)


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret replaced by ``<hidden>``; for text we did not write ourselves, as a traceback."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "<hidden>")
    return text
