"""Values that DAGs and templates may give to every argument of every public operator and sensor: read or refused."""

from __future__ import annotations

import inspect
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.hooks.oss import OssHook
from tests.conftest import airflow_connection, oss_bucket
from tests.group import ServiceGroup
from tests.public import public_classes
from tests.service import create, delete_all
from tests.task import Task

CLASSES = {one.__name__: one for kind in ("operators", "sensors") for one in public_classes(kind)}

# The connection's: one class stands for all. The names of connections are Airflow's to read.
COMMON = {"pai_conn_id", "region", "workspace_id", "ledger_conn_id"}
COMMON_TO_LISTS = COMMON - {"region", "workspace_id"}


TEXTS = [
    "",
    " ",
    "None",
    "²",
    "nan",
    "inf",
    "1e999",
    "0",
    "-1",
    "1",
    "5.5",
    "true",
    "5m",
    "PT5M",
    "2026-11-21",
    "12:00",
    "a",
    "*.csv",
]
TEXTS += [
    "[",
    "{",
    "[1]",
    '["a"]',
    '{"a": 1}',
    "{'a': 1}",
    "oss://b-1/x/",
    "oss://b-1/x",
    "s3://b/x",
    "/a",
    "a\0b",
    "a\nb",
    "文件",
    "\ud800",
]
SCALARS = [
    None,
    True,
    False,
    0,
    -1,
    1,
    20261121,
    5.5,
    1e30,
    float("nan"),
    float("inf"),
    10**400,
    Decimal("1.5"),
    Decimal("nan"),
    b"a",
]
SCALARS += [datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), timedelta(minutes=5), timedelta.max, object()]
LISTS = [
    {"a"},
    (),
    [],
    ["a"],
    [None],
    [[1]],
    [{}],
    {},
    {"a": 1},
    {"a": None},
    {1: 2},
    {None: 1},
    {"a": b"b"},
    {"a": float("nan")},
]
HUGE = ["x" * 10_000, "9" * 5_000, "[" * 10_000, ["a"] * 10_000, {f"k{number}": number for number in range(10_000)}]
NAMES = [
    "a",
    "name",
    "version",
    "uri",
    "repo",
    "commit",
    "kind",
    "requests",
    "min",
    "max",
    "metadata",
    "containers",
    "vpc_id",
    "digest",
]
VALUES = st.sampled_from([*TEXTS, *SCALARS, *LISTS, *HUGE])
NESTED = VALUES | st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=4,
)


class CreatedError(BaseException):
    """Something would be created, changed or sent now: all input has been read."""


class Reads:
    """Answers each read once from the emulator, then from memory; anything else is a CreatedError."""

    def __init__(self):
        self._send, self._answers = HTTPAdapter.send, {}

    def __call__(self, request, stream=False, **options):
        if request.method not in ("GET", "HEAD"):
            raise CreatedError(request.url)
        url = urlsplit(request.url)
        query = frozenset(pair for pair in parse_qsl(url.query) if pair[0] not in ("StartTime", "Tags"))
        key = (request.method, url.netloc, url.path, query)
        if key not in self._answers:
            self._answers[key] = self._send(HTTPAdapter(), request, stream=False, **options)
        known, answer = self._answers[key], requests.Response()
        answer.status_code, answer.headers, answer.url, answer.request = (
            known.status_code,
            known.headers,
            request.url,
            request,
        )
        answer.reason, body = known.reason, BytesIO(known.content)
        answer.raw = HTTPResponse(
            body, headers=known.headers, status=known.status_code, preload_content=False, request_method=request.method
        )
        return answer


