"""Whatever a client sends, the emulator refuses or takes it in the cloud's form: it never fails itself."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator
from email.utils import formatdate
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import encode_multipart_formdata

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.auth import SignedRequest
from airflow_provider_pai.emulator.oss.auth import v1_signature
from airflow_provider_pai.emulator.oss.routes import BUCKET, OBJECT, SERVICE
from tests.emulator import malformed
from tests.emulator.malformed import Api, changed, exchange, send

MADE_BY = {
    "jobs": ("CreateJob", "JobId"),
    "instances": ("CreateInstance", "InstanceId"),
    "tensorboards": ("CreateTensorboard", "TensorboardId"),
    "codesources": ("CreateCodeSource", "CodeSourceId"),
    "images": ("AddImage", "ImageId"),
}
QUERIES = ("Filter", "StartTime", "EndTime", "Labels", "Label", "Tags", "PageSize", "PageNumber", "NextToken", "Length")


class Case(NamedTuple):
    """One request, named by where what in it is wrong."""

    api: Api
    where: tuple[str | int, ...]
    value: Any

    def send(self, pai: Emulator, names: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Send it to what is there."""
        (kind, *place), path = self.where, self.api.path
        if kind == "path":
            names = {**names, place[0]: self.value}
        path = path.format(**names)
        if kind == "body":
            return send(pai, self.api, path, body=self.value)
        if kind == "field":
            return send(pai, self.api, path, body=changed(self.api.action, tuple(place), self.value))
        return send(pai, self.api, path, query=f"{place[0]}={self.value}" if kind == "query" else "")


def cases(api: Api) -> Iterator[Case]:
    """Yield what can be wrong with the requests of an action."""
    places = list(dict.fromkeys(api.fields()))
    yield from (Case(api, ("body",), body) for body in malformed.NO_BODIES)
    parts = [part for part in ("job", "pod", "id", "cluster", "name", "instance") if f"{{{part}}}" in api.path]
    yield from (Case(api, ("path", part), junk) for part, junk in product(parts, malformed.PATHS))
    queries = dict.fromkeys([*(place[0] for place in places), *QUERIES])
    yield from (Case(api, ("query", name), text) for name, text in product(queries, malformed.TEXTS))
    if api.method in ("POST", "PUT") and api.path != "/":
        yield from (Case(api, ("field", *place), value) for place, value in product(places, malformed.VALUES))


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Emulator, list[Case], dict[str, dict[str, str]]]]:
    """An account with one resource of each kind, what can go wrong with its actions, and the names in their paths."""
    with Emulator(dwell=0.05, grace=0.2, quotas={"quota": {"pods": 0.5}}) as pai:
        apis = malformed.apis(pai)
        creates = {api.action: api for api in apis if api.method == "POST"}
        names: dict[str, dict[str, str]] = {}
        for kind, (action, key) in MADE_BY.items():
            status, made = send(pai, creates[action], creates[action].path, body=changed(action, ("x",), None))
            assert status == 200, made
            names[kind] = {"id": made[key], "job": made[key], "pod": f"{made[key]}-master-0"}
        service = {**malformed.SERVICE, "containers": [{"image": "registry/image:1"}], "storage": []}
        assert send(pai, creates["CreateService"], "/api/v2/services", body=json.dumps(service).encode())[0] == 200
        names["services"] = {"cluster": "cn-hangzhou", "name": "service", "instance": "service-0"}
        names["groups"] = {"cluster": "cn-hangzhou", "name": "group"}
        names["workspaces"] = {"id": "10001"}
        yield pai, [case for api in apis if api.method != "DELETE" for case in cases(api)], names
    malformed.CONNECTIONS.clear()


@pytest.mark.fuzz
@given(st.lists(st.integers(0, 1 << 20), min_size=10, max_size=10))
def test_every_field_path_and_query_of_every_api_takes_any_value_or_refuses_it(account, numbers):
    pai, every, names = account
    for case in (every[number % len(every)] for number in numbers):
        kind = case.api.path.split("/")[3] if "{" in case.api.path else ""
        status, answer = case.send(pai, names.get(kind, {}))
        assert status < 500, (case, answer)
        assert status < 400 or (answer["Code"] and answer["Message"] and answer["RequestId"]), (case, answer)


