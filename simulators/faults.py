"""The trouble a simulator can make: one small frozen class a kind, and the rule that says when it happens.

A fault's fields are its settings and its one method, `act`, is what it does. It is handed the exchange
and `proceed`, which lets the request go on (to the next fault, in the end to the service) and returns the
reply, so a fault can act before, after, instead of, or upon the answer. When and how often is the business of
`Rule`: match, after, count, probability, for_s. `KINDS` is the table of all of them; a fault that does
nothing is `Nothing`, and is what a rule without trouble is made of.

May be imported by: simulators.serving and tests. Imports the standard library only.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar
from urllib.parse import unquote_plus

Proceed = Callable[[], Awaitable[Any]]


class ControlError(ValueError):
    """What the control API was asked makes no sense; str() is the sentence the caller gets with a 400."""


class Severed(Exception):
    """The connection is to be reset (RST) and nothing more said on it."""


# --- checking what came in ----------------------------------------------------------------------------------


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# What the annotation of a setting promises: the test, and the words for it.
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "float": (lambda v: _number(v) and v >= 0, "a number, 0 or more"),
    "float | None": (lambda v: v is None or (_number(v) and v >= 0), "a number, 0 or more"),
    "int": (lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0, "a whole number, 0 or more"),
    "int | None": (
        lambda v: v is None or (isinstance(v, int) and not isinstance(v, bool) and v >= 0),
        "a whole number, 0 or more",
    ),
    "str": (lambda v: isinstance(v, str), "a string"),
    "str | None": (lambda v: v is None or isinstance(v, str), "a string"),
    "bool": (lambda v: isinstance(v, bool), "true or false"),
    "dict": (lambda v: isinstance(v, dict), "an object"),
    "dict[str, Any]": (lambda v: isinstance(v, dict), "an object"),
    "dict | None": (lambda v: v is None or isinstance(v, dict), "an object"),
    "int | str": (lambda v: isinstance(v, (int, str)) and not isinstance(v, bool), "a number or a name"),
    "Any": (lambda v: True, "anything"),
}


def checked(cls: type, given: Mapping[str, Any], what: str) -> Any:
    """An instance of the dataclass `cls` made of `given`, or ControlError naming the key that is wrong.

    `what` begins the sentence, e.g. "fault delay". Types are those of CHECKS, by the field's annotation.
    """
    known = {f.name: f for f in fields(cls) if f.init}
    for key in given:
        if key not in known:
            names = ", ".join(sorted(known)) or "nothing"
            raise ControlError(f"{what}: unknown key {key!r} (it takes {names})")
    for name, spec in known.items():
        if name not in given:
            if spec.default is MISSING and spec.default_factory is MISSING:
                raise ControlError(f"{what}: {name!r} is missing")
            continue
        test, words = CHECKS[str(spec.type)]
        if not test(given[name]):
            raise ControlError(f"{what}: {name!r} must be {words}, not {json.dumps(given[name])}")
    return cls(**given)


# --- the kinds ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Nothing happens: the base of every kind, and the default."""

    kind: ClassVar[str] = "nothing"

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        """Lets the request go on and returns the reply; a kind overrides this and nothing else."""
        return await proceed()


@dataclass(frozen=True)
class Delay(Fault):
    """The request waits `ms`, give or take up to `jitter_ms`, before the service sees it."""

    kind: ClassVar[str] = "delay"
    ms: float
    jitter_ms: float = 0

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        wait_ms = self.ms + exchange.rng.uniform(-self.jitter_ms, self.jitter_ms)
        await asyncio.sleep(max(0.0, wait_ms) / 1000)
        return await proceed()


@dataclass(frozen=True)
class Status(Fault):
    """Answered with `code` and `body` (the service's own error page when absent); nothing is applied."""

    kind: ClassVar[str] = "status"
    code: int
    body: Any = None
    content_type: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ControlError(f"fault status: 'code' must be 200 to 599, not {self.code}")

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        reply = exchange.service.error(self.code, exchange.request)
        headers = {**reply.headers, **{str(k): str(v) for k, v in self.headers.items()}}
        reply = replace(reply, headers=headers)
        if self.body is not None:
            text = isinstance(self.body, str)
            body = self.body if text else json.dumps(self.body)
            kind = reply.content_type if text else "application/json"
            reply = replace(reply, body=body.encode(), content_type=kind)
        return replace(reply, content_type=self.content_type) if self.content_type else reply


