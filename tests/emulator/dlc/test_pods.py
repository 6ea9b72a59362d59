from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_pai.emulator.dlc.pods import Pod, deciding, environment, is_retryable, mpi_files, plan


def request(job_type, *roles, **fields):
    specs = [{"Type": role, "PodCount": count, "EcsSpec": "ecs.g6.large"} for role, count in roles]
    return {"JobType": job_type, "JobSpecs": specs, "UserCommand": "train", **fields}


@pytest.mark.parametrize(
    ("job_type", "roles", "suffixes"),
    [
        ("PyTorchJob", [("Worker", 2), ("Master", 1)], ["master-0", "worker-0", "worker-1"]),
        ("PyTorchJob", [("Worker", 2)], ["master-0", "worker-0"]),
        ("TFJob", [("PS", 1), ("Worker", 1), ("Chief", 1)], ["chief-0", "ps-0", "worker-0"]),
        ("RayJob", [("Worker", 1), ("Head", 1)], ["head-0", "worker-0"]),
    ],
)
def test_the_leader_has_rank_0(job_type, roles, suffixes):
    pods = plan(request(job_type, *roles))
    assert [(pod.rank, pod.suffix) for pod in pods] == list(enumerate(suffixes))


def test_pods_that_are_led_only_lend_their_place():
    assert [pod.command for pod in plan(request("MPIJob", ("Launcher", 1), ("Worker", 1)))] == [
        "train",
        "sleep infinity",
    ]


@pytest.mark.parametrize(
    ("fields", "roles", "suffixes"),
    [
        ({"JobType": "PyTorchJob"}, [("Master", 1), ("Worker", 1)], ["master-0"]),
        ({"JobType": "TFJob"}, [("Chief", 1), ("Worker", 1), ("PS", 1)], ["chief-0", "worker-0"]),
        ({"JobType": "TFJob", "SuccessPolicy": "ChiefWorker"}, [("Chief", 1), ("Worker", 1)], ["chief-0"]),
        ({"JobType": "TFJob", "SuccessPolicy": "ChiefWorker"}, [("Worker", 2)], ["worker-0"]),
        ({"JobType": "TFJob"}, [("PS", 1)], ["ps-0"]),
    ],
)
def test_the_leader_decides_or_the_success_policy(fields, roles, suffixes):
    body = {**request("", *roles), **fields}
    assert [pod.suffix for pod in deciding(body, plan(body))] == suffixes


def test_the_environment_counts_nodes_and_hands_on_what_the_job_adds():
    body = request("PyTorchJob", ("Worker", 2), Envs={"A": "1"}, CustomEnvs=[{"Key": "B", "Value": "2"}])
    pods = plan(body)
    assert environment(body, pods, pods[1], [20000, 20001]) == {
        "A": "1",
        "B": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "20000",
        "WORLD_SIZE": "2",
        "RANK": "1",
        "NPROC_PER_NODE": "1",
    }


def test_the_launcher_of_mpi_has_a_hostfile_of_the_pods_that_work_and_a_way_to_them():
    body = request("MPIJob", ("Launcher", 1), ("Worker", 2))
    launcher, worker, _ = pods = plan(body)
    files = mpi_files("dlc1", pods, Path("/data/pods"))
    assert files["hostfile"] == "dlc1-worker-0 slots=1\ndlc1-worker-1 slots=1\n"
    assert environment(body, pods, launcher, [1, 2, 3])["OMPI_MCA_orte_default_hostfile"] == "/etc/mpi/hostfile"
    assert "OMPI_MCA_plm_rsh_agent" not in environment(body, pods, worker, [1, 2, 3])


def test_an_evaluator_is_no_part_of_tensorflows_cluster():
    body = request("TFJob", ("Worker", 1), ("Evaluator", 1))
    pods = plan(body)
    config = json.loads(environment(body, pods, pods[1], [20000, 20001])["TF_CONFIG"])
    assert config["cluster"] == {"worker": ["127.0.0.1:20000"]}
    assert config["task"] == {"type": "evaluator", "index": 0}


@pytest.mark.parametrize(
    ("policy", "codes"),
    [("Never", set()), ("Always", {1, 137}), ("OnFailure", {1, 137}), ("ExitCode", {137})],
)
def test_a_restart_policy_names_the_ends_that_are_not_for_good(policy, codes):
    pod = Pod("Worker", 0, 0, "train", policy, 0)
    assert {code for code in (0, 1, 137) if is_retryable(pod, code)} == codes
