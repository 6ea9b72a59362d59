"""Docstrings in the project's form: prose, then fields as `:param name: text`."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

_FIELD = re.compile(r"^:(param|raises|returns)(?: (\w+))?:\s+(.*(?:\n(?!:).+)*)\n?", re.MULTILINE)


class Docstring(NamedTuple):
    """What a docstring says."""

    text: str
    """All but the fields."""
    params: dict[str, str]
    raises: dict[str, str]
    returns: str

    @classmethod
    def of(cls, one: Any) -> Docstring:
        """Read the docstring of a class or a function."""
        written = inspect.cleandoc(one.__doc__ or "")
        fields: dict[str, dict[str, str]] = {"param": {}, "raises": {}, "returns": {}}
        for kind, name, text in _FIELD.findall(written):
            fields[kind][name] = " ".join(text.split())
        return cls(_FIELD.sub("", written).strip(), fields["param"], fields["raises"], fields["returns"].get("", ""))
