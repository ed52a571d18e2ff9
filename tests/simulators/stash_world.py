"""A fake Stash in a thread of the test, plugins written in its folder, and GraphQL by hand."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stashapi.stashapp import StashInterface

from simulators.fake_stash.instance import Instance
from simulators.fake_stash.routes import FakeStash
from simulators.handle import Handle, running

LIBRARY: dict[str, Any] = {
    "studios": [{"name": "Driftwood Films"}, {"name": "Driftwood West", "parent": "Driftwood Films"}],
    "tags": [{"name": "Outdoor"}, {"name": "Beach", "parents": ["Outdoor"]}],
    "scenes": [
        {
            "title": "First light",
            "path": "/data/a/first.mp4",
            "details": "Two friends meet.",
            "date": "2024-05-17",
            "rating100": 80,
            "studio": "Driftwood Films",
            "performers": ["Ada Keller", "Béa Ito"],
            "tags": ["Outdoor", "Beach"],
            "groups": ["The Long Summer"],
            "duration": 60,
            "size": 5_000_000_000,
        },
        {"title": "", "path": "/data/a/second.mp4", "date": "2024-05", "studio": "Driftwood West"},
        {"title": "Third", "path": "/data/b/third.mp4", "date": "2024", "organized": True, "tags": ["Beach"]},
        {"title": "No file", "performers": ["Ada Keller"]},
    ],
}

# Says on stdout what it was told to by the file `answer` beside it, and keeps its input.
ECHO = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
text = sys.stdin.read()
print("\\x01i\\x02seen", file=sys.stderr)
print(json.dumps({"output": json.loads(text)["args"]}))
"""


class Answer:
    """A reply to GraphQL by hand."""

    def __init__(self, status: int, headers: Any, raw: bytes) -> None:
        self.status = status
        self.headers = headers
        self.raw = raw

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def data(self) -> Any:
        assert "errors" not in self.json, self.json
        return self.json["data"]


class World:
    def __init__(self, handle: Handle, instance: Instance, plugins: Path) -> None:
        self.handle = handle
        self.instance = instance
        self.plugins = plugins
        self.url = handle.url

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request, redirects not followed."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        try:
            with _opener.open(request, timeout=30) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def post(self, query: str, variables: Any = None, headers: dict[str, str] | None = None) -> Answer:
        body = json.dumps({"query": query, "variables": variables}).encode()
        given = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        return self.request("POST", "/graphql", body, given)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a query that must succeed."""
        return self.post(query, variables).data

    def api(self, **connection: Any) -> StashInterface:
        """Unmodified stashapi, connected."""
        port = int(self.url.rsplit(":", 1)[1])
        return StashInterface({"Scheme": "http", "Host": "127.0.0.1", "Port": port, **connection})

    def plugin(self, name: str, script: str = ECHO, yml: str = "", triggers: str = "") -> Path:
        """Write a plugin and reload; its folder."""
        folder = self.plugins / name
        folder.mkdir(parents=True, exist_ok=True)
        hooks = f"hooks:\n  - name: h\n    triggeredBy: [{triggers}]\n" if triggers else ""
        head = f'name: {name}\nexec: [python3, "{{pluginDir}}/main.py"]\ninterface: raw\n'
        (folder / f"{name}.yml").write_text(head + hooks + yml)
        (folder / "main.py").write_text(script)
        self.ask("mutation { reloadPlugins }")
        return folder

    def runs(self) -> list[dict[str, Any]]:
        return list(self.handle.call("GET", "/runs"))

    def scene(self, scene_id: int) -> Any:
        """A scene as the catalog holds it."""
        return self.instance.catalog.scenes[scene_id]

    def job(self, job_id: Any) -> Any:
        return self.ask(
            "query($id: ID!) { findJob(input: {id: $id}) { id status progress error description } }",
            id=job_id,
        )["findJob"]

    def ended(self, job_id: Any, timeout_s: float = 10) -> Any:
        """The job once it has ended."""
        return wait_for(
            lambda: (
                job
                if (job := self.job(job_id)) and job["status"] in ("FINISHED", "FAILED", "CANCELLED")
                else None
            ),
            timeout_s,
        )

    def logged(self) -> list[str]:
        """`LEVEL message` of the last log items, oldest first."""
        return [f"{entry.level} {entry.message}" for entry in self.instance.log.recent()][::-1]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def wait_for(look: Callable[[], Any], timeout_s: float = 10) -> Any:
    """What `look` returned once it was true; an assertion after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain")


def self_signed(folder: Path) -> tuple[str, str]:
    """A certificate for another name and its key, made by openssl: two PEM files."""
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=elsewhere", "-days", "2", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextlib.contextmanager
def world(folder: Path, library: dict[str, Any] | None = None, **options: Any) -> Iterator[World]:
    plugins = folder / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    config = folder / "config"
    options.setdefault("python_path", sys.executable)
    tls = options.pop("tls", None)
    instance = Instance(config, plugins, LIBRARY if library is None else library, **options)
    with running(FakeStash(instance, tls)) as handle:
        yield World(handle, instance, plugins)
