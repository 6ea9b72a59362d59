"""Lines of texts: for people bounded and printable, with a mark where they are cut; for programs UTF-8 or refused."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_pai.exceptions import PaiConfigError, without_colours

LONGEST = 2000
"""Characters of one line in the task's log."""

TAIL_LINES = 30
"""Lines that the error of a failed job ends with, for each pod."""

EVIDENCE_LINES = 500
"""Lines of a failed job's log that are read for its last traceback."""

TAIL_CHARACTERS = 16 * 1024
"""Of the lines that an error ends with, of all pods together; the last pod may go over it."""

LONGEST_READ = 64 << 20
"""Bytes of one line of a file that is read line by line; what is longer is no line but another kind of file."""

_LONGEST_OF_TAIL = 500


def readable(line: str, longest: int = LONGEST) -> str:
    """Return a line that any log takes: of a long one its beginning and its end."""
    # Cut first: whatever else is done to it costs the same, however long it is.
    if len(line) > longest:
        kept = longest // 2
        line = f"{line[:kept]} … {len(line) - 2 * kept} characters are left out here … {line[-kept:]}"
    return line.encode(errors="replace").decode()


def shortened(text: str, longest: int = 300) -> str:
    """Return a text in one line and in short: it may hold a whole answer."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}…"


def tail(lines: Sequence[str], most: int = TAIL_LINES) -> list[str]:
    """Return the last lines as an error shows them, without colours."""
    return [without_colours(readable(line, _LONGEST_OF_TAIL)) for line in lines[-most:]]


def utf8_lines(name: str, blocks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, with or without a byte order mark; what reads them decides by them.

    :param name: of the file.
    :raises PaiConfigError: naming the line that is in another encoding, or is none.
    """
    for number, line in enumerate(_split(name, blocks), 1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            yield text.decode()
        except UnicodeDecodeError as error:
            wrong, at = text[error.start : error.start + 4], error.start + 1
            allowed = f"text in UTF-8; its byte {at} is another encoding's: convert the file, iconv -t UTF-8 does"
            raise PaiConfigError(f"{name} line {number}", wrong, allowed) from None


def _split(name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    number, rest = 1, bytearray()
    for block in blocks:
        first, *others = block.split(b"\n")
        rest += first
        for other in others:
            yield bytes(rest)
            number, rest = number + 1, bytearray(other)
        if len(rest) > LONGEST_READ:
            raise PaiConfigError(f"{name} line {number}", "what is longer", f"lines of at most {LONGEST_READ} bytes")
    if rest:
        yield bytes(rest)
