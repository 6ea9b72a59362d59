"""The example DAGs that the demo does not play run on a real Airflow."""

from __future__ import annotations

import importlib.util
import time

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from demo.material import load_samples, upload_for_examples
from tests.system.conftest import EXAMPLES, Run, unpause

BUCKET = "examples"


@pytest.fixture
def digits(dlc):
    """The digits and the training scripts on OSS, as the examples expect them."""
    oss = OssHook()
    oss.create_bucket(BUCKET)
    upload_for_examples(oss, BUCKET, *load_samples(), EXAMPLES)


@pytest.mark.usefixtures("digits")
def test_the_best_of_a_sweep_goes_on(run, api):
    grid = {"max_depth": [1, 4], "learning_rate": [0.05, 0.3]}
    one = run("pai_hyperparameter_sweep", bucket=BUCKET, grid=grid)
    one.until("the best model is verified", lambda: one.task("artifact")["state"] == "success", timeout=100)
    jobs = one.jobs("train")
    assert len(jobs) == 4
    for index in range(4):
        links = api.request("GET", one.path("train", f"links?map_index={index}"))["extra_links"]
        (job,) = (job for job in jobs if job["Settings"]["Tags"]["airflow_map_index"] == str(index))
        assert job["JobId"] in links["PAI DLC job"]
    best = api.xcom(one.dag_id, one.run_id, "artifact")
    assert (best["params"]["max_depth"], best["params"]["learning_rate"]) == (4, 0.3)
    assert best["metrics"]["accuracy"] > 0.9
    assert best["code"]["commit"].startswith("sha256:")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.usefixtures("digits")
def test_pytorch_processes_train_together(run, api):
    one = run("pai_distributed_pytorch", bucket=BUCKET, epochs=5)
    one.until("the TensorBoard is up", lambda: one.task("tensorboard")["state"] == "success", timeout=180)
    model = api.xcom(one.dag_id, one.run_id, "train")
    assert model["metrics"]["processes"] == 2
    assert model["metrics"]["accuracy"] > 0.85
    assert api.xcom(one.dag_id, one.run_id, "tensorboard")["url"].startswith("http")


@pytest.mark.usefixtures("digits")
def test_spot_training_goes_on_where_it_was_lost(run, api, stack):
    given = {"bucket": BUCKET, "epochs": 40, "checkpoint_every": 2, "pause": 0.25}
    struck, calm = run("pai_spot_training", **given), run("pai_spot_training", **given)
    for count in (1, 2):
        struck.until(f"job {count} has a checkpoint", lambda count=count: has_saved(struck, count), timeout=60)
        stack.control("POST", "preempt", {"job_id": struck.jobs("train")[-1]["JobId"]})
    for one in (struck, calm):
        one.until("the model is there", lambda one=one: one.task("train")["state"] == "success", timeout=100)
    models = [api.xcom(one.dag_id, one.run_id, "train") for one in (struck, calm)]
    for name in ("model.npz", "params.json"):
        assert OssHook().get(f"{models[0]['uri']}{name}") == OssHook().get(f"{models[1]['uri']}{name}")
    assert [model["metrics"]["attempts"] for model in models] == [3, 1]
    assert models[0]["metrics"]["epochs_not_computed_again"] >= 2 + 4
    assert [job["Status"] for job in struck.jobs("train")] == ["Failed", "Failed", "Succeeded"]


def has_saved(one, count):
    """Tell whether the last of so many jobs has written a checkpoint itself."""
    jobs = one.jobs("train")
    if len(jobs) != count or jobs[-1]["Status"] != "Running":
        return False
    job_id = jobs[-1]["JobId"]
    return any("checkpoint after" in line for line in one.dlc.pod_logs(job_id, f"{job_id}-master-0"))


def test_a_dag_runs_when_data_lands(stack, api, dlc):
    oss = OssHook()
    oss.create_bucket("my-team")
    oss.put("oss://my-team/landing/a.csv", "1\n2\n")
    oss.put("oss://my-team/landing/other.txt", "x")
    unpause(api, "pai_oss_landing")
    first = landed(stack, api, dlc, 1)
    first.until("the first is verified", lambda: first.task("verified")["state"] == "success", timeout=100)
    assert api.xcom(first.dag_id, first.run_id, "landed") == ["oss://my-team/landing/a.csv"]
    assert api.xcom(first.dag_id, first.run_id, "count") == 2
    assert oss.get(api.xcom(first.dag_id, first.run_id, "manifest")["uri"] + "count.txt") == b"2"
    oss.put("oss://my-team/landing/b.csv", "3\n")
    second = landed(stack, api, dlc, 2)
    second.until("the second is verified", lambda: second.task("verified")["state"] == "success", timeout=100)
    assert api.xcom(second.dag_id, second.run_id, "landed") == ["oss://my-team/landing/b.csv"]


def landed(stack, api, dlc, number, timeout=100):
    """Wait for a run of the landing DAG and return it."""
    deadline = time.monotonic() + timeout
    while len(runs := api.runs("pai_oss_landing")) < number:
        assert time.monotonic() < deadline, f"no run {number}"
        time.sleep(0.5)
    newest = max(runs, key=lambda one: one["run_after"])
    return Run(stack, api, dlc, "pai_oss_landing", newest["dag_run_id"])
