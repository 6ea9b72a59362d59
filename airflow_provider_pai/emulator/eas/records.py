"""Records of services and groups, as the document store keeps them."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import asdict, dataclass, field

from airflow_provider_pai.emulator.types import Json

KEPT_EVENTS = 200
SAFETY_LOCKS = ("all", "dangerous", "none")
TRAFFIC_STATES = ("standalone", "grouping")
TRAFFIC_MODES = ("auto", "customized")

# The statuses that each life passes through before the service is Running; it dwells in each of them.
LIVES = {
    "create": ("Creating", "Waiting"),
    "start": ("Starting", "Waiting"),
    "restart": ("Starting",),
    "update": ("Updating",),
    "scale": ("Scaling",),
}


def new_token() -> str:
    """Make an access token as EAS does when the service JSON names none."""
    return secrets.token_hex(20)


@dataclass(kw_only=True)
class ServiceVersion:
    """One configuration of a service."""

    config: Json
    built: str


@dataclass(kw_only=True)
class ServiceRecord:
    """One service as the store keeps it."""

    name: str
    group: str | None
    token: str
    workspace_id: str
    created: str
    labels: dict[str, str]
    versions: list[ServiceVersion]
    current: int = 1
    """Number of the version that serves; the first is 1."""
    wanted: str = "Running"
    """`Running`, `Stopped` or `Deleted`: what the last command asked for."""
    status: str = ""
    message: str = ""
    reason: str = ""
    weight: int = 0
    traffic_state: str = "standalone"
    lock: str = "none"
    mirror: Json | None = None
    """`target` (names) and `ratio` (percent)."""
    autoscaler: Json | None = None
    """As CreateServiceAutoScaler takes it."""
    events: list[Json] = field(default_factory=list)
    id: str = field(default_factory=lambda: f"eas-m-{secrets.token_hex(8)}")
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    updated: str = ""

    @property
    def config(self) -> Json:
        """Return the service JSON of the current version."""
        return self.versions[self.current - 1].config

    def event(self, moment: str, reason: str, message: str, kind: str = "Normal") -> None:
        """Keep one event for DescribeServiceEvent; the oldest go first."""
        self.events.append({"Time": moment, "Type": kind, "Reason": reason, "Message": message})
        del self.events[:-KEPT_EVENTS]

    def to_document(self) -> Json:
        """Return the JSON for the store."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Json) -> ServiceRecord:
        """Read what `to_document` wrote."""
        return cls(**{**document, "versions": [ServiceVersion(**version) for version in document["versions"]]})


@dataclass(kw_only=True)
class GroupRecord:
    """One service group as the store keeps it."""

    name: str
    workspace_id: str
    created: str
    token: str = field(default_factory=new_token)
    mode: str = "auto"
    updated: str = ""
