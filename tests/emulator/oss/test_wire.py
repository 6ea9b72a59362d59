"""OSS's wire: sub-resources, keys of any bytes, the order of checks, dates, conditions, chunked bodies."""

from __future__ import annotations

import socket
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

import oss2
import pytest
import requests

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_auth, oss_bucket
from tests.emulator.oss_client import code_of, keys_of


def send(bucket: oss2.Bucket, method: str, key: str, **options: Any) -> Any:
    return bucket._do(method, bucket.bucket_name, key, **options)


@pytest.mark.parametrize(
    ("method", "key", "name"),
    [
        ("PUT", "k", "legalHold"),
        ("DELETE", "k", "legalHold"),
        ("POST", "k", "cleanRestoredObject"),
        ("GET", "k", "something"),
        ("PUT", "", "overwriteConfig"),
        ("DELETE", "", "overwriteConfig"),
        ("GET", "", "archiveDirectRead"),
    ],
)
def test_an_unknown_sub_resource_is_not_taken_for_the_plain_call_and_its_signature_counts(
    pai, bucket, method, key, name
):
    if key:
        bucket.put_object("k", b"kept")
    stranger = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, secret="wrong"))
    for client, expected in ((bucket, (501, "NotImplemented")), (stranger, (403, "SignatureDoesNotMatch"))):
        with pytest.raises(oss2.exceptions.ServerError) as error:
            send(client, method, key, params={name: ""}, data=b"<LegalHold/>")
        assert code_of(error) == expected
    assert keys_of(bucket) == ["k"][: len(key)]
    assert not key or bucket.get_object("k").read() == b"kept"


@pytest.mark.parametrize("version", ["v1", "v2", "v4"])
def test_empty_parameters_of_a_list_are_no_sub_resources(pai, bucket, version):
    bucket.put_object("k", b"")
    client = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, version))
    assert keys_of(client, prefix="", delimiter="", start_after="") == ["k"]


@pytest.mark.parametrize("version", ["v1", "v2", "v4"])
def test_keys_are_any_bytes(pai, bucket, version):
    client = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, version))
    keys = ["a\nb", "\n", "a\r", "a\0b", "a\u2028b", "a\x85", "a//b", "../x", "%0A", "é", "e\u0301"]
    for key in keys:
        client.put_object(key, key.encode())
    assert set(keys_of(client)) == set(keys)
    for key in keys:
        assert client.get_object(key).read() == key.encode()
        client.delete_object(key)
    assert keys_of(client) == []


@pytest.mark.parametrize("key", ["", "k"])
def test_a_bucket_that_is_not_there_is_told_before_the_signature_is_looked_at(pai, key):
    """Page "Error responses": NoSuchBucket; whose key it is, a bucket's region has to know, and there is none."""
    stranger = oss_bucket(pai, "no-such-bucket", oss2.Auth("LTAInobody", "secret"))
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        send(stranger, "GET", key)
    with pytest.raises(oss2.exceptions.ServerError, match="InvalidAccessKeyId"):
        stranger.create_bucket()


def test_no_object_is_younger_than_the_answer_to_its_upload(bucket):
    for _ in range(25):
        answer = bucket.put_object("k", b"").resp.headers["date"]
        written = bucket.head_object("k").resp.headers["last-modified"]
        assert parsedate_to_datetime(answer) >= parsedate_to_datetime(written)


def test_a_condition_that_did_not_hold_is_named(bucket):
    bucket.put_object("k", b"")
    for header, value in (("If-Match", "another"), ("If-Unmodified-Since", "Fri, 01 Jan 2021 00:00:00 GMT")):
        with pytest.raises(oss2.exceptions.PreconditionFailed) as error:
            bucket.get_object("k", headers={header: value})
        assert error.value.details["Condition"] == header


def test_a_chunked_body_may_have_a_length_beside(pai: Emulator, bucket: oss2.Bucket) -> None:
    url = bucket.sign_url("PUT", "k", 60)
    host, _, path = url.removeprefix("http://").partition("/")
    head = f"PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(tuple(host.split(":"))) as connection:
        connection.sendall(f"{head}5\r\nhello\r\n0\r\n\r\n".encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    assert bucket.get_object("k").read() == b"hello"


@pytest.mark.parametrize("junk", ["\0", "\x1f", "\uffff", b"\xed\xa0\x80", "&#1;"])
def test_an_error_that_repeats_a_request_is_xml_nevertheless(pai, bucket, junk):
    url = bucket.sign_url("GET", "k", 60, params={"versionId": junk})
    answer = requests.get(url)
    assert (answer.status_code, ElementTree.fromstring(answer.content).findtext("Code")) == (400, "InvalidArgument")
