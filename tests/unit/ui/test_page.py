"""The page of a diff: whole, closed off from what scenes say, and never half written."""

from __future__ import annotations

import html.parser
from pathlib import Path

import pytest

from plexsync.core.item import Item
from plexsync.core.merge import Step
from plexsync.core.plan import Change, Kept
from plexsync.ui.diff import Preview, Tally
from plexsync.ui.page import Page, scene
from plexsync.ui.session import replacing

NASTY = "</td><script>alert(1)</script>\"'&"
ITEM = Item(11, 1, "Films", title=NASTY, files=("/a/1.mp4",))
PREVIEWS = [
    Preview(
        1,
        "differs",
        title=NASTY,
        path="/data/1.mp4",
        item=ITEM,
        changes=(Change("title", "The old one", "The new one"), Change("tags", ("a", NASTY), ("a", "b"))),
        kept=(Kept("rating", "9", "8", Step.KEEP_EDIT),),
        pictures=("poster",),
    ),
    Preview(2, "not_found", reason=f"No Plex item has the file {NASTY}."),
    Preview(3, "ambiguous", reason="Two.", candidates=(ITEM, ITEM)),
    Preview(4, "in_sync"),
    Preview(5, "differs", item=ITEM, changes=(Change("title", "x", "x"),)),
]


class Reader(html.parser.HTMLParser):
    """What a browser would make of it: elements properly closed, texts, and what is fetched from elsewhere."""

    VOID = frozenset({"meta", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.counted: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counted[tag] = self.counted.get(tag, 0) + 1
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def written(folder: Path) -> str:
    path, tally = folder / "diff.html", Tally()
    with replacing(str(path)) as whole, Page(whole) as page:
        for preview in PREVIEWS:
            tally.add(preview)
            page.add(preview)
        page.finish(tally, "All scenes", "2026-01-01")
    assert [each.name for each in folder.iterdir()] == ["diff.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    text = written(tmp_path)
    reader = Reader()
    reader.feed(text)
    assert not reader.open and not reader.fetched and "url(" not in text and "@import" not in text
    assert reader.counted["section"] == len(PREVIEWS) and reader.counted["script"] == 1
    assert "prefers-color-scheme: dark" in text and "color-scheme: light dark" in text
    said = "".join(reader.texts)
    assert said.count(NASTY) >= 5, "what a scene says is shown as it is, and is never markup"
    assert "5 scenes: 2 would change" in said and "nothing was written" in said
    assert "Kept; Stash has 8: it was changed in Plex since we wrote it." in said
    assert "The same, but locked" in said


def test_what_differs_is_marked() -> None:
    text = scene(PREVIEWS[0])
    assert "The <del>old</del> one" in text and "The <ins>new</ins> one" in text
    assert "a, <del>&lt;/td&gt;" in text and "a, <ins>b</ins>" in text


def test_a_look_that_fails_leaves_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "diff.html"
    path.write_text("the last one")
    with pytest.raises(RuntimeError), replacing(str(path)) as whole, Page(whole) as page:
        page.add(PREVIEWS[0])
        raise RuntimeError
    assert path.read_text() == "the last one"
    assert [each.name for each in tmp_path.iterdir()] == ["diff.html"]
