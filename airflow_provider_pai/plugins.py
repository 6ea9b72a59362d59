"""Airflow plugin: links whose URLs the webserver signs whenever it shows them, so that none is kept anywhere."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.lazy import late_names
from airflow_provider_pai.remote import EXECUTED_NAME, HTML_NAME, RUN_FOLDER_KEY
from airflow_provider_pai.uri import OssUri

log = logging.getLogger(__name__)

_SECONDS = 3600
_OPERATORS = {"DswRunNotebookOperator": "dsw"}
_operator = late_names("airflow_provider_pai.operators", _OPERATORS)


class RunFileLink(BaseOperatorLink):
    """A file of a run's folder on OSS, for whoever may see the task."""

    file: ClassVar[str]

    @property
    def operators(self) -> list[type[Any]]:  # type: ignore[override]
        """Return whose tasks have it, imported when a page asks: each part of Airflow loads its plugins."""
        return [_operator(name) for name in _OPERATORS]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return a URL that is good for an hour; empty before the run has a folder, or where none can be signed."""
        run = _kept(ti_key)
        if not run:
            return ""
        from airflow_provider_pai.hooks.oss import OssHook

        hook = OssHook(**run["hook"])
        try:
            # A browser is not in the workers' network.
            hook.__dict__["connection"] = replace(hook.connection, network="public")
            return hook.presign(OssUri.parse(run["uri"]).join(self.file), expires=_SECONDS)
        except PaiError as error:
            log.warning("No link to %s of %s: %s", self.file, run["uri"], error)
            return ""


class ExecutedNotebookLink(RunFileLink):
    """The executed notebook, as far as it has come."""

    name = "Executed notebook"
    file = EXECUTED_NAME


class NotebookHtmlLink(RunFileLink):
    """The same as a page."""

    name = "Notebook as HTML"
    file = HTML_NAME


class PaiPlugin(AirflowPlugin):
    """What the provider adds to Airflow's pages."""

    name = "pai"
    operator_extra_links: list[Any] = [ExecutedNotebookLink(), NotebookHtmlLink()]


def _kept(ti_key: Any) -> Any:
    """Return what the task has kept of its run's folder; Airflow 3's webserver reads XComs in the database alone."""
    if not AIRFLOW_V_3_0_PLUS:
        return XCom.get_value(ti_key=ti_key, key=RUN_FOLDER_KEY)
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    whose = {name: getattr(ti_key, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    with create_session() as session:
        row = session.execute(select(XComModel.value).filter_by(key=RUN_FOLDER_KEY, **whose)).first()
        return row and XComModel.deserialize_value(row)
