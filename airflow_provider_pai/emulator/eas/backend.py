"""Services of EAS, their versions, labels and locks: state and rules.

The cloud documents neither what a second StopService or StartService answers nor the codes of most refusals
(`InvalidService.NotFound` is known): here such a call is refused with 409, so that a client has to read the
state first.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas import autoscaler, service_json
from airflow_provider_pai.emulator.eas.groups import Groups
from airflow_provider_pai.emulator.eas.records import (
    SAFETY_LOCKS,
    TRAFFIC_STATES,
    ServiceRecord,
    ServiceVersion,
    new_token,
)
from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.errors import ApiError, ConflictError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.labels import kept
from airflow_provider_pai.emulator.runtime.mounts import FolderSource
from airflow_provider_pai.emulator.runtime.root import Root
from airflow_provider_pai.emulator.types import Json

# The statuses in which a command is refused; every command is refused while the service is deleted.
REFUSED_IN = {
    "start": frozenset({"Creating", "Starting", "Waiting", "Running", "Updating", "Scaling", "Stopping", "Deleting"}),
    "stop": frozenset({"Stopped", "Stopping", "Deleting"}),
    "restart": frozenset({"Stopped", "Stopping", "Deleting"}),
}
# The commands that the safety lock `dangerous` refuses; `all` refuses every one.
DANGEROUS = frozenset({"stop", "delete"})


class EasBackend:
    """The services of one account."""

    def __init__(self, account: Account, oss: FolderSource) -> None:
        self.account = account
        self._oss = oss
        self.services: dict[str, Service] = {}
        self._gone: list[tuple[float, Service]] = []
        self.groups = Groups(account, self.services)
        account.meter.close("eas", account.now().timestamp())
        for document in account.store.all("eas_service"):
            self._restore(ServiceRecord.from_document(document))

    def get(self, name: str) -> Service:
        """Return a service.

        :raises NotFoundError: `InvalidService.NotFound`.
        """
        service = self.services.get(name)
        if service is None:
            raise NotFoundError(f"Service {name} does not exist.", "InvalidService.NotFound")
        return service

    def listed(self) -> list[Service]:
        """Return the services as lists show them: `list_lag` behind."""
        moment = self.account.now().timestamp() - self.account.settings.list_lag
        self._gone = [(gone, service) for gone, service in self._gone if gone > moment]
        known = [*self.services.values(), *(service for _, service in self._gone)]
        return [shown for service in known if (shown := service.as_of(moment)) is not None]

    def create(self, config: Json, labels: dict[str, str], workspace_id: str) -> Service:
        """Create a service and begin to bring it up."""
        spec, config, group = self._read(config)
        if spec.name in self.services or (group is None and spec.name in self.groups.records):
            status, code = self.account.world.eas_duplicate_code.split()
            raise ApiError(int(status), code, f"Service {spec.name} already exists.")
        labels = kept({**_texts(config.get("labels")), **labels}, self.account.world)
        if group is not None:
            self.groups.join(group, workspace_id)
        created = self.account.timestamp()
        traffic_state, weight = self.groups.traffic_of_new(group)
        record = ServiceRecord(
            name=spec.name,
            group=group,
            token=spec.token or new_token(),
            workspace_id=workspace_id,
            labels=labels,
            traffic_state=traffic_state,
            weight=weight,
            versions=[ServiceVersion(config=config, built=created)],
            created=created,
        )
        service = self.services[spec.name] = Service(self.account, record, self._oss)
        service.run("create")
        return service

    def update(self, name: str, change: Json, update_type: str) -> Service:
        """Make a new version by laying a service JSON over the current one, or in its place."""
        service = self.free(name, "update")
        record = service.record
        if update_type not in ("merge", "replace"):
            raise InvalidParameterError(f"UpdateType must be merge or replace, not {update_type!r}.")
        if update_type == "merge":
            change = service_json.merge(record.config, change, deep=self.account.world.eas_merge == "deep")
        spec, config, group = self._read(change)
        if spec.name != name:
            raise InvalidParameterError(f"metadata.name {spec.name!r}: the name of a service can't be changed.")
        if group != record.group:
            self._move(service, group)
        scales = service_json.only_scales(record.config, config)
        service.configure(config, scales=scales)
        record.token = spec.token or record.token
        self._roll(service, "scale" if scales else "update")
        return service

    def use_version(self, name: str, version: int) -> Service:
        """Go back to an earlier version."""
        service = self.free(name, "update")
        if not 0 < version < service.record.current:
            raise InvalidParameterError(
                f"Version must be above 0 and below the current one, {service.record.current}, not {version}."
            )
        service.record.current = version
        self._roll(service, "update")
        return service

    def start(self, name: str) -> Service:
        """Start a stopped or failed service."""
        service = self.free(name, "start")
        service.run("start")
        return service

    def stop(self, name: str) -> Service:
        """Drain and stop a service."""
        service = self.free(name, "stop")
        service.stop()
        return service

    def restart(self, name: str) -> Service:
        """Replace every instance, the new ones first."""
        service = self.free(name, "restart")
        service.run("restart")
        return service

    def delete(self, name: str) -> Service:
        """Delete a service, and its group with its last service."""
        service = self.free(name, "delete")
        service.delete(lambda: self._forget(service))
        return service

    def release(self, name: str, traffic_state: str | None, weight: int | None) -> Service:
        """Set a member's traffic state, weight or both; weight -1 means not set (UNCONFIRMED)."""
        service = self.free(name, "release")
        if service.record.group is None:
            raise InvalidParameterError(f"Service {name} is not in a group.")
        if traffic_state not in (None, *TRAFFIC_STATES):
            raise InvalidParameterError(f"TrafficState must be one of {TRAFFIC_STATES}, not {traffic_state!r}.")
        if weight is not None and (not isinstance(weight, int) or not -1 <= weight <= 1000):
            raise InvalidParameterError(f"Weight must be a whole number from -1 to 1000, not {weight!r}.")
        record = service.record
        service.release(traffic_state or record.traffic_state, record.weight if weight is None else weight)
        return service

    def label(self, name: str, labels: dict[str, str], remove: list[str] | None = None) -> Service:
        """Add, change and remove labels; those not named stay."""
        service = self.free(name, "label")
        staying = {key: value for key, value in service.record.labels.items() if key not in (remove or [])}
        service.record.labels = kept({**staying, **_texts(labels)}, self.account.world)
        service.save()
        return service

    def lock(self, name: str, lock: str) -> Service:
        """Set the safety lock."""
        service = self.get(name)
        if lock not in SAFETY_LOCKS:
            raise InvalidParameterError(f"Lock must be one of {SAFETY_LOCKS}, not {lock!r}.")
        service.record.lock = lock
        service.save()
        return service

    def url(self, service: Service) -> str:
        """Return a service's own endpoint; the form for group members is UNCONFIRMED."""
        record = service.record
        path = record.name if record.group is None else f"{record.group}.{record.name}"
        return f"http://{self.account.endpoints['eas']}/api/predict/{path}"

    def describe(self, service: Service) -> Json:
        """Return the fields of DescribeService."""
        record, metadata = service.record, service.record.config.get("metadata", {})
        ready = len(service.fleet.ready)
        return {
            **{name: metadata[key] for name, key in _NUMBERS.items() if isinstance(metadata.get(key), int)},
            "AccessToken": record.token,
            "CallerUid": self.account.settings.account_id,
            "ParentUid": self.account.settings.account_id,
            "CreateTime": record.created,
            "UpdateTime": record.updated,
            "CurrentVersion": record.current,
            "LatestVersion": len(record.versions),
            "Image": service.spec.image,
            "InternetEndpoint": self.url(service),
            "IntranetEndpoint": self.url(service),
            "Labels": [{"LabelKey": key, "LabelValue": value} for key, value in record.labels.items()],
            "Message": record.message,
            "Reason": record.reason,
            "Namespace": record.name,
            "TotalInstance": service.total_instances,
            "RunningInstance": ready,
            "PendingInstance": max(0, service.total_instances - ready),
            "Region": self.account.settings.region,
            "Role": "Standard",
            "SafetyLock": record.lock,
            "ServiceConfig": json.dumps(record.config),
            "ServiceGroup": record.group or "",
            "ServiceId": record.id,
            "ServiceUid": record.uid,
            "ServiceName": record.name,
            "Status": record.status,
            "TrafficState": record.traffic_state,
            "Weight": record.weight,
            "WorkspaceId": record.workspace_id,
        }

    def free(self, name: str, command: str) -> Service:
        """Return a service that neither its lock nor its status keeps from the command."""
        service = self.get(name)
        lock, status = service.record.lock, service.record.status
        if lock == "all" or (lock == "dangerous" and command in DANGEROUS):
            raise ApiError(403, "Forbidden.SafetyLock", f"Service {name} is locked ({lock}) against {command}.")
        if status in REFUSED_IN.get(command, frozenset({"Deleting"})):
            raise ConflictError(f"Service {name} is {status}: {command} is refused.", "InvalidService.Status")
        return service

    def _read(self, config: Json) -> tuple[service_json.ServiceSpec, Json, str | None]:
        """Return what a service JSON asks for, the JSON as it is kept, and the group."""
        world, spec = self.account.world, service_json.parse(config)
        if not spec.script and world.eas_image_only == "refused":
            raise InvalidParameterError("containers[0]: one of command and script is required.")
        options = config.get("options") or {}
        if world.eas_ram_role == "ignored" and "enable_ram_role" in options:
            config = {**config, "options": {key: options[key] for key in options if key != "enable_ram_role"}}
        return spec, config, service_json.group_of(config, world.eas_group_key)

    def _roll(self, service: Service, life: str) -> None:
        """Run the current version; a stopped service keeps it for its next start."""
        if service.record.wanted == "Running":
            service.run(life)
        else:
            service.spec = service_json.parse(service.record.config)
            service.save()

    def _move(self, service: Service, group: str | None) -> None:
        before, record = service.record.group, service.record
        if group is not None:
            self.groups.join(group, record.workspace_id)
        record.group = group
        service.release(*self.groups.traffic_of_new(group))
        self.groups.leave(before)

    def _forget(self, service: Service) -> None:
        del self.services[service.record.name]
        self._gone.append((self.account.now().timestamp(), service))
        self.account.store.delete("eas_service", service.record.name)
        self.groups.leave(service.record.group)

    def _restore(self, record: ServiceRecord) -> None:
        service = self.services[record.name] = Service(self.account, record, self._oss)
        Root(service.folder / "roots").remove()
        autoscaler.start(service)
        if record.wanted == "Running":
            service.run("start")
        elif record.wanted == "Deleted":
            service.delete(lambda: self._forget(service))
        else:
            record.status = "Stopped"


_NUMBERS = {"Cpu": "cpu", "Gpu": "gpu", "Memory": "memory"}


def _texts(labels: Any) -> dict[str, str]:
    if not isinstance(labels or {}, dict):
        raise InvalidParameterError(f"Labels must be a JSON object, not {labels!r}.")
    return {str(key): str(value) for key, value in (labels or {}).items()}
