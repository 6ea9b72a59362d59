"""Hook for the notebook instances of DSW (Data Science Workshop) 2022-01-01."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_pai.costs import QUOTA, Prices
from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.answers import Needed, Page, Shape
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import DSW_GONE, DSW_INSTANCE, DSW_REST, DSW_START
from airflow_provider_pai.versions import utc_text

# What is read of an instance's answers.
_CREATED = {"InstanceId": Needed(str)}
INSTANCE = {
    "InstanceId": Needed(str),
    "Status": Needed(str),
    "ReasonCode": str,
    "ReasonMessage": str,
    "GmtCreateTime": str,
    "GmtModifiedTime": str,
    "AccumulatedRunningTimeInMs": int,
    "EcsSpec": str,
    "ResourceId": str,
    "EnvironmentVariables": {str: str},
    "Labels": [{"Key": Needed(str), "Value": str}],
}
_SPEC = {"InstanceType": Needed(str), "GPUType": str, "Price": object, "Currency": str, "IsAvailable": bool}


class DswHook(JobHook):
    """Instances of DSW.

    API: alibabacloud_pai_dsw20220101.client.Client.
    """

    service = "dsw"
    states = DSW_INSTANCE
    # The workspace's instances; the address of a single one is not documented.
    page = "/dsw/instances/{job_id}"

    def ping(self) -> None:
        """Ask for a page of instances."""
        next(self.list_instances(), None)

    def submit(self, body: Json) -> str:
        """Create an instance from a CreateInstance body in the API's field names and return its id."""
        from alibabacloud_pai_dsw20220101.models import CreateInstanceRequest

        request = CreateInstanceRequest().from_map({"WorkspaceId": self.connection.workspace_id, **body})
        answer = self.ask("CreateInstance", lambda: self.client.create_instance(request), _CREATED, repeatable=False)
        return str(answer["InstanceId"])

    def describe(self, instance_id: str, shape: Shape = INSTANCE) -> Json:
        """Return GetInstance's answer in the API's field names."""
        from alibabacloud_pai_dsw20220101.models import GetInstanceRequest

        request = GetInstanceRequest()
        return self.ask("GetInstance", lambda: self.client.get_instance(instance_id, request), shape)

    def get(self, job_id: str) -> RemoteJob:
        """Describe one instance."""
        return remote(self.describe(job_id))

    def list_instances(self, **filters: Any) -> Iterator[Json]:
        """Yield instances of every resource in the API's field names, page by page."""
        from alibabacloud_pai_dsw20220101.models import ListInstancesRequest

        def page(number: int) -> Json:
            request = ListInstancesRequest(
                workspace_id=self.connection.workspace_id,
                resource_id="ALL",  # without it only pay-as-you-go instances are listed
                page_number=number,
                page_size=50,
                **filters,
            )
            return self.ask("ListInstances", lambda: self.client.list_instances(request), Page("Instances", INSTANCE))

        return all_items("Instances", page)

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every instance that bears these labels."""
        return [remote(instance) for instance in self.list_instances(labels=dict(tags))]

    def ecs_specs(self) -> Iterator[Json]:
        """Yield the public pool's instance types in the API's field names, those without GPUs first.

        API: ListEcsSpecs, whose page says that the kind of accelerator has to be named.
        """
        from alibabacloud_pai_dsw20220101.models import ListEcsSpecsRequest

        def page(kind: str, number: int) -> Json:
            request = ListEcsSpecsRequest(accelerator_type=kind, page_number=number, page_size=50)
            return self.ask("ListEcsSpecs", lambda: self.client.list_ecs_specs(request), Page("EcsSpecs", _SPEC))

        for kind in ("CPU", "GPU"):
            yield from all_items("EcsSpecs", partial(page, kind))

    def prices(self) -> Prices:
        """Return what instance types of the public pool cost an hour. API: ListEcsSpecs."""
        return told_prices(self.ecs_specs())

    def start(self, instance_id: str) -> None:
        """Start a stopped instance; one that is up, or on its way, is no error: an answer may have been lost."""
        try:
            self.ask("StartInstance", lambda: self.client.start_instance(instance_id))
        except (PaiTransientError, PaiPermissionError):
            raise
        except PaiApiError:
            if not self._going(instance_id, DSW_INSTANCE.resting | DSW_INSTANCE.stopping):
                raise

    def stop(self, instance_id: str, *, save_image: bool = False) -> None:
        """Stop an instance; returns at once."""
        self.ask("StopInstance", partial(self._ask_stop, instance_id, save_image))

    def _ask_stop(self, instance_id: str, save_image: bool) -> Any:
        from alibabacloud_pai_dsw20220101.models import StopInstanceRequest

        return self.client.stop_instance(instance_id, StopInstanceRequest(save_image=save_image))

    def request_stop(self, job_id: str, *, save_image: bool = False) -> None:
        """Ask for a stop, again where it is refused; an instance that rests or is gone is no error."""
        ask = partial(self.ask, "StopInstance", partial(self._ask_stop, job_id, save_image), repeatable=False)
        self.insist("StopInstance", ask, partial(self._going, job_id, DSW_INSTANCE.resting | DSW_INSTANCE.stopping))

    def stop_at(self, instance_id: str, due: datetime) -> None:
        """Let the service itself stop an instance at a time; one that has a timer already keeps that.

        Whether an instance that is being made takes one is not documented: it is asked again, for `retry_seconds`.

        API: CreateInstanceShutdownTimer.

        :raises PaiApiError: it has refused all the while.
        """
        from alibabacloud_pai_dsw20220101.models import CreateInstanceShutdownTimerRequest

        request = CreateInstanceShutdownTimerRequest(due_time=utc_text(due))
        create = partial(self.client.create_instance_shutdown_timer, instance_id, request)
        get = partial(self.client.get_instance_shutdown_timer, instance_id)
        self._insist_on("InstanceShutdownTimer", instance_id, create, get, {"DueTime": str})

    def stop_when_idle(self, instance_id: str, minutes: int, percent: int) -> None:
        """Let the service itself stop an instance that idles; one that has such a rule already keeps that.

        An instance has one at most, and it needs no GPU for the limit of GPUs to be taken.

        API: CreateIdleInstanceCuller.

        :param minutes: for which CPU and GPU are below the limit.
        :param percent: the limit, from 1 to 100.
        :raises PaiApiError: it has refused all the while.
        """
        from alibabacloud_pai_dsw20220101.models import CreateIdleInstanceCullerRequest

        request = CreateIdleInstanceCullerRequest(
            cpu_percent_threshold=percent, gpu_percent_threshold=percent, max_idle_time_in_minutes=minutes
        )
        create = partial(self.client.create_idle_instance_culler, instance_id, request)
        get = partial(self.client.get_idle_instance_culler, instance_id)
        self._insist_on("IdleInstanceCuller", instance_id, create, get, {"MaxIdleTimeInMinutes": int})

    def _insist_on(
        self, rule: str, instance_id: str, create: Callable[[], Any], get: Callable[[], Any], shape: Shape
    ) -> None:
        """Make a rule by which an instance ends by itself; one that has the rule, or ends, is content."""

        def lacking() -> str:
            if not self._going(instance_id, DSW_INSTANCE.resting | DSW_INSTANCE.stopping):
                return ""
            try:
                has = any(self.ask(f"Get{rule}", get, shape).values())
            except PaiNotFoundError:
                has = False
            return "" if has else f"{instance_id} has no {rule}"

        self.insist(f"Create{rule}", partial(self.ask, f"Create{rule}", create, repeatable=False), lacking)

    def delete(self, instance_id: str) -> None:
        """Delete an instance at rest, asking again where that is refused; one that is gone or going is no error."""
        delete = partial(self.client.delete_instance, instance_id)
        try:
            self.ask("DeleteInstance", delete)
        except PaiApiError:
            if self._going(instance_id, DSW_INSTANCE.resting | DSW_INSTANCE.deleting):
                raise
            ask = partial(self.ask, "DeleteInstance", delete, repeatable=False)
            self.insist("DeleteInstance", ask, partial(self._going, instance_id, DSW_INSTANCE.deleting))

    def _going(self, instance_id: str, over: Collection[str]) -> str:
        """Return what goes on by the instance's own status, whatever became of its run."""
        return self.sibling(DswHook).going(instance_id, over)


