"""Translation of the SDKs' errors into the provider's, in one place."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.exceptions import (
    KEY_CODES,
    PaiAnswerError,
    PaiApiError,
    PaiConflictError,
    PaiError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.answers import AnswerError
from airflow_provider_pai.hooks.lines import shortened
from airflow_provider_pai.remote import Json
from airflow_provider_pai.services import SERVICES

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.network import Heard

# What the Tea SDKs put around a service's own words; code and request id stand in our text, once.
_SDK_AROUND = re.compile(r"^code: \d+, | ?request id: \S+$")
_PERMISSION_CODES = (*KEY_CODES, "Forbidden", "AccessDenied", "NoPermission")
# These say "come again" with whatever status: throttling comes as 400, 403, 429 or 503.
_TRANSIENT_CODES = ("Throttling", "ServiceUnavailable", "SystemBusy", "SignatureNonceUsed")
_BY_STATUS = {
    401: PaiPermissionError,
    403: PaiPermissionError,
    404: PaiNotFoundError,
    409: PaiConflictError,
}


SKEW_REFUSED = 900
"""Seconds from the service's time at which a request is refused ("Request syntax and signature method V3")."""


NETWORK_TODO = "check the connection's region, network and endpoints, the proxy and the firewall"


class Refusal(NamedTuple):
    """What an error code means, and what to do: codes of the PAI APIs and of OSS, as they begin."""

    codes: tuple[str, ...]
    says: str
    todo: str


CAUSES = (
    Refusal(
        ("SignatureDoesNotMatch", "IncompleteSignature"),
        "the AccessKey Secret is wrong",
        "set the connection's password to the secret that belongs to its login",
    ),
    Refusal(
        ("InvalidAccessKeyId",),
        "the AccessKey ID does not exist, or is disabled",
        "set the connection's login, or enable the key in the RAM console",
    ),
    Refusal(
        ("InvalidSecurityToken.Expired", "SecurityTokenExpired"),
        "the STS token has expired",
        "set login, password and security_token anew, or an auth that renews them: ram_role_arn, ecs_ram_role",
    ),
    Refusal(
        ("InvalidSecurityToken", "MissingSecurityToken"),
        "the STS token does not belong to the AccessKey ID",
        "set login, password and security_token from one answer of AssumeRole",
    ),
    Refusal(
        ("InvalidTimeStamp", "RequestTimeTooSkewed"),
        f"this machine's clock is more than {SKEW_REFUSED // 60} minutes wrong",
        "synchronize it (NTP) here and on every worker",
    ),
)


@contextmanager
def translated(service: str, action: str, conn_id: str | None = None) -> Iterator[None]:
    """Turn whatever is raised inside the block into a `PaiApiError` of the fitting kind.

    What went wrong with a local file is no answer, and stays an OSError.

    :param conn_id: the connection that is asked with.
    """
    from airflow_provider_pai.hooks.network import heard

    heard.set(None)
    try:
        yield
    except PaiApiError as error:
        error.conn_id = error.conn_id or conn_id
        raise
    except PaiError:
        raise
    except Exception as error:
        # An UnretryableException of a Tea client is a cover.
        inner = getattr(error, "inner_exception", None) or error
        if _is_local(inner):
            raise
        refusal = _refusal(service, action, inner, heard.get())
        told = refusal or _unread(service, action, inner, heard.get())
        told.conn_id = conn_id
        # What a service has said is all there is to know; a traceback of its SDK tells nobody more.
        raise told from (None if refusal else error)


def _refusal(service: str, action: str, error: Any, heard: Heard | None) -> PaiApiError | None:
    """Return the error of what a service has said, or of its silence; None for anything else."""
    from alibabacloud_credentials.exceptions import CredentialException
    from darabonba.exceptions import RetryError as DaraRetryError
    from oss2.exceptions import OssError, RequestError
    from requests import RequestException
    from Tea.exceptions import RetryError, TeaException

    from airflow_provider_pai.hooks.network import UnreachableError

    if isinstance(error, UnreachableError):
        return PaiApiError(service, action, str(error))
    if isinstance(error, CredentialException):
        return _from_credentials(service, action, error)
    request_id = heard.request_id if heard else None
    if isinstance(error, RequestError):
        error = error.exception
    if isinstance(error, OssError):
        return _from_oss(service, action, error, request_id)
    if isinstance(error, TeaException) and getattr(error, "code", None):
        return _from_tea(service, action, error, request_id)
    if isinstance(error, RetryError | DaraRetryError | RequestException | OSError):
        told = str(getattr(error, "message", None) or error)
        told = told if told.startswith("no answer") else f"no answer: {told}"
        return PaiTransientError(service, action, f"{told} → {NETWORK_TODO}", request_id=request_id)
    return None


