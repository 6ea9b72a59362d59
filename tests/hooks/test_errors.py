from __future__ import annotations

import json
import uuid

import pytest
from alibabacloud_credentials.exceptions import CredentialException
from hypothesis import given
from hypothesis import strategies as st
from oss2.exceptions import ServerError

from airflow_provider_pai.emulator.world import World
from airflow_provider_pai.exceptions import (
    PaiAnswerError,
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dlc import DlcHook, TensorBoardHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.errors import kind_of, translated
from airflow_provider_pai.hooks.oss import OssHook
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


STATUSES = (None, 0, 200, 304, 400, 401, 403, 404, 405, 409, 412, 429, 500, 502, 503)
REFUSED = [status or 0 for status in STATUSES if (status or 0) < 500 and status != 429]
CODES = {
    # DSW's one code for all but validation; EAS, DLC, AIWorkspace and OSS have it with 500 alone
    "InternalError": {0: PaiTransientError},
    "InternalError.System": {0: PaiTransientError},
    "": {0: PaiTransientError},
    "ValidationError": {},
    "InvalidParameter": {},
    "BadRequest": {},
    "Throttling.User": dict.fromkeys((0, *STATUSES), PaiTransientError),
    "SignatureNonceUsed": dict.fromkeys((0, *STATUSES), PaiTransientError),
    "InvalidService.NotFound": dict.fromkeys((0, 200, 304, 400, 405, 412), PaiNotFoundError),
    "NoSuchKey": dict.fromkeys((0, 200, 304, 400, 405, 412), PaiNotFoundError),
    "FileAlreadyExists": dict.fromkeys((0, 200, 304, 400, 405, 412), PaiConflictError),
    "Forbidden.RAM": dict.fromkeys(REFUSED, PaiPermissionError),
    "InvalidAccessKeyId.NotFound": dict.fromkeys(REFUSED, PaiPermissionError),
    "SignatureDoesNotMatch": dict.fromkeys(REFUSED, PaiPermissionError),
}
BY_STATUS = {
    401: PaiPermissionError,
    403: PaiPermissionError,
    404: PaiNotFoundError,
    409: PaiConflictError,
    429: PaiTransientError,
    500: PaiTransientError,
    502: PaiTransientError,
    503: PaiTransientError,
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("code", CODES)
def test_the_status_decides_what_an_error_is_and_the_code_refines_it(code, status):
    special = CODES[code].get(status or 0)
    assert kind_of(code or None, status) is (special or BY_STATUS.get(status, PaiApiError))


@given(code=st.text(max_size=40), status=st.integers(400, 599))
def test_no_code_that_nobody_knows_overrules_the_status(code, status):
    found = kind_of(f"X{code}", status)
    if status in BY_STATUS or status >= 500:
        assert found is BY_STATUS.get(status, PaiTransientError)
    else:
        assert not issubclass(found, PaiTransientError | PaiPermissionError)


def test_an_error_keeps_code_status_and_request_id():
    with pytest.raises(PaiNotFoundError) as caught:
        DlcHook().get("dlc-none")
    assert (caught.value.service, caught.value.action, caught.value.status) == ("dlc", "GetJob", 404)
    assert caught.value.code
    assert caught.value.request_id


def test_oss_errors_too(bucket):
    with pytest.raises(PaiNotFoundError) as caught:
        OssHook().get(f"oss://{bucket.bucket_name}/none")
    assert (caught.value.service, caught.value.code, caught.value.status) == ("oss", "NoSuchKey", 404)
    assert caught.value.request_id


def test_a_wrong_secret_is_a_missing_permission(pai, monkeypatch):
    wrong = {**airflow_connection(pai), "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(wrong))
    for look in (lambda: next(DlcHook().list_jobs()), lambda: OssHook().bucket_names()):
        with pytest.raises(PaiPermissionError, match="SignatureDoesNotMatch"):
            look()


def test_what_oss2_itself_refuses_is_not_transient():
    from oss2.exceptions import ClientError

    def refuse():
        raise ClientError("The endpoint you has specified is not valid")

    with pytest.raises(PaiApiError, match="not valid") as caught:
        OssHook().call("PutObject", refuse)
    assert not isinstance(caught.value, PaiTransientError)


def test_nobody_there_is_transient(monkeypatch, pai):
    nowhere = airflow_connection(pai, endpoint_url="http://127.0.0.1:9", oss_endpoint="http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(nowhere))
    monkeypatch.setattr(DlcHook, "retry_seconds", 0)
    monkeypatch.setattr(OssHook, "retry_seconds", 0)
    for look in (lambda: next(DlcHook().list_jobs()), lambda: OssHook().bucket_names()):
        with pytest.raises(PaiTransientError):
            look()


def test_throttling_with_a_hint_says_how_long(pai):
    hint = {"x-acs-retry-after": "1500"}
    pai.account.faults.add(match="api CreateJob", status=429, code="Throttling.User", headers=hint)
    with pytest.raises(PaiTransientError) as caught:
        DlcHook().submit({"DisplayName": "x"})
    assert caught.value.retry_after == 1.5


def test_reads_are_repeated_and_creations_are_not(pai):
    fault = pai.account.faults.add(match="api (CreateJob|ListJobs)", status=503, times=2)
    assert list(DlcHook().list_jobs()) is not None
    assert fault.times == 0
    fault = pai.account.faults.add(match="api CreateJob", status=503, times=2)
    with pytest.raises(PaiTransientError):
        DlcHook().submit({"DisplayName": "x"})
    assert fault.times == 1


@pytest.fixture
def user(pai, monkeypatch):
    """Ask with an access key that has a policy."""

    def ask_as(*statements):
        key = pai.account.add_user({"Version": "1", "Statement": [*statements]})
        asking = {**airflow_connection(pai), "login": key.access_key_id, "password": key.access_key_secret}
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(asking))

    yield ask_as
    pai.account.world = World()


CALLS = {
    "paidlc:ListJobs": lambda: next(DlcHook().list_jobs()),
    "paidsw:StopInstance": lambda: DswHook().stop("dsw-none"),
    "eas:DescribeService": lambda: EasHook().describe("none"),
    "paicodesource:ListCodeSources": lambda: AIWorkspaceHook().ping(),
    "oss:ListBuckets": lambda: OssHook().bucket_names(),
}


@pytest.mark.parametrize("action", CALLS)
def test_a_refusal_names_the_action_first_and_what_to_do(user, action):
    user({"Effect": "Allow", "Action": "other:*", "Resource": "*"})
    text = f": no RAM policy allows {action} to this access key, see .* → allow {action} "
    with pytest.raises(PaiPermissionError, match=text):
        CALLS[action]()


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ("SignatureDoesNotMatch IncompleteSignature", "the AccessKey Secret is wrong"),
        (
            "InvalidAccessKeyId InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive",
            "the AccessKey ID does not exist",
        ),
        ("InvalidSecurityToken.Expired SecurityTokenExpired", "the STS token has expired"),
        ("InvalidSecurityToken.Malformed MissingSecurityToken", "the STS token does not belong to the AccessKey ID"),
        ("InvalidTimeStamp.Expired RequestTimeTooSkewed", "this machine's clock is more than 15 minutes wrong"),
    ],
)
def test_what_a_code_says_of_a_key_wins_over_the_services_own_words(codes, says):
    for code in codes.split():
        with pytest.raises(PaiPermissionError, match=f"^oss Get: {says}.* → "), translated("oss", "Get"):
            raise ServerError(400, {}, f"<Error><Code>{code}</Code></Error>", {"Code": code, "Message": "its words"})


def test_a_deny_statement_is_named_as_what_it_is(user):
    user(
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "paidlc:List*", "Resource": "*"},
    )
    with pytest.raises(PaiPermissionError, match=r"a Deny statement of RAM forbids paidlc:ListJobs to this access key"):
        CALLS["paidlc:ListJobs"]()


