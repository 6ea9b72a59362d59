"""Waits for objects and artifacts on OSS in the triggerer."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_pai.exceptions import PaiArtifactError
from airflow_provider_pai.hooks.artifacts import read_artifact
from airflow_provider_pai.triggers.base import Json, PollTrigger

OSS_HOOK = "airflow_provider_pai.hooks.oss.OssHook"


class OssKeyTrigger(PollTrigger):
    """Yields `{"found": [uri, …]}` when every object is there.

    :param uris: `oss://bucket/key` each.
    """

    hook_path = OSS_HOOK

    def __init__(self, *, uris: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uris = uris

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "uris": self.uris}

    async def poll(self, hook: Any) -> Json | None:
        """Look for the objects that have not been seen."""
        missing = await asyncio.to_thread(lambda: [uri for uri in self.uris if hook.head(uri) is None])
        if missing:
            self.log.info("Waiting for %s", ", ".join(missing))
        return None if missing else {"found": self.uris}


class OssArtifactTrigger(PollTrigger):
    """Yields `{"found": artifact}` when the manifest is there and fits every file.

    :param uri: the artifact's prefix.
    """

    hook_path = OSS_HOOK

    def __init__(self, *, uri: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "uri": self.uri}

    async def poll(self, hook: Any) -> Json | None:
        """Read and verify the manifest."""
        try:
            artifact = await asyncio.to_thread(read_artifact, hook, self.uri)
        except PaiArtifactError as error:
            self.log.info("Waiting: %s", error)
            return None
        return {"found": artifact.to_dict()}
