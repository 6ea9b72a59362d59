"""The one asynchronous waiting loop, and what a trigger may do when its task ends without it."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_pai.clock import SYSTEM_CLOCK
from airflow_provider_pai.exceptions import PaiError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.schemas import SCHEMA_VERSION, TRIGGER
from airflow_provider_pai.sensitive import mask_secret, secrets_in
from airflow_provider_pai.triggers.threads import connect, in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import PaiHook
    from airflow_provider_pai.hooks.waiting import Patience


HookT = TypeVar("HookT", bound="PaiHook")


# Characters of a value of an event that its log line shows.
_SHOWN = 80


class Payload(dict[str, Any]):
    """The payload of an event, which is short where Airflow logs it: the worker says what it tells."""

    def __repr__(self) -> str:
        short = {name: value if len(repr(value)) <= _SHOWN else "…" for name, value in self.items()}
        return repr(short)


class PollTrigger(BaseTrigger, Generic[HookT]):
    """Looks at something remote again and again until there is an event.

    The remote state is read first, clocks are read second. Transient errors never end the wait before the
    deadline, refusals not before its patience ends; what else goes wrong is handed to the worker as `{"error": text}`.

    :param hook_arguments: builds the hook, as `PaiHook.arguments` gives them.
    :param poll_interval: seconds between two looks.
    :param deadline: ISO 8601, by the services' time; None: no end.
    :param schema_version: of these arguments.
    """

    delay: float = 0.0
    """Seconds before the first look."""
    paid: bool = False
    """What is waited for was made by the task; refusals are borne from the first look on."""
    bears_denials: bool = True
    """All looks ask the same: a right that is missing was taken away."""
    patience: Patience

    def __new__(cls, *_: Any, schema_version: int = TRIGGER.number, **__: Any) -> Self:
        """Refuse what a later version wrote by its number: an argument that is unknown here would tell nobody why.

        :raises PaiVersionError: it did; the task's worker goes on with what the trigger waits for.
        """
        TRIGGER.check(schema_version)
        return super().__new__(cls)

    def __init__(
        self,
        *,
        hook_arguments: Json,
        poll_interval: float,
        deadline: str | None = None,
        schema_version: int = TRIGGER.number,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.hook_arguments = hook_arguments
        self.poll_interval = poll_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, Json]:
        """Return the class's path and its arguments."""
        arguments = {**self.arguments(), SCHEMA_VERSION: TRIGGER.number}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {
            "hook_arguments": self.hook_arguments,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
        }

    @property
    @abstractmethod
    def hook_class(self) -> type[HookT]:
        """Return the hook's class, imported here: a DAG file that is parsed imports triggers, too."""

    def make_hook(self) -> HookT:
        """Build the hook; one look is one call, since the loop itself is the retry."""
        hook = self.hook_class(**self.hook_arguments)
        hook.retry_seconds = 0
        return hook

    async def connected(self) -> HookT:
        """Return a hook whose connection is read."""
        hook = self.make_hook()
        await connect(hook)
        return hook

    @abstractmethod
    async def poll(self, hook: HookT) -> Json | None:
        """Look once; return the event's payload, or None to wait on."""

    def subject(self) -> Json:
        """Return what every event of this trigger names."""
        return {}

    def rest(self, hook: HookT, seconds: float) -> Awaitable[Any]:
        """Let time pass before a look."""
        return asyncio.sleep(seconds)

    def longer(self, pause: float) -> float:
        """Return the pause after one that ended without an answer: longer, with jitter, at most eight intervals."""
        return min(pause * random.uniform(1.2, 2), 8 * self.poll_interval)  # noqa: S311 - jitter

    async def on_deadline(self, hook: HookT) -> Json:
        """Return the event's payload when the deadline passes."""
        return {**self.subject(), "timed_out": True}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        for _, secret in secrets_in(self.arguments()):
            mask_secret(secret)  # a service JSON holds some, and this process has rendered none
        try:
            payload = await self._wait(await self.connected())
        except PaiError as error:
            payload = {**self.subject(), "error": str(error)}
        except asyncio.CancelledError:
            await self.on_cancelled()
            raise
        yield TriggerEvent(Payload(payload))  # type: ignore[no-untyped-call]

    async def on_cancelled(self) -> None:
        """Do what must be done when the wait is cancelled."""

    async def _wait(self, hook: HookT) -> Json:
        """Wait for the event's payload. Thousands wait here at the same time: every frame below this one counts."""
        from airflow_provider_pai.hooks.waiting import Patience

        self.patience = Patience(SYSTEM_CLOCK, self.log, paid=self.paid, denials=self.bears_denials)
        pause = self.poll_interval
        rest = self.delay
        while True:
            try:
                await self.rest(hook, rest)
                payload = await self.poll(hook)
                self.patience.answered()
                pause = self.poll_interval
            except (PaiTransientError, PaiPermissionError) as error:
                self.patience.bear(error)
                payload = None
                pause = getattr(error, "retry_after", None) or self.longer(pause)
            if payload is not None:
                return payload
            left = self._seconds_left(hook)
            if left <= 0:
                return await self.on_deadline(hook)
            rest = min(pause, left)

    def _seconds_left(self, hook: HookT) -> float:
        if self.deadline is None:
            return float("inf")
        return (datetime.fromisoformat(self.deadline) - hook.service_clock.utc()).total_seconds()


