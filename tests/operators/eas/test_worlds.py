"""Services in every cloud that is possible: deployed, scaled, taken back, or refused with nothing left behind."""

from __future__ import annotations

import itertools
import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_pai.exceptions import PaiUnsupportedError, RolloutStoppedError
from airflow_provider_pai.hooks.eas import EasHook, hook
from airflow_provider_pai.hooks.eas.service_config import fingerprint
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasRollbackOperator, EasScaleServiceOperator
from tests.conftest import airflow_connection
from tests.operators.eas.test_deploy import answer, both, deploy
from tests.operators.eas.test_versions import back
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(hook, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def creations(monkeypatch):
    """Names of the services whose creation was asked for."""
    asked, request = [], EasHook._creation
    monkeypatch.setattr(EasHook, "_creation", lambda *given: asked.append(given[1]) or request(*given))
    return asked


def scale(at, instances):
    arguments = {"task_id": "task", "service_name": f"{at.name}_one", "poll_interval": 0.02, "wait_timeout": 20}
    Task(lambda: EasScaleServiceOperator(**arguments, instances=instances)).run()


def roll_out(at, artifact, run_id, **changes):
    return Task(
        lambda: EasCanaryDeployOperator(**at.arguments(artifact, **changes)), run_id=run_id, run_type="scheduled"
    )


def test_a_command_is_a_shell_s(group):
    command = "cd /mnt/code && A=8000 && exec python server.py {model} $A | cat"
    first = group.model(20)
    deploy(group, first, command=command).run()
    assert answer(group) == first["version"]


def test_no_retry_is_wasted_on_what_the_cloud_does_not_do():
    assert issubclass(PaiUnsupportedError, AirflowFailException)
    assert issubclass(RolloutStoppedError, AirflowFailException)


@both
def test_a_deployment_outside_its_group_is_refused_and_gone(group, world, creations, deferrable):
    world(eas_group_key="ignored")
    task = deploy(group, group.model(20), group=group.name, deferrable=deferrable)
    with pytest.raises(PaiUnsupportedError, match=r"connection pai_default, eas_group_key: .* outside"):
        task.run()
    group.eas.wait(f"{group.name}_one", poll_interval=0.02, until=lambda one: one.status == "Deleted")
    assert len(creations) == 1


@both
def test_a_candidate_outside_its_group_is_refused_and_gone(group, world, creations, deferrable):
    world(eas_group_key="ignored")
    with pytest.raises(RolloutStoppedError, match=r"eas_group_key: 'metadata.group' .* outside the group"):
        roll_out(group, group.model(20), "night", deferrable=deferrable).run()
    (config,) = creations
    group.eas.wait(config["metadata"]["name"], poll_interval=0.02, until=lambda one: one.status == "Deleted")
    assert list(group.eas.list_services(filter=group.name)) == []


def test_a_role_that_does_not_take_undoes_the_deployment(group, world):
    first = group.model(20)
    deploy(group, first, "before").run()
    world(eas_ram_role="ignored")
    with pytest.raises(PaiUnsupportedError, match="enable_ram_role: True is not allowed; EAS gave service"):
        deploy(group, group.model(21), "night", enable_ram_role="true").run()
    group.eas.wait(f"{group.name}_one", poll_interval=0.02, until=lambda one: one.status == "Running")
    assert (group.eas.get(f"{group.name}_one").facts["version"], answer(group)) == (1, first["version"])
    with pytest.raises(PaiUnsupportedError, match="enable_ram_role"):
        deploy(group, group.model(22), service_name=f"{group.name}_two", enable_ram_role=True).run()
    assert group.eas.get(f"{group.name}_two").status in ("Deleting", "Deleted")


@pytest.mark.parametrize("code", ["400 InvalidParameter.ServiceName", "403 Forbidden.PrivilegeCheckFailed"])
def test_a_lost_answer_makes_no_second_service_whatever_a_taken_name_is_told_by(group, pai, world, code):
    world(eas_duplicate_code=code)
    pai.account.faults.add(match="api CreateService", drop="answer", times=1)
    assert deploy(group, group.model(20)).run()["outcome"] == "created"
    pai.account.faults.add(match="api CreateService", drop="answer", times=1)
    assert roll_out(group, group.model(21), "night").run()["outcome"] == "deployed"


def test_a_rollout_and_the_way_back_by_another_key_of_the_group(group, pai, world, monkeypatch):
    world(eas_group_key="metadata.service_group")
    extra = airflow_connection(pai, eas_group_key="metadata.service_group")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(extra))
    at_once = {"steps": [100], "skip_analysis": "nobody asks"}
    nights = [roll_out(group, group.model(day), f"night-{day}", **at_once).run() for day in (20, 21)]
    group.eas.delete(nights[0]["service"])
    group.eas.wait(nights[0]["service"], poll_interval=0.02, until=lambda one: one.status == "Deleted")
    arguments = {"task_id": "task", "group": group.name, "to": nights[0]["version"], "poll_interval": 0.05, "drain": 0}
    end = Task(lambda: EasRollbackOperator(**arguments), run_id="back").run()
    assert (end["outcome"], end["version"], group.serving()) == ("restored", *[nights[0]["version"]] * 2)


WORLDS = [
    {"eas_scaling": scaling, "eas_merge": merge, "eas_versions": order}
    for scaling, merge, order in itertools.product(
        ("in_place", "new_version"), ("deep", "top"), ("newest_first", "oldest_first")
    )
]


@pytest.mark.parametrize("positions", WORLDS, ids=lambda world: "-".join(world.values()))
def test_scaled_declared_again_and_taken_back_and_forth(group, world, positions):
    world(**positions)
    models = [group.model(20), group.model(21)]
    for night, model in enumerate(models):
        deploy(group, model, f"night-{night}").run()
    scale(group, 2)
    config = json.loads(group.eas.describe(f"{group.name}_one")["ServiceConfig"])
    assert (config["metadata"]["instance"], config["metadata"]["cpu"]) == (2, 1)
    scale(group, 1)
    assert deploy(group, models[1], "again").run()["outcome"] == "unchanged"
    assert back(group, "back").run()["version"] == models[0]["version"]
    assert back(group, "forth", to=models[1]["version"]).run()["version"] == answer(group) == models[1]["version"]
    assert back(group, "and-back", to=models[0]["version"]).run()["version"] == answer(group) == models[0]["version"]


@pytest.mark.parametrize("eas_scaling", ["in_place", "new_version"])
def test_what_scales_during_a_rollout_is_not_deployed_anew(group, world, eas_scaling):
    world(eas_scaling=eas_scaling)
    roll_out(group, group.model(20), "first").run()
    (stable,) = group.eas.group(group.name).members
    group.eas.update(stable.name, {"metadata": {"instance": 2}})
    (scaled,) = group.eas.group(group.name).members
    assert (scaled.version, scaled.config) == (1 if eas_scaling == "in_place" else 2, stable.config)
    assert stable.config == fingerprint(group.eas.describe(stable.name)["ServiceConfig"])
    group.eas.update(stable.name, {"metadata": {"cpu": 2}})
    (deployed,) = group.eas.group(group.name).members
    assert deployed.config != stable.config
