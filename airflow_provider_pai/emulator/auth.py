"""Signatures of the PAI APIs, V3 (ACS3-HMAC-SHA256) and V2 of ROA (HMAC-SHA1), compared as the cloud does.

Rules followed: "Request syntax and signature method V3" and "Request syntax and signature method V2 for ROA-style
APIs", which SDKs of before 2024 sign by. OSS has signatures of its own: `oss/auth.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote_plus

from airflow_provider_pai.emulator.account import Account, Credential
from airflow_provider_pai.emulator.errors import ApiError

_ACS3 = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]+)")
_ROA = re.compile(r"acs ([^:]+):([0-9A-Za-z+/=]+)")
_NONCE = "x-acs-signature-nonce"
_COMPACT_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")

# Public request headers that have to be signed wherever they are sent.
_MUST_BE_SIGNED = frozenset({"host", "content-type"})


@dataclass(frozen=True)
class SignedRequest:
    """The parts that a signature covers: method, path as sent, raw query, lower-case headers.

    V3 covers the body, too, V2 may, by its digest in a header: who signed is known before a byte of the body is.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]

    @classmethod
    def from_scope(cls, scope: MutableMapping[str, Any]) -> SignedRequest:
        """Read an ASGI scope; bytes that are not UTF-8 survive as surrogates."""
        headers = {name.decode("latin-1"): text(value) for name, value in scope["headers"]}
        raw_path = text(scope["raw_path"]).partition("?")[0]
        return cls(scope["method"], raw_path, text(scope["query_string"]), headers)

    @property
    def query(self) -> list[tuple[str, str]]:
        """Return the decoded query, a name without `=` as an empty value."""
        pairs = (part.partition("=") for part in self.raw_query.split("&") if part)
        return [(_decode(name), _decode(value)) for name, _, value in pairs]


def verify_signature(account: Account, request: SignedRequest) -> Credential:
    """Check who signed a request; `verify_body` is to follow.

    :raises ApiError: with the cloud's codes (MissingAuthorization, InvalidAccessKeyId.NotFound,
        MissingSecurityToken, InvalidSecurityToken.*, InvalidTimeStamp.*, SignatureDoesNotMatch,
        MissingSignatureNonce).
    """
    authorization, token = (request.headers.get(name, "") for name in ("authorization", "x-acs-security-token"))
    if match := _ACS3.fullmatch(authorization):
        key_id, signed, signature = match.groups()
        credential = _credential(account, key_id, token)
        _check_date(account, compact_iso_time(request.headers.get("x-acs-date", "")))
        _check_signed_headers(request, signed.split(";"))
        expected = acs3_signature(request, signed.split(";"), credential.access_key_secret)
    elif match := _ROA.fullmatch(authorization):
        key_id, signature = match.groups()
        credential = _credential(account, key_id, token)
        _check_date(account, http_time(request.headers.get("date", "")))
        expected = roa_signature(request, credential.access_key_secret)
    else:
        text = "The Authorization header is missing, or neither ACS3-HMAC-SHA256 nor acs."
        raise ApiError(400, "MissingAuthorization", text)
    if not hmac.compare_digest(expected, signature):
        raise ApiError(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
    if not request.headers.get(_NONCE):
        raise ApiError(400, "MissingSignatureNonce", "The header x-acs-signature-nonce is mandatory.")
    return credential


def verify_body(account: Account, request: SignedRequest, signer: Credential, body: bytes) -> None:
    """Compare a body with what was signed, and use up the request's nonce.

    :raises ApiError: SignatureDoesNotMatch, SignatureNonceUsed.
    """
    digest, md5 = request.headers.get("x-acs-content-sha256"), request.headers.get("content-md5")
    if _ACS3.fullmatch(request.headers["authorization"]) and hashlib.sha256(body).hexdigest() != digest:
        raise ApiError(400, "SignatureDoesNotMatch", "x-acs-content-sha256 is not the digest of the body.")
    if md5 and base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != md5:
        raise ApiError(400, "ContentMD5NotMatched", "Content-MD5 is not the digest of the body.")
    if not account.nonces.use(f"{signer.access_key_id} {request.headers[_NONCE]}"):
        raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def acs3_signature(request: SignedRequest, signed_headers: list[str], secret: str) -> str:
    """Return the hex signature of a request."""
    query = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(request.query))
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed_headers)
    digest = request.headers.get("x-acs-content-sha256", "")
    canonical = "\n".join([request.method, request.raw_path, query, headers, ";".join(signed_headers), digest])
    string_to_sign = f"ACS3-HMAC-SHA256\n{sha256(canonical)}"
    return hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


def roa_signature(request: SignedRequest, secret: str) -> str:
    """Return the base64 signature V2 of a request to a ROA-style API."""
    headers = request.headers
    lines = [request.method, *(headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date"))]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-acs-")]
    query = "&".join(f"{name}={value}" if value else name for name, value in sorted(request.query))
    resource = f"{request.raw_path}?{query}" if query else request.raw_path
    return base64.b64encode(hmac.digest(secret.encode(), raw("\n".join([*lines, resource])), "sha1")).decode()


def http_time(value: str) -> datetime | None:
    """Read an RFC 1123 date; None if it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def compact_iso_time(value: str) -> datetime | None:
    """Read `2026-11-22T06:51:18Z` or `20261122T065118Z`; None if it is neither."""
    compact = re.sub(r"[-:]", "", value)
    try:
        return datetime.fromisoformat(compact) if _COMPACT_TIME.fullmatch(compact) else None
    except ValueError:
        return None


def encode(value: str, safe: str = "") -> str:
    """Percent-encode as every Alibaba Cloud signature does."""
    return quote(value, safe=f"-_.~{safe}", errors="surrogateescape")


def text(value: bytes) -> str:
    """Decode UTF-8; other bytes survive as surrogates and never match a real name."""
    return value.decode("utf-8", "surrogateescape")


def raw(value: str) -> bytes:
    """Undo `text`."""
    return value.encode("utf-8", "surrogateescape")


def sha256(value: str) -> str:
    """Return the hex SHA-256 of a canonical request."""
    return hashlib.sha256(raw(value)).hexdigest()


def _credential(account: Account, key_id: str, token: str) -> Credential:
    if account.is_expired(key_id):
        raise ApiError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    credential = account.credential_of(key_id)
    if credential is None:
        raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if credential.security_token and not token:
        raise ApiError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
    if (credential.security_token or "") != token:
        raise ApiError(
            400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey."
        )
    return credential


def _check_date(account: Account, moment: datetime | None) -> None:
    if moment is None:
        raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if account.is_skewed(moment):
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _check_signed_headers(request: SignedRequest, signed: list[str]) -> None:
    if unsigned := sorted(_must_be_signed(request.headers) - set(signed)):
        raise ApiError(400, "SignatureDoesNotMatch", f"Headers that must be signed are not: {', '.join(unsigned)}.")


def _must_be_signed(headers: Mapping[str, str]) -> set[str]:
    names = {name for name in headers if name in _MUST_BE_SIGNED or name.startswith("x-acs-")}
    if headers.get("content-length") == "0":
        names.discard("content-type")  # the SDK's asynchronous calls put one on an empty body after they signed
    return names


def _decode(value: str) -> str:
    return unquote_plus(value, errors="surrogateescape")
