"""Links to what a notebook has left are signed when a page shows them, and kept nowhere."""

from __future__ import annotations

import json
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from airflow_provider_pai.plugins import ExecutedNotebookLink, NotebookHtmlLink, PaiPlugin
from airflow_provider_pai.remote import RUN_FOLDER_KEY

KEY = SimpleNamespace(dag_id="digits", run_id="night", task_id="explore", map_index=-1, try_number=1)


def test_airflow_loads_the_plugin_whatever_it_knows_of_providers_and_knows_whose_links_it_has():
    (told,) = [each for each in entry_points(group="airflow.plugins") if each.name == PaiPlugin.name]
    assert told.load() is PaiPlugin
    assert issubclass(PaiPlugin, AirflowPlugin)
    assert all(DswRunNotebookOperator in link.operators for link in PaiPlugin.operator_extra_links)


@pytest.fixture
def kept(monkeypatch):
    """Put an XCom where Airflow 3's webserver looks for it."""
    if not AIRFLOW_V_3_0_PLUS:
        pytest.skip("Airflow 2.11 reads it by its own XCom")
    from airflow.models import taskinstance  # noqa: F401 - the table that XComs refer to
    from airflow.models.xcom import XComModel
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine("sqlite://")
    XComModel.__table__.create(engine)

    def put(value):
        row = {name: getattr(KEY, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
        with Session(engine) as session:
            session.add(XComModel(dag_run_id=1, key=RUN_FOLDER_KEY, value=json.dumps(value), **row))
            session.commit()

    @contextmanager
    def session():
        with Session(engine) as one:
            yield one

    monkeypatch.setattr("airflow.utils.session.create_session", session)
    return put


def test_a_link_opens_the_file_without_a_key_and_is_empty_before_there_is_a_run(kept, bucket, connection):
    assert ExecutedNotebookLink().get_link(None, ti_key=KEY) == ""
    OssHook().put(f"oss://{bucket.bucket_name}/out/_runs/v1/executed.ipynb", "{}")
    hook = {"pai_conn_id": "pai_default", "region": None, "workspace_id": None}
    kept({"uri": f"oss://{bucket.bucket_name}/out/_runs/v1/", "hook": hook})
    url = ExecutedNotebookLink().get_link(None, ti_key=KEY)
    with urlopen(url) as answer:
        assert answer.read() == b"{}"
    assert urlsplit(NotebookHtmlLink().get_link(None, ti_key=KEY)).path.endswith("/out/_runs/v1/executed.html")
    assert any("ignature" in name for name in parse_qs(urlsplit(url).query))


def test_a_connection_that_is_gone_leaves_no_link(kept):
    kept({"uri": "oss://b/out/_runs/v1/", "hook": {"pai_conn_id": "gone"}})
    assert ExecutedNotebookLink().get_link(None, ti_key=KEY) == ""
