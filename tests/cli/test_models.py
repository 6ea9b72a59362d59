"""`airflow pai models reproduce`: a model trained again of its manifest alone, and what is said where it can't be."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_pai.cli import reproduce
from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from tests.conftest import commit_file, git
from tests.task import Task

TRAIN = """\
import json, os, pathlib
rows = sorted(pathlib.Path(os.environ["PAI_INPUT_DATA_DIR"]).rglob("*.csv"))
total = sum(float(line) for row in rows for line in row.read_text().split())
out, given = pathlib.Path(os.environ["PAI_OUTPUT_DIR"]), json.loads(os.environ["PAI_PARAMS"])
(out / "model.json").write_text(json.dumps([total, given, os.environ.get("SALT")]))
(out / "metrics.json").write_text(json.dumps({"total": total}))
"""


@pytest.fixture(autouse=True)
def quick(connection, monkeypatch):
    monkeypatch.setattr(reproduce, "POLL_INTERVAL", 0.05)


@pytest.fixture
def model(bucket, tmp_path):
    """What trains a model of two rows by a commit of a branch, and what can be changed afterwards."""
    folder, at = tmp_path / "repository", f"oss://{bucket.bucket_name}"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit_file(folder / "README", "nothing")
    git(folder, "checkout", "--quiet", "-b", "feature")
    commit_file(folder / "train.py", TRAIN)
    git(folder, "checkout", "--quiet", "main")
    for name, text in (("a.csv", "1"), ("b.csv", "2")):
        OssHook().put(f"{at}/data/{name}", text)

    def train(**changes):
        given = {
            "task_id": "task",
            "framework": "python",
            "ecs_spec": "ecs.g6.large",
            "image": "registry.example.com/ml/python:3.11",
            "inputs": {"data": f"{at}/data/"},
            "code": {"repo": f"file://{folder}", "commit": "feature", "branch": "feature"},
            "entry_script": "train.py",
            "parameters": {"depth": 3},
            "output": f"{at}/models/digits",
            "poll_interval": 0.02,
        }
        return Task(lambda: DlcSubmitJobOperator(**{**given, **changes}), run_id=bucket.bucket_name).run()

    return SimpleNamespace(train=train, at=at, repository=folder)


def again(capsys, made, *options):
    """Return how the command ends, what it prints, and what it says beside that."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["models", "reproduce", made["version"], "--yes", *options])
    return SimpleNamespace(code=ended.value.code, **capsys.readouterr()._asdict())


def test_of_pinned_data_and_a_deleted_branch_the_same_model_comes(model, capsys):
    made = model.train(pin=True)
    OssHook().put(f"{model.at}/data/a.csv", "7")
    OssHook().delete(f"{model.at}/data/b.csv")
    git(model.repository, "branch", "-D", "feature")
    done = again(capsys, made)
    assert done.code == 0, done
    assert done.out.startswith(f"IDENTICAL: {made['version']}, trained again by dlc")
    assert made["content_digest"] in done.out
    assert "no branch of file://" in done.err
    row = next(row for row in Ledger.open().rows() if row.kind == "reproduced")
    assert (row.version, row.digest) == (made["version"], made["digest"])
    assert json.loads(row.payload)["verdict"] == "IDENTICAL"


def test_of_a_bucket_with_versions_what_was_overwritten_is_read_as_it_was(model, bucket, capsys):
    import oss2.models

    bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig(oss2.BUCKET_VERSIONING_ENABLE))
    OssHook().put(f"{model.at}/data/a.csv", "1")
    OssHook().put(f"{model.at}/data/b.csv", "2")
    made = model.train()
    OssHook().put(f"{model.at}/data/a.csv", "7")
    OssHook().put(f"{model.at}/data/c.csv", "3")
    assert again(capsys, made).out.startswith("IDENTICAL")


def test_what_was_only_added_is_left_out(model, capsys):
    made = model.train()
    OssHook().put(f"{model.at}/data/c.csv", "3")
    assert again(capsys, made).out.startswith("IDENTICAL")


def test_the_login_of_a_private_registry_is_none_that_a_model_keeps(model, capsys, monkeypatch):
    stored = {"conn_type": "docker", "login": "team", "password": "hunter2-hunter2"}
    monkeypatch.setenv("AIRFLOW_CONN_TEAM_REGISTRY", json.dumps(stored))
    made = model.train(image_conn_id="team_registry")
    refused = again(capsys, made)
    assert "the login of its registry is a secret, which no manifest keeps" in refused.err
    assert str(refused.code).startswith("NOT TRAINED")
    assert again(capsys, made, "--anyway").out.startswith("IDENTICAL")


