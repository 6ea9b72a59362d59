"""On Airflow 2.11 too, a task that ends without its job takes it along within 30 seconds, and nothing else does."""

from __future__ import annotations

import re
import time

import pytest

from airflow_provider_pai.testing.killing import frozen
from tests.system2.conftest import HOME, Airflow

DEFERRED = ("late", "done", "marked", "cleared", "moved", "kept")


@pytest.fixture(scope="module")
def one(start):
    """A run of `waits` whose tasks have all been deferred."""
    run = start("waits")
    for task_id in DEFERRED:
        run.until(f"{task_id} was deferred", lambda task_id=task_id: run.task(task_id).next_method is not None, 120)
    return run


def test_a_job_that_ends_ends_its_task(one):
    one.until("done", lambda: one.state("done") == "success", 60)
    assert one.job_statuses("done") == ["Succeeded"]
    job = one.jobs("done")[0]["JobId"]
    (link,) = one.dag.get_task("done").operator_extra_link_dict.values()
    assert job in link.get_link(None, ti_key=one.task("done").key)


def test_an_execution_timeout_stops_the_job(one):
    one.until("the job is stopped", lambda: one.job_statuses("late") == ["Stopped"], 60)
    one.until("the task failed", lambda: one.state("late") == "failed", 60)


def test_a_mark_stops_the_job_unless_it_is_to_be_kept(one):
    one.mark("kept", "failed")
    one.mark("marked", "failed")
    one.until("marked: the job is stopped", lambda: one.job_statuses("marked") == ["Stopped"], 30)
    one.until("kept: its trigger is gone", lambda: one.task("kept").trigger_id is None, 30)
    assert one.job_statuses("kept") == ["Running"]


def test_a_clear_leaves_one_job(one):
    one.clear("cleared")
    one.until("the old job is stopped", lambda: one.job_statuses("cleared")[0] == "Stopped", 30)
    one.until("a new job runs", lambda: one.job_statuses("cleared") == ["Stopped", "Running"], 60)
    one.until("it is waited for", lambda: one.state("cleared") == "deferred", 30)
    assert one.job_statuses("cleared") == ["Stopped", "Running"]


@pytest.mark.parametrize("end", [Airflow.stop, Airflow.kill])
def test_a_triggerer_that_restarts_stops_nothing(one, airflow, end):
    first = triggerer_of(one, "moved")
    assert first is not None
    end(airflow, "triggerer")
    airflow.start("triggerer")
    one.until("taken up", lambda: triggerer_of(one, "moved") not in (None, first), 60)
    assert one.state("moved") == "deferred"
    assert one.job_statuses("moved") == ["Running"]
    assert one.job_statuses("cleared")[1:] == ["Running"]


def test_a_triggerer_that_loses_its_trigger_stops_nothing(one, airflow):
    first = triggerer_of(one, "moved")
    with frozen(airflow.below("triggerer"), HOME / "airflow.db"):
        airflow.start("triggerer", call_it="second triggerer")
        one.until("the second triggerer took over", lambda: triggerer_of(one, "moved") not in (None, first), 60)
        before = airflow.log("triggerer").count("completed")
    one.until("the first gave its triggers up", lambda: airflow.log("triggerer").count("completed") > before, 30)
    time.sleep(3)
    assert (one.state("moved"), one.job_statuses("moved")) == ("deferred", ["Running"])
    assert one.job_statuses("cleared")[1:] == ["Running"]
    # Marked while nobody holds its trigger, a task would leave its job to `jobs orphans`: Airflow drops the trigger.
    before = starts(airflow, "moved")
    airflow.stop("second triggerer")
    one.until("the first waits again", lambda: starts(airflow, "moved") > before, 60)


def test_the_next_triggerer_stops_the_job_of_a_marked_task(one):
    one.mark("moved", "success")
    one.until("moved: the job is stopped", lambda: one.job_statuses("moved") == ["Stopped"], 30)
    assert "the task is finished (failed)" in orphans(one)


def test_a_timeout_that_no_triggerer_sees_stops_the_job(start, airflow):
    airflow.kill("triggerer")
    run = start("unwatched")
    run.until("it is deferred", lambda: run.state("late") == "deferred", 60)
    run.until("its job runs", lambda: run.job_statuses("late") == ["Running"], 10)
    run.until("unwatched: the job is stopped", lambda: run.job_statuses("late") == ["Stopped"], 60)
    run.until("unwatched: the task failed", lambda: run.state("late") == "failed", 30)
    airflow.start("triggerer")


def triggerer_of(run, task_id):
    """Return the id of the triggerer that holds a task's trigger."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(Trigger.triggerer_id).filter_by(id=run.task(task_id).trigger_id).scalar()


def starts(airflow, task_id):
    """Return how often the triggerer has begun to wait for a task."""
    return len(re.findall(rf"/{task_id}/\S+ \(ID \d+\) starting", airflow.log("triggerer")))


def orphans(run):
    """Return what the shell says of jobs that run for nobody."""
    return run.airflow.command("python", "-m", "airflow_provider_pai.cli", "jobs", "orphans")


def test_a_task_marked_while_its_worker_waits_stops_its_job(start):
    run = start("works")
    run.until("the job runs", lambda: run.job_statuses("in_worker") == ["Running"], 60)
    run.mark("in_worker", "failed")
    run.until("in_worker: the job is stopped", lambda: run.job_statuses("in_worker") == ["Stopped"], 30)