def code(body: bytes) -> str:
    """Return the code of OSS's error; OSS lets control characters stand in XML, which no parser then takes."""
    found = re.search(rb"<Error>.*<Code>(\w+)</Code>.*</Error>", body, re.DOTALL)
    return found[1].decode() if found else ""


ROOTS = (
    *("CreateBucketConfiguration", "Delete", "Tagging", "CompleteMultipartUpload", "LifecycleConfiguration"),
    *("RestoreRequest", "CORSConfiguration", "VersioningConfiguration", "RefererConfiguration", "BucketUserQos"),
    *("BucketLoggingStatus", "ServerSideEncryptionRule"),
)
JUNK = (
    "",
    "x",
    "-1",
    "9" * 30,
    "²",
    "\x00",
    "{}",
    "[]",
    "bytes=5-2",
    "bytes=-0",
    "é",
    "中",
    "a" * 3000,
    "Mon, 99 X",
    "*",
    "?",
)
INSIDE = (
    *(
        "",
        "x",
        "<Rule/>",
        "<Days>²</Days>",
        "<Object/>",
        "<Object><Key/></Object>",
        "<Part><PartNumber>²</PartNumber></Part>",
    ),
    *("<Part><PartNumber>1</PartNumber><ETag/></Part>", "<Quiet>x</Quiet>", "<TagSet><Tag/></TagSet>", "<Status/>"),
    *("<Rule><Transition><Days>x</Days><StorageClass>IA</StorageClass></Transition></Rule>", "<Days>999999999</Days>"),
    *(
        "<Rule><Expiration><Days>" + "9" * 5000 + "</Days></Expiration></Rule>",
        "<CORSRule/>",
        "<StorageClass>x</StorageClass>",
    ),
    "<Rule><Transition><Days>1</Days><StorageClass>IA</StorageClass></Transition><Expiration><Days>x</Days></Expiration></Rule>",
    "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>x</SSEAlgorithm></ApplyServerSideEncryptionByDefault>",
)
PARAMETERS = (
    *("prefix", "marker", "delimiter", "max-keys", "encoding-type", "list-type", "start-after", "continuation-token"),
    *("key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker"),
    *(
        "partNumber",
        "position",
        "uploadId",
        "versionId",
        "response-content-type",
        "callback",
        "callback-var",
        "tag-key",
    ),
)
HEADERS = (
    *("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "content-md5", "content-type"),
    *("x-oss-copy-source", "x-oss-copy-source-range", "x-oss-copy-source-if-match", "x-oss-tagging", "x-oss-acl"),
    *("x-oss-object-acl", "x-oss-storage-class", "x-oss-server-side-encryption", "x-oss-metadata-directive"),
    *("x-oss-server-side-encryption-key-id", "x-oss-symlink-target", "x-oss-forbid-overwrite", "x-oss-callback"),
    *("x-oss-range-behavior", "x-oss-complete-all", "x-oss-tagging-directive", "accept-encoding", "cache-control"),
)
BODIES = st.one_of(
    st.sampled_from([b"", b"x", b"<", b"\xff\xfe", b"<a/>", b"[]", b"{}"]),
    st.builds(
        lambda root, inside: f"<{root}>{inside}</{root}>".encode(), st.sampled_from(ROOTS), st.sampled_from(INSIDE)
    ),
)
KEYS = ("k", "link", "frozen", "%00", "%ff", "a%0A", "%2F", "%C3%A9", "a" * 1100, "..", "a//b", "%5C")


@st.composite
def oss_request(draw: Any) -> tuple[str, str, str, dict[str, str], bytes]:
    """Draw method, path, query, headers and body of a request to OSS."""
    operations = {"": SERVICE, "bucket": BUCKET, "key": OBJECT}
    level = draw(st.sampled_from(["", "bucket", "key", "key"]))
    method, selector = draw(st.sampled_from([*operations[level], ("PUT", "unknown"), ("OPTIONS", ""), ("PATCH", "")]))
    bucket = draw(st.sampled_from(["malformed", "malformed", "malformed", "versions", "none", "X", "%00"]))
    path = {"": "/", "bucket": f"/{bucket}/", "key": f"/{bucket}/{draw(st.sampled_from(KEYS))}"}[level]
    junk = st.sampled_from(JUNK)
    query = {selector: draw(st.one_of(st.just(""), junk))} if selector else {}
    query |= draw(st.dictionaries(st.sampled_from(PARAMETERS), junk, max_size=2))
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), junk, max_size=3))
    return method, path, query, headers, draw(BODIES)


