"""Names and values that come about when they are asked for: those that a package hands on (PEP 562), properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property", "late_names"]

if TYPE_CHECKING:
    from functools import cached_property  # noqa: TID251 - what type checkers know
else:

    class cached_property:  # noqa: N801 - as in functools
        """`functools.cached_property` as it is since Python 3.12.

        In 3.11 it holds one lock for all instances while one is computed: who waits for its connection, all wait.
        """

        def __init__(self, compute: Callable[[Any], Any]) -> None:
            self._compute = compute
            self.__doc__ = compute.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._compute(instance)
            return value


def late_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`.

    :param modules: public name to the module of the package that defines it.
    """

    def found(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return found
