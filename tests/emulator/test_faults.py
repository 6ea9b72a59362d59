"""Faults on demand, over the control endpoint and seen through the real SDKs."""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import oss2
import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_pai_dlc20201203.client import Client as DlcClient
from alibabacloud_tea_openapi.exceptions import ServerException, ThrottlingException
from darabonba.exceptions import UnretryableException
from Tea.exceptions import TeaException

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.faults import Fault
from tests.conftest import sdk_config


@pytest.fixture
def control(pai: Emulator) -> str:
    return f"{pai.endpoints.endpoint_url}/_emulator/faults"


def list_jobs(pai: Emulator) -> Any:
    return DlcClient(sdk_config(pai)).list_jobs(dlc.ListJobsRequest(workspace_id="1"))


def set_faults(control: str, *rules: dict[str, Any]) -> None:
    requests.post(control, json=rules, timeout=10).raise_for_status()


def test_rules_come_and_go(control: str) -> None:
    set_faults(control, {"match": "api ListJobs", "status": 503, "times": 2}, {"match": "oss", "delay": 1})
    assert [rule["match"] for rule in requests.get(control, timeout=10).json()] == ["api ListJobs", "oss"]
    assert requests.delete(control, timeout=10).json() == []


@pytest.mark.parametrize(
    "wrong",
    [{"match": "("}, {"drop": "x"}, {"status": 99}, {"probability": 2}, {"rate": 0}, {"nonsense": 1}, "text", None],
)
def test_a_wrong_rule_changes_nothing(control: str, wrong: Any) -> None:
    response = requests.post(control, json=[{"match": "oss", "status": 503}, wrong], timeout=10)
    assert (response.status_code, "error" in response.json()) == (400, True)
    assert requests.get(control, timeout=10).json() == []


def test_status(pai: Emulator, control: str) -> None:
    set_faults(control, {"match": "^api ListJobs /api", "status": 503, "code": "Busy", "times": 2})
    for _ in range(2):
        with pytest.raises(ServerException) as error:
            list_jobs(pai)
        assert (error.value.status_code, error.value.code) == (503, "Busy")
    assert list_jobs(pai).status_code == 200


def test_throttling(pai: Emulator, control: str) -> None:
    set_faults(
        control, {"match": "ListJobs", "status": 429, "code": "Throttling.User", "retry_after_ms": 1500, "times": 1}
    )
    with pytest.raises(ThrottlingException) as error:
        list_jobs(pai)
    assert error.value.retry_after == 1500


def test_oss_status(bucket: oss2.Bucket, control: str) -> None:
    set_faults(control, {"match": f"^oss PUT /{bucket.bucket_name}/", "status": 503, "message": "a < b & c"})
    with pytest.raises(oss2.exceptions.ServerError) as error:
        bucket.put_object("k", b"1")
    assert (error.value.status, error.value.code, error.value.message) == (503, "ServiceUnavailable", "a < b & c")
    assert error.value.request_id
    assert not bucket.object_exists("k")


def test_delay(bucket: oss2.Bucket, control: str) -> None:
    bucket.put_object("k", b"1")
    set_faults(control, {"match": f"oss GET /{bucket.bucket_name}/k", "delay": 0.3, "times": 1})
    begun = time.perf_counter()
    assert bucket.get_object("k").read() == b"1"
    assert time.perf_counter() - begun >= 0.3


def test_probability() -> None:
    rule = Fault(match="x", probability=0.5)
    assert 300 < sum(rule.hits("x") for _ in range(1000)) < 700
    assert not Fault(match="x", probability=0.0).hits("x")


@pytest.mark.parametrize(("drop", "stored"), [("request", False), ("answer", True)])
def test_drop(bucket: oss2.Bucket, control: str, drop: str, stored: bool) -> None:
    set_faults(control, {"match": f"oss PUT /{bucket.bucket_name}/k", "drop": drop, "times": 1})
    with pytest.raises(oss2.exceptions.RequestError):
        bucket.put_object("k", b"1" * 3_000_000)
    assert bucket.object_exists("k") is stored


@pytest.mark.parametrize("drop", ["request", "answer"])
def test_drop_cuts_before_any_byte(pai: Emulator, control: str, drop: str) -> None:
    set_faults(control, {"match": "api GET /none", "drop": drop, "times": 1})
    address = urlsplit(pai.endpoints.endpoint_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    set_faults(control, {"match": "api ListJobs", "drop": drop, "times": 1})
    with pytest.raises((UnretryableException, TeaException)):
        list_jobs(pai)


def test_the_control_endpoint_is_spared(control: str) -> None:
    set_faults(control, {"status": 500})
    assert requests.get(control, timeout=10).status_code == 200


def test_a_line_that_breaks_and_one_that_is_slow(pai: Emulator, bucket: oss2.Bucket) -> None:
    content = bytes(3 << 20)
    bucket.put_object("k", content)
    pai.account.faults.add(match="oss GET", cut_after=2 << 20, times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # oss2 lets it through as it is
        bucket.get_object("k").read()
    pai.account.faults.add(match="oss PUT", cut_after=2 << 20, times=1)
    with pytest.raises(oss2.exceptions.RequestError):
        bucket.put_object("torn", content)
    assert not bucket.object_exists("torn")
    pai.account.faults.clear()
    begun = time.monotonic()
    assert bucket.get_object("k").read() == content
    fast = time.monotonic() - begun
    pai.account.faults.add(match="oss GET", rate=10 * len(content))
    begun = time.monotonic()
    assert bucket.get_object("k").read() == content
    assert time.monotonic() - begun > max(fast, 0.05)
