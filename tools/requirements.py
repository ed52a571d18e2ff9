"""Print the requirements of pyproject.toml and of the extras named, for example: test lint.

The Makefile installs from this list rather than the project itself: everything runs from the work tree, and
neither an installed copy nor an editable install's import hook stands between a test and the code it tests.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """The dependencies and those of ``extras``, without repeats; an extra may name others of this project.

    Raises KeyError for an extra there is none of.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found: dict[str, None] = dict.fromkeys(project["dependencies"])
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            inner = re.fullmatch(rf"{project['name']}\[(.+)\]", line.replace(" ", ""))
            found.update(dict.fromkeys(requirements(inner[1].split(",")) if inner else [line]))
    return list(found)


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
