import json

from airflow_provider_pai.remote import RemoteJob

JOB = RemoteJob("dlc1", "Running", tags={"a": "b"}, facts={"pods": 2})


def test_a_job_crosses_a_boundary_of_json_unchanged():
    assert RemoteJob(**json.loads(json.dumps(JOB.to_dict()))) == JOB


def test_what_a_copy_holds_is_its_own():
    copied = JOB.to_dict()
    copied["facts"]["pods"] = 3
    assert JOB.facts == {"pods": 2}


def test_a_job_that_no_task_has_made_is_nobodys():
    assert JOB.tagged is None
    assert RemoteJob("dlc1", "Running").tagged is None
