"""One scenario a file: a module here that has a `SCENARIO` is a case, named as its file."""

from __future__ import annotations

import importlib
import pkgutil

from scenarios.scenario import Scenario


def all_cases() -> dict[str, Scenario]:
    """Every case by name, in the order of the alphabet."""
    found = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        scenario = importlib.import_module(f"{__name__}.{module.name}").SCENARIO
        assert scenario.name == module.name, f"{module.name}.py names its scenario {scenario.name!r}"
        found[scenario.name] = scenario
    return found
