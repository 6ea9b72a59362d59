"""`airflow pai check`: what is missing before anything costs money; it reads, and changes nothing."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from airflow_provider_pai.cli.checks import around, bucket
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.checks import Check, Health, Remark, grouped, quick, run_checks
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.inputs import parse_uri

SECONDS = 30.0
"""How long each check may take; they run side by side."""


def check(args: argparse.Namespace) -> None:
    """Check a connection, and what a DAG needs of it; exit with 1 where something is wrong."""
    hook = PaiConnectionHook(args.conn_id)
    hook.retry_seconds = 0.0
    with nothing_else_printed():
        rows = remarks(hook, args.bucket, args.dag)
    print(for_machines(hook, rows) if args.json else for_people(hook, rows))  # noqa: T201 - that is what a command does
    if args.smoke and not faulty(rows):
        from airflow_provider_pai.cli.smoke import smoke

        try:
            sys.exit(smoke(args))
        except PaiConfigError as error:
            sys.exit(str(error))
    sys.exit(1 if faulty(rows) else 0)


@contextlib.contextmanager
def nothing_else_printed() -> Iterator[None]:
    """Keep Airflow's log and what DAG files print out of the output."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def remarks(hook: PaiConnectionHook, uri: str | None, dag_id: str | None) -> list[Remark]:
    """Return what is found of a connection, a bucket and a DAG; of a connection that can't be read that alone."""
    if unreadable := run_checks([Check("connection", partial(_read, hook))], SECONDS):
        return unreadable
    try:
        return run_checks(checks_of(hook, uri, dag_id), SECONDS)
    except PaiConfigError as error:
        return [Remark(error.field, Health.FAULT, str(error))]


def _read(hook: PaiConnectionHook) -> Sequence[Remark]:
    hook.connection  # noqa: B018 - read once for all checks
    return ()


def checks_of(hook: PaiConnectionHook, uri: str | None, dag_id: str | None) -> list[Check]:
    """Return the checks of a connection, of a bucket and of a DAG.

    :raises PaiConfigError: there is no such DAG, or the bucket's address is none.
    """
    checks = [*quick(hook), *around(hook)]
    if uri:
        checks.append(bucket(hook, parse_uri("--bucket", uri).bucket))
    if dag_id:
        from airflow_provider_pai.cli.needs import checks_of_dag, dag_of

        checks += checks_of_dag(dag_of(dag_id), hook)
    return checks


def faulty(rows: Sequence[Remark]) -> bool:
    """Tell whether something is wrong."""
    return any(row.result is Health.FAULT for row in rows)


def for_machines(hook: PaiConnectionHook, rows: Sequence[Remark]) -> str:
    """Return rows for machines."""
    checks = [row._asdict() for row in rows]
    return json.dumps({"connection": hook.pai_conn_id, "ok": not faulty(rows), "checks": checks}, indent=2)


def for_people(hook: PaiConnectionHook, rows: Sequence[Remark]) -> str:
    """Return rows for people: what is alike in one, what to do below it, and how many there are at the end."""
    counts = Counter(row.result for row in rows)
    total = ", ".join(_counted(counts[result], result) for result in Health if counts[result])
    return "\n".join([_head(hook), "", *_lines(rows), "", total])


def _counted(number: int, result: Health) -> str:
    many = number > 1 and result in (Health.WARNING, Health.FAULT)
    return f"{number} {result}{'s' if many else ''}"


def _head(hook: PaiConnectionHook) -> str:
    at = vars(hook).get("connection")  # it may be what is wrong
    if at is None:
        return f"Connection {hook.pai_conn_id}"
    return f"Connection {hook.pai_conn_id}: {at.region}, {at.endpoint_url or f'{at.network} network'}, auth {at.auth}"


def _lines(rows: Sequence[Remark]) -> Iterator[str]:
    """Yield the lines of a table of three columns, wrapped to the terminal's width."""
    merged = grouped(rows)
    first = max(len(result) for result in Health)
    second = min(32, max((len(names) for names, _ in merged), default=0))
    width = max(60, shutil.get_terminal_size((110, 24)).columns) - first - second - 4
    for names, row in merged:
        says = textwrap.wrap(row.says, width, break_on_hyphens=False) or [""]
        todo = textwrap.wrap(f"→ {row.todo}", width, subsequent_indent="  ", break_on_hyphens=False) if row.todo else []
        left = textwrap.wrap(names, second, break_on_hyphens=False)
        right = [*says, *todo]
        for number in range(max(len(left), len(right))):
            result = row.result if not number else ""
            name = left[number] if number < len(left) else ""
            text = right[number] if number < len(right) else ""
            yield f"{result:{first}}  {name:{second}}  {text}".rstrip()
