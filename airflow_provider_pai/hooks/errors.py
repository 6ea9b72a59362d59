"""Translation of the SDKs' errors into the provider's, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)

_PERMISSION_CODES = (
    "Forbidden",
    "InvalidAccessKey",
    "Signature",
    "InvalidSecurityToken",
    "SecurityToken",
    "MissingAuthorization",
    "AccessDenied",
    "NoPermission",
    "InvalidTimeStamp",
    "RequestTimeTooSkewed",
)
_TRANSIENT_CODES = ("Throttling", "ServiceUnavailable", "InternalError", "SystemBusy", "SignatureNonceUsed")


@contextmanager
def translated(service: str, action: str) -> Iterator[None]:
    """Turn what an SDK raises inside the block into a `PaiApiError` of the fitting kind."""
    from oss2.exceptions import OssError
    from Tea.exceptions import TeaException

    try:
        yield
    except TeaException as error:
        raise _from_tea(service, action, error) from error
    except OssError as error:
        raise _from_oss(service, action, error) from error


def _from_tea(service: str, action: str, error: Any) -> PaiApiError:
    code = None if error.code in (None, "None", "") else str(error.code)
    status = getattr(error, "status_code", None) or getattr(error, "statusCode", None)
    made = kind_of(code, status)(
        service, action, str(error.message or error), code, status, getattr(error, "request_id", None)
    )
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
    return kind_of(code, status)(service, action, message, code, status, error.request_id or None)


def kind_of(code: str | None, status: int | None) -> type[PaiApiError]:
    """Return the error class for a code and an HTTP status; neither means that no answer came."""
    code = code or ""
    if status is None and not code:
        return PaiTransientError
    if status == 429 or (status or 0) >= 500 or code.startswith(_TRANSIENT_CODES):
        return PaiTransientError
    if status in (401, 403) or code.startswith(_PERMISSION_CODES):
        return PaiPermissionError
    if status == 404 or "NotFound" in code or "NotExist" in code or code.startswith("NoSuch"):
        return PaiNotFoundError
    if status == 409 or "AlreadyExist" in code or "Conflict" in code:
        return PaiConflictError
    return PaiApiError
