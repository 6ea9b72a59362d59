"""Usage of instance types by jobs, instances and services, and what it costs: pure sums.

Billed is the time in which a job or an instance runs. Pages: "Billing for DLC", nodes times price by 60 times runtime
in minutes, until the job has ended or is Stopped; "DSW billing" and "EAS billing", from Running until it is stopped.
Whether DLC bills the preparation of a node, too, no page tells: it is not counted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import number, share

QUOTA = "quota/"
"""Begins what stands for the instance type of nodes of a quota, which is paid by subscription."""

RUNNING = "running"
"""In place of the cause of what has not come to an end."""

NOT_WASTED = frozenset({"", RUNNING, "rollout", "shadow"})
"""Causes of what did not come to nothing."""

_CURRENCY, _SPOT = "currency", "spot"
_FORM = "name=number a line: instance types with their price per hour, spot with its share of it, and currency=CNY"


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Nodes of one kind."""

    type: str
    """Instance type, or `quota/<its id>`."""
    count: int
    spot: bool = False

    def __str__(self) -> str:
        """Return the type as sums name it."""
        return f"{self.type} (spot)" if self.spot else self.type


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one job, instance or service has used, by its service's own times."""

    service: str
    """`dlc`, `dsw` or `eas`."""
    id: str
    status: str
    began: str = ""
    """ISO 8601, since when it is billed; empty: it never was."""
    ended: str = ""
    """ISO 8601; empty: it goes on."""
    seconds: float = 0.0
    """For which each of its nodes is billed."""
    nodes: tuple[Nodes, ...] = ()
    cycle: int = 0
    generation: int = 1
    cause: str = ""
    """Why nothing came of it; `running`: not yet; of a service what it ran for; empty: it has succeeded."""

    @property
    def key(self) -> str:
        """Return what makes its ledger row unique."""
        return usage_key(self.service, self.id)

    @property
    def instance_seconds(self) -> Mapping[str, float]:
        """Return seconds times nodes by type."""
        return sums((str(nodes), self.seconds * nodes.count) for nodes in self.nodes)

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Read what stands in a ledger row or an artifact, in this version or in a later one."""
        known = {each.name: value[each.name] for each in fields(cls) if each.name in value}
        return cls(**{**known, "nodes": tuple(_nodes(nodes) for nodes in value.get("nodes") or ())})


def usage_key(service: str, name: str) -> str:
    """Return the key of a usage's ledger row."""
    return f"usage/{service}/{name}"


def attempts(usages: Iterable[Usage]) -> Iterator[list[Usage]]:
    """Yield what each success of one task has taken: itself and all before it that came to nothing.

    Behind the last success stands what has come to nothing yet.
    """
    before: list[Usage] = []
    for usage in sorted(usages, key=lambda usage: (usage.cycle, usage.generation, usage.began, usage.id)):
        before.append(usage)
        if not usage.cause:
            yield before
            before = []
    if before:
        yield before


class Prices(NamedTuple):
    """What instance types cost.

    :param hourly: by instance type; `dsw/<type>` is of one service alone, and goes before `<type>`.
    :param spot: what a spot instance costs as a share of that; None: nobody has told.
    """

    currency: str = ""
    hourly: Mapping[str, float] = MappingProxyType({})
    spot: float | None = None

    @classmethod
    def parse(cls, field: str, text: str) -> Self:
        """Read the connection's `prices`: `name=value`, one a line or between blanks.

        :raises PaiConfigError: naming the first that is none.
        """
        pairs = dict(_pair(field, part) for part in text.replace(",", " ").split())
        currency, spot = pairs.pop(_CURRENCY, ""), pairs.pop(_SPOT, None)
        if pairs and not currency:
            raise PaiConfigError(field, text, f"{_FORM}; currency is missing")
        hourly = {name: number(f"{field}, {name}", value, least=0) for name, value in pairs.items()}
        return cls(currency, hourly, None if spot is None else share(f"{field}, {_SPOT}", spot))

    def with_api(self, service: str, told: Self) -> Self:
        """Return these with what a service's API tells of its own instances, where nothing is told here.

        Prices in another currency can't be added up, and are left out.
        """
        if self.currency and told.currency != self.currency:
            return self
        own = {f"{service}/{name}": price for name, price in told.hourly.items() if name not in self.hourly}
        return self._replace(currency=told.currency, hourly={**own, **self.hourly})

    def hour(self, service: str, nodes: Nodes) -> float | None:
        """Return what one node costs in an hour; None: nobody has told."""
        full = self.hourly.get(f"{service}/{nodes.type}", self.hourly.get(nodes.type))
        if full is None or not nodes.spot:
            return full
        return None if self.spot is None else full * self.spot


class Spent(NamedTuple):
    """A sum of usages.

    :param hours: instance hours by type.
    :param money: in the prices' currency, of all that has a price.
    :param unpriced: instance hours by type of what has none: `money` is too low by these.
    """

    hours: Mapping[str, float]
    money: float
    unpriced: Mapping[str, float]

    @property
    def all_hours(self) -> float:
        """Return the instance hours of all types."""
        return sum(self.hours.values())


def spent(usages: Iterable[Usage], prices: Prices) -> Spent:
    """Return what usages come to; of one that is given twice the last counts."""
    hours, unpriced, money = defaultdict[str, float](float), defaultdict[str, float](float), 0.0
    for usage in {usage.key: usage for usage in usages}.values():
        for nodes in usage.nodes:
            used = usage.seconds * nodes.count / 3600
            price = prices.hour(usage.service, nodes)
            hours[str(nodes)] += used
            if price is None:
                unpriced[str(nodes)] += used
            else:
                money += price * used
    return Spent(hours, money, unpriced)


def sums(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the sum of each name."""
    result = defaultdict[str, float](float)
    for name, amount in pairs:
        result[name] += amount
    return dict(result)


def _nodes(value: Mapping[str, Any]) -> Nodes:
    return Nodes(**{each.name: value[each.name] for each in fields(Nodes) if each.name in value})


def _pair(field: str, part: str) -> tuple[str, str]:
    name, sign, value = part.partition("=")
    if not (name and sign and value):
        raise PaiConfigError(field, part, _FORM)
    return name, value
