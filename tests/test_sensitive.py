"""Secrets are found at any depth, by name and by form, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import mapping
from airflow_provider_pai.sensitive import hidden, secrets_in

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "value",
    [
        {"DB_PASSWORD": SECRET},
        {"token": SECRET},
        {"dockerAuth": SECRET},
        {"containers": [{"env": [{"name": "API_TOKEN", "value": SECRET}]}]},
        {"JobSpecs": [{"ImageConfig": {"Auth": SECRET}}]},
        {"ImageAuth": SECRET},
        {"Labels": [{"Key": "AccessKeySecret", "Value": SECRET}]},
        {"headers": {"Authorization": SECRET}},
        {"tokens": {"access_token": [SECRET]}},
        f"https://me:{SECRET}@example.com/r.git",
        f"https://{SECRET}@example.com/r.git",
        {"command": f"git clone https://oauth2:{SECRET}@example.com/r.git && make"},
        f"postgresql://user:{SECRET}@db/airflow",
        json.dumps({"service": json.dumps({"token": SECRET})}),
        str({"token": SECRET}),
        f'{{"token": "{SECRET}", ',
    ],
)
def test_a_secret_is_found_and_hidden(value):
    assert SECRET in {found for _, found in secrets_in(value)}
    assert SECRET not in hidden(repr(value), value)


@pytest.mark.parametrize(
    "value",
    [
        {"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "4096", "PAD_TOKEN": "false", "PASSWORD": ""},
        {"auth": "access_key", "author": "me", "authority": "x"},
        {"name": "digits", "value": 3},
        "ssh://git@example.com/r.git",
        "git@example.com:team/r.git",
        "https://example.com/r.git?ref=a@b",
        "oss://bucket/models/a@b",
        None,
        7,
        [],
        "[",
    ],
)
def test_what_is_none_is_left_alone(value):
    assert list(secrets_in(value)) == []


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
# What would be taken for a harmless word is none, nor is what a shorter text would be found in.
SECRETS = st.text(min_size=6).map(lambda text: f"s3cr3t{text}")


@given(around=NESTED, secret=SECRETS, name=st.sampled_from(["my_token", "DB_PASSWORD", "Auth"]), as_text=st.booleans())
def test_no_error_repeats_a_secret(around, secret, name, as_text):
    value = {"around": around, "here": [{name: secret}, {"name": name, "value": secret}]}
    given = json.dumps(value) if as_text else value
    assert {found for _, found in secrets_in(given)} >= {secret}
    assert "s3cr3t" not in str(PaiConfigError("service", given, "something else"))


def test_what_is_no_json_is_not_repeated_and_told_where_it_breaks():
    torn = '{"containers": [{"image": "registry/xgboost:3", "script": "serve", "oddly-named": "hunter2hunter2"}'
    with pytest.raises(PaiConfigError, match=r"service: '\{\"containers\": .*… .* line 1 column") as error:
        mapping("service", torn, "a service JSON")
    assert "hunter2" not in str(error.value)
