"""Draw the rooms of plexsync/ and who imports whom, from the imports there are: ``make architecture``.

Writes docs/architecture.svg. The same sources give the same bytes, and tests/test_map.py compares them.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
# From the top: who looks at it, who carries it out, who it is about, where it waits, what arrives, what is decided.
FLOORS = (
    ("ui", "tasks, operations, command line, health check, diff"),
    ("sync", "plan, apply, record; worker, outages, reconcile"),
    ("servers", "Stash, Plex, what is known of each scene"),
    ("queue", "where edits wait: file, rows, dead letters, recovery"),
    ("hook", "the fast path inside a save; standard library only"),
    ("core", "decisions: values in, values out"),
)
WIDTH, BOX_W, BOX_H, GAP, LEFT, TOP = 760, 420, 52, 34, 30, 30


def room_of(dotted: str) -> str:
    """The room a dotted name below plexsync belongs to; "" for what stands at the top and is no room."""
    first = dotted.split(".")[1] if dotted.count(".") else ""
    return first if first in dict(FLOORS) else ""


def arrows() -> dict[tuple[str, str], int]:
    """(from, to): how many imports."""
    found: dict[tuple[str, str], int] = {}
    for path in sorted((ROOT / "plexsync").rglob("*.py")):
        here = room_of("plexsync." + ".".join(path.relative_to(ROOT / "plexsync").with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("plexsync"):
                for alias in node.names:
                    there = room_of(f"{node.module}.{alias.name}")
                    if here and there and here != there:
                        found[here, there] = found.get((here, there), 0) + 1
    return found


def picture() -> str:
    """The drawing as SVG: a box a room, upper rooms import lower ones, each arrow with the number of its imports."""
    place = {name: number for number, (name, _) in enumerate(FLOORS)}
    height = TOP * 2 + len(FLOORS) * (BOX_H + GAP) - GAP
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="14">',
        "<title>The rooms of PlexSync and their imports</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#456"/></marker></defs>',
    ]
    for name, what in FLOORS:
        y = TOP + place[name] * (BOX_H + GAP)
        out.append(
            f'<rect x="{LEFT}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="6" fill="#eef3f8" stroke="#456"/>'
        )
        out.append(f'<text x="{LEFT + 14}" y="{y + 22}" font-weight="bold">{escape(name)}</text>')
        out.append(f'<text x="{LEFT + 14}" y="{y + 41}" fill="#345">{escape(what)}</text>')
    drawn = sorted(arrows().items(), key=lambda one: (place[one[0][0]], place[one[0][1]]))
    for lane, ((here, there), count) in enumerate(drawn):
        start = TOP + place[here] * (BOX_H + GAP) + BOX_H * 0.65
        end = TOP + place[there] * (BOX_H + GAP) + BOX_H * 0.35
        x, edge = LEFT + BOX_W + 20 + lane * 21, LEFT + BOX_W
        out.append(
            f'<path d="M{edge} {start:.0f} H{x} V{end:.0f} H{edge + 3}" fill="none" stroke="#456"'
            ' marker-end="url(#tip)"/>'
        )
        out.append(f'<text x="{x + 3}" y="{start - 3:.0f}" font-size="10" fill="#345">{count}</text>')
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8")
