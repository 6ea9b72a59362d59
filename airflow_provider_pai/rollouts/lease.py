"""Lease of a group on OSS, with a fencing number, since neither EAS nor its labels can compare and set.

The lease is the object with the highest number below a prefix. To take it is to write the next number where none is,
which only one succeeds in, whether the bucket keeps versions or not. Its holder writes it anew from time to time; one
that is not renewed for `ttl` seconds, by OSS's own clock, is free, and so is what nobody can read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_pai.canary.memory import Memory, read_memory
from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.exceptions import PaiApiError, PaiError, PaiNotFoundError, PaiVersionError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskIdentity, TaskName
from airflow_provider_pai.schemas import LEASE, SCHEMA_VERSION
from airflow_provider_pai.uri import OssUri

DEFAULT_TTL = 300.0

_NAME = re.compile(r"([0-9]{8,})\.json")


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease; `key` tells whether two processes work for the same task."""

    key: str
    name: TaskName
    deployment: str = ""
    """The Airflow that it is a task of; empty: unknown."""

    @classmethod
    def of(cls, identity: TaskIdentity) -> Holder:
        """Return a task instance in its cycle: a person who clears it makes another holder of it."""
        return cls(key=str(identity.owner), name=identity.name, deployment=identity.deployment)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Holder:
        """Read what `to_dict` wrote."""
        name = TaskName(**{field: value[field] for field in TaskName._fields})
        return cls(key=value["key"], name=name, deployment=str(value.get("deployment") or ""))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"key": self.key, "deployment": self.deployment, **self.name._asdict()}

    def __str__(self) -> str:
        """Return the task in words."""
        return str(self.name)


class LeaseLostError(PaiError):
    """Another process took the lease; this one must not change anything any more."""


class Lease:
    """A lease below a prefix.

    :param prefix: `oss://bucket/prefix/` of the thing that one process at a time may change.
    :param holder: the task that this process works for; a process of the same task hands over at once.
    :param ttl: seconds after which it is free if it was not renewed; others read it from the lease.
    :param ended: whether Airflow says of a holder of the same deployment that it has ended: then it is free at once.
    """

    def __init__(
        self,
        hook: OssHook,
        prefix: OssUri,
        holder: Holder,
        ttl: float = DEFAULT_TTL,
        clock: Clock = SYSTEM_CLOCK,
        ended: Callable[[Holder], bool] = lambda holder: False,
    ) -> None:
        self._hook = hook
        self._prefix = prefix.folder
        self.own = holder
        self._ttl = ttl
        self._ended = ended
        self._clock = clock
        self._renewed = 0.0
        self._written = ""
        self.number = 0
        """Fencing number: each lease's is higher than the one before; 0: not held."""
        self.memory: Memory = {}
        """The group's services as the holder knew them, for the next one: EAS's lists may be behind, OSS is not."""

    def take(self) -> Holder | None:
        """Take the lease; return None when it is ours, else who holds it.

        Asked for again where no answer came: what the lost one had written is ours, and its next number is taken.
        """
        return self._hook.call("AppendObject", self._take)

    def _take(self) -> Holder | None:
        newest = self._newest()
        other = self._holder_of(newest) if newest else None
        if other is not None and not self._is_over(other):
            return other
        number = newest + 1
        written = self._hook.put_once(self._object(number), content := self._content())
        if written:
            # Known before it is sure: whoever can't look any more gives it back.
            self.number, self._written, self._renewed = number, content, self._clock.monotonic()
            number = self._newest()
        # Somebody may have had this number, and deleted it for a higher one, since we have looked.
        if not written or number != self.number:
            self.number = 0
            return self._holder_of(number) or self.own
        for old in range(max(1, newest - 5), number):
            try:
                self._hook.delete(self._object(old))
            except PaiApiError as error:  # the lease is held all the same
                self._hook.log.warning("%s stays: %s", self._object(old), error)
        return None

    def _is_over(self, other: Holder) -> bool:
        """Tell whether nobody goes on for a holder but this process; should one wake, the number keeps it out."""
        if other.key == self.own.key:
            return True
        if not other.deployment or other.deployment != self.own.deployment:
            return False
        # This task in an earlier cycle: a person has cleared it.
        over = other.name == self.own.name or self._ended(other)
        if over:
            self._hook.log.info("%s has ended without giving the lease back: it is taken", other)
        return over

    def check(self) -> None:
        """Make sure that the lease is still ours, and renew it when a third of its time or the memory has passed.

        :raises LeaseLostError: another process has it.
        """
        newest = self._newest()
        if newest != self.number:
            holder = self._holder_of(newest) if newest else None
            raise LeaseLostError(f"{self._prefix}: lease {self.number} was taken over by {holder} ({newest})")
        if (content := self._content()) != self._written or self._clock.monotonic() - self._renewed > self._ttl / 3:
            self._hook.put(self._object(self.number), content)
            self._written, self._renewed = content, self._clock.monotonic()

    def holder(self) -> Holder | None:
        """Return who holds the lease, and read what the last holder knew."""
        return self._holder_of(newest) if (newest := self._newest()) else None

    def release(self) -> None:
        """Give the lease back; the number stays, so that numbers never fall.

        Nobody is asked whether it is ours still: below the number of another holder it says nothing.
        """
        if self.number:
            self._hook.put(self._object(self.number), self._content(released=True))
        self.number = 0

    def _newest(self) -> int:
        names = (info.uri.key.removeprefix(self._prefix.key) for info in self._hook.list_objects(self._prefix))
        return max((int(name[1]) for name in map(_NAME.fullmatch, names) if name), default=0)

    def _holder_of(self, number: int) -> Holder | None:
        """Return who holds a number, or None where it was given back, not renewed in time, or is no lease."""
        at = self._object(number)
        try:
            content = json.loads(self._hook.get(at))
            LEASE.check(dict(content).get(SCHEMA_VERSION))
            holder, ttl, released = Holder.from_dict(content["holder"]), float(content["ttl"]), content["released"]
            self.memory = read_memory(content.get("members"))
        except PaiNotFoundError:
            return None
        except PaiVersionError:  # whoever holds it, it is not free
            raise
        except (ValueError, TypeError, LookupError) as error:
            self._hook.log.warning("%s is no lease that can be read, so nobody holds it: %s", at, error)
            return None
        info = self._hook.head(at)
        if info is None or released:
            return None
        age = 0.0 if info.server_time is None else (info.server_time - info.last_modified).total_seconds()
        return None if age > ttl else holder

    def _object(self, number: int) -> OssUri:
        return self._prefix.join(f"{number:08d}.json")

    def _content(self, released: bool = False) -> str:
        holder = self.own.to_dict()
        content = {"holder": holder, "released": released, "ttl": self._ttl, "members": self.memory}
        return json.dumps({SCHEMA_VERSION: LEASE.number, **content})
