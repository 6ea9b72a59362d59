"""Hooks of MkDocs: what the site has beside the files of docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[1]))  # `mkdocs` alone knows no folder of ours

from docs_site import commands, reference, repository

log = get_plugin_logger("docs_site")

# What a page needs to be shown, in distinction from where its links lead.
_FETCHED = re.compile(
    r'<(?:script|img|link rel="(?:stylesheet|icon|preconnect|preload)")[^>]* (?:src|href)="((?:https?:)?//[^"]+)"'
)


def on_files(files: Files, config: Any) -> Files:
    """Add the files of the repository that pages, or the navigation, lead to."""
    pages = {file.src_uri for file in files.documentation_pages()}
    pages |= set(re.findall(rf"\b{repository.FOLDER}[^']+", str(config.nav)))
    for page in sorted(repository.outside(pages)):
        files.append(File.generated(config, page, content=repository.text_of(page)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Mend a page's links, and write the reference where it belongs."""
    at = page.file.src_uri
    if at.startswith(reference.FOLDER):
        markdown = commands.filled(reference.filled(markdown, at))
    return repository.with_links(markdown, at)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of what a browser would fetch from another host."""
    for address in _FETCHED.findall(output):
        log.warning("%s fetches %s", page.file.src_uri, address)
    return output
