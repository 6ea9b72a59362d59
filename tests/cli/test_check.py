"""`airflow pai check` as a person and as a script has it."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_pai.cli.__main__ import main
from tests.conftest import airflow_connection


@pytest.fixture
def check(connection, capsys, monkeypatch):
    """Run the command with arguments; return its exit code and what it printed, without the emulator's log."""
    monkeypatch.setenv("COLUMNS", "110")  # a terminal's width, which whoever runs the tests may have

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["check", *arguments])
        printed = capsys.readouterr().out
        return ended.value.code, printed[re.search(r"^(Connection |\{$)", printed, re.MULTILINE).start() :]

    return run


def test_a_sound_connection_ends_with_0(check, pai):
    code, printed = check()
    head, _, *lines = printed.splitlines()
    assert code == 0
    assert head == f"Connection pai_default: cn-hangzhou, {pai.endpoints.endpoint_url}, auth access_key"
    assert lines[0].split() == "warning identity the account itself, acs:ram::1000000000000001:root".split()
    assert lines[1].strip() == "→ make a RAM user for Airflow: this key may do everything"
    assert any(line.startswith("ok           metrics of EAS") for line in lines)
    assert lines[-1] == "17 ok, 1 warning", printed


def test_machines_get_the_same(check, bucket):
    code, printed = check("--json", "--bucket", f"oss://{bucket.bucket_name}/models")
    told = json.loads(printed)
    assert (code, told["connection"], told["ok"]) == (0, "pai_default", True)
    assert told["checks"][-1] == {
        "check": f"bucket {bucket.bucket_name}",
        "result": "ok",
        "says": "in cn-hangzhou",
        "todo": "",
    }


def test_a_fault_ends_with_1_and_is_told_once(check, pai, monkeypatch):
    wrong = {**airflow_connection(pai), "password": "wrong-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(wrong))
    code, printed = check()
    assert code == 1
    assert printed.count("the AccessKey Secret is wrong") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--conn-id", "no_such"], "connection"),
        (["--bucket", "s3://x"], "--bucket: 's3://x' is not allowed"),
        (["--dag", "no_such"], "--dag: 'no_such' is not allowed; DAGs in"),
    ],
)
def test_what_is_given_wrongly_is_a_fault_of_one_line(check, arguments, says):
    code, printed = check(*arguments)
    assert code == 1
    assert says in " ".join(printed.split())
    assert printed.rstrip().endswith("1 fault")


def test_a_round_that_costs_money_begins_only_where_all_is_well(check, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.cli.smoke.smoke", lambda args: 7)
    assert check("--smoke")[0] == 7
    assert check("--smoke", "--bucket", "oss://no-such-bucket")[0] == 1


def test_a_round_without_an_image_is_refused_in_one_line(connection, bucket):
    with pytest.raises(SystemExit, match=r"^--image: None"):
        main(["check", "--smoke", "--yes", "--bucket", f"oss://{bucket.bucket_name}"])
