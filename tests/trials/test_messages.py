"""Messages for whoever has made a mistake: what is wrong, what to do, in one line."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError, PaiPermissionError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from airflow_provider_pai.operators.eas import EasPredictOperator
from airflow_provider_pai.operators.oss import OssDownloadOperator, OssListOperator, OssToObjectStorageOperator
from tests.conftest import airflow_connection
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def run(operator, **arguments):
    return Task(lambda: operator(task_id="task", **arguments)).run()


def test_a_person_pastes_the_wrong_secret_and_reads_so_in_task_and_form(pai, bucket, monkeypatch):
    wrong = {**airflow_connection(pai), "password": "wrong-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(wrong))
    says = "the AccessKey Secret is wrong → set the connection's password to the secret that belongs to its login"
    with pytest.raises(PaiPermissionError) as caught:
        run(OssListOperator, uri=f"oss://{bucket.bucket_name}/")
    text = str(caught.value)
    assert f"/: {says} (connection pai_default, code SignatureDoesNotMatch, status 403, request id " in text
    assert (text.count("\n"), text.count("request id"), caught.value.__suppress_context__) == (0, 1, True)
    assert says in PaiConnectionHook().test_connection()[1]


def test_a_person_names_a_connection_that_is_not_there():
    with pytest.raises(PaiNotFoundError, match=r" pai_conn_id: 'pai_prod' is .* or set AIRFLOW_CONN_PAI_PROD$"):
        run(OssListOperator, uri="oss://some-bucket/", pai_conn_id="pai_prod")


def test_a_person_takes_the_endpoint_of_another_region(pai, monkeypatch):
    mixed = airflow_connection(pai, endpoints="dlc=pai-dlc.cn-shanghai.aliyuncs.com")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(mixed))
    works, says = PaiConnectionHook().test_connection()
    assert not works
    assert says.endswith("region is cn-hangzhou: leave the endpoint out, or set region to cn-shanghai")


def test_a_person_downloads_to_where_nothing_can_be_written(bucket, tmp_path):
    at = f"oss://{bucket.bucket_name}/a"
    OssHook().put(at, "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(PaiConfigError, match=r"path: '.*/file/a' is not allowed; a file that can be written: "):
        run(OssDownloadOperator, uri=at, path=f"{tmp_path}/file/a")
    for target in (f"file://{tmp_path}/file/a", f"file://{tmp_path}"):
        with pytest.raises(PaiConfigError, match=f"target: '{target}' is .* a path that this worker can use: "):
            run(OssToObjectStorageOperator, uri=at, target=target)


def test_a_person_leaves_out_the_slash_of_a_path():
    with pytest.raises(PaiConfigError, match=r"path: 'predict' is not allowed; a path that begins with / or \?"):
        run(EasPredictOperator, service_name="digits", path="predict", requests=[{}])


def test_a_person_names_a_notebook_that_is_not_there(bucket):
    home = f"oss://{bucket.bucket_name}"
    OssHook().put(f"{home}/nb/a.ipynb", "{}")
    with pytest.raises(PaiConfigError, match=r"notebook: 'b\.ipynb' .* oss://.*/nb/b\.ipynb is not"):
        run(
            DswRunNotebookOperator,
            image="cpu",
            ecs_spec="ecs.g6.large",
            poll_interval=0.02,
            code={"uri": f"{home}/nb/"},
            notebook="b.ipynb",
            output=f"{home}/out",
        )
