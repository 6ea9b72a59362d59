"""The person who has called a command: told of its progress, asked before it costs."""

from __future__ import annotations

import sys

from airflow_provider_pai.exceptions import PaiConfigError


def say(text: str) -> None:
    """Print a line of progress, beside what the command prints."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def agreed(what: str, *, yes: bool) -> bool:
    """Ask a person; a script has to say so itself.

    :param what: costs money.
    :raises PaiConfigError: there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise PaiConfigError("--yes", None, f"given where nobody can be asked: {what} costs money")
    return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
