"""Packages: what a source offers, and what installing, upgrading and removing does to a plugin's folder."""

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from stash_world import World, wait_for, world

JOB = "mutation($p: [PackageSpecInput!]!) { j: %sPackages(type: Plugin, packages: $p) }"
YML = 'name: Pack\nexec: [python3, "{pluginDir}/main.py"]\n'
FILES = {"Pack.yml": YML, "main.py": "print('{\"output\": 1}')", "lib/help.py": "", "tool.sh": "#!/bin/sh\n"}


class Source:
    """A folder with an index.yml and zips, read through file://."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.url = (folder / "index.yml").as_uri()
        self.rows: list[dict] = []

    def offer(self, version: str, date: str, files: dict[str, str], name: str = "Pack", **more) -> None:
        """Make this the source's one offer of that package."""
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr(zipfile.ZipInfo("empty/"), "")
            for path, text in files.items():
                entry = zipfile.ZipInfo(path)
                entry.external_attr = (0o755 if path.endswith(".sh") else 0o644) << 16
                archive.writestr(entry, text)
        (self.folder / f"{name}.zip").write_bytes(data.getvalue())
        row = {"id": name, "name": f"The {name}", "version": version, "date": date, "path": f"{name}.zip"}
        row |= {
            "sha256": hashlib.sha256(data.getvalue()).hexdigest(),
            "metadata": {"description": "d"},
            **more,
        }
        self.rows = [old for old in self.rows if old["id"] != name] + [row]
        (self.folder / "index.yml").write_text(yaml.safe_dump(self.rows))


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path) as found:
        yield found


@pytest.fixture
def source(stash, tmp_path) -> Source:
    found = Source(tmp_path / "source")
    found.offer("1.0", "2026-01-01 10:00:00", FILES)
    given = {"pluginPackageSources": [{"name": "Mine", "url": found.url, "local_path": "mine"}]}
    stash.ask("mutation($i: ConfigGeneralInput!) { configureGeneral(input: $i) { apiKey } }", i=given)
    return found


def run(stash: World, verb: str, source: Source, *names: str) -> None:
    packages = [{"id": name, "sourceURL": source.url} for name in names or ("Pack",)]
    found = stash.ended(stash.ask(JOB % verb, p=packages)["j"])
    assert (found["status"], found["error"]) == ("FINISHED", None)


def folder(stash: World) -> Path:
    return stash.plugins / "mine" / "Pack"


def plugins(stash: World) -> list[str]:
    return [plugin["id"] for plugin in stash.ask("{ plugins { id } }")["plugins"] or ()]


def test_what_a_source_offers(stash, source):
    source.offer("2", "2026-02-01 00:00:00", {}, "Other", requires=["Pack"])
    fields = "package_id name version date metadata requires { package_id }"
    query = f"query($s: String!) {{ availablePackages(type: Plugin, source: $s) {{ {fields} }} }}"
    found = stash.ask(query, s=source.url)["availablePackages"]
    assert found[0] == {
        "package_id": "Pack",
        "name": "The Pack",
        "version": "1.0",
        "date": "2026-01-01T10:00:00Z",
        "metadata": {"description": "d"},
        "requires": [],
    }
    assert found[1]["requires"] == [{"package_id": "Pack"}]
    answer = stash.post(query, {"s": "file:///nowhere/index.yml"}).json
    assert "failed to get" in answer["errors"][0]["message"]


def test_install(stash, source):
    run(stash, "install", source)
    assert plugins(stash) == ["Pack"]
    assert {str(path.relative_to(folder(stash))) for path in folder(stash).rglob("*") if path.is_file()} == {
        *FILES,
        "manifest",
    }
    assert (folder(stash) / "tool.sh").stat().st_mode & 0o777 == 0o755
    manifest = yaml.safe_load((folder(stash) / "manifest").read_text())
    assert sorted(manifest["files"]) == sorted(FILES)
    assert stash.ask('mutation { runPluginOperation(plugin_id: "Pack") }')["runPluginOperation"] == 1
    query = "{ installedPackages(type: Plugin) { package_id version sourceURL source_package { version } } }"
    assert stash.ask(query)["installedPackages"] == [
        {
            "package_id": "Pack",
            "version": "1.0",
            "sourceURL": source.url,
            "source_package": {"version": "1.0"},
        }
    ]


