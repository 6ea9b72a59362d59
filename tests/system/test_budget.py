"""A backfill that a budget ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pai.labels import legal_name
from tests.system.conftest import Run

DAG_ID, PARALLEL = "budget", 4
FIRST = datetime(2026, 1, 1, 16, tzinfo=UTC)  # midnight of Shanghai


@pytest.mark.timeout(240)
def test_thirty_nights_with_a_budget_stop_at_some_night_and_say_so(api, stack, dlc):
    one = Run(stack, api, dlc, DAG_ID, "")
    api.wait_for_dag(DAG_ID)
    # While it is paused: runs of a backfill that SQLite refuses half way are seen, and started, and are gone.
    backfill = api.backfill(DAG_ID, FIRST, FIRST + timedelta(days=29), {}, parallel=PARALLEL)
    api.set_paused(DAG_ID, False)
    one.until("the backfill is done", lambda: api.backfill_done(backfill), timeout=200)
    runs = api.runs(DAG_ID)
    paid = [run["dag_run_id"] for run in runs if run["state"] == "success"]
    refused = [run["dag_run_id"] for run in runs if run["state"] == "failed"]
    assert (len(runs), bool(paid), len(paid) + len(refused)) == (30, True, 30)
    jobs = list(dlc.list_jobs(tags={"airflow_dag_id": DAG_ID}))
    assert sorted(job["Settings"]["Tags"]["airflow_run_id"] for job in jobs) == sorted(map(legal_name, paid))
    used = [job["Duration"] for job in sorted(jobs, key=lambda job: job["GmtCreateTime"])]
    assert sum(used[:-PARALLEL]) < 10 <= sum(used), "it stopped no earlier than it had to, and no later"
    for run_id in (refused[0], refused[-1]):
        said = api.log(DAG_ID, run_id, "train", 1)
        assert any("the budget is used up" in line and "of 10 seconds of instance time" in line for line in said), said
        assert Run(stack, api, dlc, DAG_ID, run_id).task("train")["try_number"] == 1, "no retry is cheaper"
