"""The public classes of the package, by kind."""

from __future__ import annotations

import importlib
import inspect

from airflow_provider_pai.get_provider_info import get_provider_info


def named_modules(kind: str) -> set[str]:
    """Return the modules of a kind (`operators`, `sensors`, …) that provider info names."""
    return {module for entry in get_provider_info().get(kind, []) for module in entry["python-modules"]}


def public_classes(kind: str, base: type = object) -> list[type]:
    """Return the classes that these modules define or hand on."""
    found = set()
    for name in named_modules(kind):
        module = importlib.import_module(name)
        own = [n for n, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == name]
        for each in getattr(module, "__all__", own):
            one = getattr(module, each)
            if inspect.isclass(one) and issubclass(one, base) and not each.startswith("_"):
                found.add(one)
    return sorted(found, key=lambda one: one.__name__)
