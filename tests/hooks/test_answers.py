"""Answers of any shape: what is not as it must be is told by its field; none makes a hook raise what is not ours."""

from __future__ import annotations

import json
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import escape

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.answers import AnswerError, JsonText, Needed, Page, fits, present, shaped
from airflow_provider_pai.labels import Key
from tests.clock import VirtualClock
from tests.hooks.test_every_answer import CALLS, services_of

SHAPE = {
    "Id": Needed(str),
    "Size": int,
    "Ready": bool,
    "Tags": {str: str},
    "Inner": {"Names": [str]},
    "Config": JsonText({"a": int}),
}
GOOD = {"Id": "a", "Size": 1, "Ready": True, "Tags": {"k": "v"}, "Inner": {"Names": ["x"]}, "Config": '{"a": 1}'}


def test_what_has_the_shape_comes_back_as_it_is_and_more_fields_are_nobody_s_business():
    more = {**GOOD, "More": [None]}
    assert shaped(more, SHAPE) is more
    assert shaped({"Id": "a", "Size": None}, SHAPE) == {"Id": "a", "Size": None}
    assert fits(GOOD, object)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Id": None}, "Id is missing"),
        ({"Id": ""}, "Id is missing"),
        ({"Id": 7}, "Id is a whole number, not a text"),
        ({"Size": "seven"}, "Size is a text, not a whole number"),
        ({"Size": True}, "Size is true or false, not a whole number"),
        ({"Size": 1.5}, "Size is a number, not a whole number"),
        ({"Ready": 1}, "Ready is a whole number, not true or false"),
        ({"Tags": {"k": None}}, ""),
        ({"Tags": {"k": ["v"]}}, "Tags.k is a list, not a text"),
        ({"Inner": []}, "Inner is a list, not an object"),
        ({"Inner": {"Names": "some"}}, "Inner.Names is a text, not a list"),
        ({"Inner": {"Names": ["x", None]}}, r"Inner.Names\[1\] is null, not a text"),
        ({"Config": "{"}, "Config is a text that is no JSON"),
        ({"Config": "[" * 100_000}, "Config is a text that is no JSON"),
        ({"Config": '{"a": "1"}'}, "Config.a is a text, not a whole number"),
    ],
)
def test_what_has_not_is_told_by_its_field_and_not_by_its_value(change, says):
    if says:
        with pytest.raises(AnswerError, match=f"^{says}$"):
            shaped({**GOOD, **change}, SHAPE)
    assert fits({**GOOD, **change}, SHAPE) is not bool(says)


@pytest.mark.parametrize("answer", [None, [], "a", 0, True])
def test_what_is_no_object_is_no_answer(answer):
    assert not fits(answer, {})


PAGE = Page("Jobs", {"Id": Needed(str)})


@pytest.mark.parametrize(
    ("answer", "is_page"),
    [
        ({"Jobs": [{"Id": "a"}], "TotalCount": 1}, True),
        ({"Jobs": []}, True),
        ({"Jobs": None, "TotalCount": 0}, True),
        ({"TotalCount": 0}, True),
        ({"TotalCount": 1}, False),
        ({}, False),
        ({"TotalCount": False}, False),
        ({"Jobs": [{}], "TotalCount": 1}, False),
        ({"Jobs": [{"Id": "a"}], "TotalCount": "1"}, False),
    ],
)
def test_a_list_that_is_left_out_is_no_empty_one(answer, is_page):
    assert fits(answer, PAGE) is is_page


def test_nothing_is_not_present_and_zero_is():
    assert present(0, "x") == 0
    for nothing in (None, ""):
        with pytest.raises(AnswerError, match="x is missing"):
            present(nothing, "x")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["{}", "[]"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)