def test_a_row_that_is_another_now_is_named_before_it_costs_and_with_its_model_where_one_wants_to_know(model, capsys):
    made = model.train()
    OssHook().put(f"{model.at}/data/a.csv", "7")
    jobs = len(list(DlcHook().list_jobs()))
    refused = again(capsys, made)
    assert str(refused.code).startswith(f"NOT TRAINED: {made['version']}")
    assert f"input data, {model.at}/data/: 1 objects: replaced a.csv" in refused.err
    assert len(list(DlcHook().list_jobs())) == jobs
    done = again(capsys, made, "--anyway")
    assert done.code == 1
    assert done.out.splitlines()[1:] == [
        f"input data, {model.at}/data/: 1 objects: replaced a.csv",
        "metric total: 9.0, was 3.0",
        "file metrics.json: other bytes",
        "file model.json: other bytes",
    ]


def test_a_model_of_other_bytes_with_equal_metrics_is_said_to_be_that(model, capsys):
    made = model.train(entry_script=None, command='python "$PAI_CODE_DIR"/train.py; date +%s%N > $PAI_OUTPUT_DIR/when')
    done = again(capsys, made, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["verdict"], told["files"], told["metrics"]) == ("EQUAL METRICS", ["when"], {"total": [3.0, 3.0]})


def test_a_commit_that_is_gone_and_a_secret_are_named(model, capsys):
    made = model.train(env={"API_TOKEN": "s3cr3t-value"})
    git(model.repository, "branch", "-D", "feature")
    git(model.repository, "reflog", "expire", "--expire=now", "--all")
    git(model.repository, "gc", "--quiet", "--prune=now")
    refused = again(capsys, made)
    assert "code: file://" in refused.err
    assert "has no commit" in refused.err
    assert "env API_TOKEN is a secret" in refused.err


def test_code_on_oss_that_is_another_now_is_named(model, capsys):
    OssHook().put(f"{model.at}/code/train.py", TRAIN)
    made = model.train(code={"uri": f"{model.at}/code/"})
    assert again(capsys, made).out.startswith("IDENTICAL")
    OssHook().put(f"{model.at}/code/train.py", f"{TRAIN}#")
    assert "code: code['digest']: " in again(capsys, made).err


def test_an_image_whose_tag_has_moved_is_run_by_its_digest(model, capsys, pai):
    from tests.hooks.test_registry import push

    made = model.train()
    push(pai, made["image"], b"another image")
    done = again(capsys, made)
    assert done.out.startswith("IDENTICAL")
    job = DlcHook().describe(done.out.split("again by ")[1].partition(":")[0])
    assert job["JobSpecs"][0]["Image"] == f"registry.example.com/ml/python@{made['image_digest']}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--yes"], "VERSION: 'none' is not allowed; one that the ledger knows"),
        (["--uri", "oss://{bucket}/empty/"], "oss://{bucket}/empty/: no _manifest.json"),
        (["--uri", "oss://{bucket}/plain/"], "VERSION: 'v' is not allowed; a model of a DLC job"),
    ],
)
def test_what_is_no_model_of_a_job_is_refused(bucket, options, says):
    from airflow_provider_pai.artifact import ModelArtifact
    from airflow_provider_pai.manifests import write_artifact

    uri = f"oss://{bucket.bucket_name}/plain/"
    OssHook().put(uri + "model", "m")
    write_artifact(OssHook(), ModelArtifact(name="m", version="v", uri=uri))
    with pytest.raises(SystemExit) as ended:
        main(["models", "reproduce", "none", *(option.format(bucket=bucket.bucket_name) for option in options)])
    assert str(ended.value.code).startswith(says.format(bucket=bucket.bucket_name))


def test_a_wait_that_breaks_off_says_why_though_its_job_can_t_be_stopped(model, pai, capsys):
    made = model.train()
    for action in ("GetJob", "StopJob"):
        pai.account.faults.add(match=f"api {action} ", status=403, code="Forbidden.RAM")
    done = again(capsys, made)
    assert "paidlc:GetJob" in f"{done.code}"
    assert "GOES ON and costs; stop it in the console" in done.err
