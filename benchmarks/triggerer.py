"""One triggerer for everybody: waits on five endpoints, of which one stalls, one has errors and one's key expires.

Prints one JSON line. As in `polling.py` the emulators are a process, and the event loop with all waits is another: ours
first, then one with peer triggers (`peer_trigger.py`), each fresh.

- Waits: `PaiJobTrigger`s with their usual log copies, evenly on the endpoints; the jobs are stubs, as in `polling.py`.
  They start over the first interval. Then, all at once, `stalls` answers nothing within two minutes, `errors` answers
  503 to everything, and the key that `expires` was called with ends, while its connection already holds the next.
- kills, kill_p99_s, kill_max_s: `on_kill` of waits on the two healthy endpoints, evenly over the measured time, from
  the call to its end; what asks Airflow whether the task is still deferred is left out. not_stopped: jobs of
  these that ran on.
- delay_p99_s: from a job's end to its event, by endpoint: every tenth job of the healthy ones and of `expires` ends.
  missed: jobs that ended without an event an interval and five seconds after the last.
- lost: waits that failed although their job went on.
- kb_per_wait: what the process grew by from before the first wait to the end, in KiB of resident memory by wait.
- threads: the most the process had. lag_p99_ms: how late a 10 ms sleep woke on the loop.
- logs: how long a loop stands still while long logs are copied beside it, see `long_logs.py`; alone with `--waits 0`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import long_logs
from children import ask, child, hear, p99, say, stub_jobs, tell
from polling import HOOK, TASK

from airflow_provider_pai.emulator.connection import connection_to

Json = dict[str, Any]

HEALTHY = ("calm", "quiet")
ENDPOINTS = (*HEALTHY, "expires", "stalls", "errors")
ENDS = (*HEALTHY, "expires")
"""Where jobs end while it is measured: nobody can tell of those that nobody can ask for."""
FAULTS: dict[str, Json] = {"stalls": {"match": "api", "delay": 120}, "errors": {"match": "api", "status": 503}}
SAMPLE = 0.01


# --- the emulators' process: reads one command a line, answers one JSON line each


def serve(count: int) -> None:
    """Run an emulator for each endpoint; `count` jobs on each."""
    from airflow_provider_pai.emulator import Emulator

    with ExitStack() as stack:
        emulators = {name: stack.enter_context(Emulator(dwell=0.01)) for name in ENDPOINTS}
        say({name: _described(pai, count) for name, pai in emulators.items()})
        for line in sys.stdin:
            command, name, *rest = line.split()
            say(COMMANDS[command](emulators, name, rest))
        for pai in emulators.values():
            pai.account.faults.clear()


def _described(pai: Any, count: int) -> Json:
    return {"connection": connection_to(pai.endpoints.to_dict()), "jobs": pai.call(lambda: stub_jobs(pai, count))}


def _trouble(emulators: Json, _: str, __: list[str]) -> Json:
    for name, fault in FAULTS.items():
        emulators[name].account.faults.add(**fault)
    return {}


def _renew(emulators: Json, name: str, _: list[str]) -> Json:
    return _signed(emulators[name].account.add_user(temporary=True))


def _expire(emulators: Json, name: str, keys: list[str]) -> Json:
    pai = emulators[name]
    pai.call(lambda: pai.account.remove_credential(keys[0]))
    return {}


def _end(emulators: Json, name: str, jobs: list[str]) -> Json:
    pai = emulators[name]
    pai.call(lambda: pai.services.dlc._jobs[jobs[0]].move("Succeeded", "JobSucceeded"))
    return {"now": time.time()}


def _running(emulators: Json, name: str, jobs: list[str]) -> Json:
    stored = emulators[name].services.dlc._jobs
    return {"running": [job for job in jobs if stored[job].status == "Running"]}


COMMANDS = {"trouble": _trouble, "renew": _renew, "expire": _expire, "end": _end, "running": _running}


def _signed(credential: Any) -> Json:
    return {
        "login": credential.access_key_id,
        "password": credential.access_key_secret,
        "extra": {"auth": "sts", "security_token": credential.security_token},
    }


# --- the loop's process


class Triggerer:
    """One loop with all waits; measures itself."""

    def __init__(self, kind: str, plan: Json, interval: float, seconds: float) -> None:
        self.make = {"ours": our_trigger, "peer": peer_trigger}[kind]
        self.plan = plan
        self.interval = interval
        self.seconds = seconds
        self.events: dict[str, float] = {}
        self.lost: list[str] = []
        self.kills: list[float] = []

    async def run(self) -> Json:
        """Start all waits, measure, tell the parent when; it makes the trouble and ends jobs meanwhile."""
        await self._warm_up()
        before = _resident()
        waits = [(name, job_id) for name in ENDPOINTS for job_id in self.plan[name]["jobs"]]
        random.Random(1).shuffle(waits)
        begun = time.monotonic()
        self.triggers = {job_id: self.make(name, job_id, self.interval) for name, job_id in waits}
        tasks = {}
        for number, (_, job_id) in enumerate(waits):
            tasks[job_id] = asyncio.create_task(self._watch(job_id))
            ahead = begun + self.interval * number / len(waits) - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
        await asyncio.sleep(self.interval)
        say({"measuring": True})
        os.environ["AIRFLOW_CONN_EXPIRES"] = await self._line()
        say({"renewed": True})
        lags, threads, _ = await asyncio.gather(self._lags(), self._most_threads(), self._kill(tasks))
        await self._line()
        grown = _resident() - before
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {
            "events": self.events,
            "kills": len(self.kills),
            "kill_p99_s": round(p99(self.kills), 2),
            "kill_max_s": round(max(self.kills), 2),
            "lost": len(self.lost),
            "kb_per_wait": round(grown / 1024 / len(waits), 1),
            "threads": threads,
            "lag_p99_ms": round(p99(lags) * 1000, 1),
        }

    async def _line(self) -> str:
        """Return what the parent says next; not in a thread that triggers share."""
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(sys.stdin, lambda: said.done() or said.set_result(sys.stdin.readline()))
        try:
            return await said
        finally:
            asyncio.get_running_loop().remove_reader(sys.stdin)

    async def _warm_up(self) -> None:
        """Import and call everything once: a triggerer has done so long ago."""
        name = HEALTHY[0]
        task = asyncio.create_task(anext(self.make(name, self.plan[name]["jobs"][0], self.interval).run()))
        await asyncio.sleep(5)
        task.cancel()

    async def _watch(self, job_id: str) -> None:
        try:
            async for event in self.triggers[job_id].run():
                self.events[job_id] = time.time()
                if "error" in event.payload:
                    self.lost.append(job_id)
        except Exception:  # noqa: BLE001 - whatever it is, the wait is lost
            self.lost.append(job_id)

    async def _kill(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        """Kill the jobs that are to be killed, one after the other, evenly; none waits for the one before."""
        killed = [job_id for name in HEALTHY for job_id in self.plan[name]["kills"]]
        random.Random(2).shuffle(killed)

        async def kill(job_id: str) -> None:
            tasks[job_id].cancel()
            begun = time.monotonic()
            await self.triggers[job_id].on_kill()
            self.kills.append(time.monotonic() - begun)

        running = []
        for job_id in killed:
            running.append(asyncio.create_task(kill(job_id)))
            await asyncio.sleep(self.seconds / len(killed))
        await asyncio.gather(*running)

    async def _lags(self) -> list[float]:
        lags = []
        end = time.monotonic() + self.seconds
        while (begun := time.monotonic()) < end:
            await asyncio.sleep(SAMPLE)
            lags.append(time.monotonic() - begun - SAMPLE)
        return lags

    async def _most_threads(self) -> int:
        most = 0
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            most = max(most, threading.active_count())
            await asyncio.sleep(0.2)
        return most


def our_trigger(conn_id: str, job_id: str, interval: float) -> Any:
    """Build a trigger as the triggerer does, from what came out of the database."""
    from airflow_provider_pai.triggers import base
    from airflow_provider_pai.triggers.job import PaiJobTrigger

    base.is_still_deferred = _ended
    return PaiJobTrigger(
        hook_path=HOOK,
        hook_arguments=_arguments(conn_id),
        job_id=job_id,
        poll_interval=interval,
        log_interval=30,
        task=dict(TASK),
    )


async def _ended(*_: Any) -> bool:
    return False


def peer_trigger(conn_id: str, job_id: str, interval: float) -> Any:
    """Build a trigger of the peer."""
    from peer_trigger import GetJobTrigger

    return GetJobTrigger(job_id=job_id, hook_arguments=_arguments(conn_id), interval=interval)


def _arguments(conn_id: str) -> Json:
    return {"pai_conn_id": conn_id, "region": None, "workspace_id": None}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(kind: str, interval: float, seconds: float) -> None:
    """Be the loop's process; which jobs there are comes in as the first line."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    triggerer = Triggerer(kind, json.loads(sys.stdin.readline()), interval, seconds)
    say(asyncio.run(triggerer.run()))
    os._exit(0)  # threads that wait for `stalls` would keep the process for half a minute


