"""Signatures of the PAI APIs, ACS3-HMAC-SHA256, recomputed and compared as the cloud does.

Rules followed: "Request syntax and signature method V3". OSS has signatures of its own: `oss/auth.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_plus

from airflow_provider_pai.emulator.account import Account, Credential
from airflow_provider_pai.emulator.errors import ApiError

_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]+)")
_NONCE = "x-acs-signature-nonce"
_COMPACT_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")

# Public request headers that have to be signed wherever they are sent.
_MUST_BE_SIGNED = frozenset({"host", "content-type"})


@dataclass(frozen=True)
class SignedRequest:
    """The parts that a signature covers: method, path as sent, raw query, lower-case headers.

    ACS3 covers the body, too, by its digest in a header: who signed is known before a byte of the body is.
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


def verify_acs3(account: Account, request: SignedRequest) -> Credential:
    """Check an ACS3-HMAC-SHA256 signature; `verify_body` is to follow.

    :raises ApiError: with the cloud's codes (MissingAuthorization, InvalidAccessKeyId.NotFound,
        MissingSecurityToken, InvalidSecurityToken.*, InvalidTimeStamp.*, SignatureDoesNotMatch,
        MissingSignatureNonce).
    """
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise ApiError(400, "MissingAuthorization", "The Authorization header is missing or not ACS3-HMAC-SHA256.")
    key_id, signed, signature = match.groups()
    credential = _credential(account, key_id, request.headers.get("x-acs-security-token"))
    _check_date(account, request.headers.get("x-acs-date", ""))
    _check_signature(request, signed.split(";"), signature, credential)
    if not request.headers.get(_NONCE):
        raise ApiError(400, "MissingSignatureNonce", "The header x-acs-signature-nonce is mandatory.")
    return credential


def verify_body(account: Account, request: SignedRequest, signer: Credential, body: bytes) -> None:
    """Compare a body with what was signed, and use up the request's nonce.

    :raises ApiError: SignatureDoesNotMatch, SignatureNonceUsed.
    """
    if hashlib.sha256(body).hexdigest() != request.headers.get("x-acs-content-sha256"):
        raise ApiError(400, "SignatureDoesNotMatch", "x-acs-content-sha256 is not the digest of the body.")
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


def _credential(account: Account, key_id: str, token: str | None) -> Credential:
    if account.is_expired(key_id):
        raise ApiError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    credential = account.credential_of(key_id)
    if credential is None:
        raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if credential.security_token and not token:
        raise ApiError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
    if credential.security_token != token:
        raise ApiError(
            400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey."
        )
    return credential


def _check_date(account: Account, date: str) -> None:
    moment = compact_iso_time(date)
    if moment is None:
        raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if account.is_skewed(moment):
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _check_signature(request: SignedRequest, signed: list[str], signature: str, credential: Credential) -> None:
    if unsigned := sorted(_must_be_signed(request.headers) - set(signed)):
        raise ApiError(400, "SignatureDoesNotMatch", f"Headers that must be signed are not: {', '.join(unsigned)}.")
    expected = acs3_signature(request, signed, credential.access_key_secret)
    if not hmac.compare_digest(expected, signature):
        raise ApiError(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")


def _must_be_signed(headers: Mapping[str, str]) -> set[str]:
    names = {name for name in headers if name in _MUST_BE_SIGNED or name.startswith("x-acs-")}
    if headers.get("content-length") == "0":
        names.discard("content-type")  # the SDK's asynchronous calls put one on an empty body after they signed
    return names


def _decode(value: str) -> str:
    return unquote_plus(value, errors="surrogateescape")
