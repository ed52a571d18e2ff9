"""Build dist/PlexSync.zip and dist/index.yml: the plugin as a package source for Stash, dependencies inside.

The dependencies are the pure Python wheels that ``tools/vendor.txt`` names with their hashes; pip downloads them
once into ``build/wheels``. The same commit and the same wheels give the same bytes: names are sorted, times are the
last commit's (or SOURCE_DATE_EPOCH), modes are fixed.

Stash 0.30 (``pkg/pkg``) unpacks a zip as it is, so PlexSync.yml lies at its top; it reads every ``.yml`` in it as a
plugin, so there is one; and it takes a package for newer when ``date`` in the index is later.

``bundle.py --lock`` writes ``tools/vendor.txt`` anew with the newest versions that pyproject.toml allows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "tools" / "vendor.txt"
WHEELS = ROOT / "build" / "wheels"
PACKED = ("PlexSync.yml", "PlexSync.py", "LICENSE", "README.md", "CHANGELOG.md", "plexsync")
ZIP_EPOCH = 315_532_800  # 1980, where a zip's clock begins
SIZE_MAX = 4_000_000  # bytes; Stash gives a download 10 s in all

# Any Python from 3.11 on, on any system.
PURE = ["--only-binary", ":all:", "--platform", "any", "--implementation", "py", "--abi", "none"]
PURE += ["--python-version", "3.11"]


class CannotBuild(Exception):
    """The bundle would be wrong; the text says how."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Build PlexSync.zip and Stash's index for it.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="folder for both files (default: dist)"
    )
    parser.add_argument(
        "--lock", action="store_true", help="choose the newest dependencies and write vendor.txt"
    )
    given = parser.parse_args(argv)
    try:
        if given.lock:
            lock()
        archive = build(given.out)
    except CannotBuild as problem:
        print(f"bundle: {problem}", file=sys.stderr)
        return 1
    print(f"{archive} {archive.stat().st_size:,} bytes, and {archive.with_name('index.yml').name} beside it")
    return 0


def build(out: Path) -> Path:
    """Both files in ``out``; gives the zip's path. Raises CannotBuild."""
    when = source_date()
    files = dict(own_files())
    for wheel in wheels():
        files.update(vendored(wheel))
    check(files)
    out.mkdir(parents=True, exist_ok=True)
    archive = out / "PlexSync.zip"
    write_zip(archive, files, when)
    if archive.stat().st_size > SIZE_MAX:
        raise CannotBuild(f"{archive} has {archive.stat().st_size:,} bytes, more than {SIZE_MAX:,}")
    (out / "index.yml").write_text(index(archive, files["PlexSync.yml"].decode(), when), encoding="utf-8")
    return archive


def own_files() -> Iterator[tuple[str, bytes]]:
    for name in PACKED:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file.read_bytes()


def vendored(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """A wheel's modules, its licences, and its metadata, which ``importlib.metadata`` looks for; no tests."""
    with zipfile.ZipFile(wheel) as source:
        for entry in source.infolist():
            path = PurePosixPath(entry.filename)
            about = path.parts[0].endswith(".dist-info")
            wanted = path.name == "METADATA" or is_licence(path) if about else "tests" not in path.parts
            if wanted and not entry.is_dir():
                yield f"vendor/{path}", source.read(entry)


def is_licence(path: PurePosixPath) -> bool:
    return "licenses" in path.parts or path.name.upper().startswith(
        ("LICENSE", "LICENCE", "COPYING", "NOTICE")
    )


def check(files: dict[str, bytes]) -> None:
    """Refuse what would break in a user's Stash."""
    for name in files:
        if name.endswith((".so", ".pyd", ".pyc", ".dll")):
            raise CannotBuild(f"{name} is not pure Python")
        if name.endswith(".yml") and name != "PlexSync.yml":
            raise CannotBuild(f"Stash would read {name} as a plugin")


def write_zip(archive: Path, files: dict[str, bytes], when: datetime) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, when.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: the mode below counts
            entry.external_attr = 0o100644 << 16
            target.writestr(entry, files[name])


def index(archive: Path, plugin_file: str, when: datetime) -> str:
    """The package list Stash reads. Its texts are written as JSON strings, which are YAML too."""
    said = dict(re.findall(r"^(name|version|description): *(.+?) *$", plugin_file, re.MULTILINE))
    rows = {
        "id": archive.stem,
        "name": said["name"],
        "version": said["version"],
        "date": f"{when:%Y-%m-%d %H:%M:%S}",
        "path": archive.name,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }
    lines = [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in rows.items()]
    lines += ["  metadata:", f"    description: {json.dumps(said['description'], ensure_ascii=False)}"]
    return "-" + "\n".join(lines)[1:] + "\n"


def source_date() -> datetime:
    """SOURCE_DATE_EPOCH, else the last commit's time, else (no repository) the newest file's; UTC."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        git = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        given = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    if not given:
        given = str(int(max((ROOT / name).stat().st_mtime for name, _ in own_files())))
    return datetime.fromtimestamp(max(int(given), ZIP_EPOCH), UTC)


# ---- wheels -------------------------------------------------------------------------------------------------------


def wheels() -> list[Path]:
    """The wheels of vendor.txt, in its order; downloads what is not there yet."""
    wanted = re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text(encoding="utf-8"))
    found = cached()
    if not found.keys() >= set(wanted):
        WHEELS.mkdir(parents=True, exist_ok=True)
        pip_download("--no-deps", "--require-hashes", "-r", str(LOCK), into=WHEELS)
        found = cached()
    return [found[digest] for digest in wanted]


def cached() -> dict[str, Path]:
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in WHEELS.glob("*.whl")}


def pip_download(*what: str, into: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", *PURE]
    done = subprocess.run([*pip, "--dest", str(into), *what], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"pip could not download the dependencies:\n{done.stderr.strip()}")


def lock() -> None:
    """Write vendor.txt: the newest pure Python wheels that satisfy pyproject.toml, and what they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        pip_download(*project["dependencies"], into=Path(folder))
        lines = []
        for wheel in sorted(Path(folder).glob("*.whl")):
            name, version = wheel.name.split("-")[:2]
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            lines.append(f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{digest}\n")
    LOCK.write_text("# Written by tools/bundle.py --lock.\n" + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
