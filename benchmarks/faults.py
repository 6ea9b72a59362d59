"""Every call of every path, and every fault that it can meet: what the task comes to, and what it leaves.

A path is a task of DLC, DSW, OSS, EAS or a sensor (`tests/fire`). It is run once without a fault, which tells its
calls; then again and again with one fault at one of them: refused, reset, lost, stalled, throttled, 5xx, a stranger's
page, half an answer, wrong, missing or unknown fields, an expired token, a rotated key, a clock that is wrong, 403. The
fault hits one call, three, or all for longer than a hook asks again; the task waits in the worker, or deferred. Time
runs thirty times as fast for hooks and triggers, so that their minute of retries is two seconds; an answer is waited
for one second. A try that fails is followed by the next, without the fault.

Wrong is a case whose end is not what the path promises (jobs, services, weights, objects, ledger rows, lease), in
which something was made twice or runs on, in which one transient fault failed the try, or whose error is not ours or
has lost its code or request id.

    python benchmarks/faults.py [--cases 3000] [--seed 1] [--at-once 5] [--only train canary …] [--case '<JSON>']

prints one JSON line: {"cases", "wrong", "paths", "calls", "kinds": {kind: [cases, wrong]}, "seconds"}; each wrong case
goes to standard error as JSON that `--case` takes, with what is wrong, and the counts after each hundred.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
# Airflow's loggers keep the standard output of their first line, but not in tests: what they say is judged.
os.environ["PYTEST_VERSION"] = "none"
from airflow_provider_pai.emulator import Emulator  # noqa: E402
from tests.fire.case import EXTENTS, KINDS, Case, Found, calls_of, play, waits  # noqa: E402
from tests.fire.stage import PATHS  # noqa: E402

# A task that neither ends nor fails in so many seconds is wrong, too.
PATIENCE = 90
TELL_EVERY = 100
"""Cases."""


class HungError(BaseException):
    """The time of a case is over."""


@cache
def emulator() -> Emulator:
    """Return this process's own."""
    return Emulator(dwell=0.002, grace=0.2, gateway_lag=0).start()


def begin() -> None:
    """Make a process ready for cases."""
    signal.signal(signal.SIGALRM, hung)
    emulator()
    # Airflow warns on standard output of each operator that no task runner has called.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def hung(*_: Any) -> None:
    raise HungError


def look(path: str, deferrable: bool) -> Counter[str]:
    """Return the calls of a path."""
    return calls_of(emulator(), path, deferrable)


def judged(case: Case) -> Found:
    """Play a case."""
    signal.alarm(PATIENCE)
    try:
        return play(emulator(), case)
    except HungError:
        return Found(True, [f"neither ended nor failed within {PATIENCE} s"], [])
    except Exception as error:  # noqa: BLE001 - told as a wrong case
        return Found(True, [f"the bench itself: {error!r}"], [])
    finally:
        signal.alarm(0)
        emulator().account.faults.clear()


def drawn(calls: dict[tuple[str, bool], Counter[str]], dice: random.Random) -> Iterator[Case]:
    """Yield every case once, in an order that the seed gives."""
    every = [(*key, call) for key, found in calls.items() for call in found]
    cases = list(product(every, KINDS, EXTENTS))
    dice.shuffle(cases)
    for (path, deferrable, call), kind, extent in cases:
        times = calls[path, deferrable][call]
        # A call that is made often is hit at the first, or at any: how often it is made differs from run to run.
        skip = dice.randrange(times) // 2 if dice.random() < 0.5 else 0
        yield Case(path, deferrable, call, skip, kind, extent, dice.randrange(100))


def campaign(pool: ProcessPoolExecutor, options: argparse.Namespace) -> dict[str, Any]:
    """Play as many cases as were asked for, and count."""
    begun = time.monotonic()
    keys = [(path, way) for path in PATHS if not options.only or path in options.only for way in waits(path)]
    dice, every = random.Random(options.seed), dict(zip(keys, pool.map(look, *zip(*keys, strict=True)), strict=True))
    cases, played, wrong = drawn(every, dice), Counter[str](), Counter[str]()
    waiting: dict[Any, Case] = {}

    def counts() -> dict[str, Any]:
        return {
            "cases": played.total(),
            "wrong": wrong.total(),
            "paths": len(every),
            "calls": sum(map(len, every.values())),
            "kinds": {kind: [played[kind], wrong[kind]] for kind in KINDS},
            "seconds": round(time.monotonic() - begun),
        }

    while True:
        # A fault may meet no call: another case takes its place.
        while len(waiting) < 2 * options.at_once and played.total() + len(waiting) < options.cases:
            if (case := next(cases, None)) is None:
                break
            waiting[pool.submit(judged, case)] = case
        if not waiting:
            break
        done = next(as_completed(waiting))
        case, found = waiting.pop(done), done.result()
        played[case.kind] += found.hit
        wrong[case.kind] += bool(found.wrong)
        if found.wrong:
            print(json.dumps({"case": case, "wrong": found.wrong}), file=sys.stderr, flush=True)
        if found.hit and played.total() % TELL_EVERY == 0:
            print(json.dumps(counts()), file=sys.stderr, flush=True)
    return counts()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=5, help="processes, each with an emulator of its own")
    parser.add_argument("--only", nargs="*", default=[], help="these paths alone")
    parser.add_argument("--case", help="this case alone, as it was told")
    options = parser.parse_args(arguments)
    fresh = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        processes = 1 if options.case else options.at_once
        pool = stack.enter_context(ProcessPoolExecutor(processes, fresh, begin))
        if options.case:
            found = pool.submit(judged, Case(*json.loads(options.case))).result()
            print(json.dumps(found._asdict(), indent=1))
        else:
            print(json.dumps(campaign(pool, options)))


if __name__ == "__main__":
    main()
