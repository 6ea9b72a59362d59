"""Errors of OSS: the core's, with response headers and the documented EC where one is known."""

from __future__ import annotations

from collections.abc import Mapping

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
    """A refusal with its OSS error code; `headers` go out with the answer."""

    def __init__(
        self, status: int, code: str, message: str, *, ec: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.ec = ec or _EC.get(code, "")
        self.headers = dict(headers or {})


def no_such_bucket() -> OssError:
    """Return the refusal for a bucket that does not exist."""
    return OssError(404, "NoSuchBucket", "The specified bucket does not exist.")


def no_such_key() -> OssError:
    """Return the refusal for an object that does not exist."""
    return OssError(404, "NoSuchKey", "The specified key does not exist.")


def invalid_argument(message: str) -> OssError:
    """Return the refusal for a value out of its range."""
    return OssError(400, "InvalidArgument", message)


def position_not_equal_to_length(length: int) -> OssError:
    """Return the refusal of an append that does not begin where the object ends."""
    return OssError(
        409,
        "PositionNotEqualToLength",
        "Position is not equal to file length",
        headers={"x-oss-next-append-position": str(length)},
    )


def file_already_exists() -> OssError:
    """Return the refusal of a write that must not overwrite."""
    return OssError(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.")
