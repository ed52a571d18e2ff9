"""The layer both simulators stand on: two listeners, a journal of every request, faults, outages, start and
stop.

A simulator is a `Service`: it turns a `Request` into a `Reply` and knows nothing of sockets. This layer does
the rest, on aiohttp: `Server` owns the public listener (which can be closed and opened again on the same
port), the control listener (which answers while the other is down) and the journal. `main()` runs a service
in the foreground (one JSON line on stdout when ready); handle.py runs it in a thread or in a process of its own,
and gives a `Handle` of it.

When a client goes away while its request is being answered, `request.gone` is set at once. The answer goes on
by default, as a request Plex has received is carried out anyway; a service that wants its answer cancelled
instead (as Stash cancels the context of a request) sets `cancel_when_gone`, and its `answer` sees
CancelledError.

May be imported by: the simulators, scenarios and tests. Imports: aiohttp, simulators.faults, simulators.page, standard
library.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from simulators import page
from simulators.faults import CHECKS, ControlError, Exchange, Refuse, Rule, Severed, StaleRead

log = logging.getLogger("simulators")

JOURNAL_ROWS_MAX = 50_000
# No limit of either server is known for the request line; ours only guards the simulator's own memory.
REQUEST_LINE_BYTES_MAX = 4 * 1024 * 1024
BODY_BYTES_MAX = 256 * 1024 * 1024


# --- values -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One request, read to its end. `params` keeps order and repeats, decoded; `query` is as on the wire."""

    method: str  # upper case
    path: str  # decoded
    query: str  # without the "?"
    params: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]  # names are case-insensitive
    body: bytes
    client: str  # "address:port"
    operations: tuple[str, ...] = ()  # the service's names for it, for journal and faults
    as_of: float | None = None  # answer what was true at this time.monotonic(), set by stale_read
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # set when the client has left

    def get(self, key: str, default: str | None = None) -> str | None:
        """The last value of a query parameter."""
        return next((v for k, v in reversed(self.params) if k == key), default)


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Reply:
    """One answer. Either `body`, or `stream` (sent as the chunks come, then closed), or `websocket`."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"  # None: no such header
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    websocket: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None
    protocols: tuple[str, ...] = ()  # websocket subprotocols, by preference
    # What faults ask of the sending:
    cut: tuple[str, int, str] | None = None  # ("body" or "answer", bytes, "close" or "reset")
    bytes_per_s: float | None = None
    then: tuple[Callable[[], Awaitable[None]], ...] = ()  # awaited when the last byte was handed over


@dataclass(frozen=True)
class Address:
    """Where a server is reached, told to the service at its start."""

    host: str
    port: int
    url: str
    control: str


NOT_MINE = object()  # a service's answer to a control call it does not know


class Service:
    """What a simulator implements. Every method but `answer` and `state` has a default that does nothing."""

    name = "service"
    tls: ssl.SSLContext | None = None  # the public listener speaks https
    cancel_when_gone = False  # True: `answer` is cancelled when its client leaves
    keepalive_s: float = 75  # an idle connection is closed after this

    async def start(self, address: Address) -> None:
        """Called when the port is bound and before the first request."""

    async def finish(self, open_requests: Callable[[], int]) -> None:
        """Called when no connection is accepted any more and before those that are open are reset.

        A service that waits for its open requests waits here, until none is left; streams do not count.
        """

    async def stop(self) -> None:
        """Called when the listeners are closed."""

    async def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def labels(self, request: Request) -> tuple[str, ...]:
        """Names for this request besides its path, e.g. the GraphQL operation and its root fields."""
        return ()

    def is_read(self, request: Request) -> bool:
        """Whether it changes nothing, so that stale_read may touch it."""
        return request.method in ("GET", "HEAD")

    def remember(self, seconds: float) -> None:
        """From now on keep what is needed to answer `request.as_of` up to `seconds` back; 0: no longer."""
        if seconds:
            raise ControlError(f"fault stale_read: {self.name} keeps no history")

    def error(self, status: int, request: Request) -> Reply:
        """The service's own error page."""
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
        return Reply(status=status, body=f"{status} {phrase}\n".encode(), content_type="text/plain")

    def encode(self, request: Request, reply: Reply) -> Reply:
        """The last word on a reply after the faults had theirs: compression, common headers."""
        return reply

    def state(self, params: Mapping[str, str]) -> Any:
        """Everything it holds, as JSON."""
        raise NotImplementedError

    async def reset(self) -> None:
        """Back to the library file."""

    async def control(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Any:
        """A control call of its own: a JSON value or a Reply; NOT_MINE when unknown, ControlError when
        senseless.

        `body` is the parsed JSON, None when there was none.
        """
        return NOT_MINE

    def ready(self) -> dict[str, Any]:
        """What its line on stdout says beyond service, url, control and pid."""
        return {}


# --- the journal --------------------------------------------------------------------------------------------


class Journal:
    """The last JOURNAL_ROWS_MAX requests. A row is entered on arrival, its status None until it is answered.

    `status` stays None when nothing was sent (reset, refused, client gone); `bytes` counts the body as sent.
    """

    def __init__(self) -> None:
        self.rows: deque[dict[str, Any]] = deque(maxlen=JOURNAL_ROWS_MAX)
        self.seq = 0

    def enter(self, request: Request) -> dict[str, Any]:
        return self._add(
            method=request.method,
            path=request.path,
            query=request.query,
            client=request.client,
            operation=request.operations[0] if request.operations else None,
        )

    def event(self, text: str, rule: Rule | None = None) -> None:
        """Something that is no request, e.g. the listener being closed by a fault."""
        row = self._add(method="-", path="", query="", client="", operation=None)
        row["notes"] = [text]
        if rule is not None:
            row["faults"], row["fault_ids"] = [rule.fault.kind], [rule.id]

    def _add(self, **values: Any) -> dict[str, Any]:
        self.seq += 1
        row = {"seq": self.seq, "t": time.time(), **values, "status": None, "ms": None, "bytes": 0}
        row |= {"faults": [], "fault_ids": []}
        self.rows.append(row)
        return row

    def since(self, seq: int) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["seq"] > seq]


