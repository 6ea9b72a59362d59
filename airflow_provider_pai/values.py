"""Values as Python, NumPy, Jinja and JSON give them: which are numbers, lists and texts, whoever made them."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, TypeGuard


def scalar(value: Any) -> Any:
    """Return a scalar of numpy as Python's own value; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def as_dict(value: Any) -> Any:
    """Return an artifact, or another dataclass, as a dict; anything else as it is."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number of any kind, and no truth value."""
    return not isinstance(value, bool) and isinstance(value, Real | Decimal) and math.isfinite(_float(value))


def _float(value: Any) -> float:
    """Return a number; not finite where it is none."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def finite(value: object) -> int | float | None:
    """Return a finite number, also a text's, as an int where it is whole; None: it is none."""
    plain = scalar(value)
    if isinstance(plain, bool) or not (is_number(plain) or (isinstance(plain, str) and plain.isascii())):
        return None
    read = _float(plain)
    if not math.isfinite(read) or not read.is_integer():
        return read if math.isfinite(read) else None
    try:
        return int(plain)  # a float would round what is large
    except ValueError:
        return int(read)  # the text of a float, as 1e3


def parsed(value: object, kind: type | tuple[type, ...]) -> object:
    """Return what a text writes, as JSON or as Python does, where that is of a kind; else the value itself.

    Jinja writes an XCom as Python does, unless it is told `tojson`.
    """
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            written = read(value.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(written, kind) and (kind is not list or all(isinstance(each, str) for each in ordered(written))):
            return written
    return value


def broken_json(value: object) -> str:
    """Return where a text that begins as JSON breaks off being it."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            json.loads(value)
        except (ValueError, RecursionError) as error:
            return f"; as JSON: {error}"
    return ""


def is_list(value: Any) -> TypeGuard[Iterable[Any]]:
    """Tell whether a value is several values: neither a text, nor bytes, nor an object."""
    no_lists = (str, bytes, bytearray, memoryview, Mapping)
    return isinstance(value, Iterable) and not isinstance(value, no_lists) and getattr(value, "shape", None) != ()


def ordered(value: Any) -> list[Any]:
    """Return a list's items; those of a set in an order that is the same each time."""
    items = value.tolist() if hasattr(value, "tolist") else value
    return sorted(items, key=repr) if isinstance(items, set | frozenset) else list(items)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the name that was probably meant, as a question behind a message; empty: none is like it."""
    from difflib import get_close_matches

    by_letters = {each.lower(): each for each in known}
    found = get_close_matches(str(name).lower(), by_letters, n=1)
    return f"; did you mean {by_letters[found[0]]}?" if found else ""


def is_utf8(value: str) -> bool:
    """Tell whether a text has no half of a pair of surrogates, which no service could take."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
