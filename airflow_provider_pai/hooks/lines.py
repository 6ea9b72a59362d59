"""Lines of logs for people: bounded and printable, whatever wrote them; each cut says what it has left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 2000
"""Characters of one line in the task's log."""

TAIL_LINES = 30
"""Lines that the error of a failed job ends with, for each pod."""

TAIL_CHARACTERS = 16 * 1024
"""Of the lines that an error ends with, of all pods together; the last pod may go over it."""

_LONGEST_OF_TAIL = 500
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def readable(line: str, longest: int = LONGEST) -> str:
    """Return a line that any log takes: of a long one its beginning and its end."""
    # Cut first: whatever else is done to it costs the same, however long it is.
    if len(line) > longest:
        kept = longest // 2
        line = f"{line[:kept]} … {len(line) - 2 * kept} characters are left out here … {line[-kept:]}"
    return line.encode(errors="replace").decode()


def tail(lines: Sequence[str], most: int = TAIL_LINES) -> list[str]:
    """Return the last lines as an error shows them, without colours."""
    return [_COLOURS.sub("", readable(line, _LONGEST_OF_TAIL)) for line in lines[-most:]]
