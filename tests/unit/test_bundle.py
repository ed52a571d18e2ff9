"""The bundle: what is in it, that it comes out the same twice, and that a bare Python can run it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
import venv
import zipfile
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from simulators.fake_stash import pluginfile

ROOT = Path(__file__).resolve().parents[2]
DATE = "1700000001"  # given, so that a commit made meanwhile does not show
NOTE = b'{"args":{"hookContext":{"type":"Scene.Update.Post","id":123,"inputFields":["id","title"]}}}'


@pytest.fixture(scope="module")
def bundle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "tools" / "bundle.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "tools/bundle.py", "--out", str(out)]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": DATE}, check=True)
    return out / "PlexSync.zip"


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Stash unpacks it: files only, folders made on the way."""
    folder = tmp_path_factory.mktemp("plugins") / "PlexSync"
    with zipfile.ZipFile(archive) as source:
        for entry in source.infolist():
            assert not entry.is_dir()
            target = folder / entry.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read(entry))
            target.chmod(entry.external_attr >> 16)
    return folder


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as source:
        return source.namelist()


def test_the_same_bytes_twice(archive: Path, tmp_path: Path) -> None:
    elsewhere = {
        **os.environ,
        "SOURCE_DATE_EPOCH": DATE,
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "7",
        "LC_ALL": "C",
    }
    command = [sys.executable, str(ROOT / "tools" / "bundle.py"), "--out", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, env=elsewhere, umask=0o077, check=True)
    for name in ("PlexSync.zip", "index.yml"):
        assert (tmp_path / name).read_bytes() == archive.with_name(name).read_bytes()


def test_what_is_in_it(archive: Path) -> None:
    held = names(archive)
    assert len(held) == len(set(held))
    assert {"PlexSync.yml", "PlexSync.py", "LICENSE", "README.md"} <= set(held)
    assert [name for name in held if name.lower().endswith((".yml", ".yaml"))] == ["PlexSync.yml"]
    assert not [
        name for name in held if name.endswith((".pyc", ".so", ".pyd", ".dll")) or "__pycache__" in name
    ]
    assert not [name for name in held if "tests" in name.split("/")]
    assert {name.split("/")[0] for name in held if "/" in name} == {"plexsync", "vendor"}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "plexsync").rglob("*.py")}
    assert sources <= set(held)
    assert archive.stat().st_size < 4_000_000


def test_each_vendored_package_brings_its_licence(archive: Path) -> None:
    held = names(archive)
    packages = {name.split("/")[1] for name in held if ".dist-info/" in name}
    assert len(packages) >= 10
    for package in packages:
        licences = [
            name for name in held if name.startswith(f"vendor/{package}/") and "LICEN" in name.upper()
        ]
        assert licences, package


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found, line
    return normal(found[0])


def test_nothing_needed_is_missing(archive: Path) -> None:
    """pyproject's dependencies, and theirs, are all there."""
    vendored = {}
    with zipfile.ZipFile(archive) as source:
        for name in source.namelist():
            if name.endswith("/METADATA"):
                about = message_from_bytes(source.read(name))
                vendored[normal(about["Name"])] = about.get_all("Requires-Dist") or []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {requirement(line) for line in project["dependencies"]}
    for lines in vendored.values():
        wanted |= {requirement(line) for line in lines if "extra ==" not in line}
    assert vendored.keys() == wanted


def test_the_index_is_what_stash_expects(archive: Path) -> None:
    packages = yaml.safe_load(archive.with_name("index.yml").read_text())
    assert len(packages) == 1
    package = packages[0]
    plugin = pluginfile.load(ROOT / "PlexSync.yml")
    assert package.keys() == {"id", "name", "version", "date", "path", "sha256", "metadata"}
    assert (package["id"], package["name"], package["version"]) == ("PlexSync", plugin.name, plugin.version)
    assert package["metadata"] == {"description": plugin.description}
    assert datetime.strptime(package["date"], "%Y-%m-%d %H:%M:%S")
    assert package["sha256"] == hashlib.sha256((archive.parent / package["path"]).read_bytes()).hexdigest()


def test_the_date_can_be_given(bundle: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert f"{bundle.source_date():%Y-%m-%d %H:%M:%S}" == "2023-11-14 22:13:20"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert bundle.source_date().year == 1980


@pytest.mark.parametrize("name", ["plexsync/docs/mkdocs.yml", "vendor/x/_speed.so", "plexsync/a.pyc"])
def test_what_would_break_a_stash_is_refused(bundle: ModuleType, name: str) -> None:
    bundle.check({"PlexSync.yml": b"", "plexsync/a.py": b""})
    with pytest.raises(bundle.CannotBuild, match=name):
        bundle.check({"PlexSync.yml": b"", name: b""})


def test_stash_finds_one_plugin_in_it(unpacked: Path) -> None:
    complaints: list[str] = []
    plugins = pluginfile.discover(unpacked.parent, complaints.append)
    assert ([plugin.id for plugin in plugins], complaints) == (["PlexSync"], [])


def test_a_bare_python_runs_the_hook(unpacked: Path, bare_python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(bare_python), str(unpacked / "PlexSync.py")],
        input=NOTE,
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "STASH_PLUGIN_DATA": str(tmp_path / "data")},
        check=True,
    )
    assert (json.loads(done.stdout).keys(), done.stderr) == ({"output"}, b"")
    with sqlite3.connect(tmp_path / "data" / "queue" / "data.db") as db:
        assert db.execute("SELECT count(*) FROM ack_queue_default WHERE status = 0").fetchone() == (1,)


def test_a_bare_python_imports_everything_from_the_bundle(
    unpacked: Path, bare_python: Path, tmp_path: Path
) -> None:
    code = f"""
import importlib, importlib.metadata, pathlib, runpy, sys
runpy.run_path({str(unpacked / "PlexSync.py")!r}, run_name="not_main")
root = pathlib.Path({str(unpacked)!r})
for path in sorted((root / "plexsync").rglob("*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)
import plexapi.server, stashapi.stashapp, persistqueue, click
held = {{path.stem for path in (root / "vendor").iterdir()}} | {{"plexsync"}}
for name, module in list(sys.modules.items()):
    if name.split(".")[0] in held:
        assert (module.__file__ or "").startswith(str(root)), (name, module.__file__)
print(importlib.metadata.version("stashapi"), importlib.metadata.version("plexapi"))
"""
    done = subprocess.run(
        [str(bare_python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lock = (ROOT / "tools" / "vendor.txt").read_text()
    stashapi, plexapi = done.stdout.split()
    assert f"stashapi=={stashapi} " in lock and f"plexapi=={plexapi} " in lock
