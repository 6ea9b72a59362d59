"""Translation of the SDKs' errors into the provider's, in one place."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.services import SERVICES

_PERMISSION_CODES = (
    "Forbidden",
    "InvalidAccessKey",
    "Signature",
    "InvalidSecurityToken",
    "SecurityToken",
    "MissingAuthorization",
    "MissingSecurityToken",
    "IncompleteSignature",
    "AccessDenied",
    "NoPermission",
    "InvalidTimeStamp",
    "RequestTimeTooSkewed",
)
# These say "come again" with whatever status: throttling comes as 400, 403, 429 or 503.
_TRANSIENT_CODES = ("Throttling", "ServiceUnavailable", "SystemBusy", "SignatureNonceUsed")
_BY_STATUS = {
    401: PaiPermissionError,
    403: PaiPermissionError,
    404: PaiNotFoundError,
    409: PaiConflictError,
}


@contextmanager
def translated(service: str, action: str) -> Iterator[None]:
    """Turn what an SDK raises inside the block into a `PaiApiError` of the fitting kind."""
    from alibabacloud_credentials.exceptions import CredentialException
    from oss2.exceptions import OssError
    from Tea.exceptions import RetryError, TeaException

    from airflow_provider_pai.hooks.network import UnreachableError

    try:
        yield
    except (TeaException, OssError, UnreachableError, CredentialException, RetryError) as error:
        # An UnretryableException of a Tea client is a cover.
        inner = getattr(error, "inner_exception", error)
        if isinstance(inner, UnreachableError):
            raise PaiApiError(service, action, str(inner)) from error
        if isinstance(inner, CredentialException):
            raise _from_credentials(service, action, inner) from error
        raise (_from_oss if isinstance(error, OssError) else _from_tea)(service, action, error) from error


def _from_credentials(service: str, action: str, error: Any) -> PaiApiError:
    """Whoever hands out credentials refused; alibabacloud-credentials tells the status in its text alone."""
    found = re.search(r"(?i)http_?code\W*(\d{3})", error.message)
    status = int(found[1]) if found else 403
    kind = PaiTransientError if status >= 500 or status == 429 else PaiPermissionError
    return kind(service, action, error.message, error.code, status if found else None, error.request_id)


def _from_tea(service: str, action: str, error: Any) -> PaiApiError:
    code = getattr(error, "code", None)
    code = None if code in (None, "None", "") else str(code)
    status = getattr(error, "status_code", None) or getattr(error, "statusCode", None)
    detail = getattr(error, "access_denied_detail", None) or {}
    message = _with_permission(str(error.message or error), service, action, code, detail)
    made = kind_of(code, status)(service, action, message, code, status, getattr(error, "request_id", None))
    if isinstance(made, PaiTransientError) and getattr(error, "retry_after", None):
        made.retry_after = error.retry_after / 1000
    return made


def _from_oss(service: str, action: str, error: Any) -> PaiApiError:
    """oss2 gives status -1..-3 to errors that no server sent."""
    status = error.status if error.status > 0 else None
    code = error.code or {404: "NotFound"}.get(error.status)
    message = error.message or str(error.details or error.body or error)
    if endpoint := (error.details or {}).get("Endpoint"):
        message = f"{message} The bucket's endpoint is {endpoint}."
    else:
        message = _with_permission(message, service, action, code, _detail_of_oss(error))
    # oss2's own refusals, as of an endpoint's form, are no lost answers.
    kind = PaiApiError if error.status == -1 else kind_of(code, status)
    return kind(service, action, message, code, status, error.request_id or None)


def _with_permission(message: str, service: str, call: str, code: str | None, detail: Mapping[str, Any]) -> str:
    """Say first which RAM action is missing: the service tells it, or else our own table does."""
    if action := detail.get("AuthAction"):
        if detail.get("NoPermissionType") == "ExplicitDeny":
            return f"a Deny statement of RAM forbids {action} to this access key. {message}"
        return f"no RAM policy allows {action} to this access key: add it, see docs/permissions.md. {message}"
    if code in ("AccessDenied", "Forbidden") or (code or "").startswith(("Forbidden.RAM", "NoPermission")):
        action = SERVICES[service].ram_action(call.partition(" ")[0])
        return f"this access key may lack RAM action {action}, see docs/permissions.md. {message}"
    return message


def _detail_of_oss(error: Any) -> dict[str, str]:
    """Return `AccessDeniedDetail`, which oss2 leaves in the document; an answer to HEAD has that in `x-oss-err`."""
    body = error.body or base64.b64decode(error.headers.get("x-oss-err", ""))
    text = body if isinstance(body, str) else body.decode(errors="replace")
    return dict(re.findall(r"<(AuthAction|NoPermissionType)>([^<]*)<", text))


def kind_of(code: str | None, status: int | None) -> type[PaiApiError]:
    """Return the error class for a code and an HTTP status; neither means that no answer came.

    The status decides, and the code refines it: of DSW `InternalError` is every refusal but that of a parameter, with
    400 or 404 [help: pai-dsw StartInstance, DeleteInstance].
    """
    code = code or ""
    if code.startswith(_TRANSIENT_CODES) or status == 429 or (status or 0) >= 500:
        return PaiTransientError
    if not status and (not code or code.startswith("InternalError")):
        return PaiTransientError
    if code.startswith(_PERMISSION_CODES):
        return PaiPermissionError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if "NotFound" in code or "NotExist" in code or code.startswith("NoSuch"):
        return PaiNotFoundError
    if "AlreadyExist" in code or "Conflict" in code:
        return PaiConflictError
    return PaiApiError
