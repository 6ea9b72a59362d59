"""Spot and checkpoints: what a later try finds, when it is gone, the same model as of an undisturbed run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.exceptions import PaiConfigError, PaiJobFailedError, PaiPermissionError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from demo.material import EXAMPLES, load_samples, upload_for_examples
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

SPOT = {"discount_limit": 0.5}


def task(bucket, run_id, max_tries=1, **changes):
    given = {
        "task_id": "task",
        "framework": "python",
        "ecs_spec": "ecs.g6.large",
        "image": "train:1",
        "command": "true",
        "checkpoints": f"oss://{bucket}/checkpoints",
        "output": f"oss://{bucket}/models/digits",
        "poll_interval": 0.02,
        "retries": max_tries,
    }
    return Task(lambda: DlcSubmitJobOperator(**{**given, **changes}), run_id=f"{bucket}-{run_id}", max_tries=max_tries)


def left(bucket):
    return [info.uri.key.rpartition("/")[2] for info in OssHook().list_objects(f"oss://{bucket}/checkpoints/")]


# Fails unless an earlier try has been here, and leaves a file each time.
ONCE_MORE = """
ls $PAI_CHECKPOINT_DIR | tr '\\n' ' ' > $PAI_OUTPUT_DIR/found
touch $PAI_CHECKPOINT_DIR/$PAI_ATTEMPT
[ $PAI_ATTEMPT = 2 ]
"""


def found(artifact):
    return OssHook().get(f"{artifact['uri']}found").decode().split()


@pytest.mark.parametrize("keep", [False, True])
def test_tries_share_a_folder_that_a_cleared_task_begins_anew_and_success_deletes(bucket, keep):
    name = bucket.bucket_name
    one = task(name, f"share-{keep}", command=ONCE_MORE, keep_checkpoints=keep)
    with pytest.raises(PaiJobFailedError):
        one.run()
    assert left(name) == ["1"]
    assert found(one.run()) == ["1"]
    assert left(name) == (["1", "2"] if keep else [])
    one.max_tries = 3  # as a clear does
    with pytest.raises(PaiJobFailedError):
        one.run()
    assert found(one.run()) == ["1"]
    assert left(name) == (["1", "2"] * 2 if keep else [])


def test_a_refused_delete_fails_no_paid_job(bucket, monkeypatch, caplog):
    def refuse(*_):
        raise PaiPermissionError("oss", "DeleteObject", "no", code="AccessDenied", status=403)

    monkeypatch.setattr(OssHook, "delete_folder", refuse)
    one = task(bucket.bucket_name, "refused", command="touch $PAI_CHECKPOINT_DIR/c $PAI_OUTPUT_DIR/m")
    assert one.run()["files"] == 1
    assert left(bucket.bucket_name) == ["c"]
    assert "could not be deleted" in caplog.text


@pytest.mark.parametrize(
    ("spot", "on_spot"),
    [(SPOT, [True, True, True]), (SPOT | {"last_try_on_demand": "true"}, [True, True, False])],
)
def test_the_last_try_is_on_demand_if_it_shall_be(bucket, spot, on_spot):
    one = task(bucket.bucket_name, "last", max_tries=2, spot=spot)
    specs = []
    for one.try_number in (1, 2, 3):
        operator = one.make()
        (spec,) = operator.build(one.context(), operator.identity(one.context()), 1)["JobSpecs"]
        specs.append("SpotSpec" in spec)
    assert specs == on_spot


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"checkpoints": "oss://b-1/models/digits/c"},
            "checkpoints: .*/c' .* a folder beside output, oss://b-1/models/",
        ),
        ({"checkpoints": "oss://b-1/models"}, "checkpoints: .* beside output, .* neither in the other"),
        ({"checkpoints": "oss://b-1/"}, "checkpoints: .* beside output, "),
        (
            {"inputs": {"data": "oss://b-1/c/data"}},
            r"checkpoints: 'oss://b-1/c' .* beside inputs\['data'\], oss://b-1/c/d",
        ),
        ({"inputs": {"data": "oss://b-1/c/"}}, r"checkpoints: .* beside inputs\['data'\]"),
        ({"checkpoints": "/mnt/c"}, "checkpoints: '/mnt/c' is not allowed; write oss://"),
        (
            {"framework": "xgboost", "spot": SPOT},
            "spot: .* PAI has it for a PyTorchJob, .* not for a XGBoostJob",
        ),
        ({"framework": "mpi", "spot": SPOT}, "spot: .* not for a MPIJob"),
        ({"spot": SPOT, "resource_id": "quota1"}, "resource_id: 'quota1' .* spot instances are of no quota"),
        ({"spot": SPOT | {"last_try_on_demand": 1}}, r"spot\['last_try_on_demand'\]: 1 is not allowed; true or false"),
        ({"spot": SPOT | {"last_try_on_demand": True}, "retries": 0}, r"spot\['last_try_on_demand'\]: .* retries"),
        ({"spot": {"last_try_on_demand": True}}, "spot: .* exactly one of discount_limit, price_limit"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(PaiConfigError, match=message):
        task("b-1", "bad", **{"checkpoints": "oss://b-1/c", **changes}).make().check()


def test_a_folder_beside_is_none_inside():
    beside = {"output": "oss://b-1/models", "inputs": {"data": "oss://b-2/c", "more": "oss://b-1/checks"}}
    task("b-1", "good", checkpoints="oss://b-1/c", **beside).make().check()
    task("b-1", "lingjun", framework="mpi", ecs_spec="ml.gu7xf.8xlarge-gu108", spot=SPOT).make().check()


def test_a_training_that_is_evicted_twice_ends_with_the_same_model(pai, bucket):
    pytest.importorskip("sklearn")
    name = bucket.bucket_name
    upload_for_examples(OssHook(), name, *load_samples(), EXAMPLES)
    example = {
        "code": {"uri": f"oss://{name}/code/spot"},
        "entry_script": "train.py",
        "command": "",
        "inputs": {"dataset": f"oss://{name}/datasets/digits"},
        "parameters": {"epochs": 12, "checkpoint_every": 2, "pause": 0.2},
        "spot": SPOT,
    }
    calm, struck = (task(name, run_id, max_tries=2, **example) for run_id in ("calm", "struck"))
    with ThreadPoolExecutor() as pool:
        undisturbed = pool.submit(calm.run)
        for _ in range(2):
            trying = pool.submit(struck.run)
            evict_after_a_checkpoint(pai, struck)
            with pytest.raises(PaiJobFailedError) as lost:
                trying.result()
            assert lost.value.cause == "preempted"
        models = [ModelArtifact.from_dict(one) for one in (undisturbed.result(), struck.run())]
    for file in ("model.npz", "params.json"):
        assert OssHook().get(f"{models[0].uri}{file}") == OssHook().get(f"{models[1].uri}{file}")
    first, second = (model.metrics for model in models)
    assert first["accuracy"] == second["accuracy"] > 0.85
    assert (first["attempts"], first["epochs_not_computed_again"]) == (1, 0)
    # At least one interval at the second attempt, and at the third once more that and another.
    assert second["attempts"] == 3
    assert second["epochs_not_computed_again"] >= 2 + 4
    assert left(name) == []


def evict_after_a_checkpoint(pai, one):
    """Take the machine of a task's newest job away, once that job itself has written a checkpoint."""
    identity = one.make().identity(one.context())
    end = time.monotonic() + 60
    while True:
        assert time.monotonic() < end
        time.sleep(0.02)
        jobs = sorted(DlcHook().find(identity), key=lambda job: job.generation)
        if not jobs or jobs[-1].generation != one.try_number:
            continue
        job_id = jobs[-1].job_id
        if any("checkpoint after" in line for line in DlcHook().pod_logs(job_id, f"{job_id}-master-0")):
            pai.call(partial(pai.services.dlc.evict, job_id))
            return
