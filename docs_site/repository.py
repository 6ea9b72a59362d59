"""Files of the repository beside docs/, as pages of the site: a link that works on a Git host works there, too."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
FOLDER = "repository/"
"""Of the site, where such pages lie."""

_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")
_LANGUAGES = {".py": "python", ".sh": "bash", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".toml": "toml"}


def path_of(page: str) -> str:
    """Return where in the repository a page of the site comes from."""
    return page.removeprefix(FOLDER).removesuffix(".txt.md") if page.startswith(FOLDER) else DOCS + page


def page_of(path: str) -> str:
    """Return the page that shows a file of the repository."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return FOLDER + path + ("" if path.endswith(".md") else ".txt.md")


def text_of(page: str) -> str:
    """Return the Markdown of a page that shows a file beside docs/; the search finds no source code."""
    path = path_of(page)
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        return text
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"---\nsearch: {{exclude: true}}\n---\n# `{path}`\n\n````{language}\n{text}````\n"


def outside(pages: Iterable[str]) -> set[str]:
    """Return the pages of files beside docs/ that pages are, or lead to, at whatever distance."""
    found: set[str] = set()
    ahead = set(map(path_of, pages))
    while ahead := ahead - found:
        found |= ahead
        documents = [path for path in ahead if path.endswith(".md")]
        ahead = {target for path in documents for target in _targets((ROOT / path).read_text(), path)}
    return {page_of(path) for path in found if not path.startswith(DOCS)}


def with_links(markdown: str, page: str) -> str:
    """Return a page's Markdown with links from page to page where they led from file to file."""
    path = path_of(page)

    def link(match: re.Match[str]) -> str:
        target = _target(match[1], path)
        if not (ROOT / target).is_file():
            return match[1]
        return posixpath.relpath(page_of(target), posixpath.dirname(page) or ".")

    return _LINK.sub(link, markdown)


def _target(link: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _targets(markdown: str, path: str) -> set[str]:
    """Return the files beside docs/ that a document leads to."""
    targets = {_target(match[1], path) for match in _LINK.finditer(markdown)}
    return {target for target in targets if not target.startswith(DOCS) and (ROOT / target).is_file()}
