"""HTTP to answers: GraphQL over POST, GET and websocket, pictures, login, plugin files, and the control calls.

The order of the checks is Stash 0.30's (pkg/session, internal/api/authentication.go, internal/api/server.go).
"""

import asyncio
import functools
import gzip
import hashlib
import heapq
import json
import mimetypes
import os
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from graphql import FieldNode, OperationDefinitionNode

from simulators.faults import ControlError
from simulators.page import SHELVES
from simulators.serving import NOT_MINE, Address, Reply, Request, Service

from . import streams
from .catalog import CatalogError, Scene
from .execute import Engine, Prepared, Refusal, reply_body
from .firing import Address as PluginAddress
from .firing import PluginRefused
from .gojson import Number
from .instance import Call, DiskFile, Instance, Switches, parse_zone
from .library import BadLibrary, scene_state
from .library_jobs import scan_file
from .operations import MUTATION, OBJECTS, QUERY
from .process import Run
from .resolvers import FIELDS, type_of
from .sessions import Caller
from .subscriptions import PROTOCOLS, converse

SCHEMA = Path(__file__).with_name("schema.graphql")
GZIP_OVER = 1400  # bytes; smaller replies go as they are
PLACEHOLDER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1280 720"><rect width="1280" height="720" fill="#30404d"/>'
    b'<path d="M520 240v240l240-120z" fill="#8a9ba8"/></svg>'
)
YEAR_S = 31_536_000


@functools.cache
def make_engine() -> Engine:
    """One for all: it holds nothing of a server but what it has parsed."""
    return Engine(
        SCHEMA,
        {"Query": QUERY, "Mutation": MUTATION, **OBJECTS, **FIELDS},
        (CatalogError, PluginRefused),
        type_of,
        ("Tag", "Performer", "Studio", "Group", "Folder"),
        Call.check_lock,
    )


@dataclass(frozen=True)
class GraphQLRequest:
    """What a client sent: parsed, not yet judged."""

    query: str
    variables: Mapping[str, Any] | None
    operation_name: str | None


class BadBody(Exception):
    """The request is no GraphQL request at all; the text is the answer's message."""


def read_graphql(request: Request) -> GraphQLRequest:
    """Raises BadBody."""
    if request.method == "GET":
        raw = request.get("variables")
        try:
            variables = json.loads(raw, parse_float=Number) if raw else None
        except ValueError as error:
            raise BadBody("variables could not be decoded") from error
        return GraphQLRequest(request.get("query") or "", variables, request.get("operationName"))
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadBody("transport not supported")
    try:
        body = json.loads(request.body, parse_float=Number)
    except ValueError as error:
        raise BadBody(
            f"json request body could not be decoded: {error} body:{request.body[:200]!r}"
        ) from error
    if not isinstance(body, dict):
        raise BadBody("json request body could not be decoded: not an object")
    query, variables, name = body.get("query"), body.get("variables"), body.get("operationName")
    if (
        not isinstance(query or "", str)
        or not isinstance(variables or {}, dict)
        or not isinstance(name or "", str)
    ):
        raise BadBody("json request body could not be decoded: wrong type")
    return GraphQLRequest(query or "", variables, name or None)


