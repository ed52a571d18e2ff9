"""The page of a diff in Chromium: it shows what is asked for, fits a telephone, and can be read in both schemes."""

from __future__ import annotations

from pathlib import Path

from scenario_browser import browsing

from plexsync.core.item import Item
from plexsync.core.plan import Change
from plexsync.ui.diff import Preview, Tally
from plexsync.ui.page import Page

NASTY = "</td><script>document.title = 'taken over'</script>"
SCENES = [
    Preview(
        1, "differs", title="First", item=Item(11, 1, "Films"), changes=(Change("title", NASTY, "First"),)
    ),
    Preview(2, "differs", title="Second", changes=(Change("summary", "x" * 5000, "y " * 2500),)),
    Preview(3, "not_found", title="Third", reason="No Plex item has the file /data/3.mp4."),
]
SHOWN = "[...document.querySelectorAll('section')].filter(s => !s.hidden).map(s => s.id).join(' ')"
# The contrast of a text with the ground behind it, as WCAG 2.1 computes it.
CONTRAST = """(selector, ground) => {
  const light = colour => {
    const part = colour.match(/[0-9.]+/g).slice(0, 3)
      .map(n => n / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const one = light(getComputedStyle(document.querySelector(selector)).color);
  const other = light(getComputedStyle(document.querySelector(ground)).backgroundColor);
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    file, tally = tmp_path / "diff.html", Tally()
    with file.open("w", encoding="utf-8") as whole, Page(whole) as page:
        for preview in SCENES:
            tally.add(preview)
            page.add(preview)
        page.finish(tally, "All scenes", "2026-01-01")
    with browsing(400, 800) as tab:
        tab.go(file.as_uri())
        assert tab.js("document.title") == "PlexSync: what would change"
        assert tab.js(SHOWN) == "scene-1 scene-2 scene-3"
        assert tab.js("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
        cells = "[...document.querySelectorAll('td')].map(cell => cell.clientWidth / innerWidth)"
        assert tab.js(f"Math.min(...{cells})") > 0.4, (
            "both sides have room, and the field's name is above them"
        )
        tab.js("document.querySelector('input[value=differs]').click()")
        assert tab.js(SHOWN) == "scene-3"
        tab.js("document.querySelector('input[value=differs]').click()")
        tab.js("{ const s = document.querySelector('[type=search]'); s.value = 'SECOND';"
               " s.dispatchEvent(new Event('input')); }")  # fmt: skip
        assert tab.js(SHOWN) == "scene-2"
        for scheme in ("dark", "light"):
            tab.scheme(scheme)
            for text, ground in (
                ("h1", "body"),
                (".soft", "body"),
                ("del", "del"),
                ("ins", "ins"),
                ("h2", "h2"),
            ):
                assert tab.js(f"({CONTRAST})('{text}', '{ground}')") >= 4.5, (scheme, text)
        assert tab.complaints == []
