"""Plugin files: what Stash's strict parser takes, what it refuses and in which words, and which files it finds."""

from pathlib import Path

import pytest

from simulators.fake_stash.pluginfile import BadPluginFile, discover, parse

WHOLE = """
name: Echo
description: says it again
url: https://example.org
version: 1.10
interface: raw
exec: [python3, "{pluginDir}/main.py"]
errLog: debug
tasks:
  - name: Do it
    description: does it
    execArgs: [--task]
    defaultArgs: {a: 5, b: true, c: 1.50, d: yes, e: null, f: }
hooks:
  - name: edits
    triggeredBy: [Scene.Update.Post, Scene.Update.Post, Nobody.Knows.Post]
    defaultArgs:
      mode: hook
settings:
  zeta: {displayName: Zeta, type: NUMBER}
  alpha: {description: a text}
ui:
  javascript: [a.js]
  requires: [Other]
  assets: {/: assets}
  csp: {connect-src: ["https://plex.example"]}
"""


def read(text: str | bytes):
    return parse(text, "Echo", Path("/p/Echo/Echo.yml"))


def refused(text: str) -> str:
    with pytest.raises(BadPluginFile) as problem:
        read(text)
    return str(problem.value)


def test_a_whole_file():
    plugin = read(WHOLE)
    assert (plugin.id, plugin.name, plugin.version, plugin.interface) == ("Echo", "Echo", "1.10", "raw")
    assert plugin.exec == ("python3", "{pluginDir}/main.py")
    assert plugin.folder == "/p/Echo"
    assert plugin.default_log_level == "debug"
    assert [s.name for s in plugin.settings] == ["alpha", "zeta"]
    assert [s.type for s in plugin.settings] == ["STRING", "NUMBER"]
    assert plugin.ui.csp == {"connect-src": ("https://plex.example",)}


def test_default_args_are_the_source_text():
    task = read(WHOLE).task("Do it")
    assert task is not None
    assert task.default_args == {"a": "5", "b": "true", "c": "1.50", "d": "yes", "e": "", "f": ""}


def test_a_trigger_named_twice_runs_twice_and_an_unknown_one_never():
    plugin = read(WHOLE)
    assert len(plugin.hooks_for("Scene.Update.Post")) == 2
    assert plugin.hooks_for("Scene.Create.Post") == []
    assert len(plugin.hooks_for("Nobody.Knows.Post")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nnmae: b", "line 2: field nmae not found in type plugin.Config"),
        ("name: a\nname: b", "line 2: field name already set in type plugin.Config"),
        ("exec: python3 x.py", "line 1: cannot unmarshal !!str `python3...` into []string"),
        ("settings:\n  a:\n    default: 5", "line 3: field default not found in type plugin.SettingConfig"),
        ("settings:\n  a: {}\n  a: {}", 'line 3: key "a" already set in map'),
        ("tasks:\n  - name: t\n    defaultArgs: {x: [1]}", "line 3: cannot unmarshal !!seq into string"),
        ("tasks:\n  - nam: t", "line 2: field nam not found in type plugin.OperationConfig"),
        (
            "hooks:\n  - name: t\n    triggers: []",
            "line 3: field triggers not found in type plugin.HookConfig",
        ),
        (
            "tasks:\n  - name: t\n    triggeredBy: []",
            "field triggeredBy not found in type plugin.OperationConfig",
        ),
        ("ui:\n  javascript: a.js", "line 2: cannot unmarshal !!str `a.js` into []string"),
        ("ui:\n  csp:\n    img-src: [a]", "field img-src not found in type plugin.PluginCSP"),
        ("- a\n- b", "line 1: cannot unmarshal !!seq into plugin.Config"),
        ("interface: grpc", "invalid interface type grpc"),
        ("", "EOF"),
        ("name: [a", "yaml: line"),
    ],
)
def test_what_is_refused(text: str, words: str):
    assert words in refused(text)


def test_all_problems_of_a_file_in_one_error():
    assert refused("a: 1\nb: 2").count("\n  line ") == 2


@pytest.mark.parametrize(
    "text",
    [
        "# only a comment\nname: a",
        "\ufeffname: a",
        "name: a\n---\nnmae: b",
        "name: a\ninterface: js",
        "name: a\nexec:",
    ],
)
def test_what_is_taken(text: str):
    assert read(text).name == "a"


def test_a_name_may_be_missing():
    plugin = read("exec: [x]")
    assert plugin.name == ""
    assert plugin.shown_name == "Echo"


@pytest.mark.parametrize("level", ["", "errLog: loud", "errLog: ERROR"])
def test_an_unknown_log_level_is_error(level: str):
    assert read(f"name: a\n{level}").default_log_level == "error"


def test_discovery(tmp_path: Path):
    def put(path: str, text: str = "name: x\n") -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    put("b/B.yml")
    put("a/A.yml")
    put("a/data/deep/phantom.yml")
    put("a/a.b.yml")
    put("a/no.yaml")
    put("a/NO.YML")
    put("c/a.yml")
    put("d/broken.yml", "nmae: x\n")
    (tmp_path / "d" / "folder.yml").mkdir()
    (tmp_path / "d" / "dangling.yml").symlink_to(tmp_path / "nowhere")
    put(".hidden.yml")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-linked"
    elsewhere.mkdir()
    (elsewhere / "L.yml").write_text("name: linked\n")
    (tmp_path / "e").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(elsewhere)
    complaints: list[str] = []
    found = discover(tmp_path, complaints.append)
    assert [plugin.id for plugin in found] == [".hidden", "A", "a.b", "phantom", "B", "L"]
    assert complaints == [
        f"Error loading plugin {tmp_path}/c/a.yml: plugin ID a already exists",
        f"Error loading plugin {tmp_path}/d/broken.yml: "
        "yaml: unmarshal errors:\n  line 1: field nmae not found in type plugin.Config",
        f"Error loading plugin {tmp_path}/d/dangling.yml: "
        f"open {tmp_path}/d/dangling.yml: no such file or directory",
        f"Error loading plugin {tmp_path}/d/folder.yml: read {tmp_path}/d/folder.yml: is a directory",
    ]
