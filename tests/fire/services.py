"""Paths of EAS: what serves is what was meant, all of the traffic is its own, and nothing runs beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.operators import eas, model
from airflow_provider_pai.sensors.eas import EasServiceSensor
from tests.fire.stage import Play, path, rows, same, task
from tests.group import METRICS, People, service
from tests.permissions.scene import SENSOR, Scene
from tests.permissions.services import SERVICE, member
from tests.service import create

PLAN = {
    "interval": 0.2,
    "min_duration": 0.3,
    "max_duration": 30,
    "min_requests": 5,
    "drain": 0.1,
    "ready_timeout": 20,
    "keep_versions": 1,
    "max_p95_ms": 2000,
    "max_p95_ratio": None,
    "power": 0,
}
PROBE = {"requests": [{"path": "/golden", "json": {"golden": 1}, "expect": {"answer": 42}}], "timeout": 1}
PEOPLE = "/people"
"""Path of their requests: no fault meets them."""


def alone(at: Scene, name: str | None) -> Iterator[str]:
    """Yield what is wrong unless this service has all the traffic and no other runs."""
    yield from same("serves", lambda: {one: each[1] for one, each in at.group.state().items() if each[2]}, {name: 100})
    yield from same("running", lambda: [one for one, each in at.group.state().items() if each[0] != "Stopped"], [name])


def services(at: Scene) -> dict[str, str]:
    """Return the status of each service."""
    return {one["ServiceName"]: one["Status"] for one in at.group.eas.list_services(filter=at.group.name)}


def lease(at: Scene) -> Iterator[str]:
    """Yield who still holds the group."""
    found = [info.uri for info in at.oss.list_objects(f"{at.uri}") if f"/{at.group.name}/0" in str(info.uri)]
    if found and not (content := json.loads(at.oss.get(max(found, key=str))))["released"]:
        yield f"the lease is held: {content}"


def release(kind: type, at: Scene, first: bool = False, **changes: Any) -> Play:
    """Return a night's rollout, the second unless told otherwise."""
    old = None if first else member(at)
    given = at.group.arguments(at.group.model(21), plan=PLAN, metrics=METRICS, probe=PROBE, **changes)
    if kind is eas.EasBlueGreenDeployOperator:
        given.pop("steps")

    def kept(end: Any) -> Iterator[str]:
        if first and not end:
            yield from same("traffic", [one for one, each in at.group.state().items() if each[2]], [])
        else:
            yield from alone(at, end["service"] if end else old)
        yield from lease(at)
        yield from same("rows", rows("deployed" if first else "promoted"), int(bool(end)))

    def people() -> People:
        return People(at.group, pause=0.005, path=PEOPLE)

    return Play(task(kind, **given), kept, *([] if first else [people]))


@path(deferrable=True)
def first_night(at: Scene, deferrable: bool) -> Play:
    return release(eas.EasCanaryDeployOperator, at, first=True, deferrable=deferrable)


@path(deferrable=True)
def canary(at: Scene, deferrable: bool) -> Play:
    return release(eas.EasCanaryDeployOperator, at, steps="[50, 100]", deferrable=deferrable)


@path()
def blue_green(at: Scene, _: bool) -> Play:
    return release(eas.EasBlueGreenDeployOperator, at)


@path(deferrable=True)
def roll_back(at: Scene, deferrable: bool) -> Play:
    first, second = member(at), member(at, 21)
    at.group.eas.wait(first, poll_interval=0.01, until=lambda one: one.status == "Stopped")
    given = {"group": at.group.name, "drain": 0.01, "probe": PROBE, "deferrable": deferrable, **SERVICE}

    def kept(end: Any) -> Iterator[str]:
        yield from alone(at, first if end else second)
        yield from lease(at)
        yield from same("rows", rows("restored"), int(bool(end)))

    return Play(task(eas.EasRollbackOperator, **given), kept)


@path(deferrable=True)
def shadow(at: Scene, deferrable: bool) -> Play:
    production = member(at)
    given = at.group.arguments(at.group.model(21), metrics=METRICS, probe=PROBE, ratio=50, duration=2)
    limits = {"interval": 0.1, "min_requests": 1, "ready_timeout": 20, "max_p95_ms": 2000, "max_p95_ratio": None}
    given |= {"plan": limits, "requests_are_idempotent": True, "deferrable": deferrable}
    del given["steps"]

    def kept(end: Any) -> Iterator[str]:
        yield from same("mirror", at.group.eas.mirror(production), None)
        yield from same("services", lambda: list(services(at)), [production])
        yield from same("rows", rows("shadowed"), 1)

    return Play(task(eas.EasShadowOperator, **given), kept, lambda: People(at.group, pause=0.005, path=PEOPLE))


