"""A service in place: created once, updated, undone, the same in every way."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_pai.exceptions import (
    PaiArtifactError,
    PaiConfigError,
    PaiError,
    PaiJobFailedError,
    PaiTimeoutError,
)
from airflow_provider_pai.hooks import waiting
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.eas import EasDeployServiceOperator
from tests.group import service, version_at
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

PAST = datetime(2000, 1, 1, tzinfo=UTC)

both = pytest.mark.parametrize("deferrable", [False, True])


def typed(at, **changes):
    """Return arguments of a service described by types alone, but for the server's mount and how soon it is seen."""
    server = service(f"oss://{at.bucket}/code/")
    startup_check = server["containers"][0]["startup_check"]
    given = {
        "task_id": "task",
        "service_name": f"{at.name}_one",
        "image": "python:3.11",
        "port": "8000",
        "command": "python /mnt/code/server.py {model} 8000",
        "cpu": 1,
        "memory": 1000,
        "health_check": "/",
        "service": {"storage": server["storage"], "containers": [{"startup_check": startup_check}]},
        "poll_interval": 0.05,
        "wait_timeout": 20,
    }
    return {**given, **changes}


def deploy(at, artifact, run_id="run-1", *, max_tries=1, **changes):
    return Task(
        lambda: EasDeployServiceOperator(**typed(at, artifact=artifact, **changes)), run_id=run_id, max_tries=max_tries
    )


def answer(at, name=None):
    return version_at(at.eas.endpoint(name or f"{at.name}_one"))


def rows():
    return [(row.kind, row.version) for row in Ledger.open().rows()]


@both
def test_a_new_member_of_a_group_gets_no_traffic_until_somebody_releases_it(group, deferrable, world, pai):
    world(eas_member_traffic="grouping")
    # It may not be possible while it comes up.
    pai.account.faults.add(match="api ReleaseService", status=409, code="InvalidService.Status", times=1)
    name, task = f"{group.name}_one", deploy(group, group.model(20), deferrable=deferrable, group=group.name)
    assert task.run()["outcome"] == "created"
    assert group.traffic() == {name: (0, False)}
    group.eas.release(name, weight=100, grouping=True)
    assert task.run()["outcome"] == "created"
    assert group.traffic() == {name: (100, True)}


@both
def test_created_unchanged_updated(group, deferrable, capsys):
    first, second = group.model(20), group.model(21)
    name = f"{group.name}_one"
    task = deploy(group, first, deferrable=deferrable, instances=2)
    end = task.run()
    assert end == {
        "schema_version": 1,
        "service": name,
        "outcome": "created",
        "version": first["version"],
        "digest": first["digest"],
        "service_version": 1,
        "previous_service_version": None,
        "serving_version": first["version"],
        "instances": 2,
        "endpoint": group.eas.endpoint(name).url,
    }
    assert task.xcoms["pai_eas_service_url"].endswith(f"{name}/detail")
    assert answer(group) == first["version"]
    assert task.run()["outcome"] == "created"
    assert deploy(group, first, "run-2", deferrable=deferrable, instances=2).run()["outcome"] == "unchanged"

    token = group.eas.endpoint(name).token
    end = deploy(group, second, "run-3", deferrable=deferrable, instances=2).run()
    assert (end["outcome"], end["service_version"], end["previous_service_version"]) == ("updated", 2, 1)
    assert (end["version"], answer(group)) == (second["version"], second["version"])
    assert group.eas.endpoint(name).token == token
    assert rows() == [("deployed", first["version"]), ("deployed", second["version"])]
    assert token not in json.dumps(task.xcoms) + capsys.readouterr().out


@both
def test_running_is_not_enough_every_instance_is_waited_for(group, deferrable):
    seen = []
    operator = EasDeployServiceOperator(
        **typed(group, artifact=group.model(20), instances=3, deferrable=deferrable, service_name=f"{group.name}_three")
    )
    Task(lambda: operator).run()
    member = group.eas.get(f"{group.name}_three")
    seen.append((member.status, member.facts["running"], member.facts["total"]))
    assert seen == [("Running", 3, 3)]


