"""Hooks of DSW (Data Science Workshop) 2022-01-01: notebook instances, and commands that run on them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.causes import Evidence
from airflow_provider_pai.costs import QUOTA, Prices
from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.answers import Needed, Page, Shape
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.hooks.lines import EVIDENCE_LINES, TAIL_LINES, readable, tail
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.hooks.waiting import Cursor, newest
from airflow_provider_pai.identity import TaggedJob, TaskIdentity
from airflow_provider_pai.labels import Key
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import (
    LOG_NAME,
    OUTPUT_URI,
    RESULT_NAME,
    RUN_DIR,
    RUN_URI,
    SCRIPT_NAME,
    Json,
    RemoteJob,
)
from airflow_provider_pai.states import DSW_INSTANCE, DSW_RUN
from airflow_provider_pai.uri import OssUri
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook

_LOG_BYTES = 1 << 20
"""Of a run's log that one look reads at most: a task's log has no place for more."""

# What is read of an instance's answers.
_CREATED = {"InstanceId": Needed(str)}
_INSTANCE = {
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
_SPEC = {"InstanceType": Needed(str), "Price": object, "Currency": str}


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

    def describe(self, instance_id: str) -> Json:
        """Return GetInstance's answer in the API's field names."""
        return self._describe(instance_id, _INSTANCE)

    def _describe(self, instance_id: str, shape: Shape) -> Json:
        from alibabacloud_pai_dsw20220101.models import GetInstanceRequest

        request = GetInstanceRequest()
        return self.ask("GetInstance", lambda: self.client.get_instance(instance_id, request), shape)

    def get(self, job_id: str) -> RemoteJob:
        """Describe one instance."""
        return _remote(self.describe(job_id))

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
            return self.ask("ListInstances", lambda: self.client.list_instances(request), Page("Instances", _INSTANCE))

        return all_items("Instances", page)

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every instance that bears these labels."""
        return [_remote(instance) for instance in self.list_instances(labels=dict(tags))]

    def prices(self) -> Prices:
        """Return what instance types of the public pool cost an hour. API: ListEcsSpecs.

        That a price is an hour's no page tells; the billing pages divide the unit price by 60 for a minute's.
        """
        from alibabacloud_pai_dsw20220101.models import ListEcsSpecsRequest

        def page(number: int) -> Json:
            request = ListEcsSpecsRequest(page_number=number, page_size=50)
            return self.ask("ListEcsSpecs", lambda: self.client.list_ecs_specs(request), Page("EcsSpecs", _SPEC))

        specs = [spec for spec in all_items("EcsSpecs", page) if spec.get("Price") and spec.get("Currency")]
        currency = next((spec["Currency"] for spec in specs), "")
        hourly = {spec["InstanceType"]: float(spec["Price"]) for spec in specs if spec["Currency"] == currency}
        return Prices(currency, hourly)

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

        action, request = "CreateInstanceShutdownTimer", CreateInstanceShutdownTimerRequest(due_time=utc_text(due))
        create = partial(self.client.create_instance_shutdown_timer, instance_id, request)
        self.insist(action, partial(self.ask, action, create, repeatable=False), partial(self._unlimited, instance_id))

    def _unlimited(self, instance_id: str) -> str:
        """Return that an instance has no timer, empty where it has one or ends; API: GetInstanceShutdownTimer."""
        if not self._going(instance_id, DSW_INSTANCE.resting | DSW_INSTANCE.stopping):
            return ""
        get = partial(self.client.get_instance_shutdown_timer, instance_id)
        try:
            has = self.ask("GetInstanceShutdownTimer", get, {"DueTime": str}).get("DueTime")
        except PaiNotFoundError:
            has = None
        return "" if has else f"{instance_id} has no shutdown timer"

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


