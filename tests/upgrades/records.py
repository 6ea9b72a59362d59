"""Kinds of records that outlive a process: one of each, and what today's code reads in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.artifact import (
    Code,
    DataInterval,
    DatasetRef,
    JobRef,
    Manifest,
    ManifestFile,
    ModelArtifact,
    Producer,
)
from airflow_provider_pai.canary.group import Phase, Progress, StepResult, rejection
from airflow_provider_pai.canary.memory import read_memory
from airflow_provider_pai.dataset import Column, DatasetArtifact, Table
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.identity import TaggedJob, TaskIdentity, TaskName
from airflow_provider_pai.labels import Deployment, Mark, Owner, ServedModel, Shadow
from airflow_provider_pai.ledger import Event
from airflow_provider_pai.ledger.events import Row
from airflow_provider_pai.ledger.outbox import Waiting
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.rollouts.lease import Holder, Lease
from airflow_provider_pai.rollouts.shadow_driver import ShadowSpec
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.schemas import (
    ARTIFACT,
    DEPLOYMENT,
    LABELS,
    LEASE,
    LEDGER_ROW,
    SCHEMA_VERSION,
    TRIGGER,
    Schema,
)
from airflow_provider_pai.triggers.eas import EasServiceTrigger
from airflow_provider_pai.triggers.job import PaiJobTrigger
from airflow_provider_pai.triggers.oss import OssArtifactTrigger, OssKeyTrigger, OssPrefixUnchangedTrigger
from airflow_provider_pai.triggers.oss_events import Cursor, OssObjectTrigger
from airflow_provider_pai.triggers.rollout import CanaryTrigger, ShadowTrigger
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock
from tests.fake import PLAN, FakeEas, FakeOss, goal, spec_of

ME = TaskIdentity(
    deployment="https://airflow.example.com",
    dag_id="nightly",
    run_id="scheduled__2026-11-21T18:00:00+00:00",
    task_id="train",
    map_index=2,
    cycle=1,
    try_number=2,
    started=datetime(2026, 11, 21, 18, 5, tzinfo=UTC),
    moment=datetime(2026, 11, 21, 18, tzinfo=UTC),
)
HOOK = {"pai_conn_id": "pai_default", "region": None, "workspace_id": "12345"}
BY_CONNECTION = {"hook_arguments": HOOK, "poll_interval": 10.0, "deadline": "2026-11-21T20:00:00+00:00"}
VERSION = "20261121T1800Z-3f2a9c1b"
GOAL = goal(VERSION, labels=ME.name.labels(), approval="ask", task=ME.task, cycle=1, try_number=2)
SPEC = replace(
    spec_of(GOAL, replace(PLAN, checks={"score": {"min": 0.5}}), deadline=1_800_000_000.0),
    metrics=[{"kind": "cloudmonitor", "period": 60}, {"kind": "sql", "conn_id": "db", "sql": "select 1"}],
    probe={"requests": [{"path": "/predict", "expect": {"answer": 42}}]},
)
SHADOW = ShadowSpec(
    source="digits_one",
    shadow="digits_two",
    config={"metadata": {"name": "digits_two"}},
    labels={**ME.tags(1), **Shadow(source="digits_one").labels()},
    owner=ME.owner.labels(),
    ratio=10,
    duration=600.0,
    plan=PLAN.to_dict(),
    metrics={"kind": "cloudmonitor"},
    probe=None,
    begun="2026-11-21T19:00:00+00:00",
)
PROGRESS = Progress(
    phase=Phase.STEP,
    version=VERSION,
    digest="sha256:" + "ab" * 32,
    interval_end="2026-11-21T18:00:00Z",
    task=ME.task,
    cycle=1,
    stable="digits_one",
    step=1,
    since=1_795_000_000.5,
    failures=1,
    golden=3,
    own_version=2,
    stable_version=4,
    own_config=77,
    stable_config=78,
    exposed=1_794_999_990,
    note="a step",
    rejected=(rejection("sha256:" + "cd" * 32, ME.task, 0),),
    steps=(StepResult(percent=10, requests=120, errors=1, p95_ms=12.5, verdict="pass"),),
)
JOB = RemoteJob("dlc1", "Succeeded", "JobSucceeded", "", "2026-11-21T18:06:00Z", ME.tags(1), {"pods": 2})
MODEL = ModelArtifact(
    name="digits",
    version=VERSION,
    uri=f"oss://my-team/models/digits/{VERSION}/",
    content_digest="sha256:" + "1" * 64,
    size=10,
    files=1,
    framework="xgboost",
    metrics={"accuracy": 0.97},
    params={"depth": 4},
    code=Code(repo="https://example.com/digits.git", commit="0" * 40, entry="python train.py", branch="main"),
    image="registry.example.com/ml/xgboost:3",
    image_digest="sha256:" + "2" * 64,
    environment="environment.txt",
    instances={"ecs.g6.large": 2},
    status_seconds={"Queuing": 5, "Running": 70},
    job=JobRef(service="dlc", id="dlc1", url="https://pai.console.example.com/dlc1"),
    inputs=(DatasetRef(name="data", uri="oss://my-team/in/", digest="sha256:" + "0" * 64, size=1, files=1),),
    data_interval=DataInterval(start="2026-11-20T18:00:00Z", end="2026-11-21T18:00:00Z"),
    produced_by=Producer(**ME.origin, try_number=2, bundle="dags", bundle_version="c0ffee"),
    created_at="2026-11-21T18:30:00Z",
)
MANIFEST = Manifest(
    artifact=MODEL, files=(ManifestFile("model.json", 10, "AB", "123"),), request={"JobType": "XGBoostJob"}
)
EVENT = Event.of("promoted", "digits", ME, ServedModel(VERSION, "sha256:" + "ab" * 32), {"service": "digits_two"})
NOW = datetime(2026, 11, 21, 19, tzinfo=UTC)


class Kind(NamedTuple):
    """A kind of record.

    :param make: writes one, as plain JSON; it has no look at the clock.
    :param read: reads one, and returns as plain JSON what it means.
    """

    schema: Schema | None
    make: Callable[[], Any]
    read: Callable[[Any], Any]


def read_trigger(record: Json) -> Json:
    """Return the arguments that the trigger has, and what is made of those that are records themselves."""
    trigger = import_string(record["path"])(**record["arguments"])
    read: dict[str, Callable[[Any], Any]] = {
        "goal": lambda value: Until(**value).to_dict(),
        "undo": lambda value: Undo(**value).to_dict(),
        "rollout": lambda value: RolloutSpec.from_dict(value).to_dict(),
        "shadow": lambda value: ShadowSpec(**value).to_dict(),
    }
    arguments = trigger.arguments()
    meant = {name: read[name](value) for name, value in arguments.items() if name in read and value is not None}
    return {"arguments": {**arguments, **meant}, "subject": trigger.subject()}


def trigger(kind: type, **arguments: Any) -> Kind:
    """Return the record of a trigger's arguments, as they lie in Airflow's database."""

    def make() -> Json:
        path, serialized = kind(**arguments).serialize()
        return {"path": path, "arguments": serialized}

    return Kind(TRIGGER, make, read_trigger)


TRIGGERS = {
    "PaiJobTrigger": trigger(
        PaiJobTrigger,
        **BY_CONNECTION,
        hook_path="airflow_provider_pai.hooks.dlc.DlcHook",
        job_id="dlc1",
        log_interval=30.0,
        deferred_at="2026-11-21T18:06:00+00:00",
        task=ME.origin,
    ),
    "EasServiceTrigger": trigger(
        EasServiceTrigger,
        **BY_CONNECTION,
        task=ME.origin,
        service="digits_one",
        goal=Until(state="ready", instances=2).to_dict(),
        undo=Undo(version=3, owner=ME.owner.labels()).to_dict(),
    ),
    "CanaryTrigger": trigger(CanaryTrigger, hook_arguments=HOOK, rollout=SPEC.to_dict(), task=ME.origin),
    "ShadowTrigger": trigger(ShadowTrigger, hook_arguments=HOOK, shadow=SHADOW.to_dict(), task=ME.origin),
    "OssKeyTrigger": trigger(OssKeyTrigger, **BY_CONNECTION, uris=["oss://my-team/in/*.csv"], min_size=1, delay=2.0),
    "OssPrefixUnchangedTrigger": trigger(
        OssPrefixUnchangedTrigger, **BY_CONNECTION, uri="oss://my-team/in/", quiet_seconds=300.0, min_objects=2
    ),
    "OssArtifactTrigger": trigger(
        OssArtifactTrigger, **BY_CONNECTION, uri=MODEL.uri, digest=MANIFEST.digest, newer_than="2026-11-20T18:00:00Z"
    ),
    "OssObjectTrigger": trigger(
        OssObjectTrigger, uri="oss://my-team/in/*.csv", poll_interval=60.0, existing=True, asset="raw"
    ),
}


def read_labels_of_all(labels: dict[str, str]) -> Json:
    """Return every record that a service's labels hold."""
    progress, mark = Progress.of(labels), Mark.of(labels)
    assert progress is not None
    assert mark is not None
    return plain(
        {
            "progress": asdict(progress),
            "model": ServedModel.of(labels)._asdict(),
            "deployment": (Deployment.of(labels) or Deployment())._asdict(),
            "mark": {**mark._asdict(), "owner": mark.owner._asdict()},
            "shadow": (Shadow.of(labels) or Shadow(source=""))._asdict(),
        }
    )


