"""Commands as they are found and run: what a person gives wrongly ends each in one line."""

from __future__ import annotations

import pytest

from airflow_provider_pai.cli.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("jobs orphans --conn-id none", "pai_conn_id: 'none' is not there; an Airflow connection that exists"),
        ("jobs orphans --since soon", "--since: 'soon' is not allowed; a time"),
        ("models reproduce v --conn-id none", "airflow get_connection: pai_conn_id: 'none' is not there"),
        ("models reproduce v", "VERSION: 'v' is not allowed; one that the ledger knows"),
        ("models reproduce v --uri s3://x", "--uri: 's3://x' is not allowed; write oss://"),
        ("ledger verify --conn-id none", "NOT VERIFIED: airflow get_connection: pai_conn_id: 'none'"),
        ("ledger verify --ledger-conn-id none", "NOT VERIFIED: connection none can't be used"),
        ("ledger migrate --conn-id none", "pai_conn_id: 'none'"),
        ("ledger migrate --ledger-conn-id none", "nothing was made: connection none can't be used"),
        ("ledger flush --conn-id none", "pai_conn_id: 'none'"),
        ("ledger flush --bucket s3://x", "--bucket: 's3://x' is not allowed; write oss://"),
        ("ledger flush --bucket oss://no-such-bucket", "The specified bucket does not exist"),
        ("ledger flush --file {tmp_path}/none", "No such file or directory: '{tmp_path}/none'"),
        ("ledger flush --file {tmp_path}", "Is a directory: '{tmp_path}'"),
        ("ledger flush --file {tmp_path}/cut.log", "--file: 'line 2' is not allowed; rows as they were logged: "),
        ("ledger flush --file {tmp_path}/odd.log", "--file: 'line 1' is .* they were logged: KeyError: 'kind'"),
        ("check --smoke --yes --bucket oss://no-such-bucket", 1),
    ],
)
def test_what_is_given_wrongly_ends_a_command_in_one_line(connection, tmp_path, arguments, says):
    (tmp_path / "cut.log").write_bytes(b'\xff\xfe of a terminal\n{"digest": "sha25')
    (tmp_path / "odd.log").write_text('INFO - {"digest": "d"} said the task')
    with pytest.raises(SystemExit) as ended:
        main(arguments.format(tmp_path=tmp_path).split())
    if isinstance(says, int):
        assert ended.value.code == says
        return
    assert "\n" not in ended.value.code
    assert ended.value.__suppress_context__
    assert ended.match(f"{says.format(tmp_path=tmp_path)}")
