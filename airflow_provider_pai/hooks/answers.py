"""Answers of services, read by their shape: what half a body or a proxy made of one is told, never guessed at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from airflow_provider_pai.remote import Json

T = TypeVar("T")
Shape = Any
"""What is read of an answer: a type, `object` for any; `[shape]`, a list of such; a mapping, an object with fields of
these shapes; `{str: shape}`, an object with any fields; a `Page`.

A field that is missing or null has every shape but `Needed`. What is not read may be as it likes.
"""

_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class AnswerError(Exception):
    """What came is no answer of the service, or can't be read as one."""


class Needed(NamedTuple):
    """The shape of a field without which an answer says nothing."""

    shape: Shape


class JsonText(NamedTuple):
    """The shape of what JSON stands for that is sent as a text."""

    shape: Shape


class Page(NamedTuple):
    """The shape of a page of a list, whose items may be left out only where `TotalCount` says that there are none.

    A list that is missing is no empty one: who looks for what he has made would make it twice.
    """

    field: str
    item: Shape


def shaped(answer: Any, shape: Shape, name: str = "") -> Any:
    """Return an answer that has a shape.

    :raises AnswerError: it has not; the text names the field and the type of what came.
    """
    if shape is object:
        return answer
    if isinstance(shape, JsonText):
        return shaped(_parsed(answer, name), shape.shape, name)
    if isinstance(shape, Page):
        is_empty = isinstance(answer, dict) and answer.get("TotalCount") == 0 and answer["TotalCount"] is not False
        items = [shape.item] if is_empty else Needed([shape.item])
        shape = {shape.field: items, "TotalCount": int}
    if isinstance(shape, Mapping):
        for field, inner in _fields(_typed(answer, dict, name), shape):
            _field(answer, field, inner, f"{name}.{field}".lstrip("."))
    elif isinstance(shape, list):
        for index, item in enumerate(_typed(answer, list, name)):
            shaped(item, shape[0], f"{name}[{index}]")
    else:
        _typed(answer, shape, name)
    return answer


def fits(answer: Any, shape: Shape) -> bool:
    """Tell whether an answer, or one item of it, has a shape."""
    try:
        shaped(answer, shape)
    except AnswerError:
        return False
    return True


def present(value: T | None, name: str) -> T:
    """Return a value that an answer must have.

    :raises AnswerError: it has not.
    """
    if value is None or value == "":
        raise AnswerError(f"{name} is missing")
    return value


def _parsed(text: Any, name: str) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"{name} is a text that is no JSON") from error


def _fields(answer: Json, shape: Mapping[Any, Shape]) -> list[tuple[str, Shape]]:
    return [(field, shape[str]) for field in answer] if str in shape else list(shape.items())


def _field(answer: Json, field: str, shape: Shape, name: str) -> None:
    value, needed = answer.get(field), isinstance(shape, Needed)
    if needed:
        present(value, name)
    if value is not None:
        shaped(value, shape.shape if needed else shape, name)


def _typed(value: Any, kind: type, name: str) -> Any:
    # To Python a bool is an int.
    if isinstance(value, kind) and isinstance(value, bool) <= (kind is bool):
        return value
    # Not what it is: it may be a token.
    raise AnswerError(f"{name or 'it'} is {_WORDS.get(type(value), 'null')}, not {_WORDS[kind]}")
