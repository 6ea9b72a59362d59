from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.exceptions import (
    PaiArtifactError,
    PaiConfigError,
    PaiJobFailedError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTimeoutError,
)
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.operators import deferring, jobs
from airflow_provider_pai.operators.dlc import DlcStopJobOperator, DlcSubmitJobOperator
from airflow_provider_pai.remote import RemoteJob
from tests.conftest import airflow_connection
from tests.private_git import private_git
from tests.task import Task, listen

pytestmark = pytest.mark.usefixtures("connection")

SAVE = "echo m > $PAI_OUTPUT_DIR/model; echo '{\"accuracy\": 0.9}' > $PAI_OUTPUT_DIR/metrics.json"


def operator(bucket, **changes):
    given = {
        "task_id": "task",
        "framework": "xgboost",
        "ecs_spec": "ecs.g6.large",
        "image": "train:1",
        "command": SAVE,
        "output": f"oss://{bucket.bucket_name}/models/digits",
        "poll_interval": 0.02,
    }
    return DlcSubmitJobOperator(**{**given, **changes})


def task(bucket, run_id, **changes):
    return Task(lambda: operator(bucket, **changes), run_id=f"{bucket.bucket_name}-{run_id}")


def jobs_of(task):
    identity = task.make().identity(task.context())
    return {job.job_id: job.status for job in DlcHook().find(identity)}


def wait_for_status(job_id, *statuses):
    end = time.monotonic() + 20
    while (status := DlcHook().get(job_id).status) not in statuses:
        assert time.monotonic() < end, status
        time.sleep(0.02)


def test_the_artifact_tells_how_it_came_about(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/in/a.csv", "1,2")
    run = task(bucket, "facts", parameters={"depth": 3}, inputs={"train": f"oss://{bucket.bucket_name}/in"}, workers=2)
    artifact = ModelArtifact.from_dict(run.run())
    assert artifact.metrics == {"accuracy": 0.9}
    assert artifact.params == {"depth": 3}
    assert (artifact.name, artifact.framework, artifact.image) == ("digits", "xgboost", "train:1")
    assert [(ref.name, ref.files, ref.size) for ref in artifact.inputs] == [("train", 1, 3)]
    assert artifact.uri.endswith(f"models/digits/{artifact.version}/")
    assert artifact.version.startswith("20261121T1800Z-")
    assert artifact.job.id in artifact.job.url
    assert read_artifact(OssHook(), artifact.uri) == artifact
    *_, row = Ledger.open().rows()
    assert (row.kind, row.version, row.digest) == ("artifact_produced", artifact.version, artifact.digest)


def test_a_job_without_output_returns_its_facts(bucket):
    result = task(bucket, "plain", output=None, command="true").run()
    assert set(result) == {"job_id", "status", "url"}


def test_a_failed_job_fails_the_task_with_its_reason_and_last_lines(bucket):
    run = task(bucket, "fails", command="echo before; echo 'no such column' >&2; exit 3", deferrable=True)
    with pytest.raises(PaiJobFailedError) as caught:
        run.run()
    assert caught.value.status == "Failed"
    assert caught.value.reason_code
    assert "no such column" in str(caught.value)
    assert caught.value.job_id in jobs_of(run)


def test_an_automatic_retry_after_a_failed_job_makes_a_new_one(bucket):
    run = task(bucket, "retry", command="exit 1")
    for _ in range(2):
        with pytest.raises(PaiJobFailedError):
            run.run()
    assert len(jobs_of(run)) == 2


def test_a_clear_trains_again_into_a_folder_of_its_own(bucket):
    run = task(bucket, "clear")
    first = run.run()
    run.max_tries = run.try_number + 1  # what a clear does
    second = run.run()
    assert len(jobs_of(run)) == 2
    assert first["uri"] != second["uri"]
    assert read_artifact(OssHook(), first["uri"]).digest == first["digest"]


def test_a_clear_stops_the_old_cycles_job_that_still_runs(bucket):
    run = task(bucket, "lost", command=f"sleep 60; {SAVE}")
    old = DlcHook().submit(run.make().build(run.context(), run.make().identity(run.context()), 1))
    run.try_number, run.max_tries = 1, 3
    run.make = lambda: operator(bucket)
    run.run()
    wait_for_status(old, "Stopped")
    assert sorted(jobs_of(run).values()) == ["Stopped", "Succeeded"]


def test_a_submit_whose_answer_was_lost_is_found_again(bucket, pai):
    pai.account.faults.add(match="api CreateJob", drop="answer", times=1)
    run = task(bucket, "dropped")
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


def test_a_lagging_list_hides_no_job_of_a_try_that_died(bucket, pai, monkeypatch):
    """The worker dies between the submit and the answer; for a while no list shows the job."""
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 2.0)
    run = task(bucket, "lag", command=f"sleep 1; {SAVE}")
    dying = run.make()
    monkeypatch.setattr(dying.hook, "submit", lambda body: (DlcHook().submit(body), die())[1])
    run.try_number = 1
    with pytest.raises(KeyboardInterrupt):
        dying.execute(run.context())
    find, born = DlcHook.tagged, time.monotonic()
    monkeypatch.setattr(DlcHook, "tagged", lambda self, tags: find(self, tags) if time.monotonic() > born + 0.7 else [])
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


