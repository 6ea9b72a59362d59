"""Names of buckets and objects: the rules for them, and the keys that can be paths."""

from __future__ import annotations

import re

from airflow_provider_pai.emulator.oss.errors import OssError

MAX_KEY_BYTES = 1023

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_MAX_COMPONENT_BYTES = 255


def check_bucket(name: str) -> str:
    """Return the name of a bucket.

    :raises OssError: InvalidBucketName.
    """
    if not _BUCKET.fullmatch(name):
        raise OssError(400, "InvalidBucketName", "The specified bucket is not valid.")
    return name


def check_key(key: str) -> str:
    """Return the key of an object.

    :raises OssError: InvalidObjectName.
    """
    if not is_utf8(key) or key.startswith(("/", "\\")):
        raise OssError(400, "InvalidObjectName", "The specified object is not valid.")
    if not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
        raise OssError(400, "InvalidObjectName", "The Length of Object name must be less than 1024.")
    return key


def is_utf8(name: str) -> bool:
    """Tell whether a name has no surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_of(key: str) -> str | None:
    """Return the relative path at which a key can be a file; None if it can't.

    No path of a key leaves its bucket: components that are empty, `.` or `..` are no path.
    """
    return key if all(map(_is_component, key.split("/"))) else None


def _is_component(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name and len(name.encode()) <= _MAX_COMPONENT_BYTES
