"""Waits for an EAS service in the triggerer."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.hooks.waiting import Watch
from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.base import OwningTrigger


class EasServiceTrigger(OwningTrigger):
    """Yields `{"name", "service": …}` when a service is what it was to become, or will not become so by itself.

    When the deadline passes or the task is ended it undoes what the task began.

    :param service: the service's name.
    :param goal: `hooks.eas.goals.Until` as a dict.
    :param undo: `hooks.eas.goals.Undo` as a dict; None: what was begun is left alone.
    """

    hook_path = "airflow_provider_pai.hooks.eas.EasHook"

    def __init__(self, *, service: str, goal: Json, undo: Json | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service = service
        self.goal = goal
        self.undo = undo
        self._watch: Watch | None = None

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "service": self.service, "goal": self.goal, "undo": self.undo}

    def subject(self) -> Json:
        """Return the service's name."""
        return {"name": self.service}

    async def poll(self, hook: Any) -> Json | None:
        """Look at the service once."""
        service = await asyncio.to_thread(hook.get, self.service)
        self._watch = self._watch or Watch(hook, self.service)
        self._watch.note(service)
        return {**self.subject(), "service": service.to_dict()} if Until(**self.goal).is_over(service) else None

    async def on_deadline(self, hook: Any) -> Json:
        """Undo what the task began; what does not answer now the worker undoes."""
        hook.retry_seconds = self.kill_seconds
        try:
            await asyncio.to_thread(self.end, hook)
        except PaiApiError as error:
            self.log.warning("%s could not be undone here: %s", self.service, error)
        return {**await super().on_deadline(hook), "status": self._watch.status if self._watch else "not seen"}

    def end(self, hook: Any) -> None:
        """Undo what the task began."""
        if self.undo is not None:
            Undo(**self.undo).carry_out(hook, self.service)