def test_an_upgrade_keeps_what_it_does_not_know(stash, source):
    run(stash, "install", source)
    (folder(stash) / "data").mkdir()
    (folder(stash) / "data" / "queue.db").write_text("mine")
    (folder(stash) / "main.py").write_text("changed by the user")
    source.offer("2.0", "2026-03-01 10:00:00", {"Pack.yml": YML, "main.py": "print('{\"output\": 2}')"})
    stash.ask('mutation { configurePlugin(plugin_id: "Pack", input: {a: 1}) }')
    run(stash, "update", source)
    assert stash.ask('mutation { runPluginOperation(plugin_id: "Pack") }')["runPluginOperation"] == 2
    assert (folder(stash) / "data" / "queue.db").read_text() == "mine"
    assert not (folder(stash) / "tool.sh").exists()
    assert stash.ask("{ configuration { plugins } }")["configuration"]["plugins"] == {"Pack": {"a": 1}}


def test_update_all_goes_by_the_date_and_not_by_the_version(stash, source):
    run(stash, "install", source)
    changed = {**FILES, "main.py": "print('{\"output\": 9}')"}

    def after_update_all() -> int:
        stash.ended(stash.ask("mutation { j: updatePackages(type: Plugin) }")["j"])
        return stash.ask('mutation { runPluginOperation(plugin_id: "Pack") }')["runPluginOperation"]

    source.offer("99", "2026-01-01 10:00:00", changed)
    assert after_update_all() == 1
    source.offer("0.1", "2026-01-01 10:00:01", changed)
    assert after_update_all() == 9


def test_uninstall_leaves_data_and_a_reinstall_finds_it(stash, source):
    run(stash, "install", source)
    (folder(stash) / "data.db").write_text("mine")
    run(stash, "uninstall", source)
    assert [path.name for path in folder(stash).rglob("*") if path.is_file()] == ["data.db"]
    assert plugins(stash) == []
    run(stash, "install", source)
    assert (folder(stash) / "data.db").read_text() == "mine" and plugins(stash) == ["Pack"]


def test_an_uninstall_without_data_takes_the_folder(stash, source):
    source.offer("1", "2026-01-01 10:00:00", {"Pack.yml": YML})
    run(stash, "install", source)
    run(stash, "uninstall", source)
    assert not folder(stash).exists()


def test_one_bad_package_is_a_log_line_and_the_others_are_installed(stash, source):
    source.offer("1", "2026-01-01 10:00:00", {"Bad.yml": YML}, "Bad", sha256="0" * 64)
    run(stash, "install", source, "Bad", "Nope", "Pack")
    assert plugins(stash) == ["Pack"]
    errors = [line for line in stash.logged() if line.startswith("Error")]
    assert "invalid sha256 checksum" in errors[0] and "package Nope not found" in errors[1]


def test_a_wrong_checksum_deletes_nothing(stash, source):
    run(stash, "install", source)
    source.offer("2", "2026-05-01 10:00:00", {"Pack.yml": "name: Broken"}, sha256="0" * 64)
    run(stash, "update", source)
    assert stash.ask('mutation { runPluginOperation(plugin_id: "Pack") }')["runPluginOperation"] == 1


def test_an_upgrade_swaps_files_under_a_running_plugin(stash, source):
    script = "import os, sys, time\nprint('up', file=sys.stderr, flush=True)\n"
    script += "here = os.path.dirname(os.path.abspath(__file__))\n"
    script += "while os.path.exists(here + '/old.py'): time.sleep(0.01)\nprint('{\"output\": \"saw it\"}')"
    source.offer("1", "2026-01-01 10:00:00", {"Pack.yml": YML, "main.py": script, "old.py": ""})
    run(stash, "install", source)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stash.ask, 'mutation { runPluginOperation(plugin_id: "Pack") }')
        wait_for(lambda: stash.runs() and stash.runs()[0]["log"])
        source.offer("2", "2026-02-01 10:00:00", FILES)
        run(stash, "update", source)
        assert waiting.result(10) == {"runPluginOperation": "saw it"}


def test_a_zip_may_not_leave_its_folder(stash, source):
    source.offer("1", "2026-01-01 10:00:00", {"../../evil.py": ""})
    run(stash, "install", source)
    assert not list(stash.plugins.parent.rglob("evil.py"))
    assert any("illegal file path in zip" in line for line in stash.logged())
