"""Progress lines of the demo."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

Say = Callable[[str], None]


class Progress:
    """Prints lines with the time since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Print a line."""
        minutes, seconds = divmod(int(self.seconds), 60)
        print(f"[{minutes}:{seconds:02d}] {text}", flush=True)

    def head(self, text: str) -> None:
        """Print the head line of a story."""
        bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
        print(flush=True)
        self.say(f"{bold}{text}{plain}")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as aligned text."""
    cells = [list(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(f"  {line}" for line in lines)