# --- the process that was called


def measure(kind: str, options: argparse.Namespace) -> Json:
    """Run the emulators and one loop and put their figures together."""
    count = options.waits // len(ENDPOINTS)
    with tempfile.TemporaryDirectory() as home, child("--serve", "--waits", count) as emulators:
        plan = hear(emulators)
        old, new = (ask(emulators, "renew expires") for _ in range(2))
        held = plan["expires"]["connection"]
        plan["expires"]["connection"] = with_key(held, old)
        environment = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(plan[name]["connection"]) for name in ENDPOINTS}
        environment["AIRFLOW_HOME"] = home
        for name in HEALTHY:
            plan[name]["kills"] = plan[name]["jobs"][1::10]
        arguments = ("--watch", kind, "--interval", options.interval, "--seconds", options.seconds)
        with child(*arguments, environment=environment) as loop:
            tell(loop, json.dumps(plan))
            hear(loop)
            tell(loop, json.dumps(with_key(held, new)))
            hear(loop)
            ask(emulators, f"expire expires {old['login']}")
            ask(emulators, "trouble all")
            ended = end_jobs(emulators, plan, options.seconds)
            time.sleep(options.interval + 5)
            tell(loop, "end")
            found = hear(loop)
            killed = [ask(emulators, " ".join(["running", name, *plan[name]["kills"]]))["running"] for name in HEALTHY]
    events = found.pop("events")
    delays = {
        name: [events[job] - moment for job, moment in jobs.items() if job in events] for name, jobs in ended.items()
    }
    return {
        **found,
        "not_stopped": sum(map(len, killed)),
        "delay_p99_s": {name: round(p99(delay), 2) if delay else None for name, delay in delays.items()},
        "missed": sum(job not in events for jobs in ended.values() for job in jobs),
        "interval_s": options.interval,
    }


