"""HTTP answers as values, and the ways in which one comes out wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree import ElementTree

_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to go on.</body></html>"
# A value of another type for one of JSON; XML and headers know but text.
_OTHER_TYPE: dict[type, Any] = {str: 7, int: "seven", float: "seven", bool: "maybe", list: "some", dict: ["some"]}
_GONE = object()

_Change = Callable[[str, Any], Any]
"""Of a field's path and value makes its next value: the same, another, or `_GONE`."""


class Answer(NamedTuple):
    """One answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def with_body(self, body: bytes) -> Answer:
        """Return the answer with another body."""
        return self._replace(headers={**self.headers, "content-length": str(len(body))}, body=body)

    def paths(self) -> list[str]:
        """Return the path of each field: of its JSON or XML, or else of its headers."""
        met: dict[str, None] = {}

        def meet(path: str, value: Any) -> Any:
            met[path] = None
            return value

        self._changed(meet)
        return list(met)

    def spoiled(self, how: str, fields: str = "", pick: int | None = None) -> Answer:
        """Return the answer as it comes out wrong.

        :param how: a name of `SPOILS`.
        :param fields: regular expression over the paths of the fields it is about, e.g. `Jobs.Status`; empty: all.
        :param pick: which of these it is about, counted round them; None: all.
        """
        if how in _WHOLE:
            return _WHOLE[how](self) if self.body or how == "html" else self  # an answer to HEAD has none to lose
        change, usual = _FIELDS[how]
        named = [path for path in self.paths() if re.fullmatch(fields or usual, path)]
        if pick is not None and named:
            named = [named[pick % len(named)]]
        return self._changed(lambda path, value: change(value) if path in named else value)

    def _changed(self, change: _Change) -> Answer:
        if (tree := _parsed(self.body, ElementTree.fromstring)) is not None:
            _change_xml(tree, "", change)
            return self.with_body(ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True))
        if isinstance(document := _parsed(self.body, json.loads), dict | list):
            return self.with_body(json.dumps(_change_json(document, "", change)).encode())
        # No server sends a length that is none.
        length = {name: value for name, value in self.headers.items() if name == "content-length"}
        fields = {name: value.encode() for name, value in self.headers.items() if name not in length}
        changed = {name: _text(value) for name, value in _change_json(fields, "", change).items()}
        return self._replace(headers=changed | length)


def _parsed(body: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(body)
    except (ValueError, ElementTree.ParseError):
        return None


def _change_json(value: Any, path: str, change: _Change) -> Any:
    if isinstance(value, list):
        return [_change_json(each, path, change) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {name: change(f"{path}{name}", each) for name, each in value.items()}
    return {name: _change_json(each, f"{path}{name}.", change) for name, each in changed.items() if each is not _GONE}


def _change_xml(parent: ElementTree.Element, path: str, change: _Change) -> None:
    for child in list(parent):
        here = f"{path}{child.tag.rpartition('}')[2]}"
        changed = change(here, child)
        if changed is _GONE:
            parent.remove(child)
        elif changed is not child:
            child[:], child.text = [], _text(changed)
        else:
            _change_xml(child, f"{here}.", change)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


_WHOLE: dict[str, Callable[[Answer], Answer]] = {
    "half": lambda answer: answer.with_body(answer.body[: len(answer.body) // 2]),
    "empty": lambda answer: answer.with_body(b""),
    # A portal or a proxy answers: nothing of the service's is in it, its request id neither.
    "html": lambda answer: Answer(answer.status, {"content-type": "text/html; charset=utf-8"}).with_body(_PAGE),
}
_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "types": (lambda value: _OTHER_TYPE.get(type(value), "?"), ".*"),
    "missing": (lambda value: _GONE, ".*"),
    "unknown_status": (lambda value: "Resting", r".*(Status|State)"),
}
SPOILS = (*_WHOLE, *_FIELDS)
"""What an answer can become."""
