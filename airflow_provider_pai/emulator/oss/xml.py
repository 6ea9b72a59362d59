"""XML of OSS: documents out of nested pairs, and the few documents that clients send."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote
from xml.etree import ElementTree

from airflow_provider_pai.emulator.oss.errors import OssError

Pair = tuple[str, "str | int | bool | Sequence[Pair]"]

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

# OSS takes control characters as they are where XML forbids them or makes line ends of them: clients name keys so.
_CONTROLS = [code for code in range(32) if chr(code) not in "\t\n"]
_SHELTER = {code: 0xF0000 + code for code in _CONTROLS}
_BACK = {0xF0000 + code: code for code in _CONTROLS}


def document(tag: str, *children: Pair) -> bytes:
    """Return a document; a child is a name with text, a number, a flag or children of its own."""
    return serialized(_element(tag, children))


def text_document(tag: str, text: str) -> bytes:
    """Return a document that is one text."""
    return serialized(_element(tag, text))


def parse(body: bytes, tag: str) -> ElementTree.Element:
    """Read a document with this root.

    :raises OssError: MalformedXML.
    """
    try:
        root = ElementTree.fromstring(body.decode().translate(_SHELTER))  # noqa: S314
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise malformed() from error
    if root.tag.rpartition("}")[2] != tag:
        raise malformed()
    return root


def child_text(element: ElementTree.Element, tag: str) -> str:
    """Return the text of a child that must be there.

    :raises OssError: MalformedXML.
    """
    text = element.findtext(tag)
    if text is None:
        raise malformed()
    return text.translate(_BACK)


def malformed() -> OssError:
    """Return the refusal of a body that is not the XML it should be."""
    return OssError(400, "MalformedXML", "The XML you provided was not well-formed or did not validate.")


class Encoder:
    """Writes keys as the request's `encoding-type` asks: as they are, or percent-encoded."""

    def __init__(self, encoding: str | None) -> None:
        self._url = encoding == "url"

    def __call__(self, key: str) -> str:
        """Write one key."""
        return quote(key, safe="", errors="surrogateescape") if self._url else key

    @property
    def pairs(self) -> list[Pair]:
        """Return what tells the client how keys are written."""
        return [("EncodingType", "url")] if self._url else []


def serialized(root: ElementTree.Element) -> bytes:
    """Return an element as a document."""
    content: bytes = ElementTree.tostring(root, encoding="utf-8")
    return _DECLARATION + content


def _element(tag: str, value: str | int | bool | Sequence[Pair]) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    if isinstance(value, bool):
        element.text = str(value).lower()
    elif isinstance(value, str | int):
        element.text = str(value)
    else:
        element.extend(_element(name, child) for name, child in value)
    return element
