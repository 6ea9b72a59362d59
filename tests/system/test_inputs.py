"""Data that is replaced between submit and read: the artifact tells, its gate refuses; pinned, it is not felt."""

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.hooks.oss import OssHook

DATA = "oss://inputs/data/rows.csv"


@pytest.mark.timeout(180)
def test_a_model_of_data_that_was_replaced_goes_no_further_and_one_of_pinned_data_does(run, dlc, api):
    oss = dlc.sibling(OssHook)
    oss.create_bucket("inputs")
    oss.put(DATA, "old")
    one = run("inputs")
    one.until("both jobs run", lambda: {one.job_status(task) for task in ("read", "pinned")} == {"Running"}, timeout=60)
    oss.put(DATA, "new")
    states = {"read_gate": "skipped", "pinned_gate": "success"}
    one.until("the gates have judged", lambda: {task: one.task(task)["state"] for task in states} == states, timeout=60)
    read, pinned = (ModelArtifact.from_dict(api.xcom(one.dag_id, one.run_id, task)) for task in ("read", "pinned"))
    # What the other has read is not asked: the emulator's mounts are copies, made when a job begins.
    assert oss.get(pinned.uri + "model") == b"old"
    assert read.inputs[0].digest == pinned.inputs[0].digest
    assert (read.changed_inputs, pinned.changed_inputs) == ({"data": "1 objects: replaced rows.csv"}, {})
    # The bundle's name is Airflow's own for AIRFLOW__CORE__DAGS_FOLDER, which has no versions.
    assert (pinned.produced_by.bundle, pinned.produced_by.bundle_version) == ("dags-folder", None)
    assert "Running" in pinned.status_seconds
    said = one.cli("pai", "models", "reproduce", pinned.version, "--yes", "--output", "oss://inputs/again")
    assert f"IDENTICAL: {pinned.version}, trained again by dlc" in said
