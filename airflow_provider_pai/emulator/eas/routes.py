"""Routes of EAS 2021-07-01: services and groups."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas import autoscaler, mirror
from airflow_provider_pai.emulator.eas.backend import EasBackend
from airflow_provider_pai.emulator.eas.logs import moment, numbered_page, read_lines
from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.errors import InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.queries import choice, fuzzy, page
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

VERSION = "2021-07-01"
MODELS = "alibabacloud_eas20210701.models"

_SERVICES = "/api/v2/services"
_SERVICE = "/api/v2/services/{cluster}/{name}"
_SCALER = f"{_SERVICE}/autoscaler"
_GROUP = "/api/v2/groups/{cluster}/{name}"


def routes(account: Account, backend: EasBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls = _Calls(account, backend)
    actions = [
        Action("POST", _SERVICES, "CreateService", calls.create),
        Action("GET", _SERVICES, "ListServices", calls.list),
        Action("GET", _SERVICE, "DescribeService", calls.describe),
        Action("PUT", _SERVICE, "UpdateService", calls.update),
        Action("DELETE", _SERVICE, "DeleteService", calls.delete),
        Action("PUT", f"{_SERVICE}/start", "StartService", calls.start),
        Action("PUT", f"{_SERVICE}/stop", "StopService", calls.stop),
        Action("PUT", f"{_SERVICE}/restart", "RestartService", calls.restart),
        Action("PUT", f"{_SERVICE}/release", "ReleaseService", calls.release, strict=True),
        Action("PUT", f"{_SERVICE}/version", "UpdateServiceVersion", calls.version, strict=True),
        Action("GET", f"{_SERVICE}/versions", "ListServiceVersions", calls.versions),
        Action("PUT", f"{_SERVICE}/label", "UpdateServiceLabel", calls.label, strict=True),
        Action("DELETE", f"{_SERVICE}/label", "DeleteServiceLabel", calls.unlabel),
        Action("PUT", f"{_SERVICE}/lock", "UpdateServiceSafetyLock", calls.lock, strict=True),
        Action("POST", f"{_SERVICE}/mirror", "CreateServiceMirror", calls.create_mirror, strict=True),
        Action("PUT", f"{_SERVICE}/mirror", "UpdateServiceMirror", calls.update_mirror, strict=True),
        Action("GET", f"{_SERVICE}/mirror", "DescribeServiceMirror", calls.describe_mirror),
        Action("DELETE", f"{_SERVICE}/mirror", "DeleteServiceMirror", calls.delete_mirror),
        Action("POST", _SCALER, "CreateServiceAutoScaler", calls.create_autoscaler, strict=True),
        Action("PUT", _SCALER, "UpdateServiceAutoScaler", calls.update_autoscaler, strict=True),
        Action("GET", _SCALER, "DescribeServiceAutoScaler", calls.describe_autoscaler),
        Action("DELETE", _SCALER, "DeleteServiceAutoScaler", calls.delete_autoscaler),
        Action("GET", f"{_SERVICE}/endpoints", "DescribeServiceEndpoints", calls.endpoints),
        Action("GET", f"{_SERVICE}/instances", "ListServiceInstances", calls.instances),
        Action("GET", f"{_SERVICE}/instances/{{instance}}/containers", "ListServiceContainers", calls.containers),
        Action("GET", f"{_SERVICE}/events", "DescribeServiceEvent", calls.events),
        Action("GET", f"{_SERVICE}/logs", "DescribeServiceLog", calls.logs),
        Action("GET", "/api/v2/groups", "ListGroups", calls.list_groups),
        Action("GET", _GROUP, "DescribeGroup", calls.describe_group),
        Action("PUT", _GROUP, "UpdateGroup", calls.update_group),
        Action("GET", f"{_GROUP}/endpoints", "DescribeGroupEndpoints", calls.group_endpoints),
    ]
    return [api_route(account, VERSION, action, MODELS) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend, shapes the answer."""

    def __init__(self, account: Account, backend: EasBackend) -> None:
        self.account = account
        self.backend = backend

    def create(self, call: Call) -> Json:
        if call.boolean("Develop"):
            raise InvalidParameterError("Develop: the emulator has no development mode.")
        workspace = call.query.get("WorkspaceId") or self.account.settings.workspace_id
        service = self.backend.create(call.body, call.mapping("Labels"), workspace)
        return {
            "InternetEndpoint": self.backend.url(service),
            "IntranetEndpoint": self.backend.url(service),
            "Region": self.account.settings.region,
            "ServiceId": service.record.id,
            "ServiceName": service.record.name,
            "Status": service.record.status,
        }

    def list(self, call: Call) -> Json:
        labels = call.mapping("Label")
        newest_first = choice(call.query, "Order", "desc", ("desc", "asc")) == "desc"
        services = [
            self.backend.describe(service)
            for service in self.backend.listed()
            if _matches(service, call.query) and labels.items() <= service.record.labels.items()
        ]
        services.sort(key=lambda item: item["CreateTime"])
        return _page(call, "Services", services[::-1] if newest_first else services)

    def describe(self, call: Call) -> Json:
        return self.backend.describe(self._service(call))

    def update(self, call: Call) -> Json:
        name = self._service(call).record.name
        return _done(self.backend.update(name, call.body, call.query.get("UpdateType") or "merge"), "updating")

    def delete(self, call: Call) -> Json:
        return _done(self.backend.delete(self._service(call).record.name), "deleting")

    def start(self, call: Call) -> Json:
        return _done(self.backend.start(self._service(call).record.name), "starting")

    def stop(self, call: Call) -> Json:
        return _done(self.backend.stop(self._service(call).record.name), "stopping")

    def restart(self, call: Call) -> Json:
        return _done(self.backend.restart(self._service(call).record.name), "restarting")

    def release(self, call: Call) -> Json:
        name = self._service(call).record.name
        record = self.backend.release(name, call.body.get("TrafficState"), call.body.get("Weight")).record
        where = f"service [{name}] in region [{self.account.settings.region}]"
        return {"Message": f"Releasing {where} with weight [{record.weight}], service status: [{record.status}]"}

    def version(self, call: Call) -> Json:
        version = call.body.get("Version")
        if not isinstance(version, int):
            raise InvalidParameterError(f"Version must be a whole number, not {version!r}.")
        return _done(self.backend.use_version(self._service(call).record.name, version), "starting")

    def versions(self, call: Call) -> Json:
        service = self._service(call)
        newest_first = self.account.world.eas_versions == "newest_first"
        items = [
            {
                "BuildTime": version.built,
                "ImageAvailable": "true",
                "ServiceRunnable": "true",
                "ImageId": service.spec.image,
                "Message": "",
                "ServiceConfig": json.dumps(version.config),
            }
            for version in service.record.versions[:: -1 if newest_first else 1]
        ]
        return _page(call, "Versions", items)

    def label(self, call: Call) -> Json:
        name = self._service(call).record.name
        return _done(self.backend.label(name, call.body.get("Labels") or {}), "labelled")

    def unlabel(self, call: Call) -> Json:
        name = self._service(call).record.name
        return _done(self.backend.label(name, {}, call.query.get("Keys", "").split(",")), "labelled")

    def lock(self, call: Call) -> Json:
        name = self._service(call).record.name
        return _done(self.backend.lock(name, str(call.body.get("Lock"))), "locked")

    def create_mirror(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "mirror")
        mirror.create(service, call.body.get("Target"), call.body.get("Ratio"), self.backend.services)
        return self._mirroring(service, f"ON for service [{service.record.name}]", call.body["Ratio"])

    def update_mirror(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "mirror")
        mirror.update(service, call.body.get("Target"), call.body.get("Ratio"), self.backend.services)
        return self._mirroring(service, f"ON for service [{service.record.name}]", call.body["Ratio"])

    def describe_mirror(self, call: Call) -> Json:
        return mirror.describe(self._service(call))

    def delete_mirror(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "mirror")
        mirror.delete(service)
        return self._mirroring(service, f"OFF for service [{service.record.name}]")

    def _mirroring(self, service: Service, text: str, ratio: int | None = None) -> Json:
        share = "" if ratio is None else f", ratio [{ratio}%]"
        return {"Message": f"Traffic mirroring is {text} in region [{self.account.settings.region}]{share}"}

    def create_autoscaler(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "autoscaler")
        autoscaler.create(service, call.body)
        return _done(service, "autoscaled")

    def update_autoscaler(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "autoscaler")
        autoscaler.update(service, call.body)
        return _done(service, "autoscaled")

    def describe_autoscaler(self, call: Call) -> Json:
        return autoscaler.describe(self._service(call))

    def delete_autoscaler(self, call: Call) -> Json:
        service = self.backend.free(self._name(call), "autoscaler")
        autoscaler.delete(service)
        return _done(service, "no longer autoscaled")

    def endpoints(self, call: Call) -> Json:
        service = self._service(call)
        return {"AccessToken": service.record.token, **_endpoints(self.backend.url(service))}

    def instances(self, call: Call) -> Json:
        wanted = call.query.get
        items = [
            instance.describe()
            for instance in self._service(call).fleet.instances
            if wanted("InstanceName") in (None, "", instance.name)
            and wanted("InstanceStatus") in (None, "", instance.status)
            and fuzzy(wanted("Filter"), instance.name)
        ]
        return _page(call, "Instances", items)

    def containers(self, call: Call) -> Json:
        service, name = self._service(call), call.path["instance"]
        found = [instance.describe_container() for instance in service.fleet.instances if instance.name == name]
        if not found:
            raise NotFoundError(f"Service [{service.record.name}] has no instance [{name}].")
        return {"ServiceName": service.record.name, "Containers": found}

    def events(self, call: Call) -> Json:
        within = _window(call)
        items = [
            event
            for event in reversed(self._service(call).record.events)
            if within(datetime.fromisoformat(event["Time"]))
            and call.query.get("EventType") in (None, "", event["Type"])
            and (call.query.get("InstanceName") or "") in event["Message"]
        ]
        return numbered_page("Events", items, call.integer("PageNum", 1), call.integer("PageSize", 100))

    async def logs(self, call: Call) -> Json:
        within, keyword = _window(call), call.query.get("Keyword") or ""
        folder, instance = self._service(call).folder / "logs", call.query.get("InstanceName") or ""
        lines = await asyncio.to_thread(read_lines, folder, instance)
        items = [f"[{time:%Y-%m-%d %H:%M:%S}] {text}" for time, text in lines if within(time) and keyword in text]
        return numbered_page("Logs", items, call.integer("PageNum", 1), call.integer("PageSize", 500))

    def list_groups(self, call: Call) -> Json:
        groups, query = self.backend.groups, call.query
        items = [
            groups.describe(record)
            for record in groups.records.values()
            if fuzzy(query.get("Filter"), record.name) and query.get("WorkspaceId") in (None, "", record.workspace_id)
        ]
        return _page(call, "Groups", items)

    def describe_group(self, call: Call) -> Json:
        groups = self.backend.groups
        return groups.describe(groups.get(self._name(call)))

    def update_group(self, call: Call) -> Json:
        unknown = call.body.keys() - {"TrafficMode"}
        if unknown:
            raise InvalidParameterError(f"UpdateGroup has no field {sorted(unknown)[0]}.")
        record = self.backend.groups.set_mode(self._name(call), str(call.body.get("TrafficMode")))
        return {"Message": f"Group [{record.name}] now has traffic mode [{record.mode}]"}

    def group_endpoints(self, call: Call) -> Json:
        record = self.backend.groups.get(self._name(call))
        return {"AccessToken": record.token, **_endpoints(self.backend.groups.url(record.name))}

    def _name(self, call: Call) -> str:
        region = self.account.settings.region
        if call.path["cluster"] != region:
            raise NotFoundError(f"Region {call.path['cluster']} is not {region}.", "InvalidRegion.NotFound")
        return call.path["name"]

    def _service(self, call: Call) -> Service:
        return self.backend.get(self._name(call))


