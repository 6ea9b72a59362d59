"""`airflow pai specs`: instance types that can be started now, with what the API or the connection tells of prices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from airflow_provider_pai.cli.check import nothing_else_printed
from airflow_provider_pai.cli.person import say
from airflow_provider_pai.cli.table import table
from airflow_provider_pai.costs import Nodes, Prices
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.dsw.instances import told_prices
from airflow_provider_pai.inputs import number
from airflow_provider_pai.operators.dlc.nodes import plain_gpu
from airflow_provider_pai.remote import Json


class Spec(NamedTuple):
    """An instance type of the public pool, as one service offers it; memory in GiB, the price per hour."""

    instance_type: str
    service: str
    cpu: float
    memory: float
    gpus: int
    gpu_type: str
    gpu_memory: float
    price: float | None

    @property
    def size(self) -> tuple[Any, ...]:
        """Return what puts the smallest first."""
        return self.gpus, self.cpu, self.memory, self.instance_type, self.service


class Wanted(NamedTuple):
    """What an instance type must have at least, and may cost at most."""

    gpu: str | None
    cpu: float
    memory: float
    price: float | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Wanted:
        """Read the options of a command.

        :raises PaiConfigError: naming the one that is no number.
        """
        cpu, memory = (number(f"--{name}", getattr(args, name) or 0, least=0) for name in ("cpu", "memory"))
        price = None if args.max_price is None else number("--max-price", args.max_price, least=0)
        return cls(args.gpu, cpu, memory, price)

    def is_met_by(self, spec: Spec) -> bool:
        """Tell whether an instance type is wanted; one of an unknown price is not where there is a most."""
        is_cheap = self.price is None or (spec.price is not None and spec.price <= self.price)
        return is_cheap and self.is_large(spec)

    def is_large(self, spec: Spec) -> bool:
        """Tell whether an instance type has all that is wanted, whatever it costs."""
        is_gpu = not self.gpu or plain_gpu(self.gpu) == plain_gpu(spec.gpu_type)
        return is_gpu and spec.cpu >= self.cpu and spec.memory >= self.memory


def specs(args: argparse.Namespace) -> None:
    """Print the instance types that are wanted, the smallest first."""
    wanted = Wanted.of(args)
    with nothing_else_printed():
        dsw = DswHook(args.conn_id)
        by_service = {"dsw": list(dsw.ecs_specs()), "dlc": list(dsw.sibling(DlcHook).ecs_specs())}
        prices = dsw.connection.prices.with_api("dsw", told_prices(by_service["dsw"]))
        offered = [spec for service, items in by_service.items() for spec in offers(service, items, prices)]
    found = sorted(filter(wanted.is_met_by, offered), key=lambda spec: spec.size)
    print(specs_as_json(found, prices) if args.json else specs_as_table(found, prices))  # noqa: T201
    if not found:
        say(f"None fits. GPUs that can be had: {', '.join(sorted({spec.gpu_type for spec in offered} - {''}))}")
    unknown = sum(spec.price is None and wanted.is_large(spec) for spec in offered)
    if unknown and wanted.price is not None:
        say(f"{unknown} more fit, of which nobody tells the price → `prices` of the connection")


def offers(service: str, items: Iterable[Json], prices: Prices) -> Iterator[Spec]:
    """Yield what can be started of ListEcsSpecs' items.

    DSW and DLC spell fields in two ways. DLC's memory is "in MiB or GiB"; its page's example is in GiB.
    """
    for item in items:
        told = {name.lower(): value for name, value in item.items()}
        if told.get("isavailable") is False:
            continue
        yield Spec(
            instance_type=item["InstanceType"],
            service=service,
            cpu=_amount(told.get("cpu")),
            memory=_amount(told.get("memory")),
            gpus=int(_amount(told.get("gpu"))),
            gpu_type=str(told.get("gputype") or ""),
            gpu_memory=_amount(told.get("gpumemory", told.get("gpumemorysize"))),
            price=prices.hour(service, Nodes(type=item["InstanceType"], count=1)),
        )


def specs_as_table(found: Sequence[Spec], prices: Prices) -> str:
    """Return instance types as a table."""
    rows = [("instance type", "vCPU", "GiB", "GPU", "service", f"{prices.currency} an hour".lstrip())]
    for spec in found:
        gpu = f"{spec.gpus} x {spec.gpu_type} {spec.gpu_memory:g} GiB" if spec.gpus else "-"
        price = "-" if spec.price is None else f"{spec.price:.2f}"
        rows.append((spec.instance_type, f"{spec.cpu:g}", f"{spec.memory:g}", gpu, spec.service, price))
    return "\n".join(table(rows))


def specs_as_json(found: Iterable[Spec], prices: Prices) -> str:
    """Return instance types as JSON."""
    return json.dumps({"currency": prices.currency, "specs": [spec._asdict() for spec in found]}, indent=2)


def _amount(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
