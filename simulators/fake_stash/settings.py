"""Stash's configuration: what plugins stored, and the general settings (internal/manager/config).

Kept in `<config dir>/config.yml`, mode 0640, as Stash does. A plugin's settings are absent until something is stored;
storing replaces the whole map. There are no defaults.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .gojson import Number

FILE_NAME = "config.yml"


def as_stored(value: Any) -> Any:
    """Numbers as Stash's conversion leaves them: with a dot a float, else a whole number, which `1e3` is not: 0.

    Lists are not looked into.
    """
    if isinstance(value, Number):
        return float(value) if "." in value.text else 0
    if isinstance(value, Mapping):
        return {key: as_stored(item) for key, item in value.items()}
    return value


def _as_written(value: Any, in_list: bool = False) -> Any:
    """What of a value survives in the file: numbers in lists are text there (Go's json.Number is a string)."""
    if isinstance(value, Mapping):
        return {key: _as_written(item, in_list) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_written(item, True) for item in value]
    if in_list and isinstance(value, int | float) and not isinstance(value, bool):
        return value.text if isinstance(value, Number) else str(value)
    return value


class Settings:
    """The file and what is in it. Everything is written at once, every time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._values: dict[str, Any] = {}
        self.load()

    def load(self) -> None:
        try:
            self._values = yaml.safe_load(self.path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            self._values = {}

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(_as_written(self._values), allow_unicode=True)
        with open(
            os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w", encoding="utf-8"
        ) as file:
            file.write(text)

    def clear(self) -> None:
        self._values = {}
        self.path.unlink(missing_ok=True)

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def set(self, values: Mapping[str, Any]) -> None:
        """General settings; None removes one."""
        for key, value in values.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self._save()

    # Plugins.

    def _plugins(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._values.setdefault("plugins", {}).setdefault("settings", {})
        return found

    def plugin(self, plugin_id: str) -> dict[str, Any]:
        return self._plugins().get(plugin_id, {})

    def plugins(self, include: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """Every plugin with an entry; with `include`, those of them that hold at least one value."""
        found = self._plugins()
        if include is None:
            return dict(found)
        return {plugin_id: found[plugin_id] for plugin_id in include if found.get(plugin_id)}

    def set_plugin(self, plugin_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces the whole map; what is stored."""
        stored = {key: as_stored(value) for key, value in values.items()}
        self._plugins()[plugin_id] = stored
        self._save()
        return stored

    @property
    def disabled_plugins(self) -> tuple[str, ...]:
        return tuple(self._values.get("plugins", {}).get("disabled", ()))

    def set_enabled(self, enabled: Mapping[str, bool]) -> None:
        disabled = dict.fromkeys(self.disabled_plugins)
        for plugin_id, on in enabled.items():
            if on:
                disabled.pop(plugin_id, None)
            else:
                disabled[plugin_id] = None
        self._values.setdefault("plugins", {})["disabled"] = list(disabled)
        self._save()
