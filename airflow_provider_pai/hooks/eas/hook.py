"""EAS (Elastic Algorithm Service) 2021-07-01: model services, and groups of services that share an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_pai.exceptions import PaiApiError, PaiConflictError, PaiNotFoundError
from airflow_provider_pai.hooks.base import WatchedHook
from airflow_provider_pai.hooks.paging import all_pages
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import EAS_GONE, EAS_SERVICE, States

if TYPE_CHECKING:
    from airflow_provider_pai.canary.group import Group, Member

_PAGE_SIZE = 100

# What of DescribeService a wait needs beside the status.
_FACTS = {
    "running": "RunningInstance",
    "total": "TotalInstance",
    "version": "CurrentVersion",
    "latest": "LatestVersion",
}


class Endpoint(NamedTuple):
    """Where a service or a group answers, and the token that it wants in `Authorization`."""

    url: str
    token: str

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Endpoint({self.url!r})"


class Mirror(NamedTuple):
    """Where a service's requests are copied to, and how many of a hundred."""

    targets: tuple[str, ...]
    ratio: int


class EasHook(WatchedHook):
    """Services and groups of EAS.

    API: alibabacloud_eas20210701.client.Client; ClusterId in its paths is the region id.
    """

    service = "eas"
    states: ClassVar[States] = EAS_SERVICE
    page = "/eas/serviceDetail/{job_id}/detail"

    def ping(self) -> None:
        """Ask for a page of services."""
        next(self.list_services(), None)

    def create(self, config: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> str:
        """Create a service from its JSON and return its name; never repeated by itself.

        :raises PaiConflictError: the name is taken in this region.
        :raises PaiTransientError: the answer was lost; the service may exist.
        """
        from alibabacloud_eas20210701.models import CreateServiceRequest

        request = CreateServiceRequest(
            body=json.dumps(config), labels=dict(labels or {}) or None, workspace_id=self.connection.workspace_id
        )
        answer = self.call("CreateService", lambda: self.client.create_service(request), repeatable=False)
        return str(answer.body.service_name)

    def update(self, name: str, config: Mapping[str, Any], *, replace: bool = False) -> None:
        """Lay a service JSON over a service's own, or put it in its place; each makes a new version.

        A JSON that takes the whole place and names no token keeps the token that callers have.
        """
        from alibabacloud_eas20210701.models import UpdateServiceRequest

        update_type = "replace" if replace else "merge"
        if replace and "token" not in config:
            config = {**config, "token": self.endpoint(name).token}
        request = UpdateServiceRequest(body=json.dumps(config), update_type=update_type)
        self._do("UpdateService", "update_service", name, request)

    def describe(self, name: str) -> Json:
        """Return DescribeService's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        return _without_token(self._do("DescribeService", "describe_service", name).to_map())

    def get(self, job_id: str) -> RemoteJob:
        """Describe a service by its name, as what waits for it wants to know it; one that is gone is `Deleted`."""
        try:
            service = self.describe(job_id)
        except PaiNotFoundError:
            return RemoteJob(job_id=job_id, status=EAS_GONE, reason="there is no service of this name")
        return RemoteJob(
            job_id=job_id,
            status=service.get("Status") or "",
            reason_code=service.get("Reason"),
            reason=service.get("Message"),
            created=service.get("CreateTime") or "",
            tags=labels_of(service),
            facts={name: service.get(field) or 0 for name, field in _FACTS.items()},
        )

    def log_tail(self, job: RemoteJob, lines: int = 30) -> str:
        """Return the last lines that a service's instances have written. API: DescribeServiceLog."""
        from alibabacloud_eas20210701.models import DescribeServiceLogRequest

        def page(number: int) -> Any:
            request = DescribeServiceLogRequest(page_num=number, page_size=lines)
            return self._do("DescribeServiceLog", "describe_service_log", job.job_id, request)

        first = page(1)
        last = first.total_page_num or 1
        found = [*(page(last - 1).logs or []), *(page(last).logs or [])] if last > 1 else first.logs or []
        return "\n".join(map(str, found[-lines:]))

    def list_services(self, **filters: Any) -> Iterator[Json]:
        """Yield services in the API's field names, page by page, without their access tokens.

        :param filters: fields of ListServicesRequest in Python's spelling, e.g. `group_name`.
        """
        from alibabacloud_eas20210701.models import ListServicesRequest

        def page(number: int) -> tuple[list[Json], int | None]:
            request = ListServicesRequest(page_number=number, page_size=_PAGE_SIZE, **filters)
            body = self.call("ListServices", lambda: self.client.list_services(request)).body
            return [_without_token(service.to_map()) for service in body.services or []], body.total_count

        return all_pages(page)

    def delete(self, name: str) -> None:
        """Delete a service; one that is gone or going is no error. With its last service a group goes too.

        :raises PaiConflictError: its safety lock forbids it.
        """
        try:
            self._refuse_locked("DeleteService", name)
            self._do("DeleteService", "delete_service", name)
        except PaiNotFoundError:
            return
        except PaiApiError:
            if self.get(name).status not in EAS_SERVICE.deleting | {EAS_GONE}:
                raise

    def start(self, name: str) -> None:
        """Start a stopped service; one that starts or runs is no error."""
        try:
            self._do("StartService", "start_service", name)
        except PaiApiError:
            if self.get(name).status not in EAS_SERVICE.starting | EAS_SERVICE.succeeded:
                raise

    def stop(self, name: str) -> None:
        """Ask for a stop; a service that is stopped or stopping is no error.

        :raises PaiConflictError: its safety lock forbids it.
        """
        try:
            self._refuse_locked("StopService", name)
            self._do("StopService", "stop_service", name)
        except PaiApiError:
            if self.get(name).status not in EAS_SERVICE.stopped | EAS_SERVICE.stopping - EAS_SERVICE.deleting:
                raise

    def release(self, name: str, *, weight: int, grouping: bool) -> None:
        """Set a group member's weight and whether it takes part in the group's traffic. API: ReleaseService."""
        from alibabacloud_eas20210701.models import ReleaseServiceRequest

        state = "grouping" if grouping else "standalone"
        request = ReleaseServiceRequest(weight=weight, traffic_state=state)
        self._do("ReleaseService", "release_service", name, request)

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Set labels. API: UpdateServiceLabel, which may replace all others: give every label that is to stay."""
        from alibabacloud_eas20210701.models import UpdateServiceLabelRequest

        request = UpdateServiceLabelRequest(labels=dict(labels))
        self._do("UpdateServiceLabel", "update_service_label", name, request)

    def set_safety_lock(self, name: str, lock: str) -> None:
        """Forbid everything (`all`), stop and delete (`dangerous`) or nothing (`none`).

        API: UpdateServiceSafetyLock.
        """
        from alibabacloud_eas20210701.models import UpdateServiceSafetyLockRequest

        request = UpdateServiceSafetyLockRequest(lock=lock)
        self._do("UpdateServiceSafetyLock", "update_service_safety_lock", name, request)

    def versions(self, name: str) -> list[Json]:
        """Return a service's versions as ListServiceVersions lists them, the first version first.

        They bear no number, and nobody has written down their order: it is taken from their times, and newest
        first where these are alike.
        """
        from alibabacloud_eas20210701.models import ListServiceVersionsRequest

        def page(number: int) -> tuple[list[Json], int | None]:
            request = ListServiceVersionsRequest(page_number=number, page_size=_PAGE_SIZE)
            body = self._do("ListServiceVersions", "list_service_versions", name, request)
            return [_without_token(version.to_map()) for version in body.versions or []], body.total_count

        # Turned round before the sort, which keeps the order of what is alike: the last of these is the newest.
        newest_last = reversed(list(all_pages(page)))
        return sorted(newest_last, key=lambda version: str(version.get("BuildTime")))

    def mirror(self, name: str) -> Mirror | None:
        """Return where a service's requests are copied to. API: DescribeServiceMirror."""
        try:
            body = self._do("DescribeServiceMirror", "describe_service_mirror", name)
        except PaiNotFoundError:
            return None
        targets = tuple(target for target in (body.target or "").split(",") if target)
        return Mirror(targets, int(body.ratio or 0)) if targets else None

    def set_mirror(self, name: str, targets: Sequence[str], ratio: int) -> None:
        """Copy a share of a service's requests, in percent, to other services, whose answers nobody gets.

        API: CreateServiceMirror; UpdateServiceMirror where there is one.
        """
        from alibabacloud_eas20210701 import models

        kind = "Create" if self.mirror(name) is None else "Update"
        request = getattr(models, f"{kind}ServiceMirrorRequest")(target=list(targets), ratio=ratio)
        self._do(f"{kind}ServiceMirror", f"{kind.lower()}_service_mirror", name, request)

    def remove_mirror(self, name: str) -> None:
        """End the copying; none there is no error. API: DeleteServiceMirror."""
        try:
            self._do("DeleteServiceMirror", "delete_service_mirror", name)
        except PaiNotFoundError:
            return

    def autoscaler(self, name: str) -> Json | None:
        """Return what moves a service's number of instances, in the names of DescribeServiceAutoScaler."""
        try:
            body = self._do("DescribeServiceAutoScaler", "describe_service_auto_scaler", name)
        except PaiNotFoundError:
            return None
        found: Json = body.to_map()
        return found if found.get("MaxReplica") else None

    def set_autoscaler(self, name: str, settings: Mapping[str, Any]) -> None:
        """Let EAS move the number of instances.

        API: CreateServiceAutoScaler; UpdateServiceAutoScaler where there is one.

        :param settings: `min`, `max`, `scaleStrategies`, `behavior`, as the API has them.
        """
        from alibabacloud_eas20210701 import models

        kind = "Create" if self.autoscaler(name) is None else "Update"
        request = getattr(models, f"{kind}ServiceAutoScalerRequest")().from_map(dict(settings))
        self._do(f"{kind}ServiceAutoScaler", f"{kind.lower()}_service_auto_scaler", name, request)

    def remove_autoscaler(self, name: str) -> None:
        """Leave the number of instances as it is; no autoscaler there is no error. API: DeleteServiceAutoScaler."""
        try:
            self._do("DeleteServiceAutoScaler", "delete_service_auto_scaler", name)
        except PaiNotFoundError:
            return

    def use_version(self, name: str, version: int) -> None:
        """Go back to an earlier version of a service. API: UpdateServiceVersion."""
        from alibabacloud_eas20210701.models import UpdateServiceVersionRequest

        request = UpdateServiceVersionRequest(version=version)
        self._do("UpdateServiceVersion", "update_service_version", name, request)

    def describe_group(self, group: str) -> Json:
        """Return DescribeGroup's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        return _without_token(self._do("DescribeGroup", "describe_group", group).to_map())

    def set_traffic_mode(self, group: str, mode: str) -> None:
        """Let a group's traffic follow instance counts (`auto`) or weights (`customized`).

        API: UpdateGroup, for which the SDK has no method.
        """
        path = f"/api/v2/groups/{self.connection.region}/{group}"
        self.request("UpdateGroup", "2021-07-01", "PUT", path, body={"TrafficMode": mode})

    def group(self, name: str) -> Group:
        """Return a group with all its members as they are now; without members where there is no such group."""
        # The list says who belongs to the group; what it says of each may be less than DescribeService does.
        names = [service["ServiceName"] for service in self.list_services(group_name=name)]
        members = tuple(member for service in names if (member := self._member(service)) is not None)
        try:
            customized = self.describe_group(name).get("TrafficMode") == "customized"
        except PaiNotFoundError:
            customized = False
        from airflow_provider_pai.canary.group import Group

        return Group(name=name, customized=customized, members=members)

    def endpoint(self, name: str) -> Endpoint:
        """Return a service's own endpoint, which bypasses its group's rules; the token is masked in logs."""
        return self._endpoint(self._do("DescribeService", "describe_service", name))

    def group_endpoint(self, group: str) -> Endpoint:
        """Return a group's endpoint; the token is masked in logs."""
        body = self._do("DescribeGroup", "describe_group", group)
        return self._endpoint(body)

    def _endpoint(self, body: Any) -> Endpoint:
        if body.access_token:
            mask_secret(body.access_token)
        vpc = self.connection.network == "vpc"
        url = (body.intranet_endpoint if vpc else body.internet_endpoint) or body.intranet_endpoint
        return Endpoint(str(url), str(body.access_token or ""))

    def _member(self, name: str) -> Member | None:
        try:
            service = self.describe(name)
        except PaiNotFoundError:
            return None
        from airflow_provider_pai.canary.group import Member

        return Member(
            name=name,
            status=service.get("Status") or "",
            running=service.get("RunningInstance") or 0,
            total=service.get("TotalInstance") or 0,
            weight=service.get("Weight") or 0,
            grouping=service.get("TrafficState") == "grouping",
            version=service.get("CurrentVersion") or 0,
            labels=labels_of(service),
        )

    def _refuse_locked(self, action: str, name: str) -> None:
        """Say what the lock is and who lifts it, rather than what the service makes of the call."""
        lock = self.describe(name).get("SafetyLock")
        if lock in ("all", "dangerous"):
            message = f"service {name} has the safety lock {lock!r}; a person may lift it (EasSetSafetyLockOperator)"
            raise PaiConflictError(self.service, action, message, "SafetyLock")

    def _do(self, action: str, method: str, name: str, *request: Any) -> Any:
        """Call a method of the client on one service or group and return the answer's body."""
        return self.call(action, lambda: getattr(self.client, method)(self.connection.region, name, *request).body)


def labels_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a service as DescribeService gives them."""
    return {label["LabelKey"]: label["LabelValue"] for label in service.get("Labels") or []}


def _without_token(answer: Json) -> Json:
    """Return an answer without the access token, which stands in the service JSON, too, if it was given there."""
    kept = {field: value for field, value in answer.items() if field != "AccessToken"}
    config = json.loads(kept.get("ServiceConfig") or "{}")
    if "token" in config:
        kept["ServiceConfig"] = json.dumps({key: value for key, value in config.items() if key != "token"})
    return kept