@pytest.mark.parametrize("action", sorted(CALLS.keys() - {"oss:ListBuckets"}))
def test_where_the_service_does_not_name_the_action_our_own_table_does(pai, user, action):
    pai.account.change_world({"ram_refusal": "bare"})
    user({"Effect": "Allow", "Action": "other:*", "Resource": "*"})
    with pytest.raises(PaiPermissionError, match=f"this access key may lack RAM action {action}, see docs/permi"):
        CALLS[action]()


def test_a_head_names_its_action_too(user, bucket):
    uri = f"oss://{bucket.bucket_name}/k"
    OssHook().put(uri, "x")
    user({"Effect": "Allow", "Action": "oss:PutObject", "Resource": "*"})
    with pytest.raises(PaiPermissionError, match="no RAM policy allows oss:GetObject to this access key"):
        OssHook().head(uri)


@pytest.mark.parametrize(
    ("code", "todo"),
    [
        ("InvalidTimeStamp.Expired", "this machine's clock is more than 15 minutes wrong → synchronize it"),
        ("InvalidSecurityToken.Expired", "the STS token has expired → set login, password and security_token anew"),
        ("InvalidAccessKeyId.NotFound", "the AccessKey ID does not exist, or is disabled → set the connection's login"),
    ],
)
def test_a_refused_key_or_clock_says_first_what_to_do(pai, code, todo):
    pai.account.faults.add(match="api ListJobs", status=400, code=code)
    with pytest.raises(
        PaiPermissionError, match=rf"^dlc ListJobs: {todo}.* \(connection pai_default, code {code}, status 400, request"
    ) as caught:
        next(DlcHook().list_jobs())
    assert str(caught.value).count(caught.value.request_id) == 1
    assert caught.value.__cause__ is None


