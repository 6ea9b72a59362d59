"""Triggers that wait for an EAS service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.base import OwningTrigger
from airflow_provider_pai.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook
    from airflow_provider_pai.hooks.waiting import Watch


class EasTrigger(OwningTrigger["EasHook"]):
    """Base of the triggers that watch EAS."""

    @property
    def hook_class(self) -> type[EasHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.eas import EasHook

        return EasHook


class EasServiceTrigger(EasTrigger):
    """Yields `{"job_id", "job": …}` when a service is what it was to become, or will not become so by itself.

    When the deadline passes or the task is ended it undoes what the task began.

    :param service: the service's name.
    :param goal: `hooks.eas.goals.Until` as a dict.
    :param undo: `hooks.eas.goals.Undo` as a dict; None: what was begun is left alone.
    """

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
        return {"job_id": self.service}

    async def poll(self, hook: EasHook) -> Json | None:
        """Look at the service once."""
        from airflow_provider_pai.hooks.waiting import Watch

        service = await in_thread("poll", hook.address, hook.get, self.service)
        self._watch = self._watch or Watch(hook, self.service)
        self._watch.note(service)
        return {**self.subject(), "job": service.to_dict()} if Until(**self.goal).is_over(service) else None

    async def on_deadline(self, hook: EasHook) -> Json:
        """Undo what the task began, and tell why it did not come up; what does not answer now the worker undoes."""
        down = await in_thread("kill", hook.address, Until(**self.goal).told, hook, self.service)
        hook.retry_seconds = self.kill_seconds
        try:
            await in_thread("kill", hook.address, self.end, hook)
        except PaiApiError as error:
            self.log.warning("%s could not be undone here: %s", self.service, error)
        status = self._watch.status if self._watch else "not seen"
        return {**await super().on_deadline(hook), "status": status, "down": list(down)}

    def end(self, hook: EasHook) -> None:
        """Undo what the task began."""
        if self.undo is not None:
            Undo(**self.undo).carry_out(hook, self.service)
