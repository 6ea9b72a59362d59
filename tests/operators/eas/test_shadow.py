"""A model in the shadow of production: copies, a verdict, and nothing left on any way out."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_pai.cli.jobs import TaskNow, find_orphans
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiArtifactError,
    PaiConfigError,
    PaiNotFoundError,
    RolloutRolledBackError,
    RolloutStoppedError,
)
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.metrics.lookout import Lookout
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasShadowOperator
from airflow_provider_pai.rollouts.shadow_driver import ShadowDriver
from airflow_provider_pai.rollouts.shadows import EasShadowHook
from tests.group import METRICS, PLAN, PROBE, People, ServiceGroup, service
from tests.task import Task, WorkerLostError, lost_now

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])

LIMITS = {"interval": 0.3, "min_requests": 10, "max_p95_ms": 2000, "max_p95_ratio": None, "ready_timeout": 20}


@pytest.fixture
def group(bucket, connection):
    group = ServiceGroup(bucket.bucket_name)
    yield group
    for found in list(group.eas.list_services(filter=group.name)):
        group.eas.delete(found["ServiceName"])


@pytest.fixture
def production(group):
    """The service that carries the group's traffic."""
    given = group.arguments(group.model(20), plan=PLAN)
    return Task(lambda: EasCanaryDeployOperator(**given), run_id="night-1").run()["service"]


def shadow(at, artifact, **changes):
    given = {
        "task_id": "task",
        "group": at.name,
        "artifact": artifact,
        "service": service(f"oss://{at.bucket}/code/"),
        "ratio": 50,
        "duration": 2.5,
        "requests_are_idempotent": True,
        "plan": LIMITS,
        "metrics": METRICS,
        "probe": PROBE,
        **changes,
    }
    return Task(lambda: EasShadowOperator(**given))


def nothing_left(at, production):
    assert at.eas.mirror(production) is None
    end = time.monotonic() + 10
    while names := [
        one["ServiceName"] for one in at.eas.list_services(filter=f"{at.name}") if "shadow" in one["ServiceName"]
    ]:
        assert time.monotonic() < end, names
        time.sleep(0.02)


@both
def test_a_good_model_passes_and_nobody_hears_its_answers(group, production, pai, deferrable, capsys):
    model = group.model(21)
    pai.account.faults.add(match="api CreateService ", times=1, status=429, code="Throttling.User")
    task = shadow(group, model, deferrable=deferrable)
    with People(group) as people:
        end = task.run()
    assert (end["source"], end["outcome"], end["version"], end["digest"], end["ratio"]) == (
        production,
        "passed",
        model["version"],
        model["digest"],
        50,
    )
    assert end["shadow"].startswith(f"{production[:46]}_shadow_")
    assert end["requests"] >= LIMITS["min_requests"]
    assert end["production"]["requests"] >= 1.5 * end["requests"]
    assert (end["errors"], end["production"]["errors"]) == (0, 0)
    assert people.lost == []
    assert {version for version, _ in people.counts} == {group.serving()}
    nothing_left(group, production)
    assert task.xcoms["pai_eas_service_url"].endswith(f"{end['shadow']}/detail")
    *_, used, told = Ledger.open().rows()
    assert (told.kind, used.kind, json.loads(used.payload)["cause"]) == ("shadowed", "usage", "shadow")
    assert "→ pass" in capsys.readouterr().out


def test_a_later_try_copies_again_where_a_shadow_could_not_be_taken_down(group, production, pai):
    task = shadow(group, group.model(21), duration=1, on_inconclusive="pass")
    pai.account.faults.add(match="api DeleteService ", times=2, status=403, code="NoPermission")
    with People(group):
        with pytest.raises(PaiApiError, match="NoPermission"):
            task.run()
        assert task.run()["outcome"] in ("passed", "inconclusive")
    nothing_left(group, production)


@pytest.mark.parametrize(
    ("outcome", "changes", "error"),
    [
        ("passed", {}, None),
        ("inconclusive", {"on_inconclusive": "pass"}, None),
        ("inconclusive", {}, RolloutStoppedError),
        ("stopped", {}, RolloutStoppedError),
        ("failed", {}, RolloutRolledBackError),
    ],
)
def test_an_end_is_told_and_stands_in_the_ledger_once(group, outcome, changes, error):
    task = shadow(group, None, **changes)
    end = {
        "source": f"{group.name}_old",
        "shadow": f"{group.name}_shadow",
        "outcome": outcome,
        "reason": "because",
        "version": "v2",
        "digest": "sha256:2",
        "requests": 20,
    }
    dated = {"schema_version": 1, **end}
    for _ in range(2):
        if error is None:
            assert task.make().finish(task.context(), end) == dated
        else:
            with pytest.raises(error, match="v2 in the shadow of"):
                task.make().finish(task.context(), end)
            assert task.xcoms["return_value"] == dated
    assert [(row.kind, row.version) for row in Ledger.open().rows()] == [("shadowed", "v2")]


