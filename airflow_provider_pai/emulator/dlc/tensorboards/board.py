"""One TensorBoard: its stored document, its moves between statuses, its answers."""

from __future__ import annotations

import secrets
from datetime import datetime

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.tensorboards.folders import Folders
from airflow_provider_pai.emulator.times import timestamp
from airflow_provider_pai.emulator.types import Json

KIND = "dlc-tensorboard"
ACTIVE = frozenset({"Creating", "Running"})
"""The others of the documented statuses are Stopped, Succeeded and Failed; there is none for stopping."""

# What GetTensorboard gives back as it was sent.
_ECHOED = (
    "Accessibility",
    "Cpu",
    "DataSourceType",
    "DisplayName",
    "MaxRunningTimeMinutes",
    "Memory",
    "Options",
    "Priority",
    "QuotaId",
    "SummaryPath",
    "SummaryRelativePath",
    "TensorboardDataSources",
    "TensorboardSpec",
    "WorkspaceId",
)


class Board:
    """One TensorBoard; every change is stored when the call returns."""

    def __init__(self, account: Account, document: Json) -> None:
        self._account = account
        self.document = document
        self._deleted = False

    @classmethod
    def create(cls, account: Account, request: Json, job_id: str | None, folders: Folders) -> Board:
        """Build a new one in status Creating from a checked request."""
        document: Json = {
            "TensorboardId": f"tensorboard-{secrets.token_hex(8)}",
            "Request": request,
            "JobId": job_id,
            "Mounts": folders.mounts,
            "Shown": folders.shown,
            "CreatedAt": account.now().timestamp(),
        }
        board = cls(account, document)
        board.move("Creating")
        return board

    @property
    def id(self) -> str:
        """Return the id."""
        return str(self.document["TensorboardId"])

    @property
    def request(self) -> Json:
        """Return the CreateTensorboard request."""
        request: Json = self.document["Request"]
        return request

    @property
    def folders(self) -> Folders:
        """Return what is shown."""
        return Folders(self.document["Mounts"], self.document["Shown"])

    @property
    def status(self) -> str:
        """Return the status."""
        return str(self.document["Status"])

    @property
    def active(self) -> bool:
        """Tell whether a process runs or is about to."""
        return self.status in ACTIVE

    @property
    def created(self) -> datetime:
        """Return when it was created."""
        return datetime.fromtimestamp(self.document["CreatedAt"]).astimezone()

    @property
    def payment(self) -> str:
        """Return how it is paid for."""
        return "Postpaid" if self.request.get("TensorboardSpec") else "Free"

    def move(self, status: str, code: str = "", message: str = "", url: str | None = None) -> None:
        """Go into a status; `url` is where it answers while it is Running."""
        moment = self._account.now().timestamp()
        self.document.update(Status=status, ReasonCode=code, ReasonMessage=message, Url=url, ModifiedAt=moment)
        if status == "Creating":
            self.document.update(RunningAt=None, FinishedAt=None)
        else:
            self.document["RunningAt" if status == "Running" else "FinishedAt"] = moment
        if not self._deleted:
            self._account.store.put(KIND, self.id, self.document)

    def delete(self) -> None:
        """Forget it; what its process still does on its way out is not stored."""
        self._deleted = True
        self._account.store.delete(KIND, self.id)

    def describe(self) -> Json:
        """Return the answer of GetTensorboard, which is also the item of ListTensorboards."""
        document, account = self.document, self._account.settings.account_id
        return {
            **{name: self.request[name] for name in _ECHOED if self.request.get(name) not in (None, [])},
            **{name: document[name] for name in ("TensorboardId", "Status", "ReasonCode", "ReasonMessage")},
            "Duration": str(self._duration()),
            "GmtCreateTime": _time(document["CreatedAt"]),
            "GmtFinishTime": _time(document["FinishedAt"]),
            "GmtModifyTime": _time(document["ModifiedAt"]),
            "JobId": document["JobId"],
            "TensorboardUrl": document["Url"],
            "UserId": account,
            "Username": account,
        }

    def _duration(self) -> int:
        """Return the seconds that it runs or ran since its last start."""
        since = self.document["RunningAt"]
        return int((self.document["FinishedAt"] or self._account.now().timestamp()) - since) if since else 0


def _time(moment: float | None) -> str | None:
    return timestamp(datetime.fromtimestamp(moment).astimezone()) if moment else None
