"""Bodies against the SDKs' request models: unknown fields, other types, nulls."""

from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.models import checked_body

MODEL = "alibabacloud_pai_dlc20201203.models:CreateJobRequest"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"Colour": "red"}, "it has no field Colour"),
        ({"JobSpecs": [{}, {"Colour": "red"}]}, r"it has no field JobSpecs\[1\].Colour"),
        ({"DisplayName": 7}, "DisplayName must be a text, not 7"),
        ({"Priority": "7"}, "Priority must be a whole number, not '7'"),
        ({"Priority": True}, "Priority must be a whole number, not True"),
        ({"Priority": 7.5}, "Priority must be a whole number, not 7.5"),
        ({"JobSpecs": {}}, "JobSpecs must be a list"),
        ({"JobSpecs": [None]}, r"JobSpecs\[0\] must not be null"),
        ({"JobSpecs": ["Worker"]}, r"JobSpecs\[0\] must be an object"),
        ({"JobSpecs": [{"ResourceConfig": {"CPU": 2}}]}, r"JobSpecs\[0\].ResourceConfig.CPU must be a text, not 2"),
        ({"Envs": {"A": None}}, "Envs.A must not be null"),
        ({"Envs": {"A": "b\0"}}, "Envs.A must hold no NUL"),
        ({"Envs": {"A\0": "b"}}, "Envs must hold no NUL"),
        ({"Settings": {"EnableRDMA": 1}}, "Settings.EnableRDMA must be true or false, not 1"),
    ],
)
def test_a_field_that_the_model_has_not_or_of_another_type_is_refused_by_its_path(body, problem):
    with pytest.raises(InvalidParameterError, match=f"CreateJobRequest: {problem}"):
        checked_body(MODEL, body)


def test_a_field_that_is_null_is_as_good_as_not_there():
    body = {"Priority": None, "Colour": None, "JobSpecs": [{"Type": "Worker", "Image": None}], "Envs": {"A": ""}}
    assert checked_body(MODEL, body) == {"JobSpecs": [{"Type": "Worker"}], "Envs": {"A": ""}}