@dataclass(frozen=True)
class Refuse(Fault):
    """Connections are refused: the listener is closed and open connections are reset.

    Without `match`, `after` or `probability` the listener closes when the rule is posted; otherwise the first
    request that matches is reset (not applied) and the listener closes then. It opens again after `s` (the
    rule's `for_s` when absent) or when the rule is deleted. A refused connection is never seen, so `count`
    counts closings, not clients.
    """

    kind: ClassVar[str] = "refuse"
    s: float | None = None

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        exchange.close_listener(exchange.rule.reason, self.s if self.s is not None else exchange.rule.for_s)
        raise Severed


@dataclass(frozen=True)
class ResetBefore(Fault):
    """The connection is reset and the request is not applied."""

    kind: ClassVar[str] = "reset_before"

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        raise Severed


@dataclass(frozen=True)
class ResetAfter(Fault):
    """The request is applied, then the connection is reset: the answer is lost."""

    kind: ClassVar[str] = "reset_after"

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        await proceed()
        raise Severed


@dataclass(frozen=True)
class Hang(Fault):
    """Silence for `s` seconds (for ever when absent), then a reset; nothing is applied."""

    kind: ClassVar[str] = "hang"
    s: float | None = None

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        await exchange.client_gone(self.s)
        raise Severed


@dataclass(frozen=True)
class Truncate(Fault):
    """Applied; the answer announces its full length, but only its first `bytes` bytes are sent.

    `of` says from where bytes are counted: "body", or "answer" (from the first byte of the status line, so
    that an answer with an empty body can be cut as well). `end` is "close" (FIN) or "reset" (RST).
    """

    kind: ClassVar[str] = "truncate"
    bytes: int
    of: str = "body"
    end: str = "close"

    def __post_init__(self) -> None:
        if self.of not in ("body", "answer"):
            raise ControlError(f'fault truncate: \'of\' must be "body" or "answer", not {self.of!r}')
        if self.end not in ("close", "reset"):
            raise ControlError(f'fault truncate: \'end\' must be "close" or "reset", not {self.end!r}')

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        return replace(await proceed(), cut=(self.of, self.bytes, self.end))


@dataclass(frozen=True)
class SlowBody(Fault):
    """Applied at once; the body trickles at `bytes_per_s`."""

    kind: ClassVar[str] = "slow_body"
    bytes_per_s: float

    def __post_init__(self) -> None:
        if self.bytes_per_s <= 0:
            raise ControlError("fault slow_body: 'bytes_per_s' must be more than 0")

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        return replace(await proceed(), bytes_per_s=self.bytes_per_s)


