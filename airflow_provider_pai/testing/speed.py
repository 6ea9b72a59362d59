"""Time that runs fast for hooks, rollouts and triggers, so that a canary of an hour is tried in a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from airflow_provider_pai.clock import Clock
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.service_time import ServiceTime
from airflow_provider_pai.triggers.base import PollTrigger

# Seconds; what is waited for is made by processes, which nobody hastens.
_SHORTEST = 0.03


@contextmanager
def hastened(speed: float, now: Callable[[], float] = time.time) -> Iterator[None]:
    """Let pauses and spans pass `speed` times as fast for whatever is called meanwhile.

    Airflow's own times (a task's start, its time-out) stay what they are, and with them all that is compared with them.

    :param now: Unix time by which rollouts judge: that of the account's metrics.
    """

    def shortened(seconds: float) -> float:
        return min(seconds, max(_SHORTEST, seconds / speed))

    clock = Clock(
        now=time.time,
        monotonic=lambda: speed * time.monotonic(),
        sleep=lambda seconds: time.sleep(shortened(seconds)),
    )
    by_metrics = clock._replace(now=now)
    run = PollTrigger.run

    async def run_fast(trigger: Any) -> AsyncIterator[Any]:
        _hasten(asyncio.get_running_loop(), speed, shortened)
        async for event in run(trigger):
            yield event

    with ExitStack() as patches:
        patches.enter_context(patch.object(PollTrigger, "run", run_fast))
        patches.enter_context(patch.object(PaiHook, "clock", clock))
        # The services' time goes on by a monotonic clock, of which this one is none.
        patches.enter_context(patch.object(PaiHook, "_service_time", ServiceTime()))
        patches.enter_context(patch.object(PaiHook, "service_clock", clock))
        for hook in (EasHook, CloudMonitorHook, OssHook):
            patches.enter_context(patch.object(hook, "service_clock", by_metrics))
        yield


def _hasten(loop: Any, speed: float, shortened: Callable[[float], float]) -> None:
    """Let an event loop's time run fast, once."""
    if getattr(loop, "is_hastened", False):
        return
    selector = loop._selector
    select = selector.select
    selector.select = lambda timeout=None: select(timeout if timeout is None else shortened(timeout))
    loop.time, loop.is_hastened = lambda: speed * time.monotonic(), True
