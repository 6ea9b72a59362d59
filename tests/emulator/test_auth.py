"""Signatures of both kinds, right ones and wrong ones, as the real SDKs make them."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any, ClassVar
from unittest import mock

import oss2
import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_pai_dlc20201203.client import Client as DlcClient
from alibabacloud_tea_openapi.exceptions import ClientException
from oss2.credentials import StaticCredentialsProvider

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.account import Credential
from airflow_provider_pai.emulator.auth import SignedRequest, roa_signature
from airflow_provider_pai.emulator.nonces import Nonces
from tests.conftest import oss_auth, oss_bucket, sdk_config
from tests.emulator.pai_sdk import job_request

VERSIONS = ("v1", "v2", "v4")


@pytest.fixture
def sts(pai: Emulator) -> Iterator[Credential]:
    """A temporary credential of the account."""
    credential = Credential(f"STS.{uuid.uuid4().hex}", "secret", "token+/=")
    pai.account.add_credential(credential)
    yield credential
    pai.account.remove_credential(credential.access_key_id)


def refused(call: Any) -> tuple[int, str]:
    with pytest.raises((ClientException, oss2.exceptions.ServerError)) as error:
        call()
    return getattr(error.value, "status", None) or error.value.status_code, error.value.code


def list_jobs(pai: Emulator, **config: Any) -> Any:
    request = dlc.ListJobsRequest(workspace_id="1", tags={"k 1": "v/2", "é": "~"}, display_name="a+b *")
    return DlcClient(sdk_config(pai, **config)).list_jobs(request)


class TestRoa:
    """What DLC's SDK up to 1.4.10 and pai-python-sdk sign by; today's SDKs still can."""

    OLD: ClassVar = {"signature_algorithm": "v2"}

    def test_accepted(self, pai: Emulator, sts: Credential) -> None:
        temporary = {"access_key_id": sts.access_key_id, "access_key_secret": sts.access_key_secret}
        for config in ({}, {**temporary, "security_token": sts.security_token}):
            assert list_jobs(pai, **self.OLD, **config).status_code == 200
        jobs = DlcClient(sdk_config(pai, **self.OLD))
        job_id = jobs.create_job(job_request("true")).body.job_id
        assert jobs.update_job(job_id, dlc.UpdateJobRequest(description="é")).body.job_id == job_id
        assert jobs.get_job(job_id, dlc.GetJobRequest()).body.description == "é"

    def test_refused(self, pai: Emulator, sts: Credential) -> None:
        wrong = (
            ({"access_key_secret": "wrong"}, (400, "SignatureDoesNotMatch")),
            ({"access_key_id": "LTAI-nobody"}, (404, "InvalidAccessKeyId.NotFound")),
            ({"access_key_id": sts.access_key_id}, (400, "MissingSecurityToken")),
        )
        for config, expected in wrong:
            assert refused(lambda config=config: list_jobs(pai, **self.OLD, **config)) == expected

    def test_skewed_clock_and_changed_body(self, pai: Emulator) -> None:
        sent = requests.Request("GET", f"{pai.endpoints.endpoint_url}/api/v1/jobs").prepare()
        sent.headers.update({"x-acs-version": "2020-12-03", "x-acs-action": "ListJobs", "x-acs-signature-nonce": "n"})
        for date, md5, code in (
            ("Fri, 01 Jan 2021 00:00:00 GMT", "", "InvalidTimeStamp.Expired"),
            ("yesterday", "", "InvalidTimeStamp.Format"),
            (formatdate(usegmt=True), "bm8=", "ContentMD5NotMatched"),
        ):
            sent.headers.update({"date": date, "content-md5": md5})
            signed = SignedRequest(
                "GET", "/api/v1/jobs", "", {name.lower(): each for name, each in sent.headers.items()}
            )
            key = pai.endpoints
            sent.headers["authorization"] = f"acs {key.access_key_id}:{roa_signature(signed, key.access_key_secret)}"
            assert requests.Session().send(sent).json()["Code"] == code


class TestAcs3:
    def test_accepted(self, pai: Emulator, sts: Credential) -> None:
        assert list_jobs(pai).status_code == 200
        assert sts.security_token
        temporary = {
            "access_key_id": sts.access_key_id,
            "access_key_secret": sts.access_key_secret,
            "security_token": sts.security_token,
        }
        assert list_jobs(pai, **temporary).status_code == 200

    def test_wrong_keys(self, pai: Emulator) -> None:
        assert refused(lambda: list_jobs(pai, access_key_id="LTAI0")) == (404, "InvalidAccessKeyId.NotFound")
        assert refused(lambda: list_jobs(pai, access_key_secret="x")) == (400, "SignatureDoesNotMatch")

    def test_wrong_tokens(self, pai: Emulator, sts: Credential) -> None:
        config = {"access_key_id": sts.access_key_id, "access_key_secret": sts.access_key_secret}
        assert refused(lambda: list_jobs(pai, **config)) == (400, "MissingSecurityToken")
        wrong = {**config, "security_token": "x"}
        assert refused(lambda: list_jobs(pai, **wrong)) == (400, "InvalidSecurityToken.MismatchWithAccessKey")
        pai.account.remove_credential(sts.access_key_id)
        expired = {**config, "security_token": sts.security_token}
        assert refused(lambda: list_jobs(pai, **expired)) == (400, "InvalidSecurityToken.Expired")

    @pytest.mark.parametrize("minutes", [-20, 20])
    def test_skewed_clock(self, pai: Emulator, minutes: int) -> None:
        skewed = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        with mock.patch("alibabacloud_tea_openapi.utils.Utils.get_timestamp", return_value=skewed):
            assert refused(lambda: list_jobs(pai)) == (400, "InvalidTimeStamp.Expired")

    def test_replay_and_tampering(self, pai: Emulator) -> None:
        sent = captured_create_job(pai)
        url = f"{pai.endpoints.endpoint_url}/api/v1/jobs"
        replayed = requests.post(url, data=sent["data"], headers=sent["headers"], timeout=10)
        assert (replayed.status_code, replayed.json()["Code"]) == (400, "SignatureNonceUsed")
        assert replayed.json()["RequestId"] == replayed.headers["x-acs-request-id"]
        body = sent["data"].replace(b"first", b"other")
        tampered = requests.post(url, data=body, headers=sent["headers"], timeout=10)
        assert tampered.json()["Code"] == "SignatureDoesNotMatch"
        headers = {**sent["headers"], "x-acs-content-sha256": hashlib.sha256(body).hexdigest()}
        assert requests.post(url, data=body, headers=headers, timeout=10).json()["Code"] == "SignatureDoesNotMatch"
        headers = {**sent["headers"], "x-acs-extra": "1"}
        assert requests.post(url, data=sent["data"], headers=headers, timeout=10).json()["Code"] == (
            "SignatureDoesNotMatch"
        )
        assert requests.post(url, json={}, timeout=10).json()["Code"] == "MissingAuthorization"

    def test_nonces_are_forgotten(self) -> None:
        nonces = Nonces(lifetime=0.05)
        assert nonces.use("a")
        assert not nonces.use("a")
        time.sleep(0.06)
        assert nonces.use("b")
        assert len(nonces) == 1


class TestOss:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_accepted(self, pai: Emulator, bucket: oss2.Bucket, version: str) -> None:
        signed = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, version))
        for key in ("plain", "dir/a b+é&=%2F.txt", "~-_.!*'()"):
            signed.put_object(key, b"1", headers={"x-oss-meta-a": " 1 ".strip(), "Content-Type": "text/plain"})
            assert signed.get_object(key, params={"response-content-type": "a/b c+"}).read() == b"1"
        signed.append_object("log", 0, b"1")
        assert len(signed.list_objects_v2(prefix="", delimiter="/").object_list) == 3
        service = oss2.Service(oss_auth(pai, version), pai.endpoints.oss_endpoint, region="cn-hangzhou")
        assert service.list_buckets(prefix=bucket.bucket_name).buckets

    @pytest.mark.parametrize("version", VERSIONS)
    def test_presigned(self, pai: Emulator, bucket: oss2.Bucket, version: str) -> None:
        signed = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, version))
        for slash_safe in (True, False):
            key, headers = "dir/a b+é.txt", {"x-oss-meta-a": "1", "Content-Type": "text/plain"}
            put = signed.sign_url("PUT", key, 60, headers=headers, slash_safe=slash_safe)
            assert requests.put(put, data=b"hello", headers=headers, timeout=10).status_code == 200
            params = {"response-content-type": "image/jpeg"}
            got = requests.get(signed.sign_url("GET", key, 60, params=params), timeout=10)
            assert (got.content, got.headers["Content-Type"]) == (b"hello", "image/jpeg")
            other = requests.get(signed.sign_url("GET", key, 60).replace("a%20b", "ab"), timeout=10)
            assert (other.status_code, b"SignatureDoesNotMatch" in other.content) == (403, True)
        late = requests.get(signed.sign_url("GET", key, -1), timeout=10)
        assert (late.status_code, b"AccessDenied" in late.content) == (403, True)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_wrong_keys(self, pai: Emulator, bucket: oss2.Bucket, version: str) -> None:
        wrong = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, version, secret="x"))
        assert refused(lambda: wrong.put_object("k", b"1")) == (403, "SignatureDoesNotMatch")
        unknown = oss_bucket(pai, bucket.bucket_name, oss2.make_auth("LTAI0", "x", version))
        assert refused(lambda: unknown.put_object("k", b"1")) == (403, "InvalidAccessKeyId")
        anonymous = oss_bucket(pai, bucket.bucket_name, oss2.AnonymousAuth())
        assert refused(lambda: anonymous.get_object("k")) == (403, "AccessDenied")
        assert not bucket.object_exists("k")

    def test_wrong_region(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        abroad = oss_bucket(pai, bucket.bucket_name, region="cn-beijing")
        assert refused(lambda: abroad.head_object("k")) == (400, "InvalidArgument")
        with pytest.raises(oss2.exceptions.InvalidArgument, match="Invalid signing region") as error:
            abroad.get_object("k")
        assert error.value.ec == "0002-00000226"

    @pytest.mark.parametrize("version", ["v1", "v4"])
    def test_temporary(self, pai: Emulator, bucket: oss2.Bucket, sts: Credential, version: str) -> None:
        def client(token: str | None) -> oss2.Bucket:
            auth = oss2.StsAuth(sts.access_key_id, sts.access_key_secret, token, auth_version=version)
            return oss_bucket(pai, bucket.bucket_name, auth)

        client(sts.security_token).put_object("k", b"1")
        url = client(sts.security_token).sign_url("GET", "k", 60)
        assert requests.get(url, timeout=10).content == b"1"
        assert refused(lambda: client("x").get_object("k")) == (403, "InvalidSecurityToken")
        assert refused(lambda: client(None).get_object("k")) == (403, "InvalidAccessKeyId")
        pai.account.remove_credential(sts.access_key_id)
        assert refused(lambda: client(sts.security_token).get_object("k")) == (403, "SecurityTokenExpired")

    def test_provider(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        provider = StaticCredentialsProvider(pai.endpoints.access_key_id, pai.endpoints.access_key_secret)
        for auth in (oss2.ProviderAuth(provider), oss2.ProviderAuthV4(provider)):
            oss_bucket(pai, bucket.bucket_name, auth).put_object("k", b"1")

    @pytest.mark.parametrize("seconds", [-1200, 1200])
    def test_skewed_clock(self, pai: Emulator, bucket: oss2.Bucket, seconds: int) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        with mock.patch("oss2.utils.http_date", return_value=oss2.utils.http_date(moment.timestamp())):
            v1 = oss_bucket(pai, bucket.bucket_name, oss_auth(pai, "v1"))
            assert refused(lambda: v1.get_object("k")) == (403, "RequestTimeTooSkewed")
        with mock.patch("oss2.auth.datetime") as clock:
            clock.utcnow.return_value = moment
            assert refused(lambda: bucket.get_object("k")) == (403, "RequestTimeTooSkewed")


def captured_create_job(pai: Emulator) -> dict[str, Any]:
    """Return headers and body of a signed request that has been refused for what it says."""
    sent: dict[str, Any] = {}
    send = requests.Session.send

    def spy(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        sent.update(headers=dict(request.headers), data=request.body)
        return send(session, request, **options)

    with mock.patch("requests.Session.send", spy), pytest.raises(ClientException):
        DlcClient(sdk_config(pai)).create_job(dlc.CreateJobRequest(display_name="first"))
    if isinstance(sent["data"], str):
        sent["data"] = sent["data"].encode()
    return sent
