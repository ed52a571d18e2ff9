"""`python -m tests.simulators.covered`: how much of what clients ask is a test here, counted from the tests.

Prints a line for each list; exit status 1 when something of a list is not tested. The lists of Plex lie beside the
project (PLEXSYNC_SHARED), that of Stash is stashapi itself.
"""

import ast
import inspect
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from stashapi.stashapp import StashInterface

HERE = Path(__file__).parent
# Methods of StashInterface that ask the server nothing.
ASKS_NOTHING = {"ensure_plugin_config_file", "get_sql_interface", "parse_fragments"}


def stashapi_methods() -> set[str]:
    found = inspect.getmembers(StashInterface, inspect.isfunction)
    return {name for name, _ in found if not name.startswith("_")} - ASKS_NOTHING


def called(files: Iterable[Path]) -> set[str]:
    """Names of methods that the files call, spelled out or put together by an f-string."""
    names: set[str] = set()
    patterns: list[str] = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(p.value) if isinstance(p, ast.Constant) else r"[a-z]+" for p in node.values
                ]
                patterns.append("".join(map(str, parts)))
    made = re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)")
    return names | {name for name in stashapi_methods() if made.fullmatch(name)}


def stashapi_not_called() -> list[str]:
    files = [file for file in HERE.glob("test_stash_*.py") if "stashapi" in file.read_text(encoding="utf-8")]
    return sorted(stashapi_methods() - called([*files, HERE / "test_stash_scrapers.py"]))


def samples_not_compared(records: Path) -> list[str]:
    """Recorded answers no test reads."""
    source = (HERE / "test_plex_samples.py").read_text(encoding="utf-8")
    return sorted(file.name for file in (records / "samples").iterdir() if file.name not in source)


def main() -> int:
    from tests.simulators import test_plex_samples, test_plex_wire
    from tests.simulators.conftest import recorded_calls

    records = Path(os.environ.get("PLEXSYNC_SHARED", HERE.parents[2] / "shared")) / "plex"
    methods, missing = stashapi_methods(), stashapi_not_called()
    print(f"stashapi: {len(methods) - len(missing)} of {len(methods)} methods are called by a test")
    if records.is_dir():
        recorded = recorded_calls(records)
        absent = [name for name in recorded if name not in test_plex_wire.CALLS]
        print(f"plexapi: {len(recorded) - len(absent)} of {len(recorded)} recorded calls are a test")
        left = samples_not_compared(records)
        total = len(list((records / "samples").iterdir()))
        print(f"recorded answers: {total - len(left)} of {total} are compared")
        missing += absent + left
        for pattern, reason in test_plex_samples.KEPT.items():
            print(f"  ours lacks {pattern}: {reason}")
    else:
        print(f"plexapi: no recorded calls at {records} (set PLEXSYNC_SHARED)")
    for name in missing:
        print(f"not tested: {name}")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
