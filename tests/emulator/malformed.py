"""Requests that no client should send: values of every kind in every field of every model, and in paths and queries."""

from __future__ import annotations

import copy
import hashlib
import http.client
import importlib
import itertools
import json
import typing
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.auth import SignedRequest, acs3_signature
from airflow_provider_pai.emulator.models import fields_of
from airflow_provider_pai.emulator.permissions import ACTIONS
from airflow_provider_pai.emulator.times import now

MODELS = {
    "2020-12-03": "alibabacloud_pai_dlc20201203.models",
    "2022-01-01": "alibabacloud_pai_dsw20220101.models",
    "2021-07-01": "alibabacloud_eas20210701.models",
    "2021-02-04": "alibabacloud_aiworkspace20210204.models",
    "2019-01-01": "alibabacloud_cms20190101.models",
}

SPEC = {"Type": "Worker", "PodCount": 1, "ResourceConfig": {"CPU": "1", "Memory": "1Gi"}, "Image": "registry/image:1"}
JOB = {
    **{"DisplayName": "job", "JobType": "PyTorchJob", "JobSpecs": [SPEC], "UserCommand": "true", "ResourceId": "quota"},
    **{"Settings": {"Tags": {"a": "b"}}, "DataSources": [{"Uri": "oss://no-such-bucket/x/", "MountPath": "/mnt"}]},
    **{"UserVpc": {"VpcId": "vpc-1"}, "Envs": {"A": "b"}},
}
CHECK = {"http_get": {"path": "/", "port": 8000}, "period_seconds": 1, "failure_threshold": 2}
CONTAINER = {
    **{"image": "registry/image:1", "script": "sleep 60", "args": ["x"], "port": 8000},
    **{"env": [{"name": "A", "value": "b"}], "startup_check": CHECK, "liveness_check": CHECK, "health_check": CHECK},
}
SERVICE = {
    "metadata": {"name": "service", "instance": 1, "cpu": 1, "memory": 1000, "group": "group", "type": "Standard"},
    "containers": [CONTAINER],
    "storage": [{"mount_path": "/mnt", "oss": {"path": "oss://no-such-bucket/x/", "readOnly": True}}],
    "cloud": {"computing": {"instance_type": "ecs.g6.large", "instances": [{"type": "ecs.g6.large"}]}},
    "runtime": {"termination_grace_period": 1},
    **{"token": "secret", "labels": {"a": "b"}, "options": {"a": 1}, "rpc": {"keepalive": 5000}},
}
SCALER = {"min": 1, "max": 2, "scaleStrategies": [{"metricName": "qps", "threshold": 10}]}
BODIES: dict[str, Any] = {
    "CreateJob": JOB,
    "CreateInstance": {"InstanceName": "instance", "ImageUrl": "registry/image:1", "EcsSpec": "ecs.g6.large"},
    "CreateTensorboard": {"DisplayName": "board", "Uri": "oss://no-such-bucket/logs/"},
    "AddImage": {"Name": "image", "ImageUri": "registry/image:1", "Labels": [{"Key": "system.source", "Value": "a"}]},
    "CreateCodeSource": {
        "WorkspaceId": "10001",
        "DisplayName": "source",
        "CodeRepo": "https://example.com/a.git",
        "MountPath": "/code",
    },
    "CreateService": SERVICE,
    "UpdateService": SERVICE,
    "CreateServiceAutoScaler": SCALER,
    "UpdateServiceAutoScaler": SCALER,
    "CreateServiceMirror": {"Target": ["service"], "Ratio": 10},
    "UpdateServiceMirror": {"Target": ["service"], "Ratio": 10},
    "ReleaseService": {"TrafficState": "grouping", "Weight": 10},
    "UpdateGroup": {"TrafficMode": "manual"},
}
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 7, 10**30, 0.5, float("nan"), float("inf")),
    *("", "x", "7", "a,b", "\ud800", "\0", "\n", "/", "..", "oss://", "x" * 5000, "9" * 5000),
    *([], [None], ["x"], [7], [[]], [{}], {}, {"x": "x"}, {"x": None}, {"x": 7}, {"x": {}}, {"": []}, {"\0": ["x"]}),
)
NO_BODIES = (
    *(b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe{}", b'{"x": NaN}', b'{"x": "\\ud800"}'),
    *(b"[" * 200_000, b'{"a":' * 60_000, b"9" * 5000),
)
TEXTS = (
    *("", "x", "-1", "0", "9" * 30, "9" * 5000, "1e5", "NaN", "%ff", "%00", "%0A", "%ED%A0%80", "{", "[]", "null"),
    *("%7B%22a%22%3A1%7D", "%7B%22a%22%3A%7B%7D%7D", "%7B%22%22%3Anull%7D", "7", "2026-13-01", "2026-11-22"),
    *("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "1999-01-01%2000:00:00", "%E2%98%83", "a" * 9000),
)
PATHS = ("", "x", "..", "%2F", "a%2Fb", "%00", "%0A", "%ff", "%E2%98%83", "a" * 9000, "%25")


class Api(NamedTuple):
    """One action as its route has it."""

    method: str
    path: str
    version: str
    action: str

    def fields(self) -> Iterator[tuple[str | int, ...]]:
        """Yield the place of each field of the SDK's request model, and of the body that is sent."""
        yield from _places(BODIES.get(self.action, {}))
        models = MODELS.get(self.version)
        if models and (model := getattr(importlib.import_module(models), f"{self.action}Request", None)):
            yield from _model_places(model)


def apis(pai: Emulator) -> list[Api]:
    """Return every action of the PAI APIs; what deletes comes last."""
    found = [
        Api(method, route.path, version, route.name)
        for route in pai.services.routes["api"]
        if not route.path.startswith("/_")
        for method in route.methods - {"HEAD"}
        for version, name in ACTIONS
        if name == route.name
    ]
    return sorted(found, key=lambda api: (api.method == "DELETE", api))


def changed(action: str, place: tuple[str | int, ...], value: Any) -> bytes:
    """Return a body that is right but for one field."""
    body = copy.deepcopy(BODIES.get(action, {}))
    here = body
    for step, following in itertools.pairwise(place):
        if isinstance(step, int):
            if not here:
                here.append([] if isinstance(following, int) else {})
            here = here[0]
        else:
            here = here.setdefault(step, [] if isinstance(following, int) else {})
    if isinstance(place[-1], int):
        here[:] = [value]
    else:
        here[place[-1]] = value
    return json.dumps(body).encode()


def send(pai: Emulator, api: Api, path: str, query: str = "", body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Send a request that is rightly signed and return status and body of the answer."""
    headers = {
        "host": pai.endpoints.endpoint_url.removeprefix("http://"),
        "x-acs-action": api.action,
        "x-acs-version": api.version,
        "x-acs-date": now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    signed, key = SignedRequest(api.method, path, query, headers), pai.endpoints
    signature = acs3_signature(signed, sorted(headers), key.access_key_secret)
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key.access_key_id},"
        f"SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
    )
    status, content = exchange(headers["host"], api.method, f"{path}?{query}", headers, body)
    return status, json.loads(content)


def exchange(host: str, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """Send a request as it is given, and return status and body of the answer."""
    connection = CONNECTIONS.setdefault(host, http.client.HTTPConnection(host, timeout=20))
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except BaseException:
        connection.close()  # the next request begins anew
        raise


def encoded(text: str) -> str:
    """Percent-encode a part of a query."""
    return quote(text, safe="", errors="surrogatepass")


CONNECTIONS: dict[str, http.client.HTTPConnection] = {}


def _places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if here:
        yield here
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _places(child, (*here, name))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*here, 0))


def _model_places(model: Any, here: tuple[str | int, ...] = (), depth: int = 3) -> Iterator[tuple[str | int, ...]]:
    for name, hint in fields_of(model).items():
        place = (*here, name)
        yield place
        (inner, *_) = typing.get_args(hint) or (hint,)
        if typing.get_origin(hint) is list:
            place = (*place, 0)
            yield place
        if hasattr(inner, "from_map") and depth:
            yield from _model_places(inner, place, depth - 1)
