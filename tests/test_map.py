"""What must agree although it stands in several places: the import map, the settings, the tasks."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexsync.core.settings import SETTINGS
from plexsync.ui.cli import cli
from plexsync.ui.tasks import TASKS
from simulators.fake_stash import pluginfile

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Which of ours each room, or module at the top, may import; plexsync/__init__.py says the same in words.
BASE = {"clock", "locks", "protocol"}
IMPORTS: dict[str, set[str]] = {
    "__init__": set(),
    "protocol": set(),
    "locks": set(),
    "clock": set(),
    "context": set(),
    "core": {"core"},
    "hook": {"locks", "protocol", "queue.events", "queue.database", "queue.spool"},
    "queue": {"queue", "core"} | BASE,
    "sync_queue": {"queue", "core", "context"},
    "servers": {"servers", "core", "queue"} | BASE,
    "sync": {"sync", "core", "queue", "servers", "hook"} | BASE,
    "ui": {"ui", "core", "queue", "servers", "sync", "hook", "context"} | BASE,
    "__main__": {"ui", "hook", "protocol"},
}
# What the hook imports imports nothing that the hook may not.
FAST = {
    "queue.layout": set(),
    "queue.events": {"queue.layout", "protocol"},
    "queue.database": {"queue.layout", "locks"},
    "queue.spool": {"queue.database", "queue.events", "protocol"},
}
# What is not in the standard library, and who alone may import it.
PACKAGES: dict[str, set[str]] = {
    "queue.compat": {"persistqueue"},
    "sync_queue": {"persistqueue"},
    "servers.stash": {"requests", "stashapi"},
    "servers.plex": {"plexapi", "requests"},
    "servers.transport": {"requests", "urllib3"},
    "ui.cli": {"click"},
    "ui.console": {"click"},
}
# core decides and does nothing else. ``random`` is there for the name of a type: chance is handed in.
ACTS = {
    "asyncio",
    "io",
    "logging",
    "os",
    "pathlib",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all a file imports, also inside functions; not what is there for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def module(path: Path) -> str:
    """The dotted name of a file of plexsync/ without the package's: "queue.store"."""
    return ".".join(path.relative_to(ROOT / "plexsync").with_suffix("").parts)


@pytest.mark.parametrize("path", modules("plexsync"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_import_map_holds(path: Path) -> None:
    name = module(path)
    room = name.partition(".")[0]
    assert room in IMPORTS, f"{room} needs a row in IMPORTS here, and a word in plexsync/__init__.py"
    allowed = FAST.get(name, IMPORTS[room])
    known = {module(other) for other in modules("plexsync")}
    for dotted in imported(path):
        top, *rest = dotted.split(".")
        if top == "plexsync":
            target = next((one for one in (".".join(rest[:2]), rest[0]) if one in known), None)
            if target is not None:  # and not a name of an __init__.py
                assert {target, target.partition(".")[0]} & allowed, f"{name} must not import {dotted}"
        elif top not in sys.stdlib_module_names:
            assert top in PACKAGES.get(name, set()), f"{name} must not import {dotted}"
        elif room == "core":
            assert top not in ACTS, f"core must not import {top}"


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("simulators", {"plexsync", "scenarios", "tests"}),  # a stand-in must not share our mistakes
        ("plexsync", {"simulators", "scenarios", "tests"}),
        ("scenarios", {"tests"}),
        ("tools", {"simulators", "scenarios", "tests"}),
    ],
)
def test_who_must_not_know_whom(folder: str, strangers: set[str]) -> None:
    assert modules(folder)
    for path in modules(folder):
        found = {dotted.split(".")[0] for dotted in imported(path)} & strangers
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_every_package_says_what_it_is() -> None:
    for folder in ("plexsync", "simulators", "scenarios"):
        for path in (ROOT / folder).rglob("__init__.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Counting what is imported inside functions too."""
    known = {module(path): path for path in modules("plexsync")}
    arrows = {
        name: {
            target
            for dotted in imported(path)
            if dotted.startswith("plexsync.")
            for target in (".".join(dotted.split(".")[1:3]), dotted.split(".")[1])
            if target in known and target != name
        }
        for name, path in known.items()
    }
    while leaves := {name for name, targets in arrows.items() if not targets & set(arrows)}:
        arrows = {name: targets for name, targets in arrows.items() if name not in leaves}
    assert not arrows, f"import each other: {sorted(arrows)}"


def test_importing_one_module_drags_in_no_other() -> None:
    """An __init__.py of the plugin holds a docstring and perhaps a name."""
    for path in (ROOT / "plexsync").rglob("__init__.py"):
        assert not list(imported(path)), path.relative_to(ROOT)


def test_no_two_test_files_have_one_name() -> None:
    """pytest would take the second for the first: these folders are no packages."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_no_module_is_named_like_one_of_pythons() -> None:
    """A script's own folder can come first on the path."""
    for path in ROOT.glob("*.py"):
        assert path.stem.lower() not in sys.stdlib_module_names
    for folder in ("plexsync", "simulators", "scenarios", "tools"):
        assert folder not in sys.stdlib_module_names


# ---- PlexSync.yml and README against the tables ----


@pytest.fixture(scope="module")
def plugin() -> pluginfile.Plugin:
    return pluginfile.load(ROOT / "PlexSync.yml")


def test_stash_shows_the_settings_of_the_table(plugin: pluginfile.Plugin) -> None:
    shown = {
        setting.name: (setting.type, setting.display_name, setting.description) for setting in plugin.settings
    }
    assert shown == {row.key: (row.kind, row.name, row.description) for row in SETTINGS}, (
        "run `make settings`"
    )


def test_the_readme_shows_the_settings_of_the_table() -> None:
    section = README.split("## Settings")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:3] == "| `"
    ]
    assert [row[0] for row in rows] == [f"`{setting.key}`" for setting in SETTINGS], "run `make settings`"
    for row, setting in zip(rows, SETTINGS, strict=True):
        assert (row[1], row[3]) == (setting.name, setting.sentence), "run `make settings`"
        if setting.kind == "NUMBER":
            assert row[2] == f"{setting.default:g} {setting.unit}".strip()
        elif setting.kind == "BOOLEAN":
            assert row[2] == ("on" if setting.default else "off")
        else:
            assert row[2] == ("needed" if setting.needed else setting.default or "empty")


