from __future__ import annotations

import logging
import threading

import pytest

from airflow_provider_pai.hooks.credentials import client_of
from airflow_provider_pai.services import SERVICES

FIELDS = {"access_key_id": "LTAI", "access_key_secret": "s", "security_token": "t", "role_name": "r"}
FIELDS |= {"role_arn": "acs:ram::1:role/r", "oidc_provider_arn": "acs:ram::1:oidc-provider/p"}
FIELDS |= {"role_session_name": "airflow", "oidc_token_file_path": "/dev/null", "sts_endpoint": SERVICES["sts"].host}


@pytest.mark.parametrize("kind", ["access_key", "sts", "ram_role_arn", "ecs_ram_role", "oidc_role_arn"])
def test_many_clients_leave_no_threads(kind):
    before = threading.active_count()
    clients = {id(client_of(**{**FIELDS, "type": kind, "role_session_name": str(number)})) for number in range(25)}
    assert len(clients) == 25
    assert threading.active_count() == before


def test_the_credential_chain_has_one_client_whatever_else_a_connection_says():
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # it says good-bye when pytest listens no more
    assert client_of(**{**FIELDS, "type": "default"}) is client_of(**{**FIELDS, "type": "default", "role_name": "x"})
