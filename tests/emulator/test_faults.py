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
    [
        *({"match": "("}, {"fields": "("}, {"drop": "x"}, {"spoil": "x"}, {"headers": {"x": 1}}, {"headers": "x"}),
        *({"status": 99}, {"probability": 2}, {"rate": 0}, {"nonsense": 1}, "text", None),
    ],
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
        control,
        {
            **{"match": "ListJobs", "status": 429, "code": "Throttling.User", "times": 1},
            "headers": {"x-acs-retry-after": "1500"},
        },
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


def test_a_later_call_is_hit() -> None:
    rule = Fault(match="x", skip=1, times=1)
    assert [rule.hits("x") for _ in range(3)] == [False, True, False]


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


def asked(pai: Emulator, **fault: Any) -> requests.Response:
    """Ask something small that needs no key: a path that no API has."""
    pai.account.faults.add(match="api GET /none", times=1, **fault)
    return requests.get(f"{pai.endpoints.endpoint_url}/none", timeout=0.5)


@pytest.mark.parametrize(("fault", "status"), [({}, 404), ({"status": 503}, 503)])
def test_a_small_answer_is_cut_in_its_middle_and_so_is_an_error(pai: Emulator, fault: Any, status: int) -> None:
    pai.account.faults.add(match="api GET /none", drop="body", times=1, **fault)
    with requests.get(f"{pai.endpoints.endpoint_url}/none", timeout=10, stream=True) as answer:
        assert answer.status_code == status
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = answer.content


def test_an_answer_that_stalls_in_its_body(pai: Emulator) -> None:
    begun = time.perf_counter()
    with pytest.raises(requests.exceptions.ConnectionError):
        asked(pai, stall=2)
    assert time.perf_counter() - begun < 1.5
    assert asked(pai, stall=0.1).json()["Code"] == "InvalidAction.NotFound"
    with pytest.raises(requests.exceptions.ReadTimeout):
        asked(pai, drop="answer", stall=2)


def test_a_service_or_a_proxy_says_when_to_come_again(pai: Emulator) -> None:
    assert asked(pai, status=503, headers={"Retry-After": "7"}).headers["Retry-After"] == "7"


def test_half_an_answer_none_and_somebody_else_s_page(pai: Emulator) -> None:
    with pytest.raises(requests.JSONDecodeError):
        asked(pai, spoil="half").json()
    assert asked(pai, spoil="empty").content == b""
    page = asked(pai, status=200, spoil="html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "x-acs-request-id" not in page.headers
    assert asked(pai, status=502, spoil="html").status_code == 502


def test_a_real_answer_s_fields(pai: Emulator, bucket: oss2.Bucket) -> None:
    pai.account.faults.add(match="api ListJobs", spoil="types", fields="TotalCount", times=1)
    assert list_jobs(pai).body.total_count == "seven"
    pai.account.faults.add(match="api ListJobs", spoil="missing", fields="TotalCount", times=1)
    assert list_jobs(pai).body.total_count is None
    bucket.put_object("k", b"1")
    pai.account.faults.add(match="oss GET", spoil="missing", fields="Contents.Key", times=1)
    with pytest.raises(RuntimeError):  # so oss2 says it
        bucket.list_objects_v2()
    pai.account.faults.add(match="oss HEAD", spoil="missing", fields="etag", times=1)
    assert "etag" not in bucket.head_object("k").headers
    assert "etag" in bucket.head_object("k").headers
