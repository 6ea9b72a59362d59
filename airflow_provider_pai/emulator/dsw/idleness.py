"""Idleness of one instance: since when its processes have computed less than its idle culler's threshold."""

from __future__ import annotations

import asyncio
import sys

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dsw.instance import Instance
from airflow_provider_pai.emulator.runtime.usage import cpu_seconds

_LOOKS = 12
"""Looks in a minute."""
_SHORTEST = 0.05
"""Seconds between two looks, whatever a minute is; the kernel counts in hundredths."""


class Idleness:
    """What an idle culler goes by; the emulator has no GPUs, so theirs are idle [help: CreateIdleInstanceCuller]."""

    def __init__(self, account: Account, instance: Instance) -> None:
        self._account = account
        self._instance = instance
        self._since: float | None = None

    @property
    def minutes(self) -> float:
        """Return for how long the instance has been idle by its culler's rule; without one it is not."""
        minute = max(self._account.settings.minute, _SHORTEST)
        return 0.0 if self._since is None else (_now() - self._since) / minute

    async def wait(self, guard: int | None) -> None:
        """Return once the instance has been idle for longer than its culler allows (Linux; elsewhere it never is).

        :param guard: process above those of the instance; None: it has none.
        """
        before, used = _now(), _used(guard)
        try:
            while self.minutes <= self._instance.culler.get("MaxIdleTimeInMinutes", 0):
                await asyncio.sleep(max(self._account.settings.minute / _LOOKS, _SHORTEST))
                now, now_used = _now(), _used(guard)
                share = max(0.0, now_used - used) / (now - before) / self._instance.cpus
                if 100 * share >= self._instance.culler.get("CpuPercentThreshold", 0) or sys.platform != "linux":
                    self._since = None
                elif self._since is None:
                    self._since = before
                before, used = now, now_used
        finally:
            self._since = None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _used(guard: int | None) -> float:
    return 0.0 if guard is None else cpu_seconds(guard)
