"""What Stash reads and runs: PlexSync.yml by Stash's strict rules, and PlexSync.py on a hostile path."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import plexsync
from plexsync import hook
from simulators.fake_stash import pluginfile

ROOT = Path(__file__).resolve().parents[2]
NOTE = b'{"args":{"hookContext":{"type":"Scene.Update.Post","id":123,"inputFields":["id","title"]}}}'


@pytest.fixture(scope="module")
def plugin() -> pluginfile.Plugin:
    return pluginfile.load(ROOT / "PlexSync.yml")


def test_it_loads_by_stashs_rules(plugin: pluginfile.Plugin) -> None:
    assert (plugin.id, plugin.name, plugin.interface) == ("PlexSync", "PlexSync", "raw")
    assert plugin.exec == ("python3", "{pluginDir}/PlexSync.py")
    assert plugin.version == plexsync.__version__
    assert re.fullmatch(r"\d+(\.\d+)+", plugin.version), "CommunityScripts wants numbers with dots"


def test_one_hook_entry_names_each_trigger_once(plugin: pluginfile.Plugin) -> None:
    """A trigger listed twice would start two processes for each edit."""
    named = [trigger for hook in plugin.hooks for trigger in hook.triggered_by]
    assert sorted(named) == sorted([*hook.UPDATE_TYPES, *hook.ENTITY_HOOKS, *hook.DELETED])


def test_tasks_explain_themselves(plugin: pluginfile.Plugin) -> None:
    assert len({task.name for task in plugin.tasks}) == len(plugin.tasks)
    for task in plugin.tasks:
        assert task.default_args["mode"]
        assert task.description.endswith(".")


def test_settings_explain_themselves(plugin: pluginfile.Plugin) -> None:
    for setting in plugin.settings:
        assert setting.display_name and setting.description, setting.name
        assert "." not in setting.name, "a dot is a delimiter in Stash's configuration"


def test_it_is_the_only_yml() -> None:
    """Stash reads every .yml below a plugin's folder as a plugin, also in a clone of this repository."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.yml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout.split() == ["PlexSync.yml"]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The plugin in a folder of its own, below one full of neighbours named like modules we import."""
    folder = tmp_path / "plugins" / "PlexSync"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "PlexSync.py", folder)
    shutil.copytree(ROOT / "plexsync", folder / "plexsync", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("json", "sqlite3", "zlib", "errno", "time", "datetime", "plexsync", "requests"):
        (tmp_path / "plugins" / f"{name}.py").write_text(f"raise SystemExit('{name} of a neighbour')\n")
    return folder


def run(
    script: Path, data: Path, stdin: bytes = NOTE, cwd: Path | None = None, **env: str
) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(script)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "STASH_PLUGIN_DATA": str(data), **env},
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def rows(data: Path) -> int:
    with sqlite3.connect(data / "queue" / "data.db") as db:
        return int(db.execute("SELECT count(*) FROM ack_queue_default WHERE status < 2").fetchone()[0])


def test_neighbours_do_not_get_in(installed: Path, tmp_path: Path) -> None:
    """Stash runs it in its own folder and with the folder above the plugin's on PYTHONPATH."""
    answer = run(
        installed / "PlexSync.py", tmp_path / "data", cwd=installed.parent, PYTHONPATH=str(installed.parent)
    )
    assert "error" not in answer
    assert rows(tmp_path / "data") == 1


@pytest.mark.parametrize("version", [(3, 7, 3), (3, 10, 12)])
def test_an_older_python_is_told_so(installed: Path, tmp_path: Path, version: tuple[int, ...]) -> None:
    """No traceback of some missing name, but what to do about it."""
    code = f"import runpy, sys; sys.version_info = {version}\n"
    code += f"runpy.run_path({str(installed / 'PlexSync.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], input=NOTE, capture_output=True, cwd=tmp_path, check=False
    )
    wrong = f"PlexSync needs Python 3.11 or newer, and {sys.executable} is {version[0]}.{version[1]}."
    assert json.loads(done.stdout)["error"].startswith(wrong)
    assert (done.returncode, done.stderr) == (0, b"")
    code = code.replace("sys.version_info", "sys.argv = ['it', 'status']; sys.version_info")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (3, b"", f"{wrong}\n")


def test_a_linked_plugin_finds_its_package(installed: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "PlexSync.py"
    link.parent.mkdir()
    link.symlink_to(installed / "PlexSync.py")
    assert "error" not in run(link, tmp_path / "data")


def test_vendored_packages_come_before_installed_ones(installed: Path, tmp_path: Path) -> None:
    (installed / "vendor").mkdir()
    (installed / "vendor" / "requests.py").write_text("WHOSE = 'vendored'\n")
    (installed / "plexsync" / "__main__.py").write_text(
        "import requests, json, sys\ndef main():\n    print(json.dumps({'output': requests.WHOSE}))\n"
    )
    assert run(installed / "PlexSync.py", tmp_path / "data") == {"output": "vendored"}


def test_pythonpath_still_serves_what_is_nowhere_else(installed: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "of_the_user.py").write_text("HERE = 'yes'\n")
    (installed / "plexsync" / "__main__.py").write_text(
        "import of_the_user, json, sys\ndef main():\n    print(json.dumps({'output': of_the_user.HERE}))\n"
    )
    answer = run(
        installed / "PlexSync.py", tmp_path / "data", PYTHONPATH=f"{extra}{os.pathsep}{installed.parent}"
    )
    assert answer == {"output": "yes"}


@pytest.mark.parametrize(
    "stdin", [b"", b"{", b"[]", b'{"args": {"hookContext": {"type": "Scene.Update.Post"}}}']
)
def test_bad_input_is_one_sentence_and_no_row(installed: Path, tmp_path: Path, stdin: bytes) -> None:
    answer = run(installed / "PlexSync.py", tmp_path / "data", stdin)
    assert list(answer) == ["error"] and str(answer["error"]).endswith(".")
    assert not (tmp_path / "data").exists()


def test_a_hook_needs_the_standard_library_only(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(installed / "PlexSync.py")],
        input=NOTE,
        capture_output=True,
        env={**os.environ, "STASH_PLUGIN_DATA": str(tmp_path / "data")},
        check=True,
    )
    names = [line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()]
    imported = names[names.index("site") + 1 :]
    assert "plexsync.hook" in imported
    tops = {name.partition(".")[0] for name in imported}
    assert tops - {"plexsync"} <= sys.stdlib_module_names
    assert tops.isdisjoint({"json", "re", "logging", "typing", "dataclasses", "subprocess", "socket"})