def test_every_mode_has_a_task_in_stash_and_every_task_a_mode(plugin: pluginfile.Plugin) -> None:
    assert {task.default_args["mode"] for task in plugin.tasks} == {
        name for name in TASKS if TASKS[name].shown
    }


def test_tasks_pass_only_arguments_their_mode_knows(plugin: pluginfile.Plugin) -> None:
    for task in plugin.tasks:
        mode = task.default_args["mode"]
        assert set(task.default_args) - {"mode"} <= set(TASKS[mode].args), task.name


def test_what_destroys_says_so_first(plugin: pluginfile.Plugin) -> None:
    for task in plugin.tasks:
        destroys = TASKS[task.default_args["mode"]].destroys
        assert task.name.startswith("DELETE ") == destroys
        assert task.description.startswith("DELETES ") == destroys


def test_the_readme_lists_the_tasks(plugin: pluginfile.Plugin) -> None:
    section = README.split("## Tasks")[1].split("\n## ")[0]
    found = dict(re.findall(r"^\| ([^|`]+?) \| `([a-z0-9_]+)`", section, re.MULTILINE))
    assert found == {task.name: task.default_args["mode"] for task in plugin.tasks}


def test_the_readme_lists_what_only_operations_can_do() -> None:
    section = README.split("## Tasks")[1].split("\n## ")[0]
    found = dict(re.findall(r"^\| `([a-z0-9_]+)` \|([^|]*)\|", section, re.MULTILINE))
    assert set(found) == {name for name in TASKS if not TASKS[name].shown}
    for mode, args in found.items():
        assert set(re.findall(r"`([a-z_]+)`", args)) == set(TASKS[mode].args), mode


def test_the_readme_lists_the_commands() -> None:
    section = README.split("## Tasks")[1].split("\n## ")[0]
    found = re.findall(r"^    python3 PlexSync.py ([a-z]+)", section, re.MULTILINE)
    assert set(found) == set(cli.commands) - {"worker"}


def test_the_readme_names_only_targets_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|^    .+$", README, re.MULTILINE)))
    )
    assert {"demo", "test", "bundle"} <= named <= targets


def test_the_readme_names_only_files_there_are() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


# ---- CONTRIBUTING.md and docs/ against the code ----

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def defined(path: Path) -> set[str]:
    """Functions and methods of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_where_is_it_names_what_there_is() -> None:
    section = CONTRIBUTING.split("## Where is it?")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| `(\S+?):(\w+)` \| `(\S+?):(\w+)` \|$", section, re.MULTILINE)
    assert len(rows) >= 20
    for what, file, function, test_file, test in rows:
        assert function in defined(ROOT / file), what
        assert test in defined(ROOT / test_file), what


def test_the_documents_link_to_files_there_are() -> None:
    for document in (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), (document.name, target)


def test_the_picture_shows_the_imports_of_today() -> None:
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "tools" / "architecture.py")
    assert spec is not None and spec.loader is not None
    architecture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(architecture)
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture(), (
        "run `make architecture`"
    )
