"""The home of our state, as a connection names it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import configured_home, job_folder, rollout_folder
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def hook_of(pai, monkeypatch):
    def make(state_uri):
        connection = json.dumps(airflow_connection(pai, state_uri=state_uri))
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", connection)
        return OssHook()

    return make


def test_a_place_for_each_kind(hook_of):
    home = configured_home(hook_of("oss://states/airflow").connection)
    assert home == OssUri("states", "airflow/")
    assert str(rollout_folder(home, "digits")) == "oss://states/airflow/rollouts/digits/"
    assert str(job_folder(home, "v1")) == "oss://states/airflow/jobs/v1/"
    assert configured_home(hook_of("oss://states").connection) == OssUri("states", "")
    assert configured_home(hook_of("").connection) is None


@pytest.mark.parametrize("state_uri", ["states", "s3://states/x", "oss://B/x", f"oss://states/{'x' * 116}"])
def test_what_is_no_home_is_no_connection(hook_of, state_uri):
    with pytest.raises(PaiConfigError, match="connection pai_default, state_uri: "):
        _ = hook_of(state_uri).connection
