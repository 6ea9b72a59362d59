"""Calls to EAS that describe services: the floor that deployments and traffic stand on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from airflow_provider_pai.exceptions import PaiError, PaiJobFailedError, PaiNotFoundError
from airflow_provider_pai.hooks.answers import JsonText, Needed, Page, Shape
from airflow_provider_pai.hooks.eas.diagnosis import Down, diagnosis
from airflow_provider_pai.hooks.eas.service_config import service_usage, without
from airflow_provider_pai.hooks.jobs import WatchedHook
from airflow_provider_pai.hooks.lines import TAIL_LINES, tail
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import EAS_GONE, EAS_SERVICE, States

PAGE_SIZE = 100

# What is read of answers.
_AN_OBJECT: Shape = {}
_NUMBERS = ("RunningInstance", "TotalInstance", "CurrentVersion", "LatestVersion", "Weight")
_TEXTS = """Reason Message CreateTime ServiceGroup TrafficState SafetyLock CallerUid AccessToken InternetEndpoint
    IntranetEndpoint""".split()
SERVICE: Shape = {
    "ServiceName": Needed(str),
    "Status": Needed(str),
    **dict.fromkeys(_NUMBERS, int),
    **dict.fromkeys(_TEXTS, str),
    "ServiceConfig": JsonText({}),
    "Labels": [{"LabelKey": Needed(str), "LabelValue": str}],
}
_LOGS = {"TotalPageNum": int, "Logs": [str]}
_INSTANCES = {
    "Instances": [
        {"InstanceName": Needed(str), "Status": str, "Reason": str, "ReadyProcesses": int, "TotalProcesses": int}
    ]
}
_CONTAINERS = {"Containers": [{"CurrentReaon": str, "LastReason": str}]}
_EVENTS = {"Events": [{"Reason": str, "Message": str}]}

# What of DescribeService a wait needs beside the status.
_FACTS = {
    "running": "RunningInstance",
    "total": "TotalInstance",
    "version": "CurrentVersion",
    "latest": "LatestVersion",
}


class EasCalls(WatchedHook):
    """Services of EAS, as they are.

    API: alibabacloud_eas20210701.client.Client; ClusterId in its paths is the region id.
    """

    service = "eas"
    states: ClassVar[States] = EAS_SERVICE
    page = "/eas/serviceDetail/{job_id}/detail"

    def ping(self) -> None:
        """Ask for a page of services."""
        next(self.list_services(), None)

    def _do(self, action: str, method: str, name: str, *request: Any, shape: Shape = _AN_OBJECT) -> Json:
        """Call a method of the client on one service or group and return the answer."""
        return self.ask(action, lambda: getattr(self.client, method)(self.connection.region, name, *request), shape)

    def describe(self, name: str, shape: Shape = SERVICE) -> Json:
        """Return DescribeService's answer in the API's field names, without the access token.

        :raises PaiNotFoundError: there is none.
        """
        return without_token(self._do("DescribeService", "describe_service", name, shape=shape))

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
            usage=service_usage(service),
        )

    def log_tail(self, job: RemoteJob, lines: int = TAIL_LINES) -> str:
        """Return the last lines that a service's instances have written. API: DescribeServiceLog."""
        from alibabacloud_eas20210701.models import DescribeServiceLogRequest

        def page(number: int) -> Json:
            request = DescribeServiceLogRequest(page_num=number, page_size=lines)
            return self._do("DescribeServiceLog", "describe_service_log", job.job_id, request, shape=_LOGS)

        first = page(1)
        last = first.get("TotalPageNum") or 1
        pages = [page(last - 1), page(last)] if last > 1 else [first]
        written = [line for each in pages for line in each.get("Logs") or ()]
        return "\n".join(tail(written, lines))

    def down(self, name: str) -> Down:
        """Return why a service does not come up, as far as EAS tells, with the last lines of its logs.

        What can't be asked is left out, and said. API: ListServiceInstances, ListServiceContainers,
        DescribeServiceEvent, DescribeServiceLog.
        """
        tail = self.last_words(RemoteJob(job_id=name, status=""))
        try:
            return Down(self._cause(name), tail)
        except PaiError as error:
            self.log.warning("Why %s does not come up can't be told: %s", name, error)
            return Down("", tail)

    def failure(self, job: RemoteJob) -> PaiJobFailedError:
        """Return the error that tells why a service has failed, with the last lines of its logs."""
        down = self.down(job.job_id)
        return PaiJobFailedError(
            self.states.kind, job.job_id, job.status, job.reason_code, down.cause or job.reason, down.log_tail
        )

    def _cause(self, name: str) -> str:
        from alibabacloud_eas20210701 import models

        listing = models.ListServiceInstancesRequest(page_size=PAGE_SIZE)
        warnings = models.DescribeServiceEventRequest(event_type="Warning", page_size=20)
        listed = self._do("ListServiceInstances", "list_service_instances", name, listing, shape=_INSTANCES)
        waiting = [each for each in listed.get("Instances") or () if not _is_ready(each)]
        containers: list[Json] = []
        for instance in waiting[:1]:
            ask = "ListServiceContainers", "list_service_containers", name, instance["InstanceName"]
            containers += self._do(*ask, shape=_CONTAINERS).get("Containers") or ()
        events = self._do("DescribeServiceEvent", "describe_service_event", name, warnings, shape=_EVENTS)
        config = json.loads(self.describe(name).get("ServiceConfig") or "{}")
        return diagnosis(config, waiting, containers, events.get("Events") or ())

    def list_services(self, **filters: Any) -> Iterator[Json]:
        """Yield services in the API's field names, page by page, without their access tokens.

        :param filters: fields of ListServicesRequest in Python's spelling, e.g. `group_name`.
        """
        from alibabacloud_eas20210701.models import ListServicesRequest

        def page(number: int) -> Json:
            request = ListServicesRequest(page_number=number, page_size=PAGE_SIZE, **filters)
            return self.ask("ListServices", lambda: self.client.list_services(request), Page("Services", SERVICE))

        return map(without_token, all_items("Services", page))


def _is_ready(instance: Json) -> bool:
    return (instance.get("ReadyProcesses") or 0) >= (instance.get("TotalProcesses") or 1)


def labels_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a service as DescribeService gives them."""
    return {label["LabelKey"]: label.get("LabelValue") or "" for label in service.get("Labels") or []}


def without_token(answer: Json) -> Json:
    """Return an answer without the access token, which stands in the service JSON, too, if it was given there."""
    kept = {field: value for field, value in answer.items() if field != "AccessToken"}
    if config := kept.get("ServiceConfig"):
        kept["ServiceConfig"] = json.dumps(without(json.loads(config), "token", "credential.token"))
    return kept
