"""Pages of the emulated console: what they show, what is not there, and that text of a job is no markup."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_pai.emulator.console import HOME
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from tests.emulator.pai_sdk import client, job_request, wait_job
from tests.service import create


def get(pai, path):
    answer = requests.get(f"{pai.endpoints.endpoint_url}{HOME}{path}", timeout=10)
    return answer.status_code, answer.text


def test_a_job_is_shown_with_its_log_which_is_no_markup(pai):
    jobs = client(pai, "dlc")
    job_id = jobs.create_job(job_request("echo '<script>alert(1)</script>'")).body.job_id
    wait_job(jobs, job_id)
    status, text = get(pai, f"/pai/page/dlc/jobs/{job_id}/overview")
    assert status == 200
    assert f"DLC job {job_id}: Succeeded" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>" not in text


def test_services_and_objects_are_shown_without_a_token(pai, group, connection):
    name = create(group)
    status, text = get(pai, f"/pai/page/eas/serviceDetail/{name}/detail")
    assert (status, f"EAS service {name}: Running" in text) == (200, True)
    assert group.eas.endpoint(name).token not in text
    bucket = group.bucket
    OssHook().put(f"oss://{bucket}/a/<b>.json", json.dumps({"outcome": "promoted"}))
    status, text = get(pai, f"/oss/bucket/oss-cn-hangzhou/{bucket}/object?path=a%2F")
    assert (status, "a/&lt;b&gt;.json" in text) == (200, True)
    assert "promoted" in get(pai, f"/oss/file?bucket={bucket}&key=a/%3Cb%3E.json")[1]
    _, overview = get(pai, "/pai/page/")
    assert f"serviceDetail/{name}/detail" in overview
    assert f"{bucket}/object" in overview


@pytest.mark.parametrize(
    "path",
    [
        "/pai/page/dlc/jobs/dlcnone/overview",
        "/pai/page/dsw/instances/dsw-none",
        "/pai/page/eas/serviceDetail/none/detail",
        "/oss/bucket/oss-cn-hangzhou/no-such-bucket/object",
        "/oss/file?bucket=no-such-bucket&key=a",
    ],
)
def test_what_is_not_there_is_said(pai, path):
    assert get(pai, path)[0] == 404


def test_links_of_hooks_lead_to_it(pai, connection, monkeypatch):
    extra = {"console_url": pai.endpoints.console_url}
    hook = DlcHook()
    assert hook.console_url("dlc1").startswith("https://pai.console.aliyun.com/?regionId=")
    from tests.conftest import airflow_connection

    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, **extra)))
    page, _, fragment = DlcHook().console_url("dlc1").partition("#")
    assert 'location.replace("page" + (location.hash' in requests.get(page, timeout=10).text
    assert get(pai, f"/pai/page{fragment}")[0] == 404  # there is no such job
    assert OssHook().console_url("oss://b-c-d/e").startswith(f"{pai.endpoints.endpoint_url}{HOME}/oss/bucket/")
