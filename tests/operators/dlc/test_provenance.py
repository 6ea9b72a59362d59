"""Provenance of an artifact, as the job that made it tells."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_manifest, unfinished_artifact
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dlc.provenance import job_facts
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

TRAIN = """\
import json, os, pathlib
out = pathlib.Path(os.environ["PAI_OUTPUT_DIR"])
(out / "model").write_text("m")
(out / "metrics.json").write_text(json.dumps({"accuracy": 0.9}))
"""


def task(bucket, run_id, **changes):
    OssHook().put(f"oss://{bucket.bucket_name}/code/train.py", TRAIN)
    given = {
        "task_id": "task",
        "framework": "pytorch",
        "roles": {"Master": 1, "Worker": 1},
        "ecs_spec": "ecs.g6.large",
        "image": "registry.example.com/ml/torch:2",
        "code": {"uri": f"oss://{bucket.bucket_name}/code/"},
        "entry_script": "train.py",
        "output": f"oss://{bucket.bucket_name}/models/digits",
        "poll_interval": 0.02,
    }
    return Task(lambda: DlcSubmitJobOperator(**{**given, **changes}), run_id=f"{bucket.bucket_name}-{run_id}")


def test_an_artifact_tells_nodes_times_image_packages_and_the_manifest_the_request(bucket):
    made = task(bucket, "all").run()
    assert made["instances"] == {"ecs.g6.large": 2}
    assert made["status_seconds"].keys() >= {"Creating", "Queuing", "EnvPreparing", "Running"}
    assert made["image_digest"].startswith("sha256:")
    assert made["image_note"] is None
    assert made["environment"] == "environment.txt"
    assert made["code"]["entry"] == 'python "$PAI_CODE_DIR"/train.py'
    packages = OssHook().get(made["uri"] + "environment.txt").decode().splitlines()
    assert packages[0].startswith("python 3.")
    assert any(line.startswith("oss2==") for line in packages)
    assert any(line.startswith("cuda ") for line in packages)
    request = read_manifest(OssHook(), made["uri"]).request
    sent = DlcHook().describe(made["job"]["id"])
    assert [request[name] for name in ("UserCommand", "Envs")] == [sent[name] for name in ("UserCommand", "Envs")]
    assert "request" not in made


def test_a_command_of_the_users_own_writes_no_environment_and_an_image_that_nobody_knows_has_a_note(bucket):
    save = "echo m > $PAI_OUTPUT_DIR/model"
    made = task(bucket, "plain", entry_script=None, code=None, command=save, image="train:1").run()
    assert (made["environment"], made["files"]) == (None, 1)
    assert (made["image_digest"], made["image_note"]) == (None, "its name has no registry that could be asked")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_an_image_without_python_trains_all_the_same(bucket, world, shell):
    world(dlc_shell=shell)
    OssHook().put(f"oss://{bucket.bucket_name}/code/go.sh", "PATH=/usr/bin:/bin; echo m > $PAI_OUTPUT_DIR/model")
    made = task(bucket, shell, entry_script="go.sh", env={"PATH": "/bin"}).run()
    assert made["files"] == 2
    assert OssHook().get(made["uri"] + "environment.txt").decode().splitlines()[-1] == "cuda unknown"


def test_a_secret_stays_out_of_the_manifest(bucket):
    made = task(bucket, "secret", env={"API_TOKEN": "s3cr3t-value", "DEPTH": "7"}).run()
    kept = OssHook().get(made["uri"] + "_manifest.json").decode()
    assert "s3cr3t-value" not in kept
    assert read_manifest(OssHook(), made["uri"]).request["Envs"].items() >= {"API_TOKEN": "***", "DEPTH": "7"}.items()


def test_an_equal_model_has_an_equal_content_digest_and_a_manifest_of_its_own(bucket):
    first, second = (task(bucket, name, entry_script="train.py").run() for name in ("one", "two"))
    assert first["content_digest"] == second["content_digest"]
    assert first["digest"] != second["digest"]


def test_the_bundle_of_the_dag_file_is_named_where_airflow_has_bundles(bucket):
    one = task(bucket, "bundle")
    context, identity = one.context(), one.make().identity(one.context())

    def producer():
        found = unfinished_artifact(context, identity, name="m", version="v", uri="oss://b/v/").produced_by
        return found.bundle, found.bundle_version

    assert producer() == (None, None)
    context["ti"].bundle_instance = SimpleNamespace(name="dags", version="c0ffee")
    assert producer() == ("dags", "c0ffee")


def entry(status, start=None):
    return {"Status": status, "StartTime": start}


@pytest.mark.parametrize(
    ("job", "instances", "seconds"),
    [
        ({}, {}, {}),
        (
            {"JobSpecs": [{"ResourceConfig": {"CPU": "4", "Memory": "8Gi", "GPU": ""}, "PodCount": 3}]},
            {"CPU 4, Memory 8Gi": 3},
            {},
        ),
        (
            {
                "StatusHistory": [
                    entry("Queuing", "2026-11-21T18:00:00Z"),
                    entry("Running", "2026-11-21T18:00:05Z"),
                    entry("Restarting", "2026-11-21T18:01:05Z"),
                    entry("Running", "2026-11-21T18:01:10Z"),
                    entry("Failed", "2026-11-21T18:01:20Z"),
                ]
            },
            {},
            {"Queuing": 5, "Running": 70, "Restarting": 5},
        ),
        ({"JobSpecs": "two", "StatusHistory": [{"Status": 1}]}, {}, {}),
        (
            {"StatusHistory": [entry("Queuing"), entry("Running", "soon"), entry("Failed", "2026-11-21T18:01:20Z")]},
            {},
            {},
        ),
    ],
)
def test_of_what_getjob_does_not_tell_nothing_is_said(job, instances, seconds):
    assert job_facts(job) == {"instances": instances, "status_seconds": seconds}
    assert json.dumps(job_facts(job))
