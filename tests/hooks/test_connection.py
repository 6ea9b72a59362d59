import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.connection import PaiConnection


def read(extra=None, login="LTAIx", password="secret", **overrides):
    connection = Connection(conn_id="c", conn_type="pai", login=login, password=password)
    return PaiConnection.read(connection, {"region": "cn-hangzhou", **(extra or {})}, **overrides)


def test_an_argument_wins_over_the_extra_and_the_extra_over_the_default():
    assert read({"workspace_id": "1"}).workspace_id == "1"
    assert read({"workspace_id": "1"}, workspace_id="2").workspace_id == "2"
    assert read({"workspace_id": 7}).workspace_id == "7"
    assert read({"workspace_id": "", "network": ""}).network == "public"


def test_auth_follows_from_what_is_given():
    assert read().auth == "access_key"
    assert read(login=None, password=None).auth == "default"


@pytest.mark.parametrize(
    ("service", "network", "host"),
    [
        ("dlc", "public", "pai-dlc.cn-hangzhou.aliyuncs.com"),
        ("eas", "vpc", "pai-eas-manage-vpc.cn-hangzhou.aliyuncs.com"),
        ("oss", "vpc", "oss-cn-hangzhou-internal.aliyuncs.com"),
    ],
)
def test_endpoints(service, network, host):
    assert read({"network": network}).endpoint(service) == host


def test_one_address_for_all_services_but_oss():
    connection = read({"endpoint_url": "http://127.0.0.1:1", "oss_endpoint": "http://127.0.0.1:2"})
    assert {connection.endpoint(service) for service in ("dlc", "dsw", "eas", "cms")} == {"http://127.0.0.1:1"}
    assert connection.endpoint("oss") == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"region": ""}, "connection c, region: '' is not allowed; one of .*cn-hangzhou"),
        ({"region": "cn-nowhere"}, "connection c, region: 'cn-nowhere'"),
        ({"network": "lan"}, "connection c, network: 'lan' is not allowed; one of public, vpc"),
        ({"auth": "magic"}, "connection c, auth: 'magic' is not allowed; one of access_key"),
        ({"auth": "sts"}, "connection c, security_token: None"),
        ({"auth": "ram_role_arn"}, "connection c, role_arn: None"),
        ({"auth": "oidc_role_arn", "role_arn": "acs:x"}, "connection c, oidc_provider_arn: None"),
    ],
)
def test_bad_fields_are_named(extra, message):
    with pytest.raises(PaiConfigError, match=message):
        read(extra)


def test_a_key_without_its_secret_is_named():
    with pytest.raises(PaiConfigError, match="password \\(AccessKey Secret\\)"):
        read(password=None)


def test_secrets_are_not_shown():
    shown = repr(read({"auth": "sts", "security_token": "tok-123"}))
    assert "secret" not in shown.replace("access_key_secret", "")
    assert "tok-123" not in shown


def test_credentials_come_from_alibabacloud_credentials():
    got = read({"auth": "sts", "security_token": "tok"}).credential_client().get_credential()
    assert (got.access_key_id, got.access_key_secret, got.security_token) == ("LTAIx", "secret", "tok")
