"""`airflow pai cost`: what versions, nights and failures have cost, from the ledger and from what PAI still shows."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.cli.check import nothing_else_printed
from airflow_provider_pai.cli.jobs import since_when
from airflow_provider_pai.cli.table import table
from airflow_provider_pai.costs import NOT_WASTED, Prices, Spent, Usage, attempts, spent, usage_key
from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.inputs import moment
from airflow_provider_pai.labels import Key, legal_name
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.ledger.task import TaskLedger
from airflow_provider_pai.services import SERVICES, path_of

_NONE = "-"


class UsageOf(NamedTuple):
    """A usage and whose it is; `version` and `model` are empty where nobody has told."""

    usage: Usage
    dag_id: str
    run_id: str
    task: str
    version: str = ""
    model: str = ""


class CostLine(NamedTuple):
    """A line of the table: what a name has cost, and what of it came to nothing, by cause."""

    name: str
    spent: Spent
    wasted: Mapping[str, Spent]


def cost(args: argparse.Namespace) -> None:
    """Complete the ledger from what PAI shows, and print the sums."""
    with nothing_else_printed():
        text = _told(args)
    print(text)  # noqa: T201 - that is what a command does


def _told(args: argparse.Namespace) -> str:
    hooks: list[JobHook] = [
        import_string(path_of(path))(args.conn_id) for row in SERVICES.values() for path in row.billed
    ]
    connection = hooks[0].connection
    conn_id = args.ledger_conn_id or connection.ledger_conn_id
    recorded = list(entries(Ledger.open(conn_id), args.dag))
    found = complete(hooks, TaskLedger(hooks[0], conn_id, logging.getLogger(__name__)), recorded, args.dag)
    since = since_when(args.since) if args.since else None
    told = [each for each in assigned([*recorded, *found]) if _is_wanted(each, args.model, since)]
    prices = priced(connection, (each.usage for each in told), hooks[0].sibling(DswHook))
    return costs_as_json(told, prices) if args.json else costs_as_tables(told, prices)


def entries(ledger: Ledger, dag_id: str | None) -> Iterator[UsageOf]:
    """Yield what the ledger has, of one DAG or of all."""
    rows = ledger.of_subject(dag_id, [EventKind.USAGE]) if dag_id else ledger.rows()
    for row in rows:
        if row.kind == EventKind.USAGE:
            row.check()
            payload = json.loads(row.payload)
            usage, task, model = Usage.read(payload), payload["task"], payload["model"]
            yield UsageOf(usage, payload["dag_id"], payload["run_id"], task, row.version, model)


def complete(
    hooks: Iterable[JobHook], ledger: TaskLedger, recorded: Sequence[UsageOf], dag_id: str | None
) -> list[UsageOf]:
    """Record what has ended and nobody has recorded; return it, and what still goes on."""
    known, found = {each.usage.key for each in recorded}, []
    for hook in hooks:
        tags = {Key.DEPLOYMENT: legal_name(hook.connection.deployment)}
        for job in hook.tagged({**tags, **({Key.DAG_ID: legal_name(dag_id)} if dag_id else {})}):
            name, task = TaskName.of(job.tags), job.tags.get(Key.TASK, "")
            if name is None or usage_key(hook.service, job.job_id) in known:
                continue
            usage = hook.usage(hook.get(job.job_id))  # as it is now, and a run as it ended
            found.append(UsageOf(usage, dag_id or name.dag_id, name.run_id, task))
            if usage.ended:
                origin = {**name._asdict(), "dag_id": dag_id or name.dag_id}
                ledger.record(Event.used(usage, origin, task=task))
    return found


def assigned(told: Iterable[UsageOf]) -> Iterator[UsageOf]:
    """Yield usages with the version that came of them: what came to nothing counts to the task's next success."""
    tasks: dict[str, dict[str, UsageOf]] = {}
    for each in told:
        tasks.setdefault(each.task, {})[each.usage.key] = each
    for by_key in tasks.values():
        model = next((each.model for each in by_key.values() if each.model), "")
        for tries in attempts(each.usage for each in by_key.values()):
            came = by_key[tries[-1].key]
            for usage in tries:
                entry = by_key[usage.key]
                version = entry.version if usage.service == "eas" else "" if came.usage.cause else came.version
                yield entry._replace(version=version, model=entry.model or model)


