"""Constant load on one endpoint, in a process of its own: so many requests a second, however slow the answers are, as
long as those of two seconds are enough to wait for.

Reads one JSON line, `{"url", "token", "rate", "timeout", "questions": [[pixels, digit], …]}`, and sends until its
standard input ends. Prints `{"requests", "harmed": {who: how many}, "first": Unix time of the first harmed or null}`;
who is the version that answered wrongly, the gateway's words, `timeout`, or the error's name.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any

import aiohttp


class Load:
    def __init__(self, url: str, token: str, rate: float, timeout: float, questions: list[Any]) -> None:
        self._url, self._headers, self._rate = f"{url}/predict", {"Authorization": token}, rate
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._questions = itertools.cycle(questions)
        self._moments: list[float] = []
        self.requests = 0
        self.harmed: Counter[str] = Counter()

    async def run(self, ended: asyncio.Event) -> dict[str, Any]:
        connector = aiohttp.TCPConnector(limit=0)
        asked: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=connector, timeout=self._timeout, headers=self._headers) as session:
            began = time.monotonic()
            while not ended.is_set():
                if len(asked) >= 2 * self._rate:
                    # The machine can't keep up: what is sent on top would end every other process of this run too.
                    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                    began = time.monotonic() - self.requests / self._rate
                one = asyncio.create_task(self._ask(session, *next(self._questions)))
                asked.add(one)
                one.add_done_callback(asked.discard)
                self.requests += 1
                await asyncio.sleep(began + self.requests / self._rate - time.monotonic())
            await asyncio.gather(*asked)
        return {"requests": self.requests, "harmed": dict(self.harmed), "first": min(self._moments, default=None)}

    async def _ask(self, session: aiohttp.ClientSession, pixels: list[int], digit: int) -> None:
        sent = time.time()
        try:
            async with session.post(self._url, json={"pixels": pixels}) as answer:
                body = json.loads(await answer.text())
                if answer.status == 200 and body["digit"] == digit:
                    return
                who = body.get("version") or f"{answer.status} {body.get('message')}"
        except TimeoutError:
            who = "timeout"
        except (aiohttp.ClientError, ValueError, OSError) as error:
            who = type(error).__name__
        self.harmed[who] += 1
        self._moments.append(sent)


async def main() -> None:
    load, ended, loop = Load(**json.loads(sys.stdin.readline())), asyncio.Event(), asyncio.get_running_loop()
    reading = loop.run_in_executor(None, sys.stdin.read)
    reading.add_done_callback(lambda _: ended.set())
    print(json.dumps(await load.run(ended)))


if __name__ == "__main__":
    asyncio.run(main())