def told_prices(specs: Iterable[Json]) -> Prices:
    """Return the prices that ListEcsSpecs' items tell.

    That a price is an hour's no page tells; the billing pages divide the unit price by 60 for a minute's.
    """
    priced = [spec for spec in specs if spec.get("Price") and spec.get("Currency")]
    currency = next((spec["Currency"] for spec in priced), "")
    hourly = {spec["InstanceType"]: float(spec["Price"]) for spec in priced if spec["Currency"] == currency}
    return Prices(currency, hourly)


class DswStartHook(DswHook):
    """Instances that are to be up."""

    states = DSW_START


class DswRestHook(DswHook):
    """Instances that are to rest; one that is gone rests, too."""

    states = DSW_REST

    def get(self, job_id: str) -> RemoteJob:
        """Describe one instance, also one that is gone."""
        try:
            return super().get(job_id)
        except PaiNotFoundError:
            return RemoteJob(job_id=job_id, status=DSW_GONE)


def remote(instance: Json) -> RemoteJob:
    """Return an instance as a job."""
    return RemoteJob(
        job_id=instance["InstanceId"],
        status=instance.get("Status") or "",
        reason_code=instance.get("ReasonCode"),
        reason=instance.get("ReasonMessage"),
        created=instance.get("GmtCreateTime") or "",
        tags={label["Key"]: label.get("Value") or "" for label in instance.get("Labels") or []},
        usage=_billed(instance),
    )


def _billed(instance: Json) -> Json:
    """Return what is billed of an instance, as `costs.Usage` has it.

    Page "Data Science Workshop (DSW) billing": from Running until it is stopped, each time; in a quota by subscription.
    """
    milliseconds, quota = instance.get("AccumulatedRunningTimeInMs") or 0, instance.get("ResourceId")
    rests = instance.get("Status") in DSW_INSTANCE.resting
    return {
        "nodes": [{"type": f"{QUOTA}{quota}" if quota else instance.get("EcsSpec") or "unknown", "count": 1}],
        "began": (instance.get("GmtCreateTime") or "") if milliseconds else "",
        "ended": (instance.get("GmtModifiedTime") or "") if rests else "",
        "seconds": milliseconds / 1000,
    }
