"""A person at Stash: saves, bulk edits, deletes, presses buttons, over GraphQL as the browser does."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from scenarios.history import FAILED, UNKNOWN
from scenarios.recorder import NotDone

_FINDERS = {
    "tag": ("findTags", "tags"),
    "performer": ("findPerformers", "performers"),
    "studio": ("findStudios", "studios"),
}
PLUGIN = "PlexSync"


class Person:
    """One person with as many tabs as threads. Names of relations become ids, made when Stash has none of the name."""

    def __init__(self, url: str, api_key: str = "", timeout_s: float = 30.0) -> None:
        self.address = urlsplit(url)
        self.api_key = api_key
        self.timeout_s = timeout_s
        self._ids: dict[tuple[str, str], str] = {}
        self._mutex = threading.Lock()

    # ---- the wire ----

    def _connection(self) -> http.client.HTTPConnection:
        secure = self.address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(str(self.address.hostname), self.address.port, timeout=self.timeout_s)

    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **({"ApiKey": self.api_key} if self.api_key else {})}

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The `data` of one operation. Raises NotDone: failed when Stash said no or was not there, else unknown."""
        body = json.dumps({"query": query, "variables": dict(variables or {})})
        connection = self._connection()
        try:
            try:
                connection.connect()
            except OSError as error:
                raise NotDone(FAILED, f"Stash is not there: {error}") from None
            try:
                connection.request("POST", "/graphql", body, self._headers())
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise NotDone(UNKNOWN, f"no answer: {error!r}") from None
        finally:
            connection.close()
        if not isinstance(said, dict) or said.get("errors"):
            errors = said.get("errors") if isinstance(said, dict) else said
            raise NotDone(FAILED, json.dumps(errors)[:300])
        return said["data"]

    def leave(self, query: str, variables: Mapping[str, Any], after_s: float) -> None:
        """Send an operation and close the tab `after_s` later, whatever has come of it."""
        connection = self._connection()
        body = json.dumps({"query": query, "variables": dict(variables)})
        connection.connect()
        connection.request("POST", "/graphql", body, self._headers())
        time.sleep(after_s)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()

    # ---- names ----

    def named(self, kind: str, name: str) -> str:
        """The id of the tag, performer or studio of this name."""
        with self._mutex:
            key = (kind, name.casefold())
            if key not in self._ids:
                self._look_up(kind)
            if key not in self._ids:
                Kind = kind.capitalize()
                query = f"mutation($input: {Kind}CreateInput!) {{ {kind}Create(input: $input) {{ id }} }}"
                self._ids[key] = self.ask(query, {"input": {"name": name}})[f"{kind}Create"]["id"]
            return self._ids[key]

    def _look_up(self, kind: str) -> None:
        finder, rows = _FINDERS[kind]
        data = self.ask(f"query {{ {finder}(filter: {{per_page: -1}}) {{ {rows} {{ id name }} }} }}")
        for row in data[finder][rows]:
            self._ids[kind, row["name"].casefold()] = row["id"]

    def input_of(self, fields: Mapping[str, Any], bulk: bool = False) -> dict[str, Any]:
        """Fields with names as SceneUpdateInput (or BulkSceneUpdateInput) wants them."""
        found: dict[str, Any] = {}
        for name, value in fields.items():
            if name == "studio":
                found["studio_id"] = self.named("studio", value) if value else None
            elif name in ("performers", "tags"):
                kind = name.removesuffix("s")
                ids = [self.named(kind, one) for one in value]
                found[f"{kind}_ids"] = {"ids": ids, "mode": "SET"} if bulk else ids
            else:
                found[name] = value
        return found

    # ---- what people do ----

    def request(
        self, kind: str, scene_ids: tuple[int, ...], fields: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The operation that does this, and its variables."""
        if kind == "bulk":
            query = "mutation BulkSceneUpdate($input: BulkSceneUpdateInput!) { bulkSceneUpdate(input: $input) { id } }"
            return query, {
                "input": {"ids": [str(one) for one in scene_ids], **self.input_of(fields, bulk=True)}
            }
        if kind == "destroy":
            query = "mutation ScenesDestroy($input: ScenesDestroyInput!) { scenesDestroy(input: $input) }"
            return query, {"input": {"ids": [str(one) for one in scene_ids], "delete_file": False}}
        if kind == "merge":
            source, into = scene_ids
            query = "mutation SceneMerge($input: SceneMergeInput!) { sceneMerge(input: $input) { id } }"
            return query, {"input": {"source": [str(source)], "destination": str(into)}}
        query = "mutation SceneUpdate($input: SceneUpdateInput!) { sceneUpdate(input: $input) { id } }"
        return query, {"input": {"id": str(scene_ids[0]), **self.input_of(fields)}}

    def rename(self, kind: str, old: str, new: str) -> None:
        row_id = self.named(kind, old)
        Kind = kind.capitalize()
        self.ask(
            f"mutation($input: {Kind}UpdateInput!) {{ {kind}Update(input: $input) {{ id }} }}",
            {"input": {"id": row_id, "name": new}},
        )
        with self._mutex:
            self._ids[kind, new.casefold()] = self._ids.pop((kind, old.casefold()))

    def operate(self, mode: str, **args: Any) -> Any:
        """Run a mode of the plugin and wait; its output."""
        query = "mutation($id: ID!, $args: Map) { runPluginOperation(plugin_id: $id, args: $args) }"
        return self.ask(query, {"id": PLUGIN, "args": {"mode": mode, **args}})["runPluginOperation"]

    def start_task(self, mode: str) -> str:
        """Queue a mode of the plugin as one of Stash's jobs; the job's id."""
        query = "mutation($id: ID!, $args: Map) { runPluginTask(plugin_id: $id, args_map: $args) }"
        return str(self.ask(query, {"id": PLUGIN, "args": {"mode": mode}})["runPluginTask"])

    def stop_task(self, job_id: str) -> None:
        self.ask("mutation($id: ID!) { stopJob(job_id: $id) }", {"id": job_id})

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Store the plugin's settings: the whole map, as Stash replaces it."""
        self.ask(
            "mutation($id: ID!, $input: Map!) { configurePlugin(plugin_id: $id, input: $input) }",
            {"id": PLUGIN, "input": dict(settings)},
        )
