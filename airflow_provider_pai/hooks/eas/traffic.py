"""Traffic of EAS: groups of services that share an endpoint, weights, mirrors, and where each answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from airflow_provider_pai.canary.group import Group, Member
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.answers import JsonText, Needed
from airflow_provider_pai.hooks.eas.calls import SERVICE, EasCalls, labels_of, without_token
from airflow_provider_pai.hooks.eas.service_config import fingerprint, takes_traffic
from airflow_provider_pai.inputs import texts, whole_number
from airflow_provider_pai.remote import Json
from airflow_provider_pai.sensitive import mask_secret

# What is read of answers.
_GROUP = dict.fromkeys(("TrafficMode", "AccessToken", "InternetEndpoint", "IntranetEndpoint"), str)
_CARRIER = {**SERVICE, "Weight": Needed(int)}
_CUSTOMIZED = {"customized": True, "auto": False}
_MIRROR = {"Target": str, "Ratio": JsonText(int)}


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


class EasTraffic(EasCalls):
    """Groups and the traffic of their services."""

    def group(self, name: str, *known: str) -> Group:
        """Return a group with all its members as they are now; without members where there is no such group.

        :param known: services that are asked for by their names: lists may be behind.
        """
        # The list says who else belongs to the group; what it says of each may be less than DescribeService does.
        listed = [service["ServiceName"] for service in self.list_services(group_name=name)]
        names = dict.fromkeys([*listed, *filter(None, known)])
        found = (self._member(service, name, listed=service in listed) for service in names)
        members = tuple(member for member in found if member is not None)
        try:
            customized = _CUSTOMIZED.get(self.describe_group(name).get("TrafficMode") or "")
        except PaiNotFoundError:
            customized = False
        return Group(name=name, customized=customized, members=members)

    def describe_group(self, group: str) -> Json:
        """Return DescribeGroup's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        return without_token(self._do("DescribeGroup", "describe_group", group, shape=_GROUP))

    def release(self, name: str, *, weight: int, grouping: bool) -> None:
        """Set a group member's weight and whether it takes part in the group's traffic. API: ReleaseService."""
        from alibabacloud_eas20210701.models import ReleaseServiceRequest

        state = "grouping" if grouping else "standalone"
        request = ReleaseServiceRequest(weight=whole_number("weight", weight), traffic_state=state)
        self._do("ReleaseService", "release_service", name, request)

    def isolate(self, name: str) -> bool:
        """Take a service that was just made out of its group's traffic, should EAS have put it there by itself.

        That a new member gets none by default stands in "Service groups and traffic management" of April 2026, and
        in no older copy of the page. Return whether it gets none now, as EAS shows it.
        """
        if not takes_traffic(self.describe(name)):
            return True
        self.log.warning("EAS gives %s traffic of its group by itself: taking it out", name)
        try:
            self.release(name, weight=0, grouping=False)
        except (PaiTransientError, PaiPermissionError):
            raise
        except PaiApiError as error:
            self.log.warning("%s can't be taken out yet: %s", name, error)
            return False
        return not takes_traffic(self.describe(name))

    def set_traffic_mode(self, group: str, mode: str) -> None:
        """Let a group's traffic follow instance counts (`auto`) or weights (`customized`).

        API: UpdateGroup, for which the SDK has no method.
        """
        path = f"/api/v2/groups/{self.connection.region}/{group}"
        self.request("UpdateGroup", "2021-07-01", "PUT", path, body={"TrafficMode": mode})

    def mirror(self, name: str) -> Mirror | None:
        """Return where a service's requests are copied to. API: DescribeServiceMirror."""
        try:
            body = self._do("DescribeServiceMirror", "describe_service_mirror", name, shape=_MIRROR)
        except PaiNotFoundError:
            return None
        targets = tuple(target for target in (body.get("Target") or "").split(",") if target)
        return Mirror(targets, int(body.get("Ratio") or 0)) if targets else None

    def set_mirror(self, name: str, targets: Sequence[str], ratio: int) -> None:
        """Copy a share of a service's requests, in percent, to other services, whose answers nobody gets.

        API: CreateServiceMirror; UpdateServiceMirror where there is one.
        """
        from alibabacloud_eas20210701 import models

        target, ratio = list(texts("targets", targets) or ()), whole_number("ratio", ratio, most=100)

        def ask(kind: str) -> None:
            request = getattr(models, f"{kind}ServiceMirrorRequest")(target=target, ratio=ratio)
            self._do(f"{kind}ServiceMirror", f"{kind.lower()}_service_mirror", name, request)

        try:
            ask("Create" if self.mirror(name) is None else "Update")
        except PaiConflictError:  # a creation whose answer was lost has made it
            ask("Update")

    def remove_mirror(self, name: str) -> None:
        """End the copying; none there is no error. API: DeleteServiceMirror."""
        try:
            self._do("DeleteServiceMirror", "delete_service_mirror", name)
        except PaiNotFoundError:
            return

    def endpoint(self, name: str) -> Endpoint:
        """Return a service's own endpoint, which bypasses its group's rules; the token is masked in logs."""
        return self._endpoint(self._do("DescribeService", "describe_service", name, shape=SERVICE))

    def group_endpoint(self, group: str) -> Endpoint:
        """Return a group's endpoint; the token is masked in logs."""
        return self._endpoint(self._do("DescribeGroup", "describe_group", group, shape=_GROUP))

    def _endpoint(self, answer: Json) -> Endpoint:
        token = answer.get("AccessToken") or ""
        if token:
            mask_secret(token)
        kind = "IntranetEndpoint" if self.connection.network == "vpc" else "InternetEndpoint"
        return Endpoint(str(answer.get(kind) or answer.get("IntranetEndpoint")), token)

    def _member(self, name: str, group: str, *, listed: bool) -> Member | None:
        """Return a service of a group; None where it is gone, or in another or none."""
        try:
            service = self.describe(name)
        except PaiNotFoundError:
            return None
        if takes_traffic(service) and service.get("Weight") is None:
            service = self.describe(name, _CARRIER)
        # Where the answer does not name its group, the list does, or who made it for this one.
        if service.get("ServiceGroup", group) != group:
            return None
        return Member(
            name=name,
            status=service.get("Status") or "",
            running=service.get("RunningInstance") or 0,
            total=service.get("TotalInstance") or 0,
            weight=service.get("Weight") or 0,
            grouping=takes_traffic(service),
            version=service.get("CurrentVersion") or 0,
            config=fingerprint(service.get("ServiceConfig")),
            created=service.get("CreateTime") or "",
            listed=listed,
            labels=labels_of(service),
        )
