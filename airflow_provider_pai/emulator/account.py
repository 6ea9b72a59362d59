"""The emulated account: settings, credentials, faults, clock, document store and data folder. It knows no service."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_pai.emulator.faults import Faults
from airflow_provider_pai.emulator.meter import Meter
from airflow_provider_pai.emulator.nonces import Nonces
from airflow_provider_pai.emulator.ram import Denial, Policy
from airflow_provider_pai.emulator.store import Store
from airflow_provider_pai.emulator.times import now, timestamp
from airflow_provider_pai.emulator.world import World

MAX_SKEW = 15 * 60
"""Seconds by which a client's clock may differ; a signature is good for that long, before and after."""
TIMES = ("dwell", "grace", "list_lag", "weight_lag", "gateway_lag", "minute")
FLAGS = ("drain",)
"""With the times, the settings that may be changed while the emulator runs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Looks of the emulated account, and the time that it takes over things (seconds)."""

    region: str = "cn-hangzhou"
    workspace_id: str = "10001"
    account_id: str = "1000000000000001"
    dwell: float = 0.3
    """Time spent in each intermediate status."""
    grace: float = 5.0
    """Time between SIGTERM and SIGKILL when a process is stopped."""
    list_lag: float = 0.0
    """Time by which lists of jobs, instances and services are behind: they show each as it was then, none younger."""
    weight_lag: float = 0.0
    """Time after which the EAS gateway acts on a weight, traffic state or mode that was set."""
    gateway_lag: float = 0.3
    """Time after a service came up in which the EAS gateway answers in its place: 404, then 503."""
    drain: bool = True
    """Whether requests in flight may finish when an EAS instance is stopped."""
    minute: float = 60.0
    """Length of a minute of JobMaxRunningTimeMinutes and its like; tests make it short."""
    speed: float = 1.0
    """Seconds of CloudMonitor in one: what is counted in a second then lies in as many."""
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits of DLC's resource quotas by their ids: `pods`, `cpu`, `gpu`, `memory` (GiB)."""


@dataclass(frozen=True)
class Credential:
    """An access key; `security_token` is set for temporary (STS) credentials."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def _new_credential(*, temporary: bool = False) -> Credential:
    key, secret = secrets.token_hex(9), secrets.token_urlsafe(24)
    if temporary:
        return Credential(f"STS.NT{key}", secret, secrets.token_urlsafe(96))
    return Credential(f"LTAI5t{key}", secret)


class Account:
    """One emulated account: built anew for each emulator, never a global.

    :param world: what no document tells of the cloud; changed by `change_world`.
    :param now: the clock that times of documents and signatures are read from; files are dated by the machine.
    """

    def __init__(
        self, data: Path, settings: Settings, now: Callable[[], datetime] = now, world: World | None = None
    ) -> None:
        self.data = data
        self.settings = settings
        self.world = world or World()
        self.now = now
        self._opened = now().timestamp()
        self.store = Store(data / "state.sqlite")
        self.meter = Meter(self.store)
        self.faults = Faults()
        self.nonces = Nonces(lifetime=2 * MAX_SKEW)
        self.endpoints: dict[str, str] = {}
        """`api`, `oss` and `eas` as `host:port`, set once the sockets are bound."""
        self.policies: dict[str, Policy | None] = {}
        """By access key; None: it may do everything, as the account itself."""
        self.asked: defaultdict[str, set[str]] = defaultdict(set)
        """The RAM actions that each access key has asked for, allowed or not."""
        self._credentials: dict[str, Credential] = {}
        self._expired: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.credential = self._root_credential()

    def _root_credential(self) -> Credential:
        saved = self.store.get("account", "root")
        credential = Credential(saved["id"], saved["secret"]) if saved else _new_credential()
        secret = credential.access_key_secret
        self.store.put("account", "root", {"id": credential.access_key_id, "secret": secret})
        self.add_credential(credential)
        return credential

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Change how things go from now on.

        :raises ValueError: a name is not one of `TIMES` and `FLAGS`, or a value is not of its kind.
        """
        for name, value in changes.items():
            if name not in (*TIMES, *FLAGS):
                raise ValueError(f"{name!r} is not one of {', '.join((*TIMES, *FLAGS))}")
            if name in FLAGS:
                if not isinstance(value, bool):
                    raise ValueError(f"{name}: {value!r} is neither true nor false")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name}: {value!r} is no number of seconds")
        self.settings = replace(self.settings, **changes)

    def change_world(self, changes: Mapping[str, Any]) -> None:
        """Turn switches from now on.

        :raises ValueError: as `World.changed`.
        """
        self.world = self.world.changed(changes)

    def add_credential(self, credential: Credential, policy: Any = None) -> None:
        """Let requests signed with this credential in.

        :param policy: RAM policy document that says what they may do; None: everything, as the account itself.
        :raises ValueError: as `Policy`.
        """
        read = None if policy is None else Policy(policy)
        self._credentials[credential.access_key_id] = credential
        self.policies[credential.access_key_id] = read
        self._expired.discard(credential.access_key_id)

    def add_user(self, policy: Any = None, *, temporary: bool = False) -> Credential:
        """Make an access key, which is known until the emulator stops or it is removed.

        :param policy: as of `add_credential`.
        :param temporary: with a security token, as STS hands them out.
        :raises ValueError: as `Policy`.
        """
        credential = _new_credential(temporary=temporary)
        self.add_credential(credential, policy)
        return credential

    def denial(self, access_key_id: str, action: str, resource: str = "*") -> Denial | None:
        """Return why RAM refuses an action to an access key, None where it is allowed.

        :param resource: its ARN; `*` for what can be allowed for all resources alone.
        """
        self.asked[access_key_id].add(action)
        policy = self.policies.get(access_key_id)
        return policy.denial(action, resource) if policy else None

    def remove_credential(self, access_key_id: str) -> None:
        """Refuse this access key from now on: a temporary one as expired, a permanent one as unknown."""
        credential = self._credentials.pop(access_key_id, None)
        self.policies.pop(access_key_id, None)
        if credential is not None and credential.security_token:
            self._expired.add(access_key_id)

    def is_expired(self, access_key_id: str) -> bool:
        """Tell whether this is a temporary access key that was let in once."""
        return access_key_id in self._expired

    def credential_of(self, access_key_id: str) -> Credential | None:
        """Return the credential with this id, or None."""
        return self._credentials.get(access_key_id)

    def timestamp(self) -> str:
        """Return the time as the PAI APIs write it."""
        return timestamp(self.now())

    def metrics_time(self) -> float:
        """Return the Unix time by which CloudMonitor counts: from the start on `speed` times as fast as ours."""
        return self._opened + (self.now().timestamp() - self._opened) * self.settings.speed

    def is_skewed(self, moment: datetime) -> bool:
        """Tell whether a client's clock is too far from the account's."""
        return abs(self.now() - moment) > timedelta(seconds=MAX_SKEW)

    def spawn(self, life: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a life cycle in the background and keep it until it ends."""
        task = asyncio.get_running_loop().create_task(life, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def dwell(self) -> None:
        """Stay in the current intermediate status for the configured time."""
        await asyncio.sleep(self.settings.dwell)

    async def close(self) -> None:
        """Cancel every life cycle, wait for their clean-up, close the store."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.store.close()