def deployment(at: Scene, deferrable: bool, days: tuple[int, ...]) -> Play:
    given = {"service_name": f"{at.group.name}_one", "service": service(f"{at.uri}code/"), "deferrable": deferrable}
    models = [at.group.model(day) for day in days]
    for one in models[:-1]:
        task(eas.EasDeployServiceOperator, artifact=one, **given, **SERVICE).run()
    last = task(eas.EasDeployServiceOperator, artifact=models[-1], **given, **SERVICE)

    def kept(end: Any) -> Iterator[str]:
        yield from same("services", lambda: services(at), {given["service_name"]: "Running"})
        yield from same("version", end and end["version"], models[-1]["version"])
        yield from same("rows", rows("deployed"), len(days))

    return Play(last, kept)


@path(deferrable=True)
def deploy(at: Scene, deferrable: bool) -> Play:
    return deployment(at, deferrable, (20,))


@path(deferrable=True)
def deploy_again(at: Scene, deferrable: bool) -> Play:
    return deployment(at, deferrable, (20, 21))


@path(deferrable=True)
def undo_deployment(at: Scene, deferrable: bool) -> Play:
    deployment(at, deferrable, (20, 21)).task.run()
    one = task(eas.EasRollbackServiceOperator, service_name=f"{at.group.name}_one", deferrable=deferrable, **SERVICE)

    def kept(end: Any) -> Iterator[str]:
        yield from same("services", lambda: list(services(at).values()), ["Running"])
        yield from same("rows", rows("restored"), 1)

    return Play(one, kept)


def _service_path(name: str, kind: type, promised: dict[str, Any], stopped: bool = False, **given: Any) -> None:
    def prepare(at: Scene, deferrable: bool) -> Play:
        target = create(at.group)
        if stopped:
            at.group.eas.stop(target)
            at.group.eas.wait(target, poll_interval=0.01, until=lambda one: one.status == "Stopped")
        limits = {} if kind is eas.EasSetSafetyLockOperator else {**SERVICE, "deferrable": deferrable}

        def facts() -> dict[str, Any]:
            try:
                found = at.group.eas.describe(target)
            except PaiNotFoundError:
                found = {"Status": "gone"}
            return {field: found.get(field) for field in promised}

        return Play(task(kind, service_name=target, **limits, **given), lambda end: same("service", facts, promised))

    prepare.__name__ = name
    path(deferrable=kind is not eas.EasSetSafetyLockOperator)(prepare)


_service_path("stop_service", eas.EasStopServiceOperator, {"Status": "Stopped"})
_service_path("start_service", eas.EasStartServiceOperator, {"Status": "Running"}, stopped=True)
_service_path("delete_service", eas.EasDeleteServiceOperator, {"Status": "gone"})
_service_path("lock_service", eas.EasSetSafetyLockOperator, {"SafetyLock": "dangerous"})
_service_path("scale_service", eas.EasScaleServiceOperator, {"TotalInstance": 2}, instances=2)


@path(deferrable=True)
def wait_for_service(at: Scene, deferrable: bool) -> Play:
    one = task(EasServiceSensor, service_name=create(at.group), deferrable=deferrable, **SENSOR)
    return Play(one, lambda end: same("found", end is not None, True))


@path()
def predict(at: Scene, _: bool) -> Play:
    given = {"service_name": create(at.group), "path": "/predict", "timeout": 1, "requests": {"json": {"x": 1}}}
    one = task(eas.EasPredictOperator, **given)
    return Play(one, lambda end: same("answered", end is not None, True))


@path()
def predict_many(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}q.jsonl", "\n".join(json.dumps({"json": {"x": n}}) for n in range(3)))
    given = {"requests": f"{at.uri}q.jsonl", "output": f"{at.uri}answers/", "path": "/predict", "timeout": 1}
    one = task(eas.EasPredictOperator, service_name=create(at.group), **given)

    def kept(end: Any) -> Iterator[str]:
        parts = [info.uri for info in at.oss.list_objects(f"{at.uri}answers/") if "/part-" in str(info.uri)]
        yield from same("answers", [len(at.oss.get(part).splitlines()) for part in parts], [3])

    return Play(one, kept)


@path()
def gate(at: Scene, _: bool) -> Play:
    member(at)
    one = task(model.ModelGateOperator, artifact=at.artifact(), group=at.group.name)
    return Play(one, lambda end: same("rows", rows("gate_passed"), 1))