fields = """
    Jobs JobId Status Settings Tags Pods PodId TotalCount Instances InstanceId Labels Key Value LabelKey
    LabelValue EnvironmentVariables Services ServiceName ServiceConfig Weight Versions BuildTime
    LatestVersion Tensorboards TensorboardId DisplayName CodeSources CodeSourceId CodeRepo Events Logs
    TotalPageNum Success Code Message Resources Resource MetricName Periods Datapoints NextToken
    AccountId IdentityType Arn Role WorkspaceName Target Ratio
""".split()
likely = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(fields), inner, max_size=8),
    max_leaves=30,
)
API = sorted(call for call in CALLS if "api" in services_of(call) and "DswRun" not in call and "Connection" not in call)
OSS = sorted(call for call in CALLS if services_of(call) == ("oss",))


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A connection to nowhere, and names of what there is not."""
    extra = {
        "region": "cn-hangzhou",
        "workspace_id": "1",
        "endpoint_url": "http://nowhere",
        "oss_endpoint": "http://nowhere",
    }
    connection = {"conn_type": "pai", "login": "id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "one").write_text("one")
    (tmp_path / "large").write_bytes(b"x" * 250_000)
    group = SimpleNamespace(name="g", bucket="bucket", model=lambda *_, **__: {"uri": "oss://bucket/m/"})
    named = dict.fromkeys(("service", "job", "instance", "board", "command"), "x")
    named["served"] = SimpleNamespace(instance_id="x", body=lambda _: QUEUED)
    return SimpleNamespace(group=group, folder=tmp_path, uri="oss://bucket/a/", new=lambda: "oss://bucket/new", **named)


QUEUED = {
    "InstanceId": "x",
    "Queue": "oss://bucket/queue/",
    "Tags": dict.fromkeys((Key.TASK, Key.CYCLE, Key.GENERATION), "1"),
    "environment": {},
    "folders": {},
    "limit_seconds": 60,
}


def answer(status: int, body: bytes, headers: dict[str, str]) -> requests.Response:
    made = requests.Response()
    made.status_code, made.headers = status, requests.structures.CaseInsensitiveDict(headers)
    made._content = body
    return made


def outcome(call: str, place: Any) -> Any:
    hook_class, ask = CALLS[call]
    hook = hook_class()
    hook.retry_seconds, hook.clock = 0.0, VirtualClock().clock
    try:
        return ask(hook, place)
    except PaiError as error:
        return error


fast = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fast
@given(call=st.sampled_from(API), body=likely | anything, status=st.sampled_from([200, 200, 200, 400, 503]))
def test_no_json_makes_a_hook_raise_what_is_not_ours(place, call, body, status):
    first = [answer(status, json.dumps(body).encode(), {"x-acs-request-id": "r"})]
    gone = answer(404, b'{"Code": "NotFound", "Message": "gone", "RequestId": "r"}', {"x-acs-request-id": "r"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", lambda *_, **__: first.pop() if first else gone)
        outcome(call, place)


texts = st.sampled_from(["", "true", "false", "7", "-1", "x", "2026-11-21T00:00:00.000Z", "é", "99999999999999999999"])
tags = """
    Contents Key Size ETag LastModified StorageClass IsTruncated NextContinuationToken CommonPrefixes
    Prefix Version VersionId IsLatest DeleteMarker Bucket Name Location UploadId Code Message Owner ID
    TagSet Tag Value
""".split()
elements = st.recursive(
    texts.map(escape),
    lambda inner: st.lists(st.tuples(st.sampled_from(tags), inner).map(lambda of: f"<{of[0]}>{of[1]}</{of[0]}>")).map(
        "".join
    ),
    max_leaves=12,
)
roots = ("ListBucketResult", "ListVersionsResult", "BucketInfo", "InitiateMultipartUploadResult", "Error", "Tagging")
documents = st.tuples(st.sampled_from(roots), elements).map(lambda of: f"<{of[0]}>{of[1]}</{of[0]}>".encode())
headers = st.dictionaries(
    st.sampled_from(
        ["ETag", "Content-Length", "Last-Modified", "Content-Range", "x-oss-hash-crc64ecma", "Date", "x-oss-err"]
    ),
    texts | st.sampled_from(["Sat, 21 Nov 2026 00:00:00 GMT", "bytes 0-0/1", "2"]),
)


@fast
@given(
    call=st.sampled_from(OSS),
    body=documents | st.binary(max_size=40),
    headers=headers,
    status=st.sampled_from([200, 200, 206, 404, 412, 503]),
)
def test_no_bytes_make_the_hook_of_oss_raise_what_is_not_ours(place, call, body, headers, status):
    first = [(status, body, headers)]

    def send(*_, **__):
        status, body, headers = first.pop() if first else (404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        made = requests.Response()
        made.status_code, made.raw = status, HTTPResponse(body=BytesIO(body), preload_content=False)
        made.headers = requests.structures.CaseInsensitiveDict({"x-oss-request-id": "r", **headers})
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPAdapter, "send", send)
        outcome(call, place)
