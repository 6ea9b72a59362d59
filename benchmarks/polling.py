"""Cost of watching many jobs: ours, and a peer that makes one GetJob per trigger per interval.

Prints one JSON line. Three processes: this one; the emulator; and, one after the other, an asyncio loop with real
`PaiJobTrigger`s and one with peer triggers, each fresh, so that memory and CPU are its own.

- Jobs: stub jobs in the emulator's store, status Running, without pods: watching is measured, not running. The
  requests, the answers, the signatures and the list's filters are the emulator's usual ones.
- Load: the triggers start evenly over the first interval, as a busy night starts them. Then, while it is measured,
  every tenth job ends, one after the other, evenly.
- calls_per_interval: every API call that the emulator answered in the measured time.
- cpu_s_per_min: CPU of the loop's process, of all its threads, in the first half of the time; the emulator's is not in
  it.
- lag_p99_ms, lag_max_ms: how late a 10 ms sleep wakes on the loop, in the second half: those sleeps cost CPU too.
- kb_per_waiter: KiB that Python has allocated and still holds once all wait, by their number: the trigger with its
  arguments, its task, its frames, its hook. Traced while they start, and no longer when CPU and lag are measured.
- delay_p99_s: from the emulator's change of the status to the trigger's event.

The peer is what providers commonly do: a hook and a client per trigger, the SDK's asynchronous call, a sleep. It asks
for less than the SDK's default (NeedDetail=False).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
import tracemalloc
from typing import Any

from children import ask, child, hear, p99, say, stub_jobs, tell

from airflow_provider_pai.emulator.connection import connection_to

Json = dict[str, Any]

TASK = {"dag_id": "bench", "run_id": "night", "task_id": "train", "map_index": -1}
HOOK = "airflow_provider_pai.hooks.dlc.DlcHook"
HOOK_ARGUMENTS = {"pai_conn_id": "pai_default", "region": None, "workspace_id": None}
ENDING = 10
"""Every tenth job ends while it is measured."""
SAMPLE = 0.01


# --- the emulator's process: reads one command a line, answers one JSON line each


def serve(count: int) -> None:
    """Run an emulator that knows `count` running jobs."""
    from airflow_provider_pai.emulator import Emulator

    calls = 0

    def note(record: logging.LogRecord) -> bool:
        nonlocal calls
        calls += 1
        return False

    log = logging.getLogger("airflow_provider_pai.emulator.requests")
    log.setLevel(logging.DEBUG)
    log.addFilter(note)
    with Emulator() as pai:
        backend = pai.services.dlc

        ids = pai.call(lambda: stub_jobs(pai, count))
        say({**pai.endpoints.to_dict(), "jobs": ids})
        for line in sys.stdin:
            command, _, job_id = line.strip().partition(" ")
            if command == "end":
                pai.call(lambda job_id=job_id: backend._jobs[job_id].move("Succeeded", "JobSucceeded"))
            say({"calls": calls, "now": time.time()})


# --- the loop's process


class Watcher:
    """One loop with many triggers; measures itself."""

    def __init__(self, kind: str, jobs: list[str], interval: float, seconds: float) -> None:
        self.make = {"ours": our_trigger, "peer": peer_trigger}[kind]
        self.jobs = jobs
        self.interval = interval
        self.seconds = seconds
        self.events: dict[str, float] = {}

    async def run(self) -> Json:
        """Start all triggers, measure, tell the parent when; it ends jobs and counts calls meanwhile."""
        await self._warm_up()
        tracemalloc.start()
        tasks = []
        begun = time.monotonic()
        for number, job_id in enumerate(self.jobs):
            tasks.append(asyncio.create_task(self._watch(job_id)))
            ahead = begun + self.interval * number / len(self.jobs) - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
        # Until the middle between two shared ticks: then a whole number of rounds falls into the measured time.
        await asyncio.sleep(1.5 * self.interval - time.monotonic() % self.interval + self.interval)
        gc.collect()
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        say({"measuring": True})
        cpu = time.process_time()
        await asyncio.sleep(self.seconds / 2)
        cpu, lags = time.process_time() - cpu, await self._lags(self.seconds / 2)
        measured = {
            "cpu_s_per_min": cpu * 60 / (self.seconds / 2),
            "lag_p99_ms": p99(lags) * 1000,
            "lag_max_ms": max(lags) * 1000,
            "kb_per_waiter": memory / 1024 / len(self.jobs),
        }
        say({"measured": True})
        await asyncio.sleep(self.interval + 5)
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if error and not isinstance(error, asyncio.CancelledError):
                raise error
        return {**measured, "events": self.events}

    async def _warm_up(self) -> None:
        """Import and call everything once: a triggerer has done so long ago."""
        task = asyncio.create_task(self._watch(self.jobs[0]))
        await asyncio.sleep(5)
        task.cancel()
        gc.collect()

    async def _watch(self, job_id: str) -> None:
        async for event in self.make(job_id, self.interval).run():
            self.events[event.payload["job_id"]] = time.time()
            if "error" in event.payload:
                raise RuntimeError(event.payload)

    async def _lags(self, seconds: float) -> list[float]:
        lags = []
        end = time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            await asyncio.sleep(SAMPLE)
            lags.append(time.monotonic() - begun - SAMPLE)
        return lags


def our_trigger(job_id: str, interval: float) -> Any:
    """Build a trigger as the triggerer does, from what came out of the database."""
    from airflow_provider_pai.triggers.job import PaiJobTrigger

    return PaiJobTrigger(
        hook_path=HOOK, hook_arguments=dict(HOOK_ARGUMENTS), job_id=job_id, poll_interval=interval, task=dict(TASK)
    )


def peer_trigger(job_id: str, interval: float) -> Any:
    """Build a trigger of the peer."""
    from peer_trigger import GetJobTrigger

    return GetJobTrigger(job_id=job_id, hook_arguments=dict(HOOK_ARGUMENTS), interval=interval)


def watch(kind: str, interval: float, seconds: float) -> None:
    """Be the loop's process; the job ids come in as the first line."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    watcher = Watcher(kind, json.loads(sys.stdin.readline()), interval, seconds)
    say(asyncio.run(watcher.run()))


