"""Command definitions that Airflow discovers; the code of a command is imported when it is run."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.cli.cli_config import GroupCommand


def _command(name: str) -> Callable[[Any], None]:
    """Return a command; what it is given wrongly, and what a service refuses, ends it in one line, with 1."""
    from airflow.cli.cli_config import lazy_load_command

    load = lazy_load_command(f"airflow_provider_pai.cli.{name}")

    @wraps(load)
    def run(args: Any) -> None:
        from airflow_provider_pai.exceptions import PaiError

        try:
            load(args)
        except (PaiError, OSError) as error:
            raise SystemExit(str(error)) from None

    return run


def get_pai_commands() -> list[GroupCommand]:
    """Return the commands below `airflow pai`."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    orphans = ActionCommand(
        name="orphans",
        help="List jobs that run although their task is finished, gone or cleared",
        description=(
            "Lists the DLC jobs, DSW instances, EAS shadows and canary candidates of this deployment that run although "
            "their task is finished, gone or cleared: after a worker was lost on its last try, say. With --stop they "
            "are stopped."
        ),
        func=_command("jobs.orphans"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--since",), help="only jobs made since a time (ISO 8601), or so long ago (90m, 2d)"),  # type: ignore[no-untyped-call]
            Arg(("--stop",), help="stop them", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    check = ActionCommand(
        name="check",
        help="Tell what a connection lacks before anything costs money",
        description=(
            "Asks who the connection's key is, whether each service answers and which permission is missing, and looks "
            "at workspace, buckets, roles, metrics, ledger and Airflow itself. It reads, and changes nothing. Exits "
            "with 1 where something is wrong."
        ),
        func=_command("check.check"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--bucket",), help="also check a bucket, oss://bucket; with --smoke where the round writes"),  # type: ignore[no-untyped-call]
            Arg(("--dag",), help="also check what the operators of this DAG need", metavar="DAG_ID"),  # type: ignore[no-untyped-call]
            Arg(("--json",), help="print JSON", action="store_true"),  # type: ignore[no-untyped-call]
            Arg(("--smoke",), help="if all is well, play the smallest true round; asks first", action="store_true"),  # type: ignore[no-untyped-call]
            Arg(("--yes",), help="with --smoke: do not ask", action="store_true"),  # type: ignore[no-untyped-call]
            Arg(("--image",), help="with --smoke: address of an image with Python 3 and a shell"),  # type: ignore[no-untyped-call]
            Arg(("--instance-type",), help="with --smoke: instance type of the job and the DSW instance"),  # type: ignore[no-untyped-call]
            Arg(("--service-type",), help="with --smoke: instance type of the services"),  # type: ignore[no-untyped-call]
            Arg(("--facts",), help="with --smoke: file for what was learned", default="facts.json"),  # type: ignore[no-untyped-call]
        ),
    )
    cost = ActionCommand(
        name="cost",
        help="Tell what versions, nights and failures have cost",
        description=(
            "Sums what DLC jobs, DSW instances and rollouts have used, by version, model, night and cause of what came "
            "to nothing. What has ended and is not in the ledger yet is written there first: jobs of killed tasks, say."
        ),
        func=_command("cost.cost"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--ledger-conn-id",), help="the ledger's connection; by default what --conn-id names"),  # type: ignore[no-untyped-call]
            Arg(("--dag",), help="of one DAG", metavar="DAG_ID"),  # type: ignore[no-untyped-call]
            Arg(("--model",), help="of one model, by its name"),  # type: ignore[no-untyped-call]
            Arg(("--since",), help="begun since a time (ISO 8601), or so long ago (36h, 30d)"),  # type: ignore[no-untyped-call]
            Arg(("--json",), help="print JSON", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    ledger_args = (
        Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
        Arg(("--ledger-conn-id",), help="the ledger's connection; by default what --conn-id names"),  # type: ignore[no-untyped-call]
    )
    migrate = ActionCommand(
        name="migrate",
        help="Make the ledger's tables",
        description=(
            "Makes what is missing of the audit ledger's tables; what is there is left as it is. Run it as a user of "
            "the database who may make tables; tasks then need SELECT and INSERT alone."
        ),
        func=_command("ledger.migrate_ledger"),
        args=ledger_args,
    )
    verify = ActionCommand(
        name="verify",
        help="Tell whether the ledger's rows are those that were written",
        description=(
            "Compares the rows of the audit ledger with each other and with the anchors that are kept below the "
            "connection's state_uri. The decision comes first, then each fault in a line. Exits with 1 where there is "
            "one."
        ),
        func=_command("ledger.verify_ledger"),
        args=(*ledger_args, Arg(("--json",), help="print JSON", action="store_true")),  # type: ignore[no-untyped-call]
    )
    flush = ActionCommand(
        name="flush",
        help="Write the rows that wait for their ledger",
        description=(
            "Writes the rows that wait on OSS because their ledger could not be written, each in its turn and once. "
            "Tasks that record do so, too. Exits with 1 where one stays, and says why."
        ),
        func=_command("flush.flush_ledger"),
        args=(
            *ledger_args,
            Arg(("--bucket",), help="without a state_uri: oss://bucket of the artifacts"),  # type: ignore[no-untyped-call]
            Arg(("--file",), help="write the rows of a task's log, too; -: standard input"),  # type: ignore[no-untyped-call]
        ),
    )
    prune = ActionCommand(
        name="prune",
        help="List pinned inputs that nobody uses",
        description=(
            "Lists the copies that `pin` has made of inputs and that nobody uses: no job has got them for a while, and "
            "no artifact is left that was trained on them. With --delete they are deleted."
        ),
        func=_command("datasets.prune"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--output",), help="without a state_uri: the oss:// prefix that is the tasks' output"),  # type: ignore[no-untyped-call]
            Arg(("--unused-for",), help="how long no job has got them, or since when (ISO 8601)", default="7d"),  # type: ignore[no-untyped-call]
            Arg(("--delete",), help="delete them", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    reproduce = ActionCommand(
        name="reproduce",
        help="Train a model again, of its manifest alone, and compare",
        description=(
            "Makes the job of a model again: the commit, the image, the parameters and the inputs that its manifest "
            "names, as they were. Says IDENTICAL, EQUAL METRICS or DIFFERENT, and what differs. Where something is not "
            "to be had any more it says what, and makes no job. Exits with 1 where the model is another, or was not "
            "trained."
        ),
        func=_command("models.reproduce"),
        args=(
            Arg(("version",), help="of the model, as its artifact and the ledger have it"),  # type: ignore[no-untyped-call]
            *ledger_args,
            Arg(("--uri",), help="where the version lies, oss://…; by default as the ledger has it"),  # type: ignore[no-untyped-call]
            Arg(("--output",), help="where the job writes; by default in _reproduced beside the versions"),  # type: ignore[no-untyped-call]
            Arg(("--anyway",), help="also of what is another now: of data that was replaced, say", action="store_true"),  # type: ignore[no-untyped-call]
            Arg(("--yes",), help="do not ask before it costs", action="store_true"),  # type: ignore[no-untyped-call]
            Arg(("--json",), help="print JSON", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    specs = ActionCommand(
        name="specs",
        help="List instance types that can be started now",
        description=(
            "Lists the instance types of the public pool that DSW and DLC can start now, the smallest first, with the "
            "price of an hour where DSW's API or the connection's `prices` tell one."
        ),
        func=_command("specs.specs"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--gpu",), help="only with this GPU, T4 say"),  # type: ignore[no-untyped-call]
            Arg(("--cpu",), help="only with so many vCPUs or more"),  # type: ignore[no-untyped-call]
            Arg(("--memory",), help="only with so many GiB of memory or more"),  # type: ignore[no-untyped-call]
            Arg(("--max-price",), help="only those that are known to cost no more in an hour"),  # type: ignore[no-untyped-call]
            Arg(("--json",), help="print JSON", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    images = ActionCommand(
        name="images",
        help="List PAI's official images",
        description=(
            "Lists the official images of the connection's region, the newest first, as lines to paste into an "
            "operator: the address, whether it is made for CPU or GPU, and which services take it."
        ),
        func=_command("images.images"),
        args=(
            Arg(("--conn-id",), help="connection of type pai", default="pai_default"),  # type: ignore[no-untyped-call]
            Arg(("--framework",), help="only of a framework, or with this in their name"),  # type: ignore[no-untyped-call]
            Arg(("--json",), help="print JSON", action="store_true"),  # type: ignore[no-untyped-call]
        ),
    )
    return [
        GroupCommand(
            name="pai",
            help="Alibaba Cloud PAI",
            subcommands=(
                check,
                cost,
                specs,
                images,
                GroupCommand(name="datasets", help="Inputs of jobs", subcommands=(prune,)),
                GroupCommand(name="jobs", help="Jobs on PAI", subcommands=(orphans,)),
                GroupCommand(name="models", help="Models that tasks have trained", subcommands=(reproduce,)),
                GroupCommand(name="ledger", help="The audit ledger", subcommands=(migrate, verify, flush)),
            ),
        )
    ]