def service_labels() -> dict[str, str]:
    """Return all that our labels can say, on one service."""
    return {
        **ME.labels(),
        **PROGRESS.labels(),
        **Deployment(config="c0ffee", before=3, latest=4, config_version=5).labels(),
        **Mark(owner=Owner(task=ME.task, cycle=1), replaced="digits_one", target=2, before=3, versions=4).labels(),
        **Shadow(source="digits_one", since="2026-11-21T18:30:00+00:00").labels(),
    }


def read_tags(tags: dict[str, str]) -> Json:
    """Return what a job's tags say, and by what its task finds it: another hash pays for a second job."""
    tagged, name = TaggedJob.read("dlc1", "Running", tags, ""), TaskName.of(tags)
    assert tagged is not None
    assert name is not None
    return plain({"tagged": tagged._asdict(), "name": name._asdict(), "found_by": ME.task, "version": ME.version(1)})


def read_lease(content: str) -> Json:
    """Return who holds a lease, and what it remembers."""
    told = json.loads(content)
    LEASE.check(told[SCHEMA_VERSION])
    memory = {name: [kept.created, dict(kept.labels)] for name, kept in read_memory(told["members"]).items()}
    holder = Holder.from_dict(told["holder"]).to_dict()
    return {"holder": holder, "ttl": told["ttl"], "released": told["released"], "memory": memory}


