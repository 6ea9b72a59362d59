"""PostObject: HTML forms through real sockets, as browsers and `requests` post them."""

from __future__ import annotations

import hashlib
import http.client
from typing import Any
from xml.etree import ElementTree

import oss2
import pytest
import requests

from airflow_provider_pai.emulator import Emulator
from tests.emulator.oss_client import MIB, Site, encoded, keys_of


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Return status, code and EC of a refusal."""
    error = ElementTree.fromstring(answer.content)
    return answer.status_code, error.findtext("Code") or "", error.findtext("EC") or ""


@pytest.fixture
def site(pai: Emulator, bucket: oss2.Bucket) -> Site:
    return Site(pai, bucket)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_signed_form_puts_its_file_under_the_files_name_with_the_headers_it_names(site, bucket, version):
    fields = site.form(version, ["starts-with", "$key", "上传/"], ["content-length-range", 1, 100], x_oss_meta_who="jo")
    answer = site.post({**fields, "Cache-Control": "no-cache", "x-oss-object-acl": "public-read"}, name="图.txt")
    assert (answer.status_code, answer.content) == (204, b"")
    (key,) = keys_of(bucket)
    found = bucket.get_object("上传/图.txt")
    assert (key, found.read(), found.headers["x-oss-meta-who"]) == ("上传/图.txt", b"bytes", "jo")
    assert (found.headers["Cache-Control"], found.content_type) == ("no-cache", "text/plain")
    assert found.etag == answer.headers["etag"].strip('"') != hashlib.md5(b"bytes").hexdigest().upper()
    assert bucket.get_object_acl(key).acl == "public-read"


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_form_of_a_temporary_key_brings_its_token(pai, bucket, version):
    site = Site(pai, bucket, pai.account.add_user(temporary=True))
    fields = site.form(version)
    assert site.post(fields).status_code == 204
    fields["x-oss-security-token"] += "x"
    assert site.post(fields).status_code == 403


def test_what_answers_a_form(site, bucket):
    statuses = {"200": 200, "201": 201, "204": 204, "": 204, "500": 204}
    answers = {text: site.post({**site.form("v1"), "success_action_status": text}) for text in statuses}
    assert {text: answer.status_code for text, answer in answers.items()} == statuses
    assert [text for text, answer in answers.items() if answer.content] == ["201"]
    created = {each.tag: each.text for each in ElementTree.fromstring(answers["201"].content)}
    assert (created["Bucket"], created["Key"]) == (bucket.bucket_name, "上传/a.txt")
    assert created["ETag"] == answers["201"].headers["etag"]
    assert created["Location"] == f"{site.url}/%E4%B8%8A%E4%BC%A0/a.txt"
    there = {
        **site.form("v4"),
        "success_action_redirect": "http://localhost/你?a=1\r\n",
        "success_action_status": "201",
    }
    answer = site.post(there)
    assert (answer.status_code, answer.headers["location"]) == (303, "http://localhost/%E4%BD%A0?a=1%0D%0A")


def test_what_is_told_of_the_files_type(site, bucket):
    for fields, kind, told in (
        ({"x-oss-content-type": "text/css", "Content-Type": "text/csv"}, "text/html", "text/css"),
        ({"Content-Type": "text/csv"}, "text/html", "text/html"),
        ({"Content-Type": "text/csv"}, None, "text/csv"),
        ({}, None, "application/octet-stream"),
    ):
        assert site.post({**site.form("v1"), **fields, "key": "k"}, kind=kind).status_code == 204
        assert bucket.head_object("k").content_type == told


def test_without_a_signature_a_form_needs_a_bucket_that_all_may_write_to(site, bucket):
    assert refusal(site.post({"key": "k"}))[:2] == (403, "AccessDenied")
    bucket.put_bucket_acl(oss2.BUCKET_ACL_PUBLIC_READ_WRITE)
    assert site.post({"key": "k"}).status_code == 204
    assert refusal(site.post({"key": "k", "OSSAccessKeyId": "LTAI"}))[:2] == (400, "InvalidArgument")


def test_what_signs_a_form_is_looked_at_and_nothing_in_its_headers(pai, site, bucket):
    for version, name in (("v1", "Signature"), ("v4", "x-oss-signature")):
        fields = site.form(version)
        assert refusal(site.post({**fields, name: "x"})) == (403, "SignatureDoesNotMatch", "0002-00000040")
        assert refusal(site.post({**fields, "policy": encoded({})}))[1] == "SignatureDoesNotMatch"
        del fields[name]
        assert refusal(site.post(fields))[:2] == (400, "InvalidArgument")
    late = site.form("v4") | {"x-oss-date": "20200101T000000Z"}
    assert refusal(site.post(late))[1] == "AccessDenied"
    assert refusal(site.post(site.form("v1") | {"x-oss-signature-version": "OSS2"}))[:2] == (501, "NotImplemented")
    parts = [(name, (None, value)) for name, value in site.form("v1").items()]
    answer = requests.post(site.url, files=[*parts, ("file", b"x")], headers={"authorization": "OSS nobody:x"})
    assert answer.status_code == 204
    reader = Site(pai, bucket, pai.account.add_user(policy_of("oss:GetObject")))
    assert refusal(reader.post(reader.form("v1")))[:2] == (403, "AccessDenied")


def policy_of(action: str) -> dict[str, Any]:
    return {"Version": "1", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def test_a_form_that_its_policy_does_not_fit(site, bucket):
    unfit = (403, "AccessDenied", "0006-00000227")
    answer = site.post(site.form("v1", ["starts-with", "$key", "user/"]))
    assert refusal(answer) == unfit
    assert 'Policy Condition failed: ["starts-with", "$key", "user/"]' in ElementTree.fromstring(answer.content)[1].text
    assert refusal(site.post(site.form("v4", {"success_action_status": "200"}))) == unfit
    assert refusal(site.post(site.form("v4", minutes=-1)))[:2] == (403, "AccessDenied")
    small, large = ["content-length-range", 6, 9], ["content-length-range", 0, 4]
    assert refusal(site.post(site.form("v1", small)))[:2] == (400, "EntityTooSmall")
    assert refusal(site.post(site.form("v1", large), b"x" * MIB))[:2] == (400, "EntityTooLarge")
    assert keys_of(bucket) == []


def test_an_object_that_is_there_is_not_overwritten_if_the_form_says_so(site):
    fields = site.form("v1", x_oss_forbid_overwrite="true")
    assert [site.post(fields).status_code for _ in range(2)] == [204, 409]


def test_what_stands_behind_the_file_does_not_count_and_half_a_file_is_none(site, bucket):
    content = b"x" * 3 * MIB
    parts = [(name, (None, value)) for name, value in site.form("v1").items()]
    files = [*parts, ("file", ("a", content)), ("key", (None, "other")), ("submit", (None, "Upload"))]
    assert requests.post(site.url, files=files).status_code == 204
    assert (keys_of(bucket), bucket.get_object("上传/a").read()) == (["上传/a"], content)
    request = requests.Request("POST", site.url, files=[*parts, ("file", ("b", content))]).prepare()
    cut = requests.post(site.url, request.body[: 2 * MIB], headers={"content-type": request.headers["content-type"]})
    assert refusal(cut) == (400, "MalformedPOSTRequest", "0006-00000104")
    none = (400, "IncorrectNumberOfFilesInPOSTRequest", "0006-00000107")
    assert refusal(requests.post(site.url, files=parts)) == none
    assert refusal(site.post({"key": ""}))[:2] == (400, "InvalidArgument")
    assert refusal(site.post({**site.form("v1"), "key": "/k"}))[:2] == (400, "InvalidObjectName")


def test_bodies_have_bounds(pai, site):
    assert refusal(site.post({"a": "x" * 9 * MIB})) == (400, "FieldItemTooLong", "0006-00000112")
    files = [*((name, (None, value)) for name, value in site.form("v1").items()), ("file", b"x")]
    request = requests.Request("POST", site.url, files=files).prepare()
    connection = http.client.HTTPConnection(pai.endpoints.oss_endpoint.removeprefix("http://"), timeout=20)
    connection.request(
        "POST", f"/{site.bucket}/", request.body[:-9], {**request.headers, "Content-Length": str(6 << 30)}
    )
    answer = connection.getresponse()
    assert (answer.status, b"EntityTooLarge" in answer.read()) == (400, True)
    connection.close()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=\xe9", b"--b--"),
        ("multipart/form-data; boundary=" + "b" * 300, b"--b--"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n\xff\r\n--b--'),
        ("multipart/form-data; boundary=b", b"--b\r\nA: b\r\n\r\nx\r\n--b--"),
    ],
)
def test_what_is_no_form_is_refused(site, head, body):
    answer = requests.post(site.url, body, headers={"content-type": head.encode("latin-1")})
    assert refusal(answer)[:2] in ((400, "MalformedPOSTRequest"), (400, "IncorrectNumberOfFilesInPOSTRequest"))


@pytest.mark.parametrize(
    "fields", [{"x-oss-meta-a": "b\r\nx: y"}, {"x-oss-meta-a:": "b"}, {"Expires": "\x00"}, {"x-oss-object-acl": "é"}]
)
def test_a_field_that_can_be_no_header_is_refused(site, fields):
    assert refusal(site.post({**site.form("v1"), **fields}))[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "callback",
    [
        {"callbackUrl": "x", "callbackBody": "x"},
        {"callbackUrl": 1, "callbackBody": "x"},
        {"callbackUrl": "http://127.0.0.1:1/\n", "callbackBody": "\ud800"},
        {"callbackUrl": "http://127.0.0.1:1/", "callbackBody": ["x"]},
        {"callbackUrl": "http://127.0.0.1:1/", "callbackBody": "x", "callbackBodyType": {}},
        {"callbackUrl": "http://127.0.0.1:1/", "callbackBody": "x", "callbackBodyType": "a\nb"},
    ],
)
def test_a_callback_that_nobody_can_make_is_refused_or_told_to_have_failed(site, callback):
    answer = site.post({**site.form("v1"), "callback": encoded(callback)})
    assert refusal(answer)[:2] in ((400, "InvalidArgument"), (203, "CallbackFailed"))
