"""The commands of `airflow pai` as a program, for Airflow before 3.2: `python -m airflow_provider_pai.cli …`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence

from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_pai.cli.definition import get_pai_commands


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    :param arguments: those of the process by default.
    """
    chosen = parser().parse_args(arguments)
    chosen.func(chosen)


def parser() -> ArgumentParser:
    """Return what reads the command line."""
    (pai,) = get_pai_commands()
    top = ArgumentParser(prog="python -m airflow_provider_pai.cli", description=pai.help)
    _add(top, pai.subcommands)
    return top


def _add(parser: ArgumentParser, commands: Iterable[ActionCommand | GroupCommand]) -> None:
    """Give a parser what Airflow's own command line makes of the definitions."""
    below = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        one = below.add_parser(command.name, help=command.help, description=command.description or command.help)
        if isinstance(command, GroupCommand):
            _add(one, command.subcommands)
        else:
            for argument in command.args:
                argument.add_to_parser(one)
            one.set_defaults(func=command.func)


if __name__ == "__main__":
    main()
