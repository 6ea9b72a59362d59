from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pai.emulator.account import MAX_SKEW, Account, Credential, Settings

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def account(tmp_path):
    account = Account(tmp_path, Settings(), now=lambda: NOON)
    yield account
    account.store.close()


def test_times_are_those_of_its_clock(account):
    assert account.timestamp() == "2026-11-22T12:00:00Z"


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_clock_may_differ_by_a_quarter_of_an_hour(account, direction):
    at_most = timedelta(seconds=MAX_SKEW)
    assert not account.is_skewed(NOON + direction * at_most)
    assert account.is_skewed(NOON + direction * (at_most + timedelta(seconds=1)))


def test_a_removed_credential_is_expired_if_it_was_temporary(account):
    for credential in (Credential("permanent", "s"), Credential("temporary", "s", "token")):
        account.add_credential(credential)
        account.remove_credential(credential.access_key_id)
        assert account.credential_of(credential.access_key_id) is None
    assert account.is_expired("temporary")
    assert not account.is_expired("permanent")


def test_the_root_credential_is_the_same_after_a_restart(account, tmp_path):
    again = Account(tmp_path, Settings())
    assert again.credential == account.credential
    again.store.close()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"region": "cn-beijing"}, "'region' is not one of dwell, grace"),
        ({"dwell": -1}, "dwell: -1 is no number of seconds"),
        ({"dwell": True}, "dwell: True is no number of seconds"),
        ({"dwell": float("nan")}, "dwell: nan is no number of seconds"),
        ({"grace": float("inf")}, "grace: inf is no number of seconds"),
        ({"drain": 1}, "drain: 1 is neither true nor false"),
    ],
)
def test_wrong_settings_change_nothing(account, changes, error):
    with pytest.raises(ValueError, match=error):
        account.change_settings({"grace": 9.0, **changes})
    assert account.settings == Settings()