def die():
    raise KeyboardInterrupt


def test_a_submit_that_was_never_heard_is_made_again(bucket, pai, monkeypatch):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0.05)
    pai.account.faults.add(match="api CreateJob", drop="request", times=1)
    run = task(bucket, "unheard")
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_throttling_and_server_errors_never_fail_the_task(bucket, pai, deferrable):
    for status, code in ((503, "ServiceUnavailable"), (429, "Throttling.User")):
        pai.account.faults.add(match="api (GetJob|ListJobs)", status=status, code=code, probability=0.3)
    task(bucket, f"faults-{deferrable}", deferrable=deferrable).run()


@pytest.mark.parametrize("deferrable", [False, True])
def test_two_workers_at_once_leave_one_job(bucket, deferrable):
    run = task(bucket, f"twice-{deferrable}", deferrable=deferrable, command=f"sleep 0.3; {SAVE}")
    run.try_number = 1
    make = run.make()
    DlcHook().submit(make.build(run.context(), make.identity(run.context()), 1))
    run.run()
    statuses = sorted(jobs_of(run).values())
    assert statuses.count("Succeeded") == 1
    assert len(statuses) == 1


def test_the_deadline_stops_a_deferred_job(bucket):
    run = task(bucket, "late", command="sleep 60", deferrable=True, execution_timeout=timedelta(seconds=1))
    with pytest.raises(PaiTimeoutError, match="execution_timeout"):
        run.run()
    (job_id,) = jobs_of(run)
    wait_for_status(job_id, "Stopped")


def test_on_kill_stops_the_job_unless_it_must_not(bucket):
    for cancel, expected in ((True, "Stopped"), (False, "Succeeded")):
        run = task(bucket, f"kill-{cancel}", command=f"sleep 0.5; {SAVE}", cancel_on_kill=cancel)
        one = run.make()
        job_id = DlcHook().submit(one.build(run.context(), one.identity(run.context()), 1))
        one._remember(run.context(), job_id)
        one.on_kill()
        wait_for_status(job_id, expected)


def submitted(run):
    """Return the id of a job that an earlier process of the task has submitted."""
    one = run.make()
    return DlcHook().submit(one.build(run.context(), one.identity(run.context()), 1))


def test_a_job_whose_trigger_fails_on_the_last_try_is_waited_for(bucket):
    run = task(bucket, "broken", command=f"sleep 0.3; {SAVE}")
    job_id = submitted(run)
    run.try_number, run.max_tries = 2, 1
    result = run.make().resume_execution("__fail__", {"error": "Trigger failure"}, run.context())
    assert result["job"]["id"] == job_id


def test_a_time_out_in_the_triggerer_leaves_no_job(bucket):
    run = task(bucket, "late", command="sleep 60")
    job_id = submitted(run)
    run.try_number, run.max_tries = 2, 1
    with pytest.raises(Exception, match="Trigger timeout"):
        run.make().resume_execution("__fail__", {"error": "Trigger timeout"}, run.context())
    wait_for_status(job_id, "Stopped")


