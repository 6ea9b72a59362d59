"""Command definitions that Airflow discovers; the code of a command is imported when it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import GroupCommand


def get_pai_commands() -> list[GroupCommand]:
    """Return the commands below `airflow pai`."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    orphans = ActionCommand(
        name="orphans",
        help="List jobs that run although their task is finished, gone or cleared",
        description=(
            "Lists the DLC jobs, DSW instances, EAS shadows and canary candidates of this deployment that run although "
            "their task is finished, gone or cleared: after a worker was lost on its last try, say. With --stop they "
            "are stopped."
        ),
        func=lazy_load_command("airflow_provider_pai.cli.jobs.orphans"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--since",), help="only jobs made since a time (ISO 8601), or so long ago (90m, 2d)"),  # type: ignore[no-untyped-call]
            Arg(("--stop",), help="stop them", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    return [
        GroupCommand(
            name="pai",
            help="Alibaba Cloud PAI",
            subcommands=(GroupCommand(name="jobs", help="Jobs on PAI", subcommands=(orphans,)),),
        )
    ]