ASSUMED = "error refreshing credentials from ram_role_arn, http_code: {}, result: {}"
ANSWER = {"RequestId": "R-1", "HostId": "sts", "Code": "EntityNotExist.Role", "Message": "The role not exists."}


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        (ASSUMED.format(404, json.dumps(ANSWER)), "error refreshing credentials from ram_role_arn: The role", ...),
        (
            ASSUMED.format(400, json.dumps({**ANSWER, "Code": "SignatureDoesNotMatch"})),
            "the AccessKey Secret is wrong → set the connection's password",
            "SignatureDoesNotMatch",
        ),
        (ASSUMED.format(404, "<html>"), "error refreshing credentials from ram_role_arn, http_code: 404", None),
        (ASSUMED.format(404, "[1]"), "error refreshing credentials from ram_role_arn, http_code: 404", None),
        ("unable to load credentials from any of the providers in the chain: []", "unable to load credentials", None),
    ],
)
def test_whoever_hands_out_no_credentials_says_why_in_one_line(text, said, code):
    """alibabacloud-credentials puts the whole answer of STS into its text."""
    with pytest.raises(PaiPermissionError, match=f"^dlc ListJobs: {said}.* ") as caught, translated("dlc", "ListJobs"):
        raise CredentialException(text)
    assert caught.value.code == (ANSWER["Code"] if code is ... else code)
    assert (caught.value.request_id, '{"' in str(caught.value)) == ("R-1" if code else None, False)


def test_a_page_of_something_on_the_way_says_nothing_of_the_service(pai, bucket):
    """Neither that an object is not there, nor that it was written, nor what is in it, whatever its status."""
    hook, uri = OssHook(), f"oss://{bucket.bucket_name}/a"
    hook.put(uri, "a")
    hook.retry_seconds = 0
    for status in (None, 200, 403, 404):
        for ask in (
            lambda: hook.head(uri),
            lambda: hook.get(uri),
            lambda: hook.put(uri, "b"),
            lambda: hook.delete(uri),
        ):
            pai.account.faults.add(match="^oss", times=1, spoil="html", **({"status": status} if status else {}))
            with pytest.raises(PaiAnswerError, match=r"without a request id.*not the service's own answer"):
                ask()


def test_a_download_is_no_file_where_another_page_came(pai, bucket, tmp_path):
    hook, uri = OssHook(), f"oss://{bucket.bucket_name}/a"
    hook.put(uri, "a")
    pai.account.faults.add(match="oss GET", times=1, spoil="html")
    assert hook.download(uri, tmp_path / "a") == 1
    assert (tmp_path / "a").read_text() == "a"
    hook.retry_seconds = 0
    pai.account.faults.add(match="oss GET", status=200, spoil="html")
    with pytest.raises(PaiAnswerError):
        hook.download(uri, tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("header", ["x-oss-hash-crc64ecma", "etag"])
def test_a_write_without_its_crc_or_etag_is_not_done(pai, bucket, header):
    hook = OssHook()
    hook.retry_seconds = 0
    pai.account.faults.add(match="oss PUT", spoil="missing", fields=f"(?i){header}")
    with pytest.raises(PaiAnswerError, match=f"(?i){header} is missing.*request id [0-9A-Z]") as caught:
        hook.put(f"oss://{bucket.bucket_name}/a", "a")
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("action", "fields", "ask"),
    [
        ("ListJobs", "Jobs", lambda: DlcHook().tagged({"a": "b"})),
        ("ListInstances", "Instances", lambda: DswHook().tagged({"a": "b"})),
        ("ListServices", "Services", lambda: list(EasHook().list_services())),
    ],
)
def test_a_list_that_is_left_out_does_not_mean_that_there_is_nothing(pai, monkeypatch, action, fields, ask):
    for hook in (DlcHook, DswHook, EasHook):
        monkeypatch.setattr(hook, "retry_seconds", 0)
    pai.account.faults.add(match=f"api {action}", spoil="missing", fields=f"{fields}|TotalCount")
    with pytest.raises(PaiAnswerError, match=f"{action}: the answer can't be read: {fields} is missing"):
        ask()


def test_what_comes_half_is_asked_again_and_told_if_it_stays(pai, monkeypatch):
    fault = pai.account.faults.add(match="api ListJobs", spoil="half", times=1)
    assert list(DlcHook().list_jobs()) is not None
    assert fault.times == 0
    monkeypatch.setattr(DlcHook, "retry_seconds", 0)
    pai.account.faults.add(match="api ListJobs", spoil="half")
    with pytest.raises(PaiAnswerError, match=r"dlc ListJobs: the answer can't be read: .*status 200"):
        list(DlcHook().list_jobs())


@pytest.mark.parametrize("lost", [{"drop": "answer"}, {"spoil": "html"}, {"spoil": "missing"}])
def test_what_a_lost_answer_has_made_is_found_by_its_name(pai, bucket, lost):
    name = f"lost-{uuid.uuid4().hex}"
    pai.account.faults.add(match="api Create(CodeSource|Tensorboard)", times=2, **lost)
    source = AIWorkspaceHook().code_source(f"https://x/{name}", "main", "/m")
    assert source == AIWorkspaceHook().code_source(f"https://x/{name}", "main", "/m")
    board = TensorBoardHook().create({"DisplayName": name, "Uri": f"oss://{bucket.bucket_name}/c/"})
    assert board == TensorBoardHook().named(name)
