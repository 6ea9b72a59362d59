"""Service groups: made with their first service, deleted with their last, splitting requests in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.records import TRAFFIC_MODES, GroupRecord
from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.eas.traffic import Split
from airflow_provider_pai.emulator.errors import ConflictError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.types import Json

_WEIGHT_OF_NEW = 100
"""In the world in which a new member takes traffic at once."""


class Groups:
    """The groups of one account."""

    def __init__(self, account: Account, services: Mapping[str, Service]) -> None:
        self.account = account
        self._services = services
        self.records = {document["name"]: GroupRecord(**document) for document in account.store.all("eas_group")}
        self._splits: dict[str, Split] = {}
        self._modes = {name: record.mode for name, record in self.records.items()}
        """Traffic modes that the gateway acts on; they follow the records after `weight_lag`."""

    def get(self, name: str) -> GroupRecord:
        """Return a group.

        :raises NotFoundError: `InvalidGroup.NotFound`.
        """
        record = self.records.get(name)
        if record is None:
            raise NotFoundError(f"Group {name} does not exist.", "InvalidGroup.NotFound")
        return record

    def members(self, name: str) -> list[Service]:
        """Return a group's services."""
        return [service for service in self._services.values() if service.record.group == name]

    def join(self, name: str, workspace_id: str) -> None:
        """Make the group if there is none.

        :raises ConflictError: when a service outside groups has this name, and so this endpoint.
        """
        service = self._services.get(name)
        if service is not None and service.record.group is None:
            raise ConflictError(f"Group {name} bears the name of a service.", "InvalidGroup.AlreadyExists")
        if name not in self.records:
            self._save(GroupRecord(name=name, workspace_id=workspace_id, created=self.account.timestamp()))

    def traffic_of_new(self, name: str | None) -> tuple[str, int]:
        """Return the traffic state and the weight of a service that has just come into a group, or none.

        "Service groups and traffic management" says that it gets no traffic by default, as of April 2026; older
        copies of the page do not.
        """
        takes_part = name is not None and self.account.world.eas_member_traffic == "grouping"
        return ("grouping", _WEIGHT_OF_NEW) if takes_part else ("standalone", 0)

    def leave(self, name: str | None) -> None:
        """Delete the group if it has no service left."""
        if name is not None and name in self.records and not self.members(name):
            del self.records[name]
            self._splits.pop(name, None)
            self._modes.pop(name, None)
            self.account.store.delete("eas_group", name)

    def set_mode(self, name: str, mode: str) -> GroupRecord:
        """Choose how traffic is split: `auto` by instances, `customized` by weights."""
        record = self.get(name)
        if mode not in TRAFFIC_MODES:
            raise InvalidParameterError(f"TrafficMode must be one of {TRAFFIC_MODES}, not {mode!r}.")
        record.mode = mode
        self._save(record)
        asyncio.get_running_loop().call_later(self.account.settings.weight_lag, self._modes.__setitem__, name, mode)
        return record

    def choose(self, name: str) -> Service | None:
        """Return the member that takes the group's next request; None when no member takes any."""
        by_weight = self._modes.get(name) == "customized"
        least = 1 if self.account.world.eas_weight_zero == "little" else 0
        weights = {
            service.record.name: max(least, service.route[1]) if by_weight else len(service.fleet.ready)
            for service in self.members(name)
            if service.route[0] == "grouping" and service.exposed
        }
        chosen = self._splits.setdefault(name, Split()).choose(weights)
        return self._services[chosen] if chosen else None

    def url(self, name: str) -> str:
        """Return the group's endpoint."""
        return f"http://{self.account.endpoints['eas']}/api/predict/{name}"

    def describe(self, record: GroupRecord) -> Json:
        """Return the fields of DescribeGroup."""
        return {
            "Name": record.name,
            "ClusterId": self.account.settings.region,
            "AccessToken": record.token,
            "TrafficMode": record.mode,
            "InternetEndpoint": self.url(record.name),
            "IntranetEndpoint": self.url(record.name),
            "CreateTime": record.created,
            "UpdateTime": record.updated,
        }

    def _save(self, record: GroupRecord) -> None:
        record.updated = self.account.timestamp()
        self.records[record.name] = record
        self.account.store.put("eas_group", record.name, asdict(record))
