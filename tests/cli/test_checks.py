"""Checks of what lies around an account, each fault planted."""

from __future__ import annotations

import json
import logging
import uuid

import oss2
import pytest

from airflow_provider_pai.cli.checks import around
from airflow_provider_pai.cli.checks import bucket as check_of
from airflow_provider_pai.hooks.checks import Health, quick, run_checks
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.ledger import Event, EventKind
from airflow_provider_pai.ledger.schema import LATEST
from airflow_provider_pai.ledger.task import TaskLedger
from tests.conftest import airflow_connection
from tests.dead import dead

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def ask(pai, monkeypatch):
    """Return the rows of the checks around a connection with further extras, by check."""

    def rows(**extra):
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, **extra)))
        return {row.check: row for row in run_checks(around(PaiConnectionHook()), 30)}

    return rows


def test_all_is_well(ask):
    rows = ask()
    reads = ["DLC jobs", "DSW instances", "EAS services", "EAS groups"]
    assert list(rows) == [*reads, "state_uri", "EAS's own role", "metrics of EAS", "ledger", "Airflow"]
    assert {row.result for row in rows.values()} == {Health.OK}
    assert rows["metrics of EAS"].says == (
        "CloudMonitor's acs_pai_eas: qps_total, rps_status_5xx, p5, p80, p90, p95, p99"
    )


def test_a_role_that_nobody_has_made(ask, pai):
    role = pai.services.identity.roles.pop()
    row = ask()["EAS's own role"]
    pai.services.identity.roles.add(role)
    assert (row.result, row.says) == (Health.WARNING, f"{role} is not there: EAS can't mount OSS")


def test_who_may_not_look_at_roles_is_told_so(ask, pai):
    pai.account.faults.add(match="api GetRole", status=403, code="NoPermission")
    row = ask()["EAS's own role"]
    assert (row.result, row.todo) == (Health.UNCHECKED, "allow ram:GetRole")


def test_metrics_under_other_names(ask, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.metrics.cloudmonitor.NAMESPACES", ("acs_other",))
    row = ask()["metrics of EAS"]
    assert row.result is Health.WARNING
    assert "there are: acs_other: nothing" in row.says


def test_a_file_is_no_ledger_of_several_machines(ask, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")
    row = ask()["ledger"]
    assert row.result is Health.FAULT
    assert "under CeleryExecutor each worker machine writes an SQLite file of its own" in row.says
    assert row.todo == "let ledger_conn_id name a Postgres or MySQL connection"
    monkeypatch.setenv("AIRFLOW_CONN_FILE", "sqlite:////tmp/none.db")
    assert ask(ledger_conn_id="file")["ledger"].says.startswith(
        "an SQLite file (connection file): under CeleryExecutor"
    )


def test_rows_that_wait_for_their_ledger_are_counted(ask, bucket):
    home = f"oss://{bucket.bucket_name}/state/"
    assert ask(state_uri=home)["ledger"].result is Health.OK
    with dead("refused"):
        event = Event(key="a", kind=EventKind.PROMOTED, subject="digits")
        TaskLedger(PaiConnectionHook(), None, logging.getLogger()).record(event)
    row = ask(state_uri=home)["ledger"]
    assert (row.result, row.todo) == (Health.WARNING, "run `airflow pai ledger flush`")
    assert row.says.startswith(f"1 rows wait for it in {home}ledger/")


class Postgres:
    """A database that is elsewhere, with so many tables.

    :param tables: or the error of who asks.
    """

    conn_type = "postgres"
    placeholder = "%s"
    description = True

    def __init__(self, tables):
        self.tables = tables

    def get_conn(self):
        if isinstance(self.tables, Exception):
            raise self.tables
        return self

    def cursor(self):
        return self

    def execute(self, sql, values):
        self.answer = self.tables if "to_regclass" in sql else LATEST

    def fetchall(self):
        return [(self.answer,)]

    def close(self):
        pass


@pytest.mark.parametrize(
    ("tables", "result", "says"),
    [
        (2, Health.OK, "connection audit answers"),
        (0, Health.WARNING, "connection audit answers, and lacks tables"),
        (ConnectionError("refused"), Health.FAULT, "its database says ConnectionError: refused"),
    ],
)
def test_a_database_that_all_workers_share(ask, monkeypatch, tables, result, says):
    monkeypatch.setattr("airflow_provider_pai.cli.checks.database", lambda conn_id: Postgres(tables))
    row = ask(ledger_conn_id="audit")["ledger"]
    assert (row.result, row.says) == (result, says)


def test_what_an_old_airflow_has_not(ask, monkeypatch):
    monkeypatch.setattr("airflow.__version__", "2.11.0")
    row = ask()["Airflow"]
    assert row.result is Health.OK
    assert row.says.startswith("2.11.0, which has not: approval of a canary by a person (3.1); `airflow pai …` (3.2;")


ACTIONS = sorted(
    {check.action for check in [*quick(PaiConnectionHook()), *around(PaiConnectionHook())] if check.action}
)


@pytest.mark.parametrize("missing", [*ACTIONS, "cms:QueryMetricMeta"])
def test_an_action_that_is_missing_is_named_where_it_is_needed_and_nowhere_else(pai, monkeypatch, bucket, missing):
    allowed = [action for action in [*ACTIONS, "cms:QueryMetricMeta", "oss:ListObjects"] if action != missing]
    user = pai.account.add_user(
        {"Version": "1", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    )
    connection = airflow_connection(pai, state_uri=f"oss://{bucket.bucket_name}/state")
    connection |= {"login": user.access_key_id, "password": user.access_key_secret}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
    hook = PaiConnectionHook()
    rows = run_checks([*quick(hook), *around(hook)], 30)
    assert {row.todo for row in rows if row.result not in (Health.OK, Health.WARNING)} == {f"allow {missing}"}
    assert all(missing in row.says for row in rows if row.todo.startswith("allow"))


def test_the_home_of_state(ask, bucket):
    home = f"oss://{bucket.bucket_name}/state/"
    assert ask(state_uri=home)["state_uri"].says == f"{home} can be read"
    assert ask(state_uri="oss://no-such-bucket/")["state_uri"].says == "there is no bucket no-such-bucket"
    bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig("Suspended"))
    row = ask(state_uri=home)["state_uri"]
    assert (row.result, row.todo) == (Health.FAULT, "name a bucket that never had versioning")


def bucket_row(name):
    (row,) = run_checks([check_of(PaiConnectionHook(), name, ["train.output_uri"])], 30)
    return row.result, row.says


def test_buckets(bucket, pai):
    assert bucket_row(bucket.bucket_name) == (Health.OK, "in cn-hangzhou")
    assert bucket_row("no-such-bucket") == (
        Health.FAULT,
        "there is no bucket no-such-bucket, named by train.output_uri",
    )
    elsewhere = f"elsewhere-{uuid.uuid4().hex[:8]}"
    pai.call(lambda: pai.services.oss.create_bucket(elsewhere, region="cn-beijing"))
    assert bucket_row(elsewhere) == (Health.FAULT, "lies in cn-beijing, not cn-hangzhou, named by train.output_uri")
    bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig("Enabled"))
    result, says = bucket_row(bucket.bucket_name)
    assert (result, says.startswith("in cn-hangzhou, versioning Enabled")) == (Health.WARNING, True)
