"""Policies of HTML forms: what is none, what does not fit, and which sizes are allowed."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.oss.post_policy import PostPolicy, read_policy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIELDS = {"key": "user/a", "content-type": "image/png", "bucket": "b"}


def policy(*conditions: Any, **changes: Any) -> PostPolicy:
    document = {"expiration": "2026-01-01T12:00:00.000Z", "conditions": list(conditions), **changes}
    return read_policy(base64.b64encode(json.dumps(document).encode()).decode())


@pytest.mark.parametrize(
    "document",
    [
        {"conditions": []},
        {"conditions": 123},
        {"conditions": [123]},
        {"test": "test"},
        {"expiration": "2026-01-01T12:00:00"},
        {"expiration": "2026-13-01T12:00:00Z"},
        {"expiration": 1},
        *(
            {"conditions": [condition]}
            for condition in (
                *({}, {"a": "b", "c": "d"}, {"key": 1}, ["$key"], ["starts-with", "$key", "a", "b"], ["eq", "key", ""]),
                *(["not-in", "$cache-control", "no-cache"], ["is", "$key", ""], ["eq", "$key", []], [[], "$key", ""]),
                *(["content-length-range", *sizes] for sizes in ((20, 10), (-1, 1), (10, "test"), ([1], 2), (1.0, 2))),
            )
        ),
    ],
)
def test_what_is_no_policy(document):
    with pytest.raises(OssError) as error:
        policy(**{"conditions": [{"bucket": "b"}], **document})
    assert (error.value.status, error.value.code) == (400, "InvalidPolicyDocument")


@pytest.mark.parametrize("text", ["", "é", "e", "W10=", "e30=", base64.b64encode(b"[" * 100_000).decode()])
def test_what_is_no_document(text):
    with pytest.raises(OssError, match="InvalidPolicyDocument"):
        read_policy(text)


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"bucket": "b"}, True),
        ({"Key": "user/a"}, True),
        (["eq", "$key", "user/"], False),
        (["starts-with", "$key", "user/"], True),
        (["starts-with", "$x-oss-meta-a", ""], True),
        (["starts-with", "$x-oss-meta-a", "a"], False),
        (["in", "$Content-Type", ["image/jpg", "image/png"]], True),
        (["in", "$content-type", ["image/jpg"]], False),
        (["not-in", "$content-type", ["image/png"]], False),
        (["not-in", "$cache-control", ["no-cache"]], True),
    ],
)
def test_what_fits(condition, fits):
    read = policy(condition)
    with nullcontext() if fits else pytest.raises(OssError) as error:
        read.check(FIELDS, NOON)
    assert fits or f"Policy Condition failed: {json.dumps(condition)}" in error.value.message


def test_a_policy_ends_and_names_what_signs_it():
    with pytest.raises(OssError, match="Policy expired"):
        policy({"bucket": "b"}).check(FIELDS, datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC))
    signed = {**FIELDS, "x-oss-date": "d", "x-oss-credential": "c"}
    with pytest.raises(OssError, match="Extra input fields: x-oss-credential") as error:
        policy({"x-oss-date": "d"}).check(signed, NOON)
    assert error.value.ec == "0006-00000228"
    policy({"x-oss-date": "d"}, {"x-oss-credential": "c"}).check(signed, NOON)


def test_a_dollar_sign_may_be_escaped():
    text = '{"expiration": "2026-01-01T12:00:00Z", "conditions": [{"key": "\\${filename}"}]}'
    read_policy(base64.b64encode(text.encode()).decode()).check({"key": "${filename}"}, NOON)


def test_sizes():
    read = policy(["content-length-range", 2, 9], ["content-length-range", 0, 5])
    for size, code in ((1, "EntityTooSmall"), (6, "EntityTooLarge")):
        with pytest.raises(OssError, match=code):
            read.check_size(size)
    read.check_size(2)
    PostPolicy().check_size(0)
