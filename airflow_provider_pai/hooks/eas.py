"""EAS (Elastic Algorithm Service) 2021-07-01: model services, and groups of services that share an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError
from airflow_provider_pai.hooks.base import Json, PaiHook
from airflow_provider_pai.states import EAS_SERVICE, States

if TYPE_CHECKING:
    from airflow_provider_pai.canary.group import Group, Member

_PAGE_SIZE = 100


class Endpoint(NamedTuple):
    """Where a service or a group answers, and the token that it wants in `Authorization`."""

    url: str
    token: str

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Endpoint({self.url!r})"


class EasHook(PaiHook):
    """Services and groups of EAS.

    API: alibabacloud_eas20210701.client.Client; ClusterId in its paths is the region id.
    """

    service = "eas"
    states: States = EAS_SERVICE

    def _make_client(self) -> Any:
        from alibabacloud_eas20210701.client import Client

        return Client(self.client_config())

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
        """Lay a service JSON over a service's own, or put it in its place; each makes a new version."""
        from alibabacloud_eas20210701.models import UpdateServiceRequest

        update_type = "replace" if replace else "merge"
        request = UpdateServiceRequest(body=json.dumps(config), update_type=update_type)
        self._do("UpdateService", "update_service", name, request)

    def describe(self, name: str) -> Json:
        """Return DescribeService's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        described: Json = self._do("DescribeService", "describe_service", name).to_map()
        return {field: value for field, value in described.items() if field != "AccessToken"}

    def list_services(self, **filters: Any) -> Iterator[Json]:
        """Yield services in the API's field names, page by page, without their access tokens.

        :param filters: fields of ListServicesRequest in Python's spelling, e.g. `group_name`.
        """
        from alibabacloud_eas20210701.models import ListServicesRequest

        number, seen = 1, 0
        while True:
            request = ListServicesRequest(page_number=number, page_size=_PAGE_SIZE, **filters)
            body = self.call("ListServices", lambda request=request: self.client.list_services(request)).body  # type: ignore[misc]
            services = body.services or []
            for service in services:
                yield {field: value for field, value in service.to_map().items() if field != "AccessToken"}
            number, seen = number + 1, seen + len(services)
            if not services or seen >= (body.total_count or 0):
                return

    def delete(self, name: str) -> None:
        """Delete a service; one that is gone or going is no error. With its last service a group goes too."""
        try:
            self._do("DeleteService", "delete_service", name)
        except PaiNotFoundError:
            return
        except PaiApiError:
            if not self._is(name, "Deleting", "Deleted"):
                raise

    def start(self, name: str) -> None:
        """Start a stopped service; one that starts or runs is no error."""
        try:
            self._do("StartService", "start_service", name)
        except PaiApiError:
            if not self._is(name, "Starting", "Waiting", "Running"):
                raise

    def stop(self, name: str) -> None:
        """Ask for a stop; a service that is stopped or stopping is no error."""
        try:
            self._do("StopService", "stop_service", name)
        except PaiApiError:
            if not self._is(name, "Stopped", "Stopping"):
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

    def versions(self, name: str) -> list[Json]:
        """Return a service's versions as ListServiceVersions lists them."""
        from alibabacloud_eas20210701.models import ListServiceVersionsRequest

        body = self._do("ListServiceVersions", "list_service_versions", name, ListServiceVersionsRequest())
        return [version.to_map() for version in body.versions or []]

    def use_version(self, name: str, version: int) -> None:
        """Go back to an earlier version of a service. API: UpdateServiceVersion."""
        from alibabacloud_eas20210701.models import UpdateServiceVersionRequest

        request = UpdateServiceVersionRequest(version=version)
        self._do("UpdateServiceVersion", "update_service_version", name, request)

    def describe_group(self, group: str) -> Json:
        """Return DescribeGroup's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        described: Json = self._do("DescribeGroup", "describe_group", group).to_map()
        return {field: value for field, value in described.items() if field != "AccessToken"}

    def set_traffic_mode(self, group: str, mode: str) -> None:
        """Let a group's traffic follow instance counts (`auto`) or weights (`customized`).

        API: UpdateGroup, for which the SDK has no method.
        """
        from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
        from darabonba.runtime import RuntimeOptions

        params = Params(
            action="UpdateGroup", version="2021-07-01", protocol="HTTPS", method="PUT", auth_type="AK", style="ROA",
            pathname=f"/api/v2/groups/{self.connection.region}/{group}", req_body_type="json", body_type="json",
        )  # fmt: skip
        request = OpenApiRequest(body={"TrafficMode": mode})
        self.call("UpdateGroup", lambda: self.client.call_api(params, request, RuntimeOptions()))

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

    def console_url(self, name: str) -> str:
        """Return the service's page."""
        at = self.connection
        return (
            f"https://pai.console.aliyun.com/?regionId={at.region}&workspaceId={at.workspace_id or ''}"
            f"#/eas/serviceDetail/{name}/detail"
        )

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
            labels={label["LabelKey"]: label["LabelValue"] for label in service.get("Labels") or []},
        )

    def _is(self, name: str, *statuses: str) -> bool:
        return self.describe(name).get("Status") in statuses

    def _do(self, action: str, method: str, name: str, *request: Any) -> Any:
        """Call a method of the client on one service or group and return the answer's body."""
        return self.call(action, lambda: getattr(self.client, method)(self.connection.region, name, *request).body)