# --- the process that was called


def measure(kind: str, options: argparse.Namespace) -> Json:
    """Run one emulator and one loop and put their figures together."""
    with tempfile.TemporaryDirectory() as home, child("--serve", "--jobs", options.jobs) as emulator:
        account = hear(emulator)
        jobs = account.pop("jobs")
        environment = {"AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection_to(account)), "AIRFLOW_HOME": home}
        arguments = ("--watch", kind, "--interval", options.interval, "--seconds", options.seconds)
        with child(*arguments, environment=environment) as loop:
            tell(loop, json.dumps(jobs))
            hear(loop)
            first = ask(emulator, "count")
            ended = {}
            for job_id in jobs[::ENDING]:
                ended[job_id] = ask(emulator, f"end {job_id}")["now"]
                left = first["now"] + options.seconds * len(ended) * ENDING / len(jobs) - time.time()
                time.sleep(max(0.0, left))
            hear(loop)
            calls = ask(emulator, "count")["calls"] - first["calls"]
            found = hear(loop)
    events = found.pop("events")
    if missing := set(ended) - set(events):
        raise RuntimeError(f"{kind}: no event for {len(missing)} of {len(ended)} jobs that ended")
    return {
        "calls_per_interval": round(calls * options.interval / options.seconds, 1),
        **{name: round(value, 2) for name, value in found.items()},
        "delay_p99_s": round(p99([events[job_id] - moment for job_id, moment in ended.items()]), 2),
        "interval_s": options.interval,
    }


def main() -> None:
    """Measure ours and the peer, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to measure (default: %(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="ours alone; for counts that the peer can't manage")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.jobs)
    elif options.watch:
        watch(options.watch, options.interval, options.seconds)
    else:
        kinds = ["ours"] if options.no_peer else ["ours", "peer"]
        say({"jobs": options.jobs, **{"peer": None}, **{kind: measure(kind, options) for kind in kinds}})


if __name__ == "__main__":
    main()