def lease() -> str:
    """Return a lease as it lies on OSS."""
    oss, prefix = FakeOss(VirtualClock()), OssUri.parse("oss://my-team/.pai/rollouts/digits/")
    one = Lease(oss, prefix, Holder.of(ME))  # type: ignore[arg-type]
    one.memory = read_memory({"digits_two": ["2026-11-21T18:06:00Z", PROGRESS.labels()]})
    assert one.take() is None
    return oss.get(prefix.join("00000001.json")).decode()


def end_of_a_rollout() -> Json:
    """Return a rollout's XCom."""
    eas = FakeEas()
    eas.run(goal("20261121T1800Z-aaaaaaaa"))
    eas.run(goal("20261122T1800Z-bbbbbbbb"))
    end = {name: value for name, value in eas.end.items() if name not in ("log_tail", "usage")}
    return plain({SCHEMA_VERSION: DEPLOYMENT.number, **end})


def read_end(end: Json) -> Json:
    """Return the fields that DAGs read of a rollout's XCom; those that a version writes are those of before."""
    DEPLOYMENT.check(end[SCHEMA_VERSION])
    today = end_of_a_rollout()
    return {name: today[name] is not None for name in end}


def read_row(values: Json) -> Json:
    """Return a row of the ledger with the hash that it must bear: another one breaks every chain."""
    row = Row(**values)
    row.check()
    return {"hash": row.content_hash, "payload": json.loads(row.payload)}


def read_waiting(text: str) -> Json:
    """Return the event that waits in an outbox."""
    waiting = Waiting.read(text)
    return plain({"since": waiting.since, "event": waiting.event._asdict()})


def read_manifest(text: str) -> Json:
    """Return what a manifest proves."""
    manifest = Manifest.from_bytes(text.encode())
    files = [asdict(file) for file in manifest.files]
    return plain({"artifact": manifest.artifact.to_dict(), "files": files, "request": manifest.request})


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return json.loads(json.dumps(value, default=dict))


TABLES = (Table(files="part-*.csv", count=2, format="csv", columns=(Column("age", "integer"),)),)

KINDS: dict[str, Kind] = {
    **{f"trigger-{name}": kind for name, kind in TRIGGERS.items()},
    "event-job": Kind(None, JOB.to_dict, lambda value: RemoteJob.read(value).to_dict()),
    "job-tags": Kind(LABELS, lambda: ME.tags(2), read_tags),
    "service-labels": Kind(LABELS, service_labels, read_labels_of_all),
    "manifest": Kind(ARTIFACT, lambda: MANIFEST.to_bytes().decode(), read_manifest),
    "xcom-artifact": Kind(
        ARTIFACT,
        lambda: replace(MODEL, digest=MANIFEST.digest).to_dict(),
        lambda value: ModelArtifact.from_dict(value).to_dict(),
    ),
    "xcom-dataset": Kind(
        ARTIFACT,
        lambda: DatasetArtifact.of(MODEL, tables=TABLES, record="oss://my-team/_runs/v/").to_dict(),
        lambda value: DatasetArtifact.from_dict(value).to_dict(),
    ),
    "xcom-deployment": Kind(DEPLOYMENT, end_of_a_rollout, read_end),
    "ledger-row": Kind(LEDGER_ROW, lambda: Row.of(EVENT, None, NOW)._asdict(), read_row),
    "ledger-waiting": Kind(LEDGER_ROW, lambda: Waiting.of(EVENT, NOW).text, read_waiting),
    "lease": Kind(LEASE, lease, read_lease),
    "cursor": Kind(
        None,
        Cursor(newest=1_795_000_000.0, seen={"in/a.csv": ["AB", 1_795_000_000.0]}).to_dict,
        lambda value: Cursor.read(value).to_dict(),
    ),
}
"""By the name of their files."""
