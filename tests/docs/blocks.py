"""Pages of the documentation and the blocks of code in them.

A block is fenced and names its language. In the line above it a comment may say how it is tested:

    <!-- not run: why -->     it is only read: it needs the cloud, or another system
    <!-- stays -->            it runs on, in a terminal of its own, while the page's other blocks are run
    <!-- printed -->          of text: each line is among what the page's blocks print; … stands for anything

`title="dags/first.py"` behind the language makes it that file of the reader's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_EVERY = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TRANSLATIONS = {page: page.with_name(page.name.replace(".zh-CN", "")) for page in _EVERY if ".zh-CN" in page.name}
PAGES = [page for page in _EVERY if page not in TRANSLATIONS]

FENCE = re.compile(r"( *)(`{3,})(.*)")
_LIST = re.compile(r"\s*([-*+]|\d+\.|\?\?\?\+?|!!!|===) ")


class Block(NamedTuple):
    """A fenced block of code."""

    page: Path
    line: int
    """Of its first line."""
    language: str
    title: str
    mark: str
    """Text of the comment above it."""
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """Return a name for a file of its text."""
        return f"{self.page.stem}_{self.line}".replace("-", "_").replace(".", "_")


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, from top to bottom."""
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        fence = FENCE.fullmatch(lines[number])
        if fence:
            begin = number + 1
            indent, ticks, info = fence.groups()
            number = lines.index(indent + ticks, begin)
            language, _, rest = info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            mark = re.fullmatch(r"\s*<!-- (.+) -->", lines[begin - 2]) if begin > 1 else None
            text = "\n".join(line.removeprefix(indent) for line in lines[begin:number]) + "\n"
            yield Block(page, begin + 1, language, title[1] if title else "", mark[1] if mark else "", text)
        number += 1


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def unfenced(page: Path) -> Iterator[int]:
    """Yield the lines in which blocks begin that are indented only: they tell no language."""
    fenced, paragraph, before = "", "", ""
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if fence := FENCE.match(line):
            fenced = "" if fenced == fence[2] else fenced or fence[2]
        elif not fenced and line.startswith("    ") and not before and not _LIST.match(paragraph):
            yield number
        if line.strip() and not line.startswith("  "):
            paragraph = line
        before = line.strip()
