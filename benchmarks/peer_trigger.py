"""The peer of `polling.py`: a trigger as providers commonly write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_pai.hooks.dlc import DlcHook


class GetJobTrigger(BaseTrigger):
    """A hook and a client of its own, one GetJob per interval by the SDK's asynchronous call, a sleep."""

    def __init__(self, *, job_id: str, hook_arguments: dict[str, Any], interval: float) -> None:
        super().__init__()
        self.job_id = job_id
        self.hook_arguments = hook_arguments
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"job_id": self.job_id, "hook_arguments": self.hook_arguments, "interval": self.interval}
        return "benchmarks.peer_trigger.GetJobTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from alibabacloud_pai_dlc20201203.models import GetJobRequest

        hook = DlcHook(**self.hook_arguments)
        await asyncio.to_thread(lambda: hook.connection)
        while True:
            answer = await hook.client.get_job_async(self.job_id, GetJobRequest(need_detail=False))
            if answer.body.status in ("Succeeded", "Failed", "Stopped"):
                yield TriggerEvent({"job_id": self.job_id, "status": answer.body.status})
                return
            await asyncio.sleep(self.interval)