def test_a_time_out_is_the_run_s_deadline(group, production):
    task = shadow(group, group.model(21), execution_timeout=timedelta(minutes=5))
    task.start_date = datetime.now(UTC)
    run = task.make().shadow(task.context())
    left = datetime.fromisoformat(run.deadline) - task.start_date
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


def test_a_kill_in_the_worker_takes_it_down(group, production):
    operator = shadow(group, group.model(21), duration=60).make()
    task = Task(lambda: operator)
    thread = threading.Timer(1.5, operator.on_kill)
    thread.start()
    with pytest.raises(Exception, match="the shadow run was ended"):
        task.run()
    thread.join()
    nothing_left(group, production)


def test_a_kill_in_the_triggerer_takes_it_down(group, production, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.triggers.base._is_deferred_by_api", lambda *args: False)
    monkeypatch.setattr("airflow_provider_pai.triggers.base._is_deferred_in_database", lambda *args: False)
    task = shadow(group, group.model(21), deferrable=True, duration=60)
    task.try_number = 1
    with pytest.raises(TaskDeferred) as deferred:
        task.make().execute(task.context())
    trigger = deferred.value.trigger

    async def killed():
        run = asyncio.ensure_future(anext(trigger.run()))
        while await asyncio.to_thread(group.eas.mirror, production) is None:
            await asyncio.sleep(0.05)
        await trigger.on_kill()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(killed())
    nothing_left(group, production)


def lose_unseen(task, monkeypatch):
    """Lose the worker while it watches, as SIGKILL does: nothing is taken down."""
    with monkeypatch.context() as patch:
        patch.setattr(Lookout, "compare", lost_now)
        patch.setattr(ShadowDriver, "kill", lambda *_: None)
        with pytest.raises(WorkerLostError):
            task.run()


def test_a_failed_trigger_takes_the_shadow_down_whatever_serves_by_then(group, production, monkeypatch):
    task = shadow(group, group.model(21))
    lose_unseen(task, monkeypatch)
    monkeypatch.setattr(EasShadowOperator, "shadow", None)  # the run can't be described anew
    with pytest.raises(Exception, match="boom"):
        task.make().resume_execution("__fail__", {"error": "boom"}, task.context())
    nothing_left(group, production)


def test_a_shadow_whose_worker_was_lost_for_good_is_an_orphan(group, production, monkeypatch):
    task = shadow(group, group.model(21))
    lose_unseen(task, monkeypatch)
    mine = lambda now: [o for o in find_orphans([EasShadowHook()], lambda _name: now) if group.name in o.job.job_id]  # noqa: E731
    assert mine(TaskNow("running", task.max_tries)) == []
    (orphan,) = mine(TaskNow("failed", task.max_tries))
    assert "EAS shadow" in str(orphan)
    assert f"made by dag.task of run {task.run_id}: the task is finished (failed); made " in str(orphan)
    orphan.hook.request_stop(orphan.job.job_id)
    nothing_left(group, production)


def test_an_error_on_the_way_takes_it_down(group, production, pai):
    pai.account.faults.add(match="api CreateServiceMirror", status=400, code="InvalidParameter")
    with pytest.raises(PaiApiError, match="InvalidParameter"):
        shadow(group, group.model(21)).run()
    nothing_left(group, production)


def test_a_service_that_is_mirrored_already_is_left_alone(group, production):
    other = group.eas.create({**config_of(group), "metadata": {"name": f"{group.name}_other"}})
    group.eas.set_mirror(production, [other], 5)
    with pytest.raises(RolloutStoppedError, match=f"is mirrored to {other} already"):
        shadow(group, group.model(21)).run()
    assert group.eas.mirror(production).targets == (other,)


def config_of(group):
    from tests.service import config

    return config(group)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requests_are_idempotent": False}, "requests_are_idempotent: False"),
        ({"source": "some_service"}, "source: 'some_service' is not allowed; either a service or a group"),
        ({"group": "Digits"}, "group: 'Digits'"),
        ({"group": "nothing_there"}, "group: 'nothing_there' is not allowed; a group in which a service serves"),
        ({"ratio": 0}, "ratio: 0 is not allowed; a whole number from 1 to 100"),
        ({"ratio": "some"}, "ratio: 'some'"),
        ({"duration": 0}, "duration: 0"),
        ({"on_inconclusive": "pray"}, "on_inconclusive: 'pray'"),
        ({"plan": {"patience": 1}}, "patience: 1"),
        ({"metrics": {"kind": "oracle"}}, r"metrics\['kind'\]: 'oracle'"),
        ({"port": 8080}, "port: 8080"),
        ({"service": {"labels": {"airflow_mark": "x"}, "containers": [{"image": "i"}]}}, "are the provider's own"),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(group, changes, message):
    model = group.model(21)
    with pytest.raises(PaiConfigError, match=message):
        shadow(group, model, **changes).run()
    assert list(group.eas.list_services(filter="shadow")) == []


def test_what_is_not_there_is_refused(group):
    with pytest.raises(PaiNotFoundError):
        shadow(group, group.model(21), group=None, source="no_such_service").run()
    with pytest.raises(PaiArtifactError):
        shadow(group, f"oss://{group.bucket}/models/none/").run()
