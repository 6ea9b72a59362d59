"""One job: its stored document, its moves between statuses, its answers."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.pods import plan
from airflow_provider_pai.emulator.ecs import is_lingjun, nodes, requested
from airflow_provider_pai.emulator.past import Past
from airflow_provider_pai.emulator.times import timestamp
from airflow_provider_pai.emulator.types import Json

KIND = "dlc-job"
FINAL = frozenset({"Succeeded", "Failed", "Stopped"})
RESERVING = {"SucceededReserving": "Succeeded", "FailedReserving": "Failed"}
"""Statuses in which the result is known and the pods are still held, with that result."""
MAX_RESTARTS = 10

# The time that is recorded when a job comes into a status; the API spells the success that way.
TIME_FIELDS = {
    "Queuing": "GmtSubmittedTime",
    "Running": "GmtRunningTime",
    "Succeeded": "GmtSuccessedTime",
    "Failed": "GmtFailedTime",
    "Stopped": "GmtStoppedTime",
}

# What GetJob and ListJobs give back as it was sent.
_ECHOED = (
    "Accessibility",
    "CredentialConfig",
    "CustomEnvs",
    "Description",
    "DisplayName",
    "Envs",
    "JobSpecs",
    "JobType",
    "Priority",
    "ResourceId",
    "Settings",
    "ThirdpartyLibDir",
    "ThirdpartyLibs",
    "UserCommand",
)
_DETAILS = ("Pods", "StatusHistory", "JobReplicaStatuses", "RestartRecord")
_ONLY_GET = ("Description", "CustomEnvs", "RestartRecord")


class Job:
    """One job; every change is stored when the call returns."""

    def __init__(self, account: Account, document: Json) -> None:
        self._account = account
        self.document = document
        self._past = Past()

    @classmethod
    def create(cls, account: Account, request: Json) -> Job:
        """Build a new job in status Creating from a checked request."""
        created = account.now()
        alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
        job_id = "dlc" + "".join(secrets.choice(alphabet) for _ in range(13))
        document: Json = {
            "JobId": job_id,
            "Request": request,
            "CreatedAt": created.timestamp(),
            "Times": {"GmtCreateTime": timestamp(created)},
            "StatusHistory": [],
            "Pods": [pod.new_document(job_id, timestamp(created)) for pod in plan(request)],
            "Restarts": 0,
            "RestartRecord": [],
            "Events": [],
        }
        job = cls(account, document)
        job.move("Creating")
        return job

    @property
    def id(self) -> str:
        """Return the job's id."""
        return str(self.document["JobId"])

    @property
    def request(self) -> Json:
        """Return the CreateJob request."""
        request: Json = self.document["Request"]
        return request

    @property
    def settings(self) -> Json:
        """Return the Settings of the request."""
        return self.request.get("Settings") or {}

    @property
    def has_run(self) -> bool:
        """Tell whether the job has come to Running."""
        return "GmtRunningTime" in self.document["Times"]

    @property
    def status(self) -> str:
        """Return the status."""
        return str(self.document["Status"])

    @property
    def final(self) -> bool:
        """Tell whether the job has ended."""
        return self.status in FINAL

    @property
    def created(self) -> datetime:
        """Return when the job was created, more exactly than the API tells."""
        return datetime.fromtimestamp(self.document["CreatedAt"]).astimezone()

    def save(self) -> None:
        """Store the document."""
        moment = self._account.now()
        self.document["Times"]["GmtModifiedTime"] = timestamp(moment)
        text = self._account.store.put(KIND, self.id, self.document)
        self._past.add(moment.timestamp(), text, self._account.settings.list_lag)

    def as_of(self, moment: float) -> Job | None:
        """Return the job as lists show it that are up to date with a moment; None if it did not exist then."""
        if self.document["CreatedAt"] > moment:
            return None
        then = self._past.as_of(moment)
        return Job(self._account, then) if then else self

    def move(self, status: str, code: str = "", message: str = "") -> None:
        """Go into a status and record when and why."""
        now = self._account.now()
        moment = timestamp(now)
        history: list[Json] = self.document["StatusHistory"]
        if history:
            history[-1]["EndTime"] = moment
        reason = {"ReasonCode": code, "ReasonMessage": message}
        history.append({"Status": status, "StartTime": moment, **reason})
        self.document.update(Status=status, **reason)
        times = self.document["Times"]
        if status in TIME_FIELDS:
            times.setdefault(TIME_FIELDS[status], moment)
        if status == "Running":
            self.document.setdefault("RunningAt", now.timestamp())
        if status in FINAL:
            times["GmtFinishTime"] = moment
            self.document["EndedAt"] = now.timestamp()
        self._count(int(now.timestamp()))
        self.event(f"Job is {status}. {message}".strip())

    def _count(self, now: int) -> None:
        """Count on the meter, by the second, as the job's times are told."""
        if self.final:
            self._account.meter.end("dlc", self.id, now)
        elif self.has_run:
            self._account.meter.begin("dlc", self.id, nodes(self.request), now)

    def event(self, text: str, pod_id: str | None = None, kind: str = "Normal") -> None:
        """Record an event of the job or of one of its pods."""
        event = {"Time": self._account.now().isoformat(), "PodId": pod_id, "Text": f"{kind} {text}"}
        self.document["Events"].append(event)
        self.save()

    def events(self, start: datetime, end: datetime, limit: int, pod_id: str | None = None) -> list[str]:
        """Return the newest events between two times, those of one pod if it is named."""
        lines = [
            f"{timestamp(moment)} {event['Text']}"
            for event in self.document["Events"]
            if start <= (moment := datetime.fromisoformat(event["Time"])) <= end and pod_id in (None, event["PodId"])
        ]
        return lines[-limit:] if limit > 0 else []

    def pod(self, pod_id: str) -> Json | None:
        """Return the document of one pod."""
        pods: list[Json] = self.document["Pods"]
        return next((pod for pod in pods if pod["PodId"] == pod_id), None)

    def describe(self, need_detail: bool = True) -> Json:
        """Return the answer of GetJob."""
        answer = self._common()
        answer["DataSources"] = [_pick(source, "Uri", "MountPath") for source in self._data_sources()]
        return answer if need_detail else {k: v for k, v in answer.items() if k not in _DETAILS}

    def item(self) -> Json:
        """Return the item of ListJobs: GetJob's answer with the differences of the SDK's JobItem."""
        answer = self._common()
        answer["DataSources"] = [_pick(source, "MountPath") for source in self._data_sources()]
        return {
            **{name: value for name, value in answer.items() if name not in _ONLY_GET},
            **{name: str(answer[name]) for name in ("RequestGPU", "RequestMemory")},
            "GmtModifiedTime": self.document["Times"]["GmtModifiedTime"],
            "IsDeleted": False,
            "JobMaxRunningTimeMinutes": self.request.get("JobMaxRunningTimeMinutes"),
            "NodeCount": str(len(self.document["Pods"])),
            "Pods": [_pick(pod, "PodId", "Type", "Status") for pod in answer["Pods"]],
        }

    def _common(self) -> Json:
        settings = self._account.settings
        return {
            **_pick(self.request, *_ECHOED),
            **self._user_vpc(),
            **{name: moment for name, moment in self.document["Times"].items() if name != "GmtModifiedTime"},
            **{name: self.document[name] for name in ("JobId", "Status", "ReasonCode", "ReasonMessage")},
            **requested(self.request["JobSpecs"]),
            **self._code_source(),
            "Duration": self._duration(),
            "JobReplicaStatuses": self._replicas(),
            "Pods": [
                {name: value for name, value in pod.items() if value is not None} for pod in self.document["Pods"]
            ],
            "ResourceType": "Lingjun" if is_lingjun(self.request["JobSpecs"]) else "ECS",
            "RestartRecord": self.document["RestartRecord"],
            "RestartTimes": f"{self.document['Restarts']}/{MAX_RESTARTS}",
            "StatusHistory": self.document["StatusHistory"],
            "SubStatus": "Restarting" if self.status == "Restarting" else "",
            "UserId": settings.account_id,
            "WorkspaceId": self.request["WorkspaceId"],
            "WorkspaceName": f"workspace_{self.request['WorkspaceId']}",
        }

    def _data_sources(self) -> list[Json]:
        return self.request.get("DataSources") or []

    def _code_source(self) -> Json:
        source = self.request.get("CodeSource")
        return {"CodeSource": _pick(source, "CodeSourceId", "Branch", "Commit", "MountPath")} if source else {}

    def _user_vpc(self) -> Json:
        """Return the UserVpc as answers spell it: ExtendedCidrs, where the request has ExtendedCIDRs."""
        vpc = dict(self.request.get("UserVpc") or {})
        if "ExtendedCIDRs" in vpc:
            vpc["ExtendedCidrs"] = vpc.pop("ExtendedCIDRs")
        return {"UserVpc": vpc} if vpc else {}

    def _duration(self) -> int:
        """Return the seconds that the job has run or ran, sixty to the account's minute."""
        began = self.document.get("RunningAt")
        if began is None:
            return 0
        ended = self.document.get("EndedAt") or self._account.now().timestamp()
        return int((ended - began) * 60 / self._account.settings.minute)

    def _replicas(self) -> list[Json]:
        active: dict[str, int] = {}
        for pod in self.document["Pods"]:
            active[pod["Type"]] = active.get(pod["Type"], 0) + (pod["Status"] == "Running")
        return [{"Type": kind, "Active": count} for kind, count in active.items()]


def _pick(source: Json, *names: str) -> dict[str, Any]:
    return {name: source[name] for name in names if source.get(name) is not None}
