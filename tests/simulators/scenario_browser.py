"""A headless Chromium, spoken to by its DevTools protocol; just what the tests of pages need.

Chromium is not among the test packages: where it is missing the tests say so and are skipped, in CI they fail.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest


def chromium() -> str:
    """The program's path; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "NO CHROMIUM: pages are not tested on this machine (apt-get install chromium)"
        if os.environ.get("CHROMIUM_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Page:
    """One tab. Everything the page complains about is in `complaints`."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []
        self._run(self._connect(address))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _connect(self, address: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(address, max_msg_size=0)
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"])[:500])
            elif said["method"] == "Runtime.consoleAPICalled" and said["params"]["type"] in (
                "error",
                "assert",
            ):
                self.complaints.append(json.dumps(said["params"]["args"])[:500])
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.complaints.append(said["params"]["entry"]["text"])

    async def _send(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[self._number] = answer
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        return await answer

    def send(self, method: str, **params: Any) -> Any:
        """One DevTools command; its result. AssertionError with what Chromium says when it refuses."""
        said = self._run(self._send(method, params))
        assert "error" not in said, said
        return said["result"]

    def go(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self.js("window.isTheOldPage = true")  # else its own readiness could be taken for the new one's
        self.send("Page.navigate", url=url)
        self.wait("!window.isTheOldPage && document.documentElement && document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def wait(self, expression: str, within_s: float = 20.0) -> None:
        """Until an expression is true."""
        deadline = time.monotonic() + within_s
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never came true: {expression}"
            time.sleep(0.05)

    def scheme(self, name: str) -> None:
        """ "dark" or "light"."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._run(self._socket.close())
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def browsing(width: int = 1200, height: int = 900) -> Iterator[Page]:
    """A fresh browser with one empty tab for as long as the block lasts."""
    program = chromium()
    profile = tempfile.mkdtemp(prefix="chromium-")
    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
        f"--window-size={width},{height}",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = Path(profile) / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while not port_file.exists() or not port_file.read_text().strip():
            assert process.poll() is None and time.monotonic() < deadline, "chromium did not start"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        page = Page(tabs[0]["webSocketDebuggerUrl"])
        try:
            for domain in ("Page", "Runtime", "Log"):
                page.send(f"{domain}.enable")
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(profile, ignore_errors=True)
