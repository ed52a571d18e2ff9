"""Subscriptions over the websocket, in graphql-transport-ws and in the older graphql-ws (subscriptions-transport-ws).

Jobs are told as they move, the log in batches of at most one a second, scans when they end.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import WSMsgType, web
from graphql import FieldNode

from .execute import Engine, Prepared, Refusal
from .instance import Call
from .logs import LogEntry

NEW, OLD = "graphql-transport-ws", "graphql-ws"
PROTOCOLS = (NEW, OLD)
PING_S = 10
LOG_BATCH_S = 1.0
LOG_BUFFER = 100  # entries; a subscriber that lags further behind misses some


async def jobs(call: Call) -> AsyncIterator[Any]:
    queue = call.instance.jobs.listen()
    try:
        while True:
            kind, job = await queue.get()
            yield {"type": kind, "job": job}
    finally:
        call.instance.jobs.unlisten(queue)


async def logging(call: Call) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    entries: list[LogEntry] = []
    arrived = asyncio.Event()

    def take(entry: LogEntry) -> None:
        if len(entries) < LOG_BUFFER:
            entries.append(entry)
        arrived.set()

    stop = call.instance.log.listen(lambda entry: loop.call_soon_threadsafe(take, entry))
    try:
        while True:
            await arrived.wait()
            batch, entries[:] = list(entries), []
            arrived.clear()
            yield batch
            await asyncio.sleep(LOG_BATCH_S)
    finally:
        stop()


async def scans(call: Call) -> AsyncIterator[Any]:
    queue: asyncio.Queue[bool] = asyncio.Queue()
    call.instance.scan_listeners.append(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        call.instance.scan_listeners.remove(queue)


SUBSCRIPTION = {"jobsSubscribe": jobs, "loggingSubscribe": logging, "scanCompleteSubscribe": scans}


async def events(engine: Engine, prepared: Prepared, call: Call) -> AsyncIterator[str]:
    """The body of each message of a subscription, as JSON text."""
    node = next(item for item in prepared.operation.selection_set.selections if isinstance(item, FieldNode))
    name = node.name.value
    source = SUBSCRIPTION[name](call)
    try:
        async for value in source:
            yield (await engine.event(prepared, call, value)).body()
    finally:
        await source.aclose()  # type: ignore[attr-defined]


async def converse(socket: web.WebSocketResponse, service: Any, call: Call) -> None:
    """One connection, to its end."""
    await Conversation(socket, service, call).run()


class Conversation:
    def __init__(self, socket: web.WebSocketResponse, service: Any, call: Call) -> None:
        self.socket = socket
        self.service = service
        self.call = call
        self.new = socket.ws_protocol != OLD
        self.running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        pinging = asyncio.ensure_future(self._ping())
        try:
            async for message in self.socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                try:
                    given = json.loads(message.data)
                except ValueError:
                    await self.socket.close(code=4400, message=b"invalid message")
                    return
                if not await self._handle(given if isinstance(given, dict) else {}):
                    return
        finally:
            for task in [pinging, *self.running.values()]:
                task.cancel()
            await asyncio.gather(pinging, *self.running.values(), return_exceptions=True)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._say("ping" if self.new else "ka")

    async def _say(self, kind: str, key: str | None = None, payload: str | None = None) -> None:
        parts = [f'"type":"{kind}"']
        if key is not None:
            parts.insert(0, f'"id":{json.dumps(key)}')
        if payload is not None:
            parts.append(f'"payload":{payload}')
        if not self.socket.closed:
            await self.socket.send_str("{" + ",".join(parts) + "}")

    async def _handle(self, given: dict[str, Any]) -> bool:
        """False when the conversation is over."""
        match given.get("type"):
            case "connection_init":
                await self._say("connection_ack")
                if not self.new:
                    await self._say("ka")
            case "ping":
                await self._say("pong")
            case "subscribe" | "start":
                key = str(given.get("id"))
                self.running[key] = asyncio.ensure_future(self._serve(key, given.get("payload") or {}))
            case "complete" | "stop":
                if task := self.running.pop(str(given.get("id")), None):
                    task.cancel()
            case "connection_terminate":
                await self.socket.close()
                return False
        return True

    async def _serve(self, key: str, payload: dict[str, Any]) -> None:
        engine: Engine = self.service.engine
        try:
            prepared = engine.prepare(
                payload.get("query") or "", payload.get("variables"), payload.get("operationName")
            )
        except Refusal as refusal:
            await self._say("error", key, json.dumps(refusal.errors))
            return
        data = "next" if self.new else "data"
        if prepared.kind == "subscription":
            async for body in events(engine, prepared, self.call):
                await self._say(data, key, body)
        else:
            await self._say(data, key, await self.service.run(prepared, self.call))
        await self._say("complete", key)
