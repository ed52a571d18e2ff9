"""Write the settings of ``plexsync/core/settings.py`` into PlexSync.yml and README.md: ``make settings``.

``tests/test_map.py`` fails until this has been run after a change of the table.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from plexsync.core.settings import SETTINGS, Setting  # noqa: E402


def yml_rows() -> str:
    """The settings of a plugin file. Texts are written as JSON strings, which are YAML too."""
    return "".join(
        f"  {row.key}:\n"
        f"    displayName: {json.dumps(row.name, ensure_ascii=False)}\n"
        f"    description: {json.dumps(row.description, ensure_ascii=False)}\n"
        f"    type: {row.kind}\n"
        for row in SETTINGS
    )


def readme_rows() -> str:
    return "".join(f"| `{row.key}` | {row.name} | {default(row)} | {row.sentence} |\n" for row in SETTINGS)


def default(row: Setting) -> str:
    """What is used when nothing is set, in words."""
    if row.kind == "BOOLEAN":
        return "on" if row.default else "off"
    if row.kind == "STRING":
        return "needed" if row.needed else str(row.default) or "empty"
    return f"{row.default:g} {row.unit}".strip()


def rewrite(name: str, pattern: str, rows: str) -> None:
    """Put ``rows`` where the pattern's one group is."""
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{name} has no place for the settings")
    path.write_text(text[: found.start(1)] + rows + text[found.end(1) :], encoding="utf-8")


if __name__ == "__main__":
    rewrite("PlexSync.yml", r"^settings:\n((?:  .*\n)*)", yml_rows())
    rewrite("README.md", r"^\| key \| in Stash \|.*\n\|[-|]+\n((?:\|.*\n)*)", readme_rows())
