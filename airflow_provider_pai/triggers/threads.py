"""Bounded threads of the triggerer, for each kind of call and each endpoint: one that stalls fills only its own.

asyncio's default threads are shared by all that runs in a triggerer, and are six on two cores.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import PaiHook

T = TypeVar("T")

Kind = Literal["connection", "kill", "log", "poll", "tick"]

# Threads of a kind that one endpoint may hold.
AT_ONCE = 8

# Threads of a kind in all: eight endpoints may stall before a ninth waits, with calls of the same kind alone.
THREADS = 64

_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Kind, Pool]] = WeakKeyDictionary()


async def in_thread(kind: Kind, place: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that blocks, in the caller's context.

    :param place: what answers and may stall: a service's address, a connection that is looked up, Airflow.
    """
    pools = _pools.setdefault(asyncio.get_running_loop(), {})
    if kind not in pools:
        pools[kind] = Pool(kind)
    return await pools[kind].run(place, function, *arguments)


async def connect(hook: PaiHook, kind: Kind = "connection") -> None:
    """Let a hook read its connection: a secrets backend may stall, too.

    Airflow's own asynchronous look-up sends every backend's through one thread that the whole process shares.
    """
    await in_thread(kind, hook.pai_conn_id, lambda: hook.connection)


class Pool:
    """Threads of one kind of call; they end with their event loop."""

    def __init__(self, kind: Kind) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"pai-{kind}")
        # One lives as long as somebody holds it or waits for it.
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, place: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function once its place holds fewer threads than it may."""
        room = self._rooms.setdefault(place, asyncio.Semaphore(AT_ONCE))
        await room.acquire()
        loop = asyncio.get_running_loop()

        # When the thread is done: it may go on long after whoever waits for it was cancelled.
        def leave(_: Future[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(room.release)

        work = self._threads.submit(contextvars.copy_context().run, function, *arguments)
        work.add_done_callback(leave)
        return await asyncio.wrap_future(work)