@pytest.fixture(scope="module")
def store(account) -> Emulator:
    """The account with a bucket without versions, and one with."""
    pai = account[0]
    for name in ("malformed", "versions"):
        assert ask(pai, "PUT", f"/{name}/", {}, {}, b"")[0] == 200
    versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert ask(pai, "PUT", "/versions/", {"versioning": ""}, {}, versioning)[0] == 200
    for bucket in ("malformed", "versions"):
        assert ask(pai, "PUT", f"/{bucket}/frozen", {}, {"x-oss-storage-class": "Archive"}, b"x")[0] == 200
        assert ask(pai, "PUT", f"/{bucket}/link", {"symlink": ""}, {"x-oss-symlink-target": "k"}, b"")[0] == 200
    return pai


def ask(pai: Emulator, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Any:
    """Send a request to OSS that is rightly signed."""
    text = "&".join(f"{malformed.encoded(name)}={malformed.encoded(value)}" for name, value in query.items())
    host = pai.endpoints.oss_endpoint.removeprefix("http://")
    sent = {name: value for name, value in headers.items() if "\0" not in value}
    sent |= {"host": host, "date": formatdate(usegmt=True)}
    key = pai.endpoints
    signature = v1_signature(SignedRequest(method, path, text, sent), sent["date"], key.access_key_secret)
    sent["authorization"] = f"OSS {key.access_key_id}:{signature}"
    wire = {name: value.encode().decode("latin-1") for name, value in sent.items()}
    return exchange(host, method, f"{path}?{text}", wire, body)


@pytest.mark.fuzz
@given(st.lists(oss_request(), min_size=8, max_size=8))
def test_oss_takes_any_request_or_refuses_it(store, requests):
    for request in requests:
        status, body = ask(store, *request)
        assert status < 500 or status == 501, (request, body)
        if status >= 400 and request[0] != "HEAD":
            assert code(body), (request, body)


FIELDS = (
    *("key", "file", "x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-signature", "x:a", "callback"),
    *("x-oss-security-token", "success_action_status", "success_action_redirect", "x-oss-content-type", *HEADERS),
)
VALUES = st.sampled_from([*JUNK, "${filename}", "OSS4-HMAC-SHA256", "http://中/\n", "2026-01-01T00:00:00Z"])
SIZES = ((), ("a", []), (5, 1), (0, 10**30), (True, 2))
CONDITIONS = st.lists(
    st.one_of(
        st.sampled_from([1, None, [], {}, {"a": 1}, ["eq"], ["eq", "$key", 1], ["in", "$key", "x"], ["eq", "key", ""]]),
        st.sampled_from([["content-length-range", *sizes] for sizes in SIZES]),
        st.sampled_from([["eq", "$key", "\ud800"], ["not-in", "$key", [{}, "k"]], {"bucket": "malformed"}]),
    ),
    max_size=2,
)
EXPIRATIONS = st.sampled_from([*("9999-12-31T00:00:00Z",) * 8, "9999-99-99T00:00:00Z", "9999-12-31", "Z", None, 1, {}])
POLICIES = st.one_of(
    st.fixed_dictionaries({"expiration": EXPIRATIONS, "conditions": CONDITIONS}), st.sampled_from([None, 1, [], {}])
)


@pytest.mark.fuzz
@given(
    st.lists(st.tuples(POLICIES, st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4)), min_size=4, max_size=4)
)
def test_oss_takes_any_form_or_refuses_it(store, forms):
    host, key = store.endpoints.oss_endpoint.removeprefix("http://"), store.endpoints
    for document, fields in forms:
        policy = base64.b64encode(json.dumps(document).encode())
        signature = base64.b64encode(hmac.digest(key.access_key_secret.encode(), policy, "sha1"))
        signed = {"key": "k", "OSSAccessKeyId": key.access_key_id, "policy": policy, "Signature": signature, **fields}
        body, kind = encode_multipart_formdata({**signed, "file": ("f", b"x")})
        status, answer = exchange(host, "POST", "/malformed/", {"host": host, "content-type": kind}, body)
        assert status < 500 or status == 501, (document, fields, answer)
        assert status < 400 or code(answer), (document, fields, answer)
