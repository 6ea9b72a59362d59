"""One poller for all triggers of an event loop that watch the same endpoint with the same credentials and workspace.

Questions that fall due at about the same moment make a round, and a round is asked in pages: 1,000 jobs are
20 ListJobs, not 1,000 GetJob. Between rounds a waiting trigger costs nothing: the hub wakes it with its answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import PaiHook

# Seconds that a question waits for others to go along with it.
WINDOW = 0.2

# Jobs in one call of `get_many`; what fails, fails for these alone.
PAGE = 50

# Seconds that the pages behind a slow one wait for it.
PATIENCE = 1.0

Question = tuple[str, asyncio.Future[Any]]
AnyHub = TypeVar("AnyHub", bound="Hub")

# A hub lives as long as somebody holds it, and its threads and connections with it.
_Hubs = weakref.WeakValueDictionary[tuple[type, type, tuple[object, ...]], "Hub"]
_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Hubs] = weakref.WeakKeyDictionary()


def hub_of(hook: PaiHook) -> Hub:
    """Return the running loop's hub for everything that this hook's connection reaches; whoever waits holds it."""
    return hub_for(Hub, hook)


def hub_for(kind: type[AnyHub], hook: PaiHook) -> AnyHub:
    """Return the running loop's hub of a kind for everything that this hook's connection reaches.

    It signs with the credentials that were read last: they rotate, and those before expire.
    """
    hubs = _hubs.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    key = (kind, type(hook), hook.connection.cache_key)
    hub = hubs.get(key)
    if hub is None:
        hub = hubs[key] = kind(hook)
    hub.hook.credentials.adopt(hook.connection)
    return cast("AnyHub", hub)


def next_tick(seconds: float, interval: float) -> float:
    """Return the loop's time of the last tick within `seconds`; all with the same interval share their ticks.

    A shorter time than the interval ends at a deadline, which is no tick.
    """
    then = asyncio.get_running_loop().time() + seconds
    return then if seconds < interval else then // interval * interval


class Hub:
    """Collects questions and asks them together; sync calls in a thread keep connections alive.

    :param hook: shared by all who wait.
    """

    def __init__(self, hook: Any) -> None:
        self.hook = hook
        self._rounds: dict[float, list[Question]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def get(self, job_id: str, due: float = 0.0) -> asyncio.Future[RemoteJob]:
        """Return, once awaited, one job's state as it is at `due` or a moment later.

        :param due: the loop's time; 0: now.
        :raises PaiNotFoundError: there is no such job.
        :raises PaiApiError: the call failed, for everyone on the same page.
        """
        return self._answer(job_id, due)

    def _answer(self, question: str, due: float) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._round(due).append((question, answer))
        return answer

    def _round(self, due: float) -> list[Question]:
        loop = asyncio.get_running_loop()
        due = max(due, loop.time())
        # Never an earlier round: an answer is no older than its question. A round that starts a moment after this one
        # is due takes it along; so what falls due within a window is one round, though each comes at its own moment.
        for start, questions in self._rounds.items():
            if due <= start <= due + WINDOW:
                return questions
        start = due + WINDOW
        # In a context of its own: the poller must not write into the log of the trigger that started it.
        loop.call_at(start, self._begin, start, context=contextvars.Context())
        return self._rounds.setdefault(start, [])

    def _begin(self, start: float) -> None:
        questions = [(job_id, answer) for job_id, answer in self._rounds.pop(start) if not answer.done()]
        self._spawn(self._ask(questions))

    async def _ask(self, questions: list[Question]) -> None:
        """Ask page after page; one that is slow goes on by itself."""
        for first in range(0, len(questions), PAGE):
            page = self._spawn(self._ask_page(questions[first : first + PAGE]))
            await asyncio.wait([page], timeout=PATIENCE)

    async def _ask_page(self, questions: list[Question]) -> None:
        ids = list(dict.fromkeys(job_id for job_id, _ in questions))
        try:
            jobs = await in_thread("poll", self.hook.address, self.hook.get_many, ids)
        except Exception as error:  # noqa: BLE001 - belongs to whoever asked
            for _, answer in questions:
                _fail(answer, error)
            return
        for job_id, answer in questions:
            job = jobs.get(job_id) or PaiNotFoundError(self.hook.service, "get", f"there is no {job_id}")
            if isinstance(job, Exception):
                _fail(answer, job)
            elif not answer.done():
                answer.set_result(job)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