_log = logging.getLogger(__name__)

# Seconds; an API server that starts anew is back by then.
_ASK_AGAIN = (1.0, 2.0, 4.0, 8.0)

_under_way: set[asyncio.Task[None]] = set()

# Since 3.3; before it, a trigger whose task is ended is only cancelled, as it is when its triggerer shuts down.
_AIRFLOW_CALLS_ON_KILL = hasattr(BaseTrigger, "on_kill")


class OwningTrigger(PollTrigger[HookT]):
    """A trigger whose task owns something remote, which must not go on when the task is ended without it.

    :param task: dag_id, run_id, task_id and map_index of the task.
    """

    paid = True
    kill_seconds: float = 20.0
    """How long the end of what is remote may be tried."""

    def __init__(self, *, task: Json, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task_key = task

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "task": self.task_key}

    async def on_cancelled(self) -> None:
        """End what is remote where a cancellation is the only sign of a kill, as in Airflow 2.11.

        An error in place of the cancellation would fail a task that waits elsewhere.
        """
        if _AIRFLOW_CALLS_ON_KILL:
            return
        try:
            await self.on_kill()
        except Exception:
            self.log.exception("Could not end what the task owns")

    @abstractmethod
    def end(self, hook: HookT) -> None:
        """End what is remote; called in a thread."""

    async def on_kill(self) -> None:
        """End what is remote: the task was marked, cleared or its run was ended.

        Airflow cancels a trigger that is to end about once a second until it has ended, and with it an `on_kill`
        that takes longer. So the work goes on in a task of its own.
        """
        work = asyncio.get_running_loop().create_task(self._end())
        _under_way.add(work)
        work.add_done_callback(_under_way.discard)
        await asyncio.shield(work)

    async def _end(self) -> None:
        what = ", ".join(map(str, self.subject().values())) or "what the task began"
        try:
            if await is_still_deferred(self.task_key, self.trigger_id):
                return
            hook = self.make_hook()
            hook.retry_seconds = self.kill_seconds
            await connect(hook, "kill")
            await in_thread("kill", hook.address, self.end, hook)
        except Exception as error:
            self.log.error("%s MAY GO ON and cost, it was not ended: %s", what, error)  # noqa: TRY400 - raised, too
            raise


async def is_still_deferred(task: Json, trigger_id: int | None) -> bool:
    """Tell whether a task is deferred right now.

    A triggerer that loses a trigger to another one, or shuts down, ends it too; then nothing must be stopped.

    :param task: dag_id, run_id, task_id, map_index.
    :param trigger_id: the trigger that asks.
    """
    ask = _is_deferred_by_api if AIRFLOW_V_3_0_PLUS else _is_deferred_in_database
    for pause in _ASK_AGAIN:
        try:
            return await in_thread("kill", "airflow", ask, task, trigger_id)
        except Exception as error:  # noqa: BLE001 - of Airflow's API or its database
            _log.warning("Airflow does not say whether task %s waits, asking again: %s", task["task_id"], error)
        await asyncio.sleep(pause)
    return await in_thread("kill", "airflow", ask, task, trigger_id)


def _is_deferred_by_api(task: Json, _trigger_id: int | None) -> bool:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=task["dag_id"],
        task_ids=[task["task_id"]],
        run_ids=[task["run_id"]],
        map_index=task["map_index"] if task["map_index"] >= 0 else None,
    )
    return "deferred" in {str(state) for state in states.get(task["run_id"], {}).values()}


def _is_deferred_in_database(task: Json, trigger_id: int | None) -> bool:
    """Tell whether a task waits for this trigger, or goes on with the event of one that another triggerer ran."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import and_, or_, select

    waits = and_(TaskInstance.state == "deferred", TaskInstance.trigger_id == trigger_id)
    # A cleared task has no next method, one that was timed out has __fail__.
    resumes = and_(TaskInstance.state.in_(("scheduled", "queued", "running")), TaskInstance.next_method != "__fail__")
    key = [getattr(TaskInstance, name) == value for name, value in task.items()]
    with create_session() as session:
        return session.execute(select(TaskInstance.task_id).where(*key, or_(waits, resumes))).first() is not None