@pytest.mark.parametrize("event", ["its own", "another's"])
def test_a_task_that_resumes_and_can_read_its_job_waits_again(bucket, event):
    """The trigger's credentials had ended; or SQLite gave the trigger's id to another task's."""
    run = task(bucket, f"again-{event[0]}", command=f"sleep 0.3; {SAVE}", deferrable=True)
    run.max_tries = 0
    run.try_number = 1
    with pytest.raises(TaskDeferred) as deferred:
        run.make().execute(run.context())
    job_id = deferred.value.trigger.job_id
    other = {"job_id": "dlc-other", "job": RemoteJob(job_id="dlc-other", status="Failed").to_dict()}
    came = {"job_id": job_id, "error": "InvalidSecurityToken.Expired"} if event == "its own" else other
    given = {**deferred.value.kwargs, "event": came, "since": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    with pytest.raises(TaskDeferred) as again:
        run.make().resume_execution("execute_complete", given, run.context())
    assert again.value.trigger.job_id == job_id
    assert run.make().resume_execution(
        "execute_complete", {**given, "since": datetime.now(UTC).isoformat()}, run.context()
    )
    assert DlcHook().get(job_id).status == "Succeeded"


@pytest.fixture
def preparing(pai):
    """A world in which a job can't be stopped for the first second."""
    pai.account.change_world({"dlc_stop_creating": "refused"})
    pai.account.change_settings({"dwell": 1.0})
    yield
    pai.account.change_settings({"dwell": 0.01})


def test_a_kill_asks_again_for_as_long_as_it_has_then_says_that_the_job_goes_on(
    bucket, preparing, monkeypatch, caplog, capsys
):
    monkeypatch.setattr(deferring, "_KILL_SECONDS", 0.1)
    run = task(bucket, "kill", command="sleep 60", output=None)
    one = run.make()
    job_id = one.begin(run.context())
    one.on_kill()
    told = f"DLC job {job_id} GOES ON; `airflow pai jobs orphans --stop` ends it: dlc StopJob: {job_id} is"
    assert told in caplog.text + capsys.readouterr().out
    monkeypatch.setattr(deferring, "_KILL_SECONDS", 5.0)
    one.on_kill()
    wait_for_status(job_id, "Stopped")


def test_a_job_that_is_prepared_when_execution_timeout_passes_is_stopped_by_the_worker(bucket, preparing):
    limits = {"deferrable": True, "execution_timeout": timedelta(seconds=0.3)}
    run = task(bucket, "late in vain", command="sleep 60", output=None, **limits)
    with pytest.raises(PaiTimeoutError, match=r"was (Creating|Queuing) when execution_timeout"):
        run.run()
    (job_id,) = jobs_of(run)
    wait_for_status(job_id, "Stopped")


def test_on_kill_finds_the_job_of_a_task_that_resumes(bucket):
    run = task(bucket, "resumes", command="sleep 60")
    one = run.make()
    job_id = DlcHook().submit(one.build(run.context(), one.identity(run.context()), 1))
    context = run.context()
    context["ti"].next_method = "execute_complete"
    again = run.make()
    again.pre_execute(context)
    again.on_kill()
    wait_for_status(job_id, "Stopped")


def test_tags_that_a_job_is_given_stand_beside_its_own(bucket, pai):
    pai.account.change_world({"dlc_tags": "ruled"})
    given = {"settings": {"Tags": {"team": "a", "n": "1"}}, "job": {"Settings": {"Tags": {"n": "2"}}}}
    job_id = task(bucket, "tags", command="true", output=None, **given).run()["job_id"]
    tags = DlcHook().get(job_id).tags
    assert (tags["team"], tags["n"]) == ("a", "2")
    assert tags[Key.DEPLOYMENT].startswith("airflow.test-")


def test_no_output_is_no_artifact(bucket):
    with pytest.raises(PaiArtifactError, match="left no file"):
        task(bucket, "empty", command="true").run()


def test_what_a_native_template_makes_a_number_of_goes_out_as_the_text_that_it_was(bucket):
    """`render_template_as_native_obj` makes numbers of `"2"` and `"20261121"`, and texts stay texts where they are."""
    one = operator(
        bucket,
        ecs_spec=None,
        resource_config={"CPU": 2, "Memory": "4Gi"},
        resource_id=20261121,
        job_name=20261121,
        model_name=7,
        workers="2",
        priority="5",
        max_running_time=3600,
        env={"NIGHT": 20261121, "DEBUG": True},
        parameters={"rate": Decimal("0.1"), "night": date(2026, 11, 21), "names": {"a"}},
        settings={"Tags": {"night": 20261121}},
    )
    context = Task(lambda: one).context()
    body = one.build(context, one.identity(context), 1)
    assert (body["DisplayName"], body["ResourceId"], body["Priority"]) == ("20261121", "20261121", 5)
    assert body["JobMaxRunningTimeMinutes"] == 60
    assert body["JobSpecs"][0]["ResourceConfig"] == {"CPU": "2", "Memory": "4Gi"}
    assert body["JobSpecs"][0]["PodCount"] == 2
    assert body["Settings"]["Tags"]["night"] == "20261121"
    assert (body["Envs"]["NIGHT"], body["Envs"]["DEBUG"]) == ("20261121", "True")
    assert json.loads(body["Envs"]["PAI_PARAMS"]) == {"rate": 0.1, "night": "2026-11-21", "names": ["a"]}


@pytest.mark.parametrize(
    ("changes", "minutes"),
    [
        ({}, 10_080),
        ({"execution_timeout": timedelta(minutes=50)}, 60),
        ({"max_running_time": "90s", "execution_timeout": timedelta(minutes=50)}, 1),
        ({"job": {"JobMaxRunningTimeMinutes": 7}}, 7),
    ],
)
def test_every_job_has_a_time_limit_of_the_service_itself_and_the_log_says_whose(bucket, changes, minutes):
    run = task(bucket, "limit", **changes)
    one = run.make()
    listen(one, lines := [])
    body = one.build(run.context(), one.identity(run.context()), 1)
    assert body["JobMaxRunningTimeMinutes"] == minutes
    assert any("The service itself ends it after" in line for _, line in lines) is ("job" not in changes)


def test_metrics_that_are_not_json_are_named(bucket):
    with pytest.raises(PaiArtifactError, match=r"metrics\.json is not JSON"):
        task(bucket, "torn", command="echo '{' > $PAI_OUTPUT_DIR/metrics.json").run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "workers: 0 is not allowed; a whole number of at least 1"),
        (
            {"settings": {"Tags": {"a": "see http://x"}}},
            r"Settings\['Tags'\]\['a'\]: 'see http://x'",
        ),
        ({"job": {"Settings": {"Tags": {"aliyun": "x"}}}}, r"Settings\['Tags'\]\['aliyun'\]: 'x'"),
        ({"job": {"Settings": {"Tags": {"airflow_task": "x"}}}}, "begin with airflow_ are the provider's own"),
        ({"settings": {"Tags": {f"k{n}": "x" for n in range(13)}}}, "11 labels: a resource bears 20, and 9 are"),
        ({"workers": "two"}, "workers: 'two'"),
        ({"framework": "caffe"}, "framework: 'caffe' is not allowed; one of tensorflow, pytorch, xgboost, mpi, ray"),
        ({"roles": {"PS": 1}}, "roles: 'PS' is not allowed; xgboost has Master, Worker"),
        ({"roles": {"Chief": 1}, "framework": "mxnet"}, "roles: 'Chief' .* mxnet has Scheduler, Server, Worker"),
        ({"roles": {"Master": 2}}, r"roles\['Master'\]: 2 is not allowed; xgboost has exactly one Master"),
        ({"roles": {"Worker": "many"}}, r"roles\['Worker'\]: 'many' is not allowed; a whole number"),
        ({"roles": {"Worker": 1}, "workers": 2}, "workers, roles: .* at most one of the two"),
        ({"success_policy": "ChiefWorker"}, "success_policy: 'ChiefWorker' is not allowed; only tensorflow has one"),
        (
            {"success_policy": "First", "framework": "tensorflow"},
            "success_policy: 'First' is not allowed; one of AllWorkers, ChiefWorker",
        ),
        ({"image": " "}, "image: ' ' is not allowed; it must be a container image"),
        ({"command": ""}, "command: '' is not allowed; it must be a shell command"),
        ({"output": "models/digits"}, "output: 'models/digits' is not allowed; write oss://bucket/key"),
        ({"ecs_spec": None}, "ecs_spec, resource_config, gpu_type: .* exactly one of the three"),
        ({"gpu_type": "T4"}, "ecs_spec, resource_config, gpu_type: .* exactly one of the three"),
        ({"gpus": 2}, "gpus: 2 is not allowed; it goes with gpu_type"),
        ({"ecs_spec": None, "gpu_type": "T4", "gpus": 0}, "gpus: 0 is not allowed; a whole number"),
        ({"ecs_spec": None, "gpu_type": "T5"}, "gpu_type: '1 x T5' .* the public pool has 1 x A10, 4 x A100, 1 x T4"),
        ({"ecs_spec": None, "gpu_type": "T4", "gpus": 3}, "gpu_type: '3 x T4' is not allowed"),
        (
            {"ecs_spec": None, "resource_config": {"Cpu": "4"}, "resource_id": "quota1"},
            "resource_config: 'Cpu' is not allowed; it has CPU, GPU, GPUType, Memory, SharedMemory",
        ),
        (
            {"inputs": "oss://b-1/x/"},
            "inputs: 'oss://b-1/x/' .* names to addresses, as {'data': 'oss://bucket/prefix/'}",
        ),
        ({"parameters": "C=1"}, "parameters: 'C=1' is not allowed; names to values, as {'name': 1}"),
        ({"code": {"repo": "r", "comit": "c"}}, "with repo it has repo, commit, .*; did you mean commit"),
        ({"env": {"DEBUG": None}}, r"env\['DEBUG'\]: None is not allowed; a text; leave out what has no value"),
        ({"spot": {"limit": 1}}, "spot: 'limit' is not allowed; it has discount_limit, price_limit"),
        ({"spot": {"price_limit": 1, "discount_limit": 0.5}}, "spot: .* exactly one of discount_limit, price_limit"),
        ({"spot": {"discount_limit": 1.5}}, r"spot\['discount_limit'\]: 1.5 .* above 0 and at most 1"),
        ({"spot": {"price_limit": "cheap"}}, r"spot\['price_limit'\]: 'cheap' .* a number above 0"),
        ({"vpc": {"id": "vpc-1"}}, "vpc: 'id' is not allowed; it has vpc_id, switch_id, security_group_id"),
        ({"vpc": {"vpc_id": "vpc-1"}}, r"vpc\['security_group_id'\]: None"),
        (
            {"vpc": {"vpc_id": "v", "security_group_id": "s", "switch_id": "w"}},
            r"vpc\['extended_cidrs'\]: .* with switch_id, all CIDR blocks",
        ),
        (
            {"vpc": {"vpc_id": "v", "security_group_id": "s", "extended_cidrs": ["10.0.0.0/40"]}},
            r"vpc\['extended_cidrs'\]: .* a list of CIDR blocks",
        ),
        (
            {"vpc": {"vpc_id": "v", "security_group_id": "s", "default_route": "eth2"}},
            r"vpc\['default_route'\]: 'eth2' is not allowed; one of eth0, eth1",
        ),
        ({"settings": {"EnableRdma": True}}, "settings: 'EnableRdma' is not allowed; the API has .*EnableRDMA"),
        ({"job": {"Queue": "a"}}, "job: 'Queue' is not allowed; the API has .*Priority"),
        ({"job": {"UserVpc": {"VpcID": "v"}}}, "job: 'UserVpc.VpcID' is not allowed; the API has no such field"),
        ({"job": {"JobSpecs": [{"Cpus": 1}]}}, r"job: 'JobSpecs\[0\].Cpus' is not allowed"),
        ({"job": {"JobSpecs": ["one"]}}, "job: .* a CreateJob request, objects and lists as in the API"),
        ({"job_name": "night train"}, "job_name: 'night train' is not allowed; 1 to 256 letters"),
        ({"env": {"RANK": "0"}}, "env: 'RANK' is not allowed; the service sets .*MASTER_ADDR.*TF_CONFIG.* itself"),
        ({"env": {"PAI_PARAMS": "{}"}}, "env: 'PAI_PARAMS' is not allowed; names that begin with PAI_"),
        ({"env": {"A-B": "1"}}, "env: 'A-B' is not allowed; names are letters"),
        ({"ecs_spec": None, "resource_config": {"CPU": "4"}}, "resource_id: None"),
        ({"inputs": {"a-b": "oss://bucket/x"}}, "inputs: 'a-b' is not allowed"),
        ({"inputs": {"a": "/tmp"}}, r"inputs\['a'\]: '/tmp' is not allowed; write oss://"),
        ({"code": {"repo": "https://x"}}, r"code\['commit'\]: None"),
        ({"code": {"repo": "https://x", "uri": "oss://b/c"}}, "code: .* exactly one of repo .* and uri"),
        (
            {"code": {"uri": "oss://code/x", "commit": "a"}},
            "code: 'commit' is not allowed; with uri it has uri, digest",
        ),
        ({"code": {"uri": "/code"}}, r"code\['uri'\]: '/code' is not allowed; write oss://"),
        ({"entry_script": "train.py", "command": ""}, "entry_script: 'train.py' .* with code and without command"),
        ({"entry_script": "train.py", "code": {"uri": "oss://code/x"}}, "entry_script: .* without command"),
        ({"max_running_time": timedelta(seconds=5)}, "max_running_time: .* a span of at least 60 s"),
        ({"priority": 10}, "priority: 10"),
        ({"env": {"BIG": "x" * 70_000}}, "job: '7.* bytes' is not allowed"),
        # The system's own parameters count, too.
        ({"env": {"BIG": "x" * 63_000}}, "job: '6[34].* bytes' is not allowed; a CreateJob request of at most 61440"),
        (
            {"parameters": {f"p{number}": number for number in range(10_000)}, "output": None},
            "parameters: .* without output and without state_uri at most 16384 bytes",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(bucket, changes, message):
    before = len(list(DlcHook().list_jobs()))
    with pytest.raises(PaiConfigError, match=message):
        task(bucket, "bad", **changes).run()
    assert len(list(DlcHook().list_jobs())) == before


@pytest.mark.parametrize("commit", ["f" * 40, "no-such-branch"])
def test_a_commit_that_does_not_exist_is_refused_before_anything_is_created(bucket, repository, commit):
    run = task(bucket, f"nocommit-{commit[:4]}", code={"repo": repository[0], "commit": commit})
    with pytest.raises(PaiNotFoundError, match=rf"code\['commit'\]: '{commit}' is not there; a commit, branch or tag"):
        run.run()
    assert not jobs_of(run)


def test_the_artifact_bears_the_commit_that_a_branch_stood_for(bucket, repository):
    repo, (_, second) = repository
    command = f'[ "$PAI_CODE_COMMIT" = {second} ] && [ "$(cat $PAI_CODE_DIR/n.txt)" = two ] && {SAVE}'
    run = task(bucket, "branch", command=command, code={"repo": repo, "commit": "main", "path": "sub"})
    code = ModelArtifact.from_dict(run.run()).code
    assert (code.repo, code.commit, code.entry) == (repo, second, command)


def test_a_repository_that_only_the_service_can_read_is_left_to_it(bucket, caplog, monkeypatch):
    monkeypatch.setattr(AIWorkspaceHook, "code_source", lambda *_: "code-1")
    code = {"repo": "file:///nowhere/private.git", "commit": "4f2a9c1"}
    run = task(bucket, "private", code=code)
    body = run.make().build(run.context(), run.make().identity(run.context()), 1)
    assert body["CodeSource"]["Commit"] == "4f2a9c1"
    assert "could not be looked up here, the job will tell" in caplog.text


@pytest.fixture
def private(repository, tmp_path, monkeypatch):
    """A private repository, and the Airflow connection that opens it."""
    with private_git(repository[0], tmp_path) as (url, server):

        def let_in(token):
            server.let_in("me", token)
            monkeypatch.setenv(
                "AIRFLOW_CONN_GIT_MINE", json.dumps({"conn_type": "git", "login": "me", "password": token})
            )

        let_in("first-token-of-mine")
        yield url, let_in


def test_a_private_repository_is_cloned_with_a_connections_token_as_it_is_then(bucket, private, repository, caplog):
    url, let_in = private
    code = {"repo": url, "commit": "v1", "path": "sub", "git_conn_id": "git_mine"}
    shown = []
    for token in ("first-token-of-mine", "second-token-of-mine"):
        let_in(token)
        run = task(bucket, token[:5], code=code, command=f'[ "$(cat $PAI_CODE_DIR/n.txt)" = one ] && {SAVE}')
        artifact = ModelArtifact.from_dict(run.run())
        assert (artifact.code.repo, artifact.code.commit) == (url, repository[1][0])
        job = DlcHook().describe(artifact.job.id)
        shown += [job, artifact, *Ledger.open().rows()]
    assert "-token-of-mine" not in f"{shown}{caplog.text}"


def put_code(bucket):
    uri = f"oss://{bucket.bucket_name}/code/train.sh"
    OssHook().put(uri, f"[[ a == a ]] && {SAVE}")
    return uri


@pytest.mark.parametrize("one", [True, False])
def test_an_entry_script_from_oss_runs_in_bash_and_is_recorded_with_its_digest(bucket, pai, one):
    pai.account.change_world({"dlc_shell": "sh"})
    uri = put_code(bucket)
    code = {"uri": uri if one else uri.removesuffix("/train.sh")}
    run = task(bucket, f"oss-{one}", command="", entry_script="train.sh", code=code)
    found = ModelArtifact.from_dict(run.run()).code
    assert found.repo == code["uri"]
    assert found.commit.startswith("crc64:" if one else "sha256:")
    assert found.entry == 'bash "$PAI_CODE_DIR"/train.sh'


@pytest.mark.parametrize("at", ["code", "code/train.sh"])
def test_code_on_oss_that_is_not_what_was_meant_is_refused(bucket, at):
    put_code(bucket)
    run = task(bucket, "other", code={"uri": f"oss://{bucket.bucket_name}/{at}", "digest": "sha256:0"})
    with pytest.raises(PaiConfigError, match=r"code\['digest'\]: 'sha256:0' is not allowed; what lies at .* has "):
        run.run()


def test_code_on_oss_without_objects_is_refused(bucket):
    run = task(bucket, "nocode", code={"uri": f"oss://{bucket.bucket_name}/nothing"})
    with pytest.raises(PaiNotFoundError, match=r"code\['uri'\]: .* an object, or a prefix with at least one"):
        run.run()


def test_an_output_in_no_bucket_is_refused_and_may_be_there_later(bucket):
    with pytest.raises(PaiNotFoundError, match=r"output: .* is not there; a prefix in a bucket that exists"):
        task(bucket, "no-bucket", output="oss://no-such-bucket-here/x").run()


def test_an_input_without_objects_is_refused(bucket):
    with pytest.raises(PaiNotFoundError, match=r"inputs\['d'\]: .* at least one object"):
        task(bucket, "none", inputs={"d": f"oss://{bucket.bucket_name}/nothing"}).run()


def test_job_is_laid_over_the_body(bucket):
    run = task(bucket, "merge", job={"Settings": {"BusinessUserId": "7"}, "Priority": 3}, priority=5)
    body = run.make().build(run.context(), run.make().identity(run.context()), 1)
    assert body["Priority"] == 3
    assert body["Settings"]["BusinessUserId"] == "7"
    assert body["Settings"]["Tags"]["airflow_generation"] == "1"


def test_the_role_reaches_mounts_and_credentials_and_no_key_reaches_the_environment(bucket, pai):
    run = task(bucket, "role", role_arn="acs:ram::1:role/x")
    body = run.make().build(run.context(), run.make().identity(run.context()), 1)
    assert {source["RoleArn"] for source in body["DataSources"]} == {"acs:ram::1:role/x"}
    assert body["CredentialConfig"]["EnableCredentialInject"] is True
    assert pai.endpoints.access_key_secret not in str(body)


def test_stop_operator(bucket):
    run = task(bucket, "stop", command="sleep 60")
    one = run.make()
    job_id = DlcHook().submit(one.build(run.context(), one.identity(run.context()), 1))
    stop = DlcStopJobOperator(task_id="stop", job_id=job_id, poll_interval=0.02)
    assert stop.execute({}) == "Stopped"
    assert stop.execute({}) == "Stopped"


MANY = {f"parameter {number}": number for number in range(10_000)}
COUNT = """python3 -c 'import json, os
assert os.environ["PAI_PARAMS"] == ""
print(len(json.load(open(os.environ["PAI_PARAMS_FILE"]))), "parameters")
assert len(json.load(open(os.environ["PAI_PARAMS_FILE"]))) == 10_000'
"""


@pytest.fixture
def home(pai, bucket, monkeypatch):
    """The home of the state, which the connection names."""
    home = f"oss://{bucket.bucket_name}/state/"
    connection = json.dumps(airflow_connection(pai, state_uri=home))
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", connection)
    return home


def body_of(run):
    one = run.make()
    return one.build(run.context(), one.identity(run.context()), 1)


def keys(prefix):
    return [info.uri.key for info in OssHook().list_objects(prefix)]


def test_ten_thousand_parameters_travel_in_a_file(bucket):
    run = task(bucket, "many", parameters=MANY, command=COUNT + SAVE)
    result = run.run()
    artifact = read_artifact(OssHook(), result["uri"])
    assert artifact.params == MANY
    assert keys(f"oss://{bucket.bucket_name}/models/digits/_jobs/") == [
        f"models/digits/_jobs/{artifact.version}/{name}.json" for name in ("artifact", "params")
    ]


def test_ten_thousand_parameters_without_an_output_lie_in_the_home(bucket, home):
    task(bucket, "home", parameters=MANY, output=None, command=COUNT).run()
    assert [key.rpartition("/")[2] for key in keys(home + "jobs/")] == ["params.json"]


def test_a_job_bears_the_address_of_its_unfinished_artifact_alone(bucket, home):
    run = task(bucket, "address", parameters={"depth": 3})
    variables = body_of(run)["Envs"]
    version = run.run()["version"]
    assert variables["PAI_ARTIFACT"] == f"{home}jobs/{version}/artifact.json"
    assert variables["PAI_PARAMS"] == '{"depth": 3}'
    assert keys(f"oss://{bucket.bucket_name}/models/digits/_jobs/") == []


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"null", b"\xff"])
def test_what_is_no_unfinished_artifact_is_named(bucket, content):
    run = task(bucket, f"foreign-{content.hex()}")
    DlcHook().submit(body := body_of(run))
    at = body["Envs"]["PAI_ARTIFACT"]
    OssHook().put(at, content)
    run.try_number = 1
    with pytest.raises(PaiArtifactError, match=f"{at} is no artifact as it was at the submit"):
        run.run()
    OssHook().delete(at)
    with pytest.raises(PaiArtifactError, match=f"{at} is gone"):
        run.run()


def test_a_try_that_is_killed_before_its_submit_leaves_nothing_that_matters(bucket, monkeypatch):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0.05)
    run = task(bucket, "killed")
    dying = run.make()
    monkeypatch.setattr(dying.hook, "submit", lambda body: die())
    with pytest.raises(KeyboardInterrupt):
        dying.execute(run.context())
    assert not jobs_of(run)
    result = run.run()
    assert keys(f"oss://{bucket.bucket_name}/models/digits/_jobs/") == [
        f"models/digits/_jobs/{result['version']}/artifact.json"
    ]


def test_a_place_that_can_t_be_written_is_refused_before_anything_is_created(bucket, home, pai):
    pai.account.faults.add(match=rf"^oss PUT /{bucket.bucket_name}/state/", status=403, code="AccessDenied")
    run = task(bucket, "readonly")
    with pytest.raises(PaiPermissionError, match=rf"state_uri: {home}jobs/.* can't be written: .*AccessDenied"):
        run.run()
    assert not jobs_of(run)
