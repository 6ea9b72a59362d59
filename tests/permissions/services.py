"""Stories of EAS."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_pai.exceptions import PaiJobFailedError, RolloutRolledBackError
from airflow_provider_pai.operators import eas, model
from airflow_provider_pai.sensors.eas import EasServiceSensor
from tests.group import PROBE, service
from tests.permissions.scene import SENSOR, Act, Scene, failing, run, story
from tests.service import create

SERVICE = {"poll_interval": 0.01, "wait_timeout": 20}
PLAN = {
    "interval": 0.05,
    "min_duration": 0,
    "max_duration": 0.05,
    "min_requests": 1,
    "on_inconclusive": "rollback",
    "drain": 0.01,
    "ready_timeout": 20,
    "keep_versions": 0,
}
METRICS = {"kind": "cloudmonitor", "period": 1, "delay": 0}


@story(model.ModelGateOperator)
def compares(at: Scene) -> Act:
    member(at)
    return run(model.ModelGateOperator, artifact=at.artifact(), group=at.group.name).run


def member(at: Scene, day: int = 20) -> str:
    """Return the service that a first rollout made."""
    plan = {**PLAN, "keep_versions": 1}
    given = at.group.arguments(at.group.model(day), plan=plan, skip_analysis="the owner's", steps="[100]")
    found: str = run(eas.EasCanaryDeployOperator, **given).run()["service"]
    return found


@story(eas.EasDeployServiceOperator)
def deploys(at: Scene) -> Act:
    given = {"service_name": f"{at.group.name}_one", "service": service(f"{at.uri}code/"), **SERVICE}
    one = run(eas.EasDeployServiceOperator, artifact=at.group.model(20), **given)
    again = run(eas.EasDeployServiceOperator, artifact=at.group.model(21), **given)
    return lambda: (one.run(), again.run())


@story(eas.EasDeployServiceOperator)
def does_not_come_up(at: Scene) -> Act:
    given = {"service_name": f"{at.group.name}_one", "image": "python", "command": "exit 3", "port": 8000, **SERVICE}
    one = run(eas.EasDeployServiceOperator, artifact=at.group.model(20), cpu=1, memory=1000, **given)
    return failing(one.run, PaiJobFailedError)


@story(eas.EasRollbackServiceOperator)
def goes_back_to_a_version(at: Scene) -> Act:
    deploys(at)()
    return run(eas.EasRollbackServiceOperator, service_name=f"{at.group.name}_one", **SERVICE).run


@story(eas.EasStopServiceOperator)
def stops_a_service(at: Scene) -> Act:
    return run(eas.EasStopServiceOperator, service_name=create(at.group), **SERVICE).run


@story(eas.EasStartServiceOperator)
def starts_a_service(at: Scene) -> Act:
    name = create(at.group)
    at.group.eas.stop(name)
    at.group.eas.wait(name, poll_interval=0.01, until=lambda one: one.status == "Stopped")
    return run(eas.EasStartServiceOperator, service_name=name, **SERVICE).run


@story(eas.EasDeleteServiceOperator)
def deletes_a_service(at: Scene) -> Act:
    return run(eas.EasDeleteServiceOperator, service_name=create(at.group), **SERVICE).run


@story(eas.EasSetSafetyLockOperator)
def locks_a_service(at: Scene) -> Act:
    return run(eas.EasSetSafetyLockOperator, service_name=create(at.group)).run


@story(eas.EasScaleServiceOperator)
def scales_a_service(at: Scene) -> Act:
    name = create(at.group)
    return run(eas.EasScaleServiceOperator, service_name=name, instances=2, **SERVICE).run


QPS = {"max": 2, "min": 1, "scaleStrategies": [{"metricName": "qps", "threshold": 1000}]}


@story(eas.EasScaleServiceOperator)
def scales_by_itself(at: Scene) -> Act:
    given = {"service_name": create(at.group), **SERVICE}
    changes = [{"autoscaler": QPS}, {"autoscaler": {**QPS, "max": 3}}, {"remove_autoscaler": True}]
    return lambda: [run(eas.EasScaleServiceOperator, **given, **change).run() for change in changes]


@story(EasServiceSensor)
def waits_for_a_service(at: Scene) -> Act:
    return run(EasServiceSensor, service_name=create(at.group), **SENSOR).run


@story(EasServiceSensor)
def sees_a_failed_service(at: Scene) -> Act:
    name = create(at.group, script="exit 3")
    return failing(run(EasServiceSensor, service_name=name, **SENSOR).run, PaiJobFailedError)


@story(eas.EasPredictOperator)
def predicts(at: Scene) -> Act:
    name = create(at.group)
    at.oss.put(f"{at.uri}q.jsonl", json.dumps({"json": {"x": 1}}))
    few = run(eas.EasPredictOperator, service_name=name, path="/predict", requests={"json": {"x": 1}})
    given = {"requests": f"{at.uri}q.jsonl", "output": f"{at.uri}answers/"}
    many = run(eas.EasPredictOperator, service_name=name, path="/predict", **given)
    return lambda: (few.run(), many.run())


@story(eas.EasPredictOperator)
def predicts_by_a_group(at: Scene) -> Act:
    member(at)
    return run(eas.EasPredictOperator, group=at.group.name, path="/predict", requests={"json": {"x": 1}}).run


def rollout(kind: type, at: Scene, **changes: Any) -> Act:
    """Return a second night's rollout."""
    member(at)
    given = at.group.arguments(at.group.model(21), plan=PLAN, metrics=METRICS, probe=PROBE, **changes)
    if kind is eas.EasBlueGreenDeployOperator:
        given.pop("steps")
    return run(kind, **given).run


