"""The live page: what it is given, and what headless Chromium makes of it (skipped where there is none)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from simulators.fake_plex.service import FakePlex
from simulators.fake_stash.instance import Instance
from simulators.fake_stash.routes import FakeStash
from simulators.generate import generate
from simulators.handle import Handle, running
from simulators.page import CARDS_MAX
from tests.simulators.conftest import DOCUMENT

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


def edit(handle: Handle, query: str) -> None:
    url = f"{handle.url}/library/sections/1/all?type=1&{query}"
    assert requests.put(url, headers={"X-Plex-Token": "tok"}, timeout=5).status_code == 200


def asked(handle: Handle, path: str) -> Any:
    return requests.get(handle.control + path, timeout=5)


def test_only_when_it_was_asked_for() -> None:
    with running(FakePlex.from_document(DOCUMENT)) as handle:
        assert asked(handle, "/").status_code == 404
        assert asked(handle, "/page/data?since=0").status_code == 404


def test_data_of_the_fake_plex() -> None:
    with running(FakePlex.from_document(DOCUMENT, token="tok"), page=True) as handle:
        edit(handle, "id=2&title.value=Changed&title.locked=1&genre[0].tag.tag=New&actor[0].tag.tag=Ann")
        handle.outage()
        given = asked(handle, "/page/data?since=0").json()
        assert (given["total"], given["up"], given["seq"]) == (15, False, 2)
        card = next(card for card in given["cards"] if card["id"] == 2)
        assert (card["title"], card["people"]) == ("Changed", ["Ann", "Two Actor"])
        assert card["tags"] == ["New", "Drama"] and "title locked" in card["marks"]
        assert given["cards"][0]["changed_at"] == max(c["changed_at"] for c in given["cards"])
        assert [row["path"] for row in given["requests"]] == ["/library/sections/1/all", ""]
        # Pictures come although the service is down, and looking leaves no trace in the journal.
        assert asked(handle, "/page/picture/2").content.startswith(b"\x89PNG")
        assert asked(handle, "/page/picture/99").status_code == 404
        assert len(handle.requests()) == 2
        assert asked(handle, "/page/data?since=2").json()["requests"] == []
        assert asked(handle, "/page/nothing").status_code == 404


def test_data_of_the_fake_stash(tmp_path: Path) -> None:
    with running(FakeStash(Instance(tmp_path, None, {"scenes": generate(3, 1)}, 1)), page=True) as handle:
        given = asked(handle, "/page/data?since=0").json()
        assert given["service"] == "fake_stash" and given["total"] == 3
        wanted = {scene["path"] for scene in generate(3, 1)}
        assert {card["file"] for card in given["cards"]} == wanted
        assert (
            asked(handle, f"/page/picture/{given['cards'][0]['id']}")
            .headers["Content-Type"]
            .startswith("image/")
        )


def test_a_large_library_shows_what_changed_last() -> None:
    with running(FakePlex.generated(2000, token="tok"), page=True) as handle:
        edit(handle, "id=1234&title.value=Changed")
        given = asked(handle, "/page/data?since=0").json()
        assert given["total"] == 2000 and len(given["cards"]) == CARDS_MAX
        assert given["cards"][0]["title"] == "Changed"


# --- in a browser ----------------------------------------------------------------------------------------------


class Browser:
    """Headless Chromium, told what to do through its DevTools websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            message = await self.socket.receive_json(timeout=20)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]))
            if message.get("id") == self.number:
                return message["result"]

    async def value(self, script: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=script, returnByValue=True))["result"].get(
            "value"
        )

    async def until(self, script: str) -> None:
        end = time.monotonic() + 15
        while not await self.value(script):
            assert time.monotonic() < end, (
                f"never true: {script}; {await self.value('document.body.innerText')}"
            )
            await asyncio.sleep(0.1)


async def browsed(folder: Path, visit: Callable[[Browser], Awaitable[None]]) -> None:
    assert CHROMIUM is not None
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
    ]
    process = subprocess.Popen(
        [CHROMIUM, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = folder / "DevToolsActivePort"
        end = time.monotonic() + 30
        while not port_file.exists() or not port_file.read_text():
            assert time.monotonic() < end, "Chromium did not start"
            await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(t for t in await answer.json() if t["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                browser = Browser(socket)
                await browser.call("Runtime.enable")
                await visit(browser)
                assert browser.errors == []
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_chromium(tmp_path: Path) -> None:
    with running(FakePlex.from_document(DOCUMENT, token="tok"), page=True) as handle:

        async def visit(browser: Browser) -> None:
            await browser.call("Page.navigate", url=handle.control + "/")
            await browser.until("document.querySelectorAll('.card').length === 15")
            assert await browser.value("document.title") == "fake plex"
            assert await browser.value("document.querySelector('.changed') === null")
            await browser.until(
                "[...document.images].slice(0, 3).every((i) => i.complete && i.naturalWidth > 0)"
            )
            query = "id=2&title.value=%3Cb%3ENew%3C%2Fb%3E&title.locked=1&genre[0].tag.tag=Brand"
            await asyncio.to_thread(edit, handle, query)
            await browser.until("document.querySelector('.card.fresh h2')?.textContent === '<b>New</b>'")
            card = await browser.value("document.querySelector('.card[data-id=\"2\"]').innerText")
            assert "Brand" in card and "title locked" in card and "title, tags, marks at" in card
            assert "PUT /library/sections/1/all" in await browser.value(
                "document.getElementById('rows').innerText"
            )
            # What was asked is there to read, and on a phone it comes before the cards.
            said = await browser.value("document.querySelector('#rows .query').textContent")
            assert "title.value=<b>New</b>" in said and "genre[0].tag.tag=Brand" in said
            phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
            await browser.call("Emulation.setDeviceMetricsOverride", **phone)
            top = "document.querySelector('{}').getBoundingClientRect().top"
            await browser.until(f"{top.format('aside')} < {top.format('#cards')}")
            assert await browser.value("document.documentElement.scrollWidth") <= 390
            await browser.call("Emulation.clearDeviceMetricsOverride")
            await browser.value("document.getElementById('filter').value = 'brand'")
            await browser.until("document.querySelectorAll('.card:not([hidden])').length === 1")
            assert await browser.value("document.querySelector('.card[hidden]').offsetHeight") == 0
            await browser.value("document.getElementById('filter').value = 'no such words'")
            await browser.until("document.querySelector('.nothing')?.textContent === 'Nothing fits.'")
            await asyncio.to_thread(handle.outage)
            await browser.until("document.getElementById('state').className === 'down'")

        asyncio.run(browsed(tmp_path / "profile", visit))
