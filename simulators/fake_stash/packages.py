"""Plugin packages: sources, install, upgrade, uninstall (pkg/pkg of Stash 0.30).

An upgrade deletes exactly the files of the old manifest and writes the new ones: what a plugin left beside them
stays, for a moment there is neither code nor yml, and running processes are not told. A package that fails is a log
line; the job is FINISHED all the same.
"""

import asyncio
import hashlib
import io
import os
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from .catalog import CatalogError, utc_stamp
from .configuration import package_sources
from .instance import Call
from .jobs import Job

DOWNLOAD_LIMIT_S = 10
MANIFEST = "manifest"

Given = Mapping[str, Any]


class PackageProblem(Exception):
    """One package could not be installed, upgraded or removed; the text goes to the log."""


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_LIMIT_S) as answer:
            data: bytes = answer.read()
            return data
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise PackageProblem(f"failed to get {url}: {error}") from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _date(value: Any) -> datetime | None:
    """`YYYY-MM-DD HH:MM:SS`, UTC; YAML may have made a datetime of it."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise PackageProblem(f"invalid date {value!r}: {error}") from error


async def read_index(url: str) -> list[dict[str, Any]]:
    """The packages of a source. Raises PackageProblem when it cannot be had or is no list of packages."""
    raw = await asyncio.to_thread(_fetch, url)
    try:
        rows = yaml.load(raw, yaml.BaseLoader)  # every scalar as it is written: versions and dates are text
    except yaml.YAMLError as error:
        raise PackageProblem(f"reading index {url}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("id") for row in rows):
        raise PackageProblem(f"reading index {url}: not a list of packages")
    return rows


def _shown(row: Mapping[str, Any], url: str, source: Any = None) -> dict[str, Any]:
    moment = _date(row.get("date"))
    return {
        "package_id": _text(row["id"]),
        "name": _text(row.get("name")) or _text(row["id"]),
        "version": _text(row.get("version")) or None,
        "date": utc_stamp(moment) if moment else None,
        "requires": [],
        "requires_ids": [_text(item) for item in row.get("requires") or ()],
        "sourceURL": url,
        "source_package": source,
        "metadata": row.get("metadata") or {},
    }


def _with_requirements(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {row["package_id"]: row for row in rows}
    for row in rows:
        row["requires"] = [by_id[item] for item in row["requires_ids"] if item in by_id]
    return rows


async def available_packages(call: Call, type: str, source: str) -> list[dict[str, Any]]:
    if type != "Plugin":
        return []
    try:
        return _with_requirements([_shown(row, source) for row in await read_index(source)])
    except PackageProblem as problem:
        raise CatalogError(str(problem)) from problem


# --- what is installed --------------------------------------------------------------------------------------


def _folder(call: Call, url: str, package_id: str) -> Path:
    local = next(
        (row["local_path"] for row in package_sources(call, "pluginPackageSources") if row["url"] == url), ""
    )
    return call.instance.host.settings.plugins_path / (local or "") / package_id


def _manifests(call: Call) -> dict[Path, dict[str, Any]]:
    """Folder to manifest, for every package below the plugins folder."""
    found = {}
    for folder, _, names in os.walk(call.instance.host.settings.plugins_path):
        if MANIFEST in names:
            manifest = yaml.load((Path(folder) / MANIFEST).read_bytes(), yaml.BaseLoader)
            if isinstance(manifest, dict) and manifest.get("id"):
                found[Path(folder)] = manifest
    return found


async def installed_packages(call: Call, type: str) -> list[dict[str, Any]]:
    """With what the source offers now as `source_package`, where it can be reached."""
    if type != "Plugin":
        return []
    found = []
    for manifest in (_manifests(call)).values():
        url = _text(manifest.get("source_repository"))
        offered = None
        try:
            rows = _with_requirements([_shown(row, url) for row in await read_index(url)])
            offered = next((row for row in rows if row["package_id"] == manifest["id"]), None)
        except PackageProblem as problem:
            call.instance.log.warning(str(problem))
        found.append(_shown(manifest, url, offered))
    return found


# --- the jobs -----------------------------------------------------------------------------------------------


def _queue(call: Call, description: str, specs: Sequence[Given], act: Any) -> int:
    async def work(job: Job) -> None:
        for number, spec in enumerate(specs, 1):
            try:
                await act(call, spec["sourceURL"], spec["id"])
            except PackageProblem as problem:
                call.instance.log.error(
                    f"Error {description.lower().removesuffix('...')} {spec['id']}: {problem}"
                )
            call.instance.jobs.set_progress(job, number / len(specs))
        call.instance.host.reload()

    return call.instance.jobs.add(description, work)


def install_packages(call: Call, type: str, packages: Sequence[Given]) -> int:
    return _queue(call, "Installing packages...", packages, _install)


def uninstall_packages(call: Call, type: str, packages: Sequence[Given]) -> int:
    return _queue(call, "Uninstalling packages...", packages, _uninstall)


def update_packages(call: Call, type: str, packages: Sequence[Given] | None = None) -> int:
    """The named ones, or all whose source has a later date; the version's text does not count."""
    if packages is not None:
        return _queue(call, "Updating packages...", packages, _install)

    async def update_all(call: Call, url: str, package_id: str) -> None:
        for manifest in _manifests(call).values():
            source = _text(manifest.get("source_repository"))
            row = next((row for row in await read_index(source) if row["id"] == manifest["id"]), None)
            new, old = _date((row or {}).get("date")), _date(manifest.get("date"))
            if row is not None and new is not None and (old is None or new > old):
                await _install(call, source, manifest["id"])

    return _queue(call, "Updating packages...", [{"sourceURL": "", "id": "all"}], update_all)


async def _install(call: Call, url: str, package_id: str) -> None:
    """Download, check, delete the old manifest's files, write the new ones. Installs again what is there."""
    row = next((row for row in await read_index(url) if row["id"] == package_id), None)
    if row is None:
        raise PackageProblem(f"package {package_id} not found in {url}")
    data = await asyncio.to_thread(_fetch, urllib.parse.urljoin(url, _text(row.get("path"))))
    digest = hashlib.sha256(data).hexdigest()
    if digest != row.get("sha256"):
        raise PackageProblem(f"invalid sha256 checksum: expected {row.get('sha256')}, got {digest}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise PackageProblem(f"reading zip: {error}") from error
    folder = _folder(call, url, package_id)
    _delete_listed(folder)
    names = []
    with archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            target = (folder / entry.filename).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise PackageProblem(f"illegal file path in zip: {entry.filename}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
            mode = entry.external_attr >> 16 & 0o777
            target.chmod(mode or 0o644)
            names.append(entry.filename)
    manifest = {
        "id": package_id,
        "name": _text(row.get("name")),
        "metadata": row.get("metadata") or {},
        "version": _text(row.get("version")),
        "date": _text(row.get("date")),
        "requires": row.get("requires") or [],
        "source_repository": url,
        "files": names,
    }
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")


def _delete_listed(folder: Path) -> None:
    """The manifest and every file it lists; anything else stays."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return
    for name in yaml.load(manifest.read_bytes(), yaml.BaseLoader).get("files") or ():
        (folder / name).unlink(missing_ok=True)
    manifest.unlink()


async def _uninstall(call: Call, url: str, package_id: str) -> None:
    folder = _folder(call, url, package_id)
    if not (folder / MANIFEST).exists():
        raise PackageProblem(f"package {package_id} is not installed")
    _delete_listed(folder)
    if not any(folder.iterdir()):
        folder.rmdir()