# --- the server ---------------------------------------------------------------------------------------------


def _shown(host: str) -> str:
    """The host to reach a listener by: a wildcard address is no address to connect to."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; OSError when the port is taken."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _reset(transport: asyncio.Transport | None) -> None:
    """Ends a connection with RST instead of FIN."""
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # already closed by the client: nothing left to reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _until_lost() -> web.StreamResponse:
    """Waits until aiohttp notices that the connection we ended has ended: it cancels the handler."""
    await asyncio.Event().wait()
    raise AssertionError("an event nobody holds was set")


class Server:
    """A service behind its two listeners. Everything in here happens in one event loop.

    The public listener is open while `closed_by` is empty; an outage and every refuse fault add and remove
    their own reason. The port stays ours meanwhile: a second socket is bound to it and never listens, so
    connections are refused and nobody else can take it.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        seed: int = 0,
        page: bool = False,
    ) -> None:
        self.service = service
        self.host, self.port, self.control_port, self.seed = host, port, control_port, seed
        self.page = page
        self.journal = Journal()
        self.rules: dict[int, Rule] = {}
        self.closed_by: dict[str, asyncio.TimerHandle | None] = {}
        self.address: Address
        self._last_rule = 0
        self._reservation: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._control_listener: asyncio.Server | None = None
        self._settling = asyncio.Lock()
        self._open: set[Exchange] = set()  # requests read and not answered to the last byte
        self._left_behind: set[asyncio.Task[Any]] = set()  # answers that outlive their client

    async def start(self) -> None:
        """Binds both ports and serves; OSError when one is taken."""
        loop = asyncio.get_running_loop()
        self._public = web.Server(
            self._serve,
            request_factory=self._request_factory,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=self.service.keepalive_s,
            max_line_size=REQUEST_LINE_BYTES_MAX,
            max_field_size=65536,
        )
        self._control = web.Server(
            self._serve_control, request_factory=self._request_factory, access_log=None
        )
        self._reservation = _bound(self.host, self.port)
        self.port = self._reservation.getsockname()[1]
        control = _bound(self.host, self.control_port)
        self.control_port = control.getsockname()[1]
        shown = _shown(self.host)
        scheme = "https" if self.service.tls else "http"
        self.address = Address(
            self.host, self.port, f"{scheme}://{shown}:{self.port}", f"http://{shown}:{self.control_port}"
        )
        await self._listen()
        self._control_listener = await loop.create_server(self._control, sock=control)
        await self.service.start(self.address)

    async def stop(self) -> None:
        for timer in self.closed_by.values():
            if timer is not None:
                timer.cancel()
        if self._listener is not None:
            self._listener.close()
        await self.service.finish(lambda: len(self._open))
        await self._close()
        if self._control_listener is not None:
            self._control_listener.close()
        await self._control.shutdown(0.2)
        for task in list(self._left_behind):
            task.cancel()
        await asyncio.gather(*self._left_behind, return_exceptions=True)
        await self.service.stop()
        if self._reservation is not None:
            self._reservation.close()

    def _request_factory(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)

    # The public listener, open and closed.

    @property
    def up(self) -> bool:
        return not self.closed_by

    async def _listen(self) -> None:
        sock = _bound(self.host, self.port)
        self._listener = await asyncio.get_running_loop().create_server(
            self._public, sock=sock, backlog=512, ssl=self.service.tls
        )

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for connection in self._public.connections:
            _reset(connection.transport)

    def close_listener(self, reason: str, seconds: float | None) -> None:
        """Refuses connections until `seconds` are over (None: until open_listener with the same reason)."""
        loop = asyncio.get_running_loop()
        earlier = self.closed_by.pop(reason, None)
        if earlier is not None:
            earlier.cancel()
        timer = None if seconds is None else loop.call_later(seconds, self.open_listener, reason)
        self.closed_by[reason] = timer
        self._keep(self._settle())

    def open_listener(self, reason: str) -> None:
        timer = self.closed_by.pop(reason, None)
        if timer is not None:
            timer.cancel()
        self._keep(self._settle())

    async def _settle(self) -> None:
        """Makes the listener what `closed_by` says; one at a time, since opening it takes a moment."""
        async with self._settling:
            if not self.up and self._listener is not None:
                await self._close()
            elif self.up and self._listener is None:
                await self._listen()

    def _keep(self, coroutine: Awaitable[Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(coroutine)
        self._left_behind.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled() and task.exception() and not isinstance(task.exception(), Severed):
            log.error("%s: a task failed", self.service.name, exc_info=task.exception())

    # One public request.

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        request = await self._read(http)
        entry = self.journal.enter(request)
        exchange = Exchange(self.service, request, entry, self.close_listener)
        rules = [rule for rule in self.rules.values() if rule.fires(request, began)]
        entry["faults"] = [rule.fault.kind for rule in rules]
        entry["fault_ids"] = [rule.id for rule in rules]
        self._open.add(exchange)
        answering = self._keep(exchange.run(rules, self.service.answer))
        try:
            reply = await asyncio.shield(answering)
            return await self._send(http, exchange, reply)
        except Severed:
            exchange.severed = True
            _reset(http.transport)
            return await _until_lost()
        except asyncio.CancelledError:
            if not exchange.outlives_client:
                if self.service.cancel_when_gone:
                    answering.cancel()
                request.gone.set()
            if not exchange.severed:
                exchange.note("client gone")
            raise
        finally:
            self._open.discard(exchange)
            entry["ms"] = round((time.monotonic() - began) * 1000, 3)

    async def _read(self, http: web.BaseRequest) -> Request:
        path, _, query = http.raw_path.partition("?")
        peer = http.transport.get_extra_info("peername") if http.transport else None
        request = Request(
            method=http.method.upper(),
            path=urllib.parse.unquote(path),
            query=query,
            params=tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)),
            headers=http.headers,
            body=await http.read() if http.body_exists else b"",
            client=f"{peer[0]}:{peer[1]}" if peer else "",
        )
        object.__setattr__(request, "operations", self.service.labels(request))
        return request

    async def _send(self, http: web.BaseRequest, exchange: Exchange, reply: Reply) -> web.StreamResponse:
        request, entry = exchange.request, exchange.entry
        reply = self.service.encode(request, reply)
        entry["status"], entry["bytes"] = reply.status, len(reply.body)
        if reply.websocket is not None or reply.stream is not None:
            self._open.discard(exchange)
        if reply.websocket is not None:
            return await self._send_websocket(http, reply, entry)
        headers = dict(reply.headers)
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if reply.cut is not None or reply.bytes_per_s is not None:
            await self._send_by_hand(http, request, reply, headers, entry)
            exchange.severed = True
            return await _until_lost()
        if reply.stream is not None:
            streamed = web.StreamResponse(status=reply.status, headers=headers)
            await streamed.prepare(http)
            async for chunk in reply.stream:
                await streamed.write(chunk)
                entry["bytes"] += len(chunk)
            response: web.StreamResponse = streamed
        else:
            response = web.Response(status=reply.status, headers=headers, body=reply.body)
            if reply.content_type is None:
                # aiohttp would announce application/octet-stream for a body of unstated type.
                response.headers.popall("Content-Type", None)
            if headers.get("Connection", "").lower() == "close":
                response.force_close()
            await response.prepare(http)
        await response.write_eof()
        for step in reply.then:
            await step()
        return response

    async def _send_websocket(
        self, http: web.BaseRequest, reply: Reply, entry: dict[str, Any]
    ) -> web.WebSocketResponse:
        assert reply.websocket is not None
        ws = web.WebSocketResponse(protocols=reply.protocols, heartbeat=None)
        try:
            await ws.prepare(http)
        except web.HTTPException as refused:
            entry["status"] = refused.status
            raise
        entry["status"] = 101
        await reply.websocket(ws)
        await ws.close()
        return ws

    async def _send_by_hand(
        self,
        http: web.BaseRequest,
        request: Request,
        reply: Reply,
        headers: dict[str, str],
        entry: dict[str, Any],
    ) -> None:
        """Writes the answer byte by byte as the faults want it, then ends the connection."""
        transport = http.transport
        if transport is None:
            return
        headers |= {"Content-Length": str(len(reply.body)), "Connection": "close"}
        phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        body = b"" if request.method == "HEAD" else reply.body
        of, most, end = reply.cut or ("body", len(body), "close")
        whole = (head + body)[: most if of == "answer" else len(head) + most]
        entry["bytes"] = max(0, len(whole) - len(head))
        if reply.bytes_per_s is None:
            transport.write(whole)
        else:
            transport.write(whole[: len(head)])
            tick_s = min(0.1, max(0.01, 1 / reply.bytes_per_s))
            began, sent = time.monotonic(), len(head)
            while sent < len(whole):
                await asyncio.sleep(tick_s)
                due = len(head) + int((time.monotonic() - began) * reply.bytes_per_s)
                transport.write(whole[sent:due])
                sent = max(sent, min(due, len(whole)))
        for step in reply.then:
            await step()
        if end == "close":
            transport.close()
            return
        while transport.get_write_buffer_size():
            await asyncio.sleep(0.005)
        # What the kernel still holds is thrown away by a reset: let it reach the client first.
        await asyncio.sleep(0.02)
        _reset(transport)

    # The control listener.

    async def _serve_control(self, http: web.BaseRequest) -> web.StreamResponse:
        params = dict(http.query)
        try:
            raw = await http.read()
            try:
                body = json.loads(raw) if raw.strip() else None
            except ValueError as problem:
                raise ControlError(f"the body is not JSON: {problem}") from problem
            value = await self._control_call(http.method.upper(), http.path, params, body)
            status = 200
            if value is NOT_MINE:
                value, status = {"error": f"no such call: {http.method} {http.path}"}, 404
        except ControlError as problem:
            value, status = {"error": str(problem)}, 400
        if isinstance(value, Reply):
            headers = {**value.headers, "Content-Type": value.content_type or "text/plain"}
            if value.stream is None:
                return web.Response(status=value.status, body=value.body, headers=headers)
            streamed = web.StreamResponse(status=value.status, headers=headers)
            await streamed.prepare(http)
            async for chunk in value.stream:
                await streamed.write(chunk)
            return streamed
        return web.Response(
            status=status,
            body=json.dumps(value, ensure_ascii=False).encode(),
            content_type="application/json",
        )

    async def _control_call(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Any:
        if method == "GET" and (path == "/" or path.startswith("/page")):
            return await self._page(path, params)
        match (method, path.rstrip("/") or "/"):
            case ("GET", "/health"):
                return {"ok": True, "service": self.service.name, "up": self.up, "pid": os.getpid()}
            case ("GET", "/state"):
                return self.service.state(params)
            case ("POST", "/reset"):
                await self._reset_all()
                return {"ok": True}
            case ("GET", "/requests"):
                return self.journal.since(_whole(params.get("since", "0"), "since"))
            case ("DELETE", "/requests"):
                removed = len(self.journal.rows)
                self.journal.rows.clear()
                return {"removed": removed}
            case ("GET", "/outage"):
                return self._outage_report()
            case ("POST", "/outage"):
                return await self._outage(body)
            case ("GET", "/faults"):
                now = time.monotonic()
                return [rule.report(now) for rule in self.rules.values()]
            case ("POST", "/faults"):
                rule_id = self.add_fault(body)
                await self._settle()
                return {"id": rule_id}
            case ("DELETE", "/faults"):
                removed = len(self.rules)
                for rule_id in list(self.rules):
                    await self._remove_fault(rule_id)
                return {"removed": removed}
            case ("DELETE", other) if other.startswith("/faults/"):
                rule_id = _whole(other.removeprefix("/faults/"), "fault id")
                if rule_id not in self.rules:
                    return NOT_MINE
                await self._remove_fault(rule_id)
                return {"removed": 1}
        return await self.service.control(method, path, params, body)

    async def _page(self, path: str, params: Mapping[str, str]) -> Any:
        """The live page and what it asks for; not there unless the server was started with it."""
        if not self.page:
            return NOT_MINE
        if path in ("/", "/page"):
            return Reply(body=page.html(), content_type="text/html; charset=utf-8")
        if path == "/page/data":
            return page.data(self.service, self.journal, self.up, _whole(params.get("since", "0"), "since"))
        if path.startswith("/page/picture/"):
            shelf = page.SHELVES[self.service.name]
            asked = shelf.picture.format(id=path.removeprefix("/page/picture/"))
            key = str(self.service.ready().get(shelf.key, ""))
            headers = CIMultiDict({shelf.key_header: key} if key else {})
            # Asked for in here, so that a picture shows while the service is down, and not in the journal.
            return await self.service.answer(Request("GET", asked, "", (), headers, b"", "page"))
        return NOT_MINE

    async def _reset_all(self) -> None:
        """Back to the library file, without faults, outage or journal; numbers already given stay given."""
        for rule_id in list(self.rules):
            await self._remove_fault(rule_id)
        for reason in list(self.closed_by):
            self.open_listener(reason)
        await self._settle()
        await self.service.reset()
        self.journal.rows.clear()

    async def _outage(self, body: Any) -> Any:
        call = expect(body, "outage", {"seconds": "float | None", "up": "bool"}, at_least_one=True)
        if call.get("up"):
            self.open_listener("outage")
        else:
            self.journal.event("outage")
            self.close_listener("outage", call.get("seconds"))
        await self._settle()
        return self._outage_report()

    def _outage_report(self) -> dict[str, Any]:
        timers = [timer for timer in self.closed_by.values() if timer is not None]
        left_s = max((t.when() - asyncio.get_running_loop().time() for t in timers), default=None)
        if len(timers) < len(self.closed_by):
            left_s = None
        return {"up": self.up, "closed_by": sorted(self.closed_by), "left_s": left_s}

    def add_fault(self, posted: Any) -> int:
        """The id of the rule made of a POST /faults body; ControlError when something is wrong with it."""
        if not isinstance(posted, dict):
            raise ControlError("a fault is a JSON object")
        rule = Rule(self._last_rule + 1, posted, self.seed, time.monotonic())
        if isinstance(rule.fault, StaleRead):
            self.service.remember(max(rule.fault.s, self._stale_s()))
        self._last_rule = rule.id
        self.rules[rule.id] = rule
        if isinstance(rule.fault, Refuse) and rule.at_once:
            rule.fired += 1
            self.journal.event("refuse", rule)
            self.close_listener(rule.reason, rule.for_s if rule.fault.s is None else rule.fault.s)
        return rule.id

    async def _remove_fault(self, rule_id: int) -> None:
        rule = self.rules.pop(rule_id)
        if rule.reason in self.closed_by:
            self.open_listener(rule.reason)
            await self._settle()
        if isinstance(rule.fault, StaleRead):
            self.service.remember(self._stale_s())

    def _stale_s(self) -> float:
        """How far back the reads of any posted fault go."""
        return max((r.fault.s for r in self.rules.values() if isinstance(r.fault, StaleRead)), default=0.0)


def _whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise ControlError(f"{name!r} must be a whole number, not {text!r}")
    return int(text)


def expect(
    body: Any, call: str, kinds: Mapping[str, str], required: tuple[str, ...] = (), at_least_one: bool = False
) -> dict[str, Any]:
    """The body of a control call once checked; ControlError naming the key that is unknown, missing or wrong.

    `kinds` maps each key to an annotation of simulators.faults.CHECKS, e.g. {"seconds": "float"}; "list" and
    "number" (may be negative) are known besides.
    """
    more: dict[str, tuple[Callable[[Any], bool], str]] = {
        "list": (lambda v: isinstance(v, list), "a list"),
        "number": (lambda v: isinstance(v, (int, float)) and not isinstance(v, bool), "a number"),
    }
    if not isinstance(body, dict):
        raise ControlError(f"{call}: the body must be a JSON object with {', '.join(kinds)}")
    for key, value in body.items():
        if key not in kinds:
            raise ControlError(f"{call}: unknown key {key!r} (it takes {', '.join(kinds)})")
        test, words = (more | CHECKS)[kinds[key]]
        if not test(value):
            raise ControlError(f"{call}: {key!r} must be {words}, not {json.dumps(value)}")
    for key in required:
        if key not in body:
            raise ControlError(f"{call}: {key!r} is missing")
    if at_least_one and not body:
        raise ControlError(f"{call}: one of {', '.join(kinds)} is needed")
    return body


# --- running one --------------------------------------------------------------------------------------------


def arguments(program: str, about: str) -> argparse.ArgumentParser:
    """The flags every simulator has."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port of the service (default: a free one)")
    parser.add_argument(
        "--control-port", type=int, default=0, help="port of the control API (default: a free one)"
    )
    parser.add_argument(
        "--library", metavar="FILE", help="JSON file with what the library holds at the start"
    )
    parser.add_argument(
        "--generate", type=int, metavar="N", help="make up N entries instead of reading a file"
    )
    parser.add_argument("--page", action="store_true", help="serve a live web page at the control address")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    return parser


def main(service: Service, args: argparse.Namespace) -> int:
    """Serves in the foreground until SIGTERM or SIGINT; the exit status: 0, or 2 when a port cannot be had.

    Prints one JSON line on stdout when both listeners answer, and nothing else there ever.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    return asyncio.run(_main(service, args))


async def _main(service: Service, args: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = Server(
        service,
        host=args.host,
        port=args.port,
        control_port=args.control_port,
        seed=args.seed,
        page=args.page,
    )
    try:
        await server.start()
    except (OSError, OverflowError) as problem:
        ports = f"port {args.port}, control port {args.control_port}"
        print(f"{service.name}: cannot listen on {args.host}, {ports}: {problem}", file=sys.stderr)
        return 2
    ready = {
        "ready": True,
        "service": service.name,
        "url": server.address.url,
        "control": server.address.control,
    }
    print(json.dumps({**ready, **service.ready(), "pid": os.getpid()}), flush=True)
    await stopped.wait()
    await server.stop()
    return 0
