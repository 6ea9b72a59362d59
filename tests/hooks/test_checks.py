"""Checks of an account: each fault is planted, and told as what it is."""

from __future__ import annotations

import json
import re
import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_pai.cli.checks import around
from airflow_provider_pai.clock import SYSTEM_CLOCK
from airflow_provider_pai.emulator.account import Credential
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.checks import Check, Health, Remark, grouped, quick, run_checks, told
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.services import SERVICES
from tests.conftest import airflow_connection

ASKED = ["identity", "OSS", "DLC", "DSW", "EAS", "AIWorkspace", "CloudMonitor", "workspace"]
SECRET, KEY = "the AccessKey Secret is wrong", "the AccessKey ID does not exist, or is disabled"
TOKEN, CLOCK = "the STS token has expired", "this machine's clock is more than 15 minutes wrong"


@pytest.fixture
def account(pai, monkeypatch):
    """Write a connection with other fields, and return what its quick checks tell, by check."""

    def ask(**fields):
        extra = fields.pop("extra", {})
        connection = {**airflow_connection(pai, **extra), **fields}
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
        hook = PaiConnectionHook()
        hook.retry_seconds = 0.0
        return {row.check: row for row in run_checks(quick(hook), 30)}

    return ask


def test_a_sound_account_is_told_as_such(account):
    rows = account()
    assert {row.result for name, row in rows.items() if name != "identity"} == {Health.OK}
    assert rows["identity"].result is Health.WARNING
    assert rows["identity"].says == "the account itself, acs:ram::1000000000000001:root"
    assert rows["workspace"].says == "10001 (workspace_10001)"


@pytest.mark.parametrize(
    ("fields", "says"), [({"password": "wrong-secret"}, SECRET), ({"login": "LTAInobody"}, KEY)], ids=["secret", "key"]
)
def test_wrong_credentials_are_told_by_every_service_as_what_they_are(account, fields, says):
    rows = account(**fields)
    assert {name for name, row in rows.items() if row.result is Health.FAULT and row.says == says} == {*ASKED}


def test_an_expired_token_is_no_missing_permission(account, pai):
    pai.account.add_credential(Credential("STS.gone", "sts-secret", "token"))
    pai.account.remove_credential("STS.gone")
    rows = account(login="STS.gone", password="sts-secret", extra={"auth": "sts", "security_token": "token"})
    assert {row.says for row in rows.values()} == {TOKEN}


def test_a_token_that_belongs_to_another_key(account):
    rows = account(extra={"auth": "sts", "security_token": "another"})
    says = {name: row.says for name, row in rows.items()}
    assert says.pop("OSS") == KEY  # OSS knows temporary keys by their id
    assert set(says.values()) == {"the STS token does not belong to the AccessKey ID"}


def test_a_clock_that_services_refuse(account, pai, monkeypatch):
    now = pai.account.now
    monkeypatch.setattr(pai.account, "now", lambda: now() + timedelta(hours=1))
    assert {row.says for row in account().values()} == {CLOCK}


@pytest.mark.parametrize(
    ("off", "result", "says"),
    [
        (2, Health.OK, "this machine's is right"),
        (300, Health.WARNING, "this machine's is 30. s fast; 900 s are refused"),
        (-1000, Health.FAULT, "this machine's is .* s slow"),
    ],
)
def test_a_clock_that_is_off(account, monkeypatch, off, result, says):
    skewed = SYSTEM_CLOCK._replace(now=lambda: SYSTEM_CLOCK.now() + off)
    monkeypatch.setattr(PaiConnectionHook, "clock", skewed)
    row = account()["clock"]
    assert row.result is result
    assert re.match(says, row.says)


def test_a_workspace_that_is_not_there(account):
    row = account(extra={"workspace_id": "77"})["workspace"]
    assert (row.result, row.says) == (Health.FAULT, "there is no workspace 77 in cn-hangzhou")
    rows = account(extra={"workspace_id": ""})
    assert (rows["workspace"].result, rows["workspace"].todo) == (Health.WARNING, "set workspace_id")
    assert rows["AIWorkspace"].result is Health.UNCHECKED


def test_roles_that_are_none(account):
    rows = account(extra={"role_arn": "acs:ram::12:roles/x", "oidc_provider_arn": "acs:ram::12:oidc-provider/x"})
    assert rows["connection, role_arn"].result is Health.FAULT
    assert rows["connection, oidc_provider_arn"].result is Health.OK


def test_a_missing_permission_names_the_action_and_the_rest_goes_on(account, pai):
    pai.account.faults.add(match="api ListInstances", status=403, code="Forbidden.RAM")
    pai.account.faults.add(match="api GetWorkspace", status=403, code="NoPermission")
    rows = account()
    assert (rows["DSW"].result, rows["DSW"].todo) == (Health.FAULT, "allow paidsw:ListInstances")
    assert (rows["workspace"].result, rows["workspace"].todo) == (Health.UNCHECKED, "allow paiworkspace:GetWorkspace")
    assert rows["EAS"].result is Health.OK


def test_a_product_that_nobody_has_activated_is_told_and_the_rest_goes_on(account, pai):
    pai.account.faults.add(match="api ListServices", status=403, code="NotOpened")
    rows = account()
    assert (rows["EAS"].result, rows["EAS"].says) == (Health.WARNING, "EAS is not activated in this account")
    assert rows["DSW"].result is Health.OK


def test_an_endpoint_where_nobody_answers(account):
    rows = account(extra={"endpoints": "eas=http://127.0.0.1:9"})
    assert (rows["EAS"].result, rows["EAS"].says) == (Health.FAULT, "no answer from 127.0.0.1:9: Connection refused")
    assert rows["DLC"].result is Health.OK
    rows = account(extra={"endpoints": "aiworkspace=http://127.0.0.1:9"})
    assert (rows["AIWorkspace"].result, rows["workspace"].result) == (Health.FAULT, Health.UNCHECKED)


