from __future__ import annotations

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from airflow_provider_pai.emulator.account import Credential
from tests.conftest import sdk_config


def call(pai, action, version, config=None, **query):
    params = Params(
        action=action,
        version=version,
        protocol="HTTPS",
        method="POST",
        auth_type="AK",
        style="RPC",
        pathname="/",
        req_body_type="formData",
        body_type="json",
    )
    client = Client(config or sdk_config(pai))
    return client.call_api(params, OpenApiRequest(query=query), RuntimeOptions())["body"]


def test_the_accounts_own_key_is_the_account(pai):
    caller = call(pai, "GetCallerIdentity", "2015-04-01")
    account = pai.account.settings.account_id
    assert (caller["IdentityType"], caller["AccountId"], caller["Arn"]) == (
        "Account",
        account,
        f"acs:ram::{account}:root",
    )


def test_a_temporary_key_is_a_session_of_a_role(pai):
    pai.account.add_credential(Credential("STS.x", "secret", "token"))
    config = sdk_config(pai, access_key_id="STS.x", access_key_secret="secret", security_token="token")
    caller = call(pai, "GetCallerIdentity", "2015-04-01", config)
    assert caller["IdentityType"] == "AssumedRoleUser"
    assert ":assumed-role/" in caller["Arn"]


def test_a_key_with_a_policy_is_a_user_and_needs_no_permission_to_hear_it(pai):
    user = pai.account.add_user({"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    key = {"access_key_id": user.access_key_id, "access_key_secret": user.access_key_secret}
    caller = call(pai, "GetCallerIdentity", "2015-04-01", sdk_config(pai, **key))
    assert (caller["IdentityType"], caller["UserId"]) == ("RAMUser", user.access_key_id)
    with pytest.raises(ClientException) as caught:
        call(pai, "GetRole", "2015-05-01", sdk_config(pai, **key), RoleName="AliyunServiceRoleForPaiEas")
    assert caught.value.access_denied_detail["AuthAction"] == "ram:GetRole"


def test_a_role_is_there_or_is_not(pai):
    role = call(pai, "GetRole", "2015-05-01", RoleName="AliyunServiceRoleForPaiEas")["Role"]
    assert role["IsServiceLinkedRole"] is True
    with pytest.raises(ClientException) as caught:
        call(pai, "GetRole", "2015-05-01", RoleName="Nobody")
    assert (caught.value.status_code, caught.value.code) == (404, "EntityNotExist.Role")


@pytest.mark.parametrize(
    ("action", "version", "status", "code"),
    [
        ("GetCallerIdentity", "2015-05-01", 400, "InvalidVersion"),
        ("AssumeNothing", "2015-04-01", 404, "InvalidAction.NotFound"),
    ],
)
def test_what_is_no_action_is_refused(pai, action, version, status, code):
    with pytest.raises(ClientException) as caught:
        call(pai, action, version)
    assert (caught.value.status_code, caught.value.code) == (status, code)