@dataclass(frozen=True)
class Garble(Fault):
    """Applied; the body is malformed, for an XML parser as for a JSON one.

    `how`: "break" (a stray `<&` and an invalid byte in the middle), "cut" (the second half is missing
    although the length is right), "control" (a raw control character in the middle, as Plex sends it when
    metadata holds one), "html" (a proxy's error page with status 200) or "empty".
    """

    kind: ClassVar[str] = "garble"
    how: str = "break"

    WAYS: ClassVar[dict[str, Callable[[bytes], bytes]]] = {
        "break": lambda b: b[: len(b) // 2] + b"\xff<&\x00\xfe" + b[len(b) // 2 :],
        "cut": lambda b: b[: len(b) // 2],
        "control": lambda b: b[: len(b) // 2] + b"\x0b" + b[len(b) // 2 :],
        "html": lambda b: (
            b"<html><body><h1>Bad Gateway</h1><br>The proxy server received nothing</body></html>"
        ),
        "empty": lambda b: b"",
    }

    def __post_init__(self) -> None:
        if self.how not in self.WAYS:
            raise ControlError(f"fault garble: 'how' must be one of {', '.join(self.WAYS)}, not {self.how!r}")

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        reply = await proceed()
        return replace(reply, body=self.WAYS[self.how](reply.body))


@dataclass(frozen=True)
class StaleRead(Fault):
    """A read answers what was true `s` seconds ago (or when the rule was posted, if that is later)."""

    kind: ClassVar[str] = "stale_read"
    s: float

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        if exchange.service.is_read(exchange.request):
            exchange.request = replace(exchange.request, as_of=time.monotonic() - self.s)
        return await proceed()


@dataclass(frozen=True)
class SlowApply(Fault):
    """Nothing happens for `s` seconds, then the request is applied, client or no client."""

    kind: ClassVar[str] = "slow_apply"
    s: float

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        exchange.outlives_client = True
        await asyncio.sleep(self.s)
        return await proceed()


@dataclass(frozen=True)
class Kill(Fault):
    """`signal` is sent to process `pid` at an exact moment of this request, which itself goes on as usual.

    `when`: "before_apply", "after_apply" (applied, the answer not yet sent) or "after_answer" (its last byte
    handed to the system). After SIGKILL the process is awaited (up to 2 s), so the moment is exact. A process
    that is not there is noted in the journal as "kill: no such process".
    """

    kind: ClassVar[str] = "kill"
    pid: int
    when: str = "before_apply"
    signal: int | str = "SIGKILL"

    WHEN: ClassVar[tuple[str, ...]] = ("before_apply", "after_apply", "after_answer")

    def __post_init__(self) -> None:
        if self.pid <= 1:
            raise ControlError(f"fault kill: 'pid' must be more than 1, not {self.pid}")
        if self.when not in self.WHEN:
            raise ControlError(f"fault kill: 'when' must be one of {', '.join(self.WHEN)}, not {self.when!r}")
        self.number()

    def number(self) -> int:
        """The signal's number, from 9, "9", "KILL" or "SIGKILL"."""
        text = str(self.signal).upper()
        if text.isdigit() and int(text) in set(signal.Signals):
            return int(text)
        named = text if text.startswith("SIG") else f"SIG{text}"
        if named in signal.Signals.__members__:
            return signal.Signals[named].value
        raise ControlError(f"fault kill: {self.signal!r} is no signal")

    async def act(self, exchange: Exchange, proceed: Proceed) -> Any:
        if self.when == "before_apply":
            await self.strike(exchange)
            return await proceed()
        reply = await proceed()
        if self.when == "after_apply":
            await self.strike(exchange)
            return reply
        return replace(reply, then=(*reply.then, lambda: self.strike(exchange)))

    async def strike(self, exchange: Exchange) -> None:
        try:
            os.kill(self.pid, self.number())
        except ProcessLookupError:
            exchange.note("kill: no such process")
            return
        if self.number() == signal.SIGKILL:
            for _ in range(1000):
                if not _running(self.pid):
                    return
                await asyncio.sleep(0.002)


def _running(pid: int) -> bool:
    """True while `pid` may still execute code; a zombie cannot. Without /proc: while it can be signalled."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    except ProcessLookupError:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


Nothing = Fault

KINDS: dict[str, type[Fault]] = {
    cls.kind: cls
    for cls in (
        Nothing,
        Delay,
        Status,
        Refuse,
        ResetBefore,
        ResetAfter,
        Hang,
        Truncate,
        SlowBody,
        Garble,
        StaleRead,
        SlowApply,
        Kill,
    )
}


# --- when and how often -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Match:
    """Which requests a rule is about; every part that is given must agree, and no part means every request.

    method: case-insensitive. path, query: a regular expression found anywhere; the query is looked at both as
    it is on the wire and decoded. operation: the service's own name for the request (GraphQL operation name
    or the name of a root field), a regular expression that must cover it all. body: a regular expression
    found in the body as text, or {"dotted.path": regex} into a JSON body.
    """

    method: str | None = None
    path: str | None = None
    query: str | None = None
    operation: str | None = None
    body: Any = None

    def __post_init__(self) -> None:
        patterns = {"path": self.path, "query": self.query, "operation": self.operation}
        if isinstance(self.body, dict):
            patterns |= {f"body.{key}": value for key, value in self.body.items()}
        elif self.body is not None:
            patterns["body"] = self.body
        for name, pattern in patterns.items():
            if pattern is None:
                continue
            if not isinstance(pattern, str):
                raise ControlError(f"match: {name!r} must be a regular expression, not {json.dumps(pattern)}")
            try:
                re.compile(pattern)
            except re.error as problem:
                raise ControlError(f"match: {name!r} is no regular expression: {problem}") from problem

    def __bool__(self) -> bool:
        return any((self.method, self.path, self.query, self.operation, self.body))

    def hits(self, request: Any) -> bool:
        if self.method and self.method.upper() != request.method:
            return False
        if self.path and not re.search(self.path, request.path):
            return False
        if self.query and not (
            re.search(self.query, request.query) or re.search(self.query, unquote_plus(request.query))
        ):
            return False
        if self.operation and not any(re.fullmatch(self.operation, name) for name in request.operations):
            return False
        return self.body is None or self._body_hits(request.body)

    def _body_hits(self, body: bytes) -> bool:
        if isinstance(self.body, str):
            return re.search(self.body, body.decode("utf-8", "replace")) is not None
        try:
            tree = json.loads(body)
        except ValueError:
            return False
        return all(_at(tree, path, pattern) for path, pattern in self.body.items())


def _at(tree: Any, path: str, pattern: str) -> bool:
    for step in path.split("."):
        if isinstance(tree, dict) and step in tree:
            tree = tree[step]
        elif isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return False
    return re.search(pattern, tree if isinstance(tree, str) else json.dumps(tree)) is not None


@dataclass(frozen=True)
class Conditions:
    """When and how often: see Rule."""

    after: int = 0
    count: int | None = None
    probability: float | None = None
    for_s: float | None = None

    def __post_init__(self) -> None:
        if self.probability is not None and self.probability > 1:
            raise ControlError(f"fault: 'probability' must be 0 to 1, not {self.probability}")


class Rule:
    """One posted fault: what, for whom, and how often it still may.

    The first `after` matching requests pass; then each fires with `probability` (by a generator seeded with
    the server's seed and the rule's id, so a run repeats), at most `count` times, within `for_s` seconds of
    posting.
    """

    def __init__(self, rule_id: int, posted: Mapping[str, Any], seed: int, now: float) -> None:
        """`posted` is the JSON object of POST /faults; ControlError says what is wrong with it."""
        rest = dict(posted)
        kind = rest.pop("kind", None)
        if kind is None:
            raise ControlError("fault: 'kind' is missing")
        if not isinstance(kind, str) or kind not in KINDS:
            raise ControlError(f"fault: unknown kind {kind!r} (there are {', '.join(sorted(KINDS))})")
        match = rest.pop("match", {})
        if not isinstance(match, dict):
            raise ControlError(f"fault {kind}: 'match' must be an object, not {json.dumps(match)}")
        when = {f.name: rest.pop(f.name) for f in fields(Conditions) if f.name in rest}
        self.id = rule_id
        self.posted = dict(posted)
        self.match: Match = checked(Match, match, f"fault {kind}: match")
        self.conditions: Conditions = checked(Conditions, when, f"fault {kind}")
        self.fault: Fault = checked(KINDS[kind], rest, f"fault {kind}")
        self.rng = random.Random(f"{seed}:{rule_id}")
        self.posted_at = now
        self.seen = 0  # matching requests so far
        self.fired = 0  # times it acted

    @property
    def for_s(self) -> float | None:
        return self.conditions.for_s

    @property
    def reason(self) -> str:
        """The name under which this rule keeps the listener closed."""
        return f"fault {self.id}"

    @property
    def at_once(self) -> bool:
        """True when a listener fault need not wait for a request."""
        return not self.match and not self.conditions.after and self.conditions.probability is None

    def live(self, now: float) -> bool:
        used_up = self.conditions.count is not None and self.fired >= self.conditions.count
        over = self.for_s is not None and now >= self.posted_at + self.for_s
        return not used_up and not over

    def fires(self, request: Any, now: float) -> bool:
        """Whether it acts on this request; counts it."""
        if not self.live(now) or not self.match.hits(request):
            return False
        self.seen += 1
        if self.seen <= self.conditions.after:
            return False
        p = self.conditions.probability
        if p is not None and self.rng.random() >= p:
            return False
        self.fired += 1
        return True

    def report(self, now: float) -> dict[str, Any]:
        return {**self.posted, "id": self.id, "seen": self.seen, "fired": self.fired, "live": self.live(now)}


class Exchange:
    """What a fault may touch of the request it acts on: see the attributes; the server layer makes it."""

    def __init__(
        self,
        service: Any,
        request: Any,
        entry: dict[str, Any],
        close_listener: Callable[[str, float | None], None],
    ) -> None:
        self.service = service
        self.request = request  # replace it to change what the service sees
        self.entry = entry  # the journal's row
        self.close_listener = close_listener  # (reason, seconds or None)
        self.outlives_client = False  # True: go on when the client has left
        self.severed = False  # True: we ended the connection ourselves
        self.rule: Rule  # the rule that acts now
        self.rng: random.Random

    def note(self, text: str) -> None:
        """Adds a remark to the journal's row."""
        self.entry.setdefault("notes", []).append(text)

    async def client_gone(self, timeout_s: float | None) -> bool:
        """Waits until the client has left, at most `timeout_s`; True when it has."""
        try:
            await asyncio.wait_for(self.request.gone.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def run(self, rules: list[Rule], answer: Callable[[Any], Awaitable[Any]]) -> Any:
        """The reply after all `rules` have acted, the first outermost; Severed when one cut the line."""
        if not rules:
            return await answer(self.request)
        rule, rest = rules[0], rules[1:]
        self.rule, self.rng = rule, rule.rng
        return await rule.fault.act(self, lambda: self.run(rest, answer))
