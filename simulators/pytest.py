"""A pytest plugin: the fixtures `fake_plex` and `fake_stash`, a running simulator each.

    pytest_plugins = ["simulators.pytest"]          # in conftest.py

    def test_sync(fake_plex, fake_stash):
        plex = PlexServer(fake_plex.url, fake_plex.ready["token"])

A fixture is a `simulators.handle.Handle`. What it holds is said by a mark on the test (module, class):

    @pytest.mark.fake_plex(library={"sections": [...]}, token="t")
    @pytest.mark.fake_stash(generate=24, process=True, plugins="/path/to/plugins")

library (a document as in a library file) or generate (so many made-up entries; both simulators hold the same files
for the same seed), seed, and process=True for a process of its own instead of a thread. fake_plex takes token
besides; fake_stash takes plugins, username and password.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.handle import Handle, running, spawned

GENERATED = 12  # entries when a test says nothing
_COMMON = {"library", "generate", "seed", "process"}
_OWN = {"fake_plex": {"token"}, "fake_stash": {"plugins", "username", "password"}}


def pytest_configure(config: pytest.Config) -> None:
    for name, own in _OWN.items():
        keys = ", ".join(sorted(_COMMON | own))
        config.addinivalue_line("markers", f"{name}({keys}): what the {name} fixture holds")


def _options(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """The settings of the marks on a test, the nearest winning; UsageError names one that is unknown."""
    found: dict[str, Any] = {"seed": 0, "process": False}
    for mark in reversed(list(request.node.iter_markers(name))):
        found |= mark.kwargs
    unknown = set(found) - _COMMON - _OWN[name]
    if unknown:
        raise pytest.UsageError(f"{name}: unknown {', '.join(sorted(unknown))}")
    if "library" not in found:
        found.setdefault("generate", GENERATED)
    return found


def _arguments(options: dict[str, Any], folder: Path, name: str) -> list[str]:
    """The options as flags of the program."""
    flags = [f"--seed={options['seed']}"]
    if "library" in options:
        file = folder / f"{name}.json"
        file.write_text(json.dumps(options["library"]), encoding="utf-8")
        flags.append(f"--library={file}")
    else:
        flags.append(f"--generate={options['generate']}")
    return flags + [f"--{key}={options[key]}" for key in sorted(_OWN[name]) if options.get(key)]


@pytest.fixture
def fake_plex(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Handle]:
    """A running fake Plex; `ready["token"]` is the owner's token."""
    from simulators.fake_plex.service import FakePlex

    options = _options(request, "fake_plex")
    if options["process"]:
        with spawned("simulators.fake_plex", *_arguments(options, tmp_path, "fake_plex")) as handle:
            yield handle
        return
    given = {"token": options.get("token"), "seed": options["seed"]}
    if "library" in options:
        service = FakePlex.from_document(options["library"], **given)
    else:
        service = FakePlex.generated(options["generate"], **given)
    with running(service, seed=options["seed"]) as handle:
        yield handle


@pytest.fixture
def fake_stash(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Handle]:
    """A running fake Stash with a config folder of its own; `ready["api_key"]` is the key when there are users."""
    from simulators.fake_stash.instance import Instance
    from simulators.fake_stash.routes import FakeStash
    from simulators.generate import generate

    options = _options(request, "fake_stash")
    config = tmp_path / "stash"
    config.mkdir()
    if options["process"]:
        flags = _arguments(options, tmp_path, "fake_stash")
        with spawned("simulators.fake_stash", *flags, f"--config-dir={config}") as handle:
            yield handle
        return
    library = options.get("library") or {"scenes": generate(options["generate"], options["seed"])}
    plugins = Path(options["plugins"]) if options.get("plugins") else None
    users = {"user": options.get("username", ""), "password": options.get("password", "")}
    instance = Instance(config, plugins, library, options["seed"], **users)
    with running(FakeStash(instance), seed=options["seed"]) as handle:
        yield handle
