from __future__ import annotations

import time

import pytest

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.identity import RamHook, StsHook

pytestmark = pytest.mark.usefixtures("connection")


def test_who_calls_and_when_that_was(pai):
    caller = StsHook().caller()
    assert (caller.account_id, caller.kind) == (pai.account.settings.account_id, "Account")
    assert abs(caller.at - time.time()) < 60


def test_a_role_that_is_not_there_is_not_found():
    assert RamHook().role("AliyunServiceRoleForPaiEas")["IsServiceLinkedRole"]
    with pytest.raises(PaiNotFoundError, match="ram GetRole"):
        RamHook().role("Nobody")
