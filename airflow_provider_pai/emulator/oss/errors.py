"""Errors of OSS: a code with response headers, and the documented EC where one is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.emulator.errors import ApiError

# Documented error codes (EC) of the refusals that have exactly one.
_EC = {
    "InvalidAccessKeyId": "0002-00000902",
    "InvalidSecurityToken": "0002-00000006",
    "SecurityTokenExpired": "0002-00000007",
    "SignatureDoesNotMatch": "0002-00000040",
    "NoSuchBucket": "0015-00000101",
    "NoSuchKey": "0026-00000001",
}


class OssError(ApiError):
    """A refusal with its OSS error code; `headers` and further elements, `details`, go out with the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        ec: str = "",
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.ec = ec or _EC.get(code, "")
        self.headers = dict(headers or {})
        self.details = dict(details or {})


def no_such_bucket() -> OssError:
    """Return the refusal for a bucket that does not exist."""
    return OssError(404, "NoSuchBucket", "The specified bucket does not exist.")


def not_allowed(detail: Mapping[str, str]) -> OssError:
    """Return the refusal of what no RAM policy allows (EC 0003-00000202), or one forbids (0003-00000201)."""
    explicit = detail["NoPermissionType"] == "ExplicitDeny"
    return OssError(
        403,
        "AccessDenied",
        "Access denied by bucket policy." if explicit else "You have no right to access this object.",
        ec="0003-00000201" if explicit else "0003-00000202",
        details={"AccessDeniedDetail": list(detail.items())},
    )


def another_region(region: str) -> OssError:
    """Return the refusal of a call that came to the endpoint of another region than the bucket's."""
    return OssError(
        403,
        "AccessDenied",
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint.",
        details={"Endpoint": f"oss-{region}.aliyuncs.com"},
    )


def no_such_key(headers: Mapping[str, str] | None = None) -> OssError:
    """Return the refusal for an object that does not exist."""
    return OssError(404, "NoSuchKey", "The specified key does not exist.", headers=headers)


def no_such_version() -> OssError:
    """Return the refusal for a version that does not exist."""
    return OssError(404, "NoSuchVersion", "The specified version does not exist.")


def invalid_argument(message: str, name: str = "", value: str = "") -> OssError:
    """Return the refusal for a value out of its range."""
    details = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return OssError(400, "InvalidArgument", message, details=details)


def missing_field(name: str) -> OssError:
    """Return the refusal of an HTML form without a field that it has to have."""
    must = f"Bucket POST must contain a field named '{name}'."
    return invalid_argument(f"{must} If it is specified, please check the order of the fields.", name)


def not_implemented(what: str) -> OssError:
    """Return the refusal of what is not emulated."""
    return OssError(501, "NotImplemented", f"The emulator has no {what}.")


def position_not_equal_to_length(length: int) -> OssError:
    """Return the refusal of an append that does not begin where the object ends."""
    return OssError(
        409,
        "PositionNotEqualToLength",
        "Position is not equal to file length",
        headers={"x-oss-next-append-position": str(length)},
    )


def precondition_failed(condition: str) -> OssError:
    """Return the refusal of a condition, which is named (in `Condition`, which ali-oss shows)."""
    text = "At least one of the pre-conditions you specified did not hold."
    return OssError(412, "PreconditionFailed", text, details={"Condition": condition})


def file_already_exists() -> OssError:
    """Return the refusal of a write that must not overwrite."""
    return OssError(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.")
