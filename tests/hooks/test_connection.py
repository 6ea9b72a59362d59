import string

import pytest
from airflow.providers.common.compat.sdk import Connection
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.hooks.oss import OssHook


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


def test_a_time_limit_of_all_jobs():
    assert (read({"max_running_time": "12h"}).max_running_time, read({}).max_running_time) == (43_200, None)


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
        ({"region": "cn-hangzou"}, "connection c, region: 'cn-hangzou' is not allowed; did you mean cn-hangzhou?"),
        ({"network": "lan"}, "connection c, network: 'lan' is not allowed; one of public, vpc"),
        ({"max_running_time": "soon"}, "connection c, max_running_time: 'soon' .* a span of at least 60 s"),
        ({"eas_group_key": "metadata group"}, "connection c, eas_group_key: 'metadata group' .* as metadata.group"),
        ({"pip_index": "mirrors.example.com/pypi"}, "connection c, pip_index: .* https://… or http://…"),
        ({"pip_index": "https://me:secret@h/simple"}, r"connection c, pip_index: '\*\*\*' .* no login"),
        ({"console_url": "javascript:alert(1)"}, "connection c, console_url: .*; https://… or http://…"),
        ({"auth": "magic"}, "connection c, auth: 'magic' is not allowed; one of access_key"),
        ({"auth": "sts"}, "connection c, security_token: None"),
        ({"auth": "ram_role_arn"}, "connection c, role_arn: None"),
        ({"auth": "oidc_role_arn", "role_arn": "acs:x"}, "connection c, oidc_provider_arn: None"),
    ],
)
def test_bad_fields_are_named(extra, message):
    with pytest.raises(PaiConfigError, match=message):
        read(extra)


@pytest.mark.parametrize(
    ("extra", "other"),
    [
        ({"endpoints": "dlc=pai-dlc.cn-shanghai.aliyuncs.com"}, "cn-shanghai"),
        ({"endpoints": "eas=host\ndlc=https://pai-dlc.cn-shanghai.aliyuncs.com:443/"}, "cn-shanghai"),
        ({"endpoints": "dsw=pai-dsw-vpc.cn-beijing.aliyuncs.com"}, "cn-beijing"),
        ({"oss_endpoint": "oss-cn-shanghai-internal.aliyuncs.com"}, "cn-shanghai"),
        ({"oss_endpoint": "http://oss-cn-shanghai.aliyuncs.com"}, "cn-shanghai"),
        ({"oss_endpoint": "oss-cn-hangzhou.aliyuncs.com"}, None),
        ({"oss_endpoint": "oss-accelerate.aliyuncs.com"}, None),
        ({"oss_endpoint": "models.example.com", "endpoints": "cms=metrics.aliyuncs.com"}, None),
        ({"endpoints": "sts=sts.aliyuncs.com, ram=ram.aliyuncs.com"}, None),
    ],
)
def test_an_endpoint_of_another_region_is_refused_by_name(extra, other):
    """Jobs would run where neither their bucket nor their workspace is, and OSS signs with the region."""
    if other is None:
        assert read(extra)
        return
    (name,) = extra
    with pytest.raises(PaiConfigError, match=rf"^connection c, {name}.*: .* is cn-hangzhou: .* region to {other}$"):
        read(extra)
    assert read({**extra, "region": other}).region == other


@pytest.mark.parametrize("extra", [[1], 3, "x"])
def test_an_extra_that_is_no_object_is_refused_and_not_shown(extra):
    with pytest.raises(PaiConfigError, match=r"^connection c, extra: '\*\*\*' is not allowed; a JSON object$"):
        PaiConnection.read(Connection(conn_id="c", conn_type="pai"), extra)


def test_a_connection_that_airflow_does_not_have_is_named():
    with pytest.raises(PaiNotFoundError, match=r" pai_conn_id: 'pai_eu' is not there; .* or set AIRFLOW_CONN_PAI_EU$"):
        OssHook("pai_eu").connection  # noqa: B018 - read here


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


# What people paste around a value.
BLANKS = st.text(" \t\r\n\u00a0", max_size=3)
KEYS = st.text(string.ascii_letters + string.digits + "+/=._-", min_size=1)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.replace(".", "").isdigit())
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map("[{}]".format)
PORTS = st.just("") | st.integers(1, 65_535).map(":{}".format)


@given(BLANKS, BLANKS, KEYS, KEYS, KEYS)
def test_blanks_around_keys_and_names_are_left_out(before, after, key, secret, token):
    def pasted(text):
        return before + text + after

    extra = {name: pasted(value) for name, value in {"region": "cn-hangzhou", "auth": "sts", "role_arn": "r"}.items()}
    got = read({**extra, "security_token": pasted(token)}, login=pasted(key), password=pasted(secret))
    assert (got.access_key_id, got.access_key_secret, got.security_token) == (key, secret, token)
    assert (got.region, got.auth, got.role_arn) == ("cn-hangzhou", "sts", "r")


