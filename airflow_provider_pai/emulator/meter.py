"""Meter of the account: what a bill would count, kept apart from what the APIs tell, and when things are deleted, too.

Counted is the time in which nodes run: of a job from Running until it has ended (page "Billing for DLC"), of an
instance while it is Running ("Billing of DSW"), of a service's instance from its start to its end ("EAS billing").
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_pai.emulator.store import Store
from airflow_provider_pai.emulator.types import Json

KIND = "meter"


class Meter:
    """Spans of time by service and id; each is in the store when the call returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, service: str, name: str, nodes: Sequence[Json], at: float) -> None:
        """Count from a moment on; what is counted already goes on.

        :param nodes: each `{"Type", "Count", "Spot"}`.
        :param at: Unix time, as fine as the service bills.
        """
        entry = self._entry(service, name) or {"Service": service, "Id": name, "Nodes": list(nodes), "Spans": []}
        if not _open(entry):
            entry["Spans"].append([at, None])
            self._store.put(KIND, f"{service}/{name}", entry)

    def end(self, service: str, name: str, at: float) -> None:
        """Count no longer; what is not counted stays so."""
        entry = self._entry(service, name)
        if entry and _open(entry):
            entry["Spans"][-1][1] = at
            self._store.put(KIND, f"{service}/{name}", entry)

    def close(self, service: str, at: float) -> None:
        """Count nothing of a service any longer, whose processes ended with an earlier emulator."""
        for entry in self._store.all(KIND):
            if entry["Service"] == service:
                self.end(service, entry["Id"], at)

    def read(self, now: float) -> list[Json]:
        """Return what has been counted: `{"Service", "Id", "Nodes", "Seconds"}`, seconds of each node."""
        return [
            {
                "Service": entry["Service"],
                "Id": entry["Id"],
                "Nodes": entry["Nodes"],
                "Seconds": round(sum((now if end is None else end) - begin for begin, end in entry["Spans"]), 3),
            }
            for entry in self._store.all(KIND)
        ]

    def _entry(self, service: str, name: str) -> Json | None:
        return self._store.get(KIND, f"{service}/{name}")


def _open(entry: Json) -> bool:
    return bool(entry["Spans"]) and entry["Spans"][-1][1] is None
