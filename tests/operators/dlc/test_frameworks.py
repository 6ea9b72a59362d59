import os
import subprocess

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.dlc.frameworks import FRAMEWORKS, check_success_policy, job_specs, replicas

ONE_OF_A_KIND = [(name, role) for name, row in FRAMEWORKS.items() for role in row.roles if row.roles[role].single]


@pytest.mark.parametrize(
    ("name", "workers", "roles", "counts"),
    [
        ("pytorch", None, None, {"Worker": 1}),
        ("python", None, None, {"Worker": 1}),
        ("pytorch", "3", None, {"Worker": 3}),
        ("pytorch", None, {"Worker": 2, "Master": 1}, {"Master": 1, "Worker": 2}),
        ("pytorch", 2, {}, {"Worker": 2}),
        ("ray", 4, None, {"Head": 1, "Worker": 4}),
        ("ray", None, {"Worker": "4"}, {"Head": 1, "Worker": 4}),
        ("mxnet", None, {"Server": 2, "Worker": 3}, {"Scheduler": 1, "Server": 2, "Worker": 3}),
        ("tensorflow", None, {"Evaluator": 1, "PS": 2, "Chief": 1}, {"Chief": 1, "PS": 2, "Evaluator": 1}),
    ],
)
def test_counts_stand_in_the_frameworks_order_with_the_nodes_that_are_always_there(name, workers, roles, counts):
    assert list(replicas(name, workers, roles).items()) == list(counts.items())


@pytest.mark.parametrize(
    ("name", "workers", "roles", "message"),
    [
        ("caffe", 1, None, "framework: 'caffe' is not allowed; one of tensorflow, pytorch"),
        ("pytorch", 2, {"Worker": 2}, "at most one of the two"),
        ("pytorch", None, {"PS": 1}, "roles: 'PS' .* pytorch has Master, Worker"),
        ("pytorch", 0, None, "workers: 0 "),
        ("python", 2, None, "workers: 2 is not allowed; python has exactly one Worker"),
        ("pytorch", True, None, "workers: True "),
        ("pytorch", "2.5", None, "workers: '2.5' "),
        ("pytorch", None, {"Worker": "many"}, r"roles\['Worker'\]: 'many' "),
    ],
)
def test_what_makes_no_job_is_refused(name, workers, roles, message):
    with pytest.raises(PaiConfigError, match=message):
        replicas(name, workers, roles)


@pytest.mark.parametrize(("name", "role"), ONE_OF_A_KIND)
def test_of_some_nodes_there_is_exactly_one(name, role):
    with pytest.raises(PaiConfigError, match=f"{role}.*exactly one"):
        replicas(name, None, {role: 2})


def test_job_specs_have_what_is_common_and_each_roles_own():
    specs = job_specs("tensorflow", {"Chief": 1, "Worker": 2}, "train", {"Image": "i"})
    assert specs == [
        {"Type": "Chief", "PodCount": 1, "IsChief": True, "Image": "i"},
        {"Type": "Worker", "PodCount": 2, "Image": "i"},
    ]


def test_mxnets_nodes_find_their_scheduler_in_what_a_tf_job_tells_them():
    scheduler, server, worker = job_specs("mxnet", {"Scheduler": 1, "Server": 2, "Worker": 3}, "env", {})
    assert [spec["Type"] for spec in (scheduler, server, worker)] == ["Chief", "PS", "Worker"]
    environment = {
        "PATH": os.environ["PATH"],
        "TF_CONFIG": '{"cluster": {"chief": ["dlc1-chief-0:2222"], "ps": ["x:1"]}}',
    }
    printed = subprocess.run(
        ["sh", "-c", server["UserCommand"]], env=environment, capture_output=True, text=True, check=True
    ).stdout
    told = dict(line.split("=", 1) for line in printed.splitlines() if line.startswith("DMLC_"))
    assert told == {
        "DMLC_ROLE": "server",
        "DMLC_NUM_SERVER": "2",
        "DMLC_NUM_WORKER": "3",
        "DMLC_PS_ROOT_URI": "dlc1-chief-0",
        "DMLC_PS_ROOT_PORT": "2222",
        "DMLC_USE_KUBERNETES": "1",
    }


@pytest.mark.parametrize(
    ("name", "policy", "message"),
    [("tensorflow", "First", "one of AllWorkers, ChiefWorker"), ("pytorch", "AllWorkers", "only tensorflow has one")],
)
def test_a_success_policy_that_the_framework_has_not_is_refused(name, policy, message):
    with pytest.raises(PaiConfigError, match=message):
        check_success_policy(name, policy)


@pytest.mark.parametrize(("name", "policy"), [("tensorflow", "ChiefWorker"), ("pytorch", None)])
def test_a_success_policy_that_it_has_or_none_is_fine(name, policy):
    check_success_policy(name, policy)
