"""Request models of Alibaba's SDKs: which fields a body may have, and of which types."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from typing import Any, cast, get_args, get_origin, get_type_hints

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.types import Json

_TYPES: dict[Any, tuple[tuple[type[Any], ...], str]] = {
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    list: ((list,), "a list"),
    dict: ((dict,), "an object"),
}
"""By the type that a model names: what JSON makes of it, and how it is called."""


def checked_body(model: str, body: Json) -> Json:
    """Return a body without fields that are null, which are as good as not there.

    What the cloud makes of a value of another type (of a number a text, perhaps) no document tells: it is refused.

    :param model: `module:class`.
    :raises InvalidParameterError: naming the first field that the model does not have, or has of another type.
    """
    request = _model(model)
    for problem in _problems(body, request, ""):
        raise InvalidParameterError(f"{request.__name__}: {problem}.")
    return cast("Json", _without_nulls(body))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@functools.cache
def _model(model: str) -> Any:
    module, _, name = model.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def fields_of(model: Any) -> dict[str, Any]:
    """Return the types of a model's fields by their names on the wire: those that it asks a map for."""
    asked = _Asked()
    model().from_map(asked)
    names = {_plain(name): name for name in asked.names}
    return {names[_plain(name)]: hint for name, hint in get_type_hints(model.__init__).items()}


class _Asked(dict[str, Any]):
    """A map without anything, which remembers what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __bool__(self) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        self.names.append(name)
        return default


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _problems(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value for a type."""
    if value is None or hint is Any:
        return
    fields = fields_of(hint) if hasattr(hint, "from_map") else None
    kind = dict if fields is not None else get_origin(hint) or hint
    allowed, name = _TYPES[kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        yield f"{path or 'the body'} must be {name}, not {value!r}"
    elif kind is str and "\0" in value:
        yield f"{path} must hold no NUL, which no process could be given"
    elif fields is not None:
        for key, item in value.items():
            here = f"{path}.{key}".lstrip(".")
            if key in fields:
                yield from _problems(item, fields[key], here)
            elif item is not None:
                yield f"it has no field {here}"
    elif kind is list:
        for index, item in enumerate(value):
            yield from _items(item, get_args(hint)[0], f"{path}[{index}]")
    elif kind is dict:
        for key, item in value.items():
            yield from _items(key, str, path)
            yield from _items(item, get_args(hint)[1], f"{path}.{key}")


def _items(item: Any, hint: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with an item of a list or a map, which has to be there."""
    if item is None and hint is not Any:
        yield f"{path} must not be null"
    yield from _problems(item, hint, path)