@pytest.fixture
def no_name(monkeypatch):
    """DNS answers at once, and knows no `nowhere.invalid`."""
    real = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        if host in ("nowhere.invalid", b"nowhere.invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_a_name_that_dns_does_not_know_may_not_be_read_either(account, no_name):
    """A look for something that is not there takes a refusal for an answer; silence is none."""
    account(extra={"endpoints": "dlc=https://nowhere.invalid"})
    rows = {row.check: row for row in run_checks(around(PaiConnectionHook()), 30)}
    assert rows["DLC jobs"].result is Health.FAULT
    assert rows["DLC jobs"].says.startswith("nowhere.invalid: there is no such name (")
    assert rows["EAS services"].result is Health.OK


def test_the_faults_that_are_met_most_are_told_as_the_page_has_them(account, pai, no_name, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text()
    table = re.search(r"^\| what is wrong \| what is told \|\n.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    said = dict(re.findall(r"^\| (.*?) \| (.*) \|$", table[1], re.MULTILINE))

    def told(check, **fields):
        row = account(**fields)[check]
        return f"{row.says} → {row.todo}"

    pai.account.add_credential(Credential("STS.old", "sts-secret", "token"))
    pai.account.remove_credential("STS.old")
    token = {"login": "STS.old", "password": "sts-secret", "extra": {"auth": "sts", "security_token": "token"}}
    other = {"Effect": "Allow", "Action": "other:*", "Resource": "*"}
    nobody = pai.account.add_user({"Version": "1", "Statement": [other]})
    assert told("OSS", password="wrong") == said.pop("the secret")
    assert told("DLC", login="LTAInobody") == said.pop("the key")
    assert told("OSS", **token) == told("DLC", **token) == said.pop("the token is old")
    assert told("DSW", extra={"endpoints": "dsw=https://nowhere.invalid"}) == said.pop("no such host")
    assert told("EAS", extra={"endpoints": "eas=http://127.0.0.1:9"}) == said.pop("nobody answers")
    assert told("DSW", login=nobody.access_key_id, password=nobody.access_key_secret) == said.pop("a permission")
    assert told("workspace", extra={"workspace_id": "77"}) == said.pop("the workspace")
    pai.account.faults.add(match="api ListServices", status=403, code="NotOpened")
    assert told("EAS") == said.pop("a product")
    now = pai.account.now
    with monkeypatch.context() as patch:
        patch.setattr(pai.account, "now", lambda: now() + timedelta(hours=1))
        assert told("OSS") == told("DLC") == said.pop("the clock")
    misspelt = account(extra={"region": "cn-hangzou", "endpoint_url": "", "oss_endpoint": ""})["DLC"]
    assert misspelt.says.startswith(said.pop("the region").removesuffix("…"))
    assert not said


def test_checks_run_side_by_side():
    all_at_once = threading.Barrier(5)

    def meet(name):
        all_at_once.wait(20)
        return [Remark(name, Health.OK, "met")]

    checks = [Check(str(number), lambda number=number: meet(str(number))) for number in range(5)]
    assert [row.check for row in run_checks(checks, 20)] == list("01234")


def test_a_check_that_hangs_is_left_to_itself_and_nothing_found_is_nothing_said():
    never = threading.Event()
    checks = [
        Check("hangs", never.wait),
        Check("empty", list),
        Check("well", lambda: [Remark("well", Health.OK, "")]),
    ]
    first, second = run_checks(checks, 0.1)
    assert (first.check, first.result, first.says) == ("hangs", Health.FAULT, "no answer within 0.1 s")
    assert second.check == "well"
    never.set()


def error(kind, code, status, message="text", service="eas"):
    return kind(service, "ListServices", message, code, status)


@pytest.mark.parametrize(
    ("raised", "result", "says"),
    [
        (error(PaiPermissionError, "IncompleteSignature", 400, f"{SECRET} → set it"), Health.FAULT, SECRET),
        (error(PaiTransientError, "Throttling.User", 429), Health.FAULT, "answered 429 Throttling.User: text"),
        (error(PaiTransientError, None, None, "no answer from h: timed out"), Health.FAULT, "no answer from h: timed"),
        (error(PaiApiError, "X", 400, "the service is not opened"), Health.WARNING, "EAS is not activated"),
        (error(PaiApiError, "Odd", 400), Health.FAULT, "text (Odd)"),
        (error(PaiApiError, None, None, "h: no such name"), Health.FAULT, "h: no such name"),
        (PaiConfigError("region", "x", "one of y"), Health.FAULT, "region: 'x' is not allowed; one of y"),
        (OSError("disk\n  full"), Health.FAULT, "OSError: disk full"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_what_an_error_tells(raised, result, says):
    row = told(Check("EAS", list, "eas:ListServices"), raised)
    assert row.result is result
    assert row.says.startswith(says)


def test_a_service_that_names_the_action_is_believed():
    raised = error(PaiPermissionError, "NoPermission", 403, "Action: eas:DescribeGroup is not authorized")
    assert told(Check("EAS", list, "eas:ListServices"), raised).todo == "allow eas:DescribeGroup"


def test_what_is_alike_is_told_once():
    rows = [Remark("a", Health.OK, "x"), Remark("b", Health.FAULT, "y"), Remark("c", Health.OK, "x")]
    assert [(names, row.says) for names, row in grouped(rows)] == [("a, c", "x"), ("b", "y")]


def test_the_quick_checks_ask_every_service(account):
    titles = {service.title for service in SERVICES.values()} - {"STS", "RAM"}
    assert titles <= set(account())