def priced(connection: PaiConnection, usages: Iterable[Usage], dsw: DswHook) -> Prices:
    """Return the connection's prices, with DSW's own where it is asked for instances that have none there."""
    prices = connection.prices
    used = [usage for usage in usages if usage.service == "dsw"]
    if not spent(used, prices).unpriced:
        return prices
    return prices.with_api("dsw", dsw.prices())


def cost_lines(told: Iterable[UsageOf], name: str, prices: Prices) -> list[CostLine]:
    """Return the sums by a field of the entries, the first to begin first."""
    named: dict[str, list[Usage]] = {}
    for each in sorted(told, key=lambda each: each.usage.began):
        named.setdefault(getattr(each, name) or _NONE, []).append(each.usage)
    return [CostLine(key, spent(usages, prices), by_cause(usages, prices)) for key, usages in named.items()]


def by_cause(usages: Iterable[Usage], prices: Prices) -> dict[str, Spent]:
    """Return what came to nothing, by its cause."""
    causes: dict[str, list[Usage]] = {}
    for usage in usages:
        if usage.cause not in NOT_WASTED:
            causes.setdefault(usage.cause, []).append(usage)
    return {cause: spent(wasted, prices) for cause, wasted in sorted(causes.items())}


def costs_as_tables(told: Sequence[UsageOf], prices: Prices) -> str:
    """Return the sums as tables: versions, nights, causes; and what has no price."""
    usages = [each.usage for each in told]
    total, wasted = spent(usages, prices), by_cause(usages, prices)
    parts = [f"{_amount(total, prices)} in all, of which {_amount(_sum(wasted), prices)} came to nothing"]
    for title, field in (("version", "version"), ("model", "model"), ("night", "run_id")):
        parts += ["", *_table(title, cost_lines(told, field, prices), prices)]
    parts += ["", *(f"{cause}: {_amount(each, prices)}" for cause, each in wasted.items())] if wasted else []
    if going := sum(1 for usage in usages if not usage.ended):
        parts += ["", f"{going} still run, and count up to now"]
    if total.unpriced:
        types = ", ".join(f"{name} ({hours:.2f} h)" for name, hours in sorted(total.unpriced.items()))
        parts += ["", f"WITHOUT A PRICE, and in no sum of money: {types} → `prices` of the connection"]
    return "\n".join(parts)


def costs_as_json(told: Sequence[UsageOf], prices: Prices) -> str:
    """Return the sums as JSON."""

    def of(each: Spent) -> dict[str, Any]:
        return {"instance_hours": each.hours, "money": each.money, "unpriced_hours": each.unpriced}

    usages = [each.usage for each in told]
    tables = {
        title: [
            {title: line.name, **of(line.spent), "wasted": {cause: of(each) for cause, each in line.wasted.items()}}
            for line in cost_lines(told, field, prices)
        ]
        for title, field in (("version", "version"), ("model", "model"), ("night", "run_id"))
    }
    causes = {cause: of(each) for cause, each in by_cause(usages, prices).items()}
    whole = {"currency": prices.currency, "total": of(spent(usages, prices)), "wasted": causes}
    return json.dumps({**whole, **{f"{title}s": table for title, table in tables.items()}}, indent=2)


def _table(title: str, found: Sequence[CostLine], prices: Prices) -> list[str]:
    rows = [
        (line.name, _amount(line.spent, prices), ", ".join(f"{c} {_amount(s, prices)}" for c, s in line.wasted.items()))
        for line in found
    ]
    rows.insert(0, (title, "cost", "came to nothing"))
    return table(rows)


def _amount(each: Spent, prices: Prices) -> str:
    hours = f"{each.all_hours:.2f} h"
    return f"{each.money:.2f} {prices.currency} ({hours})" if prices.currency else hours


def _sum(causes: Mapping[str, Spent]) -> Spent:
    return Spent(
        {cause: each.all_hours for cause, each in causes.items()}, sum(each.money for each in causes.values()), {}
    )


def _is_wanted(each: UsageOf, model: str | None, since: datetime | None) -> bool:
    began = each.usage.began or each.usage.ended
    young = since is None or not began or moment("began", began) >= since
    return young and model in (None, each.model)
