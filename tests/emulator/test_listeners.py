"""Requests that are too large, half, silent or unsigned: each is refused or cut off, and nothing of it is kept."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import oss2
import pytest
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from airflow_provider_pai.emulator import Emulator, listeners, wire
from airflow_provider_pai.emulator.datafolder import StartError
from airflow_provider_pai.emulator.listeners import check_host
from airflow_provider_pai.emulator.oss.routes import call
from tests.conftest import sdk_config

HUGE = 400 << 20
"""Bytes that are announced and never sent."""


def connected(url: str) -> socket.socket:
    at = urlsplit(url)
    return socket.create_connection((at.hostname, at.port), timeout=20)


def ended(sock: socket.socket) -> bool:
    """Wait until the other side ends a connection; an answer may come first."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            pass
    return True


def answers(url: str, wanted: bytes, head: str, *more: bytes) -> bool:
    """Send a request's head, and no more than is given of its body; tell whether that is answered as wanted."""
    found = b""
    with connected(url) as sock:
        sock.sendall(head.replace("\n", "\r\n").encode() + b"".join(more))
        while wanted not in found and (chunk := sock.recv(65536)):
            found += chunk
    return wanted in found


@pytest.mark.parametrize(
    ("service", "request_line", "code"),
    [
        ("endpoint_url", "POST /api/v1/jobs", b"MissingAuthorization"),
        ("endpoint_url", "POST /nowhere", b"InvalidAction.NotFound"),
        ("oss_endpoint", "PUT /bucket-of-nobody/key", b"NoSuchBucket"),
        ("eas_gateway", "POST /api/predict/nobody", b"NotFound"),
    ],
)
def test_who_does_not_sign_is_refused_before_its_body_comes(pai: Emulator, service, request_line, code) -> None:
    head = f"{request_line} HTTP/1.1\nHost: x\nContent-Length: {HUGE}\n\n"
    assert answers(getattr(pai.endpoints, service), code, head, b"x" * 1000)


def test_a_signed_document_has_a_bound(pai: Emulator, monkeypatch) -> None:
    monkeypatch.setattr(wire, "MAX_DOCUMENT_BYTES", 10_000)
    params = Params(
        action="CreateJob",
        version="2020-12-03",
        protocol="HTTP",
        pathname="/api/v1/jobs",
        method="POST",
        auth_type="AK",
        style="ROA",
        req_body_type="json",
        body_type="json",
    )
    body = {"DisplayName": "x" * 20_000}
    with pytest.raises(ClientException) as error:
        OpenApiClient(sdk_config(pai)).call_api(params, OpenApiRequest(body=body), RuntimeOptions())
    assert (error.value.status_code, error.value.code) == (413, "RequestEntityTooLarge")


def test_an_xml_document_has_a_bound(bucket: oss2.Bucket, monkeypatch) -> None:
    monkeypatch.setattr(wire, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(oss2.exceptions.OssError) as error:
        bucket.batch_delete_objects([f"key-{number}" for number in range(100)])
    assert error.value.code == "EntityTooLarge"


def test_the_control_endpoint_has_a_bound(pai: Emulator, monkeypatch) -> None:
    monkeypatch.setattr(wire, "MAX_DOCUMENT_BYTES", 100)
    body = json.dumps([{"match": "x" * 200}]).encode()
    head = f"POST /_emulator/faults HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n"
    assert answers(pai.endpoints.endpoint_url, b"HTTP/1.1 413", head, body)


def test_an_object_has_a_bound_also_where_its_length_is_not_announced(bucket: oss2.Bucket, monkeypatch) -> None:
    monkeypatch.setattr(call, "MAX_PUT_BYTES", 1000)

    def refused(put: Any, *arguments: Any) -> str:
        with pytest.raises(oss2.exceptions.OssError) as error:
            put(*arguments)
        return error.value.code

    assert refused(bucket.put_object, "announced", b"x" * 1001) == "EntityTooLarge"
    assert refused(bucket.put_object, "chunked", iter([b"x" * 600] * 2)) == "EntityTooLarge"
    bucket.append_object("log", 0, b"x" * 600)
    assert refused(bucket.append_object, "log", 600, b"x" * 600) == "EntityTooLarge"
    assert [each.key for each in oss2.ObjectIterator(bucket)] == ["log"]


def test_a_head_has_a_bound(pai: Emulator) -> None:
    head = "GET / HTTP/1.1\nHost: x\n" + "".join(f"x-{number}: {'y' * 1000}\n" for number in range(70))
    assert answers(pai.endpoints.endpoint_url, b"too large", head)


@pytest.mark.parametrize("service", ["endpoint_url", "oss_endpoint", "eas_gateway"])
@pytest.mark.parametrize(
    "half",
    [
        "",
        "POST /api/v1/jobs HTTP/1.1\nHost: x\n",
        "POST /nowhere HTTP/1.1\nHost: x\nContent-Length: 10\n\n12345",
    ],
    ids=["nothing", "head", "body"],
)
def test_who_begins_a_request_and_does_not_go_on_is_cut_off(pai: Emulator, monkeypatch, service, half) -> None:
    monkeypatch.setattr(listeners, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(listeners, "BODY_SECONDS", 0.05)
    with connected(getattr(pai.endpoints, service)) as sock:
        sock.sendall(half.replace("\n", "\r\n").encode())
        assert ended(sock)


def test_who_sends_a_head_byte_by_byte_is_cut_off(pai: Emulator, monkeypatch) -> None:
    monkeypatch.setattr(listeners, "HEAD_SECONDS", 0.2)
    stop = threading.Event()

    def drip(sock: socket.socket) -> None:
        while not stop.wait(0.02):
            with contextlib.suppress(OSError):
                sock.sendall(b"G")

    with connected(pai.endpoints.endpoint_url) as sock:
        dripping = threading.Thread(target=drip, args=[sock])
        dripping.start()
        assert ended(sock)
        stop.set()
        dripping.join()


def test_who_waits_for_an_answer_is_not_cut_off(pai: Emulator, monkeypatch) -> None:
    monkeypatch.setattr(listeners, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(listeners, "BODY_SECONDS", 0.05)
    pai.account.faults.add(match="oss PUT", delay=0.4, times=1)
    body = b"x" * (1 << 20)
    head = f"PUT /bucket-of-nobody/key HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n"
    assert answers(pai.endpoints.oss_endpoint, b"NoSuchBucket", head, body)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_an_address_of_this_machine_alone(host) -> None:
    check_host(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "some.name", ""])
def test_an_address_that_others_reach_must_be_meant(host) -> None:
    with pytest.raises(StartError, match="whoever has a key of the emulator runs commands on this machine"):
        Emulator(host=host).start()