@both
def test_an_update_that_fails_goes_back_to_what_served(group, deferrable):
    good, bad = group.model(20), group.model(21)
    deploy(group, good).run()
    broken = deploy(group, bad, "run-2", command="echo no such module >&2; exit 3", deferrable=deferrable)
    with pytest.raises(PaiJobFailedError, match="ended as Failed"):
        broken.run()
    group.eas.wait(f"{group.name}_one", poll_interval=0.05, until=lambda one: one.status == "Running")
    assert group.eas.get(f"{group.name}_one").facts["version"] == 1
    assert answer(group) == good["version"]
    assert [kind for kind, _ in rows()] == ["deployed", "rolled_back"]
    labels = group.eas.get(f"{group.name}_one").tags
    assert labels["airflow_version"] == good["version"]
    assert deploy(group, good, "run-3").run()["service_version"] == 3


@both
def test_a_new_service_that_fails_is_deleted_unless_it_is_kept(group, deferrable):
    broken = {"command": "echo no such module >&2; exit 3", "deferrable": deferrable}
    with pytest.raises(PaiJobFailedError, match="no such module"):
        deploy(group, group.model(20), **broken).run()
    assert group.eas.get(f"{group.name}_one").status in ("Deleting", "Deleted")
    with pytest.raises(PaiJobFailedError):
        deploy(group, group.model(20), on_failure="keep", service_name=f"{group.name}_two", **broken).run()
    assert group.eas.get(f"{group.name}_two").status == "Failed"


@both
@pytest.mark.parametrize("limit", [{"wait_timeout": 1}, {"execution_timeout": timedelta(seconds=1)}])
def test_what_does_not_become_ready_in_time_is_undone(group, deferrable, limit):
    late = deploy(group, group.model(20), command="sleep 60", deferrable=deferrable, **limit)
    with pytest.raises(PaiTimeoutError, match=f"{group.name}_one (is|was) Waiting"):
        late.run()
    assert group.eas.get(f"{group.name}_one").status in ("Deleting", "Deleted")


class WorkerLostError(BaseException):
    """Ends a worker as SIGKILL does."""


@pytest.mark.parametrize("served", [True, False])
def test_a_lost_worker_s_retry_goes_on_and_makes_no_second_version(group, served, monkeypatch):
    if served:
        deploy(group, group.model(19), "before").run()
    task = deploy(group, group.model(20))
    with monkeypatch.context() as patch:
        patch.setattr(EasDeployServiceOperator, "wait", lambda *args: (_ for _ in ()).throw(WorkerLostError))
        with pytest.raises(WorkerLostError):
            task.run()
    end = task.run()
    assert (end["outcome"], end["service_version"]) == (("updated", 2) if served else ("created", 1))
    assert len(group.eas.versions(f"{group.name}_one")) == 1 + served


def test_a_worker_lost_between_label_and_update_updates_after_all(group, monkeypatch):
    deploy(group, group.model(19), "before").run()
    task, model = deploy(group, group.model(20)), None
    model = task.make().artifact
    with monkeypatch.context() as patch:
        patch.setattr(type(group.eas), "update", lambda *args, **kwargs: (_ for _ in ()).throw(WorkerLostError))
        with pytest.raises(WorkerLostError):
            task.run()
    assert task.run()["outcome"] == "updated"
    assert answer(group) == model["version"]


def test_an_answer_that_is_lost_makes_no_second_service(group, pai):
    pai.account.faults.add(match="api CreateService", drop="answer", times=1)
    assert deploy(group, group.model(20)).run()["outcome"] == "created"
    pai.account.faults.add(match="api UpdateService ", drop="answer", times=1)
    assert deploy(group, group.model(21), "run-2").run()["outcome"] == "updated"
    assert deploy(group, deploy_model(group), "run-2").run()["outcome"] == "updated"


@pytest.mark.parametrize("fault", [{"status": 429, "code": "Throttling.User"}, {"drop": "request"}])
def test_a_creation_without_an_answer_is_asked_for_again(group, pai, fault):
    rule = pai.account.faults.add(match="api CreateService ", times=2, **fault)
    assert deploy(group, group.model(20)).run()["outcome"] == "created"
    assert rule.times == 0


def deploy_model(group):
    """Return the artifact that serves, by its address."""
    config = json.loads(group.eas.describe(f"{group.name}_one")["ServiceConfig"])
    return config["storage"][-1]["oss"]["path"]


