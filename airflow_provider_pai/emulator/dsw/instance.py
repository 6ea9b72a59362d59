"""One instance: its stored document, its moves between statuses, its answers."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.ecs import demand
from airflow_provider_pai.emulator.past import Past
from airflow_provider_pai.emulator.times import timestamp
from airflow_provider_pai.emulator.types import Json

KIND = "dsw-instance"
RESTING = frozenset({"Stopped", "Failed", "SaveFailed"})
"""Statuses from which an instance can be started, changed and deleted."""

_ECHOED = (
    "Accessibility",
    "Affinity",
    "CloudDisks",
    "CredentialConfig",
    "Driver",
    "DynamicMount",
    "EcsSpec",
    "EnvironmentVariables",
    "ImageId",
    "ImageUrl",
    "InstanceName",
    "Labels",
    "Priority",
    "RequestedResource",
    "ResourceId",
    "UserVpc",
    "WorkspaceId",
    "WorkspaceSource",
)
_URLS = {"InstanceUrl": "", "JupyterlabUrl": "lab/", "TerminalUrl": "tty/", "WebIDEUrl": "ide/"}


class Instance:
    """One instance; every change is stored when the call returns."""

    def __init__(self, account: Account, document: Json) -> None:
        self._account = account
        self.document = document
        self._past = Past()

    @classmethod
    def create(cls, account: Account, request: Json) -> Instance:
        """Build a new instance in status Creating from a checked request."""
        created = account.now()
        document: Json = {
            "InstanceId": f"dsw-{secrets.token_hex(8)}",
            "Request": request,
            "CreatedAt": created.timestamp(),
            "GmtCreateTime": timestamp(created),
            "RunningSince": None,
            "RunningMs": 0,
            "Snapshots": [],
            "Events": [],
        }
        instance = cls(account, document)
        instance.move("Creating")
        return instance

    @property
    def id(self) -> str:
        """Return the instance's id."""
        return str(self.document["InstanceId"])

    @property
    def request(self) -> Json:
        """Return the CreateInstance request with later changes."""
        request: Json = self.document["Request"]
        return request

    @property
    def status(self) -> str:
        """Return the status."""
        return str(self.document["Status"])

    @property
    def resting(self) -> bool:
        """Tell whether nothing runs and nothing is under way."""
        return self.status in RESTING

    def save(self) -> None:
        """Store the document."""
        moment = self._account.now()
        self.document["GmtModifiedTime"] = timestamp(moment)
        text = self._account.store.put(KIND, self.id, self.document)
        self._past.add(moment.timestamp(), text, self._account.settings.list_lag)

    def as_of(self, moment: float) -> Instance | None:
        """Return the instance as lists show it that are up to date with a moment; None if it did not exist then."""
        if self.document["CreatedAt"] > moment:
            return None
        then = self._past.as_of(moment)
        return Instance(self._account, then) if then else self

    def move(self, status: str, code: str = "", message: str = "") -> None:
        """Go into a status."""
        if status == "Creating":
            self.document.pop("ShutdownTimer", None)  # it was for the start before
        now = self._account.now()
        moment = now.timestamp()
        if self.document["RunningSince"] and status != "Running":
            self.document["RunningMs"] += int(1000 * (moment - self.document["RunningSince"]))
        self.document.update(
            Status=status,
            ReasonCode=code,
            ReasonMessage=message,
            RunningSince=moment if status == "Running" else None,
        )
        self._count(moment)
        self.document["Events"].append({"Time": now.isoformat(), "Text": f"Instance is {status}. {message}".strip()})
        self.save()

    @property
    def timer(self) -> Json | None:
        """Return the shutdown timer that is set."""
        timer: Json | None = self.document.get("ShutdownTimer")
        return None if self.resting else timer

    def set_timer(self, due: datetime) -> None:
        """Keep when the instance is to be stopped; once it rests, that is history."""
        moment = self._account.timestamp()
        times = {"DueTime": timestamp(due), "GmtCreateTime": moment, "GmtModifiedTime": moment}
        self.document["ShutdownTimer"] = times
        self.save()

    def lift_timer(self) -> None:
        """Forget the timer."""
        del self.document["ShutdownTimer"]
        self.save()

    @property
    def culler(self) -> Json:
        """Return the idle culler's rule; none: empty."""
        rule: Json = self.document.get("IdleInstanceCuller") or {}
        return rule

    @property
    def cpus(self) -> float:
        """Return the number of vCPUs; of an instance type that is not in the emulator's table 1."""
        resources = self.request.get("RequestedResource")
        spec = {"EcsSpec": self.request.get("EcsSpec"), "ResourceConfig": resources, "PodCount": 1}
        return demand([spec])["cpu"] or 1.0

    def _count(self, now: float) -> None:
        """Count on the meter."""
        if self.status != "Running":
            self._account.meter.end("dsw", self.id, now)
            return
        quota = self.request.get("ResourceId")
        kind = f"quota/{quota}" if quota else self.request.get("EcsSpec")
        self._account.meter.begin("dsw", self.id, [{"Type": kind, "Count": 1, "Spot": False}], now)

    def take_snapshot(self) -> None:
        """Record a saved image; the root folder stays as it is anyway."""
        moment = self._account.timestamp()
        name = f"{self.request['InstanceName']}_{len(self.document['Snapshots']) + 1}"
        registry = f"dsw-registry.{self._account.settings.region}.cr.aliyuncs.com/pai"
        self.document["Snapshots"].append(
            {
                "ImageId": f"image-{secrets.token_hex(8)}",
                "ImageName": name,
                "ImageUrl": f"{registry}/{name}:latest",
                "RepositoryUrl": registry,
                "Status": "Saved",
                "GmtCreateTime": moment,
                "GmtModifiedTime": moment,
            }
        )
        self.save()

    def events(self, start: datetime, end: datetime, limit: int) -> list[str]:
        """Return the newest events between two times."""
        lines = [
            f"{timestamp(moment)} {event['Text']}"
            for event in self.document["Events"]
            if start <= (moment := datetime.fromisoformat(event["Time"])) <= end
        ]
        return lines[-limit:] if limit > 0 else []

    def describe(self) -> Json:
        """Return the fields that GetInstance and ListInstances have in common."""
        settings, request = self._account.settings, self.request
        snapshots = self.document["Snapshots"]
        return {
            **{name: request[name] for name in _ECHOED if request.get(name) is not None},
            **{
                name: self.document[name]
                for name in ("GmtCreateTime", "GmtModifiedTime", "InstanceId", "ReasonCode", "ReasonMessage")
            },
            **(self._urls() if self.status == "Running" else {}),
            # "The password will be hidden", says the SDK; in what way it does not.
            **({"ImageAuth": "***"} if request.get("ImageAuth") else {}),
            "AcceleratorType": self.accelerator,
            "AccumulatedRunningTimeInMs": self.document["RunningMs"] + self._running_ms(),
            "Datasets": [{"MountAccess": "RW", **dataset} for dataset in request.get("Datasets") or []],
            "InstanceSnapshotList": snapshots,
            "LatestSnapshot": snapshots[-1] if snapshots else None,
            "PaymentType": self.payment,
            "ResourceName": request.get("EcsSpec") or "",
            "Status": self.status,
            "Tags": [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in request.get("Tag") or []],
            "UserId": settings.account_id,
            "UserName": settings.account_id,
            "WorkspaceName": f"workspace_{request['WorkspaceId']}",
        }

    @property
    def payment(self) -> str:
        """Return how the instance is paid for."""
        return "Subscription" if self.request.get("ResourceId") else "PayAsYouGo"

    @property
    def accelerator(self) -> str:
        """Return CPU or GPU; GPU instance types begin with gn."""
        gpus: Any = (self.request.get("RequestedResource") or {}).get("GPU") or "0"
        return "GPU" if ".gn" in (self.request.get("EcsSpec") or "") or gpus != "0" else "CPU"

    def _running_ms(self) -> int:
        since = self.document["RunningSince"]
        return int(1000 * (self._account.now().timestamp() - since)) if since else 0

    def _urls(self) -> Json:
        gateway = f"https://dsw-gateway-{self._account.settings.region}.data.aliyun.com/{self.id}/"
        return {name: gateway + path for name, path in _URLS.items()}