def _unread(service: str, action: str, error: Any, heard: Heard | None) -> PaiApiError:
    """Return the error of an answer that can't be read, or of a call that could not be made."""
    request_id = heard.request_id if heard else None
    why = str(error) if isinstance(error, AnswerError) else f"{type(error).__name__}: {error}"
    if heard is None:
        return PaiApiError(service, action, f"it could not be asked: {why}")
    message = f"the answer can't be read: {shortened(why)}"
    return PaiAnswerError(service, action, message, status=heard.status, request_id=request_id)


def _is_local(error: object) -> bool:
    """Tell whether an error is of a file of this machine: lines have errors of classes of their own."""
    from requests import RequestException

    of_lines = (RequestException, ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror)
    return isinstance(error, OSError) and not isinstance(error, of_lines)


def _from_credentials(service: str, action: str, error: Any) -> PaiApiError:
    """Whoever hands out credentials refused; alibabacloud-credentials tells status and answer in its text alone."""
    text = str(error.message)
    found = re.search(r"(?i)\W*http_?code\W*(\d{3})(?:, result: (?P<answer>.*))?", text, re.DOTALL)
    status = int(found[1]) if found else 403
    kind = PaiTransientError if status >= 500 or status == 429 else PaiPermissionError
    answer = _object_of(found["answer"]) if found and found["answer"] else {}
    words = f"{text[: found.start()]}: {answer['Message']}" if found and "Message" in answer else text
    code = answer.get("Code") or error.code
    message = _of_key(code) or f"{shortened(words)} → check the connection's auth and what that needs"
    request_id = answer.get("RequestId") or error.request_id
    return kind(service, action, message, code, status if found else None, request_id)


def _object_of(text: str) -> Json:
    """Return the object that a text of JSON is; one without fields where it is none."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _from_tea(service: str, action: str, error: Any, request_id: str | None) -> PaiApiError:
    code = getattr(error, "code", None)
    code = None if code in (None, "None", "") else str(code)
    status = getattr(error, "status_code", None) or getattr(error, "statusCode", None)
    detail = getattr(error, "access_denied_detail", None)
    detail = detail if isinstance(detail, Mapping) else {}
    message = _with_advice(_SDK_AROUND.sub("", str(error.message or error)), service, action, code, detail)
    made = kind_of(code, status)(service, action, message, code, status, request_id)
    if isinstance(made, PaiTransientError) and getattr(error, "retry_after", None):
        made.retry_after = error.retry_after / 1000
    return made


def _from_oss(service: str, action: str, error: Any, request_id: str | None) -> PaiApiError:
    """oss2 gives status -1..-3 to errors that no server sent."""
    status = error.status if error.status > 0 else None
    code = error.code or {404: "NotFound"}.get(error.status)
    # An answer to HEAD has no body, and may have no code.
    message = error.message or (f"status {status}" if status else str(error.details or error.body or error))
    if endpoint := (error.details or {}).get("Endpoint"):
        message = f"{message} The bucket's endpoint is {endpoint}."
    else:
        message = _with_advice(message, service, action, code, _detail_of_oss(error))
    # oss2's own refusals, as of an endpoint's form, are no lost answers.
    kind = PaiApiError if error.status == -1 else kind_of(code, status)
    return kind(service, action, message, code, status, error.request_id or request_id)


def refusal_of(service: str, action: str, answer: Json, request_id: str | None) -> PaiApiError:
    """Return the error of an answer that refuses the call with HTTP status 200."""
    code = str(answer.get("Code") or "")
    status = answer.get("HttpStatusCode") or (int(code) if code.isdecimal() and len(code) == 3 else None)
    return kind_of(code, status)(service, action, answer.get("Message") or "", code or None, status, request_id)


def _with_advice(message: str, service: str, call: str, code: str | None, detail: Mapping[str, Any]) -> str:
    """Say what to do about a key, or a RAM action, which the service tells, or else our own table.

    Where we know, the service's own words are left out: "The request signature we calculated does not match …".
    """
    if of_key := _of_key(code):
        return of_key
    if action := detail.get("AuthAction"):
        if detail.get("NoPermissionType") == "ExplicitDeny":
            return f"a Deny statement of RAM forbids {action} to this access key → take {action} out of that statement"
        return f"no RAM policy allows {action} to this access key, see docs/permissions.md → allow {action}"
    if code in ("AccessDenied", "Forbidden") or (code or "").startswith(("Forbidden.RAM", "NoPermission")):
        action = SERVICES[service].ram_action(call.partition(" ")[0])
        lacks = f"this access key may lack RAM action {action}, see docs/permissions.md"
        return f"{lacks}: {message.rstrip('.')} → allow {action}"
    return message


def _of_key(code: str | None) -> str:
    """Return what is wrong with the credentials and what to do; nothing where a code does not say so."""
    return next((f"{row.says} → {row.todo}" for row in CAUSES if code and code.startswith(row.codes)), "")


def _detail_of_oss(error: Any) -> dict[str, str]:
    """Return `AccessDeniedDetail`, which oss2 leaves in the document; an answer to HEAD has that in `x-oss-err`."""
    try:
        body = error.body or base64.b64decode(error.headers.get("x-oss-err", ""))
    except ValueError:
        return {}
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