@given(st.sampled_from(["login", "password", "security_token"]), KEYS, st.text(min_size=1), KEYS)
@example("password", "geheim", "ä", "nis")
@example("login", "two", " ", "words")
def test_a_key_is_taken_as_it_is_or_refused_by_name_and_never_shown(name, before, middle, after):
    key = f"Q{before}{middle}{after}Q"
    given = {"extra": {"security_token": key}} if name == "security_token" else {name: key}
    if all("!" <= character <= "~" for character in middle):
        got = read(**given)
        assert key in (got.access_key_id, got.access_key_secret, got.security_token)
        return
    with pytest.raises(PaiConfigError, match=f"connection c, {name}") as caught:
        read(**given)
    assert key not in str(caught.value)
    assert key != caught.value.value


@given(BLANKS, st.sampled_from(["", "http://", "https://", "HTTPS://"]), HOSTS, PORTS, st.sampled_from(["", "/", "//"]))
def test_an_endpoint_may_bear_a_scheme_a_port_slashes_and_blanks(blanks, scheme, host, port, slashes):
    written = f"{blanks}{scheme}{host}{port}{slashes}{blanks}"
    assert read({"endpoints": f"dlc={written.strip()}{blanks}"}).endpoint("dlc") == f"{scheme.lower()}{host}{port}"
    assert read({"endpoint_url": written}).endpoint("eas") == f"{scheme.lower()}{host}{port}"


@pytest.mark.parametrize(
    "written",
    [
        *"ftp://host host/path https://host/v1/ host?a=b host#x http://http://host".split(),
        *"host:0 host:65536 host:port host: :80 https://".split(),
        *"a..b -a.b a-.b a.b. ho,st höst host\\x".split(),
        *"1.2.3 256.1.1.1 1.2.3.4.5 ::1 [::1 [1.2.3.4] [xyz]".split(),
        *("ho st", "a b:80", "host\nhost", f"{64 * 'a'}.b", f"{'a.' * 127}ab"),
        *(["host"], {"host": 1}, True),
    ],
)
def test_what_is_no_endpoint_is_named(written):
    with pytest.raises(PaiConfigError, match="connection c, oss_endpoint: ") as caught:
        read({"oss_endpoint": written})
    assert caught.value.value == written


@given(st.text() | st.from_regex(r"(https?://)?[a-z0-9.:\[\]/@_-]*", fullmatch=True))
def test_an_endpoint_that_is_read_is_read_again_as_itself(written):
    try:
        endpoint = read({"endpoint_url": written}).endpoint("dlc")
    except PaiConfigError:
        return
    assert read({"endpoints": f"dlc={endpoint}"}).endpoint("dlc") == endpoint


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"endpoints": "dcl=host"}, r"connection c, endpoints: 'dcl' is not allowed; service=address a line, of dlc"),
        ({"endpoints": "oss=host"}, r"connection c, endpoints: 'oss' .*; OSS has oss_endpoint"),
        ({"endpoints": "https://me:geheim@host"}, r"connection c, endpoints: '\*\*\*' "),
        ({"endpoints": "dlc=https://me:geheim@host"}, r"connection c, endpoints: '\*\*\*' .* no login in an address"),
        ({"endpoints": "dlc=https://me:geheim 1@host"}, r"connection c, endpoints: '\*\*\*' "),
        ({"endpoints": "eas=host, dlc=https://me:geheim,1@host"}, r"connection c, endpoints: '\*\*\*' "),
        ({"endpoints": "dlc"}, "connection c, endpoints: 'dlc' is not allowed; service=address a line"),
        ({"endpoints": {"dlc": "host"}}, "connection c, endpoints"),
        (
            {"dlc_endpoint": "host"},
            "connection c, extra: 'dlc_endpoint' .* no such field; did you mean ",
        ),
        ({"workspace": "1"}, r"connection c, extra: 'workspace' .* no such field; did you mean workspace_id\?"),
    ],
)
def test_what_is_no_list_of_endpoints_and_no_field_is_named(extra, message):
    with pytest.raises(PaiConfigError, match=message) as caught:
        read(extra)
    assert "geheim" not in str(caught.value)


def test_an_address_that_oss2_does_not_take_is_refused():
    with pytest.raises(PaiConfigError, match=r"connection c, oss_endpoint: 'http://\[::1\]:80' .*IPv6"):
        read({"oss_endpoint": "http://[::1]:80"})


def test_a_password_in_an_endpoint_is_not_shown():
    with pytest.raises(PaiConfigError, match=r"'\*\*\*@host'") as caught:
        read({"oss_endpoint": "https://user:geheim@host"})
    assert "geheim" not in str(caught.value)


def test_a_region_of_ones_own_cloud_has_the_form_of_one():
    own = {"endpoint_url": "http://host"}
    assert read({**own, "region": "cn-own-1\n"}).region == "cn-own-1"
    for region in ("cn own", "CN", "", "ü"):
        with pytest.raises(PaiConfigError, match="connection c, region"):
            read({**own, "region": region})


@pytest.mark.parametrize(
    ("extra", "host"),
    [
        ({}, "sts.cn-hangzhou.aliyuncs.com"),
        ({"network": "vpc"}, "sts-vpc.cn-hangzhou.aliyuncs.com"),
        ({"endpoints": "sts=https://own.host/"}, "own.host"),
    ],
)
def test_roles_are_assumed_at_the_regions_sts(extra, host):
    client = read({"auth": "ram_role_arn", "role_arn": "acs:ram::1:role/r", **extra}).credential_client()
    assert client.cloud_credential.provider._sts_endpoint == host
