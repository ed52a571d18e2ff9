"""Plugin files as Stash 0.30 reads them (pkg/plugin/config.go with yaml.v2 2.4 in strict mode).

Strict means: an unknown key, a key twice or a value of the wrong type refuses the whole file, with all problems in one
error. Scalars are kept as their source text where Go's field is a string: ``version: 1.10`` stays ``"1.10"``.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

INTERFACES = ("raw", "rpc", "js")
SETTING_TYPES = ("STRING", "NUMBER", "BOOLEAN")
ERROR_LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "none", "progress")


class BadPluginFile(Exception):
    """The file does not load; the text is what Stash logs behind `Error loading plugin <path>: `."""


@dataclass(frozen=True)
class Operation:
    """A task, or the common part of a hook."""

    name: str = ""
    description: str = ""
    exec_args: tuple[str, ...] = ()
    default_args: Mapping[str, str] = field(default_factory=dict)
    triggered_by: tuple[str, ...] = ()  # hooks only


@dataclass(frozen=True)
class Setting:
    name: str
    type: str = "STRING"
    display_name: str = ""
    description: str = ""


@dataclass(frozen=True)
class Ui:
    javascript: tuple[str, ...] = ()
    css: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    assets: Mapping[str, str] = field(default_factory=dict)
    csp: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plugin:
    id: str
    path: Path
    name: str = ""
    description: str | None = None
    url: str | None = None
    version: str | None = None
    interface: str = "raw"
    exec: tuple[str, ...] = ()
    err_log: str = ""
    tasks: tuple[Operation, ...] = ()
    hooks: tuple[Operation, ...] = ()
    settings: tuple[Setting, ...] = ()
    ui: Ui = field(default_factory=Ui)

    @property
    def folder(self) -> str:
        """As walked, links not resolved: what `{pluginDir}` and `PluginDir` say."""
        return os.path.dirname(self.path)

    @property
    def shown_name(self) -> str:
        return self.name or self.id

    @property
    def default_log_level(self) -> str:
        return self.err_log if self.err_log in ERROR_LOG_LEVELS else "error"

    def task(self, name: str) -> Operation | None:
        return next((task for task in self.tasks if task.name == name), None)

    def hooks_for(self, trigger: str) -> list[Operation]:
        """In file order; a trigger listed twice gives its hook twice."""
        return [hook for hook in self.hooks for named in hook.triggered_by if named == trigger]


class _Reader:
    """Walks composed YAML nodes, collecting Go-like complaints instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def complain(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"line {node.start_mark.line + 1}: {text}")

    def mismatch(self, node: yaml.Node, go_type: str) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        shown = ""
        if isinstance(node, yaml.ScalarNode):
            value = node.value if len(node.value) <= 10 else node.value[:7] + "..."
            shown = f" `{value}`"
        self.complain(node, f"cannot unmarshal {tag}{shown} into {go_type}")

    @staticmethod
    def is_null(node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.mismatch(node, "string")
            return ""
        return "" if self.is_null(node) else str(node.value)

    def texts(self, node: yaml.Node) -> tuple[str, ...]:
        return tuple(self.items(node, self.text, "[]string"))

    def items(self, node: yaml.Node, read: Callable[[yaml.Node], Any], go_type: str) -> list[Any]:
        if self.is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.mismatch(node, go_type)
            return []
        return [read(item) for item in node.value]

    def mapping(self, node: yaml.Node, read: Callable[[yaml.Node], Any], go_type: str) -> dict[str, Any]:
        """A Go map: any keys, each once."""
        if self.is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.mismatch(node, go_type)
            return {}
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.text(key_node)
            if key in found:
                self.complain(key_node, f'key "{key}" already set in map')
            found[key] = read(value_node)
        return found

    def struct(
        self, node: yaml.Node, fields: Mapping[str, Callable[[yaml.Node], Any]], go_type: str
    ) -> dict[str, Any]:
        """A Go struct: known keys only, each once; absent and null keys are left out."""
        if self.is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.mismatch(node, go_type)
            return {}
        found: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self.text(key_node)
            if key not in fields:
                self.complain(key_node, f"field {key} not found in type {go_type}")
                continue
            if key in seen:
                self.complain(key_node, f"field {key} already set in type {go_type}")
            seen.add(key)
            if not self.is_null(value_node):
                found[key] = fields[key](value_node)
        return found

    def operation(self, node: yaml.Node, go_type: str = "plugin.OperationConfig") -> Operation:
        fields: dict[str, Callable[[yaml.Node], Any]] = {
            "name": self.text,
            "description": self.text,
            "execArgs": self.texts,
            "defaultArgs": lambda args: self.mapping(args, self.text, "map[string]string"),
        }
        if go_type == "plugin.HookConfig":
            fields["triggeredBy"] = self.texts
        found = self.struct(node, fields, go_type)
        return Operation(
            found.get("name", ""),
            found.get("description", ""),
            found.get("execArgs", ()),
            found.get("defaultArgs", {}),
            found.get("triggeredBy", ()),
        )

    def setting(self, node: yaml.Node) -> dict[str, Any]:
        return self.struct(
            node,
            {"type": self.text, "displayName": self.text, "description": self.text},
            "plugin.SettingConfig",
        )

    def csp(self, node: yaml.Node) -> dict[str, Any]:
        names = ("script-src", "style-src", "connect-src")
        return self.struct(node, dict.fromkeys(names, self.texts), "plugin.PluginCSP")

    def ui(self, node: yaml.Node) -> Ui:
        fields: dict[str, Callable[[yaml.Node], Any]] = {
            "javascript": self.texts,
            "css": self.texts,
            "requires": self.texts,
            "assets": lambda assets: self.mapping(assets, self.text, "utils.URLMap"),
            "csp": self.csp,
        }
        return Ui(**self.struct(node, fields, "plugin.UIConfig"))


def parse(text: str | bytes, plugin_id: str, path: Path) -> Plugin:
    """Read one plugin file's first YAML document.

    Raises BadPluginFile with Stash's wording when it would be skipped.
    """
    reader = _Reader()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_node() if loader.check_node() else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise BadPluginFile(f"yaml: {line}{getattr(error, 'problem', None) or error}") from error
    if node is None:
        raise BadPluginFile("EOF")
    found = reader.struct(
        node,
        {
            "name": reader.text,
            "description": reader.text,
            "url": reader.text,
            "version": reader.text,
            "interface": reader.text,
            "exec": reader.texts,
            "errLog": reader.text,
            "tasks": lambda tasks: reader.items(tasks, reader.operation, "[]*plugin.OperationConfig"),
            "hooks": lambda hooks: reader.items(
                hooks, lambda hook: reader.operation(hook, "plugin.HookConfig"), "[]*plugin.HookConfig"
            ),
            "settings": lambda settings: reader.mapping(
                settings, reader.setting, "map[string]plugin.SettingConfig"
            ),
            "ui": reader.ui,
        },
        "plugin.Config",
    )
    if reader.problems:
        raise BadPluginFile("yaml: unmarshal errors:\n  " + "\n  ".join(reader.problems))
    interface = found.get("interface") or "raw"
    if interface not in INTERFACES:
        raise BadPluginFile(f"invalid interface type {interface}")
    settings = []
    for key, values in found.get("settings", {}).items():
        kind = values.get("type") or "STRING"
        if kind not in SETTING_TYPES:
            raise BadPluginFile(f"invalid setting type {kind}")
        settings.append(Setting(key, kind, values.get("displayName", ""), values.get("description", "")))
    return Plugin(
        id=plugin_id,
        path=path,
        name=found.get("name", ""),
        description=found.get("description"),
        url=found.get("url"),
        version=found.get("version"),
        interface=interface,
        exec=found.get("exec", ()),
        err_log=found.get("errLog", ""),
        tasks=tuple(found.get("tasks", ())),
        hooks=tuple(found.get("hooks", ())),
        settings=tuple(sorted(settings, key=lambda setting: setting.name)),
        ui=found.get("ui") or Ui(),
    )


def load(path: Path) -> Plugin:
    """Raises BadPluginFile, also for a file that cannot be read (a dangling link, a directory named `x.yml`)."""
    try:
        text = path.read_bytes()
    except IsADirectoryError as error:
        raise BadPluginFile(f"read {path}: is a directory") from error
    except OSError as error:
        raise BadPluginFile(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    return parse(text, path.name[: path.name.rindex(".")], path)


def walk(folder: Path) -> Iterator[Path]:
    """Every path below `folder` ending in exactly `.yml`, in lexical order, links to folders followed.

    A link that leads back to a folder being walked is entered once (the real one never ends).
    """
    yield from _walk(folder, frozenset())


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # gone between listing and entering, or not readable: filepath.Walk passes the error to a callback
    for name in names:
        path = folder / name
        if os.path.splitext(name)[1] == ".yml" or (name.startswith(".") and name.endswith(".yml")):
            yield path
        if path.is_dir():
            yield from _walk(path, above | {real})


def discover(folder: Path, complain: Callable[[str], None]) -> list[Plugin]:
    """All plugins below `folder` in load order; one sentence to `complain` for each that is skipped."""
    found: list[Plugin] = []
    taken: set[str] = set()
    for path in walk(folder):
        try:
            plugin = load(path)
        except BadPluginFile as problem:
            complain(f"Error loading plugin {path}: {problem}")
            continue
        if plugin.id.lower() in taken:
            complain(f"Error loading plugin {path}: plugin ID {plugin.id} already exists")
            continue
        taken.add(plugin.id.lower())
        found.append(plugin)
    return found