@pytest.mark.parametrize("served", [True, False])
def test_a_killed_task_undoes_what_it_began(group, served):
    if served:
        deploy(group, group.model(19), "before").run()
    operator = EasDeployServiceOperator(**typed(group, artifact=group.model(20), command="sleep 60"))
    task = Task(lambda: operator, run_id="killed", max_tries=0)
    wait = operator.hook.wait
    operator.hook.wait = lambda *args, **kwargs: operator.on_kill() or wait(*args, **{**kwargs, "deadline": PAST})
    with pytest.raises(PaiTimeoutError):
        task.run()
    end = time.monotonic() + 10
    wanted = ("Running", 1) if served else ("Deleted", None)
    while (now := group.eas.get(f"{group.name}_one")) and (now.status, now.facts.get("version")) != wanted:
        assert time.monotonic() < end, now
        time.sleep(0.02)


@both
def test_what_is_ready_is_kept_and_the_last_try_ends_well_though_its_ledger_row_fails(group, monkeypatch, deferrable):
    task = deploy(group, group.model(20), max_tries=0, deferrable=deferrable)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", lambda *args: 1 / 0)
        assert task.run()["outcome"] == "created"
    assert group.eas.get(f"{group.name}_one").status == "Running"
    assert rows() == []
    assert task.run()["outcome"] == "created"
    assert [kind for kind, _ in rows()] == ["deployed"]


@both
def test_the_last_try_leaves_nothing_when_the_api_fails(group, pai, monkeypatch, deferrable):
    """Behind a trigger that has failed the worker looks for itself, and waits on."""
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    task = deploy(group, group.model(20), max_tries=0, deferrable=deferrable, command="sleep 60", wait_timeout=5)
    pai.account.faults.add(match="api DescribeService ", status=403, code="Forbidden", times=1, probability=0.1)
    with pytest.raises(PaiError, match=r"deadline .* passed|Forbidden"):
        task.run()
    assert group.eas.get(f"{group.name}_one").status in ("Deleting", "Deleted")


def test_the_json_is_laid_over_the_arguments(group):
    over = {
        **service(f"oss://{group.bucket}/code/"),
        "metadata": {"memory": 2000, "shm_size": 64},
        "containers": [{"env": [{"name": "B", "value": "json"}, {"name": "C", "value": "{model}"}]}],
    }
    deploy(group, group.model(20), service=json.dumps(over), env={"A": 1, "B": 2}, instances="2").run()
    config = json.loads(group.eas.describe(f"{group.name}_one")["ServiceConfig"])
    name = f"{group.name}_one"
    assert config["metadata"] == {"instance": 2, "cpu": 1, "memory": 2000, "shm_size": 64, "name": name}
    (container,) = config["containers"]
    assert container["env"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "json"},
        {"name": "C", "value": "/mnt/model"},
    ]
    assert container["script"] == "python /mnt/code/server.py /mnt/model 8000"
    assert container["health_check"] == {"http_get": {"path": "/", "port": 8000}}
    assert config["storage"][-1]["mount_path"] == "/mnt/model"