@pytest.fixture(scope="module")
def here(pai, tmp_path_factory):
    """A bucket with data, a model and a service that stands; from then on nothing is created."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("templates")
        bucket = oss_bucket(pai, f"templates-{uuid.uuid4().hex[:12]}")
        state = f"oss://{bucket.bucket_name}/state"
        patch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=state)))
        patch.setenv("AIRFLOW_HOME", str(folder))
        patch.chdir(folder)
        bucket.create_bucket()
        group = ServiceGroup(bucket.bucket_name)
        OssHook().put(f"oss://{bucket.bucket_name}/data/a.csv", "1")
        (folder / "file").write_text("1")
        facts = {"data": f"oss://{bucket.bucket_name}/data/", "bucket": bucket.bucket_name, "folder": folder}
        facts |= {"model": group.model(21), "group": group.name, "service": create(group)}
        with pytest.MonkeyPatch.context() as reads:
            answer = Reads()
            reads.setattr(HTTPAdapter, "send", lambda _, request, **options: answer(request, **options))
            yield SimpleNamespace(**facts)
        delete_all(group)


def arguments(name, here):
    """Return arguments of a class with which it comes as far as to create something."""
    model, data = here.model, here.data
    image = {"image": "i", "command": "serve", "cpu": 1, "memory": 100}
    workload = {"image": "i", "command": "true", "output": f"{data}out", "inputs": {"d": data}}
    rollout = {"artifact": model, "group": here.group, "probe": {"requests": [{}]}, **image}
    service = {"service_name": here.service}
    each = {
        "DlcStartTensorBoardOperator": {"log_uri": data},
        "DlcStopJobOperator": {"job_id": "dlc1"},
        "DlcStopTensorBoardOperator": {"tensorboard_id": "t1"},
        "DlcSubmitJobOperator": {**workload, "framework": "pytorch", "ecs_spec": "ecs.g6.large"},
        "DswCreateInstanceOperator": {**workload, "ecs_spec": "ecs.g6.large"},
        "DswDeleteInstanceOperator": {"instance_id": "dsw-1"},
        "DswRegisterImageOperator": {"image_name": f"i-{uuid.uuid4().hex[:8]}", "image": "registry/image:1"},
        "DswRunCommandOperator": {**workload, "ecs_spec": "ecs.g6.large"},
        "DswRunNotebookOperator": {**workload, "ecs_spec": "ecs.g6.large", "notebook": "a.ipynb"},
        "DswStartInstanceOperator": {"instance_id": "dsw-1"},
        "DswStopInstanceOperator": {"instance_id": "dsw-1"},
        "EasBlueGreenDeployOperator": rollout,
        "EasCanaryDeployOperator": rollout,
        "EasDeployServiceOperator": {"artifact": model, **image, "service_name": f"{here.group}_new"},
        "EasDeleteServiceOperator": service,
        "EasPredictOperator": {**service, "requests": [{}]},
        "EasRollbackOperator": {"group": here.group},
        "EasRollbackServiceOperator": service,
        "EasScaleServiceOperator": {**service, "instances": 2},
        "EasSetSafetyLockOperator": service,
        "EasShadowOperator": {
            "source": here.service,
            "ratio": 5,
            "duration": "5m",
            "requests_are_idempotent": True,
            **image,
        },
        "EasStartServiceOperator": service,
        "EasStopServiceOperator": service,
        "ModelGateOperator": {"artifact": model, "group": here.group, "minimum": 0.5},
        "ObjectStorageToOssOperator": {"source": f"file://{here.folder}/file", "uri": f"{data}b"},
        "OssCopyOperator": {"source": f"{data}a.csv", "target": f"{data}b.csv"},
        "OssCreateBucketOperator": {"bucket": "some-bucket"},
        "OssDeleteBucketOperator": {"bucket": here.bucket},
        "OssDeleteOperator": {"uri": data},
        "OssDownloadOperator": {"uri": f"{data}a.csv", "path": f"{here.folder}/a.csv"},
        "OssListOperator": {"uri": data},
        "OssToObjectStorageOperator": {"uri": f"{data}a.csv", "target": f"file://{here.folder}/b"},
        "OssUploadOperator": {"path": f"{here.folder}/file", "uri": f"{data}b"},
        "OssWriteManifestOperator": {"uri": data, "name": "m"},
        "DlcJobSensor": {"job_id": "dlc1"},
        "DswInstanceSensor": {"instance_id": "dsw-1"},
        "EasServiceSensor": service,
        "OssArtifactSensor": {"artifact": model},
        "OssKeySensor": {"uri": f"{data}a.csv"},
        "OssPrefixUnchangedSensor": {"uri": data},
    }
    return {"task_id": "task", **each[name]}


def outcome(name, here, changes):
    """Execute an operator once, as far as nothing is created; return how it ended.

    :raises BaseException: neither well nor with an error of ours.
    """
    cls, changes = CLASSES[name], {"deferrable": True, **changes}
    rendered = {field: value for field, value in changes.items() if field in cls.template_fields}
    written = {field: value for field, value in changes.items() if field in written_in_dags(cls)}
    try:
        operator = cls(**{**arguments(name, here), **written})
        for field, value in rendered.items():
            setattr(operator, field, value)  # what rendering does
        task = Task(lambda: operator, try_number=1)
        operator.execute(task.context())
    except (CreatedError, TaskDeferred, AirflowSkipException, PaiError) as end:
        return end
    return None


def parameters(cls):
    """Return the arguments of this package's own constructors."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("airflow_provider_pai")]
    several = [inspect.signature(base.__init__).parameters.values() for base in ours]
    return {each.name: each for found in several for each in found if each.kind is each.KEYWORD_ONLY}


def written_in_dags(cls):
    """Return the names of the arguments that are no templates."""
    return sorted(name for name in parameters(cls) if not {name, f"{name}_uri"} & set(cls.template_fields))


def fields(name):
    """Return everything that may be given to a class and is its own: template fields and other arguments."""
    common = COMMON_TO_LISTS if name == "OssListOperator" else COMMON
    cls = CLASSES[name]
    return [field for field in (*cls.template_fields, *written_in_dags(cls)) if field not in common]


@pytest.mark.parametrize("name", CLASSES)
def test_as_it_should_be(name, here):
    end = outcome(name, here, {})
    assert not isinstance(end, PaiConfigError) or name == "EasRollbackServiceOperator", "it has no version to go to"


@pytest.mark.parametrize("name", CLASSES)
@settings(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(value=NESTED)
def test_whatever_a_dag_or_a_template_gives(name, here, value):
    for field in fields(name):
        try:
            end = outcome(name, here, {field: value})
        except BaseException as error:
            error.add_note(f"{name}({field}={value!r:.200})")
            raise
        assert not isinstance(end, PaiConfigError) or len(str(end)) < 5_000


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_true_or_false_is_neither_by_being_there(name, here):
    """The text `False` is true to Python: it would delete what was to stay."""
    switches = {field for field, each in parameters(CLASSES[name]).items() if isinstance(each.default, bool)}
    for field in switches - {"reuse"}:  # which model: a text, or none
        for value in ("no", "", "{{ params.delete }}", None, 1, [True]):
            end = outcome(name, here, {field: value})
            assert isinstance(end, PaiConfigError), f"{field}={value!r}"
            assert end.field == field
