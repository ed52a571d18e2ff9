"""A running simulator as its user sees it: started in a thread (`running`) or in a process of its own (`spawned`), both
with a `Handle` that knows its addresses and its control API.

May be imported by: scenarios, tests and other projects. Imports: simulators.serving, simulators.faults, the standard
library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from simulators.faults import ControlError
from simulators.serving import Server, Service


class Handle:
    """A running simulator as its user sees it: addresses, and the control API as methods.

    A control call that is refused raises ControlError with the server's sentence.
    """

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.ready = dict(ready)
        self.url: str = ready["url"]
        self.control: str = ready["control"]
        self.pid: int = ready["pid"]

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = 60) -> Any:
        """One control call; the JSON value it answered."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.control + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            raise ControlError(json.loads(refused.read()).get("error", str(refused))) from refused

    def state(self) -> Any:
        return self.call("GET", "/state")

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/requests?since={since}"))

    def clear_requests(self) -> None:
        self.call("DELETE", "/requests")

    def fault(self, kind: str, **settings: Any) -> int:
        """Posts a fault; its id. `settings` are the other keys of POST /faults: match, count, ms ..."""
        return int(self.call("POST", "/faults", {"kind": kind, **settings})["id"])

    def faults(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/faults"))

    def clear_faults(self, fault_id: int | None = None) -> None:
        self.call("DELETE", "/faults" if fault_id is None else f"/faults/{fault_id}")

    def outage(self, seconds: float | None = None) -> None:
        """Takes the public listener down, for `seconds` or until `up()`."""
        self.call("POST", "/outage", {"up": False} if seconds is None else {"seconds": seconds})

    def up(self) -> None:
        self.call("POST", "/outage", {"up": True})

    def reset(self) -> None:
        self.call("POST", "/reset")


@contextlib.contextmanager
def running(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    control_port: int = 0,
    seed: int = 0,
    page: bool = False,
) -> Iterator[Handle]:
    """Serves in a thread of this process for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    server = Server(service, host=host, port=port, control_port=control_port, seed=seed, page=page)
    thread = threading.Thread(target=loop.run_forever, name=service.name, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        try:
            address = {"url": server.address.url, "control": server.address.control, "pid": os.getpid()}
            yield Handle({"ready": True, "service": service.name, **address, **service.ready()})
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextlib.contextmanager
def spawned(module: str, *args: str, cwd: str | None = None) -> Iterator[Handle]:
    """Serves in a process of its own (`python -m module args`) for as long as the block lasts.

    RuntimeError with what it wrote to stderr when it ends before it is ready.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", module, *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env)
    assert process.stdout is not None and process.stderr is not None
    errors: deque[bytes] = deque(maxlen=200)
    stderr = process.stderr
    reader = threading.Thread(target=lambda: errors.extend(stderr), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        if not line:
            process.wait()
            reader.join(2)
            text = b"".join(errors).decode(errors="replace")
            raise RuntimeError(f"{module} ended with status {process.returncode}: {text}")
        yield Handle(json.loads(line))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(2)
        process.stdout.close()
        stderr.close()
