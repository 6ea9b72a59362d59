"""Answers that come out wrong: whole, or in their fields."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.emulator.answers import Answer

JOBS = {"RequestId": "r", "Jobs": [{"JobId": "a", "Status": "Running", "Priority": 1}], "TotalCount": 1}
LISTING = b"<Result xmlns='x'><Contents><Key>k</Key><Size>1</Size></Contents><Status>Enabled</Status></Result>"


def of_json() -> Answer:
    return Answer(200, {"content-type": "application/json"}).with_body(json.dumps(JOBS).encode())


def spoiled(how: str, fields: str = "", pick: int | None = None) -> object:
    return json.loads(of_json().spoiled(how, fields, pick).body)


def test_fields_are_those_of_json_of_xml_or_else_the_headers() -> None:
    of_jobs = ["RequestId", "Jobs", "TotalCount", "Jobs.JobId", "Jobs.Status", "Jobs.Priority"]
    assert of_json().paths() == of_jobs
    assert Answer(200, {}, LISTING).paths() == ["Contents", "Contents.Key", "Contents.Size", "Status"]
    assert Answer(200, {"etag": "e"}, b"\x80").paths() == ["etag"]


def test_whatever_is_named_becomes_another_type_or_is_missing_or_a_status_that_nobody_knows() -> None:
    job = {"JobId": 7, "Status": "Running", "Priority": "seven"}
    assert spoiled("types", r"Jobs\.(JobId|Priority)") == {**JOBS, "Jobs": [job]}
    assert spoiled("types") == {"RequestId": 7, "Jobs": "some", "TotalCount": "seven"}
    assert spoiled("missing", "Jobs|RequestId") == {"TotalCount": 1}
    assert spoiled("missing") == {}
    assert spoiled("unknown_status") == {**JOBS, "Jobs": [{**JOBS["Jobs"][0], "Status": "Resting"}]}  # type: ignore[index]


def test_one_field_of_those_named_is_picked_by_a_number() -> None:
    assert spoiled("missing", "RequestId|Jobs", 3) == {"RequestId": "r", "TotalCount": 1}
    assert spoiled("missing", "none such", 3) == JOBS


@pytest.mark.parametrize(
    ("how", "fields", "left"),
    [
        ("types", "Contents.Size", b"<Contents><Key>k</Key><Size>?</Size></Contents><Status>Enabled</Status>"),
        ("missing", "Contents", b"<Status>Enabled</Status>"),
        ("unknown_status", "", b"<Contents><Key>k</Key><Size>1</Size></Contents><Status>Resting</Status>"),
    ],
)
def test_xml(how: str, fields: str, left: bytes) -> None:
    assert left in Answer(200, {}, LISTING).spoiled(how, fields).body.replace(b"ns0:", b"")


def test_headers() -> None:
    answer = Answer(200, {"etag": "e", "x-oss-hash-crc64ecma": "1"})
    assert answer.spoiled("missing", "etag").headers == {"x-oss-hash-crc64ecma": "1"}
    assert answer.spoiled("types", "x-.*").headers == {"etag": "e", "x-oss-hash-crc64ecma": "?"}


def test_an_answer_that_is_whole_but_not_what_was_sent() -> None:
    answer = of_json()
    assert answer.spoiled("half").headers["content-length"] == str(len(answer.body) // 2)
    assert answer.spoiled("empty").body == b""
    page = answer.spoiled("html")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!DOCTYPE html>")
