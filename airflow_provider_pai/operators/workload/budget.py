"""Budget of a DAG: what its runs may spend, asked before anything more is made.

What is spent is what the ledger tells of the DAG's jobs, and what the service's own list adds: jobs that run, and those
whose row nobody has written yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple, Self

from airflow_provider_pai.causes import Cause
from airflow_provider_pai.clock import in_words
from airflow_provider_pai.costs import Prices, Usage, spent
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import known, mapping, one_of, seconds
from airflow_provider_pai.labels import Key, legal_name
from airflow_provider_pai.values import finite

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.jobs import JobHook
    from airflow_provider_pai.ledger import Row

PER_RUN, PER_DAY, OVER = "per_run", "per_day", "over"
FAIL, SKIP = "fail", "skip"

_MONEY = r"(\d+(?:\.\d+)?)\s*([A-Z]{3})"
_AMOUNT = "instance hours, as '12h', or money, as '40 CNY'"
_FORM = f"{PER_RUN}, {PER_DAY} or both: {_AMOUNT}; {OVER}: {FAIL} or {SKIP}"


class Limit(NamedTuple):
    """What may be spent.

    :param currency: empty: instance hours.
    """

    amount: float
    currency: str = ""

    @classmethod
    def read(cls, field: str, value: object) -> Self:
        """Read an amount with its unit: a bare number may be either, and is refused.

        :raises PaiConfigError: it is none.
        """
        if isinstance(value, str) and (money := re.fullmatch(_MONEY, value.strip(), re.ASCII)):
            return cls(float(money[1]), money[2])
        try:
            if finite(value) is None:
                return cls(seconds(field, value) / 3600)
        except PaiConfigError:
            pass
        raise PaiConfigError(field, value, _AMOUNT)

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.shown(self.amount)} {self.currency or 'of instance time'}"

    def shown(self, amount: float) -> str:
        """Return an amount without its unit; hours as people say them."""
        return f"{amount:.2f}" if self.currency else in_words(3600 * amount)


class Budget(NamedTuple):
    """Limits of a DAG, and what becomes of a task that meets one."""

    limits: Mapping[str, Limit]
    over: str

    @classmethod
    def read(cls, value: object, prices: Prices) -> Self:
        """Read what an operator was given.

        :raises PaiConfigError: it is none, or in money that the connection's `prices` do not count in.
        """
        given = mapping("budget", value, _FORM)
        known("budget", given, (PER_RUN, PER_DAY, OVER))
        over = one_of(f"budget[{OVER!r}]", given.pop(OVER, FAIL), (FAIL, SKIP))
        if not given:
            raise PaiConfigError("budget", value, _FORM)
        limits = {name: Limit.read(f"budget[{name!r}]", amount) for name, amount in given.items()}
        for name, limit in limits.items():
            if limit.currency not in ("", prices.currency):
                told = f"their currency is {prices.currency}" if prices.currency else "it has none"
                allowed = f"instance hours, as '12h', or money that `prices` of the connection count in: {told}"
                raise PaiConfigError(f"budget[{name!r}]", given[name], allowed)
        return cls(limits, over)


class Used(NamedTuple):
    """What a job has used, and for which run.

    :param run: the run's id as labels have it.
    """

    run: str
    usage: Usage


class Asked(NamedTuple):
    """A limit and what is spent of it.

    :param span: what it holds for, in words.
    :param unpriced: types without a price, which an amount of money does not count.
    """

    limit: Limit
    span: str
    spent: float
    unpriced: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left."""
        return self.spent >= self.limit.amount

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.limit.shown(self.spent)} of {self.limit} are spent {self.span}"


class Day(NamedTuple):
    """A calendar day of a time zone, as two moments in UTC."""

    begin: datetime
    end: datetime
    name: str

    @classmethod
    def at(cls, moment: datetime, zone: tzinfo) -> Self:
        """Return the day in which a moment lies.

        It begins with the first midnight that the clocks show, or would if they were not set forward then. The hour
        that is shown again where they are set back over midnight is of the day that had begun.
        """
        here = moment.astimezone(zone).date()
        begin, end = _midnight(here, zone), _midnight(here + timedelta(days=1), zone)
        if moment >= end:
            here += timedelta(days=1)
            begin, end = end, _midnight(here + timedelta(days=1), zone)
        return cls(begin, end, f"{here} ({zone})")

    def part(self, usage: Usage, now: datetime) -> Usage:
        """Return what of a usage falls on this day."""
        if not usage.began:
            return usage
        began, ended = (datetime.fromisoformat(each) if each else now for each in (usage.began, usage.ended))
        overlap = (min(ended, self.end) - max(began, self.begin)).total_seconds()
        whole = (ended - began).total_seconds()
        share = min(1.0, max(0.0, overlap) / whole) if whole > 0 else float(self.begin <= began < self.end)
        return replace(usage, seconds=usage.seconds * share)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def used(rows: Iterable[Row], hook: JobHook, identity: TaskIdentity) -> list[Used]:
    """Return what a DAG's jobs have used: as the ledger tells, and as the service's list does; each once.

    :param rows: of the DAG's usages.
    """
    tags = {Key.DEPLOYMENT: legal_name(identity.deployment), Key.DAG_ID: legal_name(identity.dag_id)}
    # Why one has failed does not matter here: to ask would be to read the logs of every failure of the DAG.
    listed = (Used(job.tags.get(Key.RUN_ID, ""), hook.usage(job, Cause.UNKNOWN)) for job in hook.tagged(tags))
    found: dict[str, Used] = {}
    for each in (*_recorded(rows), *listed):
        # A list may be behind, and an instance that was kept has gone on since its row was written.
        if (other := found.get(each.usage.key)) is None or each.usage.seconds > other.usage.seconds:
            found[each.usage.key] = each
    return list(found.values())


def _recorded(rows: Iterable[Row]) -> Iterator[Used]:
    for row in rows:
        payload = json.loads(row.payload)
        yield Used(legal_name(str(payload["run_id"])), Usage.read(payload))


def ask(budget: Budget, found: Iterable[Used], run_id: str, day: Day, now: datetime, prices: Prices) -> list[Asked]:
    """Return what is spent of each limit."""
    found = list(found)
    spans = {
        PER_RUN: (f"by run {run_id}", [each.usage for each in found if each.run == legal_name(run_id)]),
        PER_DAY: (f"on {day.name}", [day.part(each.usage, now) for each in found]),
    }
    return [_asked(limit, *spans[name], prices) for name, limit in budget.limits.items()]


def _asked(limit: Limit, span: str, usages: Iterable[Usage], prices: Prices) -> Asked:
    total = spent(usages, prices)
    if not limit.currency:
        return Asked(limit, span, total.all_hours)
    return Asked(limit, span, total.money, tuple(name for name, hours in total.unpriced.items() if hours))
