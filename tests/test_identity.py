from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_pai.identity import Decision, TaggedJob, TaskIdentity, TaskName, decide
from airflow_provider_pai.states import DLC_JOB

ME = TaskIdentity(
    deployment="https://airflow",
    dag_id="d",
    run_id="r",
    task_id="t",
    map_index=-1,
    cycle=2,
    try_number=1,
    started=datetime(2026, 11, 22, tzinfo=UTC),
    moment=datetime(2026, 11, 21, 18, tzinfo=UTC),
)


def job(job_id, status="Running", cycle=2, generation=1, created="2026-11-22T00:00:00Z"):
    return TaggedJob(job_id=job_id, status=status, cycle=cycle, generation=generation, created=created)


@pytest.mark.parametrize("field", ["deployment", "dag_id", "run_id", "task_id", "map_index"])
def test_whatever_names_the_task_instance_changes_its_key(field):
    assert ME._replace(**{field: 7 if field == "map_index" else "other"}).task != ME.task


@pytest.mark.parametrize("field", ["cycle", "try_number"])
def test_a_later_try_or_cycle_keeps_the_task_key(field):
    assert ME._replace(**{field: 9}).task == ME.task


def test_whose_work_it_is_as_labels_and_json_have_it():
    assert ME.owner.labels() == {"airflow_task": ME.task, "airflow_cycle": "2"}
    assert str(ME.owner) == f"{ME.task}/2"
    assert ME.origin == {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    assert (str(ME.name), str(ME.name._replace(map_index=3))) == ("d.t of run r", "d.t[3] of run r")
    assert ME.tags(3) == {**ME.labels(), "airflow_generation": "3"}
    assert TaskName.of(ME.tags(1)) == ME.name


def test_each_generation_and_cycle_has_its_own_version():
    versions = {ME.version(1), ME.version(2), ME._replace(cycle=3).version(1)}
    assert len(versions) == 3
    assert all(version.startswith("20261121T1800Z-") for version in versions)
    assert ME._replace(try_number=5).version(1) == ME.version(1)


def test_tags_can_be_read_back_and_fit_the_limit():
    tags = ME._replace(run_id="x" * 300).tags(3)
    assert max(len(value) for value in tags.values()) <= 128
    read = TaggedJob.read("dlc1", "Running", tags, "now")
    assert (read.cycle, read.generation) == (2, 3)
    assert TaggedJob.read("dlc1", "Running", {"airflow_cycle": "x"}, "now") is None


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], Decision(job_id=None, generation=1)),
        ([job("a")], Decision(job_id="a", generation=1)),
        ([job("a", "Succeeded")], Decision(job_id="a", generation=1)),
        ([job("a", "Failed")], Decision(job_id=None, generation=2, ended="a")),
        ([job("a", "Stopping")], Decision(job_id=None, generation=2, ended="a")),
        ([job("a", "Failed"), job("b", generation=2)], Decision(job_id="b", generation=2)),
        ([job("a", "Failed"), job("b", "Stopped", generation=2)], Decision(job_id=None, generation=3, ended="b")),
        ([job("old", cycle=1)], Decision(job_id=None, generation=1, stop=("old",))),
        ([job("old", "Succeeded", cycle=1)], Decision(job_id=None, generation=1)),
        (
            [job("late", created="2026-11-22T00:00:05Z"), job("first")],
            Decision(job_id="first", generation=1, stop=("late",)),
        ),
        ([job("a", "Creating"), job("a")], Decision(job_id="a", generation=1)),
        ([job("odd", "SomethingNew")], Decision(job_id="odd", generation=1)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_decide(jobs, expected):
    assert decide(jobs, 2, DLC_JOB) == expected
    assert decide(list(reversed(jobs)), 2, DLC_JOB) == expected


@pytest.mark.parametrize(("status", "stop"), [("Succeeded", ()), ("Running", ("a",)), ("Failed", ())])
def test_a_first_try_goes_on_with_nothing_that_a_deleted_run_has_left(status, stop):
    found = decide([job("a", status)], 2, DLC_JOB, first=True)
    assert (found.job_id, found.generation, found.stop) == (None, 2, stop)


def test_a_run_without_a_data_interval_sorts_by_run_after():
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, max_tries=1, try_number=1, start_date=None)
    run = SimpleNamespace(data_interval_end=None, run_after=datetime(2026, 1, 2, tzinfo=UTC), logical_date=None)
    identity = TaskIdentity.from_context({"ti": ti, "dag_run": run}, "x")
    assert identity.version(1).startswith("20260102T0000Z-")