class FakeStash(Service):
    name = "fake_stash"
    cancel_when_gone = True

    def __init__(self, instance: Instance, tls: ssl.SSLContext | None = None) -> None:
        self.instance = instance
        self.tls = tls
        self.engine = make_engine()
        self._last_read: tuple[bytes, GraphQLRequest] | None = None
        self._later: set[asyncio.Task[Any]] = set()

    # Life.

    async def start(self, address: Address) -> None:
        host = self.instance.advertised_host or address.host
        self.instance.address = PluginAddress(host, address.port, "https" if self.tls else "http")
        self.instance.host.reload()
        self.instance.log.info(f"stash is listening on {address.host}:{address.port}")

    async def finish(self, open_requests: Callable[[], int]) -> None:
        """Waits for open requests where Stash does; whatever plugin runs after that is an orphan."""
        while open_requests() and self.instance.switches.shutdown_waits:
            await asyncio.sleep(0.01)
        self.instance.host.abandon()

    def ready(self) -> dict[str, Any]:
        return {"api_key": self.instance.api_key}

    def _read(self, request: Request) -> GraphQLRequest:
        """As read_graphql, remembering the last body: one request is looked at several times, and can be megabytes."""
        if self._last_read is not None and request.body and self._last_read[0] is request.body:
            return self._last_read[1]
        found = read_graphql(request)
        self._last_read = (request.body, found)
        return found

    # What the layer asks.

    def labels(self, request: Request) -> tuple[str, ...]:
        if request.path != "/graphql":
            return ()
        try:
            given = self._read(request)
            document = self.engine.document(given.query)
        except (BadBody, Refusal):
            return ()
        names: list[str] = []
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                if node.name:
                    names.append(node.name.value)
                names += [f.name.value for f in node.selection_set.selections if isinstance(f, FieldNode)]
        return tuple(dict.fromkeys(names))

    def is_read(self, request: Request) -> bool:
        if request.path != "/graphql":
            return request.method in ("GET", "HEAD")
        try:
            given = self._read(request)
            document = self.engine.document(given.query)
        except (BadBody, Refusal):
            return True
        kinds = [d.operation.value for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        return "mutation" not in kinds

    def remember(self, seconds: float) -> None:
        self.instance.remember(seconds)

    def state(self, params: Mapping[str, str]) -> Any:
        instance = self.instance
        catalog = instance.catalog
        return {
            "scenes": [scene_state(catalog, scene) for scene in catalog.scenes.values()],
            **{
                f"{kind}s": [{"id": row.id, "name": row.name} for row in catalog.rows[kind].values()]
                for kind in ("studio", "performer", "tag", "group")
            },
            "jobs": [self._job_state(job) for job in [*instance.jobs.all(), *instance.jobs.ended()]],
            "settings": instance.settings.plugins(),
            "plugins": [plugin.id for plugin in instance.host.plugins],
            "switches": instance.switches.__dict__,
        }

    def cards(self, most: int) -> tuple[int, list[dict[str, Any]]]:
        """How many scenes there are, and the last changed of them as cards of the live page."""
        catalog = self.instance.catalog
        latest = heapq.nlargest(most, catalog.scenes.values(), key=lambda scene: (scene.updated_at, scene.id))
        state = {"scenes": [scene_state(catalog, scene) for scene in latest]}
        return len(catalog.scenes), SHELVES[self.name].cards(state)

    @staticmethod
    def _job_state(job: Any) -> dict[str, Any]:
        named = ("id", "status", "description", "progress", "error")
        return {name: getattr(job, name) for name in named}

    async def reset(self) -> None:
        await self.instance.reset()

    def encode(self, request: Request, reply: Reply) -> Reply:
        accepted = request.headers.get("Accept-Encoding", "")
        if (
            "gzip" not in accepted
            or len(reply.body) < GZIP_OVER
            or reply.status == 304
            or reply.cut is not None
        ):
            return reply
        if not (reply.content_type or "").startswith(("application/", "text/")):
            return reply
        headers = {**reply.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return replace(reply, body=gzip.compress(reply.body, 1, mtime=0), headers=headers)

    # Requests.

    async def answer(self, request: Request) -> Reply:
        if request.path == "/healthz":
            return Reply(body=b"", content_type=None)
        cors = {"Access-Control-Allow-Origin": "*"} if request.headers.get("Origin") else {}
        if request.method == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": "*", "Access-Control-Allow-Headers": "*"}
            return Reply(204, content_type=None, headers=cors | allowed)
        caller, cookie, refused = self._judge(request)
        if refused is not None:
            return refused
        reply = await self._route(request, caller)
        return replace(reply, headers={**cookie, **cors, **reply.headers})

    def _judge(self, request: Request) -> tuple[Caller, dict[str, str], Reply | None]:
        """Who asks, the renewed cookie, and the reply when they may not."""
        instance = self.instance
        key = request.headers.get("ApiKey") or request.get("apikey") or ""
        caller: Caller | None = None
        cookie: dict[str, str] = {}
        held = self._cookie(request)
        seen = instance.sessions.read(held) if held else None
        if key:
            if key != instance.api_key:
                return Caller(), {}, Reply(401, content_type=None)
            caller = Caller(instance.user, seen.visited if seen else ())
        elif seen is not None:
            caller = seen
            if seen.user or not instance.needs_login:
                cookie = {"Set-Cookie": self._set_cookie(seen)}
        peer = request.client.rpartition(":")[0].strip("[]")
        barred = instance.refuse_outsiders(peer, request.headers.get("X-Forwarded-For", ""))
        if barred:
            return Caller(), {}, Reply(barred, content_type=None)
        if instance.needs_login and (caller is None or not caller.user) and not self._open_path(request.path):
            return Caller(), {}, self._unauthorized(request)
        return caller or Caller(), cookie, None

    @staticmethod
    def _cookie(request: Request) -> str | None:
        """The first `session` cookie, which is the one Go reads."""
        for part in request.headers.get("Cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "session":
                try:
                    return SimpleCookie(f"session={value}")["session"].value
                except (CookieError, KeyError):
                    return value
        return None

    def _set_cookie(self, caller: Caller) -> str:
        value = self.instance.sessions.make(caller)
        return f"session={value}; Path=/; Max-Age={self.instance.sessions.max_age_s}; HttpOnly"

    @staticmethod
    def _open_path(path: str) -> bool:
        return path in ("/login", "/logout", "/favicon.ico") or path.startswith("/login/")

    @staticmethod
    def _unauthorized(request: Request) -> Reply:
        extension = os.path.splitext(request.path)[1]
        if request.path == "/graphql" or extension not in ("", ".html"):
            return Reply(401, content_type=None, headers={"WWW-Authenticate": "FormBased"})
        target = request.path + (f"?{request.query}" if request.query else "")
        return Reply(
            302, content_type=None, headers={"Location": f"/login?returnURL={urllib.parse.quote(target, '')}"}
        )

    def _call(self, request: Request, caller: Caller) -> Call:
        scheme = request.headers.get("X-Forwarded-Proto", self.instance.address.scheme)
        prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
        call = Call(self.instance, caller, f"{scheme}://{request.headers.get('Host', '')}{prefix}")
        if request.as_of is not None:
            call.as_of(request.as_of)
        return call

    async def _route(self, request: Request, caller: Caller) -> Reply:
        path = request.path
        if path == "/graphql":
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return self._websocket(request, caller)
            return await self._graphql(request, caller)
        if path == "/login":
            return self._login(request)
        if path == "/logout":
            gone = {"Set-Cookie": "session=; Path=/; Max-Age=0", "Location": "/login"}
            return Reply(302, content_type=None, headers=gone)
        parts = path.strip("/").split("/")
        if len(parts) >= 3 and parts[0] in ("scene", "performer", "studio", "tag", "group"):
            return self._picture(request, self._call(request, caller), parts)
        if len(parts) >= 3 and parts[0] == "plugin":
            return self._plugin_file(parts)
        if path in ("/", "/index.html"):
            return Reply(body=b"<!doctype html><title>Stash</title>", content_type="text/html; charset=utf-8")
        return self.error(404, request)

    # GraphQL.

    async def _graphql(self, request: Request, caller: Caller) -> Reply:
        kind, refusal_status = _reply_kind(request.headers.get("Accept"))
        if request.method not in ("GET", "POST"):
            return Reply(405, content_type=None)
        try:
            given = self._read(request)
        except BadBody as problem:
            return Reply(400, reply_body("null", [{"message": str(problem)}]).encode(), kind)
        try:
            prepared = self.engine.prepare(given.query, given.variables, given.operation_name)
        except Refusal as refusal:
            return Reply(refusal_status, reply_body("null", refusal.errors).encode(), kind)
        if request.method == "GET" and prepared.kind != "query":
            message = "GET requests only allow query operations"
            return Reply(406, reply_body("null", [{"message": message}]).encode(), kind)
        if prepared.kind == "subscription":
            message = "subscriptions need a websocket"
            return Reply(refusal_status, reply_body("null", [{"message": message}]).encode(), kind)
        return Reply(200, (await self.run(prepared, self._call(request, caller))).encode(), kind)

    async def run(self, prepared: Prepared, call: Call) -> str:
        """The body of the answer."""
        if prepared.kind == "mutation":
            self.instance.about_to_change()
        return (await self.engine.run(prepared, call)).body()

    def _websocket(self, request: Request, caller: Caller) -> Reply:
        async def speak(socket: Any) -> None:
            await converse(socket, self, self._call(request, caller))

        return Reply(101, content_type=None, websocket=speak, protocols=PROTOCOLS)

    # Login.

    def _login(self, request: Request) -> Reply:
        instance = self.instance
        if request.method != "POST":
            page = b"<!doctype html><title>Login</title><form method=post><input name=username><input name=password>"
            return Reply(body=page, content_type="text/html; charset=utf-8")
        form = dict(urllib.parse.parse_qsl(request.body.decode("utf-8", "replace")))
        right = (
            instance.needs_login
            and form.get("username") == instance.user
            and form.get("password") == instance.settings.get("password")
        )
        if not right:
            return Reply(401, b"Username or password is invalid", "text/plain; charset=utf-8")
        return Reply(content_type=None, headers={"Set-Cookie": self._set_cookie(Caller(instance.user))})

    # Pictures and plugin files.

    def _picture(self, request: Request, call: Call, parts: list[str]) -> Reply:
        kind, number, what = parts[0], parts[1], parts[2]
        if not number.isdigit():
            return self.error(400, request)
        row = call.catalog.rows[kind].get(int(number))
        if row is None:
            return self.error(404, request)
        if isinstance(row, Scene):
            return self._scene_part(request, row, parts[2:])
        names = {"image": "image", "frontimage": "front_image", "backimage": "back_image"}
        if what not in names or not hasattr(row, names[what]):
            return self.error(404, request)
        default = request.get("default") == "true"
        return _image(request, None if default else getattr(row, names[what]))

    def _scene_part(self, request: Request, scene: Scene, parts: list[str]) -> Reply:
        if parts == ["screenshot"]:
            return _image(request, scene.cover)
        prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
        return streams.answer(request, self.instance.catalog, scene, parts, prefix)

    def _plugin_file(self, parts: list[str]) -> Reply:
        plugin = self.instance.host.find(parts[1])
        if plugin is None:
            return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")
        if plugin.id in self.instance.host.settings.disabled:
            return Reply(400, b"plugin disabled\n", "text/plain; charset=utf-8")
        if parts[2] in ("javascript", "css"):
            names = plugin.ui.javascript if parts[2] == "javascript" else plugin.ui.css
            local = [
                Path(plugin.folder) / name for name in names if not name.startswith(("http://", "https://"))
            ]
            text = "\n".join(path.read_text(encoding="utf-8") for path in local if path.is_file())
            return Reply(body=text.encode(), content_type=f"text/{parts[2]}")
        if parts[2] == "assets":
            wanted = "/" + "/".join(parts[3:])
            for prefix in sorted(plugin.ui.assets, key=len, reverse=True):
                if wanted.startswith(prefix):
                    root = (Path(plugin.folder) / plugin.ui.assets[prefix]).resolve()
                    path = (root / wanted[len(prefix) :].lstrip("/")).resolve()
                    if path.is_relative_to(root) and path.is_file():
                        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                        return Reply(body=path.read_bytes(), content_type=kind)
        return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")

    # Control.

    async def control(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Any:
        match (method, path.rstrip("/")):
            case ("GET", "/runs"):
                since = int(params.get("since", "0"))
                return [
                    run_state(number, run)
                    for number, run in enumerate(self.instance.runs, 1)
                    if number > since
                ]
            case ("DELETE", "/runs"):
                self.instance.runs.clear()
                return {"ok": True}
            case ("POST", "/scenes"):
                return await self._scanned(_object(body, "scenes"))
            case ("POST", "/files"):
                return self._put_file(_object(body, "files"))
            case ("DELETE", "/files"):
                return {
                    "removed": self.instance.disk.pop(str(_object(body, "files").get("path")), None)
                    is not None
                }
            case ("POST", "/files/move"):
                return self._move_file(_object(body, "files/move"))
            case ("POST", "/identify"):
                return self._identify(_object(body, "identify"))
            case ("GET", "/switches"):
                return self.instance.switches.__dict__
            case ("POST", "/switches"):
                return self._switch(_object(body, "switches"))
            case ("POST", "/restart"):
                await self.instance.restart()
                return {"ok": True}
        return NOT_MINE

    async def _scanned(self, body: dict[str, Any]) -> Any:
        """A scene as a scan makes it. `wait: false` answers before its hooks have run."""
        wait = body.pop("wait", True)
        if not body.get("path"):
            raise ControlError("scenes: 'path' is missing")
        call = Call(self.instance)
        if call.catalog.file_by_path(body["path"]):
            raise ControlError(f"scenes: {body['path']} is in the library already")
        found = DiskFile(
            body["path"], {key: value for key, value in body.items() if key not in ("path", "cover")}
        )
        self.instance.about_to_change()
        self.instance.disk[found.path] = found
        task = asyncio.ensure_future(scan_file(call, found, {"scanGenerateCovers": body.get("cover", True)}))
        try:
            if not wait:
                self._later.add(task)
                task.add_done_callback(self._later.discard)
                await asyncio.sleep(0)
                scene = call.catalog.scene_by_path(found.path)
            else:
                scene = await task
        except BadLibrary as problem:
            self.instance.disk.pop(found.path, None)
            raise ControlError(str(problem)) from problem
        return {"id": scene.id if scene else None}

    def _put_file(self, body: dict[str, Any]) -> Any:
        """A file appears on the disk, or is written to when it is there; a scan will notice."""
        path = body.pop("path", None)
        if not path:
            raise ControlError("files: 'path' is missing")
        held = self.instance.disk.get(path)
        if held is None:
            self.instance.disk[path] = DiskFile(path, body)
        else:
            held.values |= body
            held.version += 1
        return {"path": path, "version": self.instance.disk[path].version}

    def _move_file(self, body: dict[str, Any]) -> Any:
        """A file changes place on the disk, behind Stash's back."""
        held = self.instance.disk.pop(str(body.get("from")), None)
        if held is None or not body.get("to"):
            raise ControlError("files/move: 'from' must be a file on the disk, and 'to' its new path")
        self.instance.disk[body["to"]] = replace(held, path=body["to"])
        return {"path": body["to"]}

    def _identify(self, body: dict[str, Any]) -> Any:
        """What Identify will find for a scene: `{"scene_id": N, "matches": [{title, studio, …}]}`."""
        if not isinstance(body.get("scene_id"), int) or not isinstance(body.get("matches"), list):
            raise ControlError("identify: 'scene_id' must be a number and 'matches' a list")
        self.instance.identify_matches[body["scene_id"]] = body["matches"]
        return {"ok": True}

    def _switch(self, body: dict[str, Any]) -> Any:
        switches = self.instance.switches
        known = {item.name: type(getattr(Switches(), item.name)) for item in fields(Switches)}
        if "zone" in body:
            try:
                body["zone_minutes"] = None if body["zone"] is None else parse_zone(body["zone"])
            except ValueError as problem:
                raise ControlError(f"switches: {problem}") from problem
            del body["zone"]
        for name, value in body.items():
            if name not in known:
                raise ControlError(f"switches: unknown key {name!r} (known: {', '.join(known)}, zone)")
            if name != "zone_minutes" and not isinstance(
                value, known[name] | (int if known[name] is float else known[name])
            ):
                raise ControlError(f"switches: {name!r} must be a {known[name].__name__}")
            setattr(switches, name, value)
        self.instance.apply_settings()
        return switches.__dict__


def _object(body: Any, call: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ControlError(f"{call}: the body must be a JSON object")
    return dict(body)


def _reply_kind(accept: str | None) -> tuple[str, int]:
    """Content type and the status of a request that is refused, by what the client accepts."""
    if accept is None or "application/json" in accept:
        return "application/json", 422
    if "*/*" in accept or "application/*" in accept or "application/graphql-response+json" in accept:
        return "application/graphql-response+json", 400
    return "application/json", 422


def sniff(data: bytes) -> str:
    """Go's http.DetectContentType, for the kinds a cover can be."""
    for start, kind in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"<svg", "image/svg+xml"),
    ):
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:14] == b"WEBPVP":
        return "image/webp"
    return "application/octet-stream"


def _image(request: Request, data: bytes | None) -> Reply:
    """A picture or the placeholder, which nothing but its type tells apart."""
    body = PLACEHOLDER if data is None else data
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    lasting = request.get("t") is not None
    cache = f"private, max-age={YEAR_S}, immutable" if lasting else "no-cache"
    headers = {"ETag": tag, "Cache-Control": cache}
    if request.headers.get("If-None-Match") == tag:
        return Reply(304, content_type=None, headers=headers)
    return Reply(body=body, content_type=sniff(body), headers=headers)


def run_state(number: int, run: Run) -> dict[str, Any]:
    """A plugin process as `GET /runs` shows it; `stdin` is the input byte for byte, `input` the same as JSON."""
    return {
        "seq": number,
        "kind": run.kind,
        "plugin": run.plugin,
        "trigger": run.trigger,
        "scene_id": run.scene_id,
        "input": json.loads(run.input) if run.input else None,
        "stdin": run.input,
        "pid": run.pid,
        "started_at": run.started_at,
        "exit": run.exit,
        "signal": run.signal,
        "wall_ms": run.wall_ms,
        "stdout": run.stdout,
        "log": list(run.log),
        "progress": list(run.progress),
    }
