"""Jobs that are paid for until a task gives up: retried by their cause, and by Airflow's `retries` alone.

Each failure of `tests/failures.py` comes at every try of a task with two retries, in the worker and deferred, on the
same emulator: with `retry_on="auto"`, ours, and with `retry_on="always"`, which is what every other operator does.

    python benchmarks/retries.py

prints one JSON line: {"airflow", "tasks", "ours": {"jobs", "by_failure": {…}}, "plain": {…}}.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
import airflow  # noqa: E402

from airflow_provider_pai.emulator import Emulator  # noqa: E402
from airflow_provider_pai.emulator.connection import connection_to  # noqa: E402
from tests.failures import FAILURES, SETTINGS, play  # noqa: E402

WAYS = (False, True)


def paid(pai: Emulator, retry_on: str) -> dict[str, object]:
    """Return how many jobs were made for each failure, in the worker and deferred."""
    jobs = {
        name: [play(pai, f"{retry_on}-{name}-{way}", failure, retry_on=retry_on, deferrable=way).jobs for way in WAYS]
        for name, failure in FAILURES.items()
    }
    return {"jobs": sum(map(sum, jobs.values())), "by_failure": jobs}


def main() -> None:
    """Measure both."""
    logging.disable(logging.CRITICAL)
    with Emulator(**SETTINGS) as pai:
        pai.account.change_world({"dlc_too_large": "fails"})
        os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection_to(pai.endpoints.to_dict(), deployment="bench"))
        figures = {"ours": paid(pai, "auto"), "plain": paid(pai, "always")}
    print(json.dumps({"airflow": airflow.__version__, "tasks": len(FAILURES) * len(WAYS), **figures}))


if __name__ == "__main__":
    main()
