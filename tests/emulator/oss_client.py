"""Clients and helpers that the tests of OSS share."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import oss2
import pytest
import requests

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.account import Credential

HELLO_CRC = 11177612005948864433
MIB = 1 << 20


def code_of(error: pytest.ExceptionInfo[oss2.exceptions.ServerError]) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return error.value.status, error.value.code


def folder_of(pai: Emulator, bucket: oss2.Bucket, prefix: str = "") -> Path:
    """Return the folder that a job would mount."""
    return pai.services.oss.folder(bucket.bucket_name, prefix)


def keys_of(bucket: oss2.Bucket, **options: object) -> list[str]:
    """Return the keys of a bucket, page by page."""
    return [each.key for each in oss2.ObjectIteratorV2(bucket, **options)]


class Site:
    """A web site whose visitors post into a bucket by forms that it signs."""

    def __init__(self, pai: Emulator, bucket: oss2.Bucket, credential: Credential | None = None) -> None:
        ends = pai.endpoints
        self.key, self.bucket, self.region = credential or ends, bucket.bucket_name, ends.region
        self.url = f"{ends.oss_endpoint}/{self.bucket}"

    def form(self, version: str, *conditions: Any, minutes: float = 5, **fields: str) -> dict[str, str]:
        """Return the fields of a form that is signed: `key`, what is given, a policy of its own."""
        now = datetime.now(UTC)
        fields = {"key": "上传/${filename}", **{name.replace("_", "-"): value for name, value in fields.items()}}
        if token := getattr(self.key, "security_token", None):
            fields["x-oss-security-token"] = token
        day, date = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{day}/{self.region}/oss/aliyun_v4_request"
        if version == "v4":
            fields["x-oss-signature-version"] = "OSS4-HMAC-SHA256"
            fields["x-oss-credential"] = f"{self.key.access_key_id}/{scope}"
            fields["x-oss-date"] = date
        signed = [{name: value} for name, value in fields.items() if name.startswith("x-oss-")]
        expiration = (now + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        policy = {"expiration": expiration, "conditions": [{"bucket": self.bucket}, *signed, *conditions]}
        return fields | self.signed(version, encoded(policy), scope)

    def signed(self, version: str, policy: str, scope: str) -> dict[str, str]:
        secret = self.key.access_key_secret.encode()
        if version == "v1":
            signature = base64.b64encode(hmac.digest(secret, policy.encode(), "sha1")).decode()
            return {"OSSAccessKeyId": self.key.access_key_id, "policy": policy, "Signature": signature}
        signing = b"aliyun_v4" + secret
        for part in scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        return {"policy": policy, "x-oss-signature": hmac.digest(signing, policy.encode(), "sha256").hex()}

    def post(self, fields: dict[str, str], body: Any = b"bytes", name: str = "a.txt", kind: str = "text/plain") -> Any:
        """Post a form as a browser does: the file last, no redirection followed."""
        parts = [(name, (None, value)) for name, value in fields.items()]
        return requests.post(self.url, files=[*parts, ("file", (name, body, kind))], allow_redirects=False)


def encoded(policy: Any) -> str:
    return base64.b64encode(json.dumps(policy).encode()).decode()