def _matches(service: Service, query: dict[str, str]) -> bool:
    """Tell whether a service passes the plain filters of ListServices."""
    record = service.record
    exact = {
        "ServiceName": record.name,
        "GroupName": record.group or "",
        "ServiceStatus": record.status,
        "ServiceType": str(record.config.get("metadata", {}).get("type", "Standard")),
        "ServiceUid": record.uid,
        "WorkspaceId": record.workspace_id,
    }
    return fuzzy(query.get("Filter"), record.name) and all(
        query.get(name) in (None, "", value) for name, value in exact.items()
    )


def _page(call: Call, key: str, items: list[Any]) -> Json:
    number, size = call.paging(100)
    return {key: page(items, number, size), "TotalCount": len(items), "PageNumber": number, "PageSize": size}


def _window(call: Call) -> Callable[[datetime], bool]:
    start, end = (
        moment(text, field) if (text := call.query.get(field)) else default
        for field, default in (
            ("StartTime", datetime.min.replace(tzinfo=UTC)),
            ("EndTime", datetime.max.replace(tzinfo=UTC)),
        )
    )
    return lambda time: start <= time <= end


def _endpoints(url: str) -> Json:
    endpoint = {"EndpointType": "DefaultGateway", "InternetEndpoints": [url], "IntranetEndpoints": [url]}
    return {"Endpoints": [endpoint], "Message": ""}


def _done(service: Service, what: str) -> Json:
    return {"Message": f"Service [{service.record.name}] is {what}, service status: [{service.record.status}]"}