def test_a_new_member_of_a_group_gets_no_traffic(group):
    deploy(group, group.model(20), group=group.name).run()
    assert group.traffic() == {f"{group.name}_one": (0, False)}
    with pytest.raises(PaiConfigError, match=f"group: None is not allowed; {group.name!r}: .* can't move"):
        deploy(group, group.model(21), "run-2").run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service_name": "My-Service"}, "service_name: 'My-Service' is not allowed; 3 to 63 lowercase"),
        ({"group": "Digits"}, "group: 'Digits'"),
        ({"port": 9090}, "port: 9090 is not allowed; a port number; EAS keeps"),
        ({"port": "70000"}, "port: '70000'"),
        ({"service": {"labels": {"a": "http://x"}}}, r"service\['labels'\]\['a'\]: 'http://x'"),
        (
            {"service": {"labels": dict.fromkeys("abcdefg", "x")}},
            "5 labels: a resource bears 20, and 15 are",
        ),
        ({"instances": 0}, "instances: 0 is not allowed; a whole number of at least 1"),
        ({"memory": "4GB"}, "memory: '4GB'"),
        ({"gpu": "-1"}, "gpu: '-1' is not allowed; a whole number of at least 0"),
        ({"instance_type": "ecs.c7.large"}, "instance_type: 'ecs.c7.large' is not allowed; either .* or cpu"),
        ({"env": {"A B": 1}}, "env: 'A B'"),
        ({"env": {"PAI_X": 1}}, "env: 'PAI_X'"),
        ({"health_check": "health"}, "health_check: 'health'"),
        ({"image": None}, r"\['image'\]: None"),
        ({"service": {"metadata": {"group": "other"}}}, r"\['group'\]: 'other' is not allowed; leave it out"),
        ({"service": {"storage": [{"mount_path": "/mnt/model"}]}}, r"storage'\]: '/mnt/model'"),
        ({"service": {"storage": ["x"]}}, r"storage'\]: 'x'"),
        ({"model_path": "model"}, "model_path: 'model'"),
        ({"on_failure": "pray"}, "on_failure: 'pray' is not allowed; one of rollback, keep"),
        ({"wait_timeout": "soon"}, "wait_timeout: 'soon'"),
        (
            {"artifact": "oss://b-1.oss-cn-shanghai.aliyuncs.com/x/"},
            "a bucket in cn-hangzhou; this one is in cn-shanghai",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(group, changes, message):
    changes = {"artifact": group.model(20), **changes}
    with pytest.raises(PaiConfigError, match=message):
        deploy(group, **changes).run()
    assert group.eas.get(f"{group.name}_one").status == "Deleted"


def test_an_artifact_without_a_valid_manifest_is_refused(group):
    with pytest.raises(PaiArtifactError, match="no _manifest"):
        deploy(group, f"oss://{group.bucket}/models/nothing/").run()
    assert list(group.eas.list_services(filter=group.name)) == []


@pytest.mark.parametrize("as_text", [False, True])
def test_secrets_in_the_environment_are_masked(group, as_text):
    env = {"DB_PASSWORD": f"tiger-and-{as_text}"}
    operator = EasDeployServiceOperator(**typed(group, env=json.dumps(env) if as_text else env))
    operator.render_template_fields({})
    assert redact(f"tiger-and-{as_text}") == "***"


@pytest.mark.parametrize("as_text", [False, True])
def test_secrets_in_the_service_json_are_masked_as_airflow_renders_it(group, as_text):
    said = {"token": f"own-token-{as_text}", "containers": [{"env": [{"name": "API_TOKEN", "value": "{{ secret }}"}]}]}
    said |= {"dockerAuth": f"docker-token-{as_text}"}
    operator = EasDeployServiceOperator(**typed(group, service=json.dumps(said) if as_text else said))
    operator.render_template_fields({"secret": f"rendered-token-{as_text}"})
    assert redact(f"own-token-{as_text} rendered-token-{as_text} docker-token-{as_text}") == "*** *** ***"
    assert "token-" not in json.dumps(redact(operator.service))


@pytest.mark.parametrize("said", ["{", 3, {"containers": "none"}, {"containers": [{"env": "x"}]}])
def test_what_is_no_service_json_is_refused_where_the_task_runs(group, said):
    EasDeployServiceOperator(**typed(group, service=said)).render_template_fields({})


def early(group):
    """The service is what is declared before the operator looks at it for the first time."""
    operator = EasDeployServiceOperator(**typed(group, artifact=group.model(20), deferrable=True))
    bring_up = operator._bring_up

    def and_wait(*args):
        bring_up(*args)
        group.eas.wait(operator.service_name, poll_interval=0.05, until=lambda one: one.status == "Running")

    operator._bring_up = and_wait
    return Task(lambda: operator)


def resumed(group):
    """The first worker dies after the creation; the next try goes on."""
    task = deploy(group, group.model(20), deferrable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EasDeployServiceOperator, "wait", lambda *args: (_ for _ in ()).throw(WorkerLostError))
        with pytest.raises(WorkerLostError):
            task.run()
    return task


def test_every_path_ends_alike(group, monkeypatch, tmp_path):
    paths = {
        "sync": lambda: deploy(group, group.model(20)),
        "deferred": lambda: deploy(group, group.model(20), deferrable=True),
        "early": lambda: early(group),
        "resumed": lambda: resumed(group),
    }
    outcomes = {}
    for path, make in paths.items():
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / path))
        task = make()
        task.run()
        labels = {name: value for name, value in group.eas.get(f"{group.name}_one").tags.items() if name not in VARIES}
        xcoms = {**task.xcoms, "return_value": {**task.xcoms["return_value"], **SAME}}
        outcomes[path] = (xcoms, labels, [kind for kind, _ in rows()])
        group.eas.delete(f"{group.name}_one")
        group.eas.wait(f"{group.name}_one", poll_interval=0.02, until=lambda one: one.status == "Deleted")
    assert outcomes["sync"] == outcomes["deferred"] == outcomes["early"] == outcomes["resumed"]
    assert outcomes["sync"][2] == ["deployed"]


SAME = {"version": "v", "serving_version": "v", "digest": "d"}
VARIES = {"airflow_version", "airflow_digest", "airflow_config"}
