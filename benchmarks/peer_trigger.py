"""The peer of `polling.py` and `triggerer.py`: a trigger as providers commonly write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_pai.hooks.dlc import DlcHook


class GetJobTrigger(BaseTrigger):
    """A hook and a client of its own, one GetJob per interval by the SDK's asynchronous call, a sleep.

    One that is cancelled stops its job in one of asyncio's default threads.
    """

    def __init__(self, *, job_id: str, hook_arguments: dict[str, Any], interval: float) -> None:
        super().__init__()
        self.job_id = job_id
        self.hook_arguments = hook_arguments
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"job_id": self.job_id, "hook_arguments": self.hook_arguments, "interval": self.interval}
        return "benchmarks.peer_trigger.GetJobTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from alibabacloud_pai_dlc20201203.client import Client
        from alibabacloud_pai_dlc20201203.models import GetJobRequest

        hook = DlcHook(**self.hook_arguments)
        connection = await asyncio.to_thread(lambda: hook.connection)
        config = hook.client_config()
        config.credential = connection.credential_client()  # what peers have: it does not read the connection anew
        client = Client(config)
        while True:
            answer = await client.get_job_async(self.job_id, GetJobRequest(need_detail=False))
            if answer.body.status in ("Succeeded", "Failed", "Stopped"):
                yield TriggerEvent({"job_id": self.job_id, "status": answer.body.status})
                return
            await asyncio.sleep(self.interval)

    async def on_kill(self) -> None:
        hook = DlcHook(**self.hook_arguments)
        await asyncio.to_thread(hook.request_stop, self.job_id)
