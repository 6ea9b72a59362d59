"""Commands of the package and their options, as their parsers have them."""

from __future__ import annotations

import re
from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from importlib import import_module

_MARK = re.compile(r"^<!-- commands: (\S+) -->$.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def filled(markdown: str) -> str:
    """Return a page's Markdown with a module's commands in the place of each mark `<!-- commands: module -->`."""
    return _MARK.sub(lambda mark: "\n".join(map(_section, commands(parser_of(mark[1])))), markdown)


def parser_of(module: str) -> ArgumentParser:
    """Return the parser of what `python -m` runs."""
    parser: ArgumentParser = import_module(f"{module}.__main__").parser()
    return parser


def commands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """Yield the parsers that have no further commands below them."""
    below = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for each in action.choices.values():
            yield from commands(each)


def _section(parser: ArgumentParser) -> str:
    rows = [_row(action) for action in parser._actions if action.help != SUPPRESS and action.dest != "help"]
    table = ["| option | default | what it is |", "|---|---|---|", *rows]
    return "\n".join([f"## {parser.prog}", "", parser.description or "", "", *table, ""])


def _row(action: Action) -> str:
    name = " ".join([*action.option_strings[:1], *([] if action.nargs == 0 else [_shown(action)])])
    default = "" if action.default in (None, False, SUPPRESS, []) else f"`{action.default}`"
    text = (action.help or "").replace(" (default: %(default)s)", "")
    return f"| `{name}` | {default} | {text} |"


def _shown(action: Action) -> str:
    return str(action.metavar or action.dest.upper())