class DswRunHook(DswHook):
    """A command that an instance runs at its start, seen as a job.

    DSW has no API that runs a command or tells how its on-start command ended. So that starts a script of the run's
    folder on OSS, which writes `_result.json` there as its last act; a run's status is the instance's status until
    that file is there: then `RunSucceeded` or `RunFailed`.
    """

    states = DSW_RUN

    def submit(self, body: Json) -> str:
        """Put the on-start command of a CreateInstance body into the run's folder; create an instance that starts it.

        It is started in the background, by a few characters: whether DSW waits for an on-start command and how long it
        may be is nowhere said, and DataWorks, whose CreateServerIdeInstance has one, takes 1024 characters.
        """
        variables = body["EnvironmentVariables"]
        for name in (RUN_URI, OUTPUT_URI):
            if uri := variables.get(name):  # a prefix that no object has may not be mountable
                self.oss.put(OssUri.parse(uri, name).folder, b"")
        script = body["UserCommand"]["OnStart"]["Content"]
        self.oss.put(OssUri.parse(variables[RUN_URI], RUN_URI).join(SCRIPT_NAME), script)
        start = f"nohup bash {variables[RUN_DIR]}/{SCRIPT_NAME} < /dev/null > /dev/null 2>&1 &"
        return super().submit({**body, "UserCommand": {"OnStart": {"Content": start}}})

    @cached_property
    def oss(self) -> OssHook:
        """Return the hook that reads results."""
        from airflow_provider_pai.hooks.oss import OssHook

        return self.sibling(OssHook)

    def get(self, job_id: str) -> RemoteJob:
        """Describe one run."""
        return self._run(self.describe(job_id))

    def variables(self, job_id: str, *needed: str) -> Json:
        """Return the environment variables of a run's instance, the run's folder and these among them.

        API: GetInstance.

        :raises PaiTransientError: the answer lacks one: the run's facts stand nowhere else.
        """
        shape = {**_INSTANCE, "EnvironmentVariables": Needed(dict.fromkeys((RUN_URI, *needed), Needed(str)))}
        return dict(self._describe(job_id, shape)["EnvironmentVariables"])

    def find(self, identity: TaskIdentity) -> list[TaggedJob]:
        """Return every run that a task has made, as it ended; `tagged` tells what became of the instances."""
        runs = [self._run(instance) for instance in self.list_instances(labels={Key.TASK: identity.task})]
        return [run.tagged for run in runs if run.tagged is not None]

    def _run(self, instance: Json) -> RemoteJob:
        variables = instance.get("EnvironmentVariables") or {}
        job = _remote(instance)
        if not (uri := variables.get(RUN_URI)):
            return job
        facts = {"run_uri": uri}
        result = self._result(OssUri.parse(uri, RUN_URI))
        if result is None:
            return job._replace(facts=facts)
        code = result.get("exit_code")
        done: Json = {
            "status": "RunSucceeded" if code == 0 else "RunFailed",
            "reason_code": None if code == 0 else "CommandFailed",
            "reason": None if code == 0 else f"the command exited with {code}",
            "facts": {**facts, **result},
        }
        return job._replace(**done)

    def _result(self, run: OssUri) -> Json | None:
        try:
            result = json.loads(self.oss.get(run.join(RESULT_NAME)))
        except (PaiNotFoundError, ValueError, RecursionError):  # not there yet, or still being written by the mount
            return None
        return result if isinstance(result, dict) else None

    def new_log_lines(self, job_id: str, cursor: Cursor) -> list[str]:
        """Return the whole lines that the run's log has got since the last call."""
        if "run_uri" not in cursor:
            cursor["run_uri"] = (self.describe(job_id).get("EnvironmentVariables") or {}).get(RUN_URI)
        read = cursor.get("read", 0)
        begin, data = self._log_from(cursor["run_uri"], read)
        *whole, rest = data.split(b"\n")
        if not whole:
            return []
        cursor["read"] = begin + len(data) - len(rest)
        missed = [f"… {begin - read} bytes are left out here"] if begin > read else []
        return [*missed, *newest([readable(line) for line in _texts(whole)])]

    def log_tail(self, job: RemoteJob, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the run's log."""
        _, data = self._log_from(job.facts.get("run_uri"), 0)
        return "\n".join(tail(_texts(data.removesuffix(b"\n").split(b"\n")), lines))

    def evidence(self, job: RemoteJob) -> Evidence:
        """Return what tells why a run has failed: besides the instance's own reason its exit code and its log."""
        log = self.log_tail(job, EVIDENCE_LINES)
        return super().evidence(job)._replace(exit_code=job.facts.get("exit_code"), logs=(log,))

    def _log_from(self, uri: str | None, start: int) -> tuple[int, bytes]:
        """Return where in the run's log the bytes begin that are read of what lies behind a byte, and these."""
        info = self.oss.head(OssUri.parse(uri).join(LOG_NAME)) if uri else None
        if info is None or info.size <= start:
            return start, b""
        begin = max(start, info.size - _LOG_BYTES)
        try:
            return begin, self.oss.get(info.uri, start=begin, size=info.size - begin)
        except PaiNotFoundError:
            return start, b""


def _texts(lines: Sequence[bytes]) -> list[str]:
    """Return lines for people: what a run writes need be no text."""
    return [line.removesuffix(b"\r").decode(errors="replace") for line in lines]


def _remote(instance: Json) -> RemoteJob:
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
