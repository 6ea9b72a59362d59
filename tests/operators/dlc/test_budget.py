"""A budget is asked before a job is made, over all that its DAG has spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.costs import Nodes, Usage
from airflow_provider_pai.exceptions import PaiBudgetError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.ledger import Event, Ledger, LedgerError
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from tests.dead import dead
from tests.task import Task, WorkerLostError, lost_now

pytestmark = pytest.mark.usefixtures("connection")

BUDGET = {"per_run": "1s"}


@pytest.fixture
def train(bucket):
    """Make a task of one run."""

    def make(budget=BUDGET, **changes):
        given = {"task_id": "task", "framework": "python", "ecs_spec": "ecs.g6.large", "image": "i", "command": "true"}
        return Task(
            lambda: DlcSubmitJobOperator(**{**given, "poll_interval": 0.02, "budget": budget, **changes}),
            run_id=bucket.bucket_name,
        )

    return make


def jobs_of(run):
    return list(DlcHook().list_jobs(tags={Key.RUN_ID: run.run_id}))


def test_who_has_spent_what_he_may_makes_no_job_even_when_he_clears(train):
    run = train(command="sleep 1.2")
    run.run()
    run.max_tries += 1  # as a clear does
    told = r"the budget is used up: [1-3] seconds? of 1 second of instance time are spent by run test-"
    with pytest.raises(PaiBudgetError, match=told):
        run.run()
    assert len(jobs_of(run)) == 1
    row = next(row for row in Ledger.open().rows() if row.kind == "over_budget")
    assert row.subject == "dag"
    with pytest.raises(AirflowSkipException, match="the budget is used up"):
        train({**BUDGET, "over": "skip"}).run()


def test_a_try_that_goes_on_with_its_job_asks_no_budget(train, monkeypatch):
    run = train(command="sleep 1.2")
    with monkeypatch.context() as patch:
        patch.setattr(DlcSubmitJobOperator, "wait_here", lost_now)
        with pytest.raises(WorkerLostError):
            run.run()
    assert run.run()["status"] == "Succeeded"
    assert len(jobs_of(run)) == 1


def test_what_the_ledger_tells_counts_though_no_list_shows_it(train):
    run, ended = train(), datetime.now(UTC)
    usage = Usage(
        service="dlc",
        id="dlc-deleted",
        status="Failed",
        began=(ended - timedelta(hours=1)).isoformat(),
        ended=ended.isoformat(),
        seconds=3600,
        nodes=(Nodes(type="ecs.g6.large", count=2),),
    )
    origin = {"dag_id": "dag", "run_id": run.run_id, "task_id": "task", "map_index": -1}
    Ledger.open().record(Event.used(usage, origin, task="x"))
    with pytest.raises(PaiBudgetError, match="2 hours of 1 second"):
        run.run()
    assert jobs_of(run) == []


def test_a_ledger_that_can_not_be_read_fails_the_try_before_a_job_is_made(train):
    run = train()
    with dead("refused"), pytest.raises(LedgerError, match="What the DAG has spent can't be read"):
        run.run()
    assert jobs_of(run) == []
    assert run.run()["status"] == "Succeeded"