@story(eas.EasCanaryDeployOperator)
def serves_for_the_first_time(at: Scene) -> Act:
    given = at.group.arguments(at.group.model(20), plan=PLAN, metrics=METRICS, probe=PROBE)
    return run(eas.EasCanaryDeployOperator, **given).run


@story(eas.EasCanaryDeployOperator)
def promotes(at: Scene) -> Act:
    return rollout(eas.EasCanaryDeployOperator, at, skip_analysis="nobody looks", steps="[50, 100]")


@story(eas.EasCanaryDeployOperator)
def rolls_back(at: Scene) -> Act:
    return failing(rollout(eas.EasCanaryDeployOperator, at), RolloutRolledBackError)


@story(eas.EasCanaryDeployOperator)
def candidate_does_not_come_up(at: Scene) -> Act:
    given = at.group.arguments(at.group.model(20), plan=PLAN, metrics=METRICS, probe=PROBE)
    given["service"]["containers"][0]["script"] = "exit 3"
    return failing(run(eas.EasCanaryDeployOperator, **given).run, RolloutRolledBackError)


@story(eas.EasBlueGreenDeployOperator)
def switches(at: Scene) -> Act:
    return rollout(eas.EasBlueGreenDeployOperator, at, skip_analysis="nobody looks")


@story(eas.EasBlueGreenDeployOperator)
def switches_back(at: Scene) -> Act:
    return failing(rollout(eas.EasBlueGreenDeployOperator, at), RolloutRolledBackError)


@story(eas.EasRollbackOperator)
def goes_back(at: Scene) -> Act:
    first = member(at)
    member(at, 21)
    at.group.eas.wait(first, poll_interval=0.01, until=lambda one: one.status == "Stopped")
    return run(eas.EasRollbackOperator, group=at.group.name, drain=0.01, **SERVICE).run


@story(eas.EasShadowOperator)
def shadows(at: Scene) -> Act:
    member(at)
    given = at.group.arguments(at.group.model(21), metrics=METRICS, probe=PROBE, ratio=50, duration=0.05)
    limits = {"interval": 0.05, "min_requests": 1, "ready_timeout": 20}
    changes = {"plan": limits, "requests_are_idempotent": True, "on_inconclusive": "pass"}
    return run(eas.EasShadowOperator, **{name: each for name, each in given.items() if name != "steps"} | changes).run