def end_jobs(emulators: Any, plan: Json, seconds: float) -> dict[str, dict[str, float]]:
    """End every tenth job, evenly, and return when each did."""
    ended: dict[str, dict[str, float]] = {name: {} for name in ENDS}
    due = [(name, job_id) for name in ENDS for job_id in plan[name]["jobs"][2::10]]
    random.Random(3).shuffle(due)
    begun = time.time()
    for number, (name, job_id) in enumerate(due):
        time.sleep(max(0.0, begun + seconds * number / len(due) - time.time()))
        ended[name][job_id] = ask(emulators, f"end {name} {job_id}")["now"]
    return ended


def with_key(held: Json, key: Json) -> Json:
    """Return a connection with another key."""
    return {**held, **key, "extra": {**held["extra"], **key["extra"]}}


def main() -> None:
    """Measure ours and the peer, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (default: %(default)s)")
    parser.add_argument("--log-seconds", type=float, default=10.0, help="for each kind of log (default: %(default)s)")
    parser.add_argument("--run-mb", type=int, default=1000, help="size of a DSW run's log (default: %(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve-logs", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch-logs", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.waits)
    elif options.watch:
        watch(options.watch, options.interval, options.seconds)
    elif options.serve_logs:
        long_logs.serve(options.run_mb * 1_000_000)
    elif options.watch_logs:
        long_logs.watch(options.log_seconds)
    else:
        crowds = {kind: measure(kind, options) for kind in ("ours", "peer") if options.waits}
        waits = {"waits": options.waits, "endpoints": len(ENDPOINTS)}
        say({**waits, "peer": None, **crowds, "logs": long_logs.measure(options)})


if __name__ == "__main__":
    main()
