from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.errors import kind_of
from airflow_provider_pai.hooks.oss import OssHook
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (None, None, PaiTransientError),
        (None, 502, PaiTransientError),
        ("InternalError", 500, PaiTransientError),
        ("Throttling.User", 400, PaiTransientError),
        ("Whatever", 429, PaiTransientError),
        ("InvalidAccessKeyId.NotFound", 404, PaiPermissionError),
        ("Forbidden.RAM", 403, PaiPermissionError),
        ("NotFound", 404, PaiNotFoundError),
        ("NoSuchKey", 404, PaiNotFoundError),
        ("FileAlreadyExists", 409, PaiConflictError),
        ("InvalidParameter", 400, PaiApiError),
        ("BadRequest", 400, PaiApiError),
    ],
)
def test_kind_of(code, status, kind):
    assert kind_of(code, status) is kind


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
    import json

    wrong = {**airflow_connection(pai), "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(wrong))
    for look in (lambda: next(DlcHook().list_jobs()), lambda: OssHook().bucket_names()):
        with pytest.raises(PaiPermissionError, match="SignatureDoesNotMatch"):
            look()


def test_nobody_there_is_transient(monkeypatch, pai):
    import json

    nowhere = airflow_connection(pai, endpoint_url="http://127.0.0.1:9", oss_endpoint="http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(nowhere))
    monkeypatch.setattr(DlcHook, "retry_seconds", 0)
    monkeypatch.setattr(OssHook, "retry_seconds", 0)
    for look in (lambda: next(DlcHook().list_jobs()), lambda: OssHook().bucket_names()):
        with pytest.raises(PaiTransientError):
            look()


def test_throttling_with_a_hint_says_how_long(pai):
    pai.account.faults.add(match="api CreateJob", status=429, code="Throttling.User", retry_after_ms=1500)
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
